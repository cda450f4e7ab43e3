/* golden.c - see golden.h. */
#include "golden.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t mix32(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7FEB352Du;
	x ^= x >> 15;
	x *= 0x846CA68Bu;
	x ^= x >> 16;
	return x;
}

uint64_t golden_hash(const void *data, size_t n)
{
	uint64_t h = 0xCBF29CE484222325u;
	const uint8_t *p = data;
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = 0;
		memcpy(&word, p + i, n - i < 8 ? n - i : 8);
		h = (h ^ word) * 0x100000001B3u;
	}
	return h;
}

uint8_t *golden_picture(uint32_t w, uint32_t h, uint32_t seed)
{
	uint8_t *out = malloc((size_t)w * h * 3), *p = out;
	for (uint32_t y = 0; out && y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			for (uint32_t c = 0; c < 3; c++) {
				uint32_t noise = mix32((y * w + x) * 3 + c + seed * 1000003u) >> 24;
				uint32_t ramp = (x * 255 / w + y * 255 / h * (c + 1)) % 256;
				uint32_t edge = (x * 8 / w + y * 8 / h) % 3 == 0 ? 255 : 0;
				*p++ = (uint8_t)((ramp * 2 + edge + noise) / 4);
			}
	return out;
}

void golden_weights(const char *name, size_t count, float scale, float offset, float *out)
{
	uint32_t seed = 0x811C9DC5u;
	for (const char *s = name; *s; s++)
		seed = (seed ^ (uint8_t)*s) * 0x01000193u;
	for (size_t i = 0; i < count; i++) {
		float unit = (float)(mix32(seed + (uint32_t)i * 0x9E3779B1u) >> 8) * 0x1p-24f;
		out[i] = (unit - 0.5f) * scale + offset;
	}
}

/* The scales of tests/golden/image/make.py and tests/golden/hear/make.py, by kind of tensor. */
void golden_tensor(const char *name, size_t n, float *out)
{
	bool norm = strstr(name, ".ln1.") || strstr(name, ".ln2.") || strstr(name, "post_ln") || strstr(name, ".norm_");
	bool bias = strstr(name, ".bias") != NULL;
	float scale = bias ? 0.25f : strstr(name, "position") ? 1.0f : strstr(name, "patch_embd") ? 0.125f : 0.5f;
	golden_weights(name, n, scale, norm && !bias ? 1.0f : 0.0f, out);
}

uint8_t *golden_file(const char *name, size_t *n)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
	FILE *f = fopen(path, "rb");
	if (!f) {
		fprintf(stderr, "missing golden file %s\n", name);
		exit(1);
	}
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	uint8_t *data = malloc((size_t)size + 1);
	*n = fread(data, 1, (size_t)size, f);
	data[*n] = 0;
	fclose(f);
	return data;
}
