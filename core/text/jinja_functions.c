/* jinja_functions.c - the global functions that a template finds: Jinja's, and transformers' raise_exception and
 * strftime_now. lipsum, Jinja's filler of random words, is not among them: a prompt has no use for it. */
#include <time.h>

#include "text/jinja_ctx.h"

#define MAX_RANGE 100000 /* as Jinja's sandbox has it */

const value *ctx_range(jinja_ctx *c, int64_t start, int64_t stop, int64_t step)
{
	value *v = value_list(c->a);
	int64_t i = start;
	if (!v)
		return NULL;
	while (step > 0 ? i < stop : i > stop) {
		if (v->t->n == MAX_RANGE)
			return ctx_fail(c, "range: more than %d numbers", MAX_RANGE);
		if (!ctx_charge(c, 1) || !value_push(c->a, v, value_int(c->a, i)))
			return NULL;
		if (__builtin_add_overflow(i, step, &i))
			break;
	}
	v->kind = VALUE_RANGE;
	v->t->start = start;
	v->t->stop = stop;
	v->t->step = step;
	return v;
}

BUILTIN(fn_range)
{
	int64_t bound[3] = {0, 0, 1};
	for (int i = 0; i < 3; i++)
		if (argv[i] && !integer_of(argv[i], &bound[i]))
			return ctx_fail(c, "range needs ints");
	if (bound[2] == 0)
		return ctx_fail(c, "range: the step is 0");
	return argv[1] ? ctx_range(c, bound[0], bound[1], bound[2]) : ctx_range(c, 0, bound[0], 1);
}

static bool set_entry(jinja_ctx *c, value *dict, const value *key, const value *v)
{
	for (size_t i = 0; key && i < dict->t->n; i++) {
		if (ctx_equal(c, dict->t->at[i].key, key)) {
			dict->t->at[i].val = v;
			return true;
		}
	}
	return ctx_charge(c, dict->t->n / 16) && value_put(c->a, dict, key, v);
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
	for (size_t i = 0; dict && i < all->n_named; i++)
		if (!set_entry(c, dict, value_text(c->a, all->names[i]), all->named[i]))
			return NULL;
	return dict;
}

BUILTIN(fn_namespace)
{
	value *v = named_dict(c, all);
	for (size_t i = 0; v && i < v->t->n; i++) {
		const value *key = v->t->at[i].key;
		if (key->kind != VALUE_STRING || (key->s.n && key->s.p[0] == '_'))
			return ctx_fail(c, "namespace: names must be strings that do not begin with an underscore");
	}
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

/* strftime of the local time without a zone; in a pattern that a client had a hand in, nothing is trusted. */
BUILTIN(fn_strftime_now)
{
	char out[512], pattern[256];
	struct tm tm;
	time_t now = (time_t)c->now;
	size_t n = 0;
	bool trusted = true;
	if (argv[0]->kind != VALUE_STRING || argv[0]->s.n >= sizeof pattern - 1 || !localtime_r(&now, &tm))
		return ctx_fail(c, "strftime_now needs a short pattern");
	text t = argv[0]->s;
	for (size_t i = 0; i < t.n; i++) {
		bool conversion = t.p[i] == '%' && i + 1 < t.n;
		trusted = trusted && text_trusted(t, i) && (!conversion || text_trusted(t, i + 1));
		if (conversion && (t.p[i + 1] == 'z' || t.p[i + 1] == 'Z')) {
			i++;
			continue;
		}
		if (!t.p[i] || (conversion && t.p[i + 1] == 'f'))
			return ctx_fail(c, "strftime_now: this pattern is not supported");
		pattern[n++] = t.p[i];
		if (conversion)
			pattern[n++] = t.p[++i];
	}
	pattern[n] = 0;
	text_builder b = ctx_builder(c);
	put_str(&b, (str){out, n ? strftime(out, sizeof out, pattern, &tm) : 0}, trusted);
	return ctx_text(c, &b);
}

/* ---- joiner, cycler ---- */

/* self: a namespace of the separator and whether it is due. */
BUILTIN(joiner_call)
{
	if (value_truth(self->t->at[1].val))
		return self->t->at[0].val;
	self->t->at[1].val = value_bool(true);
	return value_string(c->a, STR(""), true);
}

BUILTIN(fn_joiner)
{
	static const builtin call = {"joiner", joiner_call, ""};
	value *state = value_dict(c->a);
	bool ok = value_set(c->a, state, "sep", argv[0] ? argv[0] : value_string(c->a, STR(", "), true)) &&
	          value_set(c->a, state, "used", value_bool(false));
	if (ok)
		state->kind = VALUE_NAMESPACE;
	return ok ? ctx_callable(c, (jinja_callable){.fn = &call, .self = state}) : NULL;
}

BUILTIN(fn_cycler)
{
	value *items = value_tuple(c->a), *v = value_list(c->a);
	if (all->n == 0 || all->n_named)
		return ctx_fail(c, "cycler needs values to go through");
	for (size_t i = 0; items && i < all->n; i++)
		if (!value_push(c->a, items, all->at[i]))
			return NULL;
	if (!value_push(c->a, v, items) || !value_push(c->a, v, value_int(c->a, 0)))
		return NULL;
	v->kind = VALUE_CYCLER;
	return v;
}

static const builtin functions[] = {
	{"range", fn_range, "start! stop step"},
	{"namespace", fn_namespace, "*"},
	{"dict", fn_dict, "*"},
	{"raise_exception", fn_raise_exception, "message!"},
	{"strftime_now", fn_strftime_now, "format!"},
	{"joiner", fn_joiner, "sep"},
	{"cycler", fn_cycler, "*"},
};

const builtin *jinja_function_find(str name)
{
	return BUILTIN_FIND(functions, name);
}
