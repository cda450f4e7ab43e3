/* encode.c - "sn.encode/1": the encoder as a job. whisper.h draws what is computed; here is how it is cut.
 *
 * begin computes the frames (kept in the state) and allocates tensors for ONE window. Then, window by window:
 *   per block:
 *     conv1   a few rows; the block's frames are written with the first ones
 *     conv2   a few rows, with their positions, into x
 *   per layer:
 *     qkv     LN1 and q, k, v of a few rows
 *     mix     attention of a few rows over their block's, output, LN2, feed-forward, both residuals
 *   project   a few of the rows that the language model gets
 * The host reads all rows at the end. A unit is sized by its arithmetic, from the config alone. A zero row stands before and after a
 * block's frames, and a block's conv1 rows: so every part of a convolution is one without padding.
 */
#include <math.h>

#include "whisper.h"

enum { N_TENSORS = 14 };

typedef enum stage { CONV1, CONV2, QKV, MIX, PROJECT } stage;

/* The next unit. */
typedef struct place {
	uint32_t window, block /* of the clip */, layer, row;
	uint32_t block_row; /* of the window: where the block begins */
	stage stage;
} place;

typedef struct job {
	whisper_cut cut;
	place at;
	whisper_window window; /* at.window's */
	uint32_t next, n_units, out_row; /* out_row: of the window's first row in rows */
	sn_tensor frames;   /* [1 + conv + 1][n_mels] */
	sn_tensor h;        /* [1 + conv + 1][D] */
	kit_stream t;       /* a window's rows; x: up to a whole stack */
	sn_tensor pooled;   /* [units.project][D] */
	sn_tensor stacked;  /* [units.project][D s] */
	sn_tensor first, gated; /* [units.project][hidden], [..][hidden / 2] */
	sn_tensor rows;     /* [n_rows][H] */
	const float *mel;   /* blocks of whisper_block_floats */
	const float *zeros; /* [D] */
} job;

typedef struct run {
	const whisper *w;
	job *j;
	kit_run kit;
} run;

/* ---- sizes ---- */

static uint32_t max_of(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t min_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void list_tensors(const whisper *w, const whisper_cut *cut, job *j, kit_tensor_size list[N_TENSORS])
{
	const whisper_config *c = &w->config;
	whisper_window win = whisper_window_of(w, cut, 0); /* no window is larger than the first */
	uint32_t conv = whisper_block_of(c, cut, 0).conv, out = min_of(w->units.project, win.out);
	uint32_t ab = min_of(max_of(w->units.qkv, w->units.mix), win.rows);
	bool gates = c->family->mlp == MLP_SWIGLU;
	const kit_tensor_size all[N_TENSORS] = {
	    {&j->frames, (uint64_t)conv + 2, c->n_mels},
	    {&j->h, (uint64_t)conv + 2, c->embd},
	    {&j->t.x, ((uint64_t)win.rows + c->stack - 1) / c->stack * c->stack, c->embd},
	    {&j->t.q, win.rows, c->embd},
	    {&j->t.k, win.rows, c->embd},
	    {&j->t.v, win.rows, c->embd},
	    {&j->t.a, ab, c->embd},
	    {&j->t.b, ab, c->embd},
	    {&j->t.up, min_of(w->units.mix, win.rows), c->ff},
	    {&j->pooled, c->family->means ? out : 0, c->embd},
	    {&j->stacked, gates ? out : 0, (uint64_t)c->embd * c->stack},
	    {&j->first, c->hidden ? out : 0, c->hidden},
	    {&j->gated, gates ? out : 0, c->hidden / 2},
	    {&j->rows, cut->n_rows, c->row_dim},
	};
	for (int i = 0; i < N_TENSORS; i++)
		list[i] = all[i];
}

bool whisper_job_bytes(const whisper *w, const whisper_cut *cut, uint64_t *state, uint64_t *tensors)
{
	job unused;
	kit_tensor_size list[N_TENSORS];
	*state = 0;
	list_tensors(w, cut, &unused, list);
	return kit_tensor_bytes(list, N_TENSORS, tensors) && kit_add_bytes(state, 1, sizeof(job)) &&
	       kit_add_bytes(state, w->config.embd, sizeof(float)) &&
	       kit_add_bytes(state, cut->n_blocks, whisper_block_floats(&w->config) * sizeof(float)) && *state <= SIZE_MAX / 2;
}

/* ---- begin ---- */

static void log_begin(const whisper *w, const sn_call *call, const job *j)
{
	kit_logf(&w->host, call, SN_HOST_INFO, "%.2f s in %u window%s, %u rows, %u units of work", (double)j->cut.n / SN_LOGMEL_RATE,
	         j->cut.n_windows, j->cut.n_windows == 1 ? "" : "s", j->cut.n_rows, j->n_units);
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *plan,
                   sn_fault *fault)
{
	const whisper *w = instance;
	job *j = state;
	uint64_t state_bytes, tensor_bytes, n_units;
	if (!w->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (media->kind != SN_MEDIA_AUDIO || !media->samples || !sn_media_sound(media) || media->rate != SN_LOGMEL_RATE ||
	    !whisper_cut_clip(&w->config, media->n_samples, &j->cut) || !whisper_job_bytes(w, &j->cut, &state_bytes, &tensor_bytes))
		return kit_fail(fault, SN_RC_INTERNAL, "the media is not a decoded sound");
	n_units = whisper_count_units(w, &j->cut);
	if (plan->state_bytes < state_bytes || plan->n_units != n_units || plan->n_rows != j->cut.n_rows)
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another sound");
	j->n_units = (uint32_t)n_units;
	j->window = whisper_window_of(w, &j->cut, 0);

	kit_tensor_size list[N_TENSORS];
	list_tensors(w, &j->cut, j, list);
	KIT_TRY(kit_alloc_tensors(w->host.ops, ctx, list, N_TENSORS, fault));
	uint8_t *zeros = (uint8_t *)state + kit_aligned(sizeof(job));
	float *mel = (float *)(void *)(zeros + kit_aligned(sizeof(float) * w->config.embd));
	j->zeros = (const float *)(const void *)zeros;
	j->mel = mel;
	sn_rc rc = whisper_compute_frames(w, &j->cut, media->samples, mel, fault);
	if (rc == SN_RC_OK)
		log_begin(w, call, j);
	return rc;
}

/* ---- stages: rows [first, first + n) ---- */

static sn_rc write_zeros(const run *r, const sn_tensor *t, uint32_t row)
{
	sn_tensor at = r->kit.ops->rows(t, row, 1);
	return r->kit.ops->write(r->kit.ctx, &at, r->j->zeros, r->kit.fault);
}

static sn_rc conv1(const run *r, const whisper_block *b, uint32_t first, uint32_t n)
{
	const sn_host_ops *ops = r->kit.ops;
	if (first == 0) {
		sn_tensor frames = ops->rows(&r->j->frames, 0, b->conv + 2);
		KIT_TRY(ops->write(r->kit.ctx, &frames, r->j->mel + r->j->at.block * whisper_block_floats(&r->w->config), r->kit.fault));
		KIT_TRY(write_zeros(r, &r->j->h, 0));
		KIT_TRY(write_zeros(r, &r->j->h, b->conv + 1));
	}
	sn_tensor x = ops->rows(&r->j->frames, first, n + WHISPER_TAPS - 1), y = ops->rows(&r->j->h, first + 1, n);
	return ops->conv1d(r->kit.ctx, &y, &x, r->w->conv1, 1, 0, SN_ACT_GELU_ERF, r->kit.fault);
}

/* Row t is made of rows 2 t - 1 .. 2 t + 1 of conv1, which begin one row down. */
static sn_rc conv2(const run *r, uint32_t first, uint32_t n)
{
	const sn_host_ops *ops = r->kit.ops;
	sn_tensor h = ops->rows(&r->j->h, 2 * first, 2 * n + 1), x = ops->rows(&r->j->t.x, r->j->at.block_row + first, n);
	sn_tensor positions = ops->rows(&r->w->positions, first, n);
	KIT_TRY(ops->conv1d(r->kit.ctx, &x, &h, r->w->conv2, 2, 0, SN_ACT_GELU_ERF, r->kit.fault));
	return ops->add(r->kit.ctx, &x, &x, &positions, r->kit.fault);
}

/* Rows see their own block. All of a window's blocks but the last are whole. */
static sn_rc attend(const run *r, const sn_tensor *out, uint32_t first, uint32_t n)
{
	const whisper_config *c = &r->w->config;
	const sn_host_ops *ops = r->kit.ops;
	float scale = 1.0f / sqrtf((float)(c->embd / c->heads));
	for (uint32_t row = first, end = first + n, m; row < end; row += m) {
		uint32_t i = row / c->block, start = i * c->block;
		m = min_of(end, start + c->block) - row;
		uint32_t keys = whisper_block_of(c, &r->j->cut, r->j->window.first + i).keys;
		sn_tensor y = ops->rows(out, row - first, m), q = ops->rows(&r->j->t.q, row, m);
		sn_tensor k = ops->rows(&r->j->t.k, start, keys), v = ops->rows(&r->j->t.v, start, keys);
		KIT_TRY(ops->attention(r->kit.ctx, &y, &q, &k, &v, c->heads, scale, r->kit.fault));
	}
	return SN_RC_OK;
}

static sn_rc mix(const run *r, const kit_layer *l, uint32_t first, uint32_t n)
{
	sn_tensor a = r->kit.ops->rows(&r->j->t.a, 0, n);
	KIT_TRY(attend(r, &a, first, n));
	return kit_mix(&r->kit, l, &r->j->t, first, n);
}

/* ---- projections ---- */

/* Post LN of the rows behind n stacks, zeros where the last one lacks rows: as [n][D s]. */
static sn_rc stack_rows(const run *r, uint32_t first, uint32_t n, sn_tensor *out)
{
	const whisper_config *c = &r->w->config;
	const sn_host_ops *ops = r->kit.ops;
	uint32_t from = first * c->stack, end = min_of((first + n) * c->stack, r->j->window.rows);
	sn_tensor x = ops->rows(&r->j->t.x, from, end - from), all = ops->rows(&r->j->t.x, from, (uint64_t)n * c->stack);
	KIT_TRY(kit_layer_norm(&r->kit, &x, &x, &r->w->post));
	for (uint32_t row = end; row < (first + n) * c->stack; row++)
		KIT_TRY(write_zeros(r, &r->j->t.x, row));
	*out = ops->reshape(&all, n, (uint64_t)c->embd * c->stack);
	return SN_RC_OK;
}

static sn_rc project(const run *r, uint32_t first, uint32_t n)
{
	const whisper_config *c = &r->w->config;
	const sn_host_ops *ops = r->kit.ops;
	const float rms_eps = 1e-6f;
	sn_tensor rows = ops->rows(&r->j->rows, (uint64_t)r->j->out_row + first, n), z, one, half;
	if (c->family->means) {
		sn_tensor x = ops->rows(&r->j->t.x, 2 * first, 2 * n), pooled = ops->rows(&r->j->pooled, 0, n);
		KIT_TRY(ops->mean_rows(r->kit.ctx, &pooled, &x, 2, r->kit.fault));
		KIT_TRY(kit_layer_norm(&r->kit, &pooled, &pooled, &r->w->post));
		return kit_linear(&r->kit, &rows, &pooled, r->w->linear1, SN_ACT_NONE);
	}
	if (c->family->mlp == MLP_NONE) {
		sn_tensor x = ops->rows(&r->j->t.x, first, n);
		return kit_layer_norm(&r->kit, &rows, &x, &r->w->post);
	}
	KIT_TRY(stack_rows(r, first, n, &z));
	one = ops->rows(&r->j->first, 0, n);
	if (c->family->mlp == MLP_GELU) {
		KIT_TRY(kit_linear(&r->kit, &one, &z, r->w->linear1, SN_ACT_GELU_ERF));
		return kit_linear(&r->kit, &rows, &one, r->w->linear2, SN_ACT_NONE);
	}
	sn_tensor normed = ops->rows(&r->j->stacked, 0, n);
	half = ops->rows(&r->j->gated, 0, n);
	KIT_TRY(ops->rms_norm(r->kit.ctx, &normed, &z, &r->w->norm_pre, rms_eps, r->kit.fault));
	KIT_TRY(kit_linear(&r->kit, &one, &normed, r->w->linear1, SN_ACT_NONE));
	sn_tensor up = ops->cols(&one, 0, c->hidden / 2), gate = ops->cols(&one, c->hidden / 2, c->hidden / 2);
	KIT_TRY(ops->gate(r->kit.ctx, &half, &gate, &up, SN_ACT_SILU, r->kit.fault));
	KIT_TRY(ops->rms_norm(r->kit.ctx, &half, &half, &r->w->norm_mid, rms_eps, r->kit.fault));
	return kit_linear(&r->kit, &rows, &half, r->w->linear2, SN_ACT_NONE);
}

/* ---- step ---- */

/* A stage's rows are done: what is next. */
static void advance(const whisper *w, job *j)
{
	const whisper_config *c = &w->config;
	place *p = &j->at;
	p->row = 0;
	switch (p->stage) {
	case CONV1:
		p->stage = CONV2;
		break;
	case CONV2:
		p->block_row += whisper_block_of(c, &j->cut, p->block).rows;
		p->stage = ++p->block < j->window.first + j->window.n_blocks ? CONV1 : QKV;
		break;
	case QKV:
		p->stage = MIX;
		break;
	case MIX:
		p->stage = ++p->layer < c->layers ? QKV : PROJECT;
		break;
	case PROJECT:
		j->out_row += j->window.out;
		*p = (place){.window = p->window + 1, .block = p->block, .stage = CONV1};
		if (p->window < j->cut.n_windows)
			j->window = whisper_window_of(w, &j->cut, p->window);
		break;
	}
}

static sn_rc run_unit(const run *r)
{
	const whisper *w = r->w;
	job *j = r->j;
	place *p = &j->at;
	whisper_block b = whisper_block_of(&w->config, &j->cut, p->block < j->cut.n_blocks ? p->block : 0);
	const uint32_t totals[] = {b.conv, b.rows, j->window.rows, j->window.rows, j->window.out};
	const uint32_t each[] = {w->units.conv1, w->units.conv2, w->units.qkv, w->units.mix, w->units.project};
	uint32_t first = p->row, n = min_of(each[p->stage], totals[p->stage] - first);
	switch (p->stage) {
	case CONV1:
		KIT_TRY(conv1(r, &b, first, n));
		break;
	case CONV2:
		KIT_TRY(conv2(r, first, n));
		break;
	case QKV:
		KIT_TRY(kit_qkv(&r->kit, &w->layers[p->layer], &j->t, first, n));
		break;
	case MIX:
		KIT_TRY(mix(r, &w->layers[p->layer], first, n));
		break;
	case PROJECT:
		KIT_TRY(project(r, first, n));
		break;
	}
	p->row += n;
	if (p->row >= totals[p->stage])
		advance(w, j);
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                  sn_fault *fault)
{
	(void)call;
	job *j = state;
	const whisper *w = instance;
	run r = {.w = w, .j = j, .kit = {.ops = w->host.ops, .ctx = ctx, .fault = fault, .eps = w->config.eps, .act = SN_ACT_GELU_ERF}};
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++)
		KIT_TRY(run_unit(&r));
	if (j->next < j->n_units)
		return SN_RC_AGAIN;
	KIT_TRY(r.kit.ops->read(ctx, &j->rows, rows, fault));
	return SN_RC_END;
}

const sn_ext_encode whisper_encode_ext = {.size = sizeof whisper_encode_ext, .begin = begin, .step = step, .end = kit_end_nothing};
