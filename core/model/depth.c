#include "model/depth.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* ---- binding ---- */

struct binder {
	depth *d;
	const model_file *f;
	arena *mem;
	ops *o;
	sn_error *err;
};

bool depth_is_in(const model_file *f)
{
	return file_tensor_find(f, "a.gen.code.output_norm.weight") != NULL;
}

static sn_status bind(const struct binder *b, weight *w, uint32_t at, const char *part, size_t n_out, size_t n_in)
{
	char name[64];
	snprintf(name, sizeof name, "a.gen.code.blk.%u.%s.weight", at, part);
	sn_status st = weight_bind(w, b->f, b->mem, name, NULL, n_out, n_in, b->err);
	return st ? st : ops_reserve(b->o, w, b->err);
}

static sn_status bind_norm(const struct binder *b, const float **v, uint32_t at, const char *part, size_t n)
{
	char name[64];
	snprintf(name, sizeof name, "a.gen.code.blk.%u.%s.weight", at, part);
	return vector_bind(v, b->f, b->mem, name, n, b->err);
}

static sn_status bind_layer(const struct binder *b, uint32_t i)
{
	const depth *d = b->d;
	depth_layer *l = &d->layers[i];
	size_t e = d->n_embd, q = (size_t)d->n_head * d->head_dim, kv = (size_t)d->n_kv_head * d->head_dim;
	const struct { const float **v; const char *part; size_t n; } norms[] = {
	    {&l->attn_norm, "ln1", e}, {&l->ffn_norm, "ln2", e}, {&l->q_norm, "attn_q_norm", d->head_dim}, {&l->k_norm, "attn_k_norm", d->head_dim}};
	const struct { weight *w; const char *part; size_t n_out, n_in; } parts[] = {
	    {&l->q, "attn_q", q, e}, {&l->k, "attn_k", kv, e}, {&l->v, "attn_v", kv, e}, {&l->o, "attn_out", e, q},
	    {&l->gate, "ffn_gate", d->n_ffn, e}, {&l->up, "ffn_up", d->n_ffn, e}, {&l->down, "ffn_down", e, d->n_ffn}};
	sn_status st = SN_OK;
	for (size_t p = 0; p < sizeof norms / sizeof *norms && !st; p++)
		st = bind_norm(b, norms[p].v, i, norms[p].part, norms[p].n);
	for (size_t p = 0; p < sizeof parts / sizeof *parts && !st; p++)
		st = bind(b, parts[p].w, i, parts[p].part, parts[p].n_out, parts[p].n_in);
	return st;
}

/* The table of one code, by itself or as a page of all. */
static sn_status bind_table(const struct binder *b, weight *w, const char *part, uint32_t i, size_t n_in)
{
	char name[64];
	snprintf(name, sizeof name, "a.gen.code.%s.weight", part);
	sn_status st;
	if (file_tensor_find(b->f, name)) {
		st = weight_bind_page(w, b->f, name, i, b->d->n_codes, b->d->n_values, n_in, b->err);
	} else {
		snprintf(name, sizeof name, "a.gen.code.%s.%u.weight", part, i);
		st = weight_bind(w, b->f, b->mem, name, NULL, b->d->n_values, n_in, b->err);
	}
	return st ? st : ops_reserve(b->o, w, b->err);
}

static sn_status bind_tables(const struct binder *b)
{
	depth *d = b->d;
	sn_status st = SN_OK;
	d->embed = arena_array(b->mem, d->n_codes, sizeof *d->embed);
	d->heads = arena_array(b->mem, d->n_codes, sizeof *d->heads);
	if (!d->embed || !d->heads)
		return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for the tables of %u codes", b->f->name, d->n_codes);
	for (uint32_t i = 0; i < d->n_codes && !st; i++) {
		st = bind_table(b, &d->embed[i], "embd", i, d->n_in);
		st = st ? st : bind_table(b, &d->heads[i], "head", i, d->n_embd);
	}
	return st;
}

static sn_status bind_in(const struct binder *b)
{
	static const char name[] = "a.gen.code.proj_in.weight";
	depth *d = b->d;
	if (!file_tensor_find(b->f, name))
		return d->n_in == d->n_embd ? SN_OK : error_set(b->err, SN_ERR_INVALID, "%s: tensor %s is missing: from %u to %u", b->f->name, name, d->n_in,
		                                                d->n_embd);
	const char *bias = file_tensor_find(b->f, "a.gen.code.proj_in.bias") ? "a.gen.code.proj_in.bias" : NULL;
	sn_status st = weight_bind(&d->in, b->f, b->mem, name, bias, d->n_embd, d->n_in, b->err);
	return st ? st : ops_reserve(b->o, &d->in, b->err);
}

/* How many codes there are, and of how many values each: the tables tell. */
static sn_status count_codes(const struct binder *b)
{
	const file_tensor *all = file_tensor_find(b->f, "a.gen.code.embd.weight"), *first = file_tensor_find(b->f, "a.gen.code.embd.0.weight");
	uint64_t n = all ? all->ne[2] : 0, values = all ? all->ne[1] : first ? first->ne[1] : 0;
	char name[64] = "a.gen.code.embd.0.weight";
	while (!all && file_tensor_find(b->f, name) && n <= DEPTH_MAX_CODES)
		snprintf(name, sizeof name, "a.gen.code.embd.%u.weight", (unsigned)++n);
	if (n == 0 || n > DEPTH_MAX_CODES || values == 0 || values > MAX_VOCAB)
		return error_set(b->err, SN_ERR_INVALID, "%s: tensor a.gen.code.embd.weight: %llu codes of %llu values (1 to %d of 1 to %d)", b->f->name,
		                 (unsigned long long)n, (unsigned long long)values, DEPTH_MAX_CODES, MAX_VOCAB);
	b->d->n_codes = (uint32_t)n;
	b->d->n_values = (uint32_t)values;
	return SN_OK;
}

static sn_status read_sizes(const struct binder *b)
{
	depth *d = b->d;
	const struct { const char *key; uint32_t max, *out; } sizes[] = {
	    {"clip.gen.audio.embedding_length", MAX_WIDTH, &d->n_embd}, {"clip.gen.audio.feed_forward_length", MAX_FFN, &d->n_ffn},
	    {"clip.gen.audio.block_count", MAX_LAYERS, &d->n_layers},   {"clip.gen.audio.attention.head_count", MAX_HEADS, &d->n_head},
	    {"clip.gen.audio.attention.head_count_kv", MAX_HEADS, &d->n_kv_head}};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (!file_u32(b->f, sizes[i].key, sizes[i].out) || *sizes[i].out == 0 || *sizes[i].out > sizes[i].max)
			return error_set(b->err, SN_ERR_INVALID, "%s: key %s is missing or not an integer from 1 to %u", b->f->name, sizes[i].key, sizes[i].max);
	if (!file_f32(b->f, "clip.gen.audio.attention.layer_norm_epsilon", &d->norm_eps) || !(d->norm_eps > 0) || !(d->norm_eps <= 1))
		return error_set(b->err, SN_ERR_INVALID, "%s: key clip.gen.audio.attention.layer_norm_epsilon is missing or not a number above 0", b->f->name);
	const file_tensor *norm = file_tensor_find(b->f, "a.gen.code.blk.0.attn_q_norm.weight"); /* GGUF files have no key for it */
	if (d->n_head % d->n_kv_head || !norm || norm->ne[0] == 0 || norm->ne[0] > MAX_HEAD_DIM || norm->ne[0] % 2)
		return error_set(b->err, SN_ERR_INVALID, "%s: tensor a.gen.code.blk.0.attn_q_norm.weight: %u heads, %u of K and V, of %llu channels", b->f->name,
		                 d->n_head, d->n_kv_head, norm ? (unsigned long long)norm->ne[0] : 0);
	d->head_dim = (uint32_t)norm->ne[0];
	return SN_OK;
}

/* The angles of all rows that there ever are. */
static sn_status make_angles(const struct binder *b)
{
	depth *d = b->d;
	uint32_t half = d->head_dim / 2;
	float base = 1e6f; /* where GGUF files do not say, as llama.cpp has it */
	if (file_key_find(b->f, "clip.gen.audio.rope.freq_base") && (!file_f32(b->f, "clip.gen.audio.rope.freq_base", &base) || !(base > 1)))
		return error_set(b->err, SN_ERR_INVALID, "%s: key clip.gen.audio.rope.freq_base is not a number above 1", b->f->name);
	d->cos_sin = arena_array(b->mem, (size_t)(d->n_codes + 1) * d->head_dim, sizeof *d->cos_sin);
	if (!d->cos_sin)
		return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for rope frequencies", b->f->name);
	for (uint32_t r = 0; r <= d->n_codes; r++)
		for (uint32_t i = 0; i < half; i++) {
			float angle = (float)r * powf(base, -2.0f * (float)i / (float)d->head_dim);
			d->cos_sin[r * d->head_dim + i] = cosf(angle);
			d->cos_sin[r * d->head_dim + half + i] = sinf(angle);
		}
	return SN_OK;
}

sn_status depth_bind(depth **out, const model_file *f, arena *mem, uint32_t n_in, ops *o, sn_error *err)
{
	struct binder b = {arena_alloc(mem, sizeof(depth)), f, mem, o, err};
	if (!b.d)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for a depth transformer", f->name);
	b.d->n_in = n_in;
	sn_status st = read_sizes(&b);
	if (!st)
		st = count_codes(&b);
	if (!st && !(b.d->layers = arena_array(mem, b.d->n_layers, sizeof *b.d->layers)))
		st = error_set(err, SN_ERR_NOMEM, "%s: no memory for %u layers", f->name, b.d->n_layers);
	for (uint32_t i = 0; !st && i < b.d->n_layers; i++)
		st = bind_layer(&b, i);
	if (!st)
		st = vector_bind(&b.d->output_norm, f, mem, "a.gen.code.output_norm.weight", b.d->n_embd, err);
	if (!st)
		st = bind_in(&b);
	if (!st)
		st = bind_tables(&b);
	if (!st)
		st = make_angles(&b);
	*out = b.d;
	return st;
}

/* ---- room ---- */

/* Of n frames. Rows of a pass stand frame by frame; a frame's cache is [n_layers][K, V][n_kv_head][n_keys][head_dim]. */
struct room {
	float *in;          /* [2 n, n_in] */
	float *x, *h;       /* [2 n, n_embd] */
	float *q, *attn;    /* [2 n, n_head * head_dim] */
	float *kv;          /* [2 n, n_kv_head * head_dim] */
	float *gate, *up;   /* [2 n, n_ffn] */
	float *last;        /* [n, n_embd] */
	float *logits;      /* [n, n_values] */
	float *angles;      /* [2 n, head_dim] */
	float *cache;       /* [n] frames */
};

enum { N_PARTS = 12 };

static size_t keys_of(const depth *d)
{
	return ((size_t)d->n_codes + 1 + KN_KEY_TILE - 1) / KN_KEY_TILE * KN_KEY_TILE;
}

static size_t head_floats(const depth *d)
{
	return keys_of(d) * d->head_dim;
}

static size_t frame_floats(const depth *d)
{
	return (size_t)d->n_layers * 2 * d->n_kv_head * head_floats(d);
}

/* Lays it out from `at` on, which may be NULL. Returns the floats that it takes, or SIZE_MAX. */
static size_t lay_out(struct room *r, const depth *d, float *at, uint32_t n)
{
	size_t q = (size_t)d->n_head * d->head_dim, kv = (size_t)d->n_kv_head * d->head_dim, sum = 0;
	const struct { float **p; size_t each; } parts[N_PARTS] = {
	    {&r->in, 2 * (size_t)d->n_in}, {&r->x, 2 * (size_t)d->n_embd}, {&r->h, 2 * (size_t)d->n_embd}, {&r->q, 2 * q}, {&r->attn, 2 * q}, {&r->kv, 2 * kv},
	    {&r->gate, 2 * (size_t)d->n_ffn}, {&r->up, 2 * (size_t)d->n_ffn}, {&r->last, d->n_embd}, {&r->logits, d->n_values},
	    {&r->angles, 2 * (size_t)d->head_dim}, {&r->cache, frame_floats(d)}};
	for (size_t i = 0; i < N_PARTS; i++) {
		size_t floats;
		*parts[i].p = at ? at + sum : NULL;
		if (__builtin_mul_overflow(parts[i].each, (size_t)n, &floats) || __builtin_add_overflow(sum, (floats + 15) / 16 * 16, &sum))
			return SIZE_MAX;
	}
	return sum;
}

size_t depth_bytes(const depth *d, uint32_t n_frames)
{
	struct room r;
	size_t n = lay_out(&r, d, NULL, n_frames);
	return n > SIZE_MAX / sizeof(float) ? SIZE_MAX : n * sizeof(float);
}

/* ---- running ---- */

/* Rows [first, first + n_rows) of every frame. */
struct pass {
	const depth *d;
	ops *o;
	struct room *r;
	uint32_t n_frames, first, n_rows, layer;
};

static float *cache_of(const struct pass *p, uint32_t frame, bool v, uint32_t kv_head)
{
	const depth *d = p->d;
	return p->r->cache + frame * frame_floats(d) + (((size_t)p->layer * 2 + v) * d->n_kv_head + kv_head) * head_floats(d);
}

static void store(const struct pass *p, bool v)
{
	const depth *d = p->d;
	for (uint32_t f = 0; f < p->n_frames; f++)
		for (uint32_t i = 0; i < p->n_rows; i++)
			for (uint32_t h = 0; h < d->n_kv_head; h++)
				memcpy(cache_of(p, f, v, h) + (size_t)(p->first + i) * d->head_dim,
				       p->r->kv + (((size_t)f * p->n_rows + i) * d->n_kv_head + h) * d->head_dim, d->head_dim * sizeof(float));
}

/* One head of K and V of one frame: paged attention over the frame's own cache, as a single page. */
static void attend(void *ctx, size_t chunk, size_t thread)
{
	const struct pass *p = ctx;
	(void)thread;
	const depth *d = p->d;
	uint32_t f = (uint32_t)(chunk / d->n_kv_head), h = (uint32_t)(chunk % d->n_kv_head), begin[2] = {0, 0};
	const uint32_t end[2] = {p->first + 1, p->first + 2}, page = 0;
	size_t ld = (size_t)d->n_head * d->head_dim, n_group = d->n_head / d->n_kv_head;
	size_t at = (size_t)f * p->n_rows * ld + h * n_group * d->head_dim;
	const float *k = cache_of(p, f, false, h), *v = cache_of(p, f, true, h);
	p->o->k.attn_paged_f32(&(kn_attn_paged_args){
	    .out = p->r->attn + at, .q = p->r->q + at, .ld_out = ld, .ld_q = ld, .n_rows = p->n_rows, .n_group = n_group, .head_dim = d->head_dim,
	    .arena = (const uint8_t *)k, .pages = &page, .block_tokens = keys_of(d), .token_bytes = d->head_dim * sizeof(float),
	    .v_offset = (size_t)(v - k) * sizeof(float), .key_begin = begin, .key_end = end, .scale = 1.0f / sqrtf((float)d->head_dim)});
}

static void turn(const struct pass *p, float *x, const float *norm, uint32_t n_heads, size_t rows)
{
	const depth *d = p->d;
	ops_rms_norm(p->o, x, d->head_dim, x, d->head_dim, norm, d->norm_eps, rows * n_heads, d->head_dim);
	p->o->k.rope(x, (size_t)n_heads * d->head_dim, p->r->angles, rows, n_heads, d->head_dim, d->head_dim, true);
}

static void run_layer(struct pass *p, uint32_t i)
{
	const depth *d = p->d;
	const depth_layer *l = &d->layers[i];
	struct room *r = p->r;
	size_t n = (size_t)p->n_frames * p->n_rows, e = d->n_embd, q = (size_t)d->n_head * d->head_dim, kv = (size_t)d->n_kv_head * d->head_dim;
	p->layer = i;
	ops_rms_norm(p->o, r->h, e, r->x, e, l->attn_norm, d->norm_eps, n, e);
	ops_linear(p->o, r->q, q, r->h, e, n, &l->q, ACT_NONE);
	turn(p, r->q, l->q_norm, d->n_head, n);
	ops_linear(p->o, r->kv, kv, r->h, e, n, &l->k, ACT_NONE);
	turn(p, r->kv, l->k_norm, d->n_kv_head, n);
	store(p, false);
	ops_linear(p->o, r->kv, kv, r->h, e, n, &l->v, ACT_NONE);
	store(p, true);
	pool_run(p->o->pool, attend, p, (size_t)p->n_frames * d->n_kv_head);
	ops_linear(p->o, r->h, e, r->attn, q, n, &l->o, ACT_NONE);
	ops_add(p->o, r->x, e, r->x, e, r->h, e, n, e);
	ops_rms_norm(p->o, r->h, e, r->x, e, l->ffn_norm, d->norm_eps, n, e);
	ops_linear(p->o, r->gate, d->n_ffn, r->h, e, n, &l->gate, ACT_NONE);
	ops_linear(p->o, r->up, d->n_ffn, r->h, e, n, &l->up, ACT_NONE);
	ops_gate(p->o, r->gate, d->n_ffn, r->gate, d->n_ffn, r->up, d->n_ffn, n, d->n_ffn, ACT_SILU);
	ops_linear(p->o, r->h, e, r->gate, d->n_ffn, n, &l->down, ACT_NONE);
	ops_add(p->o, r->x, e, r->x, e, r->h, e, n, e);
}

/* From r->in to the logits of each frame's last row. */
static void run_pass(struct pass *p, const weight *head)
{
	const depth *d = p->d;
	struct room *r = p->r;
	size_t n = (size_t)p->n_frames * p->n_rows, e = d->n_embd;
	if (d->in.data)
		ops_linear(p->o, r->x, e, r->in, d->n_in, n, &d->in, ACT_NONE);
	else
		memcpy(r->x, r->in, n * e * sizeof *r->x);
	for (size_t i = 0; i < n; i++)
		memcpy(r->angles + i * d->head_dim, d->cos_sin + (p->first + i % p->n_rows) * d->head_dim, d->head_dim * sizeof *r->angles);
	for (uint32_t i = 0; i < d->n_layers; i++)
		run_layer(p, i);
	for (uint32_t f = 0; f < p->n_frames; f++)
		memcpy(r->last + f * e, r->x + ((size_t)(f + 1) * p->n_rows - 1) * e, e * sizeof *r->last);
	ops_rms_norm(p->o, r->last, e, r->last, e, d->output_norm, d->norm_eps, p->n_frames, e);
	ops_linear(p->o, r->logits, d->n_values, r->last, e, p->n_frames, head, ACT_NONE);
}

void depth_run(const model *m, ops *o, void *room, const depth_frame *frames, uint32_t n_frames, depth_pick how)
{
	const depth *d = m->depth;
	struct room r;
	lay_out(&r, d, room, n_frames);
	for (uint32_t f = 0; f < n_frames; f++) {
		memcpy(r.in + (size_t)2 * f * d->n_in, frames[f].hidden, d->n_in * sizeof *r.in);
		model_embedding(m, o, frames[f].token, r.in + ((size_t)2 * f + 1) * d->n_in);
	}
	for (uint32_t i = 0; i < d->n_codes; i++) {
		struct pass p = {.d = d, .o = o, .r = &r, .n_frames = n_frames, .first = i ? i + 1 : 0, .n_rows = i ? 1 : 2};
		run_pass(&p, &d->heads[i]);
		for (uint32_t f = 0; f < n_frames; f++) {
			frames[f].codes[i] = (int32_t)how.pick(how.ctx, f, i, r.logits + (size_t)f * d->n_values);
			weight_row(o, &d->embed[i], (size_t)frames[f].codes[i], r.in + (size_t)f * d->n_in);
		}
	}
}
