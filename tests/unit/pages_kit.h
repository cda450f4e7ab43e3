/* pages_kit.h - layouts, and sequences as the engine would drive them, for the tests of the page pool.
 *
 * Every computed row leaves a stamp in its pages, made from all that its KV would depend on: root, group, every row before
 * it, and its whole both-ways span. Whoever holds a row must find its own stamp there, whatever others did meanwhile. */
#ifndef SN_TESTS_PAGES_KIT_H
#define SN_TESTS_PAGES_KIT_H

#include "unit.h"

#include "engine/pages.h"

enum { MAX_ROWS = 72, N_MEDIA = 4, N_ROOTS = 3 };

static hash_key KEY;
static hash256 ROOTS[N_ROOTS];

static inline int setup(void **state)
{
	(void)state;
	memset(KEY.b, 7, sizeof KEY.b);
	for (int i = 0; i < N_ROOTS; i++)
		memset(ROOTS[i].b, i + 1, sizeof ROOTS[i].b);
	return 0;
}

/* Small blocks, so that small sequences have many of them. */
static inline kv_group small_group(uint32_t block_tokens, uint32_t n_slabs)
{
	return (kv_group){.n_layers = n_slabs, .n_kv_head = 1, .head_dim = 8, .block_tokens = block_tokens, .slab_layers = 1, .n_slabs = n_slabs};
}

static inline const kv_layout *one_group(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 1, .groups = {small_group(4, 1)}};
	return &l;
}

static inline const kv_layout *two_groups(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), small_group(6, 2)}};
	return &l;
}

static inline const kv_layout *two_groups_alike(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), small_group(4, 2)}};
	return &l;
}

static inline kv_group window_group(uint32_t block_tokens, uint32_t n_slabs, uint32_t window)
{
	kv_group g = small_group(block_tokens, n_slabs);
	g.window = window;
	return g;
}

/* A full group and one that sees 8 rows, whose blocks meet every 12 rows. */
static inline const kv_layout *with_a_window(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {small_group(4, 1), window_group(6, 2, 8)}};
	return &l;
}

/* The anchor's blocks are larger than those that it proves, and it is not the first. */
static inline const kv_layout *with_two_windows(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 3, .groups = {window_group(4, 1, 5), small_group(8, 1), window_group(2, 1, 13)}, .max_chunk = 16};
	return &l;
}

static inline const kv_layout *windows_alone(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 1, .groups = {window_group(4, 1, 10)}, .max_chunk = 16};
	return &l;
}

static inline kv_group part_group(uint32_t block_tokens, uint32_t n_slabs, uint32_t base, uint32_t limit)
{
	kv_group g = small_group(block_tokens, n_slabs);
	g.base = base;
	g.limit = limit;
	return g;
}

/* An encoder-decoder's: the first 10 rows in one group, the others in another. */
static inline const kv_layout *in_two_parts(void)
{
	static kv_layout l;
	l = (kv_layout){.n_groups = 2, .groups = {part_group(6, 2, 10, 0), part_group(4, 1, 0, 10)}, .max_chunk = 16};
	return &l;
}

/* Two groups that end at row 13 and two that begin there, one of them with a window. */
static inline const kv_layout *in_four_parts(void)
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

static inline uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 29;
}

static inline void digest_from(test_seq *s, uint32_t at)
{
	if (at == 0)
		s->prefix[0] = mix(99, s->root);
	for (uint32_t r = at; r < s->n_known; r++) {
		const seq_row *w = &s->rows[r];
		uint64_t h = mix(mix(s->prefix[r], w->position), w->span_end);
		s->prefix[r + 1] = w->media < 0 ? mix(h, (uint32_t)w->id) : mix(mix(h, s->media[w->media].b[0] + 1000u), w->media_row);
	}
}

static inline uint64_t stamp_of(const test_seq *s, uint32_t group, uint32_t slab, uint32_t r)
{
	uint32_t sees = s->rows[r].span_end > r + 1 ? s->rows[r].span_end : r + 1;
	return mix(mix(mix(s->prefix[sees], r), group), slab);
}

static inline bool holds(const test_seq *s, uint32_t group, uint32_t r)
{
	const kv_group *g = &s->kv.layout->groups[group];
	return r >= g->base && (!g->limit || r - g->base < g->limit);
}

/* The group's rows among the first n. */
static inline uint32_t rows_in(const test_seq *s, uint32_t group, uint32_t n)
{
	uint32_t in = 0;
	for (uint32_t r = 0; r < n; r++)
		in += holds(s, group, r);
	return in;
}

static inline uint64_t *place_of(const test_seq *s, uint32_t group, uint32_t slab, uint32_t r)
{
	uint32_t t = s->kv.layout->groups[group].block_tokens;
	r -= s->kv.layout->groups[group].base;
	uint32_t page = s->kv.group[group].pages[slab * s->kv.group[group].max_blocks + r / t];
	assert_int_not_equal(page, KV_NO_PAGE);
	return (uint64_t *)(void *)(page_pool_arena(s->kv.pool) + (size_t)page * PAGE_BYTES) + r % t;
}

static inline void seq_open(test_seq *s, page_pool *pool, const kv_layout *layout, uint32_t root)
{
	memset(s, 0, sizeof *s);
	s->open = true;
	s->root = root;
	assert_int_equal(kv_seq_init(&s->kv, pool, layout, MAX_ROWS, &KEY, &ROOTS[root], NULL), SN_OK);
	digest_from(s, 0);
}

static inline void seq_close(test_seq *s)
{
	if (s->open)
		kv_seq_fini(&s->kv);
	s->open = false;
}

static inline void seq_write(const test_seq *s, uint32_t begin, uint32_t end)
{
	for (uint32_t g = 0; g < s->kv.layout->n_groups; g++)
		for (uint32_t slab = 0; slab < s->kv.layout->groups[g].n_slabs; slab++)
			for (uint32_t r = begin; r < end; r++)
				if (holds(s, g, r))
					*place_of(s, g, slab, r) = stamp_of(s, g, slab, r);
}

static inline uint32_t first_live_row(const test_seq *s, uint32_t g)
{
	return s->kv.layout->groups[g].base + s->kv.group[g].first * s->kv.layout->groups[g].block_tokens;
}

/* All that is held is the sequence's own, and all that its next row sees is held. */
static inline void seq_check_stamps(const test_seq *s)
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

static inline void seq_match(test_seq *s, uint32_t max_hit)
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
static inline void seq_tokens(test_seq *s, const char *text)
{
	for (; *text; text++) {
		s->rows[s->n_known] = (seq_row){.id = *text, .media = -1, .position = s->n_known};
		s->n_known++;
	}
	digest_from(s, 0);
}

static inline void seq_compute(test_seq *s, uint32_t end)
{
	assert_true(kv_seq_extend(&s->kv, end));
	seq_write(s, s->n_computed, end);
	s->n_computed = end;
	kv_seq_commit(&s->kv, s->rows, s->media, end);
	kv_seq_slide(&s->kv, end);
	seq_check_stamps(s);
}

/* One request from beginning to end; returns how many rows the cache gave. */
static inline uint32_t run_once(page_pool *pool, const kv_layout *layout, uint32_t root, const char *text)
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

static inline page_pool *pool_of(uint32_t n_pages)
{
	page_pool *pool = NULL;
	assert_int_equal(page_pool_open(&pool, (size_t)n_pages * PAGE_BYTES + 17, NULL), SN_OK);
	assert_int_equal(page_pool_total(pool), n_pages);
	assert_int_equal(page_pool_available(pool), n_pages);
	return pool;
}

#endif
