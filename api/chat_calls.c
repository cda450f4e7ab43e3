/* chat_calls.c - tools in the history of a chat: what the assistant called, and what came of it. */
#include <stdio.h>
#include <string.h>

#include "chat_messages.h"
#include "fault.h"
#include "json.h"
#include "tools.h"

#define MAX_CALLS 128 /* of one message */
#define MAX_ID 256
#define PARAM_SIZE 64

static int no_memory(sn_error *err) { return fault_set(err, SN_ERR_NOMEM, "messages", "no memory"); }

static const char *plain_id(const json_t *v)
{
	const char *s = body_plain_string(v);
	return s && *s && strlen(s) <= MAX_ID ? s : NULL;
}

/* Clients send JSON in a string; templates may want an object. */
static int read_arguments(chat_messages *b, sn_tool_call *out, const json_t *v, const char *param, sn_error *err)
{
	json_t *read = NULL;
	if (!json_is_string(v))
		return body_wants(err, param, "a string of JSON");
	out->text = json_string_value(v);
	out->size = json_string_length(v);
	if (!out->size) { /* some write nothing for no arguments */
		out->text = "{}";
		out->size = 2;
	}
	int rc = body_parse(&read, out->text, out->size, err);
	if (rc != SN_OK)
		return rc == SN_ERR_NOMEM ? rc : body_wants(err, param, "a string that is a JSON object");
	if (!b->read && !(b->read = json_array())) {
		json_decref(read);
		return no_memory(err);
	}
	if (json_array_append_new(b->read, read) != 0 || !values_read(&b->values, read, &out->arguments))
		return no_memory(err);
	return SN_OK;
}

static int read_call(chat_messages *b, sn_tool_call *out, const json_t *v, const char *place, sn_error *err)
{
	/* index is a stream's, parsed_arguments the SDK's: both come back from clients that send what they got. */
	static const char *const known[] = {"id", "type", "function", "index", NULL}, *const of_function[] = {"name", "arguments", "parsed_arguments", NULL};
	const json_t *function = json_object_get(v, "function");
	const char *type = body_plain_string(json_object_get(v, "type"));
	char param[PARAM_SIZE];
	if (!json_is_object(v) || !json_is_object(function))
		return body_wants(err, place, "an object with id, type and function");
	int rc = chat_check_keys(v, known, place, err);
	snprintf(param, sizeof param, "%.45s.function", place);
	if (rc == SN_OK)
		rc = chat_check_keys(function, of_function, param, err);
	if (rc != SN_OK)
		return rc;
	if (type && strcmp(type, "function") != 0)
		return fault_set(err, SN_ERR_UNSUPPORTED, place, "%s: only the type function is supported", place);
	snprintf(param, sizeof param, "%.45s.id", place);
	if (!(out->id = plain_id(json_object_get(v, "id"))))
		return body_wants(err, param, "a string of 1 to " FIELD_STR(MAX_ID) " bytes");
	snprintf(param, sizeof param, "%.45s.function.name", place);
	out->name = body_plain_string(json_object_get(function, "name"));
	if (!tool_name_fits(out->name))
		return body_wants(err, param, "1 to " FIELD_STR(TOOL_NAME_MAX) " letters, digits, _ and -");
	snprintf(param, sizeof param, "%.40s.function.arguments", place);
	return read_arguments(b, out, json_object_get(function, "arguments"), param, err);
}

int chat_calls_parse(chat_messages *b, sn_message *out, const json_t *v, size_t index, sn_error *err)
{
	char place[PARAM_SIZE];
	size_t n = json_array_size(v);
	snprintf(place, sizeof place, "messages[%zu].tool_calls", index);
	if (!json_is_array(v) || n == 0 || n > MAX_CALLS)
		return fault_set(err, SN_ERR_INVALID, place, "%s must be a list of 1 to %d calls", place, MAX_CALLS);
	if (strcmp(out->role, "assistant") != 0)
		return fault_set(err, SN_ERR_INVALID, place, "tool_calls belong into messages of the assistant");
	sn_tool_call *calls = values_array(&b->values, n, sizeof *calls);
	if (!calls)
		return no_memory(err);
	out->calls = calls;
	for (; out->n_calls < n; out->n_calls++) {
		snprintf(place, sizeof place, "messages[%zu].tool_calls[%zu]", index, out->n_calls);
		int rc = read_call(b, &calls[out->n_calls], json_array_get(v, out->n_calls), place, err);
		if (rc != SN_OK)
			return rc;
	}
	return SN_OK;
}

int chat_result_parse(const chat_messages *b, sn_message *out, const json_t *message, size_t index, sn_error *err)
{
	char place[PARAM_SIZE];
	const char *name = body_plain_string(json_object_get(message, "name"));
	snprintf(place, sizeof place, "messages[%zu].tool_call_id", index);
	if (!(out->call_id = plain_id(json_object_get(message, "tool_call_id"))))
		return body_wants(err, place, "a string of 1 to " FIELD_STR(MAX_ID) " bytes");
	out->name = tool_name_fits(name) ? name : NULL;
	for (size_t m = index; m-- > 0 && !out->name;)
		for (size_t c = 0; c < b->list[m].n_calls; c++)
			if (strcmp(b->list[m].calls[c].id, out->call_id) == 0)
				out->name = b->list[m].calls[c].name;
	return SN_OK;
}
