/* token_trie.h - the vocabulary as a tree of bytes: tokens that begin alike are tried together. Made once for a tokenizer,
 * immutable.
 *
 * In it are tokens that are text: not those that end an answer or render as nothing, nor the one for unknown text. */
#ifndef SN_GRAMMAR_TOKEN_TRIE_H
#define SN_GRAMMAR_TOKEN_TRIE_H

#include "text/vocab.h"

typedef struct trie_node {
	uint32_t skip;  /* node behind all that begin so */
	uint32_t first; /* tokens[first, first of the next node) are spelled so */
	uint16_t depth; /* 1: the first byte */
	uint8_t byte;
} trie_node;

typedef struct token_trie {
	const vocab *v;   /* borrowed */
	trie_node *nodes; /* [n_nodes + 1], depth first */
	size_t n_nodes;
	int32_t *tokens;  /* [n_tokens] in the order of their bytes */
	size_t n_tokens;
	int32_t *ends;    /* [n_ends] tokens that end an answer */
	size_t n_ends;
	unsigned deepest;
} token_trie;

sn_status token_trie_open(token_trie **out, const vocab *v, sn_error *err);
void token_trie_close(token_trie **t);
size_t token_trie_bytes(const token_trie *t);

#endif
