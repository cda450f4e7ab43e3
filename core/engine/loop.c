/* The engine thread: drain the inbox, plan, run, settle; again. Everything it owns is touched by it alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/embed.h"
#include "engine/frames.h"
#include "engine/step.h"
#include "engine/synth.h"

static const double SLICE_MS = 15; /* 20 is the aim; what is left is for the machine's own moods */

sn_status engine_loop_open(sn_engine *e, sn_error *err)
{
	size_t n = e->max_active;
	e->step = step_open(e->config.max_num_batched_tokens, e->config.max_num_seqs);
	e->frames = frames_open(e->config.max_num_seqs);
	e->active = calloc(n, sizeof *e->active);
	e->sched_seqs = calloc(n, sizeof *e->sched_seqs);
	e->plan.seqs = calloc(n, sizeof *e->plan.seqs);
	e->plan.dropped = calloc(n, sizeof(uint32_t));
	e->plan.preempted = calloc(n, sizeof(uint32_t));
	e->plan.want = calloc(n, sizeof(uint32_t));
	e->plan.part_of = calloc(n, sizeof(uint32_t));
	e->plan.order = calloc(n, sizeof(uint32_t));
	e->plan.parts = calloc(n, sizeof *e->plan.parts);
	if (e->step && e->frames && e->active && e->sched_seqs && e->plan.seqs && e->plan.dropped && e->plan.preempted && e->plan.want && e->plan.part_of && e->plan.order &&
	    e->plan.parts)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM, "no memory for the scheduler's arrays");
}

size_t engine_loop_bytes(const sn_engine *e)
{
	return e->max_active * (sizeof *e->active + sizeof *e->sched_seqs + sizeof *e->plan.seqs + sizeof *e->plan.parts + 5 * sizeof(uint32_t)) +
	       step_bytes(e->config.max_num_batched_tokens, e->config.max_num_seqs) + frames_bytes(e->config.max_num_seqs);
}

void engine_loop_close(sn_engine *e)
{
	free(e->active);
	free(e->sched_seqs);
	free(e->plan.seqs);
	free(e->plan.dropped);
	free(e->plan.preempted);
	free(e->plan.want);
	free(e->plan.part_of);
	free(e->plan.order);
	free(e->plan.parts);
	step_close(&e->step);
	frames_close(&e->frames);
}

void engine_nudge(sn_engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->nudge = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
}

sn_status engine_submit(sn_engine *e, sn_request *r, sn_error *err)
{
	sn_status st = SN_OK;
	pthread_mutex_lock(&e->lock);
	if ((atomic_load(&e->draining) && !r->goes_on) || atomic_load(&e->stop)) {
		st = error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	} else {
		r->next = NULL;
		*e->inbox_tail = r;
		e->inbox_tail = &r->next;
		e->nudge = true;
		pthread_cond_signal(&e->wake);
	}
	pthread_mutex_unlock(&e->lock);
	return st;
}

/* ---- a request's end ---- */

/* Its pages are free, its slot is empty. */
static void drop_sequence(sn_engine *e, sequence *s)
{
	kv_seq_release(&s->kv);
	e->active[s->slot] = NULL;
	s->ended = true;
	s->req->n_live--;
}

/* It has no more to say, or nobody hears it: its vocoder's job finds it over. */
static void stop_speaking(sn_engine *e, sn_request *r)
{
	sn_request **at = &e->speaking;
	while (*at && *at != r)
		at = &(*at)->voice->next;
	if (*at)
		*at = r->voice->next;
	r->voice->over = true;
}

/* No sequence lives any more: media, counts, the request's place. Before its end is told, so that who has an answer finds the
 * place free again; the caller tells it and lets go. err NULL: ended well, "length" if any choice was cut. */
static void close_books(sn_engine *e, sn_request *r, const sn_error *err)
{
	double ms = clock_ms() - r->t_submit;
	uint32_t n_tokens = 0;
	for (uint32_t i = 0; i < r->n_seqs; i++)
		n_tokens += r->seqs[i].n_known - r->n_prompt;
	for (uint32_t i = 0; i < r->n_media; i++)
		media_cache_unref(&e->cache, &r->media[i]);
	if (!err)
		metric_add(&e->metrics, r->any_length ? M_OK_LENGTH : M_OK_STOP, 1);
	else
		metric_add(&e->metrics, err->status == SN_ERR_CANCELLED ? M_CANCELLED : M_FAILED, 1);
	metric_observe(&e->metrics, H_E2E, ms);
	log_info(e->log, "engine", r->id, "%s after %u tokens, %.0f ms", err ? err->text : r->any_length ? "length" : "stop", n_tokens, ms);
	if (!r->uncounted)
		atomic_fetch_sub(&e->n_requests, 1);
}

static void end_sequence(sn_engine *e, sequence *s, sn_finish finish, int32_t token, float logprob)
{
	sn_request *r = s->req;
	drop_sequence(e, s);
	r->any_length |= finish == SN_FINISH_LENGTH;
	bool last = r->n_live == 0;
	if (r->voice) { /* it ends with its sound */
		r->voice->said_all = true;
		r->voice->finish = finish;
		return;
	}
	if (last)
		close_books(e, r, NULL);
	request_push_end(r, s->choice, finish, token, logprob);
	if (last)
		request_unref(&r);
}

/* All of a request, for what went wrong with one of its sequences. */
static void fail_request(sn_engine *e, sn_request *r, const sn_error *err)
{
	for (uint32_t i = 0; i < r->n_seqs; i++)
		if (!r->seqs[i].ended)
			drop_sequence(e, &r->seqs[i]);
	if (r->voice)
		stop_speaking(e, r);
	close_books(e, r, err);
	request_fail(r, err);
	request_unref(&r);
}

void loop_fail_request(sn_engine *e, sn_request *r, const sn_error *err)
{
	fail_request(e, r, err);
}

void loop_end_speaking(sn_engine *e, sn_request *r)
{
	stop_speaking(e, r);
	close_books(e, r, NULL);
	request_push_end(r, 0, r->voice->finish, -1, 0);
	request_unref(&r);
}

static void fail(sn_engine *e, sn_request *r, sn_status status, const char *why)
{
	sn_error err;
	error_set(&err, status, "%s", why);
	fail_request(e, r, &err);
}

static void add_active(sn_engine *e, sequence *s)
{
	s->slot = e->n_active;
	e->active[e->n_active++] = s;
}

/* Ended sequences leave holes in active[]; this closes them. */
static void close_ranks(sn_engine *e)
{
	uint32_t n = e->n_active;
	e->n_active = 0;
	for (uint32_t i = 0; i < n; i++)
		if (e->active[i])
			add_active(e, e->active[i]);
}

/* ---- drain ---- */

/* At the end of the list: in order of arrival. */
static void begin_speaking(sn_engine *e, sn_request *r)
{
	sn_request **at = &e->speaking;
	while (*at)
		at = &(*at)->voice->next;
	*at = r;
	listener_expect(r->voice->to, r->voice->index);
}

static void drain_inbox(sn_engine *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->inbox && e->inbox->n_seqs <= e->max_active - e->n_active) {
		sn_request *r = e->inbox;
		e->inbox = r->next;
		if (!e->inbox)
			e->inbox_tail = &e->inbox;
		for (uint32_t i = 0; i < r->n_seqs; i++)
			add_active(e, &r->seqs[i]);
		if (r->voice)
			begin_speaking(e, r);
	}
	memcpy(e->gangs, e->coming, e->n_coming * sizeof *e->gangs);
	e->n_gangs = e->n_coming;
	e->nudge = false;
	pthread_mutex_unlock(&e->lock);
}

/* Media that could not be encoded fail their requests; others learn how far they may go. */
static uint32_t rows_ready(const sequence *s, uint32_t n, const media_entry **failed)
{
	const sn_request *r = s->req;
	for (uint32_t i = 0; i < r->n_media; i++) {
		if (r->media[i]->state == MEDIA_READY)
			continue;
		if (r->media[i]->state == MEDIA_FAILED)
			*failed = r->media[i];
		for (uint32_t k = s->n_computed; k < n; k++)
			if (s->rows[k].media == (int32_t)i)
				n = k;
	}
	return n;
}

static bool waited_too_long(const sn_engine *e, const sn_request *r, double now)
{
	bool goes_on = r->voice && r->voice->index; /* its speech has begun */
	return e->config.queue_timeout_ms && !r->started && !goes_on && now > r->t_submit + e->config.queue_timeout_ms;
}

static bool must_drop(const sn_engine *e, const sequence *s, double now)
{
	const sn_request *r = s->req;
	return waited_too_long(e, r, now) ||
	       atomic_load(&s->stopped) || atomic_load(&r->cancelled) || atomic_load(&e->abort_all) || (r->t_deadline > 0 && now > r->t_deadline);
}

/* ---- gangs ---- */

void engine_gang_begin(sn_engine *e, uint64_t gang)
{
	pthread_mutex_lock(&e->lock);
	if (gang && e->n_coming < MEDIA_MAX_JOBS)
		e->coming[e->n_coming++] = gang;
	pthread_mutex_unlock(&e->lock);
}

void engine_gang_end(sn_engine *e, uint64_t gang)
{
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->n_coming; i++)
		if (e->coming[i] == gang) {
			e->coming[i] = e->coming[--e->n_coming];
			e->nudge = true;
			pthread_cond_signal(&e->wake);
			break;
		}
	pthread_mutex_unlock(&e->lock);
}

/* Windows of a gang that could be decoded wait for those that are on their way: being made ready by their recording's thread (drain_inbox
 * knows those) or encoded. The work is the same, and tokens of many windows cost little more than those of one. Nobody else waits for it:
 * the encoder's slices come anyway. */
static void note_gang(sn_engine *e, const sequence *s)
{
	const sn_request *r = s->req;
	for (uint32_t i = 0; i < r->n_media && r->gang; i++)
		if (r->media[i]->state == MEDIA_PENDING && e->n_gangs < 2 * MEDIA_MAX_JOBS) {
			e->gangs[e->n_gangs++] = r->gang;
			return;
		}
}

static void hold_gangs(sn_engine *e)
{
	for (uint32_t i = 0; i < e->n_active && e->n_gangs; i++)
		for (uint32_t g = 0; g < e->n_gangs && e->active[i]; g++)
			e->sched_seqs[i].stalled |= e->active[i]->req->gang == e->gangs[g];
}

/* ---- plan ---- */

static void describe(sn_engine *e, double now)
{
	for (uint32_t i = 0; i < e->n_active; i++) {
		sequence *s = e->active[i];
		if (!s)
			continue; /* went with its request */
		const media_entry *failed = NULL;
		uint32_t ready = rows_ready(s, sequence_prepare(s), &failed);
		if (failed) {
			sn_error err = failed->error;
			fail_request(e, s->req, &err);
			continue;
		}
		const utterance *u = s->req->voice;
		e->sched_seqs[i] = (sched_seq){
		    .kv = &s->kv, .key = s->req->key, .rows = s->rows, .n_known = s->n_known, .n_ready = ready, .n_computed = s->n_computed,
		    .n_given = s->n_given, .max_chunk = e->config.max_num_batched_tokens, .drop = must_drop(e, s, now),
		    .stalled = s->mask_waits || (u ? utterance_is_stalled(s->req) : request_is_stalled(s->req)), .listened = u,
		    .slack_ms = u ? listener_slack(u->to, u->index, now) : 0,
		};
		note_gang(e, s);
	}
	hold_gangs(e);
}

/* ---- run ---- */

static void run_slices(sn_engine *e, uint32_t n_media)
{
	for (uint32_t i = 0; i < e->plan.n_jobs; i++) {
		double ms;
		uint32_t units, j = e->plan.jobs[i].job;
		if (j >= n_media) {
			synth_step(e, e->synths[j - n_media], e->plan.jobs[i].units, e->plan.jobs[i].ms);
			e->next_job = j + 1;
			continue;
		}
		double *cost = &e->unit_ms[e->cache.jobs[j]->enc->id % MAX_MODELS];
		bool ended = media_job_step(&e->cache, j, e->plan.jobs[i].units, e->plan.jobs[i].ms, &e->ops, &ms, &units);
		if (units)
			*cost = *cost > 0 ? 0.8 * *cost + 0.2 * ms / units : ms / units;
		if (!ended)
			e->next_job = j + 1;
	}
}

static bool ends_choice(const sn_request *r, int32_t token)
{
	if (vocab_is_eog(r->model->m->vocab, token) && !r->sampling.ignore_eos)
		return true;
	for (size_t i = 0; i < r->sampling.n_stop_token_ids; i++)
		if (r->sampling.stop_token_ids[i] == token)
			return true;
	return false;
}

static void observe_token(sn_engine *e, sequence *s, double now)
{
	sn_request *r = s->req;
	metric_add(&e->metrics, M_GENERATION_TOKENS, 1);
	if (!r->any_token) {
		metric_observe(&e->metrics, H_TTFT, now - r->t_submit);
		log_info(e->log, "engine", r->id, "first token after %.0f ms", now - r->t_submit);
	} else if (s->t_token > 0) {
		metric_observe(&e->metrics, H_ITL, now - s->t_token);
	}
	r->any_token = true;
	s->t_token = now;
}

/* A sampled token becomes the sequence's next known row, or its end. */
static void settle_token(sn_engine *e, sequence *s, const sample *t, double now)
{
	sn_request *r = s->req;
	utterance *u = r->voice;
	bool end = u ? speaker_code(u->who, u->n_tokens, t->token) < 0 : ends_choice(r, t->token);
	seq_row row = {.id = t->token, .media = -1, .position = s->next_position++};
	observe_token(e, s, now);
	if (u && !end) {
		*utterance_code(u, u->n_tokens) = speaker_code(u->who, u->n_tokens, t->token);
		row.with = utterance_flow(u, u->n_tokens);
		row.frame = frame_key(e, u, u->n_tokens++);
	}
	if (u)
		atomic_fetch_add(&u->n_sampled, 1);
	s->rows[s->n_known++] = row;
	if (!end && !u)
		request_push_token(r, s->choice, t);
	if (end)
		end_sequence(e, s, SN_FINISH_STOP, t->token, t->logprob);
	else if (s->n_known - r->n_prompt == r->max_tokens)
		end_sequence(e, s, SN_FINISH_LENGTH, -1, 0);
}

/* Once: after the first token others may read it, and a recomputed row says the same. */
static void answer_probe(sn_request *r, const float *logits, uint32_t n_logits)
{
	if (!r->probe.done)
		r->probe.p = sampler_probability(logits, n_logits, r->probe.token);
	r->probe.done = true;
}

static const char no_probabilities[] = "the model gave no usable probabilities (non-finite logits or every token forbidden)";

/* A code that others of its frame follow. */
static bool begins_frame(const sn_request *r, int32_t token)
{
	const utterance *u = r->voice;
	return u && u->who->about->n_predicted && speaker_code(u->who, u->n_tokens, token) >= 0;
}

/* The frames that tokens of this step begin are made whole, together. */
static void settle_frames(sn_engine *e, const served_model *sm, double now)
{
	frames *f = e->frames;
	frames_say(f, e, sm->m);
	for (uint32_t i = 0; i < f->n; i++) {
		sequence *s = e->active[f->seqs[i]];
		if (f->failed[i])
			fail(e, s->req, SN_ERR_INTERNAL, no_probabilities);
		else
			settle_token(e, s, &f->samples[i], now);
	}
	frames_clear(f);
}

static void sample_rows(sn_engine *e, const served_model *sm)
{
	const step_batch *a = e->step;
	const hparams *h = &sm->m->h;
	uint32_t n_logits = a->b.head_n ? a->b.head_n : h->n_logits;
	int32_t first = (int32_t)(h->first_logit + a->b.head_first);
	double now = clock_ms();
	for (uint32_t i = 0; i < a->b.n_out; i++) {
		sequence *s = e->active[a->outs[i].seq];
		if (!s)
			continue; /* went with a sibling that failed */
		sn_request *r = s->req;
		sample t;
		const float *logits = e->buffers.logits + (size_t)i * n_logits;
		const uint32_t *allowed = NULL;
		sn_error why = {0};
		if (r->shape && !a->outs[i].probe)
			allowed = shape_next(r->shape, s->choice, s->rows + r->n_prompt, s->n_known - r->n_prompt, &why);
		if (a->outs[i].probe)
			answer_probe(r, logits, n_logits);
		else if (r->shape && !allowed)
			fail(e, r, why.status, why.text);
		else if (!sampler_run(&e->sampler, &r->sampling, r->rules, allowed, r->seed, s->choice, sm->m->vocab, logits, n_logits, first,
		                      s->rows, s->n_known, r->n_prompt, &t))
			fail(e, r, SN_ERR_INTERNAL, no_probabilities);
		else if (begins_frame(r, t.token))
			frames_add(e->frames, e, a->outs[i].seq, &t, e->buffers.out + (size_t)i * h->n_embd);
		else
			settle_token(e, s, &t, now);
	}
	settle_frames(e, sm, now);
}

/* Vectors whose last row was computed in this step. */
static void settle_pooled(sn_engine *e)
{
	for (uint32_t i = 0; i < e->step->n_taken; i++) {
		sequence *s = e->active[e->step->taken[i].seq];
		if (!s || !s->req->pooled || s->n_computed < s->n_known)
			continue;
		if (pooled_finish(s->req->pooled, s->req->model->m->h.n_embd))
			end_sequence(e, s, SN_FINISH_STOP, -1, 0);
		else
			fail(e, s->req, SN_ERR_INTERNAL, "the model gave no usable embedding (non-finite values)");
	}
}

static void run_model(sn_engine *e, served_model *sm)
{
	step_batch *a = e->step;
	step_clear(a);
	for (uint32_t i = 0; i < e->plan.n_seqs; i++) {
		uint32_t at = e->plan.seqs[i].seq;
		if (e->active[at] && e->active[at]->req->model == sm)
			step_add(a, e->active[at], at, e->plan.seqs[i].n_rows);
	}
	uint32_t n_rows = a->b.n_rows + a->b.n_cross_rows;
	if (n_rows == 0)
		return;
	double t0 = clock_ms();
	forward(sm->m, &e->ops, &e->buffers, page_pool_arena(e->pages), &a->b);
	if (n_rows >= 32) {
		double cost = (clock_ms() - t0) / n_rows;
		sm->row_ms = sm->row_ms > 0 ? 0.8 * sm->row_ms + 0.2 * cost : cost;
	}
	for (uint32_t i = 0; i < a->n_taken; i++) {
		sequence *s = e->active[a->taken[i].seq];
		s->n_computed += a->taken[i].n_rows;
		s->started = s->req->started = true;
		if (s->req->voice && s->req->voice->to->t_begin <= 0)
			s->req->voice->to->t_begin = t0;
		if (!e->config.no_prefix_caching)
			kv_seq_commit(&s->kv, s->rows, s->req->media_keys, s->n_computed);
		kv_seq_slide(&s->kv, s->n_computed);
	}
	metric_add(&e->metrics, M_ROWS, n_rows);
	if (a->n_taken > metric_get(&e->metrics, M_MAX_SEQS))
		metric_set(&e->metrics, M_MAX_SEQS, a->n_taken);
	sample_rows(e, sm);
	settle_pooled(e);
}

/* ---- settle ---- */

static void apply_drops(sn_engine *e)
{
	for (uint32_t i = 0; i < e->plan.n_dropped; i++) {
		sequence *s = e->active[e->plan.dropped[i]];
		if (!s)
			continue; /* went with its request */
		if (atomic_load(&s->stopped))
			end_sequence(e, s, SN_FINISH_STOP, -1, 0); /* its reader knows already */
		else if (atomic_load(&s->req->cancelled))
			fail(e, s->req, SN_ERR_CANCELLED, "cancelled");
		else if (atomic_load(&e->abort_all))
			fail(e, s->req, SN_ERR_DRAINING, "the server is shutting down");
		else if (waited_too_long(e, s->req, clock_ms()))
			fail(e, s->req, SN_ERR_DEADLINE, "the request waited in the queue for longer than its time limit; try again later");
		else
			fail(e, s->req, SN_ERR_DEADLINE, "the request took longer than its time limit");
	}
	for (uint32_t i = 0; i < e->plan.n_preempted; i++) {
		sequence *s = e->active[e->plan.preempted[i]];
		if (!s)
			continue;
		if (s->n_computed > s->n_given) {
			log_info(e->log, "engine", s->req->id, "choice %u preempted at row %u", s->choice, s->n_computed);
			metric_add(&e->metrics, M_PREEMPTIONS, 1);
		}
		kv_seq_release(&s->kv);
		s->n_computed = s->n_given = 0;
	}
}

/* Pages for the planned rows. The plan made sure of them; were it ever wrong, the sequence waits a step. */
static void take_pages(sn_engine *e)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < e->plan.n_seqs; i++) {
		sequence *s = e->active[e->plan.seqs[i].seq];
		if (!s)
			continue; /* went with its request */
		if (kv_seq_extend(&s->kv, s->n_computed + e->plan.seqs[i].n_rows))
			e->plan.seqs[n++] = e->plan.seqs[i];
		else
			log_error(e->log, "engine", s->req->id, "the plan promised pages that are not there");
	}
	e->plan.n_seqs = n;
}

static void publish(sn_engine *e)
{
	const sn_request *at = NULL, *counted = NULL; /* a request's sequences stand together */
	uint32_t n = 0, running = 0;
	for (uint32_t i = 0; i < e->n_active; i++) {
		const sequence *s = e->active[i];
		n += s->req != at;
		at = s->req;
		running += s->started && counted != at;
		counted = s->started ? at : counted;
	}
	metric_set(&e->metrics, M_RUNNING, running);
	metric_set(&e->metrics, M_WAITING, n - running);
	metric_set(&e->metrics, M_PAGES_FREE, page_pool_available(e->pages));
	metric_set(&e->metrics, M_PAGES_CACHED, page_pool_cached(e->pages));
}

/* Of the model whose rows cost most among those that are asked. */
static double row_ms(const sn_engine *e)
{
	double ms = 0;
	for (uint32_t i = 0; i < e->n_active; i++)
		if (e->active[i])
			ms = fmax(ms, e->active[i]->req->model->row_ms);
	return ms;
}

/* One turn. False if there was nothing to do. */
static bool turn(sn_engine *e)
{
	drain_inbox(e);
	encoders_serve_newcomer(e);
	masks_prepare(e);
	describe(e, clock_ms());
	uint32_t before = e->n_active;
	close_ranks(e);
	if (before != e->n_active)
		describe(e, clock_ms()); /* indices moved */
	uint32_t n_media = media_jobs_sweep(&e->cache);
	for (uint32_t j = 0; j < n_media; j++) {
		const media_entry *m = e->cache.jobs[j];
		e->sched_jobs[j] = (sched_job){.units_left = m->plan.n_units - (m->units_done < m->plan.n_units ? m->units_done : m->plan.n_units),
		                               .unit_ms = e->unit_ms[m->enc->id % MAX_MODELS]};
	}
	uint32_t n_jobs = n_media + synth_gather(e, e->sched_jobs + n_media, clock_ms());
	sched_state st = {
	    .seqs = e->sched_seqs, .n_seqs = e->n_active, .jobs = e->sched_jobs, .n_jobs = n_jobs, .next_job = e->next_job, .jobs_passed = e->jobs_passed,
	    .pages_available = page_pool_available(e->pages), .max_rows = e->config.max_num_batched_tokens,
	    .max_seqs = e->config.max_num_seqs, .row_ms = row_ms(e), .slice_ms = SLICE_MS,
	};
	schedule(&st, &e->plan);
	e->jobs_passed = e->plan.n_passed;
	bool work = e->plan.n_seqs || e->plan.n_jobs || e->plan.n_dropped || e->plan.n_preempted;
	double t0 = clock_ms();
	atomic_store(&e->step_started_us, (long long)(t0 * 1e3));
	apply_drops(e);
	take_pages(e);
	run_slices(e, n_media);
	for (uint32_t i = 0; i < e->n_models && e->plan.n_seqs; i++)
		run_model(e, &e->models[i]);
	atomic_store(&e->step_started_us, 0);
	close_ranks(e);
	publish(e);
	if (work) {
		metric_add(&e->metrics, M_STEPS, 1);
		metric_observe(&e->metrics, H_STEP, clock_ms() - t0);
	}
	return work || e->masks_wait;
}

/* Sleeps until something changes; wakes by itself now and then for deadlines. */
static void rest(sn_engine *e)
{
	const struct timespec until = clock_in_ms(50);
	pthread_mutex_lock(&e->lock);
	if (!e->nudge && !atomic_load(&e->stop))
		pthread_cond_timedwait(&e->wake, &e->lock, &until);
	pthread_mutex_unlock(&e->lock);
}

void *engine_main(void *arg)
{
	sn_engine *e = arg;
	e->plugins->step_thread = pthread_self();
	atomic_store(&e->plugins->has_step_thread, true);
	while (!atomic_load(&e->stop))
		if (!turn(e))
			rest(e);
	atomic_store(&e->abort_all, true);
	do
		turn(e);
	while (e->n_active || e->inbox || e->speaking);
	synth_gather(e, e->sched_jobs, 0); /* lets go of what still ran */
	return NULL;
}
