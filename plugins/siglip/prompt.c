/* prompt.c - "sn.plan/1": the text around a picture's rows, as the reference processors spell it.
 *
 *   split:  for each row of crops: <fake_token_around_image><row_R_col_C> rows ... then "\n" after the row;
 *           "\n<fake_token_around_image><global-img>" rows "<fake_token_around_image>"
 *   whole:  "<fake_token_around_image><global-img>" rows "<fake_token_around_image>"
 *
 * Reference: transformers, models/smolvlm/processing_smolvlm.py.
 */
#include <stdio.h>
#include <string.h>

#include "siglip.h"

#define FAKE SIGLIP_FAKE
#define GLOBAL SIGLIP_GLOBAL

/* Counts, and fills where there is something to fill. */
typedef struct writer {
	char *text;
	size_t size;
	sn_hole *holes;
	uint32_t n_holes, n_rows;
} writer;

static void put(writer *w, const char *text)
{
	size_t n = strlen(text);
	if (w->text)
		memcpy(w->text + w->size, text, n);
	w->size += n;
}

static void hole(writer *w)
{
	if (w->holes)
		w->holes[w->n_holes] = (sn_hole){.text_offset = (uint32_t)w->size, .n_rows = w->n_rows};
	w->n_holes++;
}

/* A clip's frames have theirs in the clip's text (watch.c). */
static void write_medium(writer *w, const sn_media *media, const sn_idefics3_cut *cut)
{
	if (media->kind == SN_MEDIA_VIDEO) {
		hole(w);
		return;
	}
	for (uint32_t r = 1; r <= cut->rows; r++) {
		for (uint32_t c = 1; c <= cut->cols; c++) {
			char place[64];
			snprintf(place, sizeof place, FAKE "<row_%u_col_%u>", r, c);
			put(w, place);
			hole(w);
		}
		put(w, "\n");
	}
	put(w, cut->rows ? "\n" FAKE GLOBAL : FAKE GLOBAL);
	hole(w);
	put(w, FAKE);
}

sn_rc siglip_cut(const siglip *s, const sn_media *media, sn_idefics3_cut *cut, sn_fault *fault)
{
	uint32_t side = s->config.image;
	if (media->kind == SN_MEDIA_VIDEO) {
		if (media->n_frames != 1 || media->width != side || media->height != side)
			return kit_fail(fault, SN_RC_INVALID, "a clip's frames come one by one, %u pixels wide and high", side);
		*cut = (sn_idefics3_cut){side, side, side, side, side, side, .n_images = 1, .side = side};
		return SN_RC_OK;
	}
	if (media->kind != SN_MEDIA_IMAGE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "only pictures and clips are encoded here");
	if (!sn_idefics3_plan(media->width, media->height, s->config.longest, s->config.image, s->config.splitting, cut))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the picture is empty or too large");
	return SN_RC_OK;
}

/* What the rows depend on beside the samples and the weights. */
static void hash_options(const siglip_config *c, uint8_t out[8])
{
	struct {
		uint32_t image, patch, scale, longest;
		float mean[3], std[3];
	} of = {c->image, c->patch, c->scale, c->longest, {c->mean[0], c->mean[1], c->mean[2]}, {c->std[0], c->std[1], c->std[2]}};
	kit_hash(&of, sizeof of, out);
}

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	(void)call;
	const siglip *s = instance;
	sn_idefics3_cut cut;
	sn_rc rc = siglip_cut(s, media, &cut, fault);
	if (rc != SN_RC_OK)
		return rc;
	writer w = {.n_rows = s->config.n_rows};
	write_medium(&w, media, &cut);

	uint64_t state, tensors, rows = (uint64_t)cut.n_images * s->config.n_rows, units = (uint64_t)cut.n_images * s->units.per_image;
	if (!siglip_job_bytes(s, &cut, &state, &tensors) || rows > UINT32_MAX || units > UINT32_MAX || w.size > UINT32_MAX)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the picture is too large for this model");
	out->n_rows = (uint32_t)rows;
	out->n_holes = w.n_holes;
	out->text_size = (uint32_t)w.size;
	out->both_ways = 0;
	out->n_units = (uint32_t)units;
	out->state_bytes = state > tensors ? state : tensors; /* one figure caps both */
	hash_options(&s->config, out->options_hash);
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text,
                    sn_hole *holes, sn_fault *fault)
{
	(void)call;
	const siglip *s = instance;
	sn_idefics3_cut cut;
	sn_rc rc = siglip_cut(s, media, &cut, fault);
	if (rc != SN_RC_OK)
		return rc;
	writer counted = {.n_rows = s->config.n_rows}, w = {.text = text, .holes = holes, .n_rows = s->config.n_rows};
	write_medium(&counted, media, &cut);
	if (counted.size != p->text_size || counted.n_holes != p->n_holes)
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another picture");
	write_medium(&w, media, &cut);
	return SN_RC_OK;
}

static const char *marker(const void *instance)
{
	(void)instance;
	return SIGLIP_MARKER;
}

static const char *row_token(const void *instance)
{
	(void)instance;
	return SIGLIP_ROW_TOKEN;
}

static uint32_t row_dim(const void *instance) { return ((const siglip *)instance)->config.row_dim; }

const sn_ext_plan siglip_plan_ext = {
    .size = sizeof siglip_plan_ext,
    .kind = SN_MEDIA_IMAGE,
    .kind_name = "image",
    .marker = marker,
    .row_token = row_token,
    .row_dim = row_dim,
    .plan = plan,
    .layout = layout,
};
