/* rope_avx2.c - the rope variants for avx2. */
#include "avx2.h"

#include "rope.inc"
