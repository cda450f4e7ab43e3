#include "scribe.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "languages.h"
#include "reasoning.h"

#define KIND "audio"

struct scribe {
	sn_transcript *transcript; /* or */
	sn_request *request;
	reasoning reasoning;
	out_buf clean, text; /* of the last event: without thinking; and without the blanks at both ends of the whole */
	out_buf blanks;      /* that came last: dropped if nothing follows */
	bool begun;
	sn_transcript_event told;
};

/* ---- which model, and what it can ---------------------------------------------------------------------------------- */

static bool hears(const sn_model_info *m)
{
	for (size_t i = 0; i < SN_MAX_MODALITIES && m->modalities[i]; i++)
		if (strcmp(m->modalities[i], KIND) == 0)
			return true;
	return false;
}

static int model_find(const sn_model_info **out, const api *a, const char *name, sn_error *err)
{
	const sn_model_info *models, *m = NULL;
	size_t n = sn_engine_models(a->engine, &models);
	for (size_t i = 0; i < n && !m && name; i++)
		m = strcmp(models[i].name, name) == 0 ? &models[i] : NULL;
	if (name && !m)
		return fault_set(err, SN_ERR_NOT_FOUND, "model", "there is no such model here");
	for (size_t i = 0; i < n && !m; i++)
		m = models[i].transcribes ? &models[i] : NULL;
	for (size_t i = 0; i < n && !m; i++)
		m = hears(&models[i]) ? &models[i] : NULL;
	if (!m || (!m->transcribes && !hears(m)))
		return fault_set(err, SN_ERR_UNSUPPORTED, "model", "%s (see GET /v1/models)",
		                 name ? "the model neither transcribes nor takes audio" : "there is no model here that transcribes or takes audio");
	*out = m;
	return SN_OK;
}

/* ---- a chat -------------------------------------------------------------------------------------------------------- */

/* Short, because small models know few ways to be asked. */
static void instruction(out_buf *o, const transcription_body *b, bool translate)
{
	out_text(o, translate ? "Translate what is said into English." : "Transcribe.");
	if (b->language)
		out_fmt(o, " It is in %s.", language_name(b->language));
	if (b->prompt_size) {
		out_text(o, " These words came before or are likely: ");
		out_bytes(o, b->prompt, b->prompt_size);
	}
}

static int open_chat(scribe *s, request *r, const transcription_body *b, const sn_model_info *m, const sn_part *recording, bool translate, sn_error *err)
{
	static const sn_chat_var no_thinking = {.name = "enable_thinking", .kind = SN_VAR_BOOL, .b = false};
	out_buf words = {0};
	if (b->form != TRANSCRIPT_JSON && b->form != TRANSCRIPT_TEXT)
		return fault_set(err, SN_ERR_UNSUPPORTED, "response_format", "this model tells no times: response_format is json or text");
	instruction(&words, b, translate);
	const sn_part parts[] = {*recording, {.kind = SN_PART_TEXT, .data = words.data, .size = words.size}};
	const sn_message message = {.role = "user", .parts = parts, .n_parts = 2};
	sn_chat chat = {.request_id = http_request_id(r->x), .model = m->name, .cache_key = *r->caller ? r->caller : NULL, .cache_salt = b->cache_salt,
	                .messages = &message, .n_messages = 1, .vars = &no_thinking, .n_vars = 1,
	                .timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000)};
	sn_sampling_init(&chat.sampling);
	chat.sampling.temperature = b->temperature;
	chat.sampling.seed = b->seed;
	chat.sampling.has_seed = b->has_seed;
	int rc = words.failed ? fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the request") : reasoning_begin(&s->reasoning, r->api->engine, &chat, err);
	if (rc == SN_OK)
		rc = sn_chat_submit(r->api->engine, &chat, &s->request, err);
	out_fini(&words);
	if (rc != SN_OK && strncmp(err->param, "messages", 8) == 0) /* there are none in this request */
		snprintf(err->param, sizeof err->param, "file");
	return rc;
}

/* ---- both ---------------------------------------------------------------------------------------------------------- */

static int open_transcript(scribe *s, request *r, const transcription_body *b, const sn_model_info *m, const sn_part *recording, bool translate,
                           sn_error *err)
{
	const sn_transcription t = {.request_id = http_request_id(r->x), .model = m->name, .cache_key = *r->caller ? r->caller : NULL,
	                            .cache_salt = b->cache_salt, .part = *recording, .language = b->language, .translate = translate, .prompt = b->prompt,
	                            .prompt_size = b->prompt_size, .temperature = b->temperature, .seed = b->seed, .has_seed = b->has_seed,
	                            .stamps = b->form == TRANSCRIPT_VERBOSE || b->form == TRANSCRIPT_SRT || b->form == TRANSCRIPT_VTT, .words = b->words,
	                            .timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000)};
	return sn_transcript_submit(r->api->engine, &t, &s->transcript, err);
}

int scribe_open(scribe **out, request *r, const transcription_body *b, bool translate, sn_error *err)
{
	const sn_part recording = {.kind = SN_PART_MEDIA, .kind_name = KIND, .data = b->file.data, .size = b->file.size};
	const sn_model_info *m = NULL;
	int rc = model_find(&m, r->api, b->model, err);
	scribe *s = rc == SN_OK ? calloc(1, sizeof *s) : NULL;
	if (rc == SN_OK && !s)
		rc = fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the request");
	if (rc == SN_OK)
		rc = (m->transcribes ? open_transcript : open_chat)(s, r, b, m, &recording, translate, err);
	if (rc != SN_OK)
		scribe_close(&s);
	*out = s;
	return rc;
}

void scribe_close(scribe **ps)
{
	scribe *s = *ps;
	if (!s)
		return;
	if (s->transcript)
		sn_transcript_close(&s->transcript);
	if (s->request)
		sn_request_close(&s->request);
	out_fini(&s->clean);
	out_fini(&s->text);
	out_fini(&s->blanks);
	free(s);
	*ps = NULL;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Without blanks before the first word; those that come last wait for what follows. */
static void settle(scribe *s, const char *text, size_t size)
{
	size_t skip = 0, end = size;
	while (!s->begun && skip < size && is_blank(text[skip]))
		skip++;
	while (end > skip && is_blank(text[end - 1]))
		end--;
	if (end > skip) {
		out_bytes(&s->text, s->blanks.data, s->blanks.size);
		out_bytes(&s->text, text + skip, end - skip);
		s->blanks.size = 0;
		s->begun = true;
	}
	if (s->begun)
		out_bytes(&s->blanks, text + end, size - end);
}

static scribe_kind tell_text(scribe *s, scribe_event *ev, scribe_kind kind)
{
	*ev = (scribe_event){.kind = kind, .text = s->text.size ? s->text.data : "", .size = s->text.size, .language = "", .duration = -1};
	if (s->text.failed || s->blanks.failed || s->clean.failed) {
		ev->kind = SCRIBE_ERROR;
		fault_set(&ev->error, SN_ERR_NOMEM, NULL, "no memory for the answer");
	}
	return ev->kind;
}

static scribe_kind tell_error(scribe_event *ev, const sn_error *err)
{
	*ev = (scribe_event){.kind = SCRIBE_ERROR, .error = *err};
	return ev->kind;
}

static scribe_kind next_of_transcript(scribe *s, int timeout_ms, scribe_event *ev)
{
	switch (sn_transcript_next(s->transcript, timeout_ms, &s->told)) {
	case SN_TRANSCRIPT_NONE:
		break;
	case SN_TRANSCRIPT_SEGMENT:
		settle(s, s->told.segment.text, s->told.segment.size);
		tell_text(s, ev, SCRIBE_TEXT);
		ev->segment = &s->told.segment;
		return ev->kind;
	case SN_TRANSCRIPT_DONE:
		tell_text(s, ev, SCRIBE_DONE);
		ev->language = s->told.language ? s->told.language : "";
		ev->duration = s->told.duration;
		ev->usage = s->told.usage;
		return ev->kind;
	case SN_TRANSCRIPT_ERROR:
		return tell_error(ev, &s->told.error);
	}
	return ev->kind = SCRIBE_NONE;
}

static scribe_kind next_of_chat(scribe *s, int timeout_ms, scribe_event *ev)
{
	sn_event one;
	switch (sn_request_next(s->request, timeout_ms, &one)) {
	case SN_EVENT_NONE:
	case SN_EVENT_CHOICE_DONE: /* there is one choice: DONE follows */
		break;
	case SN_EVENT_TEXT:
		reasoning_feed(&s->reasoning, &s->clean, one.text, one.size);
		settle(s, s->clean.data, s->clean.size);
		return tell_text(s, ev, SCRIBE_TEXT);
	case SN_EVENT_DONE:
		reasoning_end(&s->reasoning, &s->clean);
		settle(s, s->clean.data, s->clean.size);
		tell_text(s, ev, SCRIBE_DONE);
		ev->usage = one.usage;
		return ev->kind;
	case SN_EVENT_ERROR:
		return tell_error(ev, &one.error);
	}
	return ev->kind = SCRIBE_NONE;
}

scribe_kind scribe_next(scribe *s, int timeout_ms, scribe_event *ev)
{
	s->text.size = s->clean.size = 0;
	return s->transcript ? next_of_transcript(s, timeout_ms, ev) : next_of_chat(s, timeout_ms, ev);
}
