/* marks.h - tokens with a meaning of their own in what a grammar describes: such as open a call, or the thinking. They are found in a grammar by
 * their spelling, and it cannot say more about them; what more can be said is here.
 *
 * Not strict: a mark may come wherever its spelling may.
 * Strict: it may come only where the grammar has it spelled out, not as a part of any text (inside words or a string). Where nothing but marks
 * can follow, none is spelled byte by byte: a model has never seen that. */
#ifndef SN_GRAMMAR_MARKS_H
#define SN_GRAMMAR_MARKS_H

#include "grammar/automaton.h"
#include "grammar/token_trie.h"

typedef struct mark_set {
	const int32_t *tokens; /* [n], borrowed */
	size_t n;
	bool strict;
} mark_set;

bool marks_have(const mark_set *m, int32_t token);
/* Sets and clears bits[] of a mask that is complete but for these tokens. a->trouble: they mean nothing. */
void marks_fill(const mark_set *m, automaton *a, const token_trie *t, state_id s, uint32_t *bits);

#endif
