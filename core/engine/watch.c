/* A clip's place in a prompt: its frames are chosen by who watches ("sn.watch/1"), read at the media gate, and cut into groups, each a
 * medium of its own with its own key: a frame that was seen before is not encoded again, in whatever clip it comes. The clip's text is
 * dealt out to the groups: each has what stands before its rows, the last one also what stands behind them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/prompt.h"

enum { MAX_FRAMES = 1000, MAX_CLIP_TEXT = 1 << 20 };

struct clip_choice {
	sn_request *r;
	encoder *enc;
	sn_watch_options options;
	sn_watch_sample sample;
	uint32_t frames[MAX_FRAMES];
};

static sn_status options_of(const sn_part *part, sn_watch_options *o, sn_error *err)
{
	*o = (sn_watch_options){.size = sizeof *o, .max_frames = part->max_frames, .fps = part->fps, .start = part->start, .end = part->end};
	if (!isfinite(o->fps) || o->fps < 0 || !isfinite(o->start) || o->start < 0 || !isfinite(o->end) || o->end < 0)
		return error_param(err, SN_ERR_INVALID, "messages", "fps, start and end of a clip must be numbers, and not negative");
	if (o->end > 0 && o->end <= o->start)
		return error_param(err, SN_ERR_INVALID, "messages", "end of a clip must be behind its start");
	return SN_OK;
}

/* ---- choose ---- */

/* What it said is not believed: it indexes. */
static sn_status check_sample(const struct clip_choice *c, const sn_clip_info *info, sn_error *err)
{
	const sn_watch_sample *s = &c->sample;
	bool ok = s->n_frames && s->n_frames <= MAX_FRAMES && s->group && s->n_frames % s->group == 0 && s->n_steps <= SN_CLIP_MAX_STEPS;
	for (uint32_t i = 0; ok && i < s->n_frames; i++)
		ok = c->frames[i] < info->n_frames && (!i || c->frames[i] >= c->frames[i - 1]);
	if (!ok)
		return plugin_broke(c->enc->p, err, "it chose frames of a clip that are not there");
	if (s->n_frames / s->group > MAX_MEDIA - c->r->n_media)
		return error_param(err, SN_ERR_INVALID, "messages", "more than %d media and frames of clips in one request", MAX_MEDIA);
	return SN_OK;
}

static sn_status choose(void *ctx, const sn_clip_info *info, sn_clip_wish *wish, sn_error *err)
{
	struct clip_choice *c = ctx;
	struct sn_call call = {c->r->id};
	sn_fault fault = {.size = sizeof fault};
	c->sample = (sn_watch_sample){.size = sizeof c->sample};
	sn_rc rc = c->enc->p->watch->sample(c->enc->instance, &call, info, &c->options, MAX_FRAMES, c->frames, &c->sample, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(c->enc->p, rc, &fault, err);
	sn_status st = check_sample(c, info, err);
	if (st)
		return st;
	wish->n_frames = c->sample.n_frames;
	wish->frames = c->frames;
	wish->n_steps = c->sample.n_steps;
	memcpy(wish->steps, c->sample.steps, sizeof wish->steps);
	return SN_OK;
}

/* ---- place ---- */

static sn_status place_groups(const struct clip_choice *c, const sn_media *clip, struct placed *placed, sn_error *err)
{
	sn_request *r = c->r;
	sn_status st = SN_OK;
	for (uint32_t first = 0; first < clip->n_frames && !st; first += c->sample.group) {
		const sn_media media = media_gate_group(&r->engine->gate, clip, first, c->sample.group);
		struct placed *p = &placed[r->n_media];
		p->group = true;
		p->follows = first > 0;
		st = medium_place(r, c->enc, &media, r->model->max_len, p, err);
		if (!st && (p->plan.text_size || p->plan.n_holes != 1))
			st = plugin_broke(c->enc->p, err, "a clip's frames are rows alone: they have framing text");
	}
	return st;
}

static sn_status lay_out(const struct clip_choice *c, const sn_watch_clip *clip, struct placed *placed, uint32_t n, sn_error *err)
{
	struct sn_call call = {c->r->id};
	sn_fault fault = {.size = sizeof fault};
	const plugin *p = c->enc->p;
	uint32_t size = 0, said, at = 0;
	sn_rc rc = p->watch->layout(c->enc->instance, &call, clip, NULL, &size, NULL, &fault);
	if (rc == SN_RC_OK && size > MAX_CLIP_TEXT)
		return plugin_broke(c->enc->p, err, "it wrote more framing text than fits");
	char *text = rc == SN_RC_OK ? arena_alloc(c->r->mem, (size_t)size + 1) : NULL;
	uint32_t *holes = rc == SN_RC_OK ? arena_array(c->r->mem, n, sizeof *holes) : NULL;
	if (rc == SN_RC_OK && (!text || !holes))
		return error_set(err, SN_ERR_NOMEM, "no memory for a clip's place in the prompt");
	said = size;
	if (rc == SN_RC_OK)
		rc = p->watch->layout(c->enc->instance, &call, clip, text, &said, holes, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(c->enc->p, rc, &fault, err);
	for (uint32_t i = 0; i < n; i++) {
		if (said != size || holes[i] < at || holes[i] > size)
			return plugin_broke(c->enc->p, err, "a hole lies outside its framing text");
		placed[i].text = text + at;
		placed[i].holes[0].text_offset = holes[i] - at;
		placed[i].plan.text_size = (i + 1 < n ? holes[i] : size) - at;
		at = holes[i];
	}
	return SN_OK;
}

/* ---- its sound ---- */

static encoder *who_hears(const served_model *s)
{
	for (uint32_t i = 0, n = atomic_load_explicit(&s->n_encoders, memory_order_acquire); i < n; i++)
		if (s->encoders[i]->p->plan->kind == SN_MEDIA_AUDIO)
			return s->encoders[i];
	return NULL;
}

/* Of the samples those that are heard between start and end; false: none. */
static bool cut_sound(const media_gate *g, const sn_media *whole, const sn_part *part, sn_media *out)
{
	const double n = (double)whole->n_samples, from = part->start * whole->rate, to = part->end > 0 ? part->end * whole->rate : n;
	const uint64_t first = from < n ? (uint64_t)from : whole->n_samples, end = to < n ? (uint64_t)to : whole->n_samples;
	if (first >= end)
		return false;
	*out = *whole;
	out->samples = (float *)whole->samples + first;
	out->n_samples = end - first;
	out->bytes = out->n_samples * sizeof(float);
	media_gate_hash(g, out);
	return true;
}

/* It stands behind the frames, as a medium of its own; where the model does not hear, the usage says so. */
static sn_status place_sound(sn_request *r, encoder *ear, const sn_part *part, struct placed *placed, sn_error *err)
{
	sn_engine *e = r->engine;
	sn_media whole, heard;
	if (r->n_media == MAX_MEDIA)
		return error_param(err, SN_ERR_INVALID, "messages", "more than %d media and frames of clips in one request", MAX_MEDIA);
	const sn_part track = {.kind = SN_PART_MEDIA, .kind_name = ear->p->plan->kind_name, .data = part->data, .size = part->size};
	sn_status st = media_gate_decode(&e->gate, &track, ear->media_rate, r->id, &whole, err);
	if (st)
		return st;
	if (cut_sound(&e->gate, &whole, part, &heard)) {
		struct placed *p = &placed[r->n_media];
		p->follows = true;
		st = medium_place(r, ear, &heard, r->model->max_len, p, err);
	}
	media_gate_release(&e->gate, &whole);
	return st;
}

/* *has_sound: as the file says. */
static sn_status place_frames(struct clip_choice *c, const sn_part *part, struct placed *placed, bool *has_sound, sn_error *err)
{
	sn_request *r = c->r;
	sn_clip_info info;
	sn_media clip;
	uint32_t first = r->n_media;
	sn_status st = media_gate_watch(&r->engine->gate, part, choose, c, r->id, &info, &clip, err);
	if (!st) {
		const sn_watch_clip sampled = {.size = sizeof sampled, .info = &info, .options = &c->options, .sample = &c->sample,
		                               .frames = c->frames, .seconds = clip.timestamps};
		st = place_groups(c, &clip, placed, err);
		if (!st)
			st = lay_out(c, &sampled, placed + first, r->n_media - first, err);
		media_gate_release(&r->engine->gate, &clip);
		*has_sound = info.has_sound;
	}
	return st;
}

sn_status clip_place(sn_request *r, encoder *enc, const sn_part *part, struct placed *placed, sn_error *err)
{
	sn_watch_options options;
	encoder *ear = who_hears(r->model);
	uint32_t first = r->n_media;
	bool has_sound = false;
	sn_status st = options_of(part, &options, err);
	if (st)
		return st;
	const hash256 note = clip_note_key(r, enc, ear, part, &options);
	if (clip_note_recall(r, &note, placed + first))
		return SN_OK;
	struct clip_choice *c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, SN_ERR_NOMEM, "no memory for a clip's place in the prompt");
	*c = (struct clip_choice){.r = r, .enc = enc, .options = options};
	st = place_frames(c, part, placed, &has_sound, err);
	free(c);
	if (!st && has_sound && ear)
		st = place_sound(r, ear, part, placed, err);
	if (!st) {
		r->video_sound_ignored |= has_sound && !ear;
		clip_note_keep(r, &note, placed + first, first, has_sound && !ear);
	}
	return st;
}
