/* passes.c - the passes for any CPU. */
#define PASSES sn_passes_plain
#include "passes.inc"
