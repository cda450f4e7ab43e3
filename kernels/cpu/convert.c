/* convert.c - reference of the storage conversions. */
#include <math.h>

#include "cpu.h"
#include "scalar.h"

/* n values with one d; a NaN or an infinity anywhere makes d NaN or infinite and q zero, so that products with it are NaN. */
static float quantize(int8_t *q, const float *x, int n)
{
	uint32_t largest = 0; /* compared as bits: a NaN wins */
	for (int i = 0; i < n; i++) {
		uint32_t a = bits_of_f32(x[i]) & 0x7fffffff;
		if (a > largest) largest = a;
	}
	float d = f32_of_bits(largest) / 127.0f, inverse = 1.0f / d;
	for (int i = 0; i < n; i++) {
		float r = roundf(x[i] * inverse);
		q[i] = fabsf(r) <= 127.0f ? (int8_t)r : 0;
	}
	return d;
}

void kn_quantize_q8_0_ref(void *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i++) {
		kn_q8_0 *block = (kn_q8_0 *)y + i * ldy;
		for (size_t b = 0; b < k / KN_Q8_BLOCK; b++, block++)
			block->d = f16_of_f32(quantize(block->q, x + i * ldx + b * KN_Q8_BLOCK, KN_Q8_BLOCK));
	}
}

void kn_quantize_q8_k_ref(void *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i++) {
		kn_q8_k *block = (kn_q8_k *)y + i * ldy;
		for (size_t b = 0; b < k / KN_K_BLOCK; b++, block++) {
			block->d = quantize(block->q, x + i * ldx + b * KN_K_BLOCK, KN_K_BLOCK);
			for (int g = 0; g < KN_K_BLOCK / 16; g++) {
				int sum = 0;
				for (int q = 0; q < 16; q++) sum += block->q[16 * g + q];
				block->sum[g] = (int16_t)sum;
			}
		}
	}
}

void kn_load_f16_ref(float *y, const void *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = f32_of_f16(((const uint16_t *)x)[i]);
}

void kn_load_bf16_ref(float *y, const void *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = f32_of_bf16(((const uint16_t *)x)[i]);
}

void kn_load_f8_e4m3_ref(float *y, const void *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = f32_of_e4m3(((const uint8_t *)x)[i]);
}

void kn_store_f16_ref(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) ((uint16_t *)y)[i] = f16_of_f32(x[i]);
}

void kn_store_bf16_ref(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) ((uint16_t *)y)[i] = bf16_of_f32(x[i]);
}
