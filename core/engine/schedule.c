#include "engine/schedule.h"

#include <string.h>

enum { MIN_CHUNK = 16, IDLE_SLICES = 4 }; /* with no tokens flowing a slice may be this many times longer */

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t todo(const sched_seq *s)
{
	uint32_t ready = min_u32(s->n_known, s->n_ready);
	return s->drop || s->stalled || ready <= s->n_computed ? 0 : ready - s->n_computed;
}

/* The longest chunk of at most n rows that does not end inside a both-ways span. */
static uint32_t whole_spans(const sched_seq *s, uint32_t n)
{
	uint32_t end = s->n_computed + n;
	while (end > s->n_computed && s->rows[end - 1].span_end > end)
		end--;
	return end - s->n_computed;
}

/* The fewest rows that the sequence can move by: one, or a whole both-ways span. */
static uint32_t least_chunk(const sched_seq *s)
{
	uint32_t span_end = s->rows[s->n_computed].span_end;
	return span_end > s->n_computed ? span_end - s->n_computed : 1;
}

/* Rows that each sequence gets if pages do not matter. */
static bool share_rows(const sched_state *st, uint32_t *want)
{
	uint32_t left = st->max_rows, n_seqs = 0, n_chunks = 0, first = 0, kept = 0;
	bool decoding = false;
	for (uint32_t i = 0; i < st->n_seqs; i++) {
		want[i] = 0;
		uint32_t n = todo(&st->seqs[i]);
		if (n == 1 && left && n_seqs < st->max_seqs) {
			want[i] = 1;
			left--;
			n_seqs++;
			decoding = true;
		} else if (n > 1 && n_chunks++ == 0) {
			/* However many tokens flow after it, the first chunk moves on: its place and its next span are kept free. */
			first = i;
			kept = least_chunk(&st->seqs[i]);
			if (kept > left || n_seqs == st->max_seqs)
				kept = 0;
			left -= kept;
			n_seqs += kept > 0;
		}
	}
	left += kept;
	n_seqs -= kept > 0;
	if (decoding && st->row_ms > 0) { /* other people's chunks must not hold up tokens for long */
		double fit = st->slice_ms / st->row_ms;
		uint32_t cap = fit < MIN_CHUNK ? MIN_CHUNK : fit > 1e6 ? 1000000 : (uint32_t)fit;
		left = min_u32(left, cap > kept ? cap : kept);
	}
	for (uint32_t i = first; i < st->n_seqs && left && n_seqs < st->max_seqs && n_chunks; i++) {
		const sched_seq *s = &st->seqs[i];
		uint32_t n = todo(s);
		if (n <= 1)
			continue;
		uint32_t share = left / n_chunks--;
		if (share < MIN_CHUNK)
			share = min_u32(MIN_CHUNK, left);
		if (i == first && share < kept)
			share = kept;
		want[i] = whole_spans(s, min_u32(n, min_u32(share, s->max_chunk))); /* 0: a span too large for now has its turn when first */
		left -= want[i];
		n_seqs += want[i] > 0;
	}
	return decoding;
}

/* Pages that would become available if the sequence gave its blocks back. */
static uint32_t pages_given(const kv_seq *kv)
{
	return kv->layout ? kv_seq_exclusive(kv) : 0;
}

static bool is_listed(const uint32_t *list, uint32_t n, uint32_t v)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

/* Frees pages for sequence i by preempting younger ones. */
static bool make_room(const sched_state *st, step_plan *out, uint32_t i, uint32_t need, uint32_t *available)
{
	for (uint32_t v = st->n_seqs; need > *available && v-- > i + 1;) {
		const sched_seq *s = &st->seqs[v];
		if (s->drop || s->n_computed == 0 || is_listed(out->preempted, out->n_preempted, v))
			continue;
		*available += pages_given(s->kv);
		out->preempted[out->n_preempted++] = v;
		out->want[v] = 0;
	}
	return need <= *available;
}

static void plan_slices(const sched_state *st, step_plan *out, bool decoding)
{
	if (!st->n_jobs)
		return;
	uint32_t j = st->next_job % st->n_jobs;
	const sched_job *job = &st->jobs[j];
	double ms = st->slice_ms * (decoding ? 1 : IDLE_SLICES), fit = job->unit_ms > 0 ? ms / job->unit_ms : 1;
	uint32_t units = fit < 1 ? 1 : fit > 1e6 ? 1000000 : (uint32_t)fit;
	out->jobs[out->n_jobs++] = (plan_job){j, min_u32(units, job->units_left ? job->units_left : 1), ms};
}

void schedule(const sched_state *st, step_plan *out)
{
	out->n_seqs = out->n_dropped = out->n_preempted = out->n_jobs = out->n_rows = 0;
	uint32_t available = st->pages_available;
	for (uint32_t i = 0; i < st->n_seqs; i++)
		if (st->seqs[i].drop) {
			out->dropped[out->n_dropped++] = i;
			available += pages_given(st->seqs[i].kv);
		}
	bool decoding = share_rows(st, out->want);
	for (uint32_t i = 0; i < st->n_seqs; i++) {
		const sched_seq *s = &st->seqs[i];
		uint32_t n = out->want[i];
		if (n == 0)
			continue;
		/* A sequence that has computed nothing yet starts only when there is room for the way to its last known row: a start that
		 * must soon be preempted is wasted work. */
		bool fresh = s->n_computed == s->n_given;
		uint32_t need = fresh ? kv_seq_need_to_reach(s->kv, s->n_known) : kv_seq_need(s->kv, s->n_computed + n);
		if (!make_room(st, out, i, need, &available)) {
			out->want[i] = 0;
			if (fresh)
				break; /* first come, first served: nobody younger starts before it */
			continue;
		}
		available -= kv_seq_need(s->kv, s->n_computed + n);
		out->seqs[out->n_seqs++] = (plan_seq){i, n};
		out->n_rows += n;
	}
	plan_slices(st, out, decoding);
}
