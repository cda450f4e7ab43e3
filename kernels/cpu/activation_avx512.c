/* activation_avx512.c - the activation variants for avx512. */
#include "avx512.h"

#include "activation.inc"
