#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/media.h"

void media_cache_init(media_cache *c, size_t max_bytes, size_t max_waiting, metrics *m, sn_log *log)
{
	*c = (media_cache){.max_bytes = max_bytes, .max_waiting = max_waiting, .metrics = m, .log = log};
	pthread_mutex_init(&c->lock, NULL);
}

static media_entry **bucket_of(media_cache *c, const hash256 *key)
{
	uint32_t v;
	memcpy(&v, key->b, sizeof v);
	return &c->buckets[v % MEDIA_BUCKETS];
}

static void end_job(media_entry *e)
{
	if (e->state_mem && e->enc->p->encode->end)
		e->enc->p->encode->end(e->enc->instance, e->state_mem);
	ops_ctx_close(&e->ctx);
	free(e->state_mem);
	free(e->staging);
	free(e->media.samples);
	e->media.samples = NULL;
	e->state_mem = NULL;
	e->staging = NULL;
}

static void entry_free(media_cache *c, media_entry *e)
{
	media_entry **at = bucket_of(c, &e->key);
	while (*at && *at != e)
		at = &(*at)->next;
	if (*at)
		*at = e->next;
	c->bytes -= e->bytes;
	metric_set(c->metrics, M_MEDIA_BYTES, c->bytes);
	end_job(e);
	free(e->rows);
	free(e);
}

static void lru_remove(media_cache *c, media_entry *e)
{
	*(e->lru_prev ? &e->lru_prev->lru_next : &c->lru_head) = e->lru_next;
	*(e->lru_next ? &e->lru_next->lru_prev : &c->lru_tail) = e->lru_prev;
	e->lru_prev = e->lru_next = NULL;
}

static void lru_push(media_cache *c, media_entry *e)
{
	e->lru_prev = c->lru_tail;
	e->lru_next = NULL;
	*(c->lru_tail ? &c->lru_tail->lru_next : &c->lru_head) = e;
	c->lru_tail = e;
}

/* Over budget: the longest unused rows go. */
static void evict(media_cache *c)
{
	while (c->bytes > c->max_bytes && c->lru_head) {
		media_entry *e = c->lru_head;
		lru_remove(c, e);
		entry_free(c, e);
	}
}

void media_cache_fini(media_cache *c)
{
	for (size_t b = 0; b < MEDIA_BUCKETS; b++)
		while (c->buckets[b])
			entry_free(c, c->buckets[b]);
	pthread_mutex_destroy(&c->lock);
}

static media_entry *find(media_cache *c, const hash256 *key)
{
	for (media_entry *e = *bucket_of(c, key); e; e = e->next)
		if (memcmp(&e->key, key, sizeof *key) == 0 && e->state != MEDIA_FAILED)
			return e;
	return NULL;
}

static media_entry *find_locked(media_cache *c, const hash256 *key)
{
	media_entry *e = find(c, key);
	if (e && e->refs++ == 0 && e->state == MEDIA_READY)
		lru_remove(c, e);
	return e;
}

static media_entry *get_locked(media_cache *c, const hash256 *key)
{
	media_entry *e = find_locked(c, key);
	if (e)
		metric_add(c->metrics, M_MEDIA_HITS, 1);
	return e;
}

media_entry *media_cache_find(media_cache *c, const hash256 *key)
{
	pthread_mutex_lock(&c->lock);
	media_entry *e = find_locked(c, key);
	pthread_mutex_unlock(&c->lock);
	return e;
}

media_entry *media_cache_get(media_cache *c, const hash256 *key)
{
	pthread_mutex_lock(&c->lock);
	media_entry *e = get_locked(c, key);
	pthread_mutex_unlock(&c->lock);
	return e;
}

static sn_status start_job(media_entry *e, const sn_media *media, ops *o, sn_error *err)
{
	struct sn_call call = {e->request_id};
	sn_fault fault = {.size = sizeof fault};
	size_t values;
	if (__builtin_mul_overflow((size_t)e->n_rows, (size_t)e->dim, &values) || values > SIZE_MAX / 16)
		return error_set(err, SN_ERR_TOO_LARGE, "an encoder planned too many rows");
	e->state_mem = calloc(1, e->plan.state_bytes ? e->plan.state_bytes : 1);
	e->staging = malloc((values ? values : 1) * sizeof *e->staging);
	if (!e->state_mem || !e->staging)
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder job");
	for (size_t i = 0; i < values; i++) /* a row that is never filled is found by keep_rows */
		e->staging[i] = NAN;
	sn_status st = ops_ctx_open(&e->ctx, o, e->plan.state_bytes, err);
	if (st)
		return st;
	atomic_fetch_add(&e->enc->p->calls, 1);
	sn_rc rc = e->enc->p->encode->begin(e->enc->instance, &call, e->state_mem, e->ctx, media, &e->plan, &fault);
	if (rc == SN_RC_OK)
		atomic_fetch_add(&e->enc->p->media_bytes, media->bytes);
	return rc == SN_RC_OK ? SN_OK : fault_to_error(e->enc->p, rc, &fault, err);
}

static media_entry *entry_new(const hash256 *key, encoder *enc, enum kv_type type, const sn_media_plan *plan, const char *request_id)
{
	media_entry *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	*e = (media_entry){.key = *key, .enc = enc, .type = type, .refs = 1, .n_rows = plan->n_rows, .dim = enc->p->plan->row_dim(enc->instance), .plan = *plan};
	snprintf(e->request_id, sizeof e->request_id, "%s", request_id);
	return e;
}

static void insert_bytes(media_cache *c, media_entry *e, size_t bytes)
{
	e->bytes = bytes;
	c->bytes += e->bytes;
	metric_set(c->metrics, M_MEDIA_BYTES, c->bytes);
	e->next = *bucket_of(c, &e->key);
	*bucket_of(c, &e->key) = e;
}

static void insert(media_cache *c, media_entry *e)
{
	insert_bytes(c, e, (size_t)e->n_rows * e->dim * kn_kv_bytes(kv_stored_as(e->type)));
}

sn_status media_cache_begin(media_cache *c, const hash256 *key, encoder *enc, enum kv_type type, const sn_media *media,
                            const sn_media_plan *plan, const char *request_id, ops *o, media_entry **out, sn_error *err)
{
	media_entry *e = entry_new(key, enc, type, plan, request_id);
	if (!e)
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder job");
	sn_status st = start_job(e, media, o, err);
	pthread_mutex_lock(&c->lock);
	media_entry *other = st ? NULL : get_locked(c, key);
	if (!st && !other && c->n_jobs == MEDIA_MAX_JOBS)
		st = error_set(err, SN_ERR_QUEUE_FULL, "too many media are waiting to be encoded");
	if (!st && !other) {
		insert(c, e);
		c->jobs[c->n_jobs++] = e;
		*out = e;
		e = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (other)
		*out = other;
	if (e) { /* failed, or another thread was faster */
		end_job(e);
		free(e);
	}
	return st;
}

sn_status media_cache_enqueue(media_cache *c, const hash256 *key, encoder *enc, enum kv_type type, const sn_media *media,
                              const sn_media_plan *plan, const char *request_id, media_entry **out, sn_error *err)
{
	media_entry *e = entry_new(key, enc, type, plan, request_id);
	void *samples = malloc(media->bytes ? media->bytes : 1);
	sn_status st = SN_OK;
	if (!e || !samples) {
		free(e);
		free(samples);
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder job");
	}
	memcpy(samples, media->samples, media->bytes);
	e->media = *media;
	e->media.samples = samples;
	pthread_mutex_lock(&c->lock);
	*out = get_locked(c, key); /* another thread was faster */
	if (!*out && (c->n_waiting == MEDIA_MAX_WAITING || media->bytes > c->max_waiting - c->waiting_bytes))
		st = error_set(err, SN_ERR_QUEUE_FULL, "too many media are waiting to be encoded");
	if (!*out && !st) {
		insert(c, e);
		c->waiting[c->n_waiting++] = e;
		c->waiting_bytes += media->bytes;
		*out = e;
		e = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (e) {
		free(samples);
		free(e);
	}
	return st;
}

void media_cache_keep(media_cache *c, const hash256 *key, void *bytes, size_t n)
{
	media_entry *e = calloc(1, sizeof *e);
	pthread_mutex_lock(&c->lock);
	if (e && !find(c, key)) {
		*e = (media_entry){.key = *key, .state = MEDIA_READY, .rows = bytes};
		insert_bytes(c, e, n);
		lru_push(c, e);
		evict(c);
		e = NULL;
		bytes = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	free(e);
	free(bytes);
}

void media_cache_unref(media_cache *c, media_entry **ep)
{
	media_entry *e = *ep;
	*ep = NULL;
	if (!e)
		return;
	pthread_mutex_lock(&c->lock);
	if (--e->refs == 0 && e->state == MEDIA_READY) {
		lru_push(c, e);
		evict(c);
	} else if (e->refs == 0 && e->state == MEDIA_FAILED) {
		entry_free(c, e);
	} /* PENDING: the engine thread sweeps it, it may be stepping right now */
	pthread_mutex_unlock(&c->lock);
}

static bool has_job(const media_cache *c, const char *request_id)
{
	for (uint32_t j = 0; j < c->n_jobs; j++)
		if (strcmp(c->jobs[j]->request_id, request_id) == 0)
			return true;
	return false;
}

/* Of those that wait: who is not waited for goes, whose request has no job becomes one. */
static void let_in(media_cache *c)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->n_waiting; i++) {
		media_entry *e = c->waiting[i];
		bool wanted = e->refs, now = wanted && c->n_jobs < MEDIA_MAX_JOBS && !has_job(c, e->request_id);
		if (wanted && !now) {
			c->waiting[n++] = e;
			continue;
		}
		c->waiting_bytes -= e->media.bytes;
		if (now)
			c->jobs[c->n_jobs++] = e;
		else
			entry_free(c, e);
	}
	c->n_waiting = n;
}

uint32_t media_jobs_sweep(media_cache *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = 0;
	for (uint32_t j = 0; j < c->n_jobs; j++) {
		if (c->jobs[j]->refs)
			c->jobs[n++] = c->jobs[j];
		else
			entry_free(c, c->jobs[j]);
	}
	c->n_jobs = n;
	let_in(c);
	n = c->n_jobs;
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* Rows leave the job in the cache type. A row that is not finite fails the job: it would poison whoever attends to it. */
static sn_status keep_rows(media_entry *e, const ops *o, sn_error *err)
{
	size_t n = (size_t)e->n_rows * e->dim;
	for (size_t i = 0; i < n; i++)
		if (!isfinite(e->staging[i]))
			return plugin_broke(e->enc->p, err, "it made rows that are not finite, or did not fill them");
	e->rows = malloc(e->bytes ? e->bytes : 1);
	if (!e->rows)
		return error_set(err, SN_ERR_NOMEM, "no memory for encoder rows");
	switch (e->type) {
	case KV_F16: o->k.store_f16(e->rows, e->staging, n); break;
	case KV_BF16: o->k.store_bf16(e->rows, e->staging, n); break;
	default: memcpy(e->rows, e->staging, e->bytes); break;
	}
	return SN_OK;
}

static void finish_job(media_cache *c, uint32_t j, sn_status st, const sn_error *err)
{
	pthread_mutex_lock(&c->lock);
	media_entry *e = c->jobs[j];
	memmove(&c->jobs[j], &c->jobs[j + 1], (c->n_jobs - j - 1) * sizeof *c->jobs);
	c->n_jobs--;
	end_job(e);
	e->state = st ? MEDIA_FAILED : MEDIA_READY;
	if (st)
		e->error = *err;
	if (e->refs == 0) {
		if (st)
			entry_free(c, e);
		else
			lru_push(c, e);
	}
	evict(c);
	pthread_mutex_unlock(&c->lock);
}

/* Unit by unit, so that the clock can be looked at between them. */
static sn_rc run_units(media_entry *e, uint32_t units, double budget_ms, double *ms, uint32_t *units_done, sn_fault *fault)
{
	struct sn_call call = {e->request_id};
	double t0 = clock_ms(), longest = 0;
	sn_rc rc = SN_RC_AGAIN;
	*units_done = 0;
	*ms = 0;
	while (rc == SN_RC_AGAIN && *units_done < units && *ms + longest <= budget_ms) {
		uint32_t done = 0;
		double before = *ms;
		rc = e->enc->p->encode->step(e->enc->instance, &call, e->state_mem, e->ctx, 1, &done, e->staging, fault);
		*ms = clock_ms() - t0;
		longest = *ms - before > longest ? *ms - before : longest;
		*units_done += done;
		if (done == 0)
			break;
	}
	return rc;
}

/* Its samples were needed until now. */
static sn_status begin_late(media_entry *e, ops *o, sn_error *err)
{
	sn_status st = start_job(e, &e->media, o, err);
	free(e->media.samples);
	e->media.samples = NULL;
	return st;
}

bool media_job_step(media_cache *c, uint32_t j, uint32_t units, double budget_ms, ops *o, double *ms, uint32_t *units_done)
{
	media_entry *e = c->jobs[j]; /* new jobs are only appended by others, and only this thread removes */
	sn_fault fault = {.size = sizeof fault};
	sn_error err = {0};
	*ms = 0;
	*units_done = 0;
	if (e->media.samples && begin_late(e, o, &err)) {
		log_error(c->log, "engine", e->request_id, "encoding failed: %s", err.text);
		finish_job(c, j, err.status, &err);
		return true;
	}
	if (e->units_done == 0)
		metric_add(c->metrics, M_ENCODER_RUNS, 1);
	atomic_fetch_add(&e->enc->p->calls, 1);
	sn_rc rc = run_units(e, units, budget_ms, ms, units_done, &fault);
	e->units_done += *units_done;
	metric_add(c->metrics, M_ENCODER_UNITS, *units_done);
	metric_observe(c->metrics, H_SLICE, *ms);
	if (rc == SN_RC_AGAIN && *units_done > 0 && e->units_done <= e->plan.n_units)
		return false;
	sn_status st = SN_OK;
	if (rc == SN_RC_END)
		st = keep_rows(e, o, &err);
	else if (rc == SN_RC_AGAIN)
		st = plugin_broke(e->enc->p, &err, "it made no progress, or ran past its plan");
	else
		st = fault_to_error(e->enc->p, rc, &fault, &err);
	if (st) {
		log_error(c->log, "engine", e->request_id, "encoding failed: %s", err.text);
	} else {
		plugin_worked(e->enc->p);
		log_info(c->log, "engine", e->request_id, "encoded %u rows in %u units", e->n_rows, e->units_done);
	}
	finish_job(c, j, st, &err);
	return true;
}
