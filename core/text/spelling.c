#include "text/spelling.h"

#include <stdlib.h>

static size_t hash(str s)
{
	uint64_t h = 0xCBF29CE484222325u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001B3u;
	return (size_t)(h ^ h >> 32);
}

static int32_t *slot_of(const spelling_index *x, str s)
{
	size_t i = hash(s) & x->mask;
	while (x->slot[i] >= 0 && !str_eq(x->tokens[x->slot[i]], s))
		i = (i + 1) & x->mask;
	return &x->slot[i];
}

bool spelling_index_init(spelling_index *x, const str *tokens, size_t n, const bool *include)
{
	size_t slots = 16;
	while (slots < 2 * n)
		slots *= 2;
	*x = (spelling_index){tokens, reallocarray(NULL, slots, sizeof *x->slot), slots - 1};
	if (!x->slot)
		return false;
	memset(x->slot, -1, slots * sizeof *x->slot);
	for (size_t i = 0; i < n; i++) {
		int32_t *slot = include && !include[i] ? NULL : slot_of(x, tokens[i]);
		if (slot && *slot < 0)
			*slot = (int32_t)i;
	}
	return true;
}

void spelling_index_fini(spelling_index *x)
{
	free(x->slot);
	x->slot = NULL;
}

int32_t spelling_find(const spelling_index *x, str s)
{
	return *slot_of(x, s);
}
