/* jinja_methods.c - methods of strings and dicts, and the global functions. Methods that change their object do not
 * exist: values are immutable, as in Jinja's ImmutableSandboxedEnvironment. */
#include <time.h>

#include "text/jinja_ctx.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

/* ---- str ---- */

BUILTIN(str_strip) { return string_strip(c, self->s, argv[0], STRIP_BOTH); }
BUILTIN(str_lstrip) { return string_strip(c, self->s, argv[0], STRIP_LEFT); }
BUILTIN(str_rstrip) { return string_strip(c, self->s, argv[0], STRIP_RIGHT); }
BUILTIN(str_upper) { return string_case(c, self->s, UNICODE_UPPER); }
BUILTIN(str_lower) { return string_case(c, self->s, UNICODE_LOWER); }
BUILTIN(str_capitalize) { return string_capitalize(c, self->s); }
BUILTIN(str_title) { return string_title(c, self->s); }

static bool count_of(jinja_ctx *c, const value *v, int64_t *out)
{
	*out = -1;
	return !v || integer_of(v, out) || ctx_fail(c, "expected an int, not '%s'", value_type_name(v));
}

BUILTIN(str_split)
{
	int64_t max;
	return count_of(c, argv[1], &max) ? string_split(c, self->s, argv[0], max, false) : NULL;
}

BUILTIN(str_rsplit)
{
	int64_t max;
	return count_of(c, argv[1], &max) ? string_split(c, self->s, argv[0], max, true) : NULL;
}

BUILTIN(str_splitlines)
{
	return string_splitlines(c, self->s, argv[0] && value_truth(argv[0]));
}

static bool all_strings(jinja_ctx *c, const value *a, const value *b)
{
	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return true;
	return ctx_fail(c, "expected a string, not '%s'", value_type_name(a->kind == VALUE_STRING ? b : a));
}

BUILTIN(str_replace)
{
	int64_t count;
	if (!all_strings(c, argv[0], argv[1]) || !count_of(c, argv[2], &count))
		return NULL;
	return string_replace(c, self->s, argv[0]->s, argv[1]->s, count);
}

static bool has_affix(text t, text affix, bool at_end)
{
	return affix.n <= t.n && (affix.n == 0 || !memcmp(t.p + (at_end ? t.n - affix.n : 0), affix.p, affix.n));
}

/* One string, or a tuple of strings of which any may fit. */
static const value *affix_test(jinja_ctx *c, text t, const value *affix, bool at_end)
{
	if (affix->kind == VALUE_STRING)
		return value_bool(has_affix(t, affix->s, at_end));
	if (affix->kind != VALUE_TUPLE)
		return ctx_fail(c, "expected a string or a tuple, not '%s'", value_type_name(affix));
	for (size_t i = 0; i < affix->t->n; i++)
		if (affix->t->at[i].val->kind == VALUE_STRING && has_affix(t, affix->t->at[i].val->s, at_end))
			return value_bool(true);
	return value_bool(false);
}

BUILTIN(str_startswith) { return affix_test(c, self->s, argv[0], false); }
BUILTIN(str_endswith) { return affix_test(c, self->s, argv[0], true); }

BUILTIN(str_removeprefix)
{
	if (!all_strings(c, self, argv[0]))
		return NULL;
	return value_text(c->a, text_slice(self->s, has_affix(self->s, argv[0]->s, false) ? argv[0]->s.n : 0, self->s.n));
}

BUILTIN(str_removesuffix)
{
	if (!all_strings(c, self, argv[0]))
		return NULL;
	return value_text(c->a, text_slice(self->s, 0, self->s.n - (has_affix(self->s, argv[0]->s, true) ? argv[0]->s.n : 0)));
}

BUILTIN(str_find)
{
	if (!all_strings(c, self, argv[0]) || !ctx_charge(c, self->s.n / 64))
		return NULL;
	const char *hit = argv[0]->s.n ? memmem(self->s.p, self->s.n, argv[0]->s.p, argv[0]->s.n) : self->s.p;
	return value_int(c->a, hit ? (int64_t)utf8_count(self->s.p, (size_t)(hit - self->s.p)) : -1);
}

BUILTIN(str_count)
{
	if (!all_strings(c, self, argv[0]) || !ctx_charge(c, self->s.n / 16))
		return NULL;
	text t = self->s, what = argv[0]->s;
	int64_t n = what.n ? 0 : (int64_t)utf8_count(t.p, t.n) + 1;
	const char *p = t.p, *end = t.p + t.n;
	while (what.n && (p = memmem(p, (size_t)(end - p), what.p, what.n))) {
		p += what.n;
		n++;
	}
	return value_int(c->a, n);
}

BUILTIN(str_join)
{
	const value_table *items = ctx_items(c, argv[0]);
	for (size_t i = 0; items && i < items->n; i++)
		if (items->at[i].val->kind != VALUE_STRING)
			return ctx_fail(c, "join: item %zu is not a string", i);
	return items ? string_join(c, self->s, items) : NULL;
}

static const value *every_char(const value *self, bool (*is)(uint32_t))
{
	text t = self->s;
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		if (utf8_decode(t.p + i, t.n - i, &cp) <= 0 || !is(cp))
			return value_bool(false);
	}
	return value_bool(t.n != 0);
}

static bool is_ascii_digit(uint32_t cp)
{
	return cp - '0' < 10;
}

BUILTIN(str_isdigit) { return every_char(self, is_ascii_digit); }
BUILTIN(str_isalpha) { return every_char(self, unicode_is_letter); }
BUILTIN(str_isspace) { return every_char(self, unicode_is_py_space); }

static const builtin string_methods[] = {
	{"strip", str_strip, "chars"},
	{"lstrip", str_lstrip, "chars"},
	{"rstrip", str_rstrip, "chars"},
	{"split", str_split, "sep maxsplit"},
	{"rsplit", str_rsplit, "sep maxsplit"},
	{"splitlines", str_splitlines, "keepends"},
	{"startswith", str_startswith, "prefix!"},
	{"endswith", str_endswith, "suffix!"},
	{"removeprefix", str_removeprefix, "prefix!"},
	{"removesuffix", str_removesuffix, "suffix!"},
	{"upper", str_upper, ""},
	{"lower", str_lower, ""},
	{"capitalize", str_capitalize, ""},
	{"title", str_title, ""},
	{"replace", str_replace, "old! new! count"},
	{"find", str_find, "sub!"},
	{"count", str_count, "sub!"},
	{"join", str_join, "iterable!"},
	{"isdigit", str_isdigit, ""},
	{"isalpha", str_isalpha, ""},
	{"isspace", str_isspace, ""},
};

/* ---- dict ---- */

static const value *dict_list(jinja_ctx *c, const value *dict, bool want_keys, bool want_values)
{
	value *list = value_list(c->a);
	for (size_t i = 0; list && i < dict->t->n; i++) {
		const value_entry *e = &dict->t->at[i];
		const value *item = want_keys ? e->key : e->val;
		if (want_keys && want_values) {
			value *pair = value_tuple(c->a);
			item = value_push(c->a, pair, e->key) && value_push(c->a, pair, e->val) ? pair : NULL;
		}
		if (!value_push(c->a, list, item))
			return NULL;
	}
	return list;
}

BUILTIN(dict_items) { return dict_list(c, self, true, true); }
BUILTIN(dict_keys) { return dict_list(c, self, true, false); }
BUILTIN(dict_values) { return dict_list(c, self, false, true); }

BUILTIN(dict_get)
{
	const value *v = dict_find(c, self, argv[0]);
	return v || c->status ? v : argv[1] ? argv[1] : value_none();
}

static const builtin dict_methods[] = {
	{"items", dict_items, ""},
	{"keys", dict_keys, ""},
	{"values", dict_values, ""},
	{"get", dict_get, "key! default"},
};

/* ---- functions ---- */

BUILTIN(fn_range)
{
	int64_t bound[3] = {0, 0, 1};
	for (int i = 0; i < 3; i++)
		if (argv[i] && !integer_of(argv[i], &bound[i]))
			return ctx_fail(c, "range needs ints");
	int64_t i = argv[1] ? bound[0] : 0, end = argv[1] ? bound[1] : bound[0], step = bound[2];
	if (step == 0)
		return ctx_fail(c, "range: the step is 0");
	value *list = value_list(c->a);
	while (list && (step > 0 ? i < end : i > end)) {
		if (!ctx_charge(c, 1) || !value_push(c->a, list, value_int(c->a, i)))
			return NULL;
		if (__builtin_add_overflow(i, step, &i))
			break;
	}
	return list;
}

static value *named_dict(jinja_ctx *c, const jinja_args *all)
{
	value *dict = value_dict(c->a);
	if (all->n > 1 || (all->n && all->at[0]->kind != VALUE_DICT)) {
		ctx_fail(c, "expected keyword arguments or a dict");
		return NULL;
	}
	for (size_t i = 0; all->n && i < all->at[0]->t->n; i++)
		if (!value_put(c->a, dict, all->at[0]->t->at[i].key, all->at[0]->t->at[i].val))
			return NULL;
	for (size_t i = 0; i < all->n_named; i++)
		if (!value_put(c->a, dict, value_string(c->a, all->names[i], true), all->named[i]))
			return NULL;
	return dict;
}

BUILTIN(fn_namespace)
{
	value *v = named_dict(c, all);
	for (size_t i = 0; v && i < v->t->n; i++)
		if (v->t->at[i].key->kind != VALUE_STRING)
			return ctx_fail(c, "namespace: names must be strings");
	if (v)
		v->kind = VALUE_NAMESPACE;
	return v;
}

BUILTIN(fn_dict) { return named_dict(c, all); }

/* The template's own words only: what a client wrote is not repeated in errors. */
BUILTIN(fn_raise_exception)
{
	char words[200];
	size_t n = 0;
	text t;
	if (!ctx_str(c, argv[0], &t))
		return NULL;
	for (size_t i = 0; i < t.n && n < sizeof words - 1; i++)
		if (text_trusted(t, i))
			words[n++] = (unsigned char)t.p[i] < 0x20 ? ' ' : t.p[i];
	words[n] = 0;
	return ctx_fail(c, "the template says: %s", words);
}

BUILTIN(fn_strftime_now)
{
	char out[256], pattern[128];
	struct tm tm;
	time_t now = (time_t)c->now;
	if (argv[0]->kind != VALUE_STRING || argv[0]->s.n >= sizeof pattern || !localtime_r(&now, &tm))
		return ctx_fail(c, "strftime_now needs a short format");
	memcpy(pattern, argv[0]->s.p, argv[0]->s.n);
	pattern[argv[0]->s.n] = 0;
	size_t n = strftime(out, sizeof out, pattern, &tm);
	text_builder b = ctx_builder(c);
	put_str(&b, (str){out, n}, true);
	return ctx_text(c, &b);
}

static const builtin functions[] = {
	{"range", fn_range, "start! stop step"},
	{"namespace", fn_namespace, "*"},
	{"dict", fn_dict, "*"},
	{"raise_exception", fn_raise_exception, "message!"},
	{"strftime_now", fn_strftime_now, "format!"},
};

/* ---- finding ---- */

const builtin *jinja_function_find(str name)
{
	return BUILTIN_FIND(functions, name);
}

bool jinja_method_known(str name)
{
	return BUILTIN_FIND(string_methods, name) || BUILTIN_FIND(dict_methods, name);
}

const builtin *jinja_method_find(const value *self, str name)
{
	if (self->kind == VALUE_STRING)
		return BUILTIN_FIND(string_methods, name);
	return self->kind == VALUE_DICT ? BUILTIN_FIND(dict_methods, name) : NULL;
}
