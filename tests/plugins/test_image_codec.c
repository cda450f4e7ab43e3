/* test_image_codec.c - promises of image-codec: the same pixels as Pillow, limits before memory, refusal instead of guessing. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "codec_case.h"
#include "golden.h"

/* libjpeg-turbo decodes alike everywhere by default; another libjpeg may round differently. */
static void expect_close_to_rgb(const char *name, const sn_media *media)
{
	char path[128];
	snprintf(path, sizeof path, "decode/%.*s.rgb", (int)(strlen(name) - 4), name);
	size_t n, worst = 0;
	uint8_t *want = golden_file(path, &n);
	assert_int_equal(n, media->bytes);
	for (size_t i = 0; i < n; i++) {
		size_t d = (size_t)abs((int)want[i] - ((uint8_t *)media->samples)[i]);
		worst = d > worst ? d : worst;
	}
	free(want);
	print_message("%s differs from Pillow by up to %zu\n", name, worst);
	assert_true(worst <= 2);
}

static void pixels_are_pillows(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("decode.txt", &n), *at = table, name[64], path[96];
	for (char *line; (line = next_line(&at));) {
		unsigned w, h;
		unsigned long long want;
		assert_int_equal(sscanf(line, "%63s %u %u %llx", name, &w, &h, &want), 4);
		snprintf(path, sizeof path, "decode/%s", name);
		uint8_t *bytes = golden_file(path, &n);
		sn_media media;
		sn_fault fault;
		sn_rc rc = decode(bytes, n, &LIMITS, &media, &fault);
		if (rc != SN_RC_OK)
			fail_msg("%s: %s", name, fault.text);
		assert_int_equal(media.width, w);
		assert_int_equal(media.height, h);
		if (golden_hash(media.samples, media.bytes) != want) {
			if (!strstr(name, ".jpg"))
				fail_msg("%s differs from Pillow", name);
			expect_close_to_rgb(name, &media);
		}
		free(media.samples);
		free(bytes);
	}
	free(table);
}

/* The table's hash of a file. */
static uint64_t golden_of(const char *table, const char *name)
{
	const char *line = strstr(table, name);
	unsigned w, h;
	unsigned long long hash;
	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(name), "%u %u %llx", &w, &h, &hash), 3);
	return hash;
}

/* A profile that would change every pixel changes none: ignored knowingly (pixels_are_pillows has decoded both). */
static void colour_profiles_change_nothing(void **state)
{
	(void)state;
	size_t n, m;
	char *table = (char *)golden_file("decode.txt", &n), plain[64], icc[64];
	static const char *const KINDS[] = {"jpg", "png", "webp"};
	for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
		snprintf(plain, sizeof plain, "profile-plain.%s ", KINDS[i]);
		snprintf(icc, sizeof icc, "profile-icc.%s ", KINDS[i]);
		assert_true(golden_of(table, plain) == golden_of(table, icc));
		char path[96];
		snprintf(path, sizeof path, "decode/profile-icc.%s", KINDS[i]);
		uint8_t *file = golden_file(path, &m);
		assert_non_null(memmem(file, m, i == 1 ? "iCCP" : i == 0 ? "ICC_PROFILE" : "ICCP", 4));
		free(file);
	}
	free(table);
}

/* Cut at each percent, and short of the last byte: refused, never padded. */
static void truncated_files_are_refused(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("decode.txt", &n), *at = table, name[64], path[96];
	for (char *line; (line = next_line(&at));) {
		assert_int_equal(sscanf(line, "%63s", name), 1);
		if (strstr(name, "65535"))
			continue;
		snprintf(path, sizeof path, "decode/%s", name);
		uint8_t *bytes = golden_file(path, &n);
		for (int percent = 0; percent <= 100; percent++) {
			size_t cut = percent == 100 ? n - 1 : n * (size_t)percent / 100;
			uint8_t *exact = malloc(cut ? cut : 1); /* so that reading past the end is seen by sanitizers */
			memcpy(exact, bytes, cut);
			sn_rc rc = decode_code(exact, cut);
			if (rc != SN_RC_INVALID && !(cut < 12 && rc == SN_RC_UNSUPPORTED))
				fail_msg("%s cut to %zu of %zu bytes: %d", name, cut, n, rc);
			free(exact);
		}
		free(bytes);
	}
	free(table);
}

static void add_chunk(byte_buf *b, const char *kind, const void *data, size_t n)
{
	add_be32(b, (uint32_t)n);
	size_t from = b->n;
	add(b, kind, 4);
	add(b, data, n);
	add_be32(b, (uint32_t)crc32(0, b->p + from, (uInt)(n + 4)));
}

static byte_buf png_begin(uint32_t w, uint32_t h, uint8_t depth, uint8_t colour)
{
	byte_buf b = {0}, ihdr = {0};
	add(&b, "\x89PNG\r\n\x1a\n", 8);
	add_be32(&ihdr, w);
	add_be32(&ihdr, h);
	add(&ihdr, (uint8_t[]){depth, colour, 0, 0, 0}, 5);
	add_chunk(&b, "IHDR", ihdr.p, ihdr.n);
	free(ihdr.p);
	return b;
}

/* n zero bytes, deflated: about n / 1000. */
static byte_buf deflated_zeros(size_t n)
{
	byte_buf out = {0};
	static uint8_t zeros[1 << 16], buffer[1 << 16];
	z_stream z = {0};
	deflateInit(&z, 9);
	do {
		z.next_in = zeros;
		z.avail_in = (uInt)(n < sizeof zeros ? n : sizeof zeros);
		n -= z.avail_in;
		do {
			z.next_out = buffer;
			z.avail_out = sizeof buffer;
			deflate(&z, n ? Z_NO_FLUSH : Z_FINISH);
			add(&out, buffer, sizeof buffer - z.avail_out);
		} while (!z.avail_out);
	} while (n);
	deflateEnd(&z);
	return out;
}

static void png_over_the_limits_costs_nothing(void **state)
{
	(void)state;
	long before = peak_kib();
	byte_buf big = png_begin(30000, 30000, 8, 6);
	byte_buf data = deflated_zeros(1 << 24);
	add_chunk(&big, "IDAT", data.p, data.n);
	add_chunk(&big, "IEND", "", 0);
	assert_int_equal(decode_code(big.p, big.n), SN_RC_TOO_LARGE);
	free(big.p);
	static const uint32_t SIZES[][2] = {{0, 5}, {5, 0}, {0x80000000u, 1}, {1, 0xFFFFFFFFu}, {0x7FFFFFFF, 0x7FFFFFFF}};
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
		byte_buf odd = png_begin(SIZES[i][0], SIZES[i][1], 8, 2);
		add_chunk(&odd, "IEND", "", 0);
		sn_rc rc = decode_code(odd.p, odd.n);
		assert_true(rc == SN_RC_INVALID || rc == SN_RC_TOO_LARGE);
		free(odd.p);
	}
	free(data.p);
	assert_true(peak_kib() - before < 8192);
}

/* Each limit by itself, just met and just missed. 0 is no cap. */
static void limits_are_exact(void **state)
{
	(void)state;
	byte_buf b = png_begin(10, 7, 8, 2);
	uint8_t rows[7 * 31] = {0};
	uLongf n = 512;
	uint8_t packed[512];
	compress(packed, &n, rows, sizeof rows);
	add_chunk(&b, "IDAT", packed, n);
	add_chunk(&b, "IEND", "", 0);
	const struct {
		sn_media_limits limits;
		sn_rc want;
	} cases[] = {
	    {{.max_width = 10}, SN_RC_OK},   {{.max_width = 9}, SN_RC_TOO_LARGE},    {{.max_height = 7}, SN_RC_OK},
	    {{.max_height = 6}, SN_RC_TOO_LARGE}, {{.max_pixels = 70}, SN_RC_OK},    {{.max_pixels = 69}, SN_RC_TOO_LARGE},
	    {{.max_bytes = 210}, SN_RC_OK},  {{.max_bytes = 209}, SN_RC_TOO_LARGE},  {{.max_channels = 3}, SN_RC_OK},
	    {{.max_channels = 2}, SN_RC_TOO_LARGE}, {{.max_width = 0}, SN_RC_OK},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sn_media media;
		sn_fault fault;
		assert_int_equal(decode(b.p, b.n, &cases[i].limits, &media, &fault), cases[i].want);
		free(media.samples);
	}
	free(b.p);
}

/* Compressed text, profile and pixel bombs: 256 MiB behind a small file. */
static void png_bombs_stay_small(void **state)
{
	(void)state;
	byte_buf bomb = deflated_zeros((size_t)256 << 20);
	byte_buf small = deflated_zeros(4 * 13);
	long before = peak_kib();

	static const char *const KINDS[] = {"zTXt", "iCCP", "iTXt", "sPLT"};
	for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
		byte_buf b = png_begin(4, 4, 8, 2), text = {0};
		add(&text, "name\0", 5);
		add(&text, i == 2 ? "\1\0\0\0" : "\0", i == 2 ? 4 : 1);
		add(&text, bomb.p, bomb.n);
		add_chunk(&b, KINDS[i], text.p, text.n);
		add_chunk(&b, "IDAT", small.p, small.n);
		add_chunk(&b, "IEND", "", 0);
		assert_int_equal(decode_code(b.p, b.n), SN_RC_OK); /* skipped, unread */
		free(b.p);
		free(text.p);
	}
	byte_buf b = png_begin(4, 4, 8, 2);
	add_chunk(&b, "IDAT", bomb.p, bomb.n); /* far more rows than the header has */
	add_chunk(&b, "IEND", "", 0);
	decode_code(b.p, b.n);
	free(b.p);

	b = png_begin(4, 4, 8, 2);
	for (int i = 0; i < 100000; i++)
		add_chunk(&b, i % 2 ? "fdAT" : "fcTL", "\0\0\0\0", 4);
	add_chunk(&b, "IDAT", small.p, small.n);
	for (int i = 0; i < 100000; i++)
		add_chunk(&b, "fdAT", "\0\0\0\0", 4);
	add_chunk(&b, "IEND", "", 0);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK); /* 100,000 frames: the first is read */
	free(b.p);
	free(small.p);
	free(bomb.p);
	assert_true(peak_kib() - before < 32768);
}

static void png_damage_is_refused_and_logged(void **state)
{
	(void)state;
	size_t n, logged = codec.host.n_logged;
	uint8_t *file = golden_file("decode/png-2-8.png", &n);
	for (size_t at = 33; at + 20 < n; at += n / 50) {
		file[at] ^= 0x10;
		assert_int_equal(decode_code(file, n), SN_RC_INVALID);
		file[at] ^= 0x10;
	}
	assert_true(codec.host.n_logged > logged);
	assert_non_null(strstr(codec.host.last_log, "image-codec: "));
	assert_int_equal(decode_code(file, n), SN_RC_OK);
	free(file);
}

static void jpeg_damage_is_refused_and_logged(void **state)
{
	(void)state;
	size_t n, logged = codec.host.n_logged, refused = 0, tried = 0;
	uint8_t *file = golden_file("decode/jpeg-sub0.jpg", &n);
	for (size_t at = n / 2; at + 2 < n; at += 7, tried++) { /* a marker in the middle of the pixels */
		uint8_t was[2] = {file[at], file[at + 1]};
		file[at] = 0xFF;
		file[at + 1] = 0xD9;
		refused += decode_code(file, n) == SN_RC_INVALID;
		memcpy(file + at, was, 2);
	}
	assert_int_equal(refused, tried);
	assert_true(codec.host.n_logged > logged);
	assert_int_equal(decode_code(file, n), SN_RC_OK);
	free(file);
}

static void jpeg_over_the_limits_costs_nothing(void **state)
{
	(void)state;
	size_t n;
	uint8_t *file = golden_file("decode/jpeg-progressive.jpg", &n);
	long before = peak_kib();
	uint8_t *sof = file;
	while (sof[0] != 0xFF || sof[1] != 0xC2)
		sof++;
	memcpy(sof + 5, "\xFF\xDC\xFF\xDC", 4); /* 65500 x 65500 */
	assert_int_equal(decode_code(file, n), SN_RC_TOO_LARGE);
	memcpy(sof + 5, "\0\0\0\5", 4);
	assert_int_equal(decode_code(file, n), SN_RC_INVALID);
	free(file);
	assert_true(peak_kib() - before < 4096);
}

/* libjpeg keeps the coefficients of a progressive file in memory of its own: what would need too much is refused unread. */
static void jpeg_coefficients_are_capped(void **state)
{
	(void)state;
	static const struct {
		const char *file;
		uint8_t marker;
		uint16_t width, height;
		sn_rc want;
	} CASES[] = {
	    {"decode/jpeg-progressive.jpg", 0xC2, 6500, 6400, SN_RC_OK},            /* 4:2:0, 125 MB */
	    {"decode/jpeg-progressive-grey.jpg", 0xC2, 6500, 6400, SN_RC_OK},
	    {"decode/jpeg-sub0.jpg", 0xC0, 6500, 6400, SN_RC_OK},                   /* 4:4:4, but in one scan */
	    {"decode/jpeg-sub0.jpg", 0xC2, 6500, 6400, SN_RC_TOO_LARGE},            /* 250 MB */
	    {"decode/jpeg-sub0.jpg", 0xC2, 4500, 4900, SN_RC_OK},                   /* 132 MB */
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		size_t n;
		uint8_t *file = golden_file(CASES[i].file, &n), *sof = file;
		while (sof[0] != 0xFF || (sof[1] != 0xC2 && sof[1] != 0xC0))
			sof++;
		const uint8_t size[4] = {(uint8_t)(CASES[i].height >> 8), (uint8_t)CASES[i].height, (uint8_t)(CASES[i].width >> 8), (uint8_t)CASES[i].width};
		sof[1] = CASES[i].marker;
		memcpy(sof + 5, size, 4);
		sn_media media = {.size = sizeof media};
		sn_fault fault = {.size = sizeof fault};
		assert_int_equal(codec.decode->measure(codec.instance, NULL, file, n, &LIMITS, &media, &fault), CASES[i].want);
		free(file);
	}
}

/* A progressive file whose last scan comes again and again. */
static void jpeg_scans_are_capped(void **state)
{
	(void)state;
	size_t n, from = 0;
	uint8_t *file = golden_file("decode/jpeg-progressive-grey.jpg", &n);
	for (size_t i = 0; i + 1 < n; i++)
		if (file[i] == 0xFF && file[i + 1] == 0xDA)
			from = i;
	byte_buf many = {0};
	add(&many, file, n - 2);
	for (int i = 0; i < 10000; i++)
		add(&many, file + from, n - 2 - from);
	add(&many, file + n - 2, 2);
	sn_rc rc = decode_code(many.p, many.n);
	assert_true(rc == SN_RC_TOO_LARGE || rc == SN_RC_INVALID);

	sn_media media;
	sn_fault fault;
	sn_media_limits few = LIMITS;
	few.max_scans = 2;
	assert_int_equal(decode(file, n, &few, &media, &fault), SN_RC_TOO_LARGE);
	free(many.p);
	free(file);
}

static void other_files_are_not_mine(void **state)
{
	(void)state;
	static const char *const FILES[] = {"", "GIF88a......", "RIFF....WAVEfmt ", "%PDF-1.7", "<svg xmlns=", "II*\0", "\0\0\0\14jP  \r\n\x87\n",
	                                    "<html>", "\x89PNX\r\n\x1a\n", "\xFF\xD8\xFE"};
	for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
		assert_null(codec.decode->sniff((const uint8_t *)FILES[i], strlen(FILES[i])));
		assert_true(decode_code((const uint8_t *)FILES[i], strlen(FILES[i])) < 0);
	}
	uint8_t zeros[4096] = {0};
	assert_true(decode_code(zeros, sizeof zeros) < 0);
	assert_string_equal(codec.decode->sniff((const uint8_t *)"\x89PNG\r\n\x1a\n", 8), "image/png");
	assert_string_equal(codec.decode->sniff((const uint8_t *)"\xFF\xD8\xFF\xE0", 4), "image/jpeg");
	assert_string_equal(codec.decode->sniff((const uint8_t *)"RIFF....WEBPVP8 ", 16), "image/webp");
	assert_string_equal(codec.decode->sniff((const uint8_t *)"GIF87a", 6), "image/gif");
	assert_string_equal(codec.decode->sniff((const uint8_t *)"GIF89a", 6), "image/gif");
	assert_string_equal(codec.decode->media_types, "image/png image/jpeg image/webp image/gif");
}

/* Every allocation that goes through the host fails once: the picture is not there, and nothing is lost. */
static void no_memory_is_an_answer(void **state)
{
	(void)state;
	static const char *const FILES[] = {"decode/png-6-16-i.png", "decode/webp-lossy-alpha.webp", "decode/webp-exif-8.webp", "decode/gif-4-i.gif"};
	for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
		size_t n, k = 1;
		uint8_t *file = golden_file(FILES[i], &n);
		sn_rc rc = SN_RC_NOMEM;
		for (; rc != SN_RC_OK && k < 50; k++) {
			codec.host.fail_alloc = codec.host.n_allocs + k;
			rc = decode_code(file, n);
			assert_true(rc == SN_RC_OK || rc == SN_RC_NOMEM);
		}
		codec.host.fail_alloc = 0;
		assert_int_equal(rc, SN_RC_OK);
		assert_true(k > 2);
		free(file);
	}
}

/* A seeded walk: every file, a few bytes changed at a time. Whatever comes back, nothing breaks. */
static void mutations_never_crash(void **state)
{
	(void)state;
	const char *rounds_text = getenv("SN_FUZZ_ROUNDS");
	long rounds = rounds_text ? strtol(rounds_text, NULL, 10) : 20;
	uint32_t seed = 1;
	size_t n, accepted = 0, total = 0;
	char *table = (char *)golden_file("decode.txt", &n), *at = table, name[64], path[96];
	for (char *line; (line = next_line(&at));) {
		assert_int_equal(sscanf(line, "%63s", name), 1);
		if (strstr(name, "65535"))
			continue;
		snprintf(path, sizeof path, "decode/%s", name);
		uint8_t *file = golden_file(path, &n), *copy = malloc(n);
		for (long r = 0; r < rounds; r++) {
			memcpy(copy, file, n);
			for (uint32_t k = 1 + r % 4; k; k--) {
				seed = seed * 1664525u + 1013904223u;
				size_t where = (seed >> 8) % (r % 3 ? n : n < 120 ? n : 120);
				seed = seed * 1664525u + 1013904223u;
				copy[where] = r % 2 ? (uint8_t)(seed >> 24) : copy[where] ^ (uint8_t)(1u << (seed >> 29));
			}
			/* Half of the PNG mutants get sound checksums, so that they reach deeper. */
			for (size_t c = 8; strstr(name, ".png") && r % 2 && n - c >= 12;) {
				size_t length = (size_t)copy[c] << 24 | (size_t)copy[c + 1] << 16 | (size_t)copy[c + 2] << 8 | copy[c + 3];
				if (length > n - c - 12)
					break;
				uint32_t crc = (uint32_t)crc32(0, copy + c + 4, (uInt)length + 4);
				for (int i = 0; i < 4; i++)
					copy[c + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
				c += length + 12;
			}
			accepted += decode_code(copy, n) == SN_RC_OK;
			total++;
		}
		free(file);
		free(copy);
	}
	free(table);
	print_message("%zu mutants, %zu decoded\n", total, accepted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(png_over_the_limits_costs_nothing),
	    cmocka_unit_test(jpeg_over_the_limits_costs_nothing),
	    cmocka_unit_test(png_bombs_stay_small),
	    cmocka_unit_test(limits_are_exact),
	    cmocka_unit_test(pixels_are_pillows),
	    cmocka_unit_test(colour_profiles_change_nothing),
	    cmocka_unit_test(truncated_files_are_refused),
	    cmocka_unit_test(png_damage_is_refused_and_logged),
	    cmocka_unit_test(jpeg_damage_is_refused_and_logged),
	    cmocka_unit_test(jpeg_coefficients_are_capped),
	    cmocka_unit_test(jpeg_scans_are_capped),
	    cmocka_unit_test(other_files_are_not_mine),
	    cmocka_unit_test(no_memory_is_an_answer),
	    cmocka_unit_test(mutations_never_crash),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
