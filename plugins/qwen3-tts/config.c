/* config.c - the codec's sizes, as its tensors and the few keys beside them tell, each one checked; and what follows from them: the
 * stages. */
#include <stdio.h>
#include <string.h>

#include "qwen3_tts.h"

#define KEY(name) "clip.gen.audio.wav." name
#define TENSOR(name) "a.gen.wav." name

int32_t tts_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	uint64_t unused[4];
	return weights && weights->size >= sizeof *weights && weights->shape(model, TENSOR("quant.first.codebook.weight"), unused) == 2 &&
	               weights->shape(model, TENSOR("dac.entry.weight"), unused)
	           ? 100
	           : 0;
}

typedef struct reader {
	const sn_host_weights *weights;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} reader;

/* The dimension `at` of a tensor of so many, within its bounds. */
static void size_of(reader *r, const char *name, uint32_t n_dims, uint32_t at, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t shape[4] = {0};
	if (r->rc != SN_RC_OK)
		return;
	uint32_t n = r->weights->shape(r->model, name, shape);
	if (n == 0)
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s is missing", name);
	else if (n != n_dims && !(n == 3 && n_dims == 2 && shape[2] == 1)) /* a convolution that looks at one row */
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s has %u dimensions, not %u", name, n, n_dims);
	else if (shape[at] < min || shape[at] > max)
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s: %llu is not from %u to %u", name, (unsigned long long)shape[at], min, max);
	*value = (uint32_t)shape[at];
}

/* How many tensors there are, counted by their number in the name. */
static uint32_t count(reader *r, const char *format, uint32_t max) __attribute__((format(printf, 2, 0)));
static uint32_t count(reader *r, const char *format, uint32_t max)
{
	char name[96];
	uint64_t unused[4];
	uint32_t n = 0;
	for (; n <= max && snprintf(name, sizeof name, format, n) > 0 && r->weights->shape(r->model, name, unused); n++)
		;
	if (r->rc == SN_RC_OK && (n == 0 || n > max)) {
		snprintf(name, sizeof name, format, 0);
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensors like %s: there must be 1 to %u", name, max);
	}
	return n;
}

/* Keys that GGUF files lack: what the published codec has. */
static void key(reader *r, const char *name, uint32_t def, uint32_t min, uint32_t max, uint32_t *value)
{
	const kit_size size = {name, value, min, max};
	*value = def;
	r->weights->get_u32(r->model, name, value);
	if (r->rc == SN_RC_OK)
		r->rc = kit_check_size(&size, r->fault);
}

static void number(reader *r, const char *name, float def, float *value)
{
	*value = def;
	r->weights->get_f32(r->model, name, value);
	if (r->rc == SN_RC_OK && !(*value > 0 && *value < 1e9f))
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "%s = %g: must be above 0", name, (double)*value);
}

static void read_sizes(reader *r, tts_config *c)
{
	uint32_t others, kv, half;
	key(r, KEY("sampling_rate"), 24000, 8000, 48000, &c->rate);
	size_of(r, TENSOR("quant.first.codebook.weight"), 2, 0, 1, 65536, &c->codebook_size);
	size_of(r, TENSOR("quant.first.codebook.weight"), 2, 1, 1, 4096, &half);
	size_of(r, TENSOR("quant.rest.codebook.weight"), 3, 0, 1, TTS_MAX_CODES - 1, &others);
	size_of(r, TENSOR("quant.first.out_proj.weight"), 2, 0, 2, 8192, &c->codebook_dim);
	size_of(r, TENSOR("pre_conv.weight"), 3, 0, 1, 8192, &c->latent);
	size_of(r, TENSOR("tfm.in_proj.weight"), 2, 0, 1, 8192, &c->hidden);
	size_of(r, TENSOR("tfm.blk.0.ffn_gate.weight"), 2, 0, 1, 65536, &c->ff);
	size_of(r, TENSOR("tfm.blk.0.attn_q.weight"), 2, 0, 2, 65536, &kv);
	size_of(r, TENSOR("dac.entry.weight"), 3, 0, 2, 8192, &c->dim);
	key(r, KEY("attention.head_count"), 16, 1, 256, &c->heads);
	key(r, KEY("attention.sliding_window"), 72, 1, 4096, &c->window);
	number(r, KEY("attention.layer_norm_rms_epsilon"), 1e-5f, &c->eps);
	number(r, KEY("rope.freq_base"), 10000, &c->theta);
	c->layers = count(r, TENSOR("tfm.blk.%u.attn_q.weight"), TTS_MAX_LAYERS);
	c->n_ratios = count(r, TENSOR("up.blk.%u.conv.weight"), TTS_MAX_RATIOS);
	c->n_blocks = count(r, TENSOR("dac.blk.%u.conv.weight"), TTS_MAX_BLOCKS);
	if (r->rc != SN_RC_OK)
		return;
	c->n_codes = 1 + others;
	c->head_dim = kv / c->heads;
	if (c->codebook_dim != 2 * half)
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s: %u is not twice the %u of a code", TENSOR("quant.first.out_proj.weight"), c->codebook_dim, half);
	else if (kv % c->heads || c->head_dim % 2 || c->head_dim > 512)
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "%s = %u: heads of %u rows must be even and at most 512 wide", KEY("attention.head_count"), c->heads, kv);
	else if (c->dim % (1u << c->n_blocks))
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s: %u cannot be halved %u times", TENSOR("dac.entry.weight"), c->dim, c->n_blocks);
}

/* A transposed convolution tells how many rows it makes of one: as many as it has taps, or half of them. */
static void read_strides(reader *r, tts_config *c)
{
	enum { MOST = 16 };
	char name[64];
	c->frame_samples = 1;
	for (uint32_t i = 0; i < c->n_ratios && r->rc == SN_RC_OK; i++) {
		snprintf(name, sizeof name, TENSOR("up.blk.%u.conv.weight"), i);
		size_of(r, name, 3, 2, 1, MOST, &c->ratios[i]);
		c->frame_samples *= c->ratios[i];
	}
	for (uint32_t i = 0; i < c->n_blocks && r->rc == SN_RC_OK && c->frame_samples <= c->rate; i++) {
		snprintf(name, sizeof name, TENSOR("dac.blk.%u.conv.weight"), i);
		size_of(r, name, 3, 2, 2, 2 * MOST, &c->rates[i]);
		if (r->rc == SN_RC_OK && c->rates[i] % 2)
			r->rc = kit_fail(r->fault, SN_RC_INVALID, "tensor %s: %u taps are not twice a rate", name, c->rates[i]);
		c->rates[i] /= 2;
		c->frame_samples *= c->rates[i];
	}
	if (r->rc == SN_RC_OK && c->frame_samples > c->rate)
		r->rc = kit_fail(r->fault, SN_RC_INVALID, "%s: more samples in a frame than in a second", TENSOR("dac"));
}

sn_rc tts_read_config(const sn_host_weights *weights, const sn_model *model, tts_config *c, sn_fault *fault)
{
	reader r = {.weights = weights, .model = model, .fault = fault, .rc = SN_RC_OK};
	*c = (tts_config){0};
	read_sizes(&r, c);
	if (r.rc == SN_RC_OK)
		read_strides(&r, c);
	return r.rc;
}

/* Floats that a stage leaves in a stream. */
static uint64_t carried(const tts_config *c, const tts_stage *g)
{
	uint64_t kv = (uint64_t)c->heads * c->head_dim;
	return g->kind == STAGE_UP ? (uint64_t)g->stride * g->out : g->kind == STAGE_LAYER ? 2 * (uint64_t)(c->window - 1) * kv : (uint64_t)g->held * g->in;
}

typedef struct plan {
	tts *s;
	uint32_t rows, channels;
	uint64_t floats;
} plan;

/* The next stage; macs: of one input row. */
static void add(plan *p, tts_stage g, uint32_t out, double macs)
{
	g.in = p->channels;
	g.out = out;
	g.rows_per_frame = p->rows;
	g.stride = g.stride ? g.stride : 1;
	g.carry = p->floats;
	g.macs = macs + 32.0 * g.in;
	p->rows *= g.stride;
	p->channels = out;
	p->floats += carried(&p->s->config, &g);
	p->s->stages[p->s->n_stages++] = g;
}

void tts_lay_stages(tts *s)
{
	static const uint32_t DILATIONS[TTS_UNITS] = {1, 3, 9};
	const tts_config *c = &s->config;
	const double latent = c->latent, hidden = c->hidden, kv = (double)c->heads * c->head_dim;
	plan p = {.s = s, .rows = 1, .channels = c->codebook_dim};
	s->n_stages = 0;
	add(&p, (tts_stage){.kind = STAGE_QUANT, .held = TTS_PRE_TAPS - 1, .dilation = 1}, c->latent, (double)c->codebook_dim * (c->codebook_dim + 3 * latent));
	add(&p, (tts_stage){.kind = STAGE_TFM_IN}, c->hidden, latent * hidden);
	for (uint32_t i = 0; i < c->layers; i++)
		add(&p, (tts_stage){.kind = STAGE_LAYER, .i = i}, c->hidden, hidden * (4 * kv + 3.0 * c->ff) + 4.0 * kv * c->window);
	add(&p, (tts_stage){.kind = STAGE_TFM_OUT}, c->latent, latent * hidden);
	for (uint32_t i = 0; i < c->n_ratios; i++) {
		add(&p, (tts_stage){.kind = STAGE_SPREAD, .i = i, .stride = c->ratios[i]}, c->latent, latent * latent * c->ratios[i]);
		add(&p, (tts_stage){.kind = STAGE_NEXT, .i = i, .held = TTS_TAPS - 1, .dilation = 1}, c->latent, 8 * latent * latent);
	}
	add(&p, (tts_stage){.kind = STAGE_DEC_IN, .held = TTS_TAPS - 1, .dilation = 1}, c->dim, latent * TTS_TAPS * c->dim);
	for (uint32_t b = 0; b < c->n_blocks; b++) {
		double channels = p.channels / 2.0;
		add(&p, (tts_stage){.kind = STAGE_UP, .i = b, .stride = c->rates[b]}, p.channels / 2, channels * channels * 4 * c->rates[b]);
		for (uint32_t u = 0; u < TTS_UNITS; u++)
			add(&p, (tts_stage){.kind = STAGE_UNIT, .i = b, .unit = u, .held = (TTS_TAPS - 1) * DILATIONS[u], .dilation = DILATIONS[u]}, p.channels,
			    channels * channels * (TTS_TAPS + 1));
	}
	add(&p, (tts_stage){.kind = STAGE_OUT, .held = TTS_TAPS - 1, .dilation = 1}, 1, 4.0 * TTS_TAPS * p.channels);
	s->info.rate = c->rate;
	s->info.n_codes = c->n_codes;
	s->info.frame_samples = c->frame_samples;
	s->info.stream_bytes = p.floats * sizeof(float);
}
