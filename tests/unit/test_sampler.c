/* test_sampler.c - promises of the sampler: each parameter by its definition, checked against a slow reference. */
#include "unit.h"

#include <math.h>

#include "engine/sampler.h"

enum { N_VOCAB = 48, EOS = 3, EOT = 5, IM_END = 9 };

static vocab *VOCAB;
static sampler S;

static int setup(void **state)
{
	(void)state;
	static char names[N_VOCAB][16];
	static str tokens[N_VOCAB];
	static int32_t types[N_VOCAB];
	for (int i = 0; i < N_VOCAB; i++) {
		snprintf(names[i], sizeof names[i], i == IM_END ? "<|im_end|>" : "tok%d", i);
		tokens[i] = str_of(names[i]);
		types[i] = i == IM_END ? TOKEN_CONTROL : TOKEN_NORMAL;
	}
	vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = N_VOCAB, .bos = -1, .eos = EOS, .eot = EOT, .unk = -1};
	sn_error err = {0};
	if (vocab_open(&VOCAB, &c, &err) != SN_OK)
		fail_msg("%s", err.text);
	return sampler_reserve(&S, 64, NULL);
}

static int teardown(void **state)
{
	(void)state;
	vocab_close(&VOCAB);
	sampler_fini(&S);
	return 0;
}

static sn_sampling plain(float temperature)
{
	return (sn_sampling){.temperature = temperature, .top_p = 1, .repetition_penalty = 1};
}

static void draw_logits(rng *r, float *logits, uint32_t n, double scale)
{
	for (uint32_t i = 0; i < n; i++)
		logits[i] = (float)((rng_unit(r) + rng_unit(r) + rng_unit(r) - 1.5) * scale);
}

static int32_t run(const sn_sampling *p, uint64_t seed, const float *logits, const seq_row *rows, uint32_t n_rows, uint32_t n_prompt)
{
	sample out;
	return sampler_run(&S, p, NULL, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, n_rows, n_prompt, &out) ? out.token : -1;
}

/* ---- random numbers ---- */

static void uniforms_are_philox_4x32_10(void **state)
{
	(void)state;
	/* Random123's known answer for counter 0, key 0: 6627e8d5 e169c58d ...; the first 53 bits of it. */
	uint64_t bits = (uint64_t)0x6627e8d5 << 21 | 0xe169c58d >> 11;
	assert_true(sampler_uniform(0, 0, 0, 0) == (double)bits * 0x1p-53);
	/* Known answer for counter 243f6a88 85a308d3 13198a2e 03707344 needs a fourth word, which is always 0 here: so the
	 * other arguments are told apart by a reference written out below. */
	rng r = {1};
	for (int i = 0; i < 1000; i++) {
		uint64_t seed = rng_next(&r);
		uint32_t choice = (uint32_t)rng_next(&r), index = (uint32_t)rng_next(&r), draw = (uint32_t)rng_next(&r);
		uint32_t c0 = index, c1 = choice, c2 = draw, c3 = 0, k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
		for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
			uint64_t p0 = (uint64_t)c0 * 0xD2511F53, p1 = (uint64_t)c2 * 0xCD9E8D57;
			uint32_t h0 = (uint32_t)(p0 >> 32), h1 = (uint32_t)(p1 >> 32);
			c0 = h1 ^ c1 ^ k0;
			c2 = h0 ^ c3 ^ k1;
			c1 = (uint32_t)p1;
			c3 = (uint32_t)p0;
		}
		assert_true(sampler_uniform(seed, choice, index, draw) == (double)((uint64_t)c0 << 21 | c1 >> 11) * 0x1p-53);
	}
}

static void uniforms_are_uniform_and_differ_in_every_argument(void **state)
{
	(void)state;
	uint32_t bins[100] = {0};
	double sum = 0, chi = 0;
	enum { N = 100000 };
	for (uint32_t i = 0; i < N; i++) {
		double u = sampler_uniform(42, i % 3, i, 0);
		assert_true(u >= 0 && u < 1);
		bins[(int)(u * 100)]++;
		sum += u;
		assert_true(u != sampler_uniform(43, i % 3, i, 0));
		assert_true(u != sampler_uniform(42 + (1ull << 32), i % 3, i, 0));
		assert_true(u != sampler_uniform(42, i % 3 + 1, i, 0));
		assert_true(u != sampler_uniform(42, i % 3, i + 1, 0));
		assert_true(u != sampler_uniform(42, i % 3, i, 1));
		assert_true(u == sampler_uniform(42, i % 3, i, 0));
	}
	for (int b = 0; b < 100; b++)
		chi += (bins[b] - N / 100.0) * (bins[b] - N / 100.0) / (N / 100.0);
	assert_true(chi < 180); /* 99 degrees of freedom: p about 1e-6 */
	assert_true(fabs(sum / N - 0.5) < 0.005);
}

/* ---- the slow reference ---- */

struct candidate { int32_t token; double logit, p; };

static int by_logit(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit) : x->token - y->token;
}

static int by_token(const void *a, const void *b)
{
	return ((const struct candidate *)a)->token - ((const struct candidate *)b)->token;
}

/* softmax(w / T), cut by min_p, then top_k, then top_p; what is left, renormalised, best first. */
static uint32_t distribution(const sn_sampling *p, const double *w, struct candidate *c)
{
	uint32_t n = 0, keep = 0;
	double total = 0, sum = 0;
	for (int32_t i = 0; i < N_VOCAB; i++)
		if (w[i] > -INFINITY)
			c[n++] = (struct candidate){i, w[i], 0};
	qsort(c, n, sizeof *c, by_logit);
	for (uint32_t i = 0; i < n; i++)
		c[i].p = exp((c[i].logit - c[0].logit) / (double)p->temperature);
	while (keep < n && c[keep].p >= (double)p->min_p)
		keep++;
	if (p->top_k > 0 && (uint32_t)p->top_k < keep)
		keep = (uint32_t)p->top_k;
	for (uint32_t i = 0; i < keep; i++)
		total += c[i].p;
	n = 0;
	while (n < keep && (n == 0 || sum < (double)p->top_p * total))
		sum += c[n++].p;
	for (uint32_t i = 0; i < n; i++)
		c[i].p /= sum;
	return n;
}

static int32_t reference_draw(const sn_sampling *p, const double *w, double u)
{
	struct candidate c[N_VOCAB];
	uint32_t n = distribution(p, w, c);
	uint32_t likely = 0; /* tokens that min_p lets through */
	for (int t = 0; t < N_VOCAB; t++)
		likely += w[t] > -INFINITY && exp((w[t] - c[0].logit) / (double)p->temperature) >= (double)p->min_p;
	bool cut = p->top_p < 1 || (p->top_k > 0 && (uint32_t)p->top_k < likely);
	if (!cut)
		qsort(c, n, sizeof *c, by_token); /* uncut, the candidates stand in order of id */
	double at = 0;
	for (uint32_t i = 0; i < n; i++)
		if ((at += c[i].p) > u)
			return c[i].token;
	return c[n - 1].token;
}

/* ---- greedy ---- */

static void greedy_takes_the_best_and_of_equals_the_lowest_id(void **state)
{
	(void)state;
	float logits[N_VOCAB] = {0};
	sn_sampling p = plain(0);
	assert_int_equal(run(&p, 1, logits, NULL, 0, 0), 0);
	logits[17] = logits[40] = 2;
	assert_int_equal(run(&p, 1, logits, NULL, 0, 0), 17);
	logits[40] = nextafterf(2, 3);
	assert_int_equal(run(&p, 1, logits, NULL, 0, 0), 40);
	p = plain(1); /* top_k 1 is greedy too, ties included */
	p.top_k = 1;
	logits[40] = 2;
	for (uint64_t seed = 0; seed < 50; seed++)
		assert_int_equal(run(&p, seed, logits, NULL, 0, 0), 17);
}

/* ---- distributions ---- */

static void every_cut_gives_the_reference_token(void **state)
{
	(void)state;
	rng r = {21};
	float logits[N_VOCAB];
	double w[N_VOCAB];
	for (int i = 0; i < 20000; i++) {
		sn_sampling p = plain((float)(0.05 + 1.95 * rng_unit(&r)));
		draw_logits(&r, logits, N_VOCAB, 6);
		if (i % 5 == 0) /* many equals */
			for (int t = 0; t < N_VOCAB; t++)
				logits[t] = (float)(int)logits[t];
		if (rng_below(&r, 2))
			p.top_k = (int32_t)rng_below(&r, N_VOCAB + 10) - 2;
		if (rng_below(&r, 2))
			p.top_p = (float)(rng_unit(&r) * 0.999 + 0.001);
		if (rng_below(&r, 2))
			p.min_p = (float)rng_unit(&r);
		for (int t = 0; t < N_VOCAB; t++)
			w[t] = (double)logits[t];
		uint64_t seed = rng_next(&r);
		int32_t got = run(&p, seed, logits, NULL, 0, 0), want = reference_draw(&p, w, sampler_uniform(seed, 0, 0, 0));
		if (got != want)
			fail_msg("round %d: token %d, expected %d (temperature %g top_k %d top_p %g min_p %g)", i, got, want, (double)p.temperature,
			         p.top_k, (double)p.top_p, (double)p.min_p);
	}
}

static void draws_follow_the_distribution(void **state)
{
	(void)state;
	rng r = {22};
	float logits[N_VOCAB];
	double w[N_VOCAB];
	draw_logits(&r, logits, N_VOCAB, 4);
	for (int t = 0; t < N_VOCAB; t++)
		w[t] = (double)logits[t];
	sn_sampling cases[] = {plain(1), plain(0.5f), plain(1.7f), plain(1), plain(1), plain(1)};
	cases[3].top_k = 7;
	cases[4].top_p = 0.8f;
	cases[5].min_p = 0.1f;
	enum { N = 30000 };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t got[N_VOCAB] = {0};
		struct candidate c[N_VOCAB];
		uint32_t n = distribution(&cases[i], w, c), bins = 0;
		double chi = 0, rest_p = 0, rest_got = 0, seen = 0;
		for (uint64_t seed = 0; seed < N; seed++)
			got[run(&cases[i], seed, logits, NULL, 0, 0)]++;
		for (uint32_t k = 0; k < n; k++) {
			double expected = c[k].p * N;
			seen += got[c[k].token];
			if (expected < 8) { /* too rare for a bin of their own */
				rest_p += c[k].p;
				rest_got += got[c[k].token];
				continue;
			}
			chi += (got[c[k].token] - expected) * (got[c[k].token] - expected) / expected;
			bins++;
		}
		if (rest_p * N > 1)
			chi += (rest_got - rest_p * N) * (rest_got - rest_p * N) / (rest_p * N);
		assert_true(seen == N); /* nothing outside the cut */
		assert_true(chi < bins + 6 * sqrt(2.0 * bins) + 10);
	}
}

static void the_same_seed_gives_the_same_token_and_others_differ(void **state)
{
	(void)state;
	float logits[N_VOCAB] = {0};
	sn_sampling p = plain(1);
	seq_row rows[20] = {{0}};
	uint32_t differ[3] = {0};
	for (uint64_t seed = 0; seed < 500; seed++) {
		sample a, b, choice, index, other;
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, 10, 5, &a));
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, 10, 5, &b));
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 1, VOCAB, logits, N_VOCAB, 0, rows, 10, 5, &choice));
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, 11, 5, &index));
		assert_true(sampler_run(&S, &p, NULL, NULL, seed + 1000, 0, VOCAB, logits, N_VOCAB, 0, rows, 10, 5, &other));
		assert_int_equal(a.token, b.token);
		differ[0] += a.token != choice.token;
		differ[1] += a.token != index.token;
		differ[2] += a.token != other.token;
		/* The output index counts, not the length of the prompt. */
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, 20, 15, &b));
		assert_int_equal(a.token, b.token);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(differ[i], 470, 500);
}

/* ---- what changes the logits ---- */

static void penalties_are_what_openai_and_vllm_define(void **state)
{
	(void)state;
	rng r = {23};
	float logits[N_VOCAB];
	for (int i = 0; i < 5000; i++) {
		seq_row rows[40];
		uint32_t n_rows = rng_below(&r, 40), n_prompt = rng_below(&r, n_rows + 1);
		bool in_all[N_VOCAB] = {false};
		uint32_t in_output[N_VOCAB] = {0};
		for (uint32_t k = 0; k < n_rows; k++) {
			bool media = k < n_prompt && rng_below(&r, 5) == 0;
			rows[k] = (seq_row){.id = (int32_t)rng_below(&r, N_VOCAB), .media = media ? 0 : -1};
			if (!media)
				in_all[rows[k].id] = true;
			in_output[rows[k].id] += k >= n_prompt;
		}
		sn_sampling p = plain(rng_below(&r, 2) ? 0 : 0.8f);
		p.repetition_penalty = rng_below(&r, 2) ? 1 : (float)(0.5 + 1.5 * rng_unit(&r));
		p.presence_penalty = rng_below(&r, 2) ? 0 : (float)(4 * rng_unit(&r) - 2);
		p.frequency_penalty = rng_below(&r, 2) ? 0 : (float)(4 * rng_unit(&r) - 2);
		draw_logits(&r, logits, N_VOCAB, 4);
		logits[rng_below(&r, N_VOCAB)] = 0;
		double w[N_VOCAB];
		int32_t best = 0;
		for (int t = 0; t < N_VOCAB; t++) {
			double rep = (double)p.repetition_penalty;
			w[t] = (double)logits[t];
			if (in_all[t])
				w[t] = w[t] > 0 ? w[t] / rep : w[t] * rep;
			w[t] -= in_output[t] * (double)p.frequency_penalty + (in_output[t] > 0) * (double)p.presence_penalty;
			best = w[t] > w[best] ? t : best;
		}
		uint64_t seed = rng_next(&r);
		int32_t want = p.temperature > 0 ? reference_draw(&p, w, sampler_uniform(seed, 0, n_rows - n_prompt, 0)) : best;
		assert_int_equal(run(&p, seed, logits, rows, n_rows, n_prompt), want);
	}
}

static void penalties_of_a_long_output_take_linear_time(void **state)
{
	(void)state;
	enum { LONG = 200000 };
	seq_row *rows = calloc(LONG, sizeof *rows);
	float logits[N_VOCAB] = {0};
	for (uint32_t i = 0; i < LONG; i++)
		rows[i] = (seq_row){.id = 1 + (int32_t)(i % 4 == 0), .media = -1};
	sn_sampling p = plain(0);
	p.presence_penalty = 1;
	p.frequency_penalty = 0.5f;
	for (int i = 0; i < 20; i++) /* seconds if it were quadratic */
		assert_int_equal(run(&p, 1, logits, rows, LONG, 0), 0);
	free(rows);
}

static void logit_bias_is_added_and_unknown_tokens_are_ignored(void **state)
{
	(void)state;
	float logits[N_VOCAB] = {0};
	const sn_logit_bias bias[] = {{30, 1}, {31, 3}, {31, -2.5f}, {-1, 100}, {N_VOCAB, 100}, {INT32_MAX, 100}};
	sn_sampling p = plain(0);
	p.logit_bias = bias;
	p.n_logit_bias = sizeof bias / sizeof *bias;
	assert_int_equal(run(&p, 1, logits, NULL, 0, 0), 30);
}

static void ends_are_forbidden_as_long_as_asked(void **state)
{
	(void)state;
	seq_row rows[10];
	memset(rows, 0xFF, sizeof rows);
	float logits[N_VOCAB] = {0};
	logits[EOS] = 9;
	logits[EOT] = 8;
	logits[IM_END] = 7;
	logits[12] = 1;
	sn_sampling p = plain(0);
	assert_int_equal(run(&p, 1, logits, rows, 8, 4), EOS);
	p.min_tokens = 5;
	assert_int_equal(run(&p, 1, logits, rows, 8, 4), 12); /* 4 tokens so far */
	assert_int_equal(run(&p, 1, logits, rows, 9, 4), EOS);
	p.min_tokens = 0;
	p.ignore_eos = true; /* it may come: the engine goes on after it */
	assert_int_equal(run(&p, 1, logits, rows, 9, 4), EOS);
}

struct mask_call { uint32_t choice, n_vocab; int32_t tokens[8]; size_t n_tokens; int32_t only; };

static void mask_all_but_one(void *ctx, uint32_t choice, uint32_t *mask, uint32_t n_vocab, const int32_t *tokens, size_t n_tokens)
{
	struct mask_call *m = ctx;
	m->choice = choice;
	m->n_vocab = n_vocab;
	m->n_tokens = n_tokens;
	for (size_t i = 0; i < n_tokens && i < 8; i++)
		m->tokens[i] = tokens[i];
	for (uint32_t t = 0; t < n_vocab; t++)
		assert_true(mask[t / 32] >> (t % 32) & 1);
	memset(mask, 0, (n_vocab + 31) / 32 * sizeof *mask);
	if (m->only >= 0)
		mask[m->only / 32] |= 1u << (m->only % 32);
}

static void the_mask_sees_the_output_and_has_the_last_word(void **state)
{
	(void)state;
	float logits[N_VOCAB] = {0};
	seq_row rows[5] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}, {.id = 5}};
	struct mask_call m = {.only = 37};
	sn_sampling p = plain(0);
	p.mask = mask_all_but_one;
	p.mask_ctx = &m;
	for (int i = 0; i < 2; i++) {
		p.temperature = (float)i;
		assert_int_equal(run(&p, 1, logits, rows, 5, 2), 37);
	}
	assert_int_equal(m.n_vocab, N_VOCAB);
	assert_int_equal(m.choice, 0);
	assert_int_equal(m.n_tokens, 3);
	assert_memory_equal(m.tokens, ((int32_t[]){3, 4, 5}), 3 * sizeof(int32_t));
	p.presence_penalty = 2; /* penalties and mask share scratch */
	assert_int_equal(run(&p, 1, logits, rows, 5, 2), 37);
	m.only = EOS; /* the only token left is an end, and ends are forbidden */
	p.min_tokens = 100;
	assert_int_equal(run(&p, 1, logits, rows, 5, 2), -1);
	m.only = -1;
	assert_int_equal(run(&p, 1, logits, rows, 5, 2), -1);
}

static void rules_have_their_say_and_the_logprob_is_theirs(void **state)
{
	(void)state;
	float logits[N_VOCAB] = {0};
	seq_row rows[3] = {{.id = 1}, {.id = 30}, {.id = 31}};
	const int32_t never[] = {7};
	/* Stamps are 40..47; text lies before 30. */
	const token_rules r = {.suppress = never, .n_suppress = 1, .first_stamp = 40, .no_stamps = -1, .end = 30, .max_first = 1};
	sn_sampling p = plain(0);
	sample out;
	logits[7] = 9;
	logits[44] = 5;
	assert_true(sampler_run(&S, &p, &r, NULL, 1, 0, VOCAB, logits, N_VOCAB, 0, rows, 1, 1, &out));
	assert_int_equal(out.token, 40); /* the first: 40 or 41 */
	assert_true(fabs((double)out.logprob - log(0.5)) < 1e-6);
	rows[1].id = 41;
	assert_true(sampler_run(&S, &p, &r, NULL, 1, 0, VOCAB, logits, N_VOCAB, 0, rows, 2, 1, &out));
	assert_int_equal(out.token, 0); /* text after the opening stamp */
	assert_true(fabs((double)out.logprob - log(1.0 / 39)) < 1e-6);
	rows[2].id = 2;
	p.temperature = 0.7f;
	for (uint64_t seed = 0; seed < 200; seed++) { /* 42..47 together outweigh the best text: one of them */
		assert_true(sampler_run(&S, &p, &r, NULL, seed, 0, VOCAB, logits, N_VOCAB, 0, rows, 3, 1, &out));
		assert_in_range(out.token, 42, 47);
		double want = (out.token == 44 ? 5 : 0) - log(exp(5) + 5); /* not under the temperature */
		assert_true(fabs((double)out.logprob - want) < 1e-6);
	}
}

static void logits_that_are_not_finite_are_refused(void **state)
{
	(void)state;
	const float bad[] = {NAN, INFINITY, -INFINITY};
	sn_sampling p = plain(1);
	sample out;
	for (int i = 0; i < 3; i++)
		for (int at = 0; at < 60; at++) { /* padding beyond the vocabulary counts: the model is broken */
			float logits[60] = {0};
			logits[at] = bad[i];
			assert_false(sampler_run(&S, &p, NULL, NULL, 1, 0, VOCAB, logits, 60, 0, NULL, 0, 0, &out));
		}
	float extreme[N_VOCAB]; /* finite logits that a penalty drives out of range */
	for (int t = 0; t < N_VOCAB; t++)
		extreme[t] = 3e38f;
	seq_row row = {.id = 0, .media = -1};
	p.repetition_penalty = 0.1f;
	assert_false(sampler_run(&S, &p, NULL, NULL, 1, 0, VOCAB, extreme, N_VOCAB, 0, &row, 1, 1, &out));
}

static void padding_rows_are_never_chosen(void **state)
{
	(void)state;
	float logits[60] = {0};
	for (int t = N_VOCAB; t < 60; t++)
		logits[t] = 50;
	sn_sampling p = plain(0);
	p.logprobs = true;
	p.top_logprobs = 5;
	sample out;
	for (uint64_t seed = 0; seed < 200; seed++) {
		p.temperature = (float)(seed % 2);
		assert_true(sampler_run(&S, &p, NULL, NULL, seed, 0, VOCAB, logits, 60, 0, NULL, 0, 0, &out));
		assert_in_range(out.token, 0, N_VOCAB - 1);
		for (uint32_t i = 0; i < out.n_top; i++)
			assert_in_range(out.top[i].token, 0, N_VOCAB - 1);
	}
}

/* ---- logprobs ---- */

static void logprobs_are_the_models_own_log_softmax(void **state)
{
	(void)state;
	rng r = {24};
	float logits[N_VOCAB];
	for (int i = 0; i < 2000; i++) {
		sn_sampling p = plain((float)(2 * rng_unit(&r)));
		p.logprobs = true;
		p.top_logprobs = rng_below(&r, 30); /* above the cap: the cap */
		p.top_k = 5;
		p.presence_penalty = 1;
		draw_logits(&r, logits, N_VOCAB, i % 10 ? 10 : 100);
		float before[N_VOCAB];
		memcpy(before, logits, sizeof logits);
		sample out;
		assert_true(sampler_run(&S, &p, NULL, NULL, rng_next(&r), 0, VOCAB, logits, N_VOCAB, 0, NULL, 0, 0, &out));
		assert_memory_equal(before, logits, sizeof logits);
		double sum = 0, max = -INFINITY;
		struct candidate c[N_VOCAB];
		for (int t = 0; t < N_VOCAB; t++) {
			c[t] = (struct candidate){t, (double)logits[t], 0};
			max = c[t].logit > max ? c[t].logit : max;
		}
		for (int t = 0; t < N_VOCAB; t++)
			sum += exp(c[t].logit - max);
		assert_true(fabs((double)out.logprob - ((double)logits[out.token] - max - log(sum))) < 1e-5);
		qsort(c, N_VOCAB, sizeof *c, by_logit);
		assert_int_equal(out.n_top, p.top_logprobs < SN_MAX_TOP_LOGPROBS ? p.top_logprobs : SN_MAX_TOP_LOGPROBS);
		for (uint32_t k = 0; k < out.n_top; k++) {
			assert_int_equal(out.top[k].token, c[k].token);
			assert_true(fabs((double)out.top[k].logprob - (c[k].logit - max - log(sum))) < 1e-5);
		}
	}
}

static void top_logprobs_are_no_more_than_the_vocabulary(void **state)
{
	(void)state;
	float logits[4] = {1, 4, 2, 3};
	sn_sampling p = plain(0);
	p.logprobs = true;
	p.top_logprobs = 20;
	sample out;
	assert_true(sampler_run(&S, &p, NULL, NULL, 1, 0, VOCAB, logits, 4, 0, NULL, 0, 0, &out));
	assert_int_equal(out.n_top, 4);
	assert_int_equal(out.top[0].token, 1);
	assert_int_equal(out.top[3].token, 0);
	p.logprobs = false;
	assert_true(sampler_run(&S, &p, NULL, NULL, 1, 0, VOCAB, logits, 4, 0, NULL, 0, 0, &out));
	assert_int_equal(out.n_top, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(uniforms_are_philox_4x32_10),
	    cmocka_unit_test(uniforms_are_uniform_and_differ_in_every_argument),
	    cmocka_unit_test(greedy_takes_the_best_and_of_equals_the_lowest_id),
	    cmocka_unit_test(every_cut_gives_the_reference_token),
	    cmocka_unit_test(draws_follow_the_distribution),
	    cmocka_unit_test(the_same_seed_gives_the_same_token_and_others_differ),
	    cmocka_unit_test(penalties_are_what_openai_and_vllm_define),
	    cmocka_unit_test(penalties_of_a_long_output_take_linear_time),
	    cmocka_unit_test(logit_bias_is_added_and_unknown_tokens_are_ignored),
	    cmocka_unit_test(ends_are_forbidden_as_long_as_asked),
	    cmocka_unit_test(the_mask_sees_the_output_and_has_the_last_word),
	    cmocka_unit_test(rules_have_their_say_and_the_logprob_is_theirs),
	    cmocka_unit_test(logits_that_are_not_finite_are_refused),
	    cmocka_unit_test(padding_rows_are_never_chosen),
	    cmocka_unit_test(logprobs_are_the_models_own_log_softmax),
	    cmocka_unit_test(top_logprobs_are_no_more_than_the_vocabulary),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
