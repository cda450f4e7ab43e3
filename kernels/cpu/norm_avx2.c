/* norm_avx2.c - the norm variants for avx2. */
#include "avx2.h"

#include "norm.inc"
