/* hear.c - "sn.plan/1" and "sn.encode/1" of a speaker: a recording becomes one row of the model's, whom to speak like (ECAPA-TDNN).
 *
 *   x [T][C]     = relu(convolution of mels)                                     5 taps
 *   per block:     h = relu(tdnn1 x); of h's parts [T][C / scale] the first stays, part i = relu(convolution of part i + part i - 1)
 *                  h = relu(tdnn2 h); x = x + h * sigmoid(excite(relu(squeeze(mean of h over T))))
 *   m [T][J]     = relu(join(the blocks' x beside each other))
 *   a [T][J]     = attention(tanh(relu(tdnn(m, mean of m, deviation of m))))     a softmax over T, for each of J
 *   row          = out(mean of m under a, deviation of m under a)
 *
 * All convolutions are mirrored at the recording's ends. The sums over T are made here, in double, chunk by chunk, so that no number
 * depends on how the job is cut. Reference: Qwen3TTSSpeakerEncoder.
 */
#include <math.h>
#include <string.h>

#include "qwen3_tts.h"

enum { N_TENSORS = 13, SUM_ROWS = 64, MAX_SECONDS = 60 };

typedef enum stage { STEM, TDNN1, PART, TDNN2, SQUEEZE, JOIN, SUMS, ATTEND, ROW, N_STAGES } stage;

typedef struct job {
	uint32_t frames, n_units, next;
	stage stage;
	uint32_t block, part, row; /* of the next unit */
	sn_tensor mels;         /* [stem's margin + T + margin][bins] */
	sn_tensor x, h, g;      /* [T][C] */
	sn_tensor part_rows;    /* [margin + T + margin][C / scale] */
	sn_tensor blocks;       /* [T][n_blocks C] */
	sn_tensor m;            /* [T][J] */
	sn_tensor wide, near, a; /* [SUM_ROWS][3 J], [..][attended], [..][J] */
	sn_tensor mean, stats, row_out; /* [2][C or squeezed], [1][2 J], [1][dim] */
	float *mel;             /* the mels, with their margins */
	int32_t *ids;           /* zeros, at least SUM_ROWS */
	float *values, *scores; /* [SUM_ROWS][J] */
	double *sum, *squares, *most, *weight; /* [J] */
} job;

typedef struct run {
	const tts *s;
	job *j;
	sn_ops_ctx *ctx;
	sn_fault *fault;
} run;

/* ---- sizes ---- */

static uint32_t margin_of(const spk *e, uint32_t block)
{
	return e->blocks[block].dilation * (e->taps / 2);
}

static uint32_t widest(const spk *e)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < e->n_blocks; i++)
		most = margin_of(e, i) > most ? margin_of(e, i) : most;
	return most;
}

static uint32_t rows_of(const spk *e, stage st, uint32_t frames)
{
	const double c = e->channels, flop[N_STAGES] = {[STEM] = 2 * c * e->bins * e->stem_taps, [TDNN1] = 2 * c * c, [TDNN2] = 2 * c * c,
	                                                [JOIN] = 2 * c * e->n_blocks * e->joined};
	return st == SUMS || st == ATTEND ? SUM_ROWS : flop[st] > 0 ? kit_unit_rows(UNIT_FLOP, flop[st], frames) : frames;
}

static uint32_t units_of(const spk *e, stage st, uint32_t frames)
{
	return st == PART ? e->scale : st == SQUEEZE || st == ROW ? 1 : kit_parts(frames, rows_of(e, st, frames));
}

static uint32_t count_units(const spk *e, uint32_t frames)
{
	uint32_t n = 0;
	for (stage st = STEM; st < N_STAGES; st++)
		n += units_of(e, st, frames) * (st >= TDNN1 && st <= SQUEEZE ? e->n_blocks : 1);
	return n;
}

static void list_tensors(const spk *e, uint32_t frames, job *j, kit_tensor_size list[N_TENSORS])
{
	const kit_tensor_size all[N_TENSORS] = {
	    {&j->mels, (uint64_t)frames + 2 * (e->stem_taps / 2), e->bins}, {&j->x, frames, e->channels}, {&j->h, frames, e->channels}, {&j->g, frames, e->channels},
	    {&j->part_rows, (uint64_t)frames + 2 * widest(e), e->channels / e->scale}, {&j->blocks, frames, (uint64_t)e->n_blocks * e->channels},
	    {&j->m, frames, e->joined}, {&j->wide, SUM_ROWS, 3 * (uint64_t)e->joined}, {&j->near, SUM_ROWS, e->attended}, {&j->a, SUM_ROWS, e->joined},
	    {&j->mean, 2, e->channels > e->squeezed ? e->channels : e->squeezed}, {&j->stats, 1, 2 * (uint64_t)e->joined}, {&j->row_out, 1, e->dim}};
	memcpy(list, all, sizeof all);
}

/* The job's state: itself, mels, ids, and what is summed. Where NULL nothing is laid out. */
static bool lay_state(const spk *e, uint32_t frames, uint8_t *state, job *j, uint64_t *bytes)
{
	const struct { uint64_t n, size; void **at; } parts[] = {
	    {1, sizeof(job), NULL}, {((uint64_t)frames + 2 * (e->stem_taps / 2)) * e->bins, sizeof(float), (void **)&j->mel}, {SUM_ROWS, sizeof(int32_t), (void **)&j->ids},
	    {(uint64_t)SUM_ROWS * e->joined, sizeof(float), (void **)&j->values}, {(uint64_t)SUM_ROWS * e->joined, sizeof(float), (void **)&j->scores},
	    {e->joined, sizeof(double), (void **)&j->sum}, {e->joined, sizeof(double), (void **)&j->squares}, {e->joined, sizeof(double), (void **)&j->most},
	    {e->joined, sizeof(double), (void **)&j->weight}};
	*bytes = 0;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (state && parts[i].at)
			*parts[i].at = state + *bytes;
		if (!kit_add_bytes(bytes, parts[i].n, parts[i].size))
			return false;
	}
	return true;
}

static sn_rc size_job(const tts *s, const sn_media *media, uint32_t *frames, uint64_t *bytes, sn_fault *fault)
{
	job unused;
	kit_tensor_size list[N_TENSORS];
	uint64_t tensors;
	if (!s->loaded)
		return kit_fail(fault, SN_RC_INTERNAL, "no model is loaded");
	if (!s->ear.n_blocks)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "the model does not speak in the voice of a recording");
	if (media->kind != SN_MEDIA_AUDIO)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "only sound is encoded here");
	if (media->rate != MEL_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "a sound of %u Hz: it has to be decoded at %d Hz", media->rate, MEL_RATE);
	if (media->n_samples < s->ear.least)
		return kit_fail(fault, SN_RC_INVALID, "a recording to speak like needs at least %.3f s, this one has %.3f s", (double)s->ear.least / MEL_RATE,
		                (double)media->n_samples / MEL_RATE);
	if (media->n_samples > (uint64_t)MAX_SECONDS * MEL_RATE)
		return kit_fail(fault, SN_RC_TOO_LARGE, "a recording to speak like may have %d s, this one has %.1f s", MAX_SECONDS, (double)media->n_samples / MEL_RATE);
	*frames = (uint32_t)mel_frames(media->n_samples);
	list_tensors(&s->ear, *frames, &unused, list);
	if (!kit_tensor_bytes(list, N_TENSORS, &tensors) || !lay_state(&s->ear, *frames, NULL, &unused, bytes))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the recording is too long for this model");
	*bytes = *bytes > tensors ? *bytes : tensors; /* one figure caps both */
	return SN_RC_OK;
}

/* ---- the plan ---- */

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	(void)call;
	const tts *s = instance;
	uint32_t frames;
	KIT_TRY(size_job(s, media, &frames, &out->state_bytes, fault));
	out->n_rows = out->n_holes = 1;
	out->text_size = out->both_ways = 0;
	out->n_units = count_units(&s->ear, frames);
	kit_hash(&s->ear.dim, sizeof s->ear.dim, out->options_hash);
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text, sn_hole *holes, sn_fault *fault)
{
	(void)call, (void)text;
	uint32_t frames;
	uint64_t bytes;
	KIT_TRY(size_job(instance, media, &frames, &bytes, fault));
	if (p->text_size || p->n_holes != 1 || p->n_rows != 1)
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another sound");
	holes[0] = (sn_hole){.text_offset = 0, .n_rows = 1};
	return SN_RC_OK;
}

static const char *marker(const void *instance)
{
	(void)instance;
	return "<|audio_pad|>"; /* no template has a place for it */
}

static const char *row_token(const void *instance)
{
	(void)instance;
	return NULL;
}

static uint32_t row_dim(const void *instance)
{
	return ((const tts *)instance)->ear.dim;
}

static uint32_t media_rate(const void *instance)
{
	(void)instance;
	return MEL_RATE;
}

const sn_ext_plan tts_plan_ext = {.size = sizeof tts_plan_ext, .kind = SN_MEDIA_AUDIO, .kind_name = "audio", .marker = marker, .row_token = row_token,
                                  .row_dim = row_dim, .plan = plan, .layout = layout, .media_rate = media_rate};

/* ---- begin ---- */

/* Frames beyond the ends are those before them, mirrored. */
static void mirror(float *rows, uint32_t margin, uint32_t n, uint32_t cols)
{
	for (uint32_t i = 1; i <= margin; i++) {
		memcpy(rows + (size_t)(margin - i) * cols, rows + (size_t)(margin + i) * cols, cols * sizeof *rows);
		memcpy(rows + (size_t)(margin + n - 1 + i) * cols, rows + (size_t)(margin + n - 1 - i) * cols, cols * sizeof *rows);
	}
}

static bool is_sound(const float *samples, uint64_t n)
{
	const float loudest = 1e6f; /* float files may exceed 1, but this is not sound */
	for (uint64_t i = 0; i < n; i++)
		if (!(fabsf(samples[i]) <= loudest)) /* NaN, too */
			return false;
	return true;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *p, sn_fault *fault)
{
	(void)call;
	const tts *s = instance;
	const spk *e = &s->ear;
	job *j = state;
	uint64_t bytes;
	KIT_TRY(size_job(s, media, &j->frames, &bytes, fault));
	if (p->state_bytes < bytes || p->n_units != count_units(e, j->frames) || !media->samples || !sn_media_sound(media))
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another sound");
	if (!is_sound(media->samples, media->n_samples))
		return kit_fail(fault, SN_RC_INVALID, "the sound holds samples that are not finite, or not sound");
	j->n_units = p->n_units;
	kit_tensor_size list[N_TENSORS];
	list_tensors(e, j->frames, j, list);
	KIT_TRY(kit_alloc_tensors(s->host.ops, ctx, list, N_TENSORS, fault));
	lay_state(e, j->frames, state, j, &bytes);
	void *scratch = kit_alloc(&s->host, mel_scratch());
	if (!scratch)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the recording's frames");
	const uint32_t margin = e->stem_taps / 2;
	mel_run(&s->mel, media->samples, media->n_samples, j->mel + (size_t)margin * e->bins, scratch);
	kit_free(&s->host, scratch);
	mirror(j->mel, margin, j->frames, e->bins);
	return SN_RC_OK;
}

/* ---- stages: rows [first, first + n) ---- */

static sn_tensor rows(const run *r, const sn_tensor *t, uint64_t first, uint64_t n)
{
	return r->s->host.ops->rows(t, first, n);
}

static sn_tensor cols(const run *r, const sn_tensor *t, uint64_t first, uint64_t n)
{
	return r->s->host.ops->cols(t, first, n);
}

static sn_rc linear(const run *r, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act)
{
	return r->s->host.ops->linear(r->ctx, y, x, w, act, r->fault);
}

static sn_rc copy(const run *r, const sn_tensor *y, const sn_tensor *x)
{
	return r->s->host.ops->scale(r->ctx, y, x, NULL, NULL, SN_ACT_NONE, r->fault);
}

static sn_rc stem(const run *r, uint32_t first, uint32_t n)
{
	const spk *e = &r->s->ear;
	sn_tensor x = rows(r, &r->j->mels, first, (uint64_t)n + e->stem_taps - 1), y = rows(r, &r->j->x, first, n);
	if (first == 0)
		KIT_TRY(r->s->host.ops->write(r->ctx, &r->j->mels, r->j->mel, r->fault));
	return r->s->host.ops->conv1d_dilated(r->ctx, &y, &x, e->stem, 1, SN_ACT_RELU, r->fault);
}

/* What goes into a block: the stem's rows, or the block's before. */
static sn_tensor input(const run *r)
{
	const uint32_t c = r->s->ear.channels;
	return r->j->block ? cols(r, &r->j->blocks, (uint64_t)(r->j->block - 1) * c, c) : r->j->x;
}

static sn_rc part(const run *r, uint32_t i)
{
	const spk *e = &r->s->ear;
	const sn_host_ops *ops = r->s->host.ops;
	const uint32_t n = e->channels / e->scale, margin = margin_of(e, r->j->block), frames = r->j->frames;
	sn_tensor from = cols(r, &r->j->h, (uint64_t)i * n, n), to = cols(r, &r->j->g, (uint64_t)i * n, n);
	if (i == 0)
		return copy(r, &to, &from);
	sn_tensor all = rows(r, &r->j->part_rows, 0, (uint64_t)frames + 2 * margin), inner = rows(r, &all, margin, frames);
	if (i == 1) {
		KIT_TRY(copy(r, &inner, &from));
	} else {
		sn_tensor before = cols(r, &r->j->g, (uint64_t)(i - 1) * n, n);
		KIT_TRY(ops->add(r->ctx, &inner, &from, &before, r->fault));
	}
	for (uint32_t k = 1; k <= margin; k++) { /* mirrored */
		sn_tensor head = rows(r, &all, margin - k, 1), tail = rows(r, &all, (uint64_t)margin + frames - 1 + k, 1);
		sn_tensor first = rows(r, &inner, k, 1), last = rows(r, &inner, frames - 1 - k, 1);
		KIT_TRY(copy(r, &head, &first));
		KIT_TRY(copy(r, &tail, &last));
	}
	return ops->conv1d_dilated(r->ctx, &to, &all, e->blocks[r->j->block].parts[i - 1], e->blocks[r->j->block].dilation, SN_ACT_RELU, r->fault);
}

static sn_rc squeeze(const run *r)
{
	const spk *e = &r->s->ear;
	const spk_block *b = &e->blocks[r->j->block];
	const sn_host_ops *ops = r->s->host.ops;
	sn_tensor one = rows(r, &r->j->mean, 0, 1), two = rows(r, &r->j->mean, 1, 1), mean = cols(r, &one, 0, e->channels), small = cols(r, &two, 0, e->squeezed);
	sn_tensor x = input(r), y = cols(r, &r->j->blocks, (uint64_t)r->j->block * e->channels, e->channels);
	KIT_TRY(ops->mean_rows(r->ctx, &mean, &r->j->h, r->j->frames, r->fault));
	KIT_TRY(linear(r, &small, &mean, b->squeeze, SN_ACT_RELU));
	KIT_TRY(linear(r, &mean, &small, b->excite, SN_ACT_SIGMOID));
	KIT_TRY(ops->scale(r->ctx, &r->j->h, &r->j->h, &mean, NULL, SN_ACT_NONE, r->fault));
	return ops->add(r->ctx, &y, &r->j->h, &x, r->fault);
}

/* ---- sums over all frames, in double ---- */

static double mean_of(const job *j, uint32_t i)
{
	return j->sum[i] / j->weight[i];
}

static double deviation_of(const job *j, uint32_t i)
{
	double mean = mean_of(j, i), v = j->squares[i] / j->weight[i] - mean * mean;
	return sqrt(v > 1e-12 ? v : 1e-12);
}

static sn_rc write_stats(const run *r)
{
	const uint32_t n = r->s->ear.joined;
	float *row = r->j->values; /* has room for 2 J: SUM_ROWS J */
	for (uint32_t i = 0; i < n; i++) {
		row[i] = (float)mean_of(r->j, i);
		row[n + i] = (float)deviation_of(r->j, i);
	}
	return r->s->host.ops->write(r->ctx, &r->j->stats, row, r->fault);
}

static void clear_sums(job *j, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		j->sum[i] = j->squares[i] = j->weight[i] = 0;
		j->most[i] = -INFINITY;
	}
}

static sn_rc sums(const run *r, uint32_t first, uint32_t n)
{
	const uint32_t width = r->s->ear.joined;
	job *j = r->j;
	sn_tensor m = rows(r, &j->m, first, n);
	if (first == 0)
		clear_sums(j, width);
	KIT_TRY(r->s->host.ops->read(r->ctx, &m, j->values, r->fault));
	for (uint32_t t = 0; t < n; t++)
		for (uint32_t i = 0; i < width; i++) {
			double v = j->values[(size_t)t * width + i];
			j->sum[i] += v;
			j->squares[i] += v * v;
			j->weight[i] += 1;
		}
	return first + n < j->frames ? SN_RC_OK : write_stats(r);
}

/* A softmax over all frames, whose largest score is known with the last one: what was summed is scaled when a larger one comes. */
static void weigh(job *j, uint32_t width, uint32_t n)
{
	for (uint32_t t = 0; t < n; t++)
		for (uint32_t i = 0; i < width; i++) {
			double v = j->values[(size_t)t * width + i], score = j->scores[(size_t)t * width + i];
			if (score > j->most[i]) {
				double down = exp(j->most[i] - score);
				j->sum[i] *= down;
				j->squares[i] *= down;
				j->weight[i] *= down;
				j->most[i] = score;
			}
			double e = exp(score - j->most[i]);
			j->sum[i] += e * v;
			j->squares[i] += e * v * v;
			j->weight[i] += e;
		}
}

static sn_rc attend(const run *r, uint32_t first, uint32_t n)
{
	const spk *e = &r->s->ear;
	const sn_host_ops *ops = r->s->host.ops;
	job *j = r->j;
	sn_tensor m = rows(r, &j->m, first, n), wide = rows(r, &j->wide, 0, n), own = cols(r, &wide, 0, e->joined), rest = cols(r, &wide, e->joined, 2 * (uint64_t)e->joined);
	sn_tensor near = rows(r, &j->near, 0, n), a = rows(r, &j->a, 0, n);
	if (first == 0)
		clear_sums(j, e->joined);
	KIT_TRY(copy(r, &own, &m));
	KIT_TRY(ops->gather(r->ctx, &rest, &j->stats, j->ids, r->fault));
	KIT_TRY(linear(r, &near, &wide, e->tdnn, SN_ACT_RELU));
	KIT_TRY(ops->scale(r->ctx, &near, &near, NULL, NULL, SN_ACT_TANH, r->fault));
	KIT_TRY(linear(r, &a, &near, e->attention, SN_ACT_NONE));
	KIT_TRY(ops->read(r->ctx, &m, j->values, r->fault));
	KIT_TRY(ops->read(r->ctx, &a, j->scores, r->fault));
	weigh(j, e->joined, n);
	return SN_RC_OK;
}

/* ---- step ---- */

static sn_rc run_rows(const run *r, uint32_t first, uint32_t n)
{
	const spk *e = &r->s->ear;
	const spk_block *b = &e->blocks[r->j->block < e->n_blocks ? r->j->block : 0];
	sn_tensor x = input(r), from, to = rows(r, &r->j->h, first, n);
	switch (r->j->stage) {
	case STEM:
		return stem(r, first, n);
	case TDNN1:
		from = rows(r, &x, first, n);
		return linear(r, &to, &from, b->tdnn1, SN_ACT_RELU);
	case TDNN2:
		from = rows(r, &r->j->g, first, n);
		return linear(r, &to, &from, b->tdnn2, SN_ACT_RELU);
	case JOIN:
		from = rows(r, &r->j->blocks, first, n);
		to = rows(r, &r->j->m, first, n);
		return linear(r, &to, &from, e->join, SN_ACT_RELU);
	case SUMS:
		return sums(r, first, n);
	default:
		return attend(r, first, n);
	}
}

/* A stage is over: the next one, or the same of the next block. */
static void advance(const spk *e, job *j)
{
	j->row = j->part = 0;
	j->stage++;
	if (j->stage == JOIN && j->block + 1 < e->n_blocks) {
		j->block++;
		j->stage = TDNN1;
	}
}

static sn_rc run_unit(const run *r)
{
	const spk *e = &r->s->ear;
	job *j = r->j;
	if (j->stage == PART) {
		KIT_TRY(part(r, j->part));
		if (++j->part == e->scale)
			advance(e, j);
		return SN_RC_OK;
	}
	if (j->stage == SQUEEZE || j->stage == ROW) {
		KIT_TRY(j->stage == SQUEEZE ? squeeze(r) : write_stats(r));
		if (j->stage == ROW)
			KIT_TRY(linear(r, &j->row_out, &j->stats, e->out, SN_ACT_NONE));
		advance(e, j);
		return SN_RC_OK;
	}
	uint32_t each = rows_of(e, j->stage, j->frames), n = j->frames - j->row < each ? j->frames - j->row : each;
	KIT_TRY(run_rows(r, j->row, n));
	j->row += n;
	if (j->row == j->frames)
		advance(e, j);
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *out, sn_fault *fault)
{
	(void)call;
	const tts *s = instance;
	job *j = state;
	const run r = {s, j, ctx, fault};
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++)
		KIT_TRY(run_unit(&r));
	if (j->next < j->n_units)
		return SN_RC_AGAIN;
	KIT_TRY(s->host.ops->read(ctx, &j->row_out, out, fault));
	return SN_RC_END;
}

const sn_ext_encode tts_encode_ext = {.size = sizeof tts_encode_ext, .begin = begin, .step = step, .end = kit_end_nothing};
