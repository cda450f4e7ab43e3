/* config.c - hyper-parameters from the model file. Nothing is believed: each fault names the key and its value. */
#include <math.h>
#include <string.h>

#include "siglip.h"

int32_t siglip_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	bool vision = true;
	if (!weights)
		return 0;
	weights->get_bool(model, "clip.has_vision_encoder", &vision);
	const char *type = weights->get_str(model, "clip.projector_type");
	if (!type)
		type = weights->get_str(model, "clip.vision.projector_type");
	return vision && type && strcmp(type, "idefics3") == 0 ? 100 : 0;
}

static sn_rc read_sizes(const sn_host_weights *weights, const sn_model *model, siglip_config *c, sn_fault *fault)
{
	const kit_size sizes[] = {
	    {"clip.vision.image_size", &c->image, 1, 4096},
	    {"clip.vision.patch_size", &c->patch, 1, 256},
	    {"clip.vision.embedding_length", &c->embd, 1, 16384},
	    {"clip.vision.feed_forward_length", &c->ff, 1, 131072},
	    {"clip.vision.block_count", &c->blocks, 1, 256},
	    {"clip.vision.attention.head_count", &c->heads, 1, 1024},
	    {"clip.vision.projector.scale_factor", &c->scale, 1, 64},
	    {"clip.vision.projection_dim", &c->row_dim, 1, 65536},
	};
	KIT_TRY(kit_read_sizes(weights, model, sizes, sizeof sizes / sizeof *sizes, fault));
	const kit_size longest = {"clip.vision.preproc_image_size", &c->longest, 1, 65536};
	c->longest = c->image; /* no key: the picture is never split */
	weights->get_u32(model, longest.key, &c->longest);
	return kit_check_size(&longest, fault);
}

/* How clips are sampled: as SmolVLM2's own processor has it, unless the file has keys for it. */
static sn_rc read_watching(const sn_host_weights *weights, const sn_model *model, siglip_config *c, sn_fault *fault)
{
	const kit_size sizes[] = {{"clip.vision.video.max_frames", &c->video_frames, 1, 999}, {"clip.vision.video.longest_edge", &c->video_longest, 1, 4096}};
	c->video_fps = 1;
	c->video_frames = 64;
	c->video_longest = c->image;
	weights->get_f32(model, "clip.vision.video.fps", &c->video_fps);
	if (!(c->video_fps > 0) || c->video_fps > 1000)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.video.fps = %g: must be above 0 and at most 1000", (double)c->video_fps);
	for (int i = 0; i < 2; i++) {
		weights->get_u32(model, sizes[i].key, sizes[i].value);
		KIT_TRY(kit_check_size(&sizes[i], fault));
	}
	return SN_RC_OK;
}

/* What the sizes must be to each other. */
static sn_rc derive(siglip_config *c, sn_fault *fault)
{
	if (c->patch > c->image)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.patch_size = %u exceeds clip.vision.image_size = %u", c->patch, c->image);
	c->side = c->image / c->patch; /* SmolVLM-2.2B: 384 / 14 = 27; the last pixels are not looked at */
	if (c->side > SIGLIP_MAX_SIDE)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.patch_size = %u: more than %d patches a side of clip.vision.image_size = %u",
		                c->patch, SIGLIP_MAX_SIDE, c->image);
	if (c->side % c->scale)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.projector.scale_factor = %u does not divide the grid of %u patches a side",
		                c->scale, c->side);
	if (c->embd % c->heads)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.attention.head_count = %u does not divide clip.vision.embedding_length = %u",
		                c->heads, c->embd);
	c->n = c->side * c->side;
	c->n_rows = c->n / (c->scale * c->scale);
	c->splitting = c->longest > c->image;

	sn_idefics3_cut square;
	if (!sn_idefics3_plan(4096, 4096, c->longest, c->image, c->splitting, &square) || square.n_images > SIGLIP_MAX_CROPS)
		return kit_fail(fault, SN_RC_INVALID, "clip.vision.preproc_image_size = %u: more than %d crops of clip.vision.image_size = %u",
		                c->longest, SIGLIP_MAX_CROPS, c->image);
	return SN_RC_OK;
}

static sn_rc read_colours(const sn_host_weights *weights, const sn_model *model, const char *key, float out[3], sn_fault *fault)
{
	if (weights->get_f32_array(model, key, out, 3) != 3)
		return kit_fail(fault, SN_RC_INVALID, "%s must be an array of 3 numbers", key);
	for (int i = 0; i < 3; i++)
		if (!isfinite(out[i]))
			return kit_fail(fault, SN_RC_INVALID, "%s[%d] is not a finite number", key, i);
	return SN_RC_OK;
}

sn_rc siglip_read_config(const sn_host_weights *weights, const sn_model *model, siglip_config *c, sn_fault *fault)
{
	bool gelu = false, silu = false;
	sn_rc rc = read_sizes(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = derive(c, fault);
	if (rc == SN_RC_OK)
		rc = read_watching(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_colours(weights, model, "clip.vision.image_mean", c->mean, fault);
	if (rc == SN_RC_OK)
		rc = read_colours(weights, model, "clip.vision.image_std", c->std, fault);
	if (rc != SN_RC_OK)
		return rc;
	for (int i = 0; i < 3; i++)
		if (!(c->std[i] > 0))
			return kit_fail(fault, SN_RC_INVALID, "clip.vision.image_std[%d] = %g: must be positive", i, (double)c->std[i]);
	KIT_TRY(kit_read_eps(weights, model, "clip.vision.attention.layer_norm_epsilon", &c->eps, fault));
	weights->get_bool(model, "clip.use_gelu", &gelu);
	weights->get_bool(model, "clip.use_silu", &silu);
	if (gelu && silu)
		return kit_fail(fault, SN_RC_INVALID, "clip.use_gelu and clip.use_silu are both true");
	/* As llama.cpp reads them: "gelu" is the tanh form, and neither flag is the quick one. */
	c->act = gelu ? SN_ACT_GELU_TANH : silu ? SN_ACT_SILU : SN_ACT_GELU_QUICK;
	return SN_RC_OK;
}

/* Bound k of n, as torch.arange(step, 1, step) makes it in float on a CPU: whole pairs of 8 values count on from the
 * first of each 8, already rounded; the values left over are rounded once. */
static float position_bound(uint32_t k, uint32_t n, double step)
{
	if (k >= n / 16 * 16)
		return (float)(step + step * k);
	float first = (float)(step + step * (k / 8 * 8));
	return (float)(first + (k % 8) * step);
}

/* The reference sorts fractions i / side into buckets bounded by k / side, all in float: for some sides (19, 25, 38, ...)
 * rounding puts an index one bucket lower, and trained weights have seen that. The same arithmetic gives the same ids. */
void siglip_position_ids(uint32_t side, uint32_t *ids)
{
	float fraction = 1.0f / (float)side, last = (float)(1.0 - 1e-6);
	double step = 1.0 / side;
	uint32_t n = (uint32_t)ceil((1.0 - step) / step);
	for (uint32_t i = 0, k = 0; i < side; i++) {
		float at = (float)i * fraction;
		at = at < last ? at : last;
		while (k < n && position_bound(k, n, step) <= at)
			k++;
		ids[i] = k;
	}
}
