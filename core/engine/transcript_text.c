/* A window's answer as segments: cut at its stamps, each with its text, times in the recording, and words if they are asked for. A
 * segment that says nothing is none. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "engine/transcript.h"

bool transcript_decode(const sn_transcript *t, const int32_t *tokens, uint32_t n, buf *out)
{
	detok d;
	detok_init(&d, t->model->m->vocab);
	d.drop_blank = false;
	for (uint32_t i = 0; i < n; i++)
		if (tokens[i] < t->how->end)
			detok_push(&d, tokens[i], out);
	return detok_flush(&d, out) && !out->failed;
}

static double later(double a, double b)
{
	return a > b ? a : b;
}

/* Text of a span, in the page. */
static bool put_text(sn_transcript *t, const int32_t *tokens, uint32_t n, sn_segment *s)
{
	buf text;
	buf_init(&text, 0);
	bool ok = transcript_decode(t, tokens, n, &text);
	s->text = ok ? arena_strndup(t->page, text.n ? text.p : "", text.n) : NULL;
	s->size = text.n;
	buf_fini(&text);
	return s->text;
}

/* The tokens of text among these; out may be NULL. */
static uint32_t text_tokens(const sn_transcript *t, const int32_t *tokens, uint32_t n, int32_t *out)
{
	uint32_t n_text = 0;
	for (uint32_t i = 0; i < n; i++)
		if (tokens[i] < t->how->end) {
			if (out)
				out[n_text] = tokens[i];
			n_text++;
		}
	return n_text;
}

/* ---- words ---- */

/* end: of the window. */
static void put_words(sn_segment *s, sn_word *out, const timed_word *words, uint32_t n, const char *text, double *last, double end)
{
	for (uint32_t i = 0; i < n; i++) {
		double start = fmin(later(words[i].start, *last), end);
		out[i] = (sn_word){text + words[i].at, words[i].size, start, fmin(later(words[i].end, start), end)};
		*last = out[i].end;
	}
	s->words = out;
	s->n_words = n;
}

/* Words of all segments; the segments' times become those of their words. */
static bool add_words(sn_transcript *t, const window *w, const segment_span *spans, double offset, double end)
{
	const window_answer *a = &w->answer;
	uint32_t n = text_tokens(t, a->tokens, a->n_tokens, NULL), n_words = 0;
	int32_t *tokens = arena_array(t->page, n + 1, sizeof *tokens);
	timed_word *words = arena_array(t->page, n + 1, sizeof *words);
	sn_word *out = arena_array(t->page, n + 1, sizeof *out);
	worded_segment *in = arena_array(t->page, t->n_segments, sizeof *in);
	const sn_transcriber *about = t->how->about;
	const char *language = t->language < about->n_languages ? about->languages[t->language].code : "";
	buf text;
	buf_init(&text, 0);
	bool ok = tokens && words && out && in;
	char *copy = NULL;
	if (ok) {
		text_tokens(t, a->tokens, a->n_tokens, tokens);
		for (uint32_t i = 0; i < t->n_segments; i++)
			in[i] = (worded_segment){.n_tokens = text_tokens(t, a->tokens + spans[i].first, spans[i].n_tokens, NULL), .start = t->segments[i].start,
			                         .end = t->segments[i].end};
		ok = words_split(t->model->m->vocab, language, tokens, n, &text, words, &n_words);
	}
	if (ok) {
		words_time(words, n_words, a->begins, about->step_ms * 1e-3);
		ok = words_settle(words, &n_words, text.n ? text.p : "", in, t->n_segments, offset, &t->last_word_end);
	}
	copy = ok ? arena_strndup(t->page, text.n ? text.p : "", text.n) : NULL;
	double last = later(t->last_end, offset);
	for (uint32_t i = 0; copy && i < t->n_segments; i++) {
		t->segments[i].start = in[i].start;
		t->segments[i].end = in[i].end;
		put_words(&t->segments[i], out + in[i].first_word, words + in[i].first_word, in[i].n_words, copy, &last, end);
	}
	buf_fini(&text);
	return copy;
}

/* ---- segments ---- */

static bool says_something(const sn_segment *s)
{
	return blank_strip((str){s->text, s->size}).n > 0;
}

/* Drops what says nothing, numbers the rest, and keeps time in the window and from going back. */
static void settle_segments(sn_transcript *t, double offset, double end)
{
	uint32_t n = 0;
	t->last_end = later(t->last_end, offset);
	for (uint32_t i = 0; i < t->n_segments; i++) {
		sn_segment s = t->segments[i];
		if (!says_something(&s))
			continue;
		s.id = t->next_id++;
		s.start = fmin(later(s.start, t->last_end), end);
		s.end = fmin(later(s.end, s.start), end);
		t->last_end = s.end;
		t->segments[n++] = s;
	}
	t->n_segments = n;
}

sn_status transcript_write(sn_transcript *t, const window *w, sn_error *err)
{
	const window_answer *a = &w->answer;
	double rate = t->media.rate, offset = (double)w->first / rate, length = (double)(w->end - w->first) / rate;
	segment_span *spans = arena_array(t->page, (size_t)a->n_tokens + 1, sizeof *spans);
	t->segments = arena_array(t->page, (size_t)a->n_tokens + 1, sizeof *t->segments);
	t->n_segments = t->n_told = 0;
	bool ok = spans && t->segments;
	if (ok && !w->silent)
		t->n_segments = segments_cut(a->tokens, a->n_tokens, t->stamps ? t->how->first_stamp : 0, t->how->about->step_ms * 1e-3, length, spans);
	for (uint32_t i = 0; ok && i < t->n_segments; i++) {
		t->segments[i] = (sn_segment){.start = offset + spans[i].start, .end = offset + spans[i].end, .seek = offset,
		                              .tokens = a->tokens + spans[i].first, .n_tokens = spans[i].n_tokens, .temperature = w->temperature,
		                              .avg_logprob = a->avg_logprob, .compression_ratio = a->compression_ratio,
		                              .no_speech_prob = a->no_speech_prob};
		ok = put_text(t, a->tokens + spans[i].first, spans[i].n_tokens, &t->segments[i]);
	}
	if (ok && t->words && t->n_segments && a->begins)
		ok = add_words(t, w, spans, offset, (double)w->end / rate);
	if (!ok)
		return error_set(err, SN_ERR_NOMEM, "no memory for a window's segments");
	settle_segments(t, offset, (double)w->end / rate);
	return SN_OK;
}
