/* test_text_golden.h - what the tests of core/text share: goldens (tests/golden/text/make_*.py), vocabularies, marked text in one line. */
#ifndef TEST_TEXT_GOLDEN_H
#define TEST_TEXT_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/arena.h"
#include "formats/hf_tokenizer.h"
#include "text/marked.h"
#include "text/vocab.h"

static inline json_t *golden(const char *name)
{
	char path[512];
	json_error_t err;
	snprintf(path, sizeof path, GOLDEN_DIR "/%s", name);
	json_t *j = json_load_file(path, JSON_ALLOW_NUL, &err);
	if (!j)
		fail_msg("%s: line %d: %s", path, err.line, err.text);
	return j;
}

static inline str golden_str(const json_t *j)
{
	return (str){json_string_value(j), json_string_length(j)};
}

/* Marked text from pieces: "T..." trusted, "U..." not; NULL ends. */
static inline void marked_of(marked_text *m, const char *piece, ...)
{
	va_list ap;
	marked_init(m, 0);
	va_start(ap, piece);
	for (; piece; piece = va_arg(ap, const char *))
		assert_true(marked_append(m, piece + 1, strlen(piece) - 1, *piece == 'T'));
	va_end(ap);
}

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* tokens, types, and merges or scores, as a GGUF file holds them. */
static inline vocab *golden_vocab(const json_t *g)
{
	const json_t *tokens = json_object_get(g, "tokens"), *types = json_object_get(g, "types"), *merges = json_object_get(g, "merges");
	size_t n = json_array_size(tokens), n_merges = json_array_size(merges);
	str *t = calloc(n, sizeof *t), *m = calloc(n_merges, sizeof *m);
	int32_t *k = calloc(n, sizeof *k);
	float *f = calloc(n, sizeof *f);
	for (size_t i = 0; i < n; i++) {
		t[i] = golden_str(json_array_get(tokens, i));
		k[i] = (int32_t)json_integer_value(json_array_get(types, i));
		f[i] = (float)json_number_value(json_array_get(json_object_get(g, "scores"), i));
	}
	for (size_t i = 0; i < n_merges; i++)
		m[i] = golden_str(json_array_get(merges, i));
	vocab *v;
	sn_error err = {0};
	vocab_config config = {.model = "gpt2", .pre = json_string_value(json_object_get(g, "pre")), .tokens = t, .types = k, .n_tokens = n,
	                       .merges = m, .n_merges = n_merges, .bos = 1, .eos = 2, .eot = -1, .unk = 0};
	if (json_object_get(g, "scores")) {
		bool prefix = json_is_true(json_object_get(g, "add_space_prefix"));
		config = (vocab_config){.model = "llama", .tokens = t, .types = k, .scores = f, .n_tokens = n,
		                        .bos = (int32_t)json_integer_value(json_object_get(g, "bos")),
		                        .eos = (int32_t)json_integer_value(json_object_get(g, "eos")), .eot = -1,
		                        .unk = (int32_t)json_integer_value(json_object_get(g, "unk")), .unk_for_missing = true, .fuse_unk = true,
		                        .strip_blank = prefix, .prefix = prefix ? VOCAB_PREFIX_ALWAYS : VOCAB_PREFIX_NONE};
	}
	if (vocab_open(&v, &config, &err))
		fail_msg("%s", err.text);
	free(f);
	free(t);
	free(k);
	free(m);
	return v;
}

/* A directory's vocabulary, or NULL with err filled. */
static inline vocab *directory_vocab(const char *dir, sn_error *err)
{
	arena *mem = arena_open(0);
	vocab_config c;
	vocab *v = NULL;
	if (!hf_tokenizer_read(&c, mem, dir, err))
		vocab_open(&v, &c, err);
	arena_close(&mem);
	return v;
}

/* One of tests/golden/text/hf. */
static inline vocab *family_vocab(const char *name)
{
	char dir[512];
	sn_error err = {0};
	snprintf(dir, sizeof dir, GOLDEN_DIR "/hf/%s", name);
	vocab *v = directory_vocab(dir, &err);
	if (!v)
		fail_msg("%s: %s", name, err.text);
	return v;
}

static inline void encode(const vocab *v, const marked_text *m, int32_t **ids, size_t *n)
{
	sn_error err = {0};
	if (vocab_encode(v, m, ids, n, &err))
		fail_msg("%s", err.text);
}

/* Encodes m and compares with the golden list of ids. */
static inline bool encodes_to(const vocab *v, const marked_text *m, const json_t *want)
{
	int32_t *ids;
	size_t n;
	encode(v, m, &ids, &n);
	bool same = n == json_array_size(want);
	for (size_t i = 0; same && i < n; i++)
		same = ids[i] == json_integer_value(json_array_get(want, i));
	free(ids);
	return same;
}

/* A case {"text", "plain", "special"}: as a client's, as a template's, and cut in two at any place. */
static inline void check_case(const vocab *v, const char *name, const json_t *c, uint64_t *random)
{
	str t = golden_str(json_object_get(c, "text"));
	const json_t *plain = json_object_get(c, "plain"), *special = json_object_get(c, "special");
	marked_text user, mixed, trusted;
	marked_init(&user, 0);
	marked_init(&mixed, 0);
	marked_init(&trusted, 0);
	marked_append(&user, t.p, t.n, false);
	marked_append(&trusted, t.p, t.n, true);
	size_t cut = t.n ? next_random(random) % t.n : 0;
	marked_append(&mixed, t.p, cut, true);
	marked_append(&mixed, t.p + cut, t.n - cut, false);
	if (!encodes_to(v, &user, plain))
		fail_msg("%s: client's text: %.*s", name, (int)t.n, t.p);
	if (special && !encodes_to(v, &trusted, special))
		fail_msg("%s: template's text: %.*s", name, (int)t.n, t.p);
	if (!special && !memchr(t.p, '<', t.n) && !encodes_to(v, &mixed, plain))
		fail_msg("%s: cut at %zu: %.*s", name, cut, (int)t.n, t.p);
	marked_fini(&user);
	marked_fini(&mixed);
	marked_fini(&trusted);
}

#endif
