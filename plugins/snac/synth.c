/* synth.c - "sn.synth/1": the decoder as a job over many streams. snac.h draws what is computed, spans.c says for how many rows.
 *
 * A unit is one stage for a few of the streams, as many as some ten milliseconds allow: where rows are few and weights many, the
 * streams share one product; where rows are many, each stream is a unit. A stage reads its windows and writes into those of the next:
 *
 *   a window   held: carried by the stream | fresh: written by the stage before | zeros: behind the end of the sound
 *
 * Windows of all streams lie one after the other in one of two buffers, which take turns. one and two are scratch of a unit.
 */
#include "snac.h"

#ifndef UNIT_MACS
#define UNIT_MACS 2e8
#endif

typedef struct job {
	sn_synth_chunk *chunks; /* [n] */
	uint32_t n, n_frames;
	uint32_t stage, stream; /* next */
	uint32_t next, n_units;
	sn_tensor windows[2], one, two, codes; /* [1][.], cut into matrices as they are needed */
	const float *zeros;   /* [pad][channels] of any stage */
	const int32_t *zero_ids;
	int32_t *ids;         /* [streams of a unit][rows of z] */
} job;

/* Floats of the job's tensors, floats and ids of its state. */
typedef struct sizes {
	uint64_t window, one, two, codes, zeros, zero_ids, ids;
} sizes;

typedef struct run {
	const snac *s;
	job *j;
	sn_ops_ctx *ctx;
	sn_fault *fault;
	const snac_stage *g;
	sn_tensor from, to; /* windows of this stage and of the next one */
	uint32_t first, end; /* streams of this unit */
} run;

#define TRY(call)                                                                                                        \
	do {                                                                                                                 \
		sn_rc try_rc = (call);                                                                                           \
		if (try_rc != SN_RC_OK)                                                                                          \
			return try_rc;                                                                                               \
	} while (0)

/* ---- sizes ---- */

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Streams of one unit of a stage: by its arithmetic for one stream, from the plan alone. */
static uint32_t streams_of(const snac *s, uint32_t stage, uint32_t n_streams, uint32_t n_frames)
{
	const snac_stage *g = &s->stages[stage];
	double rows = (double)n_frames * g->rows_per_frame, taps = g->kind == STAGE_UP ? 2.0 * g->stride : g->kind == STAGE_OUT ? 4 * SNAC_TAPS : 1;
	double each = rows * ((double)g->in * g->out * taps + 32.0 * g->in), fit = UNIT_MACS / each;
	return fit < 1 ? 1 : fit < n_streams ? (uint32_t)fit : n_streams;
}

static sizes sizes_of(const snac *s, uint32_t n_streams, uint32_t n_frames)
{
	sizes z = {0};
	for (uint32_t k = 0; k < s->n_stages; k++) {
		const snac_stage *g = &s->stages[k];
		uint64_t streams = streams_of(s, k, n_streams, n_frames), rows = snac_most_rows(s, k, n_frames), out = snac_most_out(s, k, n_frames);
		z.window = max_of(z.window, n_streams * rows * g->in);
		z.zeros = max_of(z.zeros, (uint64_t)g->pad * g->in);
		switch (g->kind) {
		case STAGE_IN:
			z.ids = streams * n_frames * g->rows_per_frame;
			z.codes = z.ids * s->config.codebook_dim;
			z.one = max_of(z.one, max_of(z.ids, streams * rows) * g->in);
			z.two = max_of(z.two, max_of(z.ids, streams * out) * g->in);
			break;
		case STAGE_UP: /* snake's rows, then one stream's sums */
			z.one = max_of(z.one, max_of(streams * rows * g->in, (rows + 1) * g->stride * g->out));
			z.two = max_of(z.two, streams * rows * 2 * g->stride * g->out);
			z.zero_ids = max_of(z.zero_ids, (rows + 1) * g->stride);
			break;
		case STAGE_UNIT:
			z.one = max_of(z.one, streams * rows * g->in);
			z.two = max_of(z.two, streams * out * g->in);
			break;
		case STAGE_OUT:
			z.one = max_of(z.one, rows * g->in);
			z.two = max_of(z.two, out);
			break;
		}
	}
	return z;
}

static uint32_t units_of(const snac *s, uint32_t n_streams, uint32_t n_frames)
{
	uint32_t n = 0;
	for (uint32_t k = 0; k < s->n_stages; k++) {
		uint32_t each = s->stages[k].kind == STAGE_OUT ? 1 : streams_of(s, k, n_streams, n_frames);
		n += (n_streams + each - 1) / each;
	}
	return n;
}

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

/* ---- plan, begin ---- */

static sn_rc check_job(const snac *s, uint32_t n_streams, uint32_t n_frames, sn_fault *fault)
{
	if (!s->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (!n_streams || n_streams > s->info.max_streams || !n_frames || n_frames > s->info.max_frames)
		return kit_fail(fault, SN_RC_INTERNAL, "a job of %u streams and %u frames: at most %u and %u", n_streams, n_frames,
		                 s->info.max_streams, s->info.max_frames);
	return SN_RC_OK;
}

/* All factors are small: at most 2^9 frames, 2^16 samples in one, 2^13 channels, 8 streams, 2^5 taps. */
static sn_rc plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	const snac *s = instance;
	TRY(check_job(s, n_streams, n_frames, fault));
	sizes z = sizes_of(s, n_streams, n_frames);
	uint64_t tensors = (2 * z.window + z.one + z.two + z.codes) * sizeof(float);
	uint64_t state = aligned(sizeof(job)) + aligned(z.zeros * sizeof(float)) + aligned(z.zero_ids * sizeof(int32_t)) + z.ids * sizeof(int32_t);
	*n_units = units_of(s, n_streams, n_frames);
	*state_bytes = max_of(tensors, state);
	return SN_RC_OK;
}

static sn_rc check_chunk(const snac *s, const sn_synth_chunk *chunk, uint32_t n_frames, sn_fault *fault)
{
	uint64_t capacity = ((uint64_t)n_frames + s->info.delay_frames) * s->config.frame_samples;
	if (chunk->n_frames != n_frames || chunk->first_frame > s->info.max_frames - n_frames || !chunk->stream || !chunk->codes || !chunk->pcm ||
	    chunk->capacity < capacity)
		return kit_fail(fault, SN_RC_INTERNAL, "a chunk of %u frames from %u on does not fit the job", chunk->n_frames, chunk->first_frame);
	for (uint32_t i = 0; i < n_frames * s->config.n_codes; i++)
		if (chunk->codes[i] < 0 || (uint32_t)chunk->codes[i] >= s->config.codebook_size)
			return kit_fail(fault, SN_RC_INTERNAL, "code %d of frame %u is none of %u", chunk->codes[i],
			                 chunk->first_frame + i / s->config.n_codes, s->config.codebook_size);
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	const snac *s = instance;
	job *j = state;
	(void)call;
	TRY(check_job(s, n, n ? chunks[0].n_frames : 0, fault));
	for (uint32_t i = 0; i < n; i++)
		TRY(check_chunk(s, &chunks[i], chunks[0].n_frames, fault));
	sizes z = sizes_of(s, n, chunks[0].n_frames);
	uint8_t *at = (uint8_t *)state + aligned(sizeof(job));
	j->zeros = (const float *)(const void *)at;
	at += aligned(z.zeros * sizeof(float));
	j->zero_ids = (const int32_t *)(const void *)at;
	at += aligned(z.zero_ids * sizeof(int32_t));
	j->ids = (int32_t *)(void *)at;
	const struct { sn_tensor *t; uint64_t n; } tensors[] = {
	    {&j->windows[0], z.window}, {&j->windows[1], z.window}, {&j->one, z.one}, {&j->two, z.two}, {&j->codes, z.codes}};
	for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
		TRY(s->host.ops->alloc(ctx, 1, tensors[i].n, tensors[i].t, fault));
	j->chunks = chunks;
	j->n = n;
	j->n_frames = chunks[0].n_frames;
	j->n_units = units_of(s, n, j->n_frames);
	return SN_RC_OK;
}

/* ---- rows ---- */

static sn_tensor matrix(const run *r, const sn_tensor *flat, uint64_t at, uint64_t rows, uint64_t cols)
{
	sn_tensor v = r->s->host.ops->cols(flat, at, rows * cols);
	return r->s->host.ops->reshape(&v, rows, cols);
}

static snac_span span_of(const run *r, uint32_t stage, uint32_t stream)
{
	const sn_synth_chunk *c = &r->j->chunks[stream];
	return snac_span_of(r->s, stage, c->first_frame, c->n_frames, c->last);
}

/* Where a stream's window begins in its stage's buffer, in rows. */
static uint64_t window_at(const run *r, uint32_t stage, uint32_t stream)
{
	uint64_t rows = 0;
	for (uint32_t i = 0; i < stream; i++) {
		snac_span p = span_of(r, stage, i);
		rows += snac_window(&p);
	}
	return rows;
}

static float *carry_of(const run *r, uint32_t stream)
{
	return (float *)r->j->chunks[stream].stream + r->g->carry;
}

/* What the stage gave for a stream becomes the fresh rows of the next stage's window. */
static sn_rc hand_on(const run *r, uint32_t stream, const sn_tensor *rows)
{
	uint32_t next = r->j->stage + 1;
	snac_span p = span_of(r, next, stream);
	sn_tensor to = matrix(r, &r->to, (window_at(r, next, stream) + p.held) * r->g->out, rows->shape[0], r->g->out);
	return r->s->host.ops->scale(r->ctx, &to, rows, NULL, NULL, SN_ACT_NONE, r->fault);
}

/* Completes a window around its fresh rows, and keeps for the stream what the next chunk will look at. */
static sn_rc complete(const run *r, uint32_t stream, const snac_span *p, sn_tensor *window)
{
	const sn_host_ops *ops = r->s->host.ops;
	uint64_t rows = snac_window(p);
	*window = matrix(r, &r->from, window_at(r, r->j->stage, stream) * r->g->in, rows, r->g->in);
	sn_tensor held = ops->rows(window, 0, p->held), behind = ops->rows(window, rows - p->zeros, p->zeros), kept = ops->rows(window, rows - p->keep, p->keep);
	if (p->held)
		TRY(ops->write(r->ctx, &held, carry_of(r, stream), r->fault));
	if (p->zeros)
		TRY(ops->write(r->ctx, &behind, r->j->zeros, r->fault));
	return p->keep ? ops->read(r->ctx, &kept, carry_of(r, stream), r->fault) : SN_RC_OK;
}

static sn_rc snake(const run *r, const sn_tensor *y, const sn_tensor *x, const snac_snake *k)
{
	return r->s->host.ops->snake(r->ctx, y, x, &k->alpha, &k->beta, r->fault);
}

/* Depthwise convolutions of the unit's windows, one after the other into two; snaked first if it says how. */
static sn_rc depthwise(const run *r, const snac_snake *k, const sn_tensor *w, const sn_tensor *b, uint64_t *rows)
{
	const sn_host_ops *ops = r->s->host.ops;
	*rows = 0;
	for (uint32_t i = r->first; i < r->end; i++) {
		snac_span p = span_of(r, r->j->stage, i);
		sn_tensor window, x;
		TRY(complete(r, i, &p, &window));
		if (p.out == 0)
			continue;
		x = window;
		if (k) {
			x = matrix(r, &r->j->one, 0, snac_window(&p), r->g->in);
			TRY(snake(r, &x, &window, k));
		}
		sn_tensor y = matrix(r, &r->j->two, *rows * r->g->in, p.out, r->g->in);
		TRY(ops->conv1d_depthwise(r->ctx, &y, &x, w, b, r->g->dilation, r->fault));
		*rows += p.out;
	}
	return SN_RC_OK;
}

/* ---- stages ---- */

/* z of the unit's streams, into their windows. */
static sn_rc look_up(const run *r)
{
	const snac *s = r->s;
	const snac_config *c = &s->config;
	const uint32_t each = r->j->n_frames * c->strides[0], rows = each * (r->end - r->first);
	for (uint32_t level = 0; level < c->n_levels; level++) {
		for (uint32_t k = 0; k < rows; k++) {
			const int32_t *codes = r->j->chunks[r->first + k / each].codes + (uint64_t)(k % each / c->strides[0]) * c->n_codes;
			uint32_t slot = 0, at = k % c->strides[0] / c->strides[level];
			while (c->slots[slot].level != level || c->slots[slot].at != at)
				slot++;
			r->j->ids[k] = codes[slot];
		}
		sn_tensor codes = matrix(r, &r->j->codes, 0, rows, c->codebook_dim), z = matrix(r, &r->j->one, 0, rows, c->latent);
		sn_tensor part = matrix(r, &r->j->two, 0, rows, c->latent);
		TRY(s->host.ops->gather(r->ctx, &codes, &s->codebooks[level], r->j->ids, r->fault));
		TRY(s->host.ops->linear(r->ctx, level ? &part : &z, &codes, s->out_proj[level], SN_ACT_NONE, r->fault));
		if (level)
			TRY(s->host.ops->add(r->ctx, &z, &z, &part, r->fault));
	}
	for (uint32_t i = r->first; i < r->end; i++) {
		snac_span p = span_of(r, r->j->stage, i);
		sn_tensor z = matrix(r, &r->j->one, (uint64_t)(i - r->first) * each * c->latent, each, c->latent);
		sn_tensor to = matrix(r, &r->from, (window_at(r, r->j->stage, i) + p.held) * c->latent, each, c->latent);
		TRY(s->host.ops->scale(r->ctx, &to, &z, NULL, NULL, SN_ACT_NONE, r->fault));
	}
	return SN_RC_OK;
}

static sn_rc enter(const run *r)
{
	uint64_t rows;
	TRY(look_up(r));
	TRY(depthwise(r, NULL, &r->s->in_dw, &r->s->in_dw_bias, &rows));
	if (rows == 0)
		return SN_RC_OK;
	/* An UP holds nothing: windows of the unit's streams are one matrix. */
	sn_tensor x = matrix(r, &r->j->two, 0, rows, r->g->in), y = matrix(r, &r->to, window_at(r, r->j->stage + 1, r->first) * r->g->out, rows, r->g->out);
	return r->s->host.ops->linear(r->ctx, &y, &x, r->s->in_pw, SN_ACT_NONE, r->fault);
}

/* One stream's rows of products, `wide`, become sums: the ones that are complete go on, the others stay in the stream. */
static sn_rc overlap(const run *r, const snac_block *b, uint32_t stream, const snac_span *p, const sn_tensor *wide)
{
	const sn_host_ops *ops = r->s->host.ops;
	uint32_t stride = r->g->stride;
	uint64_t rows = (p->fresh + 1) * stride;
	uint64_t before = snac_span_of(r->s, r->j->stage, 0, r->j->chunks[stream].first_frame, false).fresh; /* rows of the stream so far */
	sn_tensor y = matrix(r, &r->j->one, 0, rows, r->g->out), head = ops->rows(&y, 0, stride), tail = ops->rows(&y, rows - stride, stride);
	TRY(ops->gather(r->ctx, &y, &b->up_bias, r->j->zero_ids, r->fault));
	if (before)
		TRY(ops->write(r->ctx, &head, carry_of(r, stream), r->fault));
	TRY(ops->overlap_add(r->ctx, &y, wide, 2 * stride, stride, r->fault));
	if (!r->j->chunks[stream].last)
		TRY(ops->read(r->ctx, &tail, carry_of(r, stream), r->fault));
	if (p->out == 0)
		return SN_RC_OK;
	sn_tensor out = ops->rows(&y, before ? 0 : r->g->pad, p->out);
	return hand_on(r, stream, &out);
}

static sn_rc upsample(const run *r)
{
	const snac_block *b = &r->s->blocks[r->g->block];
	uint64_t first = window_at(r, r->j->stage, r->first), rows = window_at(r, r->j->stage, r->end) - first, at = 0;
	uint64_t wide_cols = 2 * (uint64_t)r->g->stride * r->g->out;
	if (rows == 0)
		return SN_RC_OK;
	sn_tensor x = matrix(r, &r->from, first * r->g->in, rows, r->g->in), y = matrix(r, &r->j->one, 0, rows, r->g->in);
	sn_tensor wide = matrix(r, &r->j->two, 0, rows, wide_cols);
	TRY(snake(r, &y, &x, &b->snake));
	TRY(r->s->host.ops->linear(r->ctx, &wide, &y, b->up, SN_ACT_NONE, r->fault));
	for (uint32_t i = r->first; i < r->end; i++) {
		snac_span p = span_of(r, r->j->stage, i);
		if (p.fresh == 0)
			continue;
		sn_tensor of_stream = r->s->host.ops->rows(&wide, at, p.fresh);
		TRY(overlap(r, b, i, &p, &of_stream));
		at += p.fresh;
	}
	return SN_RC_OK;
}

static sn_rc residual(const run *r)
{
	const snac_unit *u = &r->s->blocks[r->g->block].units[r->g->unit];
	uint64_t rows, at = 0;
	TRY(depthwise(r, &u->snake1, &u->dw, &u->dw_bias, &rows));
	if (rows == 0)
		return SN_RC_OK;
	sn_tensor x = matrix(r, &r->j->two, 0, rows, r->g->in), y = matrix(r, &r->j->one, 0, rows, r->g->in);
	TRY(snake(r, &x, &x, &u->snake2));
	TRY(r->s->host.ops->linear(r->ctx, &y, &x, u->pw, SN_ACT_NONE, r->fault));
	for (uint32_t i = r->first; i < r->end; i++) {
		snac_span p = span_of(r, r->j->stage, i);
		if (p.out == 0)
			continue;
		sn_tensor part = r->s->host.ops->rows(&y, at, p.out);
		sn_tensor same = matrix(r, &r->from, (window_at(r, r->j->stage, i) + r->g->pad) * r->g->in, p.out, r->g->in);
		TRY(r->s->host.ops->add(r->ctx, &part, &part, &same, r->fault));
		TRY(hand_on(r, i, &part));
		at += p.out;
	}
	return SN_RC_OK;
}

static sn_rc leave(const run *r)
{
	const sn_host_ops *ops = r->s->host.ops;
	sn_synth_chunk *chunk = &r->j->chunks[r->first];
	snac_span p = span_of(r, r->j->stage, r->first);
	sn_tensor window;
	TRY(complete(r, r->first, &p, &window));
	chunk->n_samples = (uint32_t)p.out;
	if (p.out == 0)
		return SN_RC_OK;
	sn_tensor x = matrix(r, &r->j->one, 0, snac_window(&p), r->g->in), y = matrix(r, &r->j->two, 0, p.out, 1);
	TRY(snake(r, &x, &window, &r->s->out_snake));
	TRY(ops->conv1d_dilated(r->ctx, &y, &x, r->s->out, 1, SN_ACT_TANH, r->fault));
	return ops->read(r->ctx, &y, chunk->pcm, r->fault);
}

/* ---- step ---- */

static sn_rc run_unit(run *r)
{
	job *j = r->j;
	r->g = &r->s->stages[j->stage];
	r->from = j->windows[j->stage % 2];
	r->to = j->windows[(j->stage + 1) % 2];
	uint32_t each = r->g->kind == STAGE_OUT ? 1 : streams_of(r->s, j->stage, j->n, j->n_frames);
	r->first = j->stream;
	r->end = j->n - j->stream < each ? j->n : j->stream + each;
	switch (r->g->kind) {
	case STAGE_IN: TRY(enter(r)); break;
	case STAGE_UP: TRY(upsample(r)); break;
	case STAGE_UNIT: TRY(residual(r)); break;
	case STAGE_OUT: TRY(leave(r)); break;
	}
	j->stream = r->end;
	if (j->stream == j->n) {
		j->stream = 0;
		j->stage++;
	}
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done,
                  sn_fault *fault)
{
	(void)call;
	job *j = state;
	run r = {.s = instance, .j = j, .ctx = ctx, .fault = fault};
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++)
		TRY(run_unit(&r));
	return j->next < j->n_units ? SN_RC_AGAIN : SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance;
	(void)state;
}

static const sn_synth_info *describe(const void *instance)
{
	const snac *s = instance;
	return &s->info;
}

const sn_ext_synth snac_synth_ext = {
    .size = sizeof snac_synth_ext, .describe = describe, .plan = plan, .begin = begin, .step = step, .end = end};
