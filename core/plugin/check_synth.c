/* check_synth.c - "sn.speak/1" and "sn.synth/1" under `plugins --check`: descriptions in their ranges, and sound that does not depend on
 * chunks, units, company or device. Codes, streams, state and samples end at forbidden pages; codes are read-only and gone when a job
 * has ended. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check.h"
#include "plugin/speaker_problem.h"

enum { MAX_STEPS = 1 << 20, MAX_TRIED_STOPS = 40, MAX_TRIED_FRAMES = 40, MAX_TRIED_STREAMS = 3, THREADS = 4 };

/* ---- descriptions ---- */

static const sn_synth_info *info_of(life *l)
{
	check_enter(l->c->host, IN_ANY);
	const sn_speaker *about = l->speak ? l->speak->describe(l->instance) : NULL;
	const sn_synth_info *info = l->synth->describe(l->instance);
	check_leave(l->c->host);
	const char *why = l->speak ? speaker_problem(about, speak_compose(l->speak)) : NULL;
	why = why ? why : synth_problem(info, about ? speaker_codes(about) : 0);
	if (why) {
		check_fails(l->c, "%s: what it says of how it speaks is not right: %s", l->d->id, why);
		return NULL;
	}
	return info;
}

/* A prompt for one wish, or a refusal that blames the input. */
static bool compose(life *l, const sn_speak_ask *ask)
{
	sn_speak_prompt p = {.size = sizeof p};
	sn_fault fault = {.size = sizeof fault};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = speak_compose(l->speak)(l->instance, ask, &p, &fault);
	check_leave(l->c->host);
	if (rc == SN_RC_UNSUPPORTED)
		return check_fault(l->c, "compose", rc, &fault) &&
		       (fault.blame == SN_BLAME_INPUT || check_fails(l->c, "%s: compose cannot do what is asked for, and does not blame the input", l->d->id));
	if (rc != SN_RC_OK)
		return check_fault(l->c, "compose", rc, &fault) && check_fails(l->c, "%s: compose fails: %s", l->d->id, fault.text);
	const char *why = prompt_problem(&p, ask);
	return !why || check_fails(l->c, "%s: what it composes is not right: %s", l->d->id, why);
}

/* Each voice and each language once, with and without whatever else there is. */
static bool compose_all(life *l)
{
	const sn_speaker *about = l->speak ? l->speak->describe(l->instance) : NULL;
	bool ok = true;
	for (uint32_t i = 0; about && speak_compose(l->speak) && ok && i < about->n_voices + about->n_languages; i++)
		for (uint32_t with = 0; with < 4 && ok; with++) {
			sn_speak_ask ask = {.size = sizeof ask, .has_instructions = with & 1, .has_reference = with >> 1};
			if (i < about->n_voices)
				ask.voice = i;
			else
				ask.language = i - about->n_voices + 1;
			if (ask.has_instructions <= about->instructions && ask.has_reference <= about->reference && !(ask.has_reference && ask.voice))
				ok = compose(l, &ask);
		}
	return ok;
}

/* ---- streams ---- */

/* An utterance, and its sound as far as it has come. */
typedef struct stream {
	guarded memory;
	const int32_t *codes; /* [n][n_codes] */
	uint32_t n, done;     /* frames */
	float *pcm;           /* [n * frame_samples] */
	uint64_t n_samples;
} stream;

static void stream_close(stream *t)
{
	guarded_close(&t->memory);
	free(t->pcm);
	*t = (stream){0};
}

static bool stream_open(life *l, stream *t, const sn_synth_info *info, const int32_t *codes, uint32_t n)
{
	*t = (stream){.codes = codes, .n = n, .pcm = malloc((size_t)n * info->frame_samples * sizeof *t->pcm)};
	if (!t->pcm || !guarded_open(&t->memory, (info->stream_bytes + 15) / 16 * 16)) {
		stream_close(t);
		return check_fails(l->c, "no memory for a stream");
	}
	memset(t->memory.p, 0, t->memory.n);
	return true;
}

/* Codes of every size that the slots know, the least and the greatest among them. Where nothing tells the slots: 0, which is one. */
static int32_t *make_codes(life *l, const sn_synth_info *info, uint32_t n_frames)
{
	const sn_speaker *about = l->speak ? l->speak->describe(l->instance) : NULL;
	int32_t *codes = malloc((size_t)n_frames * info->n_codes * sizeof *codes);
	uint32_t state = 12345;
	for (size_t i = 0; codes && i < (size_t)n_frames * info->n_codes; i++) {
		uint32_t at = (uint32_t)(i % info->n_codes), n = !about ? 1 : at < about->n_slots ? about->slots[at].n : about->n_values;
		state = state * 1664525u + 1013904223u;
		codes[i] = (int32_t)(i % 11 == 3 ? 0 : i % 13 == 5 ? n - 1 : (uint32_t)((uint64_t)state * n >> 32));
	}
	return codes;
}

/* ---- jobs ---- */

typedef struct synth_job {
	life *l;
	const sn_synth_info *info;
	check_ctx *ctx;
	guarded state, codes[MAX_TRIED_STREAMS], pcm[MAX_TRIED_STREAMS];
	sn_synth_chunk chunks[MAX_TRIED_STREAMS];
	uint32_t n, units, n_units;
} synth_job;

static void job_close(synth_job *j)
{
	if (j->state.map) { /* the host calls end whatever became of begin */
		check_enter(j->l->c->host, IN_END);
		j->l->synth->end(j->l->instance, j->state.p);
		check_leave(j->l->c->host);
	}
	check_ctx_close(&j->ctx);
	guarded_close(&j->state);
	for (uint32_t i = 0; i < MAX_TRIED_STREAMS; i++) {
		guarded_close(&j->codes[i]);
		guarded_close(&j->pcm[i]);
	}
}

static sn_rc plan_job(life *l, uint32_t n, uint32_t n_frames, uint32_t *n_units, uint64_t *bytes, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*n_units = 0;
	*bytes = 0;
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->synth->plan(l->instance, n, n_frames, n_units, bytes, fault);
	check_leave(l->c->host);
	if (rc != SN_RC_OK)
		check_fault(l->c, "plan", rc, fault);
	else if (*n_units == 0)
		check_fails(l->c, "%s: a plan without work", l->d->id);
	return rc;
}

/* The next n_frames of each stream. What there was no memory for shows as SN_RC_NOMEM. */
static sn_rc job_begin(synth_job *j, life *l, const sn_synth_info *info, stream **streams, uint32_t n, uint32_t n_frames, sn_fault *fault)
{
	uint64_t bytes, capacity = ((uint64_t)n_frames + info->delay_frames) * info->frame_samples;
	*j = (synth_job){.l = l, .info = info, .n = n};
	sn_rc rc = plan_job(l, n, n_frames, &j->n_units, &bytes, fault);
	if (rc != SN_RC_OK)
		return rc;
	bool room = guarded_open(&j->state, (bytes + 15) / 16 * 16);
	for (uint32_t i = 0; i < n && room; i++) {
		size_t code_bytes = (size_t)n_frames * info->n_codes * sizeof(int32_t);
		room = guarded_open(&j->codes[i], code_bytes) && guarded_open(&j->pcm[i], capacity * sizeof(float));
		if (!room)
			break;
		memcpy(j->codes[i].p, streams[i]->codes + (size_t)streams[i]->done * info->n_codes, code_bytes);
		memset(j->pcm[i].p, 0xFF, j->pcm[i].n); /* NaN: a sample that is not filled shows */
		guarded_seal(&j->codes[i]);
		j->chunks[i] = (sn_synth_chunk){.stream = streams[i]->memory.p, .codes = (const int32_t *)(const void *)j->codes[i].p,
		                                .n_frames = n_frames, .first_frame = streams[i]->done, .last = streams[i]->done + n_frames == streams[i]->n,
		                                .pcm = (float *)(void *)j->pcm[i].p, .capacity = capacity, .n_samples = UINT32_MAX};
	}
	if (!room) {
		check_fails(l->c, "no memory for a job");
		return SN_RC_NOMEM;
	}
	memset(j->state.p, 0, j->state.n);
	j->ctx = check_ctx_open(l->c->host, bytes);
	if (!j->ctx)
		return SN_RC_NOMEM;
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_BEGIN);
	rc = l->synth->begin(l->instance, NULL, j->state.p, (sn_ops_ctx *)j->ctx, j->chunks, n, fault);
	check_leave(l->c->host);
	if (rc < 0)
		check_fault(l->c, "begin", rc, fault);
	return rc;
}

static sn_rc job_step(synth_job *j, uint32_t units, sn_fault *fault)
{
	uint32_t done = 0;
	check *c = j->l->c;
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(c->host, IN_STEP);
	sn_rc rc = j->l->synth->step(j->l->instance, NULL, j->state.p, (sn_ops_ctx *)j->ctx, units, &done, fault);
	check_leave(c->host);
	if (rc < 0) {
		check_fault(c, "step", rc, fault);
		return rc;
	}
	j->units += done;
	bool intact = guarded_intact(&j->state);
	for (uint32_t i = 0; i < j->n; i++)
		intact = intact && guarded_intact(&j->pcm[i]);
	if (done > units || j->units > j->n_units || (rc == SN_RC_AGAIN && done == 0))
		check_fails(c, "%s: step did %u units of at most %u, %u in all of a plan of %u", j->l->d->id, done, units, j->units, j->n_units);
	else if (rc != SN_RC_AGAIN && rc != SN_RC_END)
		check_fails(c, "%s: step returned %d", j->l->d->id, rc);
	else if (!intact)
		check_fails(c, "%s: step wrote before its samples or its state", j->l->d->id);
	else
		return rc;
	return SN_RC_INTERNAL;
}

/* What a finished job gave goes to its streams. */
static bool collect(synth_job *j, stream **streams, uint32_t n_frames)
{
	const sn_synth_info *info = j->info;
	for (uint32_t i = 0; i < j->n; i++) {
		stream *t = streams[i];
		const sn_synth_chunk *k = &j->chunks[i];
		uint64_t frames = (uint64_t)t->done + n_frames, most = frames * info->frame_samples, n = t->n_samples + k->n_samples;
		uint64_t least = k->last ? most : frames > info->delay_frames ? (frames - info->delay_frames) * info->frame_samples : 0;
		if (k->n_samples > k->capacity || n > most || n < least)
			return check_fails(j->l->c, "%s: %llu samples after %llu frames: %llu to %llu were announced", j->l->d->id, (unsigned long long)n,
			                   (unsigned long long)frames, (unsigned long long)least, (unsigned long long)most);
		for (uint32_t s = 0; s < k->n_samples; s++)
			if (!isfinite(k->pcm[s]))
				return check_fails(j->l->c, "%s: sample %u of a chunk is not finite, or was not filled", j->l->d->id, s);
		if (!guarded_intact(&t->memory))
			return check_fails(j->l->c, "%s: a job wrote before a stream's memory", j->l->d->id);
		memcpy(t->pcm + t->n_samples, k->pcm, k->n_samples * sizeof *t->pcm);
		t->n_samples = n;
		t->done += n_frames;
	}
	return true;
}

static bool run_job(life *l, const sn_synth_info *info, stream **streams, uint32_t n, uint32_t n_frames, uint32_t units)
{
	synth_job j;
	sn_fault fault;
	sn_rc rc = job_begin(&j, l, info, streams, n, n_frames, &fault);
	for (int k = 0; rc == SN_RC_OK || rc == SN_RC_AGAIN; k++) {
		rc = job_step(&j, units, &fault);
		if (k > MAX_STEPS) {
			check_fails(l->c, "%s: the job does not end", l->d->id);
			break;
		}
	}
	if (rc < 0)
		check_fails(l->c, "%s: a job failed: %.200s", l->d->id, fault.text);
	bool ok = rc == SN_RC_END && !check_failed(l->c) && collect(&j, streams, n_frames);
	job_close(&j);
	return ok;
}

/* ---- the check ---- */

static uint32_t next_chunk(const sn_synth_info *info, const stream *t)
{
	uint32_t want = info->offline ? t->n : t->done ? info->chunk_frames : info->first_frames;
	return t->n - t->done < want ? t->n - t->done : want;
}

static bool same_sound(life *l, const stream *t, const float *want, const sn_synth_info *info, const char *how)
{
	if (memcmp(t->pcm, want, (size_t)t->n * info->frame_samples * sizeof *want) == 0)
		return true;
	return check_fails(l->c, "%s: %s gives another sound", l->d->id, how);
}

/* A stream by itself: in the chunks that are announced, or as one (whole). */
static bool alone(life *l, const sn_synth_info *info, const int32_t *codes, uint32_t n, bool whole, uint32_t units, const float *want, const char *how)
{
	stream t, *p = &t;
	bool ok = stream_open(l, &t, info, codes, n);
	while (ok && t.done < n)
		ok = run_job(l, info, &p, 1, whole ? n : next_chunk(info, &t), units);
	ok = ok && same_sound(l, &t, want, info, how);
	stream_close(&t);
	return ok;
}

/* Three streams of one utterance and its parts, one chunk apart from each other, in jobs of all whose chunk is as long. */
static bool together(life *l, const sn_synth_info *info, const int32_t *codes, uint32_t n, const float *want)
{
	uint32_t n_streams = info->max_streams < MAX_TRIED_STREAMS ? info->max_streams : MAX_TRIED_STREAMS, left = 1;
	stream t[MAX_TRIED_STREAMS] = {0};
	bool ok = true;
	for (uint32_t i = 0; i < n_streams && ok; i++)
		ok = stream_open(l, &t[i], info, codes, n);
	for (uint32_t round = 0; ok && left; round++) {
		bool taken[MAX_TRIED_STREAMS] = {false};
		left = 0;
		for (uint32_t i = 0; i < n_streams && ok; i++) {
			stream *with[MAX_TRIED_STREAMS];
			uint32_t k = 0, length = next_chunk(info, &t[i]);
			for (uint32_t other = i; other < n_streams; other++)
				if (!taken[other] && round >= other && length && next_chunk(info, &t[other]) == length) {
					taken[other] = true;
					with[k++] = &t[other];
				}
			ok = k == 0 || run_job(l, info, with, k, length, 1 + round % 3);
			left += t[i].n - t[i].done;
		}
	}
	for (uint32_t i = 0; i < n_streams && ok; i++)
		ok = same_sound(l, &t[i], want, info, "company in a job");
	for (uint32_t i = 0; i < MAX_TRIED_STREAMS; i++)
		stream_close(&t[i]);
	return ok;
}

static bool plans_have_limits(life *l, const sn_synth_info *info)
{
	const struct { uint32_t n, frames; } cases[] = {{0, 1}, {1, 0}, {info->max_streams + 1, 1}, {1, info->max_frames + 1}, {UINT32_MAX, UINT32_MAX}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t units;
		uint64_t bytes;
		sn_fault fault;
		if (cases[i].n == 0 && cases[i].frames == 0)
			continue;
		if (plan_job(l, cases[i].n, cases[i].frames, &units, &bytes, &fault) == SN_RC_OK)
			return check_fails(l->c, "%s: it plans a job of %u streams and %u frames, which it had excluded", l->d->id, cases[i].n, cases[i].frames);
		if (check_failed(l->c))
			return false;
	}
	return true;
}

/* Enough to come past the look-ahead and into the third chunk, and a rest. */
static uint32_t frames_to_try(const sn_synth_info *info)
{
	uint64_t n = (uint64_t)info->first_frames + 2 * (uint64_t)info->chunk_frames + info->delay_frames + 1;
	n = info->offline || n > MAX_TRIED_FRAMES ? MAX_TRIED_FRAMES : n;
	return n < info->max_frames ? (uint32_t)n : info->max_frames;
}

static bool sound_of(life *l, const sn_synth_info *info)
{
	uint32_t n = frames_to_try(info);
	size_t held = check_host_held(l->c->host);
	int32_t *codes = make_codes(l, info, n);
	stream t, *p = &t;
	if (!codes)
		return check_fails(l->c, "no memory for codes");
	bool ok = stream_open(l, &t, info, codes, n);
	while (ok && t.done < n)
		ok = run_job(l, info, &p, 1, next_chunk(info, &t), UINT32_MAX);
	ok = ok && alone(l, info, codes, n, false, 1, t.pcm, "a job of slices of one unit") &&
	     alone(l, info, codes, n, false, 3, t.pcm, "a job of slices of three units") && alone(l, info, codes, n, true, UINT32_MAX, t.pcm, "one chunk over the whole") &&
	     together(l, info, codes, n, t.pcm) && plans_have_limits(l, info);
	if (ok && check_host_held(l->c->host) != held)
		ok = check_fails(l->c, "%s: jobs left %zu bytes behind", l->d->id, check_host_held(l->c->host) - held);
	life other = {0};
	l->c->host->bare = true; /* what a handle hides must not change a bit */
	if (ok && life_start(&other, l->c, l->d)) {
		const sn_synth_info *same = info_of(&other);
		ok = same && alone(&other, same, codes, n, false, UINT32_MAX, t.pcm, "the ordinary device");
	}
	if (other.instance)
		life_close(&other);
	l->c->host->bare = false;
	stream_close(&t);
	free(codes);
	return ok;
}

void check_sound(check *c)
{
	uint32_t n = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		const sn_synth_info *info = NULL;
		if (!c->list->plugins[d]->extension(SN_EXT_SYNTH))
			continue;
		if (life_start(&l, c, c->list->plugins[d]))
			info = info_of(&l);
		if (info && compose_all(&l) && sound_of(&l, info))
			n = frames_to_try(info);
		life_close(&l);
	}
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "%u frames", n);
}

/* ---- parts of other checks ---- */

/* A first chunk, ended after `stop` steps; *rc: of the last call. False: there is nothing to begin with. */
static bool try_job(life *l, uint32_t stop, uint32_t units, bool once_more, sn_rc *rc, uint32_t *n_units)
{
	synth_job j = {.l = l};
	stream t, *p = &t;
	sn_fault fault;
	const sn_synth_info *info = info_of(l);
	uint32_t n = info ? next_chunk(info, &(stream){.n = frames_to_try(info)}) : 0;
	int32_t *codes = info ? make_codes(l, info, n) : NULL;
	if (!codes || !stream_open(l, &t, info, codes, n)) {
		free(codes);
		return false;
	}
	*rc = job_begin(&j, l, info, &p, 1, n, &fault);
	*n_units = j.n_units;
	for (uint32_t k = 0; k < stop && (*rc == SN_RC_OK || *rc == SN_RC_AGAIN); k++)
		*rc = job_step(&j, units, &fault);
	if (*rc < 0 && *rc != SN_RC_NOMEM)
		check_fails(l->c, "%s: a job failed: %.200s", l->d->id, fault.text);
	if (*rc == SN_RC_NOMEM && !l->c->host->fail_at)
		check_fails(l->c, "%s: a job has not the memory that it planned: %.200s", l->d->id, fault.text);
	if (*rc == SN_RC_END && once_more) { /* END again, or a failure */
		uint32_t done = 0;
		fault = (sn_fault){.size = sizeof fault};
		sn_rc again = l->synth->step(l->instance, NULL, j.state.p, (sn_ops_ctx *)j.ctx, 1, &done, &fault);
		if (again == SN_RC_AGAIN || again == SN_RC_OK)
			check_fails(l->c, "%s: step after the end wants to go on", l->d->id);
	}
	job_close(&j);
	stream_close(&t);
	free(codes);
	return true;
}

/* Ended after begin, after each of the first steps, after the end; stepped past the end; never begun. */
void check_synth_orders(life *l)
{
	size_t held = check_host_held(l->c->host);
	uint32_t n_units = 1;
	sn_rc rc;
	for (uint32_t stop = 0; stop <= n_units && stop <= MAX_TRIED_STOPS && !check_failed(l->c); stop++)
		if (!try_job(l, stop, 1, true, &rc, &n_units))
			return;
	if (!check_failed(l->c))
		try_job(l, UINT32_MAX, UINT32_MAX, true, &rc, &n_units);
	synth_job never = {.l = l}; /* its state is zeroed */
	if (!check_failed(l->c) && guarded_open(&never.state, 4096))
		memset(never.state.p, 0, never.state.n);
	job_close(&never);
	if (!check_failed(l->c) && check_host_held(l->c->host) != held)
		check_fails(l->c, "%s: jobs that were ended left %zu bytes behind", l->d->id, check_host_held(l->c->host) - held);
}

bool check_pass_synth(life *l)
{
	uint32_t n_units;
	sn_rc rc;
	try_job(l, UINT32_MAX, 16, false, &rc, &n_units);
	return !check_failed(l->c);
}

typedef struct planner {
	life *l;
	uint32_t n_frames, n_units;
	uint64_t bytes;
	sn_rc rc;
	const sn_synth_info *info;
} planner;

static void *plan_too(void *arg)
{
	planner *p = arg;
	sn_fault fault = {.size = sizeof fault};
	for (int i = 0; i < 100 && p->rc == SN_RC_OK; i++) {
		p->info = p->l->synth->describe(p->l->instance);
		p->rc = p->l->synth->plan(p->l->instance, 1, p->n_frames, &p->n_units, &p->bytes, &fault);
	}
	return NULL;
}

/* describe and plan are [any]: several threads at once. */
void check_threads_synth(life *l)
{
	const sn_synth_info *info = info_of(l);
	planner p[THREADS];
	pthread_t threads[THREADS];
	int started = 0;
	uint32_t n_units;
	uint64_t bytes;
	sn_fault fault;
	if (!info || plan_job(l, 1, info->first_frames, &n_units, &bytes, &fault) != SN_RC_OK)
		return;
	check_enter(l->c->host, IN_ANY);
	for (; started < THREADS; started++) {
		p[started] = (planner){.l = l, .n_frames = info->first_frames};
		if (pthread_create(&threads[started], NULL, plan_too, &p[started]) != 0)
			break;
	}
	for (int k = 0; k < started; k++)
		pthread_join(threads[k], NULL);
	check_leave(l->c->host);
	for (int k = 0; k < started; k++)
		if (p[k].rc != SN_RC_OK || p[k].info != info || p[k].n_units != n_units || p[k].bytes != bytes)
			check_fails(l->c, "%s: plans made by several threads at once differ", l->d->id);
}
