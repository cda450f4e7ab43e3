/* weights.c - tensors by the names that llama.cpp's converter gives them. Shapes are checked by the host. */
#include <stdio.h>

#include "siglip.h"

typedef struct binder {
	const siglip *s;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} binder;

static siglip_linear linear(binder *b, const char *prefix, bool bias, uint64_t n_out, uint64_t n_in)
{
	siglip_linear l = {0};
	char weight_name[96], bias_name[96];
	snprintf(weight_name, sizeof weight_name, "%s.weight", prefix);
	snprintf(bias_name, sizeof bias_name, "%s.bias", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->weights->linear(b->model, weight_name, bias ? bias_name : NULL, n_out, n_in, &l.w, b->fault);
	return l;
}

static siglip_norm norm(binder *b, const char *prefix)
{
	siglip_norm n = {0};
	char name[96];
	snprintf(name, sizeof name, "%s.weight", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->weights->tensor(b->model, name, 0, b->s->config.embd, &n.w, b->fault);
	snprintf(name, sizeof name, "%s.bias", prefix);
	if (b->rc == SN_RC_OK)
		b->rc = b->s->weights->tensor(b->model, name, 0, b->s->config.embd, &n.b, b->fault);
	return n;
}

/* Some old files carry the two feed-forward matrices under each other's names: their shapes tell. */
static void feed_forward(binder *b, uint32_t i, siglip_layer *layer)
{
	const siglip_config *c = &b->s->config;
	char up[64], down[64];
	snprintf(up, sizeof up, "v.blk.%u.ffn_up", i);
	snprintf(down, sizeof down, "v.blk.%u.ffn_down", i);
	if (b->rc != SN_RC_OK)
		return;
	sn_fault ignored = {.size = sizeof ignored};
	binder swapped = *b;
	swapped.fault = &ignored;
	layer->up = linear(b, up, true, c->ff, c->embd);
	layer->down = linear(b, down, true, c->embd, c->ff);
	if (b->rc == SN_RC_OK)
		return;
	siglip_linear other_up = linear(&swapped, down, true, c->ff, c->embd);
	siglip_linear other_down = linear(&swapped, up, true, c->embd, c->ff);
	if (swapped.rc == SN_RC_OK) {
		layer->up = other_up;
		layer->down = other_down;
		b->rc = SN_RC_OK;
	}
}

static void bind_layer(binder *b, uint32_t i, siglip_layer *layer)
{
	uint32_t embd = b->s->config.embd;
	char name[64];
	const struct {
		const char *part;
		siglip_linear *to;
	} squares[] = {{"attn_q", &layer->q}, {"attn_k", &layer->k}, {"attn_v", &layer->v}, {"attn_out", &layer->out}};
	for (size_t j = 0; j < sizeof squares / sizeof *squares; j++) {
		snprintf(name, sizeof name, "v.blk.%u.%s", i, squares[j].part);
		*squares[j].to = linear(b, name, true, embd, embd);
	}
	snprintf(name, sizeof name, "v.blk.%u.ln1", i);
	layer->ln1 = norm(b, name);
	snprintf(name, sizeof name, "v.blk.%u.ln2", i);
	layer->ln2 = norm(b, name);
	feed_forward(b, i, layer);
}

sn_rc siglip_bind(siglip *s, const sn_model *model, sn_fault *fault)
{
	const siglip_config *c = &s->config;
	binder b = {.s = s, .model = model, .fault = fault, .rc = SN_RC_OK};
	s->patch = linear(&b, "v.patch_embd", true, c->embd, (uint64_t)3 * c->patch * c->patch);
	if (b.rc == SN_RC_OK)
		b.rc = s->weights->tensor(model, "v.position_embd.weight", c->n, c->embd, &s->positions, fault);
	for (uint32_t i = 0; i < c->blocks && b.rc == SN_RC_OK; i++)
		bind_layer(&b, i, &s->layers[i]);
	s->post = norm(&b, "v.post_ln");
	s->project = linear(&b, "mm.model.fc", false, c->row_dim, (uint64_t)c->embd * c->scale * c->scale);
	return b.rc;
}
