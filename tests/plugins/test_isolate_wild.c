/* test_isolate_wild.c - helpers whose codec was taken over by its file (zoo/wild.c), at each call of each kind: what it does, what it forges and
 * how it ends costs that one request; the next one, and all others at the same moment, are served. Goals 16 and 20 to 23. */
#include "isolate_case.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define FAILED "the decoder failed on this file"

static uint32_t FRAMES[] = {0, 2, 5, 7};

static sn_status choose(void *ctx, const sn_clip_info *info, sn_clip_wish *wish, sn_error *err)
{
	(void)ctx, (void)info, (void)err;
	wish->n_frames = sizeof FRAMES / sizeof *FRAMES;
	wish->frames = FRAMES;
	return SN_OK;
}

static void file_of(uint8_t bytes[256], const char *deed)
{
	memset(bytes, 0, 256);
	snprintf((char *)bytes, 256, "SNWILD1 %s\n", deed);
}

/* A wild file through the gate; what it makes is let go again. */
static sn_status wild(gate *t, const char *kind, const char *deed, sn_error *err)
{
	uint8_t bytes[256];
	sn_media m;
	sn_clip_info info;
	sn_status st;
	file_of(bytes, deed);
	if (strcmp(kind, "video") == 0) {
		const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = kind, .data = (const char *)bytes, .size = sizeof bytes};
		*err = (sn_error){0};
		st = media_gate_watch(&t->g, &part, choose, NULL, "request-7", &info, &m, err);
	} else {
		st = pass(t, kind, bytes, sizeof bytes, 0, &m, err);
	}
	if (!st)
		media_gate_release(&t->g, &m);
	return st;
}

static uint64_t n_failed(gate *t)
{
	return metric_get(&t->metrics, M_HELPERS_FAILED);
}

static folder den;

static int den_open(void **state)
{
	(void)state;
	folder_open(&den);
	folder_add(&den, animal("wild"), NULL);
	return 0;
}

static int den_close(void **state)
{
	(void)state;
	folder_close(&den);
	return 0;
}

/* ---- at each call, each end ---- */

static const struct { const char *kind, *when; } CALLS[] = {
    {"image", "measure"}, {"image", "decode"}, {"audio", "measure"}, {"audio", "decode"}, {"video", "look"}, {"video", "read"}};
enum { N_CALLS = sizeof CALLS / sizeof *CALLS };

static void refused_then_served(gate *t, const char *kind, const char *deed, const char *logged)
{
	static const char *const kinds[] = {"image", "audio", "video"};
	sn_error err;
	pid_t child;
	int files = count_files();
	uint64_t failed = n_failed(t);
	sn_status st = wild(t, kind, deed, &err);
	if (st != SN_ERR_INVALID || strcmp(err.text, FAILED) != 0 || strcmp(err.param, "messages") != 0)
		fail_msg("%s, %s: %d %s", kind, deed, st, err.text);
	if (!SANITIZED && !log_has(t, logged))
		fail_msg("%s, %s: the log does not say \"%s\": %s", kind, deed, logged, log_text(t));
	assert_int_equal(n_failed(t), failed + 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(wild(t, kinds[i], "never", &err), SN_OK);
	assert_int_equal(count_children(&child), 1);
	assert_true(count_files() <= files);
}

static void each_call_may_be_its_last(void **state)
{
	(void)state;
	static const struct { const char *what, *logged; } ends[] = {
	    {"crash", "memory that is not its own"}, {"abort", "it gave up"}, {"leave", "it ended"}, {"hang-up", "failed on a file"}};
	gate t;
	gate_open(&t, den.path, true, 10000);
	for (size_t i = 0; i < N_CALLS; i++) {
		const size_t k = i % 4; /* all calls, all ends */
		char deed[64];
		snprintf(deed, sizeof deed, "%s %s", CALLS[i].when, ends[k].what);
		refused_then_served(&t, CALLS[i].kind, deed, ends[k].logged);
	}
	for (size_t k = 0; k < 4; k++) {
		char deed[64];
		snprintf(deed, sizeof deed, "read %s", ends[k].what);
		refused_then_served(&t, "video", deed, ends[k].logged);
	}
	gate_close(&t);
}

static void each_call_has_its_time(void **state)
{
	(void)state;
	static const char *const deeds[][2] = {{"image", "decode spin"}, {"audio", "measure sleep 100000"}, {"video", "look spin"}, {"video", "read sleep 100000"}};
	gate t;
	gate_open(&t, den.path, true, 300);
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
		double begin = clock_ms();
		refused_then_served(&t, deeds[i][0], deeds[i][1], "it took too long");
		assert_true(clock_ms() - begin < 5000);
	}
	gate_close(&t);
}

static void nothing_else_is_reached(void **state)
{
	(void)state;
	gate t;
	canary c;
	char deed[128];
	canary_open(&c);
	gate_open(&t, den.path, true, 10000);
	for (size_t i = 0; i < N_CALLS; i++) {
		bool opens = i % 2;
		snprintf(deed, sizeof deed, "%s %s %s", CALLS[i].when, opens ? "open" : "connect", opens ? c.path : c.port);
		refused_then_served(&t, CALLS[i].kind, deed, "files, network, processes");
	}
	sn_error err;
	snprintf(deed, sizeof deed, "read peek %s", c.path);
	assert_int_equal(wild(&t, "video", deed, &err), SN_OK); /* refused, and not the end of it: libraries look for tables */
	assert_false(canary_touched(&c));
	gate_close(&t);
	gate_open(&t, den.path, false, 0); /* the canaries are worth something */
	snprintf(deed, sizeof deed, "read open %s", c.path);
	assert_int_equal(wild(&t, "video", deed, &err), SN_OK);
	assert_true(canary_touched(&c));
	gate_close(&t);
	canary_close(&c);
}

/* ---- what it says ---- */

static void forgeries_are_not_believed(void **state)
{
	(void)state;
	static const struct { const char *kind, *deed; sn_status status; } forged[] = {
	    {"image", "measure forge-kind", SN_ERR_INVALID}, {"image", "measure forge-ready", SN_ERR_INVALID}, {"image", "decode forge-serial", SN_ERR_INVALID},
	    {"image", "measure forge-busy", SN_ERR_INVALID}, {"image", "decode forge-ending", SN_ERR_INVALID}, {"audio", "decode forge-short", SN_ERR_INVALID},
	    {"audio", "measure forge-long", SN_ERR_INVALID}, {"audio", "measure forge-empty", SN_ERR_INVALID}, {"audio", "decode forge-fault", SN_ERR_INVALID},
	    {"image", "measure forge-shape", SN_ERR_PLUGIN}, {"audio", "measure forge-junk", SN_ERR_PLUGIN}, {"image", "decode forge-junk", SN_ERR_PLUGIN},
	    {"image", "decode forge-code", SN_ERR_PLUGIN}, {"video", "look forge-clip", SN_ERR_PLUGIN}, {"video", "look forge-junk", SN_ERR_PLUGIN},
	    {"video", "read forge-junk", SN_ERR_PLUGIN}, {"video", "read forge-fault", SN_ERR_INVALID}, {"video", "read forge-busy", SN_ERR_INVALID},
	    {"video", "look forge-kind", SN_ERR_INVALID}, {"image", "measure forge-pointers", SN_OK}, {"video", "look forge-files", SN_ERR_PLUGIN},
	};
	for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
		gate t;
		sn_error err;
		pid_t before = 0, after = 0;
		gate_open(&t, den.path, true, 10000);
		int files = count_files();
		count_children(&before);
		sn_status st = wild(&t, forged[i].kind, forged[i].deed, &err);
		if (st != forged[i].status)
			fail_msg("%s, %s: %d %s", forged[i].kind, forged[i].deed, st, err.text);
		for (const char *p = err.text; *p; p++)
			assert_true(*p >= 0x20 && *p < 0x7F);
		assert_true(count_files() <= files);
		for (int k = 0; k < 3; k++)
			assert_int_equal(wild(&t, forged[i].kind, "never", &err), SN_OK);
		count_children(&after);
		assert_true(after != before); /* who lied serves nobody else */
		assert_int_equal(n_failed(&t), 1);
		gate_close(&t);
	}
}

static void lines_without_end_are_cut(void **state)
{
	(void)state;
	gate t;
	sn_error err;
	gate_open(&t, den.path, true, 10000);
	assert_int_equal(wild(&t, "image", "measure forge-lines", &err), SN_OK);
	size_t lines = 0;
	for (const char *p = log_text(&t); *p; p++)
		lines += *p == '\n';
	assert_true(lines > 1 && lines <= 64);
	gate_close(&t);
}

/* ---- ends from outside ---- */

typedef struct worker {
	gate *t;
	const char *kind, *deed;
	sn_status status;
	sn_error err;
	double ms;
} worker;

static void *work(void *arg)
{
	worker *w = arg;
	double begin = clock_ms();
	w->status = wild(w->t, w->kind, w->deed, &w->err);
	w->ms = clock_ms() - begin;
	return NULL;
}

static void one_that_is_killed_at_work(void **state)
{
	(void)state;
	gate t;
	sn_error err;
	pid_t helper = 0;
	pthread_t thread;
	gate_open(&t, den.path, true, 20000);
	count_children(&helper);
	worker w = {.t = &t, .kind = "video", .deed = "read sleep 20000"};
	assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
	usleep(200000);
	assert_int_equal(wild(&t, "image", "never", &err), SN_OK); /* beside it, by another */
	assert_int_equal(kill(helper, SIGKILL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.status, SN_ERR_INVALID);
	assert_string_equal(w.err.text, FAILED);
	assert_true(w.ms < 15000 && log_has(&t, "it was killed"));
	assert_int_equal(wild(&t, "video", "never", &err), SN_OK);
	gate_close(&t);
}

static void one_that_is_killed_at_rest_costs_nobody_anything(void **state)
{
	(void)state;
	gate t;
	sn_error err;
	pid_t helper = 0;
	gate_open(&t, den.path, true, 20000);
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(count_children(&helper), 1);
		assert_int_equal(kill(helper, SIGKILL), 0);
		usleep(20000);
		assert_int_equal(wild(&t, "video", "never", &err), SN_OK);
		assert_int_equal(n_failed(&t), i);
	}
	gate_close(&t);
}

static void the_end_does_not_wait_for_decoders(void **state)
{
	(void)state;
	gate t;
	sn_error err;
	pthread_t threads[2];
	worker w[2] = {{.t = &t, .kind = "video", .deed = "look sleep 20000"}, {.t = &t, .kind = "audio", .deed = "decode spin"}};
	gate_open(&t, den.path, true, 20000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
	usleep(300000);
	isolate_end(t.host->isolate);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_true(w[i].ms < 10000);
		assert_int_equal(w[i].status, SN_ERR_DRAINING);
	}
	assert_int_equal(wild(&t, "image", "never", &err), SN_ERR_DRAINING);
	assert_int_equal(n_failed(&t), 0);
	gate_close(&t);
}

/* ---- rights ---- */

static bool status_has(pid_t pid, const char *line)
{
	char path[64], text[8192] = "\n";
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text + 1, 1, sizeof text - 2, f) : 0;
	if (f)
		fclose(f);
	text[n + 1] = 0;
	return strstr(text, line);
}

static void it_has_no_rights(void **state)
{
	(void)state;
	gate t;
	pid_t helper = 0;
	gate_open(&t, den.path, true, 10000);
	assert_int_equal(count_children(&helper), 1);
	assert_true(status_has(helper, "\nSeccomp:\t2\n") && status_has(helper, "\nNoNewPrivs:\t1\n"));
	assert_true(status_has(helper, "\nCapEff:\t0000000000000000\n") && status_has(helper, "\nCapPrm:\t0000000000000000\n"));
	if (geteuid() == 0) {
		assert_true(status_has(helper, "\nUid:\t65534\t65534\t65534\t65534\n") && status_has(helper, "\nGid:\t65534\t65534\t65534\t65534\n"));
		assert_true(status_has(helper, "\nGroups:\t \n") || status_has(helper, "\nGroups:\t\n"));
	}
	refused_then_served(&t, "video", "look root", "files, network, processes");
	gate_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_call_may_be_its_last),
	    cmocka_unit_test(each_call_has_its_time),
	    cmocka_unit_test(nothing_else_is_reached),
	    cmocka_unit_test(forgeries_are_not_believed),
	    cmocka_unit_test(lines_without_end_are_cut),
	    cmocka_unit_test(one_that_is_killed_at_work),
	    cmocka_unit_test(one_that_is_killed_at_rest_costs_nobody_anything),
	    cmocka_unit_test(the_end_does_not_wait_for_decoders),
	    cmocka_unit_test(it_has_no_rights),
	};
	return cmocka_run_group_tests(tests, den_open, den_close);
}
