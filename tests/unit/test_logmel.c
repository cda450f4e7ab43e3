/* Log-mel frames are the reference's over speech that went through a microphone, in any slices; quiet places are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <logmel.h>
#include <quiet.h>

#include "golden.h"

static float *read_sound(const char *name, size_t *n)
{
	char file[64];
	snprintf(file, sizeof file, "logmel-%s.i16", name);
	uint8_t *raw = golden_file(file, n);
	*n /= 2;
	float *x = malloc(*n * sizeof *x);
	for (size_t i = 0; i < *n; i++) {
		int16_t v;
		memcpy(&v, raw + 2 * i, 2);
		x[i] = (float)v / 32768.0f;
	}
	free(raw);
	return x;
}

static void expect_near(const char *name, const float *have, const uint8_t *raw, size_t n)
{
	double worst = 0;
	for (size_t i = 0; i < n; i++) {
		float want;
		memcpy(&want, raw + i * sizeof want, sizeof want);
		double d = fabs((double)have[i] - (double)want);
		assert_true(isfinite(d));
		worst = d > worst ? d : worst;
	}
	print_message("%s: worst difference %.1e\n", name, worst);
	assert_true(worst <= 1e-4);
}

static void frames_are_the_references(void **state)
{
	(void)state;
	static const struct { const char *name; uint32_t n_mels; } cases[] = {{"clean", 128}, {"room", 80}, {"room", 128}, {"noise", 128},
	    {"clipped", 128}, {"narrow", 128}, {"stereo", 128}, {"quiet", 80}, {"quiet", 128}};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		char file[64];
		size_t n, bytes;
		sn_logmel m;
		snprintf(file, sizeof file, "logmel-%s-%u.bin", cases[k].name, cases[k].n_mels);
		float *x = read_sound(cases[k].name, &n), most = -INFINITY;
		uint8_t *want = golden_file(file, &bytes);
		size_t n_frames = bytes / sizeof(float) / cases[k].n_mels;
		void *scratch = malloc(sn_logmel_scratch());
		float *have = malloc(3000 * cases[k].n_mels * sizeof *have);
		assert_true(sn_logmel_init(&m, cases[k].n_mels));
		sn_logmel_frames(&m, x, n, 480000, 0, 3000, have, &most, scratch);
		sn_logmel_scale(have, 3000 * cases[k].n_mels, most);
		expect_near(file, have, want, n_frames * cases[k].n_mels);
		for (size_t i = n_frames * cases[k].n_mels; i < 3000 * cases[k].n_mels; i++) /* silence to the end */
			assert_true(have[i] == have[n_frames * cases[k].n_mels - 1]);

		float *part = malloc(n_frames * cases[k].n_mels * sizeof *part), again = -INFINITY; /* in slices: the same bytes */
		for (size_t f = 0; f < n_frames; f += 7)
			sn_logmel_frames(&m, x, n, 480000, f, n_frames - f < 7 ? n_frames - f : 7, part + f * cases[k].n_mels, &again, scratch);
		assert_true(again == most);
		sn_logmel_scale(part, n_frames * cases[k].n_mels, most);
		assert_memory_equal(part, have, n_frames * cases[k].n_mels * sizeof *part);
		free(part);
		free(have);
		free(scratch);
		free(want);
		free(x);
	}
}

static void a_clip_mirrors_its_own_end(void **state)
{
	(void)state;
	size_t n, bytes;
	sn_logmel m;
	float *x = read_sound("room", &n), most = -INFINITY, have[50 * 128];
	uint8_t *want = golden_file("logmel-end-128.bin", &bytes);
	void *scratch = malloc(sn_logmel_scratch());
	assert_true(sn_logmel_init(&m, 128));
	sn_logmel_frames(&m, x, 7990, 8000, 0, 50, have, &most, scratch);
	sn_logmel_scale(have, 50 * 128, most);
	assert_int_equal(bytes, 6 * 128 * sizeof(float));
	expect_near("logmel-end-128.bin", have + 44 * 128, want, 6 * 128);
	free(scratch);
	free(want);
	free(x);
}

static void odd_clips_are_finite(void **state)
{
	(void)state;
	sn_logmel m;
	float x[700], have[8 * 80];
	void *scratch = malloc(sn_logmel_scratch());
	assert_false(sn_logmel_init(&m, 0));
	assert_false(sn_logmel_init(&m, SN_LOGMEL_MAX_MELS + 1));
	for (uint32_t mels = 1; mels <= SN_LOGMEL_MAX_MELS; mels++)
		assert_true(sn_logmel_init(&m, mels));
	assert_true(sn_logmel_init(&m, 80));
	for (int i = 0; i < 700; i++)
		x[i] = i % 2 ? 1.0f : -1.0f;
	for (uint64_t n = 1; n < 700; n += 23)
		for (uint64_t padded = n < 2 ? 2 : n; padded < 1000; padded += 131) {
			float most = -INFINITY;
			sn_logmel_frames(&m, x, n, padded, 0, 8, have, &most, scratch);
			sn_logmel_scale(have, sizeof have / sizeof *have, most);
			for (size_t i = 0; i < sizeof have / sizeof *have; i++)
				assert_true(isfinite(have[i]));
		}
	free(scratch);
}

static void quiet_places_are_found(void **state)
{
	(void)state;
	float *x = malloc(16000 * sizeof *x);
	for (int i = 0; i < 16000; i++)
		x[i] = i % 3 ? 0.5f : -0.5f;
	assert_int_equal(sn_quiet_place(x, 0, 16000, 1600), 14400 + 800); /* all the same: as late as can be */
	for (int i = 5000; i < 7000; i++)
		x[i] *= 0.01f;
	uint64_t at = sn_quiet_place(x, 0, 16000, 1600);
	assert_true(at >= 5800 && at <= 6200);
	assert_true(sn_quiet_place(x, 8000, 16000, 1600) >= 8800);
	assert_int_equal(sn_quiet_place(x, 0, 1599, 1600), 1599); /* too short to look */
	assert_int_equal(sn_quiet_place(x, 100, 100, 1600), 100);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_are_the_references),
	    cmocka_unit_test(a_clip_mirrors_its_own_end),
	    cmocka_unit_test(odd_clips_are_finite),
	    cmocka_unit_test(quiet_places_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
