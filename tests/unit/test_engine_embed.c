/* Texts as vectors, on the miniatures of tests/golden/engine: the same bytes by every way of pooling in every company, chunked, from cached
 * prefixes and after preemptions, beside chats; failures and leavings that touch nobody else. */
#include "engine_kit.h"

enum { N_MODELS = 3, N_INPUTS = 24, BLOCK = 32, WIDEST = 256 };

static const char *const FILES[N_MODELS] = {"gemma3.gguf", "qwen2.gguf", "model.gguf"};
static int32_t IDS[N_MODELS][512];
static sn_embedding_input INPUTS[N_MODELS][N_INPUTS];

typedef struct vectors { size_t width; float v[N_INPUTS][WIDEST]; } vectors;

/* Blocks of 32 rows, of 16 where a window is: many a block, and the window falls out of many. */
static void small_blocks(model *m)
{
	for (uint32_t i = 0; i < m->kv.n_groups; i++) {
		kv_group *g = &m->kv.groups[i];
		g->block_tokens = g->window ? BLOCK / 2 : BLOCK;
		g->slab_layers = 4;
		g->n_slabs = (g->n_layers + 3) / 4;
		g->head_bytes = g->block_tokens * g->token_bytes;
		g->layer_bytes = 2 * g->n_kv_head * g->head_bytes;
	}
}

static sn_engine *open_all(sn_engine_config c, pooling_kind kind)
{
	c.kv_dtype = SN_KV_F16; /* the type that rounds */
	sn_engine *e = open_empty(c);
	for (int i = 0; i < N_MODELS; i++) {
		load_model(e, FILES[i], FILES[i], NULL);
		small_blocks(e->models[i].m);
		e->models[i].m->pooling.kind = kind;
	}
	start_engine(e);
	return e;
}

/* Many lengths; each second one begins as the one before it. */
static void make_inputs(sn_engine *e)
{
	for (int m = 0; m < N_MODELS; m++) {
		uint32_t n_vocab = (uint32_t)vocab_size(e->models[m].m->vocab);
		for (uint32_t k = 0; k < 512; k++)
			IDS[m][k] = (int32_t)((k * 2654435761u >> 7) % n_vocab);
		for (uint32_t i = 0; i < N_INPUTS; i++)
			INPUTS[m][i] = (sn_embedding_input){.ids = IDS[m] + i / 2, .n_ids = 1 + i * 9};
	}
}

static sn_embedding *begin(sn_engine *e, int m, const sn_embedding_input *inputs, size_t n)
{
	sn_embedding *x;
	sn_error err;
	const sn_embedding_ask ask = {.request_id = "test", .model = FILES[m], .inputs = inputs, .n_inputs = n};
	if (sn_embedding_open(e, &ask, &x, &err) != SN_OK)
		fail_msg("%s", err.text);
	return x;
}

static void take(sn_embedding **x, float (*out)[WIDEST], size_t n, size_t *width)
{
	sn_embedding_event ev;
	for (size_t i = 0; i < n; i++) {
		while (sn_embedding_next(*x, 20000, &ev) == SN_EMBEDDING_NONE)
			;
		if (ev.kind == SN_EMBEDDING_ERROR)
			fail_msg("%s", ev.error.text);
		assert_int_equal(ev.index, i);
		*width = ev.n_values;
		memcpy(out[i], ev.values, ev.n_values * sizeof(float));
	}
	assert_int_equal(sn_embedding_next(*x, 20000, &ev), SN_EMBEDDING_DONE);
	sn_embedding_close(x);
}

static void assert_equal(const vectors *a, const vectors *b)
{
	for (size_t i = 0; i < N_INPUTS; i++)
		assert_memory_equal(a->v[i], b->v[i], a->width * sizeof(float));
}

static void vectors_are_the_same_bytes_in_every_company(void **state)
{
	(void)state;
	static vectors alone[N_MODELS], got;
	static const pooling_kind kinds[] = {POOLING_LAST, POOLING_MEAN, POOLING_FIRST};
	const struct { bool short_of_pages; sn_engine_config c; } ways[] = {
	    {false, {.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 8}},
	    {false, {.threads = 1, .max_num_batched_tokens = 1, .max_num_seqs = 1, .no_prefix_caching = true}},
	    {true, {.threads = 2, .kv_cache_memory = 34 * PAGE_BYTES, .max_num_batched_tokens = 96, .max_num_seqs = 24}},
	};
	uint64_t preempted = 0;
	for (size_t k = 0; k < 3; k++) {
		sn_engine *e = open_all((sn_engine_config){.threads = 1, .no_prefix_caching = true}, kinds[k]);
		make_inputs(e);
		for (int m = 0; m < N_MODELS; m++)
			for (size_t i = 0; i < N_INPUTS; i++) {
				sn_embedding *x = begin(e, m, &INPUTS[m][i], 1);
				take(&x, &alone[m].v[i], 1, &alone[m].width);
			}
		assert_memory_not_equal(alone[0].v[N_INPUTS - 1], alone[0].v[0], alone[0].width * sizeof(float));
		sn_engine_close(&e);
		for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
			e = open_all(ways[w].c, kinds[k]);
			for (int round = 0; round < 2; round++) {
				sn_embedding *x[N_MODELS];
				sn_request *said[N_MODELS];
				static struct answer out[2];
				sn_error err;
				for (int m = 0; m < N_MODELS; m++) { /* older ones, that grow */
					struct ask a = {.ids = IDS[m], .n_ids = 9, .model = FILES[m], .max_tokens = 200, .n = 2, .temperature = 1};
					assert_int_equal(submit(e, &a, &said[m], &err), SN_OK);
				}
				for (int m = 0; m < N_MODELS; m++)
					x[m] = begin(e, m, INPUTS[m], N_INPUTS);
				for (int m = N_MODELS; m-- > 0;) {
					take(&x[m], got.v, N_INPUTS, &got.width);
					assert_int_equal(got.width, alone[m].width);
					assert_equal(&alone[m], &got);
				}
				for (int m = 0; m < N_MODELS; m++) {
					memset(out, 0, sizeof out);
					collect_all(said[m], out, 2);
					assert_int_equal(out->status, SN_OK);
					sn_request_close(&said[m]);
				}
			}
			preempted += metric_get(&e->metrics, M_PREEMPTIONS);
			assert_true(ways[w].short_of_pages || metric_get(&e->metrics, M_PREEMPTIONS) == 0);
			if (!ways[w].short_of_pages && !ways[w].c.no_prefix_caching && kinds[k] == POOLING_LAST)
				assert_true(metric_get(&e->metrics, M_PREFIX_HITS) > 0);
			assert_all_pages_free(e);
			sn_engine_close(&e);
		}
	}
	assert_true(preempted > 0);
}

/* Vectors of other engines' texts have length 1; a mean is the mean of what the rows alone would be. */
static void pooling_is_what_it_is_called(void **state)
{
	(void)state;
	float v[3] = {3, 0, 4};
	int32_t sizes[] = {2};
	pooling p = {.kind = POOLING_LAST};
	pooling_finish(&p, v, 3);
	assert_float_equal(v[0], 0.6f, 1e-7);
	assert_float_equal(v[2], 0.8f, 1e-7);
	p.plain = true;
	v[0] = 3;
	pooling_finish(&p, v, 3);
	assert_float_equal(v[0], 3, 0);
	memset(v, 0, sizeof v);
	p.plain = false;
	pooling_finish(&p, v, 3); /* nothing to divide by */
	assert_float_equal(v[0], 0, 0);
	assert_true(pooling_fits(&p, 3, 3) && !pooling_fits(&p, 3, 2) && !pooling_fits(&p, 3, 4) && !pooling_fits(&p, 3, 0));
	p.chosen = true;
	assert_true(pooling_fits(&p, 3, 2) && pooling_fits(&p, 3, 1));
	p.sizes = sizes;
	p.n_sizes = 1;
	assert_true(pooling_fits(&p, 3, 2) && !pooling_fits(&p, 3, 1) && pooling_fits(&p, 3, 3));
	uint32_t begin_, end;
	pooling_rows(POOLING_LAST, 7, &begin_, &end);
	assert_true(begin_ == 6 && end == 7);
	pooling_rows(POOLING_MEAN, 7, &begin_, &end);
	assert_true(begin_ == 0 && end == 7);
	pooling_rows(POOLING_FIRST, 7, &begin_, &end);
	assert_true(begin_ == 0 && end == 1);
}

static sn_embedding_event end_of(sn_embedding **x)
{
	sn_embedding_event ev;
	do
		sn_embedding_next(*x, 20000, &ev);
	while (ev.kind == SN_EMBEDDING_VECTOR || ev.kind == SN_EMBEDDING_NONE);
	sn_embedding_close(x);
	return ev;
}

static void what_goes_wrong_is_one_ask_s_own(void **state)
{
	(void)state;
	sn_error err;
	sn_embedding *x, *y;
	sn_engine *e = open_engine((sn_engine_config){0});
	float *copy = poison(e);
	sn_embedding_input good[40], bad[40];
	for (int i = 0; i < 40; i++)
		good[i] = bad[i] = (sn_embedding_input){.text = "all is well", .size = 11};
	bad[20] = (sn_embedding_input){.text = "Question", .size = 8};
	sn_embedding_ask ask = {.request_id = "test", .inputs = bad, .n_inputs = 40};
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_OK);
	ask.inputs = good;
	assert_int_equal(sn_embedding_open(e, &ask, &y, &err), SN_OK);
	sn_embedding_event ev = end_of(&x);
	assert_int_equal(ev.kind, SN_EMBEDDING_ERROR);
	assert_int_equal(ev.error.status, SN_ERR_INTERNAL);
	ev = end_of(&y);
	assert_int_equal(ev.kind, SN_EMBEDDING_DONE);
	assert_true(ev.prompt_tokens >= 40 * 3);
	assert_all_pages_free(e);
	/* Closed in the middle, too late, refused: nothing is held. */
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_OK);
	sn_embedding_next(x, 20000, &ev);
	sn_embedding_close(&x);
	ask.timeout_ms = 1;
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_OK);
	usleep(20000);
	assert_int_equal(end_of(&x).error.status, SN_ERR_DEADLINE);
	ask.timeout_ms = 0;
	bad[0] = (sn_embedding_input){.text = "", .size = 0};
	ask.inputs = bad;
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_ERR_INVALID);
	assert_string_equal(err.param, "input");
	ask.n_inputs = 0;
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_ERR_INVALID);
	ask.n_inputs = SN_MAX_EMBEDDING_INPUTS + 1;
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_ERR_INVALID);
	assert_null(x);
	assert_all_pages_free(e);
	assert_int_equal(atomic_load(&e->n_requests), 0);
	/* What was accepted is told while the engine drains; nothing new is. */
	ask.inputs = good;
	ask.n_inputs = 40;
	assert_int_equal(sn_embedding_open(e, &ask, &x, &err), SN_OK);
	sn_engine_drain(e);
	assert_int_equal(sn_embedding_open(e, &ask, &y, &err), SN_ERR_DRAINING);
	assert_int_equal(end_of(&x).kind, SN_EMBEDDING_DONE);
	sn_engine_close(&e);
	free(copy);
}

/* An ask has one place in the queue, however many its inputs. */
static void an_ask_has_one_place(void **state)
{
	(void)state;
	sn_error err;
	sn_embedding *x[8];
	sn_embedding_input inputs[64];
	for (int i = 0; i < 64; i++)
		inputs[i] = (sn_embedding_input){.text = "one of many", .size = 11};
	sn_engine *e = open_engine((sn_engine_config){.max_num_seqs = 2, .max_queued_requests = 4});
	const sn_embedding_ask ask = {.request_id = "test", .inputs = inputs, .n_inputs = 64};
	for (int i = 0; i < 6; i++)
		assert_int_equal(sn_embedding_open(e, &ask, &x[i], &err), SN_OK);
	assert_int_equal(sn_embedding_open(e, &ask, &x[6], &err), SN_ERR_QUEUE_FULL);
	assert_int_equal(metric_get(&e->metrics, M_REJECTED), 1);
	for (int i = 0; i < 6; i++)
		assert_int_equal(end_of(&x[i]).kind, SN_EMBEDDING_DONE);
	assert_all_pages_free(e);
	assert_int_equal(sn_embedding_open(e, &ask, &x[0], &err), SN_OK);
	sn_embedding_close(&x[0]);
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_are_the_same_bytes_in_every_company),
	    cmocka_unit_test(pooling_is_what_it_is_called),
	    cmocka_unit_test(what_goes_wrong_is_one_ask_s_own),
	    cmocka_unit_test(an_ask_has_one_place),
	};
	return kit_run(tests);
}
