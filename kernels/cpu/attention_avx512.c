/* attention_avx512.c - the attention variants for avx512. */
#include "avx512.h"

#include "attention.inc"
