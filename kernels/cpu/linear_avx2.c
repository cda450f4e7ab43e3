/* linear_avx2.c - the linear variants for avx2. */
#include "avx2.h"

#include "linear.inc"
