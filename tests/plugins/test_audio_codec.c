/* audio-codec reads: every subtype as libsndfile itself reads it, mono, at the wanted rate; headers as programs really write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <resample.h>

#include "codec_case.h"
#include "sound.h"

enum { N = 5000 };

static sn_media read_ok(const byte_buf *b, uint32_t rate)
{
	sn_media m;
	sn_fault fault;
	codec.rate = rate;
	sn_rc rc = decode(b->p, b->n, &LIMITS, &m, &fault);
	codec.rate = 0;
	if (rc != SN_RC_OK)
		fail_msg("refused with %d: %s (%s)", rc, fault.text, codec.host.last_log);
	assert_int_equal(m.kind, SN_MEDIA_AUDIO);
	assert_int_equal(m.bytes, m.n_samples * sizeof(float));
	return m;
}

static const struct { int format; const char *name; uint32_t rate; double noise; } FORMATS[] = {
    {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, "WAV 8", 16000, -35}, {SF_FORMAT_WAV | SF_FORMAT_PCM_16, "WAV 16", 44100, -80},
    {SF_FORMAT_WAV | SF_FORMAT_PCM_24, "WAV 24", 48000, -110}, {SF_FORMAT_WAV | SF_FORMAT_PCM_32, "WAV 32", 8000, -120},
    {SF_FORMAT_WAV | SF_FORMAT_FLOAT, "WAV float", 22050, -120}, {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, "WAV double", 96000, -120},
    {SF_FORMAT_WAV | SF_FORMAT_ULAW, "WAV mu-law", 8000, -30}, {SF_FORMAT_WAV | SF_FORMAT_ALAW, "WAV A-law", 8000, -30},
    {SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, "WAVEX 16", 44100, -80}, {SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, "WAVEX 24", 44100, -110},
    {SF_FORMAT_WAVEX | SF_FORMAT_FLOAT, "WAVEX float", 44100, -120}, {SF_FORMAT_WAVEX | SF_FORMAT_ULAW, "WAVEX mu-law", 8000, -30},
    {SF_FORMAT_RF64 | SF_FORMAT_PCM_16, "RF64 16", 48000, -80}, {SF_FORMAT_RF64 | SF_FORMAT_FLOAT, "RF64 float", 192000, -120},
    {SF_FORMAT_FLAC | SF_FORMAT_PCM_S8, "FLAC 8", 16000, -35}, {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, "FLAC 16", 44100, -80},
    {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, "FLAC 24", 48000, -110}, {SF_FORMAT_OGG | SF_FORMAT_VORBIS, "Vorbis", 44100, -12},
    {SF_FORMAT_OGG | SF_FORMAT_OPUS, "Opus", 48000, -12}, {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, "MP3", 44100, -20},
    {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, "MP3 MPEG 2", 22050, -20}, {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, "MP3 MPEG 2.5", 8000, -20},
};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

static void every_format_is_read_as_its_library_reads_it(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_FORMATS; k++)
		for (uint32_t channels = 1; channels <= 2; channels++) {
			uint64_t n;
			uint32_t rate;
			byte_buf b = sound_file(FORMATS[k].format, FORMATS[k].rate, channels, N, -1);
			assert_string_equal(codec.decode->sniff(b.p, 64), strncmp(FORMATS[k].name, "MP3", 3) == 0    ? "audio/mpeg"
			                                                  : strncmp(FORMATS[k].name, "FLAC", 4) == 0 ? "audio/flac"
			                                                  : strchr("VO", *FORMATS[k].name)           ? "audio/ogg"
			                                                                                             : "audio/wav");
			sn_media m = read_ok(&b, 0);
			float *theirs = sound_read(&b, &n, &rate), *mean = malloc(N * sizeof *mean);
			assert_int_equal(m.n_samples, n);
			assert_int_equal(m.n_samples, N);
			assert_int_equal(m.rate, rate);
			assert_memory_equal(m.samples, theirs, n * sizeof(float));
			for (size_t i = 0; i < N; i++)
				mean[i] = channels == 1 ? tone(i, 0, rate) : 0.5f * (tone(i, 0, rate) + tone(i, 1, rate));
			double noise = noise_db(mean, m.samples, N);
			if (noise > FORMATS[k].noise)
				fail_msg("%s, %u channels: noise %.1f dB", FORMATS[k].name, channels, noise);
			free(mean);
			free(theirs);
			free(m.samples);
			drop(&b);
		}
}

static void it_comes_at_the_wanted_rate(void **state)
{
	(void)state;
	const uint32_t wanted[] = {16000, 24000, 48000};
	for (size_t k = 0; k < N_FORMATS; k++)
		for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++) {
			byte_buf b = sound_file(FORMATS[k].format, FORMATS[k].rate, 1, N, -1);
			sn_media own = read_ok(&b, 0), m = read_ok(&b, wanted[w]);
			uint64_t total;
			size_t got, rest;
			sn_resampler r;
			assert_true(sn_resample_count(own.n_samples, own.rate, wanted[w], &total));
			assert_int_equal(m.rate, wanted[w]);
			assert_int_equal(m.n_samples, total);
			assert_int_equal(m.n_samples, (own.n_samples * wanted[w] + own.rate - 1) / own.rate);
			float *x = malloc(total * sizeof *x);
			assert_true(sn_resampler_init(&r, own.rate, wanted[w]) && sn_resampler_push(&r, own.samples, own.n_samples, x, total, &got) &&
			            sn_resampler_flush(&r, x + got, total - got, &rest));
			sn_resampler_fini(&r);
			assert_memory_equal(m.samples, x, total * sizeof *x);
			free(x);
			free(own.samples);
			free(m.samples);
			drop(&b);
		}
}

static void channels_become_their_mean(void **state)
{
	(void)state;
	for (uint32_t channels = 1; channels <= 8; channels++) {
		float x[8];
		double sum = 0;
		for (uint32_t c = 0; c < channels; c++)
			sum += x[c] = 0.1f * (float)(c + 1);
		byte_buf b = wav_file(3, channels, 16000, 32, x, channels * 4, channels * 4);
		sn_media m = read_ok(&b, 0);
		assert_int_equal(m.n_samples, 1);
		assert_true(fabs(*(float *)m.samples - sum / channels) < 1e-7);
		free(m.samples);
		drop(&b);
	}
}

static void what_is_louder_than_full_is_clipped(void **state)
{
	(void)state;
	const float x[] = {1.5f, -2, 1e30f, 0.5f, -1};
	byte_buf b = wav_file(3, 1, 16000, 32, x, sizeof x, sizeof x);
	sn_media m = read_ok(&b, 0);
	assert_memory_equal(m.samples, ((float[]){1, -1, 1, 0.5f, -1}), sizeof x);
	free(m.samples);
	drop(&b);
}

/* ---- headers as programs write them ---- */

static void put(byte_buf *b, size_t at, uint32_t v)
{
	for (int k = 0; k < 4; k++)
		b->p[at + (size_t)k] = (uint8_t)(v >> 8 * k);
}

static void wav_sizes_that_were_never_filled_in(void **state)
{
	(void)state;
	int16_t x[100];
	for (int i = 0; i < 100; i++)
		x[i] = (int16_t)(i * 300);
	const struct { uint32_t riff, data; } ways[] = {
	    {0xFFFFFFFF, 0xFFFFFFFF}, /* ffmpeg into a pipe */
	    {0, 0},
	    {36 + 2, 0},              /* a recorder that was killed: its header ends before the sound */
	    {0x7FFFFFFF, 0x7FFFF000}, /* sox, arecord */
	    {0x80000024, 0x80000000},
	    {0x12345678, 200},        /* a wrong size of the whole does not matter */
	};
	for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
		byte_buf b = wav_file(1, 1, 16000, 16, x, sizeof x, ways[k].data);
		put(&b, 4, ways[k].riff);
		sn_media m = read_ok(&b, 0);
		assert_int_equal(m.n_samples, 100);
		assert_true(((float *)m.samples)[99] == 99 * 300 / 32768.0f);
		free(m.samples);
		b.n--; /* half a sample: not an end */
		assert_int_equal(decode_code(b.p, b.n), SN_RC_INVALID);
		drop(&b);
	}
	byte_buf b = wav_file(1, 1, 16000, 16, x, 0, 0); /* no sound, and it says so */
	add(&b, "LIST\4\0\0\0abcd", 12);
	put(&b, 4, (uint32_t)b.n - 8);
	assert_int_equal(decode_code(b.p, b.n), SN_RC_INVALID);
	drop(&b);
}

static void wav_chunks_around_the_sound_are_passed_over(void **state)
{
	(void)state;
	const int16_t x[] = {100, -200, 300};
	byte_buf plain = wav_file(1, 1, 16000, 16, x, sizeof x, sizeof x), b = {0};
	add(&b, plain.p, 12);
	add(&b, "LIST\3\0\0\0abc\0", 12); /* odd, padded */
	add(&b, plain.p + 12, plain.n - 12);
	add(&b, "id3 \377\0\0\0junk that goes nowhere", 30);
	sn_media m = read_ok(&b, 0);
	assert_int_equal(m.n_samples, 3);
	assert_true(((float *)m.samples)[2] == 300 / 32768.0f);
	free(m.samples);
	drop(&plain);
	drop(&b);
}

static void rf64_sizes_stand_elsewhere(void **state)
{
	(void)state;
	byte_buf b = {0};
	add(&b, "RF64\377\377\377\377WAVEds64\34\0\0\0", 20);
	add_le(&b, 76, 8);
	add_le(&b, 4, 8); /* of the sound */
	add_le(&b, 2, 8);
	add_le(&b, 0, 4);
	add(&b, "fmt \20\0\0\0\1\0\1\0", 12);
	add_le(&b, 16000, 4);
	add_le(&b, 32000, 4);
	add(&b, "\2\0\20\0data\377\377\377\377\0\100\0\300more", 20);
	sn_media m = read_ok(&b, 0);
	assert_int_equal(m.n_samples, 2);
	assert_memory_equal(m.samples, ((float[]){0.5f, -0.5f}), 8);
	free(m.samples);
	drop(&b);
}

static void flac_of_unknown_length(void **state)
{
	(void)state;
	byte_buf b = sound_file(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 20001, -1);
	memset(b.p + 8 + 14, 0, 4);
	b.p[8 + 13] &= 0xF0;
	sn_media m = read_ok(&b, 0);
	assert_int_equal(m.n_samples, 20001);
	free(m.samples);
	for (size_t cut = 1; cut < 40; cut++)
		assert_int_equal(decode_code(b.p, b.n - cut), SN_RC_INVALID);
	add(&b, "TAG", 3);
	for (int i = 3; i < 128; i++)
		add(&b, "x", 1);
	m = read_ok(&b, 0);
	assert_int_equal(m.n_samples, 20001);
	free(m.samples);
	drop(&b);
}

static size_t mp3_info_bytes(const byte_buf *b) /* of the first frame: an Info frame in what libsndfile writes */
{
	static const int kbps[] = {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320};
	assert_true(b->p[0] == 0xFF && b->p[1] >> 3 == 0x1F && (b->p[2] >> 2 & 3) == 0); /* MPEG 1, 44.1 kHz */
	return (size_t)144000 * (size_t)kbps[b->p[2] >> 4] / 44100 + (b->p[2] >> 1 & 1);
}

static void mp3_with_tags_and_without_an_info_frame(void **state)
{
	(void)state;
	byte_buf b = sound_file(SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 2, 44100, -1), tagged = {0}, bare = {0};
	sn_media plain = read_ok(&b, 0);
	assert_int_equal(plain.n_samples, 44100);
	add(&tagged, "ID3\4\0\0\0\0\1\12", 10); /* 138 bytes */
	for (int i = 0; i < 138; i++)
		add(&tagged, "\377\373", 1);
	add(&tagged, "ID3\3\0\0\0\0\0\4\0\0\0\0", 14);
	add(&tagged, b.p, b.n);
	add(&tagged, "APETAGEXandwhatever", 19);
	assert_string_equal(codec.decode->sniff(tagged.p, 64), "audio/mpeg");
	sn_media m = read_ok(&tagged, 0);
	assert_int_equal(m.n_samples, 44100);
	assert_memory_equal(m.samples, plain.samples, plain.bytes);
	free(m.samples);

	/* Without an Info frame: all that is in the frames, their delay at its begin; variable bit rates as well. */
	size_t info = mp3_info_bytes(&b);
	add(&bare, b.p + info, b.n - info);
	m = read_ok(&bare, 0);
	assert_int_equal(m.n_samples % 1152, 0);
	assert_true(m.n_samples >= 44100 + 1105);
	assert_true(noise_db((float *)plain.samples, (float *)m.samples + 1105, 44100) < -120);
	free(m.samples);

	/* A tag between frames, as where two files were joined. */
	byte_buf joined = {0};
	add(&joined, bare.p, bare.n);
	add(&joined, "ID3\3\0\0\0\0\0\4abcd", 14);
	add(&joined, bare.p, bare.n);
	sn_media two = read_ok(&joined, 0);
	free(two.samples);
	assert_int_equal(two.n_samples % 1152, 0);
	assert_true(two.n_samples > 2 * 44100);

	/* One frame alone. */
	byte_buf one = {0};
	add(&one, bare.p, mp3_info_bytes(&bare));
	m = read_ok(&one, 0);
	assert_int_equal(m.n_samples, 1152);
	free(m.samples);
	free(plain.samples);
	drop(&b), drop(&tagged), drop(&bare), drop(&joined), drop(&one);
}

static void opus_says_what_it_was_made_from_and_is_read_at_48_kHz(void **state)
{
	(void)state;
	const uint32_t rates[] = {8000, 12000, 16000, 24000, 48000};
	for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
		byte_buf b = sound_file(SF_FORMAT_OGG | SF_FORMAT_OPUS, rates[k], 1, rates[k] / 2, -1);
		sn_media m = read_ok(&b, 0);
		assert_int_equal(m.rate, 48000);
		assert_int_equal(m.n_samples, 24000);
		free(m.samples);
		drop(&b);
	}
}

static void what_is_not_sound_is_not_claimed(void **state)
{
	(void)state;
	static const struct { const char *name, *head; size_t n; } heads[] = {
	    {"PNG", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16}, {"JPEG", "\xff\xd8\xff\xe0\0\20JFIF", 10}, {"GIF", "GIF89a\1\0\1\0", 10},
	    {"WebP", "RIFF\x20\0\0\0WEBPVP8 ", 16}, {"AVI", "RIFF\x20\0\0\0AVI LIST", 16}, {"MP4", "\0\0\0\x20""ftypisom\0\0\2\0", 16},
	    {"M4A", "\0\0\0\x20""ftypM4A \0\0\2\0", 16}, {"WebM", "\x1a\x45\xdf\xa3\1\0\0\0\0\0\0\x1f", 12}, {"AAC", "\xff\xf1\x50\x80\2\x1f\xfc", 7},
	    {"MP2", "\xff\xfd\x84\4\0\0\0\0", 8}, {"UTF-16", "\xff\xfe""a\0b\0", 6}, {"PDF", "%PDF-1.7", 8}, {"AIFF", "FORM\0\0\0\x20""AIFFCOMM", 16},
	    {"AU", ".snd\0\0\0\x18", 8}, {"CAF", "caff\0\1\0\0desc", 12}, {"RIFX", "RIFX\0\0\0\x20WAVE", 12}, {"W64", "riff\x2e\x91\xcf\x11", 8},
	    {"Ogg Theora", "OggS\0\2\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\1\2\3\4\1\x2a\x80theora", 36},
	    {"Ogg Speex", "OggS\0\2\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\1\2\3\4\1\x50Speex   ", 36},
	    {"Ogg FLAC", "OggS\0\2\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\1\2\3\4\1\x33\x7f""FLAC\1", 34},
	    {"free format MP3", "\xff\xfb\x04\0", 4}, {"text", "RIFFRAFF", 8}, {"nothing", "", 0}};
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		if (codec.decode->sniff((const uint8_t *)heads[i].head, heads[i].n))
			fail_msg("%s is claimed", heads[i].name);
		assert_int_equal(decode_code((const uint8_t *)heads[i].head, heads[i].n), heads[i].n ? SN_RC_UNSUPPORTED : SN_RC_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_format_is_read_as_its_library_reads_it),
	    cmocka_unit_test(it_comes_at_the_wanted_rate),
	    cmocka_unit_test(channels_become_their_mean),
	    cmocka_unit_test(what_is_louder_than_full_is_clipped),
	    cmocka_unit_test(wav_sizes_that_were_never_filled_in),
	    cmocka_unit_test(wav_chunks_around_the_sound_are_passed_over),
	    cmocka_unit_test(rf64_sizes_stand_elsewhere),
	    cmocka_unit_test(flac_of_unknown_length),
	    cmocka_unit_test(mp3_with_tags_and_without_an_info_frame),
	    cmocka_unit_test(opus_says_what_it_was_made_from_and_is_read_at_48_kHz),
	    cmocka_unit_test(what_is_not_sound_is_not_claimed),
	};
	return cmocka_run_group_tests(tests, codec_open, codec_close);
}
