/* sound_avx2.c - the sound variants for avx2. */
#include "avx2.h"

#include "sound.inc"
