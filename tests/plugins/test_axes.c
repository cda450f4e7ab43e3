/* test_axes.c - rows that stand on three axes, from an encoder's plan to a running engine: where they and what follows them stand, that it
 * matters, and that what is said stays the same bytes whatever else happens: from the prefix cache, in company, after a preemption. */
#include "plugin_engine.h"

#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "rows_file.h"
#include "zoo/zoo.h"

enum { DIM = 16, GRID = 11 /* rows: three whole lines and two more */, TOKENS = 60 };

static sn_log *quiet;

static const char *animal(const char *name)
{
	static char path[512];
	snprintf(path, sizeof path, ZOO_DIR "/zoo_%s.so", name);
	return path;
}

static sn_engine *engine_with(const char *name, const char *path, folder *f, uint32_t n_pages)
{
	sn_engine *e = NULL;
	sn_error err = {0};
	folder_open(f);
	folder_add(f, animal(name), NULL);
	const sn_engine_config c = {.log = quiet, .plugin_dir = f->path, .kv_cache_memory = (size_t)n_pages * PAGE_BYTES, .threads = 2};
	const sn_model_config m = {.name = "mini", .path = path};
	if (sn_engine_open(&e, &c, &err) || sn_engine_load(e, &m, &err) || sn_engine_start(e, &err))
		fail_msg("%s", err.text);
	return e;
}

static void engine_end(sn_engine *e, folder *f)
{
	sn_engine_close(&e);
	folder_close(f);
}

/* The rows' numbers, which are of the seed. */
static uint8_t *file_of(uint32_t seed, size_t *size)
{
	float rows[GRID * DIM];
	for (uint32_t i = 0; i < GRID * DIM; i++)
		rows[i] = (float)((i * 2654435761u + seed * 2246822519u) >> 20 & 63) / 32 - 1;
	return rows_file("[]", rows, GRID, DIM, size);
}

static sn_status submit(sn_engine *e, uint32_t seed, const char *text, uint32_t n, sn_request **r, sn_error *err)
{
	size_t size;
	uint8_t *file = file_of(seed, &size);
	sn_status st = mini_submit(e, &(question){.kind = "rows", .data = file, .size = size, .text = text, .max_tokens = n}, r, err);
	free(file);
	return st;
}

static void ask(sn_engine *e, uint32_t seed, const char *text, reply *out)
{
	sn_request *r = NULL;
	memset(out, 0, sizeof *out);
	out->status = submit(e, seed, text, TOKENS, &r, &out->error);
	if (out->status == SN_OK) {
		mini_wait(r, out);
		sn_request_close(&r);
	}
}

static bool same_reply(const reply *a, const reply *b)
{
	return a->status == SN_OK && b->status == SN_OK && a->n == TOKENS && b->n == TOKENS && memcmp(a->ids, b->ids, sizeof a->ids) == 0 &&
	       memcmp(a->logprobs, b->logprobs, sizeof a->logprobs) == 0;
}

#define QWEN3VL GOLDEN_DIR "/../hf/qwen3vl.gguf"

static void rows_stand_where_the_plan_says_and_text_behind_the_farthest(void **state)
{
	(void)state;
	folder f;
	sn_request *r = NULL;
	sn_error err = {0};
	reply said = {0};
	sn_engine *e = engine_with("axes", QWEN3VL, &f, 64);
	assert_int_equal(submit(e, 1, "what is it?", TOKENS, &r, &err), SN_OK);
	mini_wait(r, &said);
	const sequence *s = &r->seqs[0];
	uint32_t at = 0, next = 0, n_media = 0;
	for (; at < s->n_known; at++) {
		const seq_row *row = &s->rows[at];
		bool media = row->media >= 0;
		uint32_t line = n_media / ZOO_WIDE, column = n_media % ZOO_WIDE;
		if (row->position != next || row->height != (int32_t)(media ? line : 0) || row->width != (int32_t)(media ? column : 0))
			fail_msg("row %u: at %u, %d, %d", at, row->position, row->height, row->width);
		n_media += media;
		if (!media)
			next++;
		else if (n_media == GRID)
			next += (GRID - 1) / ZOO_WIDE + 1; /* lines: more than columns */
	}
	assert_int_equal(n_media, GRID);
	assert_int_equal(s->n_known, r->n_prompt + TOKENS);
	assert_true(s->next_position == next && next < s->n_known);
	sn_request_close(&r);
	engine_end(e, &f);
}

static void where_they_stand_changes_what_is_said(void **state)
{
	(void)state;
	static reply grid, line;
	folder f;
	sn_engine *e = engine_with("axes", QWEN3VL, &f, 64);
	ask(e, 1, "what is it?", &grid);
	engine_end(e, &f);
	e = engine_with("good", QWEN3VL, &f, 64); /* the same rows, one behind the other */
	ask(e, 1, "what is it?", &line);
	engine_end(e, &f);
	assert_true(same_reply(&grid, &grid) && same_reply(&line, &line));
	assert_false(same_reply(&grid, &line));
}

/* Long enough to fill blocks. */
static void words(char *out, size_t cap, uint32_t seed)
{
	size_t n = 0;
	for (uint32_t i = 0; n + 12 < cap; i++)
		n += (size_t)snprintf(out + n, cap - n, "%u see ", (i * 7 + seed * 13) % 91);
}

static void cache_company_and_preemption_change_no_byte(void **state)
{
	(void)state;
	enum { N = 5 };
	static reply alone[N], again;
	static char text[N][98];
	folder f;
	for (uint32_t i = 0; i < N; i++)
		words(text[i], sizeof text[i], i);
	sn_engine *e = engine_with("axes", QWEN3VL, &f, 64);
	for (uint32_t i = 0; i < N; i++)
		ask(e, i, text[i], &alone[i]);
	for (uint32_t i = 0; i < N; i++) {
		ask(e, i, text[i], &again);
		assert_true(again.usage.prompt_tokens < 128 && again.usage.prompt_tokens + TOKENS > 128); /* the second block comes while it is said */
		assert_true(same_reply(&alone[i], &again));
	}
	static char longer[200];
	static reply cold, cached;
	words(longer, sizeof longer, 77);
	ask(e, 7, longer, &cold);
	ask(e, 7, longer, &cached);
	assert_true(cold.usage.cached_tokens == 0 && cached.usage.cached_tokens == 128); /* picture and all */
	assert_true(same_reply(&cold, &cached));
	ask(e, 8, longer, &cached); /* another picture of the same size */
	assert_true(cached.usage.cached_tokens == 0 && !same_reply(&cold, &cached));
	engine_end(e, &f);

	e = engine_with("axes", QWEN3VL, &f, 2 + 1); /* room to begin for three, to end for one */
	for (int round = 0; round < 3 || (round < 100 && !metric_get(&e->metrics, M_PREEMPTIONS)); round++) {
		sn_request *r[N] = {0};
		sn_error err;
		for (uint32_t i = 0; i < N; i++)
			if (submit(e, i, text[i], TOKENS, &r[i], &err))
				fail_msg("%s", err.text);
		for (uint32_t i = 0; i < N; i++) {
			memset(&again, 0, sizeof again);
			mini_wait(r[i], &again);
			if (!same_reply(&alone[i], &again))
				fail_msg("round %d, request %u says something else: %u tokens, %s", round, i, again.n, again.error.text);
			sn_request_close(&r[i]);
		}
	}
	assert_true(metric_get(&e->metrics, M_PREEMPTIONS) > 0);
	engine_end(e, &f);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	static reply r;
	static const struct { const char *animal, *model, *says; sn_status status; } table[] = {
	    {"axes", GOLDEN_DIR "/model.gguf", "does not take rows input", SN_ERR_UNSUPPORTED}, /* one axis: the encoder is left out */
	    {"axes_far", QWEN3VL, "too far", SN_ERR_PLUGIN},
	    {"axes_fail", QWEN3VL, "positions fail", SN_ERR_PLUGIN},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		folder f;
		sn_engine *e = engine_with(table[i].animal, table[i].model, &f, 64);
		ask(e, 1, "what is it?", &r);
		if (r.status != table[i].status || !strstr(r.error.text, table[i].says))
			fail_msg("%s: %d, %s", table[i].animal, r.status, r.error.text);
		mini_ask(e, &(question){.text = "and now?", .max_tokens = 3}, &r);
		assert_int_equal(r.status, SN_OK);
		engine_end(e, &f);
	}
}

int main(void)
{
	sn_error err;
	if (sn_log_open(&quiet, &(sn_log_config){.level = SN_LOG_ERROR, .fd = 2}, &err) != SN_OK)
		return 1;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_stand_where_the_plan_says_and_text_behind_the_farthest),
	    cmocka_unit_test(where_they_stand_changes_what_is_said),
	    cmocka_unit_test(cache_company_and_preemption_change_no_byte),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	sn_log_close(&quiet);
	return failed;
}
