/* bpe.h - merging of one piece: a linked list of symbols and a heap of the merges that are possible, lowest rank first,
 * then leftmost. O(n log n). The caller spells the piece into symbols (bytes or characters), which may also be ids of
 * its own beyond the vocabulary. The table is read-only while merging; each thread brings its own work. */
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
#define BPE_END UINT32_MAX

typedef struct bpe_table {
	bpe_merge *at; /* [mask + 1] open addressing */
	size_t mask;
} bpe_table;

bool bpe_table_init(bpe_table *t, size_t n_merges);
void bpe_table_fini(bpe_table *t);
/* The first put of a pair counts; false for a later one. At most n_merges pairs; ids >= 0. */
bool bpe_table_put(bpe_table *t, int32_t left, int32_t right, uint32_t rank, int32_t id);

typedef struct bpe_symbol {
	int32_t id; /* -1: merged away */
	uint32_t prev, next; /* BPE_END: none */
} bpe_symbol;

typedef struct bpe_work {
	bpe_symbol *symbols;
	uint64_t *heap; /* a possible merge: rank << 32 | index of its left symbol */
	size_t n_symbols, cap_symbols, n_heap, cap_heap;
} bpe_work;

void bpe_work_fini(bpe_work *w);
/* Empties the list and makes room for n symbols, n < 2^32 - 1. False when memory is short. */
bool bpe_begin(bpe_work *w, size_t n);

static inline void bpe_push(bpe_work *w, int32_t id)
{
	uint32_t at = (uint32_t)w->n_symbols++;
	w->symbols[at] = (bpe_symbol){id, at ? at - 1 : BPE_END, at + 1};
}

/* Merges what was pushed, at least one symbol: walk symbols from 0 along next to BPE_END. False when memory is short. */
bool bpe_merge_all(const bpe_table *t, bpe_work *w);

typedef struct id_list {
	int32_t *at;
	size_t n, cap;
} id_list;

bool id_list_push(id_list *l, int32_t id);

#endif
