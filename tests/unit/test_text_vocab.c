/* test_text_vocab.c - ids against Hugging Face tokenizers; who may write a special token. */
#include "test_text_golden.h"

static bool same_ids(const vocab *v, const marked_text *a, const marked_text *b)
{
	int32_t *ia, *ib;
	size_t na, nb;
	encode(v, a, &ia, &na);
	encode(v, b, &ib, &nb);
	bool same = na == nb && (na == 0 || !memcmp(ia, ib, na * sizeof *ia));
	free(ia);
	free(ib);
	return same;
}

static void ids_are_those_of_hugging_face(void **state)
{
	(void)state;
	static const char *const names[] = {"gpt2.json", "smollm.json"};
	uint64_t random = 1234567;
	for (size_t k = 0; k < 2; k++) {
		json_t *g = golden(names[k]), *c;
		vocab *v = golden_vocab(g);
		size_t i;
		json_array_foreach(json_object_get(g, "cases"), i, c)
			check_case(v, names[k], c, &random);
		vocab_close(&v);
		assert_null(v);
		json_decref(g);
	}
}

static vocab *smollm(void)
{
	json_t *g = golden("smollm.json");
	vocab *v = golden_vocab(g);
	json_decref(g);
	return v;
}

static size_t count_of(const vocab *v, const marked_text *m, int32_t id)
{
	int32_t *ids;
	size_t n, count = 0;
	encode(v, m, &ids, &n);
	for (size_t i = 0; i < n; i++)
		count += ids[i] == id;
	free(ids);
	return count;
}

/* A spelling counts only if all of it is trusted, wherever it is cut and whoever wrote the rest. */
static void users_cannot_write_special_tokens(void **state)
{
	(void)state;
	vocab *v = smollm();
	const char *image = "<image>";
	int32_t id = vocab_find(v, STR("<image>"));
	assert_true(id >= 0);
	for (size_t begin = 0; begin < 7; begin++) {
		for (size_t end = begin; end <= 7; end++) { /* [begin, end) is the user's */
			marked_text m;
			marked_init(&m, 0);
			marked_append(&m, "a ", 2, true);
			marked_append(&m, image, begin, true);
			marked_append(&m, image + begin, end - begin, false);
			marked_append(&m, image + end, 7 - end, true);
			assert_int_equal(count_of(v, &m, id), begin == end);
			marked_fini(&m);
		}
	}
	marked_text m;
	marked_of(&m, "U<ima", "Uge><image>", "T<image>", "U<image>", "T<im", "Tage>", (const char *)NULL);
	assert_int_equal(count_of(v, &m, id), 2);
	marked_fini(&m);
	vocab_close(&v);
}

/* The text around special tokens is one run, whoever wrote its parts. */
static void trust_does_not_split_pieces(void **state)
{
	(void)state;
	vocab *v = smollm();
	marked_text whole, parts;
	marked_of(&whole, "U: the quick brown fox\n\n  jumps", (const char *)NULL);
	marked_of(&parts, "T: ", "Uthe qui", "Tck bro", "Uwn fox\n", "T\n ", "U jumps", (const char *)NULL);
	assert_true(same_ids(v, &whole, &parts));
	marked_fini(&whole);
	marked_fini(&parts);
	vocab_close(&v);
}

static void any_bytes_come_back(void **state)
{
	(void)state;
	vocab *v = smollm();
	uint64_t random = 42;
	for (int round = 0; round < 2000; round++) {
		char bytes[64];
		size_t n = next_random(&random) % sizeof bytes, at = 0;
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(round % 2 ? next_random(&random) : (uint64_t)" \n\tab1'\xC3\xA9\xE4\xB8\x96\xF0\x9F\x98\x80"[next_random(&random) % 16]);
		marked_text m;
		marked_init(&m, 0);
		marked_append(&m, bytes, n, round % 3 == 0);
		int32_t *ids;
		size_t n_ids;
		encode(v, &m, &ids, &n_ids);
		for (size_t i = 0; i < n_ids; i++) {
			str s = vocab_token(v, ids[i]);
			assert_true(s.n <= n - at && !memcmp(bytes + at, s.p, s.n));
			at += s.n;
		}
		assert_int_equal(at, n);
		free(ids);
		marked_fini(&m);
	}
	vocab_close(&v);
}

static void tokens_know_what_they_are(void **state)
{
	(void)state;
	vocab *v = smollm();
	int32_t end = vocab_find(v, STR("<end_of_utterance>")), user = vocab_find(v, STR("<ab><cd>"));
	assert_true(vocab_is_eog(v, end) && vocab_is_control(v, end));
	assert_true(vocab_is_eog(v, vocab_find(v, STR("<|im_end|>"))) && vocab_is_eog(v, vocab_find(v, STR("<|endoftext|>"))));
	assert_false(vocab_is_eog(v, vocab_find(v, STR("<image>"))) || vocab_is_control(v, user));
	assert_true(str_eq(vocab_token(v, user), STR("<ab><cd>")));
	assert_int_equal(vocab_find(v, STR("<imag")), -1);
	assert_int_equal(vocab_find(v, STR("the")), -1);
	assert_int_equal(vocab_find(v, STR("")), -1);
	assert_int_equal(vocab_token(v, -1).n + vocab_token(v, INT32_MAX).n, 0);
	assert_false(vocab_is_eog(v, -1) || vocab_is_control(v, (int32_t)vocab_size(v)));
	assert_int_equal(vocab_bos(v), 1);
	vocab_close(&v);
}

/* ---- refusals ---- */

static void expect_refusal(vocab_config c, sn_status status, const char *word)
{
	vocab *v;
	sn_error err = {0};
	assert_int_equal(vocab_open(&v, &c, &err), status);
	assert_null(v);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not name '%s'", err.text, word);
}

static void broken_vocabularies_are_refused_by_name(void **state)
{
	(void)state;
	const str tokens[] = {STR("a"), STR("b"), STR("ab"), STR("ab")}, empty[] = {STR("a"), STR("")};
	const str merges[] = {STR("a b")}, bad[] = {STR("ab")}, unknown[] = {STR("a c")}, half[] = {STR("a ")}, product[] = {STR("b a")};
	const int32_t types[] = {1, 1, 1, 9};
	const vocab_config good = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .n_tokens = 4, .merges = merges, .n_merges = 1,
	                           .bos = -1, .eos = 3, .eot = -1, .unk = -1};
	vocab_config c = good;
	vocab *v;
	assert_int_equal(vocab_open(&v, &c, NULL), SN_OK); /* two tokens of one spelling: the lower id is used */
	marked_text m;
	int32_t *ids;
	size_t n;
	marked_of(&m, "Uabc", (const char *)NULL);
	encode(v, &m, &ids, &n);
	assert_int_equal(n, 1); /* "c" has no token */
	assert_int_equal(ids[0], 2);
	free(ids);
	marked_fini(&m);
	vocab_close(&v);
	expect_refusal((c = good, c.model = "t5", c), SN_ERR_UNSUPPORTED, "'t5'");
	expect_refusal((c = good, c.model = NULL, c), SN_ERR_UNSUPPORTED, "model");
	expect_refusal((c = good, c.pre = "qwen9", c), SN_ERR_UNSUPPORTED, "'qwen9'");
	expect_refusal((c = good, c.pre = NULL, c), SN_ERR_UNSUPPORTED, "pre-tokenizer");
	expect_refusal((c = good, c.bos = 4, c), SN_ERR_INVALID, "bos id 4");
	expect_refusal((c = good, c.eos = -2, c), SN_ERR_INVALID, "eos id -2");
	expect_refusal((c = good, c.eot = INT32_MAX, c), SN_ERR_INVALID, "eot");
	expect_refusal((c = good, c.unk = INT32_MIN, c), SN_ERR_INVALID, "unknown");
	expect_refusal((c = good, c.n_tokens = 0, c), SN_ERR_INVALID, "0 tokens");
	expect_refusal((c = good, c.n_tokens = SIZE_MAX, c), SN_ERR_INVALID, "tokens");
	expect_refusal((c = good, c.n_merges = SIZE_MAX, c), SN_ERR_INVALID, "merges");
	expect_refusal((c = good, c.types = types, c), SN_ERR_INVALID, "type 9");
	expect_refusal((c = good, c.tokens = empty, c.n_tokens = 2, c.eos = -1, c), SN_ERR_INVALID, "token 1 is empty");
	expect_refusal((c = good, c.merges = bad, c), SN_ERR_INVALID, "merge 0");
	expect_refusal((c = good, c.merges = unknown, c), SN_ERR_INVALID, "merge 0");
	expect_refusal((c = good, c.merges = half, c), SN_ERR_INVALID, "merge 0");
	expect_refusal((c = good, c.merges = product, c), SN_ERR_INVALID, "merge 0");
}

/* Which many authors declare as text. */
static void marks_of_calls_and_thinking_need_trust(void **state)
{
	(void)state;
	str tokens[] = {STR("<"), STR("b"), STR(">"), STR("t"), STR("h"), STR("i"), STR("n"), STR("k"), STR("<think>"), STR("<b>"), STR("[ARGS]")};
	int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 1, TOKEN_USER_DEFINED, TOKEN_USER_DEFINED, TOKEN_USER_DEFINED};
	for (int late = 0; late < 3; late++) { /* 2: in normalized text nobody is trusted */
		const bool are_late[] = {[8] = late > 0, [10] = late > 0};
		const vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = 11, .bos = -1, .eos = -1, .eot = -1, .unk = -1,
		                        .late = are_late, .nfc = late == 2};
		vocab *v;
		assert_int_equal(vocab_open(&v, &c, NULL), SN_OK);
		marked_text m;
		marked_of(&m, "U<think><b>", "T<think>", "U<thi", "Tnk>", "T<b>", (const char *)NULL);
		assert_int_equal(count_of(v, &m, 8), late == 2 ? 3 : 1);
		assert_int_equal(count_of(v, &m, 9), 2);
		marked_fini(&m);
		vocab_close(&v);
	}
}

/* ---- marked text ---- */

static void marked_ranges_merge_and_are_searched(void **state)
{
	(void)state;
	marked_text m;
	marked_of(&m, "Tab", "T<x", "T>", "U<x>", "T", "T<x", "U>", "T<x><x>", (const char *)NULL);
	assert_int_equal(m.n_trusted, 3);
	assert_int_equal(marked_find(&m, 0, STR("<x>")), 2);
	assert_int_equal(marked_find(&m, 3, STR("<x>")), 11);
	assert_int_equal(marked_find(&m, 12, STR("<x>")), 14);
	assert_int_equal(marked_find(&m, 15, STR("<x>")), SIZE_MAX);
	assert_int_equal(marked_find(&m, 100, STR("<x>")), SIZE_MAX);
	assert_int_equal(marked_find(&m, 0, STR("")), SIZE_MAX);
	assert_true(marked_is_trusted(&m, 0, 5) && !marked_is_trusted(&m, 0, 6) && !marked_is_trusted(&m, 1, 1));
	marked_fini(&m);
	marked_init(&m, 4);
	assert_true(marked_append(&m, "abc", 3, true));
	assert_false(marked_append(&m, "de", 2, true));
	assert_int_equal(m.bytes.n, 3);
	assert_int_equal(m.trusted[0].end, 3);
	marked_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_those_of_hugging_face),
		cmocka_unit_test(users_cannot_write_special_tokens),
		cmocka_unit_test(marks_of_calls_and_thinking_need_trust),
		cmocka_unit_test(trust_does_not_split_pieces),
		cmocka_unit_test(any_bytes_come_back),
		cmocka_unit_test(tokens_know_what_they_are),
		cmocka_unit_test(broken_vocabularies_are_refused_by_name),
		cmocka_unit_test(marked_ranges_merge_and_are_searched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
