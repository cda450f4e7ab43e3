#include "engine/synth.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum { MAX_STREAMS = 64 };

struct synth_job {
	speaker *who;
	bool runs;              /* streams[] have references to their requests */
	bool begun;             /* the plugin knows of it */
	sn_request *streams[MAX_STREAMS]; /* [n] */
	uint32_t n, n_frames;
	double slack_ms;
	sn_synth_chunk chunks[MAX_STREAMS];
	float *pcm;             /* [n][capacity of a chunk] */
	void *state;
	sn_ops_ctx *ctx;
	uint32_t n_units, units_done;
};

struct synth_job *synth_open(void)
{
	return calloc(1, sizeof(struct synth_job));
}

void synth_close(struct synth_job **job)
{
	free(*job);
	*job = NULL;
}

/* ---- gathering ---- */

static bool may_join(const struct synth_job *j, const utterance *u, uint32_t n_frames)
{
	return n_frames == j->n_frames && !u->alone && j->n < j->who->voc->max_streams;
}

/* The one with least slack, and all whose chunk is as long; if they are too many, those that were there first. */
static void gather(const sn_engine *e, struct synth_job *j, double now)
{
	sn_request *first = NULL;
	bool last;
	j->n = 0;
	for (sn_request *r = e->speaking; r; r = r->voice->next) {
		uint32_t n = r->voice->who == j->who ? utterance_ready(r, &last) : 0;
		double slack = n ? listener_slack(r->voice->to, r->voice->index, now) : 0;
		if (n && (!first || slack < j->slack_ms)) {
			first = r;
			j->n_frames = n;
			j->slack_ms = slack;
		}
	}
	if (first)
		j->streams[j->n++] = first;
	for (sn_request *r = first && !first->voice->alone ? e->speaking : NULL; r; r = r->voice->next)
		if (r != first && r->voice->who == j->who && may_join(j, r->voice, utterance_ready(r, &last)))
			j->streams[j->n++] = r;
}

static double least_slack(const struct synth_job *j, double now)
{
	double least = INFINITY;
	for (uint32_t i = 0; i < j->n; i++) {
		const utterance *u = j->streams[i]->voice;
		if (!u->over)
			least = fmin(least, listener_slack(u->to, u->index, now));
	}
	return least;
}

/* ---- a run's end ---- */

static void let_go(struct synth_job *j)
{
	if (j->begun)
		j->who->voc->p->synth->end(j->who->voc->instance, j->state);
	ops_ctx_close(&j->ctx);
	free(j->state);
	free(j->pcm);
	j->state = NULL;
	j->pcm = NULL;
	for (uint32_t i = 0; i < j->n; i++) {
		j->streams[i]->voice->in_job = false;
		request_unref(&j->streams[i]);
	}
	j->n = 0;
	j->runs = j->begun = false;
}

/* All or nothing: with others, each is as it was before, and by itself from now on. */
static void run_failed(sn_engine *e, struct synth_job *j, const sn_error *err)
{
	log_error(e->log, "engine", j->streams[0]->id, "decoding %u utterances failed: %s", j->n, err->text);
	for (uint32_t i = 0; i < j->n; i++) {
		utterance *u = j->streams[i]->voice;
		if (j->n > 1 && u->saved)
			memcpy(u->stream, u->saved, j->who->info->stream_bytes);
		if (j->n > 1)
			u->alone = true;
		else if (!u->over)
			loop_fail_request(e, j->streams[i], err);
	}
	let_go(j);
}

/* Is what the plugin made of a chunk what it said it would make? */
static sn_status check_chunk(const struct synth_job *j, const utterance *u, const sn_synth_chunk *c, sn_error *err)
{
	const sn_synth_info *i = j->who->info;
	uint64_t frames = u->n_decoded + c->n_frames, most = frames * i->frame_samples, n = u->n_samples + c->n_samples;
	uint64_t least = c->last ? most : frames > i->delay_frames ? (frames - i->delay_frames) * i->frame_samples : 0;
	if (c->n_samples > c->capacity || n > most || n < least)
		return plugin_broke(j->who->voc->p, err, "it made %u samples of a chunk of %u frames, which is not what it had announced", c->n_samples,
		                    c->n_frames);
	for (uint32_t k = 0; k < c->n_samples; k++)
		if (!isfinite(c->pcm[k]))
			return plugin_broke(j->who->voc->p, err, "it made samples that are not finite, or did not fill them");
	return SN_OK;
}

static void hand_out(sn_engine *e, struct synth_job *j)
{
	double now = clock_ms();
	bool all_well = true;
	metric_add(&e->metrics, M_SYNTH_JOBS, 1);
	metric_add(&e->metrics, M_SYNTH_STREAMS, j->n);
	if (j->n > metric_get(&e->metrics, M_SYNTH_MAX))
		metric_set(&e->metrics, M_SYNTH_MAX, j->n);
	for (uint32_t i = 0; i < j->n; i++) {
		sn_request *r = j->streams[i];
		utterance *u = r->voice;
		const sn_synth_chunk *c = &j->chunks[i];
		sn_error err;
		if (u->over)
			continue;
		if (check_chunk(j, u, c, &err)) {
			all_well = false;
			log_error(e->log, "engine", r->id, "decoding failed: %s", err.text);
			loop_fail_request(e, r, &err);
			continue;
		}
		utterance_give(r, c->pcm, c->n_samples, now);
		u->n_decoded += c->n_frames;
		if (c->last)
			loop_end_speaking(e, r);
	}
	if (all_well)
		plugin_worked(j->who->voc->p);
	let_go(j);
}

/* ---- looking after those who speak ---- */

static bool has_nothing_left(const utterance *u)
{
	return u->said_all && u->n_decoded == utterance_frames(u);
}

static const sn_error *why_drop(const sn_engine *e, const sn_request *r, double now, sn_error *err)
{
	if (atomic_load(&r->cancelled))
		error_set(err, SN_ERR_CANCELLED, "cancelled");
	else if (atomic_load(&e->abort_all))
		error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	else if (r->t_deadline > 0 && now > r->t_deadline)
		error_set(err, SN_ERR_DEADLINE, "the request took longer than its time limit");
	else
		return NULL;
	return err;
}

/* Whose sequence lives is schedule()'s to drop. */
static void sweep(sn_engine *e, double now)
{
	sn_error err;
	for (sn_request *r = e->speaking, *next; r; r = next) {
		next = r->voice->next;
		const sn_error *why = r->n_live ? NULL : why_drop(e, r, now, &err);
		if (why)
			loop_fail_request(e, r, why);
		else if (has_nothing_left(r->voice)) /* it ended without a frame */
			loop_end_speaking(e, r);
	}
}

static bool all_over(const struct synth_job *j)
{
	for (uint32_t i = 0; i < j->n; i++)
		if (!j->streams[i]->voice->over)
			return false;
	return true;
}

uint32_t synth_gather(sn_engine *e, sched_job *jobs, double now)
{
	e->n_synths = 0;
	sweep(e, now);
	for (uint32_t i = 0; i < e->n_models; i++) {
		speaker *s = e->models[i].speaker;
		struct synth_job *j = s ? s->job : NULL;
		if (!j)
			continue;
		j->who = s;
		if (j->runs && all_over(j))
			let_go(j);
		if (!j->runs)
			gather(e, j, now);
		if (!j->n)
			continue;
		uint32_t left = !j->runs ? UINT32_MAX : j->n_units > j->units_done ? j->n_units - j->units_done : 0;
		jobs[e->n_synths] = (sched_job){.units_left = left, .unit_ms = s->unit_ms, .listened = true, .slack_ms = least_slack(j, now)};
		e->synths[e->n_synths++] = j;
	}
	return e->n_synths;
}

/* ---- running ---- */

static sn_status save_streams(struct synth_job *j, sn_error *err)
{
	size_t n = j->who->info->stream_bytes;
	for (uint32_t i = 0; j->n > 1 && n && i < j->n; i++) {
		utterance *u = j->streams[i]->voice;
		if (!u->saved)
			u->saved = malloc(n);
		if (!u->saved)
			return error_set(err, SN_ERR_NOMEM, "no memory for an utterance");
		memcpy(u->saved, u->stream, n);
	}
	return SN_OK;
}

static void lay_out(struct synth_job *j)
{
	const sn_synth_info *info = j->who->info;
	uint64_t capacity = ((uint64_t)j->n_frames + info->delay_frames) * info->frame_samples;
	for (uint64_t i = 0; i < j->n * capacity; i++) /* a sample that is never filled is found by check_chunk */
		j->pcm[i] = NAN;
	for (uint32_t i = 0; i < j->n; i++) {
		utterance *u = j->streams[i]->voice;
		bool last = u->said_all && u->n_decoded + j->n_frames == utterance_frames(u);
		j->chunks[i] = (sn_synth_chunk){.stream = u->stream, .codes = u->codes + (size_t)u->n_decoded * info->n_codes, .n_frames = j->n_frames,
		                                .first_frame = u->n_decoded, .last = last, .n_samples = UINT32_MAX, .pcm = j->pcm + i * capacity,
		                                .capacity = capacity};
	}
}

static sn_status make_room(sn_engine *e, struct synth_job *j, sn_error *err)
{
	const sn_synth_info *info = j->who->info;
	vocoder *v = j->who->voc;
	sn_fault fault = {.size = sizeof fault};
	uint64_t state_bytes = 0;
	size_t samples;
	sn_rc rc = v->p->synth->plan(v->instance, j->n, j->n_frames, &j->n_units, &state_bytes, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(v->p, rc, &fault, err);
	if (j->n_units == 0)
		return plugin_broke(v->p, err, "it planned no work");
	if (__builtin_mul_overflow((size_t)j->n * info->frame_samples, (size_t)j->n_frames + info->delay_frames, &samples) || samples > SIZE_MAX / 8)
		return error_set(err, SN_ERR_TOO_LARGE, "a vocoder's chunk is too long");
	j->state = calloc(1, state_bytes ? state_bytes : 1);
	j->pcm = malloc(samples * sizeof *j->pcm);
	if (!j->state || !j->pcm)
		return error_set(err, SN_ERR_NOMEM, "no memory for a vocoder's job");
	return ops_ctx_open(&j->ctx, &e->ops, state_bytes, err);
}

static sn_status begin(sn_engine *e, struct synth_job *j, sn_error *err)
{
	vocoder *v = j->who->voc;
	struct sn_call call = {j->streams[0]->id};
	sn_fault fault = {.size = sizeof fault};
	j->runs = true;
	j->units_done = 0;
	for (uint32_t i = 0; i < j->n; i++) {
		atomic_fetch_add(&j->streams[i]->owners, 1);
		j->streams[i]->voice->in_job = true;
	}
	sn_status st = save_streams(j, err);
	if (!st)
		st = make_room(e, j, err);
	if (st)
		return st;
	lay_out(j);
	j->begun = true;
	sn_rc rc = v->p->synth->begin(v->instance, &call, j->state, j->ctx, j->chunks, j->n, &fault);
	return rc == SN_RC_OK ? SN_OK : fault_to_error(v->p, rc, &fault, err);
}

/* Unit by unit, so that the clock can be looked at between them. */
static sn_rc run_units(struct synth_job *j, uint32_t units, double budget_ms, double t0, uint32_t *done, double *ms, sn_fault *fault)
{
	vocoder *v = j->who->voc;
	struct sn_call call = {j->streams[0]->id};
	double longest = 0;
	sn_rc rc = SN_RC_AGAIN;
	while (rc == SN_RC_AGAIN && *done < units && *ms + longest <= budget_ms) {
		uint32_t n = 0;
		double before = *ms;
		rc = v->p->synth->step(v->instance, &call, j->state, j->ctx, 1, &n, fault);
		*ms = clock_ms() - t0;
		longest = fmax(longest, *ms - before);
		*done += n;
		if (n == 0)
			break;
	}
	return rc;
}

void synth_step(sn_engine *e, struct synth_job *j, uint32_t units, double budget_ms)
{
	sn_fault fault = {.size = sizeof fault};
	sn_error err = {0};
	double t0 = clock_ms(), ms = 0;
	uint32_t done = 0;
	plugin *p = j->who->voc->p;
	if (j->runs && all_over(j)) /* as of this step */
		let_go(j);
	else if (!j->runs)
		gather(e, j, t0); /* again: the step may have dropped some */
	if (!j->n)
		return;
	atomic_fetch_add(&p->calls, 1);
	sn_status st = j->runs ? SN_OK : begin(e, j, &err);
	sn_rc rc = st ? SN_RC_INTERNAL : run_units(j, units, budget_ms, t0, &done, &ms, &fault);
	if (!st && rc < 0)
		st = fault_to_error(p, rc, &fault, &err);
	j->units_done += done;
	if (!st && rc == SN_RC_AGAIN && (done == 0 || j->units_done > j->n_units))
		st = plugin_broke(p, &err, "it made no progress, or ran past its plan");
	if (done)
		j->who->unit_ms = j->who->unit_ms > 0 ? 0.8 * j->who->unit_ms + 0.2 * ms / done : ms / done;
	metric_add(&e->metrics, M_SYNTH_UNITS, done);
	metric_observe(&e->metrics, H_SLICE, clock_ms() - t0);
	if (st)
		run_failed(e, j, &err);
	else if (rc == SN_RC_END)
		hand_out(e, j);
}
