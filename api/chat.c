/* chat.c - POST /v1/chat/completions: body -> sn_chat_submit -> an answer (answer.h). */
#include "chat_parse.h"
#include "forms.h"

#define MAX_MEDIA_BYTES (20u << 20)

static bool client_gone(void *x) { return http_client_gone(x); }

static int submit(answer *a, sn_error *err)
{
	request *r = a->r;
	const char *data;
	size_t size;
	chat_body body;
	int rc = http_read_body(r->x, &data, &size, err);
	if (rc != SN_OK)
		return rc;
	media_reader reader = {.sources = r->api->media, .gone = client_gone, .ctx = r->x};
	const chat_limits limits = {.options = r->api->options, .media_bytes = MAX_MEDIA_BYTES, .engine = r->api->engine, .reader = &reader};
	rc = chat_body_parse(&body, data, size, &limits, err);
	http_release_body(r->x);
	if (rc != SN_OK)
		return rc;
	body.chat.request_id = http_request_id(r->x);
	body.chat.cache_key = *r->caller ? r->caller : NULL;
	body.chat.timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000);
	rc = answer_begin(a, &body.generation, 1, err);
	if (rc == SN_OK)
		rc = sn_chat_submit(r->api->engine, &body.chat, &a->requests[0], err);
	chat_body_fini(&body);
	return rc;
}

void chat_endpoint(request *r)
{
	answer_endpoint(r, &chat_form, submit);
}
