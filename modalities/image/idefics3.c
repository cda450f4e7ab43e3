/* idefics3.c - see idefics3.h. */
#include "idefics3.h"

#include "resize.h"

enum { MAX_EDGE = 4096, MAX_PARAM = 65536 };

static uint32_t at_least_1(double v) { return v < 1.0 ? 1 : (uint32_t)v; }

static uint32_t up_to_multiple(uint32_t v, uint32_t of) { return (v + of - 1) / of * of; }

/* The longer side becomes `longest`; the other keeps the aspect, truncated, then made even. */
static void fit_longest(uint32_t *w, uint32_t *h, uint32_t longest)
{
	double aspect = (double)*w / *h;
	uint32_t *lead = *w >= *h ? w : h, *follow = *w >= *h ? h : w;
	uint32_t other = (uint32_t)(lead == w ? longest / aspect : longest * aspect);
	*lead = longest;
	*follow = at_least_1(other + other % 2);
}

static void clamp_longest(uint32_t *w, uint32_t *h, uint32_t longest)
{
	double aspect = (double)*w / *h;
	if (*w >= *h && *w > longest) {
		*w = longest;
		*h = at_least_1(*w / aspect);
	} else if (*h > *w && *h > longest) {
		*h = longest;
		*w = at_least_1(*h * aspect);
	}
}

/* Both sides become multiples of `side`; the second one follows from the first by the aspect. (Where the reference rounds a
 * thread of a picture down to nothing, and fails, one crop stays.) */
static void fit_grid(uint32_t *w, uint32_t *h, uint32_t side)
{
	double aspect = (double)*w / *h;
	if (*w >= *h) {
		*w = up_to_multiple(*w, side);
		*h = up_to_multiple(at_least_1(*w / aspect), side);
	} else {
		*h = up_to_multiple(*h, side);
		*w = up_to_multiple(at_least_1(*h * aspect), side);
	}
}

bool sn_idefics3_plan(uint32_t width, uint32_t height, uint32_t longest, uint32_t side, bool splitting, sn_idefics3_cut *cut)
{
	if (!width || !height || width > SN_RESIZE_MAX_SIDE || height > SN_RESIZE_MAX_SIDE)
		return false;
	if (!longest || !side || longest > MAX_PARAM || side > MAX_PARAM)
		return false;

	sn_idefics3_cut c = {.in_w = width, .in_h = height, .side = side, .n_images = 1};
	uint32_t w = width, h = height;
	fit_longest(&w, &h, longest);
	clamp_longest(&w, &h, MAX_EDGE);
	c.fit_w = w;
	c.fit_h = h;
	if (splitting)
		fit_grid(&w, &h, side);
	else
		w = h = side;
	if (!w || !h || w > SN_RESIZE_MAX_SIDE || h > SN_RESIZE_MAX_SIDE)
		return false;
	c.grid_w = w;
	c.grid_h = h;
	if (w > side || h > side) {
		c.rows = h / side;
		c.cols = w / side;
		c.n_images = c.rows * c.cols + 1;
	}
	*cut = c;
	return true;
}

bool sn_idefics3_bytes(const sn_idefics3_cut *cut, size_t *pixels, size_t *scratch)
{
	size_t fit, grid, global, a, b, c = 0;
	if (!sn_rgb_bytes(cut->fit_w, cut->fit_h, &fit) || !sn_rgb_bytes(cut->grid_w, cut->grid_h, &grid) ||
	    !sn_rgb_bytes(cut->side, cut->side, &global))
		return false;
	if (!sn_resize_scratch(cut->in_w, cut->in_h, cut->fit_w, cut->fit_h, SN_FILTER_LANCZOS3, &a) ||
	    !sn_resize_scratch(cut->fit_w, cut->fit_h, cut->grid_w, cut->grid_h, SN_FILTER_LANCZOS3, &b))
		return false;
	if (cut->rows && !sn_resize_scratch(cut->grid_w, cut->grid_h, cut->side, cut->side, SN_FILTER_LANCZOS3, &c))
		return false;
	size_t most = a > b ? a : b;
	most = most > c ? most : c;
	*pixels = grid + (cut->rows ? global : 0);
	*scratch = most + ((fit + 63) & ~(size_t)63);
	return true;
}

void sn_idefics3_run(const sn_idefics3_cut *cut, const uint8_t *rgb, uint8_t *pixels, void *scratch)
{
	size_t fit_bytes = (size_t)cut->fit_w * cut->fit_h * 3;
	uint8_t *fit = scratch, *work = fit + ((fit_bytes + 63) & ~(size_t)63);
	sn_resize_rgb(rgb, cut->in_w, cut->in_h, fit, cut->fit_w, cut->fit_h, SN_FILTER_LANCZOS3, work);
	sn_resize_rgb(fit, cut->fit_w, cut->fit_h, pixels, cut->grid_w, cut->grid_h, SN_FILTER_LANCZOS3, work);
	if (cut->rows)
		sn_resize_rgb(pixels, cut->grid_w, cut->grid_h, pixels + (size_t)cut->grid_w * cut->grid_h * 3, cut->side, cut->side,
		              SN_FILTER_LANCZOS3, work);
}

const uint8_t *sn_idefics3_image(const sn_idefics3_cut *cut, const uint8_t *pixels, uint32_t i, size_t *stride)
{
	if (i + 1 == cut->n_images) {
		*stride = (size_t)cut->side * 3;
		return pixels + (cut->rows ? (size_t)cut->grid_w * cut->grid_h * 3 : 0);
	}
	*stride = (size_t)cut->grid_w * 3;
	return pixels + (size_t)(i / cut->cols) * cut->side * *stride + (size_t)(i % cut->cols) * cut->side * 3;
}
