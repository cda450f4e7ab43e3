/* What stands beside a served model: encoders, those of its media towers, and those that claim its own file; also of plugins that
 * were added while serving; and a vocoder, with which it speaks. The list of encoders only grows: an entry is whole before n_encoders
 * tells of it, so readers need no lock. */
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include "model/depth.h"

encoder *served_encoder(const served_model *s, const char *kind_name)
{
	for (uint32_t i = 0, n = atomic_load_explicit(&s->n_encoders, memory_order_acquire); i < n; i++)
		if (strcmp(s->encoders[i]->p->plan->kind_name, kind_name) == 0)
			return s->encoders[i];
	return NULL;
}

encoder *served_watcher(const served_model *s, const char *kind_name)
{
	for (uint32_t i = 0, n = atomic_load_explicit(&s->n_encoders, memory_order_acquire); i < n; i++)
		if (s->encoders[i]->p->watch && strcmp(s->encoders[i]->p->watch->kind_name, kind_name) == 0)
			return s->encoders[i];
	return NULL;
}

static bool is_taken(void *ctx, const char *kind_name)
{
	const served_model *s = ctx;
	return atomic_load(&s->n_encoders) == MAX_ENCODERS || served_encoder(s, kind_name);
}

/* What a request's medium is encoded by must be clear. Towers of different kinds are as many as there are places. */
static sn_status is_alone(const served_model *s, const encoder *enc, sn_error *err)
{
	const char *kind = enc->p->plan->kind_name;
	const encoder *other = served_encoder(s, kind);
	if (other)
		return error_set(err, SN_ERR_INVALID, "%s: a second tower for %s; the model has %s", encoder_file(enc)->name, kind, encoder_file(other)->name);
	if (atomic_load(&s->n_encoders) == MAX_ENCODERS)
		return error_set(err, SN_ERR_TOO_LARGE, "%s: more than %d kinds of media", encoder_file(enc)->name, MAX_ENCODERS);
	return SN_OK;
}

/* Rows must be as wide as the model's, and carry an id that it knows. */
static sn_status fit(const served_model *s, encoder *enc, transcriber **how, sn_error *err)
{
	const sn_ext_plan *plan = enc->p->plan;
	uint32_t dim = plan->row_dim(enc->instance);
	const char *token = plan->row_token(enc->instance);
	const vocab *v = s->m->vocab;
	if (dim != s->m->h.n_embd)
		return error_set(err, SN_ERR_INVALID, "%s: its rows have %u values, the model's embeddings %u", encoder_file(enc)->name, dim, s->m->h.n_embd);
	if (plan_has_positions(plan) && s->m->h.arch->axes == AXES_ONE)
		return error_set(err, SN_ERR_INVALID, "%s: its rows stand on three axes, the model's positions have one", encoder_file(enc)->name);
	if (token && *token)
		enc->row_token = vocab_find(v, str_of(token));
	else /* any */
		enc->row_token = vocab_unk(v) >= 0 ? vocab_unk(v) : vocab_bos(v) >= 0 ? vocab_bos(v) : 0;
	if (enc->row_token < 0)
		return error_set(err, SN_ERR_INVALID, "%s: the vocabulary of %s lacks the token \"%.64s\"", encoder_file(enc)->name, s->m->file->name, token);
	enc->in_template = s->m->chat && chat_template_places(s->m->chat, plan->kind_name, enc->marker);
	const sn_ext_watch *watch = enc->p->watch;
	enc->watch_in_template = watch && s->m->chat && chat_template_places(s->m->chat, watch->kind_name, enc->watch_marker);
	return transcriber_open(how, enc, s->m, err);
}

static void tell_modality(sn_model_info *info, const char *kind_name)
{
	uint32_t n = 0;
	while (n < SN_MAX_MODALITIES && info->modalities[n] && strcmp(info->modalities[n], kind_name) != 0)
		n++;
	if (n < SN_MAX_MODALITIES)
		info->modalities[n] = kind_name;
}

/* how: NULL, or how the model writes recordings down; the first encoder that knows tells. */
static void publish(sn_engine *e, served_model *s, encoder *enc, transcriber *how)
{
	uint32_t n = atomic_load(&s->n_encoders);
	s->encoders[n] = enc;
	if (how && !atomic_load(&s->transcriber)) {
		atomic_store(&s->transcriber, how);
		e->infos[s - e->models].transcribes = true;
	} else {
		transcriber_close(&how);
	}
	atomic_store_explicit(&s->n_encoders, n + 1, memory_order_release);
	tell_modality(&e->infos[s - e->models], enc->p->plan->kind_name);
	if (enc->p->watch)
		tell_modality(&e->infos[s - e->models], enc->p->watch->kind_name);
}

/* The engine thread owns the buffers of its ops: it makes them larger between two steps. */
static sn_status reserve(sn_engine *e, const encoder *enc, sn_error *err)
{
	if (!encoder_wants(enc))
		return SN_OK;
	pthread_mutex_lock(&e->lock);
	e->newcomer_scratch = encoder_wants(enc);
	e->nudge = true;
	pthread_cond_signal(&e->wake);
	while (e->newcomer_scratch && !atomic_load(&e->stop))
		pthread_cond_wait(&e->newcomer_served, &e->lock);
	sn_status st = e->newcomer_scratch ? error_set(err, SN_ERR_DRAINING, "the server is shutting down") : e->newcomer_status;
	pthread_mutex_unlock(&e->lock);
	return st == SN_ERR_NOMEM ? error_set(err, st, "no memory for the encoder's activations") : st;
}

void encoders_serve_newcomer(sn_engine *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->newcomer_scratch) {
		e->newcomer_status = ops_reserve_bytes(&e->ops, e->newcomer_scratch, NULL);
		e->newcomer_scratch = 0;
		pthread_cond_broadcast(&e->newcomer_served);
	}
	pthread_mutex_unlock(&e->lock);
}

static sn_status attach_tower(sn_engine *e, served_model *s, encoder *enc, sn_error *err)
{
	transcriber *how = NULL;
	sn_status st = is_alone(s, enc, err);
	if (!st)
		st = fit(s, enc, &how, err);
	if (!st)
		publish(e, s, enc, how);
	else
		encoder_close(&enc);
	return st;
}

/* What it makes of a recording is a row among the model's. */
static sn_status fit_reference(const served_model *s, encoder *enc, sn_error *err)
{
	const vocab *v = s->m->vocab;
	uint32_t dim = enc->p->plan->row_dim(enc->instance);
	enc->row_token = vocab_unk(v) >= 0 ? vocab_unk(v) : vocab_bos(v) >= 0 ? vocab_bos(v) : 0;
	if (dim != s->m->h.n_embd)
		return error_set(err, SN_ERR_INVALID, "%s: its rows have %u values, the model's embeddings %u", encoder_file(enc)->name, dim, s->m->h.n_embd);
	return SN_OK;
}

static sn_status attach_vocoder(sn_engine *e, served_model *s, vocoder *voc, sn_error *err)
{
	sn_status st = SN_OK;
	if (s->vocoder)
		st = error_set(err, SN_ERR_INVALID, "%s: a second speaker; the model has %s", voc->model->file->name, s->vocoder->model->file->name);
	if (!st && voc->reference)
		st = fit_reference(s, voc->reference, err);
	if (!st && voc->about->n_predicted && !s->m->depth && depth_is_in(voc->model->file))
		st = model_add_depth(s->m, voc->model->file, &e->ops, err);
	if (!st)
		st = speaker_open(&s->speaker, voc, s->m, err);
	if (st) {
		vocoder_close(&voc);
		return st;
	}
	s->speaker->reference = voc->reference;
	s->vocoder = voc;
	e->infos[s - e->models].speaks = true;
	return SN_OK;
}

sn_status encoders_attach_beside(sn_engine *e, served_model *s, const char *file, sn_error *err)
{
	encoder *enc;
	vocoder *voc;
	sn_status st = beside_open(e->plugins, file, s->m->vocab, &e->ops, &enc, &voc, err);
	if (st)
		return st;
	return enc ? attach_tower(e, s, enc, err) : attach_vocoder(e, s, voc, err);
}

sn_status encoders_attach_own_speaker(sn_engine *e, served_model *s, sn_error *err)
{
	vocoder *voc;
	if (s->vocoder)
		return SN_OK;
	sn_status st = vocoder_open_own(&voc, e->plugins, s->m->file, s->m->vocab, &e->ops, err);
	return st || !voc ? st : attach_vocoder(e, s, voc, err);
}

/* A plugin that claims a model and cannot serve it costs that modality, not the model: nobody asked for it by name. */
void encoders_attach_own(sn_engine *e, served_model *s, bool late)
{
	encoder *enc;
	sn_error err;
	do {
		enc = NULL;
		transcriber *how = NULL;
		sn_status st = encoder_open_beside(&enc, e->plugins, s->m->file, &e->ops, late, is_taken, s, &err);
		if (!st && enc)
			st = fit(s, enc, &how, &err);
		if (!st && enc)
			st = memory_check(e, s, enc, &err);
		if (!st && enc && late)
			st = reserve(e, enc, &err);
		if (!st && enc) {
			publish(e, s, enc, how);
			continue;
		}
		transcriber_close(&how);
		if (st)
			log_warn(e->log, "plugin", NULL, "%s does without a modality: %s", s->name, err.text);
		encoder_close(&enc);
	} while (enc);
}

void encoders_close(served_model *s)
{
	for (uint32_t i = 0, n = atomic_load(&s->n_encoders); i < n; i++)
		encoder_close(&s->encoders[i]);
	transcriber *how = atomic_exchange(&s->transcriber, NULL);
	transcriber_close(&how);
	atomic_store(&s->n_encoders, 0);
	speaker_close(&s->speaker);
	vocoder_close(&s->vocoder);
}

sn_status sn_engine_add_plugin(sn_engine *e, const char *file, sn_error *err)
{
	if (!atomic_load(&e->ready) || atomic_load(&e->draining))
		return error_set(err, SN_ERR_DRAINING, "the server is not ready");
	pthread_mutex_lock(&e->attaching);
	sn_status st = plugin_host_add(e->plugins, file, err);
	for (uint32_t i = 0; i < e->n_models && !st; i++)
		encoders_attach_own(e, &e->models[i], true);
	pthread_mutex_unlock(&e->attaching);
	return st;
}
