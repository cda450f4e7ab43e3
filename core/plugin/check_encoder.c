/* check_encoder.c - "sn.plan/1" and "sn.encode/1" under `plugins --check`: plans that agree with themselves, rows that do not
 * depend on slices, company or device, and jobs ended at every moment. Media, state and rows end at forbidden pages; the
 * media is gone when begin has returned. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check.h"

enum { MAX_STEPS = 1 << 20, MAX_TRIED_STOPS = 40, THREADS = 4 };

/* Media that the encoder may take; 0 of them: told already. */
static size_t media_of(life *l, sn_media out[MAX_MEDIA_TRIED])
{
	bool has_rate = l->plan->size > offsetof(sn_ext_plan, media_rate) && l->plan->media_rate;
	uint32_t rate = has_rate ? l->plan->media_rate(l->instance) : 0;
	size_t n = media_make(l->c, l->plan->kind, l->plan->kind_name, rate, out);
	if (n == 0)
		check_lacks(l->c, "%s: give --sample FILE: media of kind %s come from the file's own codec", l->d->id, l->plan->kind_name);
	return n;
}

/* ---- plans ---- */

static sn_rc plan_media(life *l, const sn_media *m, sn_media_plan *p, sn_fault *fault)
{
	*p = (sn_media_plan){.size = sizeof *p};
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->plan->plan(l->instance, NULL, m, p, fault);
	check_leave(l->c->host);
	return rc;
}

static bool check_layout(life *l, const sn_media *m, const sn_media_plan *p)
{
	guarded text = {0}, holes = {0};
	sn_fault fault = {.size = sizeof fault};
	bool ok = guarded_open(&text, p->text_size) && guarded_open(&holes, p->n_holes * sizeof(sn_hole));
	if (!ok)
		check_fails(l->c, "no memory for the layout");
	if (ok) {
		check_enter(l->c->host, IN_ANY);
		sn_rc rc = l->plan->layout(l->instance, NULL, m, p, (char *)text.p, (sn_hole *)(void *)holes.p, &fault);
		check_leave(l->c->host);
		ok = rc == SN_RC_OK || check_fails(l->c, "%s: layout failed after a plan: %.200s", l->d->id, fault.text);
	}
	if (ok && (!guarded_intact(&text) || !guarded_intact(&holes)))
		ok = check_fails(l->c, "%s: layout wrote beside its text or holes", l->d->id);
	uint64_t rows = 0;
	uint32_t at = 0;
	for (uint32_t i = 0; ok && i < p->n_holes; i++) {
		sn_hole h;
		memcpy(&h, holes.p + i * sizeof h, sizeof h);
		if (h.text_offset < at || h.text_offset > p->text_size)
			ok = check_fails(l->c, "%s: a hole lies outside its framing text", l->d->id);
		at = h.text_offset;
		rows += h.n_rows;
	}
	if (ok && rows != p->n_rows)
		ok = check_fails(l->c, "%s: the holes do not add up to its rows", l->d->id);
	if (ok && p->text_size && memchr(text.p, 0, p->text_size))
		ok = check_fails(l->c, "%s: the framing text holds a NUL, or was not filled", l->d->id);
	guarded_close(&text);
	guarded_close(&holes);
	return ok;
}

/* Where the rows stand, if it says so: all of them filled, and the same whenever it is asked. */
static bool check_positions(life *l, const sn_media *m, const sn_media_plan *p)
{
	guarded first = {0}, second = {0};
	sn_fault fault = {.size = sizeof fault};
	size_t bytes = (size_t)p->n_rows * sizeof(sn_position);
	if (!plan_has_positions(l->plan))
		return true;
	bool ok = (guarded_open(&first, bytes) && guarded_open(&second, bytes)) || check_fails(l->c, "no memory for positions");
	if (ok) {
		memset(first.p, 0xFF, bytes);
		memset(second.p, 0x77, bytes);
		check_enter(l->c->host, IN_ANY);
		sn_rc rc = l->plan->positions(l->instance, NULL, m, p, (sn_position *)(void *)first.p, &fault);
		if (rc == SN_RC_OK)
			rc = l->plan->positions(l->instance, NULL, m, p, (sn_position *)(void *)second.p, &fault);
		check_leave(l->c->host);
		ok = rc == SN_RC_OK || check_fails(l->c, "%s: positions failed after a plan: %.200s", l->d->id, fault.text);
	}
	if (ok && (!guarded_intact(&first) || !guarded_intact(&second)))
		ok = check_fails(l->c, "%s: positions wrote beside its rows", l->d->id);
	if (ok && memcmp(first.p, second.p, bytes) != 0)
		ok = check_fails(l->c, "%s: positions were not all filled, or depend on when they are asked for", l->d->id);
	for (uint32_t i = 0; ok && i < 3 * p->n_rows; i++) {
		uint32_t at;
		memcpy(&at, first.p + i * sizeof at, sizeof at);
		ok = at <= 1u << 20 || check_fails(l->c, "%s: row %u stands at %u: at most 2^20 is allowed", l->d->id, i / 3, at);
	}
	guarded_close(&first);
	guarded_close(&second);
	return ok;
}

/* The plan, if the medium is one that the encoder takes. */
static bool check_plan(life *l, const sn_media *m, sn_media_plan *p, sn_rc *rc)
{
	sn_media_plan again;
	sn_fault fault;
	sn_media sizes = *m;
	*rc = plan_media(l, m, p, &fault);
	if (*rc != SN_RC_OK)
		return check_fault(l->c, "plan", *rc, &fault);
	if (p->n_rows == 0 || p->n_holes == 0 || p->n_units == 0)
		return check_fails(l->c, "%s: a plan without rows, holes or work", l->d->id);
	sizes.samples = NULL;
	if (plan_media(l, &sizes, &again, &fault) != SN_RC_OK || memcmp(p, &again, sizeof again) != 0)
		return check_fails(l->c, "%s: the plan depends on the samples, or on when it is asked", l->d->id);
	return check_layout(l, m, p) && check_positions(l, m, p);
}

/* ---- jobs ---- */

typedef struct running {
	life *l;
	sn_media_plan plan;
	check_ctx *ctx;
	guarded state, rows;
	uint32_t dim, units;
	bool begun;
} running;

static void job_close(running *j)
{
	if (j->state.map) { /* the host calls end whatever became of begin */
		check_enter(j->l->c->host, IN_END);
		j->l->encode->end(j->l->instance, j->state.p);
		check_leave(j->l->c->host);
	}
	check_ctx_close(&j->ctx);
	guarded_close(&j->state);
	guarded_close(&j->rows);
}

/* begin, over a copy of the medium that is gone afterwards. */
static sn_rc job_begin(running *j, life *l, const sn_media *m, const sn_media_plan *p, sn_fault *fault)
{
	guarded samples = {0};
	sn_media gone = *m;
	size_t state = (p->state_bytes + 15) / 16 * 16;
	*fault = (sn_fault){.size = sizeof *fault};
	*j = (running){.l = l, .plan = *p, .dim = l->plan->row_dim(l->instance)};
	if (!guarded_open(&j->state, state) || !guarded_open(&j->rows, (size_t)p->n_rows * j->dim * sizeof(float)) || !guarded_open(&samples, m->bytes)) {
		check_fails(l->c, "no memory for a job");
		return SN_RC_NOMEM;
	}
	memset(j->state.p, 0, j->state.n);
	memset(j->rows.p, 0xFF, j->rows.n); /* NaN: a row that is not filled shows */
	memcpy(samples.p, m->samples, m->bytes);
	guarded_seal(&samples);
	gone.samples = samples.p;
	j->ctx = check_ctx_open(l->c->host, p->state_bytes);
	sn_rc rc = SN_RC_NOMEM;
	if (j->ctx) {
		check_enter(l->c->host, IN_BEGIN);
		rc = l->encode->begin(l->instance, NULL, j->state.p, (sn_ops_ctx *)j->ctx, &gone, p, fault);
		check_leave(l->c->host);
	}
	guarded_close(&samples);
	j->begun = rc == SN_RC_OK;
	return rc;
}

static sn_rc job_step(running *j, uint32_t units, sn_fault *fault)
{
	uint32_t done = 0;
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(j->l->c->host, IN_STEP);
	sn_rc rc = j->l->encode->step(j->l->instance, NULL, j->state.p, (sn_ops_ctx *)j->ctx, units, &done, (float *)(void *)j->rows.p, fault);
	check_leave(j->l->c->host);
	if (rc < 0) {
		check_fault(j->l->c, "step", rc, fault);
		return rc;
	}
	j->units += done;
	if (done > units || j->units > j->plan.n_units || (rc == SN_RC_AGAIN && done == 0)) {
		check_fails(j->l->c, "%s: step did %u units of at most %u, %u in all of a plan of %u", j->l->d->id, done, units, j->units, j->plan.n_units);
		return SN_RC_INTERNAL;
	}
	if (rc != SN_RC_AGAIN && rc != SN_RC_END) {
		check_fails(j->l->c, "%s: step returned %d", j->l->d->id, rc);
		return SN_RC_INTERNAL;
	}
	if (!guarded_intact(&j->rows) || !guarded_intact(&j->state)) {
		check_fails(j->l->c, "%s: step wrote before its rows or its state", j->l->d->id);
		return SN_RC_INTERNAL;
	}
	return rc;
}

/* A whole job in slices; its rows, malloc'ed, or NULL: told already. */
static float *run_job(life *l, const sn_media *m, const sn_media_plan *p, uint32_t slice)
{
	running j;
	sn_fault fault;
	float *rows = NULL;
	sn_rc rc = job_begin(&j, l, m, p, &fault);
	if (rc != SN_RC_OK) {
		check_fault(l->c, "begin", rc, &fault);
		check_fails(l->c, "%s: begin failed: %.200s", l->d->id, fault.text);
	}
	for (int k = 0; rc == SN_RC_OK || rc == SN_RC_AGAIN; k++) {
		rc = job_step(&j, slice, &fault);
		if (k > MAX_STEPS) {
			check_fails(l->c, "%s: the job does not end", l->d->id);
			break;
		}
	}
	if (rc < 0)
		check_fails(l->c, "%s: step failed: %.200s", l->d->id, fault.text);
	if (rc == SN_RC_END) {
		size_t n = (size_t)p->n_rows * j.dim;
		rows = malloc(n * sizeof *rows);
		if (rows)
			memcpy(rows, j.rows.p, n * sizeof *rows);
		for (size_t i = 0; rows && i < n; i++)
			if (!isfinite(rows[i])) {
				check_fails(l->c, "%s: value %zu of row %zu is not finite, or was not filled", l->d->id, i % j.dim, i / j.dim);
				break;
			}
	}
	job_close(&j);
	if (rows && check_failed(l->c)) {
		free(rows);
		rows = NULL;
	}
	return rows;
}

static bool same_rows(life *l, const sn_media *m, const sn_media_plan *p, uint32_t slice, const float *want, const char *how)
{
	float *rows = run_job(l, m, p, slice);
	bool same = rows && memcmp(rows, want, (size_t)p->n_rows * l->plan->row_dim(l->instance) * sizeof *rows) == 0;
	if (rows && !same)
		check_fails(l->c, "%s: %s gives other rows", l->d->id, how);
	free(rows);
	return same;
}

/* Two jobs whose steps take turns. */
static bool same_in_company(life *l, const sn_media *m, const sn_media_plan *p, const float *want)
{
	running a = {.l = l}, b = {.l = l};
	sn_fault fault;
	bool ok = job_begin(&a, l, m, p, &fault) == SN_RC_OK && job_begin(&b, l, m, p, &fault) == SN_RC_OK;
	sn_rc ra = SN_RC_AGAIN, rb = SN_RC_AGAIN;
	if (!ok)
		check_fails(l->c, "%s: a second job beside the first does not begin", l->d->id);
	while (ok && (ra == SN_RC_AGAIN || rb == SN_RC_AGAIN)) {
		if (ra == SN_RC_AGAIN)
			ra = job_step(&a, 1, &fault);
		if (rb == SN_RC_AGAIN)
			rb = job_step(&b, 2, &fault);
	}
	size_t bytes = (size_t)p->n_rows * l->plan->row_dim(l->instance) * sizeof *want;
	if (ok && (ra != SN_RC_END || rb != SN_RC_END || memcmp(a.rows.p, want, bytes) != 0 || memcmp(b.rows.p, want, bytes) != 0))
		ok = check_fails(l->c, "%s: two jobs at once give other rows than one", l->d->id);
	job_close(&a);
	job_close(&b);
	return ok;
}

/* ---- the checks ---- */

bool check_rows_of(life *l, const sn_media *m, size_t *used)
{
	sn_media_plan p;
	sn_rc rc;
	if (!check_plan(l, m, &p, &rc) || rc != SN_RC_OK)
		return !check_failed(l->c);
	size_t held = check_host_held(l->c->host);
	float *rows = run_job(l, m, &p, UINT32_MAX);
	bool ok = rows && same_rows(l, m, &p, 1, rows, "a job of slices of one unit") && same_rows(l, m, &p, 3, rows, "a job of slices of three units") &&
	          same_in_company(l, m, &p, rows);
	free(rows);
	if (ok && check_host_held(l->c->host) != held)
		ok = check_fails(l->c, "%s: jobs left %zu bytes behind", l->d->id, check_host_held(l->c->host) - held);
	*used += ok;
	return ok;
}

/* The same on plain memory: what a handle hides must not change a bit. */
static void same_on_the_ordinary_device(life *l, const sn_media *m)
{
	life other = {0};
	sn_media_plan p;
	sn_fault fault;
	if (plan_media(l, m, &p, &fault) != SN_RC_OK)
		return;
	float *rows = run_job(l, m, &p, UINT32_MAX);
	l->c->host->bare = true;
	if (rows && life_start(&other, l->c, l->d))
		same_rows(&other, m, &p, UINT32_MAX, rows, "the ordinary device");
	if (other.instance)
		life_close(&other);
	l->c->host->bare = false;
	free(rows);
}

void check_rows(check *c)
{
	size_t used = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		sn_media media[MAX_MEDIA_TRIED];
		size_t n = 0;
		bool deaf = false; /* a speaker that, with this model, hears no recordings */
		if (!c->list->plugins[d]->extension(SN_EXT_ENCODE))
			continue;
		if (life_start(&l, c, c->list->plugins[d])) {
			deaf = l.speak && !l.speak->describe(l.instance)->reference;
			n = deaf ? 0 : media_of(&l, media);
			if (!deaf && l.plan->row_dim(l.instance) == 0)
				check_fails(c, "%s: its rows have no width", l.d->id);
		}
		for (size_t i = 0; i < n && !check_failed(c); i++)
			check_rows_of(&l, &media[i], &used);
		for (size_t i = 0; i < n && !check_failed(c); i++)
			same_on_the_ordinary_device(&l, &media[i]);
		if (!check_failed(c) && !deaf && used == 0)
			check_fails(c, "%s: it takes none of the media offered", l.d->id);
		media_free(media, n);
		life_close(&l);
	}
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "%zu media", used);
}

/* Ended after begin, after each of the first steps, after the end; stepped past the end. */
static void orders_of(life *l, const sn_media *m, const sn_media_plan *p)
{
	sn_fault fault;
	uint32_t stops = p->n_units < MAX_TRIED_STOPS ? p->n_units : MAX_TRIED_STOPS;
	for (uint32_t stop = 0; stop <= stops && !check_failed(l->c); stop++) {
		running j;
		sn_rc rc = job_begin(&j, l, m, p, &fault);
		for (uint32_t k = 0; k < stop && (rc == SN_RC_OK || rc == SN_RC_AGAIN); k++)
			rc = job_step(&j, 1, &fault);
		if (rc == SN_RC_END) { /* once too often: END again, or a failure, and no other rows */
			uint32_t done = 0;
			fault = (sn_fault){.size = sizeof fault};
			rc = l->encode->step(l->instance, NULL, j.state.p, (sn_ops_ctx *)j.ctx, 1, &done, (float *)(void *)j.rows.p, &fault);
			if (rc == SN_RC_AGAIN || rc == SN_RC_OK)
				check_fails(l->c, "%s: step after the end wants to go on", l->d->id);
		}
		job_close(&j);
	}
	running never = {.l = l}; /* a job that never began: its state is zeroed */
	if (!check_failed(l->c) && guarded_open(&never.state, (p->state_bytes + 15) / 16 * 16))
		memset(never.state.p, 0, never.state.n);
	job_close(&never);
}

void check_job_orders(life *l, check *c)
{
	sn_media media[MAX_MEDIA_TRIED];
	size_t n = media_of(l, media), held = check_host_held(c->host);
	for (size_t i = 0; i < n && !check_failed(c); i++) {
		sn_media_plan p;
		sn_fault fault;
		if (plan_media(l, &media[i], &p, &fault) != SN_RC_OK)
			continue;
		orders_of(l, &media[i], &p);
		break; /* one that is taken is enough */
	}
	if (!check_failed(c) && check_host_held(c->host) != held)
		check_fails(c, "%s: jobs that were ended left %zu bytes behind", l->d->id, check_host_held(c->host) - held);
	media_free(media, n);
}

bool check_pass_encoder(life *l)
{
	sn_media media[MAX_MEDIA_TRIED];
	size_t n = media_of(l, media);
	for (size_t i = 0; i < n && !check_failed(l->c); i++) {
		running j;
		sn_media_plan p;
		sn_fault fault;
		sn_rc rc;
		if (!check_plan(l, &media[i], &p, &rc) || rc != SN_RC_OK)
			continue;
		rc = job_begin(&j, l, &media[i], &p, &fault);
		if (rc < 0)
			check_fault(l->c, "begin", rc, &fault);
		while (rc == SN_RC_OK || rc == SN_RC_AGAIN)
			rc = job_step(&j, 16, &fault);
		if (rc < 0 && rc != SN_RC_NOMEM)
			check_fails(l->c, "%s: a job failed: %.200s", l->d->id, fault.text);
		if (rc == SN_RC_NOMEM && !l->c->host->fail_at)
			check_fails(l->c, "%s: a job has not the memory that it planned: %.200s", l->d->id, fault.text);
		job_close(&j);
		break;
	}
	media_free(media, n);
	return !check_failed(l->c);
}

typedef struct beginner {
	running j;
	life *l;
	const sn_media *m;
	sn_media_plan p;
	sn_rc rc;
} beginner;

static void *begin_too(void *arg)
{
	beginner *b = arg;
	sn_fault fault;
	b->rc = plan_media(b->l, b->m, &b->p, &fault);
	if (b->rc == SN_RC_OK)
		b->rc = job_begin(&b->j, b->l, b->m, &b->p, &fault);
	return NULL;
}

/* plan and begin are [any]: several threads at once; steps follow on this one. */
void check_threads_encoder(life *l)
{
	sn_media media[MAX_MEDIA_TRIED];
	size_t n = media_of(l, media);
	sn_media_plan p;
	sn_fault fault;
	for (size_t i = 0; i < n && !check_failed(l->c); i++) {
		beginner b[THREADS];
		pthread_t threads[THREADS];
		int started = 0;
		if (plan_media(l, &media[i], &p, &fault) != SN_RC_OK)
			continue;
		float *want = run_job(l, &media[i], &p, UINT32_MAX);
		for (; want && started < THREADS; started++) {
			b[started] = (beginner){.l = l, .m = &media[i], .j = {.l = l}};
			if (pthread_create(&threads[started], NULL, begin_too, &b[started]) != 0)
				break;
		}
		for (int k = 0; k < started; k++)
			pthread_join(threads[k], NULL);
		for (int k = 0; k < started; k++) {
			sn_rc rc = b[k].rc;
			while (rc == SN_RC_OK || rc == SN_RC_AGAIN)
				rc = job_step(&b[k].j, UINT32_MAX, &fault);
			if (rc != SN_RC_END || memcmp(b[k].j.rows.p, want, b[k].j.rows.n) != 0)
				check_fails(l->c, "%s: jobs begun by several threads at once give other rows", l->d->id);
			job_close(&b[k].j);
		}
		free(want);
		break;
	}
	media_free(media, n);
}
