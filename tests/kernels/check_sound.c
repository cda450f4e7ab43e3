/* check_sound.c - snakes and depthwise convolutions. See proof.h. */
#include <math.h>
#include <string.h>

#include "proof.h"

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

const family_check sound_checks[] = {
	{ "snake", check_snake },
	{ "depthwise", check_depthwise },
	{ NULL, NULL },
};
