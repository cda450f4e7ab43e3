/* json_memory.c - jansson's memory: without any, a reading ends cleanly, and what is made without all of its parts is known. */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"

/* Its allocator is ours, so that this thread knows of a failed allocation (core.h).
 *
 * A reading takes its blocks one behind the other from chunks, which costs less than malloc's own books do. A chunk is free again
 * when the last of its blocks is. */
struct chunk {
	struct chunk *next; /* of the same reading, while it goes on */
	atomic_uint live;   /* blocks, and one for the reading itself */
	uint32_t used;      /* bytes of room */
	_Alignas(8) uint8_t room[];
};

struct block {
	struct chunk *chunk; /* NULL: a block of malloc's */
};

enum { CHUNK = 16384, UNIT = 8 };
_Static_assert(sizeof(struct block) <= UNIT, "what follows a block is aligned for jansson's values");

static _Thread_local struct {
	struct chunk *chunks;
	jmp_buf out;
	bool reads, starved;
} memory;

static void chunk_drop(struct chunk *c)
{
	if (atomic_fetch_sub(&c->live, 1) == 1)
		free(c);
}

/* n: a multiple of UNIT. A block that is larger than a chunk has a chunk to itself. */
static struct block *chunk_take(size_t n)
{
	struct chunk *c = memory.chunks;
	if (!c || n > CHUNK || c->used > CHUNK - n) {
		c = malloc(sizeof *c + (n > CHUNK ? n : CHUNK));
		if (!c)
			return NULL;
		c->next = memory.chunks;
		c->used = 0;
		atomic_init(&c->live, 1);
		memory.chunks = c;
	}
	struct block *b = (struct block *)(void *)(c->room + c->used);
	b->chunk = c;
	c->used += n > CHUNK ? CHUNK : (uint32_t)n;
	atomic_fetch_add(&c->live, 1);
	return b;
}

static void *block_take(size_t n)
{
	struct block *b = NULL;
	if (n <= SIZE_MAX - 2 * UNIT - sizeof(struct chunk)) {
		n = UNIT + (n + UNIT - 1) / UNIT * UNIT;
		if (memory.reads)
			b = chunk_take(n);
		else if ((b = malloc(n)))
			b->chunk = NULL;
	}
	if (b)
		return (uint8_t *)b + UNIT;
	memory.starved = true;
	if (memory.reads)
		longjmp(memory.out, 1);
	return NULL;
}

static void block_give(void *p)
{
	struct block *b = p ? (struct block *)(void *)((uint8_t *)p - UNIT) : NULL;
	if (b && b->chunk)
		chunk_drop(b->chunk);
	else
		free(b);
}

void sn_json_init(void)
{
	json_set_alloc_funcs(block_take, block_give);
}

bool sn_json_guard(void (*read)(void *ctx), void *ctx)
{
	memory.chunks = NULL;
	memory.reads = true;
	bool whole = !setjmp(memory.out);
	if (whole)
		read(ctx);
	memory.reads = false;
	for (struct chunk *c = memory.chunks, *next; c; c = next) {
		next = c->next;
		if (whole)
			chunk_drop(c); /* its blocks live on in the tree */
		else
			free(c);
	}
	return whole;
}

void sn_json_watch(void)
{
	memory.starved = false;
}

bool sn_json_starved(void)
{
	return memory.starved;
}
