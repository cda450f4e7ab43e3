#include "answer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admission.h"
#include "fault.h"
#include "sse.h"

#define FINGERPRINT "sensorium-" SN_VERSION
#define POLL_MS 100      /* how late a disconnect may be seen */
#define POLL_SHARED_MS 2 /* how late the event of another prompt of the batch may be seen */

/* ---- events -------------------------------------------------------------------------------------------------------- */

static void usage_add(sn_usage *sum, const sn_usage *u)
{
	sum->prompt_tokens += u->prompt_tokens;
	sum->completion_tokens += u->completion_tokens;
	sum->cached_tokens += u->cached_tokens;
	sum->media_rows += u->media_rows;
}

/* Looks at each open request, beginning behind the one that spoke last; if none has anything to say, waits for one of them. */
static sn_event_kind ask_all(answer *a, size_t *which, sn_event *ev)
{
	bool alone = a->n_open == 1;
	for (size_t k = alone ? a->n_prompts : 0; k < 2 * a->n_prompts; k++) {
		size_t i = (a->turn + k) % a->n_prompts;
		if (!a->requests[i])
			continue;
		int patience = alone ? POLL_MS : k < a->n_prompts ? 0 : POLL_SHARED_MS;
		if (sn_request_next(a->requests[i], patience, ev) != SN_EVENT_NONE) {
			*which = i;
			a->turn = i + 1;
			return ev->kind;
		}
		if (patience)
			break;
	}
	return SN_EVENT_NONE;
}

/* The next event of any choice, ERROR, or DONE when all requests are over; NONE: the client is gone. */
static sn_event_kind next_event(answer *a, uint32_t *choice, sn_event *ev)
{
	size_t i = 0;
	while (!http_client_gone(a->r->x)) {
		sn_event_kind kind = ask_all(a, &i, ev);
		if (kind == SN_EVENT_TEXT || kind == SN_EVENT_CHOICE_DONE)
			*choice = (uint32_t)i * a->n + ev->choice;
		if (kind == SN_EVENT_DONE) {
			usage_add(&a->usage, &ev->usage);
			sn_request_close(&a->requests[i]);
			a->n_open--;
		}
		if (kind != SN_EVENT_NONE && (kind != SN_EVENT_DONE || a->n_open == 0))
			return http_client_gone(a->r->x) ? SN_EVENT_NONE : kind;
	}
	return SN_EVENT_NONE;
}

static void give_up(answer *a)
{
	for (size_t i = 0; i < a->n_prompts; i++)
		if (a->requests[i])
			sn_request_cancel(a->requests[i]);
	http_abandon(a->r->x);
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

const char *answer_finish_name(sn_finish f)
{
	return f == SN_FINISH_LENGTH ? "length" : "stop";
}

void answer_list(out_buf *o, const out_buf *inside)
{
	out_text(o, "[");
	out_bytes(o, inside->data, inside->size);
	out_text(o, "]");
	o->failed |= inside->failed;
}

/* Up to the inside of "choices". */
static void head(out_buf *o, const answer *a, const char *object)
{
	out_fmt(o, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", a->id, object, (long long)a->created);
	out_json_text(o, a->model);
	out_text(o, ",\"system_fingerprint\":\"" FINGERPRINT "\",\"choices\":[");
}

static void usage_render(out_buf *o, const sn_usage *u)
{
	out_fmt(o, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu,"
	           "\"prompt_tokens_details\":{\"cached_tokens\":%u}}}",
	        u->prompt_tokens, u->completion_tokens, (unsigned long long)u->prompt_tokens + u->completion_tokens, u->cached_tokens);
}

static void answer_whole(answer *a)
{
	uint32_t choice, n = (uint32_t)a->n_prompts * a->n;
	sn_event ev;
	sn_event_kind kind;
	while ((kind = next_event(a, &choice, &ev)) == SN_EVENT_TEXT || kind == SN_EVENT_CHOICE_DONE) {
		answer_choice *c = &a->choices[choice];
		if (kind == SN_EVENT_CHOICE_DONE) {
			c->finish = ev.finish;
			continue;
		}
		out_bytes(&c->text, ev.text, ev.size);
		if (a->logprobs)
			a->form->logprobs(c, ev.logprobs, ev.n_logprobs);
	}
	if (kind == SN_EVENT_NONE) {
		give_up(a);
		return;
	}
	if (kind == SN_EVENT_ERROR) {
		http_send_error(a->r->x, &ev.error);
		return;
	}
	out_buf body = {0};
	head(&body, a, a->form->object);
	for (uint32_t i = 0; i < n; i++) {
		out_text(&body, i ? "," : "");
		a->form->choice(&body, a, i);
		body.failed |= a->choices[i].text.failed;
	}
	out_text(&body, "]");
	usage_render(&body, &a->usage);
	http_send_out(a->r->x, "application/json", &body);
	out_fini(&body);
}

/* ---- a stream ------------------------------------------------------------------------------------------------------- */

static bool send_chunk(answer *a, out_buf *chunk)
{
	bool ok = sse_event(a->r->x, chunk);
	chunk->size = 0;
	return ok;
}

static void chunk_end(out_buf *o, const answer *a)
{
	out_text(o, a->include_usage ? "],\"usage\":null}" : "]}");
}

static bool send_first(answer *a, out_buf *chunk)
{
	for (uint32_t i = 0; i < a->n_prompts * a->n; i++) {
		chunk->size = 0;
		head(chunk, a, a->form->chunk);
		size_t before = chunk->size;
		a->form->open(chunk, a, i);
		if (chunk->size == before)
			continue;
		chunk_end(chunk, a);
		if (!send_chunk(a, chunk))
			return false;
	}
	chunk->size = 0;
	return true;
}

static bool send_event(answer *a, out_buf *chunk, uint32_t choice, const sn_event *ev)
{
	answer_choice *c = &a->choices[choice];
	for (size_t i = 0; i < ANSWER_LISTS; i++)
		c->lists[i].size = 0;
	if (a->logprobs && ev->kind == SN_EVENT_TEXT)
		a->form->logprobs(c, ev->logprobs, ev->n_logprobs);
	head(chunk, a, a->form->chunk);
	(ev->kind == SN_EVENT_TEXT ? a->form->text : a->form->close)(chunk, a, choice, ev);
	chunk_end(chunk, a);
	return send_chunk(a, chunk);
}

static bool send_last(answer *a, out_buf *chunk, const sn_event *ev)
{
	if (ev->kind == SN_EVENT_ERROR) {
		fault_render(chunk, &ev->error);
	} else if (a->include_usage) {
		head(chunk, a, a->form->chunk);
		out_text(chunk, "]");
		usage_render(chunk, &a->usage);
	}
	if (chunk->size && !send_chunk(a, chunk))
		return false;
	sse_done(a->r->x);
	return true;
}

static void answer_stream(answer *a)
{
	sn_event ev;
	uint32_t choice = 0;
	sn_event_kind kind = next_event(a, &choice, &ev);
	if (kind == SN_EVENT_NONE) {
		give_up(a);
		return;
	}
	if (kind == SN_EVENT_ERROR) {
		http_send_error(a->r->x, &ev.error);
		return;
	}
	out_buf chunk = {0};
	bool here = sse_begin(a->r->x) && send_first(a, &chunk);
	while (here && (kind == SN_EVENT_TEXT || kind == SN_EVENT_CHOICE_DONE)) {
		here = send_event(a, &chunk, choice, &ev);
		if (here)
			here = (kind = next_event(a, &choice, &ev)) != SN_EVENT_NONE;
	}
	if (!here || !send_last(a, &chunk, &ev))
		give_up(a);
	out_fini(&chunk);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static const char *served_name(const api *a, const char *asked)
{
	const sn_model_info *models;
	size_t n = sn_engine_models(a->engine, &models);
	for (size_t i = 0; asked && i < n; i++)
		if (strcmp(models[i].name, asked) == 0)
			return models[i].name;
	return n ? models[0].name : "";
}

int answer_begin(answer *a, const generation *g, size_t n_prompts, sn_error *err)
{
	unsigned char raw[12];
	size_t n = strlen(a->form->id_prefix);
	randombytes_buf(raw, sizeof raw);
	memcpy(a->id, a->form->id_prefix, n);
	sodium_bin2hex(a->id + n, sizeof a->id - n, raw, sizeof raw);
	a->created = time(NULL);
	a->model = served_name(a->r->api, g->model);
	a->n = g->sampling.n;
	a->logprobs = g->sampling.logprobs;
	a->stream = g->stream;
	a->include_usage = g->include_usage;
	a->requests = calloc(n_prompts, sizeof *a->requests);
	a->echo = calloc(n_prompts, sizeof *a->echo);
	a->choices = calloc(n_prompts * a->n, sizeof *a->choices); /* at most 64 * SN_MAX_CHOICES */
	if (!a->requests || !a->echo || !a->choices)
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the answer");
	a->n_prompts = n_prompts;
	return SN_OK;
}

static void answer_fini(answer *a)
{
	for (size_t i = 0; i < a->n_prompts; i++) {
		if (a->requests[i])
			sn_request_close(&a->requests[i]);
		out_fini(&a->echo[i]);
	}
	for (size_t i = 0; i < a->n_prompts * a->n; i++) {
		out_fini(&a->choices[i].text);
		for (size_t k = 0; k < ANSWER_LISTS; k++)
			out_fini(&a->choices[i].lists[k]);
	}
	free(a->requests);
	free(a->echo);
	free(a->choices);
}

void answer_endpoint(request *r, const answer_form *form, int (*submit)(answer *a, sn_error *err))
{
	answer a = {.r = r, .form = form};
	sn_error err;
	int rc = admission_enter(r->api, &err);
	if (rc == SN_OK)
		rc = submit(&a, &err);
	for (size_t i = 0; i < a.n_prompts; i++)
		a.n_open += a.requests[i] != NULL;
	if (rc != SN_OK)
		http_send_error(r->x, &err);
	else if (a.stream)
		answer_stream(&a);
	else
		answer_whole(&a);
	answer_fini(&a);
	admission_leave(r->api);
}
