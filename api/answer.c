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
	sum->video_sound_ignored |= u->video_sound_ignored;
}

/* Looks at each open request, beginning behind the one that spoke last; if none has anything to say, waits for one of them. */
static sn_event_kind ask_all(answer *a, size_t *which, sn_event *ev)
{
	bool alone = a->n_open == 1 && !a->voice.narrator;
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

typedef enum answer_kind {
	ANSWER_NONE,        /* nothing yet; as a result: the client is gone */
	ANSWER_TEXT,        /* of any choice; a voice's words are in voice.words */
	ANSWER_CHOICE_DONE, /* likewise */
	ANSWER_SOUND,       /* voice.sound has grown */
	ANSWER_DONE,        /* all requests are over, and what there is to be spoken is */
	ANSWER_ERROR
} answer_kind;

static answer_kind fail(sn_event *ev)
{
	ev->kind = SN_EVENT_ERROR;
	return ANSWER_ERROR;
}

static answer_kind next_of_requests(answer *a, uint32_t *choice, sn_event *ev)
{
	size_t i = 0;
	switch (ask_all(a, &i, ev)) {
	case SN_EVENT_NONE:
		break;
	case SN_EVENT_TEXT:
	case SN_EVENT_CHOICE_DONE:
		*choice = (uint32_t)i * a->n + ev->choice;
		bool end = ev->kind == SN_EVENT_CHOICE_DONE;
		if (a->voice.narrator && answer_voice_hear(&a->voice, end ? "" : ev->text, end ? 0 : ev->size, end, &ev->error) != SN_OK)
			return fail(ev);
		return end ? ANSWER_CHOICE_DONE : ANSWER_TEXT;
	case SN_EVENT_DONE:
		usage_add(&a->usage, &ev->usage);
		sn_request_close(&a->requests[i]);
		a->n_open--;
		break;
	case SN_EVENT_ERROR:
		return ANSWER_ERROR;
	}
	return ANSWER_NONE;
}

static answer_kind next_of_voice(answer *a, sn_event *ev)
{
	switch (answer_voice_next(&a->voice, a->n_open ? 0 : POLL_MS, &ev->error)) {
	case NARRATOR_NONE:
		break;
	case NARRATOR_BYTES:
	case NARRATOR_DONE:
		return ANSWER_SOUND;
	case NARRATOR_ERROR:
		return fail(ev);
	}
	return ANSWER_NONE;
}

static answer_kind next_event(answer *a, uint32_t *choice, sn_event *ev)
{
	while (!http_client_gone(a->r->x)) {
		bool speaks = a->voice.narrator && !a->voice.over;
		answer_kind kind = a->n_open ? next_of_requests(a, choice, ev) : ANSWER_NONE;
		if (kind == ANSWER_NONE && speaks)
			kind = next_of_voice(a, ev);
		if (kind == ANSWER_NONE && !a->n_open && (!a->voice.narrator || a->voice.over))
			kind = ANSWER_DONE;
		if (kind != ANSWER_NONE)
			return http_client_gone(a->r->x) ? ANSWER_NONE : kind;
	}
	return ANSWER_NONE;
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

/* Tokens of sound are of the completion; the words that the speaker was told are counted once, as text. */
static void usage_render(out_buf *o, const answer *a)
{
	const sn_usage *u = &a->usage;
	uint32_t sound = a->voice.usage.completion_tokens;
	out_fmt(o, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%llu,\"total_tokens\":%llu,\"prompt_tokens_details\":{\"cached_tokens\":%u%s}",
	        u->prompt_tokens, (unsigned long long)u->completion_tokens + sound, (unsigned long long)u->prompt_tokens + u->completion_tokens + sound,
	        u->cached_tokens, u->video_sound_ignored ? ",\"video_sound_ignored\":true" : "");
	if (a->voice.narrator)
		out_fmt(o, ",\"completion_tokens_details\":{\"text_tokens\":%u,\"audio_tokens\":%u}", u->completion_tokens, sound);
	out_text(o, "}}");
}

/* What a choice says goes to its text, or is parted. */
static void hear(answer_choice *c, bool end, const sn_event *ev)
{
	if (!c->split && !end)
		out_bytes(&c->text, ev->text, ev->size);
	if (c->split && !end)
		chat_split_feed(c->split, ev->text, ev->size);
	if (c->split && end)
		chat_split_end(c->split);
}

static void answer_whole(answer *a)
{
	uint32_t choice, n = (uint32_t)a->n_prompts * a->n;
	sn_event ev;
	answer_kind kind;
	while ((kind = next_event(a, &choice, &ev)) == ANSWER_TEXT || kind == ANSWER_CHOICE_DONE || kind == ANSWER_SOUND) {
		if (kind == ANSWER_SOUND) /* is kept where it is */
			continue;
		answer_choice *c = &a->choices[choice];
		if (a->voice.narrator)
			out_bytes(&c->text, a->voice.words.data, a->voice.words.size);
		else
			hear(c, kind == ANSWER_CHOICE_DONE, &ev);
		if (kind == ANSWER_CHOICE_DONE)
			c->finish = ev.finish;
		else if (a->logprobs)
			a->form->logprobs(c, ev.logprobs, ev.n_logprobs);
	}
	if (kind == ANSWER_NONE) {
		give_up(a);
		return;
	}
	if (kind == ANSWER_ERROR) {
		http_send_error(a->r->x, &ev.error);
		return;
	}
	out_buf body = {0};
	head(&body, a, a->form->object);
	for (uint32_t i = 0; i < n; i++) {
		out_text(&body, i ? "," : "");
		a->form->choice(&body, a, i);
		body.failed |= a->choices[i].text.failed || (a->choices[i].split && chat_split_failed(a->choices[i].split));
	}
	out_text(&body, "]");
	usage_render(&body, a);
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

static bool send_text(answer *a, out_buf *chunk, uint32_t choice, const sn_event *ev)
{
	answer_choice *c = &a->choices[choice];
	for (size_t i = 0; i < ANSWER_LISTS; i++)
		c->lists[i].size = 0;
	if (a->logprobs && ev->kind == SN_EVENT_TEXT)
		a->form->logprobs(c, ev->logprobs, ev->n_logprobs);
	head(chunk, a, a->form->chunk);
	a->form->text(chunk, a, choice, ev);
	chunk_end(chunk, a);
	return send_chunk(a, chunk);
}

static bool send_close(answer *a, out_buf *chunk, uint32_t choice, const sn_event *ev)
{
	head(chunk, a, a->form->chunk);
	a->form->close(chunk, a, choice, ev);
	chunk_end(chunk, a);
	return send_chunk(a, chunk);
}

/* What is ready of the sound, in whole samples whose base64 can be joined before it is decoded; when it is over, all of it and its end. */
static bool send_sound(answer *a, out_buf *chunk)
{
	enum { GROUP = 6 }; /* bytes */
	out_buf *sound = &a->voice.sound;
	size_t take = a->voice.over ? sound->size : sound->size / GROUP * GROUP;
	for (int round = take ? 0 : 1; round < (a->voice.over ? 2 : 1); round++) {
		head(chunk, a, a->form->chunk);
		a->form->sound(chunk, a, sound->data, round == 0 ? take : 0);
		chunk_end(chunk, a);
		if (!send_chunk(a, chunk))
			return false;
	}
	out_drop(sound, take);
	return true;
}

/* With a voice the choice ends behind its sound: done keeps its CHOICE_DONE until then. */
static bool send_event(answer *a, out_buf *chunk, answer_kind kind, uint32_t choice, const sn_event *ev, sn_event *done)
{
	bool speaks = a->voice.narrator, here = true;
	chat_split *split = kind == ANSWER_SOUND ? NULL : a->choices[choice].split;
	if (kind == ANSWER_SOUND)
		return send_sound(a, chunk) && (!a->voice.over || send_close(a, chunk, 0, done));
	if (split) {
		hear(&a->choices[choice], kind == ANSWER_CHOICE_DONE, ev);
		chunk->failed |= chat_split_failed(split);
		if (chat_split_has(split) || (kind == ANSWER_TEXT && a->logprobs))
			here = send_text(a, chunk, choice, ev);
	} else if (kind == ANSWER_TEXT ? !speaks || a->voice.words.size || a->logprobs : speaks && a->voice.words.size) {
		here = send_text(a, chunk, choice, ev);
	}
	if (kind == ANSWER_CHOICE_DONE && speaks)
		*done = *ev;
	return here && (kind != ANSWER_CHOICE_DONE || speaks || send_close(a, chunk, choice, ev));
}

static bool send_last(answer *a, out_buf *chunk, answer_kind kind, const sn_event *ev)
{
	if (kind == ANSWER_ERROR)
		return sse_fail(a->r->x, &ev->error);
	if (a->include_usage) {
		head(chunk, a, a->form->chunk);
		out_text(chunk, "]");
		usage_render(chunk, a);
	}
	if (chunk->size && !send_chunk(a, chunk))
		return false;
	sse_done(a->r->x);
	return true;
}

static void answer_stream(answer *a)
{
	sn_event ev, done = {.kind = SN_EVENT_NONE};
	uint32_t choice = 0;
	answer_kind kind = next_event(a, &choice, &ev);
	if (kind == ANSWER_NONE) {
		give_up(a);
		return;
	}
	if (kind == ANSWER_ERROR) {
		http_send_error(a->r->x, &ev.error);
		return;
	}
	out_buf chunk = {0};
	bool here = sse_begin(a->r->x) && send_first(a, &chunk);
	while (here && kind != ANSWER_DONE && kind != ANSWER_ERROR) {
		here = send_event(a, &chunk, kind, choice, &ev, &done);
		if (here)
			here = (kind = next_event(a, &choice, &ev)) != ANSWER_NONE;
	}
	if (!here || !send_last(a, &chunk, kind, &ev))
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
		chat_split_close(&a->choices[i].split);
		for (size_t k = 0; k < ANSWER_LISTS; k++)
			out_fini(&a->choices[i].lists[k]);
	}
	answer_voice_fini(&a->voice);
	tools_close(&a->tools);
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
