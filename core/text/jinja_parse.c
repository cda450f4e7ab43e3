/* jinja_parse.c - the structure of a template: text, {{ prints }} and {% statements %}, one function per statement, and
 * at the end the check that what the template calls exists. Expressions are jinja_expr.c's; tokens, nodes, names and
 * errors jinja_parse_state.c's. */
#include "text/jinja_parse.h"

#include <string.h>

#include "text/jinja_builtin.h"
#include "text/jinja_parse_state.h"

static node *body(parser *p, const char *const *ends);

/* ---- what can be assigned to ---- */

static void mark_assigned(parser *p, const node *target)
{
	if (target->kind == N_NAME)
		p->names[target->id].assigned = true;
}

static node *target_name(parser *p)
{
	token t = p->now;
	parser_expect_kind(p, T_NAME, "a name to assign to");
	if (!p->status && constant_named(t.s))
		return parser_fail(p, SN_ERR_INVALID, t.line, "cannot assign to '%.*s'", shown(t.s), t.s.p);
	node *n = p->status ? NULL : node_name(p, t);
	if (n)
		mark_assigned(p, n);
	return n;
}

/* name, or names in brackets. */
static node *target_item(parser *p)
{
	if (!token_is_op(&p->now, '('))
		return target_name(p);
	if (!parser_enter(p))
		return NULL;
	parser_next(p);
	node *n = parse_tuple(p, target_item, ')');
	parser_expect_op(p, ')');
	parser_leave(p);
	return p->status ? NULL : n;
}

/* a, or a, (b, c) with or without brackets around it. */
static node *target(parser *p)
{
	return parse_tuple(p, target_item, 0);
}

/* ---- statements ---- */

static void block_end(parser *p)
{
	if (!p->status)
		parser_expect_kind(p, T_BLOCK_END, "the end of the tag");
}

static node *if_statement(parser *p)
{
	static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
	node *first = NULL, **at = &first;
	do {
		int line = p->now.line;
		parser_next(p); /* if, elif */
		node *n = node_of(p, N_IF, line, parse_tuple(p, parse_or_expression, 0), NULL);
		if (!n)
			return NULL;
		block_end(p);
		n->b = body(p, ends);
		*at = n;
		at = &n->c;
	} while (!p->status && token_is_word(&p->now, "elif"));
	if (parser_accept_word(p, "else")) {
		block_end(p);
		*at = body(p, last);
	}
	parser_expect_word(p, "endif");
	block_end(p);
	return first;
}

static node *for_statement(parser *p)
{
	static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
	node *n = node_new(p, N_FOR, p->now.line);
	parser_next(p);
	node *to = target(p);
	if (!p->status)
		parser_expect_word(p, "in");
	node *over = p->status ? NULL : parse_tuple(p, parse_or_expression, 0);
	node *condition = !p->status && parser_accept_word(p, "if") ? parse_expression(p) : NULL;
	bool recursive = parser_accept_word(p, "recursive");
	block_end(p);
	if (p->status)
		return NULL;
	n->a = to;
	n->b = over;
	n->args = condition;
	n->op = recursive;
	if (recursive)
		p->names[NAME_LOOP].assigned = true; /* loop(...) is a call then */
	p->loops++;
	n->c = body(p, ends);
	p->loops--;
	if (parser_accept_word(p, "else")) {
		block_end(p);
		n->d = body(p, last);
	}
	parser_expect_word(p, "endfor");
	block_end(p);
	return n;
}

static node *hole_filters(parser *p)
{
	node *n = node_new(p, N_HOLE, p->now.line);
	do
		n = parse_filter(p, n);
	while (n && parser_accept_op(p, '|'));
	return n;
}

static node *set_target(parser *p)
{
	token t = p->now;
	if (t.kind != T_NAME || !token_is_op(parser_peek(p), '.'))
		return target(p);
	parser_next(p);
	return parse_attribute(p, node_name(p, t));
}

static node *set_statement(parser *p)
{
	static const char *const ends[] = {"endset", NULL};
	node *n = node_new(p, N_SET, p->now.line);
	parser_next(p);
	node *to = set_target(p);
	if (p->status)
		return NULL;
	n->a = to;
	if (parser_accept_op(p, '=')) {
		n->b = parse_tuple(p, parse_expression, 0);
		block_end(p);
		return n;
	}
	n->kind = N_SET_BLOCK;
	n->c = parser_accept_op(p, '|') ? hole_filters(p) : NULL;
	block_end(p);
	n->b = body(p, ends);
	parser_expect_word(p, "endset");
	block_end(p);
	return n;
}

static node *parameters(parser *p)
{
	node *first = NULL, **tail = &first;
	bool optional = false;
	parser_expect_op(p, '(');
	while (!p->status && !token_is_op(&p->now, ')')) {
		node *n = target_name(p);
		if (n && parser_accept_op(p, '='))
			n->a = parse_expression(p), optional = true;
		else if (n && optional)
			return parser_expected(p, "a default value");
		node_link(&tail, n);
		if (!token_is_op(&p->now, ')'))
			parser_expect_op(p, ',');
	}
	parser_expect_op(p, ')');
	return p->status ? NULL : first;
}

/* A macro's body is outside the loops around it. */
static void closed_body(parser *p, node *macro, const char *const *ends)
{
	int loops = p->loops, uses = p->uses;
	p->loops = 0;
	p->uses = 0;
	macro->b = body(p, ends);
	macro->op = p->uses;
	p->uses |= uses;
	p->loops = loops;
}

static node *macro_statement(parser *p)
{
	static const char *const ends[] = {"endmacro", NULL};
	int line = p->now.line;
	parser_next(p);
	node *n = target_name(p);
	if (!n)
		return NULL;
	n->kind = N_MACRO;
	n->line = line;
	n->args = parameters(p);
	block_end(p);
	closed_body(p, n, ends);
	parser_expect_word(p, "endmacro");
	block_end(p);
	return n;
}

static node *call_statement(parser *p)
{
	static const char *const ends[] = {"endcall", NULL};
	node *n = node_new(p, N_CALL_BLOCK, p->now.line);
	parser_next(p);
	node *params = token_is_op(&p->now, '(') ? parameters(p) : NULL;
	node *callee = p->status ? NULL : parse_expression(p);
	if (p->status)
		return NULL;
	if (callee->kind != N_CALL)
		return parser_expected(p, "a call");
	n->a = callee;
	n->args = params;
	block_end(p);
	closed_body(p, n, ends);
	parser_expect_word(p, "endcall");
	block_end(p);
	return n;
}

static node *filter_statement(parser *p)
{
	static const char *const ends[] = {"endfilter", NULL};
	node *n = node_new(p, N_FILTER_BLOCK, p->now.line);
	parser_next(p);
	node *over = hole_filters(p);
	block_end(p);
	if (p->status)
		return NULL;
	n->c = over;
	n->b = body(p, ends);
	parser_expect_word(p, "endfilter");
	block_end(p);
	return n;
}

static node *with_statement(parser *p)
{
	static const char *const ends[] = {"endwith", NULL};
	node *n = node_new(p, N_WITH, p->now.line), **tail = n ? &n->args : NULL;
	parser_next(p);
	while (!p->status && p->now.kind != T_BLOCK_END) {
		node *set = node_new(p, N_SET, p->now.line);
		node *to = target(p);
		parser_expect_op(p, '=');
		if (p->status)
			return NULL;
		set->a = to;
		set->b = parse_expression(p);
		node_link(&tail, set);
		if (p->now.kind != T_BLOCK_END)
			parser_expect_op(p, ',');
	}
	block_end(p);
	if (p->status)
		return NULL;
	n->b = body(p, ends);
	parser_expect_word(p, "endwith");
	block_end(p);
	return n;
}

static node *jump_statement(parser *p)
{
	node *n = node_new(p, token_is_word(&p->now, "break") ? N_BREAK : N_CONTINUE, p->now.line);
	if (!p->loops)
		return parser_fail(p, SN_ERR_INVALID, p->now.line, "'%.*s' outside a loop", shown(p->now.s), p->now.s.p);
	parser_next(p);
	block_end(p);
	return n;
}

/* transformers' {% generation %} marks what an assistant wrote, for training; it renders its body. */
static node *generation_statement(parser *p)
{
	static const char *const ends[] = {"endgeneration", NULL};
	node *n = node_new(p, N_IF, p->now.line);
	parser_next(p);
	block_end(p);
	if (p->status)
		return NULL;
	n->a = node_literal(p, n->line, value_bool(true));
	n->b = body(p, ends);
	parser_expect_word(p, "endgeneration");
	block_end(p);
	return n;
}

static node *statement(parser *p)
{
	static const struct {
		const char *word;
		node *(*parse)(parser *);
	} table[] = {
		{"if", if_statement},       {"for", for_statement},       {"set", set_statement},     {"macro", macro_statement},
		{"call", call_statement},   {"filter", filter_statement}, {"break", jump_statement},  {"continue", jump_statement},
		{"generation", generation_statement}, {"with", with_statement},
	};
	if (p->now.kind != T_NAME)
		return parser_expected(p, "a statement");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (token_is_word(&p->now, table[i].word))
			return table[i].parse(p);
	bool stray = token_is_word(&p->now, "else") || token_is_word(&p->now, "elif") ||
	             (p->now.s.n > 3 && !memcmp(p->now.s.p, "end", 3));
	if (stray)
		return parser_fail(p, SN_ERR_INVALID, p->now.line, "'%.*s' has no beginning", shown(p->now.s), p->now.s.p);
	return parser_unsupported(p, p->now.line, "statement", p->now.s);
}

/* ---- the template around them ---- */

static node *print(parser *p)
{
	int line = p->now.line;
	parser_next(p);
	node *n = node_of(p, N_PRINT, line, parse_tuple(p, parse_expression, 0), NULL);
	if (!p->status)
		parser_expect_kind(p, T_VAR_END, "'}}'");
	return n;
}

static node *data(parser *p)
{
	node *n = node_new(p, N_TEXT, p->now.line);
	if (n)
		n->literal = value_string(p->a, p->now.s, true);
	if (n && !n->literal)
		return parser_fail(p, SN_ERR_NOMEM, n->line, "out of memory");
	parser_next(p);
	return n;
}

static bool is_one_of(const token *t, const char *const *words)
{
	for (; words && *words; words++)
		if (token_is_word(t, *words))
			return true;
	return false;
}

/* Statements up to a tag that starts with one of `ends` (the parser then stands on that word), or to the end. */
static node *body(parser *p, const char *const *ends)
{
	node *first = NULL, **tail = &first;
	if (!p->status && parser_enter(p)) {
		while (!p->status && p->now.kind != T_END) {
			if (p->now.kind == T_DATA) {
				node_link(&tail, data(p));
			} else if (p->now.kind == T_VAR_BEGIN) {
				node_link(&tail, print(p));
			} else {
				parser_next(p);
				if (is_one_of(&p->now, ends))
					break;
				node_link(&tail, statement(p));
			}
		}
		if (ends && p->now.kind == T_END)
			parser_fail(p, SN_ERR_INVALID, p->now.line, "expected '%s' before the end", ends[0]);
		parser_leave(p);
	}
	return p->status ? NULL : first;
}

static void check_calls(parser *p)
{
	for (size_t i = 0; i < p->n_names && !p->status; i++) {
		const name_entry *e = &p->names[i];
		if (e->called_line && !e->assigned && !jinja_function_find(e->s) && !str_eq(e->s, STR("caller")))
			parser_unsupported(p, e->called_line, "function", e->s);
	}
}

sn_status jinja_parse(arena *a, str source, const node **out, sn_error *err)
{
	parser p;
	if (!parser_init(&p, a, source, err))
		return error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	*out = body(&p, NULL);
	check_calls(&p);
	parser_fini(&p);
	return p.status;
}
