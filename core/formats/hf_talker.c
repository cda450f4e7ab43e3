#include "formats/hf_talker.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"
#include "formats/hf_rope.h"
#include "formats/hf_voices.h"

#define CONFIG "config.json"
#define ARCH "qwen3tts"
#define DEPTH "clip.gen.audio"

enum { MAX_GROUPS = 64, MAX_NAME = 127 };

/* A transformer of the two; the defaults are the classes'. */
struct sizes { uint32_t n_vocab, n_embd, n_ffn, n_layers, n_head, n_kv, head_dim, n_context, n_groups; double eps; };

static const struct sizes talker_defaults = {3072, 1024, 2048, 20, 16, 2, 0, 32768, 32, 1e-6};
static const struct sizes depth_defaults = {2048, 1024, 3072, 5, 16, 8, 128, 32768, 32, 1e-6};

static sn_status read_sizes(struct sizes *out, const json_t *json, const struct sizes *def, sn_error *err)
{
	const struct { const char *key; uint32_t max, def, *out; } sizes[] = {
	    {"vocab_size", HF_MAX_SIZE, def->n_vocab, &out->n_vocab},
	    {"hidden_size", HF_MAX_SIZE, def->n_embd, &out->n_embd},
	    {"intermediate_size", HF_MAX_SIZE, def->n_ffn, &out->n_ffn},
	    {"num_hidden_layers", HF_MAX_LAYERS, def->n_layers, &out->n_layers},
	    {"num_attention_heads", HF_MAX_SIZE, def->n_head, &out->n_head},
	    {"num_key_value_heads", HF_MAX_SIZE, def->n_kv, &out->n_kv},
	    {"max_position_embeddings", HF_MAX_SIZE, def->n_context, &out->n_context},
	    {"num_code_groups", MAX_GROUPS, def->n_groups, &out->n_groups},
	};
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !st; i++)
		st = hf_read_size(json, sizes[i].key, sizes[i].max, sizes[i].def, sizes[i].out, err);
	if (!st && !def->head_dim && !json_get(json, "head_dim") && out->n_embd % out->n_head)
		return error_set(err, SN_ERR_INVALID, CONFIG ": num_attention_heads: %u does not divide hidden_size %u", out->n_head, out->n_embd);
	if (!st)
		st = hf_read_size(json, "head_dim", 65536, def->head_dim ? def->head_dim : out->n_embd / out->n_head, &out->head_dim, err);
	return st ? st : hf_read_above_zero(json, "rms_norm_eps", def->eps, &out->eps, err);
}

/* What would change the numbers, and is not computed. */
static sn_status refuse_switches(const json_t *json, const char *const *must_be_off, sn_error *err)
{
	const json_t *v, *type;
	size_t i;
	sn_status st = hf_refuse_quantised(json, err);
	for (; *must_be_off && !st; must_be_off++)
		if ((v = json_get(json, *must_be_off)) && !json_is_false(v))
			return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": %s is not supported", *must_be_off);
	json_array_foreach(json_get(json, "layer_types"), i, type)
		if (!json_is_string(type) || strcmp(json_string_value(type), "full_attention") != 0)
			return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": layer_types: only full_attention is supported");
	return st ? st : hf_check_activation(json, "hidden_act", "silu", err);
}

/* ---- the talker ---- */

static bool is_section(const json_t *v)
{
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!json_is_integer(json_array_get(v, i)) || json_integer_value(json_array_get(v, i)) < 0)
			return false;
	return json_array_size(v) == 3;
}

/* RoPE over three kinds of positions, which are equal in all rows that a talker ever sees: how its channels are shared out among the
 * three changes nothing. */
static sn_status read_mrope(const json_t *json, double *base, sn_error *err)
{
	const json_t *object = json_get(json, "rope_scaling") ? json_get(json, "rope_scaling") : json_get(json, "rope_parameters");
	const char *key;
	json_t *v;
	sn_status st = hf_read_above_zero(json, "rope_theta", 10000, base, err);
	json_object_foreach((json_t *)(uintptr_t)object, key, v) {
		bool is_type = strcmp(key, "type") == 0 || strcmp(key, "rope_type") == 0;
		if (st)
			return st;
		if (strcmp(key, "rope_theta") == 0)
			st = hf_read_above_zero(object, key, *base, base, err);
		else if (!(is_type && json_is_string(v) && strcmp(json_string_value(v), "default") == 0) &&
		         !(strcmp(key, "mrope_section") == 0 && is_section(v)) && !(strcmp(key, "interleaved") == 0 && json_is_boolean(v)))
			st = error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": rope_scaling.%.48s is not supported, or not so (type default, mrope_section of three "
			               "and interleaved are)", key);
	}
	return st;
}

static sn_status add_talker(model_file *f, const struct sizes *s, uint32_t n_text, double base, sn_error *err)
{
	const struct { const char *name; uint32_t v; } keys[] = {
	    {"block_count", s->n_layers}, {"embedding_length", s->n_embd}, {"feed_forward_length", s->n_ffn}, {"attention.head_count", s->n_head},
	    {"attention.head_count_kv", s->n_kv}, {"attention.key_length", s->head_dim}, {"attention.value_length", s->head_dim},
	    {"rope.dimension_count", s->head_dim}, {"context_length", s->n_context}, {"vocab_size", n_text + s->n_vocab}, {"text_tokens", n_text},
	};
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !st; i++)
		st = hf_key_u32(f, ARCH, keys[i].name, keys[i].v, err);
	if (!st)
		st = hf_key_f32(f, ARCH, "attention.layer_norm_rms_epsilon", s->eps, err);
	return st ? st : hf_key_f32(f, ARCH, "rope.freq_base", base, err);
}

/* ---- its code predictor ---- */

static sn_status read_depth(hf_config *out, model_file *f, const json_t *json, const struct sizes *talker, sn_error *err)
{
	static const char *const off[] = {"use_sliding_window", "tie_word_embeddings", "attention_bias", NULL};
	const json_t *config = json_get(json, "code_predictor_config");
	struct sizes s;
	hf_rope rope;
	const hf_rope_class how = {.base = 1e4};
	sn_status st = refuse_switches(config, off, err);
	if (!st)
		st = read_sizes(&s, config, &depth_defaults, err);
	if (!st)
		st = hf_rope_read(&rope, config, s.n_context, &how, err);
	if (st)
		return st;
	if (rope.type != HF_ROPE_DEFAULT)
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": code_predictor_config.rope_scaling: only rope_type default is supported");
	if (s.n_groups != talker->n_groups || s.n_groups < 2)
		return error_set(err, SN_ERR_INVALID, CONFIG ": num_code_groups: %u of the talker, %u of its predictor", talker->n_groups, s.n_groups);
	out->n_depth_layers = s.n_layers;
	out->n_predicted = s.n_groups - 1;
	out->has |= s.n_embd != talker->n_embd ? HF_DEPTH_IN : 0;
	const struct { const char *name; uint32_t v; } keys[] = {
	    {"embedding_length", s.n_embd}, {"feed_forward_length", s.n_ffn}, {"block_count", s.n_layers}, {"attention.head_count", s.n_head},
	    {"attention.head_count_kv", s.n_kv},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !st; i++)
		st = hf_key_u32(f, DEPTH, keys[i].name, keys[i].v, err);
	if (!st)
		st = hf_key_f32(f, DEPTH, "attention.layer_norm_epsilon", s.eps, err);
	return st ? st : hf_key_f32(f, DEPTH, "rope.freq_base", rope.base, err);
}

/* ---- its vocabulary ---- */

struct names {
	char **all; /* [n] */
	uint32_t n;
	arena *mem;
	sn_error *err;
};

static sn_status call(struct names *names, const json_t *id, const char *key, const char *what, const char *sub)
{
	char text[MAX_NAME + 1];
	int n = snprintf(text, sizeof text, "<|%s%s%s|>", what, *sub ? "_" : "", sub);
	if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= names->n)
		return error_set(names->err, SN_ERR_INVALID, CONFIG ": %s: not the id of one of %u codec tokens", key, names->n);
	if (n < 0 || n > MAX_NAME)
		return error_set(names->err, SN_ERR_INVALID, CONFIG ": %s: a name of more than %d bytes", key, MAX_NAME);
	char *copy = arena_strndup(names->mem, text, (size_t)n);
	if (!copy)
		return error_set(names->err, SN_ERR_NOMEM, CONFIG ": no memory for the codec's tokens");
	names->all[json_integer_value(id)] = copy;
	return SN_OK;
}

/* "codec_bos_id": 2149 and "spk_id": {"vivian": 3065}: the key without "_id" is the name. */
static sn_status call_by_key(struct names *names, const char *key, const json_t *v)
{
	char what[MAX_NAME + 1];
	size_t n = strlen(key);
	const char *sub;
	json_t *id;
	sn_status st = SN_OK;
	if (n < 4 || n > MAX_NAME || strcmp(key + n - 3, "_id") != 0 || (strncmp(key, "codec_", 6) != 0 && strcmp(key, "spk_id") != 0) || json_is_null(v))
		return SN_OK;
	snprintf(what, sizeof what, "%.*s", (int)n - 3, key);
	if (!json_is_object(v))
		return call(names, v, key, what, "");
	json_object_foreach((json_t *)(uintptr_t)v, sub, id)
		st = st ? st : call(names, id, key, what, sub);
	return st;
}

static sn_status add_codec_tokens(model_file *f, const json_t *json, uint32_t n, sn_error *err)
{
	struct names names = {arena_array(f->mem, n, sizeof(char *)), n, f->mem, err};
	const char *key;
	json_t *v;
	sn_status st = names.all ? SN_OK : error_set(err, SN_ERR_NOMEM, CONFIG ": no memory for the codec's tokens");
	for (uint32_t i = 0; i < n && !st; i++) {
		char text[32];
		names.all[i] = arena_strndup(f->mem, text, (size_t)snprintf(text, sizeof text, "<|codec_%u|>", i));
		if (!names.all[i])
			st = error_set(err, SN_ERR_NOMEM, CONFIG ": no memory for the codec's tokens");
	}
	json_object_foreach((json_t *)(uintptr_t)json, key, v)
		st = st ? st : call_by_key(&names, key, v);
	return st ? st : hf_key_strs(f, ARCH, "codec_tokens", (const char *const *)names.all, n, err);
}

/* ---- all of it ---- */

sn_status hf_talker_config(hf_config *out, model_file *f, const json_t *json, sn_error *err)
{
	static const char *const off[] = {"use_sliding_window", "tie_word_embeddings", NULL};
	const json_t *talker = json_get(json, "talker_config");
	const char *tokenizer = json_get_string(json, "tokenizer_type");
	struct sizes s;
	double base = 0;
	bool biases = false;
	uint32_t text_width;
	if (!json_is_object(talker))
		return error_set(err, SN_ERR_INVALID, CONFIG ": talker_config is not an object");
	if (tokenizer && strcmp(tokenizer, "qwen3_tts_tokenizer_12hz") != 0)
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": tokenizer_type: %.48s is not supported (qwen3_tts_tokenizer_12hz is)", tokenizer);
	sn_status st = hf_refuse_quantised(json, err);
	if (!st)
		st = refuse_switches(talker, off, err);
	if (!st)
		st = hf_read_bool(talker, "attention_bias", false, &biases, err);
	if (!st)
		st = read_sizes(&s, talker, &talker_defaults, err);
	if (!st)
		st = hf_read_size(talker, "text_vocab_size", HF_MAX_SIZE, 0, &out->n_vocab, err);
	if (!st)
		st = hf_read_size(talker, "text_hidden_size", HF_MAX_SIZE, 2048, &text_width, err);
	if (!st)
		st = read_mrope(talker, &base, err);
	if (st)
		return st;
	out->n_layers = s.n_layers;
	out->has = HF_TALKER | HF_PRE_NORMS | HF_QK_NORMS | (biases ? HF_QKV_BIAS | HF_O_BIAS : 0);
	st = add_talker(f, &s, out->n_vocab, base, err);
	if (!st)
		st = read_depth(out, f, talker, &s, err);
	if (!st)
		st = add_codec_tokens(f, talker, s.n_vocab, err);
	return st ? st : hf_voices_read(out, f, json, err);
}
