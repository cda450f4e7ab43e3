/* sounds.c - see sounds.h. Whole numbers until the last line, so that both sides agree to the bit. */
#include "sounds.h"

#include <stdlib.h>

static uint32_t mix32(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7FEB352Du;
	x ^= x >> 15;
	x *= 0x846CA68Bu;
	x ^= x >> 16;
	return x;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

float *sound_wave(size_t n, uint64_t seed)
{
	static const int64_t voices[][2] = {{73, 2900}, {29, 5100}, {11, 7700}}; /* step of the phase, half a swell */
	float *out = malloc(n * sizeof *out);
	for (size_t i = 0; out && i < n; i++) {
		int64_t total = (int64_t)(mix32((uint32_t)(i + seed * 1000003u)) >> 22) - 512;
		for (int64_t k = 0; k < 3; k++) {
			int64_t phase = (int64_t)i * (voices[k][0] + (int64_t)(2 * seed % 5)) % 4096, swell = voices[k][1];
			int64_t loud = ((int64_t)i + (int64_t)seed * 977 * (k + 1)) % (2 * swell) - swell;
			total += floor_div((llabs(phase - 2048) - 1024) * llabs(loud), swell) * (6 - 2 * k);
		}
		out[i] = (float)total / 32768.0f;
	}
	return out;
}
