/* patches.c - see patches.h. */
#include "patches.h"

void sn_normalize_init(sn_normalize *n, const float mean[3], const float std[3])
{
	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++) {
			float unit = (float)((double)v * (1 / 255.0));
			n->value[c][v] = (unit - mean[c]) / std[c];
		}
}

void sn_normalize_init_fused(sn_normalize *n, const float mean[3], const float std[3])
{
	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++)
			n->value[c][v] = ((float)v - mean[c] * 255.0f) / (std[c] * 255.0f);
}

void sn_patchify(const uint8_t *rgb, size_t stride, uint32_t patch, uint32_t grid_w, uint32_t first, uint32_t count,
                 const sn_normalize *n, float *out)
{
	size_t area = (size_t)patch * patch;
	for (uint32_t i = 0; i < count; i++, out += 3 * area) {
		uint32_t row = (first + i) / grid_w, col = (first + i) % grid_w;
		const uint8_t *corner = rgb + (size_t)row * patch * stride + (size_t)col * patch * 3;
		for (uint32_t y = 0; y < patch; y++) {
			const uint8_t *px = corner + y * stride;
			float *line = out + (size_t)y * patch;
			for (uint32_t x = 0; x < patch; x++, px += 3) {
				line[x] = n->value[0][px[0]];
				line[x + area] = n->value[1][px[1]];
				line[x + 2 * area] = n->value[2][px[2]];
			}
		}
	}
}
