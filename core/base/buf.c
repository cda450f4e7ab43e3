#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(buf *b, size_t limit)
{
	*b = (buf){.limit = limit};
}

void buf_fini(buf *b)
{
	free(b->p);
	*b = (buf){0};
}

static bool reserve(buf *b, size_t n)
{
	if (b->failed || n > SIZE_MAX / 4 || (b->limit && (n > b->limit || b->n > b->limit - n)))
		goto fail;
	if (b->cap - b->n > n)
		return true;
	size_t cap = b->cap ? b->cap : 128;
	while (cap - b->n <= n) {
		if (cap > SIZE_MAX / 4)
			goto fail;
		cap *= 2;
	}
	char *p = realloc(b->p, cap);
	if (!p)
		goto fail;
	b->p = p;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

bool buf_append(buf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return false;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = 0;
	return true;
}

bool buf_printf(buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n)) {
		b->failed = true;
		return false;
	}
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return true;
}
