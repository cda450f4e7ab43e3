/* jinja_filters.c - what may stand after "|": filters on strings, numbers and any value. Those on lists are
 * jinja_list_filters.c's. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "text/jinja_ctx.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

/* ---- strings ---- */

/* Most string filters take any value, as its str(). */
#define STRING_FILTER(name, expression) \
	BUILTIN(name) { text t; return ctx_str(c, self, &t) ? (expression) : NULL; }

STRING_FILTER(f_upper, string_case(c, t, UNICODE_UPPER))
STRING_FILTER(f_lower, string_case(c, t, UNICODE_LOWER))
STRING_FILTER(f_capitalize, string_capitalize(c, t))
STRING_FILTER(f_trim, string_strip(c, t, argv[0], STRIP_BOTH))
STRING_FILTER(f_string, value_text(c->a, t))

static const value *as_markup(jinja_ctx *c, text t)
{
	t.markup = true;
	return value_text(c->a, t);
}

STRING_FILTER(f_safe, as_markup(c, t))

/* The first letter of a word and of what separates words (blanks, hyphens, opening brackets) is a capital, the rest is
 * small. */
BUILTIN(f_title)
{
	text t;
	text_builder b = ctx_builder(c);
	if (!ctx_str(c, self, &t))
		return NULL;
	for (size_t i = 0, end; i < t.n; i = end) {
		bool between = false;
		size_t first = utf8_step(t.p + i, t.n - i);
		for (end = i; end < t.n; end += utf8_step(t.p + end, t.n - end)) {
			uint32_t cp = 0;
			utf8_decode(t.p + end, t.n - end, &cp);
			bool separates = unicode_is_py_space(cp) || (cp && cp < 0x80 && strchr("-({[<", (int)cp));
			if (end == i)
				between = separates;
			else if (separates != between)
				break;
		}
		put_case(&b, text_slice(t, i, i + first), UNICODE_UPPER);
		put_case(&b, text_slice(t, i + first, end), UNICODE_LOWER);
	}
	return ctx_text(c, &b);
}

BUILTIN(f_replace)
{
	text t, old, with;
	int64_t count = -1;
	if (argv[2] && argv[2]->kind != VALUE_NONE && !integer_of(argv[2], &count))
		return ctx_fail(c, "replace: the count must be an int");
	if (!ctx_str(c, self, &t) || !ctx_str(c, argv[0], &old) || !ctx_str(c, argv[1], &with))
		return NULL;
	t.markup = false;
	return string_replace(c, t, old, with, count);
}

BUILTIN(f_escape)
{
	static const struct { char c; const char *as; } table[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
	text t;
	text_builder b = ctx_builder(c);
	if (!ctx_str(c, self, &t))
		return NULL;
	if (t.markup)
		return self;
	for (size_t i = 0; i < t.n; i++) {
		size_t k = 0;
		while (k < sizeof table / sizeof *table && table[k].c != t.p[i])
			k++;
		if (k < sizeof table / sizeof *table)
			put_str(&b, str_of(table[k].as), text_trusted(t, i));
		else
			put_text(&b, text_slice(t, i, i + 1));
	}
	return ctx_text_like(c, &b, (text){.markup = true});
}

/* indent(width=4, first=false, blank=false): a line without text is indented if `blank` is set. */
BUILTIN(f_indent)
{
	int64_t width = 4;
	bool first = argv[1] && value_truth(argv[1]), blank = argv[2] && value_truth(argv[2]);
	text pad = {.p = " ", .n = 1, .trusted = true};
	text_builder b = ctx_builder(c), whole = ctx_builder(c);
	if (self->kind != VALUE_STRING && self->kind != VALUE_UNDEFINED)
		return ctx_fail(c, "indent needs a string, not '%s'", value_type_name(self));
	if (argv[0] && argv[0]->kind == VALUE_STRING) {
		pad = argv[0]->s;
		width = 1;
	} else if (argv[0] && !integer_of(argv[0], &width)) {
		return ctx_fail(c, "indent: the width must be an int or a string");
	}
	if (self->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "indent: the string is undefined");
	put_text(&whole, self->s);
	put_str(&whole, STR("\n"), true);
	const value *t = ctx_text(c, &whole), *lines = t ? string_splitlines(c, t->s, false) : NULL;
	for (size_t i = 0; lines && i < lines->t->n; i++) {
		text line = lines->t->at[i].val->s;
		bool padded = i ? blank || line.n : first;
		if (i)
			put_str(&b, STR("\n"), true);
		for (int64_t k = 0; padded && k < width; k++)
			if (b.failed || (k % 64 == 0 && !ctx_charge(c, 1)))
				return NULL;
			else
				put_text(&b, pad);
		put_text(&b, line);
	}
	return lines ? ctx_text_like(c, &b, self->s) : NULL;
}

BUILTIN(f_length)
{
	switch (self->kind) {
	case VALUE_UNDEFINED:
		return value_int(c->a, 0);
	case VALUE_STRING:
		return ctx_charge(c, self->s.n / 64) ? value_int(c->a, (int64_t)utf8_count(self->s.p, self->s.n)) : NULL;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
	case VALUE_RANGE:
	case VALUE_VIEW:
		return value_int(c->a, (int64_t)self->t->n);
	default:
		return ctx_fail(c, "a %s has no length", value_type_name(self));
	}
}

/* The byte where `count` characters end. */
static size_t end_of(text t, int64_t count)
{
	size_t i = 0;
	for (; count > 0 && i < t.n; count--)
		i += utf8_step(t.p + i, t.n - i);
	return i;
}

/* truncate(length=255, killwords=false, end='...', leeway=5) */
BUILTIN(f_truncate)
{
	int64_t length = 255, leeway = 5;
	text end = {.p = "...", .n = 3, .trusted = true};
	if ((argv[0] && !integer_of(argv[0], &length)) || (argv[2] && argv[2]->kind != VALUE_STRING) ||
	    (argv[3] && argv[3]->kind != VALUE_NONE && !integer_of(argv[3], &leeway)))
		return ctx_fail(c, "truncate needs a length, and a string for the end");
	if (argv[2])
		end = argv[2]->s;
	int64_t n_end = (int64_t)utf8_count(end.p, end.n);
	if (length < n_end || leeway < 0)
		return ctx_fail(c, "truncate: the length is less than the end's, or the leeway is negative");
	const value *n = f_length(c, self, NULL, NULL);
	if (!n || n->i <= length || n->i - length <= leeway)
		return n ? self : NULL;
	if (self->kind != VALUE_STRING)
		return ctx_fail(c, "truncate cannot shorten a %s", value_type_name(self));
	text t = self->s;
	text kept = text_slice(t, 0, end_of(t, length - n_end));
	const char *space = argv[1] && value_truth(argv[1]) ? NULL : memrchr(kept.p, ' ', kept.n);
	if (space)
		kept.n = (size_t)(space - kept.p);
	return ctx_binary(c, '+', value_text(c->a, kept), value_text(c->a, end));
}

BUILTIN(f_wordcount)
{
	text t;
	int64_t words = 0;
	bool inside = false;
	if (!ctx_str(c, self, &t) || !ctx_charge(c, t.n / 16))
		return NULL;
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		bool letter = utf8_decode(t.p + i, t.n - i, &cp) > 0 && (unicode_is_letter(cp) || unicode_is_number(cp) || cp == '_');
		words += letter && !inside;
		inside = letter;
	}
	return value_int(c->a, words);
}

BUILTIN(f_center)
{
	text t;
	int64_t width = 80;
	if (argv[0] && !integer_of(argv[0], &width))
		return ctx_fail(c, "center: the width must be an int");
	return ctx_str(c, self, &t) ? string_center(c, t, width, (text){.p = " ", .n = 1}) : NULL;
}

/* 'pattern' | format(values...) is 'pattern' % (values...) */
BUILTIN(f_format)
{
	text t;
	value *given = all->n_named ? value_dict(c->a) : value_tuple(c->a);
	if (all->n && all->n_named)
		return ctx_fail(c, "format takes positional or named values, not both");
	for (size_t i = 0; given && i < all->n; i++)
		if (!value_push(c->a, given, all->at[i]))
			return NULL;
	for (size_t i = 0; given && i < all->n_named; i++)
		if (!value_put(c->a, given, value_text(c->a, all->names[i]), all->named[i]))
			return NULL;
	return given && ctx_str(c, self, &t) ? ctx_printf(c, t, given) : NULL;
}

/* tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false), transformers' own: json.dumps() */
BUILTIN(f_tojson)
{
	int64_t width;
	text pad;
	text_builder b = ctx_builder(c), blanks = ctx_builder(c);
	json_style style = {.ascii = argv[0] && value_truth(argv[0]), .sort_keys = argv[3] && value_truth(argv[3]),
	                    .comma = {.p = ", ", .n = 2}, .colon = {.p = ": ", .n = 2}};
	if (argv[1] && argv[1]->kind == VALUE_STRING) {
		pad = argv[1]->s;
		style.indent = &pad;
	} else if (argv[1] && argv[1]->kind != VALUE_NONE) {
		if (!integer_of(argv[1], &width) || width > 64)
			return ctx_fail(c, "tojson: the indent must be a string or an int of at most 64");
		for (; width > 0; width--)
			put_str(&blanks, STR(" "), false);
		pad = (text){.p = blanks.n ? blanks.p : "", .n = blanks.n};
		style.indent = &pad;
	}
	if (style.indent)
		style.comma.n = 1;
	if (argv[2] && argv[2]->kind != VALUE_NONE) {
		const value_table *s = ctx_items(c, argv[2]);
		if (!s || s->n != 2 || s->at[0].val->kind != VALUE_STRING || s->at[1].val->kind != VALUE_STRING)
			return ctx_fail(c, "tojson: separators must be two strings");
		style.comma = s->at[0].val->s;
		style.colon = s->at[1].val->s;
	}
	return put_json(c, &b, self, &style) ? ctx_text(c, &b) : NULL;
}

/* ---- any value ---- */

BUILTIN(f_default)
{
	bool replace = self->kind == VALUE_UNDEFINED || (argv[1] && value_truth(argv[1]) && !value_truth(self));
	return !replace ? self : argv[0] ? argv[0] : value_string(c->a, STR(""), true);
}

/* An attribute only, never a dict's entry. */
BUILTIN(f_attr)
{
	if (argv[0]->kind != VALUE_STRING)
		return ctx_fail(c, "attr: the name must be a string");
	if (self->kind == VALUE_UNDEFINED)
		return value_undefined();
	bool entry = self->kind == VALUE_DICT && !jinja_method_find(self, text_str(argv[0]->s));
	return entry ? value_undefined() : ctx_attr(c, self, text_str(argv[0]->s));
}

/* ---- numbers ---- */

/* The text of a number as strtod and strtoll take it: without white space around it and underscores between digits. -1
 * if it is none, or (the context then fails) too long for one that we can read. */
static int number_text(jinja_ctx *c, const value *v, char out[64])
{
	text t = text_strip(v->s, NULL, STRIP_BOTH);
	size_t n = 0;
	if (t.n >= 64) {
		for (size_t i = 0; i < t.n; i++)
			if (!t.p[i] || !strchr("0123456789_+-.eE", t.p[i]))
				return -1;
		ctx_fail(c, "a number of more than 63 characters");
		return -1;
	}
	for (size_t i = 0; i < t.n; i++) {
		bool between = i && i + 1 < t.n && isxdigit((unsigned char)t.p[i - 1]) && isxdigit((unsigned char)t.p[i + 1]);
		if (!t.p[i] || (t.p[i] == '_' && !between))
			return -1;
		if (t.p[i] != '_')
			out[n++] = t.p[i];
	}
	out[n] = 0;
	return n ? 0 : -1;
}

BUILTIN(f_float)
{
	double f;
	char s[64], *end;
	const value *otherwise = argv[0] ? argv[0] : value_float(c->a, 0);
	if (number_of(self, &f))
		return value_float(c->a, f);
	if (self->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "float: the value is undefined");
	if (self->kind != VALUE_STRING || number_text(c, self, s) || strpbrk(s, "xXpP("))
		return c->status ? NULL : otherwise;
	f = strtod(s, &end);
	return *end ? otherwise : value_float(c->a, f);
}

/* Python's int(s, base). */
static bool parse_int(jinja_ctx *c, const char *s, int base, int64_t *out)
{
	const char *p = s + (*s == '-' || *s == '+');
	char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : 0, *end;
	if (mark && p[0] == '0' && (p[1] | 0x20) == mark)
		p += 2;
	if (!isalnum((unsigned char)*p) || (base == 16 && p[0] == '0' && (p[1] | 0x20) == 'x'))
		return false;
	errno = 0;
	*out = strtoll(p, &end, base);
	if (*end)
		return false;
	if (errno)
		return ctx_fail(c, "a number is too large");
	*out = *s == '-' ? -*out : *out;
	return true;
}

/* int(default=0, base=10) */
BUILTIN(f_int)
{
	int64_t i, base = 10;
	char s[64];
	const value *otherwise = argv[0] ? argv[0] : value_int(c->a, 0);
	if (integer_of(self, &i))
		return value_int(c->a, i);
	if (self->kind == VALUE_UNDEFINED || (argv[1] && (!integer_of(argv[1], &base) || base < 2 || base > 36)))
		return ctx_fail(c, self->kind == VALUE_UNDEFINED ? "int: the value is undefined" : "int: the base must be 2 to 36");
	if (self->kind == VALUE_STRING && number_text(c, self, s) == 0 && parse_int(c, s, (int)base, &i))
		return value_int(c->a, i);
	if (c->status)
		return NULL;
	const value *f = f_float(c, self, (const value *[]){value_float(c->a, NAN)}, all);
	if (!f || isnan(f->f))
		return f ? otherwise : NULL;
	if (isinf(f->f) && self->kind == VALUE_STRING)
		return otherwise;
	return fabs(f->f) < 9e18 ? value_int(c->a, (int64_t)f->f) : ctx_fail(c, "a number is too large");
}

BUILTIN(f_abs)
{
	int64_t i;
	if (self->kind == VALUE_FLOAT)
		return value_float(c->a, fabs(self->f));
	if (!integer_of(self, &i) || i == INT64_MIN)
		return ctx_fail(c, "abs does not work on '%s'", value_type_name(self));
	return value_int(c->a, i < 0 ? -i : i);
}

/* To a multiple of 10^places, a half to the even one. */
static const value *round_int(jinja_ctx *c, int64_t i, int64_t places)
{
	int64_t unit = 1;
	if (places > 17)
		return value_int(c->a, 0);
	while (places-- > 0)
		unit *= 10;
	int64_t rest = i % unit, q = i / unit;
	if (rest < 0) {
		rest += unit;
		q--;
	}
	q += rest > unit - rest || (rest == unit - rest && unit > 1 && q % 2 != 0);
	return __builtin_mul_overflow(q, unit, &i) ? ctx_fail(c, "a number is too large") : value_int(c->a, i);
}

/* round(precision=0, method='common') */
BUILTIN(f_round)
{
	double f, scale;
	int64_t precision = 0, i;
	if (!number_of(self, &f) || (argv[0] && !integer_of(argv[0], &precision)) || (argv[1] && argv[1]->kind != VALUE_STRING))
		return ctx_fail(c, "round does not work on '%s'", value_type_name(self));
	str method = argv[1] ? text_str(argv[1]->s) : STR("common");
	bool up = str_eq(method, STR("ceil")), down = str_eq(method, STR("floor"));
	scale = pow(10, (double)precision);
	if (up || down) {
		f = (up ? ceil(f * scale) : floor(f * scale)) + 0.0; /* an int in Python: no -0 */
		return isfinite(f) && isfinite(scale) && scale > 0 ? value_float(c->a, f / scale) : ctx_fail(c, "round: a number is too large");
	}
	if (!str_eq(method, STR("common")))
		return ctx_fail(c, "round: the method must be common, ceil or floor");
	if (integer_of(self, &i))
		return precision < 0 ? round_int(c, i, -precision) : value_int(c->a, i);
	if (!isfinite(f) || precision > 300)
		return self;
	if (precision < -300)
		return value_float(c->a, f * 0);
	if (precision <= 0)
		return value_float(c->a, precision ? rint(f / pow(10, (double)-precision)) * pow(10, (double)-precision) : rint(f));
	char digits[640]; /* decimal rounding, as Python's: never through a product */
	snprintf(digits, sizeof digits, "%.*f", (int)precision, f);
	return value_float(c->a, strtod(digits, NULL));
}

static const builtin filters[] = {
	{"upper", f_upper, ""},
	{"lower", f_lower, ""},
	{"capitalize", f_capitalize, ""},
	{"title", f_title, ""},
	{"trim", f_trim, "chars"},
	{"string", f_string, ""},
	{"safe", f_safe, ""},
	{"replace", f_replace, "old! new! count"},
	{"escape", f_escape, ""},
	{"e", f_escape, ""},
	{"indent", f_indent, "width first blank"},
	{"truncate", f_truncate, "length killwords end leeway"},
	{"wordcount", f_wordcount, ""},
	{"center", f_center, "width"},
	{"format", f_format, "*"},
	{"tojson", f_tojson, "ensure_ascii indent separators sort_keys"},
	{"default", f_default, "default_value boolean"},
	{"d", f_default, "default_value boolean"},
	{"length", f_length, ""},
	{"count", f_length, ""},
	{"attr", f_attr, "name!"},
	{"int", f_int, "default base"},
	{"float", f_float, "default"},
	{"abs", f_abs, ""},
	{"round", f_round, "precision method"},
};

const builtin *jinja_filter_find(str name)
{
	const builtin *f = BUILTIN_FIND(filters, name);
	return f ? f : jinja_list_filter_find(name);
}
