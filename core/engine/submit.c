/* sn_chat_submit: from a parsed body to a request in the engine's inbox. API threads. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"

#define RANGE(ok, name, ...)                                                                                             \
	if (!(ok))                                                                                                           \
	return error_param(err, SN_ERR_INVALID, name, __VA_ARGS__)

static sn_status check_sampling(const sn_sampling *s, sn_error *err)
{
	RANGE(s->temperature >= 0 && s->temperature <= 2, "temperature", "temperature must be from 0 to 2");
	RANGE(s->top_p > 0 && s->top_p <= 1, "top_p", "top_p must be above 0 and at most 1");
	RANGE(s->min_p >= 0 && s->min_p <= 1, "min_p", "min_p must be from 0 to 1");
	RANGE(s->presence_penalty >= -2 && s->presence_penalty <= 2, "presence_penalty", "presence_penalty must be from -2 to 2");
	RANGE(s->frequency_penalty >= -2 && s->frequency_penalty <= 2, "frequency_penalty", "frequency_penalty must be from -2 to 2");
	RANGE(s->repetition_penalty > 0 && s->repetition_penalty <= 10, "repetition_penalty", "repetition_penalty must be above 0 and at most 10");
	RANGE(s->top_logprobs <= SN_MAX_TOP_LOGPROBS, "top_logprobs", "top_logprobs must be from 0 to %d", SN_MAX_TOP_LOGPROBS);
	RANGE(s->n_stop <= SN_MAX_STOP, "stop", "at most %d stop strings", SN_MAX_STOP);
	RANGE(s->max_tokens == 0 || s->min_tokens <= s->max_tokens, "min_tokens", "min_tokens must not exceed max_tokens");
	return SN_OK;
}

/* The request keeps its own copies: the caller's memory is borrowed until return only. */
static sn_status copy_sampling(sn_request *r, const sn_sampling *s, sn_error *err)
{
	uint32_t n_vocab = (uint32_t)vocab_size(r->model->m->vocab);
	r->sampling = *s;
	sn_logit_bias *bias = arena_array(r->mem, s->n_logit_bias, sizeof *bias);
	if (!bias)
		return error_set(err, SN_ERR_NOMEM, "no memory for logit_bias");
	for (size_t i = 0; i < s->n_logit_bias; i++) {
		RANGE(s->logit_bias[i].token >= 0 && (uint32_t)s->logit_bias[i].token < n_vocab, "logit_bias",
		      "logit_bias names a token outside the vocabulary of %u", n_vocab);
		RANGE(s->logit_bias[i].bias >= -100 && s->logit_bias[i].bias <= 100, "logit_bias", "logit_bias must be from -100 to 100");
		bias[i] = s->logit_bias[i];
	}
	r->sampling.logit_bias = bias;
	for (size_t i = 0; i < s->n_stop; i++) {
		r->sampling.stop[i] = arena_strndup(r->mem, s->stop[i], s->stop_size[i]);
		if (!r->sampling.stop[i])
			return error_set(err, SN_ERR_NOMEM, "no memory for stop strings");
	}
	stopper_init(&r->stopper, r->sampling.stop, r->sampling.stop_size, s->n_stop);
	if (s->logprobs) {
		r->lp = calloc(RING_EVENTS, sizeof *r->lp);
		r->lp_top = calloc((size_t)RING_EVENTS * SN_MAX_TOP_LOGPROBS, sizeof *r->lp_top);
		if (!r->lp || !r->lp_top)
			return error_set(err, SN_ERR_NOMEM, "no memory for logprobs");
	}
	r->seed = s->seed;
	if (!s->has_seed)
		randombytes_buf(&r->seed, sizeof r->seed);
	return SN_OK;
}

/* A failed submit lets go of the media that it had already referenced. */
static void abandon(sn_engine *e, sn_request **r)
{
	for (uint32_t i = 0; i < (*r)->n_media; i++)
		media_cache_unref(&e->cache, &(*r)->media[i]);
	request_unref(r);
}

static sn_status build(sn_engine *e, const sn_chat *chat, served_model *m, sn_request **out, sn_error *err)
{
	sn_request *r = request_new(e, m, chat->request_id);
	if (!r)
		return error_set(err, SN_ERR_NOMEM, "no memory for a request");
	r->t_submit = clock_ms();
	r->t_deadline = chat->timeout_ms ? r->t_submit + chat->timeout_ms : 0;
	sn_status st = copy_sampling(r, &chat->sampling, err);
	if (!st)
		st = prompt_build(r, chat, err);
	if (!st) {
		log_info(e->log, "engine", r->id, "%u prompt tokens, %u of them media rows, at most %u to come", r->seq.n_prompt, r->n_media_rows,
		         r->max_tokens);
		metric_add(&e->metrics, M_PROMPT_TOKENS, r->seq.n_prompt);
		atomic_fetch_add(&r->owners, 1);
		st = engine_submit(e, r, err);
		if (st)
			atomic_fetch_sub(&r->owners, 1);
	}
	if (st)
		abandon(e, &r);
	*out = r;
	return st;
}

/* Parsing, decoding and tokenizing stand back behind the compute threads. On Linux niceness is a thread's own. */
static void lower_priority(void)
{
	static _Thread_local bool lowered;
	if (!lowered)
		setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
	lowered = true;
}

sn_status sn_chat_submit(sn_engine *e, const sn_chat *chat, sn_request **out, sn_error *err)
{
	served_model *m = engine_find_model(e, chat->model);
	*out = NULL;
	lower_priority();
	if (atomic_load(&e->draining))
		return error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	if (!atomic_load(&e->ready))
		return error_set(err, SN_ERR_DRAINING, "the server is still loading");
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	RANGE(chat->n_messages > 0, "messages", "messages must not be empty");
	sn_status st = check_sampling(&chat->sampling, err);
	if (st)
		return st;
	/* Admission comes before any work: a place in the queue is taken first. */
	if (atomic_fetch_add(&e->n_requests, 1) >= e->max_active) {
		atomic_fetch_sub(&e->n_requests, 1);
		metric_add(&e->metrics, M_REJECTED, 1);
		return error_set(err, SN_ERR_QUEUE_FULL, "the queue is full, try again later");
	}
	st = build(e, chat, m, out, err);
	if (st)
		atomic_fetch_sub(&e->n_requests, 1);
	return st;
}
