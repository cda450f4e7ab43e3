#include "engine/rules.h"

#include <math.h>
#include <stdbool.h>

static void ban(float *w, uint32_t n, const int32_t *tokens, uint32_t n_tokens)
{
	for (uint32_t i = 0; i < n_tokens; i++)
		if (tokens[i] >= 0 && (uint32_t)tokens[i] < n)
			w[tokens[i]] = -INFINITY;
}

/* [begin, end) as far as it lies in the vocabulary. */
static void ban_range(float *w, uint32_t n, uint32_t begin, uint32_t end)
{
	for (uint32_t i = begin; i < end && i < n; i++)
		w[i] = -INFINITY;
}

/* Everything but these, which ascend. */
static void ban_others(float *w, uint32_t n, const int32_t *tokens, uint32_t n_tokens)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < n_tokens; i++) {
		if (tokens[i] < 0)
			continue;
		ban_range(w, n, at, (uint32_t)tokens[i]);
		at = (uint32_t)tokens[i] + 1;
	}
	ban_range(w, n, at, n);
}

static float best_of(const float *w, uint32_t begin, uint32_t end)
{
	float best = -INFINITY;
	for (uint32_t i = begin; i < end; i++)
		best = w[i] > best ? w[i] : best;
	return best;
}

/* Are all stamps together likelier than the best other token? Both sides leave out the same log of the softmax's sum. */
static bool stamps_outweigh(const float *w, uint32_t n, uint32_t first)
{
	double best = (double)best_of(w, first, n), sum = 0;
	if (isinf(best))
		return false;
	for (uint32_t i = first; i < n; i++)
		sum += exp((double)w[i] - best);
	return best + log(sum) > (double)best_of(w, 0, first);
}

static void apply_stamps(const token_rules *r, float *w, uint32_t n, const int32_t *said, size_t n_said)
{
	uint32_t first = (uint32_t)r->first_stamp < n ? (uint32_t)r->first_stamp : n;
	bool last_is = n_said >= 1 && said[n_said - 1] >= r->first_stamp;
	bool one_before_is = n_said < 2 || said[n_said - 2] >= r->first_stamp;
	ban(w, n, &r->no_stamps, 1);
	if (last_is && one_before_is)
		ban_range(w, n, first, n);
	else if (last_is)
		ban_range(w, n, 0, (uint32_t)r->end);
	for (size_t i = n_said; i-- > 0;)
		if (said[i] >= r->first_stamp) {
			bool pairs_up = last_is && !one_before_is; /* the second of a pair is the same or later */
			ban_range(w, n, first, (uint32_t)said[i] + !pairs_up);
			break;
		}
	if (n_said == 0) {
		ban_range(w, n, 0, first);
		if (r->max_first < n - first)
			ban_range(w, n, first + r->max_first + 1, n);
	}
	if (stamps_outweigh(w, n, first))
		ban_range(w, n, 0, first);
}

void rules_apply(const token_rules *r, float *w, uint32_t n, const int32_t *said, size_t n_said)
{
	if (r->n_only)
		ban_others(w, n, r->only, r->n_only);
	if (n_said == 0)
		ban(w, n, r->begin_suppress, r->n_begin_suppress);
	ban(w, n, r->suppress, r->n_suppress);
	if (r->first_stamp > 0)
		apply_stamps(r, w, n, said, n_said);
}

void rules_apply_frames(const token_rules *r, float *w, uint32_t n, int32_t first, uint32_t n_said)
{
	const token_range *slot = &r->slots[n_said % r->n_slots];
	bool may_end = n_said % r->n_slots == 0 && n_said / r->n_slots >= r->min_frames;
	uint32_t n_ends = may_end ? r->n_ends : 0, at = 0, begin = (uint32_t)(slot->first - first), i = 0;
	for (; i < n_ends && r->ends[i] < slot->first; i++) {
		ban_range(w, n, at, (uint32_t)(r->ends[i] - first));
		at = (uint32_t)(r->ends[i] - first) + 1;
	}
	ban_range(w, n, at, begin);
	at = begin + slot->n;
	for (; i < n_ends; i++) {
		uint32_t end = (uint32_t)(r->ends[i] - first);
		if (end < at)
			continue;
		ban_range(w, n, at, end);
		at = end + 1;
	}
	ban_range(w, n, at, n);
}
