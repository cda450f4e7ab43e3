/* activation_avx2.c - the activation variants for avx2. */
#include "avx2.h"

#include "activation.inc"
