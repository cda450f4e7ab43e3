/* sn_embedding_*: many texts as vectors. Each text is a request under one place in the queue; a few are on their way at once, and are
 * told in order. Runs on the consumer's thread, but for what the engine thread calls. */
#include "engine/embed.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/prompt.h"

/* ---- one text: the engine thread's side ---- */

sn_status pooled_begin(sn_request *r, uint32_t n_rows, sn_error *err)
{
	size_t n = r->model->m->h.n_embd;
	pooled *p = arena_alloc(r->mem, sizeof *p);
	double *sum = arena_array(r->mem, n, sizeof *sum);
	float *vector = arena_array(r->mem, n, sizeof *vector);
	if (!p || !sum || !vector)
		return error_set(err, SN_ERR_NOMEM, "no memory for an embedding");
	*p = (pooled){.sum = sum, .vector = vector};
	pooling_rows(r->model->m->pooling.kind, n_rows, &p->begin, &p->end);
	p->next = p->begin;
	r->pooled = p;
	return SN_OK;
}

uint32_t pooled_spare(const pooled *p)
{
	return p->next;
}

bool pooled_take(pooled *p, uint32_t at, uint32_t end, uint32_t *first, uint32_t *n_rows)
{
	end = end < p->end ? end : p->end;
	if (p->next < at || p->next >= end)
		return false;
	*first = p->next;
	*n_rows = end - p->next;
	p->next = end;
	return true;
}

bool pooled_finish(pooled *p, uint32_t n_embd)
{
	bool finite = p->next == p->end;
	for (uint32_t i = 0; i < n_embd; i++) {
		p->vector[i] = (float)(p->sum[i] / (p->end - p->begin));
		finite &= isfinite(p->vector[i]) != 0;
	}
	return finite;
}

/* ---- one text: its prompt ---- */

/* The most rows that this text could be, or less, without tokenizing it: that costs memory by the byte. */
static size_t least_tokens(const served_model *m, const sn_embedding_input *in)
{
	return in->ids ? in->n_ids : in->size / m->longest_token;
}

static sn_status too_long(const sn_request *r, const char *about, size_t n, sn_error *err)
{
	return error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "the input has %s%zu tokens, the context is of %u tokens", about, n, r->model->max_len);
}

sn_status prompt_of_embedding(sn_request *r, const embed_ask *ask, sn_error *err)
{
	const sn_embedding_input *in = ask->input;
	struct row_list l = {.max = r->model->max_len, .blame = r->blame = "input"};
	int32_t *ids = NULL;
	size_t n = in->n_ids;
	if (least_tokens(r->model, in) > l.max)
		return too_long(r, in->ids ? "" : "at least ", least_tokens(r->model, in), err);
	sn_status st = in->ids ? rows_check_ids(r, in->ids, n, err)
	                       : text_encode(r->model->m->vocab, in->text, in->size, true, ask->add_special_tokens, &ids, &n, err);
	if (!st && n > l.max)
		st = too_long(r, "", n, err);
	if (!st && n == 0)
		st = error_param(err, SN_ERR_INVALID, r->blame, "an input is empty");
	if (!st)
		st = rows_add_ids(&l, in->ids ? in->ids : ids, n, err);
	if (!st)
		st = pooled_begin(r, l.n, err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	free(ids);
	free(l.rows);
	return st;
}

/* ---- many texts ---- */

struct sn_embedding {
	sn_engine *engine;
	served_model *model;
	char request_id[72];
	char *cache_key, *cache_salt; /* NULL: none */
	sn_embedding_ask ask;         /* its strings are not looked at after open */
	arena *mem;
	sn_request *window[SN_MAX_CHOICES]; /* inputs [n_told, n_sent), each at its index modulo the size */
	size_t n_sent, n_told;
	uint64_t prompt_tokens;
	double t_deadline; /* ms; 0: none */
	float *values;     /* [n_embd] */
	bool over;
};

static sn_status check_ask(const served_model *m, const sn_embedding_ask *ask, sn_error *err)
{
	uint32_t n = m->m->h.n_embd;
	if (ask->n_inputs == 0 || ask->n_inputs > SN_MAX_EMBEDDING_INPUTS)
		return error_param(err, SN_ERR_INVALID, "input", "there must be from 1 to %d inputs", SN_MAX_EMBEDDING_INPUTS);
	if (ask->dimensions > n)
		return error_param(err, SN_ERR_INVALID, "dimensions", "dimensions %u: embeddings of model %s have %u", ask->dimensions, m->name, n);
	if (ask->dimensions && !pooling_fits(&m->m->pooling, n, ask->dimensions))
		return error_param(err, SN_ERR_UNSUPPORTED, "dimensions", m->m->pooling.chosen ? "dimensions %u: model %s was not made for embeddings of that size, but of %u"
		                   : "dimensions %u: model %s was not made for embeddings that are cut short, only for all %u", ask->dimensions, m->name, n);
	n = ask->dimensions ? ask->dimensions : n;
	if (ask->n_inputs > SN_MAX_EMBEDDING_VALUES / n)
		return error_param(err, SN_ERR_TOO_LARGE, "input", "%zu embeddings of %u values are more than %u values in one request", ask->n_inputs, n,
		                   SN_MAX_EMBEDDING_VALUES);
	return SN_OK;
}

static char *copy(arena *mem, const char *s, bool *ok)
{
	char *c = s ? arena_strndup(mem, s, strlen(s)) : NULL;
	*ok &= !s || c;
	return c;
}

static sn_status make(sn_engine *e, served_model *m, const sn_embedding_ask *ask, sn_embedding **out, sn_error *err)
{
	bool ok = true;
	arena *mem = arena_open(0);
	sn_embedding *x = mem ? arena_alloc(mem, sizeof *x) : NULL;
	if (x) {
		*x = (sn_embedding){.engine = e, .model = m, .ask = *ask, .mem = mem, .t_deadline = ask->timeout_ms ? clock_ms() + ask->timeout_ms : 0};
		snprintf(x->request_id, sizeof x->request_id, "%s", ask->request_id ? ask->request_id : "");
		x->cache_key = copy(mem, ask->cache_key, &ok);
		x->cache_salt = copy(mem, ask->cache_salt, &ok);
		x->values = arena_array(mem, m->m->h.n_embd, sizeof *x->values);
		*out = x;
	}
	if (x && ok && x->values)
		return SN_OK;
	arena_close(&mem);
	*out = NULL;
	return error_set(err, SN_ERR_NOMEM, "no memory for embeddings");
}

/* As many inputs on their way as there is room for. */
static sn_status send(sn_embedding *x, sn_error *err)
{
	sn_status st = SN_OK;
	while (!st && x->n_sent < x->ask.n_inputs && x->n_sent - x->n_told < SN_MAX_CHOICES) {
		double left = x->t_deadline > 0 ? x->t_deadline - clock_ms() : 0;
		const embed_ask one = {.request_id = x->request_id, .model = x->model->name, .cache_key = x->cache_key, .cache_salt = x->cache_salt,
		                       .input = &x->ask.inputs[x->n_sent], .add_special_tokens = x->ask.add_special_tokens,
		                       .timeout_ms = x->t_deadline > 0 ? left < 1 ? 1 : (uint32_t)left : 0};
		st = embed_submit(x->engine, &one, &x->window[x->n_sent % SN_MAX_CHOICES], err);
		if (st && x->ask.n_inputs > 1 && err && strcmp(err->param, "input") == 0) {
			const sn_error why = *err;
			error_param(err, st, "input", "input %zu: %.300s", x->n_sent, why.text);
		}
		x->n_sent += !st;
	}
	return st;
}

sn_status sn_embedding_open(sn_engine *e, const sn_embedding_ask *ask, sn_embedding **out, sn_error *err)
{
	*out = NULL;
	served_model *m = engine_find_model(e, ask->model);
	if (atomic_load(&e->draining))
		return error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	sn_status st = submit_can(m, SUBMIT_EMBEDDING, err);
	if (!st)
		st = check_ask(m, ask, err);
	if (!st && (st = submit_take_place(e, err)))
		metric_add(&e->metrics, M_REJECTED, 1);
	if (st)
		return st;
	st = make(e, m, ask, out, err);
	if (st) {
		atomic_fetch_sub(&e->n_requests, 1);
		return st;
	}
	st = send(*out, err);
	if (st)
		sn_embedding_close(out);
	return st;
}

static sn_embedding_kind tell_error(sn_embedding *x, const sn_error *err, sn_embedding_event *ev)
{
	x->over = true;
	ev->error = *err;
	return ev->kind = SN_EMBEDDING_ERROR;
}

static sn_embedding_kind tell_vector(sn_embedding *x, sn_request **r, sn_embedding_event *ev)
{
	const pooling *p = &x->model->m->pooling;
	size_t n = x->ask.dimensions ? x->ask.dimensions : x->model->m->h.n_embd;
	memcpy(x->values, (*r)->pooled->vector, n * sizeof *x->values);
	pooling_finish(p, x->values, n);
	x->prompt_tokens += (*r)->n_prompt;
	sn_request_close(r);
	ev->index = x->n_told++;
	ev->values = x->values;
	ev->n_values = n;
	return ev->kind = SN_EMBEDDING_VECTOR;
}

sn_embedding_kind sn_embedding_next(sn_embedding *x, int timeout_ms, sn_embedding_event *ev)
{
	sn_event got;
	sn_error err;
	*ev = (sn_embedding_event){.kind = SN_EMBEDDING_NONE};
	if (x->over)
		return SN_EMBEDDING_NONE;
	if (x->n_told == x->ask.n_inputs) {
		x->over = true;
		ev->prompt_tokens = x->prompt_tokens;
		return ev->kind = SN_EMBEDDING_DONE;
	}
	if (x->t_deadline > 0 && clock_ms() > x->t_deadline) {
		error_set(&err, SN_ERR_DEADLINE, "the request took longer than its time limit");
		return tell_error(x, &err, ev);
	}
	if (send(x, &err))
		return tell_error(x, &err, ev);
	sn_request **r = &x->window[x->n_told % SN_MAX_CHOICES];
	double until = clock_ms() + timeout_ms;
	do {
		switch (sn_request_next(*r, clock_left_ms(until), &got)) {
		case SN_EVENT_CHOICE_DONE: return tell_vector(x, r, ev);
		case SN_EVENT_ERROR: return tell_error(x, &got.error, ev);
		default: break;
		}
	} while (clock_ms() < until);
	return SN_EMBEDDING_NONE;
}

void sn_embedding_close(sn_embedding **xp)
{
	sn_embedding *x = *xp;
	*xp = NULL;
	if (!x)
		return;
	for (size_t i = x->n_told; i < x->n_sent; i++)
		sn_request_close(&x->window[i % SN_MAX_CHOICES]);
	atomic_fetch_sub(&x->engine->n_requests, 1);
	arena *mem = x->mem;
	arena_close(&mem);
}
