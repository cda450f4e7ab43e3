/* test_pages_model.c - the page pool's accounting and its hits against a model of it, over 100,000s of random steps. */
#include "pages_kit.h"

enum { N_SEQS = 8 };

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
	    cmocka_unit_test(the_pool_equals_its_model_with_one_group),
	    cmocka_unit_test(the_pool_equals_its_model_with_two_groups),
	    cmocka_unit_test(groups_of_one_block_size_are_told_apart),
	    cmocka_unit_test(the_pool_equals_its_model_with_a_window),
	    cmocka_unit_test(the_pool_equals_its_model_with_two_windows),
	    cmocka_unit_test(the_pool_equals_its_model_with_windows_alone),
	    cmocka_unit_test(the_pool_equals_its_model_in_two_parts),
	    cmocka_unit_test(the_pool_equals_its_model_in_four_parts),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
