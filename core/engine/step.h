/* step.h - a plan's rows as plain arrays: what the forward pass takes, one batch a model at a time. Engine thread. */
#ifndef SN_ENGINE_STEP_H
#define SN_ENGINE_STEP_H

#include "engine/engine.h"

/* Whose logits row i of the pass are, and what for. */
typedef struct step_out {
	uint32_t seq; /* index in active[] */
	bool probe;   /* the request's probe; else the next token */
} step_out;

typedef struct step_batch {
	batch b;          /* points into the arrays below */
	plan_seq *taken;  /* [n_taken] whose rows: index in active[], how many */
	uint32_t n_taken;
	step_out *outs;   /* [b.n_out] */
	int32_t *ids;
	const void **media, **cross_media;
	const int32_t **codes;
	int32_t (*beyond)[2];
	uint32_t *positions, *key_begin, *key_end, *out_rows, *with;
	batch_seq *seqs, *cross_seqs;
	batch_tap *taps;
	batch_pool *pools;
} step_batch;

/* NULL: no memory. */
step_batch *step_open(size_t max_rows, size_t max_seqs);
void step_close(step_batch **a);
size_t step_bytes(size_t max_rows, size_t max_seqs); /* what it holds */

void step_clear(step_batch *a);
/* The sequence's next n rows; at_active: its index in active[]. */
void step_add(step_batch *a, sequence *s, uint32_t at_active, uint32_t n);

#endif
