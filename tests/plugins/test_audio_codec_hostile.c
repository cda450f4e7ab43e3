/* audio-codec against files that end early, lie, or ask for too much. What is refused is refused by name, before memory is taken for it;
 * what is long but within the limits is decoded in little more memory than its samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec_case.h"
#include "sound.h"

/* As the media gate has it for sound at 16 kHz. */
static const sn_media_limits TWO_HOURS = {.size = sizeof TWO_HOURS, .max_channels = 8, .max_samples = 7200ull * 16000, .max_bytes = 7200ull * 16000 * 4};

static const int KEPT[] = {
    SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAVEX | SF_FORMAT_FLOAT, SF_FORMAT_RF64 | SF_FORMAT_PCM_24, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
    SF_FORMAT_OGG | SF_FORMAT_VORBIS, SF_FORMAT_OGG | SF_FORMAT_OPUS, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
enum { N_KEPT = sizeof KEPT / sizeof *KEPT };

static void put(byte_buf *b, size_t at, uint64_t v, size_t n)
{
	for (size_t k = 0; k < n; k++)
		b->p[at + k] = (uint8_t)(v >> 8 * k);
}

static sn_rc refusal(const byte_buf *b, const char *word)
{
	sn_media m;
	sn_fault fault;
	sn_rc rc = decode(b->p, b->n, &LIMITS, &m, &fault);
	free(m.samples);
	if (rc != SN_RC_OK && word && !strstr(fault.text, word))
		fail_msg("'%s' lacks '%s'", fault.text, word);
	return rc;
}

static void cut_anywhere_is_invalid(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KEPT; k++)
		for (uint32_t channels = 1; channels <= 2; channels++) {
			byte_buf b = sound_file(KEPT[k], 48000, channels, 12000, -1);
			assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
			for (size_t percent = 0; percent < 100; percent++) {
				size_t n = b.n * percent / 100;
				uint8_t *exact = malloc(n + !n); /* so that a sanitizer sees what is read behind it */
				memcpy(exact, b.p, n);
				sn_rc rc = decode_code(exact, n);
				if (rc != SN_RC_INVALID && !(rc == SN_RC_UNSUPPORTED && n < 64))
					fail_msg("format %x cut at %zu%%: %d", (unsigned)KEPT[k], percent, rc);
				free(exact);
			}
			for (size_t n = b.n - 40; n < b.n; n++)
				assert_int_equal(decode_code(b.p, n), SN_RC_INVALID);
			drop(&b);
		}
}

static void damage_is_refused_or_decoded_whole(void **state)
{
	(void)state;
	uint32_t seed = 7;
	for (size_t k = 0; k < N_KEPT; k++) {
		byte_buf b = sound_file(KEPT[k], 48000, 2, 10000, -1);
		uint8_t *copy = malloc(b.n);
		for (int round = 0; round < 300; round++) {
			memcpy(copy, b.p, b.n);
			for (int hits = 1 + round % 4; hits; hits--) {
				seed = seed * 1664525 + 1013904223;
				copy[(seed >> 8) % (round % 2 ? b.n : 200)] = (uint8_t)(seed >> 3);
			}
			sn_rc rc = decode_code(copy, b.n);
			assert_true(rc == SN_RC_OK || rc == SN_RC_INVALID || rc == SN_RC_UNSUPPORTED || rc == SN_RC_TOO_LARGE);
		}
		free(copy);
		drop(&b);
	}
}

static void channels_and_rates_that_are_not_to_be(void **state)
{
	(void)state;
	static const uint8_t zeros[70000];
	const struct { uint32_t channels, rate; sn_rc rc; } cases[] = {
	    {0, 16000, SN_RC_INVALID}, {9, 16000, SN_RC_TOO_LARGE}, {1024, 16000, SN_RC_TOO_LARGE}, {32767, 16000, SN_RC_TOO_LARGE},
	    {1, 0, SN_RC_INVALID}, {1, 1, SN_RC_UNSUPPORTED}, {1, 7999, SN_RC_UNSUPPORTED}, {1, 192001, SN_RC_UNSUPPORTED},
	    {1, 0x7FFFFFFF, SN_RC_UNSUPPORTED}, {1, 0xFFFFFFFF, SN_RC_UNSUPPORTED}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		byte_buf b = wav_file(1, cases[i].channels, cases[i].rate, 16, zeros, 65534, 65534);
		assert_int_equal(decode_code(b.p, b.n), cases[i].rc);
		drop(&b);
	}
	/* More than 64 channels are refused without any limits, too: nobody has a use for their mean. */
	byte_buf b = wav_file(1, 1024, 16000, 16, zeros, 65536, 65536);
	const sn_media_limits none = {.size = sizeof none};
	sn_media m;
	sn_fault fault;
	assert_int_equal(decode(b.p, b.n, &none, &m, &fault), SN_RC_TOO_LARGE);
	drop(&b);
	/* The rate of a FLAC file that hides its length, 655,350 Hz and 8 channels. */
	b = sound_file(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 8, 5000, -1);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
	uint32_t rate = 655350;
	b.p[18] = (uint8_t)(rate >> 12), b.p[19] = (uint8_t)(rate >> 4), b.p[20] = (uint8_t)((rate & 15) << 4 | (b.p[20] & 15));
	assert_int_equal(refusal(&b, "rates"), SN_RC_UNSUPPORTED);
	drop(&b);
	/* Rates that nobody asks for. */
	b = sound_file(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 48000, 1, 100, -1);
	const uint32_t wanted[] = {1, 7999, 192001, 0xFFFFFFFF};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		codec.rate = wanted[i];
		assert_int_equal(decode_code(b.p, b.n), SN_RC_UNSUPPORTED);
	}
	codec.rate = 0;
	drop(&b);
}

static void lengths_that_are_lies(void **state)
{
	(void)state;
	static const int16_t x[1000];
	/* WAV: up to the largest size that is not taken for "unknown". */
	const uint32_t said[] = {2001, 4000, 0x10000000, 0x7FFFEFFF};
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		byte_buf b = wav_file(1, 1, 16000, 16, x, sizeof x, said[i]);
		assert_int_equal(refusal(&b, "early"), SN_RC_INVALID);
		drop(&b);
	}
	/* FLAC: one sample, one less, one more, 2^36 - 1. */
	const uint64_t total[] = {1, 29999, 30001, (1ull << 36) - 1};
	for (size_t i = 0; i < sizeof total / sizeof *total; i++) {
		byte_buf b = sound_file(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 1, 30000, -1);
		b.p[21] = (uint8_t)((b.p[21] & 0xF0) | (uint8_t)(total[i] >> 32));
		for (int k = 1; k < 5; k++)
			b.p[21 + k] = (uint8_t)(total[i] >> (32 - 8 * k));
		assert_int_equal(refusal(&b, "FLAC"), SN_RC_INVALID);
		drop(&b);
	}
	/* Ogg: positions of every page, summed anew. */
	const uint64_t granules[] = {0, 1, 313, 1ull << 31, 1ull << 40, 1ull << 60, (1ull << 63) - 1, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
	for (int k = 0; k < 2; k++) {
		byte_buf b = sound_file(k ? SF_FORMAT_OGG | SF_FORMAT_OPUS : SF_FORMAT_OGG | SF_FORMAT_VORBIS, 48000, 1, 150000, -1), copy = {0};
		size_t pages = 0;
		while (ogg_page_at(&b, pages) < b.n)
			pages++;
		assert_true(pages > 4);
		for (size_t p = 2; p < pages; p++)
			for (size_t g = 0; g < sizeof granules / sizeof *granules; g++) {
				copy.n = 0;
				add(&copy, b.p, b.n);
				put(&copy, ogg_page_at(&b, p) + 6, granules[g], 8);
				ogg_sum(copy.p + ogg_page_at(&b, p), ogg_page_at(&b, p + 1) - ogg_page_at(&b, p));
				sn_rc rc = decode_code(copy.p, copy.n);
				bool allowed = rc == SN_RC_INVALID || rc == SN_RC_TOO_LARGE;
				if (k == 0) /* what Vorbis makes of a page's position is its library's affair; it must be exact or refused */
					allowed |= rc == SN_RC_OK;
				if (!allowed)
					fail_msg("page %zu of %zu at %llx: %d", p, pages, (unsigned long long)granules[g], rc);
			}
		drop(&b);
		drop(&copy);
	}
}

static void samples_that_are_no_numbers(void **state)
{
	(void)state;
	const float bad[] = {NAN, INFINITY, -INFINITY};
	for (int k = 0; k < 3; k++)
		for (size_t at = 0; at < 6000; at += 2999) {
			float x[6000] = {0};
			x[at] = bad[k];
			byte_buf b = wav_file(3, 2, 16000, 32, x, sizeof x, sizeof x);
			assert_int_equal(refusal(&b, "finite"), SN_RC_INVALID);
			codec.rate = 24000;
			assert_int_equal(refusal(&b, "finite"), SN_RC_INVALID);
			codec.rate = 0;
			drop(&b);
		}
	const double huge[] = {1e300, 1e300};
	byte_buf b = wav_file(3, 1, 16000, 64, huge, sizeof huge, sizeof huge);
	assert_int_equal(refusal(&b, "finite"), SN_RC_INVALID);
	drop(&b);
}

static void subtypes_that_are_not_read(void **state)
{
	(void)state;
	static const uint8_t data[4096];
	/* MS ADPCM, IMA ADPCM, GSM, G.721, MP3 and AAC in WAV; PCM of 64 bits; float of 16 bits. */
	const struct { uint32_t tag, bits; } tags[] = {{2, 4}, {0x11, 4}, {0x31, 8}, {0x40, 4}, {0x55, 8}, {0xFF, 16}, {1, 64}, {3, 16}, {0, 16}};
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		byte_buf b = wav_file(tags[i].tag, 1, 16000, tags[i].bits, data, sizeof data, sizeof data);
		assert_int_equal(refusal(&b, "read"), SN_RC_UNSUPPORTED);
		drop(&b);
	}
	const int others[] = {SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, SF_FORMAT_WAV | SF_FORMAT_MS_ADPCM, SF_FORMAT_WAV | SF_FORMAT_GSM610,
	                      SF_FORMAT_AIFF | SF_FORMAT_PCM_16, SF_FORMAT_AU | SF_FORMAT_PCM_16, SF_FORMAT_CAF | SF_FORMAT_PCM_16,
	                      SF_FORMAT_W64 | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG, SF_FORMAT_VOC | SF_FORMAT_PCM_16};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		byte_buf b = sound_file(others[i], 8000, 1, 2000, -1);
		assert_int_equal(refusal(&b, NULL), SN_RC_UNSUPPORTED);
		drop(&b);
	}
	/* FLAC of 12, 20 and 32 bits. */
	for (uint32_t bits = 12; bits <= 32; bits += bits == 12 ? 8 : 12) {
		byte_buf b = sound_file(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 1, 100, -1);
		b.p[20] = (uint8_t)((b.p[20] & ~1u) | (bits - 1) >> 4);
		b.p[21] = (uint8_t)((b.p[21] & 15) | ((bits - 1) & 15) << 4);
		assert_int_equal(refusal(&b, "bits"), SN_RC_UNSUPPORTED);
		drop(&b);
	}
}

static void ogg_streams_that_are_not_one(void **state)
{
	(void)state;
	byte_buf b = sound_file(SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1, 150000, -1), twice = {0}, hole = {0}, open = {0};
	size_t p3 = ogg_page_at(&b, 3), p4 = ogg_page_at(&b, 4);
	add(&twice, b.p, b.n);
	add(&twice, b.p, b.n);
	assert_int_equal(refusal(&twice, "one stream"), SN_RC_UNSUPPORTED);
	add(&hole, b.p, p3);
	add(&hole, b.p + p4, b.n - p4);
	assert_int_equal(refusal(&hole, "damaged"), SN_RC_INVALID);
	drop(&b);
	b = opus_file(1, 100, (const uint8_t *)"\370\377\376", 3, 960);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_OK);
	size_t last = ogg_page_at(&b, 3);
	b.p[last + 5] = 0; /* not the last page any more */
	ogg_sum(b.p + last, b.n - last);
	assert_int_equal(refusal(&b, "early"), SN_RC_INVALID);
	add(&open, b.p, b.n);
	add_ogg_page(&open, 4, UINT64_MAX, 4, NULL, NULL, 0); /* an empty one ends it as well */
	assert_int_equal(decode_code(open.p, open.n), SN_RC_OK);
	open.p[b.n + 14] ^= 1; /* of another stream */
	ogg_sum(open.p + b.n, open.n - b.n);
	assert_int_equal(refusal(&open, "one stream"), SN_RC_UNSUPPORTED);
	drop(&b), drop(&twice), drop(&hole), drop(&open);

	/* Packets without a byte, of more than 120 ms, of no frame. */
	const struct { const char *packet; size_t n; uint32_t samples; } packets[] = {{"", 0, 960}, {"\373\77", 2, 960 * 63}, {"\373\0", 2, 0}, {"\373", 1, 960}};
	for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
		b = opus_file(1, 100, (const uint8_t *)packets[i].packet, packets[i].n, packets[i].samples);
		assert_int_equal(refusal(&b, NULL), SN_RC_INVALID);
		drop(&b);
	}
}

/* Bits, low first, as Vorbis packs them. */
static void add_bits(byte_buf *b, size_t *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++, (*at)++) {
		if (*at / 8 == b->n)
			add(b, "", 1);
		b->p[*at / 8] |= (uint8_t)((v >> i & 1) << (*at % 8));
	}
}

/* 256 codebooks of 2^24 entries, each in a few bytes: gigabytes for libvorbis. */
static void codebooks_that_would_take_all_memory(void **state)
{
	(void)state;
	byte_buf setup = {0}, b = {0};
	size_t at = 7 * 8 + 8;
	add(&setup, "\5vorbis\377", 8);
	for (int k = 0; k < 256; k++) {
		add_bits(&setup, &at, 0x564342, 24);
		add_bits(&setup, &at, 1, 16);
		add_bits(&setup, &at, 0xFFFFFF, 24);
		add_bits(&setup, &at, 1, 1);
		add_bits(&setup, &at, 23, 5);
		add_bits(&setup, &at, 0xFFFFFF, 24);
		add_bits(&setup, &at, 0, 4);
	}
	uint8_t id[30] = "\1vorbis\0\0\0\0\1\x80\xbb\0\0";
	id[28] = 0xB8, id[29] = 1;
	uint8_t sizes[64];
	size_t n = 0, left = setup.n;
	add_ogg_page(&b, 2, 0, 0, id, (uint8_t[]){30}, 1);
	byte_buf body = {0};
	add(&body, "\3vorbis\0\0\0\0\0\0\0\0\1", 16);
	sizes[n++] = 16;
	add(&body, setup.p, setup.n);
	for (; left >= 255; left -= 255)
		sizes[n++] = 255;
	sizes[n++] = (uint8_t)left;
	add_ogg_page(&b, 0, 0, 1, body.p, sizes, n);
	add_ogg_page(&b, 4, 1000, 2, (const uint8_t *)"\0\0", (uint8_t[]){1, 1}, 2);
	long before = peak_kib();
	assert_int_equal(refusal(&b, "memory"), SN_RC_TOO_LARGE);
	assert_true(peak_kib() - before < 16 << 10);
	drop(&b), drop(&body), drop(&setup);
}

/* ---- hours of silence in small files ---- */

/* Frames of MPEG 2 layer III without any sound in it: 24 kHz mono, 8 kbit/s, 24 bytes, 24 ms. */
static byte_buf mp3_silence(uint32_t n)
{
	static const uint8_t frame[24] = {0xFF, 0xF3, 0x14, 0xC0};
	byte_buf b = {0};
	for (uint32_t i = 0; i < n; i++)
		add(&b, frame, sizeof frame);
	return b;
}

/* The same at 48 kHz in stereo: MPEG 1, 32 kbit/s, 96 bytes, 24 ms. */
static byte_buf mp3_silence_48(uint32_t n)
{
	static const uint8_t frame[96] = {0xFF, 0xFB, 0x14, 0x00};
	byte_buf b = {0};
	for (uint32_t i = 0; i < n; i++)
		add(&b, frame, sizeof frame);
	return b;
}

static byte_buf flac_silence(uint64_t frames)
{
	return sound_silence(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 2, frames);
}

/* In a process of its own, whose most memory ever is this file's. What it found goes through a pipe: rc, samples, KiB. */
static void check_hour(const char *name, byte_buf b, uint64_t least)
{
	int ends[2], status;
	long found[4] = {0};
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sn_media m;
		sn_fault fault;
		codec.rate = 16000;
		long before = peak_kib();
		found[0] = decode(b.p, b.n, &TWO_HOURS, &m, &fault);
		found[1] = found[0] == SN_RC_OK ? (long)m.n_samples : 0;
		found[2] = peak_kib() - before;
		for (long i = 0; i < found[1]; i++)
			found[3] += fabsf(((float *)m.samples)[i]) > 1e-3f;
		_exit(write(ends[1], found, sizeof found) == sizeof found ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], found, sizeof found), sizeof found);
	close(ends[0]), close(ends[1]);
	print_message("%s: an hour in %zu bytes, %ld KiB more than the samples\n", name, b.n, found[2] - found[1] / 256);
	assert_int_equal(found[0], SN_RC_OK);
	assert_true((uint64_t)found[1] >= least && (uint64_t)found[1] <= least + 16000);
	assert_true(found[2] - found[1] / 256 < 24 << 10);
	assert_int_equal(found[3], 0);
	drop(&b);
}

static void an_hour_of_silence_is_decoded_in_the_room_of_its_samples(void **state)
{
	(void)state;
	check_hour("MP3 at 24 kHz", mp3_silence(150000), 3600ull * 16000);
	check_hour("MP3 at 48 kHz stereo", mp3_silence_48(150000), 3600ull * 16000);
	check_hour("FLAC at 48 kHz stereo", flac_silence(3600ull * 48000), 3600ull * 16000);
	check_hour("Opus", opus_file(1, 30000, (const uint8_t *)"\33\2", 2, 5760), 3600ull * 16000);
}

static void three_hours_are_refused_from_the_header(void **state)
{
	(void)state;
	byte_buf files[] = {mp3_silence(450000), mp3_silence_48(450000), opus_file(1, 90000, (const uint8_t *)"\33\2", 2, 5760)};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		sn_media m = {.size = sizeof m, .rate = 16000};
		sn_fault fault = {.size = sizeof fault};
		long before = peak_kib();
		assert_int_equal(codec.decode->measure(codec.instance, NULL, files[i].p, files[i].n, &TWO_HOURS, &m, &fault), SN_RC_TOO_LARGE);
		assert_non_null(strstr(fault.text, "longer"));
		assert_true(peak_kib() - before < 8 << 10);
		drop(&files[i]);
	}
}

static void limits_are_held_to_the_sample(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KEPT; k++) {
		byte_buf b = sound_file(KEPT[k], 48000, 2, 5000, -1);
		for (uint32_t rate = 0; rate <= 16000; rate += 16000) {
			sn_media m = {.size = sizeof m, .rate = rate};
			sn_fault fault = {.size = sizeof fault};
			sn_media_limits none = {.size = sizeof none}, l;
			assert_int_equal(codec.decode->measure(codec.instance, NULL, b.p, b.n, &none, &m, &fault), SN_RC_OK);
			const sn_media all = m;
			for (int below = 0; below < 2; below++)
				for (int which = 0; which < 3; which++) {
					l = none;
					if (which == 0)
						l.max_samples = all.n_samples - (uint64_t)below;
					else if (which == 1)
						l.max_bytes = all.bytes - (uint64_t)below;
					else
						l.max_channels = 2 - (uint32_t)below;
					m = (sn_media){.size = sizeof m, .rate = rate};
					assert_int_equal(codec.decode->measure(codec.instance, NULL, b.p, b.n, &l, &m, &fault), below ? SN_RC_TOO_LARGE : SN_RC_OK);
				}
		}
		drop(&b);
	}
}

static void no_memory_is_said(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KEPT; k++) {
		byte_buf b = sound_file(KEPT[k], 48000, 1, 5000, -1);
		sn_rc rc = SN_RC_NOMEM;
		size_t at = 1;
		for (; at < 10 && rc != SN_RC_OK; at++) {
			codec.host.n_allocs = 0;
			codec.host.fail_alloc = at;
			rc = decode_code(b.p, b.n);
			assert_true(rc == SN_RC_OK || rc == SN_RC_NOMEM);
		}
		codec.host.fail_alloc = 0;
		assert_true(at > 2 && at < 10);
		drop(&b);
	}
}

static void a_medium_that_was_not_measured_is_refused(void **state)
{
	(void)state;
	byte_buf b = sound_file(KEPT[0], 48000, 1, 5000, -1);
	float x[5000];
	sn_fault fault = {.size = sizeof fault};
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_AUDIO, .rate = 48000, .n_samples = 4999, .bytes = 4999 * 4, .samples = x};
	assert_int_equal(codec.decode->decode(codec.instance, NULL, b.p, b.n, &LIMITS, &m, &fault), SN_RC_INTERNAL);
	m.n_samples = 5000, m.bytes = 20000, m.samples = NULL;
	assert_int_equal(codec.decode->decode(codec.instance, NULL, b.p, b.n, &LIMITS, &m, &fault), SN_RC_INTERNAL);
	drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_hour_of_silence_is_decoded_in_the_room_of_its_samples),
	    cmocka_unit_test(codebooks_that_would_take_all_memory),
	    cmocka_unit_test(three_hours_are_refused_from_the_header),
	    cmocka_unit_test(cut_anywhere_is_invalid),
	    cmocka_unit_test(damage_is_refused_or_decoded_whole),
	    cmocka_unit_test(channels_and_rates_that_are_not_to_be),
	    cmocka_unit_test(lengths_that_are_lies),
	    cmocka_unit_test(samples_that_are_no_numbers),
	    cmocka_unit_test(subtypes_that_are_not_read),
	    cmocka_unit_test(ogg_streams_that_are_not_one),
	    cmocka_unit_test(limits_are_held_to_the_sample),
	    cmocka_unit_test(no_memory_is_said),
	    cmocka_unit_test(a_medium_that_was_not_measured_is_refused),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
