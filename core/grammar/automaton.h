/* automaton.h - a grammar's states, made when they are first needed and kept: a state is the set of places in the program, each
 * with its stack, at which all that was said so far may stand. Equal stacks and equal sets are one, so that a step that was made
 * before is one look into a table.
 *
 * An outline (outline.c) is such a state without what stands below: many states have the same, and what is found out about it holds for all.
 *
 * Mutable, one thread. What is kept grows until automaton_forget, after which every state number is void. */
#ifndef SN_GRAMMAR_AUTOMATON_H
#define SN_GRAMMAR_AUTOMATON_H

#include "grammar/grammar.h"

typedef uint32_t state_id;
#define STATE_DEAD 0u            /* nothing that fits begins so */
#define STATE_UNKNOWN UINT32_MAX /* in the table: not yet made */

#define AUTOMATON_MAX_PLACES 4096 /* in one state */

/* The frame that stands for a caller who is not looked at, and the depth that is taken for it: below that of any caller of which an outline is
 * made. */
#define FRAME_UNSEEN 1u
#define OUTLINE_DEPTH 128
#define COUNT_FRAME 0x80000000u

typedef struct place { uint32_t at, stack; } place; /* instruction, frame */

typedef struct auto_frame {
	uint32_t below; /* frame; 0: none */
	uint32_t what;  /* instruction to return to, or COUNT_FRAME | counts index */
	uint32_t times; /* of a count */
	uint32_t depth;
} auto_frame;

typedef struct auto_state {
	uint32_t first, n; /* places */
	bool accepts;
	bool outline; /* its callers are not looked at; its own: */
	bool leaves;  /* here it goes on in the caller */
	bool deep;    /* it depends on how deep the caller is */
} auto_state;

/* Open addressing: index + 1 of what hashes there. */
typedef struct index_table {
	uint32_t *slots;
	size_t cap, n;
} index_table;

typedef struct automaton {
	const grammar *g; /* borrowed */
	auto_state *states;    /* [n_states]; 0 is STATE_DEAD */
	state_id *table;  /* [n_states][n_classes] */
	place *places;
	auto_frame *frames;    /* [n_frames]; 0 is the empty stack, 1 FRAME_UNSEEN */
	size_t n_states, cap_states, cap_table, n_places, cap_places, n_frames, cap_frames;
	index_table by_places, by_frame;
	uint64_t *seen;   /* [n_seen] places of one step: those whose stamp is `now` */
	uint32_t *stamp;  /* [n_seen] */
	size_t n_seen;    /* a power of two */
	uint32_t now;
	place *todo;
	size_t cap_todo;
	state_id start;
	bool outline, leaves, deep; /* of the state that is being made */
	size_t work;      /* places looked at so far: what a step costs that is not in the table */
	enum { AUTOMATON_FINE, AUTOMATON_AMBIGUOUS, AUTOMATON_NOMEM } trouble; /* once set, answers mean nothing */
} automaton;

sn_status automaton_init(automaton *a, const grammar *g, sn_error *err);
void automaton_fini(automaton *a);
void automaton_forget(automaton *a);
size_t automaton_bytes(const automaton *a);

state_id automaton_make(automaton *a, state_id from, unsigned char byte);

/* What the state lets follow within `horizon` bytes, until it goes on in its caller (*caller, a frame; 0: there is none): the same for all
 * states that differ only in who called and in counts whose ends are farther away. STATE_DEAD: callers are nested too deep for that, or trouble.
 * Where an outline leaves, the state automaton_caller gives goes on. */
state_id automaton_outline(automaton *a, state_id s, uint32_t horizon, uint32_t *caller);
state_id automaton_caller(automaton *a, uint32_t caller);

/* For outline.c. */
bool automaton_push_frame(automaton *a, uint32_t below, uint32_t what, uint32_t times, uint32_t *out);
state_id automaton_settle(automaton *a, size_t first, bool accepts);
state_id automaton_go_on(automaton *a, uint32_t at, uint32_t stack);

static inline state_id automaton_step(automaton *a, state_id from, unsigned char byte)
{
	state_id to = a->table[(size_t)from * a->g->n_classes + a->g->class_of[byte]];
	return to != STATE_UNKNOWN ? to : automaton_make(a, from, byte);
}

static inline bool automaton_accepts(const automaton *a, state_id s)
{
	return a->states[s].accepts;
}

/* Is it still in what comes before the grammar? */
static inline bool automaton_leads(const automaton *a, state_id s)
{
	return a->states[s].n && a->places[a->states[s].first + a->states[s].n - 1].at >= a->g->lead;
}

#endif
