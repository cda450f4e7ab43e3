#include "model/experts.h"

#include <math.h>
#include <string.h>

struct experts {
	const model *m;
	forward_buffers *fb;
	const expert_layer *w;
	size_t n, rows; /* rows of a chunk */
};

/* The row's choices, likeliest first. p: [n_experts] router's scores, which become probabilities. */
static void choose(const hparams *h, struct expert_choice *out, float *p)
{
	float most = p[0], sum = 0, chosen = 0;
	for (uint32_t i = 1; i < h->n_experts; i++)
		most = p[i] > most ? p[i] : most;
	for (uint32_t i = 0; i < h->n_experts; i++)
		sum += p[i] = expf(p[i] - most);
	for (uint32_t i = 0; i < h->n_experts; i++)
		p[i] /= sum;
	bool taken[MAX_EXPERTS] = {false};
	for (uint32_t k = 0; k < h->n_experts_used; k++) {
		uint32_t best = UINT32_MAX; /* of what is no number, the lowest is as good as any */
		for (uint32_t i = 0; i < h->n_experts; i++)
			if (!taken[i] && (best == UINT32_MAX || p[i] > p[best]))
				best = i;
		taken[best] = true;
		out[k] = (struct expert_choice){.share = p[best], .expert = best};
		chosen += p[best];
	}
	for (uint32_t k = 0; k < h->n_experts_used && h->experts_normed; k++)
		out[k].share /= chosen;
}

/* Slots: all rows of expert 0, then those of expert 1, ... first: [n_experts + 1]. */
static void place(const hparams *h, struct expert_choice *c, size_t n_choices, uint32_t *first)
{
	memset(first, 0, (h->n_experts + 1) * sizeof *first);
	for (size_t i = 0; i < n_choices; i++)
		first[c[i].expert + 1]++;
	for (uint32_t e = 0; e < h->n_experts; e++)
		first[e + 1] += first[e];
	uint32_t next[MAX_EXPERTS];
	memcpy(next, first, h->n_experts * sizeof *next);
	for (size_t i = 0; i < n_choices; i++)
		c[i].slot = next[c[i].expert]++;
}

static void scatter_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct experts *x = ctx;
	(void)thread;
	size_t e = x->m->h.n_embd, used = x->m->h.n_experts_used;
	for (size_t r = chunk * x->rows; r < x->n && r < (chunk + 1) * x->rows; r++)
		for (size_t k = 0; k < used; k++)
			memcpy(x->fb->slots + x->fb->choices[r * used + k].slot * e, x->fb->h + r * e, e * sizeof *x->fb->h);
}

static void sum_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct experts *x = ctx;
	(void)thread;
	size_t e = x->m->h.n_embd, used = x->m->h.n_experts_used;
	for (size_t r = chunk * x->rows; r < x->n && r < (chunk + 1) * x->rows; r++) {
		float *y = x->fb->h + r * e;
		for (size_t k = 0; k < used; k++) {
			const struct expert_choice *c = &x->fb->choices[r * used + k];
			const float *from = x->fb->slots + c->slot * e;
			for (size_t i = 0; i < e; i++)
				y[i] = (k ? y[i] : 0) + c->share * from[i];
		}
	}
}

void experts_run(const model *m, ops *o, forward_buffers *fb, const expert_layer *w, size_t n)
{
	const hparams *h = &m->h;
	size_t e = h->n_embd, f = h->n_expert_ffn, used = h->n_experts_used;
	uint32_t first[MAX_EXPERTS + 1];
	struct experts x = {m, fb, w, n, ops_rows_per_chunk(n, e * used)};
	size_t n_chunks = (n + x.rows - 1) / x.rows;
	ops_linear(o, fb->attn, h->n_experts, fb->h, e, n, &w->router, ACT_NONE); /* attention's outcome is in x by now */
	for (size_t r = 0; r < n; r++)
		choose(h, fb->choices + r * used, fb->attn + r * h->n_experts);
	place(h, fb->choices, n * used, first);
	pool_run(o->pool, scatter_chunk, &x, n_chunks);
	for (uint32_t i = 0; i < h->n_experts; i++) {
		size_t at = first[i], rows = first[i + 1] - at;
		if (!rows)
			continue;
		ops_linear(o, fb->gate + at * f, f, fb->slots + at * e, e, rows, &w->gate[i], ACT_NONE);
		ops_linear(o, fb->up + at * f, f, fb->slots + at * e, e, rows, &w->up[i], ACT_NONE);
		ops_gate(o, fb->gate + at * f, f, fb->gate + at * f, f, fb->up + at * f, f, rows, f, h->arch->act);
		ops_linear(o, fb->slots + at * e, e, fb->gate + at * f, f, rows, &w->down[i], ACT_NONE);
	}
	pool_run(o->pool, sum_chunk, &x, n_chunks);
}
