/* kit_tower.h - a job's units of work and its tensors, and the layer that most towers are made of:
 *
 *   unit "qkv": LN1 and q, k, v of a few rows
 *   unit "mix": attention of a few rows (the tower's own: who sees whom), then
 *               x += out(attention)
 *               x += down(act(up(LN2 x)))
 *
 * A unit is sized by its arithmetic, from the config alone, so that rows never depend on how a job was sliced.
 */
#ifndef KIT_TOWER_H
#define KIT_TOWER_H

#include <sensorium/ext/encode.h>

#include "kit_load.h"

/* ---- sizes ---- */

#ifndef UNIT_FLOP
#define UNIT_FLOP 0.4e9 /* below 10 ms at 50 GFLOP/s a core; tests build with less, so that small towers take many units */
#endif
enum { KIT_ALIGN = 64 }; /* of what is laid out in a job's state */

/* Rows of a unit of a stage with at most n rows: near unit_flop, even, a multiple of 16. Pass UNIT_FLOP. */
uint32_t kit_unit_rows(double unit_flop, double flop_per_row, uint32_t n);
/* How many units of `each` rows n rows take. */
uint32_t kit_parts(uint32_t n, uint32_t each);
size_t kit_aligned(size_t n);
/* Adds count times size bytes, aligned. False on overflow. */
bool kit_add_bytes(uint64_t *total, uint64_t count, uint64_t size);

/* A job's tensors with their sizes: one table for counting and for allocating. */
typedef struct kit_tensor_size {
	sn_tensor *at;
	uint64_t rows, cols; /* each below 2^32; rows 0: this tower has no such tensor */
} kit_tensor_size;

/* Bytes of all. False on overflow. */
bool kit_tensor_bytes(const kit_tensor_size *list, size_t n, uint64_t *bytes);
/* In begin. */
sn_rc kit_alloc_tensors(const sn_host_ops *ops, sn_ops_ctx *ctx, const kit_tensor_size *list, size_t n, sn_fault *fault);

/* ---- the layer ---- */

typedef struct kit_layer {
	kit_norm ln1, ln2;
	const sn_weight *q, *k, *v, *out, *up, *down; /* with their biases, where they have one */
} kit_layer;

/* All but up and down, by the names that llama.cpp's converters give: PREFIX.blk.INDEX.attn_q and so on. */
void kit_bind_attention(kit_binder *b, const char *prefix, uint32_t index, uint32_t embd, bool key_bias, kit_layer *layer);

typedef struct kit_stream {
	sn_tensor x;       /* [n][D] the residual stream */
	sn_tensor q, k, v; /* [n][D] */
	sn_tensor a, b;    /* [rows of a unit][D] */
	sn_tensor up;      /* [rows of a mix][ff] */
} kit_stream;

typedef struct kit_run {
	const sn_host_ops *ops;
	sn_ops_ctx *ctx;
	sn_fault *fault;
	float eps;   /* of the norms */
	int32_t act; /* sn_act, of the feed-forward */
} kit_run;

/* [step] */
sn_rc kit_linear(const kit_run *r, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act);
sn_rc kit_layer_norm(const kit_run *r, const sn_tensor *y, const sn_tensor *x, const kit_norm *n);
/* Rows [first, first + n) of s->x into q, k and v. */
sn_rc kit_qkv(const kit_run *r, const kit_layer *l, const kit_stream *s, uint32_t first, uint32_t n);
/* The rest of the layer on these rows, once their attention is in rows [0, n) of s->a. */
sn_rc kit_mix(const kit_run *r, const kit_layer *l, const kit_stream *s, uint32_t first, uint32_t n);

/* sn_ext_encode.end of a job that keeps nothing outside its state. */
void kit_end_nothing(void *instance, void *state);

#endif
