/* weights.c - tensors by the names that samples/convert/snac.py gives them. Shapes are checked by the host. */
#include <stdarg.h>
#include <stdio.h>

#include "snac.h"

typedef struct binder {
	const snac *s;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} binder;

enum { NAME = 64 };

static const sn_weight *linear(binder *b, const char *prefix, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *w = NULL;
	char weight[NAME], bias[NAME];
	snprintf(weight, sizeof weight, "%s.weight", prefix);
	snprintf(bias, sizeof bias, "%s.bias", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->linear(b->model, weight, bias, n_out, n_in, &w, b->fault);
	return w;
}

static sn_tensor tensor(binder *b, const char *prefix, const char *part, uint64_t rows, uint64_t n)
{
	sn_tensor t = {0};
	char name[NAME];
	snprintf(name, sizeof name, "%s.%s", prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->tensor(b->model, name, rows, n, &t, b->fault);
	return t;
}

static snac_snake snake(binder *b, const char *prefix, const char *part, uint64_t n)
{
	snac_snake k;
	char name[NAME];
	snprintf(name, sizeof name, "%s.%s", prefix, part);
	k.alpha = tensor(b, name, "alpha", 0, n);
	k.beta = tensor(b, name, "beta", 0, n);
	return k;
}

static void bind_unit(binder *b, const char *prefix, snac_unit *u, uint64_t n)
{
	char name[NAME];
	u->snake1 = snake(b, prefix, "snake1", n);
	u->dw = tensor(b, prefix, "dw.weight", SNAC_TAPS, n);
	u->dw_bias = tensor(b, prefix, "dw.bias", 0, n);
	u->snake2 = snake(b, prefix, "snake2", n);
	snprintf(name, sizeof name, "%s.pw", prefix);
	u->pw = linear(b, name, n, n);
}

static void bind_block(binder *b, uint32_t i, snac_block *block)
{
	const snac_config *c = &b->s->config;
	uint64_t in = c->dim >> i, out = in / 2;
	char prefix[NAME / 2], weight[NAME];
	snprintf(prefix, sizeof prefix, "blk.%u.up", i);
	block->snake = snake(b, prefix, "snake", in);
	snprintf(weight, sizeof weight, "%s.weight", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->host.weights->conv_transpose1d(b->model, weight, in, out, 2 * (uint64_t)c->rates[i], &block->up, b->fault);
	block->up_bias = tensor(b, prefix, "bias", 0, out);
	for (uint32_t r = 0; r < SNAC_UNITS; r++) {
		snprintf(prefix, sizeof prefix, "blk.%u.res.%u", i, r);
		bind_unit(b, prefix, &block->units[r], out);
	}
}

sn_rc snac_bind(snac *s, const sn_model *model, sn_fault *fault)
{
	const snac_config *c = &s->config;
	binder b = {.s = s, .model = model, .fault = fault, .rc = SN_RC_OK};
	char name[NAME / 2];
	for (uint32_t i = 0; i < c->n_levels; i++) {
		snprintf(name, sizeof name, "q.%u", i);
		s->codebooks[i] = tensor(&b, name, "codebook.weight", c->codebook_size, c->codebook_dim);
		snprintf(name, sizeof name, "q.%u.out_proj", i);
		s->out_proj[i] = linear(&b, name, c->latent, c->codebook_dim);
	}
	s->in_dw = tensor(&b, "in.dw", "weight", SNAC_TAPS, c->latent);
	s->in_dw_bias = tensor(&b, "in.dw", "bias", 0, c->latent);
	s->in_pw = linear(&b, "in.pw", c->dim, c->latent);
	for (uint32_t i = 0; i < c->n_blocks && b.rc == SN_RC_OK; i++)
		bind_block(&b, i, &s->blocks[i]);
	uint64_t last = c->dim >> c->n_blocks;
	s->out_snake = snake(&b, "out", "snake", last);
	if (b.rc == SN_RC_OK)
		b.rc = s->host.weights->conv1d(model, "out.weight", "out.bias", 1, last, SNAC_TAPS, &s->out, fault);
	return b.rc;
}
