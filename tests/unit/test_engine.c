/* The engine as a whole, on the random-weight miniature of tests/golden/engine: exactness against transformers, the
 * same bytes in every company, and what happens when things go wrong. */
#include "engine_kit.h"

#include <math.h>

#include "model/forward.h"

/* ---- exactness ---- */

/* max |a - b| <= 1e-4 max |b|: float32 sums in another order; measured at about 1e-6. */
static void assert_close(const float *a, const float *b, size_t n)
{
	float worst = 0, top = 0;
	for (size_t i = 0; i < n; i++) {
		worst = fmaxf(worst, fabsf(a[i] - b[i]));
		top = fmaxf(top, fabsf(b[i]));
	}
	if (!(worst <= 1e-4f * top))
		fail_msg("differs by %g of %g", (double)worst, (double)top);
}

static void logits_equal_transformers(void **state)
{
	(void)state;
	static const kn_isa isas[] = {KN_ISA_REF, KN_ISA_AVX2, KN_ISA_AVX512};
	for (size_t k = 0; k < 3; k++) {
		pool *threads;
		ops o;
		model *m;
		sn_error err = {0};
		char path[4096];
		size_t n_ids, n_logits;
		int32_t *ids = read_golden("text.ids", &n_ids);
		float *want = read_golden("text.logits", &n_logits);
		uint32_t n = (uint32_t)(n_ids / 4);
		assert_int_equal(pool_open(&threads, 2, &err), SN_OK);
		ops_init(&o, threads, isas[k]);
		snprintf(path, sizeof path, "%s/model.gguf", GOLDEN_DIR);
		if (model_open(&m, path, NULL, SN_KV_AUTO, &o, &err) != SN_OK)
			fail_msg("%s", err.text);
		assert_int_equal(n_logits, (size_t)n * m->h.n_vocab * 4);

		page_pool *pages;
		kv_seq kv;
		hash_key key = {{0}};
		hash256 root = {{0}};
		forward_buffers fb = {0};
		assert_int_equal(page_pool_open(&pages, 16u << 20, &err), SN_OK);
		assert_int_equal(kv_seq_init(&kv, pages, &m->kv, 256, &key, &root, &err), SN_OK);
		assert_true(kv_seq_extend(&kv, n));
		assert_int_equal(forward_reserve(&fb, m, 64, 64, &err), SN_OK);
		const void *media[64] = {0};
		uint32_t positions[64], begin[64] = {0}, end[64], out[64];
		for (uint32_t i = 0; i < n; i++) {
			positions[i] = out[i] = i;
			end[i] = i + 1;
		}
		batch_seq s = {0, n, 0, &kv};
		forward(m, &o, &fb, page_pool_arena(pages),
		        &(batch){.n_rows = n, .n_seqs = 1, .n_out = n, .ids = ids, .media = media, .positions = positions, .key_begin = begin,
		                 .key_end = end, .out_rows = out, .seqs = &s});
		for (uint32_t i = 0; i < n; i++)
			assert_close(fb.logits + (size_t)i * m->h.n_vocab, want + (size_t)i * m->h.n_vocab, m->h.n_vocab);

		kv_seq_fini(&kv);
		forward_free(&fb);
		page_pool_close(&pages);
		model_close(&m);
		ops_fini(&o);
		pool_close(&threads);
		free(ids);
		free(want);
	}
}

static void greedy_text_equals_transformers(void **state)
{
	(void)state;
	size_t n;
	int32_t *want = read_golden("text.greedy", &n);
	sn_engine *e = open_engine((sn_engine_config){0});
	struct answer a = ask(e, &(struct ask){.text = "Count to 10 in \u00e9nglish!", .max_tokens = 64});
	assert_int_equal(a.status, SN_OK);
	assert_int_equal(a.n, 64);
	assert_memory_equal(a.ids, want, n);
	size_t n_prompt;
	free(read_golden("text.ids", &n_prompt));
	assert_int_equal(a.usage.prompt_tokens, n_prompt / 4);
	assert_int_equal(a.usage.completion_tokens, 64);
	assert_all_pages_free(e);
	sn_engine_close(&e);
	free(want);
}

static void greedy_picture_equals_transformers(void **state)
{
	(void)state;
	size_t n, n_png, n_prompt, n_rows;
	int32_t *want = read_golden("picture.greedy", &n);
	char *png = read_golden("picture.png", &n_png);
	float *rows = read_golden("picture.rows", &n_rows);
	free(read_golden("picture.ids", &n_prompt));
	sn_engine *e = open_engine((sn_engine_config){0});
	struct answer a = ask(e, &(struct ask){.text = "What is it?", .picture = png, .picture_size = n_png, .max_tokens = 64});
	if (a.status != SN_OK)
		fail_msg("%s", a.error.text);
	assert_int_equal(a.usage.prompt_tokens, n_prompt / 4);
	/* The rows themselves, as the media cache keeps them. */
	const media_entry *m = e->cache.lru_head;
	assert_non_null(m);
	assert_int_equal(m->bytes, n_rows);
	for (uint32_t r = 0; r < m->n_rows; r++)
		assert_close((const float *)(const void *)m->rows + (size_t)r * m->dim, rows + (size_t)r * m->dim, m->dim);
	assert_int_equal(a.n, 64);
	assert_memory_equal(a.ids, want, n);
	sn_engine_close(&e);
	free(want);
	free(png);
	free(rows);
}

/* ---- same bytes ---- */

enum { N_ASKS = 8 };

static void make_asks(struct ask *asks, const char *png, size_t n_png)
{
	static const char *const texts[N_ASKS] = {
	    "a", "Read the image.", "The quick brown fox jumps over the lazy dog, again and again and again, until the block of pages is full and one more begins: full.",
	    "The quick brown fox jumps over the lazy dog, again and again and again, until the block of pages is full and one more begins: empty.", "What is it?",
	    "Zeichne 7 Striche: |||||||", "\xe6\xbc\xa2\xe5\xad\x97 and \xf0\x9f\x98\x80", "What is it? And why is it, in more words than before, so that the rows of the picture and the words behind it fill a whole block and spill over into the next?"};
	for (int i = 0; i < N_ASKS; i++) {
		bool pic = i == 1 || i == 4 || i == 7;
		asks[i] = (struct ask){.text = texts[i], .picture = pic ? png : NULL, .picture_size = pic ? n_png : 0,
		                       .temperature = i % 2 ? 0.9f : 0, .seed = 100 + (uint64_t)i, .max_tokens = 20 + (uint32_t)i * 7};
	}
}

/* All asks at once, every answer equal to the one given alone. */
static void check_together(sn_engine *e, const struct ask *asks, const struct answer *alone, int first, int n)
{
	sn_request *r[N_ASKS];
	sn_error err;
	for (int i = 0; i < n; i++)
		if (submit(e, &asks[first + i], &r[i], &err) != SN_OK)
			fail_msg("%s", err.text);
	for (int i = 0; i < n; i++) {
		struct answer a = {0};
		collect(r[i], &a);
		sn_request_close(&r[i]);
		assert_same(&a, &alone[first + i]);
	}
}

/* Blocks of 64 rows: types of a byte a channel have four times as many in a page, more than these prompts. */
static sn_engine *open_small(sn_engine_config c)
{
	sn_engine *e = open_empty(c);
	load_model(e, "mini", "model.gguf", "mmproj.gguf");
	kv_layout *l = &e->models[0].m->kv;
	for (uint32_t i = 0; i < l->n_groups; i++) {
		assert_int_equal(l->groups[i].n_slabs, 1);
		l->groups[i].block_tokens = 64;
		kv_group_measure(&l->groups[i]);
	}
	start_engine(e);
	return e;
}

static void the_same_bytes_in_every_company_with(sn_kv_dtype type)
{
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	struct ask asks[N_ASKS];
	static struct answer alone[N_ASKS];
	make_asks(asks, png, n_png);
	sn_engine *e = open_engine((sn_engine_config){.threads = 1, .no_prefix_caching = true, .kv_dtype = type});
	for (int i = 0; i < N_ASKS; i++)
		alone[i] = ask(e, &asks[i]);
	sn_engine_close(&e);

	const struct { const char *name; sn_engine_config c; } ways[] = {
	    {"chunks of one row", {.threads = 1, .max_num_batched_tokens = 1, .max_num_seqs = 1}},
	    {"chunks of 16 rows", {.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 8}},
	    {"prefix cache, two threads", {.threads = 2}},
	    {"no prefix cache, three threads", {.threads = 3, .no_prefix_caching = true}},
	};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		sn_engine_config way = ways[w].c;
		way.kv_dtype = type;
		e = open_small(way);
		for (int round = 0; round < 2; round++) /* the second round meets a warm cache */
			for (int i = 0; i < N_ASKS; i++) {
				struct answer a = ask(e, &asks[i]);
				assert_same(&a, &alone[i]);
			}
		for (int n = 2; n <= N_ASKS; n++)
			check_together(e, asks, alone, 0, n);
		assert_all_pages_free(e);
		if (!ways[w].c.no_prefix_caching)
			assert_true(metric_get(&e->metrics, M_PREFIX_HITS) > 0);
		sn_engine_close(&e);
	}
	free(png);
}

/* The types that round. */
static void the_same_bytes_in_every_company(void **state)
{
	static const sn_kv_dtype types[] = {SN_KV_F16, SN_KV_BF16, SN_KV_Q8_0, SN_KV_FP8};
	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		the_same_bytes_in_every_company_with(types[i]);
}

/* Check 44. */
static void preemption_changes_no_byte(void **state)
{
	(void)state;
	/* 16 pages; each of 8 requests grows to several blocks, so that they cannot all stay. */
	static struct answer alone[N_ASKS];
	struct ask asks[N_ASKS];
	static char texts[N_ASKS][160];
	for (int i = 0; i < N_ASKS; i++) {
		snprintf(texts[i], sizeof texts[i], "%d: %.*s", i, 100, "every page counts when there are few of them and many want one, so some must wait and some must go back");
		asks[i] = (struct ask){.text = texts[i], .temperature = 0.7f, .seed = (uint64_t)i, .max_tokens = 320};
	}
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	for (int i = 0; i < N_ASKS; i++)
		alone[i] = ask(e, &asks[i]);
	sn_engine_close(&e);
	e = open_engine((sn_engine_config){.threads = 2, .kv_cache_memory = 16 * PAGE_BYTES});
	check_together(e, asks, alone, 0, N_ASKS);
	assert_true(metric_get(&e->metrics, M_PREEMPTIONS) > 0);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- caches ---- */

static void a_picture_is_encoded_once(void **state)
{
	(void)state;
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	sn_engine *e = open_engine((sn_engine_config){0});
	struct ask q = {.text = "What is it?", .picture = png, .picture_size = n_png, .max_tokens = 4, .key = "a"};
	struct answer a = ask(e, &q);
	q.text = "And what colour has it?";
	ask(e, &q);
	assert_int_equal(a.status, SN_OK);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), 1);
	q.key = "b"; /* another key shares nothing */
	ask(e, &q);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), 2);
	sn_engine_close(&e);
	free(png);
}

static void a_prefix_is_shared_within_a_key_only(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	char words[400];
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = 0;
	struct ask q = {.text = words, .max_tokens = 4, .key = "a"};
	assert_int_equal(ask(e, &q).usage.cached_tokens, 0);
	assert_true(ask(e, &q).usage.cached_tokens > 0);
	q.key = "b";
	assert_int_equal(ask(e, &q).usage.cached_tokens, 0);
	sn_engine_close(&e);
}

/* ---- when things go wrong ---- */

/* Check 46. */
static void a_cancelled_request_frees_its_pages(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.no_prefix_caching = true});
	struct ask q = {.text = "go on for long", .max_tokens = 400};
	for (int i = 0; i < 20; i++) {
		sn_request *r;
		sn_event ev;
		sn_error err;
		assert_int_equal(submit(e, &q, &r, &err), SN_OK);
		if (i % 2)
			sn_request_next(r, 1000, &ev);
		sn_request_close(&r);
		assert_all_pages_free(e);
	}
	assert_int_equal(metric_get(&e->metrics, M_CANCELLED), 20);
	sn_engine_close(&e);
}

/* Check 47. */
static void a_reader_that_stops_reading_holds_up_nobody(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	struct ask slow = {.text = "never read", .max_tokens = 450, .timeout_ms = 1500}, quick = {.text = "quick", .max_tokens = 8};
	sn_request *r;
	sn_error err;
	assert_int_equal(submit(e, &slow, &r, &err), SN_OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(e, &quick).status, SN_OK);
	/* Its deadline passes while its ring is full: pages come back without its help. */
	for (int i = 0; i < 400 && metric_get(&e->metrics, M_FAILED) == 0; i++)
		usleep(10000);
	assert_all_pages_free(e);
	struct answer a = {0};
	collect(r, &a);
	assert_int_equal(a.status, SN_ERR_DEADLINE);
	sn_request_close(&r);
	sn_engine_close(&e);
}

/* A model that takes 5 ms for a token. */
static void slow_mask(void *ctx, uint32_t choice, uint32_t *mask, uint32_t n_vocab, const int32_t *tokens, size_t n_tokens)
{
	(void)ctx, (void)choice, (void)mask, (void)n_vocab, (void)tokens, (void)n_tokens;
	usleep(5000);
}

/* Time in the queue, time in all, and a reader that stops: each ends its own request, with its own words, and gives back what it held. */
static void check_47_each_deadline_ends_its_own_request(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.max_num_seqs = 1, .queue_timeout_ms = 150});
	sn_sampling slow;
	sn_sampling_init(&slow);
	slow.ignore_eos = true;
	slow.mask = slow_mask;
	slow.max_tokens = 120; /* 600 ms: four times what it might wait */
	sn_request *running, *waiting, *late;
	struct answer a = {0}, b = {0}, c = {0};
	sn_error err;
	uint64_t failed = metric_get(&e->metrics, M_FAILED);
	assert_int_equal(submit(e, &(struct ask){.text = "runs", .sampling = &slow}, &running, &err), SN_OK);
	double start = clock_ms();
	assert_int_equal(submit(e, &(struct ask){.text = "waits", .max_tokens = 4}, &waiting, &err), SN_OK);
	collect(waiting, &b);
	assert_true(clock_ms() - start >= 150);
	assert_int_equal(b.status, SN_ERR_DEADLINE);
	assert_non_null(strstr(b.error.text, "waited in the queue"));
	assert_int_equal(metric_get(&e->metrics, M_FAILED), failed + 1);
	collect(running, &a); /* it had begun: the queue's limit is not its own */
	assert_int_equal(a.status, SN_OK);
	assert_int_equal(a.usage.completion_tokens, 120);

	assert_int_equal(submit(e, &(struct ask){.text = "late", .sampling = &slow, .timeout_ms = 200}, &late, &err), SN_OK);
	collect(late, &c);
	assert_int_equal(c.status, SN_ERR_DEADLINE);
	assert_non_null(strstr(c.error.text, "took longer"));
	assert_int_equal(metric_get(&e->metrics, M_FAILED), failed + 2);
	sn_request_close(&running);
	sn_request_close(&waiting);
	sn_request_close(&late);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* Check 45. */
static void what_cannot_fit_is_refused_at_once(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.max_model_len = 64});
	char words[400];
	memset(words, 'y', sizeof words - 1);
	words[sizeof words - 1] = 0;
	assert_int_equal(ask(e, &(struct ask){.text = words, .max_tokens = 4}).status, SN_ERR_CONTEXT_LENGTH);
	assert_int_equal(ask(e, &(struct ask){.text = "y", .max_tokens = 60}).status, SN_ERR_CONTEXT_LENGTH);
	struct answer a = ask(e, &(struct ask){.text = "y"}); /* no max_tokens: the rest of the context */
	assert_int_equal(a.status, SN_OK);
	assert_int_equal(a.usage.prompt_tokens + a.usage.completion_tokens, 64);
	sn_engine_close(&e);
	e = open_engine((sn_engine_config){.kv_cache_memory = PAGE_BYTES});
	assert_int_equal(ask(e, &(struct ask){.text = "z", .max_tokens = 480}).status, SN_ERR_CONTEXT_LENGTH);
	assert_int_equal(ask(e, &(struct ask){.text = "z", .max_tokens = 8}).status, SN_OK);
	sn_engine_close(&e);
}

/* Check 48. */
static void a_full_queue_says_so(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.max_num_seqs = 2, .max_queued_requests = 4});
	sn_request *r[20];
	int accepted = 0, refused = 0;
	for (int i = 0; i < 20; i++) {
		sn_error err;
		sn_status st = submit(e, &(struct ask){.text = "wait your turn", .max_tokens = 300}, &r[accepted], &err);
		assert_true(st == SN_OK || st == SN_ERR_QUEUE_FULL);
		accepted += st == SN_OK;
		refused += st != SN_OK;
	}
	assert_true(accepted >= 6 && refused > 0);
	for (int i = 0; i < accepted; i++) {
		struct answer a = {0};
		collect(r[i], &a);
		assert_int_equal(a.status, SN_OK);
		assert_int_equal(a.n, 300);
		sn_request_close(&r[i]);
	}
	assert_int_equal(metric_get(&e->metrics, M_REJECTED), refused);
	sn_engine_close(&e);
}

/* Check 49. */
static void nan_fails_one_request_only(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	struct ask good = {.text = "all is well here", .max_tokens = 40, .temperature = 0.8f, .seed = 7};
	struct answer alone = ask(e, &good);
	float *copy = poison(e);
	sn_request *r[8];
	sn_error err;
	for (int i = 0; i < 8; i++) {
		struct ask bad = {.text = "Question", .max_tokens = 40};
		assert_int_equal(submit(e, i == 3 ? &bad : &good, &r[i], &err), SN_OK);
	}
	for (int i = 0; i < 8; i++) {
		struct answer a = {0};
		collect(r[i], &a);
		sn_request_close(&r[i]);
		if (i == 3)
			assert_int_equal(a.status, SN_ERR_INTERNAL);
		else
			assert_same(&a, &alone);
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
	free(copy);
}

static void a_failure_after_some_tokens_is_one_error_event(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	float *copy = poison(e);
	struct answer a = ask(e, &(struct ask){.text = "go", .max_tokens = 8, .bias = {'Q', 100}});
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, SN_ERR_INTERNAL);
	sn_engine_close(&e);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(logits_equal_transformers),
	    cmocka_unit_test(greedy_text_equals_transformers),
	    cmocka_unit_test(greedy_picture_equals_transformers),
	    cmocka_unit_test(the_same_bytes_in_every_company),
	    cmocka_unit_test(preemption_changes_no_byte),
	    cmocka_unit_test(a_picture_is_encoded_once),
	    cmocka_unit_test(a_prefix_is_shared_within_a_key_only),
	    cmocka_unit_test(a_cancelled_request_frees_its_pages),
	    cmocka_unit_test(check_47_each_deadline_ends_its_own_request),
	    cmocka_unit_test(a_reader_that_stops_reading_holds_up_nobody),
	    cmocka_unit_test(what_cannot_fit_is_refused_at_once),
	    cmocka_unit_test(a_full_queue_says_so),
	    cmocka_unit_test(nan_fails_one_request_only),
	    cmocka_unit_test(a_failure_after_some_tokens_is_one_error_event),
	};
	return kit_run(tests);
}
