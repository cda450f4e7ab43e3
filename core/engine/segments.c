#include "engine/segments.h"

#include <stdbool.h>

struct cutter {
	const int32_t *tokens;
	int32_t first_stamp;
	double step, duration;
	segment_span *out;
	uint32_t n;
};

static bool is_stamp(const struct cutter *c, uint32_t i)
{
	return c->first_stamp > 0 && c->tokens[i] >= c->first_stamp;
}

static double time_of(const struct cutter *c, uint32_t i)
{
	return (c->tokens[i] - c->first_stamp) * c->step;
}

static double within(double t, double lo, double hi)
{
	return t < lo ? lo : t > hi ? hi : t;
}

static void put(struct cutter *c, uint32_t first, uint32_t end, double from, double to)
{
	double before = c->n ? c->out[c->n - 1].end : 0;
	from = within(from, before, c->duration);
	c->out[c->n++] = (segment_span){first, end - first, from, within(to, from, c->duration)};
}

static void put_slice(struct cutter *c, uint32_t first, uint32_t end)
{
	double before = c->n ? c->out[c->n - 1].end : 0;
	put(c, first, end, is_stamp(c, first) ? time_of(c, first) : before, time_of(c, end - 1));
}

uint32_t segments_cut(const int32_t *tokens, uint32_t n, int32_t first_stamp, double step, double duration, segment_span *out)
{
	struct cutter c = {tokens, first_stamp, step, duration, out, 0};
	uint32_t from = 0, last = n; /* last: the last stamp, n if there is none */
	for (uint32_t i = 0; i < n; i++) {
		if (!is_stamp(&c, i))
			continue;
		last = i;
		if (i && is_stamp(&c, i - 1)) {
			put_slice(&c, from, i);
			from = i;
		}
	}
	if (!c.n && n) /* no pair closes one: the window is one segment, up to a stamp that tells */
		put(&c, 0, n, 0, last < n && time_of(&c, last) > 0 ? time_of(&c, last) : duration);
	else if (n >= 2 && from + 1 < n && last == n - 1) /* a single stamp at the end: nothing is said after it */
		put_slice(&c, from, n);
	else if (from + 1 < n)
		put(&c, from, n, time_of(&c, from), duration);
	return c.n;
}
