/* rows_file.h - what the zoo's codec reads: rows of numbers, and the text around them (its last byte comes behind). */
#ifndef TESTS_ROWS_FILE_H
#define TESTS_ROWS_FILE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint8_t *rows_file(const char *text, const float *rows, uint32_t n_rows, uint32_t dim, size_t *size)
{
	uint32_t head[3] = {n_rows, dim, (uint32_t)strlen(text)};
	size_t bytes = (size_t)n_rows * dim * sizeof(float);
	uint8_t *p = malloc(20 + head[2] + bytes);
	memcpy(p, "SNROWS1\n", 8);
	memcpy(p + 8, head, 12);
	memcpy(p + 20, text, head[2]);
	memcpy(p + 20 + head[2], rows, bytes);
	*size = 20 + head[2] + bytes;
	return p;
}

#endif
