/* check_guard.c - see check.h. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin/check.h"

enum { PATTERN = 0xA5 };

bool guarded_open(guarded *g, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	*g = (guarded){.usable = (n / page + 1) * page};
	g->map_bytes = g->usable + page;
	g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->map == MAP_FAILED) {
		g->map = NULL;
		return false;
	}
	mprotect(g->map + g->usable, page, PROT_NONE);
	guarded_fit(g, n);
	return true;
}

/* How far before the bytes the pattern reaches. */
static size_t pattern_bytes(const guarded *g)
{
	size_t before = (size_t)(g->p - g->map);
	return before < 4096 ? before : 4096;
}

void guarded_fit(guarded *g, size_t n)
{
	g->n = n;
	g->p = g->map + g->usable - n;
	memset(g->p - pattern_bytes(g), PATTERN, pattern_bytes(g));
}

void guarded_seal(guarded *g)
{
	mprotect(g->map, g->usable, PROT_READ);
}

void guarded_unseal(guarded *g)
{
	mprotect(g->map, g->usable, PROT_READ | PROT_WRITE);
}

bool guarded_intact(const guarded *g)
{
	for (size_t i = pattern_bytes(g); i > 0; i--)
		if (g->p[-(ptrdiff_t)i] != PATTERN)
			return false;
	return true;
}

void guarded_close(guarded *g)
{
	if (g->map)
		munmap(g->map, g->map_bytes);
	*g = (guarded){0};
}
