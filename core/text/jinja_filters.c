/* jinja_filters.c - what may stand after "|". Filters on lists that have an attribute parameter take it as Jinja does:
 * a dotted path, its numbers being list indices. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "text/jinja_ctx.h"
#include "text/jinja_lex.h" /* OP2 */
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
STRING_FILTER(f_safe, value_text(c->a, t))

/* The letter after a blank or an opening bracket is a capital, the rest is small. */
BUILTIN(f_title)
{
	text t;
	text_builder b = ctx_builder(c);
	if (!ctx_str(c, self, &t))
		return NULL;
	bool starts = true;
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		utf8_decode(t.p + i, t.n - i, &cp);
		put_case(&b, text_slice(t, i, i + n), starts ? UNICODE_UPPER : UNICODE_LOWER);
		starts = unicode_is_py_space(cp) || (cp && cp < 0x80 && strchr("-({[<", (int)cp));
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
	return string_replace(c, t, old, with, count);
}

BUILTIN(f_escape)
{
	static const struct { char c; const char *as; } table[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
	text t;
	text_builder b = ctx_builder(c);
	if (!ctx_str(c, self, &t))
		return NULL;
	for (size_t i = 0; i < t.n; i++) {
		size_t k = 0;
		while (k < sizeof table / sizeof *table && table[k].c != t.p[i])
			k++;
		if (k < sizeof table / sizeof *table)
			put_str(&b, str_of(table[k].as), text_trusted(t, i));
		else
			put_text(&b, text_slice(t, i, i + 1));
	}
	return ctx_text(c, &b);
}

/* indent(width=4, first=false, blank=false) */
BUILTIN(f_indent)
{
	int64_t width = 4;
	bool first = argv[1] && value_truth(argv[1]), blank = argv[2] && value_truth(argv[2]);
	text t, pad = {.p = "                                                                ", .trusted = true};
	if (argv[0] && argv[0]->kind == VALUE_STRING)
		pad = argv[0]->s;
	else if (argv[0] && (!integer_of(argv[0], &width) || width < 0 || width > 64))
		return ctx_fail(c, "indent: the width must be an int of at most 64");
	else
		pad.n = (size_t)width;
	const value_table *lines = NULL;
	const value *list = ctx_str(c, self, &t) ? string_splitlines(c, t, false) : NULL;
	text_builder b = ctx_builder(c);
	lines = list ? list->t : NULL;
	for (size_t i = 0; lines && i < lines->n; i++) {
		text line = lines->at[i].val->s;
		if (i)
			put_str(&b, STR("\n"), true);
		if (i ? blank || line.n : first)
			put_text(&b, pad);
		put_text(&b, line);
	}
	if (t.n && lines && t.p[t.n - 1] == '\n') {
		put_str(&b, STR("\n"), true);
		if (blank)
			put_text(&b, pad);
	}
	return lines ? ctx_text(c, &b) : NULL;
}

BUILTIN(f_tojson)
{
	int64_t indent = -1;
	str comma = STR(", "), colon = STR(": ");
	text_builder b = ctx_builder(c);
	if (argv[1] && argv[1]->kind != VALUE_NONE && (!integer_of(argv[1], &indent) || indent < 0 || indent > 64))
		return ctx_fail(c, "tojson: the indent must be an int of at most 64");
	if (argv[0] && value_truth(argv[0]))
		return ctx_fail(c, "tojson: ensure_ascii is not supported");
	if (indent >= 0)
		comma = STR(",");
	if (argv[2] && argv[2]->kind != VALUE_NONE) {
		const value_table *s = ctx_items(c, argv[2]);
		if (!s || s->n != 2 || s->at[0].val->kind != VALUE_STRING || s->at[1].val->kind != VALUE_STRING)
			return ctx_fail(c, "tojson: separators must be two strings");
		comma = text_str(s->at[0].val->s);
		colon = text_str(s->at[1].val->s);
	}
	if (!put_json(c, &b, self, (int)indent, argv[3] && value_truth(argv[3]), comma, colon))
		return NULL;
	return ctx_text(c, &b);
}

/* ---- any value ---- */

BUILTIN(f_default)
{
	bool replace = self->kind == VALUE_UNDEFINED || (argv[1] && value_truth(argv[1]) && !value_truth(self));
	return !replace ? self : argv[0] ? argv[0] : value_string(c->a, STR(""), true);
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
		return value_int(c->a, (int64_t)self->t->n);
	default:
		return ctx_fail(c, "'%s' has no length", value_type_name(self));
	}
}

/* The text of a short string, NUL-terminated, without white space and underscores around it. */
static bool short_text(const value *v, char out[64])
{
	text t = text_strip(v->s, NULL, STRIP_BOTH);
	if (t.n == 0 || t.n >= 64 || memchr(t.p, 0, t.n))
		return false;
	memcpy(out, t.p, t.n);
	out[t.n] = 0;
	return true;
}

BUILTIN(f_float)
{
	double f;
	char s[64], *end;
	const value *otherwise = argv[0] ? argv[0] : value_float(c->a, 0);
	if (number_of(self, &f))
		return value_float(c->a, f);
	if (self->kind != VALUE_STRING || !short_text(self, s) || strpbrk(s, "xXpP("))
		return otherwise;
	f = strtod(s, &end);
	return *end ? otherwise : value_float(c->a, f);
}

BUILTIN(f_int)
{
	int64_t i;
	char s[64], *end;
	const value *otherwise = argv[0] ? argv[0] : value_int(c->a, 0);
	if (integer_of(self, &i))
		return value_int(c->a, i);
	if (self->kind == VALUE_STRING && short_text(self, s)) {
		i = strtoll(s, &end, 10);
		if (!*end && strlen(s) < 19)
			return value_int(c->a, i);
	}
	const value *f = f_float(c, self, (const value *[]){value_float(c->a, NAN)}, all);
	if (!f || f->kind != VALUE_FLOAT || !(fabs(f->f) < 9e18) || self->kind == VALUE_NONE)
		return f ? otherwise : NULL;
	return value_int(c->a, (int64_t)f->f);
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

BUILTIN(f_round)
{
	double f, scale;
	int64_t precision = 0;
	if (!number_of(self, &f) || (argv[0] && !integer_of(argv[0], &precision)) || precision > 15 || precision < -15)
		return ctx_fail(c, "round does not work on '%s'", value_type_name(self));
	scale = pow(10, (double)precision);
	str method = argv[1] && argv[1]->kind == VALUE_STRING ? text_str(argv[1]->s) : STR("common");
	if (str_eq(method, STR("ceil")))
		return value_float(c->a, ceil(f * scale) / scale);
	if (str_eq(method, STR("floor")))
		return value_float(c->a, floor(f * scale) / scale);
	if (self->kind != VALUE_FLOAT)
		return self;
	if (precision <= 0)
		return value_float(c->a, rint(f * scale) / scale);
	char digits[400]; /* decimal rounding, as Python's: never through a product */
	snprintf(digits, sizeof digits, "%.*f", (int)precision, f);
	return value_float(c->a, strtod(digits, NULL));
}

/* ---- lists ---- */

static value *list_of(jinja_ctx *c, const value_table *items)
{
	value *list = items ? value_list(c->a) : NULL;
	for (size_t i = 0; list && i < items->n; i++)
		if (!value_push(c->a, list, items->at[i].val))
			return NULL;
	return list;
}

BUILTIN(f_list) { return list_of(c, ctx_items(c, self)); }

BUILTIN(f_first)
{
	const value_table *t = ctx_items(c, self);
	return !t ? NULL : t->n ? t->at[0].val : value_undefined();
}

BUILTIN(f_last)
{
	const value_table *t = ctx_items(c, self);
	return !t ? NULL : t->n ? t->at[t->n - 1].val : value_undefined();
}

BUILTIN(f_reverse)
{
	const value_table *t = ctx_items(c, self);
	value *list = t ? value_list(c->a) : NULL;
	for (size_t i = t ? t->n : 0; list && i--;)
		if (!value_push(c->a, list, t->at[i].val))
			return NULL;
	return list && self->kind == VALUE_STRING ? string_join(c, (text){.p = ""}, list->t) : list;
}

/* The value at a path such as "function.name" or "0"; the item itself without one. */
static const value *at_path(jinja_ctx *c, const value *item, const value *path)
{
	if (!path || path->kind == VALUE_NONE)
		return item;
	if (path->kind != VALUE_STRING)
		return item->kind == VALUE_UNDEFINED ? item : ctx_item(c, item, path);
	text rest = path->s;
	while (item && item->kind != VALUE_UNDEFINED) {
		const char *dot = memchr(rest.p, '.', rest.n);
		text part = text_slice(rest, 0, dot ? (size_t)(dot - rest.p) : rest.n);
		bool number = part.n > 0 && part.n < 10;
		for (size_t i = 0; number && i < part.n; i++)
			number = isdigit((unsigned char)part.p[i]);
		value *key = number ? value_int(c->a, strtoll(part.p, NULL, 10)) : value_text(c->a, part);
		item = key ? ctx_item(c, item, key) : NULL;
		if (!dot)
			break;
		rest = text_slice(rest, part.n + 1, rest.n);
	}
	return item;
}

/* Replaces each item by what is at the path. */
static const value_table *project(jinja_ctx *c, const value_table *items, const value *path)
{
	value *list = items && path ? value_list(c->a) : NULL;
	if (!items || !path)
		return items;
	for (size_t i = 0; list && i < items->n; i++)
		if (!ctx_charge(c, 1) || !value_push(c->a, list, at_path(c, items->at[i].val, path)))
			return NULL;
	return list ? list->t : NULL;
}

BUILTIN(f_join)
{
	text sep = {.p = "", .trusted = true};
	if (argv[0] && !ctx_str(c, argv[0], &sep))
		return NULL;
	const value_table *items = project(c, ctx_items(c, self), argv[1]);
	return items ? string_join(c, sep, items) : NULL;
}

BUILTIN(f_sum)
{
	const value *total = argv[1] ? argv[1] : value_int(c->a, 0);
	const value_table *items = project(c, ctx_items(c, self), argv[0]);
	for (size_t i = 0; total && items && i < items->n; i++)
		total = ctx_charge(c, 1) ? ctx_binary(c, '+', total, items->at[i].val) : NULL;
	return items ? total : NULL;
}

static const value *folded(jinja_ctx *c, const value *v, const value *case_sensitive)
{
	bool keep = v->kind != VALUE_STRING || (case_sensitive && value_truth(case_sensitive));
	return keep ? v : string_case(c, v->s, UNICODE_LOWER);
}

/* A stable merge sort of entries by key; `way` -1 reverses the order of unequal ones. */
static bool sort_entries(jinja_ctx *c, value_entry *at, value_entry *spare, size_t n, int way)
{
	size_t half = n / 2, i = 0, k = half, out = 0;
	if (n < 2)
		return true;
	if (!sort_entries(c, at, spare, half, way) || !sort_entries(c, at + half, spare, n - half, way) || !ctx_charge(c, n))
		return false;
	while (i < half && k < n)
		spare[out++] = ctx_order(c, at[k].key, at[i].key) * way < 0 ? at[k++] : at[i++];
	while (i < half)
		spare[out++] = at[i++];
	memcpy(at, spare, out * sizeof *at);
	return !c->status;
}

/* Items with the key that each is to be sorted by. */
static value_entry *keyed(jinja_ctx *c, const value_table *items, const value *path, const value *case_sensitive)
{
	value_entry *at = items ? arena_array(c->a, items->n, sizeof *at) : NULL;
	for (size_t i = 0; at && i < items->n; i++) {
		const value *v = at_path(c, items->at[i].val, path);
		at[i] = (value_entry){v ? folded(c, v, case_sensitive) : NULL, items->at[i].val};
		if (!at[i].key || !ctx_charge(c, 1))
			return NULL;
	}
	return at;
}

static const value *sorted(jinja_ctx *c, value_entry *at, size_t n, bool reverse)
{
	value_entry *spare = at ? arena_array(c->a, n, sizeof *spare) : NULL;
	value *list = value_list(c->a);
	if (!spare || !sort_entries(c, at, spare, n, reverse ? -1 : 1))
		return NULL;
	for (size_t i = 0; list && i < n; i++)
		if (!value_push(c->a, list, at[i].val))
			return NULL;
	return list;
}

/* sort(reverse=false, case_sensitive=false, attribute=none) */
BUILTIN(f_sort)
{
	const value_table *items = ctx_items(c, self);
	return items ? sorted(c, keyed(c, items, argv[2], argv[1]), items->n, argv[0] && value_truth(argv[0])) : NULL;
}

static const value *pairs(jinja_ctx *c, const value *dict)
{
	const builtin *items = jinja_method_find(dict, STR("items"));
	if (dict->kind == VALUE_UNDEFINED)
		return value_list(c->a);
	return items ? items->fn(c, dict, NULL, NULL) : ctx_fail(c, "expected a dict, not '%s'", value_type_name(dict));
}

BUILTIN(f_items) { return pairs(c, self); }

/* dictsort(case_sensitive=false, by='key', reverse=false) */
BUILTIN(f_dictsort)
{
	bool by_value = argv[1] && argv[1]->kind == VALUE_STRING && str_eq(text_str(argv[1]->s), STR("value"));
	const value *list = pairs(c, self);
	value_entry *at = list ? keyed(c, list->t, value_int(c->a, by_value), argv[0]) : NULL;
	return at ? sorted(c, at, list->t->n, argv[2] && value_truth(argv[2])) : NULL;
}

static const value *extreme(jinja_ctx *c, const value *self, const value *const *argv, int way)
{
	const value_table *items = ctx_items(c, self);
	value_entry *at = items ? keyed(c, items, argv[1], argv[0]) : NULL;
	size_t best = 0;
	if (!at)
		return NULL;
	for (size_t i = 1; i < items->n; i++)
		if (ctx_order(c, at[i].key, at[best].key) * way < 0)
			best = i;
	return c->status ? NULL : items->n ? at[best].val : value_undefined();
}

BUILTIN(f_min) { return extreme(c, self, argv, 1); }
BUILTIN(f_max) { return extreme(c, self, argv, -1); }

BUILTIN(f_unique)
{
	const value_table *items = ctx_items(c, self);
	value_entry *at = items ? keyed(c, items, argv[1], argv[0]) : NULL;
	value *seen = at ? value_list(c->a) : NULL, *list = seen ? value_list(c->a) : NULL;
	for (size_t i = 0; list && i < items->n; i++) {
		bool found = ctx_compare(c, OP_IN, at[i].key, seen);
		if (c->status || (!found && (!value_push(c->a, seen, at[i].key) || !value_push(c->a, list, at[i].val))))
			return NULL;
	}
	return list;
}

/* ---- filters that apply a filter or a test ---- */

/* The arguments after the first `skip` positional ones. */
static jinja_args tail(const jinja_args *all, size_t skip)
{
	return (jinja_args){.at = all->at + skip, .n = all->n - skip};
}

/* select(test, args...), selectattr(path, test, args...): keeps the items for which the test says `want`. */
static const value *select_items(jinja_ctx *c, const value *self, const jinja_args *all, bool by_path, bool want)
{
	const value *path = by_path && all->n ? all->at[0] : NULL, *name = all->n > by_path ? all->at[by_path] : NULL;
	if (all->n_named || (by_path && !path) || (name && name->kind != VALUE_STRING))
		return ctx_fail(c, "select and reject take a test's name and its arguments");
	const builtin *test = name ? jinja_test_find(text_str(name->s)) : NULL;
	if (name && !test)
		return ctx_fail(c, "select or reject: this test is not supported");
	jinja_args rest = name ? tail(all, (size_t)by_path + 1) : (jinja_args){0};
	const value_table *items = ctx_items(c, self);
	value *list = items ? value_list(c->a) : NULL;
	for (size_t i = 0; list && i < items->n; i++) {
		const value *v = at_path(c, items->at[i].val, path);
		const value *yes = v && test && ctx_charge(c, 1) ? builtin_call(c, test, v, &rest) : v;
		if (!yes || c->status || (value_truth(yes) == want && !value_push(c->a, list, items->at[i].val)))
			return NULL;
	}
	return list;
}

BUILTIN(f_select) { return select_items(c, self, all, false, true); }
BUILTIN(f_reject) { return select_items(c, self, all, false, false); }
BUILTIN(f_selectattr) { return select_items(c, self, all, true, true); }
BUILTIN(f_rejectattr) { return select_items(c, self, all, true, false); }

static const value *map_attribute(jinja_ctx *c, const value_table *items, const jinja_args *all)
{
	const value *path = NULL, *otherwise = NULL;
	for (size_t i = 0; i < all->n_named; i++) {
		if (str_eq(all->names[i], STR("attribute")))
			path = all->named[i];
		else if (str_eq(all->names[i], STR("default")))
			otherwise = all->named[i];
		else
			return ctx_fail(c, "map takes attribute and default, or a filter's name and its arguments");
	}
	value *list = path ? value_list(c->a) : NULL;
	if (!path)
		return ctx_fail(c, "map needs a filter or an attribute");
	for (size_t i = 0; list && i < items->n; i++) {
		const value *v = at_path(c, items->at[i].val, path);
		if (v && v->kind == VALUE_UNDEFINED && otherwise)
			v = otherwise;
		if (!ctx_charge(c, 1) || !value_push(c->a, list, v))
			return NULL;
	}
	return list;
}

BUILTIN(f_map)
{
	const value_table *items = ctx_items(c, self);
	if (!items)
		return NULL;
	if (all->n == 0)
		return map_attribute(c, items, all);
	const builtin *filter = all->at[0]->kind == VALUE_STRING ? jinja_filter_find(text_str(all->at[0]->s)) : NULL;
	if (!filter)
		return ctx_fail(c, "map: this filter is not supported");
	jinja_args rest = tail(all, 1);
	rest.names = all->names;
	rest.named = all->named;
	rest.n_named = all->n_named;
	value *list = value_list(c->a);
	if (c->depth > 100)
		return ctx_fail(c, "map nested too deep");
	c->depth++;
	for (size_t i = 0; list && i < items->n; i++)
		if (!ctx_charge(c, 1) || !value_push(c->a, list, builtin_call(c, filter, items->at[i].val, &rest)))
			list = NULL;
	c->depth--;
	return list;
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
	{"tojson", f_tojson, "ensure_ascii indent separators sort_keys"},
	{"default", f_default, "default_value boolean"},
	{"d", f_default, "default_value boolean"},
	{"length", f_length, ""},
	{"count", f_length, ""},
	{"int", f_int, "default"},
	{"float", f_float, "default"},
	{"abs", f_abs, ""},
	{"round", f_round, "precision method"},
	{"list", f_list, ""},
	{"first", f_first, ""},
	{"last", f_last, ""},
	{"reverse", f_reverse, ""},
	{"join", f_join, "d attribute"},
	{"sum", f_sum, "attribute start"},
	{"sort", f_sort, "reverse case_sensitive attribute"},
	{"items", f_items, ""},
	{"dictsort", f_dictsort, "case_sensitive by reverse"},
	{"min", f_min, "case_sensitive attribute"},
	{"max", f_max, "case_sensitive attribute"},
	{"unique", f_unique, "case_sensitive attribute"},
	{"select", f_select, "*"},
	{"reject", f_reject, "*"},
	{"selectattr", f_selectattr, "*"},
	{"rejectattr", f_rejectattr, "*"},
	{"map", f_map, "*"},
};

const builtin *jinja_filter_find(str name)
{
	return BUILTIN_FIND(filters, name);
}
