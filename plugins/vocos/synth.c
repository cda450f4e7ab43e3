/* synth.c - "sn.synth/1": codes become sound, many streams at once. vocos.h draws what is computed; here is how it is laid out.
 *
 * All streams of a job have F frames. What is done row by row is done to all of them together, [n F] rows, stream after stream. What looks
 * back has a buffer of its own for each layer, n segments of K - 1 rows that came before and F that are new: begin writes the
 * former from the streams, the last unit reads the segments' last K - 1 rows back into them. So it goes with the frames that overlap: a
 * segment of sound is F + n_fft / hop - 1 rows of hop samples, the first of which begin with what earlier frames left there.
 *
 *   unit 0            conv and its norm, of the codes' rows
 *   unit 1 .. blocks  one block each
 *   then              the head; the transform, and everything back to the host
 *
 * A stream's memory: [K - 1][E] before the convolution, [blocks][K - 1][D] before the blocks, [n_fft / hop - 1][hop] of overlap.
 */
#include <string.h>

#include "vocos.h"

enum { ALIGN = 64, N_FIXED = 7 };

typedef struct job {
	sn_synth_chunk *chunks; /* [n] */
	uint32_t n, frames, next;
	sn_tensor codes;                     /* [n (K - 1 + F)][E] */
	sn_tensor inputs[VOCOS_MAX_BLOCKS];  /* of each block: [n (K - 1 + F)][D] */
	sn_tensor x, up;                     /* [n F][D], [n F][ff] */
	sn_tensor head, spectrum;            /* [n F][n_fft + 2] */
	sn_tensor windows, sound;            /* [n F][n_fft], [n (F + taps - 1)][hop] */
	float *scratch;                      /* [F + taps - 1][hop], one stream's sound */
} job;

typedef struct run {
	const vocos *v;
	job *j;
	sn_ops_ctx *ctx;
	sn_fault *fault;
} run;

#define TRY(call)                                                                                                        \
	do {                                                                                                                 \
		sn_rc try_rc = (call);                                                                                           \
		if (try_rc != SN_RC_OK)                                                                                          \
			return try_rc;                                                                                               \
	} while (0)

/* ---- sizes: each factor was checked by config.c, each product is below 2^63 ---- */

static uint32_t taps_of(const vocos_config *c)
{
	return c->n_fft / c->hop;
}

static uint64_t stream_floats(const vocos_config *c)
{
	return (uint64_t)(c->kernel - 1) * ((uint64_t)c->code_width + (uint64_t)c->blocks * c->width) + (uint64_t)(taps_of(c) - 1) * c->hop;
}

typedef struct stream {
	float *codes, *inputs, *overlap;
} stream;

static stream stream_at(const vocos_config *c, void *memory)
{
	stream s = {.codes = memory};
	s.inputs = s.codes + (size_t)(c->kernel - 1) * c->code_width;
	s.overlap = s.inputs + (size_t)c->blocks * (c->kernel - 1) * c->width;
	return s;
}

typedef struct tensor_size {
	sn_tensor *at;
	uint64_t rows, cols;
} tensor_size;

static void list_tensors(const vocos *v, job *j, uint32_t n, uint32_t frames, tensor_size list[N_FIXED + VOCOS_MAX_BLOCKS])
{
	const vocos_config *c = &v->config;
	uint64_t rows = (uint64_t)n * frames, seen = (uint64_t)n * (c->kernel - 1 + (uint64_t)frames);
	const tensor_size fixed[] = {
	    {&j->codes, seen, c->code_width},
	    {&j->x, rows, c->width},
	    {&j->up, rows, c->ff},
	    {&j->head, rows, (uint64_t)c->n_fft + 2},
	    {&j->spectrum, rows, (uint64_t)c->n_fft + 2},
	    {&j->windows, rows, c->n_fft},
	    {&j->sound, n * ((uint64_t)frames + taps_of(c) - 1), c->hop},
	};
	_Static_assert(sizeof fixed / sizeof *fixed == N_FIXED, "as many as there are");
	memcpy(list, fixed, sizeof fixed);
	for (uint32_t i = 0; i < c->blocks; i++)
		list[N_FIXED + i] = (tensor_size){&j->inputs[i], seen, c->width};
}

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t scratch_floats(const vocos_config *c, uint32_t frames)
{
	return ((uint64_t)frames + taps_of(c) - 1) * c->hop;
}

static uint32_t n_units(const vocos *v)
{
	return v->config.blocks + 3;
}

/* Bytes of the job's state and of its tensors: one figure caps both. False on overflow. */
static bool job_bytes(const vocos *v, uint32_t n, uint32_t frames, uint64_t *bytes)
{
	job unused;
	tensor_size list[N_FIXED + VOCOS_MAX_BLOCKS];
	uint64_t tensors = 0, state = aligned(sizeof(job)) + aligned(scratch_floats(&v->config, frames) * sizeof(float)), one;
	list_tensors(v, &unused, n, frames, list);
	for (uint32_t i = 0; i < N_FIXED + v->config.blocks; i++)
		if (__builtin_mul_overflow(list[i].rows * sizeof(float), list[i].cols, &one) ||
		    __builtin_add_overflow(tensors, aligned(one), &tensors))
			return false;
	*bytes = state > tensors ? state : tensors;
	return *bytes <= SIZE_MAX / 2;
}

void vocos_describe_synth(vocos *v)
{
	const vocos_config *c = &v->config;
	uint32_t ahead = (c->n_fft - c->hop) / 2;
	v->synth = (sn_synth_info){.size = sizeof v->synth, .rate = c->rate, .n_codes = 1, .frame_samples = c->hop,
	                           .first_frames = VOCOS_FIRST_FRAMES, .chunk_frames = VOCOS_CHUNK_FRAMES,
	                           .delay_frames = (ahead + c->hop - 1) / c->hop, .max_frames = v->speaker.max_frames,
	                           .max_streams = VOCOS_MAX_STREAMS, .stream_bytes = stream_floats(c) * sizeof(float)};
}

static const sn_synth_info *describe(const void *instance)
{
	return &((const vocos *)instance)->synth;
}

static sn_rc plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *units, uint64_t *state_bytes, sn_fault *fault)
{
	const vocos *v = instance;
	if (!v->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (!n_streams || n_streams > VOCOS_MAX_STREAMS || !n_frames || n_frames > v->synth.max_frames)
		return kit_fail(fault, SN_RC_INTERNAL, "%u streams of %u frames: must be 1 to %d of 1 to %u", n_streams, n_frames, VOCOS_MAX_STREAMS,
		                  v->synth.max_frames);
	if (!job_bytes(v, n_streams, n_frames, state_bytes))
		return kit_fail(fault, SN_RC_INTERNAL, "%u frames are more than can be counted", n_frames);
	*units = n_units(v);
	return SN_RC_OK;
}

/* ---- views ---- */

/* Rows of stream s in a buffer of a layer: all of its segment, or the last `n` of it. */
static sn_tensor segment(const run *r, const sn_tensor *t, uint32_t s)
{
	uint64_t rows = r->v->config.kernel - 1 + (uint64_t)r->j->frames;
	return r->v->host.ops->rows(t, s * rows, rows);
}

static sn_tensor segment_end(const run *r, const sn_tensor *t, uint32_t s, uint64_t n)
{
	sn_tensor all = segment(r, t, s);
	return r->v->host.ops->rows(&all, all.shape[0] - n, n);
}

static sn_tensor segment_begin(const run *r, const sn_tensor *t, uint32_t s)
{
	return r->v->host.ops->rows(t, s * (r->v->config.kernel - 1 + (uint64_t)r->j->frames), r->v->config.kernel - 1);
}

/* Rows of stream s where streams lie side by side. */
static sn_tensor part(const run *r, const sn_tensor *t, uint32_t s)
{
	return r->v->host.ops->rows(t, (uint64_t)s * r->j->frames, r->j->frames);
}

static sn_tensor sound_of(const run *r, uint32_t s)
{
	uint64_t rows = (uint64_t)r->j->frames + taps_of(&r->v->config) - 1;
	return r->v->host.ops->rows(&r->j->sound, s * rows, rows);
}

/* ---- begin ---- */

/* What stream s left behind, to where its new rows will follow. */
static sn_rc write_stream(const run *r, uint32_t s)
{
	const vocos_config *c = &r->v->config;
	const sn_host_ops *ops = r->v->host.ops;
	stream st = stream_at(c, r->j->chunks[s].stream);
	sn_tensor t = segment_begin(r, &r->j->codes, s);
	TRY(ops->write(r->ctx, &t, st.codes, r->fault));
	for (uint32_t i = 0; i < c->blocks; i++) {
		t = segment_begin(r, &r->j->inputs[i], s);
		TRY(ops->write(r->ctx, &t, st.inputs + (size_t)i * (c->kernel - 1) * c->width, r->fault));
	}
	size_t overlap = (size_t)(taps_of(c) - 1) * c->hop;
	memcpy(r->j->scratch, st.overlap, overlap * sizeof(float));
	memset(r->j->scratch + overlap, 0, (size_t)r->j->frames * c->hop * sizeof(float));
	t = sound_of(r, s);
	return ops->write(r->ctx, &t, r->j->scratch, r->fault);
}

static uint64_t samples_before(const vocos_config *c, uint64_t flat)
{
	uint64_t cut = (c->n_fft - c->hop) / 2;
	return flat > cut ? flat - cut : 0;
}

/* Of the chunk: all that is complete, and at the end the rest. */
static uint64_t samples_of(const vocos_config *c, const sn_synth_chunk *k)
{
	uint64_t end = (uint64_t)k->first_frame + k->n_frames, from = samples_before(c, (uint64_t)k->first_frame * c->hop);
	return (k->last ? end * c->hop : samples_before(c, end * c->hop)) - from;
}

static sn_rc check_chunk(const vocos *v, const sn_synth_chunk *k, uint32_t frames, sn_fault *fault)
{
	uint64_t room = ((uint64_t)frames + v->synth.delay_frames) * v->config.hop;
	if (!k->stream || !k->codes || !k->pcm || k->n_frames != frames || k->capacity < room || frames > v->synth.max_frames ||
	    k->first_frame > v->synth.max_frames - frames)
		return kit_fail(fault, SN_RC_INTERNAL, "a chunk that does not fit its job");
	for (uint32_t i = 0; i < frames; i++)
		if (k->codes[i] < 0 || (uint32_t)k->codes[i] >= v->config.codes)
			return kit_fail(fault, SN_RC_INTERNAL, "code %d of a chunk is none of the codebook's %u", k->codes[i], v->config.codes);
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	(void)call;
	const vocos *v = instance;
	job *j = state;
	if (!v->loaded || !n || n > VOCOS_MAX_STREAMS || !chunks[0].n_frames)
		return kit_fail(fault, SN_RC_INTERNAL, "a job of no or of too many streams");
	j->chunks = chunks;
	j->n = n;
	j->frames = chunks[0].n_frames;
	for (uint32_t s = 0; s < n; s++)
		TRY(check_chunk(v, &chunks[s], j->frames, fault));
	j->scratch = (float *)(void *)((uint8_t *)state + aligned(sizeof(job)));
	tensor_size list[N_FIXED + VOCOS_MAX_BLOCKS];
	list_tensors(v, j, n, j->frames, list);
	for (uint32_t i = 0; i < N_FIXED + v->config.blocks; i++)
		TRY(v->host.ops->alloc(ctx, list[i].rows, list[i].cols, list[i].at, fault));
	run r = {.v = v, .j = j, .ctx = ctx, .fault = fault};
	for (uint32_t s = 0; s < n; s++)
		TRY(write_stream(&r, s));
	return SN_RC_OK;
}

/* ---- units ---- */

static sn_rc norm(const run *r, const sn_tensor *y, const sn_tensor *x, const vocos_norm *n)
{
	return r->v->host.ops->layer_norm(r->ctx, y, x, &n->w, &n->b, r->v->config.eps, r->fault);
}

static sn_rc embed(const run *r)
{
	const vocos *v = r->v;
	job *j = r->j;
	for (uint32_t s = 0; s < j->n; s++) {
		sn_tensor seen = segment(r, &j->codes, s), fresh = segment_end(r, &j->codes, s, j->frames);
		sn_tensor x = part(r, &j->x, s), y = segment_end(r, &j->inputs[0], s, j->frames);
		TRY(v->host.ops->gather(r->ctx, &fresh, &v->codebook, j->chunks[s].codes, r->fault));
		TRY(v->host.ops->conv1d(r->ctx, &x, &seen, v->conv, 1, 0, SN_ACT_NONE, r->fault));
		TRY(norm(r, &y, &x, &v->norm_in));
	}
	return SN_RC_OK;
}

/* Into the next block's input, or, behind the last one, into x. */
static sn_rc block(const run *r, uint32_t i)
{
	const vocos_block *b = &r->v->blocks[i];
	const sn_host_ops *ops = r->v->host.ops;
	job *j = r->j;
	for (uint32_t s = 0; s < j->n; s++) {
		sn_tensor y = part(r, &j->x, s), seen = segment(r, &j->inputs[i], s);
		TRY(ops->conv1d_depthwise(r->ctx, &y, &seen, &b->dw, &b->dw_bias, 1, r->fault));
	}
	TRY(norm(r, &j->x, &j->x, &b->norm));
	TRY(ops->linear(r->ctx, &j->up, &j->x, b->up, SN_ACT_GELU_ERF, r->fault));
	TRY(ops->linear(r->ctx, &j->x, &j->up, b->down, SN_ACT_NONE, r->fault));
	TRY(ops->scale(r->ctx, &j->x, &j->x, &b->gamma, NULL, SN_ACT_NONE, r->fault));
	for (uint32_t s = 0; s < j->n; s++) {
		sn_tensor x = part(r, &j->x, s), before = segment_end(r, &j->inputs[i], s, j->frames);
		sn_tensor y = i + 1 < r->v->config.blocks ? segment_end(r, &j->inputs[i + 1], s, j->frames) : x;
		TRY(ops->add(r->ctx, &y, &before, &x, r->fault));
	}
	return SN_RC_OK;
}

static sn_rc head(const run *r)
{
	job *j = r->j;
	TRY(norm(r, &j->x, &j->x, &r->v->norm_out));
	return r->v->host.ops->linear(r->ctx, &j->head, &j->x, r->v->head, SN_ACT_NONE, r->fault);
}

/* The squares of the windows over sample i of row `row` of the stream: frames row - taps + 1 to row, of those that there are. */
static float weight_of(const vocos *v, uint64_t row, uint64_t n_frames, uint32_t i)
{
	uint32_t taps = taps_of(&v->config);
	float sum = 0;
	for (uint32_t t = 0; t < taps && t <= row; t++)
		if (row - t < n_frames) {
			float w = v->window[(size_t)t * v->config.hop + i];
			sum += w * w;
		}
	return sum;
}

/* The stream's sound of this chunk, from row 0 of its segment (which is row first_frame of the stream) on. */
static void give_sound(const run *r, sn_synth_chunk *k)
{
	const vocos_config *c = &r->v->config;
	uint64_t cut = (c->n_fft - c->hop) / 2, base = (uint64_t)k->first_frame * c->hop;
	uint64_t n_frames = k->last ? (uint64_t)k->first_frame + k->n_frames : UINT64_MAX; /* of the stream, as far as these rows know */
	uint64_t from = base > cut ? base : cut; /* in samples of the stream before its beginning is cut off */
	k->n_samples = (uint32_t)samples_of(c, k);
	for (uint32_t i = 0; i < k->n_samples; i++) {
		uint64_t at = from + i;
		k->pcm[i] = r->j->scratch[at - base] / weight_of(r->v, at / c->hop, n_frames, (uint32_t)(at % c->hop));
	}
}

/* What the stream carries on. */
static sn_rc read_stream(const run *r, uint32_t s)
{
	const vocos_config *c = &r->v->config;
	const sn_host_ops *ops = r->v->host.ops;
	stream st = stream_at(c, r->j->chunks[s].stream);
	sn_tensor t = segment_end(r, &r->j->codes, s, c->kernel - 1);
	TRY(ops->read(r->ctx, &t, st.codes, r->fault));
	for (uint32_t i = 0; i < c->blocks; i++) {
		t = segment_end(r, &r->j->inputs[i], s, c->kernel - 1);
		TRY(ops->read(r->ctx, &t, st.inputs + (size_t)i * (c->kernel - 1) * c->width, r->fault));
	}
	memcpy(st.overlap, r->j->scratch + (size_t)r->j->frames * c->hop, (size_t)(taps_of(c) - 1) * c->hop * sizeof(float));
	return SN_RC_OK;
}

static sn_rc transform(const run *r)
{
	const vocos_config *c = &r->v->config;
	const sn_host_ops *ops = r->v->host.ops;
	job *j = r->j;
	TRY(ops->polar(r->ctx, &j->spectrum, &j->head, c->max_magnitude, r->fault));
	TRY(ops->irfft(r->ctx, &j->windows, &j->spectrum, r->fault));
	TRY(ops->scale(r->ctx, &j->windows, &j->windows, &r->v->window_tensor, NULL, SN_ACT_NONE, r->fault));
	for (uint32_t s = 0; s < j->n; s++) {
		sn_tensor y = sound_of(r, s), x = part(r, &j->windows, s);
		TRY(ops->overlap_add(r->ctx, &y, &x, taps_of(c), 1, r->fault));
	}
	for (uint32_t s = 0; s < j->n; s++) {
		sn_tensor y = sound_of(r, s);
		TRY(ops->read(r->ctx, &y, j->scratch, r->fault));
		give_sound(r, &j->chunks[s]);
		if (!j->chunks[s].last)
			TRY(read_stream(r, s));
	}
	return SN_RC_OK;
}

static sn_rc run_unit(const run *r)
{
	uint32_t i = r->j->next, blocks = r->v->config.blocks;
	if (i == 0)
		return embed(r);
	if (i <= blocks)
		return block(r, i - 1);
	return i == blocks + 1 ? head(r) : transform(r);
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault)
{
	(void)call;
	job *j = state;
	run r = {.v = instance, .j = j, .ctx = ctx, .fault = fault};
	uint32_t units = n_units(r.v);
	for (*units_done = 0; *units_done < max_units && j->next < units; ++*units_done, j->next++)
		TRY(run_unit(&r));
	return j->next < units ? SN_RC_AGAIN : SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance;
	(void)state;
}

const sn_ext_synth vocos_synth_ext = {.size = sizeof vocos_synth_ext, .describe = describe, .plan = plan, .begin = begin, .step = step,
                                      .end = end};
