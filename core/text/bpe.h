/* bpe.h - byte-pair merging of one piece: a linked list of symbols and a heap of the merges that are possible, lowest
 * rank first, then leftmost. O(n log n). The table is read-only while merging; each thread brings its own work. */
#ifndef SN_TEXT_BPE_H
#define SN_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bpe_merge {
	uint64_t pair; /* left id << 32 | right id; BPE_NO_PAIR: an empty slot */
	uint32_t rank;
	int32_t id;    /* of the joined token */
} bpe_merge;

#define BPE_NO_PAIR UINT64_MAX

typedef struct bpe_table {
	bpe_merge *at; /* [mask + 1] open addressing */
	size_t mask;
	int32_t byte_id[256]; /* -1: no token for this byte, it is dropped */
} bpe_table;

bool bpe_table_init(bpe_table *t, size_t n_merges);
void bpe_table_fini(bpe_table *t);
/* The lowest rank of a pair counts: call in ascending rank. */
void bpe_table_put(bpe_table *t, int32_t left, int32_t right, uint32_t rank, int32_t id);

typedef struct bpe_symbol {
	int32_t id; /* -1: merged away */
	uint32_t prev, next;
} bpe_symbol;

typedef struct bpe_work {
	bpe_symbol *symbols;
	uint64_t *heap; /* a possible merge: rank << 32 | index of its left symbol */
	size_t cap_symbols, cap_heap, n_heap;
} bpe_work;

void bpe_work_fini(bpe_work *w);

typedef struct id_list {
	int32_t *at;
	size_t n, cap;
} id_list;

bool id_list_push(id_list *l, int32_t id);
/* Appends the piece's ids. False when memory is short; n < 2^32 - 1. */
bool bpe_encode(const bpe_table *t, bpe_work *w, const char *p, size_t n, id_list *out);

#endif
