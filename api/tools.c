#include "tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "json.h"

#define PARAM_SIZE 64
#define FUNCTION_NAME "{\"type\":\"string\",\"pattern\":\"" TOOL_NAME_PATTERN "\"}"

const char tools_schema[] =
	"{\"type\":\"array\",\"maxItems\":" FIELD_STR(TOOLS_MAX) ",\"items\":{\"type\":\"object\",\"required\":[\"type\",\"function\"],"
	"\"additionalProperties\":false,\"properties\":{\"type\":{\"const\":\"function\"},\"function\":{\"type\":\"object\",\"required\":[\"name\"],"
	"\"additionalProperties\":false,\"properties\":{\"name\":" FUNCTION_NAME ",\"description\":{\"type\":[\"string\",\"null\"]},"
	"\"parameters\":{\"type\":[\"object\",\"null\"]},\"strict\":{\"type\":[\"boolean\",\"null\"]}}}}}}";

const char tools_choice_schema[] =
	"{\"anyOf\":[{\"type\":\"string\",\"enum\":[\"none\",\"auto\",\"required\"]},{\"type\":\"object\",\"required\":[\"type\",\"function\"],"
	"\"additionalProperties\":false,\"properties\":{\"type\":{\"const\":\"function\"},\"function\":{\"type\":\"object\",\"required\":[\"name\"],"
	"\"additionalProperties\":false,\"properties\":{\"name\":" FUNCTION_NAME "}}}}]}";

bool tool_name_fits(const char *name)
{
	static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";
	size_t n = name ? strlen(name) : 0;
	return n > 0 && n <= TOOL_NAME_MAX && strspn(name, plain) == n;
}

static int only_keys(const json_t *object, const char *a, const char *const *more, const char *param, sn_error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value) {
		bool known = strcmp(key, a) == 0 || json_is_null(value);
		for (size_t i = 0; more[i] && !known; i++)
			known = strcmp(key, more[i]) == 0;
		if (!known)
			return fault_set(err, SN_ERR_INVALID, param, "%s has a field that is not supported", param);
	}
	return SN_OK;
}

/* {"type":"function","function":{...}}: *function. */
static int function_of(const json_t *v, const char *param, const json_t **function, sn_error *err)
{
	static const char *const known[] = {"function", NULL};
	const char *type = body_plain_string(json_object_get(v, "type"));
	if (!json_is_object(v) || !type)
		return body_wants(err, param, "an object with type and function");
	if (strcmp(type, "function") != 0)
		return fault_set(err, SN_ERR_UNSUPPORTED, param, "%s: only the type function is supported", param);
	*function = json_object_get(v, "function");
	int rc = only_keys(v, "type", known, param, err);
	return rc == SN_OK && !json_is_object(*function) ? body_wants(err, param, "an object with type and function") : rc;
}

static int read_function(tools *t, tool *out, const json_t *function, const char *place, sn_error *err)
{
	static const char *const known[] = {"description", "parameters", "strict", NULL};
	char param[PARAM_SIZE];
	const json_t *description = json_object_get(function, "description"), *parameters = json_object_get(function, "parameters");
	const json_t *strict = json_object_get(function, "strict");
	snprintf(param, sizeof param, "%.40s.function", place);
	int rc = only_keys(function, "name", known, param, err);
	if (rc != SN_OK)
		return rc;
	snprintf(param, sizeof param, "%.40s.function.name", place);
	out->name = body_plain_string(json_object_get(function, "name"));
	if (!tool_name_fits(out->name))
		return body_wants(err, param, "1 to " FIELD_STR(TOOL_NAME_MAX) " letters, digits, _ and -");
	for (const tool *other = t->list; other < out; other++)
		if (strcmp(other->name, out->name) == 0)
			return fault_set(err, SN_ERR_INVALID, param, "%s: there is another tool of this name", param);
	snprintf(param, sizeof param, "%.40s.function.description", place);
	if (description && !json_is_null(description) && !json_is_string(description))
		return body_wants(err, param, "a string");
	snprintf(param, sizeof param, "%.40s.function.parameters", place);
	if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
		return body_wants(err, param, "a JSON Schema: an object");
	snprintf(param, sizeof param, "%.40s.function.strict", place);
	if (strict && !json_is_null(strict) && !json_is_boolean(strict))
		return body_wants(err, param, "true or false");
	out->parameters = json_is_object(parameters) ? parameters : NULL;
	out->strict = json_is_true(strict);
	return SN_OK;
}

/* As the template shows it: without strict, which is for us, and with parameters, which many templates look into. */
static json_t *shown_tool(const json_t *function)
{
	json_t *copy = json_copy((json_t *)function);
	json_object_del(copy, "strict");
	if (copy && !json_is_object(json_object_get(copy, "parameters")) &&
	    json_object_set_new(copy, "parameters", json_pack("{s:s,s:{}}", "type", "object", "properties")) != 0) {
		json_decref(copy);
		return NULL;
	}
	return copy ? json_pack("{s:s,s:o}", "type", "function", "function", copy) : NULL;
}

int tools_parse(tools *t, const char *param, const json_t *v, sn_error *err)
{
	char place[PARAM_SIZE];
	size_t n = json_array_size(v);
	if (!json_is_array(v))
		return body_wants(err, param, "a list");
	if (n > TOOLS_MAX)
		return fault_set(err, SN_ERR_INVALID, param, "more than %d tools", TOOLS_MAX);
	sn_json_watch(); /* json_copy forgets a key for which there is no memory */
	if (!(t->copies = json_array()))
		return fault_set(err, SN_ERR_NOMEM, param, "no memory for tools");
	for (; t->n < n; t->n++) {
		const json_t *function = NULL;
		snprintf(place, sizeof place, "%.40s[%zu]", param, t->n);
		int rc = function_of(json_array_get(v, t->n), place, &function, err);
		if (rc == SN_OK)
			rc = read_function(t, &t->list[t->n], function, place, err);
		if (rc != SN_OK)
			return rc;
		if (json_array_append_new(t->copies, shown_tool(function)) != 0)
			return fault_set(err, SN_ERR_NOMEM, param, "no memory for tools");
	}
	return !sn_json_starved() && values_read(&t->values, t->copies, &t->shown) ? SN_OK : fault_set(err, SN_ERR_NOMEM, param, "no memory for tools");
}

int tools_parse_choice(tools *t, const char *param, const json_t *v, sn_error *err)
{
	static const char *const names[] = {"auto", "none", "required"};
	static const char *const none[] = {NULL};
	const char *s = body_plain_string(v);
	const json_t *function = NULL;
	t->chosen = true;
	for (size_t i = 0; s && i < sizeof names / sizeof *names; i++)
		if (strcmp(s, names[i]) == 0) {
			t->choice = (tool_choice)i;
			return SN_OK;
		}
	if (!json_is_object(v))
		return body_wants(err, param, "none, auto, required, or an object that names a function");
	int rc = function_of(v, param, &function, err);
	if (rc == SN_OK)
		rc = only_keys(function, "name", none, param, err);
	if (rc != SN_OK)
		return rc;
	t->choice = TOOL_CHOICE_REQUIRED;
	t->named = body_plain_string(json_object_get(function, "name"));
	return t->named ? SN_OK : body_wants(err, param, "none, auto, required, or an object that names a function");
}

int tools_check(const tools *t, sn_error *err)
{
	bool found = !t->named;
	if (!t->n && t->choice == TOOL_CHOICE_REQUIRED)
		return fault_set(err, SN_ERR_INVALID, "tool_choice", "tool_choice needs tools");
	for (size_t i = 0; i < t->n && !found; i++)
		found = strcmp(t->list[i].name, t->named) == 0;
	return found ? SN_OK : fault_set(err, SN_ERR_INVALID, "tool_choice", "tool_choice names a function that is not among the tools");
}

bool tools_asked(const tools *t)
{
	return t->n > 0 && t->choice != TOOL_CHOICE_NONE;
}

void tools_init(tools *t)
{
	*t = (tools){.many = true};
}

void tools_fini(tools *t)
{
	values_fini(&t->values);
	json_decref(t->copies);
	*t = (tools){0};
}

tools *tools_names(const tools *t)
{
	tools *out = calloc(1, sizeof *out);
	for (size_t i = 0; out && i < t->n; i++) {
		size_t n = strlen(t->list[i].name) + 1;
		char *name = values_array(&out->values, n, 1);
		if (!name) {
			tools_close(&out);
			return NULL;
		}
		memcpy(name, t->list[i].name, n);
		out->list[i].name = name;
		out->n = i + 1;
		if (t->named && strcmp(t->named, name) == 0)
			out->named = name;
	}
	return out;
}

void tools_close(tools **t)
{
	if (!*t)
		return;
	tools_fini(*t);
	free(*t);
	*t = NULL;
}
