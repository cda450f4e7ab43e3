/* attention.h - K and V into pages, and attention over them: forward.c's, for any of a model's KV groups. */
#ifndef SN_MODEL_ATTENTION_H
#define SN_MODEL_ATTENTION_H

#include "model/forward.h"

/* Query rows of one sequence and one KV head. */
struct attn_task {
	uint32_t seq, kv_head, row, n_rows;
};

/* Tasks that a batch of so many rows can need. */
size_t attention_tasks_max(const model *m, uint32_t max_rows, uint32_t max_seqs);
/* Cuts the batch's rows into fb->tasks. Returns how many. */
size_t attention_plan(const model *m, forward_buffers *fb, const batch *b);

/* rows: [.., n_kv_head * head_dim] K or V of the sequences' rows, into layer `index` of the group. */
void attention_store(const model *m, const ops *o, uint8_t *pages_at, const batch_seq *seqs, uint32_t n_seqs, uint32_t group, uint32_t index,
                     bool v, const float *rows);

/* fb->attn = attention of fb->q over layer `index` of the group. Row i sees the group's keys key_begin[i] to key_end[i]. */
void attention_run(const model *m, ops *o, const forward_buffers *fb, const uint8_t *pages_at, const batch *b, size_t n_tasks, uint32_t group,
                   uint32_t index, const uint32_t *key_begin, const uint32_t *key_end);

/* What batch.taps ask of this layer's cross-attention, whose queries are in fb->q (attention_tap.c). */
void attention_tap(const model *m, ops *o, const forward_buffers *fb, const uint8_t *pages_at, const batch *b, uint32_t l);

/* Offset in its page of K (or V) of one head of the group's layer l. */
static inline size_t kv_offset(const kv_group *g, uint32_t l, bool v, uint32_t kv_head)
{
	return (size_t)(l % g->slab_layers) * g->layer_bytes + ((size_t)v * g->n_kv_head + kv_head) * g->head_bytes;
}

/* And of its scales, if its type has any. */
static inline size_t kv_scales(const kv_group *g, uint32_t l, bool v, uint32_t kv_head)
{
	return kv_offset(g, l, v, kv_head) + (size_t)g->block_tokens * g->token_bytes;
}

#endif
