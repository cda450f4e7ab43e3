/* test_pages.c - promises of the page pool: exact prefix hits, eviction in order, forks, and that nothing shared is written.
 * Built a second time with SN_TEST_COLLIDE, where block hashes collide all the time, like its neighbours. */
#include "pages_kit.h"

/* ---- layout ---- */

static void qwens_blocks_fill_their_pages(void **state)
{
	(void)state;
	kv_layout l = {.n_groups = 1, .groups = {{.n_layers = 24, .n_kv_head = 2, .head_dim = 64, .type = KV_F16}}};
	assert_int_equal(kv_layout_plan(&l, NULL), SN_OK);
	assert_int_equal(l.groups[0].block_tokens % KV_MIN_BLOCK, 0);
	assert_true(l.groups[0].waste < 1e-6f);
	assert_int_equal(l.groups[0].layer_bytes * l.groups[0].slab_layers, PAGE_BYTES);
	assert_int_equal(kv_layout_pages(&l, 0), 0);
	assert_int_equal(kv_layout_pages(&l, 1), l.groups[0].n_slabs);
	assert_int_equal(kv_layout_pages(&l, l.groups[0].block_tokens + 1), 2 * l.groups[0].n_slabs);
}

static void every_layer_of_a_layout_has_room(void **state)
{
	(void)state;
	rng r = {5};
	for (int i = 0; i < 2000; i++) {
		kv_layout l = {.n_groups = 1, .groups = {{.n_layers = rng_between(&r, 1, 200), .n_kv_head = rng_between(&r, 1, 64),
		                                          .head_dim = 2 * rng_between(&r, 1, 256), .type = (enum kv_type)rng_below(&r, KV_TYPES)}}};
		sn_error err = {0};
		const kv_group *g = &l.groups[0];
		bool bytes = g->type == KV_Q8_0 || g->type == KV_FP8;
		uint64_t head = bytes ? g->head_dim + (g->head_dim + 31) / 32 * 2 : g->head_dim * (g->type == KV_F32 ? 4 : 2);
		uint64_t smallest = 2ull * g->n_kv_head * head * KV_MIN_BLOCK;
		if (kv_layout_plan(&l, &err) != SN_OK) {
			assert_true(smallest > PAGE_BYTES);
			assert_non_null(strstr(err.text, "larger than a page"));
			continue;
		}
		assert_true(smallest <= PAGE_BYTES);
		assert_true((uint64_t)g->slab_layers * g->layer_bytes <= PAGE_BYTES);
		assert_true(g->slab_layers * g->n_slabs >= g->n_layers && g->slab_layers * (g->n_slabs - 1) < g->n_layers);
		assert_in_range(g->block_tokens, KV_MIN_BLOCK, bytes ? KV_MAX_BYTE_BLOCK : KV_MAX_BLOCK);
		assert_int_equal(g->layer_bytes, 2 * g->n_kv_head * g->head_bytes);
		assert_int_equal(g->head_bytes, g->block_tokens * head);
		assert_int_equal(kv_token_bytes(g), 2 * g->n_layers * g->n_kv_head * head);
	}
}

/* A byte a channel and two for each 32 of them: 17/32 of f16. But pages are whole, and some shapes (Llama's) fill them to the last byte in
 * f16 and cannot in anything a little more than half of it. */
static void bytes_take_half_the_pages(void **state)
{
	(void)state;
	static const struct { const char *name; double most; kv_layout l; } shapes[] = {
	    {"the sample", 0.54, {.n_groups = 1, .groups = {{.n_layers = 4, .n_kv_head = 2, .head_dim = 64}}}},
	    {"SmolLM2-135M", 0.53, {.n_groups = 1, .groups = {{.n_layers = 30, .n_kv_head = 3, .head_dim = 64}}}},
	    {"Qwen2.5-0.5B", 0.54, {.n_groups = 1, .groups = {{.n_layers = 24, .n_kv_head = 2, .head_dim = 64}}}},
	    {"Qwen2.5-7B", 0.54, {.n_groups = 1, .groups = {{.n_layers = 28, .n_kv_head = 4, .head_dim = 128}}}},
	    {"Llama-3.1-8B", 0.575, {.n_groups = 1, .groups = {{.n_layers = 32, .n_kv_head = 8, .head_dim = 128}}}},
	    {"Phi-3-mini", 0.54, {.n_groups = 1, .groups = {{.n_layers = 32, .n_kv_head = 32, .head_dim = 96}}}},
	    {"Gemma-3-4B", 0.575, {.n_groups = 2, .groups = {{.n_layers = 5, .n_kv_head = 4, .head_dim = 256},
	                                              {.n_layers = 29, .n_kv_head = 4, .head_dim = 256, .window = 1024}}}},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		double pages[KV_TYPES] = {0};
		for (enum kv_type t = 0; t < KV_TYPES; t++) {
			kv_layout l = shapes[i].l;
			for (uint32_t g = 0; g < l.n_groups; g++)
				l.groups[g].type = t;
			if (kv_layout_plan(&l, NULL) == SN_OK)
				pages[t] = kv_layout_pages(&l, 1 << 15);
		}
		if (!(pages[KV_Q8_0] > 0 && pages[KV_Q8_0] <= shapes[i].most * pages[KV_F16] && pages[KV_FP8] == pages[KV_Q8_0] && pages[KV_BF16] == pages[KV_F16]))
			fail_msg("%s: %g pages in f16, %g in q8_0", shapes[i].name, pages[KV_F16], pages[KV_Q8_0]);
	}
}

static void a_pool_without_a_page_is_refused(void **state)
{
	(void)state;
	page_pool *pool = NULL;
	sn_error err = {0};
	assert_int_equal(page_pool_open(&pool, PAGE_BYTES - 1, &err), SN_ERR_INVALID);
	assert_null(pool);
	assert_non_null(strstr(err.text, "262143"));
	page_pool_close(&pool);
}

/* ---- single promises ---- */

static void an_extension_that_does_not_fit_takes_nothing(void **state)
{
	(void)state;
	page_pool *pool = pool_of(7);
	test_seq s;
	seq_open(&s, pool, two_groups(), 0);
	assert_int_equal(kv_seq_need(&s.kv, 8), 2 + 4);
	assert_true(kv_seq_extend(&s.kv, 8));
	assert_int_equal(kv_seq_exclusive(&s.kv), 6);
	assert_int_equal(kv_seq_need(&s.kv, 13), 2 + 2);
	assert_false(kv_seq_extend(&s.kv, 13));
	assert_int_equal(page_pool_available(pool), 1);
	assert_false(kv_seq_extend(&s.kv, MAX_ROWS + 1));
	assert_int_equal(kv_seq_need(&s.kv, 12), 1);
	assert_true(kv_seq_extend(&s.kv, 12));
	assert_int_equal(page_pool_available(pool), 0);
	kv_seq_release(&s.kv);
	assert_int_equal(page_pool_available(pool), 7);
	assert_int_equal(page_pool_cached(pool), 0);
	seq_close(&s);
	page_pool_close(&pool);
}

static void the_same_prefix_is_found_again(void **state)
{
	(void)state;
	page_pool *pool = pool_of(32);
	assert_int_equal(run_once(pool, one_group(), 0, "the cat sat on the mat"), 0);
	assert_int_equal(run_once(pool, one_group(), 0, "the cat sat on the mat"), 20);
	assert_int_equal(run_once(pool, one_group(), 0, "the cat sat on a wall"), 12);
	assert_int_equal(run_once(pool, one_group(), 0, "a cat sat on the mat"), 0);
	page_pool_close(&pool);
}

static void a_hit_is_what_every_group_can_serve(void **state)
{
	(void)state;
	page_pool *pool = pool_of(32);
	assert_int_equal(run_once(pool, two_groups(), 0, "abcdefghijklmnopqrstuvwx"), 0);
	assert_int_equal(run_once(pool, two_groups(), 0, "abcdefghijklmnopqrstuvwx"), 24);
	assert_int_equal(run_once(pool, two_groups(), 0, "abcdefghijklmnopqrstuv"), 12); /* 20 and 18: 12 is the next common end */
	page_pool_close(&pool);
}

static void a_hit_goes_no_further_than_asked(void **state)
{
	(void)state;
	page_pool *pool = pool_of(32);
	run_once(pool, one_group(), 0, "abcdefgh");
	test_seq s;
	seq_open(&s, pool, one_group(), 0);
	seq_tokens(&s, "abcdefgh");
	seq_match(&s, 7);
	assert_int_equal(s.n_computed, 4);
	seq_close(&s);
	page_pool_close(&pool);
}

static void different_roots_never_share(void **state)
{
	(void)state;
	page_pool *pool = pool_of(32);
	assert_int_equal(run_once(pool, one_group(), 0, "system prompt of a"), 0);
	assert_int_equal(run_once(pool, one_group(), 1, "system prompt of a"), 0);
	assert_int_equal(run_once(pool, one_group(), 0, "system prompt of a"), 16);
	assert_int_equal(run_once(pool, one_group(), 1, "system prompt of a"), 16);
	page_pool_close(&pool);
}

/* Two sequences that differ in one thing of one row. */
static uint32_t hit_after_a_change(void (*change)(test_seq *))
{
	page_pool *pool = pool_of(32);
	test_seq s[2];
	for (int i = 0; i < 2; i++) {
		seq_open(&s[i], pool, one_group(), 0);
		seq_tokens(&s[i], "abcdefghijkl");
		for (uint32_t r = 4; r < 8; r++)
			s[i].rows[r] = (seq_row){.id = 'm', .media = 0, .media_row = r - 4, .position = r, .span_end = 0};
		memset(s[i].media[0].b, 1, sizeof s[i].media[0].b);
		if (i)
			change(&s[i]);
		digest_from(&s[i], 0);
		seq_match(&s[i], 12);
		if (i == 0)
			seq_compute(&s[i], 12);
	}
	uint32_t hit = s[1].n_computed;
	seq_close(&s[0]);
	seq_close(&s[1]);
	page_pool_close(&pool);
	return hit;
}

static void change_nothing(test_seq *s) { (void)s; }
static void change_media(test_seq *s) { s->media[0].b[0] = 2; }
static void change_media_row(test_seq *s) { s->rows[5].media_row = 9; }
static void change_position(test_seq *s) { s->rows[5].position = 9; }
static void change_visibility(test_seq *s) { s->rows[4].span_end = s->rows[5].span_end = s->rows[6].span_end = s->rows[7].span_end = 8; }
static void change_to_tokens(test_seq *s) { s->rows[5].media = -1; }
static void change_summand(test_seq *s) { s->rows[9].with = 5; }
static void change_codes(test_seq *s) { s->rows[9].frame = 77; }
static void change_placeholder(test_seq *s) { s->rows[5].id = 'x'; }

static void a_hit_needs_the_same_media_positions_summands_and_visibility(void **state)
{
	(void)state;
	assert_int_equal(hit_after_a_change(change_nothing), 12);
	assert_int_equal(hit_after_a_change(change_placeholder), 12); /* the picture counts, not the token that stands for it */
	assert_int_equal(hit_after_a_change(change_media), 4);
	assert_int_equal(hit_after_a_change(change_media_row), 4);
	assert_int_equal(hit_after_a_change(change_position), 4);
	assert_int_equal(hit_after_a_change(change_visibility), 4);
	assert_int_equal(hit_after_a_change(change_to_tokens), 4);
	assert_int_equal(hit_after_a_change(change_summand), 8);
	assert_int_equal(hit_after_a_change(change_codes), 8);
}

static void a_hit_does_not_end_inside_a_span(void **state)
{
	(void)state;
	page_pool *pool = pool_of(32);
	for (uint32_t begin = 0; begin < 12; begin++)
		for (uint32_t end = begin + 1; end <= 12; end++) {
			test_seq s[2];
			for (int i = 0; i < 2; i++) {
				seq_open(&s[i], pool, one_group(), 0);
				seq_tokens(&s[i], "abcdefghijkl");
				for (uint32_t r = begin; r < end; r++)
					s[i].rows[r].span_end = end;
				digest_from(&s[i], 0);
				seq_match(&s[i], i ? 11 : 12);
				if (i == 0)
					seq_compute(&s[i], 12);
			}
			assert_int_equal(s[1].n_computed, end <= 8 || begin >= 8 ? 8 : begin / 4 * 4);
			seq_close(&s[0]);
			seq_close(&s[1]);
		}
	page_pool_close(&pool);
}

static void the_least_recently_used_prefix_goes_first(void **state)
{
	(void)state;
	page_pool *pool = pool_of(8);
	run_once(pool, one_group(), 0, "aaaabbbbcccc");
	run_once(pool, one_group(), 0, "ddddeeeeffff");
	assert_int_equal(page_pool_cached(pool), 6);
	assert_int_equal(run_once(pool, one_group(), 0, "aaaa"), 4); /* used again: now the younger one */
	run_once(pool, one_group(), 0, "xxxxyyyyzzzz");           /* takes 2 free pages and evicts the oldest */
	assert_int_equal(page_pool_cached(pool), 8);
	test_seq s;
	seq_open(&s, pool, one_group(), 0);
	seq_tokens(&s, "aaaa");
	seq_match(&s, 4);
	assert_int_equal(s.n_computed, 4);
	seq_close(&s);
	page_pool_close(&pool);
}

static void a_prefix_loses_its_end_before_its_beginning(void **state)
{
	(void)state;
	page_pool *pool = pool_of(8);
	run_once(pool, one_group(), 0, "aaaabbbbccccddddeeeeffff");
	run_once(pool, one_group(), 0, "xxxxyyyyzzzz"); /* 2 free pages and one evicted */
	assert_int_equal(run_once(pool, one_group(), 0, "aaaabbbbccccddddeeee"), 20);
	page_pool_close(&pool);
}

static void a_fork_shares_full_blocks_and_writes_its_own(void **state)
{
	(void)state;
	page_pool *pool = pool_of(8);
	test_seq a, b;
	seq_open(&a, pool, one_group(), 0);
	seq_tokens(&a, "abcdefghij");
	seq_compute(&a, 10);
	b = a;
	assert_int_equal(kv_seq_init(&b.kv, pool, one_group(), MAX_ROWS, &KEY, &ROOTS[0], NULL), SN_OK);
	assert_int_equal(kv_seq_fork(&b.kv, &a.kv, 10), 8);
	assert_int_equal(page_pool_available(pool), 5);
	assert_int_equal(kv_seq_exclusive(&a.kv), 1);
	assert_int_equal(kv_seq_exclusive(&b.kv), 0);
	b.n_computed = b.n_known = 8;
	seq_tokens(&b, "XYZ!");
	seq_compute(&b, 12);
	seq_check_stamps(&a);
	assert_int_equal(page_pool_available(pool), 4);
	seq_close(&a);
	seq_check_stamps(&b);
	assert_int_equal(kv_seq_exclusive(&b.kv), 3);
	seq_close(&b);
	assert_int_equal(page_pool_available(pool), 8);
	page_pool_close(&pool);
}

static void both_sides_of_a_fork_go_on_being_cached(void **state)
{
	(void)state;
	page_pool *pool = pool_of(16);
	test_seq a, b;
	seq_open(&a, pool, one_group(), 0);
	seq_tokens(&a, "abcdefgh");
	assert_true(kv_seq_extend(&a.kv, 8)); /* computed, not yet committed, forked */
	seq_write(&a, 0, 8);
	a.n_computed = 8;
	b = a;
	assert_int_equal(kv_seq_init(&b.kv, pool, one_group(), MAX_ROWS, &KEY, &ROOTS[0], NULL), SN_OK);
	assert_int_equal(kv_seq_fork(&b.kv, &a.kv, 8), 8);
	seq_tokens(&a, "AAAA");
	seq_tokens(&b, "BBBB");
	seq_compute(&a, 12);
	seq_compute(&b, 12);
	seq_close(&a);
	seq_close(&b);
	assert_true(page_pool_consistent(pool));
	assert_int_equal(run_once(pool, one_group(), 0, "abcdefghAAAA"), 12);
	assert_int_equal(run_once(pool, one_group(), 0, "abcdefghBBBB"), 12);
	page_pool_close(&pool);
}

static void truncating_never_writes_what_others_may_read(void **state)
{
	(void)state;
	page_pool *pool = pool_of(16);
	test_seq s;
	seq_open(&s, pool, one_group(), 0);
	seq_tokens(&s, "abcdefghij");
	seq_compute(&s, 10);
	assert_int_equal(kv_seq_truncate(&s.kv, 9), 9);   /* own, unhashed tail: kept */
	assert_int_equal(kv_seq_truncate(&s.kv, 8), 8);
	assert_int_equal(kv_seq_truncate(&s.kv, 6), 4);   /* hashed block: given up whole */
	assert_int_equal(kv_seq_truncate(&s.kv, 4), 4);
	assert_int_equal(kv_seq_truncate(&s.kv, 60), 60); /* nothing to drop */
	assert_int_equal(s.kv.group[0].n_blocks, 1);
	assert_int_equal(kv_seq_truncate(&s.kv, 0), 0);
	assert_int_equal(page_pool_available(pool), 16);
	assert_int_equal(run_once(pool, one_group(), 0, "abcdefgh"), 8);
	seq_close(&s);
	page_pool_close(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(qwens_blocks_fill_their_pages),
	    cmocka_unit_test(every_layer_of_a_layout_has_room),
	    cmocka_unit_test(bytes_take_half_the_pages),
	    cmocka_unit_test(a_pool_without_a_page_is_refused),
	    cmocka_unit_test(an_extension_that_does_not_fit_takes_nothing),
	    cmocka_unit_test(the_same_prefix_is_found_again),
	    cmocka_unit_test(a_hit_is_what_every_group_can_serve),
	    cmocka_unit_test(a_hit_goes_no_further_than_asked),
	    cmocka_unit_test(different_roots_never_share),
	    cmocka_unit_test(a_hit_needs_the_same_media_positions_summands_and_visibility),
	    cmocka_unit_test(a_hit_does_not_end_inside_a_span),
	    cmocka_unit_test(the_least_recently_used_prefix_goes_first),
	    cmocka_unit_test(a_prefix_loses_its_end_before_its_beginning),
	    cmocka_unit_test(a_fork_shares_full_blocks_and_writes_its_own),
	    cmocka_unit_test(both_sides_of_a_fork_go_on_being_cached),
	    cmocka_unit_test(truncating_never_writes_what_others_may_read),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
