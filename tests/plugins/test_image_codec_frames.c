/* test_image_codec_frames.c - promises about WebP and GIF: containers that lie, canvases larger than their frames, bombs.
 * The pixels of sound files are compared in test_image_codec.c. */
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

static sn_rc measure_code(const byte_buf *b)
{
	sn_media media = {.size = sizeof media};
	sn_fault fault = {.size = sizeof fault};
	return codec.decode->measure(codec.instance, NULL, b->p, b->n, &LIMITS, &media, &fault);
}

/* ---- WebP ---- */

static void add_riff_chunk(byte_buf *b, const char *kind, const void *data, size_t n)
{
	add(b, kind, 4);
	add_le(b, (uint32_t)n, 4);
	add(b, data, n);
	if (n & 1)
		add(b, "", 1);
}

static byte_buf webp_begin(void)
{
	byte_buf b = {0};
	add(&b, "RIFF\0\0\0\0WEBP", 12);
	return b;
}

static void webp_end(byte_buf *b)
{
	uint32_t n = (uint32_t)b->n - 8;
	for (int i = 0; i < 4; i++)
		b->p[4 + i] = (uint8_t)(n >> (8 * i));
}

static byte_buf vp8l(uint32_t width, uint32_t height)
{
	byte_buf b = {0};
	add(&b, "\x2F", 1);
	add_le(&b, (width - 1) | (height - 1) << 14, 4);
	add(&b, "\0\0\0\0\0\0\0", 7);
	return b;
}

static byte_buf vp8x(uint32_t flags, uint32_t width, uint32_t height)
{
	byte_buf b = {0};
	add_le(&b, flags, 4);
	add_le(&b, width - 1, 3);
	add_le(&b, height - 1, 3);
	return b;
}

static void webp_over_the_limits_costs_nothing(void **state)
{
	(void)state;
	static const struct {
		uint32_t width, height;
		sn_rc want;
	} CASES[] = {
	    {16384, 16384, SN_RC_TOO_LARGE}, {5000, 5000, SN_RC_OK},
	    {6500, 6400, SN_RC_TOO_LARGE}, /* few enough pixels, but libwebp would take 208 MB for itself */
	};
	long before = peak_kib();
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		byte_buf b = webp_begin(), image = vp8l(CASES[i].width, CASES[i].height);
		add_riff_chunk(&b, "VP8L", image.p, image.n);
		webp_end(&b);
		assert_int_equal(measure_code(&b), CASES[i].want);
		free(b.p);
		free(image.p);
	}
	byte_buf b = webp_begin(), head = vp8x(2, 1 << 24, 1 << 24), frame = {0}, image = vp8l(4, 4); /* a small frame on a huge canvas */
	add_le(&frame, 0, 6);
	add_le(&frame, 3, 3);
	add_le(&frame, 3, 3);
	add_le(&frame, 100, 4);
	add_riff_chunk(&frame, "VP8L", image.p, image.n);
	add_riff_chunk(&b, "VP8X", head.p, head.n);
	add_riff_chunk(&b, "ANMF", frame.p, frame.n);
	webp_end(&b);
	assert_int_equal(measure_code(&b), SN_RC_TOO_LARGE);
	free(b.p);
	free(head.p);
	free(frame.p);
	free(image.p);
	assert_true(peak_kib() - before < 4096);
}

/* 100,000 frames: the first is looked at. 100,000 unknown chunks: walked over. */
static void webp_of_many_chunks_is_cheap(void **state)
{
	(void)state;
	size_t n;
	uint8_t *file = golden_file("decode/webp-animated.webp", &n);
	byte_buf b = {0};
	long before = peak_kib();
	add(&b, file, n);
	for (int i = 0; i < 100000; i++)
		add_riff_chunk(&b, i % 2 ? "ANMF" : "teSt", "damaged", 7);
	webp_end(&b);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
	assert_true(peak_kib() - before < 8192);
	free(b.p);
	free(file);
}

static void webp_that_lies_is_refused(void **state)
{
	(void)state;
	size_t n;
	uint8_t *file = golden_file("decode/webp-animated-corner.webp", &n);
	const size_t anmf = 12 + 18 + 14 + 8; /* RIFF, VP8X, ANIM, then the frame's data */
	static const struct {
		size_t at;
		uint8_t value;
	} LIES[] = {
	    {4, 0},         /* RIFF: smaller than its chunks */
	    {7, 0xFF},      /* RIFF: 4 GB */
	    {24, 10},       /* canvas narrower than the frame */
	    {16, 4},        /* VP8X: cut */
	};
	assert_memory_equal(file + anmf - 8, "ANMF", 4);
	for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
		uint8_t was = file[LIES[i].at];
		file[LIES[i].at] = LIES[i].value;
		if (decode_code(file, n) != SN_RC_INVALID)
			fail_msg("lie %zu is believed", i);
		file[LIES[i].at] = was;
	}
	static const size_t FRAME_BYTES[] = {0, 6, 9}; /* left, width, height */
	for (size_t i = 0; i < 3; i++) {
		file[anmf + FRAME_BYTES[i]] ^= 0x3F;
		assert_int_equal(decode_code(file, n), SN_RC_INVALID);
		file[anmf + FRAME_BYTES[i]] ^= 0x3F;
	}
	assert_int_equal(decode_code(file, n), SN_RC_OK);
	free(file);

	byte_buf b = webp_begin(), head = vp8x(0, 4, 4);
	add_riff_chunk(&b, "VP8X", head.p, head.n);
	webp_end(&b);
	assert_int_equal(measure_code(&b), SN_RC_INVALID); /* no picture */
	free(b.p);
	free(head.p);
	b = webp_begin();
	add_riff_chunk(&b, "ICCP", "profile", 7);
	webp_end(&b);
	assert_int_equal(measure_code(&b), SN_RC_INVALID);
	free(b.p);
	byte_buf deep = webp_begin(); /* nothing but a header of a chunk that is larger than the file */
	add(&deep, "VP8L\xFF\xFF\xFF\xFF", 8);
	webp_end(&deep);
	assert_int_equal(measure_code(&deep), SN_RC_INVALID);
	free(deep.p);
}

/* Damage in the pixels of a lossless file shows: its codes do not add up, or the picture differs; never a crash. */
static void webp_damage_is_refused_or_bounded(void **state)
{
	(void)state;
	size_t n, refused = 0, tried = 0;
	uint8_t *file = golden_file("decode/webp-lossless.webp", &n);
	for (size_t at = 30; at < n; at += 11, tried++) {
		file[at] ^= 0x55;
		refused += decode_code(file, n) != SN_RC_OK;
		file[at] ^= 0x55;
	}
	assert_true(refused > 0);
	assert_int_equal(decode_code(file, n), SN_RC_OK);
	free(file);
	print_message("%zu of %zu damaged files refused\n", refused, tried);
}

/* ---- GIF ---- */

static byte_buf gif_begin(uint32_t width, uint32_t height)
{
	byte_buf b = {0};
	add(&b, "GIF89a", 6);
	add_le(&b, width, 2);
	add_le(&b, height, 2);
	add(&b, "\x80\0\0\1\2\3\xF0\xE0\xD0", 9); /* two colours */
	return b;
}

static void add_image(byte_buf *b, uint32_t left, uint32_t top, uint32_t width, uint32_t height, const void *data, size_t n)
{
	add(b, ",", 1);
	add_le(b, left, 2);
	add_le(b, top, 2);
	add_le(b, width, 2);
	add_le(b, height, 2);
	add(b, "\0", 1);
	add(b, data, n);
}

static const uint8_t ONE_PIXEL[] = {2, 2, 0x4C, 0x01, 0}; /* LZW: clear, 1, end */

static void gif_over_the_limits_costs_nothing(void **state)
{
	(void)state;
	static const uint32_t SIZES[][6] = {{65535, 65535, 0, 0, 1, 1}, {1, 1, 0, 0, 65535, 65535}, {1, 1, 65535, 65535, 1, 1}, {1, 1, 1, 65535, 65535, 1}};
	long before = peak_kib();
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
		const uint32_t *s = SIZES[i];
		byte_buf b = gif_begin(s[0], s[1]);
		add_image(&b, s[2], s[3], s[4], s[5], ONE_PIXEL, sizeof ONE_PIXEL);
		add(&b, ";", 1);
		assert_int_equal(decode_code(b.p, b.n), SN_RC_TOO_LARGE);
		free(b.p);
	}
	assert_true(peak_kib() - before < 4096);
}

static void gif_that_lies_is_refused(void **state)
{
	(void)state;
	byte_buf b = gif_begin(1, 1);
	size_t head = b.n;
	add_image(&b, 0, 0, 1, 1, ONE_PIXEL, sizeof ONE_PIXEL);
	add(&b, ";", 1);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
	static const struct {
		size_t at;
		uint8_t value;
	} LIES[] = {
	    {0, ';'},    /* ends before its picture */
	    {0, 'x'},    /* no such block */
	    {5, 0},      /* no width */
	    {5, 9},      /* more pixels than there are codes */
	    {7, 0},      /* no height */
	    {9, 0x87},   /* a palette where the pixels stand */
	    {10, 13},    /* codes of 13 bits */
	    {11, 255},   /* a block past the end */
	    {12, 0xFF},  /* a code that is not in the table */
	};
	for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
		uint8_t was = b.p[head + LIES[i].at];
		b.p[head + LIES[i].at] = LIES[i].value;
		if (decode_code(b.p, b.n) != SN_RC_INVALID)
			fail_msg("lie %zu is believed", i);
		b.p[head + LIES[i].at] = was;
	}
	free(b.p);
}

/* 100,000 frames, and 100,000 extensions before the first: the first frame is read. */
static void gif_of_many_blocks_is_cheap(void **state)
{
	(void)state;
	byte_buf b = gif_begin(1, 1);
	long before = peak_kib();
	for (int i = 0; i < 100000; i++)
		add(&b, "!\xFE\1x\0", 5);
	for (int i = 0; i < 100000; i++)
		add_image(&b, 0, 0, i ? 65535 : 1, i ? 65535 : 1, ONE_PIXEL, sizeof ONE_PIXEL);
	add(&b, ";", 1);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
	free(b.p);
	assert_true(peak_kib() - before < 8192);
}

/* The frame's pixels end, its blocks go on for 16 MB: nothing grows. */
static void gif_of_surplus_data_is_cheap(void **state)
{
	(void)state;
	byte_buf b = gif_begin(1, 1);
	uint8_t block[256] = {255};
	add_image(&b, 0, 0, 1, 1, ONE_PIXEL, sizeof ONE_PIXEL - 1);
	for (int i = 0; i < 1 << 16; i++)
		add(&b, block, sizeof block);
	add(&b, "\0;", 2);
	long before = peak_kib();
	sn_rc rc = decode_code(b.p, b.n);
	assert_true(rc == SN_RC_OK || rc == SN_RC_INVALID);
	assert_true(peak_kib() - before < 4096);
	free(b.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(webp_over_the_limits_costs_nothing),
	    cmocka_unit_test(gif_over_the_limits_costs_nothing),
	    cmocka_unit_test(webp_of_many_chunks_is_cheap),
	    cmocka_unit_test(webp_that_lies_is_refused),
	    cmocka_unit_test(webp_damage_is_refused_or_bounded),
	    cmocka_unit_test(gif_that_lies_is_refused),
	    cmocka_unit_test(gif_of_many_blocks_is_cheap),
	    cmocka_unit_test(gif_of_surplus_data_is_cheap),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
