#include "engine/frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/utterance.h"

frames *frames_open(uint32_t max)
{
	frames *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->max = max;
	f->seqs = calloc(max, sizeof *f->seqs);
	f->samples = calloc(max, sizeof *f->samples);
	f->said = calloc(max, sizeof *f->said);
	f->failed = calloc(max, sizeof *f->failed);
	if (!f->seqs || !f->samples || !f->said || !f->failed)
		frames_close(&f);
	return f;
}

void frames_close(frames **fp)
{
	frames *f = *fp;
	*fp = NULL;
	if (!f)
		return;
	free(f->seqs);
	free(f->samples);
	free(f->said);
	free(f->failed);
	free(f->room);
	free(f);
}

size_t frames_bytes(uint32_t max)
{
	const frames *f = NULL;
	return max * (sizeof *f->seqs + sizeof *f->samples + sizeof *f->said + sizeof *f->failed);
}

size_t frames_room(const frames *f, const model *m)
{
	size_t n = m->depth ? depth_bytes(m->depth, f->max) : 0;
	return n > f->room_bytes ? n : f->room_bytes;
}

sn_status frames_reserve(frames *f, const model *m, sn_error *err)
{
	size_t n = frames_room(f, m);
	if (n <= f->room_bytes)
		return SN_OK;
	void *room = n > SIZE_MAX - 64 ? NULL : aligned_alloc(64, (n + 63) / 64 * 64);
	if (!room)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for the frames of a step", m->file->name);
	free(f->room);
	f->room = room;
	f->room_bytes = n;
	return SN_OK;
}

void frames_clear(frames *f)
{
	f->n = 0;
}

void frames_add(frames *f, sn_engine *e, uint32_t at_active, const sample *t, const float *hidden)
{
	const utterance *u = e->active[at_active]->req->voice;
	f->seqs[f->n] = at_active;
	f->samples[f->n] = *t;
	f->failed[f->n] = false;
	f->said[f->n++] = (depth_frame){hidden, (uint32_t)t->token, utterance_code(u, u->n_tokens) + 1};
}

struct picker {
	frames *f;
	sn_engine *e;
	uint32_t n_values;
};

static uint32_t pick(void *ctx, uint32_t frame, uint32_t i, const float *logits)
{
	const struct picker *p = ctx;
	const sequence *s = p->e->active[p->f->seqs[frame]];
	const sn_request *r = s->req;
	const sn_speaker *about = r->voice->who->about;
	float temperature = r->sampling.temperature > 0 ? about->predictor_temperature : 0;
	double u = sampler_uniform(r->seed, s->choice, s->n_known - r->n_prompt, 1 + i);
	int32_t code = sampler_choose(&p->e->sampler, logits, p->n_values, temperature, about->predictor_top_k, about->predictor_top_p, u);
	p->f->failed[frame] |= code < 0;
	return code < 0 ? 0 : (uint32_t)code;
}

void frames_say(frames *f, sn_engine *e, const model *m)
{
	if (!f->n)
		return;
	struct picker p = {f, e, m->depth->n_values};
	depth_run(m, &e->ops, f->room, f->said, f->n, (depth_pick){pick, &p});
}

uint64_t frame_key(const sn_engine *e, const utterance *u, uint32_t i)
{
	hasher h;
	uint64_t key;
	hash_begin(&h, &e->key);
	hash_add(&h, utterance_code(u, i) + 1, u->who->about->n_predicted * sizeof *u->codes);
	hash256 all = hash_end(&h);
	memcpy(&key, &all, sizeof key);
	return u->who->about->n_predicted ? key | 1 : 0;
}
