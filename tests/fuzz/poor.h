/* poor.h - allocations that fail, for targets that are linked with poor.c: those of api, whose code asks libc for memory. */
#ifndef TESTS_FUZZ_POOR_H
#define TESTS_FUZZ_POOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number from 1 to most that hangs on the input alone. */
unsigned poor_choice(const uint8_t *data, size_t size, unsigned most);
/* From now on the n-th allocation fails; no other does. */
void poor_begin(unsigned n);
/* No more. -> has one failed? */
bool poor_end(void);

#endif
