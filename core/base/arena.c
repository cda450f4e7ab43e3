#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192

struct block {
	struct block *next;
	size_t used, cap;
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *);
	void *ctx;
};

struct arena {
	struct block *blocks;
	struct deferred *deferred;
	size_t total, limit;
	bool starved;
};

/* Blocks are 16-aligned by malloc and their header is padded to 32. */
static unsigned char *block_data(struct block *b)
{
	return (unsigned char *)b + 32;
}

arena *arena_open(size_t limit)
{
	arena *a = calloc(1, sizeof *a);
	if (a)
		a->limit = limit;
	return a;
}

void arena_close(arena **a)
{
	if (!*a)
		return;
	for (struct deferred *d = (*a)->deferred; d; d = d->next)
		d->fn(d->ctx);
	for (struct block *b = (*a)->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(*a);
	*a = NULL;
}

size_t arena_bytes(const arena *a)
{
	size_t n = sizeof *a;
	for (const struct block *b = a->blocks; b; b = b->next)
		n += 32 + b->cap;
	return n;
}

bool arena_starved(const arena *a)
{
	return a->starved;
}

void *arena_alloc(arena *a, size_t n)
{
	if (n > SIZE_MAX - 64)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (n == 0)
		n = 16;
	if (a->limit && (n > a->limit || a->total > a->limit - n))
		return NULL;
	struct block *b = a->blocks;
	if (!b || b->cap - b->used < n) {
		size_t cap = n > BLOCK_BYTES / 4 ? n : BLOCK_BYTES;
		struct block *fresh = malloc(32 + cap);
		if (!fresh) {
			a->starved = true;
			return NULL;
		}
		fresh->used = 0;
		fresh->cap = cap;
		if (b && n > BLOCK_BYTES / 4) { /* a large block goes behind the one being filled */
			fresh->next = b->next;
			b->next = fresh;
		} else {
			fresh->next = b;
			a->blocks = fresh;
		}
		b = fresh;
	}
	void *p = block_data(b) + b->used;
	b->used += n;
	a->total += n;
	return memset(p, 0, n);
}

void *arena_array(arena *a, size_t n, size_t size)
{
	size_t bytes;
	return __builtin_mul_overflow(n, size, &bytes) ? NULL : arena_alloc(a, bytes);
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;
	if (p)
		memcpy(p, s, n);
	return p;
}

int arena_defer(arena *a, void (*fn)(void *ctx), void *ctx)
{
	struct deferred *d = arena_alloc(a, sizeof *d);
	if (!d)
		return -1;
	*d = (struct deferred){a->deferred, fn, ctx};
	a->deferred = d;
	return 0;
}
