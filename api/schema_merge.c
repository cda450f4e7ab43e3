#include "schema_merge.h"

#include <string.h>

#define MAX_LOOKED_AT 16 /* properties, to tell two objects apart */

bool schema_is_annotation(const char *keyword)
{
	static const char *const names[] = {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment",
	                                    "$schema", "$id", "$defs", "definitions", "discriminator"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(keyword, names[i]) == 0)
			return true;
	return false;
}

static bool one_of_names(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool contains(const json_t *list, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_equal(json_array_get(list, i), value))
			return true;
	return false;
}

static json_t *as_list(const json_t *v)
{
	return json_is_array(v) ? json_copy((json_t *)v) : json_pack("[O]", v);
}

/* What is in both lists; an integer is a number. */
static json_t *merge_types(const json_t *a, const json_t *b)
{
	json_t *x = as_list(a), *y = as_list(b), *out = json_array(), *number = json_string("number"), *integer = json_string("integer");
	for (size_t i = 0; i < json_array_size(x); i++) {
		json_t *t = json_array_get(x, i);
		if (contains(y, t) || (json_equal(t, integer) && contains(y, number)))
			json_array_append(out, t);
		else if (json_equal(t, number) && contains(y, integer))
			json_array_append(out, integer);
	}
	json_decref(x);
	json_decref(y);
	json_decref(number);
	json_decref(integer);
	return out;
}

static json_t *merge_required(const json_t *a, const json_t *b)
{
	json_t *out = json_copy((json_t *)a);
	for (size_t i = 0; i < json_array_size(b); i++)
		if (!contains(a, json_array_get(b, i)))
			json_array_append(out, json_array_get(b, i));
	return out;
}

static json_t *merge_enums(const json_t *a, const json_t *b)
{
	json_t *out = json_array();
	for (size_t i = 0; i < json_array_size(a); i++)
		if (contains(b, json_array_get(a, i)))
			json_array_append(out, json_array_get(a, i));
	return out;
}

/* A property that both speak of has to fit both: said with allOf, which is merged when its turn comes. */
static json_t *merge_properties(const json_t *a, const json_t *b)
{
	json_t *out = json_copy((json_t *)a), *v;
	const char *key;
	json_object_foreach((json_t *)b, key, v) {
		json_t *there = json_object_get(out, key);
		if (there && !json_equal(there, v))
			json_object_set_new(out, key, json_pack("{s:[O,O]}", "allOf", there, v));
		else
			json_object_set(out, key, v);
	}
	return out;
}

/* NULL: the two cannot be joined. */
static json_t *merge_values(const char *keyword, const json_t *a, const json_t *b)
{
	static const char *const least[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"}, *const most[] = {"minimum", "exclusiveMinimum", "minLength", "minItems"};
	if (strcmp(keyword, "type") == 0)
		return merge_types(a, b);
	if (strcmp(keyword, "required") == 0 && json_is_array(a) && json_is_array(b))
		return merge_required(a, b);
	if (strcmp(keyword, "enum") == 0 && json_is_array(a) && json_is_array(b))
		return merge_enums(a, b);
	if (strcmp(keyword, "properties") == 0 && json_is_object(a) && json_is_object(b))
		return merge_properties(a, b);
	if (strcmp(keyword, "items") == 0 && json_is_object(a) && json_is_object(b))
		return json_pack("{s:[O,O]}", "allOf", a, b);
	if (!json_is_number(a) || !json_is_number(b))
		return NULL;
	bool first = json_number_value(a) < json_number_value(b);
	if (one_of_names(keyword, least, 4))
		return json_incref((json_t *)(first ? a : b));
	if (one_of_names(keyword, most, 4))
		return json_incref((json_t *)(first ? b : a));
	return NULL;
}

/* additionalProperties, items behind prefixItems: about what the same schema's other keywords leave over. */
static const char *depends(const json_t *a, const json_t *b)
{
	bool closed = json_object_get(a, "additionalProperties") || json_object_get(b, "additionalProperties");
	bool tuple = json_object_get(a, "prefixItems") || json_object_get(b, "prefixItems");
	bool same = json_equal(json_object_get(a, "properties"), json_object_get(b, "properties"));
	bool either = json_object_get(a, "properties") || json_object_get(b, "properties") || json_object_get(a, "additionalProperties") == NULL ||
	              json_object_get(b, "additionalProperties") == NULL;
	if (closed && either && !same)
		return "additionalProperties";
	return tuple ? "prefixItems" : NULL;
}

json_t *schema_merge(const json_t *a, const json_t *b, const char **why)
{
	const char *key;
	json_t *v, *out;
	*why = NULL;
	if (json_is_boolean(a) || json_is_boolean(b))
		return json_is_false(a) || json_is_false(b) ? json_false() : json_copy((json_t *)(json_is_true(a) ? b : a));
	if ((*why = depends(a, b)))
		return NULL;
	if (!(out = json_copy((json_t *)a)))
		return NULL;
	json_object_foreach((json_t *)b, key, v) {
		json_t *there = json_object_get(out, key);
		if (!there) {
			json_object_set(out, key, v);
		} else if (!schema_is_annotation(key) && !json_equal(there, v)) {
			json_t *both = merge_values(key, there, v);
			if (!both) {
				*why = key;
				json_decref(out);
				return NULL;
			}
			json_object_set_new(out, key, both);
		}
	}
	return out;
}

/* ---- at most one of them ---- */

static unsigned kinds_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: return 1;
	case JSON_ARRAY: return 2;
	case JSON_STRING: return 4;
	case JSON_INTEGER:
	case JSON_REAL: return 8;
	case JSON_TRUE:
	case JSON_FALSE: return 16;
	default: return 32;
	}
}

static unsigned kind_named(const char *name)
{
	static const char *const names[] = {"object", "array", "string", "number", "boolean", "null"};
	for (unsigned i = 0; name && i < 6; i++)
		if (strcmp(name, names[i]) == 0)
			return 1u << i;
	return name && strcmp(name, "integer") == 0 ? 8 : 63;
}

static unsigned possible_kinds(const json_t *s)
{
	const json_t *type = json_object_get(s, "type"), *one = json_object_get(s, "const"), *list = json_object_get(s, "enum");
	unsigned kinds = type ? 0 : 63, listed = 0;
	if (json_is_string(type))
		kinds = kind_named(json_string_value(type));
	for (size_t i = 0; i < json_array_size(type); i++)
		kinds |= kind_named(json_string_value(json_array_get(type, i)));
	for (size_t i = 0; i < json_array_size(list); i++)
		listed |= kinds_of(json_array_get(list, i));
	return kinds & (one ? kinds_of(one) : 63) & (list ? listed : 63);
}

static bool lists(const json_t *s, const json_t *value)
{
	const json_t *one = json_object_get(s, "const");
	return one ? json_equal(one, value) : contains(json_object_get(s, "enum"), value);
}

/* Lists values of which each is equal to itself alone: 1 is 1.0 to JSON Schema, not to json_equal. */
static bool lists_plain(const json_t *s)
{
	const json_t *one = json_object_get(s, "const"), *list = json_object_get(s, "enum");
	bool plain = one || list;
	for (size_t i = 0; plain && !one && i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		plain = !json_is_real(v) && !json_is_array(v) && !json_is_object(v);
	}
	return plain && !json_is_real(one) && !json_is_array(one) && !json_is_object(one);
}

static bool disjoint_values(const json_t *a, const json_t *b)
{
	const json_t *one = json_object_get(a, "const"), *list = json_object_get(a, "enum");
	if (!lists_plain(a) || !lists_plain(b))
		return false;
	if (one)
		return !lists(b, one);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (lists(b, json_array_get(list, i)))
			return false;
	return true;
}

bool schema_disjoint(const json_t *a, const json_t *b, schema_follow *follow, void *ctx, unsigned depth)
{
	const char *key;
	json_t *v;
	a = follow(ctx, a);
	b = follow(ctx, b);
	if (!json_is_object(a) || !json_is_object(b) || depth == 0)
		return false;
	unsigned x = possible_kinds(a), y = possible_kinds(b);
	if ((x & y) == 0 || disjoint_values(a, b))
		return true;
	if (x != 1 || y != 1)
		return false;
	unsigned looked_at = 0;
	/* Objects that must both have a property, with values of which none is the other's. */
	json_object_foreach(json_object_get(a, "properties"), key, v) {
		const json_t *other = json_object_get(json_object_get(b, "properties"), key);
		if (looked_at++ >= MAX_LOOKED_AT)
			return false;
		json_t *name = other ? json_string(key) : NULL;
		bool must = name && contains(json_object_get(a, "required"), name) && contains(json_object_get(b, "required"), name);
		json_decref(name);
		if (must && schema_disjoint(v, other, follow, ctx, depth - 1))
			return true;
	}
	return false;
}
