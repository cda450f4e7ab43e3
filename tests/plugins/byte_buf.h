/* byte_buf.h - a growing array to build files in, and how much memory that took. */
#ifndef TESTS_BYTE_BUF_H
#define TESTS_BYTE_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct byte_buf {
	uint8_t *p;
	size_t n, cap;
} byte_buf;

void add(byte_buf *b, const void *p, size_t n);
void add_be32(byte_buf *b, uint32_t v);
void add_le(byte_buf *b, uint32_t v, size_t n); /* the low n bytes */

long peak_kib(void); /* the most memory that this program was ever resident with */

#endif
