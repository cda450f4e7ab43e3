/* norm.c - reference of the norms; sums in double, so that the length of a row costs no accuracy. */
#include <math.h>

#include "cpu.h"

void kn_rms_norm_ref(float *y, size_t ldy, const float *x, size_t ldx, const float *w, float eps, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i++, x += ldx, y += ldy) {
		double sum = 0;
		for (size_t j = 0; j < k; j++) sum += (double)x[j] * x[j];
		float scale = (float)(1.0 / sqrt(sum / (double)k + (double)eps));
		for (size_t j = 0; j < k; j++) y[j] = x[j] * scale * w[j];
	}
}

void kn_layer_norm_ref(float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, float eps, size_t m,
                       size_t k)
{
	for (size_t i = 0; i < m; i++, x += ldx, y += ldy) {
		double sum = 0, squares = 0;
		for (size_t j = 0; j < k; j++) sum += x[j];
		float mean = (float)(sum / (double)k);
		for (size_t j = 0; j < k; j++) squares += (double)(x[j] - mean) * (x[j] - mean);
		float scale = (float)(1.0 / sqrt(squares / (double)k + (double)eps));
		for (size_t j = 0; j < k; j++) y[j] = (x[j] - mean) * scale * w[j] + b[j];
	}
}
