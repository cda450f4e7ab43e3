/* jinja_format.c - text from patterns: Python's '%5.1f' % x and '{:>5}'.format(x). What the pattern's author wrote keeps
 * the pattern's marks, what is filled in keeps its own. A character made from a number (%c) is nobody's, hence
 * untrusted: a number may come from a client, and numbers carry no marks. */
#include <math.h>

#include "text/jinja_ctx.h"
#include "text/unicode.h"

#define MAX_FLOAT_PRECISION 300

typedef struct spec {
	text fill; /* one character */
	char align, sign, group, type;
	bool alt;
	int64_t width, precision; /* precision -1: none */
} spec;

static void put_fill(jinja_ctx *c, text_builder *b, text fill, int64_t n)
{
	if (n > 0 && !ctx_charge(c, (size_t)n / 64))
		b->failed = true;
	for (int64_t i = 0; i < n && !b->failed; i++)
		put_text(b, fill);
}

/* Body with its sign and prefix in front, filled up to the width. */
static void put_aligned(jinja_ctx *c, text_builder *b, const spec *s, text head, text body)
{
	int64_t n = s->width - (int64_t)(utf8_count(head.p, head.n) + utf8_count(body.p, body.n));
	int64_t left = n <= 0 || s->align == '<' ? 0 : s->align == '^' ? n / 2 : n;
	bool between = s->align == '=';
	put_fill(c, b, s->fill, between ? 0 : left);
	put_text(b, head);
	put_fill(c, b, s->fill, between ? left : 0);
	put_text(b, body);
	put_fill(c, b, s->fill, n - left);
}

static text trusted_text(const char *p)
{
	return (text){.p = p, .n = strlen(p), .trusted = true};
}

/* Digits with a separator every `every` of them from the right; what follows the integer part is copied. */
static void group_digits(const char *digits, char mark, size_t every, char *out)
{
	size_t n = strspn(digits, "0123456789abcdefABCDEF"), k = 0;
	if (strpbrk(digits, ".en%")) /* "e" of an exponent is no digit here */
		n = strspn(digits, "0123456789");
	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % every == 0)
			out[k++] = mark;
		out[k++] = digits[i];
	}
	strcpy(out + k, digits + n);
}

static void put_number(jinja_ctx *c, text_builder *b, const spec *s, bool negative, const char *prefix, const char *digits)
{
	char head[8] = "", grouped[2 * MAX_FLOAT_PRECISION + 800];
	if (negative || s->sign == '+' || s->sign == ' ')
		strcat(head, negative ? "-" : s->sign == '+' ? "+" : " ");
	strcat(head, prefix);
	if (s->group) {
		group_digits(digits, s->group, strchr("xXob", s->type) && s->type ? 4 : 3, grouped);
		digits = grouped;
	}
	put_aligned(c, b, s, trusted_text(head), trusted_text(digits));
}

static const char *int_digits(int64_t i, char type, char out[72])
{
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i, base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
	char *p = out + 71;
	*p = 0;
	do {
		*--p = (type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
		u /= base;
	} while (u);
	return p;
}

static bool put_int_as(jinja_ctx *c, text_builder *b, const spec *s, int64_t i)
{
	char digits[72], prefix[3] = "";
	if (s->alt && (s->type == 'x' || s->type == 'X' || s->type == 'o' || s->type == 'b')) {
		prefix[0] = '0';
		prefix[1] = s->type;
	}
	put_number(c, b, s, i < 0, prefix, int_digits(i, s->type, digits));
	return !b->failed;
}

static bool put_float_as(jinja_ctx *c, text_builder *b, const spec *s, double f)
{
	char digits[MAX_FLOAT_PRECISION + 400], pattern[] = "%#.*?";
	int precision = s->precision < 0 ? 6 : (int)s->precision;
	bool percent = s->type == '%';
	if (s->precision > MAX_FLOAT_PRECISION)
		return ctx_fail(c, "a precision of more than %d", MAX_FLOAT_PRECISION);
	if (percent)
		f *= 100;
	pattern[4] = percent ? 'f' : s->type == 'n' ? 'g' : s->type;
	if (!s->alt)
		memmove(pattern + 1, pattern + 2, sizeof pattern - 2);
	/* the pattern is one of a few, made above */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(digits, sizeof digits - 1, pattern, precision, fabs(f));
#pragma GCC diagnostic pop
	if (percent)
		strcat(digits, "%");
	put_number(c, b, s, signbit(f) && !isnan(f), "", digits);
	return !b->failed;
}

/* The first `precision` characters. */
static text shortened(text t, int64_t precision)
{
	size_t end = 0;
	for (int64_t i = 0; i < precision && end < t.n; i++)
		end += utf8_step(t.p + end, t.n - end);
	return precision < 0 ? t : text_slice(t, 0, end);
}

static bool put_char_as(jinja_ctx *c, text_builder *b, const spec *s, int64_t cp)
{
	char utf8[4];
	if (cp < 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
		return ctx_fail(c, "not a character's number");
	put_aligned(c, b, s, trusted_text(""), (text){.p = utf8, .n = utf8_encode((uint32_t)cp, utf8)});
	return !b->failed;
}

static const value *as_text(jinja_ctx *c, const value *v, char conversion, bool escape)
{
	text_builder b = ctx_builder(c);
	if (!(conversion == 'r' ? put_repr(c, &b, v) : put_value(c, &b, v)))
		return NULL;
	const value *t = ctx_text(c, &b);
	if (!t || !escape || (v->kind == VALUE_STRING && v->s.markup && conversion != 'r'))
		return t;
	return jinja_filter_find(STR("escape"))->fn(c, t, NULL, NULL);
}

/* Reads a count of at most 18 digits at f.p[*i]; false: too long. */
static bool read_count(jinja_ctx *c, text f, size_t *i, int64_t *out)
{
	size_t begin = *i;
	*out = 0;
	for (; *i < f.n && (unsigned)f.p[*i] - '0' < 10; ++*i) {
		if (*i - begin >= 18)
			return ctx_fail(c, "a width of more than 18 digits");
		*out = *out * 10 + (f.p[*i] - '0');
	}
	return true;
}

/* ---- % ---- */

typedef struct printf_args {
	const value *arg;
	size_t used, given;
	bool lookup; /* arg can be asked by key */
} printf_args;

static const value *printf_arg(jinja_ctx *c, printf_args *p)
{
	if (p->used == p->given)
		return ctx_fail(c, "%% format: too few values");
	p->used++;
	return p->arg->kind == VALUE_TUPLE ? p->arg->t->at[p->used - 1].val : p->arg;
}

static bool put_printf(jinja_ctx *c, text_builder *b, spec *s, const value *v, bool escape)
{
	int64_t i;
	double f;
	if (strchr("sra", s->type)) {
		if (s->type == 'a')
			return ctx_fail(c, "%%a is not supported");
		const value *t = as_text(c, v, s->type, escape);
		if (t)
			put_aligned(c, b, s, trusted_text(""), shortened(t->s, s->precision));
		return t && !b->failed;
	}
	if (s->type == 'c' && v->kind == VALUE_STRING && utf8_count(v->s.p, v->s.n) == 1) {
		put_aligned(c, b, s, trusted_text(""), v->s);
		return !b->failed;
	}
	if (strchr("feEFgG", s->type))
		return (number_of(v, &f) || ctx_fail(c, "%%%c needs a number", s->type)) && put_float_as(c, b, s, f);
	if (!integer_of(v, &i)) {
		if (v->kind != VALUE_FLOAT || s->type != 'd' || !(fabs(v->f) < 9e18))
			return ctx_fail(c, "%%%c needs an int", s->type);
		i = (int64_t)v->f;
	}
	if (s->type == 'c')
		return put_char_as(c, b, s, i);
	if (s->precision >= 0)
		return ctx_fail(c, "%%: a precision for an int is not supported");
	return put_int_as(c, b, s, i);
}

/* One conversion, *i past its '%'. */
static bool convert(jinja_ctx *c, text_builder *b, text f, size_t *i, printf_args *p)
{
	bool trusted = text_trusted(f, *i - 1), left = false, zero = false;
	spec s = {.precision = -1};
	const value *v = NULL;
	if (*i < f.n && f.p[*i] == '(') {
		const char *end = memchr(f.p + *i, ')', f.n - *i);
		if (!end || !p->lookup)
			return ctx_fail(c, end ? "%% format: needs a dict" : "%% format: a key without its end");
		size_t close = (size_t)(end - f.p);
		const value *key = value_text(c->a, text_slice(f, *i + 1, close));
		v = key && p->arg->kind == VALUE_DICT ? dict_find(c, p->arg, key) : NULL;
		if (!v)
			return ctx_fail(c, "%% format: no such key");
		*i = close + 1;
		p->used = p->given;
	}
	for (; *i < f.n && f.p[*i] && strchr("-+ 0#", f.p[*i]); ++*i) {
		char flag = f.p[*i];
		left = left || flag == '-';
		zero = zero || flag == '0';
		s.alt = s.alt || flag == '#';
		if (flag == '+' || (flag == ' ' && !s.sign))
			s.sign = flag;
	}
	if (!read_count(c, f, i, &s.width))
		return false;
	if (*i < f.n && f.p[*i] == '.') {
		++*i;
		if (!read_count(c, f, i, &s.precision))
			return false;
	}
	while (*i < f.n && f.p[*i] && strchr("hlL", f.p[*i]))
		++*i;
	s.type = *i < f.n ? f.p[*i] : 0;
	s.type = s.type == 'i' || s.type == 'u' ? 'd' : s.type;
	if (s.type == '%') {
		put_text(b, text_slice(f, *i, *i + 1));
		++*i;
		return true;
	}
	if (!s.type || !strchr("sradxXofFeEgGc", s.type))
		return ctx_fail(c, "this %% format is not supported");
	++*i;
	bool number = !strchr("sarc", s.type);
	s.align = left ? '<' : zero && number ? '=' : '>';
	s.fill = (text){.p = s.align == '=' ? "0" : " ", .n = 1, .trusted = trusted};
	v = v ? v : printf_arg(c, p);
	return v && put_printf(c, b, &s, v, f.markup);
}

const value *ctx_printf(jinja_ctx *c, text f, const value *arg)
{
	text_builder out = ctx_builder(c);
	bool sequence = arg->kind == VALUE_LIST || arg->kind == VALUE_RANGE;
	printf_args p = {arg, 0, arg->kind == VALUE_TUPLE ? arg->t->n : 1, arg->kind == VALUE_DICT};
	if (!ctx_charge(c, f.n / 64))
		return NULL;
	for (size_t i = 0; i < f.n;) {
		const char *percent = memchr(f.p + i, '%', f.n - i);
		size_t at = percent ? (size_t)(percent - f.p) : f.n;
		put_text(&out, text_slice(f, i, at));
		i = at + 1;
		if (percent && !(ctx_charge(c, 1) && convert(c, &out, f, &i, &p)))
			return NULL;
	}
	if (p.used < p.given && !p.lookup && !sequence)
		return ctx_fail(c, "%% format: too many values");
	return ctx_text_like(c, &out, f);
}

/* ---- str.format ---- */

/* [[fill]align][sign][#][0][width][,_][.precision][type] */
static bool read_spec(jinja_ctx *c, text f, spec *s)
{
	size_t i = 0, first = f.n ? utf8_step(f.p, f.n) : 0;
	*s = (spec){.precision = -1, .fill = {.p = " ", .n = 1}};
	if (first < f.n && strchr("<>=^", f.p[first])) {
		s->fill = text_slice(f, 0, first);
		s->align = f.p[first];
		i = first + 1;
	} else if (f.n && strchr("<>=^", f.p[0])) {
		s->align = f.p[i++];
	}
	if (i < f.n && f.p[i] && strchr("+- ", f.p[i]))
		s->sign = f.p[i++];
	if (i < f.n && f.p[i] == '#')
		s->alt = f.p[i++] == '#';
	if (i < f.n && f.p[i] == '0' && !s->align) {
		s->align = '0'; /* '=' for numbers, '<' for strings */
		s->fill = text_slice(f, i, i + 1);
	}
	if (!read_count(c, f, &i, &s->width))
		return false;
	if (i < f.n && (f.p[i] == ',' || f.p[i] == '_'))
		s->group = f.p[i++];
	if (i < f.n && f.p[i] == '.') {
		size_t begin = ++i;
		if (!read_count(c, f, &i, &s->precision))
			return false;
		if (i == begin)
			return ctx_fail(c, "format: a precision is missing");
	}
	if (i < f.n)
		s->type = f.p[i++];
	return i == f.n || ctx_fail(c, "format: this specification is not supported");
}

static bool put_formatted(jinja_ctx *c, text_builder *b, const value *v, text f)
{
	spec s;
	double d;
	int64_t i;
	if (f.n == 0)
		return put_value(c, b, v);
	if (!read_spec(c, f, &s))
		return false;
	if (v->kind == VALUE_STRING) {
		if (s.align == '=' || s.sign || s.group || s.alt || (s.type && s.type != 's'))
			return ctx_fail(c, "format: this specification does not fit a str");
		s.align = s.align == '0' || !s.align ? '<' : s.align;
		put_aligned(c, b, &s, trusted_text(""), shortened(v->s, s.precision));
		return !b->failed;
	}
	if (!number_of(v, &d))
		return ctx_fail(c, "format: a %s takes no specification", value_type_name(v));
	bool whole = integer_of(v, &i), real = s.type && strchr("eEfFgG%", s.type);
	s.align = s.align == '0' ? '=' : s.align ? s.align : '>';
	if (s.group && s.align == '=' && s.fill.n == 1 && s.fill.p[0] == '0' && s.width)
		return ctx_fail(c, "format: grouped digits filled with 0 are not supported");
	if (real)
		return put_float_as(c, b, &s, d);
	if (!whole || s.precision >= 0 || (s.type && !strchr("dxXobc", s.type))) {
		if (whole || s.type || s.precision >= 0 || s.group)
			return ctx_fail(c, "format: this specification is not supported for a %s", value_type_name(v));
		text_builder digits = ctx_builder(c);
		if (!put_value(c, &digits, value_float(c->a, fabs(d))) || digits.n >= 64)
			return false;
		char out[64] = "";
		memcpy(out, digits.p, digits.n);
		put_number(c, b, &s, signbit(d) && !isnan(d), "", out);
		return !b->failed;
	}
	return s.type == 'c' ? put_char_as(c, b, &s, i) : put_int_as(c, b, &s, i);
}

typedef struct field_args {
	const jinja_args *args;
	int64_t next; /* automatic number; -1: fields are numbered by hand */
} field_args;

static bool is_number(text t)
{
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned)t.p[i] - '0' >= 10)
			return false;
	return t.n > 0 && t.n < 10;
}

static const value *field_key(jinja_ctx *c, text t)
{
	int64_t n = 0;
	if (!is_number(t))
		return value_text(c->a, t);
	for (size_t i = 0; i < t.n; i++)
		n = n * 10 + (t.p[i] - '0');
	return value_int(c->a, n);
}

static const value *field_first(jinja_ctx *c, field_args *a, text name)
{
	int64_t n = -1;
	if (name.n && !is_number(name)) {
		for (size_t i = 0; i < a->args->n_named; i++)
			if (str_eq(text_str(a->args->names[i]), text_str(name)))
				return a->args->named[i];
		return ctx_fail(c, "format: a named value is missing");
	}
	if (name.n) {
		const value *key = field_key(c, name);
		if (!key || a->next > 0)
			return key ? ctx_fail(c, "format: numbered and unnumbered fields cannot be mixed") : NULL;
		a->next = -1;
		n = key->i;
	} else {
		if (a->next < 0)
			return ctx_fail(c, "format: numbered and unnumbered fields cannot be mixed");
		n = a->next++;
	}
	return n < (int64_t)a->args->n ? a->args->at[n] : ctx_fail(c, "format: value %lld is missing", (long long)n);
}

static size_t span_until(text t, size_t from, const char *ends)
{
	size_t i = from;
	while (i < t.n && !(t.p[i] && strchr(ends, t.p[i])))
		i++;
	return i;
}

/* name.attribute[key] */
static const value *field_value(jinja_ctx *c, field_args *a, text name)
{
	size_t i = span_until(name, 0, ".[");
	const value *v = field_first(c, a, text_slice(name, 0, i));
	while (v && i < name.n) {
		bool attr = name.p[i] == '.';
		size_t end = span_until(name, i + 1, attr ? ".[" : "]");
		text key = text_slice(name, i + 1, end);
		if (key.n == 0 || (!attr && end == name.n))
			return ctx_fail(c, "format: a field's name is not well formed");
		if (v->kind == VALUE_UNDEFINED)
			return ctx_fail(c, "format: what is undefined has no attributes");
		if (attr) {
			v = ctx_attr(c, v, text_str(key));
		} else {
			const value *at = field_key(c, key);
			v = at ? ctx_item(c, v, at) : NULL;
		}
		i = attr ? end : end + 1;
	}
	return v;
}

/* name!conversion:specification */
static bool put_field(jinja_ctx *c, text_builder *b, field_args *a, text field, bool escape)
{
	size_t name_end = span_until(field, 0, "!:"), i = name_end;
	char conversion = 0;
	text f = {.p = ""};
	if (i < field.n && field.p[i] == '!') {
		conversion = i + 1 < field.n ? field.p[i + 1] : 0;
		i += 2;
		if ((conversion != 's' && conversion != 'r') || (i < field.n && field.p[i] != ':'))
			return ctx_fail(c, "format: this conversion is not supported");
	}
	if (i < field.n)
		f = text_slice(field, i + 1, field.n);
	const value *v = field_value(c, a, text_slice(field, 0, name_end));
	if (v && (conversion || (escape && f.n == 0)))
		v = as_text(c, v, conversion ? conversion : 's', escape && f.n == 0 && !conversion);
	else if (v && escape)
		return ctx_fail(c, "format: a specification in escaped text is not supported");
	return v && put_formatted(c, b, v, f);
}

const value *ctx_format(jinja_ctx *c, text f, const jinja_args *args)
{
	text_builder out = ctx_builder(c);
	field_args a = {args, 0};
	if (!ctx_charge(c, f.n / 64))
		return NULL;
	for (size_t i = 0; i < f.n;) {
		size_t at = span_until(f, i, "{}");
		put_text(&out, text_slice(f, i, at));
		if (at == f.n)
			break;
		if (at + 1 < f.n && f.p[at + 1] == f.p[at]) {
			put_text(&out, text_slice(f, at, at + 1));
			i = at + 2;
			continue;
		}
		size_t end = span_until(f, at + 1, "{}");
		if (f.p[at] == '}' || end == f.n)
			return ctx_fail(c, "format: a bracket stands alone");
		if (f.p[end] == '{')
			return ctx_fail(c, "format: fields inside fields are not supported");
		if (!ctx_charge(c, 1) || !put_field(c, &out, &a, text_slice(f, at + 1, end), f.markup))
			return NULL;
		i = end + 1;
	}
	return ctx_text_like(c, &out, f);
}
