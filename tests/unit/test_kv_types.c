/* What a type of stored K and V costs, in nats and in pages. Each row's distribution of the next token against the one that f16 gives (f16's
 * own: against f32), as the KL divergence. Three models: two random miniatures, whose next token is nearly a matter of chance, and the
 * sample in a conversation, which is sure of most. tests/peer/kv_types.py has the table over more of both.
 *
 * Bounds are three times what was measured here, of the mean and of the worst row: the arithmetic that stores and attends is fixed, but
 * other instruction sets add in another order, and a value that then rounds the other way in one type moves a row's divergence by about
 * as much as one type's step. A mistake (a scale of another block, a row of another token) costs a hundred times the bound. */
#include "unit.h"

#include <math.h>

#include "model/forward.h"

enum { MAX_IDS = 512, N_TYPES = 5 };

static const struct { sn_kv_dtype type; const char *name; } TYPES[N_TYPES] = {
    {SN_KV_F32, "f32"}, {SN_KV_F16, "f16"}, {SN_KV_BF16, "bf16"}, {SN_KV_Q8_0, "q8_0"}, {SN_KV_FP8, "fp8"}};

/* ---- prompts ---- */

static uint32_t read_ids(const char *name, int32_t *ids)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t n = fread(ids, 4, MAX_IDS, f);
	fclose(f);
	assert_true(n > 100);
	return (uint32_t)n;
}

/* A turn and the sample's answers to it: ids below 256 are bytes. */
static uint32_t chat_ids(int32_t *ids)
{
	static const char talk[] = "\x01User: What can you do?\x02\nAssistant: I can read text in a picture, tell its colour and count shapes.\x02\n"
	                           "User: What is 3 + 4?\x02\nAssistant: 7\x02\nUser: Repeat: copper river\x02\nAssistant: copper river\x02\n";
	uint32_t n = 0;
	for (const char *p = talk; *p; p++)
		ids[n++] = *p == 1 ? 257 : *p == 2 ? 259 : *p;
	return n;
}

/* ---- logits ---- */

/* log p[n][n_vocab] with K and V in a type. */
static double *distributions(const char *path, sn_kv_dtype type, const int32_t *ids, uint32_t n, uint32_t *n_vocab)
{
	static const hash_key key;
	static const hash256 root;
	static const void *media[MAX_IDS];
	static uint32_t positions[MAX_IDS], begin[MAX_IDS], end[MAX_IDS];
	pool *threads;
	ops o;
	model *m;
	page_pool *pages;
	kv_seq kv;
	forward_buffers fb = {0};
	sn_error err = {0};
	assert_int_equal(pool_open(&threads, 1, &err), SN_OK);
	ops_init(&o, threads, KN_ISA_AVX512);
	if (model_open(&m, path, NULL, type, &o, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(page_pool_open(&pages, 64u << 20, &err), SN_OK);
	assert_int_equal(kv_seq_init(&kv, pages, &m->kv, MAX_IDS, &key, &root, &err), SN_OK);
	assert_int_equal(forward_reserve(&fb, m, MAX_IDS, MAX_IDS, &err), SN_OK);
	assert_true(kv_seq_extend(&kv, n));
	for (uint32_t i = 0; i < n; i++) {
		positions[i] = i;
		end[i] = i + 1;
	}
	batch_seq s = {0, n, 0, &kv};
	forward(m, &o, &fb, page_pool_arena(pages),
	        &(batch){.n_rows = n, .n_seqs = 1, .n_out = n, .ids = ids, .media = media, .positions = positions, .key_begin = begin, .key_end = end,
	                 .out_rows = positions, .seqs = &s});
	uint32_t v = *n_vocab = m->h.n_vocab;
	double *p = malloc((size_t)n * v * sizeof *p);
	for (uint32_t i = 0; i < n; i++) {
		const float *l = fb.logits + (size_t)i * v;
		double top = -INFINITY, sum = 0;
		for (uint32_t t = 0; t < v; t++)
			top = fmax(top, (double)l[t]);
		for (uint32_t t = 0; t < v; t++)
			sum += exp((double)l[t] - top);
		for (uint32_t t = 0; t < v; t++)
			p[(size_t)i * v + t] = (double)l[t] - top - log(sum);
	}
	kv_seq_fini(&kv);
	forward_free(&fb);
	page_pool_close(&pages);
	model_close(&m);
	ops_fini(&o);
	pool_close(&threads);
	return p;
}

static void diverge(const double *p, const double *q, uint32_t n, uint32_t v, double *mean, double *most)
{
	*mean = *most = 0;
	for (uint32_t i = 0; i < n; i++) {
		double kl = 0;
		for (uint32_t t = 0; t < v; t++)
			kl += exp(p[(size_t)i * v + t]) * (p[(size_t)i * v + t] - q[(size_t)i * v + t]);
		*mean += kl / n;
		*most = fmax(*most, kl);
	}
}

/* ---- promises ---- */

static void a_type_costs_no_more_than_it_did(void **state)
{
	(void)state;
	static const struct { const char *path, *ids; struct { double mean, most; } bound[N_TYPES]; } cases[] = {
	    {GOLDEN_DIR "/qwen2.gguf", "qwen2.ids", {{0, 0}, {3e-6, 2e-5}, {2e-4, 1.6e-3}, {1.5e-3, 7e-3}, {4e-2, 0.26}}},
	    {GOLDEN_DIR "/gemma3.gguf", "gemma3.ids", {{0, 0}, {2e-7, 1.4e-6}, {1.1e-5, 6e-5}, {1.2e-4, 1.3e-3}, {2.4e-3, 3.3e-2}}},
	    {SAMPLE_DIR "/model.gguf", NULL, {{0, 0}, {4e-6, 2.2e-4}, {1.6e-4, 2.2e-3}, {1.4e-3, 1.8e-2}, {4.2e-2, 2.1}}},
	};
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		int32_t ids[MAX_IDS];
		uint32_t n = cases[c].ids ? read_ids(cases[c].ids, ids) : chat_ids(ids), v;
		double *p[N_TYPES], mean, most, before = 0;
		for (size_t t = 0; t < N_TYPES; t++)
			p[t] = distributions(cases[c].path, TYPES[t].type, ids, n, &v);
		for (size_t t = 1; t < N_TYPES; t++) {
			diverge(p[t == 1 ? 0 : 1], p[t], n, v, &mean, &most);
			if (!(mean <= cases[c].bound[t].mean && most <= cases[c].bound[t].most))
				fail_msg("%s %s: mean %.2e, most %.2e", cases[c].path, TYPES[t].name, mean, most);
			assert_true(mean > before); /* f16, bf16, q8_0, fp8: each is coarser, so each is really in use */
			before = mean;
		}
		for (size_t t = 0; t < N_TYPES; t++)
			free(p[t]);
	}
}

static void a_byte_a_channel_takes_half_the_pages(void **state)
{
	(void)state;
	uint32_t took[N_TYPES];
	for (size_t t = 0; t < N_TYPES; t++) {
		static const hash_key key;
		static const hash256 root;
		pool *threads;
		ops o;
		model *m;
		page_pool *pages;
		kv_seq kv;
		assert_int_equal(pool_open(&threads, 1, NULL), SN_OK);
		ops_init(&o, threads, KN_ISA_REF);
		assert_int_equal(model_open(&m, SAMPLE_DIR "/model.gguf", NULL, TYPES[t].type, &o, NULL), SN_OK);
		assert_int_equal(page_pool_open(&pages, 64u << 20, NULL), SN_OK);
		assert_int_equal(kv_seq_init(&kv, pages, &m->kv, 2048, &key, &root, NULL), SN_OK);
		assert_true(kv_seq_extend(&kv, 1900));
		took[t] = page_pool_total(pages) - page_pool_available(pages);
		kv_seq_fini(&kv);
		page_pool_close(&pages);
		model_close(&m);
		ops_fini(&o);
		pool_close(&threads);
	}
	assert_int_equal(took[0], 30); /* of 64 rows */
	assert_int_equal(took[1], 15);
	assert_int_equal(took[2], 15);
	assert_int_equal(took[3], 8);  /* of 240: 17/32, and whole pages */
	assert_int_equal(took[4], 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_type_costs_no_more_than_it_did),
	    cmocka_unit_test(a_byte_a_channel_takes_half_the_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
