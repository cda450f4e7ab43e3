/* What sampling parameters promise of a whole request: ranges, ends, and the same bytes for the same seed. */
#include "engine_kit.h"

/* ---- the same seed ---- */

enum { N_SETS = 10, N_CHOICES = 2 };

static const sn_logit_bias BIASES[] = {{'e', 3}, {' ', -2}};

static sn_sampling sampler_set(int i)
{
	sn_sampling s;
	sn_sampling_init(&s);
	s.n = N_CHOICES;
	s.seed = 1000 + (uint64_t)i;
	s.has_seed = s.ignore_eos = s.logprobs = true;
	s.max_tokens = 24;
	s.top_logprobs = 3;
	switch (i) {
	case 0: s.temperature = 0; break;
	case 1: break;
	case 2: s.temperature = 0.3f; break;
	case 3: s.top_k = 5; break;
	case 4: s.top_p = 0.7f; break;
	case 5: s.min_p = 0.05f; break;
	case 6: s.presence_penalty = 1.5f, s.frequency_penalty = 0.5f; break;
	case 7: s.repetition_penalty = 1.3f; break;
	case 8: s.logit_bias = BIASES, s.n_logit_bias = 2; break;
	default:
		s.temperature = 1.5f, s.top_k = 40, s.top_p = 0.9f, s.min_p = 0.01f, s.presence_penalty = -1, s.repetition_penalty = 0.9f;
		s.logit_bias = BIASES, s.n_logit_bias = 2;
	}
	return s;
}

/* Check 50: twenty times each, alone and among all others. */
static void a_seed_gives_the_same_bytes_every_time(void **state)
{
	(void)state;
	static struct answer first[N_SETS][N_CHOICES], out[N_CHOICES];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	sn_sampling sets[N_SETS];
	struct ask asks[N_SETS];
	sn_error err;
	for (int i = 0; i < N_SETS; i++) {
		sets[i] = sampler_set(i);
		asks[i] = (struct ask){.text = "Say something that surprises me, twenty times the same.", .sampling = &sets[i]};
		ask_all(e, &asks[i], first[i], N_CHOICES);
		for (int k = 0; i && k < i; k++) /* the sets are told apart */
			assert_memory_not_equal(first[i]->ids, first[k]->ids, sizeof(int32_t) * 24);
	}
	for (int repeat = 0; repeat < 10; repeat++)
		for (int i = 0; i < N_SETS; i++) {
			ask_all(e, &asks[i], out, N_CHOICES);
			for (int c = 0; c < N_CHOICES; c++)
				assert_same(&out[c], &first[i][c]);
		}
	for (int repeat = 0; repeat < 10; repeat++) {
		sn_request *r[N_SETS];
		for (int i = 0; i < N_SETS; i++)
			assert_int_equal(submit(e, &asks[(i + repeat) % N_SETS], &r[i], &err), SN_OK);
		for (int i = 0; i < N_SETS; i++) {
			memset(out, 0, sizeof out);
			collect_all(r[i], out, N_CHOICES);
			for (int c = 0; c < N_CHOICES; c++)
				assert_same(&out[c], &first[(i + repeat) % N_SETS][c]);
			sn_request_close(&r[i]);
		}
	}
	sn_engine_close(&e);
}

static void a_drawn_seed_is_told_and_gives_the_answer_again(void **state)
{
	(void)state;
	static struct answer a, b;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	sn_sampling s = sampler_set(1);
	struct ask q = {.text = "Surprise me.", .sampling = &s};
	sn_request *r[2];
	sn_error err;
	s.n = 1;
	s.has_seed = false;
	assert_int_equal(submit(e, &q, &r[0], &err), SN_OK);
	assert_int_equal(submit(e, &q, &r[1], &err), SN_OK);
	assert_int_not_equal(sn_request_seed(r[0]), sn_request_seed(r[1]));
	s.seed = sn_request_seed(r[0]);
	s.has_seed = true;
	memset(&a, 0, sizeof a);
	collect(r[0], &a);
	sn_request_close(&r[0]);
	sn_request_close(&r[1]);
	b = ask(e, &q);
	assert_same(&a, &b);
	sn_engine_close(&e);
}

/* ---- ends ---- */

static uint32_t index_of(const struct answer *a, int32_t id)
{
	uint32_t i = 0;
	while (i < a->n && a->ids[i] != id)
		i++;
	return i;
}

static void a_stop_token_ends_as_an_end_token_does(void **state)
{
	(void)state;
	static struct answer plain[3], out[3];
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	struct ask a = {.text = "Count.", .temperature = 1, .seed = 5, .max_tokens = 60, .n = 3};
	ask_all(e, &a, plain, 3);
	sn_sampling s = sampling_of(&a); /* ignores end tokens, not these */
	struct ask b = a;
	s.stop_token_ids[0] = plain[0].ids[9];
	s.stop_token_ids[1] = plain[1].ids[20];
	s.n_stop_token_ids = 2;
	b.sampling = &s;
	ask_all(e, &b, out, 3);
	uint32_t n_tokens = 0;
	for (int c = 0; c < 3; c++) {
		uint32_t i = index_of(&plain[c], s.stop_token_ids[0]), k = index_of(&plain[c], s.stop_token_ids[1]), end = i < k ? i : k;
		assert_int_equal(out[c].n, end);
		assert_memory_equal(out[c].ids, plain[c].ids, end * sizeof(int32_t));
		assert_int_equal(out[c].finish, end < plain[c].n ? SN_FINISH_STOP : SN_FINISH_LENGTH);
		assert_int_equal(out[c].stop_token, end < plain[c].n ? plain[c].ids[end] : -1);
		n_tokens += end + (end < plain[c].n);
	}
	assert_true(out[0].n <= 9 && out[1].n <= 20);
	assert_int_equal(out->usage.completion_tokens, n_tokens);
	sn_engine_close(&e);
}

static void min_tokens_keeps_every_kind_of_end_away(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 2});
	const vocab *v = e->models[0].m->vocab;
	struct ask a = {.text = "Go on.", .temperature = 1, .seed = 6, .max_tokens = 40, .n = 2};
	const sn_logit_bias wish[] = {{vocab_eos(v), 100}, {'z', 90}};
	static struct answer out[2];
	sn_sampling s = sampling_of(&a);
	s.ignore_eos = false;
	s.logit_bias = wish;
	s.n_logit_bias = 2;
	s.stop_token_ids[0] = 'z';
	s.n_stop_token_ids = 1;
	a.sampling = &s;
	ask_all(e, &a, out, 2);
	assert_int_equal(out[0].n + out[1].n, 0);
	assert_int_equal(out[0].stop_token, vocab_eos(v));
	s.min_tokens = 12;
	ask_all(e, &a, out, 2);
	for (int c = 0; c < 2; c++) {
		assert_int_equal(out[c].n, 12);
		assert_int_equal(index_of(&out[c], 'z'), 12);
		assert_int_equal(out[c].finish, SN_FINISH_STOP);
		assert_int_equal(out[c].stop_token, vocab_eos(v));
	}
	s.ignore_eos = true; /* then end tokens come, and go on, until the stop token does */
	s.logit_bias = wish + 1;
	s.n_logit_bias = 1;
	ask_all(e, &a, out, 2);
	assert_int_equal(out[0].n, 12);
	assert_int_equal(out[0].stop_token, 'z');
	sn_engine_close(&e);
}

/* ---- ranges ---- */

static void refused(sn_engine *e, const sn_sampling *s, const char *param)
{
	sn_request *r = NULL;
	sn_error err = {0};
	assert_int_equal(submit(e, &(struct ask){.text = "x", .sampling = s}, &r, &err), SN_ERR_INVALID);
	assert_null(r);
	assert_string_equal(err.param, param);
	assert_true(strlen(err.text) > 0);
}

#define REFUSED(param, ...)                                                                                              \
	do {                                                                                                                 \
		sn_sampling s;                                                                                                   \
		sn_sampling_init(&s);                                                                                            \
		s.max_tokens = 4;                                                                                                \
		__VA_ARGS__;                                                                                                     \
		refused(e, &s, param);                                                                                           \
	} while (0)

static void what_is_out_of_range_is_refused_by_name(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){.threads = 1});
	int32_t n_vocab = (int32_t)vocab_size(e->models[0].m->vocab);
	static sn_logit_bias many[SN_MAX_LOGIT_BIAS + 1];
	REFUSED("n", s.n = 0);
	REFUSED("n", s.n = SN_MAX_CHOICES + 1);
	REFUSED("n", s.n = UINT32_MAX);
	REFUSED("temperature", s.temperature = -0.1f);
	REFUSED("temperature", s.temperature = 2.1f);
	REFUSED("temperature", s.temperature = NAN);
	REFUSED("top_p", s.top_p = 0);
	REFUSED("top_p", s.top_p = 1.1f);
	REFUSED("top_p", s.top_p = NAN);
	REFUSED("min_p", s.min_p = -0.1f);
	REFUSED("min_p", s.min_p = 1.1f);
	REFUSED("presence_penalty", s.presence_penalty = 2.1f);
	REFUSED("frequency_penalty", s.frequency_penalty = -2.1f);
	REFUSED("repetition_penalty", s.repetition_penalty = 0);
	REFUSED("repetition_penalty", s.repetition_penalty = 11);
	REFUSED("repetition_penalty", s.repetition_penalty = INFINITY);
	REFUSED("min_tokens", s.min_tokens = 5);
	REFUSED("top_logprobs", s.top_logprobs = SN_MAX_TOP_LOGPROBS + 1);
	REFUSED("stop", s.n_stop = SN_MAX_STOP + 1);
	REFUSED("stop", s.n_stop = 1; s.stop[0] = "");
	REFUSED("stop_token_ids", s.n_stop_token_ids = SN_MAX_STOP_TOKENS + 1);
	REFUSED("stop_token_ids", s.n_stop_token_ids = 1; s.stop_token_ids[0] = -1);
	REFUSED("stop_token_ids", s.n_stop_token_ids = 1; s.stop_token_ids[0] = n_vocab);
	REFUSED("logit_bias", s.n_logit_bias = SN_MAX_LOGIT_BIAS + 1; s.logit_bias = many);
	REFUSED("logit_bias", s.n_logit_bias = 1; s.logit_bias = (&(sn_logit_bias){n_vocab, 1}));
	REFUSED("logit_bias", s.n_logit_bias = 1; s.logit_bias = (&(sn_logit_bias){-1, 1}));
	REFUSED("logit_bias", s.n_logit_bias = 1; s.logit_bias = (&(sn_logit_bias){1, 101}));
	REFUSED("logit_bias", s.n_logit_bias = 1; s.logit_bias = (&(sn_logit_bias){1, NAN}));
	assert_int_equal(atomic_load(&e->n_requests), 0); /* no place is kept for what was refused */
	assert_all_pages_free(e);

	static struct answer out[SN_MAX_CHOICES];
	sn_sampling most;
	sn_sampling_init(&most);
	most.n = SN_MAX_CHOICES;
	most.temperature = 2;
	most.min_p = 1;
	most.top_k = INT32_MAX;
	most.presence_penalty = most.frequency_penalty = -2;
	most.repetition_penalty = 10;
	most.max_tokens = most.min_tokens = 4;
	most.logprobs = true;
	most.top_logprobs = SN_MAX_TOP_LOGPROBS;
	most.logit_bias = many;
	most.n_logit_bias = SN_MAX_LOGIT_BIAS;
	most.n_stop_token_ids = SN_MAX_STOP_TOKENS;
	ask_all(e, &(struct ask){.text = "x", .sampling = &most}, out, most.n);
	for (uint32_t c = 0; c < most.n; c++) {
		assert_int_equal(out[c].status, SN_OK);
		assert_int_equal(out[c].n, 4);
	}
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_seed_gives_the_same_bytes_every_time),
	    cmocka_unit_test(a_drawn_seed_is_told_and_gives_the_answer_again),
	    cmocka_unit_test(a_stop_token_ends_as_an_end_token_does),
	    cmocka_unit_test(min_tokens_keeps_every_kind_of_end_away),
	    cmocka_unit_test(what_is_out_of_range_is_refused_by_name),
	};
	return kit_run(tests);
}
