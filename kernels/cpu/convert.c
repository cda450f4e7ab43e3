/* convert.c - reference of the storage conversions. */
#include <math.h>

#include "cpu.h"
#include "scalar.h"

/* A NaN or an infinity anywhere in a block makes its d NaN or infinite and its q zero, so that products with it are NaN. */
void kn_quantize_q8_0_ref(kn_q8_0 *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i++) {
		for (size_t b = 0; b < k / KN_Q8_BLOCK; b++) {
			const float *v = x + i * ldx + b * KN_Q8_BLOCK;
			kn_q8_0 *block = y + i * ldy + b;
			uint32_t largest = 0; /* compared as bits: a NaN wins */
			for (int q = 0; q < KN_Q8_BLOCK; q++) {
				uint32_t a = bits_of_f32(v[q]) & 0x7fffffff;
				if (a > largest) largest = a;
			}
			float d = f32_of_bits(largest) / 127.0f, inverse = 1.0f / d;
			block->d = f16_of_f32(d);
			for (int q = 0; q < KN_Q8_BLOCK; q++) {
				float r = roundf(v[q] * inverse);
				block->q[q] = fabsf(r) <= 127.0f ? (int8_t)r : 0;
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

void kn_load_q8_0_ref(float *y, const void *x, size_t n)
{
	const kn_q8_0 *block = x;
	for (size_t i = 0; i < n; i++) y[i] = f32_of_f16(block[i / KN_Q8_BLOCK].d) * block[i / KN_Q8_BLOCK].q[i % KN_Q8_BLOCK];
}

void kn_store_f16_ref(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) ((uint16_t *)y)[i] = f16_of_f32(x[i]);
}

void kn_store_bf16_ref(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) ((uint16_t *)y)[i] = bf16_of_f32(x[i]);
}
