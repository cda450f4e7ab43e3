/* jinja_ops.c - operators, comparison, attributes and subscripts, with Python's meaning. */
#include <math.h>

#include "text/jinja_ctx.h"
#include "text/jinja_lex.h" /* OP2 */
#include "text/unicode.h"

#define BYTES_PER_STEP 64 /* of scanning a string */

/* ---- numbers ---- */

bool integer_of(const value *v, int64_t *i)
{
	if (v->kind != VALUE_INT && v->kind != VALUE_BOOL)
		return false;
	*i = v->kind == VALUE_INT ? v->i : v->b;
	return true;
}

bool number_of(const value *v, double *f)
{
	int64_t i;
	if (v->kind == VALUE_FLOAT)
		*f = v->f;
	else if (integer_of(v, &i))
		*f = (double)i;
	else
		return false;
	return true;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return a % b && (a < 0) != (b < 0) ? q - 1 : q;
}

static bool int_power(int64_t base, int64_t exponent, int64_t *out)
{
	int64_t r = 1;
	for (; exponent; exponent >>= 1) {
		if ((exponent & 1) && __builtin_mul_overflow(r, base, &r))
			return false;
		if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
			return false;
	}
	*out = r;
	return true;
}

/* Has the sign of b, also where it is 0. */
static double float_mod(double a, double b)
{
	double r = fmod(a, b);
	if (r == 0)
		return copysign(0, b);
	return (r < 0) != (b < 0) ? r + b : r;
}

/* floor, for a quotient that is an int but for rounding. */
static double nearest_floor(double q)
{
	double f = floor(q);
	return q - f > 0.5 ? f + 1 : f;
}

static const value *float_binary(jinja_ctx *c, int op, double a, double b)
{
	if (op == OP2('*', '*') ? a == 0 && b < 0 : (op == '/' || op == OP2('/', '/') || op == '%') && b == 0)
		return ctx_fail(c, "division by zero");
	switch (op) {
	case '+':
		return value_float(c->a, a + b);
	case '-':
		return value_float(c->a, a - b);
	case '*':
		return value_float(c->a, a * b);
	case '/':
		return value_float(c->a, a / b);
	case OP2('/', '/'):
		return value_float(c->a, nearest_floor((a - float_mod(a, b)) / b));
	case '%':
		return value_float(c->a, float_mod(a, b));
	default:
		return value_float(c->a, pow(a, b));
	}
}

static const value *int_binary(jinja_ctx *c, int op, int64_t a, int64_t b)
{
	int64_t r = 0;
	bool ok = true;
	if (op == '/' || (op == OP2('*', '*') && b < 0))
		return float_binary(c, op, (double)a, (double)b);
	if ((op == OP2('/', '/') || op == '%') && b == 0)
		return ctx_fail(c, "division by zero");
	switch (op) {
	case '+':
		ok = !__builtin_add_overflow(a, b, &r);
		break;
	case '-':
		ok = !__builtin_sub_overflow(a, b, &r);
		break;
	case '*':
		ok = !__builtin_mul_overflow(a, b, &r);
		break;
	case OP2('/', '/'):
		ok = b != -1 || a != INT64_MIN;
		r = ok ? floor_div(a, b) : 0;
		break;
	case '%':
		r = b == -1 ? 0 : a - b * floor_div(a, b);
		break;
	default:
		ok = int_power(a, b, &r);
		break;
	}
	return ok ? value_int(c->a, r) : ctx_fail(c, "a number is too large");
}

/* ---- sequences and strings ---- */

static bool is_sequence(const value *v)
{
	return v->kind == VALUE_LIST || v->kind == VALUE_TUPLE;
}

static const value *concat(jinja_ctx *c, const value *a, const value *b)
{
	value *v = a->kind == VALUE_LIST ? value_list(c->a) : value_tuple(c->a);
	const value *parts[] = {a, b};
	for (int p = 0; p < 2; p++)
		for (size_t i = 0; v && i < parts[p]->t->n; i++)
			if (!value_push(c->a, v, parts[p]->t->at[i].val))
				return NULL;
	return v;
}

static const value *join_strings(jinja_ctx *c, text a, text b)
{
	text_builder out = ctx_builder(c);
	put_text(&out, a);
	put_text(&out, b);
	return ctx_text(c, &out);
}

static const value *repeat(jinja_ctx *c, const value *v, int64_t times)
{
	text_builder out = ctx_builder(c);
	value *list = v->kind == VALUE_TUPLE ? value_tuple(c->a) : value_list(c->a);
	for (int64_t i = 0; list && i < times; i++) {
		if (!ctx_charge(c, 1) || out.failed)
			return NULL;
		if (v->kind == VALUE_STRING)
			put_text(&out, v->s);
		for (size_t k = 0; is_sequence(v) && k < v->t->n; k++)
			if (!value_push(c->a, list, v->t->at[k].val))
				return NULL;
	}
	return v->kind == VALUE_STRING ? ctx_text_like(c, &out, v->s) : list;
}

/* Text beside escaped text is escaped, too. */
static const value *add_strings(jinja_ctx *c, const value *a, const value *b)
{
	bool markup = a->s.markup || b->s.markup;
	text_builder out = ctx_builder(c);
	const value *parts[] = {a, b};
	for (int i = 0; i < 2; i++) {
		const value *part = markup && !parts[i]->s.markup ? jinja_filter_find(STR("escape"))->fn(c, parts[i], NULL, NULL) : parts[i];
		if (!part)
			return NULL;
		put_text(&out, part->s);
	}
	return ctx_text_like(c, &out, (text){.markup = markup});
}

static const value *tilde(jinja_ctx *c, const value *a, const value *b)
{
	text ta, tb;
	return ctx_str(c, a, &ta) && ctx_str(c, b, &tb) ? join_strings(c, ta, tb) : NULL;
}

static const char *op_name(int op, char out[3])
{
	out[0] = (char)(op > 255 ? op >> 8 : op);
	out[1] = (char)(op > 255 ? op & 255 : 0);
	out[2] = 0;
	return out;
}

const value *ctx_binary(jinja_ctx *c, int op, const value *a, const value *b)
{
	int64_t ia, ib;
	double fa, fb;
	char name[3];
	if (op == '~')
		return tilde(c, a, b);
	if (integer_of(a, &ia) && integer_of(b, &ib))
		return int_binary(c, op, ia, ib);
	if (number_of(a, &fa) && number_of(b, &fb))
		return float_binary(c, op, fa, fb);
	if (op == '+' && a->kind == b->kind && a->kind == VALUE_STRING)
		return add_strings(c, a, b);
	if (op == '+' && a->kind == b->kind && is_sequence(a))
		return concat(c, a, b);
	if (op == '%' && a->kind == VALUE_STRING)
		return ctx_printf(c, a->s, b);
	if (op == '*' && integer_of(b, &ib) && (is_sequence(a) || a->kind == VALUE_STRING))
		return repeat(c, a, ib);
	if (op == '*' && integer_of(a, &ia) && (is_sequence(b) || b->kind == VALUE_STRING))
		return repeat(c, b, ia);
	return ctx_fail(c, "'%s' does not work on '%s' and '%s'", op_name(op, name), value_type_name(a), value_type_name(b));
}

const value *ctx_unary(jinja_ctx *c, int op, const value *a)
{
	int64_t i;
	if (a->kind == VALUE_FLOAT)
		return value_float(c->a, op == '-' ? -a->f : a->f);
	if (!integer_of(a, &i))
		return ctx_fail(c, "unary '%c' does not work on '%s'", op, value_type_name(a));
	if (op == '-' && i == INT64_MIN)
		return ctx_fail(c, "a number is too large");
	return value_int(c->a, op == '-' ? -i : i);
}

/* ---- comparison ---- */

static bool contains(jinja_ctx *c, const value *item, const value *in);

static bool tables_equal(jinja_ctx *c, const value *a, const value *b)
{
	if (a->t->n != b->t->n)
		return false;
	for (size_t i = 0; i < a->t->n; i++) {
		const value *other = a->kind == VALUE_DICT ? dict_find(c, b, a->t->at[i].key) : b->t->at[i].val;
		if (!other || !ctx_equal(c, a->t->at[i].val, other))
			return false;
	}
	return true;
}

/* keys() and items() are sets, values() equals nothing else. */
static bool views_equal(jinja_ctx *c, const value *a, const value *b)
{
	if (a->t == b->t)
		return true;
	if (a->t->n != b->t->n || !strcmp(a->t->view, "values") || strcmp(a->t->view, b->t->view) != 0)
		return false;
	for (size_t i = 0; i < a->t->n; i++)
		if (!contains(c, a->t->at[i].val, b))
			return false;
	return true;
}

bool ctx_equal(jinja_ctx *c, const value *a, const value *b)
{
	int64_t ia, ib;
	double fa, fb;
	if (a == b)
		return a->kind != VALUE_FLOAT || a->f == a->f;
	if (integer_of(a, &ia) && integer_of(b, &ib))
		return ia == ib;
	if (number_of(a, &fa) && number_of(b, &fb))
		return fa == fb;
	if (a->kind != b->kind || !ctx_charge(c, 1))
		return false;
	switch (a->kind) {
	case VALUE_UNDEFINED:
	case VALUE_NONE:
		return true;
	case VALUE_STRING:
		return a->s.n == b->s.n && ctx_charge(c, a->s.n / BYTES_PER_STEP) && str_eq(text_str(a->s), text_str(b->s));
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
	case VALUE_RANGE:
		return tables_equal(c, a, b);
	case VALUE_VIEW:
		return views_equal(c, a, b);
	case VALUE_GENERATOR:
		return a->t == b->t;
	case VALUE_NAMESPACE:
		return a->t == b->t;
	default:
		return false;
	}
}

static int order_sequences(jinja_ctx *c, const value *a, const value *b)
{
	for (size_t i = 0; i < a->t->n && i < b->t->n && !c->status; i++)
		if (!ctx_equal(c, a->t->at[i].val, b->t->at[i].val))
			return ctx_order(c, a->t->at[i].val, b->t->at[i].val);
	return (a->t->n > b->t->n) - (a->t->n < b->t->n);
}

int ctx_order(jinja_ctx *c, const value *a, const value *b)
{
	int64_t ia, ib;
	double fa, fb;
	if (integer_of(a, &ia) && integer_of(b, &ib))
		return (ia > ib) - (ia < ib);
	if (number_of(a, &fa) && number_of(b, &fb))
		return (fa > fb) - (fa < fb);
	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
		size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
		int order = ctx_charge(c, n / BYTES_PER_STEP) && n ? memcmp(a->s.p, b->s.p, n) : 0;
		return order ? order : (a->s.n > b->s.n) - (a->s.n < b->s.n);
	}
	if (a->kind == b->kind && is_sequence(a))
		return order_sequences(c, a, b);
	ctx_fail(c, "'%s' and '%s' cannot be ordered", value_type_name(a), value_type_name(b));
	return 0;
}

bool value_hashable(const value *v)
{
	for (size_t i = 0; v->kind == VALUE_TUPLE && i < v->t->n; i++)
		if (!value_hashable(v->t->at[i].val))
			return false;
	return v->kind != VALUE_LIST && v->kind != VALUE_DICT && v->kind != VALUE_VIEW;
}

const value *dict_find(jinja_ctx *c, const value *dict, const value *key)
{
	if (!ctx_charge(c, dict->t->n / 16))
		return NULL;
	for (size_t i = 0; i < dict->t->n; i++)
		if (ctx_equal(c, dict->t->at[i].key, key))
			return dict->t->at[i].val;
	return NULL;
}

static bool contains(jinja_ctx *c, const value *item, const value *in)
{
	switch (in->kind) {
	case VALUE_UNDEFINED:
		return false;
	case VALUE_STRING:
		if (item->kind != VALUE_STRING)
			break;
		if (!ctx_charge(c, in->s.n / BYTES_PER_STEP))
			return false;
		return item->s.n == 0 || memmem(in->s.p, in->s.n, item->s.p, item->s.n) != NULL;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_RANGE:
	case VALUE_VIEW:
		for (size_t i = 0; i < in->t->n && ctx_charge(c, i % 16 == 0); i++)
			if (ctx_equal(c, item, in->t->at[i].val))
				return true;
		return false;
	case VALUE_GENERATOR: /* is used up to where it was found */
		for (const value *v; (v = generator_next(c, in)) && ctx_charge(c, 1);)
			if (ctx_equal(c, item, v))
				return true;
		return false;
	case VALUE_DICT:
		if (!value_hashable(item))
			return ctx_fail(c, "a %s cannot be a key", value_type_name(item));
		return dict_find(c, in, item) != NULL;
	default:
		break;
	}
	ctx_fail(c, "'in' does not work on '%s' and '%s'", value_type_name(item), value_type_name(in));
	return false;
}

bool ctx_compare(jinja_ctx *c, int op, const value *a, const value *b)
{
	switch (op) {
	case OP2('=', '='):
		return ctx_equal(c, a, b);
	case OP2('!', '='):
		return !ctx_equal(c, a, b);
	case OP_IN:
		return contains(c, a, b);
	case OP_NOT_IN:
		return !contains(c, a, b);
	case '<':
		return ctx_order(c, a, b) < 0;
	case OP2('<', '='):
		return ctx_order(c, a, b) <= 0;
	case '>':
		return ctx_order(c, a, b) > 0;
	default:
		return ctx_order(c, a, b) >= 0;
	}
}

/* ---- attributes and subscripts ---- */

static const value *loop_attr(jinja_ctx *c, const jinja_loop *l, str name)
{
	size_t i = l->i, n = l->items->n;
	const struct {
		const char *name;
		size_t count;
	} counts[] = {{"index", i + 1}, {"index0", i}, {"revindex", n - i}, {"revindex0", n - i - 1}, {"length", n},
	            {"depth", (size_t)l->depth + 1}, {"depth0", (size_t)l->depth}};
	for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
		if (str_eq(name, str_of(counts[k].name)))
			return value_int(c->a, (int64_t)counts[k].count);
	if (str_eq(name, STR("first")))
		return value_bool(i == 0);
	if (str_eq(name, STR("last")))
		return value_bool(i + 1 == n);
	if (str_eq(name, STR("previtem")))
		return i > 0 ? l->items->at[i - 1].val : value_undefined();
	if (str_eq(name, STR("nextitem")))
		return i + 1 < n ? l->items->at[i + 1].val : value_undefined();
	return value_undefined();
}

static const value *method_of(jinja_ctx *c, const value *v, str name)
{
	const builtin *method = jinja_method_find(v, name);
	return method ? ctx_callable(c, (jinja_callable){.fn = method, .self = v}) : NULL;
}

const value *ctx_attr(jinja_ctx *c, const value *v, str name)
{
	if (jinja_method_find(v, name))
		return method_of(c, v, name);
	if (v->kind == VALUE_LOOP)
		return loop_attr(c, v->loop, name);
	if (v->kind == VALUE_CYCLER && str_eq(name, STR("current")))
		return v->t->at[0].val->t->at[v->t->at[1].val->i].val;
	if (v->kind == VALUE_TUPLE && v->t->group && (str_eq(name, STR("grouper")) || str_eq(name, STR("list"))))
		return v->t->at[str_eq(name, STR("list"))].val;
	if (v->kind == VALUE_CALLABLE)
		return ctx_fail(c, "a function's attributes are not supported");
	bool table = v->kind == VALUE_DICT || v->kind == VALUE_NAMESPACE;
	const value *entry = table && ctx_charge(c, v->t->n / 16) ? value_get(v, name) : NULL;
	return entry ? entry : c->status ? NULL : value_undefined();
}

/* The character at index i (from the end if negative), or undefined. */
static const value *character_at(jinja_ctx *c, text t, int64_t i)
{
	if (!ctx_charge(c, t.n / BYTES_PER_STEP))
		return NULL;
	size_t count = utf8_count(t.p, t.n);
	if (i < 0)
		i += (int64_t)count;
	if (i < 0 || (size_t)i >= count)
		return value_undefined();
	size_t at = 0;
	for (; i; i--)
		at += utf8_step(t.p + at, t.n - at);
	return value_text(c->a, text_slice(t, at, at + utf8_step(t.p + at, t.n - at)));
}

const value *ctx_item(jinja_ctx *c, const value *v, const value *index)
{
	int64_t i;
	if (v->kind == VALUE_DICT) {
		const value *entry = dict_find(c, v, index);
		if (entry || c->status)
			return entry;
	} else if ((is_sequence(v) || v->kind == VALUE_RANGE) && integer_of(index, &i)) {
		int64_t n = (int64_t)v->t->n;
		i = i < 0 ? i + n : i;
		return i >= 0 && i < n ? v->t->at[i].val : value_undefined();
	} else if (v->kind == VALUE_STRING && integer_of(index, &i)) {
		return character_at(c, v->s, i);
	}
	if (index->kind != VALUE_STRING)
		return value_undefined();
	return ctx_attr(c, v, text_str(index->s));
}

/* Python's slice.indices(). */
static bool slice_bound(jinja_ctx *c, const value *v, int64_t n, int64_t step, int64_t none, int64_t *out)
{
	int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? n - 1 : n;
	if (v->kind == VALUE_NONE) {
		*out = none;
		return true;
	}
	if (!integer_of(v, out))
		return ctx_fail(c, "a slice needs ints");
	if (*out < 0)
		*out = *out < -n ? lowest : *out + n;
	*out = *out < lowest ? lowest : *out > highest ? highest : *out;
	return true;
}

const value *ctx_slice(jinja_ctx *c, const value *v, const value *start, const value *stop, const value *step)
{
	int64_t by = 1, i, end;
	if (v->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "what is undefined cannot be sliced");
	if (v->kind != VALUE_STRING && !is_sequence(v) && v->kind != VALUE_RANGE)
		return ctx_fail(c, "'%s' cannot be sliced", value_type_name(v));
	if ((step->kind != VALUE_NONE && !integer_of(step, &by)) || by == 0 || by == INT64_MIN)
		return ctx_fail(c, "a slice's step must be an int, not 0");
	const value_table *items = ctx_items(c, v);
	if (!items)
		return NULL;
	int64_t n = (int64_t)items->n;
	if (!slice_bound(c, start, n, by, by < 0 ? n - 1 : 0, &i) || !slice_bound(c, stop, n, by, by < 0 ? -1 : n, &end))
		return NULL;
	if (v->kind == VALUE_RANGE)
		return ctx_range(c, v->t->start + i * v->t->step, v->t->start + end * v->t->step, v->t->step * by);
	value *list = v->kind == VALUE_TUPLE ? value_tuple(c->a) : value_list(c->a);
	text_builder out = ctx_builder(c);
	while (list && (by > 0 ? i < end : i > end)) {
		const value *item = items->at[i].val;
		if (v->kind == VALUE_STRING)
			put_text(&out, item->s);
		else if (!value_push(c->a, list, item))
			return NULL;
		if (__builtin_add_overflow(i, by, &i))
			break;
	}
	return v->kind == VALUE_STRING ? ctx_text_like(c, &out, v->s) : list;
}
