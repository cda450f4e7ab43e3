/* begin.c - the frames of a clip, in the blocks in which they will be convolved. On a media thread. */
#include <math.h>

#include "whisper.h"

static const float LOUDEST = 1e6f; /* float files may exceed 1, but this is not sound */

size_t whisper_block_floats(const whisper_config *c)
{
	return ((size_t)2 * c->block + 2) * c->n_mels;
}

static bool is_sound(const float *samples, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!(fabsf(samples[i]) <= LOUDEST)) /* NaN, too */
			return false;
	return true;
}

/* The frames of blocks [first, end), which are one clip of n samples. `spare`: one frame. */
static void compute_clip(const whisper *w, const whisper_cut *cut, uint32_t first, uint32_t end, const float *samples, uint64_t n, float *mel,
                         float *spare, void *scratch)
{
	const whisper_config *c = &w->config;
	uint64_t f = (uint64_t)2 * c->block, done = 0, all = cut->n_padded / SN_LOGMEL_HOP;
	size_t stride = whisper_block_floats(c);
	float most = -INFINITY;
	for (uint32_t b = first; b < end; b++) {
		whisper_block block = whisper_block_of(c, cut, b);
		sn_logmel_frames(&w->mel, samples, n, cut->n_padded, (b - first) * f, block.mel, mel + b * stride + c->n_mels, &most, scratch);
		done = (b - first) * f + block.mel;
	}
	/* The maximum is over the padding, too: frames there still hold the end of the sound. */
	for (; done < all && done <= n / SN_LOGMEL_HOP + 2; done++)
		sn_logmel_frames(&w->mel, samples, n, cut->n_padded, done, 1, spare, &most, scratch);
	for (uint32_t b = first; b < end; b++)
		sn_logmel_scale(mel + b * stride + c->n_mels, (size_t)whisper_block_of(c, cut, b).mel * c->n_mels, most);
}

sn_rc whisper_compute_frames(const whisper *w, const whisper_cut *cut, const float *samples, float *mel, sn_fault *fault)
{
	const whisper_config *c = &w->config;
	uint64_t piece = whisper_window_samples(c);
	if (!is_sound(samples, cut->n))
		return kit_fail(fault, SN_RC_INVALID, "the sound holds samples that are not finite, or not sound");
	size_t spare = kit_aligned(sizeof(float) * c->n_mels);
	uint8_t *scratch = kit_alloc(&w->host, spare + sn_logmel_scratch());
	if (!scratch)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the sound's frames");
	if (!c->family->pieces)
		compute_clip(w, cut, 0, cut->n_blocks, samples, cut->n, mel, (float *)(void *)scratch, scratch + spare);
	else
		for (uint32_t b = 0; b < cut->n_blocks; b++) {
			uint64_t at = b * piece, left = cut->n - at;
			compute_clip(w, cut, b, b + 1, samples + at, left < piece ? left : piece, mel, (float *)(void *)scratch, scratch + spare);
		}
	kit_free(&w->host, scratch);
	return SN_RC_OK;
}
