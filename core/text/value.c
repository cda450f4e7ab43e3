#include "text/value.h"

const value *value_undefined(void)
{
	static const value v = {.kind = VALUE_UNDEFINED};
	return &v;
}

const value *value_none(void)
{
	static const value v = {.kind = VALUE_NONE};
	return &v;
}

const value *value_bool(bool b)
{
	static const value yes = {.kind = VALUE_BOOL, .b = true}, no = {.kind = VALUE_BOOL, .b = false};
	return b ? &yes : &no;
}

static value *value_new(arena *a, value_kind kind)
{
	value *v = arena_alloc(a, sizeof *v);
	if (v)
		v->kind = kind;
	return v;
}

value *value_int(arena *a, int64_t i)
{
	value *v = value_new(a, VALUE_INT);
	if (v)
		v->i = i;
	return v;
}

value *value_float(arena *a, double f)
{
	value *v = value_new(a, VALUE_FLOAT);
	if (v)
		v->f = f;
	return v;
}

value *value_text(arena *a, text t)
{
	value *v = value_new(a, VALUE_STRING);
	if (t.n == 0)
		t.p = "";
	if (v)
		v->s = t;
	return v;
}

value *value_string(arena *a, str s, bool trusted)
{
	return value_text(a, (text){.p = s.p, .n = s.n, .trusted = trusted});
}

static value *table_new(arena *a, value_kind kind)
{
	value *v = value_new(a, kind);
	if (!v)
		return NULL;
	v->t = arena_alloc(a, sizeof *v->t);
	return v->t ? v : NULL;
}

value *value_list(arena *a) { return table_new(a, VALUE_LIST); }
value *value_tuple(arena *a) { return table_new(a, VALUE_TUPLE); }
value *value_dict(arena *a) { return table_new(a, VALUE_DICT); }
value *value_generator(arena *a) { return table_new(a, VALUE_GENERATOR); }

bool value_is_table(const value *v)
{
	return v->kind >= VALUE_LIST && v->kind <= VALUE_GENERATOR;
}

/* A namespace may hold itself, so it counts as a leaf; nothing walks through one. */
static int depth_of(const value *v)
{
	return value_is_table(v) ? v->t->depth : 0;
}

static bool table_append(arena *a, value *v, const value *key, const value *item)
{
	if (!v || !key || !item)
		return false;
	value_table *t = v->t;
	int depth = depth_of(item) > depth_of(key) ? depth_of(item) : depth_of(key);
	if (depth >= VALUE_MAX_DEPTH)
		return false;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 4;
		value_entry *at = arena_array(a, cap, sizeof *at);
		if (!at)
			return false;
		if (t->n)
			memcpy(at, t->at, t->n * sizeof *at);
		t->at = at;
		t->cap = cap;
	}
	t->at[t->n++] = (value_entry){key, item};
	if (t->depth <= depth)
		t->depth = depth + 1;
	return true;
}

bool value_push(arena *a, value *list, const value *item)
{
	return table_append(a, list, value_none(), item);
}

bool value_put(arena *a, value *dict, const value *key, const value *item)
{
	return table_append(a, dict, key, item);
}

static value_entry *entry_find(const value *dict, str key)
{
	for (size_t i = 0; i < dict->t->n; i++) {
		const value *k = dict->t->at[i].key;
		if (k->kind == VALUE_STRING && str_eq(text_str(k->s), key))
			return &dict->t->at[i];
	}
	return NULL;
}

bool value_set(arena *a, value *dict, const char *key, const value *item)
{
	if (!dict || !item)
		return false;
	value_entry *old = entry_find(dict, str_of(key));
	if (!old)
		return value_put(a, dict, value_string(a, str_of(key), true), item);
	old->val = item;
	return true;
}

const value *value_get(const value *dict, str key)
{
	const value_entry *e = entry_find(dict, key);
	return e ? e->val : NULL;
}

bool value_truth(const value *v)
{
	switch (v->kind) {
	case VALUE_UNDEFINED:
	case VALUE_NONE:
		return false;
	case VALUE_BOOL:
		return v->b;
	case VALUE_INT:
		return v->i != 0;
	case VALUE_FLOAT:
		return v->f != 0;
	case VALUE_STRING:
		return v->s.n != 0;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
	case VALUE_RANGE:
	case VALUE_VIEW:
		return v->t->n != 0;
	default:
		return true;
	}
}

const char *value_type_name(const value *v)
{
	static const char *const names[] = {
		[VALUE_UNDEFINED] = "undefined", [VALUE_NONE] = "none",           [VALUE_BOOL] = "bool",
		[VALUE_INT] = "int",             [VALUE_FLOAT] = "float",         [VALUE_STRING] = "str",
		[VALUE_LIST] = "list",           [VALUE_TUPLE] = "tuple",         [VALUE_DICT] = "dict",
		[VALUE_RANGE] = "range",         [VALUE_VIEW] = "dict view",      [VALUE_GENERATOR] = "generator",
		[VALUE_NAMESPACE] = "namespace", [VALUE_CYCLER] = "cycler",       [VALUE_LOOP] = "loop",
		[VALUE_CALLABLE] = "function",
	};
	return names[v->kind];
}

bool text_trusted(text t, size_t i)
{
	return t.marks ? t.marks[i] : t.trusted;
}

text text_slice(text t, size_t begin, size_t end)
{
	return (text){t.p + begin, t.marks ? t.marks + begin : NULL, end - begin, t.trusted, t.markup};
}

str text_str(text t)
{
	return (str){t.p, t.n};
}
