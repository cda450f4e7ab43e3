#include "model/sound.h"

#include <math.h>
#include <string.h>

/* Row-wise work of every kind here: a chunk is `rows` of m. */
struct sound {
	ops *o;
	float *y;
	const float *x, *a, *b;
	size_t ldy, ldx, m, n, rows;
	size_t taps, step; /* step: dilation or stride */
	size_t n_x;        /* rows of x, where they are fewer than m */
	enum ops_act act;
	float max;
};

static void run(struct sound *s, pool_fn *fn, size_t cost)
{
	s->rows = ops_rows_per_chunk(s->m, cost);
	pool_run(s->o->pool, fn, s, (s->m + s->rows - 1) / s->rows);
}

static size_t end_of(const struct sound *s, size_t chunk)
{
	size_t end = (chunk + 1) * s->rows;
	return end < s->m ? end : s->m;
}

static void depthwise_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sound *s = ctx;
	(void)thread;
	size_t first = chunk * s->rows;
	s->o->k.depthwise(s->y + first * s->ldy, s->ldy, s->x + first * s->ldx, s->ldx, s->a, s->b, end_of(s, chunk) - first, s->n, s->taps,
	                  s->step);
}

void ops_depthwise(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n,
                   size_t taps, size_t dilation)
{
	run(&(struct sound){.o = o, .y = y, .ldy = ldy, .x = x, .ldx = ldx, .a = w, .b = b, .m = m, .n = n, .taps = taps, .step = dilation},
	    depthwise_chunk, n * taps);
}

/* By rows of y, so that no two threads meet in one: each takes what falls on it, the earliest row of x first. */
static void overlap_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sound *s = ctx;
	(void)thread;
	for (size_t r = chunk * s->rows; r < end_of(s, chunk); r++) {
		size_t t = r >= s->taps ? (r - s->taps) / s->step + 1 : 0;
		for (; t < s->n_x && t * s->step <= r; t++) {
			float *y = s->y + r * s->ldy;
			s->o->k.add(y, y, s->x + t * s->ldx + (r - t * s->step) * s->n, s->n);
		}
	}
}

void ops_overlap_add(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t n, size_t c, size_t taps, size_t stride)
{
	run(&(struct sound){.o = o, .y = y, .ldy = ldy, .x = x, .ldx = ldx, .m = (n - 1) * stride + taps, .n = c, .taps = taps,
	                    .step = stride, .n_x = n}, overlap_chunk, c * (taps / stride + 1));
}

static void snake_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sound *s = ctx;
	(void)thread;
	for (size_t r = chunk * s->rows; r < end_of(s, chunk); r++)
		s->o->k.snake(s->y + r * s->ldy, s->x + r * s->ldx, s->a, s->b, s->n);
}

void ops_snake(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *alpha, const float *beta, size_t m, size_t n)
{
	run(&(struct sound){.o = o, .y = y, .ldy = ldy, .x = x, .ldx = ldx, .a = alpha, .b = beta, .m = m, .n = n}, snake_chunk, 4 * n);
}

static void scale_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sound *s = ctx;
	(void)thread;
	kn_unary_fn *act = ops_act_fn(s->o, s->act);
	for (size_t r = chunk * s->rows; r < end_of(s, chunk); r++) {
		float *y = s->y + r * s->ldy;
		const float *x = s->x + r * s->ldx;
		for (size_t i = 0; i < s->n; i++)
			y[i] = x[i] * (s->a ? s->a[i] : 1.0f) + (s->b ? s->b[i] : 0.0f);
		if (act)
			act(y, y, s->n);
	}
}

void ops_scale(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n,
               enum ops_act act)
{
	run(&(struct sound){.o = o, .y = y, .ldy = ldy, .x = x, .ldx = ldx, .a = w, .b = b, .m = m, .n = n, .act = act}, scale_chunk, 2 * n);
}

static void polar_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sound *s = ctx;
	(void)thread;
	for (size_t r = chunk * s->rows; r < end_of(s, chunk); r++) {
		const float *x = s->x + r * s->ldx;
		float *y = s->y + r * s->ldy;
		for (size_t i = 0; i < s->n; i++) {
			float size = expf(x[i]), phase = x[s->n + i];
			size = size > s->max ? s->max : size; /* NaN stays */
			y[2 * i] = size * cosf(phase);
			y[2 * i + 1] = size * sinf(phase);
		}
	}
}

void ops_polar(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k, float max)
{
	run(&(struct sound){.o = o, .y = y, .ldy = ldy, .x = x, .ldx = ldx, .m = m, .n = k, .max = max}, polar_chunk, 32 * k);
}

struct rope {
	ops *o;
	float *y;
	const float *x;
	size_t ldy, ldx, n_head, head_dim;
	uint64_t first;
	float inv_freq[ROPE_MAX_HEAD_DIM / 2];
};

/* One row. Angles as the reference implementations have them: products of f32. */
static void rope_chunk(void *ctx, size_t row, size_t thread)
{
	const struct rope *r = ctx;
	(void)thread;
	float cos_sin[ROPE_MAX_HEAD_DIM], *y = r->y + row * r->ldy;
	const float *x = r->x + row * r->ldx;
	size_t half = r->head_dim / 2;
	for (size_t i = 0; i < half; i++) {
		float angle = (float)(r->first + row) * r->inv_freq[i];
		cos_sin[i] = cosf(angle);
		cos_sin[half + i] = sinf(angle);
	}
	if (y != x)
		memcpy(y, x, r->n_head * r->head_dim * sizeof *y);
	r->o->k.rope(y, r->ldy, cos_sin, 1, r->n_head, r->head_dim, r->head_dim, 1);
}

void ops_rope(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t n_head, size_t head_dim, float theta,
              uint64_t first)
{
	struct rope r = {.o = o, .y = y, .x = x, .ldy = ldy, .ldx = ldx, .n_head = n_head, .head_dim = head_dim, .first = first};
	for (size_t i = 0; i < head_dim / 2; i++)
		r.inv_freq[i] = 1.0f / powf(theta, (float)(2 * i) / (float)head_dim);
	pool_run(o->pool, rope_chunk, &r, m);
}

struct causal {
	ops *o;
	float *out;
	const float *q, *k, *v;
	size_t ldo, ldq, ldk, ldv, n_head, head_dim, first, window;
	float scale;
};

/* One row of one head: its keys are tiled from its window's beginning, wherever the chunk of rows began. */
static void causal_chunk(void *ctx, size_t chunk, size_t thread)
{
	const struct causal *c = ctx;
	(void)thread;
	size_t row = chunk / c->n_head, h = chunk % c->n_head * c->head_dim, end = c->first + row + 1;
	size_t begin = end > c->window ? end - c->window : 0;
	c->o->k.attn_dense(c->out + row * c->ldo + h, c->ldo, c->q + row * c->ldq + h, c->ldq, c->k + begin * c->ldk + h, c->ldk,
	                   c->v + begin * c->ldv + h, c->ldv, 1, end - begin, c->head_dim, c->scale);
}

void ops_attention_causal(ops *o, float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                          size_t ldv, size_t m, size_t n_head, size_t head_dim, float scale, size_t first, size_t window)
{
	struct causal c = {o, out, q, k, v, ldo, ldq, ldk, ldv, n_head, head_dim, first, window, scale};
	pool_run(o->pool, causal_chunk, &c, m * n_head);
}
