#include "routes.h"

#include <string.h>
#include <strings.h>

#include "chat_parse.h"
#include "completion_parse.h"
#include "embeddings_parse.h"
#include "fault.h"
#include "plugins.h"
#include "speech_parse.h"
#include "tokenize.h"
#include "transcription_parse.h"

#define ANSWERS "404 413 415 429"

/* Every route there is. A path that is not here, byte for byte, is a 404. */
static const route table[] = {
	{"POST", "/v1/chat/completions", chat_endpoint, false, "The answer to a conversation", "ChatCompletion", "ChatCompletionChunk", NULL,
	 ANSWERS " 422", {&generation_fields, &chat_fields}, false, NULL, NULL},
	{"POST", "/v1/completions", completions_endpoint, false, "What follows a text", "Completion", "Completion", NULL,
	 ANSWERS, {&generation_fields, &completion_fields}, false, NULL, NULL},
	{"POST", "/v1/embeddings", embeddings_endpoint, false, "Texts as vectors", "Embeddings", NULL, NULL, ANSWERS, {&embeddings_fields}, false, NULL, NULL},
	{"POST", "/v1/audio/transcriptions", transcriptions_endpoint, false, "The words of a recording", "Transcription", "TranscriptionEvent", NULL,
	 ANSWERS, {&transcription_fields}, true, "text/plain", NULL},
	{"POST", "/v1/audio/translations", translations_endpoint, false, "The words of a recording, in English", "Transcription", "TranscriptionEvent", NULL,
	 ANSWERS, {&transcription_fields}, true, "text/plain", NULL},
	{"POST", "/v1/audio/speech", speech_endpoint, false, "Words as sound", NULL, "SpeechEvent", NULL, ANSWERS, {&speech_fields}, false, NULL,
	 "audio/mpeg audio/ogg audio/flac audio/wav audio/pcm"},
	{"GET", "/v1/audio/voices", voices_endpoint, false, "The voices of models that speak", "VoiceList", NULL, NULL, "", {NULL}, false, NULL, NULL},
	{"POST", "/tokenize", tokenize_endpoint, false, "Token ids of a text or of a conversation", "Tokens", NULL, NULL, ANSWERS, {&tokenize_fields}, false, NULL, NULL},
	{"POST", "/detokenize", detokenize_endpoint, false, "The text of token ids", "Text", NULL, NULL, ANSWERS, {&detokenize_fields}, false, NULL, NULL},
	{"GET", "/v1/models", models_list_endpoint, false, "The models", "ModelList", NULL, NULL, "", {NULL}, false, NULL, NULL},
	{"GET", "/v1/models/{id}", models_get_endpoint, false, "One model", "Model", NULL, NULL, "404", {NULL}, false, NULL, NULL},
	{"GET", "/v1/plugins", plugins_endpoint, false, "The plugins, also those that were refused", "PluginList", NULL, NULL, "", {NULL}, false, NULL, NULL},
	/* asks for an admin's key itself */
	{"POST", "/v1/plugins", plugins_add_endpoint, false, "Add a file of the plugin folder; needs an admin's key", "PluginList", NULL, NULL,
	 ANSWERS " 403", {&plugin_fields}, false, NULL, NULL},
	{"GET", "/openapi.json", openapi_endpoint, false, "This document", "Document", NULL, NULL, "", {NULL}, false, NULL, NULL},
	{"GET", "/metrics", metrics_endpoint, false, "Metrics as Prometheus text", NULL, NULL, NULL, "", {NULL}, false, NULL, NULL},
	{"GET", "/livez", livez_endpoint, true, "Does the process still move?", "Status", NULL, "Status", "", {NULL}, false, NULL, NULL},
	{"GET", "/readyz", readyz_endpoint, true, "May work be sent here?", "Status", NULL, "Status", "", {NULL}, false, NULL, NULL},
};

const route *routes_all(size_t *n)
{
	*n = sizeof table / sizeof *table;
	return table;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX only, no NUL. Returns false if it is malformed or too long. */
static bool percent_decode(char *out, size_t cap, const char *in)
{
	size_t n = 0;
	while (*in && n + 1 < cap) {
		int hi = *in == '%' ? hex(in[1]) : 0, lo = *in == '%' && hi >= 0 ? hex(in[2]) : 0;
		if (hi < 0 || lo < 0 || (*in == '%' && hi * 16 + lo == 0))
			return false;
		out[n++] = *in == '%' ? (char)(hi * 16 + lo) : *in;
		in += *in == '%' ? 3 : 1;
	}
	out[n] = 0;
	return *in == 0;
}

static bool method_fits(const route *r, const char *method)
{
	return strcmp(method, r->method) == 0 || (strcmp(r->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* A path may have a row for each of its methods; if none fits, the last of them. */
static const route *route_find(const char *path, const char *method, char *tail, size_t cap)
{
	const route *other = NULL;
	for (const route *r = table; r < table + sizeof table / sizeof *table; r++) {
		const char *hole = strstr(r->path, "{id}");
		size_t n = hole ? (size_t)(hole - r->path) : 0;
		tail[0] = 0;
		if (!hole && strcmp(path, r->path) == 0) {
			other = r;
			if (method_fits(r, method))
				return r;
		}
		if (hole && strncmp(path, r->path, n) == 0 && path[n] && percent_decode(tail, cap, path + n))
			return r;
	}
	return other;
}

static bool content_is_json(const http_exchange *x)
{
	static const char json[] = "application/json";
	const char *type = http_header(x, "Content-Type");
	if (!type || strncasecmp(type, json, sizeof json - 1) != 0)
		return false;
	const char *rest = type + sizeof json - 1;
	rest += strspn(rest, " \t");
	return *rest == 0 || *rest == ';';
}

static int refuse_method(request *q, const route *r, sn_error *err)
{
	bool get = false, post = false;
	for (const route *o = table; o < table + sizeof table / sizeof *table; o++)
		if (strcmp(o->path, r->path) == 0)
			*(strcmp(o->method, "GET") == 0 ? &get : &post) = true;
	http_add_header(q->x, "Allow", get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : "POST");
	return fault_set(err, FAULT_METHOD, NULL, "this route takes %s", get && post ? "GET and POST" : r->method);
}

static int route_check(request *q, const route *r, sn_error *err)
{
	char admin[AUTH_ID_SIZE];
	q->is_admin = auth_needed(q->api->admin) && auth_check(q->api->admin, q->x, admin);
	if (!(r && r->open) && !auth_check(q->api->auth, q->x, q->caller) && !q->is_admin) {
		http_add_header(q->x, "WWW-Authenticate", "Bearer");
		return fault_set(err, FAULT_UNAUTHORIZED, NULL, "a valid API key is needed, as `Authorization: Bearer KEY` or `x-api-key: KEY`");
	}
	if (!r)
		return fault_set(err, FAULT_NO_ROUTE, NULL, "there is no such route");
	if (q->is_admin && !*q->caller)
		memcpy(q->caller, admin, sizeof admin);
	if (!method_fits(r, http_method(q->x)))
		return refuse_method(q, r, err);
	if (strcmp(r->method, "POST") == 0 && !(r->form ? multipart_is_form(http_header(q->x, "Content-Type")) : content_is_json(q->x)))
		return fault_set(err, FAULT_CONTENT_TYPE, NULL, "the body must be sent as Content-Type: %s", r->form ? "multipart/form-data" : "application/json");
	return SN_OK;
}

void routes_handle(void *ctx, http_exchange *x)
{
	char tail[256];
	sn_error err;
	request q = {.api = ctx, .x = x, .tail = tail};
	const route *r = route_find(http_path(x), http_method(x), tail, sizeof tail);
	http_set_route(x, r ? r->path : "other");
	if (route_check(&q, r, &err) != SN_OK)
		http_send_error(x, &err);
	else
		r->endpoint(&q);
}

void routes_finished(void *ctx, const char *route_label, int http_status)
{
	api *a = ctx;
	size_t i = 0, n = sizeof table / sizeof *table;
	while (i < n && strcmp(table[i].path, route_label) != 0)
		i++;
	stats_count(&a->stats, i < n ? table[i].path : "other", http_status);
}
