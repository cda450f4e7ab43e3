/* host/ops.h - "sn.host.ops/1": arithmetic on the host's device, batch (rows) first.
 *
 * Ops are asynchronous: they are queued on the ctx in order and return at once where the device allows it; `read` waits.
 * All tensors are f32 unless said. Shapes are checked: a mismatch returns SN_RC_INTERNAL and fills the fault.
 * All [step] unless marked.
 */
#ifndef SENSORIUM_HOST_OPS_H
#define SENSORIUM_HOST_OPS_H

#include "../tensor.h"
#include "weights.h"

#define SN_HOST_OPS "sn.host.ops/1"

/* A job's queue and scratch memory. The host makes one per job and frees it, with all its tensors, when the job ends. */
typedef struct sn_ops_ctx sn_ops_ctx;

typedef enum sn_act {
	SN_ACT_NONE = 0, SN_ACT_GELU_TANH = 1, SN_ACT_GELU_ERF = 2, SN_ACT_GELU_QUICK = 3, SN_ACT_SILU = 4, SN_ACT_TANH = 5,
	SN_ACT_RELU = 6, SN_ACT_SIGMOID = 7 /* these two came later: an older host refuses them */
} sn_act;

typedef struct sn_host_ops {
	uint32_t size;
	uint32_t reserved;
	/* A [rows][cols] tensor that lives as long as the ctx. SN_RC_NOMEM over the job's declared state_bytes. [any], in begin only */
	sn_rc (*alloc)(sn_ops_ctx *ctx, uint64_t rows, uint64_t cols, sn_tensor *out, sn_fault *fault);
	/* Rows [first, first + n) of t, as a view. */
	sn_tensor (*rows)(const sn_tensor *t, uint64_t first, uint64_t n);
	/* Columns [first, first + n) of t, as a view. */
	sn_tensor (*cols)(const sn_tensor *t, uint64_t first, uint64_t n);
	/* Host floats [rows][cols], contiguous, into t. src has been copied when it returns. Also from begin. */
	sn_rc (*write)(sn_ops_ctx *ctx, const sn_tensor *t, const float *src, sn_fault *fault);
	/* t into host floats [rows][cols], contiguous. Waits for everything queued before. */
	sn_rc (*read)(sn_ops_ctx *ctx, const sn_tensor *t, float *dst, sn_fault *fault);
	/* y = act(x W^T + b). x [m][k], y [m][n]. */
	sn_rc (*linear)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act, sn_fault *fault);
	/* Per row. w, b: [cols]. y may be x. */
	sn_rc (*layer_norm)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, float eps,
	                    sn_fault *fault);
	sn_rc (*rms_norm)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, float eps, sn_fault *fault);
	/* y = a + b, same shapes; y may be a or b. */
	sn_rc (*add)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *a, const sn_tensor *b, sn_fault *fault);
	/* Dense attention: every row of q sees every row of k and v. q, out: [m][n_head * head_dim]; k, v: [n][n_head * head_dim]. */
	sn_rc (*attention)(sn_ops_ctx *ctx, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
	                   uint32_t n_head, float scale, sn_fault *fault);
	/* Space to depth of a token grid: x [h * w][c] -> y [(h / s) * (w / s)][s * s * c]; output row (r, q), sub-token (dr, dc)
	 * of the s x s cell goes to columns (dr * s + dc) * c. */
	sn_rc (*pixel_shuffle)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t h, uint32_t w, uint32_t s,
	                       sn_fault *fault);
	/* y[t] = act(sum over i of W[i] x[t * stride + i - pad] + b), rows outside x being zero. x [n][c_in], y [m][c_out] with
	 * m = (n + 2 * pad - taps) / stride + 1; w from sn_host_weights.conv1d. */
	sn_rc (*conv1d)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t stride, uint32_t pad,
	                int32_t act, sn_fault *fault);
	/* Means of each `n` rows: x [m * n or more][c] -> y [m][c]. */
	sn_rc (*mean_rows)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t n, sn_fault *fault);
	/* The same numbers, row after row, as [rows][cols]; a view, so t is contiguous. data NULL if it is not or the sizes differ. */
	sn_tensor (*reshape)(const sn_tensor *t, uint64_t rows, uint64_t cols);
	/* y = act(gate) * up, elementwise; y may be either. */
	sn_rc (*gate)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *gate, const sn_tensor *up, int32_t act, sn_fault *fault);

	/* ---- sound. Time runs along the rows; what a convolution sees before or behind x is the caller's to lay there. ---- */

	/* Row i of y is row ids[i] of table [n][cols]. ids has been read when it returns. */
	sn_rc (*gather)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *table, const int32_t *ids, sn_fault *fault);
	/* y[t] = act(sum over i of W[i] x[t + i * dilation] + b). x [m + (taps - 1) * dilation][c_in], y [m][c_out]; w from conv1d. */
	sn_rc (*conv1d_dilated)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t dilation, int32_t act,
	                        sn_fault *fault);
	/* y[t][c] = sum over i of w[i][c] x[t + i * dilation][c] + b[c]. w [taps][c], b [c]. x, y as above, c_in = c_out = c. y is not x. */
	sn_rc (*conv1d_depthwise)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b,
	                          uint32_t dilation, sn_fault *fault);
	/* y[t * stride + i] += x[t] columns [i * c, (i + 1) * c), for i below taps: after a linear from c_in to taps * c this is a transposed
	 * convolution, after a window's product an inverse short-time transform. x [n][taps * c], y [(n - 1) * stride + taps][c] or more rows,
	 * the caller's: zeroed, or with a bias or an overlap in it. */
	sn_rc (*overlap_add)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t taps, uint32_t stride, sn_fault *fault);
	/* y = x + beta sin(alpha x)^2, alpha and beta [cols]; y may be x. */
	sn_rc (*snake)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *alpha, const sn_tensor *beta, sn_fault *fault);
	/* y = act(x w + b) elementwise with w, b [cols], each NULL or there; y may be x. */
	sn_rc (*scale)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, int32_t act,
	               sn_fault *fault);
	/* A spectrum from magnitudes' logarithms and phases: x [m][2 k] = log-magnitudes, phases -> y [m][2 k] = real, imaginary parts
	 * interleaved; a magnitude is at most max. */
	sn_rc (*polar)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, float max, sn_fault *fault);
	/* The inverse real transform of each row, divided by n: x [m][n + 2] (real, imaginary of 0 .. n / 2) -> y [m][n]. n even. */
	sn_rc (*irfft)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, sn_fault *fault);
	/* Rotary positions, halves paired, of heads of `head_dim`: row t is at position first + t. y may be x. */
	sn_rc (*rope)(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t head_dim, float theta, uint64_t first, sn_fault *fault);
	/* As attention, with row t of q at row first + t of k: it sees rows j of k with first + t - window < j <= first + t. */
	sn_rc (*attention_causal)(sn_ops_ctx *ctx, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
	                          uint32_t n_head, float scale, uint64_t first, uint64_t window, sn_fault *fault);
} sn_host_ops;

/* What every sn_host_ops has; the ops for sound came later. */
#define SN_HOST_OPS_MIN_SIZE offsetof(sn_host_ops, gather)

#endif
