/* outline.c - a state without what does not matter for the next bytes: who called, and how far a count is from ends that are out of reach. */
#include "grammar/automaton.h"
#include "grammar/grow.h"

/* The frame that both stacks have, the highest. */
static uint32_t common_frame(const automaton *a, uint32_t x, uint32_t y)
{
	while (x != y) {
		uint32_t dx = a->frames[x].depth, dy = a->frames[y].depth;
		if (dx >= dy)
			x = a->frames[x].below;
		if (dy >= dx)
			y = a->frames[y].below;
	}
	return x;
}

/* Each round of a count takes a byte at least (check.c sees to that), so that an end farther away than the horizon is not reached. */
static uint32_t rounds(const count *c, uint32_t times, uint32_t horizon)
{
	uint64_t last = (uint64_t)times + horizon;
	if (last < c->min)
		return 0;
	if (times + 1 >= c->min && last < c->max)
		return c->min ? c->min - 1 : 0;
	return times;
}

/* The stack above `root`, put on `base`. */
static bool rebuild(automaton *a, uint32_t stack, uint32_t root, uint32_t base, uint32_t horizon, uint32_t *out)
{
	uint32_t chain[GRAMMAR_MAX_NESTING + 1];
	size_t n = 0;
	for (; stack != root; stack = a->frames[stack].below)
		chain[n++] = stack;
	*out = base;
	while (n) {
		auto_frame f = a->frames[chain[--n]];
		if (f.what & COUNT_FRAME)
			f.times = rounds(&a->g->counts[f.what & ~COUNT_FRAME], f.times, horizon);
		if (!automaton_push_frame(a, *out, f.what, f.times, out))
			return false;
	}
	return true;
}

state_id automaton_outline(automaton *a, state_id s, uint32_t horizon, uint32_t *caller)
{
	const auto_state of = a->states[s];
	size_t first = a->n_places;
	*caller = 0;
	if (a->trouble || of.n == 0)
		return of.n == 0 ? s : STATE_DEAD;
	uint32_t root = a->places[of.first].stack;
	for (uint32_t i = 1; i < of.n; i++)
		root = common_frame(a, root, a->places[of.first + i].stack);
	while (a->frames[root].what & COUNT_FRAME)
		root = a->frames[root].below;
	if (a->frames[root].depth > OUTLINE_DEPTH)
		return STATE_DEAD;
	*caller = root;
	if (!grow(&a->places, &a->cap_places, first + of.n, sizeof *a->places)) {
		a->trouble = AUTOMATON_NOMEM;
		return STATE_DEAD;
	}
	for (uint32_t i = 0; i < of.n; i++) {
		place p = a->places[of.first + i];
		if (!rebuild(a, p.stack, root, root ? FRAME_UNSEEN : 0, horizon, &p.stack)) {
			a->n_places = first;
			return STATE_DEAD;
		}
		a->places[a->n_places++] = p;
	}
	a->outline = root != 0;
	a->leaves = a->deep = false;
	return automaton_settle(a, first, root ? false : of.accepts);
}

state_id automaton_caller(automaton *a, uint32_t caller)
{
	return automaton_go_on(a, a->frames[caller].what, a->frames[caller].below);
}
