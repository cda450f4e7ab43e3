/* Ways to a prompt beside a conversation: text and ids as they stand, tokenizing and back, and who shares what is cached. */
#include "engine_kit.h"

static const char TURN[] = "<|im_start|>User: Hello there<end_of_utterance>\nAssistant:";

static sn_status complete(sn_engine *e, sn_completion c, struct answer *out)
{
	sn_request *r;
	memset(out, 0, sizeof *out);
	sn_sampling_init(&c.sampling);
	c.request_id = "test";
	c.sampling.temperature = 0;
	c.sampling.max_tokens = 24;
	c.sampling.ignore_eos = c.sampling.logprobs = true;
	out->status = sn_completion_submit(e, &c, &r, &out->error);
	if (out->status != SN_OK)
		return out->status;
	collect(r, out);
	sn_request_close(&r);
	return out->status;
}

static sn_tokens tokens_of(sn_engine *e, sn_tokenize_input in)
{
	sn_tokens t;
	sn_error err;
	if (sn_tokenize(e, &in, &t, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(t.max_model_len, 512);
	return t;
}

/* ---- completions ---- */

static void text_and_its_ids_are_one_prompt(void **state)
{
	(void)state;
	static struct answer a, b;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	sn_tokens t = tokens_of(e, (sn_tokenize_input){.text = TURN, .size = strlen(TURN), .parse_special = true});
	assert_int_equal(complete(e, (sn_completion){.text = TURN, .size = strlen(TURN)}, &a), SN_OK);
	assert_int_equal(complete(e, (sn_completion){.ids = t.ids, .n_ids = t.n}, &b), SN_OK);
	assert_int_equal(a.usage.prompt_tokens, t.n);
	assert_int_equal(a.n, 24);
	assert_same(&a, &b);
	free(t.ids);
	sn_engine_close(&e);
}

static void a_conversation_s_ids_give_its_answer(void **state)
{
	(void)state;
	static struct answer a, b;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	const sn_part part = {.kind = SN_PART_TEXT, .data = "Hello there", .size = 11};
	const sn_message m = {.role = "user", .parts = &part, .n_parts = 1, .is_string = true};
	sn_tokens t = tokens_of(e, (sn_tokenize_input){.messages = &m, .n_messages = 1});
	sn_tokens open = tokens_of(e, (sn_tokenize_input){.messages = &m, .n_messages = 1, .no_generation_prompt = true});
	assert_true(open.n < t.n);
	assert_memory_equal(open.ids, t.ids, open.n * sizeof *open.ids);
	a = ask(e, &(struct ask){.text = "Hello there", .max_tokens = 24});
	assert_int_equal(complete(e, (sn_completion){.ids = t.ids, .n_ids = t.n}, &b), SN_OK);
	assert_same(&a, &b);
	free(t.ids);
	free(open.ids);
	sn_engine_close(&e);
}

static void a_prompt_that_cannot_be_is_refused_as_prompt(void **state)
{
	(void)state;
	static struct answer a;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	int32_t n_vocab = (int32_t)vocab_size(e->models[0].m->vocab);
	static int32_t ids[600];
	static char words[4000];
	memset(words, 'w', sizeof words);
	const struct { sn_completion c; sn_status want; } cases[] = {
	    {{.text = "", .size = 0}, SN_ERR_INVALID},
	    {{.ids = ids, .n_ids = 0}, SN_ERR_INVALID},
	    {{.ids = (int32_t[]){5, -1}, .n_ids = 2}, SN_ERR_INVALID},
	    {{.ids = (int32_t[]){n_vocab}, .n_ids = 1}, SN_ERR_INVALID},
	    {{.ids = (int32_t[]){INT32_MAX}, .n_ids = 1}, SN_ERR_INVALID},
	    {{.ids = ids, .n_ids = 512}, SN_ERR_CONTEXT_LENGTH},
	    {{.ids = ids, .n_ids = 600}, SN_ERR_CONTEXT_LENGTH},
	    {{.text = words, .size = 512}, SN_ERR_CONTEXT_LENGTH},
	    {{.text = words, .size = sizeof words}, SN_ERR_CONTEXT_LENGTH},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(complete(e, cases[i].c, &a), cases[i].want);
		assert_string_equal(a.error.param, "prompt");
	}
	assert_int_equal(complete(e, (sn_completion){.ids = ids, .n_ids = 1, .model = "other"}, &a), SN_ERR_NOT_FOUND);
	assert_string_equal(a.error.param, "model");
	assert_int_equal(complete(e, (sn_completion){.ids = ids, .n_ids = 488}, &a), SN_OK); /* 488 + 24 fill the context */
	assert_int_equal(complete(e, (sn_completion){.ids = ids, .n_ids = 489}, &a), SN_ERR_CONTEXT_LENGTH);
	assert_string_equal(a.error.param, "max_tokens");
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- ids ---- */

static void special_spellings_are_tokens_only_if_asked_for(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	const vocab *v = e->models[0].m->vocab;
	str eos = vocab_token(v, vocab_eos(v));
	sn_tokens t = tokens_of(e, (sn_tokenize_input){.text = eos.p, .size = eos.n, .parse_special = true});
	assert_int_equal(t.n, 1);
	assert_int_equal(t.ids[0], vocab_eos(v));
	free(t.ids);
	t = tokens_of(e, (sn_tokenize_input){.text = eos.p, .size = eos.n});
	assert_true(t.n > 1);
	for (size_t i = 0; i < t.n; i++)
		assert_false(vocab_is_control(v, t.ids[i]));
	free(t.ids);
	t = tokens_of(e, (sn_tokenize_input){.text = "", .size = 0, .add_special = true}); /* this vocabulary adds no bos */
	assert_int_equal(t.n, 0);
	assert_null(t.ids);
	sn_engine_close(&e);
}

/* The miniature's vocabulary adds no bos; this one does. */
static void bos_comes_first_where_the_vocabulary_adds_it(void **state)
{
	(void)state;
	static const str tokens[] = {STR("<s>"), STR("a"), STR("b"), STR("</s>")};
	static const int32_t types[] = {TOKEN_CONTROL, TOKEN_NORMAL, TOKEN_NORMAL, TOKEN_CONTROL};
	for (int adds = 0; adds < 2; adds++) {
		vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = 4, .bos = 0, .eos = 3, .eot = -1, .unk = -1,
		                  .add_bos = adds};
		vocab *v;
		sn_error err;
		assert_int_equal(vocab_open(&v, &c, &err), SN_OK);
		for (int bos = 0; bos < 2; bos++)
			for (size_t size = 0; size <= 2; size++) {
				int32_t *ids;
				size_t n, first = adds && bos;
				assert_int_equal(text_encode(v, "ab", size, true, bos, &ids, &n, &err), SN_OK);
				assert_int_equal(n, size + first);
				if (first)
					assert_int_equal(ids[0], 0);
				for (size_t i = 0; i < size; i++)
					assert_int_equal(ids[first + i], 1 + i);
				free(ids);
			}
		vocab_close(&v);
	}
}

static void ids_and_text_are_one_thing_in_both_directions(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	const char *const texts[] = {"", "a", "Count to 10 in \u00e9nglish!", TURN, "\xe6\xbc\xa2\xe5\xad\x97 and \xf0\x9f\x98\x80", "  two  spaces \n\t"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (int special = 0; special < 2; special++) {
			sn_tokens t = tokens_of(e, (sn_tokenize_input){.text = texts[i], .size = strlen(texts[i]), .parse_special = special});
			char *text;
			size_t size;
			sn_error err;
			assert_int_equal(sn_detokenize(e, NULL, t.ids, t.n, &text, &size, &err), SN_OK);
			assert_int_equal(size, strlen(texts[i]));
			assert_string_equal(text, texts[i]);
			free(text);
			free(t.ids);
		}
	sn_engine_close(&e);
}

static void what_cannot_be_tokenized_is_refused(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	int32_t n_vocab = (int32_t)vocab_size(e->models[0].m->vocab);
	const int32_t bad[] = {-1, n_vocab, INT32_MAX, INT32_MIN};
	char *text;
	size_t size;
	sn_error err;
	sn_tokens t;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(sn_detokenize(e, NULL, (int32_t[]){65, bad[i]}, 2, &text, &size, &err), SN_ERR_INVALID);
		assert_string_equal(err.param, "tokens");
		assert_null(text);
	}
	assert_int_equal(sn_detokenize(e, "other", NULL, 0, &text, &size, &err), SN_ERR_NOT_FOUND);
	assert_int_equal(sn_tokenize(e, &(sn_tokenize_input){.model = "other", .text = "a", .size = 1}, &t, &err), SN_ERR_NOT_FOUND);
	assert_string_equal(err.param, "model");
	const sn_part picture = {.kind = SN_PART_MEDIA, .kind_name = "image", .data = "x", .size = 1};
	const sn_message m = {.role = "user", .parts = &picture, .n_parts = 1};
	assert_int_equal(sn_tokenize(e, &(sn_tokenize_input){.messages = &m, .n_messages = 1}, &t, &err), SN_ERR_UNSUPPORTED);
	assert_string_equal(err.param, "messages");
	assert_int_equal(sn_tokenize(e, &(sn_tokenize_input){.messages = &m}, &t, &err), SN_ERR_INVALID);
	assert_null(t.ids);
	sn_engine_close(&e);
}

/* ---- who shares ---- */

/* Does the second of two askers find what the first one left? */
static bool shares(bool all_share, const char *key1, const char *salt1, const char *key2, const char *salt2)
{
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	sn_engine *e = open_engine((sn_engine_config){.threads = 2, .share_cache = all_share});
	char words[200];
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = 0;
	struct ask a = {.text = words, .picture = png, .picture_size = n_png, .max_tokens = 2, .key = key1, .salt = salt1};
	assert_int_equal(ask(e, &a).usage.cached_tokens, 0);
	a.key = key2;
	a.salt = salt2;
	struct answer second = ask(e, &a);
	assert_int_equal(second.status, SN_OK);
	bool rows = second.usage.cached_tokens > 0, media = metric_get(&e->metrics, M_ENCODER_RUNS) == 1;
	assert_int_equal(rows, media); /* both caches, or neither */
	sn_engine_close(&e);
	free(png);
	return rows;
}

static void a_salt_narrows_who_shares_and_never_widens(void **state)
{
	(void)state;
	assert_true(shares(false, "k", "s", "k", "s"));
	assert_true(shares(false, NULL, NULL, NULL, NULL));
	assert_true(shares(false, NULL, "s", NULL, "s"));
	assert_false(shares(false, "k", "s", "k", "t"));
	assert_false(shares(false, "k", "s", "k", NULL));
	assert_false(shares(false, "k", NULL, "k", ""));
	assert_false(shares(false, "k", "s", "l", "s"));
	assert_false(shares(false, "k", "s", NULL, "s"));
	assert_false(shares(false, "ab", "c", "a", "bc"));
	assert_false(shares(false, "k", NULL, NULL, "k"));
	assert_true(shares(true, "k", NULL, "l", NULL));
	assert_true(shares(true, "k", "s", "l", "s"));
	assert_false(shares(true, "k", "s", "k", "t"));
}

static void completions_share_with_chats_of_the_same_salt(void **state)
{
	(void)state;
	static struct answer a;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	char words[300];
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = 0;
	const sn_part part = {.kind = SN_PART_TEXT, .data = words, .size = strlen(words)};
	const sn_message m = {.role = "user", .parts = &part, .n_parts = 1, .is_string = true};
	sn_tokens t = tokens_of(e, (sn_tokenize_input){.messages = &m, .n_messages = 1});
	ask(e, &(struct ask){.text = words, .max_tokens = 2, .key = "k", .salt = "s"});
	assert_int_equal(complete(e, (sn_completion){.ids = t.ids, .n_ids = t.n, .cache_key = "k", .cache_salt = "t"}, &a), SN_OK);
	assert_int_equal(a.usage.cached_tokens, 0);
	assert_int_equal(complete(e, (sn_completion){.ids = t.ids, .n_ids = t.n, .cache_key = "k", .cache_salt = "s"}, &a), SN_OK);
	assert_true(a.usage.cached_tokens > 0);
	free(t.ids);
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_and_its_ids_are_one_prompt),
	    cmocka_unit_test(a_conversation_s_ids_give_its_answer),
	    cmocka_unit_test(a_prompt_that_cannot_be_is_refused_as_prompt),
	    cmocka_unit_test(special_spellings_are_tokens_only_if_asked_for),
	    cmocka_unit_test(bos_comes_first_where_the_vocabulary_adds_it),
	    cmocka_unit_test(ids_and_text_are_one_thing_in_both_directions),
	    cmocka_unit_test(what_cannot_be_tokenized_is_refused),
	    cmocka_unit_test(a_salt_narrows_who_shares_and_never_widens),
	    cmocka_unit_test(completions_share_with_chats_of_the_same_salt),
	};
	return kit_run(tests);
}
