/* test_rules.c - promises of the rules about stamps: token for token what the reference implementation leaves and takes. */
#include "unit.h"

#include <math.h>

#include "engine/rules.h"
#include "hear_golden.h"

enum { MAX_VOCAB = 96, MAX_SAID = 32, MAX_LIST = 32 };

struct rule_case {
	token_rules rules;
	uint32_t n_vocab, n_said;
	int32_t said[MAX_SAID], suppress[MAX_LIST], begin[MAX_LIST];
	float logits[MAX_VOCAB];
	bool kept[MAX_VOCAB];
	int32_t best;
	double logprob;
};

static uint32_t read_list(struct golden *g, int32_t *out, uint32_t max)
{
	uint32_t n = (uint32_t)golden_next(g);
	assert_true(n <= max);
	for (uint32_t i = 0; i < n; i++)
		out[i] = golden_next(g);
	return n;
}

static void read_case(struct golden *g, struct rule_case *c)
{
	c->n_vocab = (uint32_t)golden_next(g);
	assert_true(c->n_vocab <= MAX_VOCAB);
	c->rules = (token_rules){.end = golden_next(g)};
	c->rules.no_stamps = golden_next(g);
	c->rules.first_stamp = golden_next(g);
	c->rules.max_first = (uint32_t)golden_next(g); /* -1: no such rule */
	c->n_said = read_list(g, c->said, MAX_SAID);
	c->rules.n_suppress = read_list(g, c->suppress, MAX_LIST);
	c->rules.n_begin_suppress = read_list(g, c->begin, MAX_LIST);
	c->rules.suppress = c->suppress;
	c->rules.begin_suppress = c->begin;
	for (uint32_t i = 0; i < c->n_vocab; i++)
		c->logits[i] = (float)golden_next(g) / 8;
	for (uint32_t i = 0; i < c->n_vocab; i++)
		c->kept[i] = golden_next(g);
	c->best = golden_next(g);
	c->logprob = golden_next(g) / 1048576.0;
}

static void rules_leave_what_the_reference_leaves(void **state)
{
	(void)state;
	struct golden g = golden_open("rules.bin");
	uint32_t n_cases = 0, n_first = 0, n_unbounded = 0;
	while (golden_left(&g)) {
		static struct rule_case c;
		read_case(&g, &c);
		float w[MAX_VOCAB];
		memcpy(w, c.logits, sizeof w);
		rules_apply(&c.rules, w, c.n_vocab, c.said, c.n_said);
		int32_t best = -1;
		double sum = 0;
		for (uint32_t i = 0; i < c.n_vocab; i++) {
			if ((bool)!isfinite(w[i]) == c.kept[i])
				fail_msg("case %u: token %u of %u is %s", n_cases, i, c.n_vocab, c.kept[i] ? "banned" : "left");
			if (c.kept[i])
				assert_true(w[i] == c.logits[i]);
			if (c.kept[i] && (best < 0 || w[i] > w[best]))
				best = (int32_t)i;
			sum += exp((double)w[i]);
		}
		assert_int_equal(best, c.best);
		if (best >= 0)
			assert_true(fabs((double)w[best] - log(sum) - c.logprob) < 1e-5);
		n_cases++;
		n_first += c.n_said == 0;
		n_unbounded += c.rules.max_first == UINT32_MAX;
	}
	assert_true(n_cases >= 300 && n_first > 20 && n_unbounded > 20);
	golden_close(&g);
}

static void only_these_tokens_are_left(void **state)
{
	(void)state;
	const int32_t only[] = {-1, 2, 3, 7, 40};
	float w[10] = {0};
	rules_apply(&(token_rules){.only = only, .n_only = 5}, w, 10, NULL, 0);
	for (int i = 0; i < 10; i++)
		assert_true((bool)!isfinite(w[i]) == !(i == 2 || i == 3 || i == 7));
}

static void without_stamps_the_lists_still_hold(void **state)
{
	(void)state;
	const int32_t never[] = {4, -2, 99}, first[] = {6};
	const token_rules r = {.suppress = never, .n_suppress = 3, .begin_suppress = first, .n_begin_suppress = 1, .no_stamps = 5};
	for (size_t said = 0; said < 2; said++) {
		float w[10] = {0};
		rules_apply(&r, w, 10, &(int32_t){1}, said);
		for (int i = 0; i < 10; i++)
			assert_true((bool)!isfinite(w[i]) == (i == 4 || (i == 6 && said == 0)));
	}
}

static void frames_leave_a_slots_codes_and_ends_where_a_frame_begins(void **state)
{
	(void)state;
	rng r = {3};
	for (int round = 0; round < 2000; round++) {
		enum { N = 60 };
		token_range slots[4];
		int32_t ends[3];
		token_rules rules = {.slots = slots, .n_slots = rng_between(&r, 1, 4), .ends = ends, .n_ends = rng_between(&r, 1, 3), .no_stamps = -1};
		for (uint32_t i = 0; i < rules.n_slots; i++) {
			slots[i].first = (int32_t)rng_below(&r, N - 1);
			slots[i].n = rng_between(&r, 1, N - (uint32_t)slots[i].first);
		}
		for (uint32_t i = 0; i < rules.n_ends; i++)
			ends[i] = (int32_t)rng_below(&r, N / 3) + (i ? ends[i - 1] : 0);
		uint32_t said = rng_below(&r, 3) ? rng_below(&r, 20) : 100000 + rng_below(&r, 20);
		float w[N] = {0};
		int32_t before = (int32_t)rng_below(&r, 3) * 50; /* tokens that the head has no logits of */
		for (uint32_t i = 0; i < rules.n_slots; i++)
			slots[i].first += before;
		for (uint32_t i = 0; i < rules.n_ends; i++)
			ends[i] += before;
		rules.min_frames = rng_below(&r, 4);
		rules_apply_frames(&rules, w, N, before, said);
		for (int32_t t = before; t < before + N; t++) {
			const token_range *slot = &slots[said % rules.n_slots];
			bool may = t >= slot->first && t < slot->first + (int32_t)slot->n;
			for (uint32_t i = 0; i < rules.n_ends && said % rules.n_slots == 0 && said / rules.n_slots >= rules.min_frames; i++)
				may |= ends[i] == t;
			assert_int_equal(w[t - before] == 0, may);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_leave_a_slots_codes_and_ends_where_a_frame_begins),
	    cmocka_unit_test(rules_leave_what_the_reference_leaves),
	    cmocka_unit_test(only_these_tokens_are_left),
	    cmocka_unit_test(without_stamps_the_lists_still_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
