/* token_trie.h - the vocabulary as trees of bytes: tokens that begin alike are tried together. Made once for a tokenizer, immutable.
 *
 * In them are tokens that are text: not those that end an answer or render as nothing, nor the one for unknown text. There is a tree for each
 * of a few lengths: what a state lets short tokens do is the same for more states than what it lets the few long ones do. */
#ifndef SN_GRAMMAR_TOKEN_TRIE_H
#define SN_GRAMMAR_TOKEN_TRIE_H

#include "text/vocab.h"

typedef struct trie_node {
	uint32_t skip;  /* node behind all that begin so */
	uint32_t first; /* tokens[first, first of the next node) are spelled so */
	uint16_t depth; /* 1: the first byte */
	uint8_t byte;
} trie_node;

#define TRIE_TIERS 5

typedef struct trie_tier {
	trie_node *nodes; /* [n_nodes + 1], depth first */
	size_t n_nodes;
	int32_t *tokens;  /* [n_tokens] in the order of their bytes */
	size_t n_tokens;
	uint32_t longest; /* bytes of a token */
} trie_tier;

typedef struct token_trie {
	const vocab *v;   /* borrowed */
	trie_tier tiers[TRIE_TIERS];
	int32_t *ends;    /* [n_ends] tokens that end an answer */
	size_t n_ends;
	int32_t *silent;  /* [n_silent] others that render as nothing */
	size_t n_silent;
	uint32_t deepest; /* of all tiers */
} token_trie;

sn_status token_trie_open(token_trie **out, const vocab *v, sn_error *err);
void token_trie_close(token_trie **t);
size_t token_trie_bytes(const token_trie *t);

#endif
