/* test_isolate.c - codecs in helper processes (--isolate-codecs), through the media gate: the same bytes as without, and whatever a decoder
 * does costs the one request. Checks 16 to 23 of the reliability goals where the decoder itself is the danger. */
#include "isolate_case.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rows_file.h"
#include "sound.h"
#include "zoo/zoo.h"

enum { DIM = 4 };

/* ---- the same answers ---- */

static void same(gate *here, gate *there, const char *kind, const void *bytes, size_t n, uint32_t rate)
{
	sn_media a, b;
	sn_error why[2];
	sn_status s = pass(here, kind, bytes, n, rate, &a, &why[0]);
	assert_int_equal(pass(there, kind, bytes, n, rate, &b, &why[1]), s);
	assert_string_equal(why[0].text, why[1].text);
	if (s)
		return;
	assert_int_equal(a.bytes, b.bytes);
	assert_memory_equal(a.samples, b.samples, a.bytes);
	assert_memory_equal(a.hash, b.hash, sizeof a.hash);
	media_gate_release(&here->g, &a);
	media_gate_release(&there->g, &b);
}

static void pictures_are_the_same(void **state)
{
	(void)state;
	static uint8_t bytes[1 << 20];
	gate here, there;
	int n_files = 0;
	gate_open(&here, PLUGIN_DIR, false, 0);
	gate_open(&there, PLUGIN_DIR, true, 20000);
	DIR *d = opendir(PICTURES);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		snprintf(path, sizeof path, "%s/%s", PICTURES, e->d_name);
		FILE *f = fopen(path, "rb");
		size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
		if (f)
			fclose(f);
		if (n == 0)
			continue;
		same(&here, &there, "image", bytes, n, 0);
		same(&here, &there, "image", bytes, n / 2, 0);
		n_files++;
	}
	closedir(d);
	assert_true(n_files > 50);
	assert_int_equal(find(&there, "image-codec")->failures, 0);
	gate_close(&there);
	gate_close(&here);
}

static void sounds_are_the_same(void **state)
{
	(void)state;
	gate here, there;
	gate_open(&here, PLUGIN_DIR, false, 0);
	gate_open(&there, PLUGIN_DIR, true, 20000);
	static const int formats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_FLOAT, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
	                              SF_FORMAT_OGG | SF_FORMAT_VORBIS, SF_FORMAT_OGG | SF_FORMAT_OPUS, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		byte_buf b = sound_file(formats[i], 48000, 2, 48000, -1);
		same(&here, &there, "audio", b.p, b.n, 0);
		same(&here, &there, "audio", b.p, b.n, 16000);
		same(&here, &there, "audio", b.p, b.n / 2, 16000);
		drop(&b);
	}
	assert_int_equal(find(&there, "audio-codec")->failures, 0);
	gate_close(&there);
	gate_close(&here);
}

/* Every other frame, of half the size. */
static sn_status choose(void *ctx, const sn_clip_info *info, sn_clip_wish *wish, sn_error *err)
{
	uint32_t *frames = ctx;
	(void)err;
	wish->n_frames = 0;
	for (uint32_t i = 0; i < info->n_frames && wish->n_frames < 16; i += 2)
		frames[wish->n_frames++] = i;
	wish->frames = frames;
	wish->n_steps = 1;
	wish->steps[0] = (sn_clip_step){.width = info->width / 2 + 1, .height = info->height / 2 + 1, .filter = SN_CLIP_BICUBIC};
	return SN_OK;
}

static bool same_clip(gate *here, gate *there, const char *name, const uint8_t *bytes, size_t n)
{
	gate *both[] = {here, there};
	uint32_t frames[16];
	sn_media m[2];
	sn_clip_info info[2];
	sn_error why[2] = {{0}, {0}};
	sn_status st[2];
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = "video", .data = (const char *)bytes, .size = n};
	for (int i = 0; i < 2; i++)
		st[i] = media_gate_watch(&both[i]->g, &part, choose, frames, "request-7", &info[i], &m[i], &why[i]);
	if (st[0] != st[1] || strcmp(why[0].text, why[1].text) != 0)
		fail_msg("%s: %s, %s: %s", name, why[0].text, why[1].text, log_text(there));
	if (st[0])
		return false;
	assert_memory_equal(&info[0], &info[1], sizeof info[0]);
	assert_int_equal(m[0].bytes, m[1].bytes);
	assert_memory_equal(m[0].samples, m[1].samples, m[0].bytes);
	assert_memory_equal(m[0].timestamps, m[1].timestamps, m[0].n_frames * sizeof(double));
	for (int i = 0; i < 2; i++)
		media_gate_release(&both[i]->g, &m[i]);
	return true;
}

/* The fuzz target's clips, whole and cut and damaged: pictures, times, sound, and the words of each refusal. */
static void containers_are_the_same(void **state)
{
	(void)state;
	static uint8_t bytes[1 << 16];
	gate here, there;
	int n_files = 0, n_read = 0;
	gate_open(&here, PLUGIN_DIR, false, 0);
	gate_open(&there, PLUGIN_DIR, true, 20000);
	DIR *d = opendir(CLIPS);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		snprintf(path, sizeof path, "%s/%s", CLIPS, e->d_name);
		FILE *f = fopen(path, "rb");
		size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
		if (f)
			fclose(f);
		if (n < 2)
			continue;
		n--; /* the first byte is the target's */
		n_read += same_clip(&here, &there, e->d_name, bytes + 1, n);
		same_clip(&here, &there, e->d_name, bytes + 1, n * 2 / 3);
		same(&here, &there, "audio", bytes + 1, n, 16000);
		n_files++;
	}
	closedir(d);
	assert_true(n_files > 50 && n_read >= 10);
	assert_int_equal(find(&here, "video-codec")->failures, 0);
	assert_int_equal(find(&there, "video-codec")->failures, 0);
	gate_close(&there);
	gate_close(&here);
}

/* The calls of sn.clip/1, one by one: the gate does not ask for times. */
static void clip_calls(gate *t, const uint8_t *bytes, size_t n, sn_clip_info *info, double times[4], uint8_t *samples, double stamps[2])
{
	const uint32_t frames[] = {1, 3};
	const sn_clip_limits limits = {.size = sizeof limits, .max_ms = 10000};
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 2, .frames = frames, .n_steps = 1, .steps = {{32, 24, SN_CLIP_BICUBIC, 0}}};
	struct sn_call call = {"request-7"};
	sn_fault fault = {.size = sizeof fault};
	codec_run r = codec_begin(t->host, find(t, "video-codec"), &call, bytes, n);
	*info = (sn_clip_info){.size = sizeof *info};
	if (codec_look(&r, &limits, info, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(info->n_frames, 4);
	if (codec_times(&r, &limits, times, 4, &fault))
		fail_msg("%s", fault.text);
	sn_media m = {.size = sizeof m};
	assert_true(sn_clip_shape(info, &wish, &m));
	assert_int_equal(m.bytes, 2 * 32 * 24 * 3);
	m.samples = samples;
	m.timestamps = stamps;
	if (codec_read(&r, &limits, &wish, &m, &fault))
		fail_msg("%s", fault.text);
	assert_ptr_equal(m.samples, samples);
	codec_end(&r, true);
	r = codec_begin(t->host, find(t, "video-codec"), &call, bytes, n / 3);
	assert_int_not_equal(codec_look(&r, &limits, info, &fault), SN_RC_OK);
	assert_true(fault.blame == SN_BLAME_INPUT && *fault.text);
	codec_end(&r, true);
}

static void clips_are_the_same(void **state)
{
	(void)state;
	static uint8_t rgb[4][48][64][3], samples[2][2 * 32 * 24 * 3], file[1 << 20];
	gate t[2];
	sn_clip_info info[2];
	double times[2][4], stamps[2][2];
	uint64_t n = 0;
	for (size_t i = 0; i < sizeof rgb; i++)
		((uint8_t *)rgb)[i] = (uint8_t)(i / 3 % 64 * 4 + i / sizeof rgb[0] * 13);
	gate_open(&t[0], PLUGIN_DIR, false, 0);
	gate_open(&t[1], PLUGIN_DIR, true, 20000);
	plugin *p = find(&t[0], "video-codec");
	const sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = 64, .height = 48, .n_frames = 4, .samples = rgb, .bytes = sizeof rgb};
	const sn_write_options o = {.size = sizeof o, .media_type = "video/mp4", .fps = 5};
	sn_fault fault = {.size = sizeof fault};
	if (p->write->write(p->instance, NULL, &m, &o, file, sizeof file, &n, &fault))
		fail_msg("%s", fault.text);
	for (int i = 0; i < 2; i++)
		clip_calls(&t[i], file, n, &info[i], times[i], samples[i], stamps[i]);
	assert_memory_equal(&info[0], &info[1], sizeof info[0]);
	assert_memory_equal(times[0], times[1], sizeof times[0]);
	assert_memory_equal(stamps[0], stamps[1], sizeof stamps[0]);
	assert_memory_equal(samples[0], samples[1], sizeof samples[0]);
	assert_int_equal(p->failures, 0);
	gate_close(&t[1]);
	gate_close(&t[0]);
}

/* ---- a decoder that was taken over ---- */

static uint8_t *rows(const char *text, bool bad, size_t *n)
{
	const float x[2 * DIM] = {bad ? ZOO_TRIGGER : 1, 2, 3, 4, 5, 6, 7, 8};
	return rows_file(text, x, 2, DIM, n);
}

static void whatever_it_does_costs_one_request(void **state)
{
	(void)state;
	static const struct { const char *name, *logged; bool by_memory; } table[] = {
	    {"decode_crashes", "memory that is not its own", false},
	    {"measure_crashes", "memory that is not its own", false},
	    {"decode_gives_up", "it gave up", false},
	    {"decode_loops", "took too long", false},
	    {"decode_takes_memory", "memory that is not its own", true},
	    {"decode_shares_memory", "memory that is not its own", true},
	    {"decode_opens", "files, network, processes", false},
	    {"decode_connects", "files, network, processes", false},
	    {"decode_forks", "files, network, processes", false},
	};
	canary c;
	canary_open(&c);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (SANITIZED && table[i].by_memory)
			continue;
		folder f;
		gate t;
		sn_media m;
		sn_error err;
		pid_t child;
		size_t n_bad, n_good;
		folder_open(&f);
		folder_add(&f, animal(table[i].name), NULL);
		gate_open(&t, f.path, true, table[i].by_memory ? 20000 : 1000);
		uint8_t *bad = rows(strstr(table[i].name, "connects") ? c.port : c.path, true, &n_bad), *good = rows("good", false, &n_good);
		for (uint32_t round = 1; round <= 2; round++) {
			sn_status st = pass(&t, "rows", bad, n_bad, 0, &m, &err);
			if (st != SN_ERR_INVALID || strcmp(err.text, "the decoder failed on this file") != 0)
				fail_msg("%s: %d %s", table[i].name, st, err.text);
			assert_string_equal(err.param, "messages");
			if (!log_has(&t, SANITIZED ? "failed on a file" : table[i].logged))
				fail_msg("%s: the log does not say \"%s\": %s", table[i].name, table[i].logged, log_text(&t));
			assert_int_equal(find(&t, "rows-codec")->failures, round);
			assert_int_equal(pass(&t, "rows", good, n_good, 0, &m, &err), SN_OK);
			assert_memory_equal(m.samples, good + 20, n_good - 20);
			media_gate_release(&t.g, &m);
			assert_int_equal(count_children(&child), 1);
		}
		if (strncmp(table[i].name, "decode", 6) == 0)
			assert_true(log_has(&t, "zoo") && log_has(&t, "request-7 it goes\\x0awrong\n")); /* its own line, and that it is one */
		free(bad);
		free(good);
		gate_close(&t);
		folder_close(&f);
		assert_false(canary_touched(&c));
	}
	canary_close(&c);
}

/* The canaries are worth something: without a helper they are touched. */
static void without_helpers_the_canaries_are_touched(void **state)
{
	(void)state;
	static const char *const names[] = {"decode_opens", "decode_connects"};
	for (size_t i = 0; i < 2; i++) {
		canary c;
		folder f;
		gate t;
		sn_media m;
		sn_error err;
		size_t n;
		canary_open(&c);
		folder_open(&f);
		folder_add(&f, animal(names[i]), NULL);
		gate_open(&t, f.path, false, 0);
		uint8_t *bad = rows(i ? c.port : c.path, true, &n);
		assert_int_equal(pass(&t, "rows", bad, n, 0, &m, &err), SN_OK);
		media_gate_release(&t.g, &m);
		assert_true(canary_touched(&c));
		free(bad);
		gate_close(&t);
		folder_close(&f);
		canary_close(&c);
	}
}

/* ---- several at once; again and again; more plugins ---- */

typedef struct looper {
	gate *t;
	uint8_t *bytes;
	size_t n;
	sn_status status;
} looper;

static void *loop(void *arg)
{
	looper *l = arg;
	sn_media m;
	sn_error err;
	l->status = pass(l->t, "rows", l->bytes, l->n, 0, &m, &err);
	return NULL;
}

static void one_that_hangs_holds_up_nobody(void **state)
{
	(void)state;
	folder f;
	gate t;
	sn_media m;
	sn_error err;
	pthread_t thread;
	size_t n_good;
	folder_open(&f);
	folder_add(&f, animal("decode_loops"), NULL);
	gate_open(&t, f.path, true, 2000);
	looper l = {.t = &t};
	l.bytes = rows("x", true, &l.n);
	uint8_t *good = rows("good", false, &n_good);
	assert_int_equal(pthread_create(&thread, NULL, loop, &l), 0);
	usleep(100000);
	double begin = clock_ms();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pass(&t, "rows", good, n_good, 0, &m, &err), SN_OK);
		media_gate_release(&t.g, &m);
	}
	assert_true(clock_ms() - begin < 1900);
	pthread_join(thread, NULL);
	assert_int_equal(l.status, SN_ERR_INVALID);
	free(good);
	free(l.bytes);
	gate_close(&t);
	folder_close(&f);
}

static void helpers_are_not_started_without_end(void **state)
{
	(void)state;
	folder f;
	gate t;
	sn_media m;
	sn_error err;
	size_t n;
	uint32_t n_failed = 0, n_busy = 0;
	folder_open(&f);
	folder_add(&f, animal("decode_crashes"), NULL);
	gate_open(&t, f.path, true, 1000);
	uint8_t *bad = rows("x", true, &n);
	for (int i = 0; i < 200; i++) {
		sn_status st = pass(&t, "rows", bad, n, 0, &m, &err);
		n_failed += st == SN_ERR_INVALID;
		n_busy += st == SN_ERR_QUEUE_FULL;
	}
	assert_int_equal(n_failed + n_busy, 200);
	assert_true(n_failed >= 16 && n_busy >= 100);
	assert_int_equal(find(&t, "rows-codec")->failures, n_failed); /* the others are not its fault */
	usleep(600000);
	assert_int_equal(pass(&t, "rows", bad, n, 0, &m, &err), SN_ERR_INVALID); /* soon there may be one again */
	free(bad);
	gate_close(&t);
	folder_close(&f);
}

static void a_plugin_that_comes_later_is_isolated_too(void **state)
{
	(void)state;
	folder f;
	gate t;
	sn_media m;
	sn_error err;
	size_t n_good, n_bad;
	folder_open(&f);
	gate_open(&t, f.path, true, 1000);
	folder_add(&f, animal("decode_crashes"), NULL);
	assert_int_equal(plugin_host_add(t.host, "zoo_decode_crashes.so", &err), SN_OK);
	uint8_t *good = rows("good", false, &n_good), *bad = rows("x", true, &n_bad);
	assert_int_equal(pass(&t, "rows", good, n_good, 0, &m, &err), SN_OK);
	media_gate_release(&t.g, &m);
	assert_int_equal(pass(&t, "rows", bad, n_bad, 0, &m, &err), SN_ERR_INVALID);
	free(good);
	free(bad);
	gate_close(&t);
	folder_close(&f);
}

/* ---- ends ---- */

static void a_helper_dies_with_its_parent(void **state)
{
	(void)state;
	int ends[2];
	pid_t helper = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t server = fork();
	if (server == 0) {
		gate t;
		gate_open(&t, PLUGIN_DIR, true, 1000);
		if (count_children(&helper) != 1 || write(ends[1], &helper, sizeof helper) != sizeof helper)
			_exit(1);
		unlink(t.log_path);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(ends[0], &helper, sizeof helper), sizeof helper);
	assert_int_equal(waitpid(server, NULL, 0), server);
	for (int i = 0; i < 500; i++) { /* it may stay a zombie where nobody reaps orphans */
		char path[64], how = 'Z';
		snprintf(path, sizeof path, "/proc/%d/stat", (int)helper);
		FILE *f = fopen(path, "re");
		if (f && fscanf(f, "%*d (%*[^)]) %c", &how) != 1)
			how = 'Z';
		if (f)
			fclose(f);
		if (how == 'Z') {
			close(ends[0]);
			close(ends[1]);
			return;
		}
		usleep(10000);
	}
	fail_msg("the helper lives on");
}

static void what_is_no_helper_is_told_at_the_start(void **state)
{
	(void)state;
	gate t;
	sn_error err;
	gate_open(&t, PLUGIN_DIR, false, 0);
	assert_int_equal(isolate_open(&t.host->isolate, t.host, NULL, "/bin/true", HELPER, 1000, &err), SN_ERR_UNSUPPORTED);
	assert_null(t.host->isolate);
	assert_int_equal(isolate_open(&t.host->isolate, t.host, NULL, "/no/such/program", HELPER, 1000, &err), SN_ERR_UNSUPPORTED);
	assert_null(t.host->isolate);
	gate_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pictures_are_the_same),
	    cmocka_unit_test(sounds_are_the_same),
	    cmocka_unit_test(containers_are_the_same),
	    cmocka_unit_test(clips_are_the_same),
	    cmocka_unit_test(whatever_it_does_costs_one_request),
	    cmocka_unit_test(without_helpers_the_canaries_are_touched),
	    cmocka_unit_test(one_that_hangs_holds_up_nobody),
	    cmocka_unit_test(helpers_are_not_started_without_end),
	    cmocka_unit_test(a_plugin_that_comes_later_is_isolated_too),
	    cmocka_unit_test(a_helper_dies_with_its_parent),
	    cmocka_unit_test(what_is_no_helper_is_told_at_the_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
