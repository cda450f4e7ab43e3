/* test_schedule_loop.c - a loop of plans: every request that fits the pool alone finishes, whatever the others do. */
#include "schedule_kit.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_request_that_fits_alone_finishes),
	    cmocka_unit_test(so_it_is_when_prefixes_are_shared),
	    cmocka_unit_test(so_it_is_when_readers_stall_and_leave),
	    cmocka_unit_test(so_it_is_with_windows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
