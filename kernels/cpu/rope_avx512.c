/* rope_avx512.c - the rope variants for avx512. */
#include "avx512.h"

#include "rope.inc"
