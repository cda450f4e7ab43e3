/* synth.c - "sn.synth/1": the decoder as a job over many streams.
 *
 * A unit is one stage for a few of the streams, or for some rows of one: as many as some ten milliseconds allow. A stage reads its
 * windows, [held | fresh] rows of each stream, one after the other, in one of two buffers, and writes the fresh rows of the next
 * stage's windows in the other. a .. d are scratch of a unit.
 */
#include "qwen3_tts.h"

#ifndef UNIT_MACS
#define UNIT_MACS 2e8
#endif

typedef struct sizes {
	uint64_t window, a, b, c, d; /* floats */
	uint64_t zero_ids, ids;
} sizes;

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

/* Streams of one unit of a stage. */
static uint32_t streams_of(const tts_stage *g, uint32_t n_streams, uint32_t n_frames)
{
	double fit = UNIT_MACS / (g->macs * (double)tts_fresh(g, n_frames));
	return fit < 1 ? 1 : fit < n_streams ? (uint32_t)fit : n_streams;
}

/* Can a stream's rows be several units? What is carried from the stage's first row to its last one stands in the way elsewhere. */
static bool may_split(const tts_stage *g)
{
	return g->kind == STAGE_NEXT || g->kind == STAGE_DEC_IN || g->kind == STAGE_UNIT || g->kind == STAGE_OUT;
}

/* Rows of a stream in one unit. */
static uint32_t rows_of(const tts_stage *g, uint32_t n_frames)
{
	uint64_t fresh = tts_fresh(g, n_frames);
	double fit = UNIT_MACS / g->macs;
	const uint32_t least = 16;
	if (!may_split(g) || fit >= (double)fresh)
		return (uint32_t)fresh;
	return fit < least ? least < fresh ? least : (uint32_t)fresh : (uint32_t)fit;
}

static sizes sizes_of(const tts *s, uint32_t n_streams, uint32_t n_frames)
{
	sizes z = {.a = 1, .b = 1, .c = 1, .d = 1};
	for (uint32_t k = 0; k < s->n_stages; k++) {
		const tts_stage *g = &s->stages[k];
		uint64_t streams = streams_of(g, n_streams, n_frames), rows = rows_of(g, n_frames);
		tts_scratch t = tts_scratch_of(s, g, streams, rows);
		z.window = max_of(z.window, n_streams * (g->held + tts_fresh(g, n_frames)) * g->in);
		z.a = max_of(z.a, t.a);
		z.b = max_of(z.b, t.b);
		z.c = max_of(z.c, t.c);
		z.d = max_of(z.d, t.d);
		if (g->kind == STAGE_UP)
			z.zero_ids = max_of(z.zero_ids, (rows + 1) * g->stride);
		if (g->kind == STAGE_QUANT)
			z.ids = streams * rows;
	}
	return z;
}

static uint64_t units_of(const tts *s, uint32_t n_streams, uint32_t n_frames)
{
	uint64_t n = 0;
	for (uint32_t k = 0; k < s->n_stages; k++) {
		const tts_stage *g = &s->stages[k];
		uint64_t streams = streams_of(g, n_streams, n_frames), rows = rows_of(g, n_frames), fresh = tts_fresh(g, n_frames);
		n += (n_streams + streams - 1) / streams * ((fresh + rows - 1) / rows);
	}
	return n;
}

static sn_rc check_job(const tts *s, uint32_t n_streams, uint32_t n_frames, sn_fault *fault)
{
	if (!s->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (!n_streams || n_streams > s->info.max_streams || !n_frames || n_frames > s->info.max_frames)
		return kit_fail(fault, SN_RC_INTERNAL, "a job of %u streams and %u frames: at most %u and %u", n_streams, n_frames, s->info.max_streams,
		                s->info.max_frames);
	return SN_RC_OK;
}

/* All factors are small: at most 2^12 frames, 2^16 samples in one, 2^15 channels, 8 streams, 2^5 taps. */
static sn_rc plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	const tts *s = instance;
	sn_rc rc = check_job(s, n_streams, n_frames, fault);
	if (rc != SN_RC_OK)
		return rc;
	sizes z = sizes_of(s, n_streams, n_frames);
	uint64_t tensors = (2 * z.window + z.a + z.b + z.c + z.d) * sizeof(float);
	uint64_t state = aligned(sizeof(tts_job)) + aligned(z.zero_ids * sizeof(int32_t)) + z.ids * sizeof(int32_t);
	*n_units = (uint32_t)units_of(s, n_streams, n_frames);
	*state_bytes = max_of(tensors, state);
	return SN_RC_OK;
}

static sn_rc check_chunk(const tts *s, const sn_synth_chunk *chunk, uint32_t n_frames, sn_fault *fault)
{
	const tts_config *c = &s->config;
	if (chunk->n_frames != n_frames || chunk->first_frame > s->info.max_frames - n_frames || !chunk->stream || !chunk->codes || !chunk->pcm ||
	    chunk->capacity < (uint64_t)n_frames * c->frame_samples)
		return kit_fail(fault, SN_RC_INTERNAL, "a chunk of %u frames from %u on does not fit the job", chunk->n_frames, chunk->first_frame);
	for (uint32_t i = 0; i < n_frames * c->n_codes; i++)
		if (chunk->codes[i] < 0 || (uint32_t)chunk->codes[i] >= c->codebook_size)
			return kit_fail(fault, SN_RC_INTERNAL, "code %d of frame %u is none of %u", chunk->codes[i], chunk->first_frame + i / c->n_codes, c->codebook_size);
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	const tts *s = instance;
	tts_job *j = state;
	(void)call;
	sn_rc rc = check_job(s, n, n ? chunks[0].n_frames : 0, fault);
	for (uint32_t i = 0; i < n && rc == SN_RC_OK; i++)
		rc = check_chunk(s, &chunks[i], chunks[0].n_frames, fault);
	if (rc != SN_RC_OK)
		return rc;
	sizes z = sizes_of(s, n, chunks[0].n_frames);
	uint8_t *at = (uint8_t *)state + aligned(sizeof(tts_job));
	j->zero_ids = (const int32_t *)(const void *)at;
	j->ids = (int32_t *)(void *)(at + aligned(z.zero_ids * sizeof(int32_t)));
	const struct { sn_tensor *t; uint64_t n; } tensors[] = {{&j->windows[0], z.window}, {&j->windows[1], z.window}, {&j->a, z.a},
	                                                        {&j->b, z.b},               {&j->c, z.c},               {&j->d, z.d}};
	for (size_t i = 0; i < sizeof tensors / sizeof *tensors && rc == SN_RC_OK; i++)
		rc = s->host.ops->alloc(ctx, 1, tensors[i].n, tensors[i].t, fault);
	j->chunks = chunks;
	j->n = n;
	j->n_frames = chunks[0].n_frames;
	j->n_units = (uint32_t)units_of(s, n, j->n_frames);
	return rc;
}

static sn_rc run_unit(const tts *s, tts_job *j, sn_ops_ctx *ctx, sn_fault *fault)
{
	const tts_stage *g = &s->stages[j->stage];
	uint32_t streams = streams_of(g, j->n, j->n_frames), rows = rows_of(g, j->n_frames), fresh = (uint32_t)tts_fresh(g, j->n_frames);
	tts_run r = {.s = s, .j = j, .ctx = ctx, .fault = fault, .g = g, .from = j->windows[j->stage % 2], .to = j->windows[(j->stage + 1) % 2],
	             .first = j->stream, .end = j->n - j->stream < streams ? j->n : j->stream + streams, .row = j->row,
	             .rows = fresh - j->row < rows ? fresh - j->row : rows};
	sn_rc rc = tts_run_stage(&r);
	if (rc != SN_RC_OK)
		return rc;
	j->row += r.rows;
	if (j->row == fresh) {
		j->row = 0;
		j->stream = r.end;
	}
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
	tts_job *j = state;
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++) {
		sn_rc rc = run_unit(instance, j, ctx, fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	return j->next < j->n_units ? SN_RC_AGAIN : SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance;
	(void)state;
}

static const sn_synth_info *describe(const void *instance)
{
	const tts *s = instance;
	return &s->info;
}

const sn_ext_synth tts_synth_ext = {
    .size = sizeof tts_synth_ext, .describe = describe, .plan = plan, .begin = begin, .step = step, .end = end};
