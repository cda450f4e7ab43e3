/* sounds.h - waves that tests/golden/hear/sounds.py makes the same way. */
#ifndef TESTS_SOUNDS_H
#define TESTS_SOUNDS_H

#include <stddef.h>
#include <stdint.h>

/* f32 [n], malloc'ed: three triangle waves that come and go, and noise. */
float *sound_wave(size_t n, uint64_t seed);

#endif
