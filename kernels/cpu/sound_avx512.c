/* sound_avx512.c - the sound variants for avx512. */
#include "avx512.h"

#include "sound.inc"
