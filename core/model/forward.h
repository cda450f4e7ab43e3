/* forward.h - the one transformer forward pass: a batch of rows of any sequences, whatever phase each is in. */
#ifndef SN_MODEL_FORWARD_H
#define SN_MODEL_FORWARD_H

#include "model/model.h"

/* Rows of one sequence, contiguous in the batch. */
typedef struct batch_seq {
	uint32_t first, n_rows; /* in the batch */
	uint32_t kv_first;      /* KV index of the first one; the others follow */
	const kv_seq *kv;
} batch_seq;

/* Weights of some heads' cross-attention, for all of a sequence's rows in the batch. */
typedef struct batch_tap {
	uint32_t seq;                /* of batch.seqs */
	uint32_t n_heads;
	const uint32_t (*heads)[2];  /* [n_heads] {layer, head} */
	float *out;                  /* of head h, row r: [n_cross] at (h * head_rows + r) * n_cross */
	size_t head_rows;
} batch_tap;

/* Rows of one sequence whose sum is wanted, each normed as the head would have it: added to what `sum` holds, in order. */
typedef struct batch_pool {
	uint32_t first, n_rows; /* in the batch */
	double *sum;            /* [n_embd] */
} batch_pool;

/* Of an encoder-decoder: rows of a sequence's medium, first in cross_media, kv_first counted in their KV group; and the other
 * rows, whose indices and positions are counted from behind them. A sequence can have both in one batch. */
typedef struct batch {
	uint32_t n_rows, n_seqs, n_out, n_cross_rows, n_cross_seqs, n_taps, n_pools; /* n_rows + n_cross_rows: at most max_rows */
	const void *const *cross_media; /* [n_cross_rows] as media below; NULL: there is nothing, K and V are zero */
	const batch_seq *cross_seqs; /* [n_cross_seqs] */
	const batch_tap *taps;       /* [n_taps] */
	const batch_pool *pools;     /* [n_pools] */
	const int32_t *ids;          /* [n_rows] token ids */
	const void *const *media;    /* [n_rows] an embedding row in the KV type, or NULL: the token's embedding */
	const uint32_t *positions;   /* [n_rows] */
	const int32_t (*beyond)[2];  /* [n_rows] a row's positions in height and width, less those above; NULL: they are all the same */
	const uint32_t *with;        /* [n_rows] 1 + a token whose embedding is added, or 0; NULL: none anywhere */
	const int32_t *const *codes; /* [n_rows] the codes that model.depth said of the row's frame, whose embeddings are added, or NULL; or NULL */
	const uint32_t *key_begin;   /* [n_rows] first key that the row sees where there is no window */
	const uint32_t *key_end;     /* [n_rows] one past the last: its own index + 1, or the end of its span, which is whole in the batch */
	const uint32_t *out_rows;    /* [n_out] rows whose logits are wanted, */
	uint32_t head_first, head_n; /* of so many of the head's rows from this one on; head_n 0: of all */
	const batch_seq *seqs;       /* [n_seqs] */
} batch;

/* Buffers for one batch at a time, sized for the largest model and batch. */
typedef struct forward_buffers {
	uint32_t max_rows, max_out; /* an encoder-decoder's batch may have twice as many outs */
	float *x, *h;          /* [max_rows, n_embd] residual stream, normed */
	float *q, *attn;       /* [max_rows, n_head * head_dim] */
	float *kv;             /* [max_rows, n_kv_head * head_dim] */
	float *gate, *up;      /* [max_rows, n_ffn], or the width of text that is projected, or of all experts that a row takes */
	float *slots;          /* [max_rows, n_experts_used * n_embd] rows by expert */
	struct expert_choice *choices; /* [max_rows, n_experts_used] */
	float *cos_sin;        /* [n_groups][max_rows, n_rot] */
	float *logits;         /* [max_out, n_logits] */
	float *out;            /* [max_out, n_embd] the rows that logits are of, normed */
	uint32_t *window_begin; /* [max_rows] first key that a row of a group with a window sees */
	uint32_t *cross_begin, *cross_end; /* [max_rows] what it sees of its medium */
	struct attn_task *tasks;
	size_t n_tasks_cap, n_choices_cap;
	size_t cols[11];       /* of each buffer above, in order, so far */
} forward_buffers;

/* What the buffers hold, or SIZE_MAX, once forward_reserve has made them large enough for m as well. */
size_t forward_bytes(const forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out);
/* Makes the buffers large enough for m as well. Not in a step. */
sn_status forward_reserve(forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out, sn_error *err);
void forward_free(forward_buffers *b);

/* Stores K and V of every row in its page, computes the rows, leaves logits [n_out, n_logits or head_n] in fb->logits, and the rows that they
 * are of in fb->out. The pages of all rows are there already. pages_at: the page pool's. */
void forward(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b);

#endif
