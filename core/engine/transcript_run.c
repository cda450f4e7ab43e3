/* Attempts at windows as requests of the engine: the window's samples and a prompt go in, tokens and their probabilities come out.
 *
 *   language   [opening]                                              one token, a language's
 *   text       [previous, words,] opening, language, task[, no_stamps]
 *   words      opening, language, task, no_stamps, what was said, end    no token: where its rows look in the window is wanted */
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/align.h"
#include "engine/compression.h"
#include "engine/transcript.h"

struct run {
	sn_request *r;
	uint32_t n_prompt;   /* tokens */
	uint32_t n_text;     /* WORDS: of what was said; they stand before the prompt's last token */
	int32_t *tokens;     /* [n] the answer so far */
	uint32_t n, cap;
	double logprob;      /* of all of them and the end */
};

static void run_free(struct run **rp)
{
	struct run *r = *rp;
	*rp = NULL;
	if (!r)
		return;
	sn_request_close(&r->r);
	free(r->tokens);
	free(r);
}

/* ---- starting ---- */

static sn_status cut(void *ctx, uint64_t first, uint64_t *end, sn_error *err)
{
	const sn_transcript *t = ctx;
	*end = t->how->ext->cut(t->how->enc->instance, &t->media, first);
	if (*end <= first || *end > t->media.n_samples)
		return plugin_broke(t->how->enc->p, err, "it cut a window that does not begin where it should, or ends beyond its recording");
	return SN_OK;
}

/* The samples of a window as a medium of their own. */
static sn_media view(sn_transcript *t, const window *w)
{
	size_t bytes = t->media.bytes / t->media.n_samples; /* of a sample */
	sn_media m = t->media;
	m.samples = (uint8_t *)t->media.samples + w->first * bytes;
	m.n_samples = w->end - w->first;
	m.bytes = m.n_samples * bytes;
	bool known = t->hashes[w->index % MAX_FLIGHT].known && t->hashes[w->index % MAX_FLIGHT].window == w->index;
	uint8_t *hash = t->hashes[w->index % MAX_FLIGHT].hash;
	if (known) {
		memcpy(m.hash, hash, sizeof m.hash);
		return m;
	}
	media_gate_hash(&t->engine->gate, &m);
	memcpy(hash, m.hash, sizeof m.hash);
	t->hashes[w->index % MAX_FLIGHT].window = w->index;
	t->hashes[w->index % MAX_FLIGHT].known = true;
	return m;
}

static void put(int32_t *ids, uint32_t *n, int32_t id)
{
	if (id >= 0)
		ids[(*n)++] = id;
}

/* ids has room for everything. Sets where the opening stands, and how much of the prompt is what was said. */
static uint32_t make_prompt(const sn_transcript *t, const window *w, int32_t *ids, uint32_t *opening, uint32_t *n_text)
{
	const transcriber *how = t->how;
	uint32_t n = 0;
	if (w->kind == ATTEMPT_TEXT && t->n_previous) {
		put(ids, &n, how->previous);
		for (size_t i = 0; i < t->n_previous; i++)
			put(ids, &n, t->previous[i]);
	}
	*opening = n;
	put(ids, &n, how->opening);
	if (w->kind == ATTEMPT_LANGUAGE)
		return n;
	if (t->language < how->about->n_languages) { /* a model of one language is not told it, nor the task */
		put(ids, &n, how->languages[t->language]);
		put(ids, &n, t->translate ? how->translate : how->transcribe);
	}
	if (!t->stamps || w->kind == ATTEMPT_WORDS)
		put(ids, &n, how->no_stamps);
	if (w->kind == ATTEMPT_WORDS) {
		uint32_t before = n;
		for (uint32_t i = 0; i < w->answer.n_tokens; i++)
			if (w->answer.tokens[i] < how->end)
				put(ids, &n, w->answer.tokens[i]);
		*n_text = n - before;
		put(ids, &n, how->end);
	}
	return n;
}

static sn_sampling sampling_of(const sn_transcript *t, const window *w, uint32_t n_prompt)
{
	sn_sampling s;
	uint32_t room = t->model->max_len > n_prompt ? t->model->max_len - n_prompt : 1, max = t->how->about->max_tokens;
	sn_sampling_init(&s);
	s.temperature = w->kind == ATTEMPT_TEXT ? w->temperature : 0;
	s.max_tokens = w->kind == ATTEMPT_TEXT ? max < room ? max : room : 1;
	s.logprobs = true; /* tokens come with their ids */
	s.has_seed = true;
	s.seed = t->seed + (uint64_t)w->index * ATTEMPTS + w->attempt;
	return s;
}

static sn_status start(void *ctx, const window *w, bool alone, void **run, sn_error *err)
{
	sn_transcript *t = ctx;
	const transcriber *how = t->how;
	struct run *r = calloc(1, sizeof *r);
	int32_t *ids = calloc((size_t)w->answer.n_tokens + t->n_previous + 8, sizeof *ids);
	if (!r || !ids) {
		free(r);
		free(ids);
		return error_set(err, SN_ERR_NOMEM, "no memory for a window");
	}
	uint32_t opening;
	r->n_prompt = make_prompt(t, w, ids, &opening, &r->n_text);
	const sn_media media = view(t, w);
	const prompt_piece piece = {.ids = ids, .n_ids = r->n_prompt};
	double left = t->t_deadline > 0 ? t->t_deadline - clock_ms() : 0;
	const window_ask ask = {.request_id = t->id, .model = t->model->name, .cache_key = t->cache_key, .cache_salt = t->cache_salt, .enc = how->enc,
	                        .media = &media, .pieces = &piece, .n_pieces = 1, .sampling = sampling_of(t, w, r->n_prompt),
	                        .timeout_ms = t->t_deadline > 0 ? left > 1 ? (uint32_t)left : 1 : 0,
	                        .rules = w->kind == ATTEMPT_TEXT ? &t->rules : w->kind == ATTEMPT_LANGUAGE ? &t->language_rules : NULL,
	                        .has_place = alone, .gang = w->index ? (uint64_t)(uintptr_t)t : 0, .probes = w->kind == ATTEMPT_TEXT && how->no_speech >= 0, .probe_token = how->no_speech,
	                        .probe_row = opening, .taps = how->about->alignment_heads,
	                        .n_taps = w->kind == ATTEMPT_WORDS ? how->about->n_alignment_heads : 0};
	media_gate_resume(&t->engine->gate); /* the encoder's begin is a gate's work */
	sn_status st = window_submit(t->engine, &ask, &r->r, err);
	media_gate_park(&t->engine->gate);
	free(ids);
	if (st)
		run_free(&r);
	t->n_attempts += !st;
	*run = r;
	return st;
}

/* ---- asking ---- */

static bool add_tokens(struct run *r, const sn_event *ev)
{
	if (r->n + ev->n_logprobs > r->cap) {
		uint32_t cap = (r->n + (uint32_t)ev->n_logprobs) * 2;
		int32_t *tokens = realloc(r->tokens, cap * sizeof *tokens);
		if (!tokens)
			return false;
		r->tokens = tokens;
		r->cap = cap;
	}
	for (size_t i = 0; i < ev->n_logprobs; i++) {
		r->tokens[r->n++] = ev->logprobs[i].self.token;
		r->logprob += (double)ev->logprobs[i].self.logprob;
	}
	return true;
}

/* Of the text alone, without blanks around it. */
static bool measure_text(const sn_transcript *t, const struct run *r, float *ratio)
{
	buf text;
	buf_init(&text, 0);
	bool ok = transcript_decode(t, r->tokens, r->n, &text);
	str s = ok && text.n ? blank_strip((str){text.p, text.n}) : (str){0};
	*ratio = compression_ratio(s.p, s.n);
	buf_fini(&text);
	return ok;
}

/* As OpenAI's decoding.py: the end counts as a token, whether it was said or not. */
static bool fill_text(const sn_transcript *t, struct run *r, window_answer *a)
{
	a->avg_logprob = (float)((r->logprob + (double)r->r->readers[0].stop_logprob) / (r->n + 1));
	a->no_speech_prob = t->how->no_speech >= 0 ? window_probe(r->r) : 0;
	return measure_text(t, r, &a->compression_ratio);
}

/* The medium's rows that the window fills; what lies behind them is silence that the encoder made up. */
static uint32_t rows_of(const sn_transcript *t, const window *w)
{
	uint32_t n_cross = t->model->m->h.n_cross;
	uint64_t n = (w->end - w->first) * 1000 / t->media.rate / t->how->about->step_ms;
	return n < 1 ? 1 : n < n_cross ? (uint32_t)n : n_cross;
}

/* Where in the window each token of what was said begins: the row that has said the one before it looked there. */
static bool fill_begins(const sn_transcript *t, const window *w, const struct run *r, window_answer *a)
{
	size_t stride;
	uint32_t n_tokens, n_heads = t->how->about->n_alignment_heads, n_cross = t->model->m->h.n_cross, n_rows = rows_of(t, w), n = r->n_prompt;
	const float *taps = window_taps(r->r, &stride, &n_tokens);
	float *weights = taps && n_tokens >= n ? malloc((size_t)n_heads * n * n_cross * sizeof *weights) : NULL;
	a->begins = calloc((size_t)r->n_text + 1, sizeof *a->begins);
	bool ok = weights && a->begins;
	for (uint32_t h = 0; ok && h < n_heads; h++)
		memcpy(weights + (size_t)h * n * n_cross, taps + h * stride, (size_t)n * n_cross * sizeof *weights);
	if (ok) {
		align_crop(weights, n_heads * n, n_cross, n_rows);
		ok = align_tokens(weights, n_heads, n, n_rows, n - r->n_text - 2, n - 1, a->begins);
	}
	free(weights);
	return ok;
}

static bool fill(const sn_transcript *t, const window *w, struct run *r, window_answer *a)
{
	bool ok = w->kind == ATTEMPT_TEXT ? fill_text(t, r, a) : w->kind == ATTEMPT_WORDS ? fill_begins(t, w, r, a) : true;
	a->tokens = r->tokens;
	a->n_tokens = r->n;
	r->tokens = NULL;
	return ok;
}

static void add_usage(sn_usage *sum, const sn_usage *u)
{
	sum->prompt_tokens += u->prompt_tokens;
	sum->completion_tokens += u->completion_tokens;
	sum->cached_tokens += u->cached_tokens;
	sum->media_rows += u->media_rows;
}

static enum run_state ask(void *ctx, const window *w, void **run, int wait_ms, window_answer *a, sn_error *err)
{
	sn_transcript *t = ctx;
	struct run *r = *run;
	sn_event ev;
	enum run_state state = RUN_GOES_ON;
	while (state == RUN_GOES_ON) {
		switch (sn_request_next(r->r, wait_ms, &ev)) {
		case SN_EVENT_NONE:
			return RUN_GOES_ON;
		case SN_EVENT_TEXT:
			if (!add_tokens(r, &ev)) {
				error_set(err, SN_ERR_NOMEM, "no memory for the answer");
				state = RUN_FAILED;
			}
			break;
		case SN_EVENT_CHOICE_DONE:
			break;
		case SN_EVENT_DONE:
			add_usage(&t->usage, &ev.usage);
			state = fill(t, w, r, a) ? RUN_ENDED : RUN_FAILED;
			if (state == RUN_FAILED) {
				free(a->tokens);
				free(a->begins);
				error_set(err, SN_ERR_NOMEM, "no memory for the answer");
			}
			break;
		case SN_EVENT_ERROR:
			*err = ev.error;
			state = RUN_FAILED;
			break;
		}
	}
	run_free(&r);
	*run = NULL;
	return state;
}

static void stop(void *ctx, void **run)
{
	struct run *r = *run;
	(void)ctx;
	run_free(&r);
	*run = NULL;
}

static void tell_language(void *ctx, int32_t token)
{
	sn_transcript *t = ctx;
	t->language = transcriber_language_of(t->how, token);
}

window_runner transcript_runner(sn_transcript *t)
{
	return (window_runner){t, cut, start, ask, stop, tell_language};
}
