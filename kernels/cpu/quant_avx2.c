/* quant_avx2.c - products with quantised weights for avx2. */
#include "avx2.h"

#include "blocks.inc"
#include "quant.inc"
