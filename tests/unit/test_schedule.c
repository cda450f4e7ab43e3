/* test_schedule.c - promises of schedule(): who computes how many rows, who gives up pages, whose job gets a slice. */
#include "unit.h"

#include "engine/schedule.h"

enum { MAX_SEQS = 64, MAX_ROWS = 2048, BLOCK = 4 };

/* A state that tests fill in, with real block tables behind it. */
struct world {
	page_pool *pool;
	kv_layout layout;
	kv_seq kv[MAX_SEQS];
	seq_row rows[MAX_SEQS][MAX_ROWS];
	sched_seq seqs[MAX_SEQS];
	sched_job jobs[8];
	sched_state st;
	step_plan plan;
	plan_seq plan_seqs[MAX_SEQS];
	uint32_t dropped[MAX_SEQS], preempted[MAX_SEQS], want[MAX_SEQS], part_of[MAX_SEQS], order[MAX_SEQS];
	key_part parts[MAX_SEQS];
};

static hash_key KEY;
static hash256 ROOT;

static struct world *world_open(uint32_t n_pages)
{
	struct world *w = calloc(1, sizeof *w);
	assert_int_equal(page_pool_open(&w->pool, (size_t)n_pages * PAGE_BYTES, NULL), SN_OK);
	w->layout = (kv_layout){.n_groups = 1, .groups = {{.n_layers = 1, .n_kv_head = 1, .head_dim = 8, .block_tokens = BLOCK, .slab_layers = 1, .n_slabs = 1}}};
	w->st = (sched_state){.seqs = w->seqs, .jobs = w->jobs, .max_rows = 512, .max_seqs = 64, .slice_ms = 20};
	w->plan.seqs = w->plan_seqs;
	w->plan.dropped = w->dropped;
	w->plan.preempted = w->preempted;
	w->plan.want = w->want;
	w->plan.part_of = w->part_of;
	w->plan.order = w->order;
	w->plan.parts = w->parts;
	return w;
}

static void world_close(struct world *w)
{
	for (uint32_t i = 0; i < w->st.n_seqs; i++)
		kv_seq_fini(&w->kv[i]);
	assert_int_equal(page_pool_available(w->pool), page_pool_total(w->pool));
	page_pool_close(&w->pool);
	free(w);
}

/* The next younger sequence; its computed rows hold pages. */
static sched_seq *add(struct world *w, uint32_t n_known, uint32_t n_computed)
{
	uint32_t i = w->st.n_seqs++;
	assert_int_equal(kv_seq_init(&w->kv[i], w->pool, &w->layout, MAX_ROWS, &KEY, &ROOT, NULL), SN_OK);
	assert_true(kv_seq_extend(&w->kv[i], n_computed));
	w->seqs[i] = (sched_seq){.kv = &w->kv[i], .rows = w->rows[i], .n_known = n_known, .n_ready = n_known, .n_computed = n_computed, .max_chunk = 512};
	return &w->seqs[i];
}

static const step_plan *plan(struct world *w)
{
	w->st.pages_available = page_pool_available(w->pool);
	schedule(&w->st, &w->plan);
	return &w->plan;
}

static uint32_t rows_of(const step_plan *p, uint32_t seq)
{
	for (uint32_t i = 0; i < p->n_seqs; i++)
		if (p->seqs[i].seq == seq)
			return p->seqs[i].n_rows;
	return 0;
}

static void set_span(struct world *w, uint32_t seq, uint32_t begin, uint32_t end)
{
	for (uint32_t r = begin; r < end; r++)
		w->rows[seq][r].span_end = end;
}

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

/* ---- a loop of plans ---- */

struct life {
	uint32_t prompt, output, arrives, family, n_known, n_computed;
	bool active, ended, ever;
};

struct sim {
	struct world *w;
	rng r;
	struct life life[48];
	uint32_t order[48], n_active, n_lives; /* order: life of each active sequence, oldest first */
	uint32_t n_preemptions, idle_oldest;
	bool caching;
};

/* Rows depend on the family and not on the life, so that prefixes are shared. */
static void sim_row(struct sim *s, uint32_t slot, uint32_t family, uint32_t r)
{
	s->w->rows[slot][r] = (seq_row){.id = (int32_t)(r < 8 ? 1 : family * 1000 + r % 7), .media = -1, .position = r};
}

static void sim_start(struct sim *s, uint32_t id)
{
	struct life *l = &s->life[id];
	struct world *w = s->w;
	uint32_t at = s->n_active++;
	s->order[at] = id;
	assert_int_equal(kv_seq_init(&w->kv[at], w->pool, &w->layout, MAX_ROWS, &KEY, &ROOT, NULL), SN_OK);
	l->n_known = l->prompt;
	for (uint32_t r = 0; r < l->prompt; r++)
		sim_row(s, at, l->family, r);
	if (l->prompt > 12 && l->family % 2)
		set_span(w, at, 5, 12);
	l->n_computed = s->caching ? kv_seq_match(&w->kv[at], w->rows[at], NULL, l->n_known - 1) : 0;
	l->active = true;
}

static void sim_remove(struct sim *s, uint32_t at)
{
	struct world *w = s->w;
	s->life[s->order[at]].active = false;
	s->life[s->order[at]].ended = true;
	kv_seq_fini(&w->kv[at]);
	s->n_active--;
	for (uint32_t i = at; i < s->n_active; i++) {
		s->order[i] = s->order[i + 1];
		w->kv[i] = w->kv[i + 1];
		memcpy(w->rows[i], w->rows[i + 1], sizeof w->rows[i]);
	}
}

static void sim_check_plan(struct sim *s, const step_plan *p)
{
	struct world *w = s->w;
	uint32_t oldest = UINT32_MAX;
	for (uint32_t i = 0; i < s->n_active; i++) {
		const sched_seq *q = &w->seqs[i];
		if (oldest == UINT32_MAX && !q->drop && !q->stalled && q->n_known > q->n_computed)
			oldest = i;
	}
	for (uint32_t i = 0; i < p->n_seqs; i++) {
		const sched_seq *q = &w->seqs[p->seqs[i].seq];
		uint32_t end = q->n_computed + p->seqs[i].n_rows;
		assert_false(q->drop || q->stalled);
		assert_true(q->rows[end - 1].span_end <= end);
		for (uint32_t k = 0; k < p->n_preempted; k++)
			assert_int_not_equal(p->preempted[k], p->seqs[i].seq);
	}
	for (uint32_t k = 0; k < p->n_preempted; k++) { /* the youngest holders went first, the oldest with work never */
		assert_true(p->preempted[k] > oldest);
		for (uint32_t i = p->preempted[k] + 1; i < s->n_active; i++) {
			bool gone = w->seqs[i].drop || w->seqs[i].n_computed == 0;
			for (uint32_t j = 0; j < p->n_preempted; j++)
				gone |= p->preempted[j] == i;
			assert_true(gone);
		}
	}
	/* The oldest that may run runs; when victims shared pages with each other it may need one more step to get them. */
	s->idle_oldest = oldest != UINT32_MAX && !rows_of(p, oldest) && !w->seqs[0].stalled ? s->idle_oldest + 1 : 0;
	assert_true(s->idle_oldest <= (s->caching ? 1 : 0));
}

static void sim_apply(struct sim *s, const step_plan *p)
{
	struct world *w = s->w;
	bool gone[MAX_SEQS] = {false};
	for (uint32_t k = 0; k < p->n_dropped; k++) {
		kv_seq_release(&w->kv[p->dropped[k]]);
		gone[p->dropped[k]] = true;
	}
	for (uint32_t k = 0; k < p->n_preempted; k++) {
		kv_seq_release(&w->kv[p->preempted[k]]);
		s->life[s->order[p->preempted[k]]].n_computed = 0;
		s->n_preemptions++;
	}
	for (uint32_t k = 0; k < p->n_seqs; k++) {
		uint32_t at = p->seqs[k].seq;
		struct life *l = &s->life[s->order[at]];
		assert_true(kv_seq_extend(&w->kv[at], l->n_computed + p->seqs[k].n_rows)); /* the plan's pages are there */
		l->n_computed += p->seqs[k].n_rows;
		if (s->caching)
			kv_seq_commit(&w->kv[at], w->rows[at], NULL, l->n_computed);
		kv_seq_slide(&w->kv[at], l->n_computed);
		if (l->n_computed < l->n_known)
			continue;
		sim_row(s, at, l->family, l->n_known++);
		gone[at] = l->n_known == l->prompt + l->output;
	}
	for (uint32_t at = s->n_active; at-- > 0;)
		if (gone[at])
			sim_remove(s, at);
}

/* Rows of a life that fits the pool when alone. With a window far more of them do. */
static uint32_t sim_rows(struct sim *s, uint32_t n_pages)
{
	const kv_layout *l = &s->w->layout;
	uint32_t rows = rng_between(&s->r, 2, l->n_groups == 1 ? n_pages * BLOCK : MAX_ROWS / 4);
	while (kv_layout_pages(l, rows) > n_pages)
		rows--;
	return rows;
}

static void simulate(uint64_t seed, bool caching, bool disturbances, bool window)
{
	struct sim *s = calloc(1, sizeof *s);
	s->r.s = seed;
	s->caching = caching;
	uint32_t n_pages = rng_between(&s->r, 12, 40), work = 0;
	struct world *w = s->w = world_open(n_pages);
	w->st.max_rows = rng_between(&s->r, 8, 64);
	w->st.max_seqs = rng_between(&s->r, 1, 12);
	w->st.row_ms = rng_unit(&s->r) * 2;
	if (window) {
		w->layout.groups[1] = (kv_group){.n_layers = 2, .n_kv_head = 1, .head_dim = 8, .block_tokens = 6, .slab_layers = 1, .n_slabs = 2,
		                                 .window = rng_between(&s->r, 1, 12)};
		w->layout.groups[0].block_tokens = 12;
		w->layout.n_groups = 2;
		w->layout.max_chunk = w->st.max_rows;
		n_pages = page_pool_total(w->pool);
	}
	s->n_lives = rng_between(&s->r, 2, 40);
	for (uint32_t i = 0; i < s->n_lives; i++) { /* each fits the pool when alone */
		uint32_t rows = sim_rows(s, n_pages), prompt = rng_between(&s->r, 1, rows - 1);
		s->life[i] = (struct life){.prompt = prompt, .output = rows - prompt, .arrives = rng_below(&s->r, 60), .family = rng_below(&s->r, 3)};
		work += rows;
	}
	uint32_t n_ended = 0, step = 0, bound = 60 + 4 * work + 100 * s->n_lives;
	for (; n_ended < s->n_lives; step++) {
		assert_true(step < bound); /* no livelock */
		for (uint32_t i = 0; i < s->n_lives; i++)
			if (!s->life[i].ever && s->life[i].arrives <= step) {
				s->life[i].ever = true;
				sim_start(s, i);
			}
		for (uint32_t i = 0; i < s->n_active; i++) {
			const struct life *l = &s->life[s->order[i]];
			w->seqs[i] = (sched_seq){.kv = &w->kv[i], .key = seed % 2 ? l->family : 0, .rows = w->rows[i], .n_known = l->n_known,
			                         .n_ready = l->n_known, .n_computed = l->n_computed, .max_chunk = w->st.max_rows};
			if (disturbances) {
				w->seqs[i].stalled = rng_below(&s->r, 10) == 0;
				w->seqs[i].drop = rng_below(&s->r, 400) == 0;
			}
		}
		w->st.n_seqs = s->n_active;
		const step_plan *p = plan(w);
		if (!disturbances)
			sim_check_plan(s, p);
		assert_true(p->n_rows <= w->st.max_rows && p->n_seqs <= w->st.max_seqs);
		sim_apply(s, p);
		assert_true(page_pool_consistent(w->pool));
		n_ended = 0;
		for (uint32_t i = 0; i < s->n_lives; i++)
			n_ended += s->life[i].ended;
	}
	w->st.n_seqs = 0;
	world_close(w);
	free(s);
}

static void every_request_that_fits_alone_finishes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++)
		simulate(seed, false, false, false);
}

static void so_it_is_when_prefixes_are_shared(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++)
		simulate(seed, true, false, false);
}

static void so_it_is_when_readers_stall_and_leave(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++)
		simulate(seed, seed % 2, true, false);
}

static void so_it_is_with_windows(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		simulate(seed, seed % 2, seed % 3 == 0, true);
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
	    cmocka_unit_test(every_request_that_fits_alone_finishes),
	    cmocka_unit_test(so_it_is_when_prefixes_are_shared),
	    cmocka_unit_test(so_it_is_when_readers_stall_and_leave),
	    cmocka_unit_test(so_it_is_with_windows),
	    cmocka_unit_test(a_start_counts_what_its_windows_give_back_on_the_way),
	    cmocka_unit_test(a_slice_is_as_many_units_as_fit_its_time),
	    cmocka_unit_test(slices_are_longer_when_no_tokens_flow),
	    cmocka_unit_test(jobs_take_turns),
	    cmocka_unit_test(check_52_chunks_are_shared_by_key_first),
	    cmocka_unit_test(check_52_places_are_shared_by_key_first),
	    cmocka_unit_test(check_52_a_span_of_another_key_finds_room),
	    cmocka_unit_test(check_52_no_key_gets_less_than_its_even_share),
	    cmocka_unit_test(check_52_a_long_prompt_holds_short_ones_up_by_two_chunks_at_most),
	    cmocka_unit_test(check_52_twenty_requests_of_one_key_do_not_starve_another_key),
	    cmocka_unit_test(the_same_state_gives_the_same_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
