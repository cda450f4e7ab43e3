/* patches.h - u8 pixels -> normalised f32 patches, in the order of a convolution's flattened weight.
 *
 * (v / 255 - mean) / std takes 256 values a channel: they are made once, rounded step by step as the reference processors round
 * them, and looked up. Those of pictures in Pillow's arrays multiply in double, cut to float and go on in float; those of clips, which are
 * PyTorch's tensors, reckon (v - 255 mean) / (255 std) in float.
 */
#ifndef SENSORIUM_IMAGE_PATCHES_H
#define SENSORIUM_IMAGE_PATCHES_H

#include <stddef.h>
#include <stdint.h>

typedef struct sn_normalize {
	float value[3][256]; /* [channel][u8] */
} sn_normalize;

void sn_normalize_init(sn_normalize *n, const float mean[3], const float std[3]);
void sn_normalize_init_fused(sn_normalize *n, const float mean[3], const float std[3]);

/* Patches [first, first + count) of a picture whose patches lie in a grid grid_w wide, row-major. rgb points at the
 * picture's first pixel; stride: bytes from one pixel row to the next, so that a crop needs no copy.
 * out: [count][3][patch][patch], as a Conv2d weight [E][3][patch][patch] is flattened. */
void sn_patchify(const uint8_t *rgb, size_t stride, uint32_t patch, uint32_t grid_w, uint32_t first, uint32_t count,
                 const sn_normalize *n, float *out);

#endif
