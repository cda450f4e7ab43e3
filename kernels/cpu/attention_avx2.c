/* attention_avx2.c - the attention variants for avx2. */
#include "avx2.h"

#include "attention.inc"
