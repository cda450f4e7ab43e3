/* check_linear.c - products of matrices against the truth, for every stored type. See proof.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proof.h"

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
	bool has_min = type == KN_Q4_1 || type == KN_Q5_1 || type == KN_Q2_K || type == KN_Q4_K || type == KN_Q5_K;
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
static void check_linear_f8_e4m3(void) { check_linear(KN_F8_E4M3); }
static void check_linear_q8_0(void) { check_linear(KN_Q8_0); }
#define CHECK_BLOCK(name, type, number, form, bytes) \
	static void check_linear_##name(void) { check_linear(KN_##type); }
KN_BLOCK_TYPES(CHECK_BLOCK)

const family_check linear_checks[] = {
	{ "linear_f32", check_linear_f32 },
	{ "linear_f16", check_linear_f16 },
	{ "linear_bf16", check_linear_bf16 },
	{ "linear_f8_e4m3", check_linear_f8_e4m3 },
	{ "linear_q8_0", check_linear_q8_0 },
#define BLOCK_ROW(name, type, number, form, bytes) { "linear_" #name, check_linear_##name },
	KN_BLOCK_TYPES(BLOCK_ROW)
	{ NULL, NULL },
};
