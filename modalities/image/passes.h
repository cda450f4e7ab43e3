/* passes.h - the two passes of a resampling over a table of taps. Written once, in passes.inc, and compiled for any CPU and for
 * AVX2: whole numbers only, so both make the same bytes. No allocation; any thread. */
#ifndef SENSORIUM_IMAGE_PASSES_H
#define SENSORIUM_IMAGE_PASSES_H

#include <stddef.h>
#include <stdint.h>

enum { SN_TAP_BLOCK = 16 };

/* The taps of one axis. Output i is the sum over k < count[i] of weight[i * width + k] * input[first[i] + k]. */
typedef struct sn_taps {
	uint32_t n;             /* outputs */
	uint32_t width;         /* weights kept per output */
	uint32_t *first;        /* [n] */
	uint32_t *count;        /* [n] */
	int32_t *weight;        /* [n][width], in fractions of 1 << precision */
	int16_t *short_weight;  /* [n][short_width], the same and then zeros; NULL where they do not fit */
	uint32_t short_width;   /* a multiple of SN_TAP_BLOCK */
	uint32_t precision;
} sn_taps;

typedef struct sn_passes {
	/* src [rows][in_w][3] -> dst [rows][t->n][3] */
	void (*across)(const sn_taps *t, const uint8_t *src, uint32_t in_w, uint32_t rows, uint8_t *dst);
	/* src: three times [rows][stride], each readable for SN_TAP_BLOCK bytes more -> dst [rows][t->n][3] */
	void (*across_planes)(const sn_taps *t, const uint8_t *const src[3], size_t stride, uint32_t rows, uint8_t *dst);
	/* src [..][bytes] -> dst [t->n][bytes]; bytes = 3 x width */
	void (*down)(const sn_taps *t, const uint8_t *src, size_t bytes, uint8_t *dst);
	/* src: three times [rows][stride] -> dst [rows][width][3] */
	void (*weave)(const uint8_t *const src[3], size_t stride, uint32_t width, uint32_t rows, uint8_t *dst);
} sn_passes;

extern const sn_passes sn_passes_plain, sn_passes_avx2;

/* Does this CPU run sn_passes_avx2? */
#if defined(__x86_64__)
#define SN_HAS_AVX2() __builtin_cpu_supports("avx2")
#else
#define SN_HAS_AVX2() 0
#endif

#endif
