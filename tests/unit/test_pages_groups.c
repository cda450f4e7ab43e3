/* test_pages_groups.c - promises of the page pool to groups that keep a part of the rows: the last ones (windows), or those on one side
 * of a row (an encoder-decoder's). */
#include "pages_kit.h"

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567";

static void what_fell_out_of_the_window_is_given_back(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	test_seq s;
	seq_open(&s, pool, with_a_window(), 0);
	seq_tokens(&s, ALPHABET);
	for (uint32_t n = 1; n <= 60; n++) {
		seq_compute(&s, n);
		uint32_t end = n / 12 * 12, first = end > 8 ? (end - 8) / 6 : 0; /* where a fork would begin, 8 rows before it */
		assert_int_equal(s.kv.group[0].first, 0);
		assert_int_equal(s.kv.group[1].first, first);
		assert_int_equal(kv_seq_exclusive(&s.kv), (n + 3) / 4 + 2 * ((n + 5) / 6 - first));
	}
	assert_int_equal(page_pool_cached(pool), 2 * 8); /* given back, and still to be found */
	seq_close(&s);
	assert_int_equal(page_pool_available(pool), 64);
	page_pool_close(&pool);
}

static void a_hit_needs_only_the_last_rows_of_a_window(void **state)
{
	(void)state;
	page_pool *pool = pool_of(15 + 2 * 10);
	run_once(pool, with_a_window(), 0, ALPHABET);
	assert_int_equal(page_pool_cached(pool), 35); /* 15 blocks of the one, 10 pairs of the other */
	test_seq other;
	seq_open(&other, pool, with_a_window(), 1);
	seq_tokens(&other, "0123456789");
	seq_compute(&other, 10); /* takes 7 pages: what slid away first goes first */
	seq_close(&other);
	assert_int_equal(run_once(pool, with_a_window(), 0, ALPHABET), 60);
	test_seq s;
	seq_open(&s, pool, with_a_window(), 0);
	seq_tokens(&s, "abcdefghijklmnopqrstuvwx");
	seq_match(&s, 24);
	assert_int_equal(s.n_computed, 0); /* rows 16 to 24 of the window are not there any more, nor are 4 to 12 */
	seq_close(&s);
	page_pool_close(&pool);
}

static void a_window_is_found_only_behind_its_own_prefix(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	run_once(pool, with_a_window(), 0, "abcdefghijklmnopqrstuvwx");
	assert_int_equal(run_once(pool, with_a_window(), 0, "Xbcdefghijklmnopqrstuvwx"), 0);
	assert_int_equal(run_once(pool, with_a_window(), 1, "abcdefghijklmnopqrstuvwx"), 0);
	assert_int_equal(run_once(pool, with_a_window(), 0, "abcdefghijklmnopqrstuvwx"), 24);
	assert_int_equal(run_once(pool, with_a_window(), 0, "Xbcdefghijklmnopqrstuvwx"), 24);
	page_pool_close(&pool);
}

static void a_fork_takes_its_window_along(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	for (uint32_t n = 1; n <= 60; n++) {
		test_seq a, b;
		seq_open(&a, pool, with_a_window(), 0);
		seq_tokens(&a, ALPHABET);
		seq_compute(&a, n);
		b = a;
		assert_int_equal(kv_seq_init(&b.kv, pool, with_a_window(), MAX_ROWS, &KEY, &ROOTS[0], NULL), SN_OK);
		b.n_computed = kv_seq_fork(&b.kv, &a.kv, n);
		assert_int_equal(b.n_computed, n / 12 * 12);
		seq_check_stamps(&b);
		if (n >= 24) { /* further back its window is gone */
			kv_seq_release(&b.kv);
			assert_int_equal(kv_seq_fork(&b.kv, &a.kv, 12), 0);
		}
		seq_close(&a);
		seq_close(&b);
	}
	page_pool_close(&pool);
}

static void truncating_behind_the_window_begins_anew(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	test_seq s;
	seq_open(&s, pool, with_a_window(), 0);
	seq_tokens(&s, ALPHABET);
	seq_compute(&s, 40);                            /* the window begins with row 24 */
	assert_int_equal(kv_seq_truncate(&s.kv, 39), 36); /* the blocks behind row 36 are hashed */
	assert_int_equal(s.kv.group[1].first, 4);
	assert_int_equal(kv_seq_truncate(&s.kv, 31), 0);
	assert_int_equal(page_pool_available(pool), 64);
	assert_int_equal(kv_seq_match(&s.kv, s.rows, s.media, 31), 24);
	seq_close(&s);
	page_pool_close(&pool);
}

/* Whatever chunks a sequence takes, it holds at most what admission counted with. */
static void admission_knows_the_most_that_a_sequence_holds(void **state)
{
	(void)state;
	rng r = {77};
	for (int round = 0; round < 400; round++) {
		kv_layout l = {.n_groups = 2, .groups = {small_group(2 * rng_between(&r, 1, 4), 1), window_group(2 * rng_between(&r, 1, 4), 2, rng_between(&r, 1, 20))},
		               .max_chunk = rng_between(&r, 1, 20)};
		page_pool *pool = pool_of(200);
		test_seq s;
		uint32_t top = 0, end = rng_between(&r, 1, MAX_ROWS);
		seq_open(&s, pool, &l, 0);
		while (s.n_known < MAX_ROWS)
			seq_tokens(&s, "x");
		uint32_t reach = kv_seq_need_to_reach(&s.kv, end);
		assert_int_equal(reach, kv_layout_pages(&l, end));
		while (s.n_computed < end) {
			uint32_t n = s.n_computed + rng_between(&r, 1, l.max_chunk);
			n = n < end ? n : end;
			assert_true(kv_seq_need(&s.kv, n) <= kv_seq_need_to_reach(&s.kv, end));
			assert_true(kv_seq_extend(&s.kv, n));
			uint32_t held = kv_seq_exclusive(&s.kv);
			assert_true(held <= reach && held <= kv_layout_pages(&l, n));
			top = held > top ? held : top;
			seq_write(&s, s.n_computed, n);
			s.n_computed = n;
			kv_seq_slide(&s.kv, n);
			seq_check_stamps(&s);
		}
		assert_true(reach <= top + 2 * (4 + 12)); /* and no more than a common end's and a block's worth too much */
		seq_close(&s);
		page_pool_close(&pool);
	}
}

/* ---- parts ---- */

static void a_group_with_a_limit_is_shared_when_it_is_full(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	test_seq a, b;
	seq_open(&a, pool, in_two_parts(), 0);
	seq_tokens(&a, ALPHABET);
	assert_int_equal(kv_layout_pages(in_two_parts(), 9), 3); /* three blocks of one page */
	assert_int_equal(kv_layout_pages(in_two_parts(), 10), 3);
	assert_int_equal(kv_layout_pages(in_two_parts(), 11), 3 + 2);
	assert_int_equal(kv_layout_pages(in_two_parts(), 60), 3 + 2 * 9);
	for (uint32_t n = 1; n <= 60; n++) {
		seq_compute(&a, n);
		assert_int_equal(kv_seq_exclusive(&a.kv), kv_layout_pages(in_two_parts(), n));
		b = a;
		assert_int_equal(kv_seq_init(&b.kv, pool, in_two_parts(), MAX_ROWS, &KEY, &ROOTS[0], NULL), SN_OK);
		b.n_computed = kv_seq_fork(&b.kv, &a.kv, n);
		assert_int_equal(b.n_computed, n < 10 ? n / 4 * 4 : 10 + (n - 10) / 6 * 6);
		assert_int_equal(b.n_computed, kv_whole_rows(in_two_parts(), n));
		seq_check_stamps(&b);
		b.n_known = b.n_computed;
		seq_tokens(&b, "XYZ");
		seq_compute(&b, b.n_known);
		seq_check_stamps(&a);
		seq_close(&b);
	}
	assert_int_equal(page_pool_cached(pool), 0);
	seq_close(&a);
	assert_int_equal(page_pool_available(pool), 64);
	page_pool_close(&pool);
}

static void truncating_a_part_writes_nothing_that_a_fork_reads(void **state)
{
	(void)state;
	page_pool *pool = pool_of(64);
	for (uint32_t n = 0; n <= 28; n++) {
		test_seq a, b;
		seq_open(&a, pool, in_two_parts(), 0);
		seq_tokens(&a, ALPHABET);
		seq_compute(&a, 30);
		assert_int_equal(kv_seq_truncate(&a.kv, 29), 29); /* its own: kept */
		b = a;
		assert_int_equal(kv_seq_init(&b.kv, pool, in_two_parts(), MAX_ROWS, &KEY, &ROOTS[0], NULL), SN_OK);
		b.n_computed = kv_seq_fork(&b.kv, &a.kv, 29);
		assert_int_equal(b.n_computed, 28);
		uint32_t want = n < 10 ? n / 4 * 4 : n < 28 ? 10 + (n - 10) / 6 * 6 : 28; /* blocks that a reads as well go whole */
		b.n_computed = b.n_known = kv_seq_truncate(&b.kv, n);
		assert_int_equal(b.n_computed, want);
		seq_tokens(&b, "XYZabcdefgh");
		seq_compute(&b, b.n_known);
		a.n_computed = 29;
		seq_check_stamps(&a);
		seq_close(&a);
		seq_check_stamps(&b);
		seq_close(&b);
	}
	page_pool_close(&pool);
}

/* Whisper base: 6 layers of 8 heads of 64, 1500 rows of sound. */
static void the_blocks_of_a_limited_group_fit_it(void **state)
{
	(void)state;
	kv_layout l = {.n_groups = 2, .groups = {{.n_layers = 6, .n_kv_head = 8, .head_dim = 64, .type = KV_F16, .base = 1500},
	                                         {.n_layers = 6, .n_kv_head = 8, .head_dim = 64, .type = KV_F16, .limit = 1500}}};
	assert_int_equal(kv_layout_plan(&l, NULL), SN_OK);
	assert_true(l.groups[1].waste < 0.03f);
	assert_int_equal(kv_layout_pages(&l, 1500), (1500 + l.groups[1].block_tokens - 1) / l.groups[1].block_tokens * l.groups[1].n_slabs);
	assert_int_equal(kv_layout_pages(&l, 1501), kv_layout_pages(&l, 1500) + l.groups[0].n_slabs);
	assert_true(kv_layout_pages(&l, 1500) * (double)PAGE_BYTES < 1.04 * 1500 * 6 * 8 * 64 * 2 * 2);
	kv_layout alone = {.n_groups = 1, .groups = {l.groups[0]}};
	alone.groups[0].base = 0;
	assert_int_equal(kv_layout_plan(&alone, NULL), SN_OK);
	assert_int_equal(alone.groups[0].block_tokens, l.groups[0].block_tokens); /* the limited one has no say in the other's */
}

/* gemma-3-1b at 32,768 rows: 4 layers keep all, 22 keep 512. */
static void windows_save_most_of_the_pages(void **state)
{
	(void)state;
	kv_layout l = {.n_groups = 2, .max_chunk = 512,
	               .groups = {{.n_layers = 4, .n_kv_head = 1, .head_dim = 256, .type = KV_F16},
	                          {.n_layers = 22, .n_kv_head = 1, .head_dim = 256, .type = KV_F16, .window = 512}}};
	assert_int_equal(kv_layout_plan(&l, NULL), SN_OK);
	assert_true(l.groups[0].waste < 1e-6f && l.groups[1].waste < 1e-6f);
	assert_int_equal(KV_MAX_BLOCK % l.groups[0].block_tokens, 0);
	assert_int_equal(KV_MAX_BLOCK % l.groups[1].block_tokens, 0);
	uint32_t with = kv_layout_pages(&l, 32768);
	l.max_chunk = 0;
	assert_true(kv_layout_pages(&l, 32768) > 5 * with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fell_out_of_the_window_is_given_back),
	    cmocka_unit_test(a_hit_needs_only_the_last_rows_of_a_window),
	    cmocka_unit_test(a_window_is_found_only_behind_its_own_prefix),
	    cmocka_unit_test(a_fork_takes_its_window_along),
	    cmocka_unit_test(truncating_behind_the_window_begins_anew),
	    cmocka_unit_test(admission_knows_the_most_that_a_sequence_holds),
	    cmocka_unit_test(windows_save_most_of_the_pages),
	    cmocka_unit_test(a_group_with_a_limit_is_shared_when_it_is_full),
	    cmocka_unit_test(truncating_a_part_writes_nothing_that_a_fork_reads),
	    cmocka_unit_test(the_blocks_of_a_limited_group_fit_it),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
