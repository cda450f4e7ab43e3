/* arena.h - memory that dies together: everything that a request or a loaded model allocates hangs from one arena.
 * Not thread-safe. Blocks are never moved; nothing is freed before arena_close. */
#ifndef SN_BASE_ARENA_H
#define SN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct arena arena;

/* limit: bytes that may be handed out in all (0: no limit). NULL when memory is short. */
arena *arena_open(size_t limit);
/* Runs the deferred calls, newest first, then frees everything. Sets *a to NULL; *a may be NULL. */
void arena_close(arena **a);
/* n bytes, zeroed, aligned to 16; NULL over the limit or out of memory. n = 0 gives a valid pointer. */
void *arena_alloc(arena *a, size_t n);
/* n elements of size bytes, product checked. */
void *arena_array(arena *a, size_t n, size_t size);
/* Bytes that it holds. */
size_t arena_bytes(const arena *a);
/* Was it the system that had no memory, and not the limit, when an allocation last failed? */
bool arena_starved(const arena *a);
/* A NUL-terminated copy of n bytes. */
char *arena_strndup(arena *a, const char *s, size_t n);
/* fn(ctx) runs at arena_close. 0, or -1 if memory is short (fn is then not registered). */
int arena_defer(arena *a, void (*fn)(void *ctx), void *ctx);

#endif
