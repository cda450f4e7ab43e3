/* jinja_parse_state.c - what the grammar stands on: the tokens with one to look ahead, the first error, new nodes, the
 * depth, and the table that gives equal names equal ids (hashed, since a hostile template can hold very many). Knows no
 * grammar; that is jinja_parse.c (statements) and jinja_expr.c (expressions). */
#include "text/jinja_parse_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

/* ---- errors and tokens ---- */

void *parser_fail(parser *p, sn_status status, int line, const char *what, ...)
{
	if (p->status)
		return NULL;
	char why[256];
	va_list ap;
	va_start(ap, what);
	vsnprintf(why, sizeof why, what, ap);
	va_end(ap);
	p->status = error_set(p->err, status, "chat template, line %d: %s", line, why);
	return NULL;
}

void *parser_expected(parser *p, const char *expected)
{
	return parser_fail(p, SN_ERR_INVALID, p->now.line, "expected %s", expected);
}

void *parser_unsupported(parser *p, int line, const char *kind, str name)
{
	return parser_fail(p, SN_ERR_UNSUPPORTED, line, "%s '%.*s' is not supported", kind, shown(name), name.p);
}

static token take_token(parser *p)
{
	token t = lexer_next(&p->lex);
	if (t.kind == T_ERROR)
		parser_fail(p, SN_ERR_INVALID, t.line, "%s", t.s.p);
	return t;
}

void parser_next(parser *p)
{
	p->now = p->has_ahead ? p->ahead : take_token(p);
	p->has_ahead = false;
}

const token *parser_peek(parser *p)
{
	if (!p->has_ahead)
		p->ahead = take_token(p);
	p->has_ahead = true;
	return &p->ahead;
}

bool token_is_op(const token *t, int op)
{
	return t->kind == T_OP && t->op == op;
}

bool token_is_word(const token *t, const char *word)
{
	return t->kind == T_NAME && str_eq(t->s, str_of(word));
}

bool parser_accept_op(parser *p, int op)
{
	bool yes = token_is_op(&p->now, op);
	if (yes)
		parser_next(p);
	return yes;
}

bool parser_accept_word(parser *p, const char *word)
{
	bool yes = token_is_word(&p->now, word);
	if (yes)
		parser_next(p);
	return yes;
}

void parser_expect_op(parser *p, int op)
{
	char name[] = {'\'', (char)op, '\'', 0};
	if (!parser_accept_op(p, op))
		parser_expected(p, name);
}

void parser_expect_word(parser *p, const char *word)
{
	if (!parser_accept_word(p, word))
		parser_expected(p, word);
}

void parser_expect_kind(parser *p, token_kind kind, const char *what)
{
	if (p->now.kind == kind)
		parser_next(p);
	else
		parser_expected(p, what);
}

/* ---- nodes and names ---- */

node *node_new(parser *p, node_kind kind, int line)
{
	node *n = arena_alloc(p->a, sizeof *n);
	if (!n)
		return parser_fail(p, SN_ERR_NOMEM, line, "out of memory");
	n->kind = kind;
	n->line = line;
	return n;
}

node *node_of(parser *p, node_kind kind, int line, node *a, node *b)
{
	node *n = p->status ? NULL : node_new(p, kind, line);
	if (n) {
		n->a = a;
		n->b = b;
	}
	return n;
}

node *node_literal(parser *p, int line, const value *v)
{
	node *n = node_new(p, N_LITERAL, line);
	if (!v)
		return parser_fail(p, SN_ERR_NOMEM, line, "out of memory");
	if (n)
		n->literal = v;
	return n;
}

void node_link(node ***tail, node *n)
{
	if (n) {
		**tail = n;
		*tail = &n->next;
	}
}

static size_t name_hash(str s)
{
	size_t h = 5381;
	for (size_t i = 0; i < s.n; i++)
		h = h * 33 ^ (unsigned char)s.p[i];
	return h ^ h >> 15;
}

static int32_t *name_slot(const parser *p, str s)
{
	size_t i = name_hash(s) & p->name_mask;
	while (p->name_slots[i] >= 0 && !str_eq(p->names[p->name_slots[i]].s, s))
		i = (i + 1) & p->name_mask;
	return &p->name_slots[i];
}

static bool names_grow(parser *p)
{
	size_t cap = p->cap_names ? 2 * p->cap_names : 64;
	name_entry *names = realloc(p->names, cap * sizeof *names);
	if (names)
		p->names = names;
	int32_t *slots = names ? realloc(p->name_slots, 2 * cap * sizeof *slots) : NULL;
	if (!slots)
		return false;
	p->cap_names = cap;
	p->name_slots = slots;
	p->name_mask = 2 * cap - 1;
	memset(slots, -1, 2 * cap * sizeof *slots);
	for (size_t i = 0; i < p->n_names; i++)
		*name_slot(p, p->names[i].s) = (int32_t)i;
	return true;
}

node *node_name(parser *p, token t)
{
	node *n = node_new(p, N_NAME, t.line);
	if (!n)
		return NULL;
	if (p->n_names == p->cap_names && !names_grow(p))
		return parser_fail(p, SN_ERR_NOMEM, t.line, "out of memory");
	int32_t *slot = name_slot(p, t.s);
	if (*slot < 0) {
		*slot = (int32_t)p->n_names;
		p->names[p->n_names++] = (name_entry){.s = t.s};
	}
	n->name = t.s;
	n->id = *slot;
	p->uses |= n->id == NAME_CALLER ? USES_CALLER : n->id == NAME_VARARGS ? USES_VARARGS : n->id == NAME_KWARGS ? USES_KWARGS : 0;
	return n;
}

bool parser_enter(parser *p)
{
	if (++p->depth > JINJA_MAX_PARSE_DEPTH)
		parser_fail(p, SN_ERR_INVALID, p->now.line, "nested more than %d deep", JINJA_MAX_PARSE_DEPTH);
	return !p->status;
}

void parser_leave(parser *p)
{
	p->depth--;
}

/* ---- the whole ---- */

bool parser_init(parser *p, arena *a, str source, sn_error *err)
{
	*p = (parser){.a = a, .err = err};
	if (!lexer_init(&p->lex, a, source))
		return false;
	/* in the order of NAME_LOOP and so on */
	node_name(p, (token){.s = STR("loop")});
	node_name(p, (token){.s = STR("caller")});
	node_name(p, (token){.s = STR("varargs")});
	node_name(p, (token){.s = STR("kwargs")});
	p->uses = 0;
	parser_next(p);
	return true;
}

void parser_fini(parser *p)
{
	free(p->names);
	free(p->name_slots);
}
