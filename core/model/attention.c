#include "model/attention.h"

#include <string.h>

enum { ATTN_ROWS = 16 }; /* query rows of one attention task */

/* ---- KV ---- */

/* One head of a row, by its group's type. */
static void store_head(const kv_group *g, const ops *o, uint8_t *to, void *scales, const float *x)
{
	switch (g->type) {
	case KV_F16: o->k.store_f16(to, x, g->head_dim); break;
	case KV_BF16: o->k.store_bf16(to, x, g->head_dim); break;
	case KV_Q8_0: o->k.store_kv_q8_0(to, scales, g->block_tokens, x, g->head_dim); break;
	case KV_FP8: o->k.store_kv_f8_e4m3(to, scales, g->block_tokens, x, g->head_dim); break;
	case KV_F32: case KV_TYPES: memcpy(to, x, g->token_bytes); break;
	}
}

void attention_store(const model *m, const ops *o, uint8_t *pages_at, const batch_seq *seqs, uint32_t n_seqs, uint32_t group, uint32_t index,
                     bool v, const float *rows)
{
	const kv_group *g = &m->kv.groups[group];
	size_t ld = (size_t)g->n_kv_head * g->head_dim;
	for (uint32_t s = 0; s < n_seqs; s++) {
		const batch_seq *q = &seqs[s];
		const uint32_t *pages = q->kv->group[group].pages + (size_t)(index / g->slab_layers) * q->kv->group[group].max_blocks;
		for (uint32_t r = 0; r < q->n_rows; r++) {
			uint32_t at = q->kv_first + r;
			uint32_t t = at % g->block_tokens;
			uint8_t *page = pages_at + (size_t)pages[at / g->block_tokens] * PAGE_BYTES;
			for (uint32_t h = 0; h < g->n_kv_head; h++)
				store_head(g, o, page + kv_offset(g, index, v, h) + (size_t)t * g->token_bytes, page + kv_scales(g, index, v, h) + (size_t)t * 2,
				           rows + (q->first + r) * ld + (size_t)h * g->head_dim);
		}
	}
}

/* ---- attention ---- */

struct attention {
	const model *m;
	const ops *o;
	const forward_buffers *fb;
	const uint8_t *pages_at;
	const batch *b;
	uint32_t group, index;
	const uint32_t *key_begin, *key_end;
};

static kn_attn_paged_fn *paged_of(const ops *o, enum kv_type type)
{
	switch (type) {
	case KV_F16: return o->k.attn_paged_f16;
	case KV_BF16: return o->k.attn_paged_bf16;
	case KV_Q8_0: return o->k.attn_paged_q8_0;
	case KV_FP8: return o->k.attn_paged_f8_e4m3;
	case KV_F32: case KV_TYPES: break;
	}
	return o->k.attn_paged_f32;
}

static void attention_task(void *ctx, size_t chunk, size_t thread)
{
	const struct attention *a = ctx;
	(void)thread;
	const struct attn_task *t = &a->fb->tasks[chunk];
	const hparams *h = &a->m->h;
	uint32_t group = a->group, index = a->index;
	const kv_group *g = &a->m->kv.groups[group];
	const batch_seq *s = &a->b->seqs[t->seq];
	size_t ld = (size_t)h->n_head * h->head_dim, n_group = h->n_head / h->n_kv_head;
	size_t at = (size_t)t->row * ld + t->kv_head * n_group * h->head_dim;
	kn_attn_paged_args args = {
	    .out = a->fb->attn + at, .q = a->fb->q + at, .ld_out = ld, .ld_q = ld,
	    .n_rows = t->n_rows, .n_group = n_group, .head_dim = h->head_dim,
	    .arena = a->pages_at, .page_bytes = PAGE_BYTES,
	    .pages = s->kv->group[group].pages + (size_t)(index / g->slab_layers) * s->kv->group[group].max_blocks,
	    .block_tokens = g->block_tokens, .token_bytes = g->token_bytes,
	    .k_offset = kv_offset(g, index, false, t->kv_head), .v_offset = kv_offset(g, index, true, t->kv_head),
	    .k_scales = kv_scales(g, index, false, t->kv_head), .v_scales = kv_scales(g, index, true, t->kv_head),
	    .key_begin = a->key_begin + t->row, .key_end = a->key_end + t->row,
	    .scale = h->attn_scale,
	};
	paged_of(a->o, g->type)(&args);
}

void attention_run(const model *m, ops *o, const forward_buffers *fb, const uint8_t *pages_at, const batch *b, size_t n_tasks, uint32_t group,
                   uint32_t index, const uint32_t *key_begin, const uint32_t *key_end)
{
	struct attention a = {m, o, fb, pages_at, b, group, index, key_begin, key_end};
	pool_run(o->pool, attention_task, &a, n_tasks);
}

/* ---- tasks ---- */

size_t attention_tasks_max(const model *m, uint32_t max_rows, uint32_t max_seqs)
{
	return ((size_t)max_rows / ATTN_ROWS + 1 + max_seqs) * m->h.n_kv_head;
}

size_t attention_plan(const model *m, forward_buffers *fb, const batch *b)
{
	size_t n = 0;
	for (uint32_t s = 0; s < b->n_seqs; s++)
		for (uint32_t r = 0; r < b->seqs[s].n_rows; r += ATTN_ROWS)
			for (uint32_t h = 0; h < m->h.n_kv_head; h++) {
				uint32_t left = b->seqs[s].n_rows - r;
				fb->tasks[n++] = (struct attn_task){s, h, b->seqs[s].first + r, left < ATTN_ROWS ? left : ATTN_ROWS};
			}
	return n;
}

