/* jinja_parse_state.h - what the two halves of the grammar share: the parser's state and the steps on it
 * (jinja_parse_state.c), and the expressions that statements are made of (jinja_expr.c). For these files and
 * jinja_parse.c only; others call jinja_parse.h.
 *
 * The first error stays in `status` and later ones are dropped. What parses returns NULL once it is set; where NULL may
 * also mean "nothing there", `status` tells. Nodes live in the arena, so nothing is released on the way out. */
#ifndef SN_TEXT_JINJA_PARSE_STATE_H
#define SN_TEXT_JINJA_PARSE_STATE_H

#include "base/error.h"
#include "text/jinja_ast.h"
#include "text/jinja_lex.h"

typedef struct name_entry {
	str s;
	bool assigned;   /* somewhere in the template */
	int called_line; /* 0: never called */
} name_entry;

typedef struct parser {
	arena *a;
	lexer lex;
	token now, ahead; /* ahead is valid if has_ahead */
	bool has_ahead;
	int depth, loops;
	int uses; /* USES_... of the macro being read */
	name_entry *names; /* malloc'd [n_names] */
	size_t n_names, cap_names;
	int32_t *name_slots; /* malloc'd [name_mask + 1] */
	size_t name_mask;
	sn_status status;
	sn_error *err;
} parser;

/* Copies the source and stands on its first token. False: memory; then there is nothing to release. */
bool parser_init(parser *p, arena *a, str source, sn_error *err);
void parser_fini(parser *p);

/* ---- errors: each returns NULL, to be returned as a node ---- */

void *parser_fail(parser *p, sn_status status, int line, const char *what, ...) __attribute__((format(printf, 4, 5)));
/* The token that the parser stands on is not `expected`. */
void *parser_expected(parser *p, const char *expected);
void *parser_unsupported(parser *p, int line, const char *kind, str name);

/* How much of a name an error text shows, for "%.*s". */
static inline int shown(str s)
{
	return s.n < 64 ? (int)s.n : 64;
}

/* ---- tokens: p->now is the one that the parser stands on ---- */

bool token_is_op(const token *t, int op);
bool token_is_word(const token *t, const char *word);
void parser_next(parser *p);
/* The token after p->now. */
const token *parser_peek(parser *p);
/* accept: steps over it if it is there. expect: an error if it is not. */
bool parser_accept_op(parser *p, int op);
bool parser_accept_word(parser *p, const char *word);
void parser_expect_op(parser *p, int op);
void parser_expect_word(parser *p, const char *word);
void parser_expect_kind(parser *p, token_kind kind, const char *what);

/* Around everything that recurses. False: too deep, or failed before; then no leave is due. */
bool parser_enter(parser *p);
void parser_leave(parser *p);

/* ---- nodes ---- */

node *node_new(parser *p, node_kind kind, int line);
/* A node with two children; NULL if an error is set. */
node *node_of(parser *p, node_kind kind, int line, node *a, node *b);
/* v NULL: out of memory. */
node *node_literal(parser *p, int line, const value *v);
/* The name in t, with its id. */
node *node_name(parser *p, token t);
/* Appends n, unless NULL, to the list that *tail ends. */
void node_link(node ***tail, node *n);

/* ---- expressions ---- */

node *parse_expression(parser *p);
/* Without "x if y": where an "if" may follow that belongs to the statement. */
node *parse_or_expression(parser *p);
/* a, b, c without brackets: one element, or a tuple. `item` parses an element; after a comma the tuple may stop at the
 * operator `close` (0: none) or at the tag's end. */
node *parse_tuple(parser *p, node *(*item)(parser *), int close);
/* One filter on base, the parser standing on the filter's name. */
node *parse_filter(parser *p, node *base);
/* base.name or base.0, the parser standing on the point. */
node *parse_attribute(parser *p, node *base);
/* true, false and none in both spellings; NULL for other names. */
const value *constant_named(str name);

#endif
