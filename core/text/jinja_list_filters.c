/* jinja_list_filters.c - filters on lists. Those that have an attribute parameter take it as Jinja does: a dotted path,
 * its numbers being list indices. What Jinja returns as a generator is one here: it can be walked once, has no length
 * and counts as true. */
#include <ctype.h>
#include <stdlib.h>

#include "text/jinja_ctx.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

/* Head of a filter that gives a generator: its errors come when that is walked. */
#define GENERATOR(name)                                                  \
	static const value *name##_now(BUILTIN_ARGS);                    \
	BUILTIN(name)                                                    \
	{                                                                \
		const value *v = name##_now(c, self, argv, all);         \
		return v ? v : ctx_deferred(c);                          \
	}                                                                \
	static const value *name##_now(BUILTIN_ARGS)

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
	const value *v = self->kind == VALUE_GENERATOR ? generator_next(c, self) : NULL;
	if (self->kind == VALUE_GENERATOR)
		return v ? v : c->status ? NULL : value_undefined();
	const value_table *t = ctx_items(c, self);
	return !t ? NULL : t->n ? t->at[0].val : value_undefined();
}

BUILTIN(f_last)
{
	if (self->kind == VALUE_GENERATOR)
		return ctx_fail(c, "last: a generator has no end before it was walked; make it a list");
	const value_table *t = ctx_items(c, self);
	return !t ? NULL : t->n ? t->at[t->n - 1].val : value_undefined();
}

BUILTIN(f_reverse)
{
	const value_table *t = ctx_items(c, self);
	value *list = self->kind == VALUE_GENERATOR || self->kind == VALUE_STRING ? value_list(c->a) : value_generator(c->a);
	for (size_t i = t ? t->n : 0; list && i--;)
		if (!value_push(c->a, list, t->at[i].val))
			return NULL;
	if (!t || !list || self->kind != VALUE_STRING)
		return t ? list : NULL;
	const value *joined = string_join(c, (text){.p = ""}, list->t);
	text s = joined ? joined->s : (text){0};
	s.markup = self->s.markup;
	return joined ? value_text(c->a, s) : NULL;
}

/* One step of a path; what is missing becomes `otherwise`, unless that is NULL. */
static const value *step_into(jinja_ctx *c, const value *item, const value *key, const value *otherwise)
{
	if (item->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "what is undefined has no attributes");
	item = key ? ctx_item(c, item, key) : NULL;
	return item && item->kind == VALUE_UNDEFINED && otherwise && otherwise->kind != VALUE_NONE ? otherwise : item;
}

/* The value at a path such as "function.name" or "0"; the item itself without one. */
static const value *at_path(jinja_ctx *c, const value *item, const value *path, const value *otherwise)
{
	if (!path || path->kind == VALUE_NONE)
		return item;
	if (path->kind != VALUE_STRING)
		return step_into(c, item, path, otherwise);
	text rest = path->s;
	while (item) {
		const char *dot = memchr(rest.p, '.', rest.n);
		text part = text_slice(rest, 0, dot ? (size_t)(dot - rest.p) : rest.n);
		bool number = part.n > 0 && part.n < 10;
		for (size_t i = 0; number && i < part.n; i++)
			number = isdigit((unsigned char)part.p[i]);
		item = step_into(c, item, number ? value_int(c->a, strtoll(part.p, NULL, 10)) : value_text(c->a, part), otherwise);
		if (!dot || !ctx_charge(c, 1))
			break;
		rest = text_slice(rest, part.n + 1, rest.n);
	}
	return c->status ? NULL : item;
}

/* Replaces each item by what is at the path. */
static const value_table *project(jinja_ctx *c, const value_table *items, const value *path)
{
	value *list = items && path ? value_list(c->a) : NULL;
	if (!items || !path)
		return items;
	for (size_t i = 0; list && i < items->n; i++)
		if (!ctx_charge(c, 1) || !value_push(c->a, list, at_path(c, items->at[i].val, path, NULL)))
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
	if (total && total->kind == VALUE_STRING)
		return ctx_fail(c, "sum does not join strings");
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
static value_entry *keyed(jinja_ctx *c, const value_table *items, const value *path, const value *otherwise, const value *case_sensitive)
{
	value_entry *at = items ? arena_array(c->a, items->n, sizeof *at) : NULL;
	for (size_t i = 0; at && i < items->n; i++) {
		const value *v = at_path(c, items->at[i].val, path, otherwise);
		at[i] = (value_entry){v ? folded(c, v, case_sensitive) : NULL, items->at[i].val};
		if (!at[i].key || !ctx_charge(c, 1))
			return NULL;
	}
	return at;
}

/* The same by several paths, "a,b.c": the keys are lists. */
static value_entry *keyed_by_many(jinja_ctx *c, const value_table *items, const value *paths, const value *case_sensitive)
{
	const value *list = NULL, *comma = value_string(c->a, STR(","), true);
	if (paths && paths->kind == VALUE_STRING)
		list = comma ? string_split(c, paths->s, comma, -1, false) : NULL;
	else
		list = value_list(c->a);
	value_entry *at = items && list ? arena_array(c->a, items->n, sizeof *at) : NULL;
	size_t n = list && list->t->n ? list->t->n : 1;
	for (size_t i = 0; at && i < items->n; i++) {
		value *key = value_list(c->a);
		for (size_t k = 0; k < n; k++) {
			const value *v = at_path(c, items->at[i].val, list->t->n ? list->t->at[k].val : paths, NULL);
			if (!v || !ctx_charge(c, 1) || !value_push(c->a, key, folded(c, v, case_sensitive)))
				return NULL;
		}
		at[i] = (value_entry){key, items->at[i].val};
	}
	return at;
}

static const value *sorted(jinja_ctx *c, value_entry *at, size_t n, bool reverse)
{
	value_entry *spare = at ? arena_array(c->a, n, sizeof *spare) : NULL;
	value *list = value_list(c->a);
	if (c->status || !spare || !sort_entries(c, at, spare, n, reverse ? -1 : 1))
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
	return items ? sorted(c, keyed_by_many(c, items, argv[2], argv[1]), items->n, argv[0] && value_truth(argv[0])) : NULL;
}

static const value *pairs(jinja_ctx *c, const value *dict)
{
	const builtin *items = dict->kind == VALUE_DICT ? jinja_method_find(dict, STR("items")) : NULL;
	if (dict->kind == VALUE_UNDEFINED)
		return value_list(c->a);
	return items ? items->fn(c, dict, NULL, NULL) : ctx_fail(c, "expected a dict, not '%s'", value_type_name(dict));
}

GENERATOR(f_items)
{
	const value *all_pairs = pairs(c, self);
	value *list = all_pairs ? value_generator(c->a) : NULL;
	for (size_t i = 0; list && i < all_pairs->t->n; i++)
		if (!value_push(c->a, list, all_pairs->t->at[i].val))
			return NULL;
	return list;
}

/* dictsort(case_sensitive=false, by='key', reverse=false) */
BUILTIN(f_dictsort)
{
	bool by_value = argv[1] && argv[1]->kind == VALUE_STRING && str_eq(text_str(argv[1]->s), STR("value"));
	bool by_key = !argv[1] || (argv[1]->kind == VALUE_STRING && str_eq(text_str(argv[1]->s), STR("key")));
	if ((!by_key && !by_value) || self->kind != VALUE_DICT)
		return ctx_fail(c, "dictsort needs a dict, and to go by 'key' or 'value'");
	const value *list = pairs(c, self);
	value_entry *at = list ? keyed(c, list->t, value_int(c->a, by_value), NULL, argv[0]) : NULL;
	return at ? sorted(c, at, list->t->n, argv[2] && value_truth(argv[2])) : NULL;
}

static const value *extreme(jinja_ctx *c, const value *self, const value *const *argv, int way)
{
	const value_table *items = ctx_items(c, self);
	value_entry *at = items ? keyed(c, items, argv[1], NULL, argv[0]) : NULL;
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

GENERATOR(f_unique)
{
	const value_table *items = ctx_items(c, self);
	value_entry *at = items ? keyed(c, items, argv[1], NULL, argv[0]) : NULL;
	value *seen = at ? value_list(c->a) : NULL, *list = seen ? value_generator(c->a) : NULL;
	for (size_t i = 0; list && i < items->n; i++) {
		if (!value_hashable(at[i].key))
			return ctx_fail(c, "unique does not work on items of type '%s'", value_type_name(at[i].key));
		bool found = ctx_compare(c, OP_IN, at[i].key, seen);
		if (c->status || (!found && (!value_push(c->a, seen, at[i].key) || !value_push(c->a, list, at[i].val))))
			return NULL;
	}
	return list;
}

/* ---- lists of lists ---- */

/* groupby(attribute, default=none, case_sensitive=false): pairs of a value and the items that have it, sorted by it. */
BUILTIN(f_groupby)
{
	const value_table *items = ctx_items(c, self);
	value_entry *at = items ? keyed(c, items, argv[0], argv[1], argv[2]) : NULL;
	value_entry *spare = at ? arena_array(c->a, items->n, sizeof *spare) : NULL;
	value *groups = value_list(c->a);
	if (!spare || !groups || !sort_entries(c, at, spare, items->n, 1))
		return NULL;
	for (size_t i = 0, end; i < items->n; i = end) {
		value *pair = value_tuple(c->a), *list = value_list(c->a);
		for (end = i; end < items->n && ctx_equal(c, at[i].key, at[end].key); end++)
			if (!ctx_charge(c, 1) || !value_push(c->a, list, at[end].val))
				return NULL;
		if (end == i) /* nan is not equal to itself */
			return ctx_fail(c, "groupby does not work on nan");
		const value *key = at_path(c, at[i].val, argv[0], argv[1]);
		if (c->status || !value_push(c->a, pair, key) || !value_push(c->a, pair, list))
			return NULL;
		pair->t->group = true;
		if (!value_push(c->a, groups, pair))
			return NULL;
	}
	return groups;
}

/* batch(linecount, fill_with=none): lists of so many items. */
GENERATOR(f_batch)
{
	int64_t count;
	const value_table *items = ctx_items(c, self);
	bool fill = argv[1] && argv[1]->kind != VALUE_NONE;
	value *batches = items ? value_generator(c->a) : NULL, *line = value_list(c->a);
	if (!integer_of(argv[0], &count))
		return ctx_fail(c, "batch: the count must be an int");
	for (size_t i = 0; batches && line && i < items->n; i++) {
		if ((int64_t)line->t->n == count) {
			if (!value_push(c->a, batches, line))
				return NULL;
			line = value_list(c->a);
		}
		if (!ctx_charge(c, 1) || !line || !value_push(c->a, line, items->at[i].val))
			return NULL;
	}
	if (!batches || !line || line->t->n == 0)
		return batches;
	while (fill && (int64_t)line->t->n < count)
		if (!ctx_charge(c, 1) || !value_push(c->a, line, argv[1]))
			return NULL;
	return value_push(c->a, batches, line) ? batches : NULL;
}

/* slice(slices, fill_with=none): so many lists, the first ones one longer. */
GENERATOR(f_slice)
{
	int64_t slices, done = 0;
	const value_table *items = ctx_items(c, self);
	bool fill = argv[1] && argv[1]->kind != VALUE_NONE;
	value *out = items ? value_generator(c->a) : NULL;
	if (!integer_of(argv[0], &slices) || slices == 0)
		return ctx_fail(c, "slice: the count must be an int, not 0");
	for (int64_t i = 0; out && i < slices; i++) {
		int64_t longer = (int64_t)items->n % slices, n = (int64_t)items->n / slices + (i < longer);
		value *list = value_list(c->a);
		for (int64_t k = 0; k < n; k++)
			if (!ctx_charge(c, 1) || !value_push(c->a, list, items->at[done++].val))
				return NULL;
		if (!ctx_charge(c, 1) || (fill && i >= longer && !value_push(c->a, list, argv[1])) || !value_push(c->a, out, list))
			return NULL;
	}
	return out;
}

/* ---- filters that apply a filter or a test ---- */

/* The arguments after the first `skip` positional ones. */
static jinja_args tail(const jinja_args *all, size_t skip)
{
	return (jinja_args){.at = all->at + skip, .n = all->n - skip};
}

/* What map and select go through: nothing for what counts as false, none and 0 too. */
static const value_table *walked(jinja_ctx *c, const value *self)
{
	static const value_table nothing;
	return value_truth(self) ? ctx_items(c, self) : &nothing;
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
	const value_table *items = walked(c, self);
	value *list = items ? value_generator(c->a) : NULL;
	for (size_t i = 0; list && i < items->n; i++) {
		const value *v = at_path(c, items->at[i].val, path, NULL);
		const value *yes = v && test && ctx_charge(c, 1) ? builtin_call(c, test, v, &rest) : v;
		if (!yes || c->status || (value_truth(yes) == want && !value_push(c->a, list, items->at[i].val)))
			return NULL;
	}
	return list;
}

GENERATOR(f_select) { return select_items(c, self, all, false, true); }
GENERATOR(f_reject) { return select_items(c, self, all, false, false); }
GENERATOR(f_selectattr) { return select_items(c, self, all, true, true); }
GENERATOR(f_rejectattr) { return select_items(c, self, all, true, false); }

static const value *map_attribute(jinja_ctx *c, const value_table *items, const jinja_args *all)
{
	const value *path = NULL, *otherwise = NULL;
	for (size_t i = 0; i < all->n_named; i++) {
		if (str_eq(text_str(all->names[i]), STR("attribute")))
			path = all->named[i];
		else if (str_eq(text_str(all->names[i]), STR("default")))
			otherwise = all->named[i];
		else
			return ctx_fail(c, "map takes attribute and default, or a filter's name and its arguments");
	}
	value *list = path ? value_generator(c->a) : NULL;
	if (!path)
		return ctx_fail(c, "map needs a filter or an attribute");
	for (size_t i = 0; list && i < items->n; i++)
		if (!ctx_charge(c, 1) || !value_push(c->a, list, at_path(c, items->at[i].val, path, otherwise)))
			return NULL;
	return list;
}

GENERATOR(f_map)
{
	const value_table *items = walked(c, self);
	if (!items || !value_truth(self))
		return items ? value_generator(c->a) : NULL;
	if (all->n == 0)
		return map_attribute(c, items, all);
	const builtin *filter = all->at[0]->kind == VALUE_STRING ? jinja_filter_find(text_str(all->at[0]->s)) : NULL;
	if (!filter)
		return ctx_fail(c, "map: this filter is not supported");
	jinja_args rest = tail(all, 1);
	rest.names = all->names;
	rest.named = all->named;
	rest.n_named = all->n_named;
	value *list = value_generator(c->a);
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
	{"groupby", f_groupby, "attribute! default case_sensitive"},
	{"batch", f_batch, "linecount! fill_with"},
	{"slice", f_slice, "slices! fill_with"},
	{"select", f_select, "*"},
	{"reject", f_reject, "*"},
	{"selectattr", f_selectattr, "*"},
	{"rejectattr", f_rejectattr, "*"},
	{"map", f_map, "*"},
};

const builtin *jinja_list_filter_find(str name)
{
	return BUILTIN_FIND(filters, name);
}
