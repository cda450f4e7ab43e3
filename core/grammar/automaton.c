#include "grammar/automaton.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/grow.h"

#define FEWEST_SEEN 512  /* slots */
#define MOST_SEEN 32768 /* a step that looks at half as many places is ambiguous beyond use */

/* ---- what is equal is one ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 29;
}

static uint64_t frame_hash(const auto_frame *f)
{
	return mix(mix(mix(1, f->below), f->what), f->times);
}

static unsigned flags_of(const auto_state *s)
{
	return s->accepts | s->outline << 1 | s->leaves << 2 | s->deep << 3;
}

static uint64_t places_hash(const place *p, size_t n, unsigned flags)
{
	uint64_t h = flags;
	for (size_t i = 0; i < n; i++)
		h = mix(h, (uint64_t)p[i].at << 32 | p[i].stack);
	return h;
}

static uint64_t hash_at(const automaton *a, const index_table *t, uint32_t i)
{
	const auto_state *s = &a->states[i];
	return t == &a->by_frame ? frame_hash(&a->frames[i]) : places_hash(a->places + s->first, s->n, flags_of(s));
}

static bool table_room(automaton *a, index_table *t)
{
	if (2 * (t->n + 1) <= t->cap)
		return true;
	size_t cap = t->cap ? 2 * t->cap : 64;
	uint32_t *slots = calloc(cap, sizeof *slots);
	if (!slots)
		return false;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i]) {
			size_t at = hash_at(a, t, t->slots[i] - 1) & (cap - 1);
			while (slots[at])
				at = (at + 1) & (cap - 1);
			slots[at] = t->slots[i];
		}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return true;
}

static bool no_memory(automaton *a)
{
	a->trouble = AUTOMATON_NOMEM;
	return false;
}

bool automaton_push_frame(automaton *a, uint32_t below, uint32_t what, uint32_t times, uint32_t *out)
{
	auto_frame f = {below, what, times, a->frames[below].depth + 1};
	if (!table_room(a, &a->by_frame))
		return no_memory(a);
	size_t at = frame_hash(&f) & (a->by_frame.cap - 1);
	for (; a->by_frame.slots[at]; at = (at + 1) & (a->by_frame.cap - 1)) {
		const auto_frame *g = &a->frames[a->by_frame.slots[at] - 1];
		if (g->below == below && g->what == what && g->times == times) {
			*out = a->by_frame.slots[at] - 1;
			return true;
		}
	}
	if (a->n_frames >= UINT32_MAX / 2 || !grow(&a->frames, &a->cap_frames, a->n_frames + 1, sizeof *a->frames))
		return no_memory(a);
	*out = (uint32_t)a->n_frames;
	a->frames[a->n_frames++] = f;
	a->by_frame.slots[at] = *out + 1;
	a->by_frame.n++;
	return true;
}

/* ---- from one place to all that are reached without a byte ---- */

static bool todo_push(automaton *a, size_t *n, uint32_t at, uint32_t stack)
{
	if (!grow(&a->todo, &a->cap_todo, *n + 1, sizeof *a->todo))
		return no_memory(a);
	a->todo[(*n)++] = (place){at, stack};
	return true;
}

/* Deeper than may be. */
static bool refuse_depth(automaton *a)
{
	a->deep = a->outline;
	return true;
}

static size_t seen_slot(const automaton *a, uint64_t key)
{
	size_t i = mix(7, key) & (a->n_seen - 1);
	while (a->stamp[i] == a->now && a->seen[i] != key)
		i = (i + 1) & (a->n_seen - 1);
	return i;
}

/* Twice the slots; those of this step stay. */
static bool more_seen(automaton *a)
{
	automaton b = {.n_seen = a->n_seen ? 2 * a->n_seen : FEWEST_SEEN, .now = 1};
	b.seen = malloc(b.n_seen * sizeof *b.seen);
	b.stamp = calloc(b.n_seen, sizeof *b.stamp);
	if (!b.seen || !b.stamp) {
		free(b.seen);
		free(b.stamp);
		return no_memory(a);
	}
	for (size_t i = 0; i < a->n_seen; i++)
		if (a->stamp[i] == a->now) {
			size_t at = seen_slot(&b, a->seen[i]);
			b.seen[at] = a->seen[i];
			b.stamp[at] = 1;
		}
	free(a->seen);
	free(a->stamp);
	a->seen = b.seen;
	a->stamp = b.stamp;
	a->n_seen = b.n_seen;
	a->now = 1;
	return true;
}

/* True the first time in this step. */
static bool first_seen(automaton *a, place p, size_t *n_seen)
{
	uint64_t key = (uint64_t)p.at << 32 | p.stack;
	size_t i = seen_slot(a, key);
	if (a->stamp[i] == a->now)
		return false;
	if (*n_seen >= a->n_seen / 2) {
		if (a->n_seen >= MOST_SEEN)
			a->trouble = AUTOMATON_AMBIGUOUS;
		if (a->trouble || !more_seen(a))
			return false;
		i = seen_slot(a, key);
	}
	++*n_seen;
	a->work++;
	a->stamp[i] = a->now;
	a->seen[i] = key;
	return true;
}

static bool expand_next(automaton *a, place p, const count *c, size_t *n)
{
	auto_frame f = a->frames[p.stack];
	uint32_t times = f.times + 1, again;
	if (c->max == GRAMMAR_INF && times > c->min)
		times = c->min; /* how often above the least does not matter */
	if (times < c->max && !(automaton_push_frame(a, f.below, f.what, times, &again) && todo_push(a, n, c->body, again)))
		return false;
	return times < c->min || todo_push(a, n, c->exit, f.below);
}

static bool expand(automaton *a, place p, size_t *n, bool *accepts)
{
	const grammar *g = a->g;
	instruction in = g->code[p.at];
	uint32_t frame_id, depth = a->frames[p.stack].depth;
	switch ((op)in.op) {
	case OP_SPLIT:
		return todo_push(a, n, p.at + 1, p.stack) && todo_push(a, n, in.a, p.stack);
	case OP_JUMP:
		return todo_push(a, n, in.a, p.stack);
	case OP_CALL:
		if (depth >= GRAMMAR_MAX_NESTING)
			return refuse_depth(a);
		return automaton_push_frame(a, p.stack, p.at + 1, 0, &frame_id) && todo_push(a, n, in.a, frame_id);
	case OP_RETURN:
		if (p.stack == 0) {
			*accepts = true;
			return true;
		}
		if (p.stack == FRAME_UNSEEN) {
			a->leaves = true;
			return true;
		}
		return todo_push(a, n, a->frames[p.stack].what, a->frames[p.stack].below);
	case OP_COUNT:
		if (g->counts[in.a].min == 0 && !todo_push(a, n, g->counts[in.a].exit, p.stack))
			return false;
		if (depth >= GRAMMAR_MAX_NESTING)
			return refuse_depth(a);
		return automaton_push_frame(a, p.stack, COUNT_FRAME | in.a, 0, &frame_id) && todo_push(a, n, g->counts[in.a].body, frame_id);
	case OP_NEXT:
		return expand_next(a, p, &g->counts[in.a], n);
	case OP_NEED:
		return depth + in.a > GRAMMAR_MAX_NESTING ? refuse_depth(a) : todo_push(a, n, p.at + 1, p.stack);
	case OP_SET:
		break;
	}
	return true;
}

static int by_place(const void *a, const void *b)
{
	const place *x = a, *y = b;
	return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->stack < y->stack ? -1 : x->stack > y->stack;
}

/* The state whose places were collected in places[first, n_places): an old one if it is there. */
state_id automaton_settle(automaton *a, size_t first, bool accepts)
{
	size_t n = a->n_places - first, once = 0;
	place *p = a->places + first;
	if (n)
		qsort(p, n, sizeof *p, by_place);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || by_place(&p[i], &p[i - 1]) != 0)
			p[once++] = p[i];
	a->n_places = first + (n = once);
	const auto_state made = {(uint32_t)first, (uint32_t)n, accepts, a->outline, a->leaves, a->deep};
	if (n == 0 && !accepts && !a->leaves && !a->deep)
		return STATE_DEAD;
	if (!table_room(a, &a->by_places) || !grow(&a->states, &a->cap_states, a->n_states + 1, sizeof *a->states) ||
	    !grow(&a->table, &a->cap_table, (a->n_states + 1) * a->g->n_classes, sizeof *a->table)) {
		no_memory(a);
		return STATE_DEAD;
	}
	size_t at = places_hash(a->places + first, n, flags_of(&made)) & (a->by_places.cap - 1);
	for (; a->by_places.slots[at]; at = (at + 1) & (a->by_places.cap - 1)) {
		const auto_state *s = &a->states[a->by_places.slots[at] - 1];
		if (s->n == n && flags_of(s) == flags_of(&made) && memcmp(a->places + s->first, a->places + first, n * sizeof *a->places) == 0) {
			a->n_places = first;
			return a->by_places.slots[at] - 1;
		}
	}
	state_id id = (state_id)a->n_states++;
	a->states[id] = made;
	for (size_t c = 0; c < a->g->n_classes; c++)
		a->table[(size_t)id * a->g->n_classes + c] = STATE_UNKNOWN;
	a->by_places.slots[at] = id + 1;
	a->by_places.n++;
	return id;
}

/* Everything that todo[0, n) leads to, as a state. */
static state_id close_over(automaton *a, size_t n)
{
	size_t first = a->n_places, n_seen = 0;
	bool accepts = false;
	a->leaves = a->deep = false;
	if (++a->now == 0) {
		memset(a->stamp, 0, a->n_seen * sizeof *a->stamp);
		a->now = 1;
	}
	while (n) {
		place p = a->todo[--n];
		if (!first_seen(a, p, &n_seen)) {
			if (a->trouble)
				break;
			continue;
		}
		if (a->g->code[p.at].op == OP_SET) {
			if (a->n_places - first >= AUTOMATON_MAX_PLACES) {
				a->trouble = AUTOMATON_AMBIGUOUS;
				break;
			}
			if (!grow(&a->places, &a->cap_places, a->n_places + 1, sizeof *a->places)) {
				no_memory(a);
				break;
			}
			a->places[a->n_places++] = p;
		} else if (!expand(a, p, &n, &accepts)) {
			break;
		}
	}
	if (!a->trouble)
		return automaton_settle(a, first, accepts);
	a->n_places = first;
	return STATE_DEAD;
}

state_id automaton_make(automaton *a, state_id from, unsigned char byte)
{
	size_t n = 0;
	const auto_state s = a->states[from];
	if (a->trouble)
		return STATE_DEAD;
	a->work += s.n;
	a->outline = s.outline;
	for (uint32_t i = 0; i < s.n; i++) {
		place p = a->places[s.first + i];
		if (byte_set_has(&a->g->sets[a->g->code[p.at].a], byte) && !todo_push(a, &n, p.at + 1, p.stack))
			return STATE_DEAD;
	}
	state_id to = n ? close_over(a, n) : STATE_DEAD;
	if (!a->trouble)
		a->table[(size_t)from * a->g->n_classes + a->g->class_of[byte]] = to;
	return to;
}

state_id automaton_go_on(automaton *a, uint32_t at, uint32_t stack)
{
	size_t n = 0;
	a->outline = false;
	return !a->trouble && todo_push(a, &n, at, stack) ? close_over(a, n) : STATE_DEAD;
}

/* ---- life ---- */

static void make_start(automaton *a)
{
	a->n_frames = 2;
	a->frames[0] = (auto_frame){0};
	a->frames[FRAME_UNSEEN] = (auto_frame){.depth = OUTLINE_DEPTH};
	a->n_states = 0;
	a->states[a->n_states++] = (auto_state){0};
	for (size_t c = 0; c < a->g->n_classes; c++)
		a->table[c] = STATE_DEAD;
	a->start = automaton_go_on(a, a->g->start, 0);
}

sn_status automaton_init(automaton *a, const grammar *g, sn_error *err)
{
	*a = (automaton){.g = g};
	bool ok = more_seen(a) && grow(&a->frames, &a->cap_frames, 2, sizeof *a->frames) && grow(&a->states, &a->cap_states, 1, sizeof *a->states) &&
	          grow(&a->table, &a->cap_table, g->n_classes, sizeof *a->table);
	if (ok)
		make_start(a);
	sn_status st = SN_OK;
	if (!ok || a->trouble == AUTOMATON_NOMEM)
		st = error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	else if (a->trouble)
		st = error_set(err, SN_ERR_UNSUPPORTED, "the grammar has too many ways to begin");
	if (st != SN_OK)
		automaton_fini(a);
	return st;
}

void automaton_fini(automaton *a)
{
	free(a->states);
	free(a->table);
	free(a->places);
	free(a->frames);
	free(a->by_places.slots);
	free(a->by_frame.slots);
	free(a->seen);
	free(a->stamp);
	free(a->todo);
	*a = (automaton){0};
}

void automaton_forget(automaton *a)
{
	const grammar *g = a->g;
	automaton_fini(a);
	if (automaton_init(a, g, NULL) != SN_OK) /* it could begin once: memory is short */
		*a = (automaton){.g = g, .trouble = AUTOMATON_NOMEM};
}

size_t automaton_bytes(const automaton *a)
{
	return a->cap_states * sizeof *a->states + a->cap_table * sizeof *a->table + a->cap_places * sizeof *a->places + a->cap_frames * sizeof *a->frames +
	       a->cap_todo * sizeof *a->todo + (a->by_places.cap + a->by_frame.cap) * sizeof(uint32_t) + a->n_seen * (sizeof *a->seen + sizeof *a->stamp);
}
