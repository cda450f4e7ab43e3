/* resize.c - see resize.h. One axis = a table of taps; a pass applies one table. */
#include "resize.h"

#include <math.h>
#include <string.h>

enum { PRECISION = 22, SHORT_BITS = 15, TILE = 768 };

/* The taps of one axis. Output i is the sum over k < count[i] of weight[i * width + k] * input[first[i] + k]. */
typedef struct taps {
	uint32_t n;       /* outputs */
	uint32_t width;   /* weights kept per output */
	uint32_t *first;  /* [n] */
	uint32_t *count;  /* [n] */
	int32_t *weight;  /* [n][width], in fractions of 1 << precision */
	uint32_t precision;
	double *exact;    /* [width], while one output is made */
} taps;

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

static bool tap_bytes(size_t *total, uint32_t in, uint32_t out, sn_filter filter)
{
	uint32_t width = tap_width(in, out, filter);
	return add_bytes(total, (uint64_t)out * width, sizeof(int32_t)) && add_bytes(total, out, sizeof(uint32_t)) &&
	       add_bytes(total, out, sizeof(uint32_t)) && add_bytes(total, width, sizeof(double));
}

static void *carve(uint8_t **at, uint64_t count, size_t size)
{
	void *p = *at;
	*at += (count * size + 63) & ~(uint64_t)63;
	return p;
}

/* Output i's taps: where they are, and their weights in t->exact, of sum 1. Returns the largest. */
static double exact_taps(taps *t, uint32_t in, uint32_t i, sn_filter filter)
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
		t->exact[k] = FILTERS[filter].f((k + (double)first - center + 0.5) * shrink);
		sum += t->exact[k];
	}
	for (uint32_t k = 0; k < end - first; k++) {
		t->exact[k] = sum != 0.0 ? t->exact[k] / sum : t->exact[k];
		most = t->exact[k] > most ? t->exact[k] : most;
	}
	return most;
}

/* As many fractional bits as leave the table's largest weight within SHORT_BITS. */
static uint32_t short_precision(taps *t, uint32_t in, sn_filter filter)
{
	double most = 0.0;
	uint32_t bits = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		double w = exact_taps(t, in, i, filter);
		most = w > most ? w : most;
	}
	while (bits < PRECISION && (int32_t)(0.5 + most * (1 << (bits + 1))) < 1 << SHORT_BITS)
		bits++;
	return bits;
}

/* Takes the table's memory from *at, in the order that tap_bytes counts it. */
static taps make_taps(uint8_t **at, uint32_t in, uint32_t out, sn_filter filter)
{
	taps t = {.n = out, .width = tap_width(in, out, filter), .precision = PRECISION};
	t.weight = carve(at, (uint64_t)out * t.width, sizeof(int32_t));
	t.first = carve(at, out, sizeof(uint32_t));
	t.count = carve(at, out, sizeof(uint32_t));
	t.exact = carve(at, t.width, sizeof(double));
	if (FILTERS[filter].torch)
		t.precision = short_precision(&t, in, filter);
	for (uint32_t i = 0; i < out; i++) {
		exact_taps(&t, in, i, filter);
		for (uint32_t k = 0; k < t.count[i]; k++) {
			double w = t.exact[k];
			t.weight[(size_t)i * t.width + k] = (int32_t)(w * (1 << t.precision) + (w < 0 ? -0.5 : 0.5));
		}
	}
	return t;
}

static inline uint8_t clip8(int32_t acc, uint32_t precision)
{
	acc >>= precision;
	return (uint8_t)(acc < 0 ? 0 : acc > 255 ? 255 : acc);
}

/* src [rows][in_w][3] -> dst [rows][t->n][3] */
static void pass_horizontal(const taps *t, const uint8_t *src, uint32_t in_w, uint32_t rows, uint8_t *dst)
{
	const uint32_t precision = t->precision;
	for (uint32_t y = 0; y < rows; y++) {
		const uint8_t *line = src + (size_t)y * in_w * 3;
		uint8_t *out = dst + (size_t)y * t->n * 3;
		for (uint32_t x = 0; x < t->n; x++) {
			const int32_t *w = t->weight + (size_t)x * t->width;
			const uint8_t *in = line + (size_t)t->first[x] * 3;
			int32_t r = 1 << (precision - 1), g = r, b = r;
			for (uint32_t k = 0; k < t->count[x]; k++, in += 3) {
				r += in[0] * w[k];
				g += in[1] * w[k];
				b += in[2] * w[k];
			}
			*out++ = clip8(r, precision);
			*out++ = clip8(g, precision);
			*out++ = clip8(b, precision);
		}
	}
}

/* src [..][bytes] -> dst [t->n][bytes]; bytes = 3 x width. In tiles, so that the sums stay in the first cache. */
static void pass_vertical(const taps *t, const uint8_t *src, size_t bytes, uint8_t *dst)
{
	const uint32_t precision = t->precision;
	int32_t acc[TILE];
	for (uint32_t y = 0; y < t->n; y++) {
		const int32_t *w = t->weight + (size_t)y * t->width;
		for (size_t x = 0; x < bytes; x += TILE) {
			size_t n = bytes - x < TILE ? bytes - x : TILE;
			const uint8_t *in = src + (size_t)t->first[y] * bytes + x;
			for (size_t i = 0; i < n; i++)
				acc[i] = 1 << (precision - 1);
			for (uint32_t k = 0; k < t->count[y]; k++, in += bytes)
				for (size_t i = 0; i < n; i++)
					acc[i] += in[i] * w[k];
			for (size_t i = 0; i < n; i++)
				dst[(size_t)y * bytes + x + i] = clip8(acc[i], precision);
		}
	}
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
	taps across, down;
	if (in_w == out_w && in_h == out_h) {
		memcpy(dst, src, (size_t)out_w * out_h * 3);
		return;
	}
	if (in_w != out_w)
		across = make_taps(&at, in_w, out_w, filter);
	if (in_h != out_h)
		down = make_taps(&at, in_h, out_h, filter);

	if (in_h == out_h) {
		pass_horizontal(&across, src, in_w, in_h, dst);
	} else if (in_w == out_w) {
		pass_vertical(&down, src, (size_t)in_w * 3, dst);
	} else if (vertical_first(in_w, in_h, out_w, out_h, filter)) {
		pass_vertical(&down, src, (size_t)in_w * 3, at); /* [out_h][in_w][3] */
		pass_horizontal(&across, at, in_w, out_h, dst);
	} else {
		pass_horizontal(&across, src, in_w, in_h, at); /* [in_h][out_w][3] */
		pass_vertical(&down, at, (size_t)out_w * 3, dst);
	}
}
