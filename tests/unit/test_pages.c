/* test_pages.c - promises of the page pool: accounting against a model of it, exact prefix hits, nothing shared is written.
 *
 * Every computed row leaves a stamp in its pages, made from all that its KV would depend on: root, group, every row before
 * it, and its whole both-ways span. Whoever holds a row must find its own stamp there, whatever others did meanwhile.
 * Built a second time with SN_TEST_COLLIDE, where block hashes collide all the time. */
#include "unit.h"

#include "engine/pages.h"

enum { N_SEQS = 8, MAX_ROWS = 72, N_MEDIA = 4, N_ROOTS = 3 };

static hash_key KEY;
static hash256 ROOTS[N_ROOTS];

static int setup(void **state)
{
	(void)state;
	memset(KEY.b, 7, sizeof KEY.b);
	for (int i = 0; i < N_ROOTS; i++)
		memset(ROOTS[i].b, i + 1, sizeof ROOTS[i].b);
	return 0;
}

/* Small blocks, so that small sequences have many of them. */
static kv_group small_group(uint32_t block_tokens, uint32_t n_slabs)
{
	return (kv_group){.n_layers = n_slabs, .n_kv_head = 1, .head_dim = 8, .block_tokens = block_tokens, .slab_layers = 1, .n_slabs = n_slabs};
}

static const kv_layout *one_group(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 1, .groups = {small_group(4, 1)}};
	return &l;
}

static const kv_layout *two_groups(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), small_group(6, 2)}};
	return &l;
}

static const kv_layout *two_groups_alike(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), small_group(4, 2)}};
	return &l;
}

static kv_group window_group(uint32_t block_tokens, uint32_t n_slabs, uint32_t window)
{
	kv_group g = small_group(block_tokens, n_slabs);
	g.window = window;
	return g;
}

/* A full group and one that sees 8 rows, whose blocks meet every 12 rows. */
static const kv_layout *with_a_window(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), window_group(6, 2, 8)}};
	return &l;
}

/* The anchor's blocks are larger than those that it proves, and it is not the first. */
static const kv_layout *with_two_windows(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 3, .groups = {window_group(4, 1, 5), small_group(8, 1), window_group(2, 1, 13)}, .max_chunk = 16};
	return &l;
}

static const kv_layout *windows_alone(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 1, .groups = {window_group(4, 1, 10)}, .max_chunk = 16};
	return &l;
}

static kv_group part_group(uint32_t block_tokens, uint32_t n_slabs, uint32_t base, uint32_t limit)
{
	kv_group g = small_group(block_tokens, n_slabs);
	g.base = base;
	g.limit = limit;
	return g;
}

/* An encoder-decoder's: the first 10 rows in one group, the others in another. */
static const kv_layout *in_two_parts(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {part_group(6, 2, 10, 0), part_group(4, 1, 0, 10)}, .max_chunk = 16};
	return &l;
}

/* Two groups that end at row 13 and two that begin there, one of them with a window. */
static const kv_layout *in_four_parts(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 4, .groups = {part_group(4, 1, 0, 13), window_group(2, 1, 5), part_group(4, 2, 13, 0), part_group(6, 1, 0, 13)},
	                .max_chunk = 16};
	l.groups[1].base = 13;
	return &l;
}

/* ---- sequences as the engine would drive them ---- */

typedef struct test_seq {
	bool open;
	kv_seq kv;
	uint32_t root;
	seq_row rows[MAX_ROWS];
	hash256 media[N_MEDIA];
	uint64_t prefix[MAX_ROWS + 1]; /* digest of the root and the rows before */
	uint32_t n_known, n_computed;
} test_seq;

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 29;
}

static void digest_from(test_seq *s, uint32_t at)
{
	if (at == 0)
		s->prefix[0] = mix(99, s->root);
	for (uint32_t r = at; r < s->n_known; r++) {
		const seq_row *w = &s->rows[r];
		uint64_t h = mix(mix(s->prefix[r], w->position), w->span_end);
		s->prefix[r + 1] = w->media < 0 ? mix(h, (uint32_t)w->id) : mix(mix(h, s->media[w->media].b[0] + 1000u), w->media_row);
	}
}

static uint64_t stamp_of(const test_seq *s, uint32_t group, uint32_t slab, uint32_t r)
{
	uint32_t sees = s->rows[r].span_end > r + 1 ? s->rows[r].span_end : r + 1;
	return mix(mix(mix(s->prefix[sees], r), group), slab);
}

static bool holds(const test_seq *s, uint32_t group, uint32_t r)
{
	const kv_group *g = &s->kv.layout->groups[group];
	return r >= g->base && (!g->limit || r - g->base < g->limit);
}

/* The group's rows among the first n. */
static uint32_t rows_in(const test_seq *s, uint32_t group, uint32_t n)
{
	uint32_t in = 0;
	for (uint32_t r = 0; r < n; r++)
		in += holds(s, group, r);
	return in;
}

static uint64_t *place_of(const test_seq *s, uint32_t group, uint32_t slab, uint32_t r)
{
	uint32_t t = s->kv.layout->groups[group].block_tokens;
	r -= s->kv.layout->groups[group].base;
	uint32_t page = s->kv.group[group].pages[slab * s->kv.group[group].max_blocks + r / t];
	assert_int_not_equal(page, KV_NO_PAGE);
	return (uint64_t *)(void *)(page_pool_arena(s->kv.pool) + (size_t)page * PAGE_BYTES) + r % t;
}

static void seq_open(test_seq *s, page_pool *pool, const kv_layout *layout, uint32_t root)
{
	memset(s, 0, sizeof *s);
	s->open = true;
	s->root = root;
	assert_int_equal(kv_seq_init(&s->kv, pool, layout, MAX_ROWS, &KEY, &ROOTS[root], NULL), SN_OK);
	digest_from(s, 0);
}

static void seq_close(test_seq *s)
{
	if (s->open)
		kv_seq_fini(&s->kv);
	s->open = false;
}

static void seq_write(const test_seq *s, uint32_t begin, uint32_t end)
{
	for (uint32_t g = 0; g < s->kv.layout->n_groups; g++)
		for (uint32_t slab = 0; slab < s->kv.layout->groups[g].n_slabs; slab++)
			for (uint32_t r = begin; r < end; r++)
				if (holds(s, g, r))
					*place_of(s, g, slab, r) = stamp_of(s, g, slab, r);
}

static uint32_t first_live_row(const test_seq *s, uint32_t g)
{
	return s->kv.layout->groups[g].base + s->kv.group[g].first * s->kv.layout->groups[g].block_tokens;
}

/* All that is held is the sequence's own, and all that its next row sees is held. */
static void seq_check_stamps(const test_seq *s)
{
	for (uint32_t g = 0; g < s->kv.layout->n_groups; g++) {
		uint32_t window = s->kv.layout->groups[g].window, base = s->kv.layout->groups[g].base, n = rows_in(s, g, s->n_computed);
		assert_true(first_live_row(s, g) <= base + (window && n + 1 > window ? n + 1 - window : 0));
		for (uint32_t at = 0; at < s->kv.group[g].first; at++)
			for (uint32_t slab = 0; slab < s->kv.layout->groups[g].n_slabs; slab++)
				assert_int_equal(s->kv.group[g].pages[slab * s->kv.group[g].max_blocks + at], KV_NO_PAGE);
		for (uint32_t slab = 0; slab < s->kv.layout->groups[g].n_slabs; slab++)
			for (uint32_t r = first_live_row(s, g); r < s->n_computed; r++)
				if (holds(s, g, r) && *place_of(s, g, slab, r) != stamp_of(s, g, slab, r))
					fail_msg("group %u slab %u: row %u of %u is not what its sequence computed", g, slab, r, s->n_computed);
	}
}

static void seq_match(test_seq *s, uint32_t max_hit)
{
	uint32_t hit = kv_seq_match(&s->kv, s->rows, s->media, max_hit);
	assert_true(hit <= max_hit);
	for (uint32_t g = 0; g < s->kv.layout->n_groups; g++) {
		assert_int_equal(hit % s->kv.layout->groups[g].block_tokens, 0);
		assert_int_equal(s->kv.group[g].n_blocks, hit / s->kv.layout->groups[g].block_tokens);
	}
	assert_true(hit == 0 || s->rows[hit - 1].span_end <= hit); /* a span is not cut */
	s->n_computed = hit;
	seq_check_stamps(s);
}

/* Tokens from a list; the rest of the row follows. */
static void seq_tokens(test_seq *s, const char *text)
{
	for (; *text; text++) {
		s->rows[s->n_known] = (seq_row){.id = *text, .media = -1, .position = s->n_known};
		s->n_known++;
	}
	digest_from(s, 0);
}

static void seq_compute(test_seq *s, uint32_t end)
{
	assert_true(kv_seq_extend(&s->kv, end));
	seq_write(s, s->n_computed, end);
	s->n_computed = end;
	kv_seq_commit(&s->kv, s->rows, s->media, end);
	kv_seq_slide(&s->kv, end);
	seq_check_stamps(s);
}

/* One request from beginning to end; returns how many rows the cache gave. */
static uint32_t run_once(page_pool *pool, const kv_layout *layout, uint32_t root, const char *text)
{
	test_seq s;
	seq_open(&s, pool, layout, root);
	seq_tokens(&s, text);
	seq_match(&s, s.n_known);
	uint32_t hit = s.n_computed;
	seq_compute(&s, s.n_known);
	seq_close(&s);
	assert_true(page_pool_consistent(pool));
	return hit;
}

static page_pool *pool_of(uint32_t n_pages)
{
	page_pool *pool = NULL;
	assert_int_equal(page_pool_open(&pool, (size_t)n_pages * PAGE_BYTES + 17, NULL), SN_OK);
	assert_int_equal(page_pool_total(pool), n_pages);
	assert_int_equal(page_pool_available(pool), n_pages);
	return pool;
}

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
		                                          .head_dim = 2 * rng_between(&r, 1, 256), .type = rng_below(&r, 2) ? KV_F16 : KV_F32}}};
		sn_error err = {0};
		const kv_group *g = &l.groups[0];
		uint64_t smallest = 2ull * g->n_kv_head * g->head_dim * (g->type == KV_F16 ? 2 : 4) * KV_MIN_BLOCK;
		if (kv_layout_plan(&l, &err) != SN_OK) {
			assert_true(smallest > PAGE_BYTES);
			assert_non_null(strstr(err.text, "larger than a page"));
			continue;
		}
		assert_true(smallest <= PAGE_BYTES);
		assert_true((uint64_t)g->slab_layers * g->layer_bytes <= PAGE_BYTES);
		assert_true(g->slab_layers * g->n_slabs >= g->n_layers && g->slab_layers * (g->n_slabs - 1) < g->n_layers);
		assert_in_range(g->block_tokens, KV_MIN_BLOCK, KV_MAX_BLOCK);
		assert_int_equal(g->layer_bytes, 2 * g->n_kv_head * g->head_bytes);
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
static void change_placeholder(test_seq *s) { s->rows[5].id = 'x'; }

static void a_hit_needs_the_same_media_positions_and_visibility(void **state)
{
	(void)state;
	assert_int_equal(hit_after_a_change(change_nothing), 12);
	assert_int_equal(hit_after_a_change(change_placeholder), 12); /* the picture counts, not the token that stands for it */
	assert_int_equal(hit_after_a_change(change_media), 4);
	assert_int_equal(hit_after_a_change(change_media_row), 4);
	assert_int_equal(hit_after_a_change(change_position), 4);
	assert_int_equal(hit_after_a_change(change_visibility), 4);
	assert_int_equal(hit_after_a_change(change_to_tokens), 4);
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

/* ---- windows ---- */

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

/* ---- the model of the pool: 100,000 random steps ---- */

struct world {
	page_pool *pool;
	const kv_layout *layout;
	test_seq seqs[N_SEQS];
	rng r;
	uint32_t holders[64]; /* sequences that hold the page */
	uint64_t hits, forks, refusals, truncations, cut_blocks, slid, lost_windows;
};

/* Prompts come in few families, so that prefixes meet: row i of family f depends on the families that branched off by i. */
static void draw_row(struct world *w, test_seq *s, uint32_t family)
{
	uint32_t i = s->n_known, branch = i / 10, kind = (branch * 7 + (family >> (branch < 3 ? branch : 3) & 1)) % 5;
	seq_row row = {.id = (int32_t)(kind + i % 3), .media = -1, .position = i};
	if (i % 10 == 3 && kind >= 3 && i + 5 <= MAX_ROWS) { /* a picture of 5 rows, of a family's own; every other one sees both ways */
		for (uint32_t k = 0; k < 5; k++)
			s->rows[s->n_known++] = (seq_row){.id = 77, .media = (int32_t)(kind - 3), .media_row = k, .position = i,
			                                  .span_end = branch % 2 ? i + 5 : 0};
		return;
	}
	if (rng_below(&w->r, 150) == 0)
		row.id += 100; /* leaves its family */
	s->rows[s->n_known++] = row;
}

static void draw_rows(struct world *w, test_seq *s, uint32_t n)
{
	uint32_t family = rng_below(&w->r, 8), from = s->n_known;
	while (s->n_known < n)
		draw_row(w, s, family);
	digest_from(s, from);
}

/* A length up to n that does not cut a span. */
static uint32_t whole(const test_seq *s, uint32_t n)
{
	while (n && s->rows[n - 1].span_end > n)
		n--;
	return n;
}

static bool row_equal(const test_seq *a, const test_seq *b, uint32_t r)
{
	return a->prefix[r + 1] == b->prefix[r + 1];
}

/* Rows from the first on in which two sequences agree, as far as o has computed them. */
static uint32_t rows_alike(const test_seq *s, const test_seq *o)
{
	uint32_t n = 0;
	while (o->root == s->root && n < o->n_computed && n < s->n_known && row_equal(o, s, n))
		n++;
	return n;
}

/* A live sequence holds block `at` of the group, hashed, and agrees with s in all that the block's identity hangs on. */
static bool someone_has(const struct world *w, const test_seq *s, uint32_t g, uint32_t at)
{
	uint32_t ends = (at + 1) * w->layout->groups[g].block_tokens;
	bool anchored = false;
	for (uint32_t a = 0; w->layout->groups[g].window && a < w->layout->n_groups; a++)
		if (!w->layout->groups[a].window) {
			uint32_t t = w->layout->groups[a].block_tokens;
			ends = (ends + t - 1) / t * t;
			anchored = true;
			break;
		}
	for (int i = 0; i < N_SEQS; i++) {
		const test_seq *o = &w->seqs[i];
		uint32_t first = anchored ? o->kv.group[g].first : o->kv.group[g].first ? UINT32_MAX : 0; /* its own chain: from the root on */
		if (o != s && o->open && at >= first && at < o->kv.group[g].n_hashed && rows_alike(s, o) >= ends)
			return true;
	}
	return false;
}

/* What live sequences have hashed must be found by another with the same rows. */
static uint32_t must_hit(const struct world *w, const test_seq *s, uint32_t max_hit)
{
	const kv_layout *l = w->layout;
	bool anchored = false;
	if (kv_layout_is_split(l))
		return 0;
	for (uint32_t g = 0; g < l->n_groups; g++)
		anchored |= l->groups[g].window == 0;
	for (uint32_t hit = max_hit; hit; hit--) {
		bool found = whole(s, hit) == hit;
		for (uint32_t g = 0; g < l->n_groups && found; g++) {
			uint32_t t = l->groups[g].block_tokens, window = anchored ? l->groups[g].window : 0;
			found &= hit % t == 0;
			for (uint32_t at = window && hit > window ? (hit - window) / t : 0; at < hit / t && found; at++)
				found = someone_has(w, s, g, at);
		}
		if (found)
			return hit;
	}
	return 0;
}

static void op_start(struct world *w, test_seq *s)
{
	seq_open(s, w->pool, w->layout, rng_below(&w->r, 4) ? 0 : rng_below(&w->r, N_ROOTS));
	for (int m = 0; m < N_MEDIA; m++)
		memset(s->media[m].b, (rng_below(&w->r, 4) == 0) + 1 + 2 * m, sizeof s->media[m].b);
	draw_rows(w, s, rng_between(&w->r, 1, 48));
	uint32_t max_hit = rng_below(&w->r, 4) ? s->n_known - 1 : rng_below(&w->r, s->n_known + 1), must = must_hit(w, s, max_hit);
	seq_match(s, max_hit);
	assert_true(s->n_computed >= must);
	w->hits += s->n_computed;
}

static void op_append(struct world *w, test_seq *s)
{
	if (s->n_computed == s->n_known && s->n_known < MAX_ROWS - 6)
		draw_rows(w, s, s->n_known + rng_between(&w->r, 1, 4));
	uint32_t end = s->n_computed + rng_between(&w->r, 1, 16);
	end = whole(s, end < s->n_known ? end : s->n_known);
	if (end <= s->n_computed && end < s->n_known)
		end = s->rows[s->n_computed].span_end; /* a span at the front goes whole */
	uint32_t need = kv_seq_need(&s->kv, end), available = page_pool_available(w->pool);
	bool fits = need <= available;
	assert_int_equal(kv_seq_extend(&s->kv, end), fits);
	if (!fits) {
		assert_int_equal(page_pool_available(w->pool), available);
		assert_int_equal(kv_seq_need(&s->kv, end), need);
		w->refusals++;
		return;
	}
	assert_int_equal(kv_seq_need(&s->kv, end), 0);
	assert_int_equal(page_pool_available(w->pool), available - need);
	for (uint32_t g = 0; g < w->layout->n_groups; g++) /* what is written now belongs to this sequence alone */
		for (uint32_t slab = 0; slab < w->layout->groups[g].n_slabs; slab++)
			for (uint32_t r = s->n_computed; r < end; r++) {
				if (!holds(s, g, r))
					continue;
				size_t page = (size_t)((uint8_t *)place_of(s, g, slab, r) - page_pool_arena(w->pool)) / PAGE_BYTES;
				for (int i = 0; i < N_SEQS; i++)
					for (uint32_t k = 0; &w->seqs[i] != s && w->seqs[i].open && k < w->seqs[i].kv.group[g].n_blocks; k++)
						assert_int_not_equal(w->seqs[i].kv.group[g].pages[slab * w->seqs[i].kv.group[g].max_blocks + k], page);
			}
	if (w->layout->max_chunk) {
		uint32_t held = 0;
		for (uint32_t g = 0; g < w->layout->n_groups; g++)
			held += (s->kv.group[g].n_blocks - s->kv.group[g].first) * w->layout->groups[g].n_slabs;
		assert_true(held <= kv_layout_pages(w->layout, end));
	}
	seq_write(s, s->n_computed, end);
	s->n_computed = end;
	if (rng_below(&w->r, 8))
		kv_seq_commit(&s->kv, s->rows, s->media, end);
	if (w->layout->max_chunk || rng_below(&w->r, 4)) {
		uint32_t cached = page_pool_available(w->pool);
		kv_seq_slide(&s->kv, end);
		w->slid += page_pool_available(w->pool) - cached;
	}
}

static void op_fork(struct world *w, const test_seq *src)
{
	test_seq *dst = NULL;
	for (int i = 0; i < N_SEQS && !dst; i++)
		dst = w->seqs[i].open ? NULL : &w->seqs[i];
	if (!dst)
		return;
	uint32_t n = whole(src, rng_below(&w->r, src->n_computed + 1)), available = page_pool_available(w->pool);
	*dst = *src;
	assert_int_equal(kv_seq_init(&dst->kv, w->pool, w->layout, MAX_ROWS, &KEY, &ROOTS[src->root], NULL), SN_OK);
	uint32_t kept = kv_seq_fork(&dst->kv, &src->kv, n);
	assert_true(kept <= n);
	assert_int_equal(page_pool_available(w->pool), available);
	dst->n_computed = kept;
	dst->n_known = n > kept ? n : kept;
	draw_rows(w, dst, dst->n_known + rng_between(&w->r, 1, 4) < MAX_ROWS - 6 ? dst->n_known + rng_between(&w->r, 1, 4) : dst->n_known);
	w->forks++;
}

static void op_truncate(struct world *w, test_seq *s)
{
	uint32_t n = whole(s, rng_below(&w->r, s->n_computed + 1)), kept = kv_seq_truncate(&s->kv, n);
	assert_true(kept <= n);
	w->cut_blocks += kept < n;
	w->lost_windows += kept == 0 && n > 24;
	w->truncations++;
	s->n_computed = kept;
	s->n_known = n;
	draw_rows(w, s, n + (n < MAX_ROWS - 10 ? rng_between(&w->r, n == 0, 4) : 0)); /* other rows from here on */
	if (s->n_known == 0)
		seq_close(s);
}

static void op_preempt(struct world *w, test_seq *s)
{
	uint32_t given = kv_seq_exclusive(&s->kv), available = page_pool_available(w->pool);
	kv_seq_release(&s->kv);
	assert_int_equal(page_pool_available(w->pool), available + given);
	s->n_computed = 0;
	if (rng_below(&w->r, 2)) {
		uint32_t must = must_hit(w, s, s->n_known - 1);
		seq_match(s, s->n_known - 1);
		assert_true(s->n_computed >= must);
		w->hits += s->n_computed;
	}
}

/* The pool's books against a count over the tables. */
static void check_books(struct world *w, bool stamps)
{
	uint32_t held = 0, total = page_pool_total(w->pool), exclusive[N_SEQS] = {0};
	memset(w->holders, 0, sizeof w->holders);
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < N_SEQS; i++)
			for (uint32_t g = 0; w->seqs[i].open && g < w->layout->n_groups; g++)
				for (uint32_t slab = 0; slab < w->layout->groups[g].n_slabs; slab++)
					for (uint32_t b = w->seqs[i].kv.group[g].first; b < w->seqs[i].kv.group[g].n_blocks; b++) {
						uint32_t page = w->seqs[i].kv.group[g].pages[slab * w->seqs[i].kv.group[g].max_blocks + b];
						assert_true(page < total);
						if (pass == 0)
							held += w->holders[page]++ == 0;
						else
							exclusive[i] += w->holders[page] == 1;
					}
	assert_int_equal(page_pool_available(w->pool), total - held);
	assert_true(page_pool_cached(w->pool) <= page_pool_available(w->pool));
	assert_true(page_pool_consistent(w->pool));
	for (int i = 0; i < N_SEQS; i++)
		if (w->seqs[i].open) {
			assert_int_equal(kv_seq_exclusive(&w->seqs[i].kv), exclusive[i]);
			if (stamps)
				seq_check_stamps(&w->seqs[i]);
		}
}

static void random_life(const kv_layout *layout, uint32_t n_pages, uint64_t seed, uint32_t n_steps)
{
	struct world *w = calloc(1, sizeof *w);
	w->pool = pool_of(n_pages);
	w->layout = layout;
	w->r.s = seed;
	for (uint32_t step = 0; step < n_steps; step++) {
		test_seq *s = &w->seqs[rng_below(&w->r, N_SEQS)];
		uint32_t op = rng_below(&w->r, 16);
		if (!s->open)
			op_start(w, s);
		else if (op < 9)
			op_append(w, s);
		else if (op < 11)
			op_fork(w, s);
		else if (op < 13)
			op_truncate(w, s);
		else if (op < 15)
			op_preempt(w, s);
		else
			seq_close(s);
		if (s->open)
			seq_check_stamps(s);
		check_books(w, step % 16 == 0);
	}
	for (int i = 0; i < N_SEQS; i++)
		seq_close(&w->seqs[i]);
	assert_int_equal(page_pool_available(w->pool), page_pool_total(w->pool));
	assert_true(page_pool_consistent(w->pool));
	/* The walk went where it was meant to go. */
	assert_true(w->forks > n_steps / 100 && w->refusals > n_steps / 100 && w->truncations > n_steps / 100 && w->cut_blocks > n_steps / 1000);
	assert_true(kv_layout_is_split(layout) ? w->hits == 0 && page_pool_cached(w->pool) == 0 : w->hits > n_steps / 50);
	bool windows = false;
	for (uint32_t g = 0; g < layout->n_groups; g++)
		windows |= layout->groups[g].window != 0;
	assert_int_equal(windows, w->slid > n_steps / 100 && w->lost_windows > 10);
	page_pool_close(&w->pool);
	free(w);
}

static void the_pool_equals_its_model_with_one_group(void **state)
{
	(void)state;
	random_life(one_group(), 32, 43, 50000);
}

static void the_pool_equals_its_model_with_two_groups(void **state)
{
	(void)state;
	random_life(two_groups(), 60, 44, 50000);
}

static void groups_of_one_block_size_are_told_apart(void **state)
{
	(void)state;
	random_life(two_groups_alike(), 60, 45, 20000);
}

static void the_pool_equals_its_model_with_a_window(void **state)
{
	(void)state;
	random_life(with_a_window(), 60, 46, 60000);
}

static void the_pool_equals_its_model_with_two_windows(void **state)
{
	(void)state;
	random_life(with_two_windows(), 60, 47, 40000);
}

static void the_pool_equals_its_model_with_windows_alone(void **state)
{
	(void)state;
	random_life(windows_alone(), 20, 48, 30000);
}

static void the_pool_equals_its_model_in_two_parts(void **state)
{
	(void)state;
	random_life(in_two_parts(), 40, 49, 50000);
}

static void the_pool_equals_its_model_in_four_parts(void **state)
{
	(void)state;
	random_life(in_four_parts(), 60, 50, 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(qwens_blocks_fill_their_pages),
	    cmocka_unit_test(every_layer_of_a_layout_has_room),
	    cmocka_unit_test(a_pool_without_a_page_is_refused),
	    cmocka_unit_test(an_extension_that_does_not_fit_takes_nothing),
	    cmocka_unit_test(the_same_prefix_is_found_again),
	    cmocka_unit_test(a_hit_is_what_every_group_can_serve),
	    cmocka_unit_test(a_hit_goes_no_further_than_asked),
	    cmocka_unit_test(different_roots_never_share),
	    cmocka_unit_test(a_hit_needs_the_same_media_positions_and_visibility),
	    cmocka_unit_test(a_hit_does_not_end_inside_a_span),
	    cmocka_unit_test(the_least_recently_used_prefix_goes_first),
	    cmocka_unit_test(a_prefix_loses_its_end_before_its_beginning),
	    cmocka_unit_test(a_fork_shares_full_blocks_and_writes_its_own),
	    cmocka_unit_test(both_sides_of_a_fork_go_on_being_cached),
	    cmocka_unit_test(truncating_never_writes_what_others_may_read),
	    cmocka_unit_test(the_pool_equals_its_model_with_one_group),
	    cmocka_unit_test(the_pool_equals_its_model_with_two_groups),
	    cmocka_unit_test(groups_of_one_block_size_are_told_apart),
	    cmocka_unit_test(what_fell_out_of_the_window_is_given_back),
	    cmocka_unit_test(a_hit_needs_only_the_last_rows_of_a_window),
	    cmocka_unit_test(a_window_is_found_only_behind_its_own_prefix),
	    cmocka_unit_test(a_fork_takes_its_window_along),
	    cmocka_unit_test(truncating_behind_the_window_begins_anew),
	    cmocka_unit_test(admission_knows_the_most_that_a_sequence_holds),
	    cmocka_unit_test(windows_save_most_of_the_pages),
	    cmocka_unit_test(the_pool_equals_its_model_with_a_window),
	    cmocka_unit_test(the_pool_equals_its_model_with_two_windows),
	    cmocka_unit_test(the_pool_equals_its_model_with_windows_alone),
	    cmocka_unit_test(a_group_with_a_limit_is_shared_when_it_is_full),
	    cmocka_unit_test(truncating_a_part_writes_nothing_that_a_fork_reads),
	    cmocka_unit_test(the_blocks_of_a_limited_group_fit_it),
	    cmocka_unit_test(the_pool_equals_its_model_in_two_parts),
	    cmocka_unit_test(the_pool_equals_its_model_in_four_parts),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
