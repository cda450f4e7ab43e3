/* weights.c - tensors by the names that llama.cpp's converter gives them. Shapes are checked by the host. */
#include <stdio.h>

#include "whisper.h"

/* Keys have no bias. */
static void bind_layer(kit_binder *b, const whisper_config *c, uint32_t i, kit_layer *l)
{
	char name[64];
	kit_bind_attention(b, "a", i, c->embd, false, l);
	snprintf(name, sizeof name, "a.blk.%u.ffn_up", i);
	l->up = kit_bind_linear(b, name, true, c->ff, c->embd);
	snprintf(name, sizeof name, "a.blk.%u.ffn_down", i);
	l->down = kit_bind_linear(b, name, true, c->embd, c->ff);
}

static void bind_projection(kit_binder *b, whisper *w)
{
	const whisper_config *c = &w->config;
	uint64_t stacked = (uint64_t)c->embd * c->stack;
	switch (c->family->mlp) {
	case MLP_NONE:
		break;
	case MLP_LINEAR:
		w->linear1 = kit_bind_linear(b, "mm.a.fc", true, c->row_dim, c->embd);
		break;
	case MLP_GELU:
		w->linear1 = kit_bind_linear(b, "mm.a.mlp.1", false, c->hidden, stacked);
		w->linear2 = kit_bind_linear(b, "mm.a.mlp.2", false, c->row_dim, c->hidden);
		break;
	case MLP_SWIGLU:
		w->norm_pre = kit_bind_tensor(b, "mm.a.norm_pre.weight", 0, stacked);
		w->linear1 = kit_bind_linear(b, "mm.a.mlp.1", false, c->hidden, stacked);
		w->norm_mid = kit_bind_tensor(b, "mm.a.norm_mid.weight", 0, c->hidden / 2);
		w->linear2 = kit_bind_linear(b, "mm.a.mlp.2", false, c->row_dim, c->hidden / 2);
		break;
	}
}

sn_rc whisper_bind(whisper *w, const sn_model *model, sn_fault *fault)
{
	const whisper_config *c = &w->config;
	kit_binder b = {.weights = w->host.weights, .model = model, .fault = fault, .rc = SN_RC_OK};
	w->conv1 = kit_bind_conv1d(&b, "a.conv1d.1", c->embd, c->n_mels, WHISPER_TAPS);
	w->conv2 = kit_bind_conv1d(&b, "a.conv1d.2", c->embd, c->embd, WHISPER_TAPS);
	w->positions = kit_bind_tensor(&b, "a.position_embd.weight", c->n_ctx, c->embd);
	for (uint32_t i = 0; i < c->layers && b.rc == SN_RC_OK; i++)
		bind_layer(&b, c, i, &w->layers[i]);
	w->post = kit_bind_norm(&b, "a.post_ln", c->embd);
	bind_projection(&b, w);
	return b.rc;
}
