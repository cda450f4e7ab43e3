/* test_text_golden.h - what the tests of core/text share: goldens (tests/golden/text/make_*.py) and marked text in one line. */
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

static inline vocab *golden_vocab(const json_t *g)
{
	const json_t *tokens = json_object_get(g, "tokens"), *types = json_object_get(g, "types"), *merges = json_object_get(g, "merges");
	size_t n = json_array_size(tokens), n_merges = json_array_size(merges);
	str *t = calloc(n, sizeof *t), *m = calloc(n_merges, sizeof *m);
	int32_t *k = calloc(n, sizeof *k);
	for (size_t i = 0; i < n; i++) {
		t[i] = golden_str(json_array_get(tokens, i));
		k[i] = (int32_t)json_integer_value(json_array_get(types, i));
	}
	for (size_t i = 0; i < n_merges; i++)
		m[i] = golden_str(json_array_get(merges, i));
	vocab *v;
	sn_error err = {0};
	vocab_config config = {.model = "gpt2", .pre = json_string_value(json_object_get(g, "pre")), .tokens = t, .types = k, .n_tokens = n,
	                       .merges = m, .n_merges = n_merges, .bos = 1, .eos = 2, .eot = -1, .unk = 0};
	if (vocab_open(&v, &config, &err))
		fail_msg("%s", err.text);
	free(t);
	free(k);
	free(m);
	return v;
}

#endif
