/* test_image_codec_write.c - promises of sn.write/1: what is written reads back, in bounds, or is refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_case.h"
#include "golden.h"

static const uint32_t SIZES[][2] = {{1, 1}, {2, 1}, {1, 3}, {7, 5}, {16, 16}, {17, 33}, {255, 3}, {1, 4000}, {4000, 1}, {640, 481}, {1999, 1001}};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES };

static sn_media media_of(uint8_t *rgb, uint32_t w, uint32_t h)
{
	return (sn_media){.size = sizeof(sn_media), .kind = SN_MEDIA_IMAGE, .width = w, .height = h, .n_frames = 1, .samples = rgb,
	                  .bytes = (uint64_t)w * h * 3};
}

static sn_write_options as(const char *type, uint32_t quality)
{
	return (sn_write_options){.size = sizeof(sn_write_options), .quality = quality, .media_type = type};
}

/* bound, allocate exactly that, write. */
static sn_rc write_file(const sn_media *m, const sn_write_options *o, byte_buf *out, sn_fault *fault)
{
	uint64_t most = 0, n = 0;
	*out = (byte_buf){0};
	*fault = (sn_fault){.size = sizeof *fault};
	sn_rc rc = codec.write->bound(codec.instance, NULL, m, o, &most, fault);
	if (rc == SN_RC_OK) {
		out->p = malloc(most);
		rc = codec.write->write(codec.instance, NULL, m, o, out->p, most, &n, fault);
		out->n = n;
		assert_true(n <= most && (rc == SN_RC_OK) == (n > 0));
	}
	if (rc != SN_RC_OK) {
		assert_int_equal(fault->code, rc);
		assert_true(fault->text[0]);
	}
	assert_int_equal(codec.host.held, 0);
	return rc;
}

static double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
	return sum == 0 ? INFINITY : 10 * log10(255.0 * 255.0 * (double)n / sum);
}

/* Hard to compress, and smooth. */
static uint8_t *smooth(uint32_t w, uint32_t h)
{
	uint8_t *rgb = malloc((size_t)w * h * 3);
	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++) {
			uint8_t *p = rgb + ((size_t)y * w + x) * 3;
			p[0] = (uint8_t)(255u * x / w);
			p[1] = (uint8_t)(255u * y / h);
			p[2] = (uint8_t)(128 + 100 * sin(x * 0.05) * cos(y * 0.04));
		}
	return rgb;
}

static void png_comes_back_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SIZES; i++)
		for (int flat = 0; flat < 2; flat++) {
			uint32_t w = SIZES[i][0], h = SIZES[i][1];
			uint8_t *rgb = flat ? smooth(w, h) : golden_picture(w, h, 9);
			sn_media m = media_of(rgb, w, h), back;
			sn_write_options o = as("image/png", 0);
			sn_fault fault;
			byte_buf file;
			assert_int_equal(write_file(&m, &o, &file, &fault), SN_RC_OK);
			assert_int_equal(decode(file.p, file.n, &LIMITS, &back, &fault), SN_RC_OK);
			assert_true(back.width == w && back.height == h);
			assert_memory_equal(back.samples, rgb, m.bytes);
			free(back.samples);
			free(file.p);
			free(rgb);
		}
}

/* Smooth pictures of 16 x 16 and more: at least 30 dB at quality 50, 38 at 90 and 45 at 100; every picture: within the bound. */
static void jpeg_comes_back_close(void **state)
{
	(void)state;
	static const struct {
		uint32_t quality;
		double least;
	} CASES[] = {{50, 30}, {75, 33}, {0, 38}, {90, 38}, {100, 45}};
	for (size_t i = 0; i < N_SIZES; i++)
		for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++)
			for (int flat = 0; flat < 2; flat++) {
				uint32_t w = SIZES[i][0], h = SIZES[i][1];
				uint8_t *rgb = flat ? smooth(w, h) : golden_picture(w, h, 9);
				sn_media m = media_of(rgb, w, h), back;
				sn_write_options o = as("image/jpeg", CASES[k].quality);
				sn_fault fault;
				byte_buf file;
				assert_int_equal(write_file(&m, &o, &file, &fault), SN_RC_OK);
				assert_int_equal(decode(file.p, file.n, &LIMITS, &back, &fault), SN_RC_OK);
				assert_true(back.width == w && back.height == h);
				double close = psnr(back.samples, rgb, m.bytes);
				if (flat && w >= 16 && h >= 16 && close < CASES[k].least)
					fail_msg("%ux%u at %u: %.1f dB", w, h, CASES[k].quality, close);
				free(back.samples);
				free(file.p);
				free(rgb);
			}
}

/* Noise at quality 100 is the largest that a JPEG gets. */
static void the_bound_holds_for_noise(void **state)
{
	(void)state;
	static const char *const TYPES[] = {"image/png", "image/jpeg"};
	uint32_t seed = 1;
	for (uint32_t w = 1; w < 70; w += 17) {
		uint8_t *rgb = malloc((size_t)w * 33 * 3);
		for (size_t i = 0; i < (size_t)w * 33 * 3; i++)
			rgb[i] = (seed = seed * 1664525u + 1013904223u) >> 31 ? 255 : 0;
		for (size_t t = 0; t < 2; t++) {
			sn_media m = media_of(rgb, w, 33);
			sn_write_options o = as(TYPES[t], 100);
			sn_fault fault;
			byte_buf file;
			assert_int_equal(write_file(&m, &o, &file, &fault), SN_RC_OK);
			free(file.p);
		}
		free(rgb);
	}
}

static void the_same_picture_gives_the_same_file(void **state)
{
	(void)state;
	static const char *const TYPES[] = {"image/png", "image/jpeg"};
	for (size_t t = 0; t < 2; t++) {
		uint8_t *rgb = golden_picture(50, 40, 3);
		sn_media m = media_of(rgb, 50, 40);
		sn_write_options o = as(TYPES[t], 80);
		sn_fault fault;
		byte_buf a, b;
		assert_int_equal(write_file(&m, &o, &a, &fault), SN_RC_OK);
		assert_int_equal(write_file(&m, &o, &b, &fault), SN_RC_OK);
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
		free(a.p);
		free(b.p);
		free(rgb);
	}
}

/* Every capacity short of the file's size is refused, and no byte behind it is touched. */
static void a_limit_is_kept_to_the_byte(void **state)
{
	(void)state;
	static const char *const TYPES[] = {"image/png", "image/jpeg"};
	for (size_t t = 0; t < 2; t++) {
		uint8_t *rgb = golden_picture(9, 7, 4);
		sn_media m = media_of(rgb, 9, 7);
		sn_write_options o = as(TYPES[t], 50);
		sn_fault fault;
		byte_buf whole;
		assert_int_equal(write_file(&m, &o, &whole, &fault), SN_RC_OK);
		for (size_t room = 0; room <= whole.n + 1; room++) {
			uint8_t *out = malloc(room + 1);
			uint64_t n = 7;
			out[room] = 0xA5;
			sn_rc rc = codec.write->write(codec.instance, NULL, &m, &o, out, room, &n, &fault);
			assert_int_equal(out[room], 0xA5);
			assert_int_equal(codec.host.held, 0);
			assert_int_equal(rc, room < whole.n ? SN_RC_TOO_LARGE : SN_RC_OK);
			assert_int_equal(n, rc == SN_RC_OK ? whole.n : 0);
			free(out);
		}
		free(whole.p);
		free(rgb);
	}
}

static void no_memory_is_an_answer(void **state)
{
	(void)state;
	uint8_t *rgb = golden_picture(40, 30, 5);
	sn_media m = media_of(rgb, 40, 30);
	sn_write_options o = as("image/png", 0);
	sn_fault fault;
	sn_rc rc = SN_RC_NOMEM;
	size_t k = 1;
	for (; rc != SN_RC_OK && k < 50; k++) {
		byte_buf file;
		codec.host.fail_alloc = codec.host.n_allocs + k;
		rc = write_file(&m, &o, &file, &fault);
		assert_true(rc == SN_RC_OK || rc == SN_RC_NOMEM);
		free(file.p);
	}
	codec.host.fail_alloc = 0;
	assert_int_equal(rc, SN_RC_OK);
	assert_true(k > 4);
	free(rgb);
}

static void what_cannot_be_written_is_refused(void **state)
{
	(void)state;
	uint8_t rgb[12 * 12 * 3] = {0};
	const sn_media good = media_of(rgb, 12, 12);
	const sn_write_options png = as("image/png", 0);
	sn_media m;
	sn_write_options o;
	sn_fault fault;
	byte_buf file;
	static const char *const TYPES[] = {"image/webp", "image/gif", "IMAGE/PNG", "", "image/png "};
	for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
		o = as(TYPES[i], 0);
		assert_int_equal(write_file(&good, &o, &file, &fault), SN_RC_UNSUPPORTED);
	}
	o = as(NULL, 0);
	assert_int_equal(write_file(&good, &o, &file, &fault), SN_RC_UNSUPPORTED);
	o = as("image/jpeg", 101);
	assert_int_equal(write_file(&good, &o, &file, &fault), SN_RC_INVALID);
	for (int i = 0; i < 7; i++) {
		m = good;
		if (i == 0)
			m.kind = SN_MEDIA_AUDIO;
		else if (i == 1)
			m.width = 0;
		else if (i == 2)
			m.height = 0;
		else if (i == 3)
			m.n_frames = 2;
		else if (i == 4)
			m.bytes--;
		else if (i == 5)
			m.samples = NULL;
		else
			m.width = m.height = UINT32_MAX;
		assert_int_equal(write_file(&m, &png, &file, &fault), SN_RC_INVALID);
	}
	m = good; /* claims that many bytes, too: refused before any is read */
	m.width = 65501;
	m.height = 1;
	m.bytes = 65501 * 3;
	o = as("image/jpeg", 0);
	assert_int_equal(write_file(&m, &o, &file, &fault), SN_RC_TOO_LARGE);
	assert_string_equal(codec.write->media_types, "image/png image/jpeg");
	assert_string_equal(codec.write->kind_name, "image");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(png_comes_back_exactly),
	    cmocka_unit_test(jpeg_comes_back_close),
	    cmocka_unit_test(the_bound_holds_for_noise),
	    cmocka_unit_test(the_same_picture_gives_the_same_file),
	    cmocka_unit_test(a_limit_is_kept_to_the_byte),
	    cmocka_unit_test(no_memory_is_an_answer),
	    cmocka_unit_test(what_cannot_be_written_is_refused),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
