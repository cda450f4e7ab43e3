/* linear_avx512.c - the linear variants for avx512. */
#include "avx512.h"

#include "linear.inc"
