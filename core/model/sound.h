/* sound.h - tensor-level arithmetic of sound decoders, beside ops.h: time runs along the rows. Shapes were checked by the caller. What
 * a row becomes depends on the rows that its definition names, on nothing else. Engine thread only. */
#ifndef SN_MODEL_SOUND_H
#define SN_MODEL_SOUND_H

#include "model/ops.h"

enum { ROPE_MAX_HEAD_DIM = 1024 };

/* y[t][c] = b[c] + sum over i of w[i][c] x[t + i * dilation][c], over [m, n]. w [taps][n]. y is not x. */
void ops_depthwise(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n,
                   size_t taps, size_t dilation);
/* y[t * stride + i] += x[t] columns [i * c, (i + 1) * c) in the order of t; x [n, ldx], y [(n - 1) * stride + taps, ldy]. */
void ops_overlap_add(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t n, size_t c, size_t taps, size_t stride);
/* y = x + beta sin(alpha x)^2 over [m, n]; alpha, beta [n]. y may be x. */
void ops_snake(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *alpha, const float *beta, size_t m, size_t n);
/* y = act(x w + b) over [m, n]; w, b [n] or NULL. y may be x. */
void ops_scale(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n,
               enum ops_act act);
/* x [m, 2 k] = logarithms, phases -> y [m, 2 k] = min(e^log, max) (cos, sin), interleaved. y is not x. */
void ops_polar(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k, float max);
/* Halves of each head's head_dim (even, at most ROPE_MAX_HEAD_DIM) turn by the position first + row. y may be x. */
void ops_rope(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t n_head, size_t head_dim, float theta,
              uint64_t first);
/* Row t of q sees rows j of k and v with first + t - window < j <= first + t. window at least 1. */
void ops_attention_causal(ops *o, float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                          size_t ldv, size_t m, size_t n_head, size_t head_dim, float scale, size_t first, size_t window);

#endif
