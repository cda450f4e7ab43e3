#include "formats/hf_codec.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_names.h"
#include "formats/hf_read.h"
#include "formats/hf_rope.h"
#include "formats/hf_weights.h"

#define FOLDER "speech_tokenizer"
#define CONFIG FOLDER "/config.json"
#define KEYS "clip.gen.audio.wav"

enum { MAX_CONFIG_BYTES = 1 << 20, MAX_CODES = 64, MAX_STAGES = 16, N_UNITS = 3 };

/* ---- config.json ---- */

/* How many there are: the sizes themselves are told by the tensors. */
static sn_status count(const json_t *json, const char *key, uint32_t def, uint32_t *out, sn_error *err)
{
	const json_t *list = json_get(json, key);
	*out = list ? (uint32_t)json_array_size(list) : def;
	if (list && (!json_is_array(list) || *out == 0 || *out > MAX_STAGES))
		return error_set(err, SN_ERR_INVALID, CONFIG ": %s is not a list of 1 to %d", key, MAX_STAGES);
	return SN_OK;
}

static sn_status read_decoder(hf_codec *c, model_file *f, const json_t *json, sn_error *err)
{
	uint32_t heads, kv_heads, window, context;
	double eps;
	bool biases;
	hf_rope rope;
	const hf_rope_class how = {.base = 1e4};
	sn_status st = hf_read_size(json, "num_hidden_layers", HF_MAX_LAYERS, 8, &c->n_layers, err); /* the class's defaults */
	if (!st)
		st = hf_read_size(json, "num_quantizers", MAX_CODES, 16, &c->n_codes, err);
	if (!st)
		st = count(json, "upsampling_ratios", 2, &c->n_ratios, err);
	if (!st)
		st = count(json, "upsample_rates", 4, &c->n_blocks, err);
	if (!st)
		st = hf_read_size(json, "num_attention_heads", HF_MAX_SIZE, 16, &heads, err);
	if (!st)
		st = hf_read_size(json, "num_key_value_heads", HF_MAX_SIZE, 16, &kv_heads, err);
	if (!st)
		st = hf_read_size(json, "sliding_window", HF_MAX_SIZE, 72, &window, err);
	if (!st)
		st = hf_read_size(json, "max_position_embeddings", HF_MAX_SIZE, 8000, &context, err);
	if (!st)
		st = hf_read_above_zero(json, "rms_norm_eps", 1e-5, &eps, err);
	if (!st)
		st = hf_read_bool(json, "attention_bias", false, &biases, err);
	if (!st)
		st = hf_check_activation(json, "hidden_act", "silu", err);
	if (!st)
		st = hf_rope_read(&rope, json, context, &how, err);
	if (st)
		return st;
	if (biases || kv_heads != heads || rope.type != HF_ROPE_DEFAULT || c->n_codes < 2)
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": attention_bias, key heads that are shared, scaled positions or a single quantizer are not supported");
	st = hf_key_u32(f, KEYS, "attention.head_count", heads, err);
	if (!st)
		st = hf_key_u32(f, KEYS, "attention.sliding_window", window, err);
	if (!st)
		st = hf_key_f32(f, KEYS, "attention.layer_norm_rms_epsilon", eps, err);
	return st ? st : hf_key_f32(f, KEYS, "rope.freq_base", rope.base, err);
}

static sn_status read_config(hf_codec *c, model_file *f, sn_error *err)
{
	char path[PATH_MAX];
	json_t *json;
	uint32_t rate;
	sn_error why;
	int n = snprintf(path, sizeof path, "%s/" CONFIG, f->dir);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(err, SN_ERR_INVALID, CONFIG ": its path is too long");
	sn_status st = json_file_read(&json, path, MAX_CONFIG_BYTES, &why);
	if (st)
		return error_set(err, st, "%.300s (of " FOLDER ")", why.text);
	const char *type = json_get_string(json, "model_type");
	const json_t *decoder = json_get(json, "decoder_config");
	if (!type || strcmp(type, "qwen3_tts_tokenizer_12hz") != 0)
		st = error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": model_type: %.64s is not supported (qwen3_tts_tokenizer_12hz is)", type ? type : "none");
	if (!st && decoder && !json_is_object(decoder))
		st = error_set(err, SN_ERR_INVALID, CONFIG ": decoder_config is not an object");
	if (!st)
		st = hf_refuse_quantised(json, err);
	if (!st)
		st = hf_read_size(json, "output_sample_rate", HF_MAX_SIZE, 24000, &rate, err);
	if (!st)
		st = hf_key_u32(f, KEYS, "sampling_rate", rate, err);
	if (!st)
		st = read_decoder(c, f, decoder, err);
	json_decref(json);
	return st;
}

sn_status hf_codec_open(hf_codec *out, model_file *f, sn_error *err)
{
	st_tensor *all;
	*out = (hf_codec){0};
	sn_status st = read_config(out, f, err);
	if (st == SN_ERR_NOT_FOUND) /* then a file beside the directory may have it */
		return SN_OK;
	if (!st)
		st = hf_weights_open_more(f, FOLDER, &all, &out->n, err);
	if (!st)
		out->all = all;
	return st;
}

/* ---- tensors ---- */

struct placer {
	const hf_codec *c;
	model_file *f;
	sn_error *err;
};

static int by_name(const void *name, const void *tensor)
{
	return strcmp(name, ((const st_tensor *)tensor)->name.p);
}

static sn_status find(const struct placer *p, const char *name, const st_tensor **out)
{
	*out = bsearch(name, p->c->all, p->c->n, sizeof **out, by_name);
	return *out ? SN_OK : error_set(p->err, SN_ERR_INVALID, FOLDER ": tensor %s is missing", name);
}

static sn_status move(const struct placer *p, const char *hf, const char *gguf)
{
	const st_tensor *t;
	sn_status st = find(p, hf, &t);
	return st ? st : hf_names_place(p->f, t, gguf, p->err);
}

/* A pair of tensors, or what is one. */
static sn_status both(const struct placer *p, const char *hf, const char *gguf)
{
	static const char *const ends[] = {".weight", ".bias"};
	sn_status st = SN_OK;
	for (int i = 0; i < 2 && !st; i++) {
		char from[128], to[128];
		snprintf(from, sizeof from, "%s%s", hf, ends[i]);
		snprintf(to, sizeof to, "%s%s", gguf, ends[i]);
		st = move(p, from, to);
	}
	return st;
}

/* What is to be computed with here: at any alignment, so value by value. */
static sn_status values(const struct placer *p, const st_tensor *t, float *out)
{
	bool wide = strcmp(t->dtype->name, "F32") == 0;
	if (!wide && strcmp(t->dtype->name, "BF16") != 0)
		return error_set(p->err, SN_ERR_UNSUPPORTED, FOLDER ": tensor %s: dtype %s is not supported (F32 and BF16 are)", t->name.p, t->dtype->name);
	for (uint64_t i = 0, n = t->bytes / (wide ? 4 : 2); i < n; i++) {
		uint32_t bits = 0;
		memcpy((uint8_t *)&bits + (wide ? 0 : 2), t->data + i * (wide ? 4 : 2), wide ? 4 : 2);
		memcpy(&out[i], &bits, sizeof bits);
	}
	return SN_OK;
}

/* A tensor of numbers that no file has: ne[0] is the fastest. */
static sn_status add(const struct placer *p, const char *gguf, float *data, uint32_t n_dims, const uint64_t ne[3])
{
	file_tensor *out = &p->f->tensors[p->f->n_tensors++];
	size_t n = strlen(gguf);
	*out = (file_tensor){{arena_strndup(p->f->mem, gguf, n), n}, 0, n_dims, {ne[0], ne[1], ne[2], 1}, (const uint8_t *)data, ne[0] * ne[1] * ne[2] * sizeof *data};
	return out->name.p ? SN_OK : error_set(p->err, SN_ERR_NOMEM, FOLDER ": no memory for a name");
}

static float *numbers(const struct placer *p, uint64_t n)
{
	return n ? arena_array(p->f->mem, n, sizeof(float)) : NULL;
}

/* alpha as e^alpha, beta as 1 / (e^beta + 1e-9). */
static sn_status snake(const struct placer *p, const char *hf, const char *gguf)
{
	static const char *const ends[] = {".alpha", ".beta"};
	sn_status st = SN_OK;
	for (int i = 0; i < 2 && !st; i++) {
		char from[128], to[128];
		const st_tensor *t;
		snprintf(from, sizeof from, "%s%s", hf, ends[i]);
		snprintf(to, sizeof to, "%s%s", gguf, ends[i]);
		if ((st = find(p, from, &t)))
			return st;
		if (t->rank != 1)
			return error_set(p->err, SN_ERR_INVALID, FOLDER ": tensor %s: %u dimensions", from, t->rank);
		float *v = numbers(p, t->shape[0]);
		if (!v)
			return error_set(p->err, SN_ERR_NOMEM, FOLDER ": no memory for tensor %s", from);
		st = values(p, t, v);
		for (uint64_t k = 0; k < t->shape[0] && !st; k++)
			v[k] = i == 0 ? expf(v[k]) : 1 / (expf(v[k]) + 1e-9f);
		if (!st)
			st = add(p, to, v, 1, (uint64_t[]){t->shape[0], 1, 1});
	}
	return st;
}

/* The sums of what was closest to each code, over how much that was. */
static sn_status codebooks(const struct placer *p, const char *group, uint32_t n, const char *gguf)
{
	float *all = NULL, *usage = NULL;
	uint64_t size = 0, dim = 0;
	for (uint32_t i = 0; i < n; i++) {
		char name[128];
		const st_tensor *sum, *used;
		snprintf(name, sizeof name, "decoder.quantizer.%s.vq.layers.%u._codebook.embedding_sum", group, i);
		sn_status st = find(p, name, &sum);
		snprintf(name, sizeof name, "decoder.quantizer.%s.vq.layers.%u._codebook.cluster_usage", group, i);
		if (!st)
			st = find(p, name, &used);
		if (st)
			return st;
		if (!all && sum->rank == 2) {
			uint64_t total;
			size = sum->shape[0];
			dim = sum->shape[1];
			if (__builtin_mul_overflow(size, dim, &total) || __builtin_mul_overflow(total, (uint64_t)n, &total))
				return error_set(p->err, SN_ERR_INVALID, FOLDER ": tensor %s: its size overflows", sum->name.p);
			all = numbers(p, total);
			usage = numbers(p, size);
			if (!all || !usage)
				return error_set(p->err, SN_ERR_NOMEM, FOLDER ": no memory for the codebooks");
		}
		if (sum->rank != 2 || sum->shape[0] != size || sum->shape[1] != dim || used->rank != 1 || used->shape[0] != size)
			return error_set(p->err, SN_ERR_INVALID, FOLDER ": tensor %s is not [%" PRIu64 "][%" PRIu64 "], or its usage not [%" PRIu64 "]", sum->name.p, size, dim, size);
		float *book = all + (size_t)i * size * dim;
		st = values(p, sum, book);
		if (!st)
			st = values(p, used, usage);
		if (st)
			return st;
		for (uint64_t k = 0; k < size * dim; k++)
			book[k] /= usage[k / dim] > 1e-5f ? usage[k / dim] : 1e-5f;
	}
	return add(p, gguf, all, n > 1 ? 3 : 2, (uint64_t[]){dim, size, n});
}

static sn_status place_front(const struct placer *p)
{
	sn_status st = codebooks(p, "rvq_first", 1, "a.gen.wav.quant.first.codebook.weight");
	if (!st)
		st = codebooks(p, "rvq_rest", p->c->n_codes - 1, "a.gen.wav.quant.rest.codebook.weight");
	if (!st)
		st = move(p, "decoder.quantizer.rvq_first.output_proj.weight", "a.gen.wav.quant.first.out_proj.weight");
	if (!st)
		st = move(p, "decoder.quantizer.rvq_rest.output_proj.weight", "a.gen.wav.quant.rest.out_proj.weight");
	if (!st)
		st = both(p, "decoder.pre_conv.conv", "a.gen.wav.pre_conv");
	if (!st)
		st = both(p, "decoder.pre_transformer.input_proj", "a.gen.wav.tfm.in_proj");
	if (!st)
		st = both(p, "decoder.pre_transformer.output_proj", "a.gen.wav.tfm.out_proj");
	return st ? st : move(p, "decoder.pre_transformer.norm.weight", "a.gen.wav.tfm.output_norm.weight");
}

static sn_status place_layer(const struct placer *p, uint32_t i)
{
	static const char *const parts[][2] = {
	    {"input_layernorm.weight", "ln1"}, {"self_attn.q_proj.weight", "attn_q"}, {"self_attn.k_proj.weight", "attn_k"}, {"self_attn.v_proj.weight", "attn_v"},
	    {"self_attn.o_proj.weight", "attn_out"}, {"self_attn_layer_scale.scale", "ls1"}, {"post_attention_layernorm.weight", "ln2"},
	    {"mlp.gate_proj.weight", "ffn_gate"}, {"mlp.up_proj.weight", "ffn_up"}, {"mlp.down_proj.weight", "ffn_down"}, {"mlp_layer_scale.scale", "ls2"}};
	sn_status st = SN_OK;
	for (size_t k = 0; k < sizeof parts / sizeof *parts && !st; k++) {
		char from[128], to[128];
		snprintf(from, sizeof from, "decoder.pre_transformer.layers.%u.%s", i, parts[k][0]);
		snprintf(to, sizeof to, "a.gen.wav.tfm.blk.%u.%s.weight", i, parts[k][1]);
		st = move(p, from, to);
	}
	return st;
}

static sn_status place_ratio(const struct placer *p, uint32_t i)
{
	static const char *const parts[][2] = {{"0.conv", "conv"}, {"1.dwconv.conv", "dwconv"}, {"1.norm", "norm"}, {"1.pwconv1", "pw1"}, {"1.pwconv2", "pw2"}};
	char from[128], to[128];
	sn_status st = SN_OK;
	for (size_t k = 0; k < sizeof parts / sizeof *parts && !st; k++) {
		snprintf(from, sizeof from, "decoder.upsample.%u.%s", i, parts[k][0]);
		snprintf(to, sizeof to, "a.gen.wav.up.blk.%u.%s", i, parts[k][1]);
		st = both(p, from, to);
	}
	snprintf(from, sizeof from, "decoder.upsample.%u.1.gamma", i);
	snprintf(to, sizeof to, "a.gen.wav.up.blk.%u.gamma", i);
	return st ? st : move(p, from, to);
}

static sn_status place_block(const struct placer *p, uint32_t i)
{
	char from[128], to[128];
	snprintf(from, sizeof from, "decoder.decoder.%u.block.0", i + 1);
	snprintf(to, sizeof to, "a.gen.wav.dac.blk.%u.snake", i);
	sn_status st = snake(p, from, to);
	snprintf(from, sizeof from, "decoder.decoder.%u.block.1.conv", i + 1);
	snprintf(to, sizeof to, "a.gen.wav.dac.blk.%u.conv", i);
	if (!st)
		st = both(p, from, to);
	for (uint32_t u = 0; u < N_UNITS; u++)
		for (int k = 0; k < 4 && !st; k++) {
			bool is_snake = k % 2 == 0;
			snprintf(from, sizeof from, "decoder.decoder.%u.block.%u.%s%d%s", i + 1, u + 2, is_snake ? "act" : "conv", k / 2 + 1, is_snake ? "" : ".conv");
			snprintf(to, sizeof to, "a.gen.wav.dac.blk.%u.res.%u.%s%d", i, u, is_snake ? "act" : "conv", k / 2 + 1);
			st = is_snake ? snake(p, from, to) : both(p, from, to);
		}
	return st;
}

static sn_status place_dac(const struct placer *p)
{
	char from[64];
	sn_status st = both(p, "decoder.decoder.0.conv", "a.gen.wav.dac.entry");
	for (uint32_t i = 0; i < p->c->n_blocks && !st; i++)
		st = place_block(p, i);
	snprintf(from, sizeof from, "decoder.decoder.%u", p->c->n_blocks + 1);
	if (!st)
		st = snake(p, from, "a.gen.wav.dac.post_snake");
	snprintf(from, sizeof from, "decoder.decoder.%u.conv", p->c->n_blocks + 2);
	return st ? st : both(p, from, "a.gen.wav.dac.post_conv");
}

sn_status hf_codec_place(const hf_codec *c, model_file *f, sn_error *err)
{
	struct placer p = {c, f, err};
	sn_status st = place_front(&p);
	for (uint32_t i = 0; i < c->n_layers && !st; i++)
		st = place_layer(&p, i);
	for (uint32_t i = 0; i < c->n_ratios && !st; i++)
		st = place_ratio(&p, i);
	return st ? st : place_dac(&p);
}
