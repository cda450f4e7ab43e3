/* weights.c - tensors by name; shapes are checked by the host. */
#include <math.h>
#include <stdio.h>

#include "vocos.h"

typedef struct binder {
	const vocos *v;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} binder;

enum { NAME = 96 };

static sn_tensor tensor(binder *b, const char *prefix, const char *part, uint64_t rows, uint64_t n)
{
	sn_tensor t = {0};
	char name[NAME];
	snprintf(name, sizeof name, "%s.%s", prefix, part);
	if (b->rc == SN_RC_OK)
		b->rc = b->v->host.weights->tensor(b->model, name, rows, n, &t, b->fault);
	return t;
}

static vocos_norm norm(binder *b, const char *prefix)
{
	vocos_norm n = {.w = tensor(b, prefix, "weight", 0, b->v->config.width)};
	n.b = tensor(b, prefix, "bias", 0, b->v->config.width);
	return n;
}

static const sn_weight *linear(binder *b, const char *prefix, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *w = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", prefix);
	snprintf(bias_name, sizeof bias_name, "%s.bias", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->v->host.weights->linear(b->model, weight_name, bias_name, n_out, n_in, &w, b->fault);
	return w;
}

static void bind_block(binder *b, uint32_t i, vocos_block *block)
{
	const vocos_config *c = &b->v->config;
	char name[64];
	snprintf(name, sizeof name, "convnext.%u.dw", i);
	block->dw = tensor(b, name, "weight", c->kernel, c->width);
	block->dw_bias = tensor(b, name, "bias", 0, c->width);
	snprintf(name, sizeof name, "convnext.%u.norm", i);
	block->norm = norm(b, name);
	snprintf(name, sizeof name, "convnext.%u.pw1", i);
	block->up = linear(b, name, c->ff, c->width);
	snprintf(name, sizeof name, "convnext.%u.pw2", i);
	block->down = linear(b, name, c->width, c->ff);
	snprintf(name, sizeof name, "convnext.%u.gamma", i);
	block->gamma = tensor(b, name, "weight", 0, c->width);
}

sn_rc vocos_bind(vocos *v, const sn_model *model, sn_fault *fault)
{
	const vocos_config *c = &v->config;
	const double pi = 3.14159265358979323846;
	binder b = {.v = v, .model = model, .fault = fault, .rc = SN_RC_OK};
	v->codebook = tensor(&b, "token_embd", "weight", c->codes, c->code_width);
	if (b.rc == SN_RC_OK)
		b.rc = v->host.weights->conv1d(model, "conv1d.weight", "conv1d.bias", c->width, c->code_width, c->kernel, &v->conv, fault);
	v->norm_in = norm(&b, "token_embd_norm");
	for (uint32_t i = 0; i < c->blocks && b.rc == SN_RC_OK; i++)
		bind_block(&b, i, &v->blocks[i]);
	v->norm_out = norm(&b, "output_norm");
	v->head = linear(&b, "output", (uint64_t)c->n_fft + 2, c->width);
	for (uint32_t i = 0; i < c->n_fft; i++)
		v->window[i] = (float)(0.5 - 0.5 * cos(2 * pi * i / c->n_fft));
	if (b.rc == SN_RC_OK)
		b.rc = v->host.weights->values(model, v->window, 0, c->n_fft, &v->window_tensor, fault);
	return b.rc;
}
