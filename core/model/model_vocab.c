#include "model/model_vocab.h"

#include <strings.h>

#include "base/error.h"
#include "formats/hf_tokenizer.h"
#include "text/pretokenize.h"

/* def where the key is missing, as llama.cpp has it; -1 where there is no such token. */
static sn_status token_id(const model_file *f, const char *key, size_t n_tokens, int32_t def, int32_t *out, sn_error *err)
{
	uint32_t v;
	const file_key *k = file_key_find(f, key);
	*out = def < (int32_t)n_tokens ? def : -1;
	if (!k)
		return SN_OK;
	if (!file_u32(f, key, &v) || v >= n_tokens)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: %g is not a token of %zu", f->name, key, file_number(k, 0), n_tokens);
	*out = (int32_t)v;
	return SN_OK;
}

static sn_status read_ids(const model_file *f, vocab_config *c, bool spm, sn_error *err)
{
	const struct { const char *key; int32_t *out, def; } ids[] = {
	    {"tokenizer.ggml.bos_token_id", &c->bos, spm ? 1 : -1}, {"tokenizer.ggml.eos_token_id", &c->eos, spm ? 2 : -1},
	    {"tokenizer.ggml.eot_token_id", &c->eot, -1},           {"tokenizer.ggml.unknown_token_id", &c->unk, spm ? 0 : -1},
	};
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof ids / sizeof *ids && !st; i++)
		st = token_id(f, ids[i].key, c->n_tokens, ids[i].def, ids[i].out, err);
	return st;
}

static sn_status read_scores(const model_file *f, vocab_config *c, arena *tmp, sn_error *err)
{
	const char *key = "tokenizer.ggml.scores";
	const file_key *k = file_key_find(f, key);
	if (!k || k->type != FILE_ARRAY || k->elem_type != FILE_F32 || k->n != c->n_tokens)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: expected %zu numbers", f->name, key, c->n_tokens);
	float *scores = arena_array(tmp, c->n_tokens, sizeof *scores);
	if (!scores)
		return error_set(err, SN_ERR_NOMEM, "%s: key %s: no memory for its values", f->name, key);
	for (size_t i = 0; i < c->n_tokens; i++)
		scores[i] = (float)file_number(k, i);
	c->scores = scores;
	return SN_OK;
}

/* What the tokenizer's kind implies, and the keys that say otherwise. */
static sn_status read_spm(const model_file *f, vocab_config *c, arena *tmp, sn_error *err)
{
	bool prefix = true;
	c->add_bos = c->bos >= 0;
	c->unk_for_missing = c->fuse_unk = true;
	file_bool(f, "tokenizer.ggml.add_bos_token", &c->add_bos);
	file_bool(f, "tokenizer.ggml.add_space_prefix", &prefix);
	c->prefix = prefix ? VOCAB_PREFIX_ALWAYS : VOCAB_PREFIX_NONE;
	c->strip_blank = prefix;
	return read_scores(f, c, tmp, err);
}

static sn_status read_byte_level(const model_file *f, vocab_config *c, arena *tmp, sn_error *err)
{
	str pre = {0}, *merges;
	if (file_str(f, "tokenizer.ggml.pre", &pre) && !(c->pre = arena_strndup(tmp, pre.p, pre.n)))
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its tokenizer", f->name);
	const pretokenizer *t = pretokenizer_find(c->pre);
	c->ignore_merges = t && t->ignore_merges;
	c->add_bos = t && t->add_bos && c->bos >= 0;
	file_bool(f, "tokenizer.ggml.add_bos_token", &c->add_bos);
	if (!file_key_find(f, "tokenizer.ggml.merges"))
		return SN_OK;
	sn_status st = file_strings(f, "tokenizer.ggml.merges", tmp, &merges, &c->n_merges, err);
	c->merges = st ? NULL : merges;
	return st;
}

/* GGUF files do not say it of their tokens: of Phi-3, which its name tells, llama.cpp knows it. */
static sn_status read_rstrip(const model_file *f, vocab_config *c, arena *tmp, sn_error *err)
{
	static const char *const without[] = {"<unk>", "<s>", "<|endoftext|>"};
	str name;
	bool *rstrip, phi = false;
	if (!c->types || !file_str(f, "general.name", &name))
		return SN_OK;
	for (size_t i = 0; i + 4 <= name.n; i++)
		phi |= !strncasecmp(name.p + i, "phi3", 4) || (i + 5 <= name.n && !strncasecmp(name.p + i, "phi-3", 5));
	if (!phi)
		return SN_OK;
	c->rstrip = rstrip = arena_array(tmp, c->n_tokens, sizeof *rstrip);
	if (!rstrip)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its tokenizer", f->name);
	for (size_t i = 0; i < c->n_tokens; i++) {
		rstrip[i] = c->types[i] == TOKEN_CONTROL || c->types[i] == TOKEN_USER_DEFINED || c->types[i] == TOKEN_UNKNOWN;
		for (size_t k = 0; k < sizeof without / sizeof *without; k++)
			rstrip[i] &= !str_eq(c->tokens[i], str_of(without[k]));
	}
	return SN_OK;
}

static sn_status read_gguf(const model_file *f, vocab_config *c, uint32_t n_rows, arena *tmp, sn_error *err)
{
	str kind = {0}, *tokens;
	size_t n_types = 0;
	int32_t *types = NULL;
	if (!file_str(f, "tokenizer.ggml.model", &kind))
		return error_set(err, SN_ERR_INVALID, "%s: key tokenizer.ggml.model is missing", f->name);
	sn_status st = file_strings(f, "tokenizer.ggml.tokens", tmp, &tokens, &c->n_tokens, err);
	if (!st && file_key_find(f, "tokenizer.ggml.token_type"))
		st = file_i32s(f, "tokenizer.ggml.token_type", tmp, &types, &n_types, err);
	if (st)
		return st;
	if (types && n_types != c->n_tokens)
		return error_set(err, SN_ERR_INVALID, "%s: key tokenizer.ggml.token_type: %zu values for %zu tokens", f->name, n_types, c->n_tokens);
	if (c->n_tokens == 0 || c->n_tokens > n_rows)
		return error_set(err, SN_ERR_INVALID, "%s: key tokenizer.ggml.tokens: %zu tokens, but the embedding has %u rows", f->name,
		                 c->n_tokens, n_rows);
	c->model = arena_strndup(tmp, kind.p, kind.n);
	if (!c->model)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its tokenizer", f->name);
	c->tokens = tokens;
	c->types = types;
	bool spm = str_eq(kind, STR("llama"));
	st = read_rstrip(f, c, tmp, err);
	if (!st)
		st = read_ids(f, c, spm, err);
	if (st)
		return st;
	c->last = c->eos;
	file_bool(f, "tokenizer.ggml.add_eos_token", &c->add_last);
	c->add_last &= c->last >= 0;
	return spm ? read_spm(f, c, tmp, err) : read_byte_level(f, c, tmp, err);
}

static sn_status read_directory(const model_file *f, vocab_config *c, uint32_t n_rows, arena *tmp, sn_error *err)
{
	sn_status st = hf_tokenizer_read(c, tmp, f->dir, err);
	if (!st && c->n_tokens > n_rows)
		return error_set(err, SN_ERR_INVALID, "%s: the tokenizer has %zu tokens, but the embedding has %u rows", f->name, c->n_tokens, n_rows);
	return st;
}

/* The tokens of a codec stand behind those of the text, whose table may have rows that are no tokens: those are called as llama.cpp's
 * conversion calls them. */
static sn_status append_codec(const model_file *f, vocab_config *c, arena *tmp, sn_error *err)
{
	str *codec, *tokens;
	int32_t *types;
	bool *late, *rstrip;
	size_t n_codec;
	uint32_t n_text = 0;
	sn_status st = file_strings(f, "qwen3tts.codec_tokens", tmp, &codec, &n_codec, err);
	if (st)
		return st;
	if (!file_u32(f, "qwen3tts.text_tokens", &n_text) || n_text < c->n_tokens)
		return error_set(err, SN_ERR_INVALID, "%s: %zu tokens, but the embedding has %u rows of text", f->name, c->n_tokens, n_text);
	tokens = arena_array(tmp, n_text + n_codec, sizeof *tokens);
	types = arena_array(tmp, n_text + n_codec, sizeof *types);
	late = arena_array(tmp, n_text + n_codec, sizeof *late);
	rstrip = arena_array(tmp, n_text + n_codec, sizeof *rstrip);
	if (!tokens || !types || !late || !rstrip)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its tokenizer", f->name);
	for (size_t i = 0; i < n_text + n_codec; i++) {
		char pad[32];
		bool text = i < c->n_tokens, is_code = i >= n_text;
		size_t n = (size_t)snprintf(pad, sizeof pad, "[PAD%zu]", i);
		const char *copy = text || is_code ? pad : arena_strndup(tmp, pad, n);
		if (!copy)
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for its tokenizer", f->name);
		tokens[i] = text ? c->tokens[i] : is_code ? codec[i - n_text] : (str){copy, n};
		types[i] = text ? c->types ? c->types[i] : TOKEN_NORMAL : is_code ? TOKEN_CONTROL : TOKEN_UNUSED;
		late[i] = text && c->late && c->late[i];
		rstrip[i] = text && c->rstrip && c->rstrip[i];
	}
	c->tokens = tokens;
	c->types = types;
	c->late = late;
	c->rstrip = rstrip;
	c->n_tokens = n_text + n_codec;
	return SN_OK;
}

static sn_status open_and_name(vocab **out, const model_file *f, const vocab_config *c, sn_error *err)
{
	sn_error why = {0};
	sn_status st = vocab_open(out, c, &why);
	return st ? error_set(err, st, "%s: %.300s", f->name, why.text) : SN_OK;
}

sn_status model_vocab_open(vocab **out, const model_file *f, uint32_t n_rows, arena *tmp, sn_error *err)
{
	vocab_config c = {.bos = -1, .eos = -1, .eot = -1, .unk = -1};
	int32_t *eog = NULL;
	*out = NULL;
	sn_status st = f->from_hf ? read_directory(f, &c, n_rows, tmp, err) : read_gguf(f, &c, n_rows, tmp, err);
	if (!st && file_key_find(f, "qwen3tts.codec_tokens"))
		st = append_codec(f, &c, tmp, err);
	if (!st && file_key_find(f, "tokenizer.ggml.eog_token_ids"))
		st = file_i32s(f, "tokenizer.ggml.eog_token_ids", tmp, &eog, &c.n_eog, err);
	c.eog = eog;
	return st ? st : open_and_name(out, f, &c, err);
}
