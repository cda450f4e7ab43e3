/* passes_avx2.c - the passes for CPUs with AVX2, of which one is written for it; the same as passes.c where there is no such thing. */
#define PASSES sn_passes_avx2
#ifdef __AVX2__
#define ACROSS_PLANES across_planes_avx2
#endif
#include "passes.inc"

#ifdef __AVX2__
#include <immintrin.h>
#include <string.h>

static inline __m256i multiply(const uint8_t *in, __m256i weights)
{
	return _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)in)), weights);
}

/* One output's three colours, summed side by side over the same weights. */
static inline uint32_t pixel(const uint8_t *const in[3], size_t at, const int16_t *weight, uint32_t n, __m128i half, __m128i precision)
{
	__m256i r = _mm256_setzero_si256(), g = r, b = r;
	for (uint32_t k = 0; k < n; k += 16) {
		__m256i w = _mm256_loadu_si256((const void *)(weight + k));
		r = _mm256_add_epi32(r, multiply(in[0] + at + k, w));
		g = _mm256_add_epi32(g, multiply(in[1] + at + k, w));
		b = _mm256_add_epi32(b, multiply(in[2] + at + k, w));
	}
	__m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(r, g), _mm256_hadd_epi32(b, b));
	__m128i sum = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
	sum = _mm_sra_epi32(_mm_add_epi32(sum, half), precision);
	sum = _mm_packs_epi32(sum, sum);
	return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
}

static void across_planes_avx2(const sn_taps *t, const uint8_t *const src[3], size_t stride, uint32_t rows, uint8_t *dst)
{
	const __m128i half = _mm_set1_epi32(1 << (t->precision - 1)), precision = _mm_cvtsi32_si128((int)t->precision);
	if (!t->short_weight) {
		across_planes(t, src, stride, rows, dst);
		return;
	}
	for (uint32_t y = 0; y < rows; y++) {
		const uint8_t *const in[3] = {src[0] + (size_t)y * stride, src[1] + (size_t)y * stride, src[2] + (size_t)y * stride};
		uint8_t *out = dst + (size_t)y * t->n * 3;
		for (uint32_t x = 0; x < t->n; x++, out += 3) {
			uint32_t rgb = pixel(in, t->first[x], t->short_weight + (size_t)x * t->short_width, t->count[x], half, precision);
			memcpy(out, &rgb, 3);
		}
	}
}
#endif
