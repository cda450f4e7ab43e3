#include "model/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/scaled.h"

enum {
	SMALL = 1 << 15,   /* multiply-adds below which another thread does not pay */
	ROWS_CHUNK = 128,  /* rows of one chunk of a large product */
	COLS_CHUNK = 16,   /* columns are cut at multiples of this */
	X_MIN_ROWS = 64    /* rows that the activation buffer always has room for */
};

void ops_init(ops *o, pool *p, kn_isa isa_cap)
{
	*o = (ops){.pool = p};
	kn_isa best = kn_detect();
	o->isa = isa_cap && isa_cap < best ? isa_cap : best;
	kn_select(&o->k, o->isa);
}

void ops_fini(ops *o)
{
	free(o->x);
	*o = (ops){0};
}

static size_t chunks_of(size_t n, size_t size)
{
	return (n + size - 1) / size;
}

static size_t block_of(kn_type form)
{
	return form == KN_Q8_K ? KN_K_BLOCK : form == KN_Q8_0 ? KN_Q8_BLOCK : 1;
}

/* ---- linear ---- */

struct linear {
	ops *o;
	kn_linear_fn *fn;
	const weight *w;
	kn_unary_fn *act;
	float *y;
	const void *x;
	size_t ldy, ldx, x_bytes; /* x_bytes: one row of x */
	size_t m, rows, cols, n_col_chunks;
};

static void linear_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct linear *l = ctx;
	(void)thread;
	size_t r0 = chunk / l->n_col_chunks * l->rows, c0 = chunk % l->n_col_chunks * l->cols;
	size_t m = l->m - r0 < l->rows ? l->m - r0 : l->rows, n = l->w->n_out - c0 < l->cols ? l->w->n_out - c0 : l->cols;
	float *y = l->y + r0 * l->ldy + c0;
	const void *x = (const uint8_t *)l->x + r0 * l->x_bytes;
	if (l->w->scales.v)
		scaled_linear(l->fn, y, l->ldy, x, l->ldx, l->w, c0, m, n);
	else
		l->fn(y, l->ldy, x, l->ldx, (const uint8_t *)l->w->data + c0 * l->w->stride, l->w->stride, l->w->bias ? l->w->bias + c0 : NULL, m, n,
		      l->w->n_in);
	if (l->act)
		for (size_t r = 0; r < m; r++)
			l->act(y + r * l->ldy, y + r * l->ldy, n);
}

/* Rare: a decoder's last channel. */
static void tanh_values(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = tanhf(x[i]);
}

static void relu_values(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] > 0 ? x[i] : 0;
}

/* Rare: gates of a few rows. */
static void sigmoid_values(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = 1 / (1 + expf(-x[i]));
}

kn_unary_fn *ops_act_fn(const ops *o, enum ops_act act)
{
	switch (act) {
	case ACT_GELU_TANH: return o->k.gelu_tanh;
	case ACT_GELU_ERF: return o->k.gelu_erf;
	case ACT_GELU_QUICK: return o->k.gelu_quick;
	case ACT_SILU: return o->k.silu;
	case ACT_TANH: return tanh_values;
	case ACT_RELU: return relu_values;
	case ACT_SIGMOID: return sigmoid_values;
	default: return NULL;
	}
}

struct quantize {
	ops *o;
	kn_quantize_fn *fn;
	const float *x;
	size_t ldx, m, k, ld, row_bytes;
};

static void quantize_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct quantize *q = ctx;
	(void)thread;
	size_t r0 = chunk * 16, m = q->m - r0 < 16 ? q->m - r0 : 16;
	q->fn((uint8_t *)q->o->x + r0 * q->row_bytes, q->ld, q->x + r0 * q->ldx, q->ldx, m, q->k);
}

static void linear_rows(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, const weight *w, enum ops_act act)
{
	struct linear l = {.o = o, .fn = kn_linear_of(&o->k, w->type), .w = w, .act = ops_act_fn(o, act), .y = y, .x = x, .ldy = ldy,
	                   .ldx = ldx, .x_bytes = ldx * sizeof(float), .m = m};
	kn_type form = kn_activation(w->type);
	if (form != KN_F32) {
		struct quantize q = {o, kn_quantize_of(&o->k, form), x, ldx, m, w->n_in, w->n_in / block_of(form), kn_row_bytes(form, w->n_in)};
		pool_run(o->pool, quantize_chunk, &q, chunks_of(m, 16));
		l.x = o->x;
		l.ldx = q.ld;
		l.x_bytes = q.row_bytes;
	}
	size_t threads = pool_size(o->pool);
	l.rows = m < ROWS_CHUNK ? m : ROWS_CHUNK;
	l.cols = w->n_out;
	if (threads > 1 && m * w->n_out * w->n_in > SMALL) {
		l.cols = chunks_of(chunks_of(w->n_out, threads * 4), COLS_CHUNK) * COLS_CHUNK;
		if (l.cols < 2 * COLS_CHUNK)
			l.cols = 2 * COLS_CHUNK;
		if (l.cols > w->n_out)
			l.cols = w->n_out;
	}
	l.n_col_chunks = chunks_of(w->n_out, l.cols);
	pool_run(o->pool, linear_chunk, &l, l.n_col_chunks * chunks_of(m, l.rows));
}

void ops_linear(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t m, const weight *w, enum ops_act act)
{
	kn_type form = kn_activation(w->type);
	size_t step = form == KN_F32 ? m : o->x_bytes / kn_row_bytes(form, w->n_in);
	for (size_t r = 0; r < m; r += step)
		linear_rows(o, y + r * ldy, ldy, x + r * ldx, ldx, m - r < step ? m - r : step, w, act);
}

size_t ops_scratch_bytes(const weight *w)
{
	kn_type form = kn_activation(w->type);
	if (w->taps)
		return w->n_in * sizeof(float) * X_MIN_ROWS;
	return form == KN_F32 ? 0 : kn_row_bytes(form, w->n_in) * X_MIN_ROWS;
}

sn_status ops_reserve_bytes(ops *o, size_t bytes, sn_error *err)
{
	if (bytes <= o->x_bytes)
		return SN_OK;
	void *x = realloc(o->x, bytes);
	if (!x)
		return error_set(err, SN_ERR_NOMEM, "no memory for %zu bytes of activations", bytes);
	o->x = x;
	o->x_bytes = bytes;
	return SN_OK;
}

sn_status ops_reserve(ops *o, const weight *w, sn_error *err)
{
	return ops_reserve_bytes(o, ops_scratch_bytes(w), err);
}

/* ---- row-wise ---- */

struct norm {
	ops *o;
	float *y;
	const float *x, *w, *b;
	size_t ldy, ldx, m, k, rows;
	float eps;
};

static void norm_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct norm *n = ctx;
	(void)thread;
	size_t r0 = chunk * n->rows, m = n->m - r0 < n->rows ? n->m - r0 : n->rows;
	float *y = n->y + r0 * n->ldy;
	const float *x = n->x + r0 * n->ldx;
	if (n->b)
		n->o->k.layer_norm(y, n->ldy, x, n->ldx, n->w, n->b, n->eps, m, n->k);
	else
		n->o->k.rms_norm(y, n->ldy, x, n->ldx, n->w, n->eps, m, n->k);
}

size_t ops_rows_per_chunk(size_t m, size_t k)
{
	size_t rows = SMALL / (k ? k : 1) + 1;
	return rows < m ? rows : m;
}

static void norm_run(struct norm *n)
{
	n->rows = ops_rows_per_chunk(n->m, n->k);
	pool_run(n->o->pool, norm_chunk, n, chunks_of(n->m, n->rows));
}

void ops_rms_norm(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, float eps, size_t m, size_t k)
{
	norm_run(&(struct norm){.o = o, .y = y, .x = x, .w = w, .ldy = ldy, .ldx = ldx, .m = m, .k = k, .eps = eps});
}

void ops_layer_norm(ops *o, float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, float eps, size_t m,
                    size_t k)
{
	norm_run(&(struct norm){.o = o, .y = y, .x = x, .w = w, .b = b, .ldy = ldy, .ldx = ldx, .m = m, .k = k, .eps = eps});
}

struct rowwise {
	ops *o;
	float *y;
	const float *a, *b;
	size_t ldy, lda, ldb, m, n, rows;
	enum ops_act act;
	size_t each; /* rows of a mean */
};

static void add_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct rowwise *w = ctx;
	(void)thread;
	for (size_t r = chunk * w->rows; r < w->m && r < (chunk + 1) * w->rows; r++)
		w->o->k.add(w->y + r * w->ldy, w->a + r * w->lda, w->b + r * w->ldb, w->n);
}

void ops_add(ops *o, float *y, size_t ldy, const float *a, size_t lda, const float *b, size_t ldb, size_t m, size_t n)
{
	struct rowwise w = {o, y, a, b, ldy, lda, ldb, m, n, ops_rows_per_chunk(m, n), ACT_NONE, 0};
	pool_run(o->pool, add_chunk, &w, chunks_of(m, w.rows));
}

/* act(a) * b where no kernel does both: in pieces, as y may be b. */
static void gate_row(const ops *o, float *y, const float *a, const float *b, size_t n, enum ops_act act)
{
	enum { PIECE = 256 };
	float activated[PIECE];
	kn_unary_fn *fn = ops_act_fn(o, act);
	for (size_t i = 0; i < n; i += PIECE) {
		size_t part = n - i < PIECE ? n - i : PIECE;
		if (fn)
			fn(activated, a + i, part);
		else
			memcpy(activated, a + i, part * sizeof *activated);
		for (size_t j = 0; j < part; j++)
			y[i + j] = activated[j] * b[i + j];
	}
}

static void gate_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct rowwise *w = ctx;
	(void)thread;
	kn_binary_fn *fn = w->act == ACT_GELU_TANH ? w->o->k.gelu_tanh_mul : w->act == ACT_SILU ? w->o->k.silu_mul : NULL;
	for (size_t r = chunk * w->rows; r < w->m && r < (chunk + 1) * w->rows; r++)
		if (fn)
			fn(w->y + r * w->ldy, w->a + r * w->lda, w->b + r * w->ldb, w->n);
		else
			gate_row(w->o, w->y + r * w->ldy, w->a + r * w->lda, w->b + r * w->ldb, w->n, w->act);
}

void ops_gate(ops *o, float *y, size_t ldy, const float *gate, size_t ldg, const float *up, size_t ldu, size_t m, size_t n,
              enum ops_act act)
{
	struct rowwise w = {o, y, gate, up, ldy, ldg, ldu, m, n, ops_rows_per_chunk(m, n), act, 0};
	pool_run(o->pool, gate_chunk, &w, chunks_of(m, w.rows));
}

static void mean_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct rowwise *w = ctx;
	(void)thread;
	float scale = 1.0f / (float)w->each;
	for (size_t r = chunk * w->rows; r < w->m && r < (chunk + 1) * w->rows; r++) {
		float *y = w->y + r * w->ldy;
		const float *x = w->a + r * w->each * w->lda;
		for (size_t i = 0; i < w->n; i++) {
			float sum = x[i];
			for (size_t k = 1; k < w->each; k++)
				sum += x[k * w->lda + i];
			y[i] = sum * scale;
		}
	}
}

void ops_mean_rows(ops *o, float *y, size_t ldy, const float *x, size_t ldx, size_t each, size_t m, size_t n)
{
	struct rowwise w = {o, y, x, NULL, ldy, ldx, 0, m, n, ops_rows_per_chunk(m, n), ACT_NONE, each};
	pool_run(o->pool, mean_chunk, &w, chunks_of(m, w.rows));
}

/* ---- convolution ---- */

struct gather {
	ops *o;
	const float *x;
	size_t ldx, n, n_in, taps, stride, pad, dilation, first, m, rows;
};

/* Row t of the scratch: [channel][tap], as the weights have it. */
static void gather_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct gather *g = ctx;
	(void)thread;
	for (size_t r = chunk * g->rows; r < g->m && r < (chunk + 1) * g->rows; r++) {
		float *to = (float *)g->o->x + r * g->n_in * g->taps;
		for (size_t i = 0; i < g->taps; i++) {
			size_t at = (g->first + r) * g->stride + i * g->dilation; /* of the padded x */
			bool inside = at >= g->pad && at - g->pad < g->n;
			const float *from = g->x + (inside ? at - g->pad : 0) * g->ldx;
			for (size_t c = 0; c < g->n_in; c++)
				to[c * g->taps + i] = inside ? from[c] : 0.0f;
		}
	}
}

void ops_conv1d(ops *o, float *y, size_t ldy, size_t m, const float *x, size_t ldx, size_t n, const weight *w, size_t stride,
                size_t pad, size_t dilation, enum ops_act act)
{
	struct gather g = {.o = o, .x = x, .ldx = ldx, .n = n, .n_in = w->n_in / w->taps, .taps = w->taps, .stride = stride, .pad = pad,
	                   .dilation = dilation};
	size_t step = o->x_bytes / (w->n_in * sizeof(float));
	for (; g.first < m; g.first += g.m) {
		g.m = m - g.first < step ? m - g.first : step;
		g.rows = ops_rows_per_chunk(g.m, w->n_in);
		pool_run(o->pool, gather_chunk, &g, chunks_of(g.m, g.rows));
		linear_rows(o, y + g.first * ldy, ldy, o->x, w->n_in, g.m, w, act);
	}
}

/* ---- attention without pages ---- */

struct dense {
	ops *o;
	float *out;
	const float *q, *k, *v;
	size_t ldo, ldq, ldk, ldv, m, n, n_head, head_dim, rows;
	float scale;
};

static void dense_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct dense *d = ctx;
	(void)thread;
	size_t h = chunk % d->n_head * d->head_dim, r0 = chunk / d->n_head * d->rows;
	size_t m = d->m - r0 < d->rows ? d->m - r0 : d->rows;
	d->o->k.attn_dense(d->out + r0 * d->ldo + h, d->ldo, d->q + r0 * d->ldq + h, d->ldq, d->k + h, d->ldk, d->v + h, d->ldv, m,
	                   d->n, d->head_dim, d->scale);
}

void ops_attention(ops *o, float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                   size_t ldv, size_t m, size_t n, size_t n_head, size_t head_dim, float scale)
{
	struct dense d = {o, out, q, k, v, ldo, ldq, ldk, ldv, m, n, n_head, head_dim, m < 32 ? m : 32, scale};
	pool_run(o->pool, dense_chunk, &d, n_head * chunks_of(m, d.rows));
}
