/* quant_avx512.c - products with quantised weights for avx512. */
#include "avx512.h"

#include "blocks.inc"
#include "quant.inc"
