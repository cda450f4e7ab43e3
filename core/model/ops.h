/* ops.h - tensor-level arithmetic: shapes and types were checked when weights were bound; here the work is cut into
 * chunks for the compute threads and the kernels' pointers are called. Splits never touch k, so results do not depend on
 * them. Engine thread only. */
#ifndef SN_MODEL_OPS_H
#define SN_MODEL_OPS_H

#include "base/pool.h"
#include "formats/model_file.h"
#include "kernels.h"

/* What the values of a matrix are to be multiplied by: one number for a block of `rows` outputs by `cols` inputs. */
typedef struct weight_scales {
	const float *v;    /* [blocks of outputs][across], or NULL: the values are as they are to be */
	size_t rows, cols; /* of a block; the last ones may be cut short */
	size_t across;     /* blocks of inputs */
	size_t first;      /* the output that the matrix begins with */
} weight_scales;

/* y = x W^T + b. The matrix stays in the mapped file. */
typedef struct weight {
	const void *data;  /* [n_out] rows of `stride` bytes */
	kn_type type;
	size_t stride;
	size_t n_out, n_in;
	const float *bias; /* [n_out] or NULL */
	weight_scales scales; /* of a matrix of 8-bit floats */
	size_t taps;       /* of a convolution, whose columns are [channel][tap]; else 0 */
} weight;

typedef struct ops {
	kn_table k;
	kn_isa isa;
	pool *pool;
	void *x;          /* quantised activations of one product, or gathered rows of a convolution */
	size_t x_bytes;
} ops;

/* isa_cap 0: the best there is. */
void ops_init(ops *o, pool *p, kn_isa isa_cap);
void ops_fini(ops *o);
/* Makes room for products of at least a few rows with w; called for every weight when it is bound, never in a step. */
sn_status ops_reserve(ops *o, const weight *w, sn_error *err);
/* The two halves of it, where binding and reserving happen on different threads. */
size_t ops_scratch_bytes(const weight *w);
sn_status ops_reserve_bytes(ops *o, size_t bytes, sn_error *err);

enum ops_act { ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF, ACT_GELU_QUICK, ACT_SILU, ACT_TANH, ACT_RELU, ACT_SIGMOID };

/* The kernel of an activation, NULL for none; and how many rows of k values a chunk of row-wise work takes. */
kn_unary_fn *ops_act_fn(const ops *o, enum ops_act act);
size_t ops_rows_per_chunk(size_t m, size_t k);
/* y [m, ldy], x [m, ldx]; y and x do not overlap. */
void ops_linear(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, const weight *w, enum ops_act act);
void ops_rms_norm(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, float eps, size_t m, size_t k);
void ops_layer_norm(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, float eps,
                    size_t m, size_t k);
/* y[m, n] = a + b. */
void ops_add(ops *o, float *y, size_t ldy, const float *a, size_t lda, const float *b, size_t ldb, size_t m, size_t n);
/* y = act(gate) * up over [m, n]; y may be either. */
void ops_gate(ops *o, float *y, size_t ldy, const float *gate, size_t ldg, const float *up, size_t ldu, size_t m, size_t n,
              enum ops_act act);
/* y[r] = mean of rows r * each .. r * each + each - 1 of x, over [m, n]. */
void ops_mean_rows(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t each, size_t m, size_t n);
/* y[t] = act(sum over i of W[i] x[t * stride + i * dilation - pad] + b), rows outside x [n, w->n_in / w->taps] being zero; y [m, w->n_out].
 * As gathered rows and the product of ops_linear: what y[t] becomes depends on its taps alone. w from conv1d_bind, reserved. */
void ops_conv1d(ops *o, float *y, size_t ldy, size_t m, const float *x, size_t ldx, size_t n, const weight *w, size_t stride,
                size_t pad, size_t dilation, enum ops_act act);
/* Every row of q sees every row of k and v; heads side by side. */
void ops_attention(ops *o, float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                   size_t ldv, size_t m, size_t n, size_t n_head, size_t head_dim, float scale);

/* Binds tensor `name` [n_out, n_in] of the file (dimensions past the first are flattened), with a bias tensor or NULL; to 8-bit floats
 * "X.weight" belongs "X.scale", of n_out values or one. A bias, or a norm's vector, that is not F32 is converted into mem. A refusal
 * names file and tensor. */
sn_status weight_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      sn_error *err);
/* Binds page `page` of a tensor `name` [n_pages, n_out, n_in]. */
sn_status weight_bind_page(weight *w, const model_file *f, const char *name, size_t page, size_t n_pages, size_t n_out, size_t n_in, sn_error *err);
/* Binds tensor `name` [n_out][n_in][taps] as a matrix [n_out, n_in * taps]. F32, F16 or BF16: blocks do not fit a tap. */
sn_status conv1d_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      size_t taps, sn_error *err);
/* Binds tensor `name` [n_in][n_out][taps] as a matrix [taps * n_out, n_in], which is another order: copied into mem. */
sn_status conv_transpose1d_bind(weight *w, const model_file *f, arena *mem, const char *name, size_t n_in, size_t n_out, size_t taps,
                                sn_error *err);
/* A small tensor of n values as floats. */
sn_status vector_bind(const float **out, const model_file *f, arena *mem, const char *name, size_t n, sn_error *err);
/* Row `row` of w as floats. */
void weight_row(const ops *o, const weight *w, size_t row, float *out);

#endif
