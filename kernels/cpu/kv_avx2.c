/* kv_avx2.c - the kv variants for avx2. */
#include "avx2.h"

#include "kv.inc"
