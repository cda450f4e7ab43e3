#include "formats/hf_tekken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_file.h"
#include "text/pretokenize.h"
#include "text/spelling.h"

#define FILE_NAME "tekken.json"
enum { MAX_TOKENS = 1 << 20, MAX_TOKEN_BYTES = 1024, MAX_CUTS = 1 << 22 }; /* Mistral's has about a million places to cut its tokens */

/* What files older than special_tokens meant. The rest of the places for such tokens are called by their numbers. */
static const char *const first_special[] = {
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]",
    "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
};

typedef struct reader {
	arena *mem;
	sn_error *err;
	vocab_config *c;
	size_t n_special;
	str *tokens, *bytes; /* [c->n_tokens] as vocab_config spells them; and the bytes of those behind the special ones, [0] the first */
	int32_t *types;
} reader;

static sn_status no_memory(const reader *r)
{
	return error_set(r->err, SN_ERR_NOMEM, FILE_NAME ": no memory for its vocabulary");
}

/* ---- bytes ---- */

static int digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* Padded base64. False if it is not that, or nothing. */
static bool unbase64(const char *s, size_t n, uint8_t *out, size_t *n_out)
{
	*n_out = 0;
	if (n == 0 || n % 4 || n / 4 * 3 > MAX_TOKEN_BYTES)
		return false;
	size_t pad = s[n - 1] != '=' ? 0 : s[n - 2] != '=' ? 1 : 2;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;
		for (size_t k = 0; k < 4; k++) {
			int d = i + k < n - pad ? digit_of(s[i + k]) : 0;
			if (d < 0)
				return false;
			v = v << 6 | (uint32_t)d;
		}
		for (size_t k = 0; k < 3 && (i + 4 < n || k < 3 - pad); k++)
			out[(*n_out)++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return true;
}

/* A byte's character in GPT-2's alphabet: printable bytes are themselves, the others are U+0100 and on. */
static uint32_t letter_of(uint8_t byte)
{
	uint32_t n = 0;
	if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173))
		return byte;
	for (uint32_t b = 0; b < byte; b++)
		n += !((b >= 33 && b <= 126) || (b >= 161 && b != 173));
	return 0x100 + n;
}

static str spell(const reader *r, const uint8_t *bytes, size_t n)
{
	char *to = arena_alloc(r->mem, 2 * n + 1);
	size_t at = 0;
	for (size_t i = 0; to && i < n; i++) {
		uint32_t c = letter_of(bytes[i]);
		if (c >= 0x80)
			to[at++] = (char)(0xC0 | c >> 6);
		to[at++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
	}
	if (to)
		to[at] = 0;
	return (str){to, at};
}

/* ---- tokens ---- */

static sn_status read_special(reader *r, const json_t *list)
{
	size_t i, n_named = sizeof first_special / sizeof *first_special;
	const json_t *one;
	char name[32];
	if (list && !json_is_array(list))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": special_tokens is not a list");
	json_array_foreach(list, i, one) {
		const char *text = json_get_string(one, "token_str");
		int64_t rank;
		if (!text || !*text || !json_get_int(one, "rank", &rank) || rank < 0 || (uint64_t)rank >= r->n_special)
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": special token %zu has no text or no rank below %zu", i, r->n_special);
		if (r->tokens[rank].p)
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": two special tokens of rank %lld", (long long)rank);
		r->tokens[rank] = str_of(text);
		r->types[rank] = json_get_bool(one, "is_control", true) ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
	}
	for (i = 0; i < r->n_special; i++) {
		if (r->tokens[i].p)
			continue;
		int n = snprintf(name, sizeof name, "<SPECIAL_%zu>", i);
		const char *text = !list && i < n_named ? first_special[i] : arena_strndup(r->mem, name, (size_t)n);
		if (!text)
			return no_memory(r);
		r->tokens[i] = str_of(text);
		r->types[i] = TOKEN_CONTROL;
	}
	return SN_OK;
}

static sn_status read_vocab(reader *r, const json_t *list)
{
	uint8_t *bytes = arena_alloc(r->mem, MAX_TOKEN_BYTES);
	if (!bytes)
		return no_memory(r);
	for (size_t i = 0; i < r->c->n_tokens - r->n_special; i++) {
		const json_t *one = json_array_get(list, i), *coded = json_get(one, "token_bytes");
		int64_t rank;
		size_t n;
		if (!json_get_int(one, "rank", &rank) || rank != (int64_t)i)
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": token %zu has another rank", i);
		if (!json_is_string(coded) || !unbase64(json_string_value(coded), json_string_length(coded), bytes, &n))
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": token %zu: token_bytes is not base64 of 1 to %d bytes", i, MAX_TOKEN_BYTES);
		char *own = arena_strndup(r->mem, (const char *)bytes, n);
		str spelled = spell(r, bytes, n);
		if (!own || !spelled.p)
			return no_memory(r);
		r->bytes[i] = (str){own, n};
		r->tokens[r->n_special + i] = spelled;
		r->types[r->n_special + i] = TOKEN_NORMAL;
	}
	return SN_OK;
}

/* ---- merges ---- */

static int by_left(const void *a, const void *b)
{
	const vocab_merge *x = a, *y = b;
	return x->left != y->left ? (x->left > y->left) - (x->left < y->left) : (x->right > y->right) - (x->right < y->right);
}

static sn_status find_merges(reader *r, const spelling_index *index)
{
	size_t n = r->c->n_tokens - r->n_special, cap = 0;
	int32_t base = (int32_t)r->n_special;
	for (size_t i = 0; i < n; i++)
		cap += r->bytes[i].n - 1;
	if (cap > MAX_CUTS)
		return error_set(r->err, SN_ERR_TOO_LARGE, FILE_NAME ": its tokens are too long: %zu bytes in all", cap + n);
	vocab_merge *all = arena_array(r->mem, cap, sizeof *all);
	if (!all)
		return no_memory(r);
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		size_t first = at;
		str s = r->bytes[i];
		for (size_t cut = 1; cut < s.n; cut++) {
			int32_t left = spelling_find(index, (str){s.p, cut}), right = left < 0 ? -1 : spelling_find(index, (str){s.p + cut, s.n - cut});
			if (right >= 0)
				all[at++] = (vocab_merge){base + left, base + right, base + (int32_t)i};
		}
		qsort(all + first, at - first, sizeof *all, by_left);
	}
	r->c->merge_ids = all;
	r->c->n_merges = at;
	return SN_OK;
}

/* ---- the file ---- */

static int32_t special_of(const reader *r, const char *text)
{
	for (size_t i = 0; i < r->n_special; i++)
		if (str_eq(r->tokens[i], str_of(text)))
			return (int32_t)i;
	return -1;
}

static sn_status read_sizes(reader *r, const json_t *root)
{
	const json_t *config = json_get(root, "config"), *list = json_get(root, "vocab");
	const char *pattern = json_get_string(config, "pattern");
	int64_t n_tokens = 0, n_special = 0;
	if (!pattern || !json_is_array(list) || !json_get_int(config, "default_vocab_size", &n_tokens) ||
	    !json_get_int(config, "default_num_special_tokens", &n_special))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": config.pattern, its sizes, or vocab are missing");
	r->c->pre = pretokenizer_of_regex(pattern);
	if (!r->c->pre)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": config.pattern %s is not supported", hf_show(pattern).s);
	if (n_special < 1 || n_tokens <= n_special || n_tokens > MAX_TOKENS || (size_t)(n_tokens - n_special) > json_array_size(list))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": %lld tokens, %lld of them special, of a vocabulary of %zu", (long long)n_tokens,
		                 (long long)n_special, json_array_size(list));
	r->c->n_tokens = (size_t)n_tokens;
	r->n_special = (size_t)n_special;
	r->tokens = arena_array(r->mem, r->c->n_tokens, sizeof *r->tokens);
	r->types = arena_array(r->mem, r->c->n_tokens, sizeof *r->types);
	r->bytes = arena_array(r->mem, r->c->n_tokens - r->n_special, sizeof *r->bytes);
	return r->tokens && r->types && r->bytes ? SN_OK : no_memory(r);
}

sn_status hf_tekken_read(vocab_config *out, arena *mem, const char *dir, sn_error *err)
{
	const json_t *root;
	reader r = {.mem = mem, .err = err, .c = out};
	spelling_index index;
	sn_status st = hf_file_json(&root, mem, dir, FILE_NAME, err);
	if (st)
		return st;
	*out = (vocab_config){.model = "gpt2", .bos = -1, .eos = -1, .eot = -1, .unk = -1, .ignore_merges = true};
	st = read_sizes(&r, root);
	if (!st)
		st = read_special(&r, json_get(root, "special_tokens"));
	if (!st)
		st = read_vocab(&r, json_get(root, "vocab"));
	if (st)
		return st;
	st = spelling_index_init(&index, r.bytes, out->n_tokens - r.n_special, NULL) ? find_merges(&r, &index) : no_memory(&r);
	spelling_index_fini(&index);
	out->tokens = r.tokens;
	out->types = r.types;
	out->bos = special_of(&r, "<s>");
	out->eos = special_of(&r, "</s>");
	out->unk = special_of(&r, "<unk>");
	out->add_bos = out->bos >= 0;
	return st;
}
