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

/* Rows of a prompt that is being written, and what the answer's rows will have. */
struct script {
	sn_request *r;
	struct row_list *l;
	const utterance_ask *a;
	buf plain;      /* of pieces that stand together, and are one text */
	bool any, bos;  /* there are such; none was before them */
	utterance *u;   /* its flow */
	sn_error *err;
};

static sn_status no_memory(sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
}

static sn_status token_of(const struct script *s, const char *text, uint32_t *with)
{
	int32_t id = text ? speaker_token(s->r->model->m->vocab, text) : -1;
	*with = (uint32_t)(id + 1);
	if (!text || (id >= 0 && (uint32_t)id < s->r->model->m->h.n_vocab))
		return SN_OK;
	return plugin_broke(s->a->model->speaker->voc->p, s->err, "its prompt has the token \"%.64s\", which the vocabulary lacks", text);
}

static sn_status add_ids(const struct script *s, const int32_t *ids, size_t n, uint32_t with)
{
	uint32_t before = s->l->n;
	sn_status st = rows_add_ids(s->l, ids, n, s->err);
	for (uint32_t i = before; i < s->l->n; i++)
		s->l->rows[i].with = with;
	return st;
}

static sn_status encode(const struct script *s, str text, bool trusted, bool bos, int32_t **ids, size_t *n)
{
	*ids = NULL;
	sn_status st = rows_check_fits(s->r, s->l, text.n, s->err);
	return st ? st : text_encode(s->r->model->m->vocab, text.p ? text.p : "", text.n, trusted, bos, ids, n, s->err);
}

static sn_status end_plain(struct script *s)
{
	int32_t *ids;
	size_t n = 0;
	if (!s->any)
		return SN_OK;
	if (s->plain.failed)
		return no_memory(s->err);
	sn_status st = encode(s, (str){s->plain.p, s->plain.n}, false, s->bos, &ids, &n);
	if (!st)
		st = add_ids(s, ids, n, 0);
	free(ids);
	s->plain.n = 0;
	s->any = s->bos = false;
	return st;
}

static str words_of(const struct script *s, const sn_speak_piece *p)
{
	switch (p->what) {
	case SN_SPEAK_VOICE: return str_of(s->a->model->speaker->about->voices[s->a->voice].prompt);
	case SN_SPEAK_TEXT: return (str){s->a->text, s->a->size};
	case SN_SPEAK_INSTRUCTIONS: return (str){s->a->instructions, s->a->instructions_size};
	default: return str_of(p->text);
	}
}

static bool append_words(const struct script *s, const sn_speak_piece *p, buf *out)
{
	str words = words_of(s, p);
	if (p->what == SN_SPEAK_TEXT && s->a->model->speaker->about->lower_case)
		return append_lower(out, words.p, words.n);
	return buf_append(out, words.p, words.n);
}

/* The client's words behind the first `most` tokens come with the answer's rows. */
static sn_status keep_flow(struct script *s, const int32_t *ids, size_t n)
{
	s->u->flow = malloc((n ? n : 1) * sizeof *ids);
	if (!s->u->flow)
		return no_memory(s->err);
	memcpy(s->u->flow, ids, n * sizeof *ids);
	s->u->n_flow = (uint32_t)n;
	return SN_OK;
}

/* Tokenized by itself. */
static sn_status add_alone(struct script *s, const sn_speak_piece *p, uint32_t with)
{
	int32_t *ids = NULL;
	size_t n = 0;
	buf words;
	bool trusted = p->what == SN_SPEAK_TRUSTED;
	buf_init(&words, 0);
	sn_status st = append_words(s, p, &words) ? encode(s, (str){words.p, words.n}, trusted, !trusted && s->bos, &ids, &n) : no_memory(s->err);
	size_t in_prompt = p->most && p->most < n ? p->most : n;
	s->bos &= trusted;
	if (!st)
		st = add_ids(s, ids, in_prompt, with);
	if (!st && in_prompt < n)
		st = keep_flow(s, ids + in_prompt, n - in_prompt);
	free(ids);
	buf_fini(&words);
	return st;
}

/* The rows that the encoder makes of the recording; beginning that is work of the media gate's. */
static sn_status add_reference(struct script *s, uint32_t with)
{
	sn_request *r = s->r;
	encoder *enc = s->a->model->speaker->reference;
	struct placed p = {0};
	uint32_t at = r->n_media, before = s->l->n;
	media_gate_resume(&r->engine->gate);
	sn_status st = medium_place(r, enc, s->a->reference, s->l->max - s->l->n, &p, s->err);
	media_gate_park(&r->engine->gate);
	if ((st == SN_ERR_INVALID || st == SN_ERR_UNSUPPORTED || st == SN_ERR_TOO_LARGE) && s->err && !s->err->param[0])
		snprintf(s->err->param, sizeof s->err->param, "ref_audio");
	if (!st && p.plan.text_size)
		st = plugin_broke(enc->p, s->err, "a recording to speak like is rows alone: it has framing text");
	if (!st)
		st = rows_add_hole(r, s->l, enc->row_token, at, 0, p.plan.n_rows, NULL, p.plan.both_ways, s->err);
	for (uint32_t i = before; i < s->l->n; i++)
		s->l->rows[i].with = with;
	return st;
}

static sn_status add_piece(struct script *s, const sn_speak_piece *p)
{
	uint32_t with;
	bool joins = p->what != SN_SPEAK_TRUSTED && p->what != SN_SPEAK_REFERENCE && !p->with && !p->most;
	if (joins) {
		s->any = true;
		append_words(s, p, &s->plain);
		return SN_OK;
	}
	sn_status st = end_plain(s);
	if (!st)
		st = token_of(s, p->with, &with);
	if (!st)
		st = p->what == SN_SPEAK_REFERENCE ? add_reference(s, with) : add_alone(s, p, with);
	return st;
}

static sn_status write_prompt(struct script *s)
{
	const utterance_ask *a = s->a;
	sn_speak_prompt p;
	const sn_speak_ask ask = {.size = sizeof ask, .voice = a->voice, .language = a->language, .has_instructions = a->instructions_size > 0,
	                          .has_reference = a->reference != NULL};
	sn_status st = speaker_compose(a->model->speaker, &ask, &p, s->err);
	if (st)
		return st;
	buf_init(&s->plain, 0);
	for (uint32_t i = 0; i < p.n_pieces && !st; i++)
		st = add_piece(s, &p.pieces[i]);
	if (!st)
		st = end_plain(s);
	if (!st)
		st = token_of(s, p.flow_end, &s->u->flow_end);
	if (!st)
		st = token_of(s, p.flow_rest, &s->u->flow_rest);
	buf_fini(&s->plain);
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

/* Bounds that are known once the prompt is. */
static sn_status bound(sn_request *r, utterance *u, const utterance_ask *a, uint32_t n_rows, sn_error *err)
{
	uint32_t most = u->who->voc->max_frames;
	u->max_frames = frames_that_fit(r, n_rows, a->max_frames && a->max_frames < most ? a->max_frames : most);
	r->sampling.max_tokens = u->max_frames * u->who->about->n_slots;
	if (u->max_frames)
		return SN_OK;
	return error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "%u prompt tokens leave no room for a frame of sound in the context of %u tokens", n_rows,
	                   r->model->max_len);
}

sn_status prompt_of_utterance(sn_request *r, const utterance_ask *a, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame = "input"};
	utterance *u = r->voice = calloc(1, sizeof *u);
	if (!u)
		return error_set(err, SN_ERR_NOMEM, "no memory for an utterance");
	*u = (utterance){.who = a->model->speaker, .to = listener_ref(a->to), .index = a->index, .t_words = a->t_words};
	r->rules = &u->who->rules;
	struct script s = {.r = r, .l = &l, .a = a, .bos = u->who->about->bos, .u = u, .err = err};
	sn_status st = write_prompt(&s);
	if (!st)
		st = bound(r, u, a, l.n, err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	if (!st)
		st = make_buffers(u, err);
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
	free(u->flow);
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
	return have > want || (have == want && u->n_tokens % u->who->about->n_slots) ? want : 0;
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
	const struct timespec until = clock_in_ms(timeout_ms);
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
