/* resize.c - see resize.h. One axis = a table of taps; a pass applies one table. */
#include "resize.h"
#include "passes.h"

#include <math.h>
#include <string.h>

enum { PRECISION = 22, SHORT_BITS = 15 };
_Static_assert(SN_PLANE_SPARE >= SN_TAP_BLOCK - 1, "a block of taps may end behind its plane");

static double bilinear(double x)
{
	x = fabs(x);
	return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic(double x)
{
	const double a = -0.5;
	x = fabs(x);
	if (x < 1.0)
		return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
	if (x < 2.0)
		return (((x - 5) * x + 8) * x - 4) * a;
	return 0.0;
}

static double sinc(double x)
{
	if (x == 0.0)
		return 1.0;
	x *= 3.14159265358979323846;
	return sin(x) / x;
}

static double lanczos3(double x)
{
	return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
	double (*f)(double);
	double support;
	bool torch; /* PyTorch's rounding, else Pillow's */
} FILTERS[] = {
    [SN_FILTER_BILINEAR] = {bilinear, 1.0, false},
    [SN_FILTER_BICUBIC] = {bicubic, 2.0, false},
    [SN_FILTER_LANCZOS3] = {lanczos3, 3.0, false},
    [SN_FILTER_LANCZOS3_TORCH] = {lanczos3, 3.0, true},
};

/* Adds count * size, rounded up to 64, to *total. */
static bool add_bytes(size_t *total, uint64_t count, uint64_t size)
{
	uint64_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 63)
		return false;
	return !__builtin_add_overflow(*total, (size_t)((bytes + 63) & ~(uint64_t)63), total);
}

static uint32_t tap_width(uint32_t in, uint32_t out, sn_filter filter)
{
	double scale = (double)in / out;
	double support = FILTERS[filter].support * (scale < 1.0 ? 1.0 : scale);
	double width = ceil(support) * 2 + 1;
	return width < in ? (uint32_t)width : in;
}

static uint32_t short_width(uint32_t width)
{
	return (width + SN_TAP_BLOCK - 1) / SN_TAP_BLOCK * SN_TAP_BLOCK;
}

static bool tap_bytes(size_t *total, uint32_t in, uint32_t out, sn_filter filter)
{
	uint32_t width = tap_width(in, out, filter);
	return add_bytes(total, (uint64_t)out * width, sizeof(int32_t)) && add_bytes(total, out, sizeof(uint32_t)) &&
	       add_bytes(total, out, sizeof(uint32_t)) && add_bytes(total, width, sizeof(double)) &&
	       (!FILTERS[filter].torch || add_bytes(total, (uint64_t)out * short_width(width), sizeof(int16_t)));
}

static void *carve(uint8_t **at, uint64_t count, size_t size)
{
	void *p = *at;
	*at += (count * size + 63) & ~(uint64_t)63;
	return p;
}

/* Output i's taps: where they are, and their weights into exact, of sum 1. Returns the largest. */
static double exact_taps(sn_taps *t, uint32_t in, uint32_t i, sn_filter filter, double *exact)
{
	double scale = (double)in / t->n;
	double stretch = scale < 1.0 ? 1.0 : scale;
	double support = FILTERS[filter].support * stretch;
	double shrink = 1.0 / stretch;
	double center = (i + 0.5) * scale;
	double low = center - support + 0.5, high = center + support + 0.5;
	uint32_t first = low < 0 ? 0 : (uint32_t)low;
	uint32_t end = high > in ? in : (uint32_t)high;
	double sum = 0.0, most = 0.0;
	t->first[i] = first;
	t->count[i] = end - first;
	for (uint32_t k = 0; k < end - first; k++) {
		exact[k] = FILTERS[filter].f((k + (double)first - center + 0.5) * shrink);
		sum += exact[k];
	}
	for (uint32_t k = 0; k < end - first; k++) {
		exact[k] = sum != 0.0 ? exact[k] / sum : exact[k];
		most = exact[k] > most ? exact[k] : most;
	}
	return most;
}

/* As many fractional bits as leave the table's largest weight within SHORT_BITS. */
static uint32_t short_precision(sn_taps *t, uint32_t in, sn_filter filter, double *exact)
{
	double most = 0.0;
	uint32_t bits = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		double w = exact_taps(t, in, i, filter, exact);
		most = w > most ? w : most;
	}
	while (bits < PRECISION && (int32_t)(0.5 + most * (1 << (bits + 1))) < 1 << SHORT_BITS)
		bits++;
	return bits;
}

/* Takes the table's memory from *at, in the order that tap_bytes counts it. */
static sn_taps make_taps(uint8_t **at, uint32_t in, uint32_t out, sn_filter filter)
{
	sn_taps t = {.n = out, .width = tap_width(in, out, filter), .precision = PRECISION};
	t.weight = carve(at, (uint64_t)out * t.width, sizeof(int32_t));
	t.first = carve(at, out, sizeof(uint32_t));
	t.count = carve(at, out, sizeof(uint32_t));
	double *exact = carve(at, t.width, sizeof(double));
	if (FILTERS[filter].torch) {
		t.short_width = short_width(t.width);
		t.short_weight = carve(at, (uint64_t)out * t.short_width, sizeof(int16_t));
		t.precision = short_precision(&t, in, filter, exact);
	}
	for (uint32_t i = 0; i < out; i++) {
		int32_t *weight = t.weight + (size_t)i * t.width;
		int16_t *shorts = t.short_weight ? t.short_weight + (size_t)i * t.short_width : NULL;
		exact_taps(&t, in, i, filter, exact);
		for (uint32_t k = 0; k < t.count[i]; k++)
			weight[k] = (int32_t)(exact[k] * (1 << t.precision) + (exact[k] < 0 ? -0.5 : 0.5));
		for (uint32_t k = 0; k < t.short_width; k++)
			shorts[k] = (int16_t)(k < t.count[i] ? weight[k] : 0);
	}
	return t;
}

static const sn_passes *passes(void)
{
	return SN_HAS_AVX2() ? &sn_passes_avx2 : &sn_passes_plain;
}

bool sn_rgb_bytes(uint32_t width, uint32_t height, size_t *bytes)
{
	if (!width || !height || width > SN_RESIZE_MAX_SIDE || height > SN_RESIZE_MAX_SIDE)
		return false;
	return !__builtin_mul_overflow((uint64_t)width * height, (uint64_t)3, bytes);
}

/* Pillow 13 and later: a picture that loses many more rows than columns is shortened first (pull request 9549). */
static bool vertical_first(uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h, sn_filter filter)
{
	return !FILTERS[filter].torch && out_h < in_h && (int64_t)in_h - out_h > 2 * ((int64_t)in_w - out_w);
}

bool sn_resize_scratch(uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h, sn_filter filter, size_t *bytes)
{
	size_t picture, total = 64;
	if ((unsigned)filter > SN_FILTER_LANCZOS3_TORCH || !sn_rgb_bytes(in_w, in_h, &picture) || !sn_rgb_bytes(out_w, out_h, &picture))
		return false;
	if (in_w != out_w && !tap_bytes(&total, in_w, out_w, filter))
		return false;
	if (in_h != out_h && !tap_bytes(&total, in_h, out_h, filter))
		return false;
	if (in_w != out_w && in_h != out_h) {
		uint64_t between = vertical_first(in_w, in_h, out_w, out_h, filter) ? (uint64_t)in_w * out_h : (uint64_t)out_w * in_h;
		if (!add_bytes(&total, between, 3))
			return false;
	}
	*bytes = total;
	return true;
}

void sn_resize_rgb(const uint8_t *src, uint32_t in_w, uint32_t in_h, uint8_t *dst, uint32_t out_w, uint32_t out_h,
                   sn_filter filter, void *scratch)
{
	uint8_t *at = scratch;
	const sn_passes *p = passes();
	sn_taps across, down;
	if (in_w == out_w && in_h == out_h) {
		memcpy(dst, src, (size_t)out_w * out_h * 3);
		return;
	}
	if (in_w != out_w)
		across = make_taps(&at, in_w, out_w, filter);
	if (in_h != out_h)
		down = make_taps(&at, in_h, out_h, filter);

	if (in_h == out_h) {
		p->across(&across, src, in_w, in_h, dst);
	} else if (in_w == out_w) {
		p->down(&down, src, (size_t)in_w * 3, dst);
	} else if (vertical_first(in_w, in_h, out_w, out_h, filter)) {
		p->down(&down, src, (size_t)in_w * 3, at); /* [out_h][in_w][3] */
		p->across(&across, at, in_w, out_h, dst);
	} else {
		p->across(&across, src, in_w, in_h, at); /* [in_h][out_w][3] */
		p->down(&down, at, (size_t)out_w * 3, dst);
	}
}

void sn_resize_planes(const uint8_t *const src[3], size_t stride, uint32_t in_w, uint32_t in_h, uint8_t *dst, uint32_t out_w, uint32_t out_h,
                      sn_filter filter, uint8_t *woven, void *scratch)
{
	const sn_passes *p = passes();
	uint8_t *at = scratch;
	if (in_w == out_w && in_h == out_h) {
		p->weave(src, stride, in_w, in_h, dst);
	} else if (in_w == out_w || vertical_first(in_w, in_h, out_w, out_h, filter)) {
		p->weave(src, stride, in_w, in_h, woven);
		sn_resize_rgb(woven, in_w, in_h, dst, out_w, out_h, filter, scratch);
	} else {
		sn_taps across = make_taps(&at, in_w, out_w, filter);
		if (in_h == out_h) {
			p->across_planes(&across, src, stride, in_h, dst);
			return;
		}
		sn_taps down = make_taps(&at, in_h, out_h, filter);
		p->across_planes(&across, src, stride, in_h, at); /* [in_h][out_w][3] */
		p->down(&down, at, (size_t)out_w * 3, dst);
	}
}
