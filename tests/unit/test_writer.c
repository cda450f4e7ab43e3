/* sn_writer: sound as a file's bytes, as an embedder gets it. */
#include "unit.h"

#include <math.h>

#include "core.h"

static sn_log *quiet;
static sn_engine *engine;

static int open_engine(void **state)
{
	(void)state;
	sn_error err;
	const sn_log_config log = {SN_LOG_ERROR, false, 2};
	if (sn_log_open(&quiet, &log, &err) != SN_OK)
		return -1;
	const sn_engine_config config = {.log = quiet, .plugin_dir = PLUGIN_DIR, .kv_cache_memory = 16 << 20, .threads = 1};
	return sn_engine_open(&engine, &config, &err) == SN_OK ? 0 : -1;
}

static int close_engine(void **state)
{
	(void)state;
	sn_engine_close(&engine);
	sn_log_close(&quiet);
	return 0;
}

static float sound[48000];

static void make_sound(void)
{
	for (size_t i = 0; i < 48000; i++)
		sound[i] = 0.4f * sinf((float)i * 0.05f);
}

typedef struct written { uint8_t *p; size_t n, before_end; } written;

static written write_all(const char *type, float tempo, bool whole, size_t push)
{
	const sn_writer_config config = {.request_id = "req", .media_type = type, .rate = 24000, .tempo = tempo, .whole = whole};
	sn_writer *w;
	sn_error err;
	const uint8_t *bytes;
	size_t size;
	written out = {.p = malloc(1 << 20)};
	assert_int_equal(sn_writer_open(engine, &config, &w, &err), SN_OK);
	for (size_t at = 0; at < 48000; at += push) {
		assert_int_equal(sn_writer_push(w, sound + at, push < 48000 - at ? push : 48000 - at, &bytes, &size, &err), SN_OK);
		if (size)
			memcpy(out.p + out.n, bytes, size);
		out.n += size;
	}
	out.before_end = out.n;
	assert_int_equal(sn_writer_finish(w, &bytes, &size, &err), SN_OK);
	memcpy(out.p + out.n, bytes, size);
	out.n += size;
	assert_int_equal(sn_writer_push(w, sound, 1, &bytes, &size, &err), SN_ERR_INVALID);
	assert_int_equal(sn_writer_finish(w, &bytes, &size, &err), SN_ERR_INVALID);
	sn_writer_close(&w);
	assert_null(w);
	sn_writer_close(&w);
	return out;
}

static void a_stream_and_a_whole_file(void **state)
{
	(void)state;
	static const char *const types[] = {"audio/wav", "audio/flac", "audio/ogg", "audio/mpeg", "audio/pcm"};
	for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
		written a = write_all(types[t], 0, false, 480), b = write_all(types[t], 1, false, 7777), whole = write_all(types[t], 1, true, 480);
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
		assert_true(a.before_end > a.n / 2);
		assert_int_equal(whole.before_end, 0);
		assert_string_equal(sn_engine_kind_of(engine, a.p, a.n, types[t]) ? "audio" : "none", t == 4 ? "none" : "audio");
		free(a.p);
		free(b.p);
		free(whole.p);
	}
	written once = write_all("audio/pcm", 1, false, 999), twice = write_all("audio/pcm", 2, false, 999);
	assert_int_equal(once.n, 96000);
	assert_true(fabs((double)twice.n - 48000) < 1000);
	free(once.p);
	free(twice.p);
}

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	static const struct { const char *type; uint32_t rate; float tempo; sn_status status; } cases[] = {
	    {"audio/aac", 24000, 1, SN_ERR_UNSUPPORTED},  {NULL, 24000, 1, SN_ERR_UNSUPPORTED},       {"", 24000, 1, SN_ERR_UNSUPPORTED},
	    {"audio", 24000, 1, SN_ERR_UNSUPPORTED},      {"image/png", 24000, 1, SN_ERR_UNSUPPORTED}, {"audio/wav", 0, 1, SN_ERR_UNSUPPORTED},
	    {"audio/wav", 24000, 0.2f, SN_ERR_INVALID},   {"audio/wav", 24000, 5, SN_ERR_INVALID},    {"audio/wav", 24000, -1, SN_ERR_INVALID},
	};
	sn_writer *w;
	sn_error err;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const sn_writer_config config = {.request_id = "req", .media_type = cases[i].type, .rate = cases[i].rate, .tempo = cases[i].tempo};
		assert_int_equal(sn_writer_open(engine, &config, &w, &err), cases[i].status);
		assert_null(w);
		assert_true(err.text[0] != 0);
	}
	const sn_writer_config config = {.media_type = "audio/wav", .rate = 8000};
	const uint8_t *bytes;
	size_t size;
	assert_int_equal(sn_writer_open(engine, &config, &w, &err), SN_OK);
	assert_int_equal(sn_writer_finish(w, &bytes, &size, &err), SN_ERR_INVALID); /* nothing was said */
	sn_writer_close(&w);
	assert_int_equal(sn_writer_open(engine, &config, &w, &err), SN_OK);
	assert_int_equal(sn_writer_push(w, sound, SIZE_MAX / 8, &bytes, &size, &err), SN_ERR_TOO_LARGE); /* nothing of it is read */
	assert_int_equal(sn_writer_push(w, sound, 1, &bytes, &size, &err), SN_ERR_INVALID);
	sn_writer_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stream_and_a_whole_file),
	    cmocka_unit_test(what_cannot_be_is_refused),
	};
	make_sound();
	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
