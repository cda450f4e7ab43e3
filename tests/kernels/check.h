/* check.h - what the parts of kn_check share: check*.c prove (proof.h), values.c knows the truth about storage, time.c measures. */
#ifndef KN_CHECK_H
#define KN_CHECK_H

#include "kernels.h"

/* From a counter: the same numbers in every run. Floats are uniform in [-1, 1). */
uint32_t random_bits(void);
float random_float(void);
unsigned random_below(unsigned n);

double value_of_f16(uint16_t h);
double value_of_bf16(uint16_t h);
/* Value i of a stored row is product + added, before any rounding. */
typedef struct stored { double product, added; } stored;
stored value_in(kn_type type, const void *row, size_t i);
/* Values of a block of a type; 1 if it has none. */
size_t block_size(kn_type type);
/* n random values of a type, n a multiple of its block. */
void random_weights(kn_type type, void *w, size_t n);

/* Prints time, rate and ratio to the reference of every row that this machine has, or of one family. */
void time_rows(const char *only);

#endif
