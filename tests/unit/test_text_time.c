/* test_text_time.c - the longest pieces that a client can send take linear time in every family: check 34. */
#include "test_text_golden.h"

#include <limits.h>
#include <malloc.h>
#include <time.h>

/* Memory once touched stays with the process, so that the second attempt times the encoder and not the kernel's pages.
 * A sanitizer's allocator refuses; it keeps its memory anyway. */
static int keep_memory(void **state)
{
	(void)state;
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	return 0;
}

static double seconds_for(const vocab *v, const char *unit, size_t n)
{
	marked_text m;
	int32_t *ids;
	size_t n_ids, unit_n = strlen(unit);
	marked_init(&m, 0);
	for (size_t i = 0; i < n; i += unit_n)
		marked_append(&m, unit, unit_n, false);
	struct timespec a, b;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	encode(v, &m, &ids, &n_ids);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	free(ids);
	marked_fini(&m);
	return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

static double lesser(double a, double b)
{
	return a < b ? a : b;
}

/* How many times longer the texts are; 20: 10 MB of each. */
#ifndef SN_TEXT_SCALE
#define SN_TEXT_SCALE 1
#endif

/* Seconds; what is shorter fits into the nearest cache, and four times as much does not. */
#define LONG_ENOUGH (0.004 * SN_TEXT_SCALE)

/* t(2n) / t(n) < 2.6, over two doublings (a step past a cache's size counts half), for texts that are one piece, or no
 * piece at all, or marks to put in order, or almost special tokens. n: at least 60,000 bytes. */
static void expect_linear(const char *name, const vocab *v)
{
	static const char *const units[] = {"\n", "word", " ", "\xE4\xB8\x96", "!", "7", "\xFF", " \n", "'s", "a b", "\xCC\x81\xCC\xA3", "<|im_star",
	                                    "\xE2\x96\x81", "the", "\xE0\xA4\xBF", "A", "aB", "\xC7\x85\xCA\xB0", "\r\n/"};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = 60000 * SN_TEXT_SCALE;
		double one = 1e9, four = 1e9;
		while (seconds_for(v, units[i], n) < LONG_ENOUGH)
			n *= 2;
		for (int attempt = 0; attempt < 40 && (attempt < 2 || four / one > 2.6 * 2.6); attempt++) { /* neighbours disturb */
			one = lesser(one, seconds_for(v, units[i], n));
			four = lesser(four, seconds_for(v, units[i], 4 * n));
		}
		if (four / one > 2.6 * 2.6)
			fail_msg("%s: '%s' x %zu: %.3f s, four times: %.3f s", name, units[i], n, one, four);
		if (SN_TEXT_SCALE > 1)
			print_message("%s: '%s', %zu bytes: %.3f s, four times: %.3f s, ratio %.2f\n", name, units[i], n, one, four, four / one);
	}
}

static void directories(void **state)
{
	static const char *const names[] = {"gpt2", "smollm", "llama3", "qwen2", "tekken", "gpt4o", "gemma", "llama2", "llama2-first"};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		vocab *v = family_vocab(names[i]);
		expect_linear(names[i], v);
		vocab_close(&v);
	}
}

static void pieces_with_scores(void **state)
{
	(void)state;
	json_t *g = golden("spm.json"), *one;
	const char *name;
	json_object_foreach(g, name, one) {
		vocab *v = golden_vocab(one);
		expect_linear(name, v);
		vocab_close(&v);
	}
	json_decref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories),
		cmocka_unit_test(pieces_with_scores),
	};
	return cmocka_run_group_tests(tests, keep_memory, NULL);
}
