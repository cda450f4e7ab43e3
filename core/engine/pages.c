#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

#define NONE UINT32_MAX

/* What a row is, as the cache compares it. Media are told apart by the leading bytes of their keyed content hash here and
 * by all of it in the chain. */
struct row_key {
	uint64_t media; /* 0 for tokens */
	uint32_t id;    /* token id or media row */
	uint32_t position;
	uint64_t span_end;
};

struct block {
	uint32_t refs;      /* sequences that hold it */
	uint32_t first_page; /* chained by next_page */
	uint32_t n_pages;
	uint32_t n_rows;    /* that row keys were kept for; 0: not hashed */
	uint64_t serial;    /* unique over the pool's life */
	uint64_t parent;    /* serial of the block before it, 0 at the root */
	uint32_t group;     /* of the layout */
	hash256 root;
	hash256 hash;
	uint32_t bucket_next;
	uint32_t lru_prev, lru_next; /* while unreferenced and hashed */
};

struct page_pool {
	uint8_t *arena;
	uint32_t n_pages;
	uint32_t *next_page;   /* [n_pages] of the free list or of a block */
	uint32_t free_pages;   /* head */
	uint32_t n_free;
	struct block *blocks;  /* [n_pages]: a block has at least one page */
	struct row_key *keys;  /* [n_pages][KV_MAX_BLOCK] */
	uint32_t free_blocks;  /* head, by bucket_next */
	uint32_t *buckets;     /* [n_buckets] heads, by bucket_next */
	uint32_t n_buckets;
	uint32_t lru_head, lru_tail; /* oldest first */
	uint32_t n_cached;     /* pages in the LRU list */
	uint64_t serial;
};

/* ---- layout ---- */

static uint32_t block_waste(const kv_group *g, uint32_t tokens, uint32_t *slab_layers, uint32_t *n_slabs, float *waste)
{
	uint64_t layer = 2ull * g->n_kv_head * tokens * g->head_dim * (g->type == KV_F16 ? 2 : 4);
	uint32_t fit = (uint32_t)(PAGE_BYTES / layer);
	if (fit == 0)
		return 0;
	if (fit > g->n_layers)
		fit = g->n_layers;
	*n_slabs = (g->n_layers + fit - 1) / fit;
	*slab_layers = (g->n_layers + *n_slabs - 1) / *n_slabs;
	*waste = 1.0f - (float)(layer * g->n_layers) / ((float)*n_slabs * PAGE_BYTES);
	return 1;
}

sn_status kv_layout_plan(kv_layout *layout, sn_error *err)
{
	for (uint32_t i = 0; i < layout->n_groups; i++) {
		kv_group *g = &layout->groups[i];
		g->block_tokens = 0;
		for (uint32_t t = KV_MIN_BLOCK; t <= KV_MAX_BLOCK; t += KV_MIN_BLOCK) {
			uint32_t slab_layers, n_slabs;
			float waste;
			if (block_waste(g, t, &slab_layers, &n_slabs, &waste) && (!g->block_tokens || waste < g->waste - 1e-6f)) {
				g->block_tokens = t;
				g->slab_layers = slab_layers;
				g->n_slabs = n_slabs;
				g->waste = waste;
			}
		}
		if (!g->block_tokens)
			return error_set(err, SN_ERR_UNSUPPORTED, "one layer's KV (%u heads of %u, %s) of %d tokens is larger than a page of %d bytes",
			                 g->n_kv_head, g->head_dim, g->type == KV_F16 ? "f16" : "f32", KV_MIN_BLOCK, PAGE_BYTES);
		g->token_bytes = g->head_dim * (g->type == KV_F16 ? 2 : 4);
		g->head_bytes = g->block_tokens * g->token_bytes;
		g->layer_bytes = 2 * g->n_kv_head * g->head_bytes;
	}
	return SN_OK;
}

static uint32_t blocks_for(const kv_group *g, uint32_t n_rows)
{
	return n_rows / g->block_tokens + (n_rows % g->block_tokens != 0);
}

uint32_t kv_layout_pages(const kv_layout *layout, uint32_t n_rows)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < layout->n_groups; i++)
		n += (uint64_t)blocks_for(&layout->groups[i], n_rows) * layout->groups[i].n_slabs;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- pool ---- */

sn_status page_pool_open(page_pool **out, size_t bytes, sn_error *err)
{
	page_pool *p = calloc(1, sizeof *p);
	uint64_t n = bytes / PAGE_BYTES;
	if (!p || n == 0 || n > UINT32_MAX / 2) {
		free(p);
		return error_set(err, SN_ERR_INVALID, "a KV pool of %zu bytes is not possible: pages are %d bytes", bytes, PAGE_BYTES);
	}
	p->n_pages = (uint32_t)n;
	p->n_buckets = 1;
	while (p->n_buckets < p->n_pages)
		p->n_buckets *= 2;
	p->next_page = calloc(p->n_pages, sizeof *p->next_page);
	p->blocks = calloc(p->n_pages, sizeof *p->blocks);
	p->keys = calloc(p->n_pages, KV_MAX_BLOCK * sizeof *p->keys);
	p->buckets = malloc(p->n_buckets * sizeof *p->buckets);
	void *arena = mmap(NULL, (size_t)n * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	p->arena = arena == MAP_FAILED ? NULL : arena;
	if (!p->next_page || !p->blocks || !p->keys || !p->buckets || !p->arena) {
		page_pool_close(&p);
		return error_set(err, SN_ERR_NOMEM, "no memory for a KV pool of %llu pages", (unsigned long long)n);
	}
	memset(p->buckets, 0xFF, p->n_buckets * sizeof *p->buckets);
	for (uint32_t i = 0; i < p->n_pages; i++) {
		p->next_page[i] = i + 1 < p->n_pages ? i + 1 : NONE;
		p->blocks[i].bucket_next = i + 1 < p->n_pages ? i + 1 : NONE;
	}
	p->n_free = p->n_pages;
	p->lru_head = p->lru_tail = NONE;
	*out = p;
	return SN_OK;
}

void page_pool_close(page_pool **pp)
{
	page_pool *p = *pp;
	if (!p)
		return;
	if (p->arena)
		munmap(p->arena, (size_t)p->n_pages * PAGE_BYTES);
	free(p->next_page);
	free(p->blocks);
	free(p->keys);
	free(p->buckets);
	free(p);
	*pp = NULL;
}

uint8_t *page_pool_arena(const page_pool *p)
{
	return p->arena;
}

uint32_t page_pool_total(const page_pool *p)
{
	return p->n_pages;
}

uint32_t page_pool_available(const page_pool *p)
{
	return p->n_free + p->n_cached;
}

uint32_t page_pool_cached(const page_pool *p)
{
	return p->n_cached;
}

/* ---- blocks ---- */

static uint32_t *bucket_of(page_pool *p, const hash256 *h)
{
	uint64_t v;
	memcpy(&v, h->b, sizeof v);
	return &p->buckets[v & (p->n_buckets - 1)];
}

static void bucket_remove(page_pool *p, uint32_t b)
{
	uint32_t *at = bucket_of(p, &p->blocks[b].hash);
	while (*at != b)
		at = &p->blocks[*at].bucket_next;
	*at = p->blocks[b].bucket_next;
}

static void lru_remove(page_pool *p, uint32_t b)
{
	struct block *k = &p->blocks[b];
	*(k->lru_prev == NONE ? &p->lru_head : &p->blocks[k->lru_prev].lru_next) = k->lru_next;
	*(k->lru_next == NONE ? &p->lru_tail : &p->blocks[k->lru_next].lru_prev) = k->lru_prev;
	p->n_cached -= k->n_pages;
}

static void lru_push(page_pool *p, uint32_t b)
{
	struct block *k = &p->blocks[b];
	k->lru_prev = p->lru_tail;
	k->lru_next = NONE;
	*(p->lru_tail == NONE ? &p->lru_head : &p->blocks[p->lru_tail].lru_next) = b;
	p->lru_tail = b;
	p->n_cached += k->n_pages;
}

static void block_free(page_pool *p, uint32_t b)
{
	struct block *k = &p->blocks[b];
	while (k->first_page != NONE) {
		uint32_t page = k->first_page;
		k->first_page = p->next_page[page];
		p->next_page[page] = p->free_pages;
		p->free_pages = page;
		p->n_free++;
	}
	k->n_pages = k->n_rows = 0;
	k->serial = 0;
	k->bucket_next = p->free_blocks;
	p->free_blocks = b;
}

/* The one place where cached KV is given up. */
static void evict_oldest(page_pool *p)
{
	uint32_t b = p->lru_head;
	lru_remove(p, b);
	bucket_remove(p, b);
	block_free(p, b);
}

/* The caller made sure that n_pages are available. */
static uint32_t block_take(page_pool *p, uint32_t n_pages)
{
	while (p->n_free < n_pages)
		evict_oldest(p);
	uint32_t b = p->free_blocks;
	struct block *k = &p->blocks[b];
	p->free_blocks = k->bucket_next;
	*k = (struct block){.refs = 1, .first_page = NONE, .n_pages = n_pages, .serial = ++p->serial};
	for (uint32_t i = 0; i < n_pages; i++) {
		uint32_t page = p->free_pages;
		p->free_pages = p->next_page[page];
		p->next_page[page] = k->first_page;
		k->first_page = page;
	}
	p->n_free -= n_pages;
	return b;
}

static void block_ref(page_pool *p, uint32_t b)
{
	if (p->blocks[b].refs++ == 0)
		lru_remove(p, b);
}

static void block_unref(page_pool *p, uint32_t b)
{
	struct block *k = &p->blocks[b];
	if (--k->refs)
		return;
	if (k->n_rows)
		lru_push(p, b);
	else
		block_free(p, b);
}

/* ---- sequences ---- */

sn_status kv_seq_init(kv_seq *s, page_pool *pool, const kv_layout *layout, uint32_t max_rows, const hash_key *key,
                      const hash256 *root, sn_error *err)
{
	*s = (kv_seq){.layout = layout, .pool = pool, .max_rows = max_rows, .key = *key, .root = *root};
	for (uint32_t i = 0; i < layout->n_groups; i++) {
		const kv_group *g = &layout->groups[i];
		uint32_t n = blocks_for(g, max_rows);
		s->group[i].max_blocks = n;
		s->group[i].chain = *root;
		s->group[i].blocks = calloc(n ? n : 1, sizeof(uint32_t));
		s->group[i].pages = calloc(n ? n : 1, g->n_slabs * sizeof(uint32_t));
		if (!s->group[i].blocks || !s->group[i].pages) {
			kv_seq_fini(s);
			return error_set(err, SN_ERR_NOMEM, "no memory for the block table of %u rows", max_rows);
		}
	}
	return SN_OK;
}

void kv_seq_fini(kv_seq *s)
{
	if (!s->layout)
		return;
	kv_seq_release(s);
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		free(s->group[i].blocks);
		free(s->group[i].pages);
	}
	*s = (kv_seq){0};
}

static void table_push(kv_seq *s, uint32_t i, uint32_t b)
{
	uint32_t at = s->group[i].n_blocks++, page = s->pool->blocks[b].first_page;
	s->group[i].blocks[at] = b;
	for (uint32_t slab = 0; slab < s->layout->groups[i].n_slabs; slab++) {
		s->group[i].pages[slab * s->group[i].max_blocks + at] = page;
		page = s->pool->next_page[page];
	}
}

uint32_t kv_seq_need(const kv_seq *s, uint32_t n_rows)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t want = blocks_for(&s->layout->groups[i], n_rows);
		if (want > s->group[i].n_blocks)
			n += (want - s->group[i].n_blocks) * s->layout->groups[i].n_slabs;
	}
	return n;
}

uint32_t kv_seq_exclusive(const kv_seq *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		for (uint32_t b = 0; b < s->group[i].n_blocks; b++)
			if (s->pool->blocks[s->group[i].blocks[b]].refs == 1)
				n += s->layout->groups[i].n_slabs;
	return n;
}

bool kv_seq_extend(kv_seq *s, uint32_t n_rows)
{
	if (n_rows > s->max_rows || kv_seq_need(s, n_rows) > page_pool_available(s->pool))
		return false;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t want = blocks_for(&s->layout->groups[i], n_rows);
		while (s->group[i].n_blocks < want)
			table_push(s, i, block_take(s->pool, s->layout->groups[i].n_slabs));
	}
	return true;
}

static struct row_key row_key_of(const seq_row *r, const hash256 *media)
{
	struct row_key k = {0, (uint32_t)r->id, r->position, r->span_end};
	if (r->media >= 0) {
		memcpy(&k.media, media[r->media].b, sizeof k.media);
		k.media |= 1;
		k.id = r->media_row;
	}
	return k;
}

static hash256 chain_hash(const kv_seq *s, uint32_t i, const hash256 *parent, const seq_row *rows, const hash256 *media,
                          uint32_t n_rows)
{
	hasher h;
	hash_begin(&h, &s->key);
	hash_add(&h, parent, sizeof *parent);
	hash_u64(&h, i);
	for (uint32_t r = 0; r < n_rows; r++) {
		struct row_key k = row_key_of(&rows[r], media);
		hash_add(&h, &k, sizeof k);
		if (rows[r].media >= 0 && (r == 0 || rows[r].media != rows[r - 1].media))
			hash_add(&h, &media[rows[r].media], sizeof(hash256));
	}
	hash256 out = hash_end(&h);
#ifdef SN_TEST_COLLIDE /* tests: two bits of hash are left, so that only comparing tells blocks apart */
	out = (hash256){.b = {out.b[0] & 3}};
#endif
	return out;
}

static bool same_rows(const page_pool *p, uint32_t b, const seq_row *rows, const hash256 *media, uint32_t n_rows)
{
	const struct row_key *have = &p->keys[(size_t)b * KV_MAX_BLOCK];
	if (p->blocks[b].n_rows != n_rows)
		return false;
	for (uint32_t r = 0; r < n_rows; r++) {
		struct row_key k = row_key_of(&rows[r], media);
		if (memcmp(&k, &have[r], sizeof k) != 0)
			return false;
	}
	return true;
}

/* The block that follows group i's last hashed one and holds these rows. */
static uint32_t find_block(const kv_seq *s, uint32_t i, const hash256 *hash, const seq_row *rows, const hash256 *media,
                           uint32_t n_rows)
{
	page_pool *p = s->pool;
	for (uint32_t b = *bucket_of(p, hash); b != NONE; b = p->blocks[b].bucket_next) {
		const struct block *k = &p->blocks[b];
		if (memcmp(&k->hash, hash, sizeof *hash) == 0 && k->parent == s->group[i].parent && k->group == i &&
		    memcmp(&k->root, &s->root, sizeof s->root) == 0 && same_rows(p, b, rows, media, n_rows))
			return b;
	}
	return NONE;
}

/* Cached blocks of one group from the root on, referenced into the table, at most max_rows rows. */
static uint32_t match_group(kv_seq *s, uint32_t i, const seq_row *rows, const hash256 *media, uint32_t max_rows)
{
	uint32_t t = s->layout->groups[i].block_tokens;
	while ((s->group[i].n_blocks + 1) * t <= max_rows) {
		const seq_row *at = rows + (size_t)s->group[i].n_blocks * t;
		hash256 h = chain_hash(s, i, &s->group[i].chain, at, media, t);
		uint32_t b = find_block(s, i, &h, at, media, t);
		if (b == NONE)
			break;
		block_ref(s->pool, b);
		table_push(s, i, b);
		s->group[i].n_hashed++;
		s->group[i].chain = h;
		s->group[i].parent = s->pool->blocks[b].serial;
	}
	return s->group[i].n_blocks * t;
}

/* Drops the group's blocks from index `keep` on; the chain goes back to the last hashed block kept. */
static void drop_blocks(kv_seq *s, uint32_t i, uint32_t keep)
{
	while (s->group[i].n_blocks > keep)
		block_unref(s->pool, s->group[i].blocks[--s->group[i].n_blocks]);
	if (s->group[i].n_hashed > keep) {
		s->group[i].n_hashed = keep;
		const struct block *last = keep ? &s->pool->blocks[s->group[i].blocks[keep - 1]] : NULL;
		s->group[i].chain = last ? last->hash : s->root;
		s->group[i].parent = last ? last->serial : 0;
	}
}

uint32_t kv_seq_match(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t max_hit)
{
	uint32_t hit = max_hit;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t n = match_group(s, i, rows, media, max_hit);
		hit = n < hit ? n : hit;
	}
	/* Down to a length that is whole blocks in every group and does not cut a span. */
	for (uint32_t before = NONE; before != hit && hit;) {
		before = hit;
		for (uint32_t i = 0; i < s->layout->n_groups; i++)
			hit -= hit % s->layout->groups[i].block_tokens;
		while (hit && rows[hit - 1].span_end > hit)
			hit--;
	}
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		drop_blocks(s, i, hit / s->layout->groups[i].block_tokens);
	return hit;
}

void kv_seq_commit(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t n_computed)
{
	page_pool *p = s->pool;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t t = s->layout->groups[i].block_tokens;
		while ((s->group[i].n_hashed + 1) * t <= n_computed) {
			uint32_t at = s->group[i].n_hashed, b = s->group[i].blocks[at];
			const seq_row *r = rows + (size_t)at * t;
			hash256 h = chain_hash(s, i, &s->group[i].chain, r, media, t);
			struct block *k = &p->blocks[b];
			uint32_t found = find_block(s, i, &h, r, media, t);
			if (found != NONE && found != b)
				break; /* another sequence was first; ours stays private, and so do the blocks after it */
			if (found == NONE) { /* else a fork of ours hashed it */
				k->hash = h;
				k->root = s->root;
				k->group = i;
				k->parent = s->group[i].parent;
				k->n_rows = t;
				for (uint32_t j = 0; j < t; j++)
					p->keys[(size_t)b * KV_MAX_BLOCK + j] = row_key_of(&r[j], media);
				uint32_t *bucket = bucket_of(p, &h);
				k->bucket_next = *bucket;
				*bucket = b;
			}
			s->group[i].n_hashed++;
			s->group[i].chain = h;
			s->group[i].parent = k->serial;
		}
	}
}

uint32_t kv_seq_truncate(kv_seq *s, uint32_t n_rows)
{
	for (uint32_t before = NONE; before != n_rows;) {
		before = n_rows;
		for (uint32_t i = 0; i < s->layout->n_groups; i++) {
			uint32_t t = s->layout->groups[i].block_tokens, tail = n_rows / t;
			if (n_rows % t == 0 || tail >= s->group[i].n_blocks)
				continue;
			const struct block *k = &s->pool->blocks[s->group[i].blocks[tail]];
			if (k->refs > 1 || k->n_rows)
				n_rows = tail * t;
		}
	}
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		if (blocks_for(&s->layout->groups[i], n_rows) < s->group[i].n_blocks)
			drop_blocks(s, i, blocks_for(&s->layout->groups[i], n_rows));
	return n_rows;
}

uint32_t kv_seq_fork(kv_seq *dst, const kv_seq *src, uint32_t n_rows)
{
	for (uint32_t before = NONE; before != n_rows;) {
		before = n_rows;
		for (uint32_t i = 0; i < src->layout->n_groups; i++)
			n_rows -= n_rows % src->layout->groups[i].block_tokens;
	}
	for (uint32_t i = 0; i < src->layout->n_groups; i++) {
		uint32_t n = n_rows / src->layout->groups[i].block_tokens;
		for (uint32_t b = 0; b < n; b++) {
			const struct block *k = &src->pool->blocks[src->group[i].blocks[b]];
			block_ref(src->pool, src->group[i].blocks[b]);
			table_push(dst, i, src->group[i].blocks[b]);
			if (b < src->group[i].n_hashed) {
				dst->group[i].n_hashed = b + 1;
				dst->group[i].chain = k->hash;
				dst->group[i].parent = k->serial;
			}
		}
	}
	return n_rows;
}

void kv_seq_release(kv_seq *s)
{
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		drop_blocks(s, i, 0);
}

bool page_pool_consistent(const page_pool *p)
{
	uint32_t n_free = 0, held = 0, cached = 0, in_lru = 0;
	for (uint32_t page = p->free_pages; n_free < p->n_free; page = p->next_page[page], n_free++)
		if (page == NONE)
			return false;
	for (uint32_t b = 0; b < p->n_pages; b++) {
		const struct block *k = &p->blocks[b];
		if (k->n_pages && k->refs)
			held += k->n_pages;
		else if (k->n_pages && k->n_rows)
			cached += k->n_pages;
		else if (k->n_pages)
			return false;
	}
	for (uint32_t b = p->lru_head; b != NONE; b = p->blocks[b].lru_next)
		in_lru += p->blocks[b].n_pages;
	return cached == p->n_cached && in_lru == cached && n_free + held + cached == p->n_pages;
}
