/* buf.h - a growing byte buffer with a cap. A failed append sets `failed` and leaves the content whole: callers may
 * append many times and look once. Always NUL-terminated when p is not NULL. */
#ifndef SN_BASE_BUF_H
#define SN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

typedef struct buf {
	char *p;
	size_t n, cap;
	size_t limit; /* bytes; 0: none */
	bool failed;  /* over the limit or out of memory */
} buf;

void buf_init(buf *b, size_t limit);
void buf_fini(buf *b);
bool buf_append(buf *b, const void *p, size_t n);
bool buf_printf(buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
