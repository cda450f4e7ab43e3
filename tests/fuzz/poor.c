/* poor.c - malloc and its kin as the code under test sees them (the linker's --wrap): one call fails when a target asks for it. */
#include "poor.h"

#include <errno.h>
#include <stdlib.h>

static unsigned left; /* calls until one fails; 0: none */
static bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool fails(void)
{
	if (!left || --left)
		return false;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

unsigned poor_choice(const uint8_t *data, size_t size, unsigned most)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * 16777619u;
	return 1 + (h >> 8) % most;
}

void poor_begin(unsigned n)
{
	left = n;
	has_failed = false;
}

bool poor_end(void)
{
	left = 0;
	return has_failed;
}
