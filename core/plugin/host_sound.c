/* host_sound.c - the ops of sn.host.ops/1 that sound decoders asked for: shape checks, then core/model/sound. The transform is kissfft. */
#include <kiss_fftr.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/sound.h"
#include "plugin/host_ops.h"

enum { MAX_FFT = 1 << 16 };

/* Rows of a convolution's input that makes m rows; 0: more than can be counted. */
static uint64_t rows_for(uint64_t m, uint64_t taps, uint64_t dilation)
{
	uint64_t n;
	return !taps || !dilation || __builtin_mul_overflow(taps - 1, dilation, &n) || __builtin_add_overflow(n, m, &n) ? 0 : n;
}

/* Do they share a number? Views of one tensor whose columns are apart do not. */
static bool meets(const sn_tensor *a, const sn_tensor *b)
{
	const float *a0 = tensor_at(a), *b0 = tensor_at(b);
	const float *a1 = a0 + (a->shape[0] - 1) * a->stride[0] + a->shape[1], *b1 = b0 + (b->shape[0] - 1) * b->stride[0] + b->shape[1];
	if (a0 >= b1 || b0 >= a1)
		return false;
	uint64_t stride = a->stride[0], d = (uint64_t)(a0 < b0 ? b0 - a0 : a0 - b0) % stride; /* how far the later one's columns are behind */
	uint64_t early = a0 < b0 ? a->shape[1] : b->shape[1], late = a0 < b0 ? b->shape[1] : a->shape[1];
	return b->stride[0] != stride || d < early || d + late > stride;
}

sn_rc host_gather(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *table, const int32_t *ids, sn_fault *fault)
{
	(void)c;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(table) || y->shape[1] != table->shape[1])
		return host_bad_shape(fault, "gather");
	for (uint64_t r = 0; r < y->shape[0]; r++)
		if (ids[r] < 0 || (uint64_t)ids[r] >= table->shape[0])
			return host_fault(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "gather: row %d of a table of %llu", ids[r],
			                  (unsigned long long)table->shape[0]);
	for (uint64_t r = 0; r < y->shape[0]; r++)
		memcpy(tensor_at(y) + r * y->stride[0], tensor_at(table) + (uint64_t)ids[r] * table->stride[0], y->shape[1] * sizeof(float));
	return SN_RC_OK;
}

sn_rc host_conv1d_dilated(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t dilation, int32_t act,
                          sn_fault *fault)
{
	enum ops_act a;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !w->w.taps || x->shape[0] != rows_for(y->shape[0], w->w.taps, dilation) ||
	    y->shape[1] != w->w.n_out || x->shape[1] != w->w.n_in / w->w.taps || meets(y, x) || !host_act_of(act, &a))
		return host_bad_shape(fault, "conv1d_dilated");
	ops_conv1d(c->o, tensor_at(y), y->stride[0], y->shape[0], tensor_at(x), x->stride[0], x->shape[0], &w->w, 1, 0, dilation, a);
	return SN_RC_OK;
}

sn_rc host_conv1d_depthwise(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b,
                            uint32_t dilation, sn_fault *fault)
{
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !tensor_is_matrix(w) || w->stride[0] != w->shape[1] || x->shape[1] != y->shape[1] ||
	    w->shape[1] != y->shape[1] || !tensor_is_vector(b, y->shape[1]) || x->shape[0] != rows_for(y->shape[0], w->shape[0], dilation) || meets(y, x))
		return host_bad_shape(fault, "conv1d_depthwise");
	ops_depthwise(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], tensor_at(w), tensor_at(b), y->shape[0], y->shape[1],
	              w->shape[0], dilation);
	return SN_RC_OK;
}

sn_rc host_overlap_add(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t taps, uint32_t stride, sn_fault *fault)
{
	uint64_t reach, cols;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !taps || !stride || __builtin_mul_overflow(y->shape[1], taps, &cols) ||
	    x->shape[1] != cols || __builtin_mul_overflow(x->shape[0] - 1, stride, &reach) || __builtin_add_overflow(reach, taps, &reach) ||
	    y->shape[0] < reach || meets(y, x))
		return host_bad_shape(fault, "overlap_add");
	ops_overlap_add(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], x->shape[0], y->shape[1], taps, stride);
	return SN_RC_OK;
}

sn_rc host_snake(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *alpha, const sn_tensor *beta, sn_fault *fault)
{
	if (!tensors_alike(y, x) || !tensor_is_vector(alpha, x->shape[1]) || !tensor_is_vector(beta, x->shape[1]))
		return host_bad_shape(fault, "snake");
	ops_snake(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], tensor_at(alpha), tensor_at(beta), x->shape[0], x->shape[1]);
	return SN_RC_OK;
}

sn_rc host_scale(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, int32_t act, sn_fault *fault)
{
	enum ops_act a;
	if (!tensors_alike(y, x) || (w && !tensor_is_vector(w, x->shape[1])) || (b && !tensor_is_vector(b, x->shape[1])) || !host_act_of(act, &a))
		return host_bad_shape(fault, "scale");
	ops_scale(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], w ? tensor_at(w) : NULL, b ? tensor_at(b) : NULL, x->shape[0],
	          x->shape[1], a);
	return SN_RC_OK;
}

sn_rc host_polar(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, float max, sn_fault *fault)
{
	if (!tensors_alike(y, x) || x->shape[1] % 2 || meets(y, x) || !(max > 0))
		return host_bad_shape(fault, "polar");
	ops_polar(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], x->shape[0], x->shape[1] / 2, max);
	return SN_RC_OK;
}

/* kissfft's plan has its own scratch: one for a job, whose rows are transformed one after the other. */
sn_rc host_irfft(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, sn_fault *fault)
{
	uint64_t n = y->shape[1];
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || n < 2 || n % 2 || n > MAX_FFT || x->shape[1] != n + 2 || x->shape[0] != y->shape[0] ||
	    meets(y, x))
		return host_bad_shape(fault, "irfft");
	if (c->fft_n != n) {
		free(c->fft);
		c->fft = kiss_fftr_alloc((int)n, 1, NULL, NULL);
		c->fft_n = c->fft ? n : 0;
	}
	if (!c->fft)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for a transform");
	for (uint64_t r = 0; r < y->shape[0]; r++) {
		float *to = tensor_at(y) + r * y->stride[0];
		kiss_fftri(c->fft, (const kiss_fft_cpx *)(const void *)(tensor_at(x) + r * x->stride[0]), to);
		for (uint64_t i = 0; i < n; i++)
			to[i] /= (float)n;
	}
	return SN_RC_OK;
}

sn_rc host_rope(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t head_dim, float theta, uint64_t first, sn_fault *fault)
{
	if (!tensors_alike(y, x) || !head_dim || head_dim % 2 || head_dim > ROPE_MAX_HEAD_DIM || x->shape[1] % head_dim || !(theta > 0) ||
	    (y->data == x->data ? y->stride[0] != x->stride[0] : meets(y, x)))
		return host_bad_shape(fault, "rope");
	ops_rope(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], x->shape[0], x->shape[1] / head_dim, head_dim, theta, first);
	return SN_RC_OK;
}

sn_rc host_attention_causal(sn_ops_ctx *c, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                            uint32_t n_head, float scale, uint64_t first, uint64_t window, sn_fault *fault)
{
	const uint64_t max_head_dim = 512;
	if (!tensors_alike(out, q) || !tensors_alike(k, v) || q->shape[1] != k->shape[1] || !n_head || q->shape[1] % n_head ||
	    q->shape[1] / n_head > max_head_dim || !window || first >= k->shape[0] || q->shape[0] > k->shape[0] - first)
		return host_bad_shape(fault, "attention_causal");
	ops_attention_causal(c->o, tensor_at(out), out->stride[0], tensor_at(q), q->stride[0], tensor_at(k), k->stride[0], tensor_at(v),
	                     v->stride[0], q->shape[0], n_head, q->shape[1] / n_head, scale, first, window);
	return SN_RC_OK;
}
