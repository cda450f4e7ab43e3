/* Several models in one engine, one of them with windows: their choices share prompts in every KV group, and pages move between
 * models, without changing a byte. */
#include "engine_kit.h"

enum { N_MODELS = 3, N_ASKS = 2 * N_MODELS, WIDTH = 3, BLOCK = 32 };

static const char *const FILES[N_MODELS] = {"gemma3.gguf", "qwen2.gguf", "model.gguf"};
static const char *const IDS[N_MODELS] = {"gemma3.ids", "qwen2.ids", "gemma3.ids"};

/* Blocks of 32 rows, of 16 where a window is: many a block, and the window falls out of many. */
static void small_blocks(model *m)
{
	for (uint32_t i = 0; i < m->kv.n_groups; i++) {
		kv_group *g = &m->kv.groups[i];
		g->block_tokens = g->window ? BLOCK / 2 : BLOCK;
		g->slab_layers = 4;
		g->n_slabs = (g->n_layers + 3) / 4;
		kv_group_measure(g);
	}
}

static sn_engine *open_all(sn_engine_config c)
{
	c.kv_dtype = SN_KV_F16; /* the type that rounds */
	sn_engine *e = open_empty(c);
	for (int i = 0; i < N_MODELS; i++) {
		load_model(e, FILES[i], FILES[i], NULL);
		small_blocks(e->models[i].m);
	}
	start_engine(e);
	return e;
}

/* A long and a short prompt for each model; the ids are taken into its vocabulary. */
static void make_asks(sn_engine *e, struct ask *asks, int32_t ids[N_MODELS][512])
{
	for (int i = 0; i < N_MODELS; i++) {
		size_t size;
		int32_t *golden = read_golden(IDS[i], &size), n_vocab = (int32_t)vocab_size(e->models[i].m->vocab);
		uint32_t n = (uint32_t)(size / 4), n_short = 20;
		assert_true(n >= 150 && n <= 512);
		for (uint32_t k = 0; k < n; k++)
			ids[i][k] = golden[k] % n_vocab;
		free(golden);
		asks[2 * i] = (struct ask){.model = FILES[i], .ids = ids[i], .n_ids = n, .temperature = 1, .seed = 70 + (uint64_t)i, .max_tokens = 50, .n = WIDTH};
		asks[2 * i + 1] = (struct ask){.model = FILES[i], .ids = ids[i] + 40, .n_ids = n_short, .temperature = 0.8f, .seed = 80 + (uint64_t)i,
		                               .max_tokens = 90, .n = WIDTH};
	}
}

static void ask_together(sn_engine *e, const struct ask *asks, struct answer want[N_ASKS][WIDTH])
{
	sn_request *r[2 * N_ASKS];
	static struct answer out[WIDTH];
	sn_error err;
	for (int i = 0; i < 2 * N_ASKS; i++) { /* each with one choice and with all */
		struct ask a = asks[i / 2];
		a.n = i % 2 ? WIDTH : 1;
		if (submit(e, &a, &r[i], &err) != SN_OK)
			fail_msg("%s", err.text);
	}
	for (int i = 0; i < 2 * N_ASKS; i++) {
		uint32_t n = i % 2 ? WIDTH : 1;
		memset(out, 0, sizeof out);
		collect_all(r[i], out, n);
		for (uint32_t c = 0; c < n; c++)
			assert_same(&out[c], &want[i / 2][c]);
		sn_request_close(&r[i]);
	}
}

static void choices_of_several_models_change_no_byte(void **state)
{
	(void)state;
	static struct answer want[N_ASKS][WIDTH];
	static int32_t ids[N_MODELS][512];
	struct ask asks[N_ASKS];
	sn_engine *e = open_all((sn_engine_config){.threads = 1, .no_prefix_caching = true});
	assert_true(e->models[0].m->kv.n_groups > 1);
	make_asks(e, asks, ids);
	for (int i = 0; i < N_ASKS; i++) {
		ask_all(e, &asks[i], want[i], WIDTH);
		assert_int_equal(want[i]->status, SN_OK);
	}
	sn_engine_close(&e);
	const struct { bool short_of_pages; sn_engine_config c; } ways[] = {
	    {false, {.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 8}},
	    {false, {.threads = 1, .max_num_batched_tokens = 1, .max_num_seqs = 1, .no_prefix_caching = true}},
	    {false, {.threads = 2}},
	    {true, {.threads = 2, .kv_cache_memory = 48 * PAGE_BYTES}},
	    {true, {.threads = 2, .kv_cache_memory = 48 * PAGE_BYTES, .no_prefix_caching = true, .max_num_batched_tokens = 64}},
	};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		e = open_all(ways[w].c);
		for (int round = 0; round < 2; round++)
			ask_together(e, asks, want);
		assert_int_equal(metric_get(&e->metrics, M_PREEMPTIONS) > 0, ways[w].short_of_pages);
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
}

/* Counted in rows: windows do not keep siblings from sharing, nor does a prompt that ends with a block, whose last row is everyone's
 * own. */
static void choices_share_in_groups_with_windows(void **state)
{
	(void)state;
	static struct answer out[WIDTH];
	static int32_t ids[N_MODELS][512];
	struct ask asks[N_ASKS];
	sn_engine *e = open_all((sn_engine_config){.threads = 2, .no_prefix_caching = true});
	make_asks(e, asks, ids);
	for (int i = 0; i < N_MODELS; i++)
		for (uint32_t n_prompt = 5 * BLOCK - 1; n_prompt <= 5 * BLOCK + 2; n_prompt++) {
			struct ask a = asks[2 * i];
			uint32_t shared = (n_prompt - 1) / BLOCK * BLOCK;
			uint64_t before = metric_get(&e->metrics, M_ROWS);
			a.n_ids = n_prompt;
			ask_all(e, &a, out, WIDTH);
			assert_int_equal(out->status, SN_OK);
			assert_int_equal(out->usage.prompt_tokens, n_prompt);
			assert_int_equal(metric_get(&e->metrics, M_ROWS) - before, shared + WIDTH * (n_prompt - shared + a.max_tokens - 1));
		}
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(choices_of_several_models_change_no_byte),
	    cmocka_unit_test(choices_share_in_groups_with_windows),
	};
	return kit_run(tests);
}
