/* page_pool.h - the page pool's inside, for pages.h's three files alone. */
#ifndef SN_ENGINE_PAGE_POOL_H
#define SN_ENGINE_PAGE_POOL_H

#include "engine/pages.h"

#define NONE UINT32_MAX

/* ---- layout (kv_layout.c) ---- */

/* How many of a sequence's first n_rows rows the group holds. */
uint32_t kv_rows_in(const kv_group *g, uint32_t n_rows);
/* Every group without a limit has a block's end at each multiple of these rows, counted from its base. */
uint32_t kv_common_rows(const kv_layout *layout);
/* Blocks of the group that hold rows [0, n_rows). */
uint32_t kv_blocks_for(const kv_group *g, uint32_t n_rows);
/* The first block that rows from n on see. One row more is kept than the window asks for, so that row n - 1's block is there. */
uint32_t kv_first_seen(const kv_group *g, uint32_t n);
/* The most blocks that a sequence has at a time until n_rows. */
uint32_t kv_most_blocks(const kv_layout *layout, const kv_group *g, uint32_t n_rows);

/* ---- pool (page_pool.c) ---- */

/* What a row is, as the cache compares it. Media are told apart by the leading bytes of their keyed content hash here and
 * by all of it in the chain, frames by such bytes in both. */
struct row_key {
	uint64_t source; /* a medium or a frame; 0 for tokens */
	uint32_t id;    /* token id or media row */
	uint32_t position;
	int32_t height, width;
	uint32_t span_end;
	uint32_t with;
};

struct block {
	uint32_t refs;      /* sequences that hold it */
	uint32_t first_page; /* chained by next_page */
	uint32_t n_pages;
	uint32_t n_rows;    /* that row keys were kept for; 0: not hashed */
	uint64_t serial;    /* unique over the pool's life */
	uint64_t parent;    /* serial of the block before it, 0 at the root; in a group with an anchor, of the anchor's block */
	uint32_t group;     /* of the layout */
	uint32_t index;     /* in its sequence */
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
	struct row_key *keys;  /* [n_pages][most_keys] */
	uint32_t most_keys;
	uint32_t free_blocks;  /* head, by bucket_next */
	uint32_t *buckets;     /* [n_buckets] heads, by bucket_next */
	uint32_t n_buckets;
	uint32_t lru_head, lru_tail; /* oldest first */
	uint32_t n_cached;     /* pages in the LRU list */
	uint64_t serial;
};

/* The list that blocks of this hash are in. */
uint32_t *bucket_of(page_pool *p, const hash256 *h);
/* A block with one reference. The caller made sure that n_pages are available. */
uint32_t block_take(page_pool *p, uint32_t n_pages);
void block_ref(page_pool *p, uint32_t b);
/* The last reference gone, a hashed block stays as cache and another is free. */
void block_unref(page_pool *p, uint32_t b);

#endif
