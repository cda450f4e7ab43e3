/* The resampler: its figures on tones across the whole band, and that neither blocks nor company change a bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <resample.h>

static const double PI = 3.14159265358979323846;

/* All of in through a resampler, in blocks of `block` samples. */
static float *resampled(const float *in, size_t n, uint32_t in_rate, uint32_t out_rate, size_t block, size_t *n_out)
{
	sn_resampler r;
	uint64_t total;
	size_t got, at = 0;
	assert_true(sn_resample_count(n, in_rate, out_rate, &total));
	float *out = malloc((total + 1) * sizeof *out);
	out[total] = 77;
	assert_true(sn_resampler_init(&r, in_rate, out_rate));
	for (size_t i = 0; i < n; i += block) {
		assert_true(sn_resampler_push(&r, in + i, n - i < block ? n - i : block, out + at, total - at, &got));
		at += got;
	}
	assert_true(sn_resampler_flush(&r, out + at, total - at, &got));
	sn_resampler_fini(&r);
	assert_int_equal(at + got, total);
	assert_true(out[total] == 77);
	*n_out = total;
	return out;
}

/* Power of x - a * tone, where a is the least squares fit: what is not the tone. tone 0: all power. The ends are left out. */
static void fit(const float *x, size_t n, double w, double *gain, double *rest)
{
	size_t margin = n / 8;
	double cc = 0, ss = 0, cs = 0, xc = 0, xs = 0, power = 0;
	for (size_t i = margin; i < n - margin; i++) {
		double c = cos(w * (double)i), s = sin(w * (double)i);
		cc += c * c, ss += s * s, cs += c * s, xc += x[i] * c, xs += x[i] * s;
	}
	double d = cc * ss - cs * cs, a = (xc * ss - xs * cs) / d, b = (xs * cc - xc * cs) / d;
	for (size_t i = margin; i < n - margin; i++) {
		double e = x[i] - a * cos(w * (double)i) - b * sin(w * (double)i);
		power += e * e;
	}
	*gain = sqrt(a * a + b * b);
	*rest = sqrt(2 * power / (double)(n - 2 * margin));
}

static double db(double x) { return 20 * log10(x + 1e-20); }

static double level(const float *x, size_t n)
{
	double power = 0;
	size_t margin = n / 8;
	for (size_t i = margin; i < n - margin; i++)
		power += (double)x[i] * x[i];
	return sqrt(2 * power / (double)(n - 2 * margin));
}

static void measure(uint32_t in_rate, uint32_t out_rate)
{
	size_t n = in_rate / 2, n_out;
	double nyquist = 0.5 * (in_rate < out_rate ? in_rate : out_rate);
	double ripple = 0, noise = -300, alias = -300;
	float *in = malloc(n * sizeof *in);
	for (int k = 1; k < 60; k++) {
		double f = 0.5 * in_rate * (k - 0.37) / 60, gain, rest;
		for (size_t i = 0; i < n; i++)
			in[i] = (float)(0.5 * cos(2 * PI * f * (double)i / in_rate + 0.3));
		float *out = resampled(in, n, in_rate, out_rate, 4096, &n_out);
		if (f < 0.91 * nyquist) { /* the pass band: the same tone, and nothing else: images and aliases alike */
			fit(out, n_out, 2 * PI * f / out_rate, &gain, &rest);
			ripple = fmax(ripple, fabs(gain / 0.5 - 1));
			noise = fmax(noise, db(rest / 0.5));
		} else if (f > nyquist * 1.001 && out_rate < in_rate) { /* above it: nothing may be left */
			alias = fmax(alias, db(level(out, n_out) / 0.5));
		}
		free(out);
	}
	free(in);
	print_message("%u -> %u Hz: pass band error %.1f dB, not the tone %.1f dB, aliases %.1f dB\n", in_rate, out_rate, db(ripple), noise, alias);
	assert_true(db(ripple) < -90);
	assert_true(noise < -90);
	assert_true(alias < -90);
}

static void tones_come_through_and_aliases_do_not(void **state)
{
	(void)state;
	measure(44100, 16000);
	measure(48000, 16000);
	measure(8000, 16000);
	measure(16000, 24000);
	measure(22050, 48000);
	measure(192000, 16000);
}

/* A sweep from 0 to the Nyquist frequency: where the output can hold it, it is the sweep; where it cannot, silence. */
static void a_sweep_is_the_sweep_and_then_silence(void **state)
{
	(void)state;
	const struct { uint32_t in, out; } pairs[] = {{44100, 16000}, {48000, 16000}, {8000, 16000}, {16000, 24000}};
	for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
		uint32_t in_rate = pairs[p].in, out_rate = pairs[p].out;
		size_t n = 4 * in_rate, n_out;
		double nyquist = 0.5 * (in_rate < out_rate ? in_rate : out_rate), worst = 0, left = 0;
		float *in = malloc(n * sizeof *in);
		for (size_t i = 0; i < n; i++) { /* frequency in_rate / 2 * t / 4 at second t */
			double t = (double)i / in_rate;
			in[i] = (float)(0.5 * sin(2 * PI * (0.5 * in_rate / 4) * t * t / 2));
		}
		float *out = resampled(in, n, in_rate, out_rate, 1000, &n_out);
		for (size_t i = n_out / 50; i < n_out - n_out / 50; i++) {
			double t = (double)i / out_rate, f = 0.5 * in_rate * t / 4;
			if (f < 0.9 * nyquist)
				worst = fmax(worst, fabs(out[i] - 0.5 * sin(2 * PI * (0.5 * in_rate / 4) * t * t / 2)));
			else if (f > 1.02 * nyquist)
				left = fmax(left, fabs((double)out[i]));
		}
		print_message("%u -> %u Hz sweep: error %.1f dB, what is left above %.1f dB\n", in_rate, out_rate, db(worst / 0.5), db(left / 0.5));
		assert_true(db(worst / 0.5) < -90);
		assert_true(db(left / 0.5) < -90);
		free(in);
		free(out);
	}
}

static void the_size_of_blocks_changes_no_bit(void **state)
{
	(void)state;
	const uint32_t rates[] = {8000, 11025, 16000, 22050, 24000, 44100, 48000, 192000};
	const size_t blocks[] = {1, 7, 160, 4096, 50000};
	enum { N = 30011 };
	float *in = malloc(N * sizeof *in);
	uint32_t seed = 1;
	for (size_t i = 0; i < N; i++)
		in[i] = (float)((int32_t)(seed = seed * 1664525 + 1013904223) / 4294967296.0);
	for (size_t a = 0; a < sizeof rates / sizeof *rates; a++)
		for (size_t b = 0; b < sizeof rates / sizeof *rates; b++) {
			size_t n_whole, n_part;
			float *whole = resampled(in, N, rates[a], rates[b], N, &n_whole);
			for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
				float *part = resampled(in, N, rates[a], rates[b], blocks[k], &n_part);
				assert_int_equal(n_part, n_whole);
				assert_memory_equal(part, whole, n_whole * sizeof *whole);
				free(part);
			}
			free(whole);
		}
	free(in);
}

static void every_length_is_rounded_up(void **state)
{
	(void)state;
	float in[700];
	size_t n_out;
	for (size_t i = 0; i < 700; i++)
		in[i] = 0.25f;
	for (size_t n = 1; n < 700; n += n < 100 ? 1 : 37) {
		const uint32_t rates[][2] = {{48000, 16000}, {44100, 16000}, {48000, 44100}, {8000, 16000}, {16000, 16000}, {32000, 16000}};
		for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
			float *out = resampled(in, n, rates[k][0], rates[k][1], 64, &n_out);
			assert_int_equal(n_out, (n * rates[k][1] + rates[k][0] - 1) / rates[k][0]);
			free(out);
		}
	}
}

static void what_cannot_be_done_is_refused(void **state)
{
	(void)state;
	sn_resampler r;
	uint64_t n;
	size_t got;
	float in[64] = {0}, out[64];
	assert_false(sn_resample_count(1, 0, 16000, &n));
	assert_false(sn_resample_count(1, 16000, 0, &n));
	assert_false(sn_resample_count(UINT64_MAX / 2, 8000, 16000, &n));
	assert_false(sn_resampler_init(&r, 0, 16000));
	assert_false(sn_resampler_init(&r, 16000, 0));
	assert_false(sn_resampler_init(&r, 1, 16000));
	assert_false(sn_resampler_init(&r, 4000000000u, 16000));
	sn_resampler_fini(&r);
	assert_true(sn_resampler_init(&r, 16000, 16000));
	assert_false(sn_resampler_push(&r, in, 64, out, 63, &got));
	sn_resampler_fini(&r);
	assert_true(sn_resampler_init(&r, 16000, 24000));
	assert_true(sn_resampler_push(&r, in, 64, out, 64, &got));
	assert_false(sn_resampler_flush(&r, out, 10, &got));
	sn_resampler_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tones_come_through_and_aliases_do_not),
	    cmocka_unit_test(a_sweep_is_the_sweep_and_then_silence),
	    cmocka_unit_test(the_size_of_blocks_changes_no_bit),
	    cmocka_unit_test(every_length_is_rounded_up),
	    cmocka_unit_test(what_cannot_be_done_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
