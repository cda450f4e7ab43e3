/* test_schedule.c - promises of schedule(): who computes how many rows, who gives up pages, whose job gets a slice. */
#include "schedule_kit.h"

/* ---- rows ---- */

static void nothing_to_do_is_an_empty_plan(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	add(w, 10, 10);
	const step_plan *p = plan(w);
	assert_int_equal(p->n_seqs + p->n_rows + p->n_jobs + p->n_dropped + p->n_preempted, 0);
	world_close(w);
}

static void decoding_comes_first_and_the_rest_is_shared(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 1000, 0);
	add(w, 1000, 0);
	add(w, 11, 10);
	add(w, 21, 20);
	const step_plan *p = plan(w);
	assert_int_equal(rows_of(p, 2), 1);
	assert_int_equal(rows_of(p, 3), 1);
	assert_int_equal(rows_of(p, 0), 255);
	assert_int_equal(rows_of(p, 1), 255);
	assert_int_equal(p->n_rows, 512);
	for (uint32_t i = 1; i < p->n_seqs; i++)
		assert_true(p->seqs[i - 1].seq < p->seqs[i].seq); /* in order of arrival */
	world_close(w);
}

static void a_short_prompt_leaves_its_share_to_those_after_it(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 12, 0);
	add(w, 1000, 0);
	assert_int_equal(rows_of(plan(w), 0), 12);
	assert_int_equal(rows_of(plan(w), 1), 500);
	world_close(w);
}

static void a_step_has_at_most_max_rows_and_max_seqs(void **state)
{
	(void)state;
	rng r = {11};
	for (int round = 0; round < 300; round++) {
		struct world *w = world_open(2048);
		uint32_t n = rng_between(&r, 1, 40);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t computed = rng_below(&r, 100);
			sched_seq *s = add(w, computed + (rng_below(&r, 2) ? 1 : rng_below(&r, 300)), computed);
			s->max_chunk = rng_between(&r, 1, 200);
		}
		w->st.max_rows = rng_between(&r, 1, 200);
		w->st.max_seqs = rng_between(&r, 1, 20);
		w->st.row_ms = rng_below(&r, 2) ? rng_unit(&r) : 0;
		const step_plan *p = plan(w);
		uint32_t sum = 0;
		assert_true(p->n_seqs <= w->st.max_seqs);
		for (uint32_t i = 0; i < p->n_seqs; i++) {
			const sched_seq *s = &w->seqs[p->seqs[i].seq];
			assert_in_range(p->seqs[i].n_rows, 1, s->n_known - s->n_computed);
			assert_true(p->seqs[i].n_rows <= s->max_chunk);
			sum += p->seqs[i].n_rows;
		}
		assert_int_equal(sum, p->n_rows);
		assert_true(sum <= w->st.max_rows);
		world_close(w);
	}
}

static void other_peoples_chunks_do_not_hold_up_tokens(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 1000, 0);
	w->st.row_ms = 0.5;
	assert_int_equal(rows_of(plan(w), 0), 512);
	add(w, 11, 10); /* tokens flow: a chunk takes at most slice_ms */
	assert_int_equal(rows_of(plan(w), 0), 40);
	w->st.row_ms = 50; /* but something always moves */
	assert_int_equal(rows_of(plan(w), 0), 16);
	world_close(w);
}

static void the_oldest_is_served_whatever_the_others_do(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 1000, 0);
	for (int i = 0; i < 20; i++)
		add(w, 11, 10);
	w->st.max_seqs = 8;
	assert_true(rows_of(plan(w), 0) > 0);
	assert_int_equal(plan(w)->n_seqs, 8);
	w->st.max_seqs = 64;
	w->st.max_rows = 12;
	assert_true(rows_of(plan(w), 0) > 0);
	assert_int_equal(plan(w)->n_rows, 12);
	world_close(w);
}

/* ---- spans ---- */

static void a_chunk_never_ends_inside_a_span(void **state)
{
	(void)state;
	rng r = {12};
	for (int round = 0; round < 300; round++) {
		struct world *w = world_open(2048);
		uint32_t n = rng_between(&r, 1, 8);
		for (uint32_t i = 0; i < n; i++) {
			add(w, rng_between(&r, 2, 400), 0);
			for (uint32_t at = rng_below(&r, 50); at + 60 < 400; at += rng_between(&r, 61, 120))
				set_span(w, i, at, at + rng_between(&r, 1, 60));
			for (uint32_t at = 0; at < w->seqs[i].n_known; at++) /* known rows end whole spans */
				if (w->rows[i][at].span_end > w->seqs[i].n_known)
					w->rows[i][at].span_end = 0;
		}
		w->st.max_rows = rng_between(&r, 60, 200);
		const step_plan *p = plan(w);
		assert_true(rows_of(p, 0) > 0);
		for (uint32_t i = 0; i < p->n_seqs; i++) {
			uint32_t end = p->seqs[i].n_rows;
			assert_true(w->rows[p->seqs[i].seq][end - 1].span_end <= end);
		}
		world_close(w);
	}
}

static void a_span_larger_than_its_share_gets_its_turn(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 300, 0);
	set_span(w, 0, 0, 300);
	add(w, 1000, 0);
	assert_int_equal(rows_of(plan(w), 0), 300);
	world_close(w);
}

static void a_span_gets_its_turn_while_tokens_flow(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 512, 0);
	set_span(w, 0, 100, 400);
	for (int i = 0; i < 4; i++)
		add(w, 11, 10);
	w->st.row_ms = 1; /* 20 rows is what a chunk may take now */
	assert_int_equal(rows_of(plan(w), 0), 20);
	w->seqs[0].n_computed = 100;
	assert_true(kv_seq_extend(&w->kv[0], 100));
	assert_int_equal(rows_of(plan(w), 0), 300);
	assert_int_equal(plan(w)->n_seqs, 5);
	set_span(w, 0, 100, 512); /* no row is left for the other four */
	w->st.max_rows = 414;
	assert_int_equal(rows_of(plan(w), 0), 412);
	assert_int_equal(plan(w)->n_seqs, 3);
	world_close(w);
}

/* ---- who must wait ---- */

static void unready_media_hold_their_own_sequence_only(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 100, 0)->n_ready = 30;
	add(w, 50, 20)->n_ready = 20;
	add(w, 40, 0);
	const step_plan *p = plan(w);
	assert_int_equal(rows_of(p, 0), 30);
	assert_int_equal(rows_of(p, 1), 0);
	assert_int_equal(rows_of(p, 2), 40);
	w->seqs[1].n_ready = 5; /* behind what is computed: still nothing */
	assert_int_equal(rows_of(plan(w), 1), 0);
	world_close(w);
}

static void stalled_sequences_keep_their_pages_and_get_no_rows(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add(w, 11, 10)->stalled = true;
	add(w, 100, 0);
	const step_plan *p = plan(w);
	assert_int_equal(rows_of(p, 0), 0);
	assert_int_equal(rows_of(p, 1), 100);
	assert_int_equal(p->n_preempted, 0);
	world_close(w);
}

static void dropped_sequences_give_their_pages_to_this_very_step(void **state)
{
	(void)state;
	struct world *w = world_open(10);
	add(w, 33, 32)->drop = true; /* 8 of 10 pages */
	add(w, 40, 0);               /* needs all ten */
	const step_plan *p = plan(w);
	assert_int_equal(p->n_dropped, 1);
	assert_int_equal(p->dropped[0], 0);
	assert_int_equal(rows_of(p, 0), 0);
	assert_int_equal(rows_of(p, 1), 40);
	assert_int_equal(p->n_preempted, 0);
	world_close(w);
}

/* ---- pages ---- */

static void short_of_pages_the_youngest_is_preempted(void **state)
{
	(void)state;
	struct world *w = world_open(9);
	add(w, 13, 12); /* 3 pages, needs a fourth */
	add(w, 10, 9);  /* 3 pages, room for one more row */
	add(w, 11, 10); /* 3 pages */
	const step_plan *p = plan(w);
	assert_int_equal(p->n_preempted, 1);
	assert_int_equal(p->preempted[0], 2);
	assert_int_equal(rows_of(p, 0), 1);
	assert_int_equal(rows_of(p, 1), 1);
	assert_int_equal(rows_of(p, 2), 0);
	world_close(w);
}

static void an_older_sequence_is_never_preempted(void **state)
{
	(void)state;
	struct world *w = world_open(9);
	add(w, 20, 20); /* 5 pages, idle: its media are not ready */
	w->seqs[0].n_known = 30;
	w->seqs[0].n_ready = 20;
	add(w, 17, 16); /* 4 pages, needs a fifth */
	const step_plan *p = plan(w);
	assert_int_equal(p->n_preempted, 0);
	assert_int_equal(p->n_seqs, 0);
	world_close(w);
}

static void a_start_waits_until_all_its_rows_have_room(void **state)
{
	(void)state;
	struct world *w = world_open(10);
	add(w, 17, 16); /* 4 pages and one more now */
	add(w, 32, 0);  /* needs 8 */
	add(w, 4, 0);   /* would fit, but came later */
	const step_plan *p = plan(w);
	assert_int_equal(rows_of(p, 0), 1);
	assert_int_equal(p->n_seqs, 1);
	assert_int_equal(p->n_preempted, 0);
	w->st.max_rows = 17; /* its first chunk would fit, but not the rest */
	assert_int_equal(plan(w)->n_seqs, 1);
	w->seqs[1].n_known = 20;
	assert_int_equal(rows_of(plan(w), 1), 16);
	world_close(w);
}

/* Rows that a sequence was given, by the prefix cache or by its sibling, are no start of its own. */
static void what_was_given_is_no_start(void **state)
{
	(void)state;
	struct world *w = world_open(10);
	add(w, 17, 16);                /* 4 pages and one more now */
	add(w, 32, 8)->n_given = 8;    /* 2 pages, 6 to go where 3 are left */
	add(w, 4, 0);
	w->st.max_rows = 13;
	assert_int_equal(plan(w)->n_seqs, 1);
	assert_int_equal(w->plan.n_preempted, 0);
	w->seqs[1].n_given = 4; /* it runs already: as far as the pages go */
	assert_int_equal(rows_of(plan(w), 1), 12);
	world_close(w);
}

static void a_page_is_not_promised_twice(void **state)
{
	(void)state;
	struct world *w = world_open(7);
	for (int i = 0; i < 3; i++)
		add(w, 9, 8); /* 2 pages each, one page left for three */
	const step_plan *p = plan(w);
	uint32_t free_pages = page_pool_available(w->pool) + p->n_preempted * 2;
	assert_int_equal(p->n_seqs, 2);
	assert_int_equal(p->n_preempted, 1);
	assert_int_equal(p->preempted[0], 2);
	assert_true(p->n_seqs <= free_pages);
	world_close(w);
}

static void a_start_counts_what_its_windows_give_back_on_the_way(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	w->layout.groups[1] = (kv_group){.n_layers = 1, .n_kv_head = 1, .head_dim = 8, .block_tokens = BLOCK, .slab_layers = 1, .n_slabs = 1, .window = 8};
	w->layout.n_groups = 2;
	w->layout.max_chunk = w->st.max_rows = 20;
	uint32_t window_blocks = (BLOCK + 8 + 20 + 2 * BLOCK - 3) / BLOCK, rows = (64 - window_blocks) * BLOCK;
	assert_int_equal(kv_layout_pages(&w->layout, rows), 64);
	add(w, rows + 1, 0); /* one row more than there is room for */
	assert_int_equal(plan(w)->n_seqs, 0);
	w->seqs[0].n_known--;
	w->seqs[0].n_ready--;
	w->seqs[0].max_chunk = 20;
	while (w->seqs[0].n_computed < rows) {
		uint32_t n = rows_of(plan(w), 0);
		assert_true(n > 0);
		assert_true(kv_seq_extend(&w->kv[0], w->seqs[0].n_computed += n));
		kv_seq_slide(&w->kv[0], w->seqs[0].n_computed);
	}
	world_close(w);
}

/* ---- jobs ---- */

static void a_slice_is_as_many_units_as_fit_its_time(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	add(w, 11, 10); /* tokens flow */
	w->jobs[0] = (sched_job){.units_left = 100, .unit_ms = 3};
	w->st.n_jobs = 1;
	const step_plan *p = plan(w);
	assert_int_equal(p->n_jobs, 1);
	assert_int_equal(p->jobs[0].units, 6); /* 18 of 20 ms */
	w->jobs[0].units_left = 4;
	assert_int_equal(plan(w)->jobs[0].units, 4);
	w->jobs[0].unit_ms = 300; /* a unit is the least there is */
	assert_int_equal(plan(w)->jobs[0].units, 1);
	w->jobs[0].unit_ms = 0; /* not measured yet */
	assert_int_equal(plan(w)->jobs[0].units, 1);
	rng r = {8};
	for (int i = 0; i < 1000; i++) {
		w->jobs[0] = (sched_job){.units_left = rng_between(&r, 1, 60), .unit_ms = rng_unit(&r) * 30};
		p = plan(w);
		assert_in_range(p->jobs[0].units, 1, w->jobs[0].units_left);
		assert_true(p->jobs[0].units == 1 || p->jobs[0].units * w->jobs[0].unit_ms <= w->st.slice_ms);
	}
	world_close(w);
}

static void slices_are_longer_when_no_tokens_flow(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	w->jobs[0] = (sched_job){.units_left = 100, .unit_ms = 3};
	w->st.n_jobs = 1;
	assert_true(plan(w)->jobs[0].units > 6);
	assert_true(plan(w)->jobs[0].units * 3 <= 4 * w->st.slice_ms);
	world_close(w);
}

static void jobs_take_turns(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	for (uint32_t i = 0; i < 3; i++)
		w->jobs[i] = (sched_job){.units_left = 5, .unit_ms = 1};
	w->st.n_jobs = 3;
	uint32_t served[3] = {0};
	for (int i = 0; i < 9; i++) {
		const step_plan *p = plan(w);
		assert_int_equal(p->n_jobs, 1);
		served[p->jobs[0].job]++;
		w->st.next_job = p->jobs[0].job + 1;
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(served[i], 3);
	w->st.n_jobs = 1; /* the one whose turn it was has ended */
	assert_int_equal(plan(w)->jobs[0].job, 0);
	world_close(w);
}

static void the_same_state_gives_the_same_plan(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	add(w, 100, 0);
	add(w, 11, 10);
	w->jobs[0] = (sched_job){.units_left = 9, .unit_ms = 2};
	w->st.n_jobs = 1;
	step_plan first = *plan(w);
	plan_seq seqs[MAX_SEQS];
	memcpy(seqs, first.seqs, sizeof seqs);
	memset(w->want, 0xAA, sizeof w->want);
	const step_plan *p = plan(w);
	assert_int_equal(p->n_seqs, first.n_seqs);
	assert_memory_equal(p->seqs, seqs, p->n_seqs * sizeof *seqs);
	assert_memory_equal(p->jobs, first.jobs, sizeof first.jobs);
	world_close(w);
}

/* ---- who is listened to ---- */

static sched_seq *add_speaking(struct world *w, uint64_t key, double slack_ms)
{
	sched_seq *s = add(w, 11, 10);
	s->key = key;
	s->listened = true;
	s->slack_ms = slack_ms;
	return s;
}

static void short_places_go_to_the_least_slack(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	add_speaking(w, 1, 5000); /* can wait for longer than those to whom nobody listens */
	add(w, 11, 10)->key = 1;
	add_speaking(w, 1, 300);
	add(w, 11, 10)->key = 1;
	add_speaking(w, 1, -20);
	static const uint32_t first[] = {4, 2, 1, 3, 0};
	for (uint32_t places = 1; places <= 5; places++) {
		w->st.max_seqs = places;
		const step_plan *p = plan(w);
		assert_int_equal(p->n_seqs, places);
		for (uint32_t i = 0; i < 5; i++)
			assert_int_equal(rows_of(p, first[i]), i < places);
		for (uint32_t i = 1; i < p->n_seqs; i++)
			assert_true(p->seqs[i - 1].seq < p->seqs[i].seq); /* the plan keeps the order of arrival */
	}
	world_close(w);
}

static void who_stands_still_gives_up_pages_to_whoever_moves(void **state)
{
	(void)state;
	struct world *w = world_open(6);
	sched_seq *old = add(w, 13, 12); /* 3 pages each */
	add(w, 13, 12);
	assert_int_equal(plan(w)->n_preempted, 1);
	assert_int_equal(w->plan.preempted[0], 1);
	old->stalled = true;
	assert_int_equal(plan(w)->n_preempted, 1);
	assert_int_equal(w->plan.preempted[0], 0);
	assert_int_equal(rows_of(&w->plan, 1), 1);
	w->seqs[1].stalled = true;
	assert_int_equal(plan(w)->n_preempted, 0); /* for nobody */
	world_close(w);
}

static void slack_takes_nothing_from_another_key(void **state)
{
	(void)state;
	rng r = {5};
	for (int round = 0; round < 300; round++) {
		struct world *w = world_open(2048);
		uint32_t n = rng_between(&r, 2, 40), got[3] = {0}, plain[3] = {0};
		for (uint32_t i = 0; i < n; i++) {
			uint64_t key = rng_below(&r, 3);
			uint32_t computed = rng_below(&r, 50);
			sched_seq *s = add(w, computed + 1, computed);
			s->key = key;
		}
		w->st.max_seqs = rng_between(&r, 1, 12);
		const step_plan *p = plan(w);
		for (uint32_t i = 0; i < p->n_seqs; i++)
			plain[w->seqs[p->seqs[i].seq].key]++;
		for (uint32_t i = 0; i < n; i++) {
			w->seqs[i].listened = rng_below(&r, 2);
			w->seqs[i].slack_ms = rng_unit(&r) * 3000 - 500;
		}
		p = plan(w);
		for (uint32_t i = 0; i < p->n_seqs; i++)
			got[w->seqs[p->seqs[i].seq].key]++;
		for (int k = 0; k < 3; k++)
			assert_int_equal(got[k], plain[k]);
		world_close(w);
	}
}

static void chunks_stand_back_behind_who_is_about_to_run_dry(void **state)
{
	(void)state;
	struct world *w = world_open(1024);
	w->st.row_ms = 0.1;
	add(w, 1000, 0)->key = 2;
	sched_seq *s = add_speaking(w, 1, 2000);
	assert_int_equal(rows_of(plan(w), 0), 200); /* 20 ms */
	s->slack_ms = 100;
	assert_int_equal(rows_of(plan(w), 0), 16); /* still some */
	assert_int_equal(rows_of(plan(w), 1), 1);
	set_span(w, 0, 0, 50); /* and a span whole, or not at all */
	assert_int_equal(rows_of(plan(w), 0), 50);
	sched_seq *newcomer = add_speaking(w, 3, 0); /* who waits for the first sound is not held back */
	newcomer->n_known = newcomer->n_ready = 70;
	assert_int_equal(rows_of(plan(w), 0), 50);
	assert_int_equal(rows_of(plan(w), 2), 60);
	newcomer->stalled = true;
	s->stalled = true; /* it is not in the step */
	assert_int_equal(rows_of(plan(w), 0), 512);
	world_close(w);
}

static void of_jobs_the_one_about_to_run_dry_comes_first(void **state)
{
	(void)state;
	struct world *w = world_open(16);
	for (uint32_t i = 0; i < 4; i++)
		w->jobs[i] = (sched_job){.units_left = 5, .unit_ms = 1, .listened = i >= 2, .slack_ms = 3000};
	w->st.n_jobs = 4;
	for (uint32_t i = 0; i < 8; i++) { /* nobody in need: in turn */
		w->st.next_job = i;
		assert_int_equal(plan(w)->jobs[0].job, i % 4);
		assert_int_equal(w->plan.n_passed, 0);
	}
	w->jobs[2].slack_ms = 400;
	w->jobs[3].slack_ms = 100;
	uint32_t others = 0, turns = 90;
	for (uint32_t i = 0; i < turns; i++) {
		const step_plan *p = plan(w);
		assert_int_equal(p->n_jobs, 1);
		assert_true(p->jobs[0].job != 2);
		others += p->jobs[0].job < 2;
		w->st.jobs_passed = p->n_passed;
		w->st.next_job = p->jobs[0].job + 1;
	}
	assert_int_equal(others, turns / 9); /* whom nobody listens to is not forgotten */
	world_close(w);
}

static void jobs_stand_back_behind_a_token_about_to_run_dry(void **state)
{
	(void)state;
	struct world *w = world_open(64);
	w->jobs[0] = (sched_job){.units_left = 5, .unit_ms = 1};
	w->st.n_jobs = 1;
	sched_seq *s = add_speaking(w, 1, 100);
	uint32_t slices = 0;
	for (uint32_t i = 0; i < 18; i++) {
		const step_plan *p = plan(w);
		slices += p->n_jobs;
		w->st.jobs_passed = p->n_passed;
	}
	assert_int_equal(slices, 2);
	s->slack_ms = 600;
	assert_int_equal(plan(w)->n_jobs, 1);
	s->slack_ms = 100; /* its own vocoder does not wait */
	w->jobs[0].listened = true;
	w->jobs[0].slack_ms = 9000;
	assert_int_equal(plan(w)->n_jobs, 1);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(short_places_go_to_the_least_slack),
	    cmocka_unit_test(who_stands_still_gives_up_pages_to_whoever_moves),
	    cmocka_unit_test(slack_takes_nothing_from_another_key),
	    cmocka_unit_test(chunks_stand_back_behind_who_is_about_to_run_dry),
	    cmocka_unit_test(of_jobs_the_one_about_to_run_dry_comes_first),
	    cmocka_unit_test(jobs_stand_back_behind_a_token_about_to_run_dry),
	    cmocka_unit_test(nothing_to_do_is_an_empty_plan),
	    cmocka_unit_test(decoding_comes_first_and_the_rest_is_shared),
	    cmocka_unit_test(a_short_prompt_leaves_its_share_to_those_after_it),
	    cmocka_unit_test(a_step_has_at_most_max_rows_and_max_seqs),
	    cmocka_unit_test(other_peoples_chunks_do_not_hold_up_tokens),
	    cmocka_unit_test(the_oldest_is_served_whatever_the_others_do),
	    cmocka_unit_test(a_chunk_never_ends_inside_a_span),
	    cmocka_unit_test(a_span_larger_than_its_share_gets_its_turn),
	    cmocka_unit_test(a_span_gets_its_turn_while_tokens_flow),
	    cmocka_unit_test(unready_media_hold_their_own_sequence_only),
	    cmocka_unit_test(stalled_sequences_keep_their_pages_and_get_no_rows),
	    cmocka_unit_test(dropped_sequences_give_their_pages_to_this_very_step),
	    cmocka_unit_test(short_of_pages_the_youngest_is_preempted),
	    cmocka_unit_test(an_older_sequence_is_never_preempted),
	    cmocka_unit_test(a_start_waits_until_all_its_rows_have_room),
	    cmocka_unit_test(what_was_given_is_no_start),
	    cmocka_unit_test(a_page_is_not_promised_twice),
	    cmocka_unit_test(a_start_counts_what_its_windows_give_back_on_the_way),
	    cmocka_unit_test(a_slice_is_as_many_units_as_fit_its_time),
	    cmocka_unit_test(slices_are_longer_when_no_tokens_flow),
	    cmocka_unit_test(jobs_take_turns),
	    cmocka_unit_test(the_same_state_gives_the_same_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
