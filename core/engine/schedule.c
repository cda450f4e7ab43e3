#include "engine/schedule.h"

#include <string.h>

enum { MIN_CHUNK = 16, IDLE_SLICES = 4 /* with no tokens flowing a slice may be this many times longer */, MAX_PASSED = 8 };

static const double NO_LISTENER_MS = 1000, URGENT_MS = 500;

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

/* ---- parts of keys ---- */

/* The part of sequence i's key. Keys are few, and the sequences of a request stand together: `last` is the one before. */
static uint32_t find_part(const sched_state *st, step_plan *out, uint32_t *n_parts, uint32_t i, uint32_t last)
{
	uint64_t key = st->seqs[i].key;
	if (last < *n_parts && out->parts[last].key == key)
		return last;
	uint32_t p = 0;
	while (p < *n_parts && out->parts[p].key != key)
		p++;
	if (p == *n_parts)
		out->parts[(*n_parts)++] = (key_part){.key = key};
	return p;
}

/* What each key asks for. Returns how many keys have work; they stand in the order of their oldest sequence with work. */
static uint32_t count_parts(const sched_state *st, step_plan *out)
{
	uint32_t n_parts = 0, p = 0;
	for (uint32_t i = 0; i < st->n_seqs; i++) {
		uint32_t n = todo(&st->seqs[i]);
		if (n == 0)
			continue;
		p = out->part_of[i] = find_part(st, out, &n_parts, i, p);
		key_part *part = &out->parts[p];
		part->n_seqs++;
		if (n == 1)
			continue;
		if (part->n_chunks++ == 0)
			part->first = i;
		n = min_u32(n, min_u32(st->seqs[i].max_chunk, st->max_rows));
		part->n_rows = min_u32(part->n_rows + n, st->max_rows);
	}
	return n_parts;
}

static uint64_t places_at(const key_part *parts, uint32_t n, uint32_t level)
{
	uint64_t sum = 0;
	for (uint32_t p = 0; p < n; p++)
		sum += min_u32(parts[p].n_seqs, level);
	return sum;
}

/* Places, each for a row at least: up to one level for every key, what is left one by one. */
static void share_places(const sched_state *st, key_part *parts, uint32_t n)
{
	uint32_t left = min_u32(st->max_seqs, st->max_rows), level = 0, past = left + 1;
	while (past - level > 1) {
		uint32_t mid = level + (past - level) / 2;
		if (places_at(parts, n, mid) <= left)
			level = mid;
		else
			past = mid;
	}
	left -= (uint32_t)places_at(parts, n, level);
	for (uint32_t p = 0; p < n; p++) {
		bool more = left && parts[p].n_seqs > level;
		parts[p].places = min_u32(parts[p].n_seqs, level) + more;
		left -= more;
	}
}

/* Rows for chunks. What a key does not use is for those after it; those before have had their share, and so the step is short. */
static void share_chunk_rows(const sched_state *st, key_part *parts, uint32_t n, uint32_t left)
{
	uint32_t kept = 0, n_keys = 0;
	for (uint32_t p = 0; p < n; p++)
		kept += parts[p].kept;
	for (uint32_t p = 0; p < n; p++) {
		parts[p].places += parts[p].held;
		if (!parts[p].n_chunks || !parts[p].places)
			continue;
		uint32_t least = least_chunk(&st->seqs[parts[p].first]);
		if (!parts[p].kept && least <= left - kept)
			kept += parts[p].kept = least;
		n_keys++;
	}
	for (uint32_t p = 0; p < n; p++) {
		if (!parts[p].n_chunks || !parts[p].places)
			continue;
		uint32_t share = left / n_keys--;
		kept -= parts[p].kept;
		share = min_u32(share > parts[p].kept ? share : parts[p].kept, left - kept);
		parts[p].rows = share;
		left -= min_u32(share, parts[p].n_rows);
	}
}

/* ---- who is listened to ---- */

static double slack_of(const sched_seq *s)
{
	return s->listened ? s->slack_ms : NO_LISTENER_MS;
}

static bool is_urgent(const sched_seq *s)
{
	return s->listened && s->slack_ms < URGENT_MS;
}

/* Moves the token at order[at] before those of its key that can wait longer. What others have the places between is left there. */
static void move_forward(const sched_state *st, step_plan *out, uint32_t at)
{
	uint32_t i = out->order[at];
	for (uint32_t k = at; k-- > 0;) {
		uint32_t j = out->order[k];
		if (todo(&st->seqs[j]) != 1 || out->part_of[j] != out->part_of[i])
			continue;
		if (slack_of(&st->seqs[j]) <= slack_of(&st->seqs[i]))
			return;
		out->order[k] = i;
		out->order[at] = j;
		at = k;
	}
}

static void order_tokens(const sched_state *st, step_plan *out)
{
	bool any = false;
	for (uint32_t i = 0; i < st->n_seqs; i++) {
		out->order[i] = i;
		any |= st->seqs[i].listened;
	}
	for (uint32_t i = 0; any && i < st->n_seqs; i++)
		if (todo(&st->seqs[i]) == 1)
			move_forward(st, out, i);
}

/* ---- rows of sequences ---- */

/* What flows in the step beside chunks. */
struct flow {
	bool decoding; /* tokens */
	bool urgent;   /* of a sequence that is about to run dry */
};

/* Tokens have a row each; returns the rows that are left for chunks. *kept: of these, the oldest one's. */
static uint32_t serve_tokens(const sched_state *st, step_plan *out, struct flow *flow, uint32_t *kept)
{
	uint32_t left = st->max_rows;
	bool any_chunk = false;
	order_tokens(st, out);
	for (uint32_t k = 0; k < st->n_seqs; k++) {
		uint32_t i = out->order[k];
		uint32_t n = todo(&st->seqs[i]);
		key_part *part = n ? &out->parts[out->part_of[i]] : NULL;
		if (!n || !part->places)
			continue;
		if (n == 1 && left) {
			out->want[i] = 1;
			left--;
			part->places--;
			flow->decoding = true;
			flow->urgent |= is_urgent(&st->seqs[i]);
		} else if (n > 1 && i == part->first) {
			/* However many tokens flow after it, each key's first chunk has its place; the oldest of all its next row or span too. */
			uint32_t least = least_chunk(&st->seqs[i]);
			part->held = any_chunk || least <= left;
			part->places -= part->held;
			if (!any_chunk && least <= left)
				left -= *kept = part->kept = least;
			any_chunk = true;
		}
	}
	return left + *kept;
}

/* Rows that each sequence gets if pages do not matter. */
static struct flow share_rows(const sched_state *st, step_plan *out)
{
	uint32_t n_parts = count_parts(st, out), kept = 0;
	struct flow flow = {0};
	for (uint32_t i = 0; i < st->n_seqs; i++)
		out->want[i] = 0;
	share_places(st, out->parts, n_parts);
	uint32_t left = serve_tokens(st, out, &flow, &kept);
	if (flow.decoding && st->row_ms > 0) { /* other people's chunks must not hold up tokens for long */
		double fit = st->slice_ms / st->row_ms;
		uint32_t cap = fit < MIN_CHUNK ? MIN_CHUNK : fit > 1e6 ? 1000000 : (uint32_t)fit;
		left = min_u32(left, cap > kept ? cap : kept);
	}
	share_chunk_rows(st, out->parts, n_parts, left);
	uint32_t others = flow.urgent ? MIN_CHUNK : UINT32_MAX; /* rows of those that are not about to run dry */
	for (uint32_t i = 0; i < st->n_seqs; i++) {
		const sched_seq *s = &st->seqs[i];
		uint32_t n = todo(s);
		key_part *part = n > 1 ? &out->parts[out->part_of[i]] : NULL;
		if (n <= 1 || !part->rows || !part->places)
			continue;
		uint32_t share = part->rows / part->n_chunks--;
		if (share < MIN_CHUNK)
			share = min_u32(MIN_CHUNK, part->rows);
		if (!is_urgent(s))
			share = min_u32(share, others);
		if (i == part->first && share < part->kept)
			share = part->kept;
		n = out->want[i] = whole_spans(s, min_u32(n, min_u32(share, s->max_chunk))); /* 0: a span too large for now has its turn when first */
		part->rows -= n;
		part->places -= n > 0;
		others -= is_urgent(s) ? 0 : min_u32(n, others);
	}
	return flow;
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

static void preempt(const sched_state *st, step_plan *out, uint32_t v, uint32_t *available)
{
	const sched_seq *s = &st->seqs[v];
	if (s->drop || s->n_computed == 0 || is_listed(out->preempted, out->n_preempted, v))
		return;
	*available += pages_given(s->kv);
	out->preempted[out->n_preempted++] = v;
	out->want[v] = 0;
}

/* Frees pages for sequence i by preempting younger ones, then older ones that stand still for their readers. */
static bool make_room(const sched_state *st, step_plan *out, uint32_t i, uint32_t need, uint32_t *available)
{
	for (uint32_t v = st->n_seqs; need > *available && v-- > i + 1;)
		preempt(st, out, v, available);
	for (uint32_t v = i; need > *available && v-- > 0;)
		if (st->seqs[v].stalled)
			preempt(st, out, v, available);
	return need <= *available;
}

/* ---- jobs ---- */

/* The next in turn of those that are listened to, or that are not; n_jobs: there is none. */
static uint32_t next_job(const sched_state *st, bool listened)
{
	for (uint32_t k = 0; k < st->n_jobs; k++) {
		uint32_t j = (st->next_job + k) % st->n_jobs;
		if (st->jobs[j].listened == listened)
			return j;
	}
	return st->n_jobs;
}

static uint32_t least_slack(const sched_state *st)
{
	uint32_t least = st->n_jobs;
	for (uint32_t j = 0; j < st->n_jobs; j++)
		if (st->jobs[j].listened && (least == st->n_jobs || st->jobs[j].slack_ms < st->jobs[least].slack_ms))
			least = j;
	return least;
}

/* n_jobs: none in this step. */
static uint32_t pick_job(const sched_state *st, step_plan *out, bool urgent)
{
	uint32_t other = next_job(st, false), least = least_slack(st);
	bool job_urgent = least < st->n_jobs && st->jobs[least].slack_ms < URGENT_MS;
	if (!job_urgent && !urgent)
		return st->next_job % st->n_jobs;
	if (other == st->n_jobs)
		return least;
	if (st->jobs_passed >= MAX_PASSED)
		return other;
	out->n_passed = st->jobs_passed + 1;
	return least;
}

static void plan_slices(const sched_state *st, step_plan *out, const struct flow *flow)
{
	if (!st->n_jobs)
		return;
	uint32_t j = pick_job(st, out, flow->urgent);
	if (j == st->n_jobs)
		return;
	const sched_job *job = &st->jobs[j];
	double ms = st->slice_ms * (flow->decoding ? 1 : IDLE_SLICES), fit = job->unit_ms > 0 ? ms / job->unit_ms : 1;
	uint32_t units = fit < 1 ? 1 : fit > 1e6 ? 1000000 : (uint32_t)fit;
	out->jobs[out->n_jobs++] = (plan_job){j, min_u32(units, job->units_left ? job->units_left : 1), ms};
}

void schedule(const sched_state *st, step_plan *out)
{
	out->n_seqs = out->n_dropped = out->n_preempted = out->n_jobs = out->n_rows = out->n_passed = 0;
	uint32_t available = st->pages_available;
	for (uint32_t i = 0; i < st->n_seqs; i++)
		if (st->seqs[i].drop) {
			out->dropped[out->n_dropped++] = i;
			available += pages_given(st->seqs[i].kv);
		}
	struct flow flow = share_rows(st, out);
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
	plan_slices(st, out, &flow);
}
