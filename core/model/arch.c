#include "model/arch.h"

#include <math.h>

#include "base/error.h"

static const arch rows[] = {
    {.name = "llama", .models = "Llama 2 and 3, Mistral 7B, Nemo and Small, SmolLM2; the text of SmolVLM, Voxtral, Ultravox, Orpheus",
     .act = ACT_SILU, .bias = BIAS_FREE, .gguf_permuted = true, .rope_freqs = true, .windows = true, .rope_base = 1e4f},
    {.name = "mistral3", .models = "Mistral Small from 3.1 on",
     .act = ACT_SILU, .bias = BIAS_FREE, .gguf_permuted = true, .rope_freqs = true, .rope_base = 1e4f},
    {.name = "smollm3", .models = "SmolLM3",
     .act = ACT_SILU, .bias = BIAS_FREE, .gguf_permuted = true, .plain_every = 4, .rope_base = 2e6f},
    {.name = "phi3", .models = "Phi-3, Phi-4",
     .act = ACT_SILU, .gate_up = true, .windows = true, .rope_base = 1e4f},
    {.name = "qwen2", .models = "Qwen2, Qwen2.5; the text of Qwen2-Audio",
     .act = ACT_SILU, .bias = BIAS_QKV, .windows = true, .windows_named = true, .rope_base = 1e4f},
    {.name = "qwen2vl", .models = "the text of Qwen2-VL, Qwen2.5-VL, Qwen2.5-Omni",
     .act = ACT_SILU, .bias = BIAS_QKV, .windows = true, .windows_named = true, .rope_base = 1e4f, .axes = AXES_IN_TURN},
    {.name = "qwen3", .models = "Qwen3",
     .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .windows = true, .windows_named = true, .rope_base = 1e4f},
    {.name = "qwen3vl", .models = "the text of Qwen3-VL",
     .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .rope_base = 1e4f, .axes = AXES_INTERLEAVED},
    {.name = "qwen3moe", .models = "Qwen3-MoE",
     .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .experts = true, .windows = true, .windows_named = true, .rope_base = 1e4f},
    {.name = "qwen3vlmoe", .models = "the text of Qwen3-VL-MoE",
     .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .experts = true, .rope_base = 1e4f, .axes = AXES_INTERLEAVED},
    {.name = "qwen3tts", .models = "Qwen3-TTS",
     .act = ACT_SILU, .bias = BIAS_FREE, .qk_norm = true, .rope_base = 1e4f, .speaks = true},
    {.name = "gemma3", .models = "Gemma 3 (text)",
     .act = ACT_GELU_TANH, .qk_norm = true, .post_norms = true, .norm_offset = true, .embed_scale = true,
     .windows = true, .window_pattern = 6, .rope_base = 1e6f, .window_rope_base = 1e4f, .wide_scale_layers = 62},
    {.name = "whisper", .models = "Whisper", .directories = true,
     .act = ACT_GELU_ERF, .bias = BIAS_NOT_K, .layer_norm = true, .no_gate = true, .learned_positions = true, .cross = true},
};

const arch *arch_find(str name)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(name, str_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

const arch *arch_row(size_t i)
{
	return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
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

/* Which kind the file says, or by what it holds. */
static sn_status read_rope_kind(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	str type;
	bool longrope = file_tensor_find(f, "rope_factors_long.weight") != NULL;
	h->rope.kind = longrope ? ROPE_LONGROPE : ROPE_DEFAULT;
	if (!file_str(f, key_of(key, sizeof key, h, "rope.scaling.type"), &type)) {
		if (!longrope && file_key_find(f, key_of(key, sizeof key, h, "rope.scaling.factor")))
			h->rope.kind = ROPE_LINEAR;
		return SN_OK;
	}
	for (int kind = ROPE_KINDS; kind-- > 0;)
		if (str_eq(type, str_of(rope_kind_name((enum rope_kind)kind))) && (kind != ROPE_LONGROPE || longrope)) {
			h->rope.kind = longrope ? ROPE_LONGROPE : (enum rope_kind)kind; /* converters call the kind of such files by several names */
			return SN_OK;
		}
	return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %.*s is not supported (none, linear, dynamic, llama3 and yarn are, and longrope with its factors)", f->name,
	                 key, type.n > 32 ? 32 : (int)type.n, type.p);
}

/* What the kind's frequencies are made with. */
static sn_status read_rope_scaling(hparams *h, const model_file *f, sn_error *err)
{
	rope_params *p = &h->rope;
	char key[96];
	float extrapolated;
	unsigned of = 1u << p->kind;
	const unsigned scaled = 1u << ROPE_LINEAR | 1u << ROPE_DYNAMIC | 1u << ROPE_LLAMA3 | 1u << ROPE_YARN;
	const struct { const char *suffix; unsigned kinds; float max, def; float *out; } numbers[] = {
	    {"rope.scaling.factor", scaled, 1e6f, 0, &p->factor},
	    {"rope.scaling.low_freq_factor", 1u << ROPE_LLAMA3, 1e6f, 0, &p->low_freq},
	    {"rope.scaling.high_freq_factor", 1u << ROPE_LLAMA3, 1e6f, 0, &p->high_freq},
	    {"rope.scaling.yarn_beta_fast", 1u << ROPE_YARN, 1e6f, 32, &p->beta_fast},
	    {"rope.scaling.yarn_beta_slow", 1u << ROPE_YARN, 1e6f, 1, &p->beta_slow},
	};
	uint32_t n_original;
	sn_status st = read_u32(h, f, "rope.scaling.original_context_length", 1, MAX_CONTEXT, h->n_context, &n_original, err);
	p->n_original = (float)n_original;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !st; i++)
		if (numbers[i].kinds & of)
			st = read_f32(h, f, numbers[i].suffix, 0, numbers[i].max, numbers[i].def, numbers[i].out, err);
	if (st || p->kind != ROPE_YARN)
		return st;
	p->whole = true;
	file_bool(f, key_of(key, sizeof key, h, "rope.scaling.yarn_truncate"), &p->whole);
	if (file_key_find(f, key_of(key, sizeof key, h, "rope.scaling.yarn_ext_factor")) && (!file_f32(f, key, &extrapolated) || extrapolated != 1))
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: only 1 is supported", f->name, key);
	return SN_OK;
}

static double yarn_attention(double factor, double scale)
{
	return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* What cos and sin are multiplied by: by the kind, and by the file. */
static sn_status read_rope_attention(hparams *h, const model_file *f, sn_error *err)
{
	rope_params *p = &h->rope;
	float all = 0, more;
	char key[96];
	if (file_key_find(f, key_of(key, sizeof key, h, "rope.scaling.yarn_log_multiplier")) && (!file_f32(f, key, &all) || !(all >= 0)))
		return error_set(err, SN_ERR_INVALID, "%s: key %s is not a number from 0 on", f->name, key);
	double own = yarn_attention(p->factor, 1) / (all > 0 ? yarn_attention(p->factor, all) : 1);
	sn_status st = SN_OK;
	p->attention = 1;
	if (p->kind == ROPE_YARN)
		st = read_f32(h, f, "rope.scaling.yarn_attn_factor", 0, 1e6f, (float)own, &p->attention, err);
	if (!st)
		st = read_f32(h, f, "rope.scaling.attn_factor", 0, 1e6f, 1, &more, err);
	p->attention *= st ? 1 : more;
	return st;
}

/* Which layers do without: a flag per layer, or each so-manyth. */
static sn_status read_rope_layers(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	const file_key *k = file_key_find(f, key_of(key, sizeof key, h, "rope.layers"));
	if (k && (k->type != FILE_ARRAY || k->elem_type != FILE_BOOL || k->n != h->n_layers))
		return error_set(err, SN_ERR_INVALID, "%s: key %s is not a boolean for each of %u layers", f->name, key, h->n_layers);
	for (uint32_t i = 0; i < h->n_layers; i++)
		h->no_rope[i] = k ? !k->data[i] : h->arch->plain_every && (i + 1) % h->arch->plain_every == 0;
	return SN_OK;
}

/* How many frequencies are each axis's, and so which. */
static sn_status read_rope_axes(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	uint32_t n[AXES + 1] = {0}, half = h->n_rot / 2;
	const file_key *k = file_key_find(f, key_of(key, sizeof key, h, "rope.dimension_sections"));
	if (h->arch->axes == AXES_ONE)
		return SN_OK;
	bool ok = k && k->type == FILE_ARRAY && k->n >= AXES && k->n <= AXES + 1 && k->elem_type != FILE_STRING && k->elem_type != FILE_ARRAY;
	for (uint64_t i = 0; ok && i < k->n; i++) {
		double v = file_number(k, i);
		ok = v >= 0 && v <= half && v == floor(v);
		n[i] = ok ? (uint32_t)v : 0;
	}
	if (!ok || n[0] + n[1] + n[2] != half || n[AXES])
		return error_set(err, SN_ERR_INVALID, "%s: key %s is not three numbers that add up to the %u frequencies of a head", f->name, key, half);
	for (uint32_t i = 0; i < half; i++)
		if (h->arch->axes == AXES_IN_TURN)
			h->axis[i] = i < n[0] ? 0 : i < n[0] + n[1] ? 1 : 2;
		else
			h->axis[i] = i < AXES * n[i % AXES] ? i % AXES : 0;
	return SN_OK;
}

static sn_status read_rope(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	if (h->arch->learned_positions)
		return SN_OK;
	h->rope_neox = !h->arch->gguf_permuted || f->from_hf;
	sn_status st = read_u32(h, f, "rope.dimension_count", 2, h->head_dim, h->head_dim, &h->n_rot, err);
	if (!st)
		st = read_f32(h, f, "rope.freq_base", 1, 1e12f, h->arch->rope_base, &h->rope.base, err);
	if (!st && h->n_rot % 2)
		st = error_set(err, SN_ERR_INVALID, "%s: key %s: %u is odd", f->name, key_of(key, sizeof key, h, "rope.dimension_count"), h->n_rot);
	if (!st)
		st = read_rope_kind(h, f, err);
	if (!st)
		st = read_rope_scaling(h, f, err);
	if (!st)
		st = read_rope_attention(h, f, err);
	if (!st)
		st = read_rope_layers(h, f, err);
	if (!st)
		st = read_rope_axes(h, f, err);
	h->window_rope = h->rope;
	if (st || !h->window || !(h->arch->window_rope_base > 0))
		return st;
	h->window_rope = (rope_params){.attention = 1};
	return read_f32(h, f, "rope.freq_base_swa", 1, 1e12f, h->arch->window_rope_base, &h->window_rope.base, err);
}

/* Which layers have a window: a flag per layer, or each so-manyth has none. */
static sn_status read_pattern(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	uint32_t pattern = h->arch->window_pattern ? h->arch->window_pattern : UINT32_MAX;
	const file_key *k = file_key_find(f, key_of(key, sizeof key, h, "attention.sliding_window_pattern"));
	if (k && k->type == FILE_ARRAY) {
		if (k->elem_type != FILE_BOOL || k->n != h->n_layers)
			return error_set(err, SN_ERR_INVALID, "%s: key %s: %llu values of type %u, expected a boolean for each of %u layers", f->name, key,
			                 (unsigned long long)k->n, k->elem_type, h->n_layers);
		for (uint32_t i = 0; i < h->n_layers; i++)
			h->windowed[i] = k->data[i] != 0;
		return SN_OK;
	}
	if (!k && h->arch->windows_named)
		return error_set(err, SN_ERR_INVALID, "%s: key %s is missing: which layers of architecture %s have the window?", f->name, key, h->arch->name);
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
	if (h->window && !h->arch->windows)
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
	static const char *const none[][2] = {{"attn_logit_softcapping", "caps of scores"}, {"final_logit_softcapping", "caps of scores"},
	                                      {"attention.temperature_scale", "queries scaled by their position"}};
	char key[96];
	float v;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (file_key_find(f, key_of(key, sizeof key, h, none[i][0])) && (!file_f32(f, key, &v) || v != 0))
			return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %s are not supported", f->name, key, none[i][1]);
	return SN_OK;
}

static sn_status read_attention_scale(hparams *h, const model_file *f, sn_error *err)
{
	bool wide = h->arch->wide_scale_layers && h->n_layers == h->arch->wide_scale_layers;
	float size = (float)(wide ? h->n_embd / h->n_head : h->head_dim);
	return read_f32(h, f, "attention.scale", 0, 1e6f, 1.0f / sqrtf(size), &h->attn_scale, err);
}

static sn_status read_experts(hparams *h, const model_file *f, sn_error *err)
{
	char key[96];
	if (!h->arch->experts)
		return SN_OK;
	sn_status st = read_u32(h, f, "expert_count", 1, MAX_EXPERTS, 0, &h->n_experts, err);
	if (!st)
		st = read_u32(h, f, "expert_used_count", 1, h->n_experts, 0, &h->n_experts_used, err);
	if (!st)
		st = read_u32(h, f, "expert_feed_forward_length", 1, MAX_FFN, 0, &h->n_expert_ffn, err);
	h->experts_normed = true; /* as files are that do not say */
	file_bool(f, key_of(key, sizeof key, h, "expert_weights_norm"), &h->experts_normed);
	return st;
}

/* "llama, qwen2 and whisper are" */
static void list_names(char *out, size_t cap)
{
	size_t last = sizeof rows / sizeof *rows - 1, n = 0;
	for (size_t i = 0; i <= last && n < cap; i++)
		n += (size_t)snprintf(out + n, cap - n, "%s%s", rows[i].name, i == last ? " are" : i + 1 == last ? " and " : ", ");
}

sn_status hparams_read(hparams *h, const model_file *f, sn_error *err)
{
	str name = {0};
	*h = (hparams){0};
	if (!file_str(f, "general.architecture", &name))
		return error_set(err, SN_ERR_INVALID, "%s: key general.architecture is missing", f->name);
	h->arch = arch_find(name);
	char names[256];
	list_names(names, sizeof names);
	if (!h->arch)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key general.architecture: %.*s is not supported (%s)", f->name,
		                 name.n > 64 ? 64 : (int)name.n, name.p, names);
	char key[96];
	uint32_t experts = 0;
	if (file_u32(f, key_of(key, sizeof key, h, "expert_count"), &experts) && experts && !h->arch->experts)
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
	st = read_experts(h, f, err);
	if (!st)
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
