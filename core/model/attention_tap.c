/* The weights themselves, which attention proper never holds: of the few heads of a model's cross-attention that tell which rows of a
 * medium a token is about. Plain loops over the pages, for those who ask; nobody else pays for it. */
#include <math.h>
#include <string.h>

#include "model/attention.h"

struct tapping {
	const model *m;
	const ops *o;
	const forward_buffers *fb;
	const uint8_t *pages_at;
	const batch *b;
	uint32_t layer;
};

/* Eight sums side by side, joined in one order: the same on every machine. */
static float dot(const float *a, const float *b, uint32_t n)
{
	float sum[8] = {0}, rest = 0;
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8)
		for (uint32_t k = 0; k < 8; k++)
			sum[k] += a[i + k] * b[i + k];
	for (; i < n; i++)
		rest += a[i] * b[i];
	return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
}

static void softmax(float *x, uint32_t n)
{
	float max = -INFINITY, sum = 0;
	for (uint32_t i = 0; i < n; i++)
		max = fmaxf(max, x[i]);
	for (uint32_t i = 0; i < n; i++)
		sum += x[i] = expf(x[i] - max);
	for (uint32_t i = 0; i < n; i++)
		x[i] /= sum;
}

/* A stored head, by its group's type. */
static void load_head(const kv_group *g, const ops *o, float *y, const uint8_t *stored, const void *scales)
{
	switch (g->type) {
	case KV_F16: o->k.load_f16(y, stored, g->head_dim); break;
	case KV_BF16: o->k.load_bf16(y, stored, g->head_dim); break;
	case KV_Q8_0: o->k.load_kv_q8_0(y, stored, scales, g->block_tokens, g->head_dim); break;
	case KV_FP8: o->k.load_kv_f8_e4m3(y, stored, scales, g->block_tokens, g->head_dim); break;
	case KV_F32: case KV_TYPES: memcpy(y, stored, g->token_bytes); break;
	}
}

static void tap_head(const struct tapping *t, const batch_tap *tap, uint32_t at)
{
	const model *m = t->m;
	const hparams *h = &m->h;
	uint32_t group = model_cross_group(m), head = tap->heads[at][1], kv_head = head / (h->n_head / h->n_kv_head);
	const kv_group *g = &m->kv.groups[group];
	const batch_seq *s = &t->b->seqs[tap->seq];
	const uint32_t *pages = s->kv->group[group].pages + (size_t)(t->layer / g->slab_layers) * s->kv->group[group].max_blocks;
	size_t ld = (size_t)h->n_head * h->head_dim, k_offset = kv_offset(g, t->layer, false, kv_head);
	size_t k_scales = kv_scales(g, t->layer, false, kv_head);
	const float *q = t->fb->q + s->first * ld + (size_t)head * h->head_dim;
	float *out = tap->out + at * tap->head_rows * h->n_cross, key[MAX_HEAD_DIM];
	for (uint32_t k = 0; k < h->n_cross; k++) {
		const uint8_t *page = t->pages_at + (size_t)pages[k / g->block_tokens] * PAGE_BYTES;
		size_t slot = k % g->block_tokens;
		load_head(g, t->o, key, page + k_offset + slot * g->token_bytes, page + k_scales + 2 * slot);
		for (uint32_t r = 0; r < s->n_rows; r++)
			out[(size_t)r * h->n_cross + k] = dot(q + r * ld, key, h->head_dim) * h->attn_scale;
	}
	for (uint32_t r = 0; r < s->n_rows; r++)
		softmax(out + (size_t)r * h->n_cross, h->n_cross);
}

/* chunk: a sequence that is tapped, and one of its heads; each writes its own rows. */
static void tap_chunk(void *ctx, size_t chunk, size_t thread)
{
	const struct tapping *t = ctx;
	(void)thread;
	for (uint32_t i = 0; i < t->b->n_taps; i++) {
		const batch_tap *tap = &t->b->taps[i];
		if (chunk < tap->n_heads) {
			if (tap->heads[chunk][0] == t->layer)
				tap_head(t, tap, (uint32_t)chunk);
			return;
		}
		chunk -= tap->n_heads;
	}
}

void attention_tap(const model *m, ops *o, const forward_buffers *fb, const uint8_t *pages_at, const batch *b, uint32_t l)
{
	struct tapping t = {m, o, fb, pages_at, b, l};
	size_t n = 0;
	for (uint32_t i = 0; i < b->n_taps; i++)
		n += b->taps[i].n_heads;
	pool_run(o->pool, tap_chunk, &t, n);
}
