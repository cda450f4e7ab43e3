/* grow.h - an array that doubles. */
#ifndef SN_GRAMMAR_GROW_H
#define SN_GRAMMAR_GROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* *at: [*cap] elements of `size` bytes; makes room for n of them. False when memory is short: nothing has changed. */
static inline bool grow(void *at, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return true;
	size_t more = *cap ? *cap : 16;
	while (more < n) {
		if (more > SIZE_MAX / 2)
			return false;
		more *= 2;
	}
	void *p = reallocarray(*(void **)at, more, size);
	if (!p)
		return false;
	*(void **)at = p;
	*cap = more;
	return true;
}

#endif
