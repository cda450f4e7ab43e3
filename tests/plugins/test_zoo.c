/* test_zoo.c - the zoo of bad plugins against the registry and a running engine: checks 38, 39, 40 and 42 of the
 * reliability goals (41, which ends a process, is in tests/api/test_plugins.py). */
#include "plugin_engine.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "rows_file.h"
#include "zoo/zoo.h"

static sn_log *quiet;

static const char *animal(const char *name)
{
	static _Thread_local char path[512];
	snprintf(path, sizeof path, ZOO_DIR "/zoo_%s.so", name);
	return path;
}

/* ---- a host without an engine ---- */

typedef struct bare {
	pool *threads;
	plugin_host *host;
} bare;

static sn_status bare_open(bare *b, const char *dir, sn_error *err)
{
	b->host = NULL;
	assert_int_equal(pool_open(&b->threads, 1, err), SN_OK);
	return plugin_host_open(&b->host, dir, 1 << 20, b->threads, quiet, err);
}

static void bare_close(bare *b)
{
	plugin_host_close(&b->host);
	pool_close(&b->threads);
}

/* The one entry of a folder with the one file. */
static void expect_refused(const folder *f, const char *why)
{
	bare b;
	sn_error err;
	if (bare_open(&b, f->path, &err))
		fail_msg("%s", err.text);
	assert_int_equal(plugin_count(b.host), 1);
	assert_null(b.host->plugins[0]->desc);
	if (!strstr(b.host->plugins[0]->reason, why))
		fail_msg("refused with \"%s\", not \"%s\"", b.host->plugins[0]->reason, why);
	bare_close(&b);
}

static void expect_animal_refused(const char *name, const char *why)
{
	folder f;
	folder_open(&f);
	folder_add(&f, animal(name), NULL);
	expect_refused(&f, why);
	folder_close(&f);
}

/* ---- 38 ---- */

static void check_38_every_field_of_the_stamp_is_compared(void **state)
{
	(void)state;
	expect_animal_refused("stamp_magic", "SNPLUG1");
	static const char *const sizes[] = {"stamp_size", "stamp_plugin", "stamp_fault", "stamp_host", "stamp_pointer"};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		expect_animal_refused(sizes[i], "struct sizes");
	expect_animal_refused("stamp_major", "another major version");
	expect_animal_refused("stamp_minor", "newer minor version");
	expect_animal_refused("stamp_endian", "big-endian");
}

static void check_38_what_is_no_plugin_is_refused_with_its_reason(void **state)
{
	(void)state;
	static const struct { const char *name, *why; } table[] = {
	    {"no_entry", "does not export"},      {"null_entry", "returns nothing"},     {"empty_list", "lists no plugins"},
	    {"no_list", "lists no plugins"},      {"null_descriptor", "lacks required"}, {"no_init", "lacks required"},
	    {"bad_id", "id is not made of"},      {"bad_kind", "kind's name"},           {"small_vtable", "sn.decode/1 lacks"},
	    {"no_decode", "sn.decode/1 lacks"},   {"plan_alone", "come together"},       {"huge_instance", "16 MiB"},
	    {"same_id", "one id"},                {"unresolved", "symbol"},              {"init_fails", "init fails"},
	    {"load_fails", "load fails"},         {"small_transcribe", "sn.transcribe/1 lacks"}, {"no_cut", "sn.transcribe/1 lacks"},
	    {"transcribes_alone", "comes with sn.plan/1"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect_animal_refused(table[i].name, table[i].why);
}

/* A copy of a good plugin with some bytes changed. */
static void folder_add_patched(const folder *f, size_t at, const void *bytes, size_t n, long cut)
{
	char path[512];
	folder_add(f, animal("good"), "patched.so");
	snprintf(path, sizeof path, "%s/patched.so", f->path);
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	fseek(file, (long)at, SEEK_SET);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	fclose(file);
	if (cut)
		assert_int_equal(truncate(path, cut), 0);
}

static void check_38_files_that_are_not_for_this_machine(void **state)
{
	(void)state;
	static const struct { size_t at; const char *bytes; size_t n; long cut; const char *why; } table[] = {
	    {0, "#!/bin/sh\n", 10, 0, "not an ELF file"},
	    {0, "\x7f", 1, 1, "not an ELF file"},
	    {18, "\xF3\x00", 2, 0, "another machine"},  /* RISC-V */
	    {18, "\x28\x00", 2, 0, "another machine"},  /* 32-bit ARM */
	    {4, "\x01", 1, 0, "another machine"},       /* 32 bits */
	    {5, "\x02", 1, 0, "another machine"},       /* big-endian */
	    {16, "\x01\x00", 2, 0, "the loader refuses"}, /* an object file */
	    {0, "\x7f", 1, 64, "the loader refuses"},   /* only the header */
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		folder f;
		folder_open(&f);
		folder_add_patched(&f, table[i].at, table[i].bytes, table[i].n, table[i].cut);
		expect_refused(&f, table[i].why);
		folder_close(&f);
	}
}

static void check_38_the_others_are_served_all_the_same(void **state)
{
	(void)state;
	folder f;
	folder_open(&f);
	folder_add(&f, animal("stamp_major"), NULL);
	folder_add(&f, animal("no_entry"), NULL);
	folder_add(&f, animal("good"), NULL);
	sn_engine *e = mini_open(f.path, quiet, (sn_engine_config){0});
	assert_string_equal(mini_plugin(e, "rows-codec").state, "ready");
	assert_string_equal(mini_plugin(e, "rows-encoder").state, "ready");
	assert_int_equal(sn_engine_plugins(e, NULL, 0), 4);
	sn_engine_close(&e);
	folder_close(&f);
}

static void check_38_an_encoder_that_does_not_fit_costs_its_modality_only(void **state)
{
	(void)state;
	static const char *const names[] = {"no_marker", "unknown_token", "wrong_width"};
	for (size_t i = 0; i < 3; i++) {
		folder f;
		reply r;
		folder_open(&f);
		folder_add(&f, animal(names[i]), NULL);
		sn_engine *e = mini_open(f.path, quiet, (sn_engine_config){0});
		assert_string_equal(mini_plugin(e, "rows-encoder").state, "loaded");
		mini_ask(e, &(question){.kind = "rows", .data = "SNROWS1\n", .size = 8, .text = "?"}, &r);
		assert_int_equal(r.status, SN_ERR_UNSUPPORTED);
		mini_ask(e, &(question){.text = "?"}, &r);
		assert_int_equal(r.status, SN_OK);
		sn_engine_close(&e);
		folder_close(&f);
	}
}

/* ---- 36 ---- */

/* What an encoder asks the host for is part of --memory-limit: one that does not fit is left out, at the start and when it is added. */
static void check_36_what_plugins_hold_is_counted(void **state)
{
	(void)state;
	const size_t room = 16u << 20; /* for the pool's tables, the model, its buffers, and a modest plugin; the kit's pool has 64 MiB */
	static const struct { const char *name; size_t more; bool fits; } cases[] = {
	    {"good", 0, true}, {"holds_much", 0, false}, {"holds_much", ZOO_MUCH, true}};
	for (size_t i = 0; i < 6; i++) {
		bool late = i >= 3;
		size_t c = i % 3;
		reply r;
		sn_error err;
		folder f;
		folder_open(&f);
		if (!late)
			folder_add(&f, animal(cases[c].name), "it.so");
		sn_engine *e = mini_open(f.path, quiet, (sn_engine_config){.memory_limit = (64u << 20) + room + cases[c].more});
		if (late) {
			folder_add(&f, animal(cases[c].name), "it.so");
			assert_int_equal(sn_engine_add_plugin(e, "it.so", &err), SN_OK);
		}
		assert_string_equal(mini_plugin(e, "rows-encoder").state, cases[c].fits ? "ready" : "loaded");
		mini_ask(e, &(question){.text = "?"}, &r);
		assert_int_equal(r.status, SN_OK);
		sn_engine_close(&e);
		folder_close(&f);
	}
}

/* ---- 39 ---- */

static void check_39_only_a_trusted_folder(void **state)
{
	(void)state;
	bare b;
	sn_error err;
	folder f;
	char link[128];
	folder_open(&f);
	folder_add(&f, animal("good"), NULL);
	assert_int_equal(bare_open(&b, "relative/folder", &err), SN_ERR_INVALID);
	bare_close(&b);
	assert_int_equal(bare_open(&b, "", &err), SN_ERR_INVALID);
	bare_close(&b);
	snprintf(link, sizeof link, "%s-link", f.path);
	assert_int_equal(symlink(f.path, link), 0);
	assert_int_equal(bare_open(&b, link, &err), SN_ERR_INVALID);
	bare_close(&b);
	unlink(link);
	chmod(f.path, 0777);
	assert_int_equal(bare_open(&b, f.path, &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "world-writable"));
	bare_close(&b);
	chmod(f.path, 0755);
	assert_int_equal(bare_open(&b, f.path, &err), SN_OK);
	assert_non_null(b.host->plugins[0]->desc);
	bare_close(&b);
	if (geteuid() == 0) { /* another user's, who may change it at any time */
		assert_int_equal(chown(f.path, 65534, 65534), 0);
		assert_int_equal(bare_open(&b, f.path, &err), SN_ERR_INVALID);
		bare_close(&b);
	}
	folder_close(&f);
}

static void check_39_only_trusted_files(void **state)
{
	(void)state;
	folder f, other;
	char path[256], target[256];
	folder_open(&f);
	folder_open(&other);
	snprintf(path, sizeof path, "%s/zoo_good.so", f.path);
	snprintf(target, sizeof target, "%s/zoo_good.so", other.path);
	folder_add(&f, animal("good"), NULL);
	chmod(path, 0666);
	expect_refused(&f, "others may write it");
	unlink(path);
	folder_add(&other, animal("good"), NULL);
	assert_int_equal(symlink(target, path), 0);
	expect_refused(&f, "not a regular file");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused(&f, "not a regular file");
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	expect_refused(&f, "not a regular file");
	rmdir(path);
	folder_close(&other);
	folder_close(&f);
}

static void check_39_names_stay_in_the_folder(void **state)
{
	(void)state;
	static const char *const names[] = {"", ".so", "x", "x.txt", "../zoo_good.so", "/zoo_good.so", "a/b.so", "./zoo_good.so", ".hidden.so"};
	folder f;
	bare b;
	sn_error err;
	folder_open(&f);
	assert_int_equal(bare_open(&b, f.path, &err), SN_OK);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(plugin_host_add(b.host, names[i], &err), SN_ERR_INVALID);
	char absolute[512];
	snprintf(absolute, sizeof absolute, "%s", animal("good"));
	assert_int_equal(plugin_host_add(b.host, absolute, &err), SN_ERR_INVALID);
	assert_int_equal(plugin_host_add(b.host, "not_there.so", &err), SN_ERR_INVALID);
	assert_int_equal(plugin_count(b.host), 0); /* refusals while serving leave no trace */
	bare_close(&b);
	folder_close(&f);
}

static void check_39_symbols_stay_local(void **state)
{
	(void)state;
	folder f;
	bare b;
	sn_error err;
	folder_open(&f);
	folder_add(&f, animal("good"), NULL);
	assert_int_equal(bare_open(&b, f.path, &err), SN_OK);
	assert_non_null(b.host->plugins[0]->desc);
	assert_null(dlsym(RTLD_DEFAULT, "sn_plugin_entry_1"));
	bare_close(&b);
	folder_close(&f);
	expect_animal_refused("unresolved", "the loader refuses"); /* RTLD_NOW: now, not at the first call */
}

/* ---- 40 ---- */

typedef struct stage {
	folder plugins;
	sn_engine *engine;
	uint8_t *good, *bad; /* files of rows */
	size_t n_good, n_bad;
} stage;

static void stage_open(stage *s, const char *name)
{
	float rows[2 * MINI_DIM];
	for (int i = 0; i < 2 * MINI_DIM; i++)
		rows[i] = 0.01f * (float)(i % 7 - 3);
	folder_open(&s->plugins);
	folder_add(&s->plugins, animal(name), NULL);
	s->good = rows_file("two rows: .", rows, 2, MINI_DIM, &s->n_good);
	rows[0] = ZOO_TRIGGER;
	s->bad = rows_file("two rows: .", rows, 2, MINI_DIM, &s->n_bad);
	s->engine = mini_open(s->plugins.path, quiet, (sn_engine_config){.media_cache_memory = 1}); /* nothing is remembered */
}

static void stage_close(stage *s)
{
	sn_engine_close(&s->engine);
	folder_close(&s->plugins);
	free(s->good);
	free(s->bad);
}

static void ask_rows(stage *s, bool bad, reply *out)
{
	mini_ask(s->engine, &(question){.kind = "rows", .data = bad ? s->bad : s->good, .size = bad ? s->n_bad : s->n_good, .text = "?", .max_tokens = 4}, out);
}

static void check_40_a_bad_result_fails_one_request(void **state)
{
	(void)state;
	static const struct { const char *name; bool codec; } table[] = {
	    {"measure_fails", true},   {"no_samples", true},      {"wrong_kind", true},   {"decode_fails", true},        {"decode_odd_code", true},
	    {"decode_reshapes", true}, {"plan_fails", false},     {"no_rows", false},     {"many_holes", false},         {"huge_text", false},
	    {"layout_fails", false},   {"hole_outside", false},   {"begin_fails", false}, {"holes_do_not_add_up", false}, {"step_fails", false},
	    {"step_odd_code", false},  {"no_progress", false},    {"never_ends", false},  {"short_rows", false},         {"nan_rows", false},
	    {"inf_rows", false},
	};
	stage s;
	static reply text, good, r;
	stage_open(&s, "good");
	mini_ask(s.engine, &(question){.text = "hello", .max_tokens = 8}, &text);
	ask_rows(&s, false, &good);
	assert_int_equal(good.status, SN_OK);
	stage_close(&s);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const char *id = table[i].codec ? "rows-codec" : "rows-encoder";
		stage_open(&s, table[i].name);
		for (int round = 0; round < DEGRADED_AFTER; round++) {
			assert_string_equal(mini_plugin(s.engine, id).state, "ready");
			ask_rows(&s, true, &r);
			if (r.status != SN_ERR_PLUGIN)
				fail_msg("%s: status %d (%s)", table[i].name, r.status, r.error.text);
			for (const char *c = r.error.text; *c; c++)
				assert_true(*c >= 0x20 && *c < 0x7F); /* also of what the plugin said */
			mini_ask(s.engine, &(question){.text = "hello", .max_tokens = 8}, &r);
			assert_memory_equal(r.logprobs, text.logprobs, sizeof r.logprobs);
		}
		sn_plugin_info p = mini_plugin(s.engine, id);
		assert_string_equal(p.state, "degraded");
		assert_int_equal(p.failures, DEGRADED_AFTER);
		ask_rows(&s, false, &r); /* still tried, and well again */
		assert_int_equal(r.status, SN_OK);
		assert_memory_equal(r.logprobs, good.logprobs, sizeof r.logprobs);
		assert_string_equal(mini_plugin(s.engine, id).state, "ready");
		for (int k = 0; k < 1000 && metric_get(&s.engine->metrics, M_PAGES_FREE) != metric_get(&s.engine->metrics, M_PAGES_TOTAL); k++)
			usleep(1000); /* told at the end of the step */
		assert_int_equal(metric_get(&s.engine->metrics, M_PAGES_FREE), metric_get(&s.engine->metrics, M_PAGES_TOTAL));
		stage_close(&s);
	}
}

static void check_40_bad_input_degrades_nobody(void **state)
{
	(void)state;
	stage s;
	reply r;
	stage_open(&s, "good");
	for (int i = 0; i < 2 * DEGRADED_AFTER; i++) {
		mini_ask(s.engine, &(question){.kind = "rows", .data = s.good, .size = s.n_good - 1, .text = "?"}, &r);
		assert_int_equal(r.status, SN_ERR_INVALID);
	}
	assert_string_equal(mini_plugin(s.engine, "rows-codec").state, "ready");
	assert_int_equal(mini_plugin(s.engine, "rows-codec").failures, 0);
	stage_close(&s);
}

/* ---- 68 ---- */

/* The codec fills all but the last number: what it forgets is zero, and not what lay in memory. glibc fills what malloc gives. */
static void check_68_what_a_codec_forgets_to_fill_is_zero(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* has its own malloc */
#endif
	static const int fills[] = {0, 0xBE, 0x41};
	static reply r[3];
	for (size_t i = 0; i < 3; i++) {
		stage s;
		mallopt(M_PERTURB, fills[i]);
		stage_open(&s, "short_samples");
		mini_ask(s.engine, &(question){.kind = "rows", .data = s.good, .size = s.n_good, .text = "?", .max_tokens = 4}, &r[i]);
		assert_int_equal(r[i].status, SN_OK);
		assert_memory_equal(r[i].logits, r[0].logits, sizeof r[0].logits);
		stage_close(&s);
	}
	mallopt(M_PERTURB, 0);
}

/* ---- 42 ---- */

static size_t count_fds(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static size_t count_maps(const char *file)
{
	char line[1024];
	size_t n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		n += strstr(line, file) != NULL;
	fclose(f);
	return n;
}

static void check_42_a_thousand_lives_leave_nothing_behind(void **state)
{
	(void)state;
	folder f;
	bare b;
	sn_error err;
	folder_open(&f);
	folder_add(&f, animal("good"), NULL);
	assert_int_equal(pool_open(&b.threads, 1, &err), SN_OK);
	size_t fds = 0, maps = 0;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(plugin_host_open(&b.host, f.path, 1 << 20, b.threads, quiet, &err), SN_OK);
		const sn_plugin *d = b.host->plugins[1]->desc;
		assert_non_null(d);
		plugin_host *h = b.host; /* the codec lives; the encoder's life is short as well */
		sn_fault fault = {.size = sizeof fault};
		void *instance = plugin_instance_new(d);
		assert_int_equal(d->init(instance, &h->face, &fault), SN_RC_OK);
		assert_int_equal(d->load(instance, NULL, &fault), SN_RC_OK);
		d->fini(instance);
		free(instance);
		assert_true(atomic_load(&h->held) < 2048); /* the codec's own block */
		plugin_host_close(&b.host);
		if (i == 0) {
			fds = count_fds();
			maps = count_maps(f.path);
		}
	}
	assert_int_equal(count_fds(), fds);
	assert_int_equal(count_maps(f.path), maps); /* one mapping, never unloaded, never loaded twice */
	assert_true(maps > 0);
	pool_close(&b.threads);
	folder_close(&f);
}

static void check_42_a_second_version_waits_for_a_restart(void **state)
{
	(void)state;
	stage s;
	sn_error err;
	char path[256];
	stage_open(&s, "good");
	size_t n = sn_engine_plugins(s.engine, NULL, 0);
	assert_int_equal(sn_engine_add_plugin(s.engine, "zoo_good.so", &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "loaded already"));
	folder_add(&s.plugins, animal("good"), "second.so"); /* the same ids in another file */
	assert_int_equal(sn_engine_add_plugin(s.engine, "second.so", &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "restart"));
	snprintf(path, sizeof path, "%s/zoo_good.so", s.plugins.path);
	unlink(path); /* replaced on disk: what runs goes on */
	folder_add(&s.plugins, animal("stamp_major"), "zoo_good.so");
	assert_int_equal(sn_engine_add_plugin(s.engine, "zoo_good.so", &err), SN_ERR_INVALID);
	reply r;
	ask_rows(&s, false, &r);
	assert_int_equal(r.status, SN_OK);
	assert_int_equal(sn_engine_plugins(s.engine, NULL, 0), n);
	stage_close(&s);
}

typedef struct closing {
	sn_engine *engine;
	atomic_bool done;
} closing;

static void *close_engine(void *arg)
{
	closing *c = arg;
	sn_engine_close(&c->engine);
	atomic_store(&c->done, true);
	return NULL;
}

/* The log in a pipe, so that the order of a plugin's last calls can be read. */
static void check_42_retiring_waits_for_what_runs(void **state)
{
	(void)state;
	folder f;
	int ends[2];
	sn_log *log;
	char text[65536];
	enum { ROWS = 400 };
	static float rows[ROWS * MINI_DIM];
	size_t size;
	sn_request *r;
	sn_error err;
	folder_open(&f);
	folder_add(&f, animal("good"), NULL);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sn_log_open(&log, &(sn_log_config){.level = SN_LOG_INFO, .fd = ends[1]}, &err), SN_OK);
	sn_engine *e = mini_open(f.path, log, (sn_engine_config){0});
	uint8_t *file = rows_file("x", rows, ROWS, MINI_DIM, &size);
	assert_int_equal(mini_submit(e, &(question){.kind = "rows", .data = file, .size = size, .text = "?", .max_tokens = 50}, &r, &err), SN_OK);
	pthread_t closer;
	closing c = {.engine = e};
	assert_int_equal(pthread_create(&closer, NULL, close_engine, &c), 0);
	reply out = {0};
	mini_wait(r, &out); /* it ends well, or it is told why not: never silence */
	assert_true(out.status == SN_OK || out.status == SN_ERR_DRAINING);
	usleep(20000);
	assert_false(atomic_load(&c.done)); /* the close waits for its reader */
	sn_request_close(&r);
	pthread_join(closer, NULL);
	sn_log_close(&log);
	close(ends[1]);
	ssize_t n = read(ends[0], text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = 0;
	const char *fini = strstr(text, " fini"), *last = NULL;
	for (const char *at = text; (at = strstr(at, "zoo ")); at++)
		if (strstr(at, " end") && strstr(at, " end") < strchr(at, '\n'))
			last = at;
	assert_non_null(fini);
	assert_true(!last || last < fini);
	close(ends[0]);
	free(file);
	folder_close(&f);
}

/* ---- adding while serving ---- */

typedef struct busy {
	stage *s;
	atomic_bool stop;
	atomic_uint n_lists, n_text;
} busy;

static void *list_all_the_time(void *arg)
{
	busy *b = arg;
	const sn_model_info *models;
	while (!atomic_load(&b->stop)) {
		sn_plugin_info list[8];
		size_t n = sn_engine_plugins(b->s->engine, list, 8);
		for (size_t i = 0; i < n && i < 8; i++)
			if (!list[i].id || !list[i].file)
				return "half an entry";
		sn_engine_models(b->s->engine, &models);
		for (int i = 0; models[0].modalities[i]; i++)
			if (strcmp(models[0].modalities[i], "rows") != 0)
				return "an unknown modality";
		sn_engine_kind_of(b->s->engine, b->s->good, b->s->n_good, NULL);
		atomic_fetch_add(&b->n_lists, 1);
	}
	return NULL;
}

static void *ask_all_the_time(void *arg)
{
	busy *b = arg;
	sn_error err;
	while (!atomic_load(&b->stop)) {
		sn_request *r;
		if (mini_submit(b->s->engine, &(question){.text = "hello", .max_tokens = 8}, &r, &err))
			return "refused";
		sn_event ev;
		do
			sn_request_next(r, 10000, &ev);
		while (ev.kind == SN_EVENT_TEXT || ev.kind == SN_EVENT_CHOICE_DONE);
		sn_request_close(&r);
		if (ev.kind != SN_EVENT_DONE)
			return "failed";
		atomic_fetch_add(&b->n_text, 1);
	}
	return NULL;
}

static void a_plugin_added_while_serving_is_used_at_once(void **state)
{
	(void)state;
	stage s;
	sn_error err;
	static reply r, after;
	char path[256];
	void *why[2];
	pthread_t threads[2];
	stage_open(&s, "good");
	snprintf(path, sizeof path, "%s/zoo_good.so", s.plugins.path);
	sn_engine_close(&s.engine);
	unlink(path);
	s.engine = mini_open(s.plugins.path, quiet, (sn_engine_config){0});
	assert_int_equal(sn_engine_plugins(s.engine, NULL, 0), 0);
	ask_rows(&s, false, &r);
	assert_int_equal(r.status, SN_ERR_UNSUPPORTED);

	busy b = {.s = &s};
	pthread_create(&threads[0], NULL, list_all_the_time, &b);
	pthread_create(&threads[1], NULL, ask_all_the_time, &b);
	while (atomic_load(&b.n_lists) < 10 || atomic_load(&b.n_text) < 2)
		usleep(1000);
	folder_add(&s.plugins, animal("stamp_major"), "bad.so");
	assert_int_equal(sn_engine_add_plugin(s.engine, "bad.so", &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "another major version"));
	folder_add(&s.plugins, animal("good"), NULL);
	if (sn_engine_add_plugin(s.engine, "zoo_good.so", &err))
		fail_msg("%s", err.text);
	assert_string_equal(mini_plugin(s.engine, "rows-codec").state, "ready");
	assert_string_equal(mini_plugin(s.engine, "rows-encoder").state, "ready");
	assert_string_equal(sn_engine_kind_of(s.engine, s.good, s.n_good, NULL), "rows");
	ask_rows(&s, false, &r);
	assert_int_equal(r.status, SN_OK);
	unsigned lists = atomic_load(&b.n_lists), text = atomic_load(&b.n_text);
	while (atomic_load(&b.n_lists) < lists + 10 || atomic_load(&b.n_text) < text + 2)
		usleep(1000);
	atomic_store(&b.stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &why[i]);
		if (why[i])
			fail_msg("%s", (const char *)why[i]);
	}
	sn_engine_close(&s.engine);
	s.engine = mini_open(s.plugins.path, quiet, (sn_engine_config){0}); /* as if it had been there from the start */
	ask_rows(&s, false, &after);
	assert_memory_equal(r.logprobs, after.logprobs, sizeof r.logprobs);
	stage_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_38_every_field_of_the_stamp_is_compared),
	    cmocka_unit_test(check_38_what_is_no_plugin_is_refused_with_its_reason),
	    cmocka_unit_test(check_38_files_that_are_not_for_this_machine),
	    cmocka_unit_test(check_38_the_others_are_served_all_the_same),
	    cmocka_unit_test(check_38_an_encoder_that_does_not_fit_costs_its_modality_only),
	    cmocka_unit_test(check_36_what_plugins_hold_is_counted),
	    cmocka_unit_test(check_39_only_a_trusted_folder),
	    cmocka_unit_test(check_39_only_trusted_files),
	    cmocka_unit_test(check_39_names_stay_in_the_folder),
	    cmocka_unit_test(check_39_symbols_stay_local),
	    cmocka_unit_test(check_40_a_bad_result_fails_one_request),
	    cmocka_unit_test(check_40_bad_input_degrades_nobody),
	    cmocka_unit_test(check_68_what_a_codec_forgets_to_fill_is_zero),
	    cmocka_unit_test(check_42_a_thousand_lives_leave_nothing_behind),
	    cmocka_unit_test(check_42_a_second_version_waits_for_a_restart),
	    cmocka_unit_test(check_42_retiring_waits_for_what_runs),
	    cmocka_unit_test(a_plugin_added_while_serving_is_used_at_once),
	};
	if (sn_log_open(&quiet, &(sn_log_config){.level = SN_LOG_ERROR + 1, .fd = 2}, NULL) != SN_OK)
		return 2;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	sn_log_close(&quiet);
	return failed;
}
