/* weights.c - tensors by the names that llama.cpp gives them in its GGUF files. Shapes are checked by the host. */
#include <stdarg.h>
#include <stdio.h>

#include "qwen3_tts.h"

typedef struct binder {
	const tts *s;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
	char prefix[32];
} binder;

enum { NAME = 64 };

static void enter(binder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void enter(binder *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(b->prefix, sizeof b->prefix, format, args);
	va_end(args);
}

static const sn_weight *linear(binder *b, const char *part, bool bias, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *w = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s%s.weight", b->prefix, part);
	snprintf(bias_name, sizeof bias_name, "%s%s.bias", b->prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->linear(b->model, weight_name, bias ? bias_name : NULL, n_out, n_in, &w, b->fault);
	return w;
}

static const sn_weight *conv(binder *b, const char *part, uint64_t n_out, uint64_t n_in, uint64_t taps)
{
	const sn_weight *w = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s%s.weight", b->prefix, part);
	snprintf(bias_name, sizeof bias_name, "%s%s.bias", b->prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->conv1d(b->model, weight_name, bias_name, n_out, n_in, taps, &w, b->fault);
	return w;
}

static const sn_weight *transposed(binder *b, const char *part, uint64_t n_in, uint64_t n_out, uint64_t taps)
{
	const sn_weight *w = NULL;
	char name[NAME];
	snprintf(name, sizeof name, "%s%s", b->prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->conv_transpose1d(b->model, name, n_in, n_out, taps, &w, b->fault);
	return w;
}

static sn_tensor tensor(binder *b, const char *part, uint64_t rows, uint64_t n)
{
	sn_tensor t = {0};
	char name[NAME];
	snprintf(name, sizeof name, "%s%s", b->prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->tensor(b->model, name, rows, n, &t, b->fault);
	return t;
}

static tts_snake snake(binder *b, const char *part, uint64_t n)
{
	tts_snake k;
	char name[NAME / 2];
	snprintf(name, sizeof name, "%s.alpha", part);
	k.alpha = tensor(b, name, 0, n);
	snprintf(name, sizeof name, "%s.beta", part);
	k.beta = tensor(b, name, 0, n);
	return k;
}

static sn_tensor depthwise(binder *b, const char *part, uint64_t n, uint64_t taps)
{
	sn_tensor t = {0};
	char name[NAME];
	snprintf(name, sizeof name, "%s%s", b->prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->conv1d_depthwise(b->model, name, n, taps, &t, b->fault);
	return t;
}

static void bind_front(binder *b, tts *s)
{
	const tts_config *c = &s->config;
	const uint64_t half = c->codebook_dim / 2;
	enter(b, "a.gen.wav.");
	s->codebooks[0] = tensor(b, "quant.first.codebook.weight", c->codebook_size, half);
	sn_tensor rest = tensor(b, "quant.rest.codebook.weight", (uint64_t)(c->n_codes - 1) * c->codebook_size, half);
	for (uint32_t i = 1; i < c->n_codes && b->rc == SN_RC_OK; i++)
		s->codebooks[i] = s->host.ops->rows(&rest, (uint64_t)(i - 1) * c->codebook_size, c->codebook_size);
	s->first = linear(b, "quant.first.out_proj", false, c->codebook_dim, half);
	s->rest = linear(b, "quant.rest.out_proj", false, c->codebook_dim, half);
	s->pre = conv(b, "pre_conv", c->latent, c->codebook_dim, TTS_PRE_TAPS);
	s->tfm_in = linear(b, "tfm.in_proj", true, c->hidden, c->latent);
	s->tfm_out = linear(b, "tfm.out_proj", true, c->latent, c->hidden);
	s->tfm_norm = tensor(b, "tfm.output_norm.weight", 0, c->hidden);
}

static void bind_layer(binder *b, const tts_config *c, uint32_t i, tts_layer *l)
{
	uint64_t kv = (uint64_t)c->heads * c->head_dim;
	enter(b, "a.gen.wav.tfm.blk.%u.", i);
	l->norm1 = tensor(b, "ln1.weight", 0, c->hidden);
	l->q = linear(b, "attn_q", false, kv, c->hidden);
	l->k = linear(b, "attn_k", false, kv, c->hidden);
	l->v = linear(b, "attn_v", false, kv, c->hidden);
	l->o = linear(b, "attn_out", false, c->hidden, kv);
	l->scale1 = tensor(b, "ls1.weight", 0, c->hidden);
	l->norm2 = tensor(b, "ln2.weight", 0, c->hidden);
	l->gate = linear(b, "ffn_gate", false, c->ff, c->hidden);
	l->up = linear(b, "ffn_up", false, c->ff, c->hidden);
	l->down = linear(b, "ffn_down", false, c->hidden, c->ff);
	l->scale2 = tensor(b, "ls2.weight", 0, c->hidden);
}

static void bind_next(binder *b, const tts_config *c, uint32_t i, tts_next *n)
{
	enter(b, "a.gen.wav.up.blk.%u.", i);
	n->up = transposed(b, "conv.weight", c->latent, c->latent, c->ratios[i]);
	n->up_bias = tensor(b, "conv.bias", 0, c->latent);
	n->dw = depthwise(b, "dwconv.weight", c->latent, TTS_TAPS);
	n->dw_bias = tensor(b, "dwconv.bias", 0, c->latent);
	n->norm = tensor(b, "norm.weight", 0, c->latent);
	n->norm_bias = tensor(b, "norm.bias", 0, c->latent);
	n->pw1 = linear(b, "pw1", true, 4 * (uint64_t)c->latent, c->latent);
	n->pw2 = linear(b, "pw2", true, c->latent, 4 * (uint64_t)c->latent);
	n->gamma = tensor(b, "gamma", 0, c->latent);
}

static void bind_block(binder *b, const tts_config *c, uint32_t i, tts_block *block)
{
	uint64_t in = c->dim >> i, out = in / 2;
	enter(b, "a.gen.wav.dac.blk.%u.", i);
	block->snake = snake(b, "snake", in);
	block->up = transposed(b, "conv.weight", in, out, 2 * (uint64_t)c->rates[i]);
	block->up_bias = tensor(b, "conv.bias", 0, out);
	for (uint32_t r = 0; r < TTS_UNITS; r++) {
		tts_unit *u = &block->units[r];
		enter(b, "a.gen.wav.dac.blk.%u.res.%u.", i, r);
		u->snake1 = snake(b, "act1", out);
		u->conv1 = conv(b, "conv1", out, out, TTS_TAPS);
		u->snake2 = snake(b, "act2", out);
		u->conv2 = linear(b, "conv2", true, out, out);
	}
}

sn_rc tts_bind(tts *s, const sn_model *model, sn_fault *fault)
{
	const tts_config *c = &s->config;
	binder b = {.s = s, .model = model, .fault = fault, .rc = SN_RC_OK};
	uint64_t last = c->dim >> c->n_blocks;
	bind_front(&b, s);
	for (uint32_t i = 0; i < c->layers && b.rc == SN_RC_OK; i++)
		bind_layer(&b, c, i, &s->layers[i]);
	for (uint32_t i = 0; i < c->n_ratios; i++)
		bind_next(&b, c, i, &s->nexts[i]);
	enter(&b, "a.gen.wav.dac.");
	s->dec_in = conv(&b, "entry", c->dim, c->latent, TTS_TAPS);
	for (uint32_t i = 0; i < c->n_blocks; i++)
		bind_block(&b, c, i, &s->blocks[i]);
	enter(&b, "a.gen.wav.dac.");
	s->out_snake = snake(&b, "post_snake", last);
	s->out = conv(&b, "post_conv", 1, last, TTS_TAPS);
	return b.rc;
}
