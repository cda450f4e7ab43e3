/* check.c - kn_check: every row of the dispatch table against the truth, over odd shapes. `kn_check --time [family]` measures.
 *
 * The truth is computed in double here; the reference is one of the rows under test. Error bounds are derived from the number of
 * roundings on the way to a value (u = 2^-24 per rounding) and are stated at each check. Every input ends at a page that cannot
 * be read, every output at one that cannot be written; canaries stand before outputs and between their rows. Then the
 * bit-for-bit rule: a row alone equals the row in company, pieces of n equal the whole, pages may lie anywhere. */
#define _GNU_SOURCE
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

static const double u = 0x1p-24;
static const uint32_t canary = 0xc0ffee11;

/* --- what is under test, and what was found --- */

static kn_table ref, *t; /* t: the reference with one member replaced by the row under test */
static const kn_row *current;
static size_t n_checks, n_failures;

#define CHECK(condition, ...) \
	do { \
		n_checks++; \
		if (!(condition) && n_failures++ < 40) { \
			printf("FAIL %s %s: ", current->family, current->variant); \
			printf(__VA_ARGS__); \
			printf(" (%s)\n", #condition); \
		} \
	} while (0)

/* --- numbers --- */

static uint64_t random_state;

static uint32_t random_bits(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(z >> 32);
}

float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }
unsigned random_below(unsigned n) { return (unsigned)((uint64_t)random_bits() * n >> 32); }

/* --- memory --- */

/* Buffers whose last byte lies before a page that faults. Reused by number; contents are lost. */
enum { N_BUFFER = 12, BUFFER_BYTES = 8 << 20, FRONT = 16 /* canary words before an output */ };

static uint8_t *buffer_end(int i)
{
	static uint8_t *ends[N_BUFFER];
	if (!ends[i]) {
		uint8_t *p = mmap(NULL, BUFFER_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p + BUFFER_BYTES, 65536, PROT_NONE) != 0) {
			perror("kn_check: mmap");
			exit(2);
		}
		ends[i] = p + BUFFER_BYTES;
	}
	return ends[i];
}

static void *buffer(int i, size_t bytes)
{
	if (bytes + FRONT * sizeof canary > BUFFER_BYTES) {
		fprintf(stderr, "kn_check: a buffer of %zu bytes is too large\n", bytes);
		exit(2);
	}
	return buffer_end(i) - bytes;
}

static float *random_buffer(int i, size_t n)
{
	float *x = buffer(i, n * sizeof *x);
	for (size_t j = 0; j < n; j++) x[j] = random_float();
	return x;
}

/* m rows of n floats, ld apart; the last row ends at the guard. */
typedef struct output { float *y; size_t m, n, ld; } output;

static output new_output(int i, size_t m, size_t n, size_t ld)
{
	size_t total = (m - 1) * ld + n;
	float *y = buffer(i, total * sizeof *y);
	for (float *p = y - FRONT; p < y + total; p++) memcpy(p, &canary, 4);
	return (output){ y, m, n, ld };
}

static void check_canaries(output o, const char *shape)
{
	size_t harmed = 0;
	for (size_t i = 0; i < FRONT; i++) harmed += memcmp(o.y - 1 - i, &canary, 4) != 0;
	for (size_t i = 0; i + 1 < o.m; i++)
		for (size_t j = o.n; j < o.ld; j++) harmed += memcmp(o.y + i * o.ld + j, &canary, 4) != 0;
	CHECK(harmed == 0, "%s: %zu canaries overwritten", shape, harmed);
}

/* Row against row, bit for bit. */
static bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

static size_t count_nan(const float *y, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) count += isnan(y[i]) != 0;
	return count;
}

/* --- linear --- */

void random_weights(kn_type type, void *w, size_t n)
{
	size_t block = block_size(type), bytes = kn_row_bytes(type, block);
	for (size_t i = 0; i < n; i += block) {
		uint8_t *p = (uint8_t *)w + i / block * bytes;
		float x = random_float();
		if (type == KN_F32) memcpy(p, &x, 4);
		else if (type == KN_F16) ref.store_f16(p, &x, 1);
		else if (type == KN_BF16) ref.store_bf16(p, &x, 1);
		if (block == 1) continue;
		/* Any bytes are codes and scales; of the halves that scale a block some are subnormal or 0. */
		for (size_t q = 0; q < bytes; q++) p[q] = (uint8_t)random_below(256);
		size_t d = type == KN_Q6_K ? 208 : 0, n_half = type == KN_Q4_1 || type == KN_Q5_1 || type == KN_Q4_K || type == KN_Q5_K ? 2 : 1;
		for (size_t h = 0; h < n_half; h++) {
			uint16_t half;
			float scale = random_float() * (random_below(16) ? 0.01f : random_below(2) ? 1e-6f : 0);
			ref.store_f16(&half, &scale, 1);
			memcpy(p + d + 2 * h, &half, 2);
		}
	}
}

static double stored_value(kn_type type, const void *row, size_t i)
{
	stored s = value_in(type, row, i);
	return s.product + s.added;
}

static bool is_quantised(kn_type type) { return kn_activation(type) != KN_F32; }

static void check_linear_shape(kn_type type, size_t m, size_t n, size_t k, bool with_bias)
{
	char shape[96];
	snprintf(shape, sizeof shape, "m %zu n %zu k %zu%s", m, n, k, with_bias ? " bias" : "");
	kn_linear_fn *fn = kn_linear_of(t, type);
	kn_type x_type = kn_activation(type);
	/* Rows of x end at ldx > k except the last, which ends at the guard; so do the weights. */
	size_t unit = block_size(x_type), kx = k / unit, ldx = kx + random_below(3);
	size_t row_bytes = kn_row_bytes(type, k), w_stride = row_bytes + 4 * random_below(3);
	size_t x_unit = kn_row_bytes(x_type, unit), x_bytes = ((m - 1) * ldx + kx) * x_unit;
	uint8_t *x = buffer(0, x_bytes), *w = buffer(1, (n - 1) * w_stride + row_bytes);
	float *bias = with_bias ? random_buffer(2, n) : NULL;
	if (is_quantised(type)) {
		float *values = random_buffer(3, ((m - 1) * ldx + kx) * unit);
		kn_quantize_of(&ref, x_type)(x, 0, values, 0, 1, x_bytes / x_unit * unit);
	} else {
		random_buffer(0, x_bytes / sizeof(float));
	}
	for (size_t j = 0; j < n; j++) random_weights(type, w + j * w_stride, k);

	output o = new_output(4, m, n, n + random_below(4));
	fn(o.y, o.ld, x, ldx, w, w_stride, bias, m, n, k);
	check_canaries(o, shape);

	/* The bound is kernels.h's. */
	bool has_min = type == KN_Q4_1 || type == KN_Q5_1 || type == KN_Q4_K || type == KN_Q5_K;
	double roundings = is_quantised(type) ? (double)kx * (has_min ? 2 : 1) + (unit == KN_K_BLOCK ? 5 : 4) : (double)k + 2, worst = 0;
	double *xs = buffer(7, m * k * sizeof *xs), *ws = buffer(8, k * sizeof *ws), *sizes = buffer(9, k * sizeof *sizes);
	for (size_t i = 0; i < m; i++)
		for (size_t p = 0; p < k; p++) xs[i * k + p] = stored_value(x_type, x + i * ldx * x_unit, p);
	for (size_t j = 0; j < n; j++) {
		for (size_t p = 0; p < k; p++) {
			stored b = value_in(type, w + j * w_stride, p);
			ws[p] = b.product + b.added;
			sizes[p] = fabs(b.product) + fabs(b.added);
		}
		for (size_t i = 0; i < m; i++) {
			double sum = bias ? (double)bias[j] : 0, size = fabs(sum);
			for (size_t p = 0; p < k; p++) {
				sum += xs[i * k + p] * ws[p];
				size += fabs(xs[i * k + p]) * sizes[p];
			}
			double excess = fabs((double)o.y[i * o.ld + j] - sum) / (roundings * u * size + 1e-40);
			if (!(excess <= worst)) worst = excess;
		}
	}
	CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);

	float *one = buffer(5, n * sizeof *one);
	for (size_t i = 0; i < m; i++) {
		fn(one, n, x + i * ldx * x_unit, ldx, w, w_stride, bias, 1, n, k);
		CHECK(same(one, o.y + i * o.ld, n), "%s: row %zu alone differs", shape, i);
	}
	for (size_t cut = 1; cut < m; cut += 1 + random_below((unsigned)m)) {
		float *part = buffer(5, m * n * sizeof *part);
		fn(part, n, x, ldx, w, w_stride, bias, cut, n, k);
		fn(part + cut * n, n, x + cut * ldx * x_unit, ldx, w, w_stride, bias, m - cut, n, k);
		size_t differ = 0;
		for (size_t i = 0; i < m; i++) differ += !same(part + i * n, o.y + i * o.ld, n);
		CHECK(differ == 0, "%s: cut at row %zu changes %zu rows", shape, cut, differ);
	}
	output pieces = new_output(6, m, n, o.ld);
	for (size_t j = 0, count; j < n; j += count) {
		count = 1 + random_below((unsigned)(n - j));
		fn(pieces.y + j, o.ld, x, ldx, w + j * w_stride, w_stride, bias ? bias + j : NULL, m, count, k);
	}
	size_t differ = 0;
	for (size_t i = 0; i < m; i++) differ += !same(pieces.y + i * o.ld, o.y + i * o.ld, n);
	CHECK(differ == 0, "%s: pieces of n change %zu rows", shape, differ);

	if (is_quantised(type)) {
		output r = new_output(6, m, n, o.ld);
		kn_linear_of(&ref, type)(r.y, r.ld, x, ldx, w, w_stride, bias, m, n, k);
		differ = 0;
		for (size_t i = 0; i < m; i++) differ += !same(r.y + i * o.ld, o.y + i * o.ld, n);
		CHECK(differ == 0, "%s: %zu rows differ from the reference", shape, differ);
	}

	/* One NaN in x reaches every column of its row and no other row. */
	size_t row = random_below((unsigned)m), at = random_below((unsigned)kx);
	if (x_type == KN_Q8_0) ((kn_q8_0 *)(void *)x)[row * ldx + at].d = 0x7e00;
	else if (x_type == KN_Q8_K) ((kn_q8_k *)(void *)x)[row * ldx + at].d = NAN;
	else ((float *)(void *)x)[row * ldx + at] = NAN;
	fn(o.y, o.ld, x, ldx, w, w_stride, bias, m, n, k);
	size_t inside = count_nan(o.y + row * o.ld, n), all = 0;
	for (size_t i = 0; i < m; i++) all += count_nan(o.y + i * o.ld, n);
	CHECK(inside == n && all == n, "%s: a NaN reached %zu of %zu columns, %zu outputs in all", shape, inside, n, all);
}

static void check_linear(kn_type type)
{
	static const size_t ms[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 17, 24, 31, 64, 67 };
	const size_t unit = block_size(type);
	for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
		for (unsigned round = 0; round < 5; round++) {
			size_t n = 1 + random_below(70), k = unit > 1 ? unit * (1 + random_below(2240 / (unsigned)unit) / (1 + round)) : 1 + random_below(300);
			check_linear_shape(type, ms[i], n, k, round % 2);
		}
	}
	for (size_t k = 1; k <= (unit == KN_K_BLOCK ? 9 : 40); k++) check_linear_shape(type, 7, 9, k * unit, true);
	for (size_t n = 1; n <= 40; n++) check_linear_shape(type, 9, n, unit == KN_K_BLOCK ? 256 : 96, false);
	check_linear_shape(type, 20, 300, 1024, true); /* more than one panel */
	if (unit > 1)
		for (size_t m = 1; m <= 3; m++) check_linear_shape(type, m, 17, 33 * 1024, true);
}

static void check_linear_f32(void) { check_linear(KN_F32); }
static void check_linear_f16(void) { check_linear(KN_F16); }
static void check_linear_bf16(void) { check_linear(KN_BF16); }
static void check_linear_q4_0(void) { check_linear(KN_Q4_0); }
static void check_linear_q4_1(void) { check_linear(KN_Q4_1); }
static void check_linear_q5_0(void) { check_linear(KN_Q5_0); }
static void check_linear_q5_1(void) { check_linear(KN_Q5_1); }
static void check_linear_q8_0(void) { check_linear(KN_Q8_0); }
static void check_linear_q4_k(void) { check_linear(KN_Q4_K); }
static void check_linear_q5_k(void) { check_linear(KN_Q5_K); }
static void check_linear_q6_k(void) { check_linear(KN_Q6_K); }

/* --- conversions --- */

/* One block: d and q within half a step of the truth, the sums exact. */
static void check_quantised_block(kn_type type, const uint8_t *block, const float *v, size_t n)
{
	double largest = 0, true_d, d;
	const int8_t *q = (const int8_t *)block + (type == KN_Q8_0 ? 2 : 4);
	float f;
	bool finite = true;
	for (size_t i = 0; i < n; i++) {
		finite = finite && isfinite(v[i]);
		largest = fmax(largest, fabs((double)v[i]));
	}
	memcpy(&f, block, 4);
	d = type == KN_Q8_0 ? value_of_f16((uint16_t)(block[0] | block[1] << 8)) : (double)f;
	true_d = largest / 127;
	for (size_t g = 0; type == KN_Q8_K && g < n / 16; g++) {
		int sum = 0;
		int16_t stored_sum;
		for (size_t i = 0; i < 16; i++) sum += q[16 * g + i];
		memcpy(&stored_sum, block + 4 + n + 2 * g, 2);
		CHECK(stored_sum == sum, "sum of group %zu is %d, not %d", g, stored_sum, sum);
	}
	if (!finite) {
		CHECK(!isfinite(d), "a block with no finite size has d %g", d);
		return;
	}
	/* f16: half of 2^-10, or of the subnormal step; q: half a step, with the roundings of 1/d and of x/d */
	double off = type == KN_Q8_0 ? fmax(true_d * 0x1.01p-11, 0x1.01p-25) : true_d * u;
	CHECK(fabs(d - true_d) <= off, "d %g for %g", d, true_d);
	for (size_t i = 0; i < n; i++) {
		double steps = largest > 0 ? (double)v[i] / true_d : 0;
		CHECK(fabs(q[i] - steps) <= 0.5 + 127 * 4 * u, "q %d for %g", q[i], steps);
	}
}

static void check_quantize(kn_type type)
{
	const size_t unit = block_size(type), unit_bytes = kn_row_bytes(type, unit);
	for (size_t m = 1; m <= 5; m++) {
		for (size_t blocks = 1; blocks <= 5; blocks++) {
			size_t k = blocks * unit, ldx = k + m, ldy = blocks + 1;
			float *x = random_buffer(0, (m - 1) * ldx + k);
			size_t bytes = ((m - 1) * ldy + blocks) * unit_bytes;
			uint8_t *y = buffer(1, bytes), *r = buffer(2, bytes);
			for (size_t i = 0; i < m; i++) {
				float scale = ldexpf(1, (int)random_below(60) - 40);
				for (size_t j = 0; j < k; j++) x[i * ldx + j] *= random_below(8) ? scale : 0;
			}
			if (m == 2) memset(x, 0, k * sizeof *x);
			if (m == 3) x[5] = NAN;
			if (m == 4) x[k - 1] = -INFINITY;
			if (m == 5) for (size_t j = 0; j < k; j++) x[j] = (float)((int)j % 255 - 127) + (j % KN_Q8_BLOCK ? 0.5f : 127.0f);
			memset(y, 0x5a, bytes);
			memset(r, 0x5a, bytes);
			kn_quantize_of(t, type)(y, ldy, x, ldx, m, k);
			kn_quantize_of(&ref, type)(r, ldy, x, ldx, m, k);
			CHECK(memcmp(y, r, bytes) == 0, "m %zu k %zu: differs from the reference", m, k);
			for (size_t i = 0; i < m; i++)
				for (size_t b = 0; b < blocks; b++)
					check_quantised_block(type, y + (i * ldy + b) * unit_bytes, x + i * ldx + b * unit, unit);
		}
	}
}

static void check_quantize_q8_0(void) { check_quantize(KN_Q8_0); }
static void check_quantize_q8_k(void) { check_quantize(KN_Q8_K); }

static void check_load(kn_load_fn *fn, kn_load_fn *ref_fn, double (*value)(uint16_t))
{
	enum { ALL = 65536 };
	uint16_t *x = buffer(0, ALL * sizeof *x);
	for (int i = 0; i < ALL; i++) x[i] = (uint16_t)i;
	output o = new_output(1, 1, ALL, ALL);
	fn(o.y, x, ALL);
	check_canaries(o, "all");
	size_t wrong = 0;
	for (int i = 0; i < ALL; i++) {
		double v = value((uint16_t)i), y = (double)o.y[i];
		wrong += isnan(v) ? !isnan(y) : y != v || signbit(y) != signbit(v);
	}
	CHECK(wrong == 0, "%zu of all bit patterns load wrong", wrong);
	for (size_t n = 1; n < 70; n++) {
		uint16_t *tail = x + ALL - n;
		o = new_output(1, 1, n, n);
		float *r = buffer(2, n * sizeof *r);
		for (size_t i = 0; i < n; i++) tail[i] = (uint16_t)(0x3000 + random_below(0x1000));
		fn(o.y, tail, n);
		ref_fn(r, tail, n);
		check_canaries(o, "tail");
		CHECK(same(o.y, r, n), "n %zu", n);
	}
}

static void check_load_f16(void) { check_load(t->load_f16, ref.load_f16, value_of_f16); }
static void check_load_bf16(void) { check_load(t->load_bf16, ref.load_bf16, value_of_bf16); }

/* Products are exact (11 bits of d, at most 7 + 5 of scale and code), so that only the sum with the minimum rounds. */
static void check_load_blocks(kn_type type)
{
	const size_t unit = block_size(type);
	for (size_t n = 1; n < 7 * unit; n += type == KN_Q8_0 ? 1 : unit) {
		if (type != KN_Q8_0 && n % unit) n = unit;
		size_t blocks = (n + unit - 1) / unit;
		uint8_t *x = buffer(0, kn_row_bytes(type, blocks * unit));
		random_weights(type, x, blocks * unit);
		output o = new_output(1, 1, n, n);
		kn_load_of(t, type)(o.y, x, n);
		check_canaries(o, "blocks");
		for (size_t i = 0; i < n; i++) {
			stored v = value_in(type, x, i);
			float product = (float)v.product, y = product + (float)v.added;
			CHECK((double)product == v.product && o.y[i] == y, "n %zu i %zu: %g for %g", n, i, (double)o.y[i], (double)y);
		}
	}
}

static void check_load_q8_0(void) { check_load_blocks(KN_Q8_0); }
static void check_load_q4_0(void) { check_load_blocks(KN_Q4_0); }
static void check_load_q4_1(void) { check_load_blocks(KN_Q4_1); }
static void check_load_q5_0(void) { check_load_blocks(KN_Q5_0); }
static void check_load_q5_1(void) { check_load_blocks(KN_Q5_1); }
static void check_load_q4_k(void) { check_load_blocks(KN_Q4_K); }
static void check_load_q5_k(void) { check_load_blocks(KN_Q5_K); }
static void check_load_q6_k(void) { check_load_blocks(KN_Q6_K); }

/* Nearest, ties to even: no neighbour is nearer, and at a tie the last bit is 0. NaN stays NaN. */
static void check_store(kn_store_fn *fn, kn_store_fn *ref_fn, double (*value)(uint16_t), uint16_t infinity)
{
	for (size_t round = 0; round < 2000; round++) {
		size_t n = 1 + round % 67;
		float *x = buffer(0, n * sizeof *x);
		uint16_t *y = buffer(1, n * sizeof *y), *r = buffer(2, n * sizeof *r);
		for (size_t i = 0; i < n; i++) {
			uint32_t bits = random_bits();
			if (round % 3 == 1) bits = (bits & 0x87ffffff) + 0x33000000; /* the range of f16, with its ends */
			if (round % 3 == 2) bits &= 0xfffff000; /* ties */
			if (round % 50 == 0) bits |= 0x7f800000;
			memcpy(x + i, &bits, 4);
		}
		memset(y - 8, 0x5a, 16);
		fn(y, x, n);
		ref_fn(r, x, n);
		CHECK(memcmp(y, r, n * sizeof *y) == 0, "n %zu: differs from the reference", n);
		for (int i = 1; i <= 8; i++) CHECK(y[-i] == 0x5a5a, "n %zu: overwrites before", n);
		for (size_t i = 0; i < n; i++) {
			double v = (double)x[i], got = value(y[i]);
			if (isnan(v)) {
				CHECK(isnan(got), "NaN became %g", got);
				continue;
			}
			uint16_t magnitude = y[i] & 0x7fff;
			if (isinf(got)) got = value((uint16_t)(infinity - 1)) * 2 - value((uint16_t)(infinity - 2)); /* the next step */
			got = fabs(got);
			double above = magnitude >= infinity - 1 ? 2 * got : value((uint16_t)(magnitude + 1)), error = fabs(fabs(v) - got);
			double below = magnitude == 0 ? -1 : value((uint16_t)(magnitude - 1));
			if (magnitude == infinity) {
				CHECK(fabs(v) - below >= got - fabs(v), "%g became infinite", v);
				continue;
			}
			if (magnitude == infinity - 1) above = got + (got - below);
			CHECK(error <= fabs(above - fabs(v)) && error <= fabs(fabs(v) - below), "%g became %g", v, got);
			bool tie = error == fabs(above - fabs(v)) || error == fabs(fabs(v) - below);
			CHECK(!tie || error == 0 || !(magnitude & 1), "tie %g became the odd %g", v, got);
			CHECK((y[i] >> 15 != 0) == (signbit(x[i]) != 0), "sign of %g", v);
		}
	}
}

static void check_store_f16(void) { check_store(t->store_f16, ref.store_f16, value_of_f16, 0x7c00); }
static void check_store_bf16(void) { check_store(t->store_bf16, ref.store_bf16, value_of_bf16, 0x7f80); }

/* --- norms --- */

static void check_norm(bool layer)
{
	for (size_t round = 0; round < 150; round++) {
		size_t m = 1 + random_below(5), k = round < 70 ? round + 1 : 1 + random_below(1200), ld = k + random_below(3);
		char shape[64];
		snprintf(shape, sizeof shape, "m %zu k %zu", m, k);
		const float eps = 1e-5f;
		float *x = random_buffer(0, (m - 1) * ld + k), *w = random_buffer(1, k), *b = random_buffer(2, k);
		float offset = round % 4 == 3 ? 3.0f : 0.0f;
		for (size_t i = 0; i < (m - 1) * ld + k; i++) x[i] += offset;
		output o = new_output(3, m, k, ld);
		if (layer) t->layer_norm(o.y, ld, x, ld, w, b, eps, m, k);
		else t->rms_norm(o.y, ld, x, ld, w, eps, m, k);
		check_canaries(o, shape);
		for (size_t i = 0; i < m; i++) {
			const float *v = x + i * ld;
			double sum = 0, size = 0, squares = 0, worst = 0;
			for (size_t j = 0; j < k; j++) {
				sum += (double)v[j];
				size += fabs((double)v[j]);
			}
			double mean = layer ? sum / (double)k : 0;
			for (size_t j = 0; j < k; j++) squares += ((double)v[j] - mean) * ((double)v[j] - mean);
			double variance = squares / (double)k + (double)eps, scale = 1 / sqrt(variance);
			/* shift: the mean's error. A sum of k squares of differences is off by (k + 4) roundings and by shift^2; the root
			 * halves that; quotient, root and the products add fewer than 8. */
			double shift = layer ? ((double)k + 2) * u * size / (double)k : 0;
			double relative = (((double)k + 4) / 2 + 8) * u + (shift * shift + 2 * u * shift * sqrt(variance)) / variance;
			for (size_t j = 0; j < k; j++) {
				double centred = (double)v[j] - mean, product = centred * scale * (double)w[j];
				double truth = product + (layer ? (double)b[j] : 0);
				double bound = fabs((double)w[j]) * scale * (shift + fabs(centred) * relative) * (1 + 1e-3) + 2 * u * fabs(truth);
				double excess = fabs((double)o.y[i * ld + j] - truth) / (bound + 1e-40);
				if (!(excess <= worst)) worst = excess;
			}
			CHECK(worst <= 1, "%s row %zu: error is %g of the bound", shape, i, worst);
			float *one = buffer(4, k * sizeof *one);
			memcpy(one, v, k * sizeof *one); /* in place, alone */
			if (layer) t->layer_norm(one, k, one, k, w, b, eps, 1, k);
			else t->rms_norm(one, k, one, k, w, eps, 1, k);
			CHECK(same(one, o.y + i * ld, k), "%s: row %zu in place and alone differs", shape, i);
		}
		x[random_below((unsigned)k)] = NAN;
		if (layer) t->layer_norm(o.y, ld, x, ld, w, b, eps, m, k);
		else t->rms_norm(o.y, ld, x, ld, w, eps, m, k);
		CHECK(count_nan(o.y, k) == k, "%s: a NaN was lost", shape);
	}
}

static void check_rms_norm(void) { check_norm(false); }
static void check_layer_norm(void) { check_norm(true); }

/* --- rope --- */

static void check_rope(void)
{
	static const size_t dims[] = { 2, 8, 24, 40, 64, 72, 80, 96, 128, 256 };
	for (size_t round = 0; round < 200; round++) {
		size_t head_dim = dims[round % 10], n_rot = round % 3 ? head_dim : 2 + 2 * random_below((unsigned)(head_dim / 2));
		size_t m = 1 + random_below(5), heads = 1 + random_below(4), n = heads * head_dim, ld = n + random_below(3), half;
		int neox = (int)(round / 10 % 2);
		if (n_rot > head_dim) n_rot = head_dim;
		half = n_rot / 2;
		char shape[96];
		snprintf(shape, sizeof shape, "m %zu heads %zu of %zu, n_rot %zu, neox %d", m, heads, head_dim, n_rot, neox);
		float *before = random_buffer(0, (m - 1) * ld + n), *table = random_buffer(1, m * n_rot);
		output o = new_output(2, m, n, ld);
		for (size_t i = 0; i < m; i++) memcpy(o.y + i * ld, before + i * ld, n * sizeof(float));
		t->rope(o.y, ld, table, m, heads, head_dim, n_rot, neox);
		check_canaries(o, shape);
		double worst = 0;
		size_t touched = 0;
		for (size_t i = 0; i < m; i++) {
			for (size_t h = 0; h < heads; h++) {
				const float *x = before + i * ld + h * head_dim, *y = o.y + i * ld + h * head_dim, *c = table + i * n_rot, *s = c + half;
				for (size_t j = 0; j < half; j++) {
					size_t first = neox ? j : 2 * j, second = neox ? j + half : 2 * j + 1;
					double a = (double)x[first], b = (double)x[second], cosine = (double)c[j], sine = (double)s[j];
					double e = fabs((double)y[first] - (a * cosine - b * sine)), f = fabs((double)y[second] - (b * cosine + a * sine));
					/* a product and a sum: two roundings */
					double first_bound = 2 * u * (fabs(a * cosine) + fabs(b * sine)) + 1e-40;
					double second_bound = 2 * u * (fabs(b * cosine) + fabs(a * sine)) + 1e-40;
					worst = fmax(worst, fmax(e / first_bound, f / second_bound));
				}
				touched += !same(x + n_rot, y + n_rot, head_dim - n_rot);
			}
		}
		CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);
		CHECK(touched == 0, "%s: channels beyond n_rot changed", shape);
		for (size_t i = 0; i < m; i++) {
			float *one = buffer(3, n * sizeof *one);
			memcpy(one, before + i * ld, n * sizeof *one);
			t->rope(one, n, table + i * n_rot, 1, heads, head_dim, n_rot, neox);
			CHECK(same(one, o.y + i * ld, n), "%s: row %zu alone differs", shape, i);
		}
	}
}

/* --- elementwise --- */

static double silu(double x) { return x / (1 + exp(-x)); }
static double gelu_quick(double x) { return x / (1 + exp(-1.702 * x)); }
static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))); }
static double gelu_erf(double x) { return 0.5 * x * erfc(-x * sqrt(0.5)); }
static double identity(double x) { return x; }

/* |error| <= roundings u |x|: the factor of x lies in [0, 1] and is reached through an argument off by 4 roundings (which a
 * logistic or a normal curve turns into fewer than 1), a function within 2 ulp (4, halved), a sum, a quotient and a product; f32
 * polynomials of erf add 3. silu has an exact argument, so there the bound is relative to the result: e^x 4, sum, quotient. */
static void check_elementwise(kn_unary_fn *unary, kn_binary_fn *binary, double (*f)(double), double (*join)(double, double),
                              double roundings, bool relative)
{
	static const float special[] = { 0, -0.0f, 1e-30f, -1e-30f, 1e-42f, 5, -5, 20, -20, 60, -60, 87, -87, 88.5f, -88.5f, 90, -90,
	                                 105, -105, 1e4f, -1e4f, 1e10f, -1e10f, 1e20f, -1e20f };
	const size_t n_special = sizeof special / sizeof *special;
	double worst = 0, at = 0;
	for (size_t round = 0; round < 1500; round++) {
		size_t n = 1 + round % 77;
		float *a = random_buffer(0, n), *b = random_buffer(1, n), range = ldexpf(1, (int)(round % 9) - 2);
		for (size_t i = 0; i < n; i++) a[i] = round % 10 ? a[i] * range : special[(round / 10 + i) % n_special];
		output o = new_output(2, 1, n, n);
		if (unary) unary(o.y, a, n);
		else binary(o.y, a, b, n);
		check_canaries(o, "elementwise");
		for (size_t i = 0; i < n; i++) {
			double x = (double)a[i], other = binary ? (double)b[i] : 1, y = f(x), truth = join ? join(y, other) : y;
			double size = join ? fabs(join(relative ? fabs(y) : fabs(x), fabs(other))) : relative ? fabs(y) : fabs(x);
			double excess = fabs((double)o.y[i] - truth) / (roundings * u * size + 1e-35);
			if (!(excess <= worst)) worst = excess, at = x;
			float one; /* alone, wherever it stood */
			if (unary) unary(&one, a + i, 1);
			else binary(&one, a + i, b + i, 1);
			CHECK(same(&one, o.y + i, 1), "n %zu i %zu: alone differs", n, i);
		}
		float *in_place = buffer(3, n * sizeof *in_place);
		memcpy(in_place, a, n * sizeof *a);
		if (unary) unary(in_place, in_place, n);
		else binary(in_place, in_place, b, n);
		CHECK(same(in_place, o.y, n), "n %zu: in place differs", n);
		size_t nan_at = random_below((unsigned)n);
		a[nan_at] = NAN;
		if (unary) unary(o.y, a, n);
		else binary(o.y, a, b, n);
		CHECK(isnan(o.y[nan_at]) && count_nan(o.y, n) == 1, "n %zu: a NaN was lost or spread", n);
	}
	CHECK(worst <= 1, "error is %g of the bound at %g", worst, at);
}

static double product(double a, double b) { return a * b; }
static double sum(double a, double b) { return a + b; }

static void check_gelu_tanh(void) { check_elementwise(t->gelu_tanh, NULL, gelu_tanh, NULL, 6, false); }
static void check_gelu_erf(void) { check_elementwise(t->gelu_erf, NULL, gelu_erf, NULL, 8, false); }
static void check_gelu_quick(void) { check_elementwise(t->gelu_quick, NULL, gelu_quick, NULL, 6, false); }
static void check_silu(void) { check_elementwise(t->silu, NULL, silu, NULL, 6, true); }
static void check_silu_mul(void) { check_elementwise(NULL, t->silu_mul, silu, product, 7, true); }
static void check_gelu_tanh_mul(void) { check_elementwise(NULL, t->gelu_tanh_mul, gelu_tanh, product, 7, false); }
static void check_add(void) { check_elementwise(NULL, t->add, identity, sum, 1, true); }

/* --- sound --- */

static void check_snake(void)
{
	static const float special[] = { 0, -0.0f, 1e-30f, 1e-42f, 3.14159274f, 1.57079637f, -1.57079637f, 100, -1000, 1e5f, -1e6f };
	double worst = 0, at = 0;
	for (size_t round = 0; round < 1500; round++) {
		size_t n = 1 + round % 77;
		float *x = random_buffer(0, n), *alpha = random_buffer(1, n), *beta = random_buffer(3, n), range = ldexpf(1, (int)(round % 13) - 2);
		for (size_t i = 0; i < n; i++) {
			x[i] = round % 10 ? x[i] * range : special[(round / 10 + i) % (sizeof special / sizeof *special)];
			if (round % 10 == 0) alpha[i] = 1;
		}
		output o = new_output(2, 1, n, n);
		t->snake(o.y, x, alpha, beta, n);
		check_canaries(o, "snake");
		for (size_t i = 0; i < n; i++) {
			double angle = (double)alpha[i] * (double)x[i], s = sin(angle), truth = (double)x[i] + (double)beta[i] * s * s;
			double bound = u * (fabs(truth) + fabs((double)beta[i]) * (fabs(angle) + 8)) + 1e-40, excess = fabs((double)o.y[i] - truth) / bound;
			if (!(excess <= worst)) worst = excess, at = angle;
			float one;
			t->snake(&one, x + i, alpha + i, beta + i, 1);
			CHECK(same(&one, o.y + i, 1), "n %zu i %zu: alone differs", n, i);
		}
		float *in_place = buffer(4, n * sizeof *in_place);
		memcpy(in_place, x, n * sizeof *x);
		t->snake(in_place, in_place, alpha, beta, n);
		CHECK(same(in_place, o.y, n), "n %zu: in place differs", n);
		size_t far = random_below((unsigned)n), nan_at = random_below((unsigned)n);
		x[far] = 1e20f;
		alpha[far] = 1;
		beta[far] = 4e19f; /* y - x is 0 to beta, and y rounds */
		t->snake(o.y, x, alpha, beta, n);
		CHECK(o.y[far] >= 1e20f && o.y[far] <= 1.4001e20f, "n %zu: out of range far away", n);
		x[nan_at] = NAN;
		t->snake(o.y, x, alpha, beta, n);
		CHECK(isnan(o.y[nan_at]) && count_nan(o.y, n) == 1, "n %zu: a NaN was lost or spread", n);
	}
	CHECK(worst <= 1, "error is %g of the bound at %g", worst, at);
}

static void check_depthwise(void)
{
	for (size_t round = 0; round < 300; round++) {
		size_t m = 1 + random_below(20), n = 1 + random_below(70), taps = 1 + random_below(9), dilation = 1 + random_below(9);
		size_t rows = m + (taps - 1) * dilation, ldx = n + random_below(3);
		char shape[96];
		snprintf(shape, sizeof shape, "m %zu n %zu taps %zu dilation %zu", m, n, taps, dilation);
		float *x = random_buffer(0, (rows - 1) * ldx + n), *w = random_buffer(1, taps * n), *b = random_buffer(2, n);
		output o = new_output(3, m, n, n + random_below(4));
		t->depthwise(o.y, o.ld, x, ldx, w, b, m, n, taps, dilation);
		check_canaries(o, shape);
		double worst = 0;
		for (size_t i = 0; i < m; i++) {
			for (size_t c = 0; c < n; c++) {
				double sum = (double)b[c], size = fabs(sum);
				for (size_t j = 0; j < taps; j++) {
					double term = (double)w[j * n + c] * (double)x[(i + j * dilation) * ldx + c];
					sum += term;
					size += fabs(term);
				}
				double excess = fabs((double)o.y[i * o.ld + c] - sum) / (((double)taps + 1) * u * size + 1e-40);
				if (!(excess <= worst)) worst = excess;
			}
			float *one = buffer(4, n * sizeof *one);
			t->depthwise(one, n, x + i * ldx, ldx, w, b, 1, n, taps, dilation);
			CHECK(same(one, o.y + i * o.ld, n), "%s: row %zu alone differs", shape, i);
		}
		CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);
	}
}

/* --- attention --- */

/* One row and head by the definition; keys as pointers to rows. Returns the bound per channel in *bound.
 *
 * A score is off by (head_dim + 4) roundings of its terms' sizes, and a soft-capped one by 8 of the cap; a weight by the
 * exponential of twice that (the maximum is a score too), by the argument's rounding (the span of scores), by 2 ulp of each e^x, and
 * by the rescales of later tiles; the sums over n keys add n. */
static void true_attention(double *out, double *bound, const float *q, const void *const *k, const void *const *v, kn_type type,
                           size_t n, size_t head_dim, double scale, double softcap)
{
	static double score[8192];
	double top = -HUGE_VAL, least = HUGE_VAL, off = 0, total = 0;
	for (size_t j = 0; j < n; j++) {
		double dot = 0, size = 0;
		for (size_t i = 0; i < head_dim; i++) {
			double term = (double)q[i] * stored_value(type, k[j], i);
			dot += term;
			size += fabs(term);
		}
		score[j] = dot * scale;
		off = fmax(off, ((double)head_dim + 4) * u * size * scale + (softcap > 0 ? 8 * u * softcap : 0));
		if (softcap > 0) score[j] = softcap * tanh(score[j] / softcap);
		top = fmax(top, score[j]);
		least = fmin(least, score[j]);
	}
	for (size_t j = 0; j < n; j++) total += score[j] = exp(score[j] - top);
	double tiles = (double)(n / KN_KEY_TILE + 2);
	double relative = 2 * (2 * off + ((top - least) * 2 + 6 * tiles + (double)n + 8) * u);
	for (size_t i = 0; i < head_dim; i++) {
		double s = 0, size = 0;
		for (size_t j = 0; j < n; j++) {
			double term = score[j] / total * stored_value(type, v[j], i);
			s += term;
			size += fabs(term);
		}
		out[i] = s;
		bound[i] = size * relative + 1e-38;
	}
}

static const size_t head_dims[] = { 1, 3, 8, 17, 24, 40, 64, 72, 80, 96, 128, 256, 512 };

static void check_paged_shape(kn_type type, size_t head_dim, size_t block_tokens, size_t n_rows, size_t n_group, int kind)
{
	enum { MAX_KEY = 200, MAX_PAGE = 16 };
	kn_attn_paged_fn *fn = type == KN_F32 ? t->attn_paged_f32 : t->attn_paged_f16;
	size_t unit = type == KN_F32 ? 4 : 2, width = head_dim * unit, token_bytes = 2 * width + 4 * random_below(2) * unit;
	size_t page_bytes = block_tokens * token_bytes + 64, n_key = 1 + random_below(MAX_KEY), ld = n_group * head_dim + random_below(3);
	char shape[128];
	snprintf(shape, sizeof shape, "head_dim %zu, blocks of %zu, %zu rows x %zu heads, kind %d, %zu keys", head_dim, block_tokens,
	         n_rows, n_group, kind, n_key);
	uint32_t begin[64], end[64], pages[MAX_PAGE], moved[MAX_PAGE];
	size_t n_page = (n_key + block_tokens - 1) / block_tokens;
	for (size_t i = 0; i < n_rows; i++) {
		begin[i] = 0;
		end[i] = (uint32_t)n_key;
		if (kind >= 1 && n_key + i >= n_rows) end[i] = (uint32_t)(n_key + i - n_rows + 1); /* causal */
		if (kind >= 1 && n_key + i < n_rows) end[i] = 1;
		if (kind == 2) begin[i] = end[i] > 21 ? end[i] - 21 : 0; /* window */
		if (kind == 3) begin[i] = random_below(end[i]);
	}
	for (size_t i = 0; i < n_page; i++) {
		pages[i] = (uint32_t)(n_page - 1 - i);
		moved[i] = (uint32_t)((i * 7 + 3) % MAX_PAGE);
	}
	/* What no row may see is NaN, here in the slots past n_key and in pages that are not in the table. */
	uint8_t *arena = buffer(0, n_page * page_bytes), *other = buffer(1, MAX_PAGE * page_bytes);
	memset(arena, 0xff, n_page * page_bytes);
	memset(other, 0xff, MAX_PAGE * page_bytes);
	const void *k[MAX_KEY], *v[MAX_KEY];
	for (size_t j = 0; j < n_key; j++) {
		size_t offset = j % block_tokens * token_bytes;
		uint8_t *at = arena + pages[j / block_tokens] * page_bytes + offset;
		random_weights(type, at, head_dim);
		random_weights(type, at + width, head_dim);
		k[j] = at;
		v[j] = at + width;
		memcpy(other + moved[j / block_tokens] * page_bytes + offset, at, 2 * width);
	}
	float *q = random_buffer(2, (n_rows - 1) * ld + n_group * head_dim);
	for (size_t i = 0; i < (n_rows - 1) * ld + n_group * head_dim; i++) q[i] *= 4;
	output o = new_output(3, n_rows, n_group * head_dim, ld);
	kn_attn_paged_args a = {
		.out = o.y, .q = q, .ld_out = ld, .ld_q = ld, .n_rows = n_rows, .n_group = n_group, .head_dim = head_dim,
		.arena = arena, .page_bytes = page_bytes, .pages = pages, .block_tokens = block_tokens, .token_bytes = token_bytes,
		.k_offset = 0, .v_offset = width, .key_begin = begin, .key_end = end,
		.scale = 1 / sqrtf((float)head_dim), .softcap = kind == 3 ? 2.0f : 0,
	};
	fn(&a);
	check_canaries(o, shape);
	double worst = 0;
	for (size_t r = 0; r < n_rows; r++) {
		for (size_t g = 0; g < n_group; g++) {
			double truth[512], bound[512];
			true_attention(truth, bound, q + r * ld + g * head_dim, k + begin[r], v + begin[r], type, end[r] - begin[r], head_dim,
			               (double)a.scale, (double)a.softcap);
			for (size_t i = 0; i < head_dim; i++) {
				double excess = fabs((double)o.y[r * ld + g * head_dim + i] - truth[i]) / bound[i];
				if (!(excess <= worst)) worst = excess;
			}
		}
	}
	CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);

	output again = new_output(4, n_rows, n_group * head_dim, ld);
	kn_attn_paged_args b = a;
	b.out = again.y;
	b.arena = other;
	b.pages = moved;
	fn(&b);
	size_t differ = 0;
	for (size_t r = 0; r < n_rows; r++) differ += !same(o.y + r * ld, again.y + r * ld, n_group * head_dim);
	CHECK(differ == 0, "%s: other pages change %zu rows", shape, differ);
	for (size_t r = 0; r < n_rows; r++) {
		b.out = again.y + r * ld;
		b.q = q + r * ld;
		b.n_rows = 1;
		b.key_begin = begin + r;
		b.key_end = end + r;
		fn(&b);
		CHECK(same(o.y + r * ld, again.y + r * ld, n_group * head_dim), "%s: row %zu alone differs", shape, r);
		size_t g = random_below((unsigned)n_group);
		float *one = buffer(5, head_dim * sizeof *one);
		kn_attn_paged_args c = b;
		c.out = one;
		c.q = b.q + g * head_dim;
		c.n_group = 1;
		fn(&c);
		CHECK(same(o.y + r * ld + g * head_dim, one, head_dim), "%s: head %zu of row %zu alone differs", shape, g, r);
	}
	q[0] = NAN;
	fn(&a);
	CHECK(count_nan(o.y, head_dim) == head_dim, "%s: a NaN was lost", shape);
}

static void check_paged(kn_type type)
{
	for (size_t d = 0; d < sizeof head_dims / sizeof *head_dims; d++) {
		for (int kind = 0; kind < 4; kind++) {
			check_paged_shape(type, head_dims[d], 16, 1, 1 + random_below(9), kind);
			check_paged_shape(type, head_dims[d], 64, 1 + random_below(9), 1 + random_below(4), kind);
			check_paged_shape(type, head_dims[d], 32, 1 + random_below(head_dims[d] < 128 ? 60 : 12), 1 + random_below(3), kind);
		}
	}
}

static void check_attn_paged_f32(void) { check_paged(KN_F32); }
static void check_attn_paged_f16(void) { check_paged(KN_F16); }

static void check_attn_dense(void)
{
	for (size_t round = 0; round < 4 * sizeof head_dims / sizeof *head_dims; round++) {
		size_t head_dim = head_dims[round / 4], m = 1 + random_below(head_dim < 128 ? 64 : 20), n = 1 + random_below(150);
		size_t ldq = head_dim + random_below(3), ldk = head_dim + random_below(3), ldv = head_dim + random_below(3);
		size_t ldo = head_dim + random_below(3);
		char shape[96];
		snprintf(shape, sizeof shape, "m %zu n %zu head_dim %zu", m, n, head_dim);
		float *q = random_buffer(0, (m - 1) * ldq + head_dim), *k = random_buffer(1, (n - 1) * ldk + head_dim);
		float *v = random_buffer(2, (n - 1) * ldv + head_dim), scale = 4 / sqrtf((float)head_dim);
		const void *ks[150], *vs[150];
		for (size_t j = 0; j < n; j++) ks[j] = k + j * ldk, vs[j] = v + j * ldv;
		output o = new_output(3, m, head_dim, ldo);
		t->attn_dense(o.y, ldo, q, ldq, k, ldk, v, ldv, m, n, head_dim, scale);
		check_canaries(o, shape);
		double worst = 0;
		for (size_t r = 0; r < m; r++) {
			double truth[512], bound[512];
			true_attention(truth, bound, q + r * ldq, ks, vs, KN_F32, n, head_dim, (double)scale, 0);
			for (size_t i = 0; i < head_dim; i++) {
				double excess = fabs((double)o.y[r * ldo + i] - truth[i]) / bound[i];
				if (!(excess <= worst)) worst = excess;
			}
			float *one = buffer(4, head_dim * sizeof *one);
			t->attn_dense(one, head_dim, q + r * ldq, ldq, k, ldk, v, ldv, 1, n, head_dim, scale);
			CHECK(same(one, o.y + r * ldo, head_dim), "%s: row %zu alone differs", shape, r);
		}
		CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);
		k[random_below((unsigned)n) * ldk] = NAN;
		t->attn_dense(o.y, ldo, q, ldq, k, ldk, v, ldv, m, n, head_dim, scale);
		CHECK(count_nan(o.y, head_dim) == head_dim, "%s: a NaN was lost", shape);
	}
}

/* --- the table --- */

static const struct { const char *family; void (*check)(void); } checks[] = {
	{ "linear_f32", check_linear_f32 },
	{ "linear_f16", check_linear_f16 },
	{ "linear_bf16", check_linear_bf16 },
	{ "linear_q8_0", check_linear_q8_0 },
	{ "linear_q4_0", check_linear_q4_0 },
	{ "linear_q4_1", check_linear_q4_1 },
	{ "linear_q5_0", check_linear_q5_0 },
	{ "linear_q5_1", check_linear_q5_1 },
	{ "linear_q4_k", check_linear_q4_k },
	{ "linear_q5_k", check_linear_q5_k },
	{ "linear_q6_k", check_linear_q6_k },
	{ "quantize_q8_0", check_quantize_q8_0 },
	{ "quantize_q8_k", check_quantize_q8_k },
	{ "rms_norm", check_rms_norm },
	{ "layer_norm", check_layer_norm },
	{ "rope", check_rope },
	{ "attn_paged_f32", check_attn_paged_f32 },
	{ "attn_paged_f16", check_attn_paged_f16 },
	{ "attn_dense", check_attn_dense },
	{ "gelu_tanh", check_gelu_tanh },
	{ "gelu_erf", check_gelu_erf },
	{ "gelu_quick", check_gelu_quick },
	{ "silu", check_silu },
	{ "silu_mul", check_silu_mul },
	{ "gelu_tanh_mul", check_gelu_tanh_mul },
	{ "add", check_add },
	{ "snake", check_snake },
	{ "depthwise", check_depthwise },
	{ "load_f16", check_load_f16 },
	{ "load_bf16", check_load_bf16 },
	{ "load_q8_0", check_load_q8_0 },
	{ "load_q4_0", check_load_q4_0 },
	{ "load_q4_1", check_load_q4_1 },
	{ "load_q5_0", check_load_q5_0 },
	{ "load_q5_1", check_load_q5_1 },
	{ "load_q4_k", check_load_q4_k },
	{ "load_q5_k", check_load_q5_k },
	{ "load_q6_k", check_load_q6_k },
	{ "store_f16", check_store_f16 },
	{ "store_bf16", check_store_bf16 },
};

/* No row twice, the member is the family's, every cap fills the whole table with rows at or below it. */
static void check_table(const kn_row *rows, size_t n)
{
	static const kn_row table_row = { .family = "kn_table", .variant = "rows" };
	size_t n_member = sizeof(kn_table) / sizeof(void (*)(void));
	current = &table_row;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			bool one_family = !strcmp(rows[i].family, rows[j].family);
			CHECK(one_family == (rows[i].member == rows[j].member), "%s and %s share a member", rows[i].family, rows[j].family);
			CHECK(!one_family || rows[i].needs < rows[j].needs, "%s: a row that never wins", rows[i].family);
		}
	}
	for (kn_isa cap = KN_ISA_REF; cap <= KN_ISA_AVX512; cap++) {
		kn_table table;
		kn_select(&table, cap);
		for (size_t member = 0; member < n_member; member++) {
			void (*fn)(void);
			bool found = false;
			memcpy(&fn, (char *)&table + member * sizeof fn, sizeof fn);
			for (size_t i = 0; i < n; i++) found = found || (rows[i].fn == fn && rows[i].needs <= cap && rows[i].needs <= kn_detect());
			CHECK(fn && found, "member %zu at cap %s", member, kn_isa_name(cap));
		}
	}
	CHECK(!kn_linear_of(&ref, KN_Q8_K) && !kn_load_of(&ref, KN_Q8_K) && !kn_linear_of(&ref, (kn_type)10) && !kn_load_of(&ref, KN_F32),
	      "functions of types that have none");
	CHECK(kn_row_bytes(KN_Q8_0, 64) == 68 && kn_row_bytes(KN_Q8_0, 33) == 0 && kn_row_bytes(KN_F32, SIZE_MAX / 2) == 0 &&
	      kn_row_bytes((kn_type)4, 32) == 0 && kn_row_bytes(KN_Q4_K, 512) == 288 && kn_row_bytes(KN_Q6_K, 128) == 0 &&
	      kn_row_bytes(KN_BF16, 3) == 6, "kn_row_bytes");
}

int main(int argc, char **argv)
{
	size_t n_row, n_run = 0, n_skipped = 0;
	const kn_row *rows = kn_rows(&n_row);
	kn_select(&ref, KN_ISA_REF);
	if (argc > 1 && !strcmp(argv[1], "--time")) {
		time_rows(argc > 2 ? argv[2] : NULL);
		return 0;
	}
	check_table(rows, n_row);
	for (size_t i = 0; i < n_row; i++) {
		kn_table under_test = ref;
		size_t c = 0;
		if (argc > 1 && strcmp(argv[1], rows[i].family) && strcmp(argv[1], rows[i].variant)) continue;
		if (rows[i].needs > kn_detect()) {
			n_skipped++;
			continue;
		}
		memcpy((char *)&under_test + rows[i].member, &rows[i].fn, sizeof rows[i].fn);
		current = rows + i;
		t = &under_test;
		random_state = 1;
		while (c < sizeof checks / sizeof *checks && strcmp(checks[c].family, rows[i].family)) c++;
		CHECK(c < sizeof checks / sizeof *checks, "no check for this family");
		if (c < sizeof checks / sizeof *checks) checks[c].check();
		n_run++;
	}
	printf("kn_check: %s, %zu rows checked, %zu not on this machine, %zu checks, %zu failures\n", kn_isa_name(kn_detect()), n_run,
	       n_skipped, n_checks, n_failures);
	return n_failures != 0;
}
