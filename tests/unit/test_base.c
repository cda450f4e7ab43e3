/* test_base.c - promises of core/base: arenas, buffers, error texts, the log and the compute threads. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/pool.h"

/* ---- arena ---- */

static void arena_memory_is_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	rng r = {1};
	arena *a = arena_open(0);
	struct { uint8_t *p; size_t n; uint8_t fill; } got[500];
	for (size_t i = 0; i < 500; i++) {
		got[i].n = rng_below(&r, 8) ? rng_below(&r, 300) : rng_below(&r, 40000);
		got[i].fill = (uint8_t)(i + 1);
		got[i].p = arena_alloc(a, got[i].n);
		assert_non_null(got[i].p);
		assert_int_equal((uintptr_t)got[i].p % 16, 0);
		for (size_t k = 0; k < got[i].n; k++)
			assert_int_equal(got[i].p[k], 0);
		memset(got[i].p, got[i].fill, got[i].n);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < got[i].n; k++)
			assert_int_equal(got[i].p[k], got[i].fill);
	arena_close(&a);
	assert_null(a);
	arena_close(&a);
}

static void arena_stops_at_its_limit(void **state)
{
	(void)state;
	arena *a = arena_open(1000);
	assert_null(arena_alloc(a, 1001));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 63));
	size_t got = 0;
	while (arena_alloc(a, 48))
		got += 48;
	assert_in_range(got, 1000 - 48 + 1, 1000);
	arena_close(&a);
	a = arena_open(64);
	assert_non_null(arena_alloc(a, 64));
	assert_null(arena_alloc(a, 1));
	assert_int_equal(arena_defer(a, free, NULL), -1);
	arena_close(&a);
}

static void arena_products_are_checked(void **state)
{
	(void)state;
	arena *a = arena_open(0);
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_null(arena_array(a, (size_t)1 << 33, (size_t)1 << 33));
	assert_non_null(arena_array(a, 0, 100));
	assert_non_null(arena_array(a, 100, 0));
	assert_null(arena_strndup(a, "x", SIZE_MAX));
	assert_string_equal(arena_strndup(a, "hello", 4), "hell");
	assert_string_equal(arena_strndup(a, "", 0), "");
	arena_close(&a);
}

static char deferred_order[8];

static void note_deferred(void *ctx)
{
	size_t n = strlen(deferred_order);
	deferred_order[n] = *(char *)ctx;
}

static void deferred_calls_run_newest_first(void **state)
{
	(void)state;
	arena *a = arena_open(0);
	for (const char *s = "abc"; *s; s++)
		assert_int_equal(arena_defer(a, note_deferred, arena_strndup(a, s, 1)), 0); /* ctx may live in the arena */
	arena_close(&a);
	assert_string_equal(deferred_order, "cba");
}

/* ---- buf ---- */

static void buf_grows_and_is_terminated(void **state)
{
	(void)state;
	buf b;
	buf_init(&b, 0);
	char expected[4096] = "";
	for (int i = 0; i < 300; i++) {
		char s[16];
		snprintf(s, sizeof s, "%d,", i);
		strcat(expected, s);
		assert_true(i % 2 ? buf_printf(&b, "%d,", i) : buf_append(&b, s, strlen(s)));
		assert_string_equal(b.p, expected);
		assert_int_equal(b.n, strlen(expected));
	}
	assert_true(buf_append(&b, "a\0b", 3));
	assert_memory_equal(b.p + b.n - 3, "a\0b", 4);
	buf_fini(&b);
	assert_null(b.p);
}

static void buf_takes_exactly_its_limit(void **state)
{
	(void)state;
	for (int printf_too = 0; printf_too < 2; printf_too++) {
		buf b;
		buf_init(&b, 10);
		assert_true(buf_append(&b, "01234", 5));
		assert_true(printf_too ? buf_printf(&b, "%s", "56789") : buf_append(&b, "56789", 5));
		assert_true(buf_append(&b, "", 0));
		assert_false(b.failed);
		assert_false(printf_too ? buf_printf(&b, "x") : buf_append(&b, "x", 1));
		assert_true(b.failed);
		assert_string_equal(b.p, "0123456789");
		buf_fini(&b);
	}
}

static void a_failed_append_leaves_the_content_whole_and_sticks(void **state)
{
	(void)state;
	buf b;
	buf_init(&b, 8);
	assert_true(buf_append(&b, "good", 4));
	assert_false(buf_append(&b, "too long", 8));
	assert_false(buf_append(&b, "ok", 2));
	assert_false(buf_printf(&b, "ok"));
	assert_string_equal(b.p, "good");
	assert_true(b.failed);
	buf_fini(&b);
	buf_init(&b, 0);
	assert_false(buf_append(&b, "x", SIZE_MAX));
	assert_true(b.failed);
	buf_fini(&b);
}

/* ---- errors ---- */

static void errors_carry_status_text_and_field(void **state)
{
	(void)state;
	sn_error e = {.param = "left over"};
	assert_int_equal(error_set(&e, SN_ERR_INVALID, "%d apples", 3), SN_ERR_INVALID);
	assert_int_equal(e.status, SN_ERR_INVALID);
	assert_string_equal(e.text, "3 apples");
	assert_string_equal(e.param, "");
	assert_int_equal(error_param(&e, SN_ERR_TOO_LARGE, "messages", "too many"), SN_ERR_TOO_LARGE);
	assert_string_equal(e.param, "messages");
	assert_int_equal(error_set(NULL, SN_ERR_IO, "nobody listens"), SN_ERR_IO);
}

static void long_error_texts_are_cut_not_overrun(void **state)
{
	(void)state;
	struct { sn_error e; char guard[8]; } g = {.guard = "guarded"};
	char big[5000];
	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = 0;
	error_param(&g.e, SN_ERR_INVALID, big, "%s", big);
	assert_int_equal(strlen(g.e.text), sizeof g.e.text - 1);
	assert_int_equal(strlen(g.e.param), sizeof g.e.param - 1);
	assert_string_equal(g.guard, "guarded");
}

/* ---- log ---- */

struct line_reader {
	int fds[2];
	sn_log *log;
	char line[4096];
};

static void reader_open(struct line_reader *l, bool json)
{
	assert_int_equal(pipe2(l->fds, O_NONBLOCK), 0);
	assert_int_equal(sn_log_open(&l->log, &(sn_log_config){.level = SN_LOG_INFO, .json = json, .fd = l->fds[1]}, NULL), SN_OK);
}

static void reader_close(struct line_reader *l)
{
	sn_log_close(&l->log);
	assert_null(l->log);
	close(l->fds[0]);
	close(l->fds[1]);
}

/* What was written since the last call; it must be one line. */
static const char *reader_line(struct line_reader *l)
{
	ssize_t n = read(l->fds[0], l->line, sizeof l->line - 1);
	assert_true(n > 0);
	l->line[n] = 0;
	assert_ptr_equal(strchr(l->line, '\n'), l->line + n - 1);
	return l->line;
}

static void a_line_holds_time_level_topic_request_and_text(void **state)
{
	(void)state;
	struct line_reader l;
	int year, ms;
	reader_open(&l, false);
	log_warn(l.log, "engine", "req-1", "took %d ms", 7);
	assert_non_null(strstr(reader_line(&l), "warn  engine   req-1 took 7 ms\n"));
	assert_int_equal(sscanf(l.line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ ", &year, &ms), 2);
	log_info(l.log, "engine", NULL, "no request");
	assert_non_null(strstr(reader_line(&l), "info  engine   no request\n"));
	log_debug(l.log, "engine", NULL, "below the level");
	assert_true(read(l.fds[0], l.line, 1) < 0);
	sn_log_write(NULL, SN_LOG_ERROR, "engine", NULL, "no log is fine");
	reader_close(&l);
}

static void no_text_can_forge_a_line_or_reach_the_terminal(void **state)
{
	(void)state;
	static const struct { const char *in, *text, *json; } cases[] = {
	    {"a\r\nb", "a\\x0d\\x0ab", "a\\u000d\\u000ab"},
	    {"\x1b[31mred", "\\x1b[31mred", "\\u001b[31mred"},
	    {"tab\tbel\a del\x7f", "tab\\x09bel\\x07 del\\x7f", "tab\\u0009bel\\u0007 del\\u007f"},
	    {"csi \xC2\x9B" "0m nel \xC2\x85", "csi \\x9b0m nel \\x85", "csi \\u009b0m nel \\u0085"},
	    {"raw \xFF\xFE cut \xE2\x82", "raw \\xff\\xfe cut \\xe2\\x82", "raw \\u00ff\\u00fe cut \\u00e2\\u0082"},
	    {"overlong \xC0\x8A", "overlong \\xc0\\x8a", "overlong \\u00c0\\u008a"},
	    {"surrogate \xED\xA0\x80", "surrogate \\xed\\xa0\\x80", "surrogate \\u00ed\\u00a0\\u0080"},
	    {"beyond \xF4\x90\x80\x80", "beyond \\xf4\\x90\\x80\\x80", "beyond \\u00f4\\u0090\\u0080\\u0080"},
	    {"quote \" back \\", "quote \" back \\", "quote \\\" back \\\\"},
	    {"caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80"},
	};
	for (int json = 0; json < 2; json++) {
		struct line_reader l;
		reader_open(&l, json);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			const char *want = json ? cases[i].json : cases[i].text;
			log_info(l.log, "api", "id", "%s", cases[i].in); /* as text */
			assert_non_null(strstr(reader_line(&l), want));
			log_info(l.log, "api", cases[i].in, "x"); /* as request id */
			assert_non_null(strstr(reader_line(&l), want));
			log_info(l.log, cases[i].in, "id", "x"); /* as topic: plugins choose theirs */
			assert_non_null(strstr(reader_line(&l), want));
		}
		reader_close(&l);
	}
}

/* A strict reader of one flat JSON object of strings; returns how many members it has. */
static int json_members(const char *s)
{
	int n = 0;
	assert_int_equal(*s++, '{');
	for (;;) {
		for (int part = 0; part < 2; part++) {
			assert_int_equal(*s++, '"');
			while (*s != '"') {
				assert_true((unsigned char)*s >= 0x20);
				if (*s++ != '\\')
					continue;
				assert_non_null(strchr("\"\\/bfnrtu", *s));
				if (*s++ == 'u')
					for (int i = 0; i < 4; i++, s++)
						assert_non_null(strchr("0123456789abcdefABCDEF", *s));
			}
			s++;
			if (part == 0)
				assert_int_equal(*s++, ':');
		}
		n++;
		if (*s == '}')
			break;
		assert_int_equal(*s++, ',');
	}
	assert_string_equal(s, "}\n");
	return n;
}

static void json_lines_stay_json_whatever_goes_in(void **state)
{
	(void)state;
	rng r = {7};
	struct line_reader l;
	reader_open(&l, true);
	for (int i = 0; i < 2000; i++) {
		char noise[3][1500];
		for (int k = 0; k < 3; k++) {
			uint32_t n = rng_below(&r, i % 10 ? 40 : 1500);
			for (uint32_t c = 0; c < n; c++) {
				uint8_t byte = (uint8_t)rng_next(&r);
				noise[k][c] = (char)(byte ? byte : '"');
			}
			noise[k][n] = 0;
		}
		log_info(l.log, noise[0], noise[1], "%s", noise[2]);
		assert_int_equal(json_members(reader_line(&l)), 5);
	}
	reader_close(&l);
}

/* ---- compute threads ---- */

enum { MAX_CHUNKS = 300 };

struct tally {
	atomic_uint runs[MAX_CHUNKS];
	atomic_uint bad_threads;
	size_t n_threads;
};

static void count_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct tally *t = ctx;
	atomic_fetch_add(&t->runs[chunk], 1);
	if (thread >= t->n_threads)
		atomic_fetch_add(&t->bad_threads, 1);
}

static void every_chunk_runs_exactly_once(void **state)
{
	(void)state;
	rng r = {3};
	for (size_t threads = 1; threads <= 4; threads++) {
		pool *p = NULL;
		assert_int_equal(pool_open(&p, threads, NULL), SN_OK);
		assert_int_equal(pool_size(p), threads);
		for (int generation = 0; generation < 1000; generation++) {
			struct tally t = {.n_threads = threads};
			size_t n = generation % 100 ? rng_below(&r, 12) : rng_below(&r, MAX_CHUNKS);
			pool_run(p, count_chunk, &t, n);
			for (size_t i = 0; i < MAX_CHUNKS; i++)
				assert_int_equal(atomic_load(&t.runs[i]), i < n);
			assert_int_equal(atomic_load(&t.bad_threads), 0);
			if (generation % 500 == 499)
				usleep(2000); /* long enough for the threads to fall asleep */
		}
		pool_close(&p);
		assert_null(p);
	}
}

struct sums { uint64_t in[MAX_CHUNKS], out[MAX_CHUNKS]; };

static void square_chunk(void *ctx, size_t chunk, size_t thread)
{
	struct sums *s = ctx;
	(void)thread;
	s->out[chunk] = s->in[chunk] * s->in[chunk];
}

static void what_a_chunk_wrote_is_seen_by_the_caller(void **state)
{
	(void)state;
	pool *p = NULL;
	struct sums *s = calloc(1, sizeof *s);
	assert_int_equal(pool_open(&p, 3, NULL), SN_OK);
	for (uint64_t generation = 1; generation < 500; generation++) {
		for (size_t i = 0; i < MAX_CHUNKS; i++)
			s->in[i] = generation * 1000 + i;
		pool_run(p, square_chunk, s, MAX_CHUNKS);
		for (size_t i = 0; i < MAX_CHUNKS; i++)
			assert_int_equal(s->out[i], s->in[i] * s->in[i]);
	}
	pool_close(&p);
	free(s);
}

static void a_pool_may_be_closed_at_once_and_needs_a_thread(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		pool *p = NULL;
		assert_int_equal(pool_open(&p, 1 + (size_t)i % 4, NULL), SN_OK);
		pool_close(&p);
	}
	pool *p = NULL;
	sn_error err;
	assert_int_not_equal(pool_open(&p, 0, &err), SN_OK);
	assert_null(p);
	pool_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arena_memory_is_zeroed_aligned_and_apart),
	    cmocka_unit_test(arena_stops_at_its_limit),
	    cmocka_unit_test(arena_products_are_checked),
	    cmocka_unit_test(deferred_calls_run_newest_first),
	    cmocka_unit_test(buf_grows_and_is_terminated),
	    cmocka_unit_test(buf_takes_exactly_its_limit),
	    cmocka_unit_test(a_failed_append_leaves_the_content_whole_and_sticks),
	    cmocka_unit_test(errors_carry_status_text_and_field),
	    cmocka_unit_test(long_error_texts_are_cut_not_overrun),
	    cmocka_unit_test(a_line_holds_time_level_topic_request_and_text),
	    cmocka_unit_test(no_text_can_forge_a_line_or_reach_the_terminal),
	    cmocka_unit_test(json_lines_stay_json_whatever_goes_in),
	    cmocka_unit_test(every_chunk_runs_exactly_once),
	    cmocka_unit_test(what_a_chunk_wrote_is_seen_by_the_caller),
	    cmocka_unit_test(a_pool_may_be_closed_at_once_and_needs_a_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
