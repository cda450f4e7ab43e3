/* transcriptions.c - POST /v1/audio/transcriptions and /v1/audio/translations: form -> scribe -> text, JSON, subtitles or events. */
#include "admission.h"
#include "fault.h"
#include "languages.h"
#include "scribe.h"
#include "sse.h"

#define POLL_MS 100 /* how late a disconnect may be seen */

typedef struct answer_parts {
	out_buf text;            /* the whole */
	out_buf segments, words; /* insides of JSON lists */
	out_buf cues;            /* of subtitles */
} answer_parts;

/* The next event that says something; NONE: the client is gone. */
static scribe_kind next_event(request *r, scribe *s, scribe_event *ev)
{
	while (!http_client_gone(r->x))
		if (scribe_next(s, POLL_MS, ev) != SCRIBE_NONE)
			return http_client_gone(r->x) ? SCRIBE_NONE : ev->kind;
	return SCRIBE_NONE;
}

static void gather(answer_parts *p, const transcription_body *b, const scribe_event *ev)
{
	out_bytes(&p->text, ev->text, ev->size);
	if (!ev->segment)
		return;
	if (b->form == TRANSCRIPT_SRT)
		transcript_srt(&p->cues, ev->segment);
	if (b->form == TRANSCRIPT_VTT)
		transcript_vtt(&p->cues, ev->segment);
	if (b->form == TRANSCRIPT_VERBOSE && b->segments)
		transcript_segment(&p->segments, ev->segment);
	if (b->form == TRANSCRIPT_VERBOSE && b->words)
		transcript_words(&p->words, ev->segment);
}

/* By time if the model tells it, as OpenAI's whisper-1, else by tokens, as its newer ones. */
static void usage(out_buf *o, const scribe_event *done)
{
	if (done->duration >= 0)
		transcript_usage_seconds(o, done->duration);
	else
		transcript_usage_tokens(o, &done->usage);
}

static void json_list(out_buf *o, const char *name, const out_buf *inside)
{
	out_fmt(o, ",\"%s\":[", name);
	out_bytes(o, inside->data, inside->size);
	out_text(o, "]");
}

static void json_render(out_buf *o, const answer_parts *p, const transcription_body *b, bool translate, const scribe_event *done)
{
	out_text(o, "{");
	if (b->form == TRANSCRIPT_VERBOSE) {
		out_fmt(o, "\"task\":\"%s\",\"language\":", translate ? "translate" : "transcribe");
		out_json_text(o, translate ? "english" : language_name(done->language));
		out_text(o, ",\"duration\":");
		transcript_number(o, done->duration);
		out_text(o, ",");
	}
	out_text(o, "\"text\":");
	out_json(o, p->text.data, p->text.size);
	if (b->form == TRANSCRIPT_VERBOSE && b->segments)
		json_list(o, "segments", &p->segments);
	if (b->form == TRANSCRIPT_VERBOSE && b->words)
		json_list(o, "words", &p->words);
	out_text(o, ",");
	usage(o, done);
	out_text(o, "}");
}

static void send_whole(request *r, scribe *s, const transcription_body *b, bool translate)
{
	answer_parts p = {.text = {0}};
	scribe_event ev;
	scribe_kind kind;
	out_buf body = {0};
	const char *type = "text/plain; charset=utf-8";
	while ((kind = next_event(r, s, &ev)) == SCRIBE_TEXT)
		gather(&p, b, &ev);
	if (kind == SCRIBE_NONE) {
		http_abandon(r->x);
	} else if (kind == SCRIBE_ERROR) {
		http_send_error(r->x, &ev.error);
	} else {
		out_bytes(&p.text, ev.text, ev.size);
		switch (b->form) {
		case TRANSCRIPT_JSON:
		case TRANSCRIPT_VERBOSE:
			type = "application/json";
			json_render(&body, &p, b, translate, &ev);
			break;
		case TRANSCRIPT_TEXT:
			out_bytes(&body, p.text.data, p.text.size);
			out_text(&body, "\n");
			break;
		case TRANSCRIPT_VTT:
			out_text(&body, TRANSCRIPT_VTT_HEAD);
			out_bytes(&body, p.cues.data, p.cues.size);
			break;
		case TRANSCRIPT_SRT:
			out_bytes(&body, p.cues.data, p.cues.size);
			break;
		}
		body.failed |= p.text.failed || p.segments.failed || p.words.failed || p.cues.failed;
		http_send_out(r->x, type, &body);
	}
	out_fini(&body);
	out_fini(&p.text);
	out_fini(&p.segments);
	out_fini(&p.words);
	out_fini(&p.cues);
}

/* ---- a stream ------------------------------------------------------------------------------------------------------- */

static bool send_delta(request *r, const scribe_event *ev)
{
	out_buf o = {0};
	out_text(&o, "{\"type\":\"transcript.text.delta\",\"delta\":");
	out_json(&o, ev->text, ev->size);
	out_text(&o, "}");
	bool here = sse_event(r->x, &o);
	out_fini(&o);
	return here;
}

static bool send_last(request *r, const out_buf *text, const scribe_event *ev)
{
	out_buf o = {0};
	if (ev->kind == SCRIBE_ERROR)
		return sse_fail(r->x, &ev->error);
	out_text(&o, "{\"type\":\"transcript.text.done\",\"text\":");
	out_json(&o, text->data, text->size);
	out_text(&o, ",");
	transcript_usage_tokens(&o, &ev->usage); /* OpenAI's events know no other kind */
	out_text(&o, "}");
	o.failed |= text->failed;
	bool here = sse_event(r->x, &o);
	out_fini(&o);
	if (here)
		sse_done(r->x);
	return here;
}

/* The headers wait for the first event, so that what fails before it is an HTTP status. */
static void send_stream(request *r, scribe *s)
{
	out_buf text = {0};
	scribe_event ev;
	scribe_kind kind = next_event(r, s, &ev);
	if (kind == SCRIBE_ERROR) {
		http_send_error(r->x, &ev.error);
		return;
	}
	bool here = kind != SCRIBE_NONE && sse_begin(r->x);
	while (here && kind != SCRIBE_ERROR) {
		out_bytes(&text, ev.text, ev.size);
		here = !ev.size || send_delta(r, &ev);
		if (kind == SCRIBE_DONE)
			break;
		if (here)
			here = (kind = next_event(r, s, &ev)) != SCRIBE_NONE;
	}
	if (!here || !send_last(r, &text, &ev))
		http_abandon(r->x);
	out_fini(&text);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static void endpoint(request *r, bool translate)
{
	transcription_body b = {.root = NULL};
	scribe *s = NULL;
	const char *data;
	size_t size;
	sn_error err;
	int rc = admission_enter(r->api, &err);
	if (rc == SN_OK)
		rc = http_read_body(r->x, &data, &size, &err);
	if (rc == SN_OK)
		rc = transcription_body_parse(&b, http_header(r->x, "Content-Type"), data, size, &err);
	if (rc == SN_OK)
		rc = scribe_open(&s, r, &b, translate, &err);
	http_release_body(r->x);
	if (rc != SN_OK)
		http_send_error(r->x, &err);
	else if (b.stream)
		send_stream(r, s);
	else
		send_whole(r, s, &b, translate);
	scribe_close(&s);
	transcription_body_fini(&b);
	admission_leave(r->api);
}

void transcriptions_endpoint(request *r)
{
	endpoint(r, false);
}

void translations_endpoint(request *r)
{
	endpoint(r, true);
}
