#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

/* Depth and number of values, without recursion: what jansson will meet. */
static sn_status scan(const char *bytes, size_t n, size_t max_values, const char *name, sn_error *err)
{
	size_t depth = 0, values = 1;
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		char c = bytes[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > JSON_MAX_NESTING)
				return error_set(err, SN_ERR_INVALID, "%s: the JSON is nested deeper than %d", name, JSON_MAX_NESTING);
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			values++;
		}
		if (values > max_values)
			return error_set(err, SN_ERR_TOO_LARGE, "%s: the JSON holds more than %zu values", name, max_values);
	}
	return SN_OK;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* An integer literal at p that 64 bits do not hold: its length, else 0. */
static size_t huge_integer(const char *p, const char *end, const char *before)
{
	static const char most[] = "9223372036854775807";
	size_t k = 0;
	while (p + k < end && is_digit(p[k]))
		k++;
	if (*p == '0' || strchr(".eE+", *before) || (p + k < end && strchr(".eE", p[k])))
		return 0;
	return k > sizeof most - 1 || (k == sizeof most - 1 && memcmp(p, most, k) > 0) ? k : 0;
}

/* Python writes integers of any length (transformers' model_max_length is about 1e30), jansson refuses them: in *copy they
 * are spelled as reals of the same length. *copy stays NULL if there are none. */
static sn_status respell_huge_integers(char **copy, const char *bytes, size_t n, const char *name, sn_error *err)
{
	bool in_string = false;
	*copy = NULL;
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '"')
			in_string = !in_string;
		else if (in_string && bytes[i] == '\\')
			i++;
		if (in_string || !is_digit(bytes[i]) || (i > 0 && is_digit(bytes[i - 1])))
			continue;
		size_t k = huge_integer(bytes + i, bytes + n, i > 0 ? &bytes[i - 1] : " ");
		if (!k)
			continue;
		if (!*copy) {
			*copy = malloc(n);
			if (!*copy)
				return error_set(err, SN_ERR_NOMEM, "%s: no memory for its JSON", name);
			memcpy(*copy, bytes, n);
		}
		char tail[24];
		int t = snprintf(tail, sizeof tail, "e%zu", k - 1);
		(*copy)[i + 1] = '.';
		memcpy(*copy + i + 2, bytes + i + 1, k - 2 - (size_t)t);
		memcpy(*copy + i + k - (size_t)t, tail, (size_t)t);
	}
	return SN_OK;
}

typedef struct reading {
	const char *bytes;
	size_t n;
	json_error_t *why;
	json_t *root;
} reading;

static void read_all(void *ctx)
{
	reading *r = ctx;
	r->root = json_loadb(r->bytes, r->n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, r->why);
}

sn_status json_parse(json_t **out, const char *bytes, size_t n, size_t max_values, const char *name, sn_error *err)
{
	json_error_t why;
	char *copy = NULL;
	*out = NULL;
	sn_status st = scan(bytes, n, max_values, name, err);
	if (!st)
		st = respell_huge_integers(&copy, bytes, n, name, err);
	if (st)
		return st;
	reading r = {copy ? copy : bytes, n, &why, NULL};
	bool whole = sn_json_guard(read_all, &r);
	free(copy);
	*out = whole ? r.root : NULL;
	if (*out)
		return SN_OK;
	if (!whole || json_error_code(&why) == json_error_out_of_memory)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its JSON", name);
	if (json_error_code(&why) == json_error_duplicate_key)
		return error_set(err, SN_ERR_INVALID, "%s: the JSON has the same key twice, near line %d, column %d", name, why.line, why.column);
	return error_set(err, SN_ERR_INVALID, "%s: not valid JSON, near line %d, column %d", name, why.line, why.column);
}

sn_status json_file_read(json_t **out, const char *path, size_t max_bytes, sn_error *err)
{
	char *bytes;
	size_t n;
	*out = NULL;
	sn_status st = file_load(&bytes, &n, path, max_bytes, FILE_LINKS_REFUSED, err);
	if (st)
		return st;
	st = json_parse(out, bytes, n, max_bytes, file_base_name(path), err);
	free(bytes);
	return st;
}

const json_t *json_get(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	return json_is_null(v) ? NULL : v;
}

const char *json_get_string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool json_get_bool(const json_t *object, const char *key, bool def)
{
	const json_t *v = json_object_get(object, key);
	return json_is_boolean(v) ? json_is_true(v) : def;
}

bool json_get_int(const json_t *object, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(object, key);
	if (!json_is_integer(v))
		return false;
	*out = json_integer_value(v);
	return true;
}

bool json_get_number(const json_t *object, const char *key, double *out)
{
	const json_t *v = json_object_get(object, key);
	if (!json_is_number(v))
		return false;
	*out = json_number_value(v);
	return true;
}
