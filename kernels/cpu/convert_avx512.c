/* convert_avx512.c - the convert variants for avx512. */
#include "avx512.h"

#include "convert.inc"
