/* sn_speech_open, say, finish, next and close: words on their way to sound, on their consumer's side.
 *
 *   words -> sentences -> utterances, SPEECH_FLIGHT at once, each a request of the engine -> their sound, in order, without gaps
 *
 * A speech has one place in the queue from open until it ends; the first of its utterances under way runs under that place, the others
 * have their own. While one is heard the next is made already. Whoever brings words or waits for sound starts utterances:
 * `lock` guards what both see. Only the one who waits takes them away again, and so may use the first without the lock. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/utterance.h"
#include "text/sentences.h"

enum { EVENT_SAMPLES = 16384 };

struct sn_speech {
	sn_engine *engine;
	served_model *model;
	arena *mem;
	char id[72];
	char *cache_key, *cache_salt; /* or NULL */
	uint32_t voice, language;
	char *instructions;    /* [instructions_size] or NULL */
	size_t instructions_size;
	sn_media reference;    /* decoded, parked at the gate: each utterance says anew that it is to be encoded. samples NULL: there is none */
	float temperature;
	uint64_t seed;
	uint64_t max_samples;  /* of all; UINT64_MAX: as many as the words need */
	uint32_t max_frames;   /* of an utterance; 0: the model's bound */
	double t_open, t_deadline; /* ms; deadline 0: none */
	bool has_place;
	listener *to;

	pthread_mutex_t lock;
	pthread_cond_t wake;   /* words came, or an utterance was started */
	sentences words;
	size_t n_said;         /* bytes */
	double t_words;        /* ms; the last ones came */
	bool finished;
	char *waiting;         /* [n_waiting] an utterance that found the queue full, or NULL */
	size_t n_waiting;
	bool failed;           /* error: no further utterance can be started */
	sn_error error;
	sn_request *flights[SPEECH_FLIGHT]; /* [n_flights] under way, in order */
	uint32_t n_flights, n_begun;

	/* who waits for sound */
	float *pcm;            /* [EVENT_SAMPLES] */
	uint64_t n_samples;    /* told */
	sn_usage usage;
	bool over;             /* DONE or ERROR was told */
};

/* ---- utterances under way; under the lock ---- */

static uint32_t time_left(const sn_speech *s)
{
	double left = s->t_deadline - clock_ms();
	return s->t_deadline > 0 ? left > 1 ? (uint32_t)left : 1 : 0;
}

/* SN_ERR_QUEUE_FULL: it has to wait. */
static sn_status start(sn_speech *s, str text, sn_error *err)
{
	const utterance_ask ask = {.request_id = s->id, .cache_key = s->cache_key, .cache_salt = s->cache_salt, .model = s->model, .voice = s->voice,
	                           .language = s->language, .instructions = s->instructions, .instructions_size = s->instructions_size,
	                           .reference = s->reference.samples ? &s->reference : NULL, .text = text.p, .size = text.n, .to = s->to, .index = s->n_begun, .t_words = s->t_words,
	                           .temperature = s->temperature, .seed = s->seed + s->n_begun * 0x9E3779B97F4A7C15u, .max_frames = s->max_frames,
	                           .timeout_ms = time_left(s), .has_place = s->n_flights == 0};
	sn_status st = utterance_submit(s->engine, &ask, &s->flights[s->n_flights], err);
	s->n_begun += !st;
	s->n_flights += !st;
	return st;
}

static bool next_text(sn_speech *s, str *text)
{
	*text = (str){s->waiting, s->n_waiting};
	return s->waiting || sentences_next(&s->words, text);
}

/* It cannot be started now: it is the first one when there is a place. */
static bool keep_waiting(sn_speech *s, str text)
{
	if (s->waiting)
		return true;
	s->waiting = malloc(text.n + 1);
	s->n_waiting = text.n;
	if (s->waiting)
		memcpy(s->waiting, text.p, text.n);
	return s->waiting;
}

static void start_what_can(sn_speech *s)
{
	str text;
	while (!s->failed && s->n_flights < SPEECH_FLIGHT && next_text(s, &text)) {
		sn_status st = start(s, text, &s->error);
		if (st == SN_ERR_QUEUE_FULL && s->n_flights) {
			if (!keep_waiting(s, text)) {
				s->failed = true;
				error_set(&s->error, SN_ERR_NOMEM, "no memory for an utterance");
			}
			break;
		}
		s->failed = st != SN_OK;
		free(s->waiting);
		s->waiting = NULL;
	}
	pthread_cond_signal(&s->wake);
}

/* ---- words ---- */

sn_status sn_speech_say(sn_speech *s, const char *text, size_t size, sn_error *err)
{
	sn_status st = SN_OK;
	pthread_mutex_lock(&s->lock);
	if (s->finished)
		st = error_set(err, SN_ERR_INVALID, "the speech was finished");
	else if (size > SN_MAX_SPEECH_TEXT - s->n_said)
		st = error_param(err, SN_ERR_TOO_LARGE, "input", "the text is longer than %d bytes", SN_MAX_SPEECH_TEXT);
	else if (!sentences_push(&s->words, text, size))
		st = error_set(err, SN_ERR_NOMEM, "no memory for the text");
	if (!st) {
		s->n_said += size;
		s->t_words = clock_ms();
		if (s->to && s->to->t_words <= 0) /* before there is an utterance that could read it */
			s->to->t_words = s->t_words;
		start_what_can(s);
	}
	pthread_mutex_unlock(&s->lock);
	return st;
}

void sn_speech_finish(sn_speech *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->finished) {
		s->t_words = clock_ms(); /* that they are the last ones is news about the last ones */
		sentences_finish(&s->words);
	}
	s->finished = true;
	start_what_can(s);
	pthread_mutex_unlock(&s->lock);
}

/* ---- beginning ---- */

/* What a model cannot be asked for is refused, not passed over. */
static sn_status check_wishes(const served_model *m, const sn_speech_ask *ask, sn_error *err)
{
	const sn_speaker *about = m->speaker->about;
	const encoder *enc = m->speaker->reference;
	if (ask->reference && (!about->reference || !enc))
		return error_param(err, SN_ERR_UNSUPPORTED, "ref_audio", "model %s does not speak in the voice of a recording", m->name);
	if (ask->reference && (ask->reference->kind != SN_PART_MEDIA || strcmp(ask->reference->kind_name, enc->p->plan->kind_name) != 0))
		return error_param(err, SN_ERR_INVALID, "ref_audio", "the recording is no %s", enc->p->plan->kind_name);
	if (ask->reference && ask->voice)
		return error_param(err, SN_ERR_INVALID, "voice", "the voice is the recording's: there is no other");
	if (speaker_voice(m->speaker, ask->voice) == UINT32_MAX)
		return error_param(err, SN_ERR_INVALID, "voice", "model %s has no voice of this name", m->name);
	if (ask->language && !about->n_languages)
		return error_param(err, SN_ERR_UNSUPPORTED, "language", "model %s cannot be told a language: its voices have their own", m->name);
	if (speaker_language(m->speaker, ask->language) == UINT32_MAX)
		return error_param(err, SN_ERR_INVALID, "language", "model %s does not speak this language", m->name);
	if (ask->instructions && !about->instructions)
		return error_param(err, SN_ERR_UNSUPPORTED, "instructions", "model %s does not follow instructions", m->name);
	if (ask->instructions && ask->instructions_size > SN_MAX_SPEECH_TEXT)
		return error_param(err, SN_ERR_TOO_LARGE, "instructions", "the instructions are longer than %d bytes", SN_MAX_SPEECH_TEXT);
	sn_speak_prompt ignored;
	const sn_speak_ask wish = {.size = sizeof wish, .voice = speaker_voice(m->speaker, ask->voice), .language = speaker_language(m->speaker, ask->language),
	                           .has_instructions = ask->instructions && ask->instructions_size, .has_reference = ask->reference != NULL};
	return speaker_compose(m->speaker, &wish, &ignored, err);
}

static sn_status check_ask(const sn_engine *e, const served_model *m, const sn_speech_ask *ask, sn_error *err)
{
	if (atomic_load(&e->draining))
		return error_set(err, SN_ERR_DRAINING, "the server is shutting down");
	if (!atomic_load(&e->ready))
		return error_set(err, SN_ERR_DRAINING, "the server is still loading");
	if (!m && ask->model && *ask->model)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	if (!m)
		return error_param(err, SN_ERR_UNSUPPORTED, "model", "no model here speaks");
	if (!m->speaker)
		return error_param(err, SN_ERR_UNSUPPORTED, "model", "model %s does not speak", m->name);
	if (!(ask->temperature <= 2))
		return error_param(err, SN_ERR_INVALID, "temperature", "temperature must be from 0 to 2");
	return check_wishes(m, ask, err);
}

static char *copy_or_null(arena *mem, const char *text, bool *ok)
{
	char *copy = text ? arena_strndup(mem, text, strlen(text)) : NULL;
	*ok &= copy || !text;
	return copy;
}

static void set_bounds(sn_speech *s, uint32_t max_seconds)
{
	const sn_synth_info *i = s->model->speaker->info;
	uint64_t samples = (uint64_t)max_seconds * i->rate, frames = (samples + i->frame_samples - 1) / i->frame_samples;
	s->max_samples = max_seconds ? samples : UINT64_MAX;
	s->max_frames = frames < UINT32_MAX ? (uint32_t)frames : UINT32_MAX;
}

static sn_speech *speech_new(sn_engine *e, served_model *m, const sn_speech_ask *ask)
{
	arena *mem = arena_open(0);
	sn_speech *s = mem ? arena_alloc(mem, sizeof *s) : NULL;
	bool ok = s;
	if (s) {
		*s = (sn_speech){.engine = e, .model = m, .mem = mem, .temperature = ask->temperature, .seed = ask->seed, .t_open = clock_ms()};
		s->voice = speaker_voice(m->speaker, ask->voice);
		s->language = speaker_language(m->speaker, ask->language);
		s->pcm = arena_array(mem, EVENT_SAMPLES, sizeof *s->pcm);
		s->to = listener_new(&e->metrics, m->speaker->info->rate);
		s->cache_key = copy_or_null(mem, ask->cache_key, &ok);
		s->cache_salt = copy_or_null(mem, ask->cache_salt, &ok);
		s->instructions = ask->instructions ? arena_strndup(mem, ask->instructions, ask->instructions_size) : NULL;
		s->instructions_size = ask->instructions ? ask->instructions_size : 0;
		ok &= s->instructions || !ask->instructions;
	}
	if (!ok || !s->pcm || !s->to) {
		if (s)
			listener_unref(&s->to);
		arena_close(&mem);
		return NULL;
	}
	if (!ask->has_seed)
		randombytes_buf(&s->seed, sizeof s->seed);
	s->t_deadline = ask->timeout_ms ? s->t_open + ask->timeout_ms : 0;
	set_bounds(s, ask->max_seconds);
	sentences_init(&s->words, m->speaker->max_text);
	snprintf(s->id, sizeof s->id, "%s", ask->request_id ? ask->request_id : "");
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	atomic_fetch_add(&e->n_alive, 1);
	return s;
}

/* Once, whatever the number of utterances. */
static sn_status decode_reference(sn_speech *s, const sn_part *part, sn_error *err)
{
	sn_engine *e = s->engine;
	submit_stand_back();
	sn_status st = media_gate_decode(&e->gate, part, s->model->speaker->reference->media_rate, s->id, &s->reference, err);
	if (!st) {
		media_gate_park(&e->gate);
		return SN_OK;
	}
	s->reference.samples = NULL;
	if (err)
		snprintf(err->param, sizeof err->param, "ref_audio");
	return st;
}

sn_status sn_speech_open(sn_engine *e, const sn_speech_ask *ask, sn_speech **out, sn_error *err)
{
	served_model *m = engine_find_speaking(e, ask->model);
	*out = NULL;
	sn_status st = check_ask(e, m, ask, err);
	if (st)
		return st;
	st = submit_take_place(e, err);
	if (st) {
		metric_add(&e->metrics, M_REJECTED, 1);
		return st;
	}
	sn_speech *s = speech_new(e, m, ask);
	if (!s) {
		atomic_fetch_sub(&e->n_requests, 1);
		return error_set(err, SN_ERR_NOMEM, "no memory for a speech");
	}
	s->has_place = true;
	if (ask->reference)
		st = decode_reference(s, ask->reference, err);
	if (st)
		sn_speech_close(&s);
	*out = s;
	return st;
}

/* ---- end ---- */

static void add_usage(sn_usage *sum, const sn_usage *u)
{
	sum->prompt_tokens += u->prompt_tokens;
	sum->completion_tokens += u->completion_tokens;
	sum->cached_tokens += u->cached_tokens;
}

/* Utterances and the place in the queue: before the end is told. */
static void let_go(sn_speech *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->n_flights; i++)
		sn_request_close(&s->flights[i]);
	s->n_flights = 0;
	s->failed = true; /* no more are started */
	listener_unref(&s->to);
	pthread_mutex_unlock(&s->lock);
	if (s->has_place)
		atomic_fetch_sub(&s->engine->n_requests, 1);
	s->has_place = false;
}

void sn_speech_close(sn_speech **sp)
{
	sn_speech *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	sn_engine *e = s->engine;
	let_go(s);
	sentences_fini(&s->words);
	free(s->waiting);
	if (s->reference.samples)
		media_gate_forget(&e->gate, &s->reference);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	arena *mem = s->mem;
	arena_close(&mem); /* s lives in it */
	atomic_fetch_sub(&e->n_alive, 1);
}

static sn_speech_kind tell_error(sn_speech *s, const sn_error *error, sn_speech_event *ev)
{
	log_info(s->engine->log, "engine", s->id, "speech failed: %s", error->text);
	s->over = true;
	ev->error = *error;
	let_go(s);
	return ev->kind = SN_SPEECH_ERROR;
}

static sn_speech_kind tell_done(sn_speech *s, sn_speech_event *ev)
{
	ev->seconds = (double)s->n_samples / ev->rate;
	ev->usage = s->usage;
	log_info(s->engine->log, "engine", s->id, "speech done: %.2f s in %u utterances, %.0f ms", ev->seconds, s->n_begun, clock_ms() - s->t_open);
	s->over = true;
	s->to->whole = true;
	let_go(s);
	return ev->kind = SN_SPEECH_DONE;
}

/* ---- next ---- */

static double until_when(const sn_speech *s, double until)
{
	return s->t_deadline > 0 && s->t_deadline < until ? s->t_deadline : until;
}

static void wait_for_words(sn_speech *s, double until)
{
	struct timespec t = {.tv_sec = (time_t)(until / 1e3)};
	t.tv_nsec = (long)((until - (double)t.tv_sec * 1e3) * 1e6);
	pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

/* The utterance that is heard; NULL: there is none, and *silent tells why. */
enum silence { SPEAKS, WAITS_FOR_WORDS, SAID_ALL, FAILED };

static sn_request *heard(sn_speech *s, double until, enum silence *silent)
{
	pthread_mutex_lock(&s->lock);
	start_what_can(s);
	if (!s->n_flights && !s->failed && !s->finished && clock_ms() < until)
		wait_for_words(s, until);
	sn_request *r = s->n_flights ? s->flights[0] : NULL;
	*silent = r ? SPEAKS : s->failed ? FAILED : s->finished ? SAID_ALL : WAITS_FOR_WORDS;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void take_away(sn_speech *s)
{
	const sn_usage u = utterance_usage(s->flights[0]);
	add_usage(&s->usage, &u);
	pthread_mutex_lock(&s->lock);
	sn_request_close(&s->flights[0]);
	s->n_flights--;
	memmove(s->flights, s->flights + 1, s->n_flights * sizeof *s->flights);
	pthread_mutex_unlock(&s->lock);
}

/* There was enough: what is still under way ends, and counts as far as it got. */
static void cut_off(sn_speech *s)
{
	sn_error err;
	size_t n;
	pthread_mutex_lock(&s->lock);
	s->failed = true;
	for (uint32_t i = 0; i < s->n_flights; i++)
		sn_request_cancel(s->flights[i]);
	pthread_mutex_unlock(&s->lock);
	while (s->n_flights) {
		utterance_news news = utterance_next(s->flights[0], 1000, s->pcm, EVENT_SAMPLES, &n, &err);
		if (news == UTTERANCE_ENDED || news == UTTERANCE_FAILED)
			take_away(s);
	}
}

static sn_speech_kind tell_sound(sn_speech *s, size_t n, sn_speech_event *ev)
{
	ev->n_samples = s->max_samples - s->n_samples < n ? (size_t)(s->max_samples - s->n_samples) : n;
	ev->pcm = s->pcm;
	s->n_samples += ev->n_samples;
	return ev->kind = SN_SPEECH_SOUND;
}

sn_speech_kind sn_speech_next(sn_speech *s, int timeout_ms, sn_speech_event *ev)
{
	double until = clock_ms() + timeout_ms;
	sn_error err;
	*ev = (sn_speech_event){.kind = SN_SPEECH_NONE, .rate = s->model->speaker->info->rate};
	while (!s->over) {
		enum silence silent;
		size_t n;
		if (s->n_samples == s->max_samples) {
			cut_off(s);
			return tell_done(s, ev);
		}
		sn_request *r = heard(s, until_when(s, until), &silent);
		if (silent == SAID_ALL)
			return tell_done(s, ev);
		if (silent == FAILED)
			return tell_error(s, &s->error, ev);
		double left = r ? until_when(s, until) - clock_ms() : 0;
		utterance_news news = r ? utterance_next(r, left > 0 ? (int)left + 1 : 0, s->pcm, EVENT_SAMPLES, &n, &err) : UTTERANCE_NOTHING;
		if (news == UTTERANCE_SOUND)
			return tell_sound(s, n, ev);
		if (news == UTTERANCE_FAILED)
			return tell_error(s, &err, ev);
		if (news == UTTERANCE_ENDED) {
			take_away(s);
			continue;
		}
		if (s->t_deadline > 0 && clock_ms() > s->t_deadline) {
			error_set(&err, SN_ERR_DEADLINE, "the request took longer than its time limit");
			return tell_error(s, &err, ev);
		}
		if (clock_ms() >= until)
			break;
	}
	return SN_SPEECH_NONE;
}
