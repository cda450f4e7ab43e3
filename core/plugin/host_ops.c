/* sn.host.ops/1 on the CPU: shape checks, then core/model/ops. Work is done when a call returns. Sound's own: host_sound.c. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "plugin/host_ops.h"

enum { MAX_BLOCKS = 256 };

sn_status ops_ctx_open(sn_ops_ctx **out, ops *o, size_t budget, sn_error *err)
{
	sn_ops_ctx *c = calloc(1, sizeof *c);
	if (c)
		c->blocks = calloc(MAX_BLOCKS, sizeof *c->blocks);
	if (!c || !c->blocks) {
		free(c);
		return error_set(err, SN_ERR_NOMEM, "no memory for a job");
	}
	c->o = o;
	c->left = budget;
	*out = c;
	return SN_OK;
}

void ops_ctx_close(sn_ops_ctx **ctx)
{
	if (!*ctx)
		return;
	for (size_t i = 0; i < (*ctx)->n_blocks; i++)
		free((*ctx)->blocks[i]);
	free((*ctx)->blocks);
	free((*ctx)->fft);
	free(*ctx);
	*ctx = NULL;
}

sn_rc host_bad_shape(sn_fault *fault, const char *op)
{
	return host_fault(fault, SN_RC_INTERNAL, SN_BLAME_PLUGIN, "%s: the shapes of its tensors do not fit", op);
}

static sn_rc alloc(sn_ops_ctx *c, uint64_t rows, uint64_t cols, sn_tensor *out, sn_fault *fault)
{
	uint64_t n;
	if (!rows || !cols || __builtin_mul_overflow(rows, cols, &n) || __builtin_mul_overflow(n, 4u, &n) || n > c->left ||
	    c->n_blocks == MAX_BLOCKS)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_PLUGIN, "a job asked for more memory than it had declared");
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);
	if (!p)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for a job");
	c->left -= n;
	c->blocks[c->n_blocks++] = p;
	*out = (sn_tensor){.data = p, .type = SN_TYPE_F32, .n_dims = 2, .shape = {rows, cols, 1, 1}, .stride = {cols, 1, 1, 1}};
	return SN_RC_OK;
}

/* A view outside the tensor gets no data: the op that meets it refuses. */
static sn_tensor rows(const sn_tensor *t, uint64_t first, uint64_t n)
{
	sn_tensor v = *t;
	bool inside = t->data && n && first <= t->shape[0] && n <= t->shape[0] - first;
	v.data = inside ? tensor_at(t) + first * t->stride[0] : NULL;
	v.shape[0] = n;
	return v;
}

static sn_tensor cols(const sn_tensor *t, uint64_t first, uint64_t n)
{
	sn_tensor v = *t;
	bool inside = t->data && n && first <= t->shape[1] && n <= t->shape[1] - first;
	v.data = inside ? tensor_at(t) + first : NULL;
	v.shape[1] = n;
	return v;
}

static sn_rc write_tensor(sn_ops_ctx *c, const sn_tensor *t, const float *src, sn_fault *fault)
{
	(void)c;
	if (!tensor_is_matrix(t))
		return host_bad_shape(fault, "write");
	for (uint64_t r = 0; r < t->shape[0]; r++)
		memcpy(tensor_at(t) + r * t->stride[0], src + r * t->shape[1], t->shape[1] * sizeof *src);
	return SN_RC_OK;
}

static sn_rc read_tensor(sn_ops_ctx *c, const sn_tensor *t, float *dst, sn_fault *fault)
{
	(void)c;
	if (!tensor_is_matrix(t))
		return host_bad_shape(fault, "read");
	for (uint64_t r = 0; r < t->shape[0]; r++)
		memcpy(dst + r * t->shape[1], tensor_at(t) + r * t->stride[0], t->shape[1] * sizeof *dst);
	return SN_RC_OK;
}

bool host_act_of(int32_t act, enum ops_act *out)
{
	static const enum ops_act acts[] = {ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF, ACT_GELU_QUICK, ACT_SILU, ACT_TANH, ACT_RELU, ACT_SIGMOID};
	bool known = act >= 0 && act < (int32_t)(sizeof acts / sizeof *acts);
	*out = known ? acts[act] : ACT_NONE;
	return known;
}

static sn_rc op_linear(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act, sn_fault *fault)
{
	enum ops_act a;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || y->shape[0] != x->shape[0] || y->shape[1] != w->w.n_out || x->shape[1] != w->w.n_in ||
	    !host_act_of(act, &a))
		return host_bad_shape(fault, "linear");
	ops_linear(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], x->shape[0], &w->w, a);
	return SN_RC_OK;
}

static sn_rc op_conv1d(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t stride, uint32_t pad,
                       int32_t act, sn_fault *fault)
{
	enum ops_act a;
	uint64_t span = tensor_is_matrix(x) ? x->shape[0] + 2 * (uint64_t)pad : 0, taps = w->w.taps;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !taps || !stride || span < taps || y->shape[0] != (span - taps) / stride + 1 ||
	    y->shape[1] != w->w.n_out || x->shape[1] != w->w.n_in / taps || !host_act_of(act, &a))
		return host_bad_shape(fault, "conv1d");
	ops_conv1d(c->o, tensor_at(y), y->stride[0], y->shape[0], tensor_at(x), x->stride[0], x->shape[0], &w->w, stride, pad, 1, a);
	return SN_RC_OK;
}

static sn_rc op_layer_norm(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, float eps,
                           sn_fault *fault)
{
	if (!tensors_alike(y, x) || !tensor_is_vector(w, x->shape[1]) || !tensor_is_vector(b, x->shape[1]))
		return host_bad_shape(fault, "layer_norm");
	ops_layer_norm(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], tensor_at(w), tensor_at(b), eps, x->shape[0], x->shape[1]);
	return SN_RC_OK;
}

static sn_rc op_rms_norm(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, float eps, sn_fault *fault)
{
	if (!tensors_alike(y, x) || !tensor_is_vector(w, x->shape[1]))
		return host_bad_shape(fault, "rms_norm");
	ops_rms_norm(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], tensor_at(w), eps, x->shape[0], x->shape[1]);
	return SN_RC_OK;
}

static sn_rc op_add(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *a, const sn_tensor *b, sn_fault *fault)
{
	if (!tensors_alike(y, a) || !tensors_alike(a, b))
		return host_bad_shape(fault, "add");
	ops_add(c->o, tensor_at(y), y->stride[0], tensor_at(a), a->stride[0], tensor_at(b), b->stride[0], a->shape[0], a->shape[1]);
	return SN_RC_OK;
}

static sn_rc op_attention(sn_ops_ctx *c, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                          uint32_t n_head, float scale, sn_fault *fault)
{
	if (!tensors_alike(out, q) || !tensors_alike(k, v) || q->shape[1] != k->shape[1] || !n_head || q->shape[1] % n_head)
		return host_bad_shape(fault, "attention");
	ops_attention(c->o, tensor_at(out), out->stride[0], tensor_at(q), q->stride[0], tensor_at(k), k->stride[0], tensor_at(v), v->stride[0], q->shape[0],
	              k->shape[0], n_head, q->shape[1] / n_head, scale);
	return SN_RC_OK;
}

static sn_rc op_pixel_shuffle(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t h, uint32_t w, uint32_t s,
                              sn_fault *fault)
{
	(void)c;
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !h || !w || !s || h % s || w % s || x->shape[0] != (uint64_t)h * w ||
	    y->shape[0] != (uint64_t)(h / s) * (w / s) || y->shape[1] != (uint64_t)s * s * x->shape[1])
		return host_bad_shape(fault, "pixel_shuffle");
	for (uint32_t r = 0; r < h; r++)
		for (uint32_t q = 0; q < w; q++)
			memcpy(tensor_at(y) + (uint64_t)(r / s * (w / s) + q / s) * y->stride[0] + (uint64_t)(r % s * s + q % s) * x->shape[1],
			       tensor_at(x) + ((uint64_t)r * w + q) * x->stride[0], x->shape[1] * sizeof(float));
	return SN_RC_OK;
}

static sn_rc op_mean_rows(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t n, sn_fault *fault)
{
	if (!tensor_is_matrix(y) || !tensor_is_matrix(x) || !n || y->shape[1] != x->shape[1] || x->shape[0] / n < y->shape[0])
		return host_bad_shape(fault, "mean_rows");
	ops_mean_rows(c->o, tensor_at(y), y->stride[0], tensor_at(x), x->stride[0], n, y->shape[0], y->shape[1]);
	return SN_RC_OK;
}

static sn_tensor reshape(const sn_tensor *t, uint64_t n_rows, uint64_t n_cols)
{
	sn_tensor v = *t;
	uint64_t have, want;
	bool fits = tensor_is_matrix(t) && (t->shape[0] == 1 || t->stride[0] == t->shape[1]) && n_rows && n_cols &&
	            !__builtin_mul_overflow(t->shape[0], t->shape[1], &have) && !__builtin_mul_overflow(n_rows, n_cols, &want) && have == want;
	v.data = fits ? t->data : NULL;
	v.shape[0] = n_rows;
	v.shape[1] = v.stride[0] = n_cols;
	return v;
}

static sn_rc op_gate(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *gate, const sn_tensor *up, int32_t act, sn_fault *fault)
{
	enum ops_act a;
	if (!tensors_alike(y, gate) || !tensors_alike(gate, up) || !host_act_of(act, &a))
		return host_bad_shape(fault, "gate");
	ops_gate(c->o, tensor_at(y), y->stride[0], tensor_at(gate), gate->stride[0], tensor_at(up), up->stride[0], y->shape[0], y->shape[1], a);
	return SN_RC_OK;
}

const sn_host_ops host_ops = {
    .size = sizeof host_ops, .alloc = alloc, .rows = rows, .cols = cols, .write = write_tensor, .read = read_tensor,
    .linear = op_linear, .layer_norm = op_layer_norm, .rms_norm = op_rms_norm, .add = op_add, .attention = op_attention,
    .pixel_shuffle = op_pixel_shuffle, .conv1d = op_conv1d, .mean_rows = op_mean_rows, .reshape = reshape, .gate = op_gate,
    .gather = host_gather, .conv1d_dilated = host_conv1d_dilated, .conv1d_depthwise = host_conv1d_depthwise,
    .overlap_add = host_overlap_add, .snake = host_snake, .scale = host_scale, .polar = host_polar, .irfft = host_irfft, .rope = host_rope,
    .attention_causal = host_attention_causal,
};
