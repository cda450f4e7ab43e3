/* tree.h - a grammar between its text and its program. Inside core/grammar only. */
#ifndef SN_GRAMMAR_TREE_H
#define SN_GRAMMAR_TREE_H

#include "grammar/grammar.h"

typedef enum node_kind {
	NODE_SEQUENCE, /* of its children; none: the empty text */
	NODE_CHOICE,   /* one of its children */
	NODE_BYTES,    /* bytes[a, a + b) */
	NODE_CLASS,    /* one character of ranges[a, a + b), sorted and apart */
	NODE_RULE,     /* rule a */
	NODE_REPEAT    /* its child, a to b times */
} node_kind;

#define NO_NODE UINT32_MAX
#define NO_HEIGHT UINT32_MAX

typedef struct node {
	uint8_t kind;
	bool nullable;         /* by tree_check: the empty text fits */
	uint32_t a, b;
	uint32_t child, sibling; /* NO_NODE: none */
	uint32_t line;
	uint32_t height;       /* by tree_check: levels of nesting that the flattest text needs */
} node;

typedef struct char_range { uint32_t lo, hi; } char_range;

typedef struct rule {
	str name;       /* in the text */
	uint32_t body;  /* NO_NODE: used, not defined yet */
	uint32_t line;  /* of its first mention */
	bool nullable;
	uint32_t height;
} rule;

typedef struct tree {
	node *nodes;
	size_t n_nodes, cap_nodes;
	rule *rules;
	size_t n_rules, cap_rules;
	char_range *ranges;
	size_t n_ranges, cap_ranges;
	char *bytes;
	size_t n_bytes, cap_bytes;
	uint32_t *slots;  /* [RULE_SLOTS] name -> rule + 1 */
	uint32_t root;    /* rule */
} tree;

#define RULE_SLOTS (2 * GRAMMAR_MAX_RULES)

/* Each fills *t on; tree_fini is the caller's also on failure. */
sn_status tree_parse(tree *t, str text, sn_error *err);
sn_status tree_check(tree *t, sn_error *err);
sn_status tree_emit(const tree *t, const grammar_lead *lead, grammar *out, sn_error *err);
void tree_fini(tree *t);

#endif
