/* audio-codec writes streams: the bytes of a file while its sound is being made, whatever the pushes, at another tempo. */
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

static sn_write_stream_options options_of(const char *type, uint32_t rate)
{
	return (sn_write_stream_options){.size = sizeof(sn_write_stream_options), .media_type = type, .rate = rate, .tempo = 1};
}

static void take(sn_write_stream *s, byte_buf *out, uint64_t ready)
{
	out->p = realloc(out->p, out->n + ready + 1);
	/* in two bites, the second larger than what is left */
	uint64_t half = codec.write->stream_take(codec.instance, s, out->p + out->n, ready / 2);
	assert_int_equal(half, ready / 2);
	assert_int_equal(codec.write->stream_take(codec.instance, s, out->p + out->n + half, ready - half + 1), ready - half);
	assert_int_equal(codec.write->stream_take(codec.instance, s, out->p, 1), 0);
	out->n += ready;
}

/* All of x in pushes of so many samples; 0: of ever other sizes. */
static sn_rc streamed(const sn_write_stream_options *o, const float *x, size_t n, size_t push, byte_buf *out, sn_fault *fault)
{
	sn_write_stream *s = NULL;
	uint64_t ready = 99;
	uint32_t seed = 7;
	*out = (byte_buf){0};
	*fault = (sn_fault){.size = sizeof *fault};
	sn_rc rc = codec.write->stream_open(codec.instance, NULL, o, &s, fault);
	for (size_t at = 0, part; rc == SN_RC_OK && at < n; at += part) {
		part = push ? push : (seed = seed * 1664525 + 1013904223) >> 19;
		part = part < n - at ? part : n - at;
		rc = codec.write->stream_push(codec.instance, NULL, s, x + at, part, &ready, fault);
		assert_true(rc == SN_RC_OK || ready == 0);
		assert_true(!o->whole || ready == 0);
		if (rc == SN_RC_OK)
			take(s, out, ready);
	}
	if (rc == SN_RC_OK)
		rc = codec.write->stream_finish(codec.instance, NULL, s, &ready, fault);
	if (rc == SN_RC_OK)
		take(s, out, ready);
	if (s)
		codec.write->stream_close(codec.instance, s);
	if (rc != SN_RC_OK) {
		assert_int_equal(fault->code, rc);
		assert_true(fault->text[0] && !strstr(fault->text, "0x") && !strchr(fault->text, '/'));
	}
	assert_int_equal(codec.host.held, 0);
	return rc;
}

static byte_buf stream_ok(const sn_write_stream_options *o, const float *x, size_t n, size_t push)
{
	byte_buf b;
	sn_fault fault;
	if (streamed(o, x, n, push, &b, &fault) != SN_RC_OK)
		fail_msg("%s at %u Hz, tempo %g: %s", o->media_type, o->rate, (double)o->tempo, fault.text);
	return b;
}

static byte_buf whole_file(const char *type, float *x, uint64_t n, uint32_t rate)
{
	const sn_media m = {.size = sizeof m, .kind = SN_MEDIA_AUDIO, .rate = rate, .n_samples = n, .samples = x, .bytes = n * sizeof(float)};
	const sn_write_options o = {.size = sizeof o, .media_type = type};
	sn_fault fault = {.size = sizeof fault};
	uint64_t most;
	byte_buf b = {0};
	assert_int_equal(codec.write->bound(codec.instance, NULL, &m, &o, &most, &fault), SN_RC_OK);
	b.p = malloc(most);
	assert_int_equal(codec.write->write(codec.instance, NULL, &m, &o, b.p, most, &most, &fault), SN_RC_OK);
	b.n = most;
	return b;
}

/* ---- the promises ---- */

static void how_it_was_pushed_does_not_matter(void **state)
{
	(void)state;
	static const uint32_t rates[] = {8000, 22050, 24000, 48000};
	static const float tempos[] = {1, 0.6f, 3};
	static const size_t pushes[] = {1, 97, 4096, 0};
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
		size_t n = rates[r] / 2 + 123;
		float *x = tones(n, rates[r]);
		for (int t = 0; t < N_TYPES; t++)
			for (size_t k = 0; k < sizeof tempos / sizeof *tempos; k++)
				for (uint32_t whole = 0; whole < 2; whole++) {
					sn_write_stream_options o = options_of(TYPES[t], rates[r]);
					o.tempo = tempos[k];
					o.whole = whole;
					byte_buf want = stream_ok(&o, x, n, n);
					/* one sample at a time, once a type */
					for (size_t p = r || k ? 1 : 0; p < sizeof pushes / sizeof *pushes; p++) {
						byte_buf b = stream_ok(&o, x, n, pushes[p]);
						if (b.n != want.n || memcmp(b.p, want.p, b.n) != 0)
							fail_msg("%s at %u Hz, tempo %g, pushes of %zu: another file", TYPES[t], rates[r], (double)o.tempo, pushes[p]);
						drop(&b);
					}
					drop(&want);
				}
		free(x);
	}
}

static void what_is_held_to_the_end_is_the_whole_file(void **state)
{
	(void)state;
	static const uint32_t rates[] = {8000, 16000, 22050, 24000, 48000, 96000};
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (size_t n = 1; n < 60000; n = n * 11 + 5) {
			float *x = tones(n, rates[r]);
			for (int t = 0; t < N_TYPES; t++) {
				sn_write_stream_options o = options_of(TYPES[t], rates[r]);
				o.whole = 1;
				byte_buf a = stream_ok(&o, x, n, 1000), b = whole_file(TYPES[t], x, n, rates[r]);
				if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
					fail_msg("%s at %u Hz, %zu samples: not the same file", TYPES[t], rates[r], n);
				drop(&a);
				drop(&b);
			}
			free(x);
		}
}

static void what_came_bit_by_bit_is_read_again(void **state)
{
	(void)state;
	static const uint32_t rates[] = {8000, 16000, 22050, 24000, 48000};
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (size_t n = 40; n < 5 * rates[r]; n = n * 17 + 3) {
			float *x = tones(n, rates[r]);
			for (int t = 0; t < N_TYPES; t++) {
				sn_write_stream_options o = options_of(TYPES[t], rates[r]);
				sn_media back;
				sn_fault fault;
				byte_buf b = stream_ok(&o, x, n, 0);
				if (t == PCM) {
					byte_buf wav = wav_file(1, 1, rates[r], 16, b.p, b.n, (uint32_t)b.n);
					drop(&b);
					b = wav;
				} else {
					assert_string_equal(codec.decode->sniff(b.p, 64), TYPES[t]);
				}
				codec.rate = rates[r];
				if (decode(b.p, b.n, &LIMITS, &back, &fault) != SN_RC_OK)
					fail_msg("%s at %u Hz, %zu samples: %s", TYPES[t], rates[r], n, fault.text);
				codec.rate = 0;
				const float *y = back.samples;
				if (t == MP3) /* nothing tells how much silence is behind it */
					assert_true(back.n_samples >= n && back.n_samples < n + rates[r] / 4);
				else if (back.n_samples < n || back.n_samples > n + rates[r] / 8000 + 1)
					fail_msg("%s at %u Hz: %zu samples became %zu", TYPES[t], rates[r], n, (size_t)back.n_samples);
				if (t == WAV || t == FLAC || t == PCM)
					for (size_t i = 0; i < n; i++)
						assert_true(y[i] == rintf(x[i] * 32768) / 32768);
				else if (n > rates[r])
					assert_true(noise_db(x, y, n) < (t == OGG ? -24 : -40));
				free(back.samples);
				drop(&b);
			}
			free(x);
		}
}

static void headers_say_what_is_not_known(void **state)
{
	(void)state;
	float *x = tones(24000, 24000);
	sn_write_stream_options o = options_of(TYPES[WAV], 24000);
	byte_buf b = stream_ok(&o, x, 24000, 500);
	assert_int_equal(b.n, 44 + 48000);
	assert_memory_equal(b.p + 4, "\xff\xff\xff\xff", 4);
	assert_memory_equal(b.p + 40, "\xff\xff\xff\xff", 4);
	o.whole = 1;
	byte_buf whole = stream_ok(&o, x, 24000, 500);
	assert_memory_equal(b.p + 8, whole.p + 8, 32);
	assert_memory_equal(b.p + 44, whole.p + 44, 48000);
	drop(&b);
	drop(&whole);

	/* FLAC: no length, no sum, no comments; then the same frames */
	o = options_of(TYPES[FLAC], 24000);
	b = stream_ok(&o, x, 24000, 500);
	o.whole = 1;
	whole = stream_ok(&o, x, 24000, 500);
	assert_int_equal(b.n, whole.n);
	assert_int_equal(b.p[4], 0x80);
	for (int i = 0; i < 5; i++)
		assert_int_equal(b.p[21 + i] & (i ? 0xFF : 0x0F), 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(b.p[26 + i], 0);
	assert_memory_equal(b.p + 42, whole.p + 42, b.n - 42);
	drop(&b);
	drop(&whole);

	/* MP3: the encoder's delay as LAME itself tells it at the end, no counts; then the same frames */
	for (uint32_t rate = 24000; rate <= 48000; rate += 24000) {
		o = options_of(TYPES[MP3], rate);
		b = stream_ok(&o, x, 24000, 500);
		o.whole = 1;
		whole = stream_ok(&o, x, 24000, 500);
		size_t tag = rate == 48000 ? 21 : 13;
		assert_int_equal(b.n, whole.n);
		assert_memory_equal(b.p + tag, "Info\0\0\0\0LAME", 12);
		assert_memory_equal(whole.p + tag, "Info\0\0\0\x0f", 8);
		const uint8_t *delay = whole.p + tag + 8 + 4 + 4 + 100 + 4 + 21, *mine = b.p + tag + 8 + 21;
		assert_int_equal(mine[0] << 4 | mine[1] >> 4, delay[0] << 4 | delay[1] >> 4);
		assert_memory_equal(b.p + 1000, whole.p + 1000, b.n - 1000);
		drop(&b);
		drop(&whole);
	}
	free(x);
}

/* A listener has most of a sound long before its end. */
static void bytes_come_as_the_sound_does(void **state)
{
	(void)state;
	enum { RATE = 24000, PUSH = 1920, SECONDS = 10 };
	float *x = tones(RATE * SECONDS, RATE);
	for (int t = 0; t < N_TYPES; t++) {
		sn_write_stream_options o = options_of(TYPES[t], RATE);
		sn_write_stream *s;
		sn_fault fault = {.size = sizeof fault};
		byte_buf all = stream_ok(&o, x, RATE * SECONDS, PUSH), out = {0};
		uint64_t ready, late = 0;
		assert_int_equal(codec.write->stream_open(codec.instance, NULL, &o, &s, &fault), SN_RC_OK);
		size_t first = 0;
		for (size_t at = 0; at < RATE * SECONDS; at += PUSH) {
			assert_int_equal(codec.write->stream_push(codec.instance, NULL, s, x + at, PUSH, &ready, &fault), SN_RC_OK);
			take(s, &out, ready);
			if (!first && out.n > 200) /* more than headers */
				first = at + PUSH;
			/* bytes that lack, as sound */
			double lacks = (double)(at + PUSH) / (RATE * SECONDS) - (double)out.n / (double)all.n;
			if (lacks * SECONDS * 1000 > (double)late)
				late = (uint64_t)(lacks * SECONDS * 1000);
		}
		print_message("%s: first bytes after %zu ms of sound, then at most %d ms behind\n", TYPES[t], first * 1000 / RATE, (int)late);
		assert_true(first > 0 && first * 1000 / RATE <= (t == FLAC ? 400 : 240));
		assert_true(late < (t == FLAC ? 800 : 500));
		codec.write->stream_close(codec.instance, s); /* without an end */
		assert_int_equal(codec.host.held, 0);
		drop(&out);
		drop(&all);
	}
	free(x);
}

/* Upward crossings of zero a second, where the sound is well under way. */
static double pitch_of(const byte_buf *pcm, uint32_t rate)
{
	size_t n = pcm->n / 2, from = n / 4, to = n - n / 4, crossings = 0;
	int before = 0;
	for (size_t i = from; i < to; i++) {
		int now = (int16_t)(pcm->p[2 * i] | pcm->p[2 * i + 1] << 8);
		crossings += before < 0 && now >= 0;
		before = now;
	}
	return (double)crossings * rate / (double)(to - from);
}

static void another_tempo_keeps_the_pitch(void **state)
{
	(void)state;
	static const float tempos[] = {0.25f, 0.5f, 0.8f, 1, 1.3f, 2, 4};
	enum { RATE = 24000, COUNT = 4 * RATE };
	float *x = malloc(COUNT * sizeof *x);
	for (size_t i = 0; i < COUNT; i++)
		x[i] = 0.5f * (float)sin(2 * 3.14159265358979 * 200 * (double)i / RATE);
	for (size_t k = 0; k < sizeof tempos / sizeof *tempos; k++) {
		sn_write_stream_options o = options_of(TYPES[PCM], RATE);
		o.tempo = tempos[k];
		byte_buf b = stream_ok(&o, x, COUNT, 700);
		double seconds = (double)b.n / 2 / RATE, pitch = pitch_of(&b, RATE);
		print_message("tempo %.2f: %.3f s, %.1f Hz\n", (double)tempos[k], seconds, pitch);
		assert_true(fabs(seconds * (double)tempos[k] - 4) < 0.06);
		assert_true(fabs(pitch - 200) < 4);
		drop(&b);
	}
	free(x);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
	(void)state;
	float x[300] = {0};
	byte_buf b;
	sn_fault fault;
	sn_write_stream_options good = options_of("audio/wav", 16000), bad;
	static const struct { float tempo; uint32_t rate, quality; const char *type, *says; sn_rc rc; } cases[] = {
	    {1, 16000, 0, "audio/aac", "type", SN_RC_UNSUPPORTED},     {1, 16000, 0, NULL, "type", SN_RC_UNSUPPORTED},
	    {1, 7999, 0, "audio/ogg", "rate", SN_RC_UNSUPPORTED},      {1, 192001, 0, "audio/wav", "rate", SN_RC_UNSUPPORTED},
	    {0.24f, 16000, 0, "audio/wav", "tempo", SN_RC_INVALID},    {4.01f, 16000, 0, "audio/wav", "tempo", SN_RC_INVALID},
	    {NAN, 16000, 0, "audio/wav", "tempo", SN_RC_INVALID},      {0, 16000, 0, "audio/mpeg", "tempo", SN_RC_INVALID},
	    {1, 16000, 101, "audio/mpeg", "quality", SN_RC_INVALID},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bad = good, bad.tempo = cases[i].tempo, bad.rate = cases[i].rate, bad.quality = cases[i].quality, bad.media_type = cases[i].type;
		assert_int_equal(streamed(&bad, x, 300, 100, &b, &fault), cases[i].rc);
		assert_non_null(strstr(fault.text, cases[i].says));
		assert_int_equal(b.n, 0);
	}
	for (int t = 0; t < N_TYPES; t++)
		for (uint32_t whole = 0; whole < 2; whole++) {
			sn_write_stream_options o = options_of(TYPES[t], 16000);
			o.whole = whole;
			assert_int_equal(streamed(&o, x, 0, 1, &b, &fault), SN_RC_INVALID);
			assert_non_null(strstr(fault.text, "no sound"));
			assert_int_equal(b.n, 0);
			drop(&b);
			x[150] = NAN;
			assert_int_equal(streamed(&o, x, 300, 100, &b, &fault), SN_RC_INVALID);
			assert_non_null(strstr(fault.text, "finite"));
			drop(&b);
			x[150] = 0;
		}
	/* so little that nothing is left of it at this tempo */
	good.tempo = 4;
	assert_int_equal(streamed(&good, x, 1, 1, &b, &fault), SN_RC_INVALID);
	drop(&b);
	/* after its end */
	sn_write_stream *s;
	uint64_t ready;
	good.tempo = 1;
	assert_int_equal(codec.write->stream_open(codec.instance, NULL, &good, &s, &fault), SN_RC_OK);
	assert_int_equal(codec.write->stream_push(codec.instance, NULL, s, x, 300, &ready, &fault), SN_RC_OK);
	assert_int_equal(codec.write->stream_finish(codec.instance, NULL, s, &ready, &fault), SN_RC_OK);
	assert_int_equal(ready, 644);
	assert_int_equal(codec.write->stream_push(codec.instance, NULL, s, x, 300, &ready, &fault), SN_RC_INVALID);
	assert_int_equal(codec.write->stream_finish(codec.instance, NULL, s, &ready, &fault), SN_RC_INVALID);
	codec.write->stream_close(codec.instance, s);
	assert_int_equal(codec.host.held, 0);
}

static void no_memory_is_said(void **state)
{
	(void)state;
	enum { COUNT = 100000 };
	float *x = tones(COUNT, 22050);
	byte_buf b;
	sn_fault fault;
	for (int t = 0; t < N_TYPES; t++)
		for (uint32_t whole = 0; whole < 2; whole++) {
			sn_write_stream_options o = options_of(TYPES[t], 22050);
			o.whole = whole;
			codec.host.n_allocs = 0;
			b = stream_ok(&o, x, COUNT, 5000);
			drop(&b);
			uint64_t asked = codec.host.n_allocs;
			assert_true(asked >= 3);
			for (uint64_t k = 1; k <= asked; k++) {
				codec.host.n_allocs = 0;
				codec.host.fail_alloc = k;
				assert_int_equal(streamed(&o, x, COUNT, 5000, &b, &fault), SN_RC_NOMEM);
				codec.host.fail_alloc = 0;
				drop(&b);
			}
		}
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(how_it_was_pushed_does_not_matter),
	    cmocka_unit_test(what_is_held_to_the_end_is_the_whole_file),
	    cmocka_unit_test(what_came_bit_by_bit_is_read_again),
	    cmocka_unit_test(headers_say_what_is_not_known),
	    cmocka_unit_test(bytes_come_as_the_sound_does),
	    cmocka_unit_test(another_tempo_keeps_the_pitch),
	    cmocka_unit_test(what_is_wrong_is_refused_by_name),
	    cmocka_unit_test(no_memory_is_said),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
