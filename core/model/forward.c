#include "model/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/attention.h"
#include "model/depth.h"
#include "model/experts.h"

/* ---- buffers ---- */

struct buffer { float **p; size_t rows, cols, *have; };
enum { N_BUFFERS = 11 };

/* Each buffer is as large as the largest model so far needs; sizes only grow. */
static void list_buffers(forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out, struct buffer *out /* [N_BUFFERS] */)
{
	const hparams *h = &m->h;
	size_t q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim;
	size_t outs = h->n_cross ? 2 : 1; /* a sequence's next token, and what it is probed for */
	size_t ffn = m->project[0].n_in > h->n_ffn ? m->project[0].n_in : h->n_ffn;
	size_t by_experts = (size_t)h->n_experts_used * h->n_expert_ffn, attn = h->n_experts > q ? h->n_experts : q;
	ffn = by_experts > ffn ? by_experts : ffn;
	const struct buffer all[N_BUFFERS] = {
	    {&b->x, max_rows, h->n_embd, &b->cols[0]},   {&b->h, max_rows, h->n_embd, &b->cols[1]},
	    {&b->q, max_rows, q, &b->cols[2]},           {&b->attn, max_rows, attn, &b->cols[3]},
	    {&b->kv, max_rows, kv, &b->cols[4]},         {&b->gate, max_rows, ffn, &b->cols[5]},
	    {&b->up, max_rows, ffn, &b->cols[6]},   {&b->cos_sin, max_rows, (size_t)h->n_rot * m->kv.n_groups, &b->cols[7]},
	    {&b->logits, max_out, h->n_logits * outs, &b->cols[8]}, {&b->out, max_out, h->n_embd * outs, &b->cols[9]},
	    {&b->slots, max_rows, (size_t)h->n_experts_used * h->n_embd, &b->cols[10]},
	};
	memcpy(out, all, sizeof all);
}

size_t forward_bytes(const forward_buffers *b, const model *m, uint32_t max_rows, uint32_t max_out)
{
	forward_buffers now = *b;
	struct buffer all[N_BUFFERS];
	size_t n, tasks = attention_tasks_max(m, max_rows, max_out), choices = (size_t)max_rows * m->h.n_experts_used;
	size_t sum = max_rows * 3 * sizeof *b->window_begin + (tasks > b->n_tasks_cap ? tasks : b->n_tasks_cap) * sizeof *b->tasks;
	sum += (choices > b->n_choices_cap ? choices : b->n_choices_cap) * sizeof *b->choices;
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
		b->window_begin = calloc(max_rows, 3 * sizeof *b->window_begin);
		b->cross_begin = b->window_begin + max_rows;
		b->cross_end = b->cross_begin + max_rows;
		if (!b->window_begin)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
	}
	size_t tasks = attention_tasks_max(m, max_rows, max_out);
	if (tasks > b->n_tasks_cap) {
		free(b->tasks);
		b->tasks = malloc(tasks * sizeof *b->tasks);
		b->n_tasks_cap = b->tasks ? tasks : 0;
		if (!b->tasks)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
	}
	size_t choices = (size_t)max_rows * m->h.n_experts_used;
	if (choices > b->n_choices_cap) {
		free(b->choices);
		b->choices = calloc(choices, sizeof *b->choices);
		b->n_choices_cap = b->choices ? choices : 0;
		if (!b->choices)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for the buffers of a step", m->file->name);
	}
	b->max_rows = max_rows;
	b->max_out = max_out;
	return SN_OK;
}

void forward_free(forward_buffers *b)
{
	float *all[] = {b->x, b->h, b->q, b->attn, b->kv, b->gate, b->up, b->cos_sin, b->logits, b->out, b->slots};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
	free(b->tasks);
	free(b->choices);
	free(b->window_begin);
	*b = (forward_buffers){0};
}

/* ---- rows in ---- */

static void media_row(const model *m, const ops *o, float *row, const void *stored)
{
	switch (media_type(m->kv.groups[0].type)) {
	case KV_F16: o->k.load_f16(row, stored, m->h.n_embd); break;
	case KV_BF16: o->k.load_bf16(row, stored, m->h.n_embd); break;
	default: memcpy(row, stored, m->h.n_embd * sizeof *row); break;
	}
}

/* Of a row's two tokens, the one that is its own or the one that is added: 1 + the token, 0: none. */
static uint32_t token_of(const batch *b, uint32_t r, bool added)
{
	return added ? b->with ? b->with[r] : 0 : b->media[r] ? 0 : (uint32_t)b->ids[r] + 1;
}

/* Tokens whose embeddings are projected, all rows' together: into their rows, or added to them. */
static void project_rows(const model *m, ops *o, forward_buffers *fb, const batch *b, bool added)
{
	size_t e = m->h.n_embd, wide = m->project[0].n_in, n = 0;
	uint32_t *at = fb->window_begin; /* free until the ranges, as h, gate and up are until the first layer */
	for (uint32_t r = 0; r < b->n_rows; r++) {
		uint32_t token = token_of(b, r, added);
		if (!token || !model_projects(m, token - 1))
			continue;
		weight_row(o, &m->embed, token - 1, fb->gate + n * wide);
		at[n++] = r;
	}
	if (!n)
		return;
	ops_linear(o, fb->up, wide, fb->gate, wide, n, &m->project[0], m->h.arch->act);
	ops_linear(o, fb->h, e, fb->up, wide, n, &m->project[1], ACT_NONE);
	for (size_t i = 0; i < n; i++) {
		float *row = fb->x + at[i] * e;
		if (added)
			o->k.add(row, row, fb->h + i * e, e);
		else
			memcpy(row, fb->h + i * e, e * sizeof *row);
	}
}

/* What stands in a row beside its own token: its frame's other codes, then the second token. Always in this order. */
static void add_summands(const model *m, ops *o, forward_buffers *fb, const batch *b)
{
	size_t e = m->h.n_embd;
	for (uint32_t r = 0; r < b->n_rows; r++) {
		float *row = fb->x + r * e, *summand = fb->h;
		for (uint32_t i = 0; b->codes && b->codes[r] && i < m->depth->n_codes; i++) {
			weight_row(o, &m->depth->embed[i], (size_t)b->codes[r][i], summand);
			o->k.add(row, row, summand, e);
		}
		uint32_t token = token_of(b, r, true);
		if (!token || model_projects(m, token - 1))
			continue;
		model_embedding(m, o, token - 1, summand);
		o->k.add(row, row, summand, e);
	}
	if (b->with)
		project_rows(m, o, fb, b, true);
}

static void embed_rows(const model *m, ops *o, forward_buffers *fb, const batch *b)
{
	if (m->project[0].data)
		project_rows(m, o, fb, b, false);
	for (uint32_t r = 0; r < b->n_rows; r++) {
		float *row = fb->x + (size_t)r * m->h.n_embd, *position = fb->h; /* free until the first norm */
		if (b->media[r]) {
			media_row(m, o, row, b->media[r]);
		} else if (!model_projects(m, (uint32_t)b->ids[r])) {
			model_embedding(m, o, (uint32_t)b->ids[r], row);
			for (uint32_t i = 0; i < m->h.n_embd && m->embed_scale != 1; i++)
				row[i] *= m->embed_scale;
		}
		if (!m->positions.data)
			continue;
		weight_row(o, &m->positions, b->positions[r], position);
		o->k.add(row, row, position, m->h.n_embd);
	}
	if (b->with || b->codes)
		add_summands(m, o, fb, b);
}

static void rope_angles(const model *m, float *cos_sin, const float *inv_freq, float attention, const batch *b)
{
	static const int32_t nothing[2] = {0};
	uint32_t half = m->h.n_rot / 2;
	for (uint32_t r = 0; r < b->n_rows; r++) {
		float *cs = cos_sin + (size_t)r * m->h.n_rot;
		const int32_t *beyond = b->beyond ? b->beyond[r] : nothing;
		const float at[AXES] = {(float)b->positions[r], (float)(b->positions[r] + (uint32_t)beyond[0]), (float)(b->positions[r] + (uint32_t)beyond[1])};
		for (uint32_t i = 0; i < half; i++) {
			float angle = at[m->h.axis[i]] * inv_freq[i];
			cs[i] = cosf(angle) * attention;
			cs[half + i] = sinf(angle) * attention;
		}
	}
}

/* ---- ranges ---- */

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

/* ---- the pass ---- */

static void norm_rows(ops *o, float *y, const float *x, const norm_weight *w, const hparams *h, size_t n, size_t k)
{
	if (w->b)
		ops_layer_norm(o, y, k, x, k, w->w, w->b, h->norm_eps, n, k);
	else
		ops_rms_norm(o, y, k, x, k, w->w, h->norm_eps, n, k);
}

static void norm_heads(ops *o, float *x, const norm_weight *w, const hparams *h, size_t n_heads)
{
	if (w->w)
		norm_rows(o, x, x, w, h, n_heads, h->head_dim);
}

/* x += h, normed if the family does that. */
static void add_block(ops *o, forward_buffers *fb, const norm_weight *post_norm, const hparams *p, size_t n)
{
	size_t e = p->n_embd;
	if (post_norm->w)
		norm_rows(o, fb->h, fb->h, post_norm, p, n, e);
	ops_add(o, fb->x, e, fb->x, e, fb->h, e, n, e);
}

static void turn_heads(const model *m, const ops *o, float *x, uint32_t l, const float *cos_sin, size_t n, size_t n_heads)
{
	const hparams *h = &m->h;
	if (h->n_rot && !h->no_rope[l])
		o->k.rope(x, n_heads * h->head_dim, cos_sin, n, n_heads, h->head_dim, h->n_rot, h->rope_neox);
}

static void attention_block(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b, uint32_t l, size_t n_tasks)
{
	const hparams *h = &m->h;
	const layer *w = &m->layers[l];
	size_t e = h->n_embd, q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim, n = b->n_rows;

	norm_rows(o, fb->h, fb->x, &w->attn_norm, h, n, e);
	const float *cos_sin = fb->cos_sin + (size_t)w->group * n * h->n_rot;
	ops_linear(o, fb->q, q, fb->h, e, n, &w->q, ACT_NONE);
	norm_heads(o, fb->q, &w->q_norm, h, n * h->n_head);
	turn_heads(m, o, fb->q, l, cos_sin, n, h->n_head);
	ops_linear(o, fb->kv, kv, fb->h, e, n, &w->k, ACT_NONE);
	norm_heads(o, fb->kv, &w->k_norm, h, n * h->n_kv_head);
	turn_heads(m, o, fb->kv, l, cos_sin, n, h->n_kv_head);
	attention_store(m, o, pages_at, b->seqs, b->n_seqs, w->group, w->index, false, fb->kv);
	ops_linear(o, fb->kv, kv, fb->h, e, n, &w->v, ACT_NONE);
	attention_store(m, o, pages_at, b->seqs, b->n_seqs, w->group, w->index, true, fb->kv);

	attention_run(m, o, fb, pages_at, b, n_tasks, w->group, w->index, m->kv.groups[w->group].window ? fb->window_begin : b->key_begin, b->key_end);
	ops_linear(o, fb->h, e, fb->attn, q, n, &w->o, ACT_NONE);
	add_block(o, fb, &w->attn_post_norm, h, n);
}

static void cross_block(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b, uint32_t l, size_t n_tasks)
{
	const hparams *h = &m->h;
	const cross_layer *w = m->layers[l].cross;
	size_t e = h->n_embd, q = (size_t)h->n_head * h->head_dim, n = b->n_rows;
	norm_rows(o, fb->h, fb->x, &w->norm, h, n, e);
	ops_linear(o, fb->q, q, fb->h, e, n, &w->q, ACT_NONE);
	attention_run(m, o, fb, pages_at, b, n_tasks, model_cross_group(m), l, fb->cross_begin, fb->cross_end);
	if (b->n_taps)
		attention_tap(m, o, fb, pages_at, b, l);
	ops_linear(o, fb->h, e, fb->attn, q, n, &w->o, ACT_NONE);
	ops_add(o, fb->x, e, fb->x, e, fb->h, e, n, e);
}

static void ffn_block(const model *m, ops *o, forward_buffers *fb, uint32_t l, size_t n)
{
	const hparams *h = &m->h;
	const layer *w = &m->layers[l];
	size_t e = h->n_embd, f = h->n_ffn;
	norm_rows(o, fb->h, fb->x, &w->ffn_norm, h, n, e);
	if (w->experts) {
		experts_run(m, o, fb, w->experts, n);
		add_block(o, fb, &w->ffn_post_norm, h, n);
		return;
	}
	if (h->arch->no_gate) {
		ops_linear(o, fb->gate, f, fb->h, e, n, &w->up, h->arch->act);
	} else {
		ops_linear(o, fb->gate, f, fb->h, e, n, &w->gate, ACT_NONE);
		ops_linear(o, fb->up, f, fb->h, e, n, &w->up, ACT_NONE);
		ops_gate(o, fb->gate, f, fb->gate, f, fb->up, f, n, f, h->arch->act);
	}
	ops_linear(o, fb->h, e, fb->gate, f, n, &w->down, ACT_NONE);
	add_block(o, fb, &w->ffn_post_norm, h, n);
}

/* The medium's rows have no residual stream: they are what every layer makes its K and V of. */
static void fill_cross(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b)
{
	size_t e = m->h.n_embd, kv = (size_t)m->h.n_kv_head * m->h.head_dim, n = b->n_cross_rows;
	bool any = false;
	for (uint32_t r = 0; r < n; r++) {
		if (b->cross_media[r])
			media_row(m, o, fb->h + r * e, b->cross_media[r]);
		else
			memset(fb->h + r * e, 0, e * sizeof *fb->h);
		any |= b->cross_media[r] != NULL;
	}
	for (uint32_t l = 0; l < m->h.n_layers; l++)
		for (int v = 0; v < 2; v++) {
			const cross_layer *w = m->layers[l].cross;
			if (any)
				ops_linear(o, fb->kv, kv, fb->h, e, n, v ? &w->v : &w->k, ACT_NONE);
			for (uint32_t r = 0; r < n; r++)
				if (!b->cross_media[r])
					memset(fb->kv + r * kv, 0, kv * sizeof *fb->kv);
			attention_store(m, o, pages_at, b->cross_seqs, b->n_cross_seqs, model_cross_group(m), l, v, fb->kv);
		}
}

static void pool_rows(const model *m, ops *o, forward_buffers *fb, const batch_pool *p)
{
	size_t e = m->h.n_embd;
	float *normed = fb->h + p->first * e;
	norm_rows(o, normed, fb->x + p->first * e, &m->output_norm, &m->h, p->n_rows, e);
	for (uint32_t r = 0; r < p->n_rows; r++)
		for (size_t i = 0; i < e; i++)
			p->sum[i] += (double)normed[r * e + i];
}

void forward(const model *m, ops *o, forward_buffers *fb, uint8_t *pages_at, const batch *b)
{
	size_t e = m->h.n_embd;
	if (b->n_cross_rows)
		fill_cross(m, o, fb, pages_at, b);
	if (b->n_rows == 0)
		return;
	embed_rows(m, o, fb, b);
	for (uint32_t g = 0; g < m->kv.n_groups; g++) {
		if (m->h.n_rot)
			rope_angles(m, fb->cos_sin + (size_t)g * b->n_rows * m->h.n_rot, m->inv_freq[g], m->rope[g].attention, b);
		if (m->kv.groups[g].window)
			window_ranges(fb->window_begin, m->kv.groups[g].window, b);
	}
	for (uint32_t r = 0; r < b->n_rows; r++)
		fb->cross_end[r] = m->h.n_cross;
	size_t n_tasks = attention_plan(m, fb, b);
	for (uint32_t l = 0; l < m->h.n_layers; l++) {
		attention_block(m, o, fb, pages_at, b, l, n_tasks);
		if (m->layers[l].cross)
			cross_block(m, o, fb, pages_at, b, l, n_tasks);
		ffn_block(m, o, fb, l, b->n_rows);
	}
	for (uint32_t i = 0; i < b->n_pools; i++)
		pool_rows(m, o, fb, &b->pools[i]);
	if (b->n_out == 0)
		return;
	for (uint32_t i = 0; i < b->n_out; i++)
		memcpy(fb->out + i * e, fb->x + b->out_rows[i] * e, e * sizeof(float));
	norm_rows(o, fb->out, fb->out, &m->output_norm, &m->h, b->n_out, e);
	weight head = m->head;
	if (b->head_n) {
		head.data = (const uint8_t *)head.data + b->head_first * head.stride;
		head.scales.first += b->head_first;
		head.n_out = b->head_n;
	}
	ops_linear(o, fb->logits, head.n_out, fb->out, e, b->n_out, &head, ACT_NONE);
}
