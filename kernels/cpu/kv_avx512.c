/* kv_avx512.c - the kv variants for avx512. */
#include "avx512.h"

#include "kv.inc"
