/* convert_avx2.c - the convert variants for avx2. */
#include "avx2.h"

#include "convert.inc"
