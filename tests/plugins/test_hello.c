/* test_hello.c - what the hello plugin, as an outsider built it, makes of tables: test_hello HELLO.so. Run by hello.py.
 *
 * The rows are computed here by the plugin's own calls and put into a prompt by the zoo's good plugin, which knows nothing
 * of tables: the logits must be the same, bit for bit. */
#include "plugin_engine.h"

#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "rows_file.h"

static const char *hello;
static sn_log *quiet;
static const char CITIES[] = "city,people\nParis,2102650\n\"Vienna, \"\"Wien\"\"\",2005760\n", NUMBERS[] = "a,b\n1,2\n";

typedef struct bench {
	folder plugins;
	sn_engine *engine;
} bench;

static void bench_open(bench *b, uint32_t rows_in_step)
{
	folder_open(&b->plugins);
	folder_add(&b->plugins, hello, NULL);
	folder_add(&b->plugins, ZOO_DIR "/zoo_good.so", NULL);
	b->engine = mini_open(b->plugins.path, quiet, (sn_engine_config){.max_num_batched_tokens = rows_in_step, .max_num_seqs = 8, .no_prefix_caching = true});
}

static void bench_close(bench *b)
{
	sn_engine_close(&b->engine);
	folder_close(&b->plugins);
}

static void ask(bench *b, const char *kind, const void *data, size_t size, reply *out)
{
	mini_ask(b->engine, &(question){.kind = kind, .data = data, .size = size, .text = "What is it?", .max_tokens = 1}, out);
	if (out->status)
		fail_msg("%s", out->error.text);
}

/* The table's rows by the plugin's own calls, `slice` units a step, without the engine's gate, cache or thread. malloc'ed. */
static float *rows_of(sn_engine *e, const char *csv, uint32_t slice, uint32_t *n_rows)
{
	encoder *enc = served_encoder(&e->models[0], "table");
	const sn_ext_decode *codec = NULL;
	void *instance = NULL;
	sn_fault fault = {.size = sizeof fault};
	sn_error err;
	for (size_t i = 0; i < plugin_count(e->plugins); i++)
		if (e->plugins->plugins[i]->decode && strcmp(e->plugins->plugins[i]->decode->kind_name, "table") == 0) {
			codec = e->plugins->plugins[i]->decode;
			instance = e->plugins->plugins[i]->instance;
		}
	assert_non_null(enc);
	assert_non_null(codec);
	const sn_media_limits limits = {.size = sizeof limits};
	sn_media media = {.size = sizeof media};
	const uint8_t *bytes = (const uint8_t *)csv;
	assert_int_equal(codec->measure(instance, NULL, bytes, strlen(csv), &limits, &media, &fault), SN_RC_OK);
	media.samples = malloc(media.bytes);
	assert_int_equal(codec->decode(instance, NULL, bytes, strlen(csv), &limits, &media, &fault), SN_RC_OK);

	sn_media_plan plan = {.size = sizeof plan};
	sn_ops_ctx *ctx;
	assert_int_equal(enc->p->plan->plan(enc->instance, NULL, &media, &plan, &fault), SN_RC_OK);
	assert_int_equal(ops_ctx_open(&ctx, &e->ops, plan.state_bytes, &err), SN_OK);
	void *state = calloc(1, plan.state_bytes);
	assert_int_equal(enc->p->encode->begin(enc->instance, NULL, state, ctx, &media, &plan, &fault), SN_RC_OK);
	free(media.samples); /* borrowed until begin returned */
	float *rows = malloc((size_t)plan.n_rows * MINI_DIM * sizeof *rows);
	sn_rc rc;
	uint32_t done, units = 0;
	do {
		rc = enc->p->encode->step(enc->instance, NULL, state, ctx, slice, &done, rows, &fault);
		units += done;
	} while (rc == SN_RC_AGAIN);
	assert_int_equal(rc, SN_RC_END);
	assert_int_equal(units, plan.n_units);
	enc->p->encode->end(enc->instance, state);
	ops_ctx_close(&ctx);
	free(state);
	*n_rows = plan.n_rows;
	return rows;
}

static void the_logits_are_those_of_the_same_rows_put_in_by_hand(void **state)
{
	(void)state;
	static const uint32_t steps[] = {512, 16};
	for (size_t i = 0; i < 2; i++) {
		bench b;
		reply served, by_hand;
		uint32_t n_rows;
		size_t size;
		bench_open(&b, steps[i]);
		ask(&b, "table", CITIES, sizeof CITIES - 1, &served);
		float *rows = rows_of(b.engine, CITIES, i ? 1 : 100, &n_rows);
		assert_int_equal(n_rows, 3);
		uint8_t *file = rows_file("[table of 3 rows, 2 columns: ]", rows, n_rows, MINI_DIM, &size);
		ask(&b, "rows", file, size, &by_hand);
		assert_int_equal(served.usage.prompt_tokens, by_hand.usage.prompt_tokens);
		assert_int_equal(served.usage.media_rows, 3);
		assert_memory_equal(served.logits, by_hand.logits, sizeof served.logits);
		assert_memory_equal(served.logprobs, by_hand.logprobs, sizeof served.logprobs);
		/* and the comparison can fail: one bit in one row */
		file[size - 2] ^= 1u << 6;
		ask(&b, "rows", file, size, &by_hand);
		assert_memory_not_equal(served.logits, by_hand.logits, sizeof served.logits);
		free(file);
		free(rows);
		bench_close(&b);
	}
}

static void two_tables_give_different_rows_and_answers(void **state)
{
	(void)state;
	bench b;
	reply cities, numbers;
	uint32_t n_cities, n_numbers;
	bench_open(&b, 512);
	ask(&b, "table", CITIES, sizeof CITIES - 1, &cities);
	ask(&b, "table", NUMBERS, sizeof NUMBERS - 1, &numbers);
	assert_memory_not_equal(cities.logits, numbers.logits, sizeof cities.logits);
	float *a = rows_of(b.engine, CITIES, 1, &n_cities), *c = rows_of(b.engine, NUMBERS, 1, &n_numbers);
	assert_int_equal(n_numbers, 2);
	for (uint32_t i = 0; i < n_cities + n_numbers; i++)
		for (uint32_t k = 0; k < i; k++) { /* no two rows are alike */
			const float *x = i < n_cities ? a + i * MINI_DIM : c + (i - n_cities) * MINI_DIM;
			const float *y = k < n_cities ? a + k * MINI_DIM : c + (k - n_cities) * MINI_DIM;
			assert_memory_not_equal(x, y, MINI_DIM * sizeof *x);
		}
	free(a);
	free(c);
	bench_close(&b);
}

static void a_second_use_runs_the_encoder_zero_times(void **state)
{
	(void)state;
	bench b;
	reply first, second;
	bench_open(&b, 512);
	ask(&b, "table", CITIES, sizeof CITIES - 1, &first);
	sn_plugin_info before = mini_plugin(b.engine, "table-encoder");
	uint64_t runs = metric_get(&b.engine->metrics, M_ENCODER_RUNS);
	assert_true(before.calls > 0);
	ask(&b, "table", CITIES, sizeof CITIES - 1, &second);
	sn_plugin_info after = mini_plugin(b.engine, "table-encoder");
	assert_int_equal(after.calls, before.calls);
	assert_int_equal(after.media_bytes, before.media_bytes);
	assert_int_equal(metric_get(&b.engine->metrics, M_ENCODER_RUNS), runs);
	assert_int_equal(metric_get(&b.engine->metrics, M_MEDIA_HITS), 1);
	assert_memory_equal(first.logits, second.logits, sizeof first.logits);
	bench_close(&b);
}

static void what_is_no_table_is_refused_in_words(void **state)
{
	(void)state;
	static const struct { const char *csv; sn_status status; } bad[] = {
	    {"a\nb\n", SN_ERR_MEDIA_TYPE},        /* no comma in its first line */
	    {"a,b\nc\n", SN_ERR_INVALID},         /* ragged */
	    {"a,b\n\n", SN_ERR_INVALID},
	    {"a,\"b\n", SN_ERR_INVALID},
	    {"a,\"b\"c\n", SN_ERR_INVALID},
	    {"a,b\"c\n", SN_ERR_INVALID},
	    {"a,\xC0\xAF\n", SN_ERR_INVALID},
	    {"a,\xED\xA0\x80\n", SN_ERR_INVALID},
	    {"a,\xE2\x82", SN_ERR_INVALID},
	    {"a,\rb\n", SN_ERR_INVALID},
	};
	bench b;
	reply r;
	char wide[400], *at = wide;
	bench_open(&b, 512);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		mini_ask(b.engine, &(question){.kind = "table", .data = bad[i].csv, .size = strlen(bad[i].csv), .text = "?"}, &r);
		if (r.status != bad[i].status)
			fail_msg("%s: status %d (%s)", bad[i].csv, r.status, r.error.text);
		assert_true(*r.error.text != 0);
	}
	for (int columns = 32; columns <= 33; columns++) {
		at = wide;
		for (int i = 1; i < columns; i++)
			*at++ = ',';
		mini_ask(b.engine, &(question){.kind = "table", .data = wide, .size = (size_t)(at - wide), .text = "?"}, &r);
		assert_int_equal(r.status, columns == 32 ? SN_OK : SN_ERR_TOO_LARGE);
	}
	for (int cell = 128; cell <= 129; cell++) {
		memset(wide, 'x', 200);
		wide[1] = ',';
		mini_ask(b.engine, &(question){.kind = "table", .data = wide, .size = 2 + (size_t)cell, .text = "?"}, &r);
		assert_int_equal(r.status, cell == 128 ? SN_OK : SN_ERR_TOO_LARGE);
	}
	assert_int_equal(mini_plugin(b.engine, "table-codec").failures, 0);
	bench_close(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_logits_are_those_of_the_same_rows_put_in_by_hand),
	    cmocka_unit_test(two_tables_give_different_rows_and_answers),
	    cmocka_unit_test(a_second_use_runs_the_encoder_zero_times),
	    cmocka_unit_test(what_is_no_table_is_refused_in_words),
	};
	if (argc != 2 || sn_log_open(&quiet, &(sn_log_config){.level = SN_LOG_ERROR, .fd = 2}, NULL) != SN_OK)
		return 2;
	hello = argv[1];
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	sn_log_close(&quiet);
	return failed;
}
