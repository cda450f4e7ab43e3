/* test_segments.c - promises of cutting an answer into segments, and of telling one that repeats itself. */
#include "unit.h"

#include <math.h>

#include "engine/compression.h"
#include "engine/segments.h"

enum { FIRST = 100 }; /* stamps, 0.02 s apart */

#define S(hundredths) (FIRST + (hundredths) / 2)

static void assert_segments(const int32_t *tokens, uint32_t n, double duration, const segment_span *want, uint32_t n_want)
{
	segment_span got[64];
	uint32_t n_got = segments_cut(tokens, n, FIRST, 0.02, duration, got);
	assert_int_equal(n_got, n_want);
	for (uint32_t i = 0; i < n_got; i++) {
		assert_int_equal(got[i].first, want[i].first);
		assert_int_equal(got[i].n_tokens, want[i].n_tokens);
		assert_true(fabs(got[i].start - want[i].start) < 1e-9);
		assert_true(fabs(got[i].end - want[i].end) < 1e-9);
	}
}

#define ASSERT_SEGMENTS(tokens, duration, ...)                                                                           \
	assert_segments(tokens, sizeof(tokens) / sizeof *(tokens), duration, (const segment_span[]){__VA_ARGS__},            \
	                sizeof((const segment_span[]){__VA_ARGS__}) / sizeof(segment_span))

static void pairs_of_stamps_close_segments(void **state)
{
	(void)state;
	const int32_t closed[] = {S(0), 1, 2, S(120), S(150), 3, S(260), S(260)};
	ASSERT_SEGMENTS(closed, 30, {0, 4, 0, 1.2}, {4, 3, 1.5, 2.6});
	const int32_t single_end[] = {S(0), 1, 2, S(120), S(150), 3, S(260)};
	ASSERT_SEGMENTS(single_end, 30, {0, 4, 0, 1.2}, {4, 3, 1.5, 2.6});
	const int32_t rest[] = {S(20), 1, S(120), S(120), 3, 4};
	ASSERT_SEGMENTS(rest, 10, {0, 3, 0.2, 1.2}, {3, 3, 1.2, 10});
}

static void an_answer_without_pairs_is_one_segment(void **state)
{
	(void)state;
	const int32_t plain[] = {1, 2, 3}, opened[] = {S(0), 1, 2}, late[] = {S(50), 1, 2}, both[] = {S(50), 1, S(200)}, stamp[] = {S(0)};
	ASSERT_SEGMENTS(plain, 12, {0, 3, 0, 12});
	ASSERT_SEGMENTS(opened, 12, {0, 3, 0, 12});
	ASSERT_SEGMENTS(late, 12, {0, 3, 0, 0.5}); /* the reference takes the last stamp for the end, whichever it is */
	ASSERT_SEGMENTS(both, 12, {0, 3, 0, 2});
	ASSERT_SEGMENTS(stamp, 12, {0, 1, 0, 12});
	segment_span out[4];
	assert_int_equal(segments_cut(plain, 0, FIRST, 0.02, 12, out), 0);
	assert_int_equal(segments_cut(both, 3, 0, 0.02, 12, out), 1); /* no stamps in this vocabulary */
	assert_true(out[0].end == 12);
}

static void times_stay_in_the_window_and_do_not_go_back(void **state)
{
	(void)state;
	const int32_t beyond[] = {S(0), 1, S(400), S(400), 2, S(900), S(950), 3, S(990)};
	ASSERT_SEGMENTS(beyond, 5, {0, 3, 0, 4}, {3, 3, 4, 5}, {6, 3, 5, 5});
	rng r = {8};
	for (int i = 0; i < 20000; i++) { /* whatever the tokens are, every one that is text is in one segment at most, in order */
		int32_t tokens[40];
		segment_span out[41];
		uint32_t n = rng_below(&r, 41), at = 0;
		double duration = rng_unit(&r) * 3, t = 0;
		for (uint32_t k = 0; k < n; k++)
			tokens[k] = rng_below(&r, 3) ? (int32_t)rng_below(&r, 90) : FIRST + (int32_t)rng_below(&r, 200);
		uint32_t m = segments_cut(tokens, n, FIRST, 0.02, duration, out);
		assert_true(m <= n + 1);
		for (uint32_t k = 0; k < m; k++) {
			assert_true(out[k].first == at && out[k].n_tokens > 0);
			at += out[k].n_tokens;
			assert_true(out[k].start >= t && out[k].end >= out[k].start && out[k].end <= duration);
			t = out[k].end;
		}
		for (; at < n; at++)
			assert_true(tokens[at] >= FIRST); /* only a stamp is left over */
	}
}

static void the_compression_ratio_is_zlib_s(void **state)
{
	(void)state;
	char ha[300];
	for (int i = 0; i < 300; i++)
		ha[i] = "ha "[i % 3];
	const char *plain = " The quick brown fox jumps over the lazy dog.";
	assert_true(compression_ratio("", 0) == 0);
	assert_true(compression_ratio(ha, sizeof ha) > 15);
	assert_true(fabs((double)compression_ratio(plain, strlen(plain)) - 45.0 / 53) < 0.02); /* len / len(zlib.compress(...)) */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pairs_of_stamps_close_segments),
	    cmocka_unit_test(an_answer_without_pairs_is_one_segment),
	    cmocka_unit_test(times_stay_in_the_window_and_do_not_go_back),
	    cmocka_unit_test(the_compression_ratio_is_zlib_s),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
