/* spans.c - how many rows a stage has to do with in a chunk: functions of how many frames came before and of whether more will come.
 *
 * A convolution that looks `pad` rows ahead gives, of n rows, n - pad, and the rest when the stream ends. A transposed one gives
 * n * stride - pad. So each stage's total after F frames is known, and a chunk's share is a difference. */
#include "snac.h"

static void add(snac *s, snac_stage stage)
{
	s->stages[s->n_stages++] = stage;
}

/* Floats that a stage leaves in a stream. */
static uint64_t carried(const snac_stage *g)
{
	return g->kind == STAGE_UP ? (uint64_t)g->stride * g->out : 2 * (uint64_t)g->pad * g->in;
}

void snac_lay_stages(snac *s)
{
	static const uint32_t DILATIONS[SNAC_UNITS] = {1, 3, 9};
	const snac_config *c = &s->config;
	uint32_t rows = c->strides[0], channels = c->dim;
	uint64_t floats = 0, lag = 0;
	s->n_stages = 0;
	add(s, (snac_stage){.kind = STAGE_IN, .in = c->latent, .out = c->dim, .pad = SNAC_TAPS / 2, .dilation = 1, .stride = 1, .rows_per_frame = rows});
	for (uint32_t b = 0; b < c->n_blocks; b++) {
		add(s, (snac_stage){.kind = STAGE_UP, .block = b, .in = channels, .out = channels / 2, .pad = (c->rates[b] + 1) / 2, .stride = c->rates[b],
		                    .rows_per_frame = rows});
		rows *= c->rates[b];
		channels /= 2;
		for (uint32_t u = 0; u < SNAC_UNITS; u++)
			add(s, (snac_stage){.kind = STAGE_UNIT, .block = b, .unit = u, .in = channels, .out = channels, .pad = SNAC_TAPS / 2 * DILATIONS[u],
			                    .dilation = DILATIONS[u], .stride = 1, .rows_per_frame = rows});
	}
	add(s, (snac_stage){.kind = STAGE_OUT, .in = channels, .out = 1, .pad = SNAC_TAPS / 2, .dilation = 1, .stride = 1, .rows_per_frame = rows});
	for (uint32_t k = 0; k < s->n_stages; k++) {
		snac_stage *g = &s->stages[k];
		g->carry = floats;
		floats += carried(g);
		lag = lag * g->stride + g->pad;
	}
	s->info.rate = c->rate;
	s->info.n_codes = c->n_codes;
	s->info.frame_samples = c->frame_samples;
	s->info.delay_frames = (uint32_t)((lag + c->frame_samples - 1) / c->frame_samples);
	s->info.stream_bytes = floats * sizeof(float);
}

/* Rows that go into a stage while its stream's first n frames are known; *out: those that it gives. */
static uint64_t totals(const snac *s, uint32_t stage, uint64_t n, bool last, uint64_t *out)
{
	uint64_t in = 0, rows = n * s->config.strides[0];
	for (uint32_t k = 0; k <= stage; k++) {
		const snac_stage *g = &s->stages[k];
		in = rows;
		rows *= g->stride;
		if (!last)
			rows = rows > g->pad ? rows - g->pad : 0;
	}
	*out = rows;
	return in;
}

snac_span snac_span_of(const snac *s, uint32_t stage, uint32_t first, uint32_t n, bool last)
{
	const snac_stage *g = &s->stages[stage];
	uint64_t out0, out1, in0 = totals(s, stage, first, false, &out0), in1 = totals(s, stage, (uint64_t)first + n, last, &out1);
	snac_span p = {.fresh = in1 - in0, .out = out1 - out0};
	if (g->kind == STAGE_UP)
		return p;
	p.held = g->pad + in0 - out0; /* the zeros before the beginning are rows, too */
	p.zeros = last ? g->pad : 0;
	p.keep = last ? 0 : snac_window(&p) - p.out;
	return p;
}

uint64_t snac_most_rows(const snac *s, uint32_t stage, uint32_t n)
{
	const snac_stage *g = &s->stages[stage];
	return ((uint64_t)n + s->info.delay_frames) * g->rows_per_frame + 3 * (uint64_t)g->pad;
}

uint64_t snac_most_out(const snac *s, uint32_t stage, uint32_t n)
{
	const snac_stage *g = &s->stages[stage];
	return ((uint64_t)n + s->info.delay_frames) * g->rows_per_frame * g->stride;
}
