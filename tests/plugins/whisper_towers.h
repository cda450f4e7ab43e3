/* whisper_towers.h - the miniature of each of whisper's families, as tests/golden/hear/make.py makes them, and its references' rows. */
#ifndef TESTS_WHISPER_TOWERS_H
#define TESTS_WHISPER_TOWERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "golden.h"

/* Voxtral's projector takes as many columns as its layers' feed-forward has. */
enum { MELS = 16, EMBD = 32, FF = 48, LAYERS = 2, HEADS = 4, CONTEXT = 60, WIDTH = 20, OMNI_WINDOW = 10, WINDOW = 2 * CONTEXT * 160 };

typedef struct tower {
	const char *type;
	uint32_t row_dim, stack, hidden, n_window, ff;
	size_t clips[4];
} tower;

static const tower TOWERS[] = {
    {"whisper", EMBD, 0, 0, 0, FF, {1, 7777, WINDOW}},
    {"ultravox", WIDTH, 8, 44, 0, FF, {100, 7777, WINDOW, 2 * WINDOW + 3333}},
    {"voxtral", WIDTH, 4, WIDTH, 0, 4 * EMBD, {7777, WINDOW + 9999}},
    {"qwen2a", WIDTH, 0, 0, 0, FF, {1, 7777, WINDOW, WINDOW + 9999}},
    {"qwen2.5o", WIDTH, 0, 0, OMNI_WINDOW, FF, {1, 7777, 60000}},
};
enum { N_TOWERS = sizeof TOWERS / sizeof *TOWERS };

/* As golden_rows_error, of a clip of so many samples. */
static inline double tower_error(const tower *t, size_t clip, const float *rows, uint32_t n_rows)
{
	char name[64];
	snprintf(name, sizeof name, "tower-%s-%zu.bin", t->type, clip);
	return golden_rows_error(name, rows, n_rows, t->row_dim);
}

#endif
