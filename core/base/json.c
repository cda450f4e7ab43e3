#include "base/json.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

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

sn_status json_parse(json_t **out, const char *bytes, size_t n, size_t max_values, const char *name, sn_error *err)
{
	json_error_t why;
	*out = NULL;
	sn_status st = scan(bytes, n, max_values, name, err);
	if (st)
		return st;
	*out = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
	if (*out)
		return SN_OK;
	if (json_error_code(&why) == json_error_out_of_memory)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its JSON", name);
	if (json_error_code(&why) == json_error_duplicate_key)
		return error_set(err, SN_ERR_INVALID, "%s: the JSON has the same key twice, near line %d, column %d", name, why.line, why.column);
	return error_set(err, SN_ERR_INVALID, "%s: not valid JSON, near line %d, column %d", name, why.line, why.column);
}

sn_status json_file_read(json_t **out, const char *path, size_t max_bytes, sn_error *err)
{
	const char *name = base_name(path);
	struct stat s;
	char *bytes = NULL;
	size_t n = 0;
	sn_status st = SN_OK;
	*out = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, SN_ERR_NOT_FOUND, "%s: cannot be opened", name);
	if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		st = error_set(err, SN_ERR_INVALID, "%s: not a regular file", name);
	else if ((uint64_t)s.st_size > max_bytes)
		st = error_set(err, SN_ERR_TOO_LARGE, "%s: larger than %zu bytes", name, max_bytes);
	else if (!(bytes = malloc((size_t)s.st_size + 1)))
		st = error_set(err, SN_ERR_NOMEM, "%s: no memory for its %zu bytes", name, (size_t)s.st_size);
	while (!st && n < (size_t)s.st_size) {
		ssize_t got = read(fd, bytes + n, (size_t)s.st_size - n);
		if (got <= 0)
			st = error_set(err, SN_ERR_IO, "%s: cannot be read", name);
		else
			n += (size_t)got;
	}
	if (!st)
		st = json_parse(out, bytes, n, max_bytes, name, err);
	free(bytes);
	close(fd);
	return st;
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
