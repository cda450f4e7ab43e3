/* check_rows.c - norms, rotations and elementwise functions. See proof.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proof.h"

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

const family_check row_checks[] = {
	{ "rms_norm", check_rms_norm },
	{ "layer_norm", check_layer_norm },
	{ "rope", check_rope },
	{ "gelu_tanh", check_gelu_tanh },
	{ "gelu_erf", check_gelu_erf },
	{ "gelu_quick", check_gelu_quick },
	{ "silu", check_silu },
	{ "silu_mul", check_silu_mul },
	{ "gelu_tanh_mul", check_gelu_tanh_mul },
	{ "add", check_add },
	{ NULL, NULL },
};
