/* host_ops.h - what the two halves of sn.host.ops/1 share: host_ops.c and, for sound, host_sound.c. */
#ifndef SN_PLUGIN_HOST_OPS_H
#define SN_PLUGIN_HOST_OPS_H

#include "plugin/host.h"

struct sn_ops_ctx {
	ops *o;
	size_t left;    /* bytes of the budget */
	void **blocks;  /* [n_blocks] */
	size_t n_blocks;
	void *fft;      /* irfft's plan, and the size that it is for */
	uint64_t fft_n;
};

static inline float *tensor_at(const sn_tensor *t)
{
	return t->data;
}

static inline bool tensor_is_matrix(const sn_tensor *t)
{
	return t->data && t->type == SN_TYPE_F32 && t->n_dims == 2 && t->stride[1] == 1 && t->stride[0] >= t->shape[1];
}

static inline bool tensors_alike(const sn_tensor *a, const sn_tensor *b)
{
	return tensor_is_matrix(a) && tensor_is_matrix(b) && a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1];
}

static inline bool tensor_is_vector(const sn_tensor *v, uint64_t n)
{
	return tensor_is_matrix(v) && v->shape[0] == 1 && v->shape[1] == n;
}

sn_rc host_bad_shape(sn_fault *fault, const char *op);
/* False: no such activation. */
bool host_act_of(int32_t act, enum ops_act *out);

sn_rc host_gather(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *table, const int32_t *ids, sn_fault *fault);
sn_rc host_conv1d_dilated(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t dilation, int32_t act,
                          sn_fault *fault);
sn_rc host_conv1d_depthwise(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b,
                            uint32_t dilation, sn_fault *fault);
sn_rc host_overlap_add(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t taps, uint32_t stride, sn_fault *fault);
sn_rc host_snake(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *alpha, const sn_tensor *beta, sn_fault *fault);
sn_rc host_scale(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, int32_t act, sn_fault *fault);
sn_rc host_polar(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, float max, sn_fault *fault);
sn_rc host_irfft(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, sn_fault *fault);
sn_rc host_rope(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t head_dim, float theta, uint64_t first, sn_fault *fault);
sn_rc host_attention_causal(sn_ops_ctx *c, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                            uint32_t n_head, float scale, uint64_t first, uint64_t window, sn_fault *fault);

#endif
