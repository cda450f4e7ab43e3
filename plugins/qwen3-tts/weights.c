/* weights.c - tensors by the names that samples/convert/qwen3_tts_codec.py gives them. Shapes are checked by the host. */
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

static void bind_front(binder *b, tts *s)
{
	const tts_config *c = &s->config;
	for (uint32_t i = 0; i < c->n_codes; i++) {
		enter(b, "q.%u.", i);
		s->codebooks[i] = tensor(b, "codebook.weight", c->codebook_size, c->codebook_dim / 2);
	}
	enter(b, "%s", "");
	s->first = linear(b, "q.first", false, c->codebook_dim, c->codebook_dim / 2);
	s->rest = linear(b, "q.rest", false, c->codebook_dim, c->codebook_dim / 2);
	s->pre = conv(b, "pre", c->latent, c->codebook_dim, TTS_PRE_TAPS);
	s->tfm_in = linear(b, "tfm.in", true, c->hidden, c->latent);
	s->tfm_out = linear(b, "tfm.out", true, c->latent, c->hidden);
	s->tfm_norm = tensor(b, "tfm.norm.weight", 0, c->hidden);
}

static void bind_layer(binder *b, const tts_config *c, uint32_t i, tts_layer *l)
{
	uint64_t kv = (uint64_t)c->heads * c->head_dim;
	enter(b, "tfm.%u.", i);
	l->norm1 = tensor(b, "norm1.weight", 0, c->hidden);
	l->q = linear(b, "q", false, kv, c->hidden);
	l->k = linear(b, "k", false, kv, c->hidden);
	l->v = linear(b, "v", false, kv, c->hidden);
	l->o = linear(b, "o", false, c->hidden, kv);
	l->scale1 = tensor(b, "scale1", 0, c->hidden);
	l->norm2 = tensor(b, "norm2.weight", 0, c->hidden);
	l->gate = linear(b, "gate", false, c->ff, c->hidden);
	l->up = linear(b, "up", false, c->ff, c->hidden);
	l->down = linear(b, "down", false, c->hidden, c->ff);
	l->scale2 = tensor(b, "scale2", 0, c->hidden);
}

static void bind_next(binder *b, const tts_config *c, uint32_t i, tts_next *n)
{
	enter(b, "up.%u.", i);
	n->up = transposed(b, "weight", c->latent, c->latent, c->ratios[i]);
	n->up_bias = tensor(b, "bias", 0, c->latent);
	n->dw = tensor(b, "dw.weight", TTS_TAPS, c->latent);
	n->dw_bias = tensor(b, "dw.bias", 0, c->latent);
	n->norm = tensor(b, "norm.weight", 0, c->latent);
	n->norm_bias = tensor(b, "norm.bias", 0, c->latent);
	n->pw1 = linear(b, "pw1", true, 4 * (uint64_t)c->latent, c->latent);
	n->pw2 = linear(b, "pw2", true, c->latent, 4 * (uint64_t)c->latent);
	n->gamma = tensor(b, "gamma", 0, c->latent);
}

static void bind_block(binder *b, const tts_config *c, uint32_t i, tts_block *block)
{
	uint64_t in = c->dim >> i, out = in / 2;
	enter(b, "dec.%u.", i);
	block->snake = snake(b, "snake", in);
	block->up = transposed(b, "up.weight", in, out, 2 * (uint64_t)c->rates[i]);
	block->up_bias = tensor(b, "up.bias", 0, out);
	for (uint32_t r = 0; r < TTS_UNITS; r++) {
		tts_unit *u = &block->units[r];
		enter(b, "dec.%u.res.%u.", i, r);
		u->snake1 = snake(b, "snake1", out);
		u->conv1 = conv(b, "conv1", out, out, TTS_TAPS);
		u->snake2 = snake(b, "snake2", out);
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
	enter(&b, "dec.");
	s->dec_in = conv(&b, "in", c->dim, c->latent, TTS_TAPS);
	for (uint32_t i = 0; i < c->n_blocks; i++)
		bind_block(&b, c, i, &s->blocks[i]);
	enter(&b, "dec.out");
	s->out_snake = snake(&b, ".snake", last);
	s->out = conv(&b, "", 1, last, TTS_TAPS);
	return b.rc;
}
