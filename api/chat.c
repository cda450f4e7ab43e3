/* chat.c - POST /v1/chat/completions: body -> sn_chat_submit -> events -> JSON or SSE.
 *
 * The headers of a stream wait for its first event, so that what fails before the first token is an HTTP status. After
 * that an error is an event of the stream. The client's socket is looked at between events, streaming or not. */
#include <string.h>

#include "api.h"
#include "chat_parse.h"
#include "chat_render.h"
#include "fault.h"
#include "sse.h"

#define POLL_MS 100 /* how late a disconnect may be seen */
#define MAX_MEDIA_BYTES (20u << 20)

typedef struct chat_job {
	request *r;
	sn_request *engine_request;
	chat_render render;
	uint32_t n; /* choices */
	bool stream, include_usage;
} chat_job;

/* The next event that is not NONE; false when the client is gone. */
static bool next_event(chat_job *j, sn_event *ev)
{
	while (sn_request_next(j->engine_request, POLL_MS, ev) == SN_EVENT_NONE)
		if (http_client_gone(j->r->x))
			return false;
	return !http_client_gone(j->r->x);
}

static void give_up(chat_job *j)
{
	sn_request_cancel(j->engine_request);
	http_abandon(j->r->x);
}

static void answer_whole(chat_job *j)
{
	chat_choice choices[SN_MAX_CHOICES] = {0};
	out_buf body = {0};
	sn_event ev;
	bool here;
	while ((here = next_event(j, &ev)) && (ev.kind == SN_EVENT_TEXT || ev.kind == SN_EVENT_CHOICE_DONE)) {
		chat_choice *c = &choices[ev.choice];
		if (ev.kind == SN_EVENT_CHOICE_DONE) {
			c->finish = ev.finish;
			continue;
		}
		out_bytes(&c->text, ev.text, ev.size);
		chat_render_logprobs(&c->logprobs, ev.logprobs, ev.n_logprobs, c->logprobs.size == 0);
	}
	if (!here) {
		give_up(j);
	} else if (ev.kind == SN_EVENT_ERROR) {
		http_send_error(j->r->x, &ev.error);
	} else {
		chat_render_whole(&body, &j->render, choices, j->n, &ev.usage);
		http_send_out(j->r->x, "application/json", &body);
	}
	for (uint32_t i = 0; i < j->n; i++) {
		out_fini(&choices[i].text);
		out_fini(&choices[i].logprobs);
	}
	out_fini(&body);
}

static bool send_chunk(chat_job *j, out_buf *chunk)
{
	bool ok = sse_event(j->r->x, chunk);
	chunk->size = 0;
	return ok;
}

static bool send_last(chat_job *j, out_buf *chunk, const sn_event *ev)
{
	if (ev->kind == SN_EVENT_ERROR || j->include_usage) {
		if (ev->kind == SN_EVENT_ERROR)
			fault_render(chunk, &ev->error);
		else
			chat_render_usage(chunk, &j->render, &ev->usage);
		if (!send_chunk(j, chunk))
			return false;
	}
	sse_done(j->r->x);
	return true;
}

static bool send_roles(chat_job *j, out_buf *chunk)
{
	for (uint32_t i = 0; i < j->n; i++) {
		chat_render_role(chunk, &j->render, i);
		if (!send_chunk(j, chunk))
			return false;
	}
	return true;
}

static void answer_stream(chat_job *j)
{
	sn_event ev;
	if (!next_event(j, &ev)) {
		give_up(j);
		return;
	}
	if (ev.kind == SN_EVENT_ERROR) {
		http_send_error(j->r->x, &ev.error);
		return;
	}
	out_buf chunk = {0};
	bool here = sse_begin(j->r->x) && send_roles(j, &chunk);
	while (here && (ev.kind == SN_EVENT_TEXT || ev.kind == SN_EVENT_CHOICE_DONE)) {
		if (ev.kind == SN_EVENT_TEXT)
			chat_render_text(&chunk, &j->render, &ev);
		else
			chat_render_finish(&chunk, &j->render, &ev);
		here = send_chunk(j, &chunk) && next_event(j, &ev);
	}
	if (!here || !send_last(j, &chunk, &ev))
		give_up(j);
	out_fini(&chunk);
}

static const char *served_name(const api *a, const char *asked)
{
	const sn_model_info *models;
	size_t n = sn_engine_models(a->engine, &models);
	for (size_t i = 0; asked && i < n; i++)
		if (strcmp(models[i].name, asked) == 0)
			return models[i].name;
	return n ? models[0].name : "";
}

static bool client_gone(void *x) { return http_client_gone(x); }

static int submit(chat_job *j, sn_error *err)
{
	request *r = j->r;
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
	j->n = body.chat.sampling.n;
	j->stream = body.stream;
	j->include_usage = body.include_usage;
	chat_render_init(&j->render, served_name(r->api, body.chat.model));
	j->render.logprobs = body.chat.sampling.logprobs;
	j->render.usage_in_stream = body.include_usage;
	rc = sn_chat_submit(r->api->engine, &body.chat, &j->engine_request, err);
	chat_body_fini(&body);
	return rc;
}

static int admit(api *a, sn_error *err)
{
	if (atomic_load(&a->draining))
		return fault_set(err, SN_ERR_DRAINING, NULL, "the server is shutting down");
	if (!atomic_load(&a->loaded))
		return fault_set(err, SN_ERR_DRAINING, NULL, "the model is still loading");
	return SN_OK;
}

void chat_endpoint(request *r)
{
	chat_job j = {.r = r};
	sn_error err;
	unsigned others = atomic_fetch_add(&r->api->in_flight, 1);
	int rc = admit(r->api, &err);
	if (rc == SN_OK && others >= r->api->max_in_flight)
		rc = fault_set(&err, SN_ERR_QUEUE_FULL, NULL, "too many requests at once; try again later");
	if (rc == SN_OK)
		rc = submit(&j, &err);
	if (rc != SN_OK)
		http_send_error(r->x, &err);
	else if (j.stream)
		answer_stream(&j);
	else
		answer_whole(&j);
	if (j.engine_request)
		sn_request_close(&j.engine_request);
	atomic_fetch_sub(&r->api->in_flight, 1);
}
