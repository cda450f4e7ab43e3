/* jinja_expr.c - expressions, by precedence: the tightest binding first, each level built on the one before it, up to
 * parse_expression at the end. Filters, tests and methods are looked up here, so that an unknown one is refused when the
 * template is parsed; whether a called name is a function is known only at the template's end (jinja_parse.c).
 * Statements, which use these, are in jinja_parse.c. */
#include <string.h>

#include "text/jinja_builtin.h"
#include "text/jinja_parse_state.h"

/* ---- literals, names, brackets ---- */

static node *comma_list(parser *p, node_kind kind, int close)
{
	node *n = node_new(p, kind, p->now.line), **tail = n ? &n->args : NULL;
	parser_next(p);
	while (!p->status && !token_is_op(&p->now, close)) {
		int line = p->now.line;
		node *item = parse_expression(p);
		if (kind == N_DICT && !p->status) {
			parser_expect_op(p, ':');
			item = node_of(p, N_PAIR, line, item, p->status ? NULL : parse_expression(p));
		}
		node_link(&tail, item);
		if (!token_is_op(&p->now, close))
			parser_expect_op(p, ',');
	}
	parser_expect_op(p, close);
	return p->status ? NULL : n;
}

node *parse_tuple(parser *p, node *(*item)(parser *), int close)
{
	int line = p->now.line;
	node *first = item(p);
	if (p->status || !token_is_op(&p->now, ','))
		return first;
	node *n = node_new(p, N_TUPLE, line), **tail = n ? &n->args : NULL;
	while (n && !p->status) {
		node_link(&tail, first);
		if (!parser_accept_op(p, ',') || (close && token_is_op(&p->now, close)) || p->now.kind == T_BLOCK_END ||
		    p->now.kind == T_VAR_END)
			break;
		first = item(p);
	}
	return p->status ? NULL : n;
}

static node *parenthesis(parser *p)
{
	int line = p->now.line;
	parser_next(p);
	if (parser_accept_op(p, ')'))
		return node_new(p, N_TUPLE, line);
	node *n = parse_tuple(p, parse_expression, ')');
	parser_expect_op(p, ')');
	return n;
}

static node *strings(parser *p)
{
	int line = p->now.line;
	str s = p->now.s;
	parser_next(p);
	while (p->now.kind == T_STRING && !p->status) {
		char *both = arena_alloc(p->a, s.n + p->now.s.n + 1);
		if (!both)
			return parser_fail(p, SN_ERR_NOMEM, line, "out of memory");
		memcpy(both, s.p, s.n);
		memcpy(both + s.n, p->now.s.p, p->now.s.n);
		s = (str){both, s.n + p->now.s.n};
		parser_next(p);
	}
	return node_literal(p, line, value_string(p->a, s, true));
}

const value *constant_named(str name)
{
	if (str_eq(name, STR("true")) || str_eq(name, STR("True")))
		return value_bool(true);
	if (str_eq(name, STR("false")) || str_eq(name, STR("False")))
		return value_bool(false);
	return str_eq(name, STR("none")) || str_eq(name, STR("None")) ? value_none() : NULL;
}

static node *primary(parser *p)
{
	token t = p->now;
	switch (t.kind) {
	case T_NAME:
		parser_next(p);
		return constant_named(t.s) ? node_literal(p, t.line, constant_named(t.s)) : node_name(p, t);
	case T_STRING:
		return strings(p);
	case T_INT:
		parser_next(p);
		return node_literal(p, t.line, value_int(p->a, t.i));
	case T_FLOAT:
		parser_next(p);
		return node_literal(p, t.line, value_float(p->a, t.f));
	default:
		break;
	}
	if (token_is_op(&t, '('))
		return parenthesis(p);
	if (token_is_op(&t, '['))
		return comma_list(p, N_LIST, ']');
	if (token_is_op(&t, '{'))
		return comma_list(p, N_DICT, '}');
	return parser_expected(p, "an expression");
}

/* ---- what follows an operand: subscripts, attributes, calls, filters, tests ---- */

static node *arguments(parser *p)
{
	node *first = NULL, **tail = &first;
	bool keyword_seen = false, spread_seen = false, named_seen = false;
	parser_next(p);
	while (!p->status && !token_is_op(&p->now, ')')) {
		token t = p->now;
		bool spread = token_is_op(&t, '*'), spread_named = token_is_op(&t, OP2('*', '*'));
		bool keyword = t.kind == T_NAME && token_is_op(parser_peek(p), '=');
		node *n;
		if (spread || spread_named) {
			if (named_seen || (spread && spread_seen))
				return parser_expected(p, "the end of the arguments");
			parser_next(p);
			n = node_of(p, N_SPREAD, t.line, parse_expression(p), NULL);
			if (n)
				n->op = spread ? '*' : '^';
			spread_seen = spread_seen || spread;
			named_seen = named_seen || spread_named;
		} else if (named_seen || (spread_seen && !keyword)) {
			n = parser_expected(p, "the end of the arguments");
		} else if (keyword) {
			parser_next(p);
			parser_next(p);
			n = node_of(p, N_KEYWORD, t.line, parse_expression(p), NULL);
			if (n)
				n->name = t.s;
		} else {
			n = keyword_seen ? parser_expected(p, "a keyword argument") : parse_expression(p);
		}
		keyword_seen = keyword_seen || keyword;
		node_link(&tail, n);
		if (!token_is_op(&p->now, ')'))
			parser_expect_op(p, ',');
	}
	parser_expect_op(p, ')');
	return p->status ? NULL : first;
}

static node *slice_part(parser *p)
{
	return token_is_op(&p->now, ':') || token_is_op(&p->now, ']') ? NULL : parse_expression(p);
}

static node *subscript(parser *p, node *base)
{
	int line = p->now.line;
	parser_next(p);
	node *first = slice_part(p), *n;
	if (parser_accept_op(p, ':')) {
		n = node_of(p, N_SLICE, line, base, first);
		node *stop = slice_part(p);
		node *step = parser_accept_op(p, ':') ? slice_part(p) : NULL;
		if (n && !p->status) {
			n->c = stop;
			n->d = step;
		}
	} else {
		n = first ? node_of(p, N_ITEM, line, base, first) : parser_expected(p, "an index");
	}
	parser_expect_op(p, ']');
	return p->status ? NULL : n;
}

node *parse_attribute(parser *p, node *base)
{
	token t = (parser_next(p), p->now);
	if (t.kind == T_INT) {
		parser_next(p);
		return node_of(p, N_ITEM, t.line, base, node_literal(p, t.line, value_int(p->a, t.i)));
	}
	parser_expect_kind(p, T_NAME, "a name");
	node *n = node_of(p, N_ATTR, t.line, base, NULL);
	if (n)
		n->name = t.s;
	return n;
}

/* What can be called is known at load: a function, a method, or a name that the template itself assigns. */
static node *call(parser *p, node *callee)
{
	int line = p->now.line;
	if (callee->kind == N_NAME && !p->names[callee->id].called_line)
		p->names[callee->id].called_line = line;
	else if (callee->kind == N_ATTR && !jinja_method_known(callee->name))
		return parser_unsupported(p, line, "method", callee->name);
	node *n = node_of(p, N_CALL, line, callee, NULL);
	node *args = arguments(p);
	if (n)
		n->args = args;
	return p->status ? NULL : n;
}

static node *postfix(parser *p, node *n)
{
	while (n && !p->status) {
		if (token_is_op(&p->now, '.'))
			n = parse_attribute(p, n);
		else if (token_is_op(&p->now, '['))
			n = subscript(p, n);
		else if (token_is_op(&p->now, '('))
			n = call(p, n);
		else
			break;
	}
	return p->status ? NULL : n;
}

/* map('upper'), select('odd'): what is applied is looked up now where it is written out. */
static void check_applied(parser *p, const node *n)
{
	bool test = str_eq(n->name, STR("select")) || str_eq(n->name, STR("reject"));
	bool test_after = str_eq(n->name, STR("selectattr")) || str_eq(n->name, STR("rejectattr"));
	const node *applied = test_after && n->args ? n->args->next : test || str_eq(n->name, STR("map")) ? n->args : NULL;
	if (p->status || !applied || applied->kind != N_LITERAL || applied->literal->kind != VALUE_STRING)
		return;
	str name = text_str(applied->literal->s);
	if (!(test || test_after ? jinja_test_find(name) : jinja_filter_find(name)))
		parser_unsupported(p, applied->line, test || test_after ? "test" : "filter", name);
}

node *parse_filter(parser *p, node *base)
{
	token t = p->now;
	parser_expect_kind(p, T_NAME, "a filter's name");
	node *n = node_of(p, N_FILTER, t.line, base, NULL);
	if (!n)
		return NULL;
	n->name = t.s;
	n->builtin = jinja_filter_find(t.s);
	if (!n->builtin)
		return parser_unsupported(p, t.line, "filter", t.s);
	if (token_is_op(&p->now, '('))
		n->args = arguments(p);
	check_applied(p, n);
	return p->status ? NULL : n;
}

static bool starts_test_argument(const token *t)
{
	static const char *const words[] = {"else", "or", "and"}; /* as Jinja has it: not "if" and "in" */
	if (t->kind == T_NAME) {
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (token_is_word(t, words[i]))
				return false;
		return true;
	}
	return t->kind == T_STRING || t->kind == T_INT || t->kind == T_FLOAT || token_is_op(t, '[') || token_is_op(t, '{');
}

static node *test(parser *p, node *base)
{
	parser_next(p);
	bool negated = parser_accept_word(p, "not");
	token t = p->now;
	parser_expect_kind(p, T_NAME, "a test's name");
	node *n = node_of(p, N_TEST, t.line, base, NULL);
	if (!n)
		return NULL;
	n->name = t.s;
	n->builtin = jinja_test_find(t.s);
	if (!n->builtin)
		return parser_unsupported(p, t.line, "test", t.s);
	if (token_is_op(&p->now, '('))
		n->args = arguments(p);
	else if (token_is_word(&p->now, "is"))
		return parser_expected(p, "one test, not a chain of them");
	else if (starts_test_argument(&p->now))
		n->args = postfix(p, primary(p));
	return negated ? node_of(p, N_NOT, t.line, n, NULL) : p->status ? NULL : n;
}

static node *filters_and_tests(parser *p, node *n)
{
	while (n && !p->status) {
		if (token_is_op(&p->now, '|'))
			n = (parser_next(p), parse_filter(p, n));
		else if (token_is_word(&p->now, "is"))
			n = test(p, n);
		else if (token_is_op(&p->now, '('))
			n = call(p, n);
		else
			break;
	}
	return p->status ? NULL : n;
}

/* ---- operators, from the tightest to the loosest ---- */

static node *unary(parser *p, bool with_filter)
{
	token t = p->now;
	node *n;
	if (!parser_enter(p))
		return NULL;
	if (token_is_op(&t, '-') || token_is_op(&t, '+')) {
		parser_next(p);
		n = node_of(p, N_UNARY, t.line, unary(p, false), NULL);
		if (n)
			n->op = t.op;
	} else {
		n = primary(p);
	}
	n = postfix(p, n);
	parser_leave(p);
	return with_filter ? filters_and_tests(p, n) : n;
}

static node *operand(parser *p)
{
	return unary(p, true);
}

/* Left-associative operators of one level; ops ends with 0. */
static node *binary(parser *p, node *(*below)(parser *), const int *ops)
{
	node *n = below(p);
	for (size_t i = 0; n && !p->status && ops[i];) {
		token t = p->now;
		if (!token_is_op(&t, ops[i])) {
			i++;
			continue;
		}
		parser_next(p);
		n = node_of(p, N_BINARY, t.line, n, below(p));
		if (n)
			n->op = t.op;
		i = 0;
	}
	return p->status ? NULL : n;
}

static node *power(parser *p)
{
	return binary(p, operand, (const int[]){OP2('*', '*'), 0});
}

static node *product(parser *p)
{
	return binary(p, power, (const int[]){'*', '/', OP2('/', '/'), '%', 0});
}

static node *concatenation(parser *p)
{
	return binary(p, product, (const int[]){'~', 0});
}

static node *sum(parser *p)
{
	return binary(p, concatenation, (const int[]){'+', '-', 0});
}

/* The comparison operator that the parser stands on, taken; 0 if none. */
static int comparison_op(parser *p)
{
	static const int ops[] = {OP2('=', '='), OP2('!', '='), '<', OP2('<', '='), '>', OP2('>', '=')};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (parser_accept_op(p, ops[i]))
			return ops[i];
	if (parser_accept_word(p, "in"))
		return OP_IN;
	if (!token_is_word(&p->now, "not") || !token_is_word(parser_peek(p), "in"))
		return 0;
	parser_next(p);
	parser_next(p);
	return OP_NOT_IN;
}

static node *comparison(parser *p)
{
	node *first = sum(p), *chain = NULL, **tail = NULL;
	for (;;) {
		int line = p->now.line, op = p->status ? 0 : comparison_op(p);
		if (!op)
			return p->status ? NULL : chain ? chain : first;
		if (!chain) {
			chain = node_of(p, N_COMPARE, line, first, NULL);
			tail = chain ? &chain->args : NULL;
		}
		node *n = node_of(p, N_OPERAND, line, sum(p), NULL);
		if (!chain || !n)
			return NULL;
		n->op = op;
		node_link(&tail, n);
	}
}

static node *not_expression(parser *p)
{
	int line = p->now.line;
	if (!token_is_word(&p->now, "not"))
		return comparison(p);
	parser_next(p);
	if (!parser_enter(p))
		return NULL;
	node *n = node_of(p, N_NOT, line, not_expression(p), NULL);
	parser_leave(p);
	return n;
}

static node *and_expression(parser *p)
{
	node *n = not_expression(p);
	while (n && !p->status && token_is_word(&p->now, "and")) {
		int line = p->now.line;
		parser_next(p);
		n = node_of(p, N_AND, line, n, not_expression(p));
	}
	return p->status ? NULL : n;
}

node *parse_or_expression(parser *p)
{
	node *n = and_expression(p);
	while (n && !p->status && token_is_word(&p->now, "or")) {
		int line = p->now.line;
		parser_next(p);
		n = node_of(p, N_OR, line, n, and_expression(p));
	}
	return p->status ? NULL : n;
}

node *parse_expression(parser *p)
{
	if (!parser_enter(p))
		return NULL;
	node *n = parse_or_expression(p);
	while (n && !p->status && token_is_word(&p->now, "if")) {
		int line = p->now.line;
		parser_next(p);
		node *condition = parse_or_expression(p);
		node *other = !p->status && parser_accept_word(p, "else") ? parse_expression(p) : NULL;
		n = node_of(p, N_COND, line, condition, n);
		if (n)
			n->c = other;
	}
	parser_leave(p);
	return p->status ? NULL : n;
}
