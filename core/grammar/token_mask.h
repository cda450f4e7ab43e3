/* token_mask.h - which tokens may come next, of an answer that has to fit a grammar.
 *
 *   said so far --token_mask_catch_up, token_mask_push--> where it stands --token_mask_fill--> one bit a token
 *
 * Where an answer stands depends on its tokens alone, never on what is cached: after a preemption, or when the cache was
 * emptied, the tokens are pushed again. A token may come if its bytes can follow, as they are shown: the blank that a vocabulary
 * drops at the start of a text is no part of it. Tokens that end an answer may come where the whole of it fits. Tokens that render as
 * nothing come only before the grammar begins (grammar_lead), where one that is spelled as what ends that counts as said.
 *
 * What a mask costs: it is put together from pieces. A piece is what an outline (automaton.h) lets the tokens of one length do, or what a caller
 * lets those do that lead out of it; it is found by a walk over a tree of the vocabulary, the first time, and many states share it. Walks can be
 * cut into parts, and are bounded in places looked at: beyond that the answer fails. Memory is bounded: above the budget everything is
 * forgotten before the next token.
 *
 * Mutable, one thread. Many answers may stand in one. */
#ifndef SN_GRAMMAR_TOKEN_MASK_H
#define SN_GRAMMAR_TOKEN_MASK_H

#include "grammar/marks.h"

#define TOKEN_MASK_MEMORY ((size_t)4 << 20) /* bytes of states and pieces kept */
#define TOKEN_MASK_MORE ((size_t)16 << 20)  /* bytes that masks in the making may take beyond that */
#define TOKEN_MASK_WORK 400000              /* places looked at for one mask */

typedef struct token_mask token_mask;

/* Of one answer. Zeroed at its beginning. */
typedef struct mask_place {
	uint64_t age;    /* of the states that it is about */
	size_t n_said;   /* tokens pushed */
	state_id state;
	bool begun;      /* text was pushed: no blank is dropped any more */
	bool dead;       /* what was said does not fit */
	bool waits;      /* its mask was begun, and is not whole */
} mask_place;

/* g and trie are borrowed. */
sn_status token_mask_open(token_mask **out, const grammar *g, const token_trie *trie, size_t memory, sn_error *err);
void token_mask_close(token_mask **m);
/* Control tokens that are text here, as they are spelled; borrowed. Before anything else. */
void token_mask_show(token_mask *m, mark_set marks);
size_t token_mask_bytes(const token_mask *m);
/* From now on at most that much is kept. */
void token_mask_limit(token_mask *m, size_t memory);
void token_mask_forget(token_mask *m);

/* Before each token: makes *p one of n_said tokens or fewer, all of which were pushed; push the rest. */
void token_mask_catch_up(token_mask *m, mask_place *p, size_t n_said);
void token_mask_push(token_mask *m, mask_place *p, int32_t token);

/* Which tokens may come: bits[(n_vocab + 31) / 32]; n_vocab is at most the vocabulary's. *patience: nodes and places that may be looked at, taken
 * from; when it is used up, *again is set, bits are not, and the next call goes on from there.
 * SN_ERR_UNSUPPORTED: over the budget, or the vocabulary cannot spell what has to come; SN_ERR_INVALID: what was said does not fit. */
sn_status token_mask_fill(token_mask *m, mask_place *p, uint32_t *bits, uint32_t n_vocab, size_t *patience, bool *again, sn_error *err);
/* Does what was said fit as a whole? */
bool token_mask_accepts(const token_mask *m, const mask_place *p);

#endif
