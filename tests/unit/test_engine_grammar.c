/* test_engine_grammar.c - answers that have to fit: the same bytes in every company, beside whatever else is asked of the sampler, and grammars
 * that requests share. */
#include "engine_kit.h"

enum { N_ASKS = 8 };

static const char LONG[] = "some text that is long enough to fill a page or two of the pool, so that it can be found there again when it is asked for a second time";

static const char *const GRAMMARS[N_ASKS] = {
	"root ::= \"[\" word (\",\" word){2,12} \"]\"\nword ::= [a-z]{3,9}",
	"root ::= [^\\n]{120,200}",
	"root ::= \"[\" word (\",\" word){2,12} \"]\"\nword ::= [a-z]{3,9}", /* the first again: it is shared */
	"root ::= \"{\" pair (\",\" pair){1,9} \"}\"\npair ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]{0,20} \"\\\":\" [1-9] [0-9]{0,8}",
	"root ::= (\"yes\" | \"no\" | \"maybe \"){40}",
	"root ::= \"(\" root \")\" root | \"x\"",
	"root ::= .{1,100} \"end\"",
	"root ::= [0-9]{300}",
};

static sn_sampling fitting(const char *text, uint64_t seed, float temperature, uint32_t max_tokens)
{
	sn_sampling s;
	sn_sampling_init(&s);
	s.seed = seed;
	s.has_seed = true;
	s.temperature = temperature;
	s.max_tokens = max_tokens;
	s.logprobs = true;
	s.top_logprobs = 2;
	s.grammar = text;
	s.grammar_size = strlen(text);
	return s;
}

static bool fits(const char *grammar_text, const struct answer *a)
{
	grammar *g;
	automaton m;
	assert_int_equal(grammar_open(&g, str_of(grammar_text), NULL), SN_OK);
	assert_int_equal(automaton_init(&m, g, NULL), SN_OK);
	state_id s = m.start;
	for (size_t i = 0; i < a->text_size && s != STATE_DEAD; i++)
		s = automaton_step(&m, s, (unsigned char)a->text[i]);
	bool yes = s != STATE_DEAD && (a->finish == SN_FINISH_LENGTH || automaton_accepts(&m, s));
	automaton_fini(&m);
	grammar_close(&g);
	return yes;
}

static void make_asks(struct ask *asks, sn_sampling *sampling)
{
	static char texts[N_ASKS][400];
	for (int i = 0; i < N_ASKS; i++) {
		snprintf(texts[i], sizeof texts[i], "%d: %s", i, LONG);
		sampling[i] = fitting(GRAMMARS[i], (uint64_t)i, 0.5f * (float)(i % 4), 320);
		asks[i] = (struct ask){.text = texts[i], .sampling = &sampling[i]};
	}
}

static void check_together(sn_engine *e, const struct ask *asks, const struct answer *alone)
{
	sn_request *r[N_ASKS];
	sn_error err;
	for (int i = 0; i < N_ASKS; i++)
		assert_int_equal(submit(e, &asks[i], &r[i], &err), SN_OK);
	for (int i = 0; i < N_ASKS; i++) {
		struct answer a = {0};
		collect(r[i], &a);
		sn_request_close(&r[i]);
		assert_same(&a, &alone[i]);
	}
}

static void the_same_bytes_in_every_company(void **state)
{
	(void)state;
	static struct answer alone[N_ASKS];
	struct ask asks[N_ASKS];
	sn_sampling sampling[N_ASKS];
	make_asks(asks, sampling);
	sn_engine *e = open_engine((sn_engine_config){.threads = 1, .no_prefix_caching = true});
	unsigned ended = 0;
	for (int i = 0; i < N_ASKS; i++) {
		alone[i] = ask(e, &asks[i]);
		assert_int_equal(alone[i].status, SN_OK);
		assert_true(fits(GRAMMARS[i], &alone[i]));
		ended += alone[i].finish == SN_FINISH_STOP;
	}
	assert_true(ended >= 4);
	sn_engine_close(&e);
	static const sn_engine_config ways[] = {
	    {.threads = 1, .max_num_batched_tokens = 1, .max_num_seqs = 1}, {.threads = 2}, {.threads = 2, .kv_cache_memory = 8 * PAGE_BYTES}};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		e = open_engine(ways[w]);
		check_together(e, asks, alone);
		check_together(e, asks, alone); /* with a warm prefix cache, and grammars that are known */
		if (w == 1)
			assert_true(metric_get(&e->metrics, M_PREFIX_HITS) > 0);
		if (w == 2)
			assert_true(metric_get(&e->metrics, M_PREEMPTIONS) > 0);
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
}

static void choices_fit_each_and_are_what_they_are_alone(void **state)
{
	(void)state;
	static struct answer out[5], two[2];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	sn_sampling s = fitting(GRAMMARS[0], 5, 1, 200);
	s.n = 5;
	ask_all(e, &(struct ask){.text = "n", .sampling = &s}, out, 5);
	s.n = 2;
	ask_all(e, &(struct ask){.text = "n", .sampling = &s}, two, 2);
	for (int c = 0; c < 5; c++) {
		assert_int_equal(out[c].status, SN_OK);
		assert_true(fits(GRAMMARS[0], &out[c]));
	}
	assert_same(&out[0], &two[0]);
	assert_same(&out[1], &two[1]);
	assert_true(out[0].text_size != out[1].text_size || memcmp(out[0].text, out[1].text, out[0].text_size) != 0);
	sn_engine_close(&e);
}

/* Logprobs are the model's own; a bias chooses among what may come and opens nothing else; stop strings and tokens cut. */
static void it_goes_with_what_else_is_asked(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	sn_sampling s = fitting("root ::= [ab]{30}", 1, 0, 100);
	struct ask q = {.text = "x", .sampling = &s};
	struct answer a = ask(e, &q);
	assert_true(a.status == SN_OK && a.finish == SN_FINISH_STOP && a.text_size == 30);
	float first = a.logprobs[0];
	int32_t id = a.ids[0];

	sn_sampling plain = fitting("root ::= .*", 1, 0, 1);
	plain.grammar = NULL;
	sn_logit_bias bias = {.token = id, .bias = 100}; /* without a grammar the same token has the same logprob */
	plain.logit_bias = &bias;
	plain.n_logit_bias = 1;
	struct answer b = ask(e, &(struct ask){.text = "x", .sampling = &plain});
	assert_int_equal(b.ids[0], id);
	assert_true(b.logprobs[0] == first);

	for (int letter = 'a'; letter <= 'c'; letter++) {
		sn_logit_bias to = {.token = letter, .bias = 100};
		s.logit_bias = &to;
		s.n_logit_bias = 1;
		a = ask(e, &q);
		assert_true(a.status == SN_OK && a.text_size == 30 && fits("root ::= [ab]{30}", &a));
		assert_true(letter == 'c' || a.text[0] == letter);
	}
	s.n_logit_bias = 0;

	s.n_stop = 1;
	s.stop[0] = "a";
	s.stop_size[0] = 1;
	sn_logit_bias to_b = {.token = 'b', .bias = 100};
	a = ask(e, &q);
	assert_true(a.status == SN_OK && (a.stop_string == 0 || (a.text_size == 30 && !memchr(a.text, 'a', 30))));
	s.logit_bias = &to_b;
	s.n_logit_bias = 1;
	a = ask(e, &q);
	assert_true(a.stop_string == -1 && a.text_size == 30);
	s.n_stop = 0;
	s.n_logit_bias = 0;
	s.stop_token_ids[0] = 'a';
	s.stop_token_ids[1] = 'b';
	s.n_stop_token_ids = 2;
	a = ask(e, &q);
	assert_true(a.status == SN_OK && a.finish == SN_FINISH_STOP && (a.stop_token == 'a' || a.stop_token == 'b' || a.text_size == 30));
	s.n_stop_token_ids = 0;

	s.ignore_eos = true;
	assert_int_equal(ask(e, &q).status, SN_ERR_UNSUPPORTED);
	s.ignore_eos = false;
	s.min_tokens = 2;
	a = ask(e, &q);
	assert_int_equal(a.status, SN_ERR_UNSUPPORTED);
	assert_string_equal(a.error.param, "grammar");
	sn_engine_close(&e);
}

/* Before the mark anything; behind it the grammar, in every company; no end before it unless it may wait. */
static void it_begins_behind_its_mark(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	unsigned came = 0, before = 0;
	for (uint64_t seed = 0; seed < 12; seed++) {
		sn_sampling s = fitting("root ::= \"{\" [0-9]{4} \"}\"", seed, 2, 300);
		s.grammar_after = "e";
		s.grammar_after_size = 1;
		s.grammar_may_wait = seed % 2;
		struct answer a = ask(e, &(struct ask){.text = "x", .sampling = &s});
		assert_int_equal(a.status, SN_OK);
		const char *mark = memchr(a.text, 'e', a.text_size);
		came += mark != NULL;
		if (!mark) {
			assert_true(a.finish == SN_FINISH_LENGTH || s.grammar_may_wait);
			continue;
		}
		before += mark > a.text;
		struct answer rest = {.finish = a.finish, .text_size = a.text_size - (size_t)(mark + 1 - a.text)};
		memcpy(rest.text, mark + 1, rest.text_size);
		assert_true(a.finish == SN_FINISH_LENGTH || rest.text_size == 6);
		assert_true(fits("root ::= \"{\" [0-9]{4} \"}\"", &rest));
	}
	assert_true(came >= 3 && before >= 1);
	sn_engine_close(&e);
}

static void what_is_no_grammar_is_refused_before_any_token(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	static const char *const bad[] = {"root ::= (", "root ::= root \"a\"", "a ::= \"x\""};
	for (size_t i = 0; i < 3; i++) {
		sn_sampling s = fitting(bad[i], 1, 0, 10);
		s.grammar_name = "response_format";
		struct answer a = ask(e, &(struct ask){.text = "x", .sampling = &s});
		assert_true(a.status == SN_ERR_INVALID || a.status == SN_ERR_UNSUPPORTED);
		assert_string_equal(a.error.param, "response_format");
	}
	assert_int_equal(grammars_count(&e->grammars), 0);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* Shared while they are in use and for a while after; what is kept has an end. */
static void grammars_are_shared_and_bounded(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	sn_request *r[2];
	sn_sampling s = fitting("root ::= [a-z]{20}", 1, 1, 30);
	sn_error err;
	for (int i = 0; i < 2; i++)
		assert_int_equal(submit(e, &(struct ask){.text = "x", .sampling = &s}, &r[i], &err), SN_OK);
	assert_int_equal(grammars_count(&e->grammars), 1);
	for (int i = 0; i < 2; i++) {
		struct answer a = {0};
		collect(r[i], &a);
		sn_request_close(&r[i]);
		assert_true(a.status == SN_OK && a.text_size == 20);
	}
	ask(e, &(struct ask){.text = "x", .sampling = &s, .salt = "mine"}); /* a salt shares with nobody */
	assert_int_equal(grammars_count(&e->grammars), 2);
	char text[64];
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof text, "root ::= [a-z]{3} \"%d\"", i);
		s = fitting(text, 1, 1, 8);
		struct answer a = ask(e, &(struct ask){.text = "x", .sampling = &s});
		assert_int_equal(a.status, SN_OK);
		assert_true(fits(text, &a));
		assert_true(grammars_count(&e->grammars) <= GRAMMARS_IDLE + 2);
	}
	assert_all_pages_free(e);
	assert_true(grammars_bytes(&e->grammars) < GRAMMARS_BYTES);
	sn_engine_close(&e);
}

/* More grammars at once than fit: refused as a full queue is, while those that run go on. */
static void too_many_large_grammars_at_once_wait_outside(void **state)
{
	(void)state;
	grammars all;
	size_t n_text = 700000, n = 0;
	char *text = malloc(n_text + 64);
	compiled *taken[80] = {0};
	sn_error err = {0};
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	token_trie *trie;
	assert_int_equal(token_trie_open(&trie, e->models[0].m->vocab, &err), SN_OK);
	grammars_init(&all);
	sn_status st = SN_OK;
	for (; n < 80 && st == SN_OK; n++) {
		size_t at = (size_t)snprintf(text, 64, "root ::= \"%zu\" #", n);
		memset(text + at, '-', n_text - at);
		st = grammars_take(&all, &(grammar_ask){.trie = trie, .text = {text, n_text}}, &taken[n], &err);
	}
	assert_int_equal(st, SN_ERR_QUEUE_FULL);
	assert_in_range(n, 20, 60);
	assert_true(grammars_bytes(&all) <= GRAMMARS_BYTES);
	grammars_give(&all, &taken[0]);
	assert_int_equal(grammars_take(&all, &(grammar_ask){.trie = trie, .text = {text, n_text}}, &taken[0], &err), SN_OK); /* there is room again */
	for (size_t i = 0; i < 80; i++)
		grammars_give(&all, &taken[i]);
	grammars_fini(&all);
	token_trie_close(&trie);
	sn_engine_close(&e);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes_in_every_company), cmocka_unit_test(choices_fit_each_and_are_what_they_are_alone),
		cmocka_unit_test(it_goes_with_what_else_is_asked), cmocka_unit_test(it_begins_behind_its_mark),
		cmocka_unit_test(what_is_no_grammar_is_refused_before_any_token), cmocka_unit_test(grammars_are_shared_and_bounded),
		cmocka_unit_test(too_many_large_grammars_at_once_wait_outside),
	};
	return kit_run(tests);
}
