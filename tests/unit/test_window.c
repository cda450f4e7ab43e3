/* test_window.c - windows of a recording through the engine: an encoder-decoder model (tests/golden/hf/whisper) with an encoder that
 * hands on the rows that transformers' made, so that greedy answers must be transformers' own. Many at once, in a pool that is too small,
 * beside a chat model that shares it. */
#include "engine_kit.h"

enum { STEPS = 16, N_WINDOWS = 3, N_VOCAB = 363, N_CROSS = 40, WIDTH = 16, ROWS_BYTES = N_CROSS * WIDTH * 4 };

static int32_t *IDS, *GREEDY;
static float *ROWS, *LOGITS, *CROSS;
static uint32_t FIRST[N_WINDOWS + 1]; /* of each window's prompt in IDS, where -1 ends each */

/* ---- an encoder whose media are its rows ---- */

static uint32_t holes_to_plan = 1, rows_to_plan = N_CROSS;
static useconds_t unit_us; /* so long takes a unit: time for others to arrive, who then begin together */
static metrics *watched;   /* if not NULL: of the engine whose tokens are counted while units run */
static uint64_t tokens_before_unit;

static uint32_t row_dim(const void *instance)
{
	(void)instance;
	return WIDTH;
}

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *plan, sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)fault;
	plan->n_rows = rows_to_plan;
	plan->n_holes = holes_to_plan;
	plan->n_units = 3;
	plan->state_bytes = sizeof(uint32_t) + ROWS_BYTES;
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *plan, char *text, sn_hole *holes,
                    sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)text, (void)fault;
	for (uint32_t i = 0; i < plan->n_holes; i++)
		holes[i] = (sn_hole){0, i ? 1 : plan->n_rows - (plan->n_holes - 1)};
	return SN_RC_OK;
}

struct state { uint32_t done; float rows[N_CROSS * WIDTH]; };

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *plan,
                   sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)plan, (void)fault;
	memcpy(((struct state *)state)->rows, media->samples, media->bytes);
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                  sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)max_units, (void)fault;
	struct state *s = state;
	*units_done = 1;
	usleep(unit_us);
	tokens_before_unit = watched ? metric_get(watched, M_GENERATION_TOKENS) : 0;
	if (++s->done < 3)
		return SN_RC_AGAIN;
	memcpy(rows, s->rows, sizeof s->rows);
	return SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance, (void)state;
}

static const sn_plugin DESC = {.size = sizeof DESC, .id = "rows"};
static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_DATA, .kind_name = "data", .row_dim = row_dim, .plan = plan, .layout = layout};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = begin, .step = step, .end = end};
static plugin PLUGIN = {.desc = &DESC, .plan = &PLAN, .encode = &ENCODE};
static encoder ENCODER = {.p = &PLUGIN, .id = 99};

/* ---- asking ---- */

static sn_engine *open_window_engine(sn_engine_config c)
{
	sn_engine *e = open_empty(c);
	load_model(e, "listens", "whisper", NULL);
	load_model(e, "chats", "llama", NULL);
	start_engine(e);
	return e;
}

/* Window w of the golden, its prompt in two pieces. more: what else is asked, or NULL. */
static sn_status ask_more(sn_engine *e, uint32_t w, uint32_t max_tokens, const window_ask *more, sn_request **r, sn_error *err)
{
	uint32_t n = FIRST[w + 1] - FIRST[w] - 1;
	const prompt_piece pieces[] = {{.ids = IDS + FIRST[w], .n_ids = 1}, {.ids = IDS + FIRST[w] + 1, .n_ids = n - 1}};
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .samples = ROWS + (size_t)w * N_CROSS * WIDTH, .bytes = ROWS_BYTES,
	                  .hash = {(uint8_t)(w + 1)}};
	window_ask a = more ? *more : (window_ask){0};
	a.request_id = "test";
	a.model = "listens";
	a.enc = &ENCODER;
	a.media = &media;
	a.pieces = pieces;
	a.n_pieces = 2;
	sn_sampling_init(&a.sampling);
	a.sampling.temperature = 0;
	a.sampling.max_tokens = max_tokens;
	a.sampling.ignore_eos = a.sampling.logprobs = true;
	return window_submit(e, &a, r, err);
}

static sn_status ask_window(sn_engine *e, uint32_t w, uint32_t max_tokens, sn_request **r, sn_error *err)
{
	return ask_more(e, w, max_tokens, NULL, r, err);
}

static sn_request *must_ask(sn_engine *e, uint32_t w)
{
	sn_request *r;
	sn_error err = {0};
	if (ask_window(e, w, STEPS, &r, &err) != SN_OK)
		fail_msg("%s", err.text);
	return r;
}

static void check_answer(sn_request **r, uint32_t w)
{
	static struct answer a;
	memset(&a, 0, sizeof a);
	collect(*r, &a);
	sn_request_close(r);
	if (a.status != SN_OK)
		fail_msg("window %u: %s", w, a.error.text);
	assert_int_equal(a.n, STEPS);
	assert_memory_equal(a.ids, GREEDY + w * STEPS, STEPS * sizeof *a.ids);
	assert_int_equal(a.usage.prompt_tokens, N_CROSS + FIRST[w + 1] - FIRST[w] - 1);
	assert_int_equal(a.usage.media_rows, N_CROSS);
	assert_int_equal(a.usage.cached_tokens, 0);
}

/* ---- promises ---- */

static void a_window_says_what_transformers_says(void **state)
{
	(void)state;
	static const uint32_t budgets[] = {4, 41, 512};
	for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++)
		for (int f16 = 0; f16 < 2; f16++) {
			sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .max_num_batched_tokens = budgets[b], .max_num_seqs = 4,
			                                                     .kv_dtype = f16 ? SN_KV_F16 : SN_KV_F32});
			sn_request *r[2 * N_WINDOWS];
			for (uint32_t i = 0; i < 2 * N_WINDOWS; i++)
				r[i] = must_ask(e, i % N_WINDOWS);
			for (uint32_t i = 0; i < 2 * N_WINDOWS; i++)
				check_answer(&r[i], i % N_WINDOWS);
			assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), N_WINDOWS); /* the second of each met the first one's rows */
			assert_all_pages_free(e);
			assert_int_equal(metric_get(&e->metrics, M_PAGES_CACHED), 0);
			sn_engine_close(&e);
		}
}

/* A page holds 16 rows of a layer in F32 many times over, so the pool must be tiny for windows to be in each other's way. */
static void windows_and_chats_share_a_pool_that_is_too_small(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .max_num_batched_tokens = 128, .kv_cache_memory = 7u << 18, .kv_dtype = SN_KV_F32});
	sn_request *r[4 * N_WINDOWS], *chat[4];
	static const char text[] = "Zeichne 12 Kreise";
	sn_error err;
	struct ask ask_chat = {.text = text, .model = "chats", .max_tokens = 200};
	struct answer alone = ask(e, &ask_chat);
	unit_us = 20000;
	for (uint32_t i = 0; i < 4 * N_WINDOWS; i++) {
		r[i] = must_ask(e, i % N_WINDOWS);
		if (i % N_WINDOWS == 0)
			assert_int_equal(submit(e, &ask_chat, &chat[i / N_WINDOWS], &err), SN_OK);
	}
	for (uint32_t i = 0; i < 4; i++) {
		static struct answer beside;
		memset(&beside, 0, sizeof beside);
		collect(chat[i], &beside);
		sn_request_close(&chat[i]);
		assert_same(&alone, &beside);
	}
	for (uint32_t i = 0; i < 4 * N_WINDOWS; i++)
		check_answer(&r[i], i % N_WINDOWS);
	assert_true(metric_get(&e->metrics, M_PREEMPTIONS) > 0);
	unit_us = 0;
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

static void choices_share_what_the_window_fills(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .kv_dtype = SN_KV_F32});
	static struct answer a[4];
	memset(a, 0, sizeof a);
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .samples = ROWS, .bytes = ROWS_BYTES, .hash = {1}};
	const prompt_piece piece = {.ids = IDS, .n_ids = FIRST[1] - 1};
	window_ask w = {.request_id = "test", .model = "listens", .enc = &ENCODER, .media = &media, .pieces = &piece, .n_pieces = 1};
	sn_sampling_init(&w.sampling);
	w.sampling.n = 4;
	w.sampling.temperature = 0;
	w.sampling.max_tokens = STEPS;
	w.sampling.ignore_eos = w.sampling.logprobs = true;
	sn_request *r;
	uint64_t before = metric_get(&e->metrics, M_ROWS);
	assert_int_equal(window_submit(e, &w, &r, NULL), SN_OK);
	collect_all(r, a, 4);
	sn_request_close(&r);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(a[i].status, SN_OK);
		assert_memory_equal(a[i].ids, GREEDY, STEPS * sizeof *GREEDY);
	}
	assert_int_equal(metric_get(&e->metrics, M_ROWS) - before, N_CROSS + 4 * (FIRST[1] - 1 + STEPS - 1));
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

static void text_pieces_are_trusted_or_not(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .kv_dtype = SN_KV_F32});
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .samples = ROWS, .bytes = ROWS_BYTES, .hash = {1}};
	static const char special[] = "<|startoftranscript|>";
	for (int trusted = 0; trusted < 2; trusted++) {
		const prompt_piece piece = {.text = special, .size = sizeof special - 1, .trusted = trusted};
		window_ask w = {.request_id = "test", .model = "listens", .enc = &ENCODER, .media = &media, .pieces = &piece, .n_pieces = 1};
		sn_sampling_init(&w.sampling);
		w.sampling.max_tokens = 1;
		sn_request *r;
		static struct answer a;
		memset(&a, 0, sizeof a);
		assert_int_equal(window_submit(e, &w, &r, NULL), SN_OK);
		collect(r, &a);
		sn_request_close(&r);
		assert_int_equal(a.usage.prompt_tokens == N_CROSS + 1, trusted);
	}
	sn_engine_close(&e);
}

static void refuse(sn_engine *e, sn_status want, const char *what, const window_ask *change)
{
	sn_error err = {0};
	sn_request *r = NULL;
	sn_media media = {.size = sizeof media, .kind = SN_MEDIA_DATA, .samples = ROWS, .bytes = ROWS_BYTES, .hash = {1}};
	window_ask w = *change;
	w.enc = &ENCODER;
	w.media = &media;
	w.request_id = "test";
	uint32_t max_tokens = w.sampling.max_tokens;
	sn_sampling_init(&w.sampling);
	w.sampling.max_tokens = max_tokens;
	sn_status st = window_submit(e, &w, &r, &err);
	assert_null(r);
	if (st != want || !strstr(err.text, what))
		fail_msg("%d: %s", st, err.text);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 1, .kv_dtype = SN_KV_F32});
	static const int32_t outside[] = {N_VOCAB};
	static int32_t many[65];
	const prompt_piece bad = {.ids = outside, .n_ids = 1}, full = {.ids = many, .n_ids = 64}, most = {.ids = many, .n_ids = 60}, none = {.ids = many};
	refuse(e, SN_ERR_INVALID, "outside the vocabulary", &(window_ask){.pieces = &bad, .n_pieces = 1});
	refuse(e, SN_ERR_CONTEXT_LENGTH, "64 prompt tokens and max_tokens 0 exceed the context of 64", &(window_ask){.pieces = &full, .n_pieces = 1});
	refuse(e, SN_ERR_CONTEXT_LENGTH, "60 prompt tokens and max_tokens 5 exceed the context of 64",
	       &(window_ask){.pieces = &most, .n_pieces = 1, .sampling = {.max_tokens = 5}});
	refuse(e, SN_ERR_INVALID, "the prompt is empty", &(window_ask){.pieces = &none, .n_pieces = 1});
	refuse(e, SN_ERR_UNSUPPORTED, "takes no windows", &(window_ask){.model = "chats", .pieces = &most, .n_pieces = 1});
	holes_to_plan = 2;
	refuse(e, SN_ERR_PLUGIN, "for a model that takes one window of 40 rows", &(window_ask){.pieces = &most, .n_pieces = 1});
	holes_to_plan = 1;
	rows_to_plan = N_CROSS - 1;
	refuse(e, SN_ERR_PLUGIN, "it planned 39 rows", &(window_ask){.pieces = &most, .n_pieces = 1});
	rows_to_plan = N_CROSS;

	sn_request *r;
	sn_error err = {0};
	assert_int_equal(submit(e, &(struct ask){.text = "Hello", .model = "listens", .max_tokens = 1}, &r, &err), SN_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "listens writes down recordings: it has transcriptions, and no chat"));
	assert_string_equal(err.param, "model");
	assert_int_equal(submit(e, &(struct ask){.ids = many, .n_ids = 1, .model = "listens", .max_tokens = 1}, &r, &err), SN_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "and no completions"));
	assert_int_equal(atomic_load(&e->n_requests), 0);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

static void an_answer_may_fill_the_context(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .kv_dtype = SN_KV_F32});
	for (uint32_t w = 0; w < N_WINDOWS; w++) {
		static struct answer a;
		memset(&a, 0, sizeof a);
		sn_request *r;
		assert_int_equal(ask_window(e, w, 0, &r, NULL), SN_OK);
		collect(r, &a);
		sn_request_close(&r);
		assert_int_equal(a.n, 64 - (FIRST[w + 1] - FIRST[w] - 1));
		assert_int_equal(a.finish, SN_FINISH_LENGTH);
		assert_memory_equal(a.ids, GREEDY + w * STEPS, STEPS * sizeof *a.ids);
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- what is asked beside the tokens ---- */

static uint32_t prompt_of(uint32_t w)
{
	return FIRST[w + 1] - FIRST[w] - 1;
}

static double probability(const float *logits, int32_t token)
{
	double sum = 0;
	for (int i = 0; i < N_VOCAB; i++)
		sum += exp((double)logits[i] - (double)logits[token]);
	return 1 / sum;
}

static void a_probe_is_the_models_own_probability(void **state)
{
	(void)state;
	static const uint32_t budgets[] = {4, 512};
	for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
		sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .max_num_batched_tokens = budgets[b], .max_num_seqs = 4, .kv_dtype = SN_KV_F32});
		sn_request *r[4 * N_WINDOWS];
		const float *logits = LOGITS;
		window_ask asks[4 * N_WINDOWS];
		for (uint32_t i = 0; i < 4 * N_WINDOWS; i++) { /* the last row too, which has two outputs */
			uint32_t w = i % N_WINDOWS, last = prompt_of(w) - 1;
			asks[i] = (window_ask){.probes = true, .probe_token = (int32_t)(i * 31 % N_VOCAB), .probe_row = i < N_WINDOWS ? last : (i * 7) % (last + 1)};
			assert_int_equal(ask_more(e, w, 3, &asks[i], &r[i], NULL), SN_OK);
		}
		for (uint32_t i = 0; i < 4 * N_WINDOWS; i++) {
			uint32_t w = i % N_WINDOWS, first = 0;
			sn_event ev;
			assert_int_equal(sn_request_next(r[i], 20000, &ev), SN_EVENT_TEXT);
			for (uint32_t k = 0; k < w; k++)
				first += prompt_of(k);
			double want = probability(logits + (size_t)(first + asks[i].probe_row) * N_VOCAB, asks[i].probe_token);
			assert_float_equal(window_probe(r[i]), want, 1e-5);
			sn_request_close(&r[i]);
		}
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
}

static void taps_are_the_weights_of_cross_attention(void **state)
{
	(void)state;
	static const uint32_t heads[][2] = {{0, 1}, {1, 0}, {2, 1}};
	static const uint32_t budgets[] = {4, 128, 512};
	static float first[3 * 64 * N_CROSS];
	uint32_t n_prompt = prompt_of(1), n_tokens;
	uint64_t n_preempted = 0;
	size_t stride;
	struct ask ask_chat = {.text = "Zeichne 12 Kreise", .model = "chats", .max_tokens = 200};
	sn_error err;
	unit_us = 20000;
	static const struct { sn_kv_dtype type; float off; } kinds[] = { /* of a weight: as K was rounded */
	    {SN_KV_F32, 1e-6f}, {SN_KV_F16, 2e-3f}, {SN_KV_BF16, 1e-2f}, {SN_KV_Q8_0, 1e-2f}, {SN_KV_FP8, 5e-2f}};
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
		for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
			sn_engine *e = open_window_engine((sn_engine_config){.threads = 2, .max_num_batched_tokens = budgets[b], .max_num_seqs = 4,
			                                                     .kv_cache_memory = 5u << 18, .kv_dtype = kinds[kind].type});
			sn_request *r[8], *beside[8];
			for (int i = 0; i < 8; i++) {
				assert_int_equal(ask_more(e, 1, STEPS, &(window_ask){.taps = heads, .n_taps = 3}, &r[i], NULL), SN_OK);
				assert_int_equal(submit(e, &ask_chat, &beside[i], &err), SN_OK);
			}
			for (int i = 0; i < 8; i++) {
				static struct answer a;
				memset(&a, 0, sizeof a);
				collect(r[i], &a);
				assert_memory_equal(a.ids, GREEDY + STEPS, STEPS * sizeof *a.ids);
				const float *w = window_taps(r[i], &stride, &n_tokens);
				assert_non_null(w);
				assert_int_equal(n_tokens, n_prompt + STEPS - 1);
				for (uint32_t h = 0; h < 3; h++)
					for (uint32_t t = 0; t < n_tokens; t++) {
						const float *row = w + h * stride + (size_t)t * N_CROSS;
						double sum = 0;
						for (uint32_t k = 0; k < N_CROSS; k++) {
							sum += (double)row[k];
							if (t < n_prompt)
								assert_float_equal(row[k], CROSS[(h * n_prompt + t) * N_CROSS + k], kinds[kind].off);
						}
						assert_float_equal(sum, 1, 1e-5);
						if (b == 0 && i == 0)
							memcpy(first + (h * 64 + t) * N_CROSS, row, N_CROSS * sizeof *row);
						assert_memory_equal(first + (h * 64 + t) * N_CROSS, row, N_CROSS * sizeof *row);
					}
				sn_request_close(&r[i]);
				memset(&a, 0, sizeof a);
				collect(beside[i], &a);
				sn_request_close(&beside[i]);
				assert_int_equal(a.status, SN_OK);
			}
			n_preempted += metric_get(&e->metrics, M_PREEMPTIONS);
			assert_all_pages_free(e);
			sn_engine_close(&e);
		}
	assert_true(n_preempted > 0);
	unit_us = 0;
}

static void what_cannot_be_asked_is_refused(void **state)
{
	(void)state;
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 1, .kv_dtype = SN_KV_F32});
	static const uint32_t no_layer[][2] = {{3, 0}}, no_head[][2] = {{0, 0}, {0, 2}};
	const prompt_piece p = {.ids = IDS, .n_ids = 2};
	refuse(e, SN_ERR_INVALID, "a probe of token 363", &(window_ask){.pieces = &p, .n_pieces = 1, .probes = true, .probe_token = N_VOCAB});
	refuse(e, SN_ERR_INVALID, "a probe of token -1", &(window_ask){.pieces = &p, .n_pieces = 1, .probes = true, .probe_token = -1});
	refuse(e, SN_ERR_INVALID, "at row 2", &(window_ask){.pieces = &p, .n_pieces = 1, .probes = true, .probe_row = 2});
	refuse(e, SN_ERR_INVALID, "no head 0 of layer 3", &(window_ask){.pieces = &p, .n_pieces = 1, .taps = no_layer, .n_taps = 1});
	refuse(e, SN_ERR_INVALID, "no head 2 of layer 0", &(window_ask){.pieces = &p, .n_pieces = 1, .taps = no_head, .n_taps = 2});
	sn_request *r = must_ask(e, 0);
	size_t stride;
	uint32_t n;
	assert_null(window_taps(r, &stride, &n));
	check_answer(&r, 0);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* How many tokens had been said when the last unit ran: window 0 is of one gang, those that come just behind it of another. */
static uint64_t tokens_before_last_unit(uint64_t gang, uint64_t others)
{
	sn_engine *e = open_window_engine((sn_engine_config){.threads = 1});
	sn_request *r[N_WINDOWS];
	sn_error err;
	uint64_t before = metric_get(&e->metrics, M_GENERATION_TOKENS); /* of warming up */
	unit_us = 60000;
	watched = &e->metrics;
	for (uint32_t w = 0; w < N_WINDOWS; w++)
		assert_int_equal(ask_more(e, w, STEPS, &(window_ask){.gang = w ? others : gang}, &r[w], &err), SN_OK);
	for (uint32_t w = 0; w < N_WINDOWS; w++) {
		struct answer a = {0};
		collect(r[w], &a);
		assert_int_equal(a.status, SN_OK);
		assert_int_equal(a.n, STEPS);
		sn_request_close(&r[w]);
	}
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_UNITS), 3 * N_WINDOWS);
	uint64_t tokens = tokens_before_unit - before;
	unit_us = 0;
	watched = NULL;
	sn_engine_close(&e);
	return tokens;
}

static void a_gang_is_encoded_before_it_speaks(void **state)
{
	(void)state;
	assert_int_equal(tokens_before_last_unit(5, 5), 0);
	assert_true(tokens_before_last_unit(0, 5) > 0); /* who is of no gang, or of another, does not wait */
	assert_true(tokens_before_last_unit(4, 5) > 0);
	assert_true(tokens_before_last_unit(0, 0) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_says_what_transformers_says),
	    cmocka_unit_test(windows_and_chats_share_a_pool_that_is_too_small),
	    cmocka_unit_test(choices_share_what_the_window_fills),
	    cmocka_unit_test(text_pieces_are_trusted_or_not),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	    cmocka_unit_test(an_answer_may_fill_the_context),
	    cmocka_unit_test(a_probe_is_the_models_own_probability),
	    cmocka_unit_test(taps_are_the_weights_of_cross_attention),
	    cmocka_unit_test(what_cannot_be_asked_is_refused),
	    cmocka_unit_test(a_gang_is_encoded_before_it_speaks),
	};
	size_t n, w = 0;
	IDS = read_golden("whisper.ids", &n);
	for (uint32_t i = 0; i < n / sizeof *IDS; i++)
		if (IDS[i] < 0 && w < N_WINDOWS)
			FIRST[++w] = i + 1;
	GREEDY = read_golden("whisper.greedy", &n);
	ROWS = read_golden("whisper.rows", &n);
	LOGITS = read_golden("whisper.logits", &n);
	CROSS = read_golden("whisper.cross", &n);
	int failed = kit_run(tests);
	free(IDS);
	free(GREEDY);
	free(ROWS);
	free(LOGITS);
	free(CROSS);
	return failed;
}
