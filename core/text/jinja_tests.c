/* jinja_tests.c - what may stand after "is". */
#include "text/jinja_ctx.h"
#include "text/jinja_lex.h" /* OP2 */
#include "text/jinja_strings.h"

BUILTIN(is_defined) { return value_bool(self->kind != VALUE_UNDEFINED); }
BUILTIN(is_undefined) { return value_bool(self->kind == VALUE_UNDEFINED); }
BUILTIN(is_none) { return value_bool(self->kind == VALUE_NONE); }
BUILTIN(is_true) { return value_bool(self->kind == VALUE_BOOL && self->b); }
BUILTIN(is_false) { return value_bool(self->kind == VALUE_BOOL && !self->b); }
BUILTIN(is_boolean) { return value_bool(self->kind == VALUE_BOOL); }
BUILTIN(is_integer) { return value_bool(self->kind == VALUE_INT); }
BUILTIN(is_float) { return value_bool(self->kind == VALUE_FLOAT); }
BUILTIN(is_number) { return value_bool(self->kind == VALUE_INT || self->kind == VALUE_FLOAT || self->kind == VALUE_BOOL); }
BUILTIN(is_string) { return value_bool(self->kind == VALUE_STRING); }
BUILTIN(is_mapping) { return value_bool(self->kind == VALUE_DICT); }
BUILTIN(is_escaped) { return value_bool(self->kind == VALUE_STRING && self->s.markup); }

BUILTIN(is_callable)
{
	return value_bool(self->kind == VALUE_CALLABLE || self->kind == VALUE_LOOP || self->kind == VALUE_UNDEFINED);
}

BUILTIN(is_iterable)
{
	value_kind k = self->kind;
	return value_bool(k == VALUE_STRING || k == VALUE_LIST || k == VALUE_TUPLE || k == VALUE_DICT || k == VALUE_UNDEFINED ||
	                  k == VALUE_LOOP || k == VALUE_RANGE || k == VALUE_VIEW || k == VALUE_GENERATOR);
}

BUILTIN(is_sequence)
{
	value_kind k = self->kind;
	return value_bool(k == VALUE_STRING || k == VALUE_LIST || k == VALUE_TUPLE || k == VALUE_DICT || k == VALUE_UNDEFINED ||
	                  k == VALUE_RANGE);
}

static const value *remainder_is(jinja_ctx *c, const value *v, const value *by, int64_t want)
{
	const value *rest = by ? ctx_binary(c, '%', v, by) : NULL, *wanted = value_int(c->a, want);
	return rest && wanted ? value_bool(ctx_equal(c, rest, wanted)) : NULL;
}

BUILTIN(is_odd) { return remainder_is(c, self, value_int(c->a, 2), 1); }
BUILTIN(is_even) { return remainder_is(c, self, value_int(c->a, 2), 0); }
BUILTIN(is_divisibleby) { return remainder_is(c, self, argv[0], 0); }

static const value *compare(jinja_ctx *c, int op, const value *a, const value *b)
{
	bool yes = ctx_compare(c, op, a, b);
	return c->status ? NULL : value_bool(yes);
}

BUILTIN(is_eq) { return compare(c, OP2('=', '='), self, argv[0]); }
BUILTIN(is_ne) { return compare(c, OP2('!', '='), self, argv[0]); }
BUILTIN(is_lt) { return compare(c, '<', self, argv[0]); }
BUILTIN(is_le) { return compare(c, OP2('<', '='), self, argv[0]); }
BUILTIN(is_gt) { return compare(c, '>', self, argv[0]); }
BUILTIN(is_ge) { return compare(c, OP2('>', '='), self, argv[0]); }
BUILTIN(is_in) { return compare(c, OP_IN, self, argv[0]); }

BUILTIN(is_sameas)
{
	bool scalar = self->kind <= VALUE_INT && self->kind == argv[0]->kind;
	return value_bool(self == argv[0] || (scalar && ctx_equal(c, self, argv[0])));
}

static const value *has_case(jinja_ctx *c, const value *v, bool lower)
{
	text t;
	return ctx_str(c, v, &t) ? string_has_case(c, t, lower) : NULL;
}

BUILTIN(is_lower) { return has_case(c, self, true); }
BUILTIN(is_upper) { return has_case(c, self, false); }

static const value *is_known(jinja_ctx *c, const value *v, const builtin *(*find)(str))
{
	if (!value_hashable(v))
		return ctx_fail(c, "a %s is no name", value_type_name(v));
	return value_bool(v->kind == VALUE_STRING && find(text_str(v->s)));
}

BUILTIN(is_filter) { return is_known(c, self, jinja_filter_find); }
BUILTIN(is_test) { return is_known(c, self, jinja_test_find); }

static const builtin tests[] = {
	{"defined", is_defined, ""},    {"undefined", is_undefined, ""},
	{"none", is_none, ""},          {"true", is_true, ""},
	{"false", is_false, ""},        {"boolean", is_boolean, ""},
	{"integer", is_integer, ""},    {"float", is_float, ""},
	{"number", is_number, ""},      {"string", is_string, ""},
	{"mapping", is_mapping, ""},    {"sequence", is_sequence, ""},
	{"iterable", is_iterable, ""},  {"callable", is_callable, ""},
	{"odd", is_odd, ""},            {"even", is_even, ""},
	{"divisibleby", is_divisibleby, "num!"},
	{"eq", is_eq, "other!"},        {"equalto", is_eq, "other!"},    {"==", is_eq, "other!"},
	{"ne", is_ne, "other!"},        {"!=", is_ne, "other!"},
	{"lt", is_lt, "other!"},        {"lessthan", is_lt, "other!"},   {"<", is_lt, "other!"},
	{"le", is_le, "other!"},        {"<=", is_le, "other!"},
	{"gt", is_gt, "other!"},        {"greaterthan", is_gt, "other!"}, {">", is_gt, "other!"},
	{"ge", is_ge, "other!"},        {">=", is_ge, "other!"},
	{"in", is_in, "seq!"},          {"sameas", is_sameas, "other!"},
	{"escaped", is_escaped, ""},    {"lower", is_lower, ""},        {"upper", is_upper, ""},
	{"filter", is_filter, ""},      {"test", is_test, ""},
};

const builtin *jinja_test_find(str name)
{
	return BUILTIN_FIND(tests, name);
}
