/* weights.c - tensors by the names that llama.cpp's converter gives them. Shapes are checked by the host. */
#include <stdio.h>

#include "whisper.h"

typedef struct binder {
	const whisper *w;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} binder;

enum { NAME = 96 };

static const sn_weight *linear(binder *b, const char *prefix, bool bias, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *l = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", prefix);
	snprintf(bias_name, sizeof bias_name, "%s.bias", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->w->weights->linear(b->model, weight_name, bias ? bias_name : NULL, n_out, n_in, &l, b->fault);
	return l;
}

static const sn_weight *conv1d(binder *b, int number, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *l = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "a.conv1d.%d.weight", number);
	snprintf(bias_name, sizeof bias_name, "a.conv1d.%d.bias", number);
	if (b->rc == SN_RC_OK)
		b->rc = b->w->weights->conv1d(b->model, weight_name, bias_name, n_out, n_in, WHISPER_TAPS, &l, b->fault);
	return l;
}

static sn_tensor vector(binder *b, const char *name, uint64_t rows, uint64_t n)
{
	sn_tensor t = {0};
	if (b->rc == SN_RC_OK)
		b->rc = b->w->weights->tensor(b->model, name, rows, n, &t, b->fault);
	return t;
}

static whisper_norm norm(binder *b, const char *prefix)
{
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", prefix);
	snprintf(bias_name, sizeof bias_name, "%s.bias", prefix);
	whisper_norm n = {.w = vector(b, weight_name, 0, b->w->config.embd)};
	n.b = vector(b, bias_name, 0, b->w->config.embd);
	return n;
}

static void bind_layer(binder *b, uint32_t i, whisper_layer *l)
{
	const whisper_config *c = &b->w->config;
	char name[64];
	const struct {
		const char *part;
		const sn_weight **to;
		bool bias;
		uint64_t n_out, n_in;
	} products[] = {{"attn_q", &l->q, true, c->embd, c->embd}, {"attn_k", &l->k, false, c->embd, c->embd},
	                {"attn_v", &l->v, true, c->embd, c->embd}, {"attn_out", &l->out, true, c->embd, c->embd},
	                {"ffn_up", &l->up, true, c->ff, c->embd},  {"ffn_down", &l->down, true, c->embd, c->ff}};
	for (size_t j = 0; j < sizeof products / sizeof *products; j++) {
		snprintf(name, sizeof name, "a.blk.%u.%s", i, products[j].part);
		*products[j].to = linear(b, name, products[j].bias, products[j].n_out, products[j].n_in);
	}
	snprintf(name, sizeof name, "a.blk.%u.ln1", i);
	l->ln1 = norm(b, name);
	snprintf(name, sizeof name, "a.blk.%u.ln2", i);
	l->ln2 = norm(b, name);
}

static void bind_projection(binder *b, whisper *w)
{
	const whisper_config *c = &w->config;
	uint64_t stacked = (uint64_t)c->embd * c->stack;
	switch (c->family->mlp) {
	case MLP_NONE:
		break;
	case MLP_LINEAR:
		w->linear1 = linear(b, "mm.a.fc", true, c->row_dim, c->embd);
		break;
	case MLP_GELU:
		w->linear1 = linear(b, "mm.a.mlp.1", false, c->hidden, stacked);
		w->linear2 = linear(b, "mm.a.mlp.2", false, c->row_dim, c->hidden);
		break;
	case MLP_SWIGLU:
		w->norm_pre = vector(b, "mm.a.norm_pre.weight", 0, stacked);
		w->linear1 = linear(b, "mm.a.mlp.1", false, c->hidden, stacked);
		w->norm_mid = vector(b, "mm.a.norm_mid.weight", 0, c->hidden / 2);
		w->linear2 = linear(b, "mm.a.mlp.2", false, c->row_dim, c->hidden / 2);
		break;
	}
}

sn_rc whisper_bind(whisper *w, const sn_model *model, sn_fault *fault)
{
	const whisper_config *c = &w->config;
	binder b = {.w = w, .model = model, .fault = fault, .rc = SN_RC_OK};
	w->conv1 = conv1d(&b, 1, c->embd, c->n_mels);
	w->conv2 = conv1d(&b, 2, c->embd, c->embd);
	w->positions = vector(&b, "a.position_embd.weight", c->n_ctx, c->embd);
	for (uint32_t i = 0; i < c->layers && b.rc == SN_RC_OK; i++)
		bind_layer(&b, i, &w->layers[i]);
	w->post = norm(&b, "a.post_ln");
	bind_projection(&b, w);
	return b.rc;
}
