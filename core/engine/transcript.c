/* sn_transcript_submit, next and close: a recording's life on its consumer's side. */
#include "engine/transcript.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum { WINDOWS_AT_ONCE = MAX_FLIGHT };

/* ---- beginning ---- */

static sn_status check_model(const sn_engine *e, const served_model *m, const sn_transcription *ask, sn_error *err)
{
	const transcriber *how = m ? atomic_load(&m->transcriber) : NULL;
	if (atomic_load(&e->draining))
		return error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	if (!atomic_load(&e->ready))
		return error_set(err, SN_ERR_DRAINING, "the server is still loading");
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	if (!how)
		return error_param(err, SN_ERR_UNSUPPORTED, "model", "model %s does not write recordings down by itself: it may be asked in a chat", m->name);
	if (strcmp(ask->part.kind_name, how->enc->p->plan->kind_name) != 0)
		return error_param(err, SN_ERR_UNSUPPORTED, "file", "model %s does not take %s input", m->name, ask->part.kind_name);
	return SN_OK;
}

static sn_status check_ask(const served_model *m, const transcriber *how, const sn_transcription *ask, sn_error *err)
{
	if (!(ask->temperature >= 0 && ask->temperature <= 1))
		return error_param(err, SN_ERR_INVALID, "temperature", "temperature must be from 0 to 1");
	if (ask->language && how->about->n_languages && transcriber_language(how, ask->language) == how->about->n_languages)
		return error_param(err, SN_ERR_INVALID, "language", "model %s does not know this language", m->name);
	if (ask->language && !how->about->n_languages && strcmp(ask->language, "en") != 0)
		return error_param(err, SN_ERR_INVALID, "language", "model %s knows one language only and is not told which", m->name);
	if (ask->translate && (how->translate < 0 || !how->about->n_languages))
		return error_param(err, SN_ERR_UNSUPPORTED, "model", "model %s does not translate", m->name);
	if ((ask->stamps || ask->words) && how->first_stamp < 0)
		return error_param(err, SN_ERR_UNSUPPORTED, "timestamp_granularities", "model %s knows no times", m->name);
	if (ask->words && !how->about->n_alignment_heads)
		return error_param(err, SN_ERR_UNSUPPORTED, "timestamp_granularities",
		                   "which attention of model %s follows the words is not known (alignment_heads in generation_config.json): it has no times of words",
		                   m->name);
	return SN_OK;
}

static char *copy_or_null(arena *mem, const char *s, bool *ok)
{
	char *copy = s ? arena_strndup(mem, s, strlen(s)) : NULL;
	*ok &= copy || !s;
	return copy;
}

/* The client's words as a continuation of speech: a blank before them, and the last max_previous tokens. */
static sn_status keep_previous(sn_transcript *t, const sn_transcription *ask, sn_error *err)
{
	str words = ask->prompt ? blank_strip((str){ask->prompt, ask->prompt_size}) : (str){0};
	int32_t *ids = NULL;
	size_t n = 0, max = t->how->about->max_previous;
	if (!words.n || t->how->previous < 0 || !max)
		return SN_OK;
	/* Tokenizing costs memory by the byte, and only so much of the end can count. */
	size_t most = (max + 8) * t->model->longest_token;
	if (words.n > most) {
		words.p += words.n - most;
		words.n = most;
	}
	char *text = arena_alloc(t->mem, words.n + 1);
	if (!text)
		return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	text[0] = ' ';
	memcpy(text + 1, words.p, words.n);
	sn_status st = text_encode(t->model->m->vocab, text, words.n + 1, false, false, &ids, &n, err);
	if (st)
		return st;
	t->n_previous = n < max ? n : max;
	t->previous = arena_array(t->mem, t->n_previous, sizeof *ids);
	if (t->previous && t->n_previous)
		memcpy(t->previous, ids + n - t->n_previous, t->n_previous * sizeof *ids);
	free(ids);
	return t->previous ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
}

static sn_status take_place(sn_transcript *t, sn_error *err)
{
	sn_status st = submit_take_place(t->engine, err);
	t->has_place = !st;
	if (st)
		metric_add(&t->engine->metrics, M_REJECTED, 1);
	return st;
}

static sn_status decode(sn_transcript *t, const sn_part *part, sn_error *err)
{
	sn_status st = media_gate_decode(&t->engine->gate, part, t->how->enc->media_rate, t->id, &t->media, err);
	if (st) {
		t->media.samples = NULL;
		if (err)
			snprintf(err->param, sizeof err->param, "file");
		return st;
	}
	media_gate_park(&t->engine->gate);
	if (!t->media.n_samples || !t->media.rate || t->media.bytes % t->media.n_samples)
		return error_param(err, SN_ERR_UNSUPPORTED, "file", "a medium of this kind has no length in time");
	return SN_OK;
}

static sn_status begin(sn_transcript *t, const sn_transcription *ask, sn_error *err)
{
	sn_engine *e = t->engine;
	bool ok = true;
	t->cache_key = copy_or_null(t->mem, ask->cache_key, &ok);
	t->cache_salt = copy_or_null(t->mem, ask->cache_salt, &ok);
	if (!ok)
		return error_set(err, SN_ERR_NOMEM, "no memory for a transcription");
	t->seed = ask->seed;
	if (!ask->has_seed)
		randombytes_buf(&t->seed, sizeof t->seed);
	sn_status st = keep_previous(t, ask, err);
	if (!st)
		st = take_place(t, err);
	if (!st)
		st = decode(t, &ask->part, err);
	if (st)
		return st;
	const window_runner runner = transcript_runner(t);
	uint32_t n_languages = t->how->about->n_languages, seqs = e->config.max_num_seqs;
	t->begun = true;
	return recording_open(&t->rec, &runner, t->media.n_samples, ask->temperature, n_languages == 0 || t->language < n_languages, t->words,
	                      seqs < WINDOWS_AT_ONCE ? seqs : WINDOWS_AT_ONCE, err);
}

static sn_transcript *transcript_new(sn_engine *e, served_model *m, const transcriber *how, const sn_transcription *ask)
{
	arena *mem = arena_open(0);
	sn_transcript *t = mem ? arena_alloc(mem, sizeof *t) : NULL;
	if (!t) {
		arena_close(&mem);
		return NULL;
	}
	*t = (sn_transcript){.engine = e, .model = m, .how = how, .mem = mem, .translate = ask->translate, .stamps = ask->stamps || ask->words,
	                     .words = ask->words, .t_submit = clock_ms()};
	t->t_deadline = ask->timeout_ms ? t->t_submit + ask->timeout_ms : 0;
	t->language = ask->language ? transcriber_language(how, ask->language) : how->about->n_languages;
	t->rules = transcriber_rules(how, t->stamps);
	t->language_rules = transcriber_language_rules(how);
	snprintf(t->id, sizeof t->id, "%s", ask->request_id ? ask->request_id : "");
	atomic_fetch_add(&e->n_alive, 1);
	return t;
}

sn_status sn_transcript_submit(sn_engine *e, const sn_transcription *ask, sn_transcript **out, sn_error *err)
{
	served_model *m = engine_find_model(e, ask->model);
	*out = NULL;
	submit_stand_back();
	sn_status st = check_model(e, m, ask, err);
	if (st)
		return st;
	const transcriber *how = atomic_load(&m->transcriber);
	st = check_ask(m, how, ask, err);
	if (st)
		return st;
	sn_transcript *t = transcript_new(e, m, how, ask);
	if (!t)
		return error_set(err, SN_ERR_NOMEM, "no memory for a transcription");
	st = begin(t, ask, err);
	if (st)
		sn_transcript_close(&t);
	else
		log_info(e->log, "engine", t->id, "transcription of %.1f s", (double)t->media.n_samples / t->media.rate);
	*out = t;
	return st;
}

/* ---- end ---- */

/* Windows, samples and the place in the queue: before the end is told. */
static void let_go(sn_transcript *t)
{
	if (t->begun)
		recording_close(&t->rec);
	t->begun = false;
	if (t->media.samples)
		media_gate_forget(&t->engine->gate, &t->media);
	if (t->has_place)
		atomic_fetch_sub(&t->engine->n_requests, 1);
	t->has_place = false;
}

void sn_transcript_close(sn_transcript **tp)
{
	sn_transcript *t = *tp;
	*tp = NULL;
	if (!t)
		return;
	sn_engine *e = t->engine;
	let_go(t);
	arena_close(&t->page);
	arena *mem = t->mem;
	arena_close(&mem); /* t lives in it */
	atomic_fetch_sub(&e->n_alive, 1);
}

static sn_transcript_kind tell_error(sn_transcript *t, const sn_error *error, sn_transcript_event *ev)
{
	log_info(t->engine->log, "engine", t->id, "transcription failed: %s", error->text);
	t->over = true;
	let_go(t);
	ev->error = *error;
	return ev->kind = SN_TRANSCRIPT_ERROR;
}

static sn_transcript_kind tell_done(sn_transcript *t, sn_transcript_event *ev)
{
	const sn_transcriber *a = t->how->about;
	ev->duration = (double)t->media.n_samples / t->media.rate;
	ev->language = t->language < a->n_languages ? a->languages[t->language].code : "";
	ev->usage = t->usage;
	log_info(t->engine->log, "engine", t->id, "transcription done: %u segments, %u attempts at %u windows, %.0f ms", t->next_id, t->n_attempts,
	         t->rec.n_begun, clock_ms() - t->t_submit);
	t->over = true;
	let_go(t);
	return ev->kind = SN_TRANSCRIPT_DONE;
}

/* ---- next ---- */

static sn_status open_window(sn_transcript *t, window *w, sn_error *err)
{
	t->open = w;
	t->page = arena_open(0);
	return t->page ? transcript_write(t, w, err) : error_set(err, SN_ERR_NOMEM, "no memory for a window's segments");
}

/* What its segments point to was valid until now. */
static void close_window(sn_transcript *t)
{
	arena_close(&t->page);
	recording_take(&t->rec);
	t->open = NULL;
}

static int patience(const sn_transcript *t, double until)
{
	double now = clock_ms(), left = until - now;
	if (t->t_deadline > 0 && t->t_deadline - now < left)
		left = t->t_deadline - now;
	return left > 0 ? (int)left + 1 : 0;
}

sn_transcript_kind sn_transcript_next(sn_transcript *t, int timeout_ms, sn_transcript_event *ev)
{
	double until = clock_ms() + timeout_ms;
	sn_error err;
	*ev = (sn_transcript_event){.kind = SN_TRANSCRIPT_NONE, .language = ""};
	while (!t->over) {
		if (t->open && t->n_told < t->n_segments) {
			ev->segment = t->segments[t->n_told++];
			return ev->kind = SN_TRANSCRIPT_SEGMENT;
		}
		if (t->open)
			close_window(t);
		if (recording_done(&t->rec))
			return tell_done(t, ev);
		window *ready;
		sn_status st = recording_next(&t->rec, patience(t, until), &ready, &err);
		if (!st && ready)
			st = open_window(t, ready, &err);
		else if (!st && t->t_deadline > 0 && clock_ms() > t->t_deadline)
			st = error_set(&err, SN_ERR_DEADLINE, "the request took longer than its time limit");
		if (st)
			return tell_error(t, &err, ev);
		if (!ready && clock_ms() >= until)
			break;
	}
	return SN_TRANSCRIPT_NONE;
}
