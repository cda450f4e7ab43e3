/* A request's life outside the engine thread: its event ring, and the consumer's side of it (text, stop strings,
 * log-probabilities). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"

void sn_sampling_init(sn_sampling *s)
{
	*s = (sn_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

sn_request *request_new(sn_engine *e, served_model *m, const char *id)
{
	sn_request *r = calloc(1, sizeof *r);
	arena *mem = arena_open(0);
	if (!r || !mem || !(r->ring = calloc(RING_EVENTS, sizeof *r->ring))) {
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
	r->seq.req = r;
	snprintf(r->id, sizeof r->id, "%s", id ? id : "");
	atomic_init(&r->owners, 1);
	detok_init(&r->detok, m->m->vocab);
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
	kv_seq_fini(&r->seq.kv); /* empty: the engine thread, or a failed submit, released it */
	free(r->seq.rows);
	stopper_fini(&r->stopper);
	buf_fini(&r->raw);
	buf_fini(&r->text);
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

bool request_is_stalled(sn_request *r)
{
	pthread_mutex_lock(&r->lock);
	bool full = r->n_written - r->n_read >= RING_EVENTS;
	pthread_mutex_unlock(&r->lock);
	return full;
}

bool request_push_token(sn_request *r, const sample *s)
{
	pthread_mutex_lock(&r->lock);
	bool room = r->n_written - r->n_read < RING_EVENTS;
	if (room) {
		ring_token *t = &r->ring[r->n_written++ % RING_EVENTS];
		t->token = s->token;
		t->logprob = s->logprob;
		t->n_top = s->n_top;
		memcpy(t->top, s->top, s->n_top * sizeof *s->top);
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
	return room;
}

void request_end(sn_request *r, sn_finish finish, const sn_error *err)
{
	pthread_mutex_lock(&r->lock);
	if (!r->ended) {
		r->ended = true;
		r->finish = finish;
		if (err)
			r->error = *err;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- consumer's side ---- */

/* Waits for tokens or the end. */
static void wait_for_news(sn_request *r, int timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (r->n_written == r->n_read && !r->ended)
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			return;
}

static sn_top_logprob named(const sn_request *r, int32_t token, float logprob)
{
	str bytes = vocab_token(r->model->m->vocab, token);
	return (sn_top_logprob){bytes.p, (uint32_t)bytes.n, logprob, token};
}

static void take_logprobs(sn_request *r, const ring_token *t, size_t i)
{
	sn_top_logprob *top = r->lp_top + i * SN_MAX_TOP_LOGPROBS;
	for (uint32_t k = 0; k < t->n_top; k++)
		top[k] = named(r, t->top[k].token, t->top[k].logprob);
	r->lp[i] = (sn_token_logprob){named(r, t->token, t->logprob), top, t->n_top};
}

/* Tokens from the ring into text, as far as it is certain. Returns how many tokens it took. */
static size_t take_tokens(sn_request *r)
{
	size_t n = 0;
	while (r->n_read != r->n_written && !r->stopper.hit) {
		const ring_token *t = &r->ring[r->n_read % RING_EVENTS];
		bool last = vocab_is_eog(r->model->m->vocab, t->token) && !r->sampling.ignore_eos; /* it ends the answer and is no part of it */
		if (r->lp && !last)
			take_logprobs(r, t, n);
		n += !last;
		r->n_read++;
		r->n_consumed++;
		r->raw.n = 0;
		detok_push(&r->detok, t->token, &r->raw);
		stopper_push(&r->stopper, r->raw.p, r->raw.n, &r->text);
	}
	return n;
}

static void finish_text(sn_request *r)
{
	r->finished_text = true;
	r->raw.n = 0;
	detok_flush(&r->detok, &r->raw);
	stopper_push(&r->stopper, r->raw.p, r->raw.n, &r->text);
	stopper_flush(&r->stopper, &r->text);
}

static sn_event_kind report_end(sn_request *r, sn_event *ev)
{
	r->reported = true;
	bool stopped = r->stopper.hit;
	if (r->error.status != SN_OK && !stopped) {
		ev->error = r->error;
		return ev->kind = SN_EVENT_ERROR;
	}
	ev->finish = stopped ? SN_FINISH_STOP : r->finish;
	ev->usage = (sn_usage){.prompt_tokens = r->seq.n_prompt, .completion_tokens = r->n_consumed, .cached_tokens = r->n_cached,
	                       .media_rows = r->n_media_rows};
	return ev->kind = SN_EVENT_DONE;
}

sn_event_kind sn_request_next(sn_request *r, int timeout_ms, sn_event *ev)
{
	double until = clock_ms() + timeout_ms;
	*ev = (sn_event){.kind = SN_EVENT_NONE};
	r->text.n = 0;
	size_t n_tokens = 0;
	bool ended = false;
	/* Tokens that yield no whole character yet are no event: wait on. */
	for (;;) {
		int left = (int)(until - clock_ms());
		pthread_mutex_lock(&r->lock);
		if (!r->stopper.hit)
			wait_for_news(r, left > 0 ? left : 0);
		bool was_full = r->n_written - r->n_read >= RING_EVENTS;
		n_tokens += take_tokens(r);
		ended = r->stopper.hit || (r->ended && r->n_read == r->n_written);
		pthread_mutex_unlock(&r->lock);
		if (was_full)
			engine_nudge(r->engine);
		if (ended || r->text.n || (r->lp && n_tokens) || clock_ms() >= until)
			break;
	}
	if (r->stopper.hit && !atomic_exchange(&r->stopped, true))
		engine_nudge(r->engine);
	if (ended && !r->finished_text && r->error.status == SN_OK)
		finish_text(r);
	if (r->raw.failed || r->text.failed) {
		sn_request_cancel(r);
		error_set(&ev->error, SN_ERR_NOMEM, "no memory for the answer");
		return ev->kind = SN_EVENT_ERROR;
	}
	if (r->text.n || (r->lp && n_tokens)) {
		ev->text = r->text.p ? r->text.p : "";
		ev->size = r->text.n;
		ev->logprobs = r->lp;
		ev->n_logprobs = r->lp ? n_tokens : 0;
		return ev->kind = SN_EVENT_TEXT;
	}
	return ended && !r->reported ? report_end(r, ev) : SN_EVENT_NONE;
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
