/* A request's life outside the engine thread: its event ring, and the consumer's side of it (text, stop strings,
 * log-probabilities). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/utterance.h"

void sn_sampling_init(sn_sampling *s)
{
	*s = (sn_sampling){.n = 1, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

sn_request *request_new(sn_engine *e, served_model *m, const char *id, uint32_t n_choices)
{
	sn_request *r = calloc(1, sizeof *r);
	arena *mem = arena_open(0);
	if (r && mem) {
		r->ring = calloc(RING_EVENTS, sizeof *r->ring);
		r->seqs = arena_array(mem, n_choices, sizeof *r->seqs);
		r->readers = arena_array(mem, n_choices, sizeof *r->readers);
	}
	if (!r || !mem || !r->ring || !r->seqs || !r->readers) {
		if (r)
			free(r->ring);
		free(r);
		arena_close(&mem);
		return NULL;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	r->engine = e;
	r->model = m;
	r->mem = mem;
	r->blame = "messages";
	r->n_seqs = r->n_live = n_choices;
	for (uint32_t i = 0; i < n_choices; i++) {
		r->seqs[i].req = r;
		r->seqs[i].choice = i;
		detok_init(&r->readers[i].detok, m->m->vocab);
		stopper_init(&r->readers[i].stopper, NULL, NULL, 0);
		r->readers[i].stop_token = -1;
	}
	snprintf(r->id, sizeof r->id, "%s", id ? id : "");
	atomic_init(&r->owners, 1);
	buf_init(&r->raw, 0);
	buf_init(&r->text, 0);
	atomic_fetch_add(&e->n_alive, 1);
	return r;
}

void request_unref(sn_request **rp)
{
	sn_request *r = *rp;
	*rp = NULL;
	if (!r || atomic_fetch_sub(&r->owners, 1) != 1)
		return;
	for (uint32_t i = 0; i < r->n_seqs; i++) {
		kv_seq_fini(&r->seqs[i].kv); /* empty: the engine thread, or a failed submit, released it */
		free(r->seqs[i].rows);
		stopper_fini(&r->readers[i].stopper);
	}
	buf_fini(&r->raw);
	buf_fini(&r->text);
	utterance_close(&r->voice);
	shape_close(&r->shape);
	free(r->tap.weights);
	free(r->ring);
	free(r->lp);
	free(r->lp_top);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	arena_close(&r->mem);
	atomic_fetch_sub(&r->engine->n_alive, 1);
	free(r);
}

/* ---- engine's side ---- */

/* A step may bring a token and an end for each sequence. */
static bool lacks_room(const sn_request *r, uint32_t n_seqs)
{
	return RING_EVENTS - (r->n_written - r->n_read) < 2 * n_seqs;
}

bool request_is_stalled(sn_request *r)
{
	pthread_mutex_lock(&r->lock);
	bool full = lacks_room(r, r->n_live);
	pthread_mutex_unlock(&r->lock);
	return full;
}

void request_push_token(sn_request *r, uint32_t choice, const sample *s)
{
	pthread_mutex_lock(&r->lock);
	ring_entry *t = &r->ring[r->n_written++ % RING_EVENTS];
	t->choice = choice;
	t->end = false;
	t->token = s->token;
	t->logprob = s->logprob;
	t->n_top = s->n_top;
	memcpy(t->top, s->top, s->n_top * sizeof *s->top);
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void request_push_end(sn_request *r, uint32_t choice, sn_finish finish, int32_t token, float logprob)
{
	pthread_mutex_lock(&r->lock);
	ring_entry *t = &r->ring[r->n_written++ % RING_EVENTS];
	t->choice = choice;
	t->end = true;
	t->finish = finish;
	t->token = token;
	t->logprob = logprob;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void request_fail(sn_request *r, const sn_error *err)
{
	pthread_mutex_lock(&r->lock);
	r->failed = true;
	r->error = *err;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* ---- consumer's side ---- */

/* Waits for tokens or the end. */
static void wait_for_news(sn_request *r, int timeout_ms)
{
	const struct timespec until = clock_in_ms(timeout_ms);
	while (r->n_written == r->n_read && !r->failed)
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			return;
}

static sn_top_logprob named(const sn_request *r, int32_t token, float logprob)
{
	str bytes = vocab_token(r->model->m->vocab, token);
	return (sn_top_logprob){bytes.p, (uint32_t)bytes.n, logprob, token};
}

static void take_logprobs(sn_request *r, const ring_entry *t, size_t i)
{
	sn_top_logprob *top = r->lp_top + i * SN_MAX_TOP_LOGPROBS;
	for (uint32_t k = 0; k < t->n_top; k++)
		top[k] = named(r, t->top[k].token, t->top[k].logprob);
	r->lp[i] = (sn_token_logprob){named(r, t->token, t->logprob), top, t->n_top};
}

static void put_text(sn_request *r, choice_reader *c, int32_t token)
{
	r->raw.n = 0;
	detok_push(&c->detok, token, &r->raw);
	stopper_push(&c->stopper, r->raw.p, r->raw.n, &r->text);
}

/* What an unfinished character or the start of a stop string held back. */
static void finish_text(sn_request *r, choice_reader *c)
{
	r->raw.n = 0;
	detok_flush(&c->detok, &r->raw);
	stopper_push(&c->stopper, r->raw.p, r->raw.n, &r->text);
	stopper_flush(&c->stopper, &r->text);
}

static void read_end(sn_request *r, choice_reader *c, const ring_entry *t)
{
	finish_text(r, c);
	c->finish = t->finish;
	c->stop_token = t->token;
	c->stop_logprob = t->logprob;
	r->n_consumed += t->token >= 0;
}

/* Takes what the ring holds of one choice, as far as it goes on: tokens into text, as far as that is certain, up to the choice's
 * end. Returns the choice, NULL if the ring is empty; *n_tokens: the tokens taken. */
static choice_reader *take_run(sn_request *r, size_t *n_tokens)
{
	choice_reader *c = NULL;
	*n_tokens = 0;
	while (r->n_read != r->n_written) {
		const ring_entry *t = &r->ring[r->n_read % RING_EVENTS];
		choice_reader *of = &r->readers[t->choice];
		if (c && of != c && !of->over)
			break;
		r->n_read++;
		if (of->over)
			continue;
		c = of;
		if (t->end) {
			read_end(r, c, t);
		} else {
			if (r->lp)
				take_logprobs(r, t, *n_tokens);
			++*n_tokens;
			r->n_consumed++;
			put_text(r, c, t->token);
		}
		c->over = t->end || c->stopper.hit;
		if (c->over) {
			r->ending = c;
			break;
		}
	}
	return c;
}

static sn_event_kind tell_end(sn_request *r, sn_event *ev)
{
	const choice_reader *c = r->ending;
	r->ending = NULL;
	r->n_told++;
	ev->choice = (uint32_t)(c - r->readers);
	ev->finish = c->stopper.hit ? SN_FINISH_STOP : c->finish;
	ev->stop_token = c->stopper.hit ? -1 : c->stop_token;
	ev->stop_string = c->stopper.hit ? (int32_t)c->stopper.which : -1;
	return ev->kind = SN_EVENT_CHOICE_DONE;
}

static sn_event_kind tell_done(sn_request *r, sn_event *ev)
{
	if (r->reported)
		return SN_EVENT_NONE;
	r->reported = true;
	ev->usage = (sn_usage){.prompt_tokens = r->n_prompt, .completion_tokens = r->n_consumed, .cached_tokens = r->n_cached,
	                       .media_rows = r->n_media_rows, .video_sound_ignored = r->video_sound_ignored};
	return ev->kind = SN_EVENT_DONE;
}

static sn_event_kind tell_error(sn_request *r, const sn_error *error, sn_event *ev)
{
	if (r->reported)
		return SN_EVENT_NONE;
	r->reported = true;
	ev->error = *error;
	return ev->kind = SN_EVENT_ERROR;
}

static sn_event_kind tell_text(sn_request *r, const choice_reader *c, size_t n_tokens, sn_event *ev)
{
	ev->choice = (uint32_t)(c - r->readers);
	ev->text = r->text.p ? r->text.p : "";
	ev->size = r->text.n;
	ev->logprobs = r->lp;
	ev->n_logprobs = r->lp ? n_tokens : 0;
	return ev->kind = SN_EVENT_TEXT;
}

static sn_event_kind out_of_memory(sn_request *r, sn_event *ev)
{
	sn_error err;
	sn_request_cancel(r);
	error_set(&err, SN_ERR_NOMEM, "no memory for the answer");
	return tell_error(r, &err, ev);
}

sn_event_kind sn_request_next(sn_request *r, int timeout_ms, sn_event *ev)
{
	double until = clock_ms() + timeout_ms;
	*ev = (sn_event){.kind = SN_EVENT_NONE, .stop_token = -1, .stop_string = -1};
	r->text.n = 0;
	if (r->ending)
		return tell_end(r, ev);
	if (r->n_told == r->n_seqs)
		return tell_done(r, ev);
	/* Tokens that yield no whole character yet are no event: wait on. */
	for (;;) {
		size_t n_tokens;
		int left = clock_left_ms(until);
		pthread_mutex_lock(&r->lock);
		wait_for_news(r, left);
		bool lacked_room = lacks_room(r, r->n_seqs);
		choice_reader *c = take_run(r, &n_tokens);
		bool failed = r->failed && r->n_read == r->n_written;
		pthread_mutex_unlock(&r->lock);
		if (c && c->stopper.hit)
			atomic_store(&r->seqs[c - r->readers].stopped, true);
		if (lacked_room || (c && c->stopper.hit))
			engine_nudge(r->engine);
		if (c && (r->raw.failed || r->text.failed || c->stopper.held.failed))
			return out_of_memory(r, ev);
		if (r->text.n || (r->lp && n_tokens))
			return tell_text(r, c, n_tokens, ev);
		if (r->ending)
			return tell_end(r, ev);
		if (failed)
			return tell_error(r, &r->error, ev);
		if (clock_ms() >= until)
			return SN_EVENT_NONE;
	}
}

void sn_request_cancel(sn_request *r)
{
	if (!atomic_exchange(&r->cancelled, true))
		engine_nudge(r->engine);
}

void sn_request_close(sn_request **r)
{
	if (!*r)
		return;
	sn_request_cancel(*r);
	request_unref(r);
}

uint64_t sn_request_seed(const sn_request *r)
{
	return r->seed;
}
