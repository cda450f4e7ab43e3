/* check.h - what the two halves of kn_check share: check.c proves, time.c measures. */
#ifndef KN_CHECK_H
#define KN_CHECK_H

#include "kernels.h"

/* Uniform in [-1, 1), from a counter: the same numbers in every run. */
float random_float(void);
unsigned random_below(unsigned n);

/* Prints time, rate and ratio to the reference of every row that this machine has, or of one family. */
void time_rows(const char *only);

#endif
