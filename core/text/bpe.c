#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

/* Grows *p to hold n elements of size bytes. */
static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return true;
	size_t want = *cap < 64 ? 64 : *cap + *cap / 2;
	if (want < n)
		want = n;
	void *grown = reallocarray(*p, want, size);
	if (!grown)
		return false;
	*p = grown;
	*cap = want;
	return true;
}

bool id_list_push(id_list *l, int32_t id)
{
	void *p = l->at;
	if (!grow(&p, &l->cap, l->n + 1, sizeof *l->at))
		return false;
	l->at = p;
	l->at[l->n++] = id;
	return true;
}

/* ---- the table ---- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9E3779B97F4A7C15u;
	return x ^ x >> 29;
}

bool bpe_table_init(bpe_table *t, size_t n_merges)
{
	size_t slots = 16;
	while (slots < 2 * n_merges)
		slots *= 2;
	t->mask = slots - 1;
	t->at = reallocarray(NULL, slots, sizeof *t->at);
	if (!t->at)
		return false;
	for (size_t i = 0; i < slots; i++)
		t->at[i].pair = BPE_NO_PAIR;
	return true;
}

void bpe_table_fini(bpe_table *t)
{
	free(t->at);
	t->at = NULL;
}

static bpe_merge *slot_of(const bpe_table *t, int32_t left, int32_t right)
{
	uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
	size_t i = mix(pair) & t->mask;
	while (t->at[i].pair != pair && t->at[i].pair != BPE_NO_PAIR)
		i = (i + 1) & t->mask;
	return &t->at[i];
}

bool bpe_table_put(bpe_table *t, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
	bpe_merge *m = slot_of(t, left, right);
	if (m->pair != BPE_NO_PAIR)
		return false;
	*m = (bpe_merge){(uint64_t)(uint32_t)left << 32 | (uint32_t)right, rank, id};
	return true;
}

/* ---- the heap: four children a node, since a long piece's heap is larger than the caches ---- */

static void sift_down(uint64_t *heap, size_t n, size_t i)
{
	uint64_t moving = heap[i];
	for (size_t first; (first = 4 * i + 1) < n;) {
		size_t least = first, end = first + 4 < n ? first + 4 : n;
		for (size_t k = first + 1; k < end; k++)
			if (heap[k] < heap[least])
				least = k;
		if (heap[least] >= moving)
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = moving;
}

static void sift_up(uint64_t *heap, size_t i)
{
	uint64_t moving = heap[i];
	for (size_t parent; i && moving < heap[parent = (i - 1) / 4]; i = parent)
		heap[i] = heap[parent];
	heap[i] = moving;
}

static uint64_t heap_pop(bpe_work *w)
{
	uint64_t top = w->heap[0];
	w->heap[0] = w->heap[--w->n_heap];
	if (w->n_heap)
		sift_down(w->heap, w->n_heap, 0);
	return top;
}

static bool heap_reserve(bpe_work *w, size_t n)
{
	void *p = w->heap;
	bool ok = grow(&p, &w->cap_heap, n, sizeof *w->heap);
	w->heap = p;
	return ok;
}

/* ---- merging ---- */

void bpe_work_fini(bpe_work *w)
{
	free(w->symbols);
	free(w->heap);
	*w = (bpe_work){0};
}

/* The merge of the symbol at left with the next one, or NULL. */
static const bpe_merge *merge_at(const bpe_table *t, const bpe_symbol *symbols, uint32_t left)
{
	uint32_t right = symbols[left].next;
	if (symbols[left].id < 0 || right == BPE_END)
		return NULL;
	const bpe_merge *m = slot_of(t, symbols[left].id, symbols[right].id);
	return m->pair == BPE_NO_PAIR ? NULL : m;
}

static bool push_candidate(const bpe_table *t, bpe_work *w, uint32_t left)
{
	const bpe_merge *m = merge_at(t, w->symbols, left);
	if (!m)
		return true;
	if (!heap_reserve(w, w->n_heap + 1))
		return false;
	w->heap[w->n_heap] = (uint64_t)m->rank << 32 | left;
	sift_up(w->heap, w->n_heap++);
	return true;
}

bool bpe_begin(bpe_work *w, size_t n)
{
	void *s = w->symbols;
	bool ok = grow(&s, &w->cap_symbols, n, sizeof *w->symbols);
	w->symbols = s;
	w->n_symbols = 0;
	return ok;
}

static bool fill_heap(const bpe_table *t, bpe_work *w, size_t n)
{
	if (!heap_reserve(w, n))
		return false;
	w->n_heap = 0;
	for (uint32_t i = 0; i < n; i++) {
		const bpe_merge *m = merge_at(t, w->symbols, i);
		if (m)
			w->heap[w->n_heap++] = (uint64_t)m->rank << 32 | i;
	}
	for (size_t i = (w->n_heap + 2) / 4; i--;)
		sift_down(w->heap, w->n_heap, i);
	return true;
}

static bool drain_heap(const bpe_table *t, bpe_work *w)
{
	bpe_symbol *symbols = w->symbols;
	while (w->n_heap) {
		uint64_t top = heap_pop(w);
		uint32_t at = (uint32_t)top;
		const bpe_merge *m = merge_at(t, symbols, at);
		if (!m || m->rank != top >> 32)
			continue; /* one of the two has become another symbol since */
		bpe_symbol *left = &symbols[at], *right = &symbols[left->next];
		left->id = m->id;
		left->next = right->next;
		right->id = -1;
		if (right->next != BPE_END)
			symbols[right->next].prev = at;
		if (left->prev != BPE_END && !push_candidate(t, w, left->prev))
			return false;
		if (!push_candidate(t, w, at))
			return false;
	}
	return true;
}

bool bpe_merge_all(const bpe_table *t, bpe_work *w)
{
	w->symbols[w->n_symbols - 1].next = BPE_END;
	return w->n_symbols == 1 || (fill_heap(t, w, w->n_symbols) && drain_heap(t, w));
}
