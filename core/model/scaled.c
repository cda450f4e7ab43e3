#include "model/scaled.h"

enum { TILE_ROWS = 16, TILE_COLS = 64 }; /* of sums that are not scaled yet */

static float scale_of(const weight_scales *s, size_t row, size_t block)
{
	return s->v[(s->first + row) / s->rows * s->across + block];
}

/* A tile of y: of one block of inputs after the other. */
static void tile(kn_linear_fn *fn, float *y, size_t ldy, const float *x, size_t ldx, const weight *w, size_t c0, size_t m, size_t n)
{
	const weight_scales *s = &w->scales;
	const size_t value = w->stride / w->n_in;
	float part[TILE_ROWS * TILE_COLS];
	for (size_t b = 0, k0 = 0; b < s->across; b++, k0 += s->cols) {
		size_t k = w->n_in - k0 < s->cols ? w->n_in - k0 : s->cols;
		fn(part, TILE_COLS, x + k0, ldx, (const uint8_t *)w->data + c0 * w->stride + k0 * value, w->stride, NULL, m, n, k);
		for (size_t i = 0; i < n; i++) {
			float scale = scale_of(s, c0 + i, b);
			for (size_t r = 0; r < m; r++)
				y[r * ldy + i] = (b ? y[r * ldy + i] : 0) + part[r * TILE_COLS + i] * scale;
		}
	}
}

void scaled_linear(kn_linear_fn *fn, float *y, size_t ldy, const float *x, size_t ldx, const weight *w, size_t c0, size_t m, size_t n)
{
	for (size_t i = 0; i < n; i += TILE_COLS)
		for (size_t r = 0; r < m; r += TILE_ROWS)
			tile(fn, y + r * ldy + i, ldy, x + r * ldx, ldx, w, c0 + i, m - r < TILE_ROWS ? m - r : TILE_ROWS, n - i < TILE_COLS ? n - i : TILE_COLS);
	for (size_t r = 0; r < m && w->bias; r++)
		for (size_t i = 0; i < n; i++)
			y[r * ldy + i] += w->bias[c0 + i];
}

void scaled_row(float *values, const weight *w, size_t row)
{
	for (size_t i = 0; i < w->n_in; i++)
		values[i] *= scale_of(&w->scales, row, i / w->scales.cols);
}
