/* schedule.h - what the next step does. Pure: no I/O, no allocation, no clock; it reads counts and flags, never a sampled
 * value, and writes one plan. Tests feed it states and compare plans.
 *
 * There is no prefill phase: each sequence has known rows and computed rows, and computed catches up with known, in
 * chunks, under one budget of rows a step. Sequences with one row to go (decode) are served first, the rest of the budget is
 * shared evenly among the others. Pages are given in order of arrival: when they are short the youngest holder is
 * preempted (its rows will be recomputed), never one that is older than who needs the page. */
#ifndef SN_ENGINE_SCHEDULE_H
#define SN_ENGINE_SCHEDULE_H

#include "engine/pages.h"

/* One active sequence, in order of arrival. */
typedef struct sched_seq {
	const kv_seq *kv;
	const seq_row *rows;  /* only span_end is read */
	uint32_t n_known;     /* rows whose source is known (the last sampled token counts) */
	uint32_t n_ready;     /* rows before the first one whose media is not encoded yet */
	uint32_t n_computed;
	uint32_t n_given;     /* leading ones that it did not compute itself: from the prefix cache, or a sibling of its request */
	uint32_t max_chunk;   /* rows that its model's buffers hold */
	bool drop;            /* cancelled or past its deadline: give its pages back now */
	bool stalled;         /* its reader is behind: no new token */
} sched_seq;

/* One encoder job, in order of arrival. */
typedef struct sched_job {
	uint32_t units_left;
	double unit_ms; /* measured */
} sched_job;

typedef struct sched_state {
	const sched_seq *seqs;
	uint32_t n_seqs;
	const sched_job *jobs;
	uint32_t n_jobs;
	uint32_t next_job;        /* whose turn it is */
	uint32_t pages_available;
	uint32_t max_rows, max_seqs; /* of one step */
	double row_ms;            /* measured cost of one row of a large chunk */
	double slice_ms;          /* longest slice of encoder work, and of other people's chunks, while tokens flow */
} sched_state;

typedef struct plan_seq { uint32_t seq, n_rows; } plan_seq;
typedef struct plan_job { uint32_t job, units; double ms; } plan_job; /* ms: stop after the unit with which this is used up */

typedef struct step_plan {
	plan_seq *seqs;      /* [max_active] rows to compute, in order of arrival */
	uint32_t *dropped;   /* [max_active] */
	uint32_t *preempted; /* [max_active] */
	plan_job jobs[1];
	uint32_t n_seqs, n_dropped, n_preempted, n_jobs, n_rows;
	uint32_t *want;      /* [max_active] scratch */
} step_plan;

void schedule(const sched_state *state, step_plan *out);

#endif
