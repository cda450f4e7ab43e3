/* schedule.h - what the next step does. Pure: no I/O, no allocation, no clock; it reads counts and flags, never a sampled
 * value, and writes one plan. Tests feed it states and compare plans.
 *
 * There is no prefill phase: each sequence has known rows and computed rows, and computed catches up with known, in
 * chunks, under one budget of rows a step. Sequences with one row to go (decode) are served first, the rest of the budget is
 * shared evenly among the others.
 *
 * Fair by key: a step's places and its rows for chunks are shared evenly among the keys first, then among each key's sequences.
 * So whatever the others ask for, of K keys with work each gets in every step at least the smaller of what it asks for and
 * places / K, and of K keys with chunks at least the smaller of that and rows / K (rounded down): twenty sequences of one key move
 * another key's only one as fast as one would. Spans come first, since they cannot be cut: the oldest chunk of all, and as far
 * as there is room each key's oldest, gets its next span whole; one that finds no room waits for those that are older.
 *
 * Somebody may be listening: what a sequence says, or what a job decodes, becomes sound that is played while it is made. Its slack
 * is how long what the listener has will last. Where a key's places are short, its tokens with the least slack come first (who has
 * no listener counts as one with a second in hand), and of jobs the one that is about to run dry. While a token of a sequence that is
 * about to run dry is in the step, chunks of those that are not have MIN_CHUNK rows together (beside one, or a span, for each key), and
 * jobs that nobody listens to wait, but not for more than MAX_PASSED slices in a row.
 *
 * Pages are given in order of arrival, whoever's they are: when they are short the youngest holder is preempted (its rows
 * will be recomputed), never one that is older than who needs the page, unless it stands still: its reader is behind. */
#ifndef SN_ENGINE_SCHEDULE_H
#define SN_ENGINE_SCHEDULE_H

#include "engine/pages.h"

/* One active sequence, in order of arrival. */
typedef struct sched_seq {
	const kv_seq *kv;
	uint64_t key;         /* who asks: equal for all that share a part of the step */
	const seq_row *rows;  /* only span_end is read */
	uint32_t n_known;     /* rows whose source is known (the last sampled token counts) */
	uint32_t n_ready;     /* rows before the first one whose media is not encoded yet */
	uint32_t n_computed;
	uint32_t n_given;     /* leading ones that it did not compute itself: from the prefix cache, or a sibling of its request */
	uint32_t max_chunk;   /* rows that its model's buffers hold */
	bool drop;            /* cancelled or past its deadline: give its pages back now */
	bool stalled;         /* no row now: its reader is behind, or it waits for its gang */
	bool listened;        /* it speaks: slack_ms is known */
	double slack_ms;      /* until its listener has nothing to play; below 0: for so long has had nothing */
} sched_seq;

/* One job, of an encoder or of a vocoder, in order of arrival. */
typedef struct sched_job {
	uint32_t units_left;
	double unit_ms; /* measured */
	bool listened;  /* a vocoder's */
	double slack_ms; /* the least of its streams */
} sched_job;

typedef struct sched_state {
	const sched_seq *seqs;
	uint32_t n_seqs;
	const sched_job *jobs;
	uint32_t n_jobs;
	uint32_t next_job;        /* whose turn it is */
	uint32_t jobs_passed;     /* n_passed of the last plan */
	uint32_t pages_available;
	uint32_t max_rows, max_seqs; /* of one step */
	double row_ms;            /* measured cost of one row of a large chunk */
	double slice_ms;          /* longest slice of a job, and of other people's chunks, while tokens flow */
} sched_state;

typedef struct plan_seq { uint32_t seq, n_rows; } plan_seq;
typedef struct plan_job { uint32_t job, units; double ms; } plan_job; /* ms: stop after the unit with which this is used up */

/* One key's part of a step. */
typedef struct key_part {
	uint64_t key;
	uint32_t n_seqs, n_chunks, n_rows; /* with work; of them with more than a row of it; rows of these */
	uint32_t first;                    /* the oldest of these chunks */
	uint32_t kept;                     /* rows that it moves by at least */
	bool held;                         /* a place is kept for it */
	uint32_t places, rows;             /* what the key has left of its share */
} key_part;

typedef struct step_plan {
	plan_seq *seqs;      /* [max_active] rows to compute, in order of arrival */
	uint32_t *dropped;   /* [max_active] */
	uint32_t *preempted; /* [max_active] */
	plan_job jobs[1];
	uint32_t n_seqs, n_dropped, n_preempted, n_jobs, n_rows;
	uint32_t n_passed;   /* slices in a row that jobs without a listener did not get because somebody was about to run dry */
	uint32_t *want;      /* [max_active] scratch, as are the next three */
	uint32_t *order;     /* [max_active] sequences as tokens are served: in order of arrival, within a key by slack */
	uint32_t *part_of;   /* [max_active] index in parts[], of a sequence with work */
	key_part *parts;     /* [max_active] */
} step_plan;

void schedule(const sched_state *state, step_plan *out);

#endif
