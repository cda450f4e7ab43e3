/* jinja_lex.h - a template's source, cut into tokens on demand. All of Jinja's white space control happens here:
 * "-" and "+" next to delimiters, trim_blocks, lstrip_blocks; comments and raw blocks never reach the parser. */
#ifndef SN_TEXT_JINJA_LEX_H
#define SN_TEXT_JINJA_LEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

typedef enum token_kind {
	T_END, T_ERROR, T_DATA, T_VAR_BEGIN, T_VAR_END, T_BLOCK_BEGIN, T_BLOCK_END, T_NAME, T_STRING, T_INT, T_FLOAT, T_OP
} token_kind;

/* Operators are named by their bytes: OP('+'), OP2('*', '*'). */
#define OP(c) ((int)(c))
#define OP2(c, d) ((int)(c) << 8 | (d))

typedef struct token {
	token_kind kind;
	int line;
	str s;     /* DATA, NAME, STRING (escapes undone); ERROR: what is wrong */
	int op;    /* OP */
	int64_t i; /* INT */
	double f;  /* FLOAT */
} token;

typedef enum lex_mode { LEX_DATA, LEX_RAW, LEX_VAR, LEX_BLOCK } lex_mode;

typedef struct lexer {
	arena *a; /* for unescaped strings */
	const char *p;
	size_t n, at;
	int line, brackets; /* open ( [ {: delimiters do not end inside */
	lex_mode mode;
	bool begin_pending; /* the text before a delimiter went out, the delimiter itself is next */
} lexer;

/* Copies the source into the arena with line ends made "\n" and one final newline dropped. False: memory. */
bool lexer_init(lexer *l, arena *a, str source);
token lexer_next(lexer *l);

#endif
