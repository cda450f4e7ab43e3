/* sound.c - reference of the kernels that sound decoders spend their time in. */
#include <math.h>

#include "cpu.h"

void kn_snake_ref(float *y, const float *x, const float *alpha, const float *beta, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float s = sinf(alpha[i] * x[i]);
		y[i] = x[i] + beta[i] * (s * s);
	}
}

void kn_depthwise_ref(float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n, size_t taps,
                      size_t dilation)
{
	for (size_t t = 0; t < m; t++) {
		for (size_t c = 0; c < n; c++) {
			float sum = b[c];
			for (size_t i = 0; i < taps; i++) sum += w[i * n + c] * x[(t + i * dilation) * ldx + c];
			y[t * ldy + c] = sum;
		}
	}
}
