/* config.c - hyper-parameters from the model file, each one checked, and what follows from them: the stages. */
#include <string.h>

#include "qwen3_tts.h"

#define KEY(name) "qwen3-tts-codec." name

int32_t tts_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	const char *type = weights && weights->size >= sizeof *weights ? weights->get_str(model, "general.architecture") : NULL;
	return type && strcmp(type, "qwen3-tts-codec") == 0 ? 100 : 0;
}

static sn_rc read_sizes(const sn_host_weights *weights, const sn_model *model, tts_config *c, sn_fault *fault)
{
	const struct { const char *key; uint32_t *value, min, max; } sizes[] = {
	    {KEY("sampling_rate"), &c->rate, 8000, 48000},
	    {KEY("num_quantizers"), &c->n_codes, 2, TTS_MAX_CODES},
	    {KEY("codebook_size"), &c->codebook_size, 1, 65536},
	    {KEY("codebook_dim"), &c->codebook_dim, 2, 8192},
	    {KEY("latent_dim"), &c->latent, 1, 8192},
	    {KEY("embedding_length"), &c->hidden, 1, 8192},
	    {KEY("feed_forward_length"), &c->ff, 1, 65536},
	    {KEY("attention.head_count"), &c->heads, 1, 256},
	    {KEY("attention.key_length"), &c->head_dim, 2, 512},
	    {KEY("attention.sliding_window"), &c->window, 1, 4096},
	    {KEY("block_count"), &c->layers, 1, TTS_MAX_LAYERS},
	    {KEY("decoder_dim"), &c->dim, 2, 8192},
	};
	const struct { const char *key; float *value; } numbers[] = {
	    {KEY("attention.layer_norm_rms_epsilon"), &c->eps}, {KEY("rope.freq_base"), &c->theta}};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (!weights->get_u32(model, sizes[i].key, sizes[i].value))
			return kit_fail(fault, SN_RC_INVALID, "%s is missing or not an integer", sizes[i].key);
		if (*sizes[i].value < sizes[i].min || *sizes[i].value > sizes[i].max)
			return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be %u to %u", sizes[i].key, *sizes[i].value, sizes[i].min, sizes[i].max);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (!weights->get_f32(model, numbers[i].key, numbers[i].value))
			return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a number", numbers[i].key);
		if (!(*numbers[i].value > 0 && *numbers[i].value < 1e9f))
			return kit_fail(fault, SN_RC_INVALID, "%s = %g: must be above 0", numbers[i].key, (double)*numbers[i].value);
	}
	return SN_RC_OK;
}

static sn_rc read_list(const sn_host_weights *weights, const sn_model *model, const char *key, uint32_t max, uint32_t *values, uint32_t *n,
                       sn_fault *fault)
{
	const int32_t most = 16;
	int32_t list[TTS_MAX_BLOCKS];
	*n = weights->get_i32_array(model, key, list, max);
	if (*n == 0 || *n > max)
		return kit_fail(fault, SN_RC_INVALID, "%s must be an array of 1 to %u integers", key, max);
	for (uint32_t i = 0; i < *n; i++) {
		if (list[i] < 1 || list[i] > most)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] = %d: must be 1 to %d", key, i, list[i], most);
		values[i] = (uint32_t)list[i];
	}
	return SN_RC_OK;
}

sn_rc tts_read_config(const sn_host_weights *weights, const sn_model *model, tts_config *c, sn_fault *fault)
{
	*c = (tts_config){0};
	sn_rc rc = read_sizes(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_list(weights, model, KEY("upsampling_ratios"), TTS_MAX_RATIOS, c->ratios, &c->n_ratios, fault);
	if (rc == SN_RC_OK)
		rc = read_list(weights, model, KEY("upsample_rates"), TTS_MAX_BLOCKS, c->rates, &c->n_blocks, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (c->codebook_dim % 2)
		return kit_fail(fault, SN_RC_INVALID, KEY("codebook_dim") " = %u: must be even", c->codebook_dim);
	if (c->head_dim % 2)
		return kit_fail(fault, SN_RC_INVALID, KEY("attention.key_length") " = %u: must be even", c->head_dim);
	if (c->dim % (1u << c->n_blocks))
		return kit_fail(fault, SN_RC_INVALID, KEY("decoder_dim") " = %u cannot be halved %u times", c->dim, c->n_blocks);
	c->frame_samples = 1;
	for (uint32_t i = 0; i < c->n_ratios; i++)
		c->frame_samples *= c->ratios[i];
	for (uint32_t i = 0; i < c->n_blocks && c->frame_samples <= c->rate; i++)
		c->frame_samples *= c->rates[i];
	if (c->frame_samples > c->rate)
		return kit_fail(fault, SN_RC_INVALID, KEY("upsample_rates") ": more samples in a frame than in a second");
	return SN_RC_OK;
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
