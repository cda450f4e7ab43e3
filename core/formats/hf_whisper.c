#include "formats/hf_whisper.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"

#define ARCH "whisper"
#define CONFIG "config.json"
#define GENERATION "generation_config.json"
#define TOKENIZER "tokenizer.json"
enum { MAX_CONFIG_BYTES = 1 << 20, MAX_TOKENIZER_BYTES = 1 << 28, MAX_IDS = 1 << 16, MAX_LANGUAGES = 1024 };

/* ---- config.json ---- */

/* What would change the numbers, and is not computed. */
static sn_status refuse_switches(const json_t *json, bool *tied, sn_error *err)
{
	bool scaled = false;
	sn_status st = hf_refuse_quantised(json, err);
	if (!st)
		st = hf_check_activation(json, "activation_function", "gelu", err);
	if (!st)
		st = hf_read_bool(json, "scale_embedding", false, &scaled, err);
	if (!st && scaled)
		st = error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": scale_embedding is not supported");
	return st ? st : hf_read_bool(json, "tie_word_embeddings", true, tied, err);
}

sn_status hf_whisper_config(hf_config *out, model_file *f, const json_t *json, sn_error *err)
{
	uint32_t width, heads, ffn, rows, bins, encoder_heads, encoder_ffn, context, median;
	bool tied = true;
	const struct { const char *key; uint32_t max, def, *out; } sizes[] = { /* the class's defaults */
	    {"d_model", HF_MAX_SIZE, 384, &width},
	    {"vocab_size", HF_MAX_SIZE, 51865, &out->n_vocab},
	    {"num_mel_bins", HF_MAX_SIZE, 80, &bins},
	    {"encoder_layers", HF_MAX_LAYERS, 4, &out->n_encoder_layers},
	    {"encoder_attention_heads", HF_MAX_SIZE, 6, &encoder_heads},
	    {"encoder_ffn_dim", HF_MAX_SIZE, 1536, &encoder_ffn},
	    {"max_source_positions", HF_MAX_SIZE, 1500, &rows},
	    {"decoder_layers", HF_MAX_LAYERS, 4, &out->n_layers},
	    {"decoder_attention_heads", HF_MAX_SIZE, 6, &heads},
	    {"decoder_ffn_dim", HF_MAX_SIZE, 1536, &ffn},
	    {"max_target_positions", HF_MAX_SIZE, 448, &context},
	    {"median_filter_width", 1023, 7, &median},
	};
	sn_status st = refuse_switches(json, &tied, err);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !st; i++)
		st = hf_read_size(json, sizes[i].key, sizes[i].max, sizes[i].def, sizes[i].out, err);
	if (st)
		return st;
	if (width % heads || width % encoder_heads)
		return error_set(err, SN_ERR_INVALID, CONFIG ": d_model: %u is not divided by %u heads of the decoder and %u of the encoder", width,
		                 heads, encoder_heads);
	if (median % 2 == 0)
		return error_set(err, SN_ERR_INVALID, CONFIG ": median_filter_width: %u is even", median);
	out->has = HF_ENCDEC | (tied ? 0 : HF_HEAD);
	const struct { const char *prefix, *name; uint32_t v; } keys[] = {
	    {ARCH, "block_count", out->n_layers}, {ARCH, "embedding_length", width}, {ARCH, "feed_forward_length", ffn},
	    {ARCH, "attention.head_count", heads}, {ARCH, "context_length", context}, {ARCH, "vocab_size", out->n_vocab},
	    {ARCH, "encoder.context_length", rows}, {ARCH, "median_filter_width", median},
	    {"clip.audio", "num_mel_bins", bins}, {"clip.audio", "embedding_length", width}, {"clip.audio", "feed_forward_length", encoder_ffn},
	    {"clip.audio", "block_count", out->n_encoder_layers}, {"clip.audio", "attention.head_count", encoder_heads},
	    {"clip.audio", "projection_dim", width},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !st; i++)
		st = hf_key_u32(f, keys[i].prefix, keys[i].name, keys[i].v, err);
	if (!st)
		st = hf_key_f32(f, ARCH, "attention.layer_norm_epsilon", 1e-5, err); /* no configuration says otherwise: torch's */
	if (!st)
		st = hf_key_f32(f, "clip.audio", "attention.layer_norm_epsilon", 1e-5, err);
	if (!st)
		st = hf_key_bool(f, "clip", "has_audio_encoder", true, err);
	return st ? st : hf_key_str(f, "clip.audio", "projector_type", STR(ARCH), err);
}

/* ---- the other files ---- */

struct reader {
	model_file *f;
	json_t *config, *generation, *tokenizer; /* generation: NULL if there is none */
	const json_t *added;                     /* of the tokenizer */
	uint32_t n_vocab, n_layers, n_heads;
	sn_error *err;
};

static sn_status read_file(const struct reader *r, json_t **out, const char *name, size_t max)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s", r->f->dir, name);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(r->err, SN_ERR_INVALID, "%s: its path is too long", name);
	return json_file_read(out, path, max, r->err);
}

/* -1: there is no such token. */
static int64_t id_of(const struct reader *r, const char *content)
{
	size_t i;
	const json_t *token;
	int64_t id = -1;
	json_array_foreach(r->added, i, token) {
		const char *c = json_get_string(token, "content");
		if (c && strcmp(c, content) == 0 && json_get_int(token, "id", &id))
			return id;
	}
	return -1;
}

/* generation_config.json's value, or what old directories have in config.json. */
static const json_t *value_of(const struct reader *r, const char *key)
{
	const json_t *v = json_get(r->generation, key);
	return v ? v : json_get(r->config, key);
}

/* Ids that no row of the head has cannot be sampled anyway. */
static sn_status add_ids(const struct reader *r, const char *key)
{
	const json_t *list = value_of(r, key), *v;
	size_t i, n = 0;
	if (!list)
		return SN_OK;
	int32_t *ids = arena_array(r->f->mem, json_array_size(list), sizeof *ids);
	if (!json_is_array(list) || json_array_size(list) > MAX_IDS)
		return error_set(r->err, SN_ERR_INVALID, GENERATION ": %s is not a list of at most %d ids", key, MAX_IDS);
	if (!ids)
		return error_set(r->err, SN_ERR_NOMEM, GENERATION ": no memory for %s", key);
	json_array_foreach(list, i, v) {
		if (!json_is_integer(v))
			return error_set(r->err, SN_ERR_INVALID, GENERATION ": %s is not made of token ids", key);
		if (json_integer_value(v) >= 0 && json_integer_value(v) < r->n_vocab)
			ids[n++] = (int32_t)json_integer_value(v);
	}
	return hf_key_i32s(r->f, ARCH, key, ids, n, r->err);
}

static sn_status add_alignment_heads(const struct reader *r)
{
	static const char key[] = "alignment_heads";
	const json_t *list = value_of(r, key), *pair;
	size_t i, n = json_array_size(list);
	if (!list)
		return SN_OK;
	if (!json_is_array(list) || n > MAX_IDS)
		return error_set(r->err, SN_ERR_INVALID, GENERATION ": %s is not a list of at most %d pairs", key, MAX_IDS);
	int32_t *out = arena_array(r->f->mem, n, 2 * sizeof *out);
	if (!out)
		return error_set(r->err, SN_ERR_NOMEM, GENERATION ": no memory for %s", key);
	json_array_foreach(list, i, pair) {
		const json_t *layer = json_array_get(pair, 0), *head = json_array_get(pair, 1);
		if (json_array_size(pair) != 2 || !json_is_integer(layer) || !json_is_integer(head) || json_integer_value(layer) < 0 ||
		    json_integer_value(layer) >= r->n_layers || json_integer_value(head) < 0 || json_integer_value(head) >= r->n_heads)
			return error_set(r->err, SN_ERR_INVALID, GENERATION ": %s: pair %zu is not one of %u layers and one of %u heads", key, i,
			                 r->n_layers, r->n_heads);
		out[2 * i] = (int32_t)json_integer_value(layer);
		out[2 * i + 1] = (int32_t)json_integer_value(head);
	}
	return hf_key_i32s(r->f, ARCH, key, out, 2 * n, r->err);
}

struct language { const char *token; int64_t id; };

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct language *)a)->id, y = ((const struct language *)b)->id;
	return (x > y) - (x < y);
}

static sn_status add_languages(const struct reader *r)
{
	const json_t *map = json_get(r->generation, "lang_to_id");
	const char *token, *names[MAX_LANGUAGES];
	struct language all[MAX_LANGUAGES];
	json_t *id;
	size_t n = 0;
	if (!map || !json_get_bool(r->generation, "is_multilingual", true))
		return SN_OK;
	if (!json_is_object(map) || json_object_size(map) == 0 || json_object_size(map) > MAX_LANGUAGES)
		return error_set(r->err, SN_ERR_INVALID, GENERATION ": lang_to_id is not an object of 1 to %d languages", MAX_LANGUAGES);
	json_object_foreach((json_t *)(uintptr_t)map, token, id) {
		if (!json_is_integer(id) || id_of(r, token) != json_integer_value(id))
			return error_set(r->err, SN_ERR_INVALID, GENERATION ": lang_to_id: %.32s is not that token of " TOKENIZER, token);
		all[n++] = (struct language){token, json_integer_value(id)};
	}
	qsort(all, n, sizeof *all, by_id);
	for (size_t i = 0; i < n; i++)
		names[i] = all[i].token;
	return hf_key_strs(r->f, ARCH, "languages", names, n, r->err);
}

/* Tokens for times follow the one that says that there are none, each 0.02 s after the one before, in the order of their ids. */
static sn_status add_stamps(const struct reader *r)
{
	int64_t first = id_of(r, "<|0.00|>"), none = id_of(r, "<|notimestamps|>"), said, id;
	uint32_t n = 0;
	const json_t *token;
	char text[32];
	size_t i;
	if (first < 0)
		return SN_OK;
	if (none != first - 1 || (json_get_int(r->generation, "no_timestamps_token_id", &said) && said != none))
		return error_set(r->err, SN_ERR_INVALID, TOKENIZER ": <|0.00|> does not follow <|notimestamps|>");
	json_array_foreach(r->added, i, token) {
		const char *content = json_get_string(token, "content");
		if (!content || !json_get_int(token, "id", &id) || id < first)
			continue;
		snprintf(text, sizeof text, "<|%u.%02u|>", n / 50, n % 50 * 2);
		if (id == first + n && strcmp(content, text) == 0)
			n++;
	}
	sn_status st = hf_key_u32(r->f, ARCH, "stamps", n, r->err);
	if (st || !json_get(r->generation, "max_initial_timestamp_index"))
		return st;
	if (!json_get_int(r->generation, "max_initial_timestamp_index", &id) || id < 0 || id > UINT32_MAX)
		return error_set(r->err, SN_ERR_INVALID, GENERATION ": max_initial_timestamp_index is not a number of tokens");
	return hf_key_u32(r->f, ARCH, "max_initial_timestamp_index", (uint32_t)id, r->err);
}

static sn_status add_no_speech(const struct reader *r)
{
	static const char *const names[] = {"<|nospeech|>", "<|nocaptions|>"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (id_of(r, names[i]) >= 0)
			return hf_key_str(r->f, ARCH, "no_speech_token", str_of(names[i]), r->err);
	return SN_OK;
}

/* A key of config.json that hf_whisper_config wrote; the table is not sorted yet. */
static uint32_t written(const model_file *f, const char *name)
{
	uint32_t v = 0;
	for (size_t i = 0; i < f->n_keys; i++)
		if (str_eq(f->keys[i].name, str_of(name)))
			memcpy(&v, f->keys[i].data, sizeof v);
	return v;
}

sn_status hf_whisper_generation(model_file *f, sn_error *err)
{
	struct reader r = {.f = f, .n_vocab = written(f, ARCH ".vocab_size"), .n_layers = written(f, ARCH ".block_count"),
	                   .n_heads = written(f, ARCH ".attention.head_count"), .err = err};
	sn_status st = read_file(&r, &r.config, CONFIG, MAX_CONFIG_BYTES);
	if (!st)
		st = read_file(&r, &r.tokenizer, TOKENIZER, MAX_TOKENIZER_BYTES);
	if (!st)
		st = read_file(&r, &r.generation, GENERATION, MAX_CONFIG_BYTES);
	if (st == SN_ERR_NOT_FOUND && r.tokenizer)
		st = SN_OK;
	r.added = json_object_get(r.tokenizer, "added_tokens");
	if (!st)
		st = add_ids(&r, "suppress_tokens");
	if (!st)
		st = add_ids(&r, "begin_suppress_tokens");
	if (!st)
		st = add_alignment_heads(&r);
	if (!st)
		st = add_languages(&r);
	if (!st)
		st = add_stamps(&r);
	if (!st)
		st = add_no_speech(&r);
	json_decref(r.config);
	json_decref(r.generation);
	json_decref(r.tokenizer);
	return st;
}
