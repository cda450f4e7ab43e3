/* What lay in memory is never seen: pages, buffers of a step and the heap are poisoned, and every answer stays the same to the bit
 * (check 68). And the plan of memory is made before the memory is there (check 36). */
#include "engine_kit.h"

#include <malloc.h>

#include "model/forward.h"

enum { N_ASKS = 5 };

static void answer_all(sn_engine *e, const char *png, size_t n_png, struct answer *out, void (*between)(sn_engine *, int), int fill)
{
	const struct ask asks[N_ASKS] = {
	    {.text = "a", .max_tokens = 40},
	    {.text = "What is it?", .picture = png, .picture_size = n_png, .max_tokens = 30, .temperature = 0.9f, .seed = 3},
	    {.text = "The quick brown fox jumps over the lazy dog, again and again and again, until the block of pages is full.", .max_tokens = 60},
	    {.text = "b", .max_tokens = 12, .temperature = 1.5f, .seed = 9},
	    {.text = "And again?", .picture = png, .picture_size = n_png, .max_tokens = 5},
	};
	for (int i = 0; i < N_ASKS; i++) {
		if (between)
			between(e, fill);
		out[i] = ask(e, &asks[i]);
		if (out[i].status != SN_OK)
			fail_msg("ask %d, fill %d: %s", i, fill, out[i].error.text);
		assert_all_pages_free(e);
	}
}

static void fill_floats(float *p, size_t rows, size_t cols, int fill)
{
	memset(p, fill, rows * cols * sizeof *p);
}

/* Everything that the engine reuses from one request to the next. It is idle: its thread touches none of it. */
static void poison_reused(sn_engine *e, int fill)
{
	forward_buffers *b = &e->buffers;
	float *rows[] = {b->x, b->h, b->q, b->attn, b->kv, b->gate, b->up, b->cos_sin};
	memset(page_pool_arena(e->pages), fill, (size_t)page_pool_total(e->pages) * PAGE_BYTES);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		fill_floats(rows[i], b->max_rows, b->cols[i], fill);
	fill_floats(b->logits, b->max_out, b->cols[8], fill);
	fill_floats(b->out, b->max_out, b->cols[9], fill);
	memset(b->window_begin, fill, b->max_rows * sizeof *b->window_begin);
	memset(e->sampler.heap, fill, e->sampler.n_vocab * sizeof *e->sampler.heap);
	memset(e->sampler.work, fill, e->sampler.n_vocab * sizeof *e->sampler.work);
	memset(e->sampler.mask, fill, ((size_t)e->sampler.n_vocab + 31) / 32 * sizeof *e->sampler.mask);
}

static const sn_kv_dtype TYPES[] = {SN_KV_F16, SN_KV_F32, SN_KV_BF16, SN_KV_Q8_0, SN_KV_FP8};

/* 0xFF is a NaN in every float type, 0x7B a large number. */
static const int FILLS[] = {0xFF, 0x7B};

static void check_68_poisoned_pages_and_buffers_are_never_seen(void **state)
{
	(void)state;
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	static struct answer clean[N_ASKS], got[N_ASKS];
	for (size_t t = 0; t < sizeof TYPES / sizeof *TYPES; t++) {
		sn_engine *e = open_engine((sn_engine_config){.no_prefix_caching = true, .kv_dtype = TYPES[t]});
		answer_all(e, png, n_png, clean, NULL, 0);
		sn_engine_close(&e);
		for (size_t f = 0; f < 2; f++) {
			e = open_engine((sn_engine_config){.no_prefix_caching = true, .kv_dtype = TYPES[t]});
			answer_all(e, png, n_png, got, poison_reused, FILLS[f]);
			for (int i = 0; i < N_ASKS; i++)
				assert_same(&got[i], &clean[i]);
			sn_engine_close(&e);
		}
	}
	free(png);
}

/* A cached prefix is read again from pages that were in use in between, and nothing but what was computed for it. */
static void check_68_a_small_pool_full_of_others_rows_changes_nothing(void **state)
{
	(void)state;
	static struct answer alone, after;
	struct ask q = {.text = "mine alone, and long enough for a block of its own, and for another one, so that there is a prefix", .max_tokens = 60, .key = "a"};
	struct ask theirs = {.text = "theirs: secret secret secret secret secret secret secret secret secret secret secret secret", .max_tokens = 300, .key = "b"};
	sn_engine *e = open_engine((sn_engine_config){.kv_cache_memory = 64 * PAGE_BYTES});
	alone = ask(e, &q);
	sn_engine_close(&e);
	e = open_engine((sn_engine_config){.kv_cache_memory = 8 * PAGE_BYTES});
	for (int i = 0; i < 6; i++) {
		theirs.seed = (uint64_t)i;
		theirs.temperature = 1;
		assert_int_equal(ask(e, &theirs).status, SN_OK);
		after = ask(e, &q);
		assert_same(&after, &alone);
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* glibc fills what malloc gives, and what free takes. */
static void check_68_the_heap_is_never_seen(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* has its own malloc */
#endif
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	static struct answer clean[N_ASKS], got[N_ASKS];
	for (size_t f = 0; f < 3; f++) {
		mallopt(M_PERTURB, f ? FILLS[f - 1] : 0);
		sn_engine *e = open_engine((sn_engine_config){.no_prefix_caching = true});
		answer_all(e, png, n_png, f ? got : clean, NULL, 0);
		sn_engine_close(&e);
		for (int i = 0; i < N_ASKS && f; i++)
			assert_same(&got[i], &clean[i]);
	}
	mallopt(M_PERTURB, 0);
	free(png);
}

static void check_36_what_does_not_fit_is_refused_before_its_buffers_are_there(void **state)
{
	(void)state;
	char path[4096];
	sn_error err = {0};
	snprintf(path, sizeof path, "%s/model.gguf", GOLDEN_DIR);
	sn_model_config m = {.name = "mini", .path = path};
	/* The pool counts with its tables, before anything is opened. */
	sn_engine *e = NULL;
	size_t pages = page_pool_bytes(8 * PAGE_BYTES);
	sn_engine_config few = {.log = quiet, .kv_cache_memory = 8 * PAGE_BYTES, .memory_limit = pages - 1, .threads = 1};
	assert_true(pages > 8 * PAGE_BYTES);
	assert_int_equal(sn_engine_open(&e, &few, &err), SN_ERR_INVALID);
	e = open_empty((sn_engine_config){.kv_cache_memory = 8 * PAGE_BYTES, .memory_limit = pages});
	assert_int_equal(sn_engine_load(e, &m, &err), SN_ERR_NOMEM);
	size_t need = strtoull(strstr(err.text, ": ") + 2, NULL, 10);
	assert_true(need > pages);
	assert_null(e->buffers.x);
	assert_int_equal(e->n_models, 0);
	sn_engine_close(&e);
	/* To the byte: what is needed is enough, and a byte less is not; and a second model is counted with the first. */
	e = open_empty((sn_engine_config){.kv_cache_memory = 8 * PAGE_BYTES, .memory_limit = need - 1});
	assert_int_equal(sn_engine_load(e, &m, &err), SN_ERR_NOMEM);
	sn_engine_close(&e);
	e = open_empty((sn_engine_config){.kv_cache_memory = 8 * PAGE_BYTES, .memory_limit = need});
	assert_int_equal(sn_engine_load(e, &m, &err), SN_OK);
	m.name = "again";
	assert_int_equal(sn_engine_load(e, &m, &err), SN_ERR_NOMEM);
	assert_int_equal(e->n_models, 1);
	start_engine(e);
	assert_int_equal(ask(e, &(struct ask){.text = "a", .max_tokens = 4}).status, SN_OK);
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_68_poisoned_pages_and_buffers_are_never_seen),
	    cmocka_unit_test(check_68_a_small_pool_full_of_others_rows_changes_nothing),
	    cmocka_unit_test(check_68_the_heap_is_never_seen),
	    cmocka_unit_test(check_36_what_does_not_fit_is_refused_before_its_buffers_are_there),
	};
	return kit_run(tests);
}
