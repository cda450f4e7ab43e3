#include "values.h"

#include <stdlib.h>
#include <string.h>

void *values_array(values *v, size_t n, size_t size)
{
	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 16;
		void **more = reallocarray(v->blocks, cap, sizeof *more);
		if (!more)
			return NULL;
		v->blocks = more;
		v->cap = cap;
	}
	void *p = calloc(n ? n : 1, size);
	if (p)
		v->blocks[v->n++] = p;
	return p;
}

static bool read_list(values *v, const json_t *json, sn_value *out)
{
	size_t n = json_array_size(json);
	sn_value *items = values_array(v, n, sizeof *items);
	*out = (sn_value){.kind = SN_VALUE_LIST, .items = items, .n = n};
	for (size_t i = 0; items && i < n; i++)
		if (!values_read(v, json_array_get(json, i), &items[i]))
			return false;
	return items;
}

static bool read_dict(values *v, const json_t *json, sn_value *out)
{
	size_t n = json_object_size(json);
	sn_value *items = values_array(v, 2 * n, sizeof *items), *at = items;
	const char *key;
	json_t *value;
	*out = (sn_value){.kind = SN_VALUE_DICT, .items = items, .n = n};
	if (!items)
		return false;
	json_object_foreach((json_t *)json, key, value) {
		*at++ = (sn_value){.kind = SN_VALUE_STRING, .string = key, .n = strlen(key)};
		if (!values_read(v, value, at++))
			return false;
	}
	return true;
}

bool values_read(values *v, const json_t *json, sn_value *out)
{
	*out = (sn_value){.kind = SN_VALUE_NULL};
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return read_dict(v, json, out);
	case JSON_ARRAY:
		return read_list(v, json, out);
	case JSON_STRING:
		*out = (sn_value){.kind = SN_VALUE_STRING, .string = json_string_value(json), .n = json_string_length(json)};
		break;
	case JSON_INTEGER:
		*out = (sn_value){.kind = SN_VALUE_INT, .i = json_integer_value(json)};
		break;
	case JSON_REAL:
		*out = (sn_value){.kind = SN_VALUE_REAL, .real = json_real_value(json)};
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		*out = (sn_value){.kind = SN_VALUE_BOOL, .b = json_is_true(json)};
		break;
	case JSON_NULL:
		break;
	}
	return true;
}

void values_fini(values *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->blocks[i]);
	free(v->blocks);
	*v = (values){0};
}
