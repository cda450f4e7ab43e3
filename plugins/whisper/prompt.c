/* prompt.c - "sn.plan/1": the text around a sound's rows. One hole: also a long clip is one sound. */
#include <string.h>

#include "whisper.h"

/* Of an instance that has no model yet: calls may come early. */
static const whisper_family NO_FAMILY = {.marker = "<|audio|>", .row_token = "", .before = "", .after = ""};

static const whisper_family *family_of(const whisper *w)
{
	return w->config.family ? w->config.family : &NO_FAMILY;
}

static sn_rc cut_sound(const whisper *w, const sn_media *media, whisper_cut *cut, sn_fault *fault)
{
	if (!w->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (media->kind != SN_MEDIA_AUDIO)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "only sound is encoded here");
	if (media->rate != SN_LOGMEL_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "a sound of %u Hz: it has to be decoded at %d Hz", media->rate, SN_LOGMEL_RATE);
	if (media->n_samples == 0)
		return kit_fail(fault, SN_RC_INVALID, "the sound is empty");
	if (!whisper_cut_clip(&w->config, media->n_samples, cut))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound is too long for this model: %.1f s, at most %.1f s at once",
		                (double)media->n_samples / SN_LOGMEL_RATE, (double)whisper_window_samples(&w->config) / SN_LOGMEL_RATE);
	return SN_RC_OK;
}

/* What the rows depend on beside the samples and the weights. */
static void hash_options(const whisper_config *c, uint8_t out[8])
{
	const uint32_t of[] = {c->n_mels, c->n_ctx, c->block, c->stack, (uint32_t)c->family->pad, (uint32_t)c->family->tail, c->family->pieces,
	                       c->family->whole, c->family->means};
	kit_hash(of, sizeof of, out);
}

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	(void)call;
	const whisper *w = instance;
	whisper_cut cut;
	sn_rc rc = cut_sound(w, media, &cut, fault);
	if (rc != SN_RC_OK)
		return rc;
	uint64_t state, tensors, units = whisper_count_units(w, &cut);
	if (!whisper_job_bytes(w, &cut, &state, &tensors) || units > UINT32_MAX)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound is too long for this model");
	out->n_rows = cut.n_rows;
	out->n_holes = 1;
	out->text_size = (uint32_t)(strlen(w->config.family->before) + strlen(w->config.family->after));
	out->both_ways = 0;
	out->n_units = (uint32_t)units;
	out->state_bytes = state > tensors ? state : tensors; /* one figure caps both */
	hash_options(&w->config, out->options_hash);
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text,
                    sn_hole *holes, sn_fault *fault)
{
	(void)call;
	const whisper *w = instance;
	const whisper_family *f = family_of(w);
	size_t before = strlen(f->before), after = strlen(f->after);
	whisper_cut cut;
	sn_rc rc = cut_sound(w, media, &cut, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (p->text_size != before + after || p->n_holes != 1 || p->n_rows != cut.n_rows)
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another sound");
	memcpy(text, f->before, before);
	memcpy(text + before, f->after, after);
	holes[0] = (sn_hole){.text_offset = (uint32_t)before, .n_rows = cut.n_rows};
	return SN_RC_OK;
}

static const char *marker(const void *instance) { return family_of(instance)->marker; }

static const char *row_token(const void *instance) { return family_of(instance)->row_token; }

static uint32_t row_dim(const void *instance) { return ((const whisper *)instance)->config.row_dim; }

static uint32_t media_rate(const void *instance)
{
	(void)instance;
	return SN_LOGMEL_RATE;
}

const sn_ext_plan whisper_plan_ext = {
    .size = sizeof whisper_plan_ext,
    .kind = SN_MEDIA_AUDIO,
    .kind_name = "audio",
    .marker = marker,
    .row_token = row_token,
    .row_dim = row_dim,
    .plan = plan,
    .layout = layout,
    .media_rate = media_rate,
};
