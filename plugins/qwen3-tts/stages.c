/* stages.c - what each stage computes. qwen3_tts.h draws it; synth.c says for which streams and rows. */
#include <math.h>

#include "qwen3_tts.h"

#define TRY(call)                                                                                                        \
	do {                                                                                                                 \
		sn_rc try_rc = (call);                                                                                           \
		if (try_rc != SN_RC_OK)                                                                                          \
			return try_rc;                                                                                               \
	} while (0)

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

tts_scratch tts_scratch_of(const tts *s, const tts_stage *g, uint64_t streams, uint64_t rows)
{
	const tts_config *c = &s->config;
	uint64_t all = streams * rows, kv = (uint64_t)c->heads * c->head_dim, half = c->codebook_dim / 2;
	switch (g->kind) {
	case STAGE_QUANT:
		return (tts_scratch){all * half, all * half, all * c->codebook_dim, all * c->codebook_dim};
	case STAGE_LAYER:
		return (tts_scratch){max_of(all * c->hidden, 2 * (c->window - 1 + rows) * kv), all * max_of(kv, c->ff), all * max_of(kv, c->ff),
		                     all * max_of(kv, c->hidden)};
	case STAGE_TFM_OUT:
		return (tts_scratch){.a = all * g->in};
	case STAGE_SPREAD:
		return (tts_scratch){.a = all * g->stride * g->out};
	case STAGE_NEXT:
		return (tts_scratch){.a = all * g->in, .b = all * 4 * g->in};
	case STAGE_UP:
		return (tts_scratch){.a = all * g->in, .b = all * 2 * g->stride * g->out, .c = (rows + 1) * g->stride * g->out};
	case STAGE_UNIT:
		return (tts_scratch){.a = max_of(all, rows + g->held) * g->in, .b = all * g->in};
	case STAGE_OUT:
		return (tts_scratch){.a = (rows + g->held) * g->in, .b = rows};
	default:
		return (tts_scratch){0};
	}
}

/* ---- rows ---- */

static uint64_t fresh(const tts_run *r)
{
	return tts_fresh(r->g, r->j->n_frames);
}

static uint64_t all_rows(const tts_run *r)
{
	return (uint64_t)(r->end - r->first) * r->rows;
}

static sn_tensor matrix(const tts_run *r, const sn_tensor *flat, uint64_t at, uint64_t rows, uint64_t cols)
{
	sn_tensor v = r->s->host.ops->cols(flat, at * cols, rows * cols);
	return r->s->host.ops->reshape(&v, rows, cols);
}

/* Rows [at, at + n) of a stream's window. */
static sn_tensor window(const tts_run *r, uint32_t stream, uint64_t at, uint64_t n)
{
	return matrix(r, &r->from, stream * (r->g->held + fresh(r)) + at, n, r->g->in);
}

/* The unit's rows where nothing is held: those of all its streams, one after the other. */
static sn_tensor input(const tts_run *r)
{
	return matrix(r, &r->from, r->first * fresh(r) + r->row, all_rows(r), r->g->in);
}

/* Where a stream's output goes: fresh rows of the next stage's window. */
static sn_tensor target(const tts_run *r, uint32_t stream)
{
	const tts_stage *next = r->g + 1;
	uint64_t at = stream * (next->held + tts_fresh(next, r->j->n_frames)) + next->held + (uint64_t)r->row * r->g->stride;
	return matrix(r, &r->to, at, (uint64_t)r->rows * r->g->stride, r->g->out);
}

/* The same for all of the unit's streams, where the next stage holds nothing. */
static sn_tensor output(const tts_run *r)
{
	return matrix(r, &r->to, (r->first * fresh(r) + r->row) * r->g->stride, all_rows(r) * r->g->stride, r->g->out);
}

static sn_tensor part_of(const tts_run *r, const sn_tensor *all, uint32_t stream)
{
	return r->s->host.ops->rows(all, (uint64_t)(stream - r->first) * r->rows, r->rows);
}

static float *carry_of(const tts_run *r, uint32_t stream)
{
	return (float *)r->j->chunks[stream].stream + r->g->carry;
}

/* Puts what is held before the fresh rows, and keeps for the stream what the next chunk will look at. Once for each chunk. */
static sn_rc complete(const tts_run *r, uint32_t stream)
{
	if (r->row || !r->g->held)
		return SN_RC_OK;
	sn_tensor head = window(r, stream, 0, r->g->held), tail = window(r, stream, fresh(r), r->g->held);
	TRY(r->s->host.ops->write(r->ctx, &head, carry_of(r, stream), r->fault));
	return r->s->host.ops->read(r->ctx, &tail, carry_of(r, stream), r->fault);
}

static sn_rc linear(const tts_run *r, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act)
{
	return r->s->host.ops->linear(r->ctx, y, x, w, act, r->fault);
}

static sn_rc copy(const tts_run *r, const sn_tensor *y, const sn_tensor *x)
{
	return r->s->host.ops->scale(r->ctx, y, x, NULL, NULL, SN_ACT_NONE, r->fault);
}

static sn_rc snake(const tts_run *r, const sn_tensor *y, const sn_tensor *x, const tts_snake *k)
{
	return r->s->host.ops->snake(r->ctx, y, x, &k->alpha, &k->beta, r->fault);
}

static sn_rc convolve(const tts_run *r, const sn_tensor *y, const sn_tensor *x, const sn_weight *w)
{
	return r->s->host.ops->conv1d_dilated(r->ctx, y, x, w, r->g->dilation, SN_ACT_NONE, r->fault);
}

/* y += scale * x; x is used up. */
static sn_rc add_scaled(const tts_run *r, const sn_tensor *sum, const sn_tensor *y, const sn_tensor *x, const sn_tensor *scale)
{
	TRY(r->s->host.ops->scale(r->ctx, x, x, scale, NULL, SN_ACT_NONE, r->fault));
	return r->s->host.ops->add(r->ctx, sum, y, x, r->fault);
}

/* ---- codes ---- */

static sn_rc look_up(const tts_run *r, uint32_t book, const sn_tensor *y)
{
	const uint32_t n = r->j->n_frames, n_codes = r->s->config.n_codes;
	for (uint64_t k = 0; k < all_rows(r); k++)
		r->j->ids[k] = r->j->chunks[r->first + k / n].codes[k % n * n_codes + book];
	return r->s->host.ops->gather(r->ctx, y, &r->s->codebooks[book], r->j->ids, r->fault);
}

static sn_rc quantised(const tts_run *r)
{
	const tts *s = r->s;
	const tts_config *c = &s->config;
	uint64_t n = all_rows(r), half = c->codebook_dim / 2;
	sn_tensor first = matrix(r, &r->j->a, 0, n, half), rest = matrix(r, &r->j->b, 0, n, half), more = matrix(r, &r->j->c, 0, n, half);
	sn_tensor z = matrix(r, &r->j->d, 0, n, c->codebook_dim), other = matrix(r, &r->j->c, 0, n, c->codebook_dim);
	TRY(look_up(r, 0, &first));
	TRY(look_up(r, 1, &rest));
	for (uint32_t book = 2; book < c->n_codes; book++) {
		TRY(look_up(r, book, &more));
		TRY(s->host.ops->add(r->ctx, &rest, &rest, &more, r->fault));
	}
	TRY(linear(r, &z, &first, s->first, SN_ACT_NONE));
	TRY(linear(r, &other, &rest, s->rest, SN_ACT_NONE));
	TRY(s->host.ops->add(r->ctx, &z, &z, &other, r->fault));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor part = part_of(r, &z, i), to = window(r, i, r->g->held, r->rows), x = window(r, i, 0, r->g->held + r->rows), y = target(r, i);
		TRY(copy(r, &to, &part));
		TRY(complete(r, i));
		TRY(convolve(r, &y, &x, s->pre));
	}
	return SN_RC_OK;
}

/* ---- transformer ---- */

/* One stream's rows: keys and values that it carries, then its own; out: the attention's, over the keys' place. */
static sn_rc attend(const tts_run *r, uint32_t stream, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v)
{
	const sn_host_ops *ops = r->s->host.ops;
	const tts_config *c = &r->s->config;
	uint64_t kv = (uint64_t)c->heads * c->head_dim, n = r->rows, before = r->j->chunks[stream].first_frame, most = c->window - 1;
	uint64_t kept = before < most ? before : most, keep = before + n < most ? before + n : most;
	float *keys = carry_of(r, stream), *values = keys + most * kv;
	sn_tensor all_k = matrix(r, &r->j->a, 0, kept + n, kv), all_v = matrix(r, &r->j->a, kept + n, kept + n, kv);
	const struct { sn_tensor *all; const sn_tensor *own; float *carried; } both[] = {{&all_k, k, keys}, {&all_v, v, values}};
	for (int i = 0; i < 2; i++) {
		sn_tensor head = ops->rows(both[i].all, 0, kept), own = ops->rows(both[i].all, kept, n), tail = ops->rows(both[i].all, kept + n - keep, keep);
		if (kept)
			TRY(ops->write(r->ctx, &head, both[i].carried, r->fault));
		TRY(copy(r, &own, both[i].own));
		if (keep)
			TRY(ops->read(r->ctx, &tail, both[i].carried, r->fault));
	}
	return ops->attention_causal(r->ctx, k, q, &all_k, &all_v, c->heads, 1.0f / sqrtf((float)c->head_dim), kept, c->window, r->fault);
}

static sn_rc layer(const tts_run *r)
{
	const sn_host_ops *ops = r->s->host.ops;
	const tts_config *c = &r->s->config;
	const tts_layer *l = &r->s->layers[r->g->i];
	uint64_t n = all_rows(r), kv = (uint64_t)c->heads * c->head_dim;
	sn_tensor x = input(r), y = output(r), normed = matrix(r, &r->j->a, 0, n, c->hidden), change = matrix(r, &r->j->d, 0, n, c->hidden);
	sn_tensor q = matrix(r, &r->j->b, 0, n, kv), k = matrix(r, &r->j->c, 0, n, kv), v = matrix(r, &r->j->d, 0, n, kv);
	sn_tensor gate = matrix(r, &r->j->b, 0, n, c->ff), up = matrix(r, &r->j->c, 0, n, c->ff);
	TRY(ops->rms_norm(r->ctx, &normed, &x, &l->norm1, c->eps, r->fault));
	TRY(linear(r, &q, &normed, l->q, SN_ACT_NONE));
	TRY(linear(r, &k, &normed, l->k, SN_ACT_NONE));
	TRY(linear(r, &v, &normed, l->v, SN_ACT_NONE));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor qi = part_of(r, &q, i), ki = part_of(r, &k, i), vi = part_of(r, &v, i);
		TRY(ops->rope(r->ctx, &qi, &qi, c->head_dim, c->theta, r->j->chunks[i].first_frame, r->fault));
		TRY(ops->rope(r->ctx, &ki, &ki, c->head_dim, c->theta, r->j->chunks[i].first_frame, r->fault));
		TRY(attend(r, i, &qi, &ki, &vi));
	}
	TRY(linear(r, &change, &k, l->o, SN_ACT_NONE));
	TRY(add_scaled(r, &y, &x, &change, &l->scale1));
	TRY(ops->rms_norm(r->ctx, &normed, &y, &l->norm2, c->eps, r->fault));
	TRY(linear(r, &gate, &normed, l->gate, SN_ACT_NONE));
	TRY(linear(r, &up, &normed, l->up, SN_ACT_NONE));
	TRY(ops->gate(r->ctx, &gate, &gate, &up, SN_ACT_SILU, r->fault));
	TRY(linear(r, &change, &gate, l->down, SN_ACT_NONE));
	return add_scaled(r, &y, &y, &change, &l->scale2);
}

/* ---- upsampling by ratios ---- */

/* As many taps as rows: nothing overlaps, so a product's row is the rows that it becomes. */
static sn_rc spread(const tts_run *r)
{
	const tts_next *n = &r->s->nexts[r->g->i];
	sn_tensor x = input(r), wide = matrix(r, &r->j->a, 0, all_rows(r), (uint64_t)r->g->stride * r->g->out);
	TRY(linear(r, &wide, &x, n->up, SN_ACT_NONE));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor part = part_of(r, &wide, i), y = target(r, i), narrow = r->s->host.ops->reshape(&part, (uint64_t)r->rows * r->g->stride, r->g->out);
		TRY(r->s->host.ops->scale(r->ctx, &y, &narrow, NULL, &n->up_bias, SN_ACT_NONE, r->fault));
	}
	return SN_RC_OK;
}

static sn_rc next_block(const tts_run *r)
{
	const sn_host_ops *ops = r->s->host.ops;
	const tts_next *n = &r->s->nexts[r->g->i];
	const float norm_eps = 1e-6f;
	sn_tensor x = matrix(r, &r->j->a, 0, all_rows(r), r->g->in), wide = matrix(r, &r->j->b, 0, all_rows(r), 4 * (uint64_t)r->g->in);
	for (uint32_t i = r->first; i < r->end; i++) {
		TRY(complete(r, i));
		sn_tensor seen = window(r, i, r->row, r->rows + r->g->held), part = part_of(r, &x, i);
		TRY(ops->conv1d_depthwise(r->ctx, &part, &seen, &n->dw, &n->dw_bias, r->g->dilation, r->fault));
	}
	TRY(ops->layer_norm(r->ctx, &x, &x, &n->norm, &n->norm_bias, norm_eps, r->fault));
	TRY(linear(r, &wide, &x, n->pw1, SN_ACT_GELU_ERF));
	TRY(linear(r, &x, &wide, n->pw2, SN_ACT_NONE));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor part = part_of(r, &x, i), same = window(r, i, r->g->held + r->row, r->rows), y = target(r, i);
		TRY(add_scaled(r, &y, &same, &part, &n->gamma));
	}
	return SN_RC_OK;
}

/* ---- decoder ---- */

static sn_rc enter(const tts_run *r)
{
	for (uint32_t i = r->first; i < r->end; i++) {
		TRY(complete(r, i));
		sn_tensor x = window(r, i, r->row, r->rows + r->g->held), y = target(r, i);
		TRY(convolve(r, &y, &x, r->s->dec_in));
	}
	return SN_RC_OK;
}

/* Sums that are complete go on, the last ones stay in the stream. */
static sn_rc overlap(const tts_run *r, const tts_block *b, uint32_t stream, const sn_tensor *wide)
{
	const sn_host_ops *ops = r->s->host.ops;
	uint32_t stride = r->g->stride;
	uint64_t rows = (uint64_t)r->rows * stride;
	sn_tensor sums = matrix(r, &r->j->c, 0, rows + stride, r->g->out), head = ops->rows(&sums, 0, stride), tail = ops->rows(&sums, rows, stride);
	sn_tensor whole = ops->rows(&sums, 0, rows), y = target(r, stream);
	TRY(ops->gather(r->ctx, &sums, &b->up_bias, r->j->zero_ids, r->fault));
	if (r->j->chunks[stream].first_frame)
		TRY(ops->write(r->ctx, &head, carry_of(r, stream), r->fault));
	TRY(ops->overlap_add(r->ctx, &sums, wide, 2 * stride, stride, r->fault));
	TRY(ops->read(r->ctx, &tail, carry_of(r, stream), r->fault));
	return copy(r, &y, &whole);
}

static sn_rc upsample(const tts_run *r)
{
	const tts_block *b = &r->s->blocks[r->g->i];
	sn_tensor x = input(r), y = matrix(r, &r->j->a, 0, all_rows(r), r->g->in);
	sn_tensor wide = matrix(r, &r->j->b, 0, all_rows(r), 2 * (uint64_t)r->g->stride * r->g->out);
	TRY(snake(r, &y, &x, &b->snake));
	TRY(linear(r, &wide, &y, b->up, SN_ACT_NONE));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor part = part_of(r, &wide, i);
		TRY(overlap(r, b, i, &part));
	}
	return SN_RC_OK;
}

static sn_rc residual(const tts_run *r)
{
	const tts_unit *u = &r->s->blocks[r->g->i].units[r->g->unit];
	sn_tensor x = matrix(r, &r->j->b, 0, all_rows(r), r->g->in), y = matrix(r, &r->j->a, 0, all_rows(r), r->g->in);
	for (uint32_t i = r->first; i < r->end; i++) {
		TRY(complete(r, i));
		sn_tensor seen = window(r, i, r->row, r->rows + r->g->held), turned = matrix(r, &r->j->a, 0, r->rows + r->g->held, r->g->in);
		sn_tensor part = part_of(r, &x, i);
		TRY(snake(r, &turned, &seen, &u->snake1));
		TRY(convolve(r, &part, &turned, u->conv1));
	}
	TRY(snake(r, &x, &x, &u->snake2));
	TRY(linear(r, &y, &x, u->conv2, SN_ACT_NONE));
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_tensor part = part_of(r, &y, i), same = window(r, i, r->g->held + r->row, r->rows), to = target(r, i);
		TRY(r->s->host.ops->add(r->ctx, &to, &part, &same, r->fault));
	}
	return SN_RC_OK;
}

static sn_rc leave(const tts_run *r)
{
	for (uint32_t i = r->first; i < r->end; i++) {
		sn_synth_chunk *chunk = &r->j->chunks[i];
		TRY(complete(r, i));
		sn_tensor seen = window(r, i, r->row, r->rows + r->g->held), turned = matrix(r, &r->j->a, 0, r->rows + r->g->held, r->g->in);
		sn_tensor y = matrix(r, &r->j->b, 0, r->rows, 1);
		TRY(snake(r, &turned, &seen, &r->s->out_snake));
		TRY(convolve(r, &y, &turned, r->s->out));
		TRY(r->s->host.ops->read(r->ctx, &y, chunk->pcm + r->row, r->fault));
		for (uint32_t k = r->row; k < r->row + r->rows; k++)
			chunk->pcm[k] = chunk->pcm[k] > 1 ? 1 : chunk->pcm[k] < -1 ? -1 : chunk->pcm[k];
		chunk->n_samples = r->row + r->rows;
	}
	return SN_RC_OK;
}

sn_rc tts_run_stage(const tts_run *r)
{
	sn_tensor x, y, normed;
	switch (r->g->kind) {
	case STAGE_QUANT: return quantised(r);
	case STAGE_TFM_IN:
		x = input(r);
		y = output(r);
		return linear(r, &y, &x, r->s->tfm_in, SN_ACT_NONE);
	case STAGE_LAYER: return layer(r);
	case STAGE_TFM_OUT:
		x = input(r);
		y = output(r);
		normed = matrix(r, &r->j->a, 0, all_rows(r), r->g->in);
		TRY(r->s->host.ops->rms_norm(r->ctx, &normed, &x, &r->s->tfm_norm, r->s->config.eps, r->fault));
		return linear(r, &y, &normed, r->s->tfm_out, SN_ACT_NONE);
	case STAGE_SPREAD: return spread(r);
	case STAGE_NEXT: return next_block(r);
	case STAGE_DEC_IN: return enter(r);
	case STAGE_UP: return upsample(r);
	case STAGE_UNIT: return residual(r);
	case STAGE_OUT: return leave(r);
	}
	return kit_fail(r->fault, SN_RC_INTERNAL, "an unknown stage");
}
