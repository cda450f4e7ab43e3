/* test_image.c - modalities/image against Pillow and transformers, bit for bit (goldens: tests/golden/image/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "idefics3.h"
#include "patches.h"
#include "passes.h"
#include "resize.h"

/* The next line of a golden table that is not a comment. */
static char *next_line(char **at)
{
	for (;;) {
		char *line = *at, *end = strchr(line, '\n');
		if (!end)
			return NULL;
		*end = 0;
		*at = end + 1;
		if (*line != '#')
			return line;
	}
}

static void resize_is_pillows(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("resize.txt", &n), *at = table;
	for (char *line; (line = next_line(&at));) {
		unsigned filter, iw, ih, ow, oh, seed;
		unsigned long long want;
		assert_int_equal(sscanf(line, "%u %u %u %u %u %u %llx", &filter, &iw, &ih, &ow, &oh, &seed, &want), 7);
		size_t scratch_bytes;
		assert_true(sn_resize_scratch(iw, ih, ow, oh, filter, &scratch_bytes));
		uint8_t *src = golden_picture(iw, ih, seed), *dst = malloc((size_t)ow * oh * 3), *scratch = malloc(scratch_bytes);
		sn_resize_rgb(src, iw, ih, dst, ow, oh, filter, scratch);
		if (golden_hash(dst, (size_t)ow * oh * 3) != want)
			fail_msg("differs from Pillow: %s", line);
		free(src);
		free(dst);
		free(scratch);
	}
	free(table);
}

static void sizes_are_checked(void **state)
{
	(void)state;
	size_t bytes;
	assert_false(sn_rgb_bytes(0, 5, &bytes));
	assert_false(sn_rgb_bytes(5, UINT32_MAX, &bytes));
	assert_false(sn_resize_scratch(0, 1, 1, 1, SN_FILTER_BICUBIC, &bytes));
	assert_false(sn_resize_scratch(1, 1, 1, 0, SN_FILTER_BICUBIC, &bytes));
	assert_false(sn_resize_scratch(1, 1, 1, 1, (sn_filter)7, &bytes));
	sn_idefics3_cut cut;
	assert_false(sn_idefics3_plan(0, 1, 512, 512, true, &cut));
	assert_false(sn_idefics3_plan(1, 1, 0, 512, true, &cut));
	assert_false(sn_idefics3_plan(1, 1, 512, 0, true, &cut));
	assert_false(sn_idefics3_plan(UINT32_MAX, 1, 512, 512, true, &cut));
}

static void smolvlm_pixels_are_the_processors(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("idefics3.txt", &n), *at = table;
	sn_normalize normal;
	sn_normalize_init(&normal, (float[]){0.5f, 0.5f, 0.5f}, (float[]){0.5f, 0.5f, 0.5f});
	for (char *line; (line = next_line(&at));) {
		unsigned w, h, seed, longest, side, patch, splitting, rows, cols, n_images;
		unsigned long long want;
		assert_int_equal(sscanf(line, "%u %u %u %u %u %u %u %u %u %u %llx", &w, &h, &seed, &longest, &side, &patch, &splitting, &rows,
		                        &cols, &n_images, &want), 11);
		sn_idefics3_cut cut;
		assert_true(sn_idefics3_plan(w, h, longest, side, splitting, &cut));
		if (cut.rows != rows || cut.cols != cols || cut.n_images != n_images)
			fail_msg("%s: got %u x %u, %u images", line, cut.rows, cut.cols, cut.n_images);
		size_t pixel_bytes, scratch_bytes;
		assert_true(sn_idefics3_bytes(&cut, &pixel_bytes, &scratch_bytes));
		uint8_t *src = golden_picture(w, h, seed), *pixels = malloc(pixel_bytes), *scratch = aligned_alloc(64, (scratch_bytes + 63) / 64 * 64);
		sn_idefics3_run(&cut, src, pixels, scratch);

		uint32_t grid = side / patch;
		size_t image_floats = (size_t)side * side * 3;
		float *values = malloc(n_images * image_floats * sizeof(float)); /* [n_images][grid * grid][3 * patch * patch] */
		for (uint32_t i = 0; i < n_images; i++) {
			size_t stride, half = grid * grid / 2, patch_floats = (size_t)3 * patch * patch;
			const uint8_t *image = sn_idefics3_image(&cut, pixels, i, &stride);
			sn_patchify(image, stride, patch, grid, 0, (uint32_t)half, &normal, values + i * image_floats);
			sn_patchify(image, stride, patch, grid, (uint32_t)half, grid * grid - (uint32_t)half, &normal,
			            values + i * image_floats + half * patch_floats);
		}
		if (golden_hash(values, n_images * image_floats * sizeof(float)) != want)
			fail_msg("pixel values differ: %s", line);
		free(src);
		free(pixels);
		free(scratch);
		free(values);
	}
	free(table);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* From planes as from pixels, in every filter; and what this CPU's passes make is what any CPU's make. */
static void planes_are_the_same_picture(void **state)
{
	uint32_t seed = 6;
	(void)state;
	for (int round = 0; round < 60; round++) {
		uint32_t iw = 1 + next(&seed) % 90, ih = 1 + next(&seed) % 90, ow = round % 4 ? 1 + next(&seed) % 90 : iw, oh = round % 6 ? 1 + next(&seed) % 90 : ih;
		size_t stride = iw + SN_PLANE_SPARE, bytes;
		uint8_t *rgb = malloc((size_t)iw * ih * 3), *planes = malloc(3 * stride * ih), *a = malloc((size_t)ow * oh * 3), *b = malloc((size_t)ow * oh * 3);
		uint8_t *woven = malloc((size_t)iw * ih * 3);
		const uint8_t *const parts[3] = {planes, planes + stride * ih, planes + 2 * stride * ih};
		memset(planes, 0xA5, 3 * stride * ih);
		for (size_t i = 0; i < (size_t)iw * ih * 3; i++)
			rgb[i] = planes[i % 3 * stride * ih + i / 3 / iw * stride + i / 3 % iw] = (uint8_t)(round % 5 ? next(&seed) : next(&seed) % 2 * 255);
		for (int filter = SN_FILTER_BILINEAR; filter <= SN_FILTER_LANCZOS3_TORCH; filter++) {
			assert_true(sn_resize_scratch(iw, ih, ow, oh, filter, &bytes));
			void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
			sn_resize_rgb(rgb, iw, ih, a, ow, oh, filter, scratch);
			sn_resize_planes(parts, stride, iw, ih, b, ow, oh, filter, woven, scratch);
			assert_memory_equal(a, b, (size_t)ow * oh * 3);
			free(scratch);
		}
		free(rgb);
		free(planes);
		free(a);
		free(b);
		free(woven);
	}
}

static void every_cpu_makes_the_same(void **state)
{
	enum { IN = 300, OUT = 70, ROWS = 9, WIDTH = 20, SHORT = 32, STRIDE = IN + SN_TAP_BLOCK };
	static uint8_t src[3 * ROWS * STRIDE], a[3 * ROWS * IN], b[3 * ROWS * IN];
	static uint32_t first[OUT], count[OUT];
	static int32_t weight[OUT * WIDTH];
	static int16_t shorts[OUT * SHORT];
	uint32_t seed = 9;
	(void)state;
	if (!SN_HAS_AVX2())
		skip();
	for (size_t i = 0; i < sizeof src; i++)
		src[i] = (uint8_t)next(&seed);
	for (uint32_t i = 0; i < OUT; i++) {
		first[i] = next(&seed) % 7;
		count[i] = 1 + next(&seed) % 2;
		for (uint32_t k = 0; k < count[i]; k++)
			shorts[i * SHORT + k] = (int16_t)(weight[i * WIDTH + k] = (int32_t)(next(&seed) % 65535) - 32767);
	}
	const uint8_t *const parts[3] = {src, src + ROWS * STRIDE, src + 2 * ROWS * STRIDE};
	for (int with_shorts = 0; with_shorts < 2; with_shorts++) {
		const sn_taps t = {.n = OUT, .width = WIDTH, .first = first, .count = count, .weight = weight, .short_weight = with_shorts ? shorts : NULL,
		                   .short_width = SHORT, .precision = 15};
		sn_passes_plain.across(&t, src, IN, ROWS, a);
		sn_passes_avx2.across(&t, src, IN, ROWS, b);
		assert_memory_equal(a, b, 3 * ROWS * OUT);
		sn_passes_plain.across_planes(&t, parts, STRIDE, ROWS, a);
		sn_passes_avx2.across_planes(&t, parts, STRIDE, ROWS, b);
		assert_memory_equal(a, b, 3 * ROWS * OUT);
		sn_passes_plain.down(&t, src, 37, a);
		sn_passes_avx2.down(&t, src, 37, b);
		assert_memory_equal(a, b, 37 * OUT);
		sn_passes_plain.weave(parts, STRIDE, IN, ROWS, a);
		sn_passes_avx2.weave(parts, STRIDE, IN, ROWS, b);
		assert_memory_equal(a, b, 3 * ROWS * IN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(resize_is_pillows),
	    cmocka_unit_test(planes_are_the_same_picture),
	    cmocka_unit_test(every_cpu_makes_the_same),
	    cmocka_unit_test(sizes_are_checked),
	    cmocka_unit_test(smolvlm_pixels_are_the_processors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
