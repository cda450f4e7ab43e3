#include "model/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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
	l->fn(y, l->ldy, (const uint8_t *)l->x + r0 * l->x_bytes, l->ldx, (const uint8_t *)l->w->data + c0 * l->w->stride,
	      l->w->stride, l->w->bias ? l->w->bias + c0 : NULL, m, n, l->w->n_in);
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

/* ---- binding ---- */

static sn_status find(const file_tensor **out, const model_file *f, const char *name, sn_error *err)
{
	const file_tensor *t = file_tensor_find(f, name);
	if (!t)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s is missing", f->name, name);
	kn_table ref;
	kn_select(&ref, KN_ISA_REF);
	if (!kn_linear_of(&ref, (kn_type)t->type))
#define NAME(name, type, number, form, bytes) ", " #type
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: storage type %s is not supported (F32, F16, BF16, Q8_0" KN_BLOCK_TYPES(NAME)
		                 " are)", f->name, name, storage_type_find(t->type)->name);
	*out = t;
	return SN_OK;
}

static void to_floats(const kn_table *k, float *y, const void *x, kn_type type, size_t n)
{
	kn_load_fn *load = kn_load_of(k, type);
	if (load)
		load(y, x, n);
	else
		memcpy(y, x, n * sizeof *y);
}

sn_status vector_bind(const float **out, const model_file *f, arena *mem, const char *name, size_t n, sn_error *err)
{
	const file_tensor *t;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	uint64_t have = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
	if (have != n)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: %llu values, expected %zu", f->name, name, (unsigned long long)have, n);
	float *v = arena_array(mem, n, sizeof *v);
	if (!v)
		return error_set(err, SN_ERR_NOMEM, "%s: tensor %s: no memory for it", f->name, name);
	kn_table ref; /* conversion is exact: any variant gives the same */
	kn_select(&ref, KN_ISA_REF);
	to_floats(&ref, v, t->data, (kn_type)t->type, n);
	*out = v;
	return SN_OK;
}

sn_status weight_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      sn_error *err)
{
	const file_tensor *t;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	/* ne[] is fastest first: the outermost dimension counts the outputs, all others together the inputs. */
	uint64_t outs = t->ne[t->n_dims - 1], ins = 1;
	for (uint32_t d = 0; d + 1 < t->n_dims; d++)
		ins *= t->ne[d];
	if (outs != n_out || ins != n_in)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu], expected [%zu, %zu]", f->name, name,
		                 (unsigned long long)outs, (unsigned long long)ins, n_out, n_in);
	size_t stride = kn_row_bytes((kn_type)t->type, n_in);
	if (stride == 0 || t->ne[0] % storage_type_find(t->type)->block)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: rows of %zu values are not whole %s blocks", f->name, name, n_in,
		                 storage_type_find(t->type)->name);
	*w = (weight){.data = t->data, .type = (kn_type)t->type, .stride = stride, .n_out = n_out, .n_in = n_in};
	return bias ? vector_bind(&w->bias, f, mem, bias, n_out, err) : SN_OK;
}

sn_status weight_bind_page(weight *w, const model_file *f, const char *name, size_t page, size_t n_pages, size_t n_out, size_t n_in, sn_error *err)
{
	const file_tensor *t;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != n_in || t->ne[1] != n_out || t->ne[2] != n_pages || page >= n_pages)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_pages, n_out, n_in);
	size_t stride = kn_row_bytes((kn_type)t->type, n_in);
	if (stride == 0)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: rows of %zu values are not whole %s blocks", f->name, name, n_in,
		                 storage_type_find(t->type)->name);
	*w = (weight){.data = t->data + page * n_out * stride, .type = (kn_type)t->type, .stride = stride, .n_out = n_out, .n_in = n_in};
	return SN_OK;
}

sn_status conv1d_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      size_t taps, sn_error *err)
{
	const file_tensor *t;
	size_t columns;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != taps || t->ne[1] != n_in || t->ne[2] != n_out || taps == 0 || __builtin_mul_overflow(n_in, taps, &columns))
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_out, n_in, taps);
	if (kn_activation((kn_type)t->type) != KN_F32)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: a convolution stored as %s is not supported (F32, F16 and BF16 are)",
		                 f->name, name, storage_type_find(t->type)->name);
	*w = (weight){.data = t->data, .type = (kn_type)t->type, .stride = kn_row_bytes((kn_type)t->type, columns), .n_out = n_out,
	              .n_in = columns, .taps = taps};
	return bias ? vector_bind(&w->bias, f, mem, bias, n_out, err) : SN_OK;
}

sn_status conv_transpose1d_bind(weight *w, const model_file *f, arena *mem, const char *name, size_t n_in, size_t n_out, size_t taps,
                                sn_error *err)
{
	const file_tensor *t;
	size_t rows, values;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != taps || t->ne[1] != n_out || t->ne[2] != n_in || !taps || __builtin_mul_overflow(n_out, taps, &rows) ||
	    __builtin_mul_overflow(rows, n_in, &values))
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_in, n_out, taps);
	size_t each = kn_row_bytes((kn_type)t->type, 1); /* 0: values in blocks */
	if (!each)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: a convolution stored as %s is not supported (F32, F16 and BF16 are)",
		                 f->name, name, storage_type_find(t->type)->name);
	uint8_t *to = arena_array(mem, values, each);
	if (!to)
		return error_set(err, SN_ERR_NOMEM, "%s: tensor %s: no memory for it", f->name, name);
	const uint8_t *from = t->data;
	for (size_t in = 0; in < n_in; in++)
		for (size_t out = 0; out < n_out; out++)
			for (size_t i = 0; i < taps; i++)
				memcpy(to + ((i * n_out + out) * n_in + in) * each, from + ((in * n_out + out) * taps + i) * each, each);
	*w = (weight){.data = to, .type = (kn_type)t->type, .stride = n_in * each, .n_out = rows, .n_in = n_in};
	return SN_OK;
}

void weight_row(const ops *o, const weight *w, size_t row, float *out)
{
	to_floats(&o->k, out, (const uint8_t *)w->data + row * w->stride, w->type, w->n_in);
}
