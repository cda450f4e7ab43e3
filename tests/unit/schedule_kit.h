/* schedule_kit.h - a state of the scheduler that tests fill in, with real block tables behind it. */
#ifndef SN_TESTS_SCHEDULE_KIT_H
#define SN_TESTS_SCHEDULE_KIT_H

#include "unit.h"

#include "engine/schedule.h"

enum { MAX_SEQS = 64, MAX_ROWS = 2048, BLOCK = 4 };

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

static inline struct world *world_open(uint32_t n_pages)
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

static inline void world_close(struct world *w)
{
	for (uint32_t i = 0; i < w->st.n_seqs; i++)
		kv_seq_fini(&w->kv[i]);
	assert_int_equal(page_pool_available(w->pool), page_pool_total(w->pool));
	page_pool_close(&w->pool);
	free(w);
}

/* The next younger sequence; its computed rows hold pages. */
static inline sched_seq *add(struct world *w, uint32_t n_known, uint32_t n_computed)
{
	uint32_t i = w->st.n_seqs++;
	assert_int_equal(kv_seq_init(&w->kv[i], w->pool, &w->layout, MAX_ROWS, &KEY, &ROOT, NULL), SN_OK);
	assert_true(kv_seq_extend(&w->kv[i], n_computed));
	w->seqs[i] = (sched_seq){.kv = &w->kv[i], .rows = w->rows[i], .n_known = n_known, .n_ready = n_known, .n_computed = n_computed, .max_chunk = 512};
	return &w->seqs[i];
}

static inline const step_plan *plan(struct world *w)
{
	w->st.pages_available = page_pool_available(w->pool);
	schedule(&w->st, &w->plan);
	return &w->plan;
}

static inline uint32_t rows_of(const step_plan *p, uint32_t seq)
{
	for (uint32_t i = 0; i < p->n_seqs; i++)
		if (p->seqs[i].seq == seq)
			return p->seqs[i].n_rows;
	return 0;
}

static inline void set_span(struct world *w, uint32_t seq, uint32_t begin, uint32_t end)
{
	for (uint32_t r = begin; r < end; r++)
		w->rows[seq][r].span_end = end;
}

#endif
