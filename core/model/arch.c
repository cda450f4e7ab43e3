#include "model/arch.h"

#include <math.h>

#include "base/error.h"

static const arch rows[] = {
    {.name = "llama", .act = ACT_SILU, .bias = BIAS_FREE, .gguf_permuted = true, .rope_freqs = true, .rope_base = 1e4f},
    {.name = "qwen2", .act = ACT_SILU, .bias = BIAS_QKV, .rope_base = 1e4f},
    {.name = "qwen3", .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .rope_base = 1e4f},
    {.name = "qwen3tts", .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .rope_base = 1e4f, .speaks = true},
    {.name = "gemma3", .act = ACT_GELU_TANH, .qk_norm = true, .post_norms = true, .norm_offset = true, .embed_scale = true,
     .window_pattern = 6, .rope_base = 1e6f, .window_rope_base = 1e4f, .wide_scale_layers = 62},
    {.name = "whisper", .act = ACT_GELU_ERF, .bias = BIAS_NOT_K, .layer_norm = true, .no_gate = true, .learned_positions = true, .cross = true},
};

const arch *arch_find(str name)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(name, str_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

/* "<arch>.<suffix>" */
static const char *key_of(char *out, size_t cap, const hparams *h, const char *suffix)
{
	snprintf(out, cap, "%s.%s", h->arch->name, suffix);
	return out;
}

/* An integer in [min, max]; missing: the default, or a refusal if there is none (def 0). */
static sn_status read_u32(const hparams *h, const model_file *f, const char *suffix, uint32_t min, uint32_t max, uint32_t def,
                          uint32_t *out, sn_error *err)
{
	char key[96];
	const file_key *k = file_key_find(f, key_of(key, sizeof key, h, suffix));
	if (!k) {
		*out = def;
		return def ? SN_OK : error_set(err, SN_ERR_INVALID, "%s: key %s is missing", f->name, key);
	}
	if (k->type == FILE_ARRAY)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: a value per layer is not supported", f->name, key);
	if (!file_u32(f, key, out))
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %g is not an integer from %u to %u", f->name, key, file_number(k, 0), min, max);
	if (*out < min || *out > max)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %u is not from %u to %u", f->name, key, *out, min, max);
	return SN_OK;
}

static sn_status read_f32(const hparams *h, const model_file *f, const char *suffix, float above, float max, float def, float *out,
                          sn_error *err)
{
	char key[96];
	*out = def;
	if (!file_key_find(f, key_of(key, sizeof key, h, suffix)))
		return def > 0 ? SN_OK : error_set(err, SN_ERR_INVALID, "%s: key %s is missing", f->name, key);
	if (!file_f32(f, key, out) || !(*out > above) || !(*out <= max))
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %g is not above %g and at most %g", f->name, key, (double)*out,
		                 (double)above, (double)max);
	return SN_OK;
}

static sn_status read_rope(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	str type;
	h->rope_scale = 1;
	if (h->arch->learned_positions)
		return SN_OK;
	h->rope_neox = !h->arch->gguf_permuted || f->from_hf;
	sn_status st = read_u32(h, f, "rope.dimension_count", 2, h->head_dim, h->head_dim, &h->n_rot, err);
	if (!st)
		st = read_f32(h, f, "rope.freq_base", 1, 1e12f, h->arch->rope_base, &h->rope_base, err);
	if (!st && h->window)
		st = read_f32(h, f, "rope.freq_base_swa", 1, 1e12f, h->arch->window_rope_base, &h->window_rope_base, err);
	if (st)
		return st;
	if (h->n_rot % 2)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %u is odd", f->name, key_of(key, sizeof key, h, "rope.dimension_count"),
		                 h->n_rot);
	if (!file_str(f, key_of(key, sizeof key, h, "rope.scaling.type"), &type) || str_eq(type, STR("none")))
		return SN_OK;
	if (!str_eq(type, STR("linear")))
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %.*s is not supported (none and linear are)", f->name, key,
		                 type.n > 32 ? 32 : (int)type.n, type.p);
	return read_f32(h, f, "rope.scaling.factor", 0, 1e6f, 0, &h->rope_scale, err);
}

/* Which layers have a window: a flag per layer, or each so-manyth has none. */
static sn_status read_pattern(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	uint32_t pattern = h->arch->window_pattern;
	const file_key *k = file_key_find(f, key_of(key, sizeof key, h, "attention.sliding_window_pattern"));
	if (k && k->type == FILE_ARRAY) {
		if (k->elem_type != FILE_BOOL || k->n != h->n_layers)
			return error_set(err, SN_ERR_INVALID, "%s: key %s: %llu values of type %u, expected a boolean for each of %u layers", f->name, key,
			                 (unsigned long long)k->n, k->elem_type, h->n_layers);
		for (uint32_t i = 0; i < h->n_layers; i++)
			h->windowed[i] = k->data[i] != 0;
		return SN_OK;
	}
	if (k && (!file_u32(f, key, &pattern) || pattern == 0))
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %g is not an integer above 0", f->name, key, file_number(k, 0));
	for (uint32_t i = 0; i < h->n_layers; i++)
		h->windowed[i] = (i + 1) % pattern != 0;
	return SN_OK;
}

static sn_status read_windows(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	if (!file_key_find(f, key_of(key, sizeof key, h, "attention.sliding_window")))
		return SN_OK;
	sn_status st = read_u32(h, f, "attention.sliding_window", 0, UINT32_MAX, 1, &h->window, err);
	if (st)
		return st;
	if (h->window >= h->n_context) /* no row ever looks further back; but the layers keep what else such layers have, as their RoPE */
		h->window = h->arch->window_pattern ? h->n_context : 0;
	if (h->window && !h->arch->window_pattern)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %u: windows in architecture %s are not supported", f->name, key, h->window,
		                 h->arch->name);
	st = h->window ? read_pattern(h, f, err) : SN_OK;
	bool any = false;
	for (uint32_t i = 0; i < h->n_layers; i++)
		any |= h->windowed[i];
	if (!any)
		h->window = 0;
	return st;
}

/* What would change the numbers, and is not computed. */
static sn_status refuse_unknown_maths(const hparams *h, const model_file *f, sn_error *err)
{
	static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
	char key[96];
	float cap;
	for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
		if (file_key_find(f, key_of(key, sizeof key, h, caps[i])) && (!file_f32(f, key, &cap) || cap != 0))
			return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: caps of scores are not supported", f->name, key);
	return SN_OK;
}

static sn_status read_attention_scale(hparams *h, const model_file *f, sn_error *err)
{
	bool wide = h->arch->wide_scale_layers && h->n_layers == h->arch->wide_scale_layers;
	float size = (float)(wide ? h->n_embd / h->n_head : h->head_dim);
	return read_f32(h, f, "attention.scale", 0, 1e6f, 1.0f / sqrtf(size), &h->attn_scale, err);
}

sn_status hparams_read(hparams *h, const model_file *f, sn_error *err)
{
	str name = {0};
	*h = (hparams){0};
	if (!file_str(f, "general.architecture", &name))
		return error_set(err, SN_ERR_INVALID, "%s: key general.architecture is missing", f->name);
	h->arch = arch_find(name);
	if (!h->arch)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key general.architecture: %.*s is not supported (llama, qwen2, qwen3, qwen3tts, gemma3 and whisper are)", f->name,
		                 name.n > 64 ? 64 : (int)name.n, name.p);
	char key[96];
	uint32_t experts = 0, parts = 0;
	if (file_u32(f, "split.count", &parts) && parts > 1)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key split.count: %u: a model in several files is not supported", f->name, parts);
	if (file_u32(f, key_of(key, sizeof key, h, "expert_count"), &experts) && experts)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %u: experts are not supported", f->name, key, experts);

	const struct { const char *suffix; uint32_t max; uint32_t *out; } sizes[] = {
	    {"block_count", MAX_LAYERS, &h->n_layers},
	    {"embedding_length", MAX_WIDTH, &h->n_embd},
	    {"feed_forward_length", MAX_FFN, &h->n_ffn},
	    {"attention.head_count", MAX_HEADS, &h->n_head},
	    {"context_length", MAX_CONTEXT, &h->n_context},
	};
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !st; i++)
		st = read_u32(h, f, sizes[i].suffix, 1, sizes[i].max, 0, sizes[i].out, err);
	if (!st)
		st = read_u32(h, f, "attention.head_count_kv", 1, h->n_head, h->n_head, &h->n_kv_head, err);
	if (st)
		return st;
	if (h->n_head % h->n_kv_head)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %u does not divide the %u heads", f->name,
		                 key_of(key, sizeof key, h, "attention.head_count_kv"), h->n_kv_head, h->n_head);
	bool own_dim = file_key_find(f, key_of(key, sizeof key, h, "attention.key_length")) != NULL;
	if (!own_dim && h->n_embd % h->n_head)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %u does not divide the width %u", f->name,
		                 key_of(key, sizeof key, h, "attention.head_count"), h->n_head, h->n_embd);
	uint32_t value_dim;
	st = read_u32(h, f, "attention.key_length", 1, MAX_HEAD_DIM, h->n_embd / h->n_head ? h->n_embd / h->n_head : 1, &h->head_dim, err);
	if (!st)
		st = read_u32(h, f, "attention.value_length", 1, MAX_HEAD_DIM, h->head_dim, &value_dim, err);
	if (st)
		return st;
	if (value_dim != h->head_dim)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %u differs from the key length %u", f->name,
		                 key_of(key, sizeof key, h, "attention.value_length"), value_dim, h->head_dim);
	if (h->head_dim > MAX_HEAD_DIM || h->head_dim % 2)
		return error_set(err, SN_ERR_INVALID, "%s: heads of %u channels are not supported (even, at most %d)", f->name, h->head_dim,
		                 MAX_HEAD_DIM);
	st = read_f32(h, f, h->arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 0, 1, 0, &h->norm_eps, err);
	if (!st && h->arch->cross)
		st = read_u32(h, f, "encoder.context_length", 1, MAX_CONTEXT, 0, &h->n_cross, err);
	if (!st)
		st = read_windows(h, f, err);
	if (!st)
		st = read_rope(h, f, err);
	if (!st)
		st = read_attention_scale(h, f, err);
	return st ? st : refuse_unknown_maths(h, f, err);
}

void hparams_groups(const hparams *h, enum kv_type type, kv_layout *out)
{
	uint32_t n[2] = {0};
	for (uint32_t i = 0; i < h->n_layers; i++)
		n[h->windowed[i]]++;
	*out = (kv_layout){0};
	for (int windowed = 0; windowed < 2; windowed++)
		if (n[windowed])
			out->groups[out->n_groups++] = (kv_group){.n_layers = n[windowed], .n_kv_head = h->n_kv_head, .head_dim = h->head_dim,
			                                          .type = type, .window = windowed ? h->window : 0, .base = h->n_cross};
	if (h->n_cross)
		out->groups[out->n_groups++] = (kv_group){.n_layers = h->n_layers, .n_kv_head = h->n_kv_head, .head_dim = h->head_dim, .type = type,
		                                          .limit = h->n_cross};
}
