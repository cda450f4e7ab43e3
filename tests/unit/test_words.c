/* test_words.c - promises of word times: alignment, splitting and settling are the reference implementation's. */
#include "unit.h"

#include <math.h>

#include "engine/align.h"
#include "engine/words.h"
#include "hear_golden.h"

/* ---- alignment ---- */

static void tokens_begin_where_the_reference_says(void **state)
{
	(void)state;
	struct golden g = golden_open("align.bin");
	uint32_t n_cases = 0;
	for (; golden_left(&g); n_cases++) {
		uint32_t heads = (uint32_t)golden_next(&g), tokens = (uint32_t)golden_next(&g), rows = (uint32_t)golden_next(&g);
		uint32_t kept = (uint32_t)golden_next(&g), first = (uint32_t)golden_next(&g), end = (uint32_t)golden_next(&g), begins[32];
		size_t n = (size_t)heads * tokens * rows;
		float *w = malloc(n * sizeof *w);
		assert_true(end - first <= 32);
		for (size_t i = 0; i < n; i++)
			w[i] = golden_float(&g);
		align_crop(w, heads * tokens, rows, kept);
		assert_true(align_tokens(w, heads, tokens, kept, first, end, begins));
		for (uint32_t i = 0; i < end - first; i++) {
			uint32_t want = (uint32_t)golden_next(&g);
			if (begins[i] != want)
				fail_msg("case %u: token %u begins at row %u, expected %u", n_cases, first + i, begins[i], want);
		}
		free(w);
	}
	assert_int_equal(n_cases, 14);
	golden_close(&g);
}

static void weights_that_tell_nothing_still_give_a_path(void **state)
{
	(void)state;
	enum { TOKENS = 9, ROWS = 20 };
	float w[TOKENS * ROWS];
	uint32_t begins[TOKENS];
	for (int i = 0; i < TOKENS * ROWS; i++)
		w[i] = 1.0f / ROWS;
	assert_true(align_tokens(w, 1, TOKENS, ROWS, 0, TOKENS, begins));
	for (int i = 0; i < TOKENS; i++)
		assert_true(begins[i] < ROWS && (i == 0 || begins[i] >= begins[i - 1]));
	float one[TOKENS] = {0}; /* one row for all of them: all begin there */
	assert_true(align_path(one, TOKENS, 1, begins));
	for (int i = 0; i < TOKENS; i++)
		assert_int_equal(begins[i], 0);
	assert_true(align_path(one, 1, TOKENS, begins));
	assert_int_equal(begins[0], 0);
	float crop[] = {0, 0, 1, 0.25f, 0.25f, 0.5f}; /* all of the first row's weight lay in what is gone */
	align_crop(crop, 2, 3, 2);
	assert_memory_equal(crop, ((float[]){0, 0, 0.5f, 0.5f}), 4 * sizeof(float));
}

static void the_median_is_of_seven_neighbours_mirrored_at_the_ends(void **state)
{
	(void)state;
	float x[] = {9, 1, 8, 2, 7, 3}, scratch[12], few[] = {3, 1, 2};
	align_median(x, 6, scratch);
	/* 2 8 1 [9 1 8 2 7 3] 7 2 8 */
	assert_memory_equal(x, ((float[]){2, 7, 3, 7, 3, 7}), sizeof x);
	align_median(few, 3, scratch);
	assert_memory_equal(few, ((float[]){3, 1, 2}), sizeof few);
}

/* ---- words ---- */

static vocab *read_vocab(struct golden *g)
{
	static char *spelled[256];
	str tokens[256];
	uint32_t n = (uint32_t)golden_next(g);
	assert_true(n < 256);
	for (uint32_t i = 0; i < n; i++) {
		spelled[i] = golden_text(g, &tokens[i].n);
		tokens[i].p = spelled[i];
	}
	vocab *v = NULL;
	sn_error err = {0};
	if (vocab_open(&v, &(vocab_config){.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .n_tokens = n, .bos = -1, .eos = -1, .eot = -1, .unk = -1}, &err))
		fail_msg("%s", err.text);
	for (uint32_t i = 0; i < n; i++)
		free(spelled[i]);
	return v;
}

static void assert_micro(struct golden *g, double got, uint32_t n_case)
{
	int32_t want = golden_next(g);
	if (fabs(got * 1e6 - want) > 1.5)
		fail_msg("case %u: %.6f s, expected %.6f", n_case, got, want * 1e-6);
}

static void check_words(struct golden *g, const vocab *v, uint32_t n_case)
{
	enum { MAX = 256 };
	static int32_t tokens[MAX];
	static uint32_t begins[MAX + 1];
	static timed_word words[MAX];
	worded_segment segments[8] = {{0}};
	size_t size;
	uint32_t total = 0, n_words;
	char *language = golden_text(g, &size);
	double last_end = golden_next(g) / 100.0, offset = golden_next(g) / 100.0;
	uint32_t n_segments = (uint32_t)golden_next(g);
	assert_true(n_segments <= 8);
	for (uint32_t i = 0; i < n_segments; i++) {
		segments[i].n_tokens = (uint32_t)golden_next(g);
		segments[i].start = golden_next(g) / 100.0;
		segments[i].end = golden_next(g) / 100.0;
		total += segments[i].n_tokens;
	}
	assert_true(total <= MAX);
	for (uint32_t i = 0; i < total; i++)
		tokens[i] = golden_next(g);
	for (uint32_t i = 0; i <= total; i++)
		begins[i] = (uint32_t)golden_next(g);
	buf text;
	buf_init(&text, 0);
	assert_true(words_split(v, language, tokens, total, &text, words, &n_words));
	words_time(words, n_words, begins, 0.02);
	assert_true(words_settle(words, &n_words, text.p, segments, n_segments, offset, &last_end));
	for (uint32_t i = 0; i < n_segments; i++) {
		assert_micro(g, segments[i].start, n_case);
		assert_micro(g, segments[i].end, n_case);
		assert_int_equal(segments[i].n_words, golden_next(g));
		for (uint32_t k = 0; k < segments[i].n_words; k++) {
			const timed_word *w = &words[segments[i].first_word + k];
			char *want = golden_text(g, &size);
			if (size != w->size || memcmp(want, text.p + w->at, size) != 0)
				fail_msg("case %u: \"%.*s\", expected \"%s\"", n_case, (int)w->size, text.p + w->at, want);
			assert_micro(g, w->start, n_case);
			assert_micro(g, w->end, n_case);
			free(want);
		}
	}
	buf_fini(&text);
	free(language);
}

static void words_and_their_times_are_the_reference_s(void **state)
{
	(void)state;
	struct golden g = golden_open("words.bin");
	vocab *v = read_vocab(&g);
	uint32_t n_cases = 0;
	while (golden_left(&g))
		check_words(&g, v, n_cases++);
	assert_int_equal(n_cases, 120);
	vocab_close(&v);
	golden_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tokens_begin_where_the_reference_says),
	    cmocka_unit_test(weights_that_tell_nothing_still_give_a_path),
	    cmocka_unit_test(the_median_is_of_seven_neighbours_mirrored_at_the_ends),
	    cmocka_unit_test(words_and_their_times_are_the_reference_s),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
