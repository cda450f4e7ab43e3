/* activation.c - reference of the activations and of the elementwise sum. */
#include <math.h>

#include "cpu.h"

static float silu(float x) { return x / (1.0f + expf(-x)); }

/* sqrt(2 / pi) (x + 0.044715 x^3) */
static float gelu_tanh(float x)
{
	return 0.5f * x * (1.0f + tanhf(0.7978845608f * x * (1.0f + 0.044715f * x * x)));
}

void kn_gelu_tanh_ref(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = gelu_tanh(x[i]);
}

void kn_gelu_erf_ref(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1.0f + erff(0.7071067812f * x[i]));
}

/* x sigmoid(1.702 x), as CLIP has it */
void kn_gelu_quick_ref(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = x[i] / (1.0f + expf(-1.702f * x[i]));
}

void kn_silu_ref(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = silu(x[i]);
}

void kn_silu_mul_ref(float *y, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = silu(a[i]) * b[i];
}

void kn_gelu_tanh_mul_ref(float *y, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = gelu_tanh(a[i]) * b[i];
}

void kn_add_ref(float *y, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}
