/* grammar.h - what an answer may look like, as a program over bytes.
 *
 *   text (rules) --parse--> tree --check--> tree --emit--> instructions           once, on the caller's thread, within the limits below
 *   instructions --automaton.h--> states, made when they are first needed          one byte = one look into a table
 *   states x token_trie.h --token_mask.h--> which tokens may come next
 *
 * The text is GBNF, the notation of llama.cpp, which vLLM's backends read as well:
 *   root ::= "yes" | "no" [0-9]{1,3} rest*      # the answer is a `root`
 *   rest ::= ( "," | "\u00e9" ) [^"\\\n] .
 * Names are letters, digits, - and _. A literal and a class know \n \t \r \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH; a class is
 * one character, `.` any one, and ? * + {m} {m,} {m,n} repeat what stands before them. Characters are those of UTF-8, so that
 * an answer is always well formed.
 *
 * Refused, with the line: a rule that is missing, defined twice, left-recursive, or that no finite text fits (so that no beginning of
 * an answer is a dead end); a count over something that can be empty; what is over a limit. */
#ifndef SN_GRAMMAR_GRAMMAR_H
#define SN_GRAMMAR_GRAMMAR_H

#include "base/error.h"
#include "base/str.h"

#define GRAMMAR_MAX_TEXT (1u << 20)         /* bytes */
#define GRAMMAR_MAX_RULES 4096
#define GRAMMAR_MAX_DEPTH 64                /* of parentheses */
#define GRAMMAR_MAX_NODES (1u << 17)        /* of the tree */
#define GRAMMAR_MAX_COUNT 100000            /* of a repetition */
#define GRAMMAR_MAX_INSTRUCTIONS (1u << 18)
#define GRAMMAR_MAX_SETS 2048               /* different sets of bytes */
#define GRAMMAR_MAX_AFTER 256
#define GRAMMAR_MAX_NESTING 256             /* rules and counts inside each other, in an answer: what goes deeper is not offered */

#define GRAMMAR_INF UINT32_MAX

typedef struct byte_set { uint64_t bits[4]; } byte_set;

static inline bool byte_set_has(const byte_set *s, unsigned char b)
{
	return s->bits[b >> 6] >> (b & 63) & 1;
}

typedef enum op {
	OP_SET,    /* one byte of sets[a], then the next instruction */
	OP_SPLIT,  /* the next instruction, and a */
	OP_JUMP,   /* a */
	OP_CALL,   /* a, and when it returns the next instruction */
	OP_RETURN,
	OP_COUNT,  /* begins counts[a]: its body follows */
	OP_NEXT,   /* ends the body of counts[a] */
	OP_NEED,   /* goes on only if nesting a levels deeper is allowed */
} op;

typedef struct instruction { uint32_t op : 8, a : 24; } instruction;

typedef struct count {
	uint32_t min, max; /* GRAMMAR_INF: no end */
	uint32_t body, exit; /* instructions */
} count;

/* Immutable: all calls may run on many threads at once. */
typedef struct grammar {
	instruction *code; /* [n_code] */
	size_t n_code;
	uint32_t start;
	byte_set *sets;    /* [n_sets] */
	size_t n_sets;
	count *counts;     /* [n_counts] */
	size_t n_counts;
	uint8_t class_of[256]; /* bytes that no set tells apart are of one class */
	uint32_t n_classes;    /* 1..256 */
	uint32_t lead;         /* instructions from here on are of what comes before: anything goes there */
	str after;             /* what ends that; a copy; empty: there is none */
} grammar;

/* What comes before the grammar: anything, up to and with the first `after`; the grammar begins with the byte behind it. */
typedef struct grammar_lead {
	str after;    /* at most GRAMMAR_MAX_AFTER bytes; empty: the grammar begins at once */
	bool may_end; /* an answer may end in which it never came */
} grammar_lead;

/* SN_ERR_INVALID: the text is not a grammar; SN_ERR_UNSUPPORTED: it is over a limit, or of a kind that is not done. */
sn_status grammar_open(grammar **out, str text, sn_error *err);
sn_status grammar_open_behind(grammar **out, str text, const grammar_lead *lead, sn_error *err);
void grammar_close(grammar **g);
size_t grammar_bytes(const grammar *g); /* that it holds */

#endif
