/* norm_avx512.c - the norm variants for avx512. */
#include "avx512.h"

#include "norm.inc"
