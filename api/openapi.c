/* openapi.c - GET /openapi.json: OpenAPI 3.1, made from the table of routes, the tables of fields and the table of faults; what
 * answers look like is in openapi.json, which the build puts into the program. The tests hold every answer they get against it. */
#include <jansson.h>
#include <string.h>

#include "fault.h"
#include "json.h"
#include "routes.h"

#define EVERY_ROUTE "400 408 417 431 500 503 505"

extern const char openapi_base[]; /* openapi.json */
extern const size_t openapi_base_size;

static json_t *schema_ref(const char *name)
{
	return json_sprintf("#/components/schemas/%s", name);
}

static bool wanted(const char *statuses, int status)
{
	char text[16];
	snprintf(text, sizeof text, "%d", status);
	return strstr(statuses, text) != NULL;
}

/* The type and code of every fault with this HTTP status. */
static json_t *fault_text(int status)
{
	char text[512] = "";
	int http;
	const char *type, *code;
	for (size_t i = 0; fault_at(i, &http, &type, &code); i++) {
		size_t n = strlen(text);
		if (http == status)
			snprintf(text + n, sizeof text - n, "%s%s%s%s", n ? ", " : "", type, code ? "/" : "", code ? code : "");
	}
	return json_string(text);
}

static json_t *error_response(const route *r, int status)
{
	const char *schema = status == 503 && r->unready ? r->unready : "Error";
	return json_pack("{s:o,s:{s:{s:{s:o}}}}", "description", fault_text(status), "content", "application/json", "schema", "$ref",
	                 schema_ref(schema));
}

static json_t *events_schema(const char *name)
{
	return json_pack("{s:s,s:s,s:{s:o}}", "type", "string", "description",
	                 "Where a stream is asked for: each event is the line `data: ` with one JSON object, of the schema x-event, and an empty line; the last is "
	                 "`data: [DONE]`. A failure after the first event is an event with the error object.",
	                 "x-event", "$ref", schema_ref(name));
}

static json_t *good_response(const route *r)
{
	json_t *content = json_object();
	if (r->answer)
		json_object_set_new(content, "application/json", json_pack("{s:{s:o}}", "schema", "$ref", schema_ref(r->answer)));
	else if (!r->bytes)
		json_object_set_new(content, "text/plain", json_pack("{s:{s:s}}", "schema", "type", "string"));
	if (r->text)
		json_object_set_new(content, r->text, json_pack("{s:{s:s}}", "schema", "type", "string"));
	for (const char *at = r->bytes; at && *at; at += strspn(at, " ")) {
		char type[64];
		size_t n = strcspn(at, " ");
		snprintf(type, sizeof type, "%.*s", (int)n, at);
		json_object_set_new(content, type, json_object()); /* OpenAPI 3.1: bytes have no schema */
		at += n;
	}
	if (r->events)
		json_object_set_new(content, "text/event-stream", json_pack("{s:o}", "schema", events_schema(r->events)));
	return json_pack("{s:s,s:o}", "description", r->summary, "content", content);
}

static json_t *responses(const route *r)
{
	json_t *all = json_object();
	int http;
	const char *type, *code;
	json_object_set_new(all, "200", good_response(r));
	for (size_t i = 0; fault_at(i, &http, &type, &code); i++) {
		char key[16];
		snprintf(key, sizeof key, "%d", http);
		if ((wanted(EVERY_ROUTE, http) || wanted(r->errors, http) || (http == 401 && !r->open)) && !json_object_get(all, key))
			json_object_set_new(all, key, error_response(r, http));
	}
	return all;
}

/* "POST" and "/v1/models/{id}" -> "post_v1_models_id" */
static json_t *operation_id(const route *r)
{
	char id[128];
	size_t n = 0;
	for (const char *p = r->method; *p && n + 1 < sizeof id; p++)
		id[n++] = (char)(*p | 0x20);
	for (const char *p = r->path; *p && n + 1 < sizeof id; p++)
		if (*p != '{' && *p != '}')
			id[n++] = *p == '/' || *p == '.' ? '_' : *p;
	return json_stringn(id, n);
}

static json_t *operation(const route *r)
{
	json_t *op = json_pack("{s:s,s:o,s:o}", "summary", r->summary, "operationId", operation_id(r), "responses", responses(r));
	if (r->open)
		json_object_set_new(op, "security", json_array());
	if (strstr(r->path, "{id}"))
		json_object_set_new(op, "parameters", json_pack("[{s:s,s:s,s:b,s:{s:s}}]", "name", "id", "in", "path", "required", 1, "schema", "type", "string"));
	if (r->body[0])
		json_object_set_new(op, "requestBody", json_pack("{s:b,s:{s:{s:o}}}", "required", 1, "content",
		                                                 r->form ? "multipart/form-data" : "application/json", "schema",
		                                                 fields_schema(r->body, r->body[1] ? 2 : 1)));
	return op;
}

static json_t *paths(void)
{
	json_t *all = json_object();
	size_t n;
	const route *table = routes_all(&n);
	for (size_t i = 0; i < n; i++) {
		char method[8] = "";
		for (size_t k = 0; k + 1 < sizeof method && table[i].method[k]; k++)
			method[k] = (char)(table[i].method[k] | 0x20);
		json_t *item = json_object_get(all, table[i].path);
		if (!item) {
			item = json_object();
			json_object_set_new(all, table[i].path, item);
		}
		json_object_set_new(item, method, operation(&table[i]));
	}
	return all;
}

void openapi_endpoint(request *r)
{
	sn_json_watch();
	json_t *document = json_read(openapi_base, openapi_base_size, 0, NULL);
	json_object_set_new(json_object_get(document, "info"), "version", json_string(SN_VERSION));
	json_object_set_new(document, "paths", paths());
	char *text = json_dumps(document, JSON_COMPACT);
	out_buf body = {.failed = !text || sn_json_starved()}; /* better none than one with a hole */
	if (text)
		out_text(&body, text);
	http_send_out(r->x, "application/json", &body);
	out_fini(&body);
	json_text_free(text);
	json_decref(document);
}
