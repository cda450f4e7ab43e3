#include "formats/hf_tokenizer_make.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/pretokenize.h"

#define CONFIG "tokenizer_config.json"
#define MERGES "merges.txt"

static sn_status no_memory(sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, MERGES ": no memory for its lines");
}

static sn_status check_class(const json_t *config, sn_error *err)
{
	const char *name = json_get_string(config, "tokenizer_class");
	if (name && (strcmp(name, "Qwen2Tokenizer") == 0 || strcmp(name, "Qwen2TokenizerFast") == 0))
		return SN_OK;
	return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": tokenizer_class %.64s is not supported without tokenizer.json (Qwen2Tokenizer is)", name ? name : "of no name");
}

/* A line without the blanks around it. */
static void trim(const char **p, size_t *n)
{
	static const char blanks[] = " \t\r\n\f\v";
	while (*n && memchr(blanks, **p, sizeof blanks - 1))
		++*p, --*n;
	while (*n && memchr(blanks, (*p)[*n - 1], sizeof blanks - 1))
		--*n;
}

/* A pair of tokens each line; the first one may tell a version. */
static sn_status add_merges(json_t *list, const char *text, size_t n, sn_error *err)
{
	for (size_t at = 0, line = 0; at < n; line++) {
		const char *p = text + at, *end = memchr(p, '\n', n - at);
		size_t size = end ? (size_t)(end - p) : n - at;
		at += size + 1;
		trim(&p, &size);
		if (size == 0 || (line == 0 && size >= 9 && memcmp(p, "#version:", 9) == 0))
			continue;
		json_t *s = json_stringn(p, size);
		if (!s)
			return error_set(err, SN_ERR_INVALID, MERGES ": line %zu is not UTF-8", line + 1);
		if (json_array_append_new(list, s))
			return no_memory(err);
	}
	return SN_OK;
}

/* From an object by ids to a list. */
static sn_status add_tokens(json_t *list, const json_t *config, sn_error *err)
{
	const json_t *decoder = json_get(config, "added_tokens_decoder");
	const char *key;
	json_t *token;
	if (!json_is_object(decoder))
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": without added_tokens_decoder, and without tokenizer.json, its tokens are not known");
	json_object_foreach((json_t *)(uintptr_t)decoder, key, token) {
		char *end;
		long long id = strtoll(key, &end, 10);
		json_t *copy = json_copy(token);
		if (!copy || json_object_size(copy) != json_object_size(token) || json_array_append_new(list, copy)) /* a key gets lost without memory */
			return no_memory(err);
		if (*end || !*key || id < 0 || !json_is_object(copy))
			return error_set(err, SN_ERR_INVALID, CONFIG ": added_tokens_decoder has what is no token's id");
		if (json_object_set_new(copy, "id", json_integer(id)))
			return no_memory(err);
	}
	return SN_OK;
}

/* The stages of Qwen2Tokenizer. */
static json_t *skeleton(const json_t *vocab, json_t *merges, json_t *added)
{
	return json_pack("{s:{s:s, s:O, s:o}, s:o, s:{s:s}, s:{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b, s:b}]}, s:{s:s}}", "model", "type", "BPE", "vocab", vocab,
	                 "merges", merges, "added_tokens", added, "normalizer", "type", "NFC", "pre_tokenizer", "type", "Sequence", "pretokenizers", "type", "Split", "pattern",
	                 "Regex", pretokenizer_regex("qwen2"), "behavior", "Isolated", "invert", 0, "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex", 0,
	                 "decoder", "type", "ByteLevel");
}

sn_status hf_tokenizer_make(json_t **out, const json_t *vocab, const char *merges, size_t n, const json_t *config, sn_error *err)
{
	json_t *lines = json_array(), *added = json_array();
	*out = NULL;
	sn_status st = lines && added ? check_class(config, err) : no_memory(err);
	if (!st)
		st = add_merges(lines, merges, n, err);
	if (!st)
		st = add_tokens(added, config, err);
	if (st) {
		json_decref(lines);
		json_decref(added);
		return st;
	}
	*out = skeleton(vocab, lines, added);
	return *out ? SN_OK : no_memory(err);
}
