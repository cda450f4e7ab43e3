/* linear.c - reference of the linear families of f32, f16, bf16 and f8 weights: one f32 sum per output element, in the order of k. */
#include "cpu.h"
#include "scalar.h"

static float weight(const void *row, kn_type type, size_t i)
{
	if (type == KN_F32) return ((const float *)row)[i];
	if (type == KN_F8_E4M3) return f32_of_e4m3(((const uint8_t *)row)[i]);
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

void kn_linear_f8_e4m3_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, const float *bias,
                           size_t m, size_t n, size_t k)
{
	linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, KN_F8_E4M3);
}
