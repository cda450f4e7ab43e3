/* test_sound_gate.c - sound through the media gate, with audio-codec as it is built: check 22 of the reliability goals on the one way
 * that all routes take. An hour at 16 kHz is decoded with the default memory for media; three hours are refused by their header. */
#include "plugin_engine.h"

#include <stdlib.h>
#include <string.h>

#include "engine/media.h"
#include "sound.h"

static const uint8_t PACKET[] = {033, 2}; /* Opus: two frames of 60 ms without a byte in them */
enum { PACKETS_PER_HOUR = 30000, PACKET_SAMPLES = 5760 };

typedef struct gate {
	sn_log *quiet;
	pool *threads;
	plugin_host *host;
	metrics metrics;
	media_gate g;
} gate;

static void gate_open(gate *t, size_t max_bytes)
{
	static const hash_key key = {0};
	sn_error err;
	*t = (gate){0};
	assert_int_equal(sn_log_open(&t->quiet, &(sn_log_config){.level = SN_LOG_ERROR, .fd = 2}, &err), SN_OK);
	assert_int_equal(pool_open(&t->threads, 1, &err), SN_OK);
	assert_int_equal(plugin_host_open(&t->host, PLUGIN_DIR, 64 << 20, t->threads, t->quiet, &err), SN_OK);
	media_gate_init(&t->g, t->host, &t->metrics, t->quiet, &key, max_bytes, 2);
}

static void gate_close(gate *t)
{
	assert_int_equal(t->g.held, 0);
	assert_int_equal(t->g.slots, 2);
	media_gate_fini(&t->g);
	plugin_host_close(&t->host);
	pool_close(&t->threads);
	sn_log_close(&t->quiet);
}

static sn_status pass(gate *t, const byte_buf *b, const char *mime, uint32_t rate, sn_media *m, sn_error *err)
{
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .mime = mime, .data = (const char *)b->p, .size = b->n};
	*err = (sn_error){0};
	return media_gate_decode(&t->g, &part, rate, "request", m, err);
}

static void an_hour_passes_and_three_do_not(void **state)
{
	(void)state;
	gate t;
	sn_media m;
	sn_error err;
	gate_open(&t, 512u << 20);
	byte_buf hour = opus_file(1, PACKETS_PER_HOUR, PACKET, sizeof PACKET, PACKET_SAMPLES);
	byte_buf two = opus_file(1, 2 * PACKETS_PER_HOUR, PACKET, sizeof PACKET, PACKET_SAMPLES);
	byte_buf more = opus_file(1, 2 * PACKETS_PER_HOUR + 1, PACKET, sizeof PACKET, PACKET_SAMPLES);
	byte_buf three = opus_file(1, 3 * PACKETS_PER_HOUR, PACKET, sizeof PACKET, PACKET_SAMPLES);
	sn_media held;
	assert_int_equal(pass(&t, &hour, NULL, 16000, &held, &err), SN_OK);
	assert_int_equal(held.n_samples, 3600 * 16000);
	assert_int_equal(held.rate, 16000);
	long before = peak_kib();
	assert_int_equal(pass(&t, &three, NULL, 16000, &m, &err), SN_ERR_TOO_LARGE);
	assert_int_equal(pass(&t, &more, NULL, 16000, &m, &err), SN_ERR_TOO_LARGE);
	/* An hour at its own 48 kHz is less than two hours, but more than all the memory for media: waiting would not help. */
	assert_int_equal(pass(&t, &hour, NULL, 0, &m, &err), SN_ERR_TOO_LARGE);
	assert_non_null(strstr(err.text, "memory"));
	assert_true(peak_kib() - before < 8 << 10);
	assert_int_equal(media_gate_seconds(SN_MEDIA_AUDIO), 7200);
	assert_int_equal(media_gate_seconds(SN_MEDIA_IMAGE), 0);
	/* What is held by others counts: two hours (440 MiB) would fit alone. */
	assert_int_equal(pass(&t, &two, NULL, 16000, &m, &err), SN_ERR_QUEUE_FULL);
	media_gate_release(&t.g, &held);
	drop(&hour), drop(&two), drop(&more), drop(&three);
	gate_close(&t);
}

static void bombs_are_refused_in_no_memory(void **state)
{
	(void)state;
	static uint8_t zeros[1 << 16];
	gate t;
	sn_media m;
	sn_error err;
	gate_open(&t, 512u << 20);
	struct { byte_buf file; sn_status status; } cases[] = {
	    {wav_file(1, 1024, 16000, 16, zeros, sizeof zeros, sizeof zeros), SN_ERR_TOO_LARGE},
	    {wav_file(0x11, 1, 16000, 4, zeros, sizeof zeros, 0x7FFFEFFF), SN_ERR_UNSUPPORTED}, /* IMA ADPCM */
	    {wav_file(1, 1, 16000, 16, zeros, sizeof zeros, 0x7FFFEFFF), SN_ERR_INVALID},
	    {wav_file(1, 1, 655350, 16, zeros, sizeof zeros, sizeof zeros), SN_ERR_UNSUPPORTED},
	    {wav_file(3, 1, 16000, 32, "\0\0\300\177", 4, 4), SN_ERR_INVALID}, /* NaN */
	};
	long before = peak_kib();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(pass(&t, &cases[i].file, NULL, 16000, &m, &err), cases[i].status);
		assert_string_equal(err.param, "messages");
		assert_true(err.text[0] && !strstr(err.text, "0x") && !strchr(err.text, '/'));
		drop(&cases[i].file);
	}
	assert_true(peak_kib() - before < 8 << 10);
	gate_close(&t);
}

static void types_are_compared_by_what_they_mean(void **state)
{
	(void)state;
	static const int16_t x[100];
	const struct { const char *mime; sn_status status; } said[] = {
	    {NULL, SN_OK}, {"audio/wav", SN_OK}, {"AUDIO/X-WAV; codecs=1", SN_OK}, {"audio/wave", SN_OK}, {"audio/mpeg", SN_ERR_MEDIA_TYPE},
	    {"audio/mp3", SN_ERR_MEDIA_TYPE}, {"image/png", SN_ERR_MEDIA_TYPE}, {"audio/x-wa", SN_ERR_MEDIA_TYPE}, {"", SN_ERR_MEDIA_TYPE},
	    {"audio/x-wav=audio/wav", SN_ERR_MEDIA_TYPE}, {" ", SN_ERR_MEDIA_TYPE}};
	gate t;
	sn_media m;
	sn_error err;
	gate_open(&t, 1 << 20);
	byte_buf b = wav_file(1, 1, 16000, 16, x, sizeof x, sizeof x);
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		assert_int_equal(pass(&t, &b, said[i].mime, 16000, &m, &err), said[i].status);
		if (said[i].status == SN_OK)
			media_gate_release(&t.g, &m);
	}
	assert_string_equal(media_gate_kind(&t.g, b.p, b.n, "audio/x-wav"), "audio");
	drop(&b);
	gate_close(&t);
}

static void another_rate_is_another_medium(void **state)
{
	(void)state;
	gate t;
	sn_media a, b, c;
	sn_error err;
	gate_open(&t, 1 << 20);
	byte_buf f = sound_file(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 1000, -1);
	assert_int_equal(pass(&t, &f, NULL, 16000, &a, &err), SN_OK);
	media_gate_release(&t.g, &a);
	assert_int_equal(pass(&t, &f, NULL, 24000, &b, &err), SN_OK);
	media_gate_release(&t.g, &b);
	assert_int_equal(pass(&t, &f, NULL, 0, &c, &err), SN_OK);
	media_gate_release(&t.g, &c);
	assert_int_equal(b.n_samples, 1500);
	assert_memory_not_equal(a.hash, b.hash, sizeof a.hash);
	assert_memory_equal(a.hash, c.hash, sizeof a.hash);
	drop(&f);
	gate_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_hour_passes_and_three_do_not),
	    cmocka_unit_test(bombs_are_refused_in_no_memory),
	    cmocka_unit_test(types_are_compared_by_what_they_mean),
	    cmocka_unit_test(another_rate_is_another_medium),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
