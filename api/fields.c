#include "fields.h"

#include <string.h>

#include "fault.h"
#include "json.h"

#define MAX_NAME_BYTES 63 /* of an unknown field that is named back */

static json_t *constant(const char *text)
{
	return json_read(text, strlen(text), JSON_DECODE_ANY, NULL);
}

/* ---- one value ----------------------------------------------------------------------------------------------- */

int field_integer(const json_t *v, const char *param, double min, double max, int64_t *out, sn_error *err)
{
	if (!json_is_integer(v))
		return body_wants(err, param, "an integer");
	*out = json_integer_value(v);
	if ((double)*out < min || (double)*out > max)
		return fault_set(err, SN_ERR_INVALID, param, "%s must be from %.0f to %.0f", param, min, max);
	return SN_OK;
}

int field_seed(const json_t *v, const char *param, uint64_t *seed, sn_error *err)
{
	if (!json_is_integer(v))
		return body_wants(err, param, "an integer of 64 bits");
	*seed = (uint64_t)json_integer_value(v);
	return SN_OK;
}

static int parse_real(const json_t *v, const field *f, float *out, sn_error *err)
{
	if (!json_is_number(v))
		return body_wants(err, f->name, "a number");
	double d = json_number_value(v);
	*out = (float)d;
	bool low = f->open_min ? !((double)*out > f->min) : !(d >= f->min);
	if (low || d > f->max)
		return fault_set(err, SN_ERR_INVALID, f->name, "%s must be %s %g and at most %g", f->name, f->open_min ? "above" : "at least",
		                 f->min, f->max);
	return SN_OK;
}

static int parse_text_map(const json_t *v, const char *param, sn_error *err)
{
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, param, "an object of strings");
	json_object_foreach((json_t *)v, key, value)
		if (!json_is_string(value))
			return body_wants(err, param, "an object of strings");
	return SN_OK;
}

static int parse_only(const json_t *v, const field *f, sn_error *err)
{
	json_t *taken = f->schema ? constant(f->schema) : NULL;
	if (f->schema && !taken)
		return fault_set(err, SN_ERR_NOMEM, f->name, "no memory for the body");
	bool same = taken && json_equal(taken, v);
	json_decref(taken);
	if (same)
		return SN_OK;
	if (f->schema)
		return fault_set(err, SN_ERR_UNSUPPORTED, f->name, "%s is not supported here but for %s", f->name, f->schema);
	return fault_set(err, SN_ERR_UNSUPPORTED, f->name, "%s is not supported", f->name);
}

static int parse_field(const field *f, void *into, const json_t *v, sn_error *err)
{
	float real = 0;
	int64_t n = 0;
	const char *name;
	void *at = f->offset == FIELD_NOWHERE ? NULL : (char *)into + f->offset;
	int rc = SN_OK;
	switch (f->kind) {
	case FIELD_REAL:
		rc = parse_real(v, f, &real, err);
		if (rc == SN_OK && at)
			*(float *)at = real;
		return rc;
	case FIELD_INT:
	case FIELD_UINT:
		rc = field_integer(v, f->name, f->min, f->max, &n, err);
		if (rc == SN_OK && at && f->kind == FIELD_INT)
			*(int32_t *)at = (int32_t)n;
		else if (rc == SN_OK && at)
			*(uint32_t *)at = (uint32_t)n;
		return rc;
	case FIELD_BOOL:
		if (!json_is_boolean(v))
			return body_wants(err, f->name, "true or false");
		if (at)
			*(bool *)at = json_is_true(v);
		return SN_OK;
	case FIELD_NAME:
		name = body_plain_string(v);
		if (!name || !*name)
			return body_wants(err, f->name, "a non-empty string without NUL");
		if (at)
			*(const char **)at = name;
		return SN_OK;
	case FIELD_TEXT:
		return json_is_string(v) ? SN_OK : body_wants(err, f->name, "a string");
	case FIELD_TEXT_MAP:
		return parse_text_map(v, f->name, err);
	case FIELD_FILE:
		return json_is_true(v) ? SN_OK : body_wants(err, f->name, "a file"); /* form.c has stored it */
	case FIELD_CUSTOM:
		return f->parse(f, into, v, err);
	case FIELD_ONLY:
		break;
	}
	return parse_only(v, f, err);
}

/* ---- a body --------------------------------------------------------------------------------------------------- */

static int unknown_field(const char *key, sn_error *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	bool nameable = strlen(key) <= MAX_NAME_BYTES && strspn(key, plain) == strlen(key);
	return fault_set(err, SN_ERR_INVALID, nameable ? key : NULL, "the request has an unknown field");
}

static const field *field_find(const char *key, const field_table *const *tables, size_t n, size_t *table)
{
	for (*table = 0; *table < n; ++*table)
		for (size_t i = 0; i < tables[*table]->n; i++)
			if (strcmp(tables[*table]->fields[i].name, key) == 0)
				return &tables[*table]->fields[i];
	return NULL;
}

int fields_parse(const json_t *root, const field_table *const *tables, void *const *into, size_t n, sn_error *err)
{
	const char *key;
	json_t *value;
	size_t t;
	json_object_foreach((json_t *)root, key, value) {
		const field *f = field_find(key, tables, n, &t);
		int rc = SN_OK;
		if (!f)
			rc = unknown_field(key, err);
		else if (!json_is_null(value) && !f->late)
			rc = parse_field(f, into[t], value, err);
		if (rc != SN_OK)
			return rc;
	}
	for (t = 0; t < n; t++)
		for (size_t i = 0; i < tables[t]->n; i++) {
			const field *f = &tables[t]->fields[i];
			if (!f->late && !f->required)
				continue;
			value = json_object_get(root, f->name);
			bool given = value && !json_is_null(value);
			int rc = given && f->late ? parse_field(f, into[t], value, err) : SN_OK;
			if (!given && f->required)
				rc = fault_set(err, SN_ERR_INVALID, f->name, "%s is missing", f->name);
			if (rc != SN_OK)
				return rc;
		}
	return SN_OK;
}

/* ---- the same, told ---------------------------------------------------------------------------------------------- */

/* A number without a fraction is told as an integer, as people write it. */
static json_t *limit(double d)
{
	return d == (double)(json_int_t)d ? json_integer((json_int_t)d) : json_real(d);
}

static json_t *number_schema(const field *f, const char *type)
{
	json_t *s = json_pack("{s:[s,s]}", "type", type, "null");
	json_object_set_new(s, f->open_min ? "exclusiveMinimum" : "minimum", limit(f->min));
	if (f->max < UINT32_MAX)
		json_object_set_new(s, "maximum", limit(f->max));
	return s;
}

static json_t *or_null(json_t *schema)
{
	return json_pack("{s:[o,{s:s}]}", "anyOf", schema, "type", "null");
}

static json_t *kind_schema(const field *f)
{
	switch (f->kind) {
	case FIELD_REAL:
		return number_schema(f, "number");
	case FIELD_INT:
	case FIELD_UINT:
		return number_schema(f, "integer");
	case FIELD_BOOL:
		return json_pack("{s:[s,s]}", "type", "boolean", "null");
	case FIELD_NAME:
		return json_pack("{s:[s,s],s:i}", "type", "string", "null", "minLength", 1);
	case FIELD_TEXT:
		return json_pack("{s:[s,s]}", "type", "string", "null");
	case FIELD_TEXT_MAP:
		return json_pack("{s:[s,s],s:{s:s}}", "type", "object", "null", "additionalProperties", "type", "string");
	case FIELD_FILE:
		return json_pack("{s:s,s:s}", "type", "string", "contentMediaType", "application/octet-stream");
	case FIELD_CUSTOM:
		return f->required ? constant(f->schema) : or_null(constant(f->schema));
	case FIELD_ONLY:
		break;
	}
	return f->schema ? json_pack("{s:[o,n]}", "enum", constant(f->schema)) : json_pack("{s:s}", "type", "null");
}

json_t *fields_schema(const field_table *const *tables, size_t n)
{
	json_t *properties = json_object(), *required = json_array();
	for (size_t t = 0; t < n; t++)
		for (size_t i = 0; i < tables[t]->n; i++) {
			const field *f = &tables[t]->fields[i];
			json_t *s = kind_schema(f);
			if (f->standard)
				json_object_set_new(s, "default", constant(f->standard));
			if (f->doc)
				json_object_set_new(s, "description", json_string(f->doc));
			if (f->required)
				json_array_append_new(required, json_string(f->name));
			if (json_object_set_new(properties, f->name, s) != 0)
				goto fail;
		}
	json_t *schema = json_pack("{s:s,s:O,s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
	if (schema && json_array_size(required))
		json_object_set(schema, "required", required);
	json_decref(properties);
	json_decref(required);
	return schema;
fail:
	json_decref(properties);
	json_decref(required);
	return NULL;
}
