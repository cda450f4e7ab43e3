/* sn_chat_submit, sn_completion_submit, window_submit, utterance_submit and embed_submit: from a parsed body to a request in the engine's inbox. API threads. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/embed.h"
#include "engine/utterance.h"

#define RANGE(ok, name, ...)                                                                                             \
	if (!(ok))                                                                                                           \
	return error_param(err, SN_ERR_INVALID, name, __VA_ARGS__)

/* What is asked, whichever way the prompt comes. */
struct ask {
	const char *request_id, *cache_key, *cache_salt;
	const sn_sampling *sampling;
	uint32_t timeout_ms;
	bool part;                       /* of work that was accepted, */
	bool has_place;                  /* and under its place, */
	bool uncounted;                  /* which it does not add to */
	const sn_chat *chat;             /* one of these five */
	const sn_completion *completion;
	const window_ask *window;
	const utterance_ask *utterance;
	const embed_ask *embed;
};

static sn_status check_sampling(const sn_sampling *s, sn_error *err)
{
	RANGE(s->n >= 1 && s->n <= SN_MAX_CHOICES, "n", "n must be from 1 to %d", SN_MAX_CHOICES);
	RANGE(s->temperature >= 0 && s->temperature <= 2, "temperature", "temperature must be from 0 to 2");
	RANGE(s->top_p > 0 && s->top_p <= 1, "top_p", "top_p must be above 0 and at most 1");
	RANGE(s->min_p >= 0 && s->min_p <= 1, "min_p", "min_p must be from 0 to 1");
	RANGE(s->presence_penalty >= -2 && s->presence_penalty <= 2, "presence_penalty", "presence_penalty must be from -2 to 2");
	RANGE(s->frequency_penalty >= -2 && s->frequency_penalty <= 2, "frequency_penalty", "frequency_penalty must be from -2 to 2");
	RANGE(s->repetition_penalty > 0 && s->repetition_penalty <= 10, "repetition_penalty", "repetition_penalty must be above 0 and at most 10");
	RANGE(s->top_logprobs <= SN_MAX_TOP_LOGPROBS, "top_logprobs", "top_logprobs must be from 0 to %d", SN_MAX_TOP_LOGPROBS);
	RANGE(s->n_stop <= SN_MAX_STOP, "stop", "at most %d stop strings", SN_MAX_STOP);
	for (size_t i = 0; i < s->n_stop; i++)
		RANGE(s->stop_size[i] > 0, "stop", "a stop string must not be empty");
	RANGE(s->n_stop_token_ids <= SN_MAX_STOP_TOKENS, "stop_token_ids", "at most %d stop tokens", SN_MAX_STOP_TOKENS);
	RANGE(s->n_logit_bias <= SN_MAX_LOGIT_BIAS, "logit_bias", "at most %d entries of logit_bias", SN_MAX_LOGIT_BIAS);
	RANGE(s->max_tokens == 0 || s->min_tokens <= s->max_tokens, "min_tokens", "min_tokens must not exceed max_tokens");
	return SN_OK;
}

/* The vocabulary's tree, made once: of two threads that make it at once, one throws its own away. */
static sn_status trie_of(served_model *m, const token_trie **out, sn_error *err)
{
	token_trie *there = atomic_load(&m->trie), *mine = NULL;
	*out = there;
	if (there)
		return SN_OK;
	sn_status st = token_trie_open(&mine, m->m->vocab, err);
	if (st == SN_OK && !atomic_compare_exchange_strong(&m->trie, &there, mine))
		token_trie_close(&mine);
	*out = mine ? mine : there;
	return st;
}

static sn_status open_shape(sn_request *r, const sn_sampling *s, sn_error *err)
{
	const char *blame = s->grammar_name ? s->grammar_name : "grammar";
	const token_trie *trie = NULL;
	sn_error why = {0};
	if (s->mask || s->min_tokens || s->ignore_eos)
		return error_param(err, SN_ERR_UNSUPPORTED, blame, "a grammar together with min_tokens, ignore_eos or a mask is not supported");
	sn_status st = trie_of(r->model, &trie, &why);
	const grammar_ask ask = {trie, {s->grammar, s->grammar_size}, {{s->grammar_after, s->grammar_after ? s->grammar_after_size : 0}, s->grammar_may_wait},
	                         {r->shown, r->n_shown, s->shown_strictly}, r->salt};
	if (st == SN_OK)
		st = shape_open(&r->shape, &r->engine->grammars, &ask, r->n_seqs, &why);
	return st == SN_OK ? SN_OK : error_param(err, st, blame, "%s", why.text);
}

/* Tokens that are not control tokens are text anyway, but strictness is about them as well. */
static void show_tokens(sn_request *r, const sn_sampling *s)
{
	const vocab *v = r->model->m->vocab;
	for (size_t i = 0; i < s->n_shown && i < SN_MAX_SHOWN; i++) {
		int32_t token = vocab_find(v, str_of(s->shown[i]));
		if (token >= 0 && (s->shown_strictly || vocab_is_control(v, token)))
			r->shown[r->n_shown++] = token;
	}
	for (uint32_t i = 0; i < r->n_seqs; i++) {
		r->readers[i].detok.shown = r->shown;
		r->readers[i].detok.n_shown = r->n_shown;
	}
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
	for (size_t i = 0; i < s->n_stop_token_ids; i++)
		RANGE(s->stop_token_ids[i] >= 0 && (uint32_t)s->stop_token_ids[i] < n_vocab, "stop_token_ids",
		      "stop_token_ids names a token outside the vocabulary of %u", n_vocab);
	for (size_t i = 0; i < s->n_stop; i++) {
		r->sampling.stop[i] = arena_strndup(r->mem, s->stop[i], s->stop_size[i]);
		if (!r->sampling.stop[i])
			return error_set(err, SN_ERR_NOMEM, "no memory for stop strings");
	}
	for (uint32_t i = 0; i < r->n_seqs; i++)
		stopper_init(&r->readers[i].stopper, r->sampling.stop, r->sampling.stop_size, s->n_stop);
	if (s->logprobs) {
		r->lp = calloc(RING_EVENTS, sizeof *r->lp);
		r->lp_top = calloc((size_t)RING_EVENTS * SN_MAX_TOP_LOGPROBS, sizeof *r->lp_top);
		if (!r->lp || !r->lp_top)
			return error_set(err, SN_ERR_NOMEM, "no memory for logprobs");
	}
	r->sampling.grammar = r->sampling.grammar_after = NULL;
	r->sampling.n_shown = 0;
	show_tokens(r, s);
	sn_status st = s->grammar ? open_shape(r, s, err) : SN_OK;
	if (st)
		return st;
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

static void salt_add(hasher *h, const char *s)
{
	hash_u64(h, s ? strlen(s) : UINT64_MAX);
	if (s)
		hash_add(h, s, strlen(s));
}

/* Who may share: whoever has the same key and the same salt. The operator may open what the keys divide, not what salts do. */
static hash256 salt_of(const sn_engine *e, const struct ask *a)
{
	hasher h;
	hash_begin(&h, &e->key);
	salt_add(&h, e->config.share_cache ? NULL : a->cache_key);
	salt_add(&h, a->cache_salt);
	return hash_end(&h);
}

static sn_status make_prompt(sn_request *r, const struct ask *a, sn_error *err)
{
	if (a->window)
		return prompt_of_window(r, a->window, err);
	if (a->utterance)
		return prompt_of_utterance(r, a->utterance, err);
	if (a->embed)
		return prompt_of_embedding(r, a->embed, err);
	return a->chat ? prompt_of_chat(r, a->chat, err) : prompt_of_completion(r, a->completion, err);
}

/* Requests of one key share its part of a step, whatever their salts. */
static uint64_t part_key(const sn_engine *e, const struct ask *a)
{
	hasher h;
	uint64_t key;
	hash_begin(&h, &e->key);
	salt_add(&h, a->cache_key);
	hash256 all = hash_end(&h);
	memcpy(&key, &all, sizeof key);
	return key;
}

static sn_status build(sn_engine *e, const struct ask *a, served_model *m, sn_request **out, sn_error *err)
{
	sn_request *r = request_new(e, m, a->request_id, a->sampling->n);
	if (!r)
		return error_set(err, SN_ERR_NOMEM, "no memory for a request");
	r->t_submit = clock_ms();
	r->t_deadline = a->timeout_ms ? r->t_submit + a->timeout_ms : 0;
	r->salt = salt_of(e, a);
	r->goes_on = a->part;
	r->uncounted = a->uncounted;
	r->gang = a->window ? a->window->gang : 0;
	r->key = part_key(e, a);
	sn_status st = copy_sampling(r, a->sampling, err);
	if (!st)
		st = make_prompt(r, a, err);
	if (!st) {
		log_info(e->log, "engine", r->id, "%u prompt tokens, %u of them media rows, at most %u to come for each of %u choices", r->n_prompt,
		         r->n_media_rows, r->max_tokens, r->n_seqs);
		metric_add(&e->metrics, M_PROMPT_TOKENS, r->n_prompt);
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

sn_status submit_can(const served_model *m, enum submit_kind kind, sn_error *err)
{
	static const char *const names[] = {[SUBMIT_CHAT] = "chat", [SUBMIT_COMPLETION] = "completions", [SUBMIT_WINDOW] = "transcriptions",
	                                    [SUBMIT_UTTERANCE] = "speech", [SUBMIT_EMBEDDING] = "embeddings"};
	const char *what = NULL, *has = NULL;
	if (m->m->h.n_cross && kind != SUBMIT_WINDOW) {
		what = "writes down recordings";
		has = names[SUBMIT_WINDOW];
	} else if (m->m->h.arch->speaks && kind != SUBMIT_UTTERANCE) {
		what = "speaks";
		has = names[SUBMIT_UTTERANCE];
	} else if (m->m->pooling.declared && kind != SUBMIT_EMBEDDING) {
		what = "embeds texts";
		has = names[SUBMIT_EMBEDDING];
	}
	return what ? error_param(err, SN_ERR_UNSUPPORTED, "model", "model %s %s: it has %s, and no %s", m->name, what, has, names[kind]) : SN_OK;
}

sn_status submit_take_place(sn_engine *e, sn_error *err)
{
	if (atomic_fetch_add(&e->n_requests, 1) < e->max_requests)
		return SN_OK;
	atomic_fetch_sub(&e->n_requests, 1);
	return error_set(err, SN_ERR_QUEUE_FULL, "the queue is full, try again later");
}

/* On Linux niceness is a thread's own. */
void submit_stand_back(void)
{
	static _Thread_local bool lowered;
	if (!lowered)
		setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
	lowered = true;
}

static sn_status submit(sn_engine *e, const char *name, const struct ask *a, sn_request **out, sn_error *err)
{
	served_model *m = engine_find_model(e, name);
	*out = NULL;
	submit_stand_back();
	if (atomic_load(&e->draining) && !a->part)
		return error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	if (!atomic_load(&e->ready))
		return error_set(err, SN_ERR_DRAINING, "the server is still loading");
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	sn_status st = submit_can(m, a->window ? SUBMIT_WINDOW : a->utterance ? SUBMIT_UTTERANCE : a->embed ? SUBMIT_EMBEDDING : a->chat ? SUBMIT_CHAT : SUBMIT_COMPLETION,
	                          err);
	if (st)
		return st;
	RANGE(!a->chat || a->chat->n_messages > 0, "messages", "messages must not be empty");
	st = check_sampling(a->sampling, err);
	if (st)
		return st;
	/* Admission comes before any work: a place in the queue is taken first. */
	if (a->uncounted)
		return build(e, a, m, out, err);
	if (a->has_place)
		atomic_fetch_add(&e->n_requests, 1);
	else
		st = submit_take_place(e, err);
	if (st) {
		if (!a->part) /* a part waits; the whole was not refused */
			metric_add(&e->metrics, M_REJECTED, 1);
		return st;
	}
	st = build(e, a, m, out, err);
	if (st)
		atomic_fetch_sub(&e->n_requests, 1);
	return st;
}

sn_status sn_chat_submit(sn_engine *e, const sn_chat *c, sn_request **out, sn_error *err)
{
	const struct ask a = {.request_id = c->request_id, .cache_key = c->cache_key, .cache_salt = c->cache_salt, .sampling = &c->sampling,
	                      .timeout_ms = c->timeout_ms, .chat = c};
	return submit(e, c->model, &a, out, err);
}

sn_status sn_completion_submit(sn_engine *e, const sn_completion *c, sn_request **out, sn_error *err)
{
	const struct ask a = {.request_id = c->request_id, .cache_key = c->cache_key, .cache_salt = c->cache_salt, .sampling = &c->sampling,
	                      .timeout_ms = c->timeout_ms, .completion = c};
	return submit(e, c->model, &a, out, err);
}

sn_status window_submit(sn_engine *e, const window_ask *w, sn_request **out, sn_error *err)
{
	const struct ask a = {.request_id = w->request_id, .cache_key = w->cache_key, .cache_salt = w->cache_salt, .sampling = &w->sampling,
	                      .timeout_ms = w->timeout_ms, .part = true, .has_place = w->has_place, .window = w};
	engine_gang_begin(e, w->gang);
	sn_status st = submit(e, w->model, &a, out, err);
	engine_gang_end(e, w->gang);
	return st;
}

sn_status embed_submit(sn_engine *e, const embed_ask *x, sn_request **out, sn_error *err)
{
	sn_sampling none;
	sn_sampling_init(&none);
	none.has_seed = true;
	const struct ask a = {.request_id = x->request_id, .cache_key = x->cache_key, .cache_salt = x->cache_salt, .sampling = &none,
	                      .timeout_ms = x->timeout_ms, .part = true, .has_place = true, .uncounted = true, .embed = x};
	return submit(e, x->model, &a, out, err);
}

sn_status utterance_submit(sn_engine *e, const utterance_ask *u, sn_request **out, sn_error *err)
{
	const sn_speaker *about = u->model->speaker->about;
	sn_sampling s;
	sn_sampling_init(&s);
	s.temperature = u->temperature < 0 ? about->temperature : u->temperature;
	s.top_p = about->top_p;
	s.top_k = (int32_t)about->top_k;
	s.repetition_penalty = about->repetition_penalty;
	s.seed = u->seed;
	s.has_seed = s.ignore_eos = true; /* its ends are the speaker's */
	const struct ask a = {.request_id = u->request_id, .cache_key = u->cache_key, .cache_salt = u->cache_salt, .sampling = &s,
	                      .timeout_ms = u->timeout_ms, .part = true, .has_place = u->has_place, .utterance = u};
	return submit(e, u->model->name, &a, out, err);
}
