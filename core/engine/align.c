#include "engine/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 7, HALF = WIDTH / 2 };
enum { STEP_BOTH, STEP_DOWN, STEP_RIGHT };

void align_crop(float *w, uint32_t n_lists, uint32_t n, uint32_t n_kept)
{
	for (uint32_t l = 0; l < n_lists; l++) {
		const float *from = w + (size_t)l * n;
		float *to = w + (size_t)l * n_kept;
		double sum = 0;
		for (uint32_t i = 0; i < n_kept; i++)
			sum += (double)from[i];
		for (uint32_t i = 0; i < n_kept; i++)
			to[i] = sum > 0 ? (float)((double)from[i] / sum) : 0;
	}
}

/* Over all tokens, each media row's weights get mean 0 and deviation 1. A row that all tokens look at alike tells nothing. */
static void standardise(float *w, uint32_t n_tokens, uint32_t n_rows)
{
	for (uint32_t r = 0; r < n_rows; r++) {
		double sum = 0, squares = 0;
		for (uint32_t t = 0; t < n_tokens; t++)
			sum += (double)w[(size_t)t * n_rows + r];
		double mean = sum / n_tokens;
		for (uint32_t t = 0; t < n_tokens; t++) {
			double d = (double)w[(size_t)t * n_rows + r] - mean;
			squares += d * d;
		}
		double dev = sqrt(squares / n_tokens);
		for (uint32_t t = 0; t < n_tokens; t++) {
			float *x = &w[(size_t)t * n_rows + r];
			*x = dev > 0 ? (float)(((double)*x - mean) / dev) : 0;
		}
	}
}

static float median(const float *x)
{
	float v[WIDTH];
	for (int i = 0; i < WIDTH; i++) {
		int k = i;
		for (; k > 0 && v[k - 1] > x[i]; k--)
			v[k] = v[k - 1];
		v[k] = x[i];
	}
	return v[HALF];
}

void align_median(float *x, uint32_t n, float *scratch)
{
	if (n <= HALF)
		return;
	memcpy(scratch + HALF, x, n * sizeof *x);
	for (uint32_t i = 1; i <= HALF; i++) {
		scratch[HALF - i] = x[i];
		scratch[HALF + n - 1 + i] = x[n - 1 - i];
	}
	for (uint32_t i = 0; i < n; i++)
		x[i] = median(scratch + i);
}

bool align_path(const float *cost, uint32_t n, uint32_t m, uint32_t *begins)
{
	/* Sums are kept for one column only, the steps for all. Ties prefer right, as the reference's. */
	float *sum = malloc(((size_t)n + 1) * sizeof *sum);
	uint8_t *steps = n && m ? calloc(n, m) : NULL;
	if (!sum || !steps) {
		free(sum);
		free(steps);
		return false;
	}
	sum[0] = 0;
	for (uint32_t i = 1; i <= n; i++)
		sum[i] = INFINITY;
	for (uint32_t j = 0; j < m; j++) {
		float above_left = sum[0], above = INFINITY; /* row 0 is infinite but in its first column */
		sum[0] = INFINITY;
		for (uint32_t i = 0; i < n; i++) {
			float left = sum[i + 1], least = left;
			uint8_t step = STEP_RIGHT;
			if (above_left < above && above_left < left) {
				least = above_left;
				step = STEP_BOTH;
			} else if (above < above_left && above < left) {
				least = above;
				step = STEP_DOWN;
			}
			steps[(size_t)j * n + i] = step;
			above_left = left;
			above = sum[i + 1] = (float)((double)cost[(size_t)i * m + j] + (double)least);
		}
	}
	for (uint32_t i = n - 1, j = m - 1;;) {
		uint8_t step = steps[(size_t)j * n + i];
		begins[i] = j; /* the last one written is the first row of the token */
		if (i == 0 && j == 0)
			break;
		if (j == 0 || (step == STEP_DOWN && i > 0))
			i--;
		else if (i == 0 || step == STEP_RIGHT)
			j--;
		else
			i--, j--;
	}
	free(sum);
	free(steps);
	return true;
}

bool align_tokens(float *w, uint32_t n_heads, uint32_t n_tokens, uint32_t n_rows, uint32_t first, uint32_t end, uint32_t *begins)
{
	float *scratch = malloc(((size_t)n_rows + 2 * HALF) * sizeof *scratch);
	bool ok = scratch;
	for (uint32_t h = 0; ok && h < n_heads; h++) {
		float *head = w + (size_t)h * n_tokens * n_rows;
		standardise(head, n_tokens, n_rows);
		for (uint32_t t = first; t < end; t++)
			align_median(head + (size_t)t * n_rows, n_rows, scratch);
	}
	/* Costs: the mean over the heads, negated; gathered where the first head's weights of these tokens stand. */
	float *cost = w + (size_t)first * n_rows;
	for (size_t i = 0; ok && i < (size_t)(end - first) * n_rows; i++) {
		float sum = 0;
		for (uint32_t h = 0; h < n_heads; h++)
			sum += cost[(size_t)h * n_tokens * n_rows + i];
		cost[i] = -(sum / (float)n_heads);
	}
	ok = ok && align_path(cost, end - first, n_rows, begins);
	free(scratch);
	return ok;
}
