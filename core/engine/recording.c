#include "engine/recording.h"

#include <stdlib.h>

#include "base/clock.h"

/* OpenAI's thresholds (transcribe.py). */
static const float MAX_RATIO = 2.4f, MIN_LOGPROB = -1.0f, MAX_NO_SPEECH = 0.6f, HOTTER = 0.2f;

enum { LOOK_MS = 20 }; /* how long one window is waited for while others may end as well, or a place may come free */

static window *window_at(recording *rec, uint32_t i)
{
	return &rec->flight[i % MAX_FLIGHT];
}

static void answer_free(window_answer *a)
{
	free(a->tokens);
	free(a->begins);
	*a = (window_answer){0};
}

/* ---- beginning ---- */

static sn_status begin_windows(recording *rec, sn_error *err)
{
	sn_status st = SN_OK;
	while (!st && rec->at < rec->n_samples && rec->n_begun - rec->n_taken < rec->max_flight && (rec->knows_language || rec->n_begun == 0)) {
		window *next = window_at(rec, rec->n_begun);
		*next = (window){.index = rec->n_begun, .first = rec->at, .temperature = rec->temperature,
		                 .kind = rec->knows_language ? ATTEMPT_TEXT : ATTEMPT_LANGUAGE};
		st = rec->runner.cut(rec->runner.ctx, rec->at, &next->end, err);
		if (!st) {
			rec->at = next->end;
			rec->n_begun++;
		}
	}
	return st;
}

static bool anything_runs(recording *rec)
{
	for (uint32_t i = rec->n_taken; i < rec->n_begun; i++)
		if (window_at(rec, i)->state == WINDOW_RUNS)
			return true;
	return false;
}

/* In order, as far as there are places. */
static sn_status start_attempts(recording *rec, sn_error *err)
{
	for (uint32_t i = rec->n_taken; i < rec->n_begun; i++) {
		window *x = window_at(rec, i);
		if (x->state != WINDOW_WAITS)
			continue;
		sn_status st = rec->runner.start(rec->runner.ctx, x, !anything_runs(rec), &x->run, err);
		if (st == SN_ERR_QUEUE_FULL && anything_runs(rec))
			return SN_OK;
		if (st)
			return st;
		x->state = WINDOW_RUNS;
	}
	return SN_OK;
}

/* ---- answers ---- */

/* Does the answer look wrong? Not if the window is silent, whatever was made of that. */
static bool looks_wrong(const window_answer *a)
{
	bool unsure = a->avg_logprob < MIN_LOGPROB;
	return (a->compression_ratio > MAX_RATIO || unsure) && !(a->no_speech_prob > MAX_NO_SPEECH && unsure);
}

static void settle_text(recording *rec, window *x, window_answer *a)
{
	answer_free(&x->answer);
	x->answer = *a;
	if (rec->temperature <= 0 && x->attempt + 1 < ATTEMPTS && looks_wrong(a)) {
		x->temperature = (float)++x->attempt * HOTTER;
		x->state = WINDOW_WAITS;
		return;
	}
	x->silent = a->no_speech_prob > MAX_NO_SPEECH && !(a->avg_logprob > MIN_LOGPROB);
	if (rec->wants_words && !x->silent && a->n_tokens) {
		x->kind = ATTEMPT_WORDS;
		x->state = WINDOW_WAITS;
	} else {
		x->state = WINDOW_READY;
	}
}

static void settle(recording *rec, window *x, window_answer *a)
{
	switch (x->kind) {
	case ATTEMPT_LANGUAGE:
		rec->runner.tell_language(rec->runner.ctx, a->n_tokens ? a->tokens[0] : -1);
		rec->knows_language = true;
		answer_free(a);
		x->kind = ATTEMPT_TEXT;
		x->state = WINDOW_WAITS;
		break;
	case ATTEMPT_TEXT:
		settle_text(rec, x, a);
		break;
	case ATTEMPT_WORDS:
		x->answer.begins = a->begins;
		a->begins = NULL;
		answer_free(a);
		x->state = WINDOW_READY;
		break;
	}
}

/* Asks all that run, the first of them with some patience. */
static sn_status ask_attempts(recording *rec, int wait_ms, sn_error *err)
{
	for (uint32_t i = rec->n_taken; i < rec->n_begun; i++) {
		window *x = window_at(rec, i);
		if (x->state != WINDOW_RUNS)
			continue;
		window_answer a = {0};
		enum run_state s = rec->runner.ask(rec->runner.ctx, x, &x->run, wait_ms, &a, err);
		wait_ms = 0;
		if (s == RUN_FAILED) {
			x->state = WINDOW_WAITS; /* nothing runs any more */
			return err->status;
		}
		if (s == RUN_ENDED)
			settle(rec, x, &a);
	}
	return SN_OK;
}

/* ---- the whole ---- */

static sn_status start_more(recording *rec, sn_error *err)
{
	sn_status st = begin_windows(rec, err);
	return st ? st : start_attempts(rec, err);
}

sn_status recording_open(recording *rec, const window_runner *runner, uint64_t n_samples, float temperature, bool knows_language, bool wants_words,
                       uint32_t max_flight, sn_error *err)
{
	*rec = (recording){.runner = *runner, .n_samples = n_samples, .temperature = temperature, .knows_language = knows_language,
	               .wants_words = wants_words, .max_flight = max_flight < MAX_FLIGHT ? max_flight : MAX_FLIGHT};
	if (rec->max_flight == 0)
		rec->max_flight = 1;
	return start_more(rec, err);
}

sn_status recording_next(recording *rec, int wait_ms, window **ready, sn_error *err)
{
	double until = clock_ms() + wait_ms;
	*ready = NULL;
	for (;;) {
		sn_status st = start_more(rec, err);
		int left = clock_left_ms(until);
		if (!st)
			st = ask_attempts(rec, left < LOOK_MS ? left : LOOK_MS, err);
		if (st)
			return st;
		if (recording_done(rec))
			return SN_OK;
		if (window_at(rec, rec->n_taken)->state == WINDOW_READY) {
			*ready = window_at(rec, rec->n_taken);
			return SN_OK;
		}
		if (clock_ms() >= until)
			return SN_OK;
	}
}

void recording_take(recording *rec)
{
	answer_free(&window_at(rec, rec->n_taken)->answer);
	rec->n_taken++;
}

bool recording_done(const recording *rec)
{
	return rec->n_taken == rec->n_begun && rec->at >= rec->n_samples;
}

void recording_close(recording *rec)
{
	for (uint32_t i = rec->n_taken; i < rec->n_begun; i++) {
		window *x = window_at(rec, i);
		if (x->state == WINDOW_RUNS)
			rec->runner.stop(rec->runner.ctx, &x->run);
		answer_free(&x->answer);
	}
	rec->n_taken = rec->n_begun;
}
