/* test_schedule_keys.c - fairness: what keys get in one step, and how long requests wait on a virtual clock. */
#include "schedule_kit.h"

/* ---- fairness by key ---- */

static uint32_t rows_of_key(const struct world *w, const step_plan *p, uint64_t key, uint32_t *n_seqs)
{
	uint32_t n = 0;
	*n_seqs = 0;
	for (uint32_t i = 0; i < p->n_seqs; i++)
		if (w->seqs[p->seqs[i].seq].key == key) {
			n += p->seqs[i].n_rows;
			++*n_seqs;
		}
	return n;
}

static void check_52_chunks_are_shared_by_key_first(void **state)
{
	(void)state;
	struct world *w = world_open(2048);
	for (int i = 0; i < 20; i++)
		add(w, 400, 0)->key = 7;
	add(w, 400, 0)->key = 8;
	assert_int_equal(rows_of(plan(w), 20), 256);
	assert_int_equal(plan(w)->n_rows, 512);
	w->seqs[20].n_known = w->seqs[20].n_ready = 100;
	assert_int_equal(rows_of(plan(w), 20), 100);
	assert_int_equal(plan(w)->n_rows, 356); /* those before it have had their share: the step is short */
	for (int i = 0; i < 20; i++)
		w->seqs[i].n_known = w->seqs[i].n_ready = 2;
	w->seqs[20].n_known = w->seqs[20].n_ready = 500;
	assert_int_equal(rows_of(plan(w), 20), 472); /* what they do not use is its own */
	for (int i = 0; i < 20; i++)
		w->seqs[i].n_known = w->seqs[i].n_ready = 400;
	add(w, 11, 10)->key = 9; /* tokens flow: 40 rows for chunks now, still by halves */
	w->st.row_ms = 0.5;
	assert_int_equal(rows_of(plan(w), 20), 20);
	assert_int_equal(rows_of(plan(w), 21), 1);
	assert_int_equal(plan(w)->n_rows, 41);
	world_close(w);
}

static void check_52_places_are_shared_by_key_first(void **state)
{
	(void)state;
	struct world *w = world_open(2048);
	uint32_t n;
	for (int i = 0; i < 40; i++)
		add(w, 11, 10)->key = 7;
	for (int i = 0; i < 10; i++)
		add(w, 400, 0)->key = 7;
	add(w, 11, 10)->key = 8;
	add(w, 400, 0)->key = 8;
	w->st.max_seqs = 8;
	const step_plan *p = plan(w);
	assert_int_equal(rows_of(p, 50), 1);
	assert_true(rows_of(p, 51) >= 100);
	rows_of_key(w, p, 7, &n);
	assert_int_equal(n, 6);
	w->st.max_seqs = 1;              /* fewer places than keys: the oldest has it */
	assert_int_equal(rows_of(plan(w), 0), 1);
	assert_int_equal(plan(w)->n_seqs, 1);
	world_close(w);
}

static void check_52_a_span_of_another_key_finds_room(void **state)
{
	(void)state;
	struct world *w = world_open(2048);
	for (int i = 0; i < 5; i++)
		add(w, 400, 0)->key = 7;
	add(w, 400, 0)->key = 8;
	set_span(w, 5, 0, 300); /* more than half of a step */
	assert_int_equal(rows_of(plan(w), 5), 300);
	assert_int_equal(plan(w)->n_rows, 512);
	assert_true(rows_of(plan(w), 0) > 0);
	set_span(w, 0, 0, 300); /* there is room for one of them: the older */
	assert_int_equal(rows_of(plan(w), 0), 300);
	assert_int_equal(rows_of(plan(w), 5), 0);
	world_close(w);
}

/* The bound that schedule.h states, for any state without spans. */
static void check_52_no_key_gets_less_than_its_even_share(void **state)
{
	(void)state;
	rng r = {52};
	for (int round = 0; round < 500; round++) {
		struct world *w = world_open(4096);
		uint32_t n = rng_between(&r, 1, 60), n_keys = 0, n_chunk_keys = 0, chunk_rows = 0, tokens[8] = {0}, chunks[8] = {0}, chunk[8] = {0};
		w->st.max_rows = rng_between(&r, 1, 300);
		w->st.max_seqs = rng_between(&r, 1, 40);
		w->st.row_ms = rng_below(&r, 2) ? rng_unit(&r) : 0;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t key = rng_below(&r, 8) & rng_below(&r, 8), computed = rng_below(&r, 50); /* low keys ask for more */
			bool token = rng_below(&r, 2);
			add(w, computed + (token ? 1 : rng_between(&r, 2, 200)), computed)->key = key;
			tokens[key] += token;
			chunks[key] += !token;
			chunk[key] = token ? chunk[key] : i;
		}
		const step_plan *p = plan(w);
		for (uint32_t i = 0; i < p->n_seqs; i++)
			chunk_rows += w->seqs[p->seqs[i].seq].n_known - w->seqs[p->seqs[i].seq].n_computed > 1 ? p->seqs[i].n_rows : 0;
		for (uint32_t k = 0; k < 8; k++) {
			n_keys += tokens[k] + chunks[k] > 0;
			n_chunk_keys += chunks[k] > 0;
		}
		uint32_t places = w->st.max_seqs < w->st.max_rows ? w->st.max_seqs : w->st.max_rows;
		for (uint32_t k = 0; k < 8; k++) {
			uint32_t n_seqs, rows = rows_of_key(w, p, k, &n_seqs);
			if (!chunks[k])
				assert_true(n_seqs >= (tokens[k] < places / n_keys ? tokens[k] : places / n_keys));
			if (chunks[k] == 1 && !tokens[k] && places / n_keys) {
				uint32_t asks = w->seqs[chunk[k]].n_known - w->seqs[chunk[k]].n_computed;
				assert_true(rows >= (asks < chunk_rows / n_chunk_keys ? asks : chunk_rows / n_chunk_keys));
			}
		}
		world_close(w);
	}
}

/* ---- fairness, on a virtual clock ---- */

/* Requests that come and go; a step costs ROW_MS a row and STEP_MS. */
enum { LONG_ROWS = 4096, N_SHORT = 20, SHORT_ROWS = 32, SHORT_OUT = 16 };
static const double ROW_MS = 0.25, STEP_MS = 2;

struct asked {
	seq_row rows[LONG_ROWS + SHORT_OUT];
	kv_seq kv;
	uint64_t key;
	uint32_t prompt, n_known, n_computed; /* prompt 0: takes no part */
	double arrives, first, ended; /* ms; ended 0: not yet */
	/* while the last of them computed its prompt: rows that this one computed of its own */
	uint32_t n_meanwhile, n_steps;
};

/* Until all have ended. */
static void play(struct asked *asked, uint32_t n)
{
	struct world *w = world_open(n * ((LONG_ROWS + SHORT_OUT) / BLOCK));
	double now = 0;
	uint32_t left = 0, who[MAX_SEQS];
	w->st.row_ms = ROW_MS;
	for (uint32_t i = 0; i < n; i++) {
		asked[i].n_known = asked[i].prompt;
		left += asked[i].prompt > 0;
		assert_int_equal(kv_seq_init(&asked[i].kv, w->pool, &w->layout, LONG_ROWS + SHORT_OUT, &KEY, &ROOT, NULL), SN_OK);
	}
	for (uint32_t step = 0; left; step++) {
		assert_true(step < 5000);
		w->st.n_seqs = 0;
		for (uint32_t i = 0; i < n; i++) {
			struct asked *a = &asked[i];
			if (!a->prompt || a->ended > 0 || a->arrives > now)
				continue;
			who[w->st.n_seqs] = i;
			w->seqs[w->st.n_seqs++] = (sched_seq){.kv = &a->kv, .key = a->key, .rows = a->rows, .n_known = a->n_known, .n_ready = a->n_known,
			                                      .n_computed = a->n_computed, .max_chunk = 512};
		}
		const step_plan *p = plan(w);
		now = p->n_rows ? now + STEP_MS + ROW_MS * p->n_rows : now + 1;
		bool meanwhile = w->st.n_seqs && who[w->st.n_seqs - 1] == n - 1 && asked[n - 1].first == 0;
		asked[n - 1].n_steps += meanwhile;
		for (uint32_t k = 0; k < p->n_seqs; k++) {
			struct asked *a = &asked[who[p->seqs[k].seq]];
			bool chunk = a->n_known - a->n_computed > 1;
			a->n_meanwhile += meanwhile && chunk ? p->seqs[k].n_rows : 0;
			a->n_computed += p->seqs[k].n_rows;
			assert_true(kv_seq_extend(&a->kv, a->n_computed));
			if (a->n_computed < a->n_known)
				continue;
			a->first = a->first > 0 ? a->first : now;
			if (++a->n_known == a->prompt + SHORT_OUT) {
				a->ended = now;
				left--;
			}
		}
	}
	for (uint32_t i = 0; i < n; i++)
		kv_seq_fini(&asked[i].kv);
	w->st.n_seqs = 0;
	world_close(w);
}

static double worst_wait(const struct asked *asked)
{
	double worst = 0;
	for (uint32_t i = 1; i <= N_SHORT; i++) {
		assert_true(asked[i].first > asked[i].arrives);
		worst = worst > asked[i].first - asked[i].arrives ? worst : asked[i].first - asked[i].arrives;
	}
	return worst;
}

/* One prompt of 4,096 rows, if it takes part, and twenty short ones that come while it is computed. */
static struct asked *one_long_and_twenty_short(bool with_long, bool keys)
{
	struct asked *asked = calloc(N_SHORT + 1, sizeof *asked);
	asked[0].prompt = with_long ? LONG_ROWS : 0;
	for (uint32_t i = 1; i <= N_SHORT; i++) {
		asked[i].prompt = SHORT_ROWS;
		asked[i].arrives = 7.0 * i;
		asked[i].key = keys ? i : 0;
	}
	play(asked, N_SHORT + 1);
	return asked;
}

static void check_52_a_long_prompt_holds_short_ones_up_by_two_chunks_at_most(void **state)
{
	(void)state;
	struct asked *alone = one_long_and_twenty_short(false, false);
	double chunk_ms = STEP_MS + ROW_MS * 512;
	for (int keys = 0; keys < 2; keys++) { /* all of one key, each of its own */
		struct asked *beside = one_long_and_twenty_short(true, keys);
		assert_true(worst_wait(beside) <= worst_wait(alone) + 2 * chunk_ms); /* of twenty, the worst is the p99 */
		/* The long one moved all the while: it ends no later than all the work there is, in steps as small as a chunk of 20 ms. */
		double work = ROW_MS * (LONG_ROWS + SHORT_OUT + N_SHORT * (SHORT_ROWS + SHORT_OUT));
		assert_true(beside[0].ended > 0 && beside[0].ended <= work * (1 + STEP_MS / 10));
		assert_true(beside[0].ended > beside[N_SHORT].ended);
		free(beside);
	}
	free(alone);
}

/* Twenty prompts of one key, and after them one of another key: it computes as many rows as all the twenty together. */
static void check_52_twenty_requests_of_one_key_do_not_starve_another_key(void **state)
{
	(void)state;
	enum { ROWS = 1024 };
	struct asked *asked = calloc(N_SHORT + 1, sizeof *asked);
	for (uint32_t i = 0; i <= N_SHORT; i++) {
		asked[i].prompt = ROWS;
		asked[i].arrives = i == N_SHORT ? 200 : 0;
		asked[i].key = i == N_SHORT ? 8 : 7;
	}
	play(asked, N_SHORT + 1);
	const struct asked *mine = &asked[N_SHORT];
	uint32_t theirs = 0, ended_before = 0;
	for (uint32_t i = 0; i < N_SHORT; i++) {
		assert_true(asked[i].ended > 0);
		theirs += asked[i].n_meanwhile;
		ended_before += asked[i].first < mine->first;
	}
	assert_int_equal(mine->n_meanwhile, ROWS);
	assert_true(theirs <= mine->n_meanwhile + mine->n_steps); /* a row a step, where a share is odd */
	assert_true(ended_before <= 4);
	/* All rows of these steps: twice its own, and at most one token of each of the others a step. */
	assert_true(mine->first - mine->arrives <= 512 * ROW_MS + (2 * ROWS + mine->n_steps * (N_SHORT + 1)) * ROW_MS + (mine->n_steps + 1) * STEP_MS);
	free(asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_52_chunks_are_shared_by_key_first),
	    cmocka_unit_test(check_52_places_are_shared_by_key_first),
	    cmocka_unit_test(check_52_a_span_of_another_key_finds_room),
	    cmocka_unit_test(check_52_no_key_gets_less_than_its_even_share),
	    cmocka_unit_test(check_52_a_long_prompt_holds_short_ones_up_by_two_chunks_at_most),
	    cmocka_unit_test(check_52_twenty_requests_of_one_key_do_not_starve_another_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
