#include "engine/utterance.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/prompt.h"
#include "text/unicode.h"

enum { BUFFER_SECONDS = 8 };

/* ---- its prompt ---- */

static bool append_lower(buf *out, const char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t cp, to[3];
		char bytes[4];
		int got = utf8_decode(p + i, n - i, &cp);
		if (got <= 0) { /* as it is */
			size_t step = got < 0 ? (size_t)-got : n - i;
			buf_append(out, p + i, step);
			i += step;
			continue;
		}
		for (size_t k = 0, n_to = unicode_map(UNICODE_LOWER, cp, to); k < n_to; k++)
			buf_append(out, bytes, utf8_encode(to[k], bytes));
		i += (size_t)got;
	}
	return !out->failed;
}

/* Plain pieces that stand together are one text. */
static sn_status add_plain(sn_request *r, struct row_list *l, buf *plain, bool bos, sn_error *err)
{
	int32_t *ids = NULL;
	size_t n = 0;
	if (plain->failed)
		return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	sn_status st = rows_check_fits(r, l, plain->n, err);
	if (!st)
		st = text_encode(r->model->m->vocab, plain->p ? plain->p : "", plain->n, false, bos, &ids, &n, err);
	if (!st)
		st = rows_add_ids(l, ids, n, err);
	free(ids);
	plain->n = 0;
	return st;
}

static sn_status add_trusted(sn_request *r, struct row_list *l, const char *text, sn_error *err)
{
	int32_t *ids;
	size_t n;
	sn_status st = text_encode(r->model->m->vocab, text, strlen(text), true, false, &ids, &n, err);
	if (!st)
		st = rows_add_ids(l, ids, n, err);
	free(ids);
	return st;
}

static sn_status add_pieces(sn_request *r, struct row_list *l, const utterance_ask *a, sn_error *err)
{
	const sn_speaker *about = a->model->speaker->about;
	bool bos = about->bos, any = false;
	sn_status st = SN_OK;
	buf plain;
	buf_init(&plain, 0);
	for (uint32_t i = 0; i < about->n_pieces && !st; i++) {
		const sn_speak_piece *p = &about->prompt[i];
		if (p->what == SN_SPEAK_TRUSTED) {
			if (any)
				st = add_plain(r, l, &plain, bos, err);
			bos &= !any;
			any = false;
			if (!st)
				st = add_trusted(r, l, p->text, err);
			continue;
		}
		const char *text = p->what == SN_SPEAK_PLAIN ? p->text : p->what == SN_SPEAK_VOICE ? about->voices[a->voice].prompt : a->text;
		size_t n = p->what == SN_SPEAK_TEXT ? a->size : strlen(text);
		any = true;
		if (p->what == SN_SPEAK_TEXT && about->lower_case)
			append_lower(&plain, text, n);
		else
			buf_append(&plain, text, n);
	}
	if (!st && any)
		st = add_plain(r, l, &plain, bos, err);
	buf_fini(&plain);
	return st;
}

/* ---- its bounds ---- */

/* Whole frames that context and pool have room for behind n rows. */
static uint32_t frames_that_fit(const sn_request *r, uint32_t n, uint32_t max_frames)
{
	uint32_t n_slots = r->model->speaker->about->n_slots, max_len = r->model->max_len, total = page_pool_total(r->engine->pages);
	uint32_t frames = n < max_len ? (max_len - n) / n_slots : 0;
	frames = frames < max_frames ? frames : max_frames;
	while (frames > 1 && kv_layout_pages(&r->model->m->kv, n + frames * n_slots) > total)
		frames /= 2;
	return frames;
}

static sn_status make_buffers(utterance *u, sn_error *err)
{
	const sn_synth_info *i = u->who->info;
	uint64_t longest = i->first_frames > i->chunk_frames ? i->first_frames : i->chunk_frames;
	longest = ((longest < u->max_frames ? longest : u->max_frames) + (uint64_t)i->delay_frames) * i->frame_samples;
	u->capacity = (uint64_t)BUFFER_SECONDS * i->rate;
	u->capacity = u->capacity > 2 * longest ? u->capacity : 2 * longest;
	u->codes = calloc((size_t)u->max_frames * i->n_codes, sizeof *u->codes);
	u->stream = calloc(1, i->stream_bytes ? i->stream_bytes : 1);
	u->sound = malloc(u->capacity * sizeof *u->sound);
	if (u->codes && u->stream && u->sound)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM, "no memory for an utterance");
}

static sn_status make_utterance(sn_request *r, const utterance_ask *a, uint32_t max_frames, sn_error *err)
{
	utterance *u = r->voice = calloc(1, sizeof *u);
	if (!u)
		return error_set(err, SN_ERR_NOMEM, "no memory for an utterance");
	*u = (utterance){.who = a->model->speaker, .to = listener_ref(a->to), .index = a->index, .max_frames = max_frames, .t_words = a->t_words};
	r->rules = &u->who->rules;
	return make_buffers(u, err);
}

sn_status prompt_of_utterance(sn_request *r, const utterance_ask *a, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame = "input"};
	const speaker *s = a->model->speaker;
	uint32_t max = a->max_frames && a->max_frames < s->voc->max_frames ? a->max_frames : s->voc->max_frames;
	sn_status st = add_pieces(r, &l, a, err);
	uint32_t frames = st ? 0 : frames_that_fit(r, l.n, max);
	if (!st && !frames)
		st = error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "%u prompt tokens leave no room for a frame of sound in the context of %u tokens", l.n,
		                 r->model->max_len);
	r->sampling.max_tokens = frames * s->about->n_slots;
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	if (!st)
		st = make_utterance(r, a, frames, err);
	free(l.rows);
	return st;
}

void utterance_close(utterance **up)
{
	utterance *u = *up;
	*up = NULL;
	if (!u)
		return;
	listener_unref(&u->to);
	free(u->codes);
	free(u->stream);
	free(u->saved);
	free(u->sound);
	free(u);
}

/* ---- engine's side ---- */

static uint64_t chunk_room(const utterance *u, uint32_t n_frames)
{
	return ((uint64_t)n_frames + u->who->info->delay_frames) * u->who->info->frame_samples;
}

/* The next chunk, whether its reader has room for it or not. */
static uint32_t next_chunk(const utterance *u, bool *last)
{
	const sn_synth_info *i = u->who->info;
	uint32_t want = u->n_decoded ? i->chunk_frames : i->first_frames, have = utterance_frames(u) - u->n_decoded;
	*last = u->said_all && have <= want;
	if (*last)
		return have;
	/* Does anything follow it? That is known with the next token. */
	return have > want || (have == want && u->n_codes % i->n_codes) ? want : 0;
}

static uint64_t unread(sn_request *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t n = r->voice->n_written - r->voice->n_read;
	pthread_mutex_unlock(&r->lock);
	return n;
}

uint32_t utterance_ready(sn_request *r, bool *last)
{
	const utterance *u = r->voice;
	uint32_t n = u->over || u->in_job ? 0 : next_chunk(u, last);
	return n && unread(r) + chunk_room(u, n) <= u->capacity ? n : 0;
}

/* A sequence that starts again may have to compute its rows again: so not for each chunk that is taken. */
bool utterance_is_stalled(sn_request *r)
{
	utterance *u = r->voice;
	bool last;
	uint64_t n = unread(r), most = u->stalled ? u->capacity / 2 : u->capacity;
	u->stalled = next_chunk(u, &last) && n + chunk_room(u, utterance_frames(u) - u->n_decoded + 1) > most;
	return u->stalled;
}

void utterance_give(sn_request *r, const float *pcm, uint32_t n, double now)
{
	utterance *u = r->voice;
	pthread_mutex_lock(&r->lock);
	uint64_t before = u->n_written - u->n_read;
	for (uint32_t i = 0; i < n; i++)
		u->sound[(u->n_written + i) % u->capacity] = pcm[i] > 1 ? 1 : pcm[i] < -1 ? -1 : pcm[i];
	u->n_written += n;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	u->n_samples += n;
	listener_give(u->to, u->index, n, before, u->t_words, now);
}

/* ---- consumer's side ---- */

static bool has_news(const sn_request *r)
{
	return r->voice->n_written != r->voice->n_read || r->n_written != r->n_read || r->failed;
}

static size_t take_sound(utterance *u, float *pcm, size_t max)
{
	uint64_t left = u->n_written - u->n_read, n = left < max ? left : max, at = u->n_read % u->capacity;
	uint64_t whole = u->capacity - at < n ? u->capacity - at : n;
	memcpy(pcm, u->sound + at, whole * sizeof *pcm);
	memcpy(pcm + whole, u->sound, (n - whole) * sizeof *pcm);
	u->n_read += n;
	return n;
}

utterance_news utterance_next(sn_request *r, int timeout_ms, float *pcm, size_t max, size_t *n, sn_error *err)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	utterance_news news = UTTERANCE_NOTHING;
	pthread_mutex_lock(&r->lock);
	while (!has_news(r) && pthread_cond_timedwait(&r->wake, &r->lock, &until) != ETIMEDOUT)
		;
	*n = take_sound(r->voice, pcm, max);
	if (*n)
		news = UTTERANCE_SOUND;
	else if (r->n_written != r->n_read)
		news = UTTERANCE_ENDED;
	else if (r->failed)
		news = UTTERANCE_FAILED;
	if (news == UTTERANCE_FAILED)
		*err = r->error;
	pthread_mutex_unlock(&r->lock);
	if (news == UTTERANCE_SOUND)
		engine_nudge(r->engine); /* it may have been stalled */
	return news;
}

sn_usage utterance_usage(const sn_request *r)
{
	return (sn_usage){.prompt_tokens = r->n_prompt, .completion_tokens = atomic_load(&r->voice->n_sampled), .cached_tokens = r->n_cached};
}
