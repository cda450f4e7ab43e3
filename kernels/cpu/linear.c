/* linear.c - reference of the linear family: one f32 sum per output element, in the order of k. */
#include "cpu.h"
#include "scalar.h"

static float weight(const void *row, kn_type type, size_t i)
{
	if (type == KN_F32) return ((const float *)row)[i];
	uint16_t h = ((const uint16_t *)row)[i];
	return type == KN_F16 ? f32_of_f16(h) : f32_of_bf16(h);
}

static void linear(float *y, size_t ldy, const float *x, size_t ldx, const uint8_t *w, size_t w_stride, const float *bias,
                   size_t m, size_t n, size_t k, kn_type type)
{
	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			float sum = 0;
			for (size_t p = 0; p < k; p++) sum += x[i * ldx + p] * weight(w + j * w_stride, type, p);
			y[i * ldy + j] = bias ? sum + bias[j] : sum;
		}
	}
}

void kn_linear_f32_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, const float *bias,
                       size_t m, size_t n, size_t k)
{
	linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, KN_F32);
}

void kn_linear_f16_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, const float *bias,
                       size_t m, size_t n, size_t k)
{
	linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, KN_F16);
}

void kn_linear_bf16_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, const float *bias,
                        size_t m, size_t n, size_t k)
{
	linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, KN_BF16);
}

/* The dot of a block is an exact integer; scaled blocks are added in order. Variants keep to exactly this, so all agree. */
void kn_linear_q8_0_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, const float *bias,
                        size_t m, size_t n, size_t k)
{
	for (size_t i = 0; i < m; i++) {
		const kn_q8_0 *a = (const kn_q8_0 *)x + i * ldx;
		for (size_t j = 0; j < n; j++) {
			const kn_q8_0 *b = (const kn_q8_0 *)((const uint8_t *)w + j * w_stride);
			float sum = 0;
			for (size_t p = 0; p < k / KN_Q8_BLOCK; p++) {
				int dot = 0;
				for (int q = 0; q < KN_Q8_BLOCK; q++) dot += a[p].q[q] * b[p].q[q];
				sum += (float)dot * (f32_of_f16(a[p].d) * f32_of_f16(b[p].d));
			}
			y[i * ldy + j] = bias ? sum + bias[j] : sum;
		}
	}
}
