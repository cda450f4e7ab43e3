/* Several choices of one request: one prompt held once, the same bytes whatever n is, each choice's end its own. */
#include "engine_kit.h"

enum { MAX_N = 5, BLOCK = 128 }; /* rows of the miniature's block */

static const char LONG[] = "Once there was a page that was so long that it had to be laid over several pages, and whoever asked about it had to "
                           "read all of them first; but those who asked together read it together, and only what each of them said afterwards was "
                           "written on a sheet of its own, which was thrown away in the end.";

/* ---- pages ---- */

struct watch {
	sn_engine *e;
	uint32_t most_pages;
	uint64_t most_running, most_waiting;
};

/* A mask that forbids nothing is called on the engine thread whenever a token is sampled: a place to look at the pool from. */
static void look(void *ctx, uint32_t choice, uint32_t *mask, uint32_t n_vocab, const int32_t *tokens, size_t n_tokens)
{
	(void)choice, (void)mask, (void)n_vocab, (void)tokens;
	struct watch *w = ctx;
	uint32_t used = page_pool_total(w->e->pages) - page_pool_available(w->e->pages);
	w->most_pages = used > w->most_pages ? used : w->most_pages;
	if (n_tokens > 1) { /* the gauges are set when a step is over */
		uint64_t running = metric_get(&w->e->metrics, M_RUNNING), waiting = metric_get(&w->e->metrics, M_WAITING);
		w->most_running = running > w->most_running ? running : w->most_running;
		w->most_waiting = waiting > w->most_waiting ? waiting : w->most_waiting;
	}
}

static struct watch most_pages(sn_engine *e, uint32_t n, uint32_t *n_prompt)
{
	static struct answer out[SN_MAX_CHOICES];
	struct ask a = {.text = LONG, .temperature = 1, .seed = 3, .max_tokens = 100, .n = n};
	sn_sampling s = sampling_of(&a);
	struct watch w = {.e = e};
	s.mask = look;
	s.mask_ctx = &w;
	a.sampling = &s;
	ask_all(e, &a, out, n);
	assert_int_equal(out->status, SN_OK);
	*n_prompt = out->usage.prompt_tokens;
	assert_int_equal(out->usage.completion_tokens, 100 * n);
	assert_all_pages_free(e);
	return w;
}

static void choices_hold_the_prompt_once(void **state)
{
	(void)state;
	for (int cached = 0; cached < 2; cached++) {
		sn_engine *e = open_engine((sn_engine_config){.threads = 2, .no_prefix_caching = !cached});
		uint32_t n_prompt;
		assert_int_equal(e->models[0].m->kv.groups[0].block_tokens, BLOCK);
		assert_int_equal(e->models[0].m->kv.groups[0].n_slabs, 1);
		uint32_t one = most_pages(e, 1, &n_prompt).most_pages, shared = (n_prompt - 1) / BLOCK;
		assert_true(shared >= 2);
		assert_int_equal(one, (n_prompt + 99 + BLOCK - 1) / BLOCK);
		assert_int_equal(most_pages(e, 4, &n_prompt).most_pages, shared + 4 * (one - shared));
		assert_int_equal(most_pages(e, 16, &n_prompt).most_pages, shared + 16 * (one - shared));
		sn_engine_close(&e);
	}
}

/* Computed once, too: n choices cost one prompt and n tails. */
static void choices_compute_the_prompt_once(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2, .no_prefix_caching = true});
	uint32_t n_prompt;
	uint64_t before = metric_get(&e->metrics, M_ROWS);
	most_pages(e, 6, &n_prompt);
	uint32_t shared = (n_prompt - 1) / BLOCK * BLOCK;
	assert_int_equal(metric_get(&e->metrics, M_ROWS) - before, shared + 6 * (n_prompt - shared + 99));
	sn_engine_close(&e);
}

static void metrics_count_a_request_once_and_all_its_tokens(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	uint32_t n_prompt;
	uint64_t prompt = metric_get(&e->metrics, M_PROMPT_TOKENS), said = metric_get(&e->metrics, M_GENERATION_TOKENS);
	uint64_t ended = metric_get(&e->metrics, M_OK_LENGTH), stopped = metric_get(&e->metrics, M_OK_STOP);
	struct watch w = most_pages(e, 4, &n_prompt);
	assert_int_equal(w.most_running, 1);
	assert_int_equal(w.most_waiting, 0);
	assert_int_equal(metric_get(&e->metrics, M_PROMPT_TOKENS) - prompt, n_prompt);
	assert_int_equal(metric_get(&e->metrics, M_GENERATION_TOKENS) - said, 400);
	assert_int_equal(metric_get(&e->metrics, M_OK_LENGTH) - ended, 1);
	assert_int_equal(metric_get(&e->metrics, M_OK_STOP) - stopped, 0);
	assert_int_equal(metric_get(&e->metrics, M_RUNNING), 0);
	sn_engine_close(&e);
}

static void a_prompt_that_is_cached_is_counted_once(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	static struct answer out[MAX_N];
	struct ask a = {.text = LONG, .max_tokens = 4, .n = MAX_N};
	ask_all(e, &a, out, MAX_N);
	assert_int_equal(out->usage.cached_tokens, 0);
	ask_all(e, &a, out, MAX_N);
	assert_int_equal(out->usage.cached_tokens, (out->usage.prompt_tokens - 1) / BLOCK * BLOCK);
	sn_engine_close(&e);
}

/* ---- same bytes ---- */

enum { N_PROMPTS = 4 };
static const uint32_t WIDTHS[] = {1, 2, MAX_N};
static struct answer reference[N_PROMPTS][MAX_N];

static void make_prompts(struct ask *asks, const char *png, size_t n_png)
{
	asks[0] = (struct ask){.text = "short", .temperature = 0.9f, .seed = 11, .max_tokens = 24};
	asks[1] = (struct ask){.text = LONG, .temperature = 1, .seed = 12, .max_tokens = 60};
	asks[2] = (struct ask){.text = "What is it? And why is it, in so many words that the rows of the picture and the words behind it fill a whole block and spill over?",
	                       .picture = png, .picture_size = n_png, .temperature = 0.8f, .seed = 13, .max_tokens = 30};
	asks[3] = (struct ask){.text = LONG + 60, .temperature = 0, .seed = 14, .max_tokens = 40};
}

static void ask_prompt(sn_engine *e, struct ask a, int i, uint32_t n)
{
	static struct answer out[MAX_N];
	a.n = n;
	ask_all(e, &a, out, n);
	for (uint32_t c = 0; c < n; c++)
		assert_same(&out[c], &reference[i][c]);
}

/* All prompts in all widths at once. */
static void ask_together(sn_engine *e, const struct ask *asks)
{
	sn_request *r[N_PROMPTS * 3];
	static struct answer out[MAX_N];
	sn_error err;
	for (int i = 0; i < N_PROMPTS * 3; i++) {
		struct ask a = asks[i % N_PROMPTS];
		a.n = WIDTHS[i / N_PROMPTS];
		if (submit(e, &a, &r[i], &err) != SN_OK)
			fail_msg("%s", err.text);
	}
	for (int i = 0; i < N_PROMPTS * 3; i++) {
		memset(out, 0, sizeof out);
		collect_all(r[i], out, WIDTHS[i / N_PROMPTS]);
		for (uint32_t c = 0; c < WIDTHS[i / N_PROMPTS]; c++)
			assert_same(&out[c], &reference[i % N_PROMPTS][c]);
		sn_request_close(&r[i]);
	}
}

static void a_choice_is_the_same_whatever_n_is(void **state)
{
	(void)state;
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	struct ask asks[N_PROMPTS];
	make_prompts(asks, png, n_png);
	sn_engine *e = open_engine((sn_engine_config){.threads = 1, .no_prefix_caching = true, .kv_dtype = SN_KV_F16});
	for (int i = 0; i < N_PROMPTS; i++) {
		struct ask a = asks[i];
		a.n = MAX_N;
		ask_all(e, &a, reference[i], MAX_N);
		assert_int_equal(reference[i]->status, SN_OK);
		for (uint32_t c = 1; c < MAX_N; c++) /* greedy choices are one, drawn ones differ */
			assert_int_equal(memcmp(reference[i][c].ids, reference[i][0].ids, 20 * sizeof(int32_t)) == 0, a.temperature == 0);
	}
	sn_engine_close(&e);
	const sn_engine_config ways[] = {
	    {.threads = 1, .max_num_batched_tokens = 1, .max_num_seqs = 1},
	    {.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 8},
	    {.threads = 2, .max_num_batched_tokens = 200, .max_num_seqs = 3, .no_prefix_caching = true},
	    {.threads = 3},
	};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		sn_engine_config way = ways[w];
		way.kv_dtype = SN_KV_F16; /* the type that rounds */
		e = open_engine(way);
		for (int round = 0; round < 2; round++) /* the second round meets a warm cache */
			for (int i = 0; i < N_PROMPTS; i++)
				for (size_t k = 0; k < 3; k++)
					ask_prompt(e, asks[i], i, WIDTHS[k]);
		ask_together(e, asks);
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
	/* Check 44: pages for about two long sequences, six and more of which want to stay. */
	for (int cached = 0; cached < 2; cached++) {
		e = open_engine((sn_engine_config){.threads = 2, .kv_cache_memory = 8 * PAGE_BYTES, .no_prefix_caching = !cached, .kv_dtype = SN_KV_F16});
		ask_together(e, asks);
		assert_true(metric_get(&e->metrics, M_PREEMPTIONS) > 0);
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
	free(png);
}

/* One sequence fills the pool alone: sixteen still all end well, one after the other. */
static void choices_that_fit_one_at_a_time_all_finish(void **state)
{
	(void)state;
	static struct answer alone[SN_MAX_CHOICES], out[SN_MAX_CHOICES];
	struct ask a = {.text = LONG, .temperature = 1, .seed = 21, .max_tokens = 120, .n = SN_MAX_CHOICES};
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	ask_all(e, &a, alone, a.n);
	sn_engine_close(&e);
	e = open_engine((sn_engine_config){.threads = 2, .kv_cache_memory = 4 * PAGE_BYTES});
	ask_all(e, &a, out, a.n);
	for (uint32_t c = 0; c < a.n; c++)
		assert_same(&out[c], &alone[c]);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- ends ---- */

/* The shortest piece of text that choice c says and no other does; false if there is none of up to 8 bytes. */
static bool own_words(const struct answer *all, uint32_t n, uint32_t c, const char **words, size_t *size)
{
	for (*size = 1; *size <= 8; ++*size)
		for (size_t at = 4; at + *size + 4 < all[c].text_size; at++) {
			bool others = false;
			*words = all[c].text + at;
			for (uint32_t k = 0; k < n; k++)
				others |= k != c && memmem(all[k].text, all[k].text_size, *words, *size);
			/* The first place where it stands, so that the text before it is known. */
			if (!others && (const char *)memmem(all[c].text, all[c].text_size, *words, *size) == *words)
				return true;
		}
	return false;
}

static void a_stop_string_ends_its_choice_only(void **state)
{
	(void)state;
	static struct answer all[MAX_N], out[MAX_N];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	struct ask a = {.text = LONG, .temperature = 1, .seed = 31, .max_tokens = 60, .n = MAX_N};
	ask_all(e, &a, all, MAX_N);
	for (uint32_t c = 0; c < MAX_N; c++) {
		sn_sampling s = sampling_of(&a);
		struct ask b = a;
		const char *words = NULL;
		size_t size;
		assert_true(own_words(all, MAX_N, c, &words, &size));
		s.stop[0] = "no such words";
		s.stop_size[0] = strlen(s.stop[0]);
		s.stop[1] = words;
		s.stop_size[1] = size;
		s.n_stop = 2;
		b.sampling = &s;
		uint64_t ok = metric_get(&e->metrics, M_OK_LENGTH), bad = metric_get(&e->metrics, M_CANCELLED) + metric_get(&e->metrics, M_FAILED);
		ask_all(e, &b, out, MAX_N);
		uint32_t n_tokens = 0;
		for (uint32_t k = 0; k < MAX_N; k++) {
			n_tokens += out[k].n;
			assert_int_equal(out[k].stop_token, -1);
			if (k != c) {
				assert_int_equal(out[k].stop_string, -1);
				assert_same(&out[k], &all[k]);
				continue;
			}
			assert_int_equal(out[k].finish, SN_FINISH_STOP);
			assert_int_equal(out[k].stop_string, 1);
			assert_int_equal(out[k].text_size, words - all[c].text);
			assert_memory_equal(out[k].text, all[c].text, out[k].text_size);
		}
		assert_int_equal(out->usage.completion_tokens, n_tokens);
		assert_all_pages_free(e);
		assert_int_equal(metric_get(&e->metrics, M_OK_LENGTH), ok + 1); /* one of them was cut */
		assert_int_equal(metric_get(&e->metrics, M_CANCELLED) + metric_get(&e->metrics, M_FAILED), bad);
	}
	sn_engine_close(&e);
}

/* Forbids choice `which` everything but the end token once it has said n tokens. */
struct finisher { const vocab *v; uint32_t which; size_t n; int32_t eos; };

static void finish_one(void *ctx, uint32_t choice, uint32_t *mask, uint32_t n_vocab, const int32_t *tokens, size_t n_tokens)
{
	(void)tokens;
	const struct finisher *f = ctx;
	for (uint32_t t = 0; t < n_vocab; t++)
		if (vocab_is_eog(f->v, (int32_t)t))
			mask[t / 32] &= ~(1u << (t % 32));
	if (choice != f->which || n_tokens < f->n)
		return;
	memset(mask, 0, (n_vocab + 31) / 32 * sizeof *mask);
	mask[f->eos / 32] |= 1u << (f->eos % 32);
}

static void each_choice_ends_for_itself_and_is_told_once(void **state)
{
	(void)state;
	static struct answer all[MAX_N], out[MAX_N];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	const vocab *v = e->models[0].m->vocab;
	struct finisher f = {.v = v, .which = 99, .n = 7, .eos = vocab_eos(v)};
	struct ask a = {.text = LONG, .temperature = 1, .seed = 41, .max_tokens = 20, .n = MAX_N};
	sn_sampling s = sampling_of(&a);
	s.ignore_eos = false;
	s.mask = finish_one;
	s.mask_ctx = &f;
	a.sampling = &s;
	ask_all(e, &a, all, MAX_N);
	for (f.which = 0; f.which < MAX_N; f.which++) {
		ask_all(e, &a, out, MAX_N);
		for (uint32_t c = 0; c < MAX_N; c++) {
			bool ends = c == f.which;
			assert_int_equal(out[c].finish, ends ? SN_FINISH_STOP : SN_FINISH_LENGTH);
			assert_int_equal(out[c].stop_token, ends ? f.eos : -1);
			assert_int_equal(out[c].n, ends ? 7 : 20); /* the end token is no part of the answer */
			assert_memory_equal(out[c].ids, all[c].ids, out[c].n * sizeof(int32_t));
		}
		assert_int_equal(out->usage.completion_tokens, 4 * 20 + 8); /* but it was made */
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- when things go wrong ---- */

/* Check 46: in the queue, while the prompt is computed and siblings wait for it, while all of them speak. */
static void cancelling_frees_every_choice_and_ends_its_steps(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 8, .no_prefix_caching = true});
	for (int i = 0; i < 30; i++) {
		struct ask a = {.text = LONG, .temperature = 1, .seed = 51, .max_tokens = 150, .n = SN_MAX_CHOICES};
		sn_request *r;
		sn_error err;
		sn_event ev;
		assert_int_equal(submit(e, &a, &r, &err), SN_OK);
		uint64_t rows = metric_get(&e->metrics, M_ROWS);
		while (i % 3 == 1 && metric_get(&e->metrics, M_ROWS) < rows + 16 + (uint64_t)i)
			usleep(100);
		for (int k = 0; i % 3 == 2 && k < i; k++)
			assert_int_equal(sn_request_next(r, 10000, &ev), SN_EVENT_TEXT);
		double before = clock_ms();
		sn_request_close(&r);
		assert_all_pages_free(e);
		assert_true(clock_ms() - before < 500);
		rows = metric_get(&e->metrics, M_ROWS);
		usleep(2000);
		assert_int_equal(metric_get(&e->metrics, M_ROWS), rows);
	}
	assert_int_equal(metric_get(&e->metrics, M_CANCELLED), 30);
	sn_engine_close(&e);
}

/* Check 49: the choice that fails takes its siblings along and nobody else. */
static void nan_in_one_choice_fails_that_request_only(void **state)
{
	(void)state;
	static struct answer out[MAX_N], alone[2][MAX_N];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	struct ask good = {.text = "all is well here", .temperature = 0.8f, .seed = 7, .max_tokens = 40, .n = 2, .bias = {'Q', -100}};
	struct ask bad = {.text = "go", .temperature = 1, .seed = 8, .max_tokens = 200, .n = MAX_N, .bias = {'Q', 2}};
	ask_all(e, &good, alone[0], 2);
	float *copy = poison(e);
	sn_request *r[8];
	sn_error err;
	for (int i = 0; i < 8; i++)
		assert_int_equal(submit(e, i == 3 ? &bad : &good, &r[i], &err), SN_OK);
	for (int i = 0; i < 8; i++) {
		memset(out, 0, sizeof out);
		collect_all(r[i], out, i == 3 ? MAX_N : 2);
		sn_request_close(&r[i]);
		if (i == 3)
			assert_int_equal(out->status, SN_ERR_INTERNAL);
		for (uint32_t c = 0; i != 3 && c < 2; c++)
			assert_same(&out[c], &alone[0][c]);
	}
	assert_int_equal(metric_get(&e->metrics, M_FAILED), 1);
	assert_all_pages_free(e);
	sn_engine_close(&e);
	free(copy);
}

/* Sixteen choices fill the ring many times over; nothing is lost, and the deadline does not need the reader. */
static void a_slow_reader_of_many_choices_loses_nothing(void **state)
{
	(void)state;
	static struct answer alone[SN_MAX_CHOICES], out[SN_MAX_CHOICES];
	struct ask a = {.text = "never read", .temperature = 1, .seed = 61, .max_tokens = 100, .n = SN_MAX_CHOICES};
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	sn_request *r;
	sn_error err;
	ask_all(e, &a, alone, a.n);
	assert_int_equal(submit(e, &a, &r, &err), SN_OK);
	usleep(300000);
	memset(out, 0, sizeof out);
	collect_all(r, out, a.n);
	sn_request_close(&r);
	for (uint32_t c = 0; c < a.n; c++)
		assert_same(&out[c], &alone[c]);
	a.timeout_ms = 600;
	assert_int_equal(submit(e, &a, &r, &err), SN_OK);
	for (int i = 0; i < 400 && metric_get(&e->metrics, M_FAILED) == 0; i++)
		usleep(10000);
	assert_all_pages_free(e);
	memset(out, 0, sizeof out);
	collect_all(r, out, a.n);
	assert_int_equal(out->status, SN_ERR_DEADLINE);
	sn_request_close(&r);
	sn_engine_close(&e);
}

/* Check 48: a request takes one place, however many choices it has. */
static void the_queue_counts_requests(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2, .max_num_seqs = 2, .max_queued_requests = 2});
	static struct answer out[SN_MAX_CHOICES];
	struct ask a = {.text = "wait your turn", .temperature = 1, .max_tokens = 200, .n = SN_MAX_CHOICES};
	sn_request *r[5];
	sn_error err;
	for (int i = 0; i < 4; i++)
		assert_int_equal(submit(e, &a, &r[i], &err), SN_OK);
	assert_int_equal(submit(e, &a, &r[4], &err), SN_ERR_QUEUE_FULL);
	for (int i = 0; i < 4; i++) {
		memset(out, 0, sizeof out);
		collect_all(r[i], out, a.n);
		assert_int_equal(out->status, SN_OK);
		assert_int_equal(out->usage.completion_tokens, 200 * a.n);
		sn_request_close(&r[i]);
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(choices_hold_the_prompt_once),
	    cmocka_unit_test(choices_compute_the_prompt_once),
	    cmocka_unit_test(metrics_count_a_request_once_and_all_its_tokens),
	    cmocka_unit_test(a_prompt_that_is_cached_is_counted_once),
	    cmocka_unit_test(a_choice_is_the_same_whatever_n_is),
	    cmocka_unit_test(choices_that_fit_one_at_a_time_all_finish),
	    cmocka_unit_test(a_stop_string_ends_its_choice_only),
	    cmocka_unit_test(each_choice_ends_for_itself_and_is_told_once),
	    cmocka_unit_test(cancelling_frees_every_choice_and_ends_its_steps),
	    cmocka_unit_test(nan_in_one_choice_fails_that_request_only),
	    cmocka_unit_test(a_slow_reader_of_many_choices_loses_nothing),
	    cmocka_unit_test(the_queue_counts_requests),
	};
	return kit_run(tests);
}
