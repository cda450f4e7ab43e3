#include "json.h"

#include <string.h>

#include "fault.h"

typedef struct reading {
	const char *data;
	size_t size, flags;
	json_error_t *why;
	json_t *root;
} reading;

static void read_all(void *ctx)
{
	reading *r = ctx;
	r->root = json_loadb(r->data, r->size, r->flags, r->why);
}

json_t *json_read(const char *data, size_t size, size_t flags, json_error_t *why)
{
	reading r = {data, size, flags, why, NULL};
	return sn_json_guard(read_all, &r) ? r.root : NULL;
}

void json_text_free(char *text)
{
	json_free_t give;
	json_get_alloc_funcs(NULL, &give);
	give(text);
}

static int scan(const char *data, size_t size, sn_error *err)
{
	size_t depth = 0, values = 1;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		char c = data[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > BODY_MAX_DEPTH)
				return fault_set(err, SN_ERR_INVALID, NULL, "the JSON is nested deeper than %d", BODY_MAX_DEPTH);
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			if (++values > BODY_MAX_VALUES)
				break;
		}
	}
	if (values > BODY_MAX_VALUES)
		return fault_set(err, SN_ERR_INVALID, NULL, "the JSON holds more than %d values", BODY_MAX_VALUES);
	return SN_OK;
}

int body_parse(json_t **out, const char *data, size_t size, sn_error *err)
{
	json_error_t why;
	int rc = scan(data, size, err);
	if (rc != SN_OK)
		return rc;
	sn_json_watch();
	json_t *root = json_read(data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (sn_json_starved()) {
		json_decref(root);
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the body");
	}
	if (!root) {
		/* why.text quotes the client's bytes; its position does not. */
		if (json_error_code(&why) == json_error_duplicate_key)
			return fault_set(err, SN_ERR_INVALID, NULL, "the JSON has the same key twice, near line %d, column %d", why.line, why.column);
		return fault_set(err, SN_ERR_INVALID, NULL, "the body is not valid JSON, near line %d, column %d", why.line, why.column);
	}
	if (!json_is_object(root)) {
		json_decref(root);
		return fault_set(err, SN_ERR_INVALID, NULL, "the body must be a JSON object");
	}
	*out = root;
	return SN_OK;
}

const char *body_plain_string(const json_t *v)
{
	const char *s = json_string_value(v);
	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

int body_wants(sn_error *err, const char *param, const char *what)
{
	return fault_set(err, SN_ERR_INVALID, param, "%s must be %s", param, what);
}
