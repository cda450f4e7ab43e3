#include "grammar/marks.h"

#include <string.h>

#define OTHER_BYTE 'x' /* that no mark ends in */

bool marks_have(const mark_set *m, int32_t token)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tokens[i] == token)
			return true;
	return false;
}

static void set_bit(uint32_t *bits, int32_t token, bool on)
{
	uint32_t bit = 1u << ((uint32_t)token % 32);
	bits[token / 32] = on ? bits[token / 32] | bit : bits[token / 32] & ~bit;
}

static bool has_bit(const uint32_t *bits, int32_t token)
{
	return bits[token / 32] >> ((uint32_t)token % 32) & 1;
}

/* May it come here; strictly: as itself, which another last byte would not be. */
static bool may_come(const mark_set *m, automaton *a, state_id s, str word)
{
	for (size_t i = 0; i + 1 < word.n && s != STATE_DEAD; i++)
		s = automaton_step(a, s, (unsigned char)word.p[i]);
	if (word.n == 0 || s == STATE_DEAD)
		return false;
	state_id to = automaton_step(a, s, (unsigned char)word.p[word.n - 1]);
	return to != STATE_DEAD && !(m->strict && to == automaton_step(a, s, OTHER_BYTE));
}

/* Behind the first n bytes of the word, in state s: can it only go on as a mark that may come? */
static bool only_marks_follow(const mark_set *m, automaton *a, const token_trie *t, state_id s, str word, size_t n, const uint32_t *bits)
{
	bool marks[256] = {false};
	for (size_t i = 0; i < m->n; i++) {
		str other = vocab_token(t->v, m->tokens[i]);
		if (has_bit(bits, m->tokens[i]) && other.n > n && memcmp(other.p, word.p, n) == 0)
			marks[(unsigned char)other.p[n]] = true;
	}
	for (unsigned b = 0; b < 256; b++)
		if (!marks[b] && automaton_step(a, s, (unsigned char)b) != STATE_DEAD)
			return false;
	return !automaton_accepts(a, s);
}

/* Clears the tokens that are the beginning of the word, from `shortest` bytes on. */
static void clear_beginnings(const trie_tier *tier, str word, size_t shortest, uint32_t *bits)
{
	size_t depth = 1;
	for (size_t at = 0; at < tier->n_nodes && depth < word.n && tier->nodes[at].depth == depth;) {
		const trie_node *n = &tier->nodes[at];
		if (n->byte != (uint8_t)word.p[depth - 1]) {
			at = n->skip;
			continue;
		}
		for (uint32_t k = n->first; k < n[1].first && depth >= shortest; k++)
			set_bit(bits, tier->tokens[k], false);
		depth++;
		at++;
	}
}

static void spell_as_token(const mark_set *m, automaton *a, const token_trie *t, state_id s, str word, uint32_t *bits)
{
	size_t shortest = 1;
	for (size_t n = 1; n < word.n; n++) {
		s = automaton_step(a, s, (unsigned char)word.p[n - 1]);
		if (!only_marks_follow(m, a, t, s, word, n, bits))
			shortest = n + 1;
	}
	for (size_t tier = 0; tier < TRIE_TIERS && shortest < word.n; tier++)
		clear_beginnings(&t->tiers[tier], word, shortest, bits);
}

void marks_fill(const mark_set *m, automaton *a, const token_trie *t, state_id s, uint32_t *bits)
{
	for (size_t i = 0; i < m->n; i++) {
		bool may = may_come(m, a, s, vocab_token(t->v, m->tokens[i]));
		if (may || m->strict)
			set_bit(bits, m->tokens[i], may);
	}
	for (size_t i = 0; i < m->n && m->strict; i++)
		if (has_bit(bits, m->tokens[i]))
			spell_as_token(m, a, t, s, vocab_token(t->v, m->tokens[i]), bits);
}
