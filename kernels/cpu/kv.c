/* kv.c - reference of quantised K and V rows: a byte for each channel of a head and f16 scales beside them, and the rows back. What a
 * scale is: kernels.h. It is rounded up and then used, so that no code is past the largest and all of it is the code's own error. */
#include <math.h>

#include "cpu.h"
#include "scalar.h"

/* Of n values whose codes go to `largest`; a NaN among them wins. */
static uint16_t scale_of(const float *x, size_t n, float largest)
{
	uint32_t most = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t a = bits_of_f32(x[i]) & 0x7fffffff;
		if (a > most) most = a;
	}
	float d = f32_of_bits(most) / largest;
	uint16_t h = f16_of_f32(d);
	return f32_of_f16(h) < d ? (uint16_t)(h + 1) : h;
}

/* Of |x| <= 448. Below 2^-6 a code is a multiple of 2^-9, which is what adding 2^14 leaves in the low bits. */
static uint8_t e4m3_of_f32(float x)
{
	uint32_t b = bits_of_f32(x), sign = b >> 24 & 0x80, a = b & 0x7fffffff;
	if (a < 121u << 23) return (uint8_t)(sign | (bits_of_f32(f32_of_bits(a) + 0x1p14f) - (141u << 23)));
	return (uint8_t)(sign | (((a + 0x7ffff + (a >> 20 & 1)) >> 20) - (120 << 3)));
}

static uint8_t code_of(float x, kn_type type)
{
	float r = roundf(x);
	if (type == KN_F8_E4M3) return fabsf(x) <= 464.0f ? e4m3_of_f32(x) : 0;
	return fabsf(r) <= 127.0f ? (uint8_t)(int8_t)r : 0;
}

static void store(uint8_t *codes, uint16_t *scales, size_t stride, const float *x, size_t n, kn_type type)
{
	for (size_t b = 0; b < n; b += KN_KV_BLOCK, scales += stride) {
		size_t end = n - b < KN_KV_BLOCK ? n : b + KN_KV_BLOCK;
		*scales = scale_of(x + b, end - b, type == KN_Q8_0 ? 127.0f : 448.0f);
		float inverse = 1.0f / f32_of_f16(*scales);
		for (size_t i = b; i < end; i++) codes[i] = code_of(x[i] * inverse, type);
	}
}

void kn_store_kv_q8_0_ref(void *codes, uint16_t *scales, size_t stride, const float *x, size_t n) { store(codes, scales, stride, x, n, KN_Q8_0); }
void kn_store_kv_f8_e4m3_ref(void *codes, uint16_t *scales, size_t stride, const float *x, size_t n) { store(codes, scales, stride, x, n, KN_F8_E4M3); }

void kn_load_kv_q8_0_ref(float *y, const void *codes, const uint16_t *scales, size_t stride, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = (float)((const int8_t *)codes)[i] * f32_of_f16(scales[i / KN_KV_BLOCK * stride]);
}

void kn_load_kv_f8_e4m3_ref(float *y, const void *codes, const uint16_t *scales, size_t stride, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = f32_of_e4m3(((const uint8_t *)codes)[i]) * f32_of_f16(scales[i / KN_KV_BLOCK * stride]);
}
