/* The arena's pages: free, held by blocks, or cached. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "engine/page_pool.h"

size_t page_pool_bytes(size_t bytes)
{
	const page_pool *p = NULL;
	size_t n = bytes / PAGE_BYTES, tables;
	size_t each = sizeof *p->next_page + sizeof *p->blocks + KV_MAX_BLOCK * sizeof *p->keys + 2 * sizeof *p->buckets;
	return __builtin_mul_overflow(n, each, &tables) || __builtin_add_overflow(bytes, tables, &n) ? SIZE_MAX : n;
}

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
	p->most_keys = KV_MAX_BLOCK;
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

static uint32_t most_rows(const kv_layout *layout)
{
	uint32_t most = KV_MAX_BLOCK;
	for (uint32_t i = 0; i < layout->n_groups; i++)
		most = layout->groups[i].block_tokens > most ? layout->groups[i].block_tokens : most;
	return most;
}

size_t page_pool_more(uint32_t n_pages, const kv_layout *layout)
{
	return (size_t)n_pages * (most_rows(layout) - KV_MAX_BLOCK) * sizeof(struct row_key);
}

sn_status page_pool_admit(page_pool *p, const kv_layout *layout, sn_error *err)
{
	uint32_t most = most_rows(layout);
	if (most <= p->most_keys)
		return SN_OK;
	struct row_key *keys = calloc(p->n_pages, most * sizeof *keys);
	if (!keys)
		return error_set(err, SN_ERR_NOMEM, "no memory for the tables of a KV pool of %u pages", p->n_pages);
	for (uint32_t b = 0; b < p->n_pages; b++)
		memcpy(keys + (size_t)b * most, p->keys + (size_t)b * p->most_keys, p->blocks[b].n_rows * sizeof *keys);
	free(p->keys);
	p->keys = keys;
	p->most_keys = most;
	return SN_OK;
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

uint32_t *bucket_of(page_pool *p, const hash256 *h)
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

uint32_t block_take(page_pool *p, uint32_t n_pages)
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

void block_ref(page_pool *p, uint32_t b)
{
	if (p->blocks[b].refs++ == 0)
		lru_remove(p, b);
}

void block_unref(page_pool *p, uint32_t b)
{
	struct block *k = &p->blocks[b];
	if (--k->refs)
		return;
	if (k->n_rows)
		lru_push(p, b);
	else
		block_free(p, b);
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
