/* test_hf_golden.c - Hugging Face directories from end to end, on miniatures that transformers saved (tests/golden/hf): the chat
 * template and the tokenizer give the ids, the forward pass the logits, and greedy decoding the answer that transformers gives. */
#include "golden_files.h"

#include "model/forward.h"

enum { STEPS = 16, MAX_ROWS = 128, EVERY = 8 };

static const char PROMPT[] = "Zeichne 12 Kreise, na\u00efve \u6f22\u5b57 \U0001F600 don't!";

struct machine {
	pool *threads;
	ops o;
	model *m;
	page_pool *pages;
	kv_seq kv;
	forward_buffers fb;
	uint32_t (*at)[3]; /* where the prompt's n_at rows stand; NULL: one by one */
	size_t n_at;
};

/* golden: whose positions; container: "" or ".gguf" */
static struct machine machine_open(const char *golden, const char *container, kn_isa isa)
{
	static const hash_key key = {{0}};
	static const hash256 root = {{0}};
	struct machine w = {0};
	char path[4096];
	sn_error err = {0};
	snprintf(path, sizeof path, "%s/%s%s", GOLDEN_DIR, golden, container);
	assert_int_equal(pool_open(&w.threads, 2, NULL), SN_OK);
	ops_init(&w.o, w.threads, isa);
	if (model_open(&w.m, path, NULL, SN_KV_F32, &w.o, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(page_pool_open(&w.pages, 16u << 20, NULL), SN_OK);
	assert_int_equal(kv_seq_init(&w.kv, w.pages, &w.m->kv, MAX_ROWS, &key, &root, NULL), SN_OK);
	assert_int_equal(forward_reserve(&w.fb, w.m, MAX_ROWS, MAX_ROWS, NULL), SN_OK);
	if (w.m->h.arch->axes)
		w.at = read_golden(golden, "positions", &w.n_at);
	w.n_at /= sizeof *w.at;
	return w;
}

static void machine_close(struct machine *w)
{
	kv_seq_fini(&w->kv);
	forward_free(&w->fb);
	page_pool_close(&w->pages);
	model_close(&w->m);
	ops_fini(&w->o);
	pool_close(&w->threads);
	free(w->at);
}

/* Behind the prompt: one behind the farthest of its rows, and so on. */
static uint32_t position_of(const struct machine *w, uint32_t row, int32_t beyond[2])
{
	uint32_t behind = 0;
	beyond[0] = beyond[1] = 0;
	if (row < w->n_at) {
		for (int i = 0; i < 2; i++)
			beyond[i] = (int32_t)(w->at[row][1 + i] - w->at[row][0]);
		return w->at[row][0];
	}
	for (size_t i = 0; i < 3 * w->n_at; i++)
		behind = w->at[i / 3][i % 3] >= behind ? w->at[i / 3][i % 3] + 1 : behind;
	return behind + row - (uint32_t)w->n_at;
}

/* Logits of rows first..first+n in w->fb. */
static void compute(struct machine *w, const int32_t *ids, uint32_t first, uint32_t n)
{
	const void *media[MAX_ROWS] = {0};
	int32_t beyond[MAX_ROWS][2];
	uint32_t positions[MAX_ROWS], begin[MAX_ROWS] = {0}, end[MAX_ROWS], out[MAX_ROWS];
	for (uint32_t i = 0; i < n; i++) {
		out[i] = i;
		positions[i] = position_of(w, first + i, beyond[i]);
		end[i] = first + i + 1;
	}
	assert_true(kv_seq_extend(&w->kv, first + n));
	batch_seq s = {0, n, first, &w->kv};
	forward(w->m, &w->o, &w->fb, page_pool_arena(w->pages),
	        &(batch){.n_rows = n, .n_seqs = 1, .n_out = n, .ids = ids, .media = media, .positions = positions,
	                 .beyond = w->at ? (const int32_t(*)[2])beyond : NULL, .key_begin = begin,
	                 .key_end = end, .out_rows = out, .seqs = &s});
}

/* The same of rows of two sequences, the other's first; its rows stand as text. */
static void compute_two(struct machine *w, kv_seq *beside, const int32_t *other, const int32_t *ids, uint32_t first, uint32_t n)
{
	const void *media[2 * MAX_ROWS] = {0};
	int32_t beyond[2 * MAX_ROWS][2], all[2 * MAX_ROWS];
	uint32_t positions[2 * MAX_ROWS], begin[2 * MAX_ROWS] = {0}, end[2 * MAX_ROWS], out[2 * MAX_ROWS];
	const struct machine text = {0};
	for (uint32_t i = 0; i < 2 * n; i++) {
		uint32_t row = first + i % n;
		out[i] = i;
		all[i] = i < n ? other[row] : ids[row];
		positions[i] = position_of(i < n ? &text : w, row, beyond[i]);
		end[i] = row + 1;
	}
	assert_true(kv_seq_extend(beside, first + n) && kv_seq_extend(&w->kv, first + n));
	batch_seq s[2] = {{0, n, first, beside}, {n, n, first, &w->kv}};
	forward(w->m, &w->o, &w->fb, page_pool_arena(w->pages),
	        &(batch){.n_rows = 2 * n, .n_seqs = 2, .n_out = 2 * n, .ids = all, .media = media, .positions = positions,
	                 .beyond = w->at ? (const int32_t(*)[2])beyond : NULL, .key_begin = begin, .key_end = end, .out_rows = out, .seqs = s});
}

/* max |a - b| <= 1e-4 max |b|: float32 sums in another order. */
static void check_row(const char *name, uint32_t row, const float *a, const float *b, size_t n)
{
	float worst = 0, top = 0;
	for (size_t i = 0; i < n; i++) {
		worst = fmaxf(worst, fabsf(a[i] - b[i]));
		top = fmaxf(top, fabsf(b[i]));
	}
	if (!(worst <= 1e-4f * top))
		fail_msg("%s: row %u differs by %g of %g", name, row, (double)worst, (double)top);
}

static void check_prompt(const struct machine *w, const char *name, const int32_t *want, size_t n_want)
{
	const sn_part part = {.kind = SN_PART_TEXT, .data = PROMPT, .size = sizeof PROMPT - 1};
	const sn_message message = {.role = "user", .parts = &part, .n_parts = 1, .is_string = true};
	marked_text text;
	int32_t *ids = NULL;
	size_t n = 0;
	sn_error err = {0};
	marked_init(&text, 0);
	assert_non_null(w->m->chat);
	const chat_options how = {.add_generation_prompt = true};
	if (chat_render(w->m->chat, w->m->vocab, &message, 1, &how, &text, &err) != SN_OK || vocab_encode(w->m->vocab, &text, &ids, &n, &err) != SN_OK)
		fail_msg("%s: %s", name, err.text);
	if (n != n_want || memcmp(ids, want, n * sizeof *ids) != 0)
		fail_msg("%s: other ids for \"%s\"", name, text.bytes.p);
	assert_true(vocab_is_eog(w->m->vocab, 2) && vocab_is_eog(w->m->vocab, 3) && !vocab_is_eog(w->m->vocab, 1));
	free(ids);
	marked_fini(&text);
}

static void check_miniature(const char *name, const char *container, kn_isa isa)
{
	size_t n, n_logits, n_greedy, at = 0;
	int32_t *ids = read_golden(name, "ids", &n), *greedy = read_golden(name, "greedy", &n_greedy);
	float *want = read_golden(name, "logits", &n_logits);
	struct machine w = machine_open(name, container, isa);
	size_t v = w.m->h.n_vocab;
	n /= sizeof *ids;
	check_prompt(&w, name, ids, n);
	compute(&w, ids, 0, (uint32_t)n);
	for (uint32_t row = 0; row < n; row++)
		if (row % EVERY == EVERY - 1 || row == n - 1)
			check_row(name, row, w.fb.logits + row * v, want + at++ * v, v);
	assert_int_equal(at * v * sizeof *want, n_logits);
	assert_int_equal(n_greedy, STEPS * sizeof *greedy);
	const float *last = w.fb.logits + (n - 1) * v;
	for (uint32_t step = 0; step < STEPS; step++, last = w.fb.logits) {
		int32_t best = 0;
		for (uint32_t t = 1; t < v; t++)
			best = last[t] > last[best] ? (int32_t)t : best;
		if (best != greedy[step])
			fail_msg("%s: step %u gives %d, expected %d", name, step, best, greedy[step]);
		compute(&w, &best, (uint32_t)n + step, 1);
	}
	machine_close(&w);
	free(ids);
	free(greedy);
	free(want);
}

/* Were one of these wrong, the comparison above would see it. */
static void a_wrong_switch_is_seen(void **state)
{
	(void)state;
	static const char *const names[] = {"smollm3", "smollm3", "phi3", "phi3", "mistral-window", "mistral-window", "qwen3moe", "qwen3moe",
	                                    "qwen2vl", "qwen2vl", "qwen3vl", "qwen3vl", "qwen2-window", "gemma3", "qwen3vlmoe"};
	for (size_t wrong = 0; wrong < sizeof names / sizeof *names; wrong++) {
		size_t n, n_logits;
		int32_t *ids = read_golden(names[wrong], "ids", &n);
		float *want = read_golden(names[wrong], "logits", &n_logits), worst = 0;
		struct machine w = machine_open(names[wrong], "", KN_ISA_AVX512);
		size_t v = w.m->h.n_vocab;
		switch (wrong) {
		case 0: w.m->h.no_rope[3] = false; break;
		case 1: w.m->h.no_rope[2] = true; break;
		case 2: w.m->rope[0].attention = 1; break;
		case 3: model_limit(w.m, 32); break; /* the short divisors */
		case 4: w.m->kv.groups[0].window++; break;
		case 5: w.m->rope[0].attention = 1; break;
		case 6: w.m->h.experts_normed = false; break;
		case 7: w.m->h.n_experts_used--; break;
		case 8: w.m->h.axis[1] = 0; break;
		case 9: memset(w.m->h.axis, 0, sizeof w.m->h.axis); break;
		case 10: w.m->h.axis[1] = 0; break;
		case 11: w.m->h.axis[2] = 1; break;
		case 12: w.m->layers[0].group = w.m->layers[1].group; break; /* the first layer slides too */
		case 13: w.m->rope[0].factor *= 2; model_limit(w.m, w.m->h.n_context); break;
		default: w.m->h.experts_normed = false;
		}
		n /= sizeof *ids;
		compute(&w, ids, 0, (uint32_t)n);
		const float *a = w.fb.logits + (n - 1) * v, *b = want + n_logits / sizeof *want - v;
		for (size_t i = 0; i < v; i++)
			worst = fmaxf(worst, fabsf(a[i] - b[i]));
		if (worst < 1e-3f)
			fail_msg("mistake %zu is not seen", wrong);
		machine_close(&w);
		free(ids);
		free(want);
	}
}

/* Rows in chunks of any size are the same bytes: each alone, as a decoding step has them, too. */
static void chunks_change_no_byte(void **state)
{
	(void)state;
	static const char *const names[] = {"mistral-window", "smollm3", "phi3", "qwen2", "qwen2-window", "qwen2vl", "qwen3", "qwen3vl", "qwen3moe",
	                                    "qwen3vlmoe", "llama", "mistral", "gemma3"};
	static const uint32_t chunks[] = {1, 7, 32};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t n;
		int32_t *ids = read_golden(names[i], "ids", &n);
		n /= sizeof *ids;
		struct machine whole = machine_open(names[i], "", KN_ISA_AVX512);
		size_t v = whole.m->h.n_vocab;
		compute(&whole, ids, 0, (uint32_t)n);
		for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
			struct machine w = machine_open(names[i], "", KN_ISA_AVX512);
			for (uint32_t r = 0, k; r < n; r += k) {
				k = n - r < chunks[c] ? (uint32_t)n - r : chunks[c];
				compute(&w, ids + r, r, k);
				if (memcmp(w.fb.logits, whole.fb.logits + r * v, k * v * sizeof(float)) != 0)
					fail_msg("%s: rows from %u on in chunks of %u have other logits", names[i], r, chunks[c]);
			}
			machine_close(&w);
		}
		machine_close(&whole);
		free(ids);
	}
}

/* Nor does a sequence in the same steps, of another's rows, nor what was computed before and given up. */
static void company_and_preemption_change_no_byte(void **state)
{
	(void)state;
	static const char *const names[] = {"llama", "mistral-window", "smollm3", "phi3", "qwen2", "qwen2-window", "qwen2vl", "qwen3", "qwen3vl", "qwen3moe",
	                                    "qwen3vlmoe", "gemma3-6"};
	enum { HALF = 17 };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t n;
		int32_t *ids = read_golden(names[i], "ids", &n), other[MAX_ROWS];
		n /= sizeof *ids;
		for (size_t r = 0; r < n; r++)
			other[r] = ids[n - 1 - r];
		struct machine whole = machine_open(names[i], "", KN_ISA_AVX512), w = machine_open(names[i], "", KN_ISA_AVX512);
		size_t v = whole.m->h.n_vocab, bytes = v * sizeof(float);
		static const hash_key key = {{0}};
		static const hash256 root = {{0}};
		kv_seq beside;
		compute(&whole, ids, 0, (uint32_t)n);
		compute(&w, ids, 0, HALF); /* in vain */
		kv_seq_release(&w.kv);
		assert_int_equal(kv_seq_init(&beside, w.pages, &w.m->kv, MAX_ROWS, &key, &root, NULL), SN_OK);
		for (uint32_t r = 0, k; r < n; r += k) {
			k = n - r < HALF ? (uint32_t)n - r : HALF;
			compute_two(&w, &beside, other, ids, r, k);
			if (memcmp(w.fb.logits + k * v, whole.fb.logits + r * v, k * bytes) != 0)
				fail_msg("%s: rows from %u on, beside others, have other logits", names[i], r);
		}
		kv_seq_fini(&beside);
		machine_close(&w);
		machine_close(&whole);
		free(ids);
	}
}

static void small_files_of_llama_cpp_equal_them_too(void **state)
{
	(void)state;
	static const char *const names[] = {"llama", "llama-4", "mistral", "smollm3", "phi3", "qwen2", "qwen2vl", "qwen3", "qwen3vl", "qwen3moe",
	                                    "qwen3vlmoe", "gemma3-6"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		check_miniature(names[i], ".gguf", KN_ISA_AVX512);
}

static void every_miniature_equals_transformers(void **state)
{
	(void)state;
	static const char *const names[] = {"llama", "llama-4", "llama-f8", "qwen2-f8", "phi3-f8", "qwen3-fp8", "mistral", "mistral-window", "smollm3", "phi3", "qwen2", "qwen2-window",
	                                    "qwen2vl", "qwen2.5vl", "qwen3", "qwen3vl", "qwen3vlmoe", "qwen3moe", "gemma3", "gemma3-4", "gemma3-6",
	                                    "gemma3-tower", "mistral3-tower"};
	static const kn_isa isas[] = {KN_ISA_REF, KN_ISA_AVX2, KN_ISA_AVX512};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t k = 0; k < sizeof isas / sizeof *isas; k++)
			check_miniature(names[i], "", isas[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_miniature_equals_transformers),
	    cmocka_unit_test(a_wrong_switch_is_seen),
	    cmocka_unit_test(chunks_change_no_byte),
	    cmocka_unit_test(company_and_preemption_change_no_byte),
	    cmocka_unit_test(small_files_of_llama_cpp_equal_them_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
