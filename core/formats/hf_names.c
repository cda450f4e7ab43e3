#include "formats/hf_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

struct name {
	const char *hf, *gguf;
	unsigned wants;     /* HF_...: this row holds if the model has all of these */
	unsigned wants_not; /* and none of these */
};

/* After "model.", or "model.language_model." */
static const struct name top[] = {
    {"embed_tokens.weight", "token_embd.weight", 0, 0},
    {"norm.weight", "output_norm.weight", 0, 0},
};

/* After the same and "layers.N.", and "blk.N." */
static const struct name parts[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, HF_POST_NORMS},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", HF_POST_NORMS, 0}, /* one name, two meanings */
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", HF_POST_NORMS, 0},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", HF_POST_NORMS, 0},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", HF_QK_NORMS, 0},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", HF_QK_NORMS, 0},
    {"self_attn.qkv_proj.weight", "attn_qkv.weight", HF_FUSED, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, HF_FUSED},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, HF_FUSED},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, HF_FUSED},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", HF_QKV_BIAS, 0},
    {"self_attn.k_proj.bias", "attn_k.bias", HF_QKV_BIAS, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", HF_QKV_BIAS, 0},
    {"self_attn.o_proj.bias", "attn_output.bias", HF_O_BIAS, 0},
    {"mlp.gate_up_proj.weight", "ffn_up.weight", HF_FUSED, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, HF_FUSED | HF_EXPERTS},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, HF_FUSED | HF_EXPERTS},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, HF_EXPERTS},
    {"mlp.gate_proj.bias", "ffn_gate.bias", HF_MLP_BIAS, 0},
    {"mlp.up_proj.bias", "ffn_up.bias", HF_MLP_BIAS, 0},
    {"mlp.down_proj.bias", "ffn_down.bias", HF_MLP_BIAS, 0},
};

/* Of families in which some layers have experts: one feed-forward, */
static const struct name dense_parts[] = {
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
};

/* many, all in one tensor each, as transformers 5 holds them, */
static const struct name packed_parts[] = {
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight", 0, 0},
    {"mlp.experts.down_proj", "ffn_down_exps.weight", 0, 0},
};

/* or each in one of its own: after "mlp.experts.N.", and N before ".weight". */
static const char *const expert_parts[][2] = {{"gate_proj", "ffn_gate"}, {"up_proj", "ffn_up"}, {"down_proj", "ffn_down"}};

/* Whisper's: two stacks of layers. */
static const struct name encdec_top[] = {
    {"model.decoder.embed_tokens.weight", "token_embd.weight", 0, 0},
    {"model.decoder.embed_positions.weight", "position_embd.weight", 0, 0},
    {"model.decoder.layer_norm.weight", "output_norm.weight", 0, 0},
    {"model.decoder.layer_norm.bias", "output_norm.bias", 0, 0},
    {"proj_out.weight", "output.weight", HF_HEAD, 0},
    {"model.encoder.conv1.weight", "a.conv1d.1.weight", 0, 0},
    {"model.encoder.conv1.bias", "a.conv1d.1.bias", 0, 0},
    {"model.encoder.conv2.weight", "a.conv1d.2.weight", 0, 0},
    {"model.encoder.conv2.bias", "a.conv1d.2.bias", 0, 0},
    {"model.encoder.embed_positions.weight", "a.position_embd.weight", 0, 0},
    {"model.encoder.layer_norm.weight", "a.post_ln.weight", 0, 0},
    {"model.encoder.layer_norm.bias", "a.post_ln.bias", 0, 0},
};

/* After "model.decoder.layers.N." and "blk.N." */
static const struct name decoder_parts[] = {
    {"self_attn_layer_norm.weight", "attn_norm.weight", 0, 0},
    {"self_attn_layer_norm.bias", "attn_norm.bias", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0}, /* k has no bias */
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", 0, 0},
    {"self_attn.out_proj.weight", "attn_output.weight", 0, 0},
    {"self_attn.out_proj.bias", "attn_output.bias", 0, 0},
    {"encoder_attn_layer_norm.weight", "cross_attn_norm.weight", 0, 0},
    {"encoder_attn_layer_norm.bias", "cross_attn_norm.bias", 0, 0},
    {"encoder_attn.q_proj.weight", "cross_attn_q.weight", 0, 0},
    {"encoder_attn.q_proj.bias", "cross_attn_q.bias", 0, 0},
    {"encoder_attn.k_proj.weight", "cross_attn_k.weight", 0, 0},
    {"encoder_attn.v_proj.weight", "cross_attn_v.weight", 0, 0},
    {"encoder_attn.v_proj.bias", "cross_attn_v.bias", 0, 0},
    {"encoder_attn.out_proj.weight", "cross_attn_output.weight", 0, 0},
    {"encoder_attn.out_proj.bias", "cross_attn_output.bias", 0, 0},
    {"final_layer_norm.weight", "ffn_norm.weight", 0, 0},
    {"final_layer_norm.bias", "ffn_norm.bias", 0, 0},
    {"fc1.weight", "ffn_up.weight", 0, 0},
    {"fc1.bias", "ffn_up.bias", 0, 0},
    {"fc2.weight", "ffn_down.weight", 0, 0},
    {"fc2.bias", "ffn_down.bias", 0, 0},
};

/* After "model.encoder.layers.N." and "a.blk.N.": names as in GGUF files of such towers. */
static const struct name encoder_parts[] = {
    {"self_attn_layer_norm.weight", "ln1.weight", 0, 0},
    {"self_attn_layer_norm.bias", "ln1.bias", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", 0, 0},
    {"self_attn.out_proj.weight", "attn_out.weight", 0, 0},
    {"self_attn.out_proj.bias", "attn_out.bias", 0, 0},
    {"final_layer_norm.weight", "ln2.weight", 0, 0},
    {"final_layer_norm.bias", "ln2.bias", 0, 0},
    {"fc1.weight", "ffn_up.weight", 0, 0},
    {"fc1.bias", "ffn_up.bias", 0, 0},
    {"fc2.weight", "ffn_down.weight", 0, 0},
    {"fc2.bias", "ffn_down.bias", 0, 0},
};

/* Qwen3-TTS's, beside its layers, which are called as any text model's. */
static const struct name talker_top[] = {
    {"talker.model.text_embedding.weight", "token_embd.weight", 0, 0},
    {"talker.model.codec_embedding.weight", "codec_embd.weight", 0, 0},
    {"talker.text_projection.linear_fc1.weight", "token_embd_fc1.weight", 0, 0},
    {"talker.text_projection.linear_fc1.bias", "token_embd_fc1.bias", 0, 0},
    {"talker.text_projection.linear_fc2.weight", "token_embd_fc2.weight", 0, 0},
    {"talker.text_projection.linear_fc2.bias", "token_embd_fc2.bias", 0, 0},
    {"talker.model.norm.weight", "output_norm.weight", 0, 0},
    {"talker.codec_head.weight", "output.weight", 0, 0},
    {"talker.code_predictor.model.norm.weight", "a.gen.code.output_norm.weight", 0, 0},
    {"talker.code_predictor.small_to_mtp_projection.weight", "a.gen.code.proj_in.weight", HF_DEPTH_IN, 0},
    {"talker.code_predictor.small_to_mtp_projection.bias", "a.gen.code.proj_in.bias", HF_DEPTH_IN, 0},
};

/* After "talker.code_predictor.model.layers.N." and "a.gen.code.blk.N.": names as in GGUF files. */
static const struct name depth_parts[] = {
    {"input_layernorm.weight", "ln1.weight", 0, 0},
    {"post_attention_layernorm.weight", "ln2.weight", 0, 0},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", 0, 0},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.o_proj.weight", "attn_out.weight", 0, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
};

/* After "talker.code_predictor." and "a.gen.code.": a table for each code, its number between these and ".weight". */
static const char *const code_tables[][2] = {{"model.codec_embedding.", "embd."}, {"lm_head.", "head."}};

/* What hears whom a talker is to speak like, after "speaker_encoder.": names as in GGUF files. */
static const struct name speaker_top[] = {
    {"blocks.0.conv.weight", "a.conv1d.0.weight", 0, 0},
    {"blocks.0.conv.bias", "a.conv1d.0.bias", 0, 0},
    {"mfa.conv.weight", "a.conv_out.weight", 0, 0},
    {"mfa.conv.bias", "a.conv_out.bias", 0, 0},
    {"asp.conv.weight", "a.asp_attn.weight", 0, 0},
    {"asp.conv.bias", "a.asp_attn.bias", 0, 0},
    {"asp.tdnn.conv.weight", "a.asp_tdnn.weight", 0, 0},
    {"asp.tdnn.conv.bias", "a.asp_tdnn.bias", 0, 0},
    {"fc.weight", "mm.a.fc.weight", 0, 0},
    {"fc.bias", "mm.a.fc.bias", 0, 0},
};

/* After "speaker_encoder.blocks.N." and "a.blk.N.", N from 1 on. */
static const struct name speaker_parts[] = {
    {"tdnn1.conv.weight", "conv_pw1.weight", 0, 0},
    {"tdnn1.conv.bias", "conv_pw1.bias", 0, 0},
    {"tdnn2.conv.weight", "conv_pw2.weight", 0, 0},
    {"tdnn2.conv.bias", "conv_pw2.bias", 0, 0},
    {"se_block.conv1.weight", "se_conv1.weight", 0, 0},
    {"se_block.conv1.bias", "se_conv1.bias", 0, 0},
    {"se_block.conv2.weight", "se_conv2.weight", 0, 0},
    {"se_block.conv2.bias", "se_conv2.bias", 0, 0},
};

struct translator {
	model_file *file;
	const hf_config *config;
	const st_tensor *all;
	size_t n;
	bool *used; /* [n] */
	const char *root;         /* of a text model's names */
	const char *embed, *head; /* their names */
	bool bare;  /* names are without "model." */
	sn_error *err;
};

static int by_name(const void *name, const void *tensor)
{
	return strcmp(name, ((const st_tensor *)tensor)->name.p);
}

static const char model_prefix[] = "model.";

static const st_tensor *find(const struct translator *t, const char *name)
{
	const size_t n = sizeof model_prefix - 1;
	name += t->bare && strncmp(name, model_prefix, n) == 0 ? n : 0;
	return bsearch(name, t->all, t->n, sizeof *t->all, by_name);
}

/* Kernels load whole values. Writers put large types first, so that a tensor that is not aligned to its values comes from
 * a file of an unusual kind, and may cost a copy. */
static sn_status align(file_tensor *out, size_t value_bytes, arena *mem, sn_error *err)
{
	if ((uintptr_t)out->data % value_bytes == 0)
		return SN_OK;
	void *copy = arena_alloc(mem, out->bytes);
	if (!copy)
		return error_set(err, SN_ERR_NOMEM, "tensor %s: no memory for a copy", out->name.p);
	out->data = memcpy(copy, out->data, out->bytes);
	return SN_OK;
}

sn_status hf_names_place(model_file *f, const st_tensor *s, const char *gguf, sn_error *err)
{
	const char *hf = s->name.p;
	const bool f8 = s->dtype->storage == STORAGE_F8_E4M3; /* its place has scales, or whoever binds it refuses it */
	if (!f8 && (s->dtype->bits > 32 || s->dtype->bits < 16 || s->dtype->storage < 0 || s->dtype->storage == 25 || s->dtype->storage == 26))
		return error_set(err, SN_ERR_UNSUPPORTED, "tensor %s: dtype %s is not supported (F32, F16 and BF16 are)", hf, s->dtype->name);
	if (s->rank > 4 || s->bytes == 0)
		return error_set(err, SN_ERR_INVALID, "tensor %s: %u dimensions and %" PRIu64 " bytes", hf, s->rank, s->bytes);
	file_tensor *out = &f->tensors[f->n_tensors++];
	size_t n = strlen(gguf);
	*out = (file_tensor){{arena_strndup(f->mem, gguf, n), n}, (uint32_t)s->dtype->storage, s->rank ? s->rank : 1, {1, 1, 1, 1}, s->data,
	                     s->bytes};
	if (!out->name.p)
		return error_set(err, SN_ERR_NOMEM, "tensor %s: no memory for its name", hf);
	for (uint32_t d = 0; d < s->rank; d++)
		out->ne[d] = s->shape[s->rank - 1 - d];
	return align(out, s->dtype->bits / 8, f->mem, err);
}

/* What belongs to "X.weight" by another end of its name. */
static const st_tensor *find_beside(struct translator *t, const st_tensor *weight, const char *end)
{
	char name[160];
	snprintf(name, sizeof name, "%.*s%s", (int)(weight->name.n - strlen(".weight")), weight->name.p, end);
	const st_tensor *s = find(t, name);
	if (s)
		t->used[s - t->all] = true;
	return s;
}

/* 8-bit floats "X.weight" and their scales, as "Y.weight" and "Y.scale". What activations would be scaled by is not needed. */
static sn_status place_scaled(struct translator *t, const st_tensor *s, const char *gguf)
{
	char scale[160];
	if (!(t->config->has & HF_F8) || strcmp(s->name.p, t->embed) == 0 || !str_ends(s->name, STR(".weight")))
		return error_set(t->err, SN_ERR_UNSUPPORTED, "tensor %s: dtype %s is not supported (F32, F16 and BF16 are)", s->name.p, s->dtype->name);
	snprintf(scale, sizeof scale, "%.*s.scale", (int)(strlen(gguf) - strlen(".weight")), gguf);
	const st_tensor *beside = find_beside(t, s, ".weight_scale");
	if (!beside && !(beside = find_beside(t, s, ".weight_scale_inv"))) /* which is no inverse: values are multiplied by it, too */
		return error_set(t->err, SN_ERR_INVALID, "tensor %s_scale is missing", s->name.p);
	find_beside(t, s, ".input_scale");
	find_beside(t, s, ".activation_scale");
	sn_status st = hf_names_place(t->file, s, gguf, t->err);
	return st ? st : hf_names_place(t->file, beside, scale, t->err);
}

static sn_status place(struct translator *t, const char *hf, const char *gguf)
{
	const st_tensor *s = find(t, hf);
	if (!s)
		return error_set(t->err, SN_ERR_INVALID, "tensor %s is missing", hf);
	t->used[s - t->all] = true;
	if (s->dtype->storage == STORAGE_F8_E4M3)
		return place_scaled(t, s, gguf);
	return hf_names_place(t->file, s, gguf, t->err);
}

static sn_status place_rows(struct translator *t, const struct name *rows, size_t n, const char *hf_prefix, const char *gguf_prefix)
{
	sn_status st = SN_OK;
	for (size_t i = 0; i < n && !st; i++) {
		char hf[128], gguf[128];
		if ((t->config->has & rows[i].wants) != rows[i].wants || (t->config->has & rows[i].wants_not))
			continue;
		snprintf(hf, sizeof hf, "%s%s", hf_prefix, rows[i].hf);
		snprintf(gguf, sizeof gguf, "%s%s", gguf_prefix, rows[i].gguf);
		st = place(t, hf, gguf);
	}
	return st;
}

/* Some writers store the head a second time though it is tied. */
static bool same_tensor(const st_tensor *a, const st_tensor *b)
{
	return a && b && a->dtype == b->dtype && a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0 && a->bytes == b->bytes &&
	       memcmp(a->data, b->data, a->bytes) == 0;
}

/* Of the media tower beside a text model. No plugin reads it out of a directory yet: the model takes text. */
static bool is_of_tower(const char *name)
{
	static const char *const towers[] = {"visual.", "vision_tower.", "multi_modal_projector."};
	name += strncmp(name, "model.", 6) == 0 ? 6 : 0;
	for (size_t i = 0; i < sizeof towers / sizeof *towers; i++)
		if (strncmp(name, towers[i], strlen(towers[i])) == 0)
			return true;
	return false;
}

static sn_status refuse_unplaced(const struct translator *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *name = t->all[i].name.p;
		const char *suffix = strstr(name, ".self_attn.rotary_emb.inv_freq"); /* derived; old files hold it, and nobody reads it */
		if (t->used[i] || (t->config->has & HF_TOWER && is_of_tower(name)) || (suffix && strcmp(suffix, ".self_attn.rotary_emb.inv_freq") == 0))
			continue;
		if (strcmp(name, t->head) != 0)
			return error_set(t->err, SN_ERR_UNSUPPORTED, "tensor %s has no place in this %s", name, t->config->architecture);
		if (!same_tensor(&t->all[i], find(t, t->embed)))
			return error_set(t->err, SN_ERR_INVALID, "tensor %s differs from the embedding, but tie_word_embeddings says they are one", name);
	}
	return SN_OK;
}

static void add_made(struct translator *t)
{
	const hf_config *c = t->config;
	for (uint32_t i = 0; i < c->n_made; i++)
		t->file->tensors[t->file->n_tensors++] = (file_tensor){c->made[i].name, 0, 1, {c->made[i].n, 1, 1, 1}, (const uint8_t *)c->made[i].v,
		                                                       c->made[i].n * sizeof *c->made[i].v};
}

static sn_status place_layers(struct translator *t, uint32_t n_layers, const struct name *rows, size_t n, const char *hf_prefix,
                              const char *gguf_prefix)
{
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < n_layers && !st; i++) {
		char hf[64], gguf[32];
		snprintf(hf, sizeof hf, "%s%u.", hf_prefix, i);
		snprintf(gguf, sizeof gguf, "%s%u.", gguf_prefix, i);
		st = place_rows(t, rows, n, hf, gguf);
	}
	return st;
}

#define ROWS(table) table, sizeof table / sizeof *table

static sn_status place_code_tables(struct translator *t)
{
	sn_status st = SN_OK;
	for (size_t k = 0; k < sizeof code_tables / sizeof *code_tables; k++)
		for (uint32_t i = 0; i < t->config->n_predicted && !st; i++) {
			char hf[96], gguf[48];
			snprintf(hf, sizeof hf, "talker.code_predictor.%s%u.weight", code_tables[k][0], i);
			snprintf(gguf, sizeof gguf, "a.gen.code.%s%u.weight", code_tables[k][1], i);
			st = place(t, hf, gguf);
		}
	return st;
}

static sn_status place_speaker_encoder(struct translator *t)
{
	static const char *const ends[] = {"weight", "bias"};
	const hf_config *c = t->config;
	sn_status st = place_rows(t, ROWS(speaker_top), "speaker_encoder.", "");
	for (uint32_t b = 1; b <= c->n_speaker_blocks && !st; b++) {
		char hf[128], gguf[64];
		snprintf(hf, sizeof hf, "speaker_encoder.blocks.%u.", b);
		snprintf(gguf, sizeof gguf, "a.blk.%u.", b);
		st = place_rows(t, ROWS(speaker_parts), hf, gguf);
		for (uint32_t i = 0; i < 2 * (c->speaker_scale - 1) && !st; i++) {
			snprintf(hf, sizeof hf, "speaker_encoder.blocks.%u.res2net_block.blocks.%u.conv.%s", b, i / 2, ends[i % 2]);
			snprintf(gguf, sizeof gguf, "a.blk.%u.res2.%u.%s", b, i / 2, ends[i % 2]);
			st = place(t, hf, gguf);
		}
	}
	return st;
}

static sn_status place_talker(struct translator *t)
{
	const hf_config *c = t->config;
	sn_status st = place_rows(t, ROWS(talker_top), "", "");
	if (!st)
		st = place_layers(t, c->n_layers, ROWS(parts), "talker.model.layers.", "blk.");
	if (!st)
		st = place_layers(t, c->n_depth_layers, ROWS(depth_parts), "talker.code_predictor.model.layers.", "a.gen.code.blk.");
	if (!st)
		st = place_code_tables(t);
	return st || !c->n_speaker_blocks ? st : place_speaker_encoder(t);
}

/* Tensors of all experts, [expert][in][out] on disk unless transformers 5 saved them anew, as products want them: [expert][out][in].
 * Those that are turned are copies. */
static sn_status place_turned(struct translator *t, const char *hf_prefix, const char *gguf_prefix)
{
	sn_status st = place_rows(t, ROWS(packed_parts), hf_prefix, gguf_prefix);
	const file_tensor *gate_up = &t->file->tensors[t->file->n_tensors - 2], *down = gate_up + 1;
	if (!st && (gate_up->ne[0] != 2 * down->ne[1] || gate_up->ne[1] != down->ne[0])) /* ne[] is fastest first */
		return SN_OK;
	for (size_t k = t->file->n_tensors - 2; k < t->file->n_tensors && !st; k++) {
		file_tensor *x = &t->file->tensors[k];
		size_t n_out = x->ne[0], n_in = x->ne[1], each = storage_type_find(x->type)->block_bytes;
		uint8_t *to = x->n_dims == 3 ? arena_alloc(t->file->mem, x->bytes) : NULL;
		if (x->n_dims != 3)
			return error_set(t->err, SN_ERR_INVALID, "tensor %s: %u dimensions, expected 3", x->name.p, x->n_dims);
		if (!to)
			return error_set(t->err, SN_ERR_NOMEM, "tensor %s: no memory for a copy", x->name.p);
		for (size_t e = 0; e < x->ne[2]; e++)
			for (size_t i = 0; i < n_in; i++)
				for (size_t o = 0; o < n_out; o++)
					memcpy(to + ((e * n_out + o) * n_in + i) * each, x->data + ((e * n_in + i) * n_out + o) * each, each);
		x->ne[0] = n_in;
		x->ne[1] = n_out;
		x->data = to;
	}
	return st;
}

static sn_status place_experts(struct translator *t, uint32_t layer)
{
	char hf[128], gguf[64], hf_prefix[64], gguf_prefix[32];
	snprintf(hf_prefix, sizeof hf_prefix, "%slayers.%u.", t->root, layer);
	snprintf(gguf_prefix, sizeof gguf_prefix, "blk.%u.", layer);
	if (!t->config->sparse[layer])
		return place_rows(t, ROWS(dense_parts), hf_prefix, gguf_prefix);
	snprintf(hf, sizeof hf, "%smlp.gate.weight", hf_prefix);
	snprintf(gguf, sizeof gguf, "%sffn_gate_inp.weight", gguf_prefix);
	sn_status st = place(t, hf, gguf);
	snprintf(hf, sizeof hf, "%s%s", hf_prefix, packed_parts[0].hf);
	if (st || find(t, hf))
		return st ? st : t->config->has & HF_ACROSS ? place_turned(t, hf_prefix, gguf_prefix) : place_rows(t, ROWS(packed_parts), hf_prefix, gguf_prefix);
	for (uint32_t e = 0; e < t->config->n_experts && !st; e++)
		for (size_t p = 0; p < sizeof expert_parts / sizeof *expert_parts && !st; p++) {
			snprintf(hf, sizeof hf, "%smlp.experts.%u.%s.weight", hf_prefix, e, expert_parts[p][0]);
			snprintf(gguf, sizeof gguf, "%s%s.%u.weight", gguf_prefix, expert_parts[p][1], e);
			st = place(t, hf, gguf);
		}
	return st;
}

static sn_status place_all(struct translator *t)
{
	const hf_config *c = t->config;
	if (c->has & HF_TALKER)
		return place_talker(t);
	if (!(c->has & HF_ENCDEC)) {
		char layers[48];
		snprintf(layers, sizeof layers, "%slayers.", t->root);
		sn_status st = place_rows(t, ROWS(top), t->root, "");
		if (!st && c->has & HF_HEAD)
			st = place(t, t->head, "output.weight");
		if (!st)
			st = place_layers(t, c->n_layers, ROWS(parts), layers, "blk.");
		for (uint32_t i = 0; i < c->n_layers && !st && c->has & HF_EXPERTS; i++)
			st = place_experts(t, i);
		return st;
	}
	sn_status st = place_rows(t, ROWS(encdec_top), "", "");
	if (!st)
		st = place_layers(t, c->n_layers, ROWS(decoder_parts), "model.decoder.layers.", "blk.");
	return st ? st : place_layers(t, c->n_encoder_layers, ROWS(encoder_parts), "model.encoder.layers.", "a.blk.");
}

/* Beside a tower: where transformers 5 has it, or where transformers 4 had. */
static void find_text_model(struct translator *t)
{
	static const struct { const char *root, *embed, *head; } places[] = {
	    {"model.language_model.", "model.language_model.embed_tokens.weight", "lm_head.weight"},
	    {"language_model.model.", "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"}};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (find(t, places[i].embed)) {
			t->root = places[i].root;
			t->embed = places[i].embed;
			t->head = places[i].head;
		}
}

sn_status hf_names_translate(model_file *f, const hf_config *config, const st_tensor *all, size_t n, size_t more, sn_error *err)
{
	bool encdec = config->has & HF_ENCDEC, talker = config->has & HF_TALKER;
	struct translator t = {.file = f, .config = config, .all = all, .n = n, .used = arena_array(f->mem, n, sizeof(bool)),
	                       .root = "model.", .embed = encdec ? encdec_top[0].hf : talker ? talker_top[0].hf : "model.embed_tokens.weight",
	                       .head = encdec ? "proj_out.weight" : "lm_head.weight", .err = err};
	f->tensors = arena_array(f->mem, n + config->n_made + more, sizeof *f->tensors); /* each found at most once */
	hf_config own = *config;
	if (config->has & HF_EMBEDS) {
		t.bare = !find(&t, t.embed);
		t.embed += t.bare ? sizeof model_prefix - 1 : 0;
		own.has &= find(&t, t.head) ? own.has : ~(unsigned)HF_HEAD;
		t.config = &own;
	}
	if (!t.used || !f->tensors)
		return error_set(err, SN_ERR_NOMEM, "no memory for %zu tensors", n);
	if (config->has & HF_TOWER)
		find_text_model(&t);
	sn_status st = place_all(&t);
	const st_tensor *embed = find(&t, t.embed);
	if (!st && (embed->rank != 2 || embed->shape[0] != config->n_vocab))
		st = error_set(err, SN_ERR_INVALID, "tensor %s: %" PRIu64 " rows, but vocab_size is %u", t.embed, embed->shape[0], config->n_vocab);
	if (!st)
		st = refuse_unplaced(&t);
	if (!st)
		add_made(&t);
	return st;
}
