#include "formats/hf_tokenizer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/hf_file.h"
#include "formats/hf_pieces.h"
#include "formats/hf_pipeline.h"
#include "formats/hf_tekken.h"
#include "formats/hf_tokenizer_make.h"
#include "text/spm.h"

#define FILE_NAME "tokenizer.json" /* or what hf_tokenizer_files makes of older ones */
#define MAX_TOKEN_BYTES 4096

typedef struct reader {
	arena *mem;
	sn_error *err;
	const json_t *root, *model, *vocab, *added, *config; /* config: tokenizer_config.json, or NULL */
	hf_pipeline pipe;
	vocab_config *c;
	str *tokens;    /* [c->n_tokens] p NULL: not seen yet */
	int32_t *types;
	bool *late, *rstrip;
} reader;

static sn_status no_memory(sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, FILE_NAME ": no memory for its vocabulary");
}

/* ---- files ---- */

/* json_object_foreach casts the constness away; it changes nothing. */
static json_t *mutable(const json_t *j)
{
	return (json_t *)(uintptr_t)j;
}

static void release(void *json)
{
	json_decref(json);
}

/* vocab.json and merges.txt, where there is no tokenizer.json. */
static sn_status made_of_older_files(reader *r, const char *dir)
{
	const json_t *ids;
	char *merges;
	json_t *made = NULL;
	size_t n;
	sn_error why;
	sn_status st = hf_file_json(&ids, r->mem, dir, "vocab.json", &why);
	if (st == SN_ERR_NOT_FOUND)
		return error_set(r->err, st, "none of " FILE_NAME ", tekken.json, tokenizer.model and vocab.json can be opened");
	if (st)
		return error_set(r->err, st, "%s", why.text);
	st = hf_file_json(&r->config, r->mem, dir, "tokenizer_config.json", r->err);
	if (!st)
		st = hf_file_text(&merges, &n, r->mem, dir, "merges.txt", r->err);
	if (!st)
		st = hf_tokenizer_make(&made, ids, merges, n, r->config, r->err);
	if (!st && arena_defer(r->mem, release, made)) {
		json_decref(made);
		st = no_memory(r->err);
	}
	r->root = made;
	return st;
}

/* ---- the model ---- */

static bool is_empty(const json_t *j)
{
	return !j || json_is_null(j) || (json_is_string(j) && json_string_length(j) == 0);
}

static sn_status check_model(const reader *r)
{
	const json_t *m = r->model;
	const char *type = json_get_string(m, "type");
	double dropout = 0;
	if (!json_is_object(m))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": model is missing");
	if (type && strcmp(type, "BPE"))
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": model %s is not supported; this build has: BPE", hf_show(type).s);
	if (!json_is_object(r->vocab) || !json_is_array(json_object_get(m, "merges")))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": model without vocab or merges");
	for (const char *const *key = (const char *const[]){"continuing_subword_prefix", "end_of_word_suffix", NULL}; *key; key++)
		if (!is_empty(json_object_get(m, *key)))
			return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": model with %s is not supported", *key);
	if (json_get_number(m, "dropout", &dropout) && dropout != 0)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": model with dropout is not supported");
	return SN_OK;
}

static const char *content_of(const json_t *added)
{
	const char *content = json_get_string(added, "content");
	return content && *content && strlen(content) == json_string_length(json_object_get(added, "content")) ? content : NULL;
}

static sn_status claim(reader *r, const char *name, int64_t id)
{
	size_t n = r->c->n_tokens;
	if (id < 0 || (uint64_t)id >= n)
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": token '%s' has id %lld: %zu tokens must have the ids 0 to %zu", hf_show(name).s,
		                 (long long)id, n, n - 1);
	if (r->tokens[id].p)
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": tokens '%s' and '%s' have the same id %lld", hf_show(r->tokens[id].p).s,
		                 hf_show(name).s, (long long)id);
	r->tokens[id] = str_of(name);
	return SN_OK;
}

static sn_status read_vocab(reader *r)
{
	bool byte_fallback = json_get_bool(r->model, "byte_fallback", false);
	const char *name;
	json_t *id;
	sn_status st = SN_OK;
	json_object_foreach(mutable(r->vocab), name, id) {
		if (!json_is_integer(id))
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": token '%s' has no integer id", hf_show(name).s);
		if ((st = claim(r, name, json_integer_value(id))))
			return st;
		if (byte_fallback && spm_byte_of(str_of(name)) >= 0)
			r->types[json_integer_value(id)] = TOKEN_BYTE;
	}
	return SN_OK;
}

/* ---- added tokens ---- */

static sn_status refuse_flags(const reader *r, const char *file, const json_t *added, const char *content)
{
	for (const char *const *key = (const char *const[]){"single_word", "lstrip", NULL}; *key; key++)
		if (json_get_bool(added, *key, false))
			return error_set(r->err, SN_ERR_UNSUPPORTED, "%s: added token '%s' with %s is not supported", file, hf_show(content).s, *key);
	return SN_OK;
}

/* A token that is looked for after normalizing: see vocab_config.late and what encode_late expects. */
static sn_status read_late(reader *r, const json_t *added, const char *content, int64_t id)
{
	bool special = json_get_bool(added, "special", false), ascii = true;
	for (const char *p = content; *p; p++)
		ascii &= (unsigned char)*p < 0x80;
	if (!json_get_bool(added, "normalized", !special))
		return SN_OK;
	bool normalizes = r->pipe.nfc || r->pipe.replace || r->pipe.prepend;
	if (normalizes && (special || r->pipe.prepend || (r->pipe.nfc && !ascii)))
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": added token '%s' with normalized is not supported here", hf_show(content).s);
	r->late[id] = true;
	return SN_OK;
}

static sn_status read_added_token(reader *r, const json_t *added)
{
	const char *content = content_of(added);
	int64_t id;
	if (!content || !json_get_int(added, "id", &id))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": an added token has no content or id");
	const json_t *in_vocab = json_object_get(r->vocab, content);
	sn_status st = refuse_flags(r, FILE_NAME, added, content);
	if (!st && !in_vocab)
		st = claim(r, content, id);
	else if (!st && (!json_is_integer(in_vocab) || json_integer_value(in_vocab) != id))
		st = error_set(r->err, SN_ERR_INVALID, FILE_NAME ": added token '%s' has another id in the vocabulary", hf_show(content).s);
	if (st)
		return st;
	r->types[id] = json_get_bool(added, "special", false) ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
	r->rstrip[id] = json_get_bool(added, "rstrip", false);
	st = read_late(r, added, content, id);
	if (!st && r->late[id] && r->rstrip[id])
		st = error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": added token '%s' with normalized and rstrip is not supported", hf_show(content).s);
	return st;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ids cannot tell: a second token of the same content would have an id of its own. */
static sn_status refuse_repeated(const reader *r)
{
	size_t i, n = json_array_size(r->added);
	const json_t *added;
	const char **names = arena_array(r->mem, n, sizeof *names);
	if (!names)
		return no_memory(r->err);
	json_array_foreach(r->added, i, added)
		names[i] = content_of(added) ? content_of(added) : "";
	if (n)
		qsort(names, n, sizeof *names, compare_names);
	for (i = 1; i < n; i++)
		if (*names[i] && !strcmp(names[i - 1], names[i]))
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": token '%s' is added twice", hf_show(names[i]).s);
	return SN_OK;
}

static sn_status read_tokens(reader *r)
{
	size_t i, n = json_object_size(r->vocab);
	const json_t *added;
	sn_status st = refuse_repeated(r);
	if (st)
		return st;
	json_array_foreach(r->added, i, added)
		n += !content_of(added) || !json_object_get(r->vocab, content_of(added));
	r->c->n_tokens = n;
	r->c->tokens = r->tokens = arena_array(r->mem, n, sizeof *r->tokens);
	r->c->types = r->types = arena_array(r->mem, n, sizeof *r->types);
	r->c->late = r->late = arena_array(r->mem, n, sizeof *r->late);
	r->c->rstrip = r->rstrip = arena_array(r->mem, n, sizeof *r->rstrip);
	if (!r->tokens || !r->types || !r->late || !r->rstrip)
		return no_memory(r->err);
	for (i = 0; i < n; i++)
		r->types[i] = TOKEN_NORMAL;
	st = read_vocab(r);
	json_array_foreach(r->added, i, added)
		st = st ? st : read_added_token(r, added);
	return st;
}

/* ---- merges ---- */

static int32_t id_in_vocab(const reader *r, const char *name)
{
	const json_t *id = json_object_get(r->vocab, name);
	return json_is_integer(id) ? (int32_t)json_integer_value(id) : -1;
}

/* "left right" or ["left", "right"]; joined has room for both. */
static bool merge_parts(const json_t *j, char left[MAX_TOKEN_BYTES + 1], char joined[2 * MAX_TOKEN_BYTES + 1], const char **right)
{
	const char *s = json_string_value(json_is_array(j) ? json_array_get(j, 0) : j), *space = s && json_is_string(j) ? strchr(s, ' ') : NULL;
	size_t n_left = !s ? 0 : json_is_string(j) ? (space ? (size_t)(space - s) : 0) : strlen(s);
	*right = json_is_string(j) ? (space ? space + 1 : NULL) : json_array_size(j) == 2 ? json_string_value(json_array_get(j, 1)) : NULL;
	if (n_left == 0 || !*right || !**right || (space && strchr(*right, ' ')))
		return false;
	size_t n_right = strlen(*right);
	if (n_left > MAX_TOKEN_BYTES || n_right > MAX_TOKEN_BYTES)
		return false;
	memcpy(left, s, n_left);
	left[n_left] = 0;
	memcpy(joined, s, n_left);
	memcpy(joined + n_left, *right, n_right + 1);
	return true;
}

static sn_status read_merges(reader *r)
{
	char left[MAX_TOKEN_BYTES + 1], joined[2 * MAX_TOKEN_BYTES + 1];
	const json_t *list = json_object_get(r->model, "merges"), *j;
	const char *right;
	size_t i;
	vocab_merge *merges = arena_array(r->mem, json_array_size(list), sizeof *merges);
	if (!merges)
		return no_memory(r->err);
	json_array_foreach(list, i, j) {
		if (!merge_parts(j, left, joined, &right))
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": merge %zu is not a pair", i);
		merges[i] = (vocab_merge){id_in_vocab(r, left), id_in_vocab(r, right), id_in_vocab(r, joined)};
		if (merges[i].left < 0 || merges[i].right < 0 || merges[i].joined < 0)
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": merge %zu names a token that is not in the vocabulary", i);
	}
	r->c->merge_ids = merges;
	r->c->n_merges = json_array_size(list);
	return SN_OK;
}

/* ---- named tokens ---- */

static int32_t id_of(const reader *r, const char *content)
{
	size_t i;
	const json_t *added;
	int64_t id;
	json_array_foreach(r->added, i, added)
		if (!strcmp(content_of(added), content) && json_get_int(added, "id", &id))
			return (int32_t)id;
	return id_in_vocab(r, content);
}

/* "bos_token": a string, an object with the content, or nothing. */
static sn_status named_token(const reader *r, const char *key, int32_t *out)
{
	const json_t *j = json_object_get(r->config, key);
	const char *name = json_is_object(j) ? json_get_string(j, "content") : json_string_value(j);
	if (!name)
		return SN_OK;
	*out = id_of(r, name);
	if (*out < 0)
		return error_set(r->err, SN_ERR_INVALID, "tokenizer_config.json: %s '%s' is not in the vocabulary", key, hf_show(name).s);
	return SN_OK;
}

/* What transformers would add on top of tokenizer.json. */
static sn_status check_added_decoder(const reader *r)
{
	const char *key;
	json_t *j;
	json_object_foreach(mutable(json_object_get(r->config, "added_tokens_decoder")), key, j) {
		const char *content = content_of(j);
		char *end;
		long long id = strtoll(key, &end, 10);
		if (!content || *end || id < 0 || (uint64_t)id >= r->c->n_tokens || strcmp(r->tokens[id].p, content))
			return error_set(r->err, SN_ERR_INVALID, "tokenizer_config.json: added token %s is not the one in " FILE_NAME, hf_show(key).s);
		sn_status st = refuse_flags(r, "tokenizer_config.json", j, content);
		if (!st && json_get_bool(j, "rstrip", false) != r->rstrip[id])
			st = error_set(r->err, SN_ERR_UNSUPPORTED, "tokenizer_config.json: added token '%s' with another rstrip than in " FILE_NAME " is not supported",
			               hf_show(content).s);
		if (st)
			return st;
	}
	return SN_OK;
}

static sn_status read_named(reader *r)
{
	vocab_config *c = r->c;
	const char *unk = json_get_string(r->model, "unk_token");
	sn_status st = named_token(r, "bos_token", &c->bos);
	st = st ? st : named_token(r, "eos_token", &c->eos);
	st = st ? st : named_token(r, "unk_token", &c->unk);
	st = st ? st : check_added_decoder(r);
	if (st)
		return st;
	if (unk) {
		c->unk_for_missing = true;
		c->unk = id_in_vocab(r, unk);
		if (c->unk < 0)
			return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": unk_token '%s' is not in the vocabulary", hf_show(unk).s);
	}
	int32_t first = r->pipe.bos ? id_of(r, r->pipe.bos) : -1;
	if (r->pipe.bos && (first < 0 || (c->bos >= 0 && first != c->bos)))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": post_processor puts '%s' first, which is not bos", hf_show(r->pipe.bos).s);
	if (first >= 0)
		c->bos = first;
	c->add_bos = json_get_bool(r->config, "add_bos_token", first >= 0);
	if (c->add_bos && c->bos < 0)
		return error_set(r->err, SN_ERR_INVALID, "tokenizer_config.json: add_bos_token without bos_token");
	c->add_last = r->pipe.last;
	c->last = c->add_last ? id_of(r, r->pipe.last) : -1;
	if (c->add_last && c->last < 0)
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": post_processor appends '%s', which is not in the vocabulary", hf_show(r->pipe.last).s);
	if (json_get_bool(r->config, "add_eos_token", false) && !c->add_last)
		return error_set(r->err, SN_ERR_UNSUPPORTED, "tokenizer_config.json: add_eos_token is not supported where the post_processor of " FILE_NAME " appends nothing");
	return SN_OK;
}

static sn_status read_kind(reader *r)
{
	vocab_config *c = r->c;
	const hf_pipeline *p = &r->pipe;
	bool byte_fallback = json_get_bool(r->model, "byte_fallback", false);
	c->model = p->pre ? "gpt2" : "bpe";
	c->pre = p->pre;
	c->nfc = p->nfc;
	c->prefix = p->prefix;
	c->split_blanks = p->split_blanks;
	c->strip_blank = p->strip_blank;
	c->replace_late = p->replace;
	c->ignore_merges = json_get_bool(r->model, "ignore_merges", false);
	c->fuse_unk = json_get_bool(r->model, "fuse_unk", false);
	if (!p->pre && c->ignore_merges)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": ignore_merges without ByteLevel is not supported");
	if (byte_fallback != p->byte_fallback)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": byte_fallback of the model and the decoder's ByteFallback do not agree");
	return SN_OK;
}

sn_status hf_tokenizer_read(vocab_config *out, arena *mem, const char *dir, sn_error *err)
{
	reader r = {.mem = mem, .err = err, .c = out};
	*out = (vocab_config){.bos = -1, .eos = -1, .eot = -1, .unk = -1};
	sn_status st = hf_file_json(&r.root, mem, dir, FILE_NAME, err);
	if (st == SN_ERR_NOT_FOUND && (st = hf_tekken_read(out, mem, dir, err)) != SN_ERR_NOT_FOUND)
		return st;
	if (st == SN_ERR_NOT_FOUND && (st = hf_pieces_read(out, mem, dir, err)) != SN_ERR_NOT_FOUND)
		return st;
	if (st == SN_ERR_NOT_FOUND)
		st = made_of_older_files(&r, dir);
	if (st)
		return st;
	if (!r.config)
		st = hf_file_json(&r.config, mem, dir, "tokenizer_config.json", err);
	if (st && st != SN_ERR_NOT_FOUND)
		return st;
	r.model = json_object_get(r.root, "model");
	r.vocab = json_object_get(r.model, "vocab");
	r.added = json_object_get(r.root, "added_tokens");
	st = check_model(&r);
	st = st ? st : hf_pipeline_read(&r.pipe, r.root, err);
	st = st ? st : read_kind(&r);
	st = st ? st : read_tokens(&r);
	st = st ? st : read_merges(&r);
	st = st ? st : read_named(&r);
	if (!st && err)
		*err = (sn_error){0};
	return st;
}

const char *hf_tokenizer_file(const char *dir)
{
	static const char *const names[] = {FILE_NAME, "tekken.json", "tokenizer.model", "vocab.json"};
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		int n = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		if (n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0)
			return names[i];
	}
	return NULL;
}
