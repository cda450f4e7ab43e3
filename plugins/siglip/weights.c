/* weights.c - tensors by the names that llama.cpp's converter gives them. Shapes are checked by the host. */
#include <stdio.h>

#include "siglip.h"

/* Some old files carry the two feed-forward matrices under each other's names: their shapes tell. */
static void feed_forward(kit_binder *b, const siglip_config *c, uint32_t i, kit_layer *layer)
{
	char up[64], down[64];
	snprintf(up, sizeof up, "v.blk.%u.ffn_up", i);
	snprintf(down, sizeof down, "v.blk.%u.ffn_down", i);
	if (b->rc != SN_RC_OK)
		return;
	sn_fault ignored = {.size = sizeof ignored};
	kit_binder swapped = *b;
	swapped.fault = &ignored;
	layer->up = kit_bind_linear(b, up, true, c->ff, c->embd);
	layer->down = kit_bind_linear(b, down, true, c->embd, c->ff);
	if (b->rc == SN_RC_OK)
		return;
	const sn_weight *other_up = kit_bind_linear(&swapped, down, true, c->ff, c->embd);
	const sn_weight *other_down = kit_bind_linear(&swapped, up, true, c->embd, c->ff);
	if (swapped.rc == SN_RC_OK) {
		layer->up = other_up;
		layer->down = other_down;
		b->rc = SN_RC_OK;
	}
}

sn_rc siglip_bind(siglip *s, const sn_model *model, sn_fault *fault)
{
	const siglip_config *c = &s->config;
	kit_binder b = {.weights = s->host.weights, .model = model, .fault = fault, .rc = SN_RC_OK};
	s->patch = kit_bind_linear(&b, "v.patch_embd", true, c->embd, (uint64_t)3 * c->patch * c->patch);
	s->positions = kit_bind_tensor(&b, "v.position_embd.weight", c->n, c->embd);
	for (uint32_t i = 0; i < c->blocks && b.rc == SN_RC_OK; i++) {
		kit_bind_attention(&b, "v", i, c->embd, true, &s->layers[i]);
		feed_forward(&b, c, i, &s->layers[i]);
	}
	s->post = kit_bind_norm(&b, "v.post_ln", c->embd);
	s->project = kit_bind_linear(&b, "mm.model.fc", false, c->row_dim, (uint64_t)c->embd * c->scale * c->scale);
	return b.rc;
}
