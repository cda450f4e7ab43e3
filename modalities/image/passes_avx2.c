/* passes_avx2.c - the passes for CPUs with AVX2; the same as passes.c where there is no such thing. */
#define PASSES sn_passes_avx2
#include "passes.inc"
