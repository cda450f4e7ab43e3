/* audio-codec writes: round trips, bounds that bound, the same bytes every time, and refusals by name. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_case.h"
#include "sound.h"

static const char *const TYPES[] = {"audio/wav", "audio/flac", "audio/ogg", "audio/mpeg", "audio/pcm"};
enum { WAV, FLAC, OGG, MP3, PCM, N_TYPES };

static sn_media sound_of(float *x, uint64_t n, uint32_t rate)
{
	return (sn_media){.size = sizeof(sn_media), .kind = SN_MEDIA_AUDIO, .rate = rate, .n_samples = n, .samples = x, .bytes = n * sizeof(float)};
}

/* The file, in exactly as many bytes as bound says there may be. */
static sn_rc written(const sn_media *m, const char *type, uint32_t quality, uint64_t capacity, byte_buf *out, sn_fault *fault)
{
	const sn_write_options options = {.size = sizeof options, .quality = quality, .media_type = type};
	uint64_t most = 0, n = 99;
	*out = (byte_buf){0};
	*fault = (sn_fault){.size = sizeof *fault};
	sn_rc rc = codec.write->bound(codec.instance, NULL, m, &options, &most, fault);
	if (rc == SN_RC_OK) {
		capacity = capacity ? capacity : most;
		out->p = malloc(capacity + 8);
		memset(out->p + capacity, 0x5A, 8);
		rc = codec.write->write(codec.instance, NULL, m, &options, out->p, capacity, &n, fault);
		assert_memory_equal(out->p + capacity, "ZZZZZZZZ", 8);
		assert_true(n <= capacity && (rc == SN_RC_OK || n == 0));
		out->n = n;
	}
	if (rc != SN_RC_OK) {
		assert_int_equal(fault->code, rc);
		assert_true(fault->text[0] && !strstr(fault->text, "0x") && !strchr(fault->text, '/'));
	}
	assert_int_equal(codec.host.held, 0);
	return rc;
}

static byte_buf write_ok(const sn_media *m, const char *type, uint32_t quality)
{
	byte_buf b;
	sn_fault fault;
	sn_rc rc = written(m, type, quality, 0, &b, &fault);
	if (rc != SN_RC_OK)
		fail_msg("%s at %u Hz, quality %u: %s", type, m->rate, quality, fault.text);
	return b;
}

static void lossless_files_hold_what_16_bits_can(void **state)
{
	(void)state;
	const uint32_t rates[] = {8000, 16000, 24000, 44100, 48000, 192000};
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (size_t n = 1; n < 20000; n = n * 5 + 3) {
			float *x = tones(n, rates[r]);
			x[0] = 1, x[n / 2] = -1.5f, x[n - 1] = -0x1p-15f;
			sn_media m = sound_of(x, n, rates[r]), back;
			sn_fault fault;
			for (int t = 0; t < N_TYPES; t++) {
				if (t != WAV && t != FLAC && t != PCM)
					continue;
				byte_buf b = write_ok(&m, TYPES[t], 0);
				if (t == WAV)
					assert_int_equal(b.n, 44 + 2 * n);
				if (t == PCM) {
					assert_int_equal(b.n, 2 * n);
					byte_buf wav = wav_file(1, 1, rates[r], 16, b.p, b.n, (uint32_t)b.n);
					drop(&b);
					b = wav;
				}
				assert_int_equal(decode(b.p, b.n, &LIMITS, &back, &fault), SN_RC_OK);
				assert_int_equal(back.n_samples, n);
				assert_int_equal(back.rate, rates[r]);
				for (size_t i = 0; i < n; i++) {
					float want = rintf(x[i] * 32768);
					want = (want > 32767 ? 32767 : want < -32768 ? -32768 : want) / 32768;
					assert_true(((float *)back.samples)[i] == want);
				}
				/* and once more: nothing moves */
				byte_buf again = write_ok(&back, TYPES[t], 0);
				if (t != PCM) {
					assert_int_equal(again.n, b.n);
					assert_memory_equal(again.p, b.p, b.n);
				}
				drop(&again);
				drop(&b);
				free(back.samples);
			}
			free(x);
		}
}

static void lossy_files_sound_alike(void **state)
{
	(void)state;
	const uint32_t rates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000};
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (int t = OGG; t <= MP3; t++) {
			size_t n = rates[r] * 3 / 2 + 17;
			float *x = tones(n, rates[r]);
			sn_media m = sound_of(x, n, rates[r]), back;
			sn_fault fault;
			double worst = -300;
			size_t before = 0;
			for (uint32_t quality = 0; quality <= 100; quality += 50) {
				byte_buf b = write_ok(&m, TYPES[t], quality);
				codec.rate = rates[r];
				assert_int_equal(decode(b.p, b.n, &LIMITS, &back, &fault), SN_RC_OK);
				codec.rate = 0;
				if (back.n_samples < n || back.n_samples > n + rates[r] / 8000 + 1)
					fail_msg("%s at %u Hz: %zu samples became %zu", TYPES[t], rates[r], n, (size_t)back.n_samples);
				double noise = noise_db(x, back.samples, n);
				worst = fmax(worst, noise);
				assert_true(quality < 100 || b.n > before);
				before = b.n;
				free(back.samples);
				drop(&b);
			}
			print_message("%s at %u Hz: noise at most %.1f dB\n", TYPES[t], rates[r], worst);
			assert_true(worst < (t == OGG ? -24 : -45));
			free(x);
		}
}

/* Noise at full level is what packs worst. */
static void bounds_bound(void **state)
{
	(void)state;
	const uint32_t rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 192000};
	uint32_t seed = 1;
	float *x = malloc(200000 * sizeof *x);
	for (size_t i = 0; i < 200000; i++)
		x[i] = (seed = seed * 1664525 + 1013904223) & 0x80000000u ? 1 : -1;
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (size_t n = 1; n <= 100000; n = n < 10000 ? n * 13 : n + 90000)
			for (int t = 0; t < N_TYPES; t++)
				for (uint32_t quality = 1; quality <= 100; quality += 99) {
					sn_media m = sound_of(x, n, rates[r]);
					byte_buf b = write_ok(&m, TYPES[t], quality);
					drop(&b);
				}
	free(x);
}

static void the_same_sound_gives_the_same_bytes(void **state)
{
	(void)state;
	enum { COUNT = 50000 };
	float *x = tones(COUNT, 24000), *copy = malloc(COUNT * sizeof *copy);
	memcpy(copy, x, COUNT * sizeof *copy);
	for (int t = 0; t < N_TYPES; t++) {
		sn_media m = sound_of(x, COUNT, 24000), other = sound_of(copy, COUNT, 24000);
		byte_buf a = write_ok(&m, TYPES[t], 0), b = write_ok(&other, TYPES[t], 0);
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
		assert_null(memmem(a.p, a.n, "libsndfile", 10));
		if (t != MP3) { /* LAME fills up frames with its name */
			assert_null(memmem(a.p, a.n, "lib", 3));
			assert_null(memmem(a.p, a.n, "LAME", 4));
		}
		if (t != PCM)
			assert_string_equal(codec.decode->sniff(a.p, 64), TYPES[t]);
		drop(&a);
		drop(&b);
	}
	free(x);
	free(copy);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	float *x = tones(30000, 16000);
	sn_media m = sound_of(x, 30000, 16000);
	for (int t = 0; t < N_TYPES; t++) {
		byte_buf whole = write_ok(&m, TYPES[t], 0), b;
		sn_fault fault;
		const uint64_t room[] = {1, 10, 43, 100, 1000, whole.n / 2, whole.n - 1};
		for (size_t k = 0; k < sizeof room / sizeof *room; k++) {
			assert_int_equal(written(&m, TYPES[t], 0, room[k], &b, &fault), SN_RC_TOO_LARGE);
			drop(&b);
		}
		drop(&whole);
	}
	free(x);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
	(void)state;
	float x[16] = {0};
	byte_buf b;
	sn_fault fault;
	sn_media m = sound_of(x, 16, 16000), bad;
	assert_int_equal(written(&m, "audio/aac", 0, 0, &b, &fault), SN_RC_UNSUPPORTED);
	assert_int_equal(written(&m, NULL, 0, 0, &b, &fault), SN_RC_UNSUPPORTED);
	assert_int_equal(written(&m, "audio/wav", 101, 0, &b, &fault), SN_RC_INVALID);
	bad = m, bad.kind = SN_MEDIA_IMAGE;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_INVALID);
	bad = m, bad.bytes = 60;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_INVALID);
	bad = m, bad.n_samples = 0, bad.bytes = 0;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_INVALID);
	bad = m, bad.samples = NULL;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_INVALID);
	bad = m, bad.rate = 7999;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_UNSUPPORTED);
	bad = m, bad.rate = 200000;
	assert_int_equal(written(&bad, "audio/ogg", 0, 0, &b, &fault), SN_RC_UNSUPPORTED);
	bad = m, bad.n_samples = 1ull << 31, bad.bytes = 1ull << 33;
	assert_int_equal(written(&bad, "audio/wav", 0, 0, &b, &fault), SN_RC_TOO_LARGE);
	for (int t = 0; t < N_TYPES; t++)
		for (int k = 0; k < 3; k++) {
			x[9] = k == 0 ? NAN : k == 1 ? INFINITY : -INFINITY;
			assert_int_equal(written(&m, TYPES[t], 0, 0, &b, &fault), SN_RC_INVALID);
			assert_non_null(strstr(fault.text, "finite"));
			drop(&b);
		}
}

static void no_memory_is_said(void **state)
{
	(void)state;
	float *x = tones(3000, 22050);
	sn_media m = sound_of(x, 3000, 22050);
	byte_buf b;
	sn_fault fault;
	for (int t = FLAC; t <= MP3; t++) {
		codec.host.n_allocs = 0;
		codec.host.fail_alloc = 1;
		assert_int_equal(written(&m, TYPES[t], 0, 0, &b, &fault), SN_RC_NOMEM);
		codec.host.fail_alloc = 0;
		drop(&b);
	}
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lossless_files_hold_what_16_bits_can),
	    cmocka_unit_test(lossy_files_sound_alike),
	    cmocka_unit_test(bounds_bound),
	    cmocka_unit_test(the_same_sound_gives_the_same_bytes),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	    cmocka_unit_test(what_is_wrong_is_refused_by_name),
	    cmocka_unit_test(no_memory_is_said),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
