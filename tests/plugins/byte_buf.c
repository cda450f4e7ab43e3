/* byte_buf.c - see byte_buf.h. */
#include "byte_buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void add(byte_buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	while (b->cap - b->n < n)
		b->p = realloc(b->p, b->cap = b->cap * 2 + 4096);
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void add_be32(byte_buf *b, uint32_t v) { add(b, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4); }

void add_le(byte_buf *b, uint32_t v, size_t n)
{
	for (; n; n--, v >>= 8)
		add(b, (uint8_t[]){(uint8_t)v}, 1);
}

long peak_kib(void)
{
#ifdef __SANITIZE_THREAD__
	return 0; /* its shadow says nothing about the program */
#endif
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long peak = 0;
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "VmHWM: %ld", &peak);
	if (f)
		fclose(f);
	return peak;
}
