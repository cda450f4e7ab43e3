#include "formats/hf_config.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/hf_float8.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"
#include "formats/hf_rope.h"
#include "formats/hf_talker.h"
#include "formats/hf_whisper.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

/* The classes' defaults are those of transformers: a configuration may leave them out. */
struct family {
	const char *architecture, *model_type;
	const char *name;         /* GGUF's */
	unsigned has;             /* always */
	const char *act_key, *act;
	bool tied;
	bool free_biases;         /* attention_bias and mlp_bias decide */
	struct { uint32_t n, used, n_ffn; } experts; /* of HF_EXPERTS, unless the configuration says otherwise */
	bool experts_normed;      /* whatever the configuration says */
	struct { uint32_t n_head, n_kv, n_context, n_vocab; } sizes; /* 0: must be there; n_kv: as many as heads */
	uint32_t head_dim;        /* 0: the width over the heads */
	hf_rope_class rope;       /* base 0: 10000 */
	const char *text;         /* the member in which the text model is described; absent: the configuration is all of its */
	const char *text_type;    /* and its model_type there */
	uint32_t plain_every;     /* each so-manyth layer does without RoPE; 0: all have it */
	bool windows;             /* sliding_window is read, */
	uint32_t window;          /* which is this if it is absent; 0: none */
	uint32_t window_pattern;  /* of so many layers the last sees all; 0: either all layers have the window or none has, */
	bool window_switch;       /* as use_sliding_window says, */
	uint32_t window_from;     /* or those from max_window_layers on, which is this if it is absent. 0: see above */
	double eps;               /* rms_norm_eps if it is absent; 0: 1e-6 */
	const char *must_be_off[5]; /* switches that are not computed: absent, null or false */
	sn_status (*read)(hf_config *out, model_file *f, const json_t *json, sn_error *err); /* instead of all of the above */
};

static const struct family families[] = {
    {.architecture = "LlamaForCausalLM", .model_type = "llama", .name = "llama", .has = HF_PRE_NORMS, .act_key = "hidden_act",
     .act = "silu", .free_biases = true},
    {.architecture = "MistralForCausalLM", .model_type = "mistral", .name = "llama", .has = HF_PRE_NORMS, .act_key = "hidden_act",
     .act = "silu", .windows = true, .window = 4096},
    {.architecture = "Mistral3ForConditionalGeneration", .model_type = "mistral3", .name = "llama", .text = "text_config", .text_type = "mistral",
     .has = HF_PRE_NORMS | HF_TOWER, .act_key = "hidden_act", .act = "silu", .windows = true, .window = 4096},
    {.architecture = "SmolLM3ForCausalLM", .model_type = "smollm3", .name = "smollm3", .has = HF_PRE_NORMS, .act_key = "hidden_act",
     .act = "silu", .tied = true, .free_biases = true, .rope.base = 2e6, .plain_every = 4, .must_be_off = {"use_sliding_window"}},
    {.architecture = "Phi3ForCausalLM", .model_type = "phi3", .name = "phi3", .has = HF_PRE_NORMS | HF_FUSED, .act_key = "hidden_act",
     .act = "silu", .rope.phi = true, .windows = true, .must_be_off = {"attention_bias", "mlp_bias"}},
    {.architecture = "Qwen2ForCausalLM", .model_type = "qwen2", .name = "qwen2", .has = HF_PRE_NORMS | HF_QKV_BIAS,
     .act_key = "hidden_act", .act = "silu", .windows = true, .window_switch = true, .window = 4096, .window_from = 28},
    {.architecture = "Qwen2VLForConditionalGeneration", .model_type = "qwen2_vl", .name = "qwen2vl", .text = "text_config", .text_type = "qwen2_vl_text",
     .has = HF_PRE_NORMS | HF_QKV_BIAS | HF_TOWER, .act_key = "hidden_act", .act = "silu", .windows = true, .window_switch = true, .window = 4096,
     .window_from = 80, .rope = {.base = 1e6, .sections = {16, 24, 24}}, .eps = 1e-5},
    {.architecture = "Qwen2_5_VLForConditionalGeneration", .model_type = "qwen2_5_vl", .name = "qwen2vl", .text = "text_config",
     .text_type = "qwen2_5_vl_text", .has = HF_PRE_NORMS | HF_QKV_BIAS | HF_TOWER, .act_key = "hidden_act", .act = "silu", .windows = true,
     .window_switch = true, .window = 4096, .window_from = 80, .rope = {.base = 1e6, .sections = {16, 24, 24}}, .eps = 1e-5},
    {.architecture = "Qwen3ForCausalLM", .model_type = "qwen3", .name = "qwen3", .has = HF_PRE_NORMS | HF_QK_NORMS, .act_key = "hidden_act",
     .act = "silu", .head_dim = 128, .windows = true, .window_switch = true, .window = 4096, .window_from = 28, .must_be_off = {"attention_bias"}},
    {.architecture = "Qwen3VLForConditionalGeneration", .model_type = "qwen3_vl", .name = "qwen3vl", .text = "text_config", .text_type = "qwen3_vl_text",
     .has = HF_PRE_NORMS | HF_QK_NORMS | HF_TOWER, .act_key = "hidden_act", .act = "silu", .head_dim = 128,
     .rope = {.base = 5e5, .sections = {24, 20, 20}, .interleaved = true}, .must_be_off = {"attention_bias"}},
    {.architecture = "Qwen3MoeForCausalLM", .model_type = "qwen3_moe", .name = "qwen3moe", .has = HF_PRE_NORMS | HF_QK_NORMS | HF_EXPERTS,
     .act_key = "hidden_act", .act = "silu", .experts = {128, 8, 768}, .windows = true, .window_switch = true, .window = 4096,
     .must_be_off = {"attention_bias"}},
    {.architecture = "Qwen3VLMoeForConditionalGeneration", .model_type = "qwen3_vl_moe", .name = "qwen3vlmoe", .text = "text_config",
     .text_type = "qwen3_vl_moe_text", .has = HF_PRE_NORMS | HF_QK_NORMS | HF_EXPERTS | HF_ACROSS | HF_TOWER, .act_key = "hidden_act", .act = "silu",
     .experts = {60, 4, 1408}, .experts_normed = true, .rope = {.base = 5e5, .sections = {24, 20, 20}, .interleaved = true},
     .must_be_off = {"attention_bias"}},
    {.architecture = "Gemma3ForCausalLM", .model_type = "gemma3_text", .name = "gemma3", .has = HF_PRE_NORMS | HF_POST_NORMS | HF_QK_NORMS,
     .act_key = "hidden_activation", .act = "gelu_pytorch_tanh", .tied = true, .sizes = {8, 4, 131072, 262208}, .head_dim = 256, .windows = true, .window = 4096, .window_pattern = 6,
     .must_be_off = {"attention_bias", "use_bidirectional_attention", "attn_logit_softcapping", "final_logit_softcapping"}},
    {.architecture = "Gemma3ForConditionalGeneration", .model_type = "gemma3", .name = "gemma3", .text = "text_config", .text_type = "gemma3_text",
     .has = HF_PRE_NORMS | HF_POST_NORMS | HF_QK_NORMS | HF_TOWER, .act_key = "hidden_activation", .act = "gelu_pytorch_tanh", .tied = true,
     .sizes = {8, 4, 131072, 262208}, .head_dim = 256, .windows = true, .window = 4096, .window_pattern = 6,
     .must_be_off = {"attention_bias", "use_bidirectional_attention", "attn_logit_softcapping", "final_logit_softcapping"}},
    {.architecture = "WhisperForConditionalGeneration", .model_type = "whisper", .name = "whisper", .read = hf_whisper_config},
    {.architecture = "Qwen3TTSForConditionalGeneration", .model_type = "qwen3_tts", .name = "qwen3tts", .read = hf_talker_config},
};

const char *hf_family(size_t i, const char **gguf, bool *f8)
{
	if (i >= sizeof families / sizeof *families)
		return NULL;
	*gguf = families[i].name;
	*f8 = !families[i].read && !(families[i].has & HF_ACROSS); /* tensors of all experts together have no scales */
	return families[i].architecture;
}

struct reader {
	const json_t *json;  /* of the text model */
	const json_t *whole; /* the file */
	const struct family *family;
	hf_config *out;
	model_file *file;
	uint32_t n_embd, n_head, head_dim, n_context;
	sn_error *err;
};

#define REFUSE(r, status, ...) error_set((r)->err, (status), "config.json: " __VA_ARGS__)

/* ---- the family ---- */

/* "Qwen3Model" is Qwen3ForCausalLM without its head, "Gemma3TextModel" Gemma3ForCausalLM without its. */
static bool is_headless(const char *name, const struct family *a)
{
	static const char with[] = "ForCausalLM";
	size_t n = strlen(a->architecture), k = sizeof with - 1;
	n = n > k && strcmp(a->architecture + n - k, with) == 0 ? n - k : 0;
	return n && strncmp(name, a->architecture, n) == 0 && (strcmp(name + n, "Model") == 0 || strcmp(name + n, "TextModel") == 0);
}

static sn_status read_family(struct reader *r)
{
	const json_t *list = json_object_get(r->json, "architectures");
	const char *name = json_string_value(json_array_get(list, 0)), *type = json_get_string(r->json, "model_type");
	if (json_array_size(list) != 1 || !name)
		return REFUSE(r, SN_ERR_INVALID, "architectures is not a list of one name");
	bool headless = false;
	for (size_t i = 0; i < sizeof families / sizeof *families && !r->family; i++) {
		headless = is_headless(name, &families[i]);
		if (headless || strcmp(name, families[i].architecture) == 0)
			r->family = &families[i];
	}
	char names[480];
	size_t last = sizeof families / sizeof *families - 1, n = 0;
	for (size_t i = 0; i <= last && n < sizeof names; i++)
		n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", families[i].architecture, i == last ? " are" : i + 1 == last ? " and " : ", ");
	if (!r->family)
		return REFUSE(r, SN_ERR_UNSUPPORTED, "architectures: %.64s is not supported (%s)", name, names);
	if (!type || strcmp(type, r->family->model_type) != 0)
		return REFUSE(r, SN_ERR_INVALID, "model_type: %.64s does not go with %s", type ? type : "none", name);
	r->out->architecture = r->family->architecture;
	r->out->name = r->family->name;
	r->out->has = r->family->has | (headless ? HF_HEADLESS : 0);
	const json_t *text = r->family->text ? json_get(r->json, r->family->text) : NULL;
	type = text ? json_get_string(text, "model_type") : NULL;
	if (text && (!json_is_object(text) || !type || strcmp(type, r->family->text_type) != 0))
		return REFUSE(r, SN_ERR_INVALID, "%s is not a %s", r->family->text, r->family->text_type);
	r->json = text ? text : r->json;
	return SN_OK;
}

/* What would change the numbers, and is not computed. */
static sn_status refuse_switches(const struct reader *r)
{
	const json_t *v;
	bool f8 = false;
	sn_status st = hf_float8_read(&f8, r->file, r->whole, r->err);
	if (st)
		return st;
	r->out->has |= f8 ? HF_F8 : 0;
	for (size_t i = 0; i < sizeof r->family->must_be_off / sizeof *r->family->must_be_off && r->family->must_be_off[i]; i++)
		if ((v = json_get(r->json, r->family->must_be_off[i])) && !json_is_false(v))
			return REFUSE(r, SN_ERR_UNSUPPORTED, "%s is not supported", r->family->must_be_off[i]);
	if ((v = json_get(r->json, "is_causal")) && !json_is_true(v))
		return REFUSE(r, SN_ERR_UNSUPPORTED, "is_causal: only true is supported");
	return hf_check_activation(r->json, r->family->act_key, r->family->act, r->err);
}

static sn_status read_switches(struct reader *r)
{
	bool tied = false, attention = false, mlp = false;
	sn_status st = refuse_switches(r);
	if (!st)
		st = hf_read_bool(json_get(r->whole, "tie_word_embeddings") ? r->whole : r->json, "tie_word_embeddings", r->family->tied, &tied, r->err);
	if (!st && r->family->free_biases)
		st = hf_read_bool(r->json, "attention_bias", false, &attention, r->err);
	if (!st && r->family->free_biases)
		st = hf_read_bool(r->json, "mlp_bias", false, &mlp, r->err);
	if (!st)
		r->out->has |= (tied ? 0 : HF_HEAD) | (attention ? HF_QKV_BIAS | HF_O_BIAS : 0) | (mlp ? HF_MLP_BIAS : 0);
	return st;
}

/* ---- numbers ---- */

static sn_status read_sizes(struct reader *r)
{
	uint32_t n_kv, n_ffn;
	double eps;
	const char *arch = r->family->name;
	sn_status st = hf_read_size(r->json, "hidden_size", HF_MAX_SIZE, 0, &r->n_embd, r->err);
	if (!st)
		st = hf_read_size(r->json, "num_hidden_layers", HF_MAX_LAYERS, 0, &r->out->n_layers, r->err);
	if (!st)
		st = hf_read_size(r->json, "num_attention_heads", HF_MAX_SIZE, r->family->sizes.n_head, &r->n_head, r->err);
	if (!st)
		st = hf_read_size(r->json, "num_key_value_heads", HF_MAX_SIZE, r->family->sizes.n_kv ? r->family->sizes.n_kv : r->n_head, &n_kv, r->err);
	if (!st)
		st = hf_read_size(r->json, "intermediate_size", HF_MAX_SIZE, 0, &n_ffn, r->err);
	if (!st)
		st = hf_read_size(r->json, "max_position_embeddings", HF_MAX_SIZE, r->family->sizes.n_context, &r->n_context, r->err);
	if (!st)
		st = hf_read_size(r->json, "vocab_size", HF_MAX_SIZE, r->family->sizes.n_vocab, &r->out->n_vocab, r->err);
	if (!st && !json_get(r->json, "head_dim") && !r->family->head_dim && r->n_embd % r->n_head)
		st = REFUSE(r, SN_ERR_INVALID, "num_attention_heads: %u does not divide hidden_size %u", r->n_head, r->n_embd);
	if (!st)
		st = hf_read_size(r->json, "head_dim", 65536, r->family->head_dim ? r->family->head_dim : r->n_embd / r->n_head, &r->head_dim, r->err);
	if (!st)
		st = hf_read_above_zero(r->json, "rms_norm_eps", r->family->eps > 0 ? r->family->eps : 1e-6, &eps, r->err);
	if (st)
		return st;
	const struct { const char *name; uint32_t v; } keys[] = {
	    {"block_count", r->out->n_layers}, {"embedding_length", r->n_embd}, {"feed_forward_length", n_ffn},
	    {"attention.head_count", r->n_head}, {"attention.head_count_kv", n_kv}, {"attention.key_length", r->head_dim},
	    {"attention.value_length", r->head_dim}, {"context_length", r->n_context},
	    {"vocab_size", r->out->n_vocab},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !st; i++)
		st = hf_key_u32(r->file, arch, keys[i].name, keys[i].v, r->err);
	return st ? st : hf_key_f32(r->file, arch, "attention.layer_norm_rms_epsilon", eps, r->err);
}

/* ---- windows ---- */

/* The families that slide from a layer on, unless the configuration names each. */
static sn_status read_last_layers(const struct reader *r, bool *windowed, bool *any)
{
	const json_t *v = json_get(r->json, "max_window_layers");
	json_int_t from = v ? json_integer_value(v) : r->family->window_from;
	if (v && (!json_is_integer(v) || from < 0))
		return REFUSE(r, SN_ERR_INVALID, "max_window_layers is not an integer from 0 on");
	for (uint32_t i = 0; i < r->out->n_layers; i++)
		*any |= windowed[i] = i >= from;
	return SN_OK;
}

/* One name per layer, if the configuration says it so. *any: a layer has the window. */
static sn_status read_layer_types(const struct reader *r, bool *windowed, bool *any)
{
	const json_t *list = json_get(r->json, "layer_types"), *v;
	size_t i;
	uint32_t pattern = r->family->window_pattern;
	bool may = pattern || r->family->window_from;
	*any = false;
	if (!list && pattern) {
		sn_status st = hf_read_size(r->json, json_get(r->json, "sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern", HF_MAX_SIZE,
		                         pattern, &pattern, r->err);
		for (i = 0; i < r->out->n_layers && !st; i++)
			*any |= windowed[i] = (i + 1) % pattern != 0;
		return st;
	}
	if (!list)
		return r->family->window_from ? read_last_layers(r, windowed, any) : SN_OK;
	if (json_array_size(list) != r->out->n_layers)
		return REFUSE(r, SN_ERR_INVALID, "layer_types is not a list of %u names", r->out->n_layers);
	json_array_foreach(list, i, v) {
		const char *type = json_string_value(v);
		if (!type || (strcmp(type, "full_attention") != 0 && (strcmp(type, "sliding_attention") != 0 || !may)))
			return REFUSE(r, SN_ERR_UNSUPPORTED, "layer_types: %.32s is not supported in %s", type ? type : "that", r->family->architecture);
		*any |= windowed[i] = *type == 's';
	}
	return SN_OK;
}

static sn_status read_windows(const struct reader *r)
{
	bool any, *windowed = arena_array(r->file->mem, r->out->n_layers, sizeof *windowed);
	uint32_t window;
	if (!windowed)
		return error_set(r->err, SN_ERR_NOMEM, "no memory for %u layers", r->out->n_layers);
	const struct family *a = r->family;
	bool on = !a->window_switch, by_layer = a->window_pattern || a->window_switch;
	sn_status st = on ? SN_OK : hf_read_bool(r->json, "use_sliding_window", false, &on, r->err);
	if (!st)
		st = read_layer_types(r, windowed, &any);
	if (st || !a->windows)
		return st;
	if (!on) /* whatever the window's size, it is not there */
		return any && json_get(r->json, "layer_types") ? REFUSE(r, SN_ERR_INVALID, "use_sliding_window is off, but layers slide") : SN_OK;
	for (uint32_t i = 0; i < r->out->n_layers && a->window_switch && !a->window_from; i++)
		windowed[i] = true;
	/* A null is no window; absent is the class's default. */
	const json_t *given = json_object_get(r->json, "sliding_window");
	if (json_is_null(given) || (!given && !r->family->window))
		return any && (!a->window_from || json_get(r->json, "layer_types")) ? REFUSE(r, SN_ERR_INVALID, "sliding_window is null, but layers slide") : SN_OK;
	st = hf_read_size(r->json, "sliding_window", UINT32_MAX, r->family->window, &window, r->err);
	if (!st)
		st = hf_key_u32(r->file, r->family->name, "attention.sliding_window", window, r->err);
	return st || !by_layer ? st : hf_key_bools(r->file, r->family->name, "attention.sliding_window_pattern", windowed, r->out->n_layers, r->err);
}

static sn_status read_attention_scale(const struct reader *r)
{
	double scalar;
	if (strcmp(r->family->name, "gemma3") != 0)
		return SN_OK;
	sn_status st = hf_read_above_zero(r->json, "query_pre_attn_scalar", 256, &scalar, r->err);
	return st ? st : hf_key_f32(r->file, r->family->name, "attention.scale", 1 / sqrt(scalar), r->err);
}

/* ---- RoPE ---- */

static sn_status write_rope(const struct reader *r)
{
	hf_rope rope;
	const struct family *a = r->family;
	bool by_type = a->window_pattern != 0;
	hf_rope_class how = a->rope;
	how.base = how.base > 0 ? how.base : 1e4;
	sn_status st = by_type ? hf_rope_read_by_type(&rope, r->json, r->err)
	                       : hf_rope_read(&rope, r->json, r->n_context, &how, r->err);
	uint32_t n_rot = st ? 0 : (uint32_t)(r->head_dim * rope.partial);
	if (!st && (n_rot < 2 || n_rot % 2))
		st = REFUSE(r, SN_ERR_INVALID, "partial_rotary_factor: %u of a head's %u channels cannot be turned", n_rot, r->head_dim);
	if (!st)
		st = hf_key_u32(r->file, a->name, "rope.dimension_count", n_rot, r->err);
	if (!st)
		st = hf_key_f32(r->file, a->name, "rope.freq_base", rope.base, r->err);
	if (!st && by_type)
		st = hf_key_f32(r->file, a->name, "rope.freq_base_swa", rope.window_base, r->err);
	return st ? st : hf_rope_write(&rope, r->file, a->name, r->n_context, n_rot, r->out, r->err);
}

/* Which layers turn, a number for each, or each so-manyth does not. */
static sn_status read_rope_layers(const struct reader *r)
{
	const json_t *list = json_get(r->json, "no_rope_layers");
	uint32_t every = 0;
	bool *turned = arena_array(r->file->mem, r->out->n_layers, sizeof *turned);
	if (!r->family->plain_every)
		return SN_OK;
	sn_status st = turned ? SN_OK : error_set(r->err, SN_ERR_NOMEM, "no memory for %u layers", r->out->n_layers);
	if (!st && list && (!json_is_array(list) || json_array_size(list) < r->out->n_layers))
		st = REFUSE(r, SN_ERR_INVALID, "no_rope_layers is not a list of %u numbers", r->out->n_layers);
	if (!st)
		st = hf_read_size(r->json, "no_rope_layer_interval", HF_MAX_SIZE, r->family->plain_every, &every, r->err);
	for (uint32_t i = 0; i < r->out->n_layers && !st; i++) {
		const json_t *v = json_array_get(list, i);
		if (list && !json_is_integer(v))
			return REFUSE(r, SN_ERR_INVALID, "no_rope_layers: number %u is none", i);
		turned[i] = list ? json_integer_value(v) != 0 : (i + 1) % every != 0;
	}
	return st ? st : hf_key_bools(r->file, r->family->name, "rope.layers", turned, r->out->n_layers, r->err);
}

/* ---- experts ---- */

static sn_status read_expert_layers(const struct reader *r)
{
	const json_t *dense = json_get(r->json, "mlp_only_layers"), *v;
	uint32_t step;
	size_t i;
	sn_status st = hf_read_size(r->json, "decoder_sparse_step", HF_MAX_SIZE, 1, &step, r->err);
	r->out->sparse = arena_array(r->file->mem, r->out->n_layers, sizeof *r->out->sparse);
	if (!r->out->sparse)
		return error_set(r->err, SN_ERR_NOMEM, "no memory for %u layers", r->out->n_layers);
	for (uint32_t l = 0; l < r->out->n_layers && !st; l++)
		r->out->sparse[l] = (l + 1) % step == 0;
	if (!st && dense && !json_is_array(dense))
		st = REFUSE(r, SN_ERR_INVALID, "mlp_only_layers is not a list");
	json_array_foreach(dense, i, v) {
		if (st || !json_is_integer(v))
			return st ? st : REFUSE(r, SN_ERR_INVALID, "mlp_only_layers: value %zu is not a layer", i);
		if (json_integer_value(v) >= 0 && json_integer_value(v) < r->out->n_layers)
			r->out->sparse[json_integer_value(v)] = false;
	}
	return st;
}

static sn_status read_experts(const struct reader *r)
{
	const char *arch = r->family->name, *count = json_get(r->json, "num_experts") ? "num_experts" : "num_local_experts";
	uint32_t used, n_ffn;
	bool normed = false;
	if (!(r->family->has & HF_EXPERTS))
		return SN_OK;
	sn_status st = hf_read_size(r->json, count, HF_MAX_SIZE, r->family->experts.n, &r->out->n_experts, r->err);
	if (!st)
		st = hf_read_size(r->json, "num_experts_per_tok", r->out->n_experts, r->family->experts.used, &used, r->err);
	if (!st)
		st = hf_read_size(r->json, "moe_intermediate_size", HF_MAX_SIZE, r->family->experts.n_ffn, &n_ffn, r->err);
	if (!st)
		st = hf_read_bool(r->json, "norm_topk_prob", false, &normed, r->err);
	normed |= r->family->experts_normed;
	if (!st)
		st = read_expert_layers(r);
	if (!st)
		st = hf_key_u32(r->file, arch, "expert_count", r->out->n_experts, r->err);
	if (!st)
		st = hf_key_u32(r->file, arch, "expert_used_count", used, r->err);
	if (!st)
		st = hf_key_u32(r->file, arch, "expert_feed_forward_length", n_ffn, r->err);
	return st ? st : hf_key_bool(r->file, arch, "expert_weights_norm", normed, r->err);
}

static sn_status read_text_model(struct reader *r)
{
	sn_status st = read_switches(r);
	if (!st)
		st = read_sizes(r);
	if (!st)
		st = read_windows(r);
	if (!st)
		st = read_attention_scale(r);
	if (!st)
		st = read_experts(r);
	if (!st)
		st = read_rope_layers(r);
	return st ? st : write_rope(r);
}

sn_status hf_config_read(hf_config *out, model_file *f, sn_error *err)
{
	json_t *json;
	char path[PATH_MAX];
	*out = (hf_config){0};
	int n = snprintf(path, sizeof path, "%s/config.json", f->dir);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(err, SN_ERR_INVALID, "the directory's path is too long");
	sn_status st = json_file_read(&json, path, MAX_CONFIG_BYTES, err);
	if (st == SN_ERR_NOT_FOUND)
		return error_set(err, st, "neither a GGUF file nor a Hugging Face directory: config.json cannot be opened");
	if (st)
		return st;
	struct reader r = {.json = json, .whole = json, .out = out, .file = f, .err = err};
	st = read_family(&r);
	if (!st)
		st = hf_key_str(f, NULL, "general.architecture", str_of(r.family->name), err);
	if (!st)
		st = r.family->read ? r.family->read(out, f, json, err) : read_text_model(&r);
	json_decref(json);
	return st;
}
