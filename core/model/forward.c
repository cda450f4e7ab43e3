#include "model/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { ATTN_ROWS = 16 }; /* query rows of one attention task */

struct attn_task {
	uint32_t seq, kv_head, row, n_rows;
};

/* ---- buffers ---- */

struct buffer { float **p; size_t rows, cols, *have; };
enum { N_BUFFERS = 10 };

/* Each buffer is as large as the largest model so far needs; sizes only grow. */
static void list_buffers(forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out, struct buffer *out /* [N_BUFFERS] */)
{
	const hparams *h = &m->h;
	size_t q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim;
	const struct buffer all[N_BUFFERS] = {
	    {&b->x, max_rows, h->n_embd, &b->cols[0]},   {&b->h, max_rows, h->n_embd, &b->cols[1]},
	    {&b->q, max_rows, q, &b->cols[2]},           {&b->attn, max_rows, q, &b->cols[3]},
	    {&b->kv, max_rows, kv, &b->cols[4]},         {&b->gate, max_rows, h->n_ffn, &b->cols[5]},
	    {&b->up, max_rows, h->n_ffn, &b->cols[6]},   {&b->cos_sin, max_rows, (size_t)h->n_rot * m->kv.n_groups, &b->cols[7]},
	    {&b->logits, max_out, h->n_vocab, &b->cols[8]}, {&b->out, max_out, h->n_embd, &b->cols[9]},
	};
	memcpy(out, all, sizeof all);
}

size_t forward_bytes(const forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out)
{
	forward_buffers now = *b;
	struct buffer all[N_BUFFERS];
	size_t sum = 0, n;
	list_buffers(&now, m, max_rows, max_out, all);
	for (size_t i = 0; i < N_BUFFERS; i++) {
		size_t cols = all[i].cols > *all[i].have ? all[i].cols : *all[i].have;
		if (__builtin_mul_overflow(all[i].rows, cols, &n) || __builtin_mul_overflow(n, sizeof **all[i].p, &n) || __builtin_add_overflow(sum, n, &sum))
			return SIZE_MAX;
	}
	return sum;
}

static bool grow(float **p, size_t rows, size_t cols)
{
	size_t n;
	if (__builtin_mul_overflow(rows, cols, &n) || __builtin_mul_overflow(n, sizeof **p, &n) || n > SIZE_MAX - 128)
		return false;
	float *q = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
	if (!q)
		return false;
	free(*p);
	*p = q;
	return true;
}

sn_status forward_reserve(forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out, sn_error *err)
{
	const hparams *h = &m->h;
	struct buffer want[N_BUFFERS];
	list_buffers(b, m, max_rows, max_out, want);
	for (size_t i = 0; i < N_BUFFERS; i++) {
		if (want[i].cols <= *want[i].have)
			continue;
		if (!grow(want[i].p, want[i].rows, want[i].cols))
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
		*want[i].have = want[i].cols;
	}
	if (max_rows > b->max_rows) {
		free(b->window_begin);
		b->window_begin = malloc(max_rows * sizeof *b->window_begin);
		if (!b->window_begin)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
	}
	size_t tasks = ((size_t)max_rows / ATTN_ROWS + 1 + max_out) * h->n_kv_head;
	if (tasks > b->n_tasks_cap) {
		free(b->tasks);
		b->tasks = malloc(tasks * sizeof *b->tasks);
		b->n_tasks_cap = b->tasks ? tasks : 0;
		if (!b->tasks)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
	}
	b->max_rows = max_rows;
	b->max_out = max_out;
	return SN_OK;
}

void forward_free(forward_buffers *b)
{
	float *all[] = {b->x, b->h, b->q, b->attn, b->kv, b->gate, b->up, b->cos_sin, b->logits, b->out};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
	free(b->tasks);
	free(b->window_begin);
	*b = (forward_buffers){0};
}

/* ---- rows in ---- */

static void embed_rows(const model *m, const ops *o, float *x, const batch *b)
{
	for (uint32_t r = 0; r < b->n_rows; r++) {
		float *row = x + (size_t)r * m->h.n_embd;
		if (!b->media[r]) {
			weight_row(o, &m->embed, (size_t)b->ids[r], row);
			for (uint32_t i = 0; i < m->h.n_embd && m->embed_scale != 1; i++)
				row[i] *= m->embed_scale;
		} else if (m->kv.groups[0].type == KV_F16)
			o->k.load_f16(row, b->media[r], m->h.n_embd);
		else
			memcpy(row, b->media[r], m->h.n_embd * sizeof *row);
	}
}

static void rope_angles(const model *m, float *cos_sin, const float *inv_freq, const batch *b)
{
	uint32_t half = m->h.n_rot / 2;
	for (uint32_t r = 0; r < b->n_rows; r++) {
		float *cs = cos_sin + (size_t)r * m->h.n_rot;
		for (uint32_t i = 0; i < half; i++) {
			float angle = (float)b->positions[r] * inv_freq[i];
			cs[i] = cosf(angle);
			cs[half + i] = sinf(angle);
		}
	}
}

/* ---- KV ---- */

/* Offset in its page of K (or V) of one head of the group's layer l. */
static size_t kv_offset(const kv_group *g, uint32_t l, bool v, uint32_t kv_head)
{
	return (size_t)(l % g->slab_layers) * g->layer_bytes + ((size_t)v * g->n_kv_head + kv_head) * g->head_bytes;
}

static void store_rows(const model *m, const ops *o, uint8_t *pages_at, const batch *b, uint32_t l, bool v, const float *rows)
{
	uint32_t group = m->layers[l].group, index = m->layers[l].index;
	const kv_group *g = &m->kv.groups[group];
	size_t ld = (size_t)g->n_kv_head * g->head_dim;
	for (uint32_t s = 0; s < b->n_seqs; s++) {
		const batch_seq *q = &b->seqs[s];
		const uint32_t *pages = q->kv->group[group].pages + (size_t)(index / g->slab_layers) * q->kv->group[group].max_blocks;
		for (uint32_t r = 0; r < q->n_rows; r++) {
			uint32_t at = q->kv_first + r;
			uint8_t *page = pages_at + (size_t)pages[at / g->block_tokens] * PAGE_BYTES + (size_t)(at % g->block_tokens) * g->token_bytes;
			for (uint32_t h = 0; h < g->n_kv_head; h++) {
				const float *src = rows + (q->first + r) * ld + (size_t)h * g->head_dim;
				uint8_t *dst = page + kv_offset(g, index, v, h);
				if (g->type == KV_F16)
					o->k.store_f16(dst, src, g->head_dim);
				else
					memcpy(dst, src, g->token_bytes);
			}
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
	uint32_t layer;
};

static void attention_task(void *ctx, size_t chunk, size_t thread)
{
	const struct attention *a = ctx;
	(void)thread;
	const struct attn_task *t = &a->fb->tasks[chunk];
	const hparams *h = &a->m->h;
	uint32_t group = a->m->layers[a->layer].group, index = a->m->layers[a->layer].index;
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
	    .key_begin = (g->window ? a->fb->window_begin : a->b->key_begin) + t->row, .key_end = a->b->key_end + t->row,
	    .scale = h->attn_scale,
	};
	(g->type == KV_F16 ? a->o->k.attn_paged_f16 : a->o->k.attn_paged_f32)(&args);
}

/* With a window of w keys row i sees from i + 1 - w on: the part of its both-ways span that lies further back is not seen. */
static void window_ranges(uint32_t *begin, uint32_t window, const batch *b)
{
	for (uint32_t s = 0; s < b->n_seqs; s++) {
		const batch_seq *q = &b->seqs[s];
		for (uint32_t r = 0; r < q->n_rows; r++) {
			uint32_t at = q->first + r, own = q->kv_first + r;
			uint32_t first = own + 1 > window ? own + 1 - window : 0;
			begin[at] = first > b->key_begin[at] ? first : b->key_begin[at];
		}
	}
}

static size_t plan_tasks(const model *m, forward_buffers *fb, const batch *b)
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

/* ---- the pass ---- */

static void norm_heads(ops *o, float *x, const float *w, const hparams *h, size_t n_heads)
{
	if (w)
		ops_rms_norm(o, x, h->head_dim, x, h->head_dim, w, h->rms_eps, n_heads, h->head_dim);
}

/* x += h, normed if the family does that. */
static void add_block(ops *o, forward_buffers *fb, const float *post_norm, const hparams *p, size_t n)
{
	size_t e = p->n_embd;
	if (post_norm)
		ops_rms_norm(o, fb->h, e, fb->h, e, post_norm, p->rms_eps, n, e);
	ops_add(o, fb->x, e, fb->x, e, fb->h, e, n, e);
}

static void attention_block(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b, uint32_t l, size_t n_tasks)
{
	const hparams *h = &m->h;
	const layer *w = &m->layers[l];
	size_t e = h->n_embd, q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim, n = b->n_rows;

	ops_rms_norm(o, fb->h, e, fb->x, e, w->attn_norm, h->rms_eps, n, e);
	const float *cos_sin = fb->cos_sin + (size_t)w->group * n * h->n_rot;
	ops_linear(o, fb->q, q, fb->h, e, n, &w->q, ACT_NONE);
	norm_heads(o, fb->q, w->q_norm, h, n * h->n_head);
	o->k.rope(fb->q, q, cos_sin, n, h->n_head, h->head_dim, h->n_rot, h->rope_neox);
	ops_linear(o, fb->kv, kv, fb->h, e, n, &w->k, ACT_NONE);
	norm_heads(o, fb->kv, w->k_norm, h, n * h->n_kv_head);
	o->k.rope(fb->kv, kv, cos_sin, n, h->n_kv_head, h->head_dim, h->n_rot, h->rope_neox);
	store_rows(m, o, pages_at, b, l, false, fb->kv);
	ops_linear(o, fb->kv, kv, fb->h, e, n, &w->v, ACT_NONE);
	store_rows(m, o, pages_at, b, l, true, fb->kv);

	struct attention a = {m, o, fb, pages_at, b, l};
	pool_run(o->pool, attention_task, &a, n_tasks);
	ops_linear(o, fb->h, e, fb->attn, q, n, &w->o, ACT_NONE);
	add_block(o, fb, w->attn_post_norm, h, n);
}

static void ffn_block(const model *m, ops *o, forward_buffers *fb, uint32_t l, size_t n)
{
	const hparams *h = &m->h;
	const layer *w = &m->layers[l];
	size_t e = h->n_embd, f = h->n_ffn;
	ops_rms_norm(o, fb->h, e, fb->x, e, w->ffn_norm, h->rms_eps, n, e);
	ops_linear(o, fb->gate, f, fb->h, e, n, &w->gate, ACT_NONE);
	ops_linear(o, fb->up, f, fb->h, e, n, &w->up, ACT_NONE);
	ops_gate(o, fb->gate, f, fb->gate, f, fb->up, f, n, f, h->arch->act);
	ops_linear(o, fb->h, e, fb->gate, f, n, &w->down, ACT_NONE);
	add_block(o, fb, w->ffn_post_norm, h, n);
}

void forward(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b)
{
	size_t e = m->h.n_embd;
	embed_rows(m, o, fb->x, b);
	for (uint32_t g = 0; g < m->kv.n_groups; g++) {
		rope_angles(m, fb->cos_sin + (size_t)g * b->n_rows * m->h.n_rot, m->inv_freq[g], b);
		if (m->kv.groups[g].window)
			window_ranges(fb->window_begin, m->kv.groups[g].window, b);
	}
	size_t n_tasks = plan_tasks(m, fb, b);
	for (uint32_t l = 0; l < m->h.n_layers; l++) {
		attention_block(m, o, fb, pages_at, b, l, n_tasks);
		ffn_block(m, o, fb, l, b->n_rows);
	}
	if (b->n_out == 0)
		return;
	for (uint32_t i = 0; i < b->n_out; i++)
		memcpy(fb->out + i * e, fb->x + b->out_rows[i] * e, e * sizeof(float));
	ops_rms_norm(o, fb->out, e, fb->out, e, m->output_norm, m->h.rms_eps, b->n_out, e);
	ops_linear(o, fb->logits, m->h.n_vocab, fb->out, e, b->n_out, &m->head, ACT_NONE);
}
