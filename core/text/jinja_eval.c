/* jinja_eval.c - walks the tree. Names live in scopes as Jinja has them: a for loop's body, a macro, a call block and
 * a block set each open one; if does not; only namespaces carry values out of a loop. */
#include "text/jinja.h"
#include "text/jinja_ctx.h"

static const value *eval(jinja_ctx *c, const node *n);

/* ---- names ---- */

static bool scope_set(jinja_ctx *c, int id, const value *v)
{
	if (!v)
		return false;
	for (scope_var *old = c->scope->vars; old; old = old->next) {
		if (old->id == id) {
			old->v = v;
			return true;
		}
	}
	scope_var *fresh = arena_alloc(c->a, sizeof *fresh);
	if (!fresh)
		return false;
	*fresh = (scope_var){id, v, c->scope->vars};
	c->scope->vars = fresh;
	return true;
}

bool ctx_scope_push(jinja_ctx *c, scope *parent)
{
	scope *s = arena_alloc(c->a, sizeof *s);
	if (!s)
		return false;
	s->parent = parent;
	c->scope = s;
	return true;
}

static const value *bound(jinja_ctx *c, const node *n)
{
	size_t walked = 0;
	for (const scope *s = c->scope; s; s = s->parent)
		for (const scope_var *v = s->vars; v; v = v->next, walked++)
			if (v->id == n->id)
				return ctx_charge(c, walked / 32) ? v->v : NULL;
	return ctx_charge(c, walked / 32) ? value_undefined() : NULL;
}

static const value *eval_name(jinja_ctx *c, const node *n)
{
	const value *v = bound(c, n);
	if (!v || v->kind != VALUE_UNDEFINED)
		return v;
	const value *global = c->globals ? value_get(c->globals, n->name) : NULL;
	if (global)
		return global;
	const builtin *fn = jinja_function_find(n->name);
	return fn ? ctx_callable(c, (jinja_callable){.fn = fn}) : v;
}

static bool set_attribute(jinja_ctx *c, const node *to, const value *v)
{
	const value *ns = eval(c, to->a);
	if (!ns || !v)
		return false;
	if (ns->kind != VALUE_NAMESPACE)
		return ctx_fail(c, "cannot set an attribute of '%s': only of a namespace", value_type_name(ns));
	for (size_t i = 0; i < ns->t->n; i++) {
		if (str_eq(text_str(ns->t->at[i].key->s), to->name)) {
			ns->t->at[i].val = v;
			return true;
		}
	}
	if (to->name.n && to->name.p[0] == '_')
		return ctx_fail(c, "a namespace's names cannot begin with an underscore");
	value table = *ns;
	return value_put(c->a, &table, value_string(c->a, to->name, true), v);
}

static bool assign(jinja_ctx *c, const node *to, const value *v)
{
	if (!v)
		return false;
	if (to->kind == N_NAME)
		return scope_set(c, to->id, v);
	if (to->kind == N_ATTR)
		return set_attribute(c, to, v);
	const value_table *items = ctx_items(c, v);
	size_t n = 0, given = items ? items->n : 0;
	if (!items)
		return false;
	for (const node *t = to->args; t; t = t->next, n++)
		if (n < given && !assign(c, t, items->at[n].val))
			return false;
	if (n != given)
		return ctx_fail(c, "%zu values for %zu names", given, n);
	return true;
}

/* ---- calls ---- */

static const value *keyword(const jinja_args *args, str name)
{
	for (size_t i = 0; i < args->n_named; i++)
		if (str_eq(text_str(args->names[i]), name))
			return args->named[i];
	return NULL;
}

/* The values of a *list, the entries of a **dict. */
static bool unpack(jinja_ctx *c, const node *spread, const value *v, value *positional, value *named)
{
	if (spread->op == '^' && v->kind != VALUE_DICT)
		return ctx_fail(c, "'%s' cannot be unpacked into named arguments", value_type_name(v));
	const value_table *items = spread->op == '^' ? v->t : ctx_items(c, v);
	for (size_t i = 0; items && i < items->n; i++) {
		const value *key = items->at[i].key;
		if (spread->op == '^' && key->kind != VALUE_STRING)
			return ctx_fail(c, "names of arguments must be strings");
		if (spread->op == '^' && value_get(named, text_str(key->s)))
			return ctx_fail(c, "an argument is given twice");
		if (!ctx_charge(c, 1 + named->t->n / 16) ||
		    !(spread->op == '^' ? value_put(c->a, named, key, items->at[i].val) : value_push(c->a, positional, items->at[i].val)))
			return false;
	}
	return items != NULL;
}

static bool eval_args(jinja_ctx *c, const node *list, jinja_args *out)
{
	value *positional = value_list(c->a), *named = value_dict(c->a);
	*out = (jinja_args){0};
	if (!list)
		return true;
	for (const node *a = list; a; a = a->next) {
		bool plain = a->kind != N_KEYWORD && a->kind != N_SPREAD;
		const value *v = eval(c, plain ? a : a->a);
		bool ok = v && positional && named;
		if (ok && plain)
			ok = value_push(c->a, positional, v);
		else if (ok)
			ok = a->kind == N_SPREAD ? unpack(c, a, v, positional, named) : value_put(c->a, named, value_string(c->a, a->name, true), v);
		if (!ok)
			return false;
	}
	out->n = positional->t->n;
	out->n_named = named->t->n;
	out->at = arena_array(c->a, out->n, sizeof *out->at);
	text *names = arena_array(c->a, out->n_named, sizeof *names);
	out->named = arena_array(c->a, out->n_named, sizeof *out->named);
	if (!out->at || !names || !out->named)
		return false;
	for (size_t i = 0; i < out->n; i++)
		out->at[i] = positional->t->at[i].val;
	for (size_t i = 0; i < out->n_named; i++) {
		names[i] = named->t->at[i].key->s;
		out->named[i] = named->t->at[i].val;
	}
	out->names = names;
	return true;
}

static bool has_parameter(const node *macro, str name)
{
	for (const node *p = macro->args; p; p = p->next)
		if (str_eq(p->name, name))
			return true;
	return false;
}

/* What no parameter took, as varargs and kwargs. */
static bool bind_rest(jinja_ctx *c, const node *macro, const jinja_args *args, size_t n_params)
{
	value *rest = value_tuple(c->a), *named = value_dict(c->a);
	for (size_t i = n_params; i < args->n; i++)
		if (!value_push(c->a, rest, args->at[i]))
			return false;
	for (size_t i = 0; i < args->n_named; i++) {
		str name = text_str(args->names[i]);
		bool taken = str_eq(name, STR("caller")) && macro->op & USES_CALLER;
		for (const node *p = macro->args; p && !taken; p = p->next)
			taken = str_eq(p->name, name);
		if (!taken && !value_put(c->a, named, value_text(c->a, args->names[i]), args->named[i]))
			return false;
	}
	return (!(macro->op & USES_VARARGS) || scope_set(c, NAME_VARARGS, rest)) && (!(macro->op & USES_KWARGS) || scope_set(c, NAME_KWARGS, named));
}

static bool bind_macro(jinja_ctx *c, const node *macro, const jinja_args *args)
{
	size_t i = 0, named = 0;
	const value *caller = keyword(args, STR("caller"));
	for (const node *p = macro->args; p; p = p->next, i++) {
		const value *given = keyword(args, p->name);
		const value *v = i < args->n ? args->at[i] : given;
		if (i < args->n && given)
			return ctx_fail(c, "an argument is given twice");
		named += given != NULL;
		if (!v)
			v = p->a ? eval(c, p->a) : value_undefined();
		if (!scope_set(c, p->id, v))
			return false;
	}
	if (macro->op & USES_CALLER && !has_parameter(macro, STR("caller"))) {
		named += caller != NULL;
		if (!scope_set(c, NAME_CALLER, caller ? caller : value_undefined()))
			return false;
	}
	if ((args->n > i && !(macro->op & USES_VARARGS)) || (named < args->n_named && !(macro->op & USES_KWARGS)))
		return ctx_fail(c, "macro '%.*s' does not take these arguments", (int)(macro->name.n < 64 ? macro->name.n : 64), macro->name.p);
	return !(macro->op & (USES_VARARGS | USES_KWARGS)) || bind_rest(c, macro, args, i);
}

/* Runs a body with its text kept; NULL on failure. */
static const value *capture(jinja_ctx *c, const node *body)
{
	text_builder b = ctx_builder(c), *outer = c->capture;
	c->capture = &b;
	const value *ok = ctx_run(c, body);
	c->capture = outer;
	return ok ? ctx_text(c, &b) : NULL;
}

static const value *call_macro(jinja_ctx *c, const jinja_callable *m, const jinja_args *args)
{
	scope *outer = c->scope;
	const value *out = NULL;
	if (ctx_scope_push(c, m->scope) && bind_macro(c, m->macro, args))
		out = capture(c, m->macro->b);
	c->scope = outer;
	return out;
}

static const value *call_loop(jinja_ctx *c, const jinja_loop *l, const jinja_args *args);

const value *ctx_call(jinja_ctx *c, const value *callee, const jinja_args *args)
{
	if (callee->kind == VALUE_LOOP)
		return call_loop(c, callee->loop, args);
	if (callee->kind != VALUE_CALLABLE)
		return ctx_fail(c, "'%s' cannot be called", value_type_name(callee));
	if (c->depth >= JINJA_MAX_EVAL_DEPTH)
		return ctx_fail(c, "calls nested more than %d deep", JINJA_MAX_EVAL_DEPTH);
	c->depth++;
	const jinja_callable *f = callee->fn;
	const value *v = f->macro ? call_macro(c, f, args) : builtin_call(c, f->fn, f->self, args);
	c->depth--;
	return v;
}

static const value *eval_call(jinja_ctx *c, const node *n)
{
	jinja_args args;
	const value *callee = eval(c, n->a);
	if (!callee || !eval_args(c, n->args, &args))
		return NULL;
	c->line = n->line;
	if (callee->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "'%.*s' is undefined", (int)(n->a->name.n < 64 ? n->a->name.n : 64), n->a->name.p);
	return ctx_call(c, callee, &args);
}

/* {% call(x) f(y) %}body{% endcall %}: f gets the body as `caller`. */
static const value *run_call_block(jinja_ctx *c, const node *n)
{
	jinja_args args;
	const value *callee = eval(c, n->a->a), *caller = ctx_callable(c, (jinja_callable){.macro = n, .scope = c->scope});
	if (!callee || !caller || !eval_args(c, n->a->args, &args))
		return NULL;
	text *names = arena_array(c->a, args.n_named + 1, sizeof *names);
	const value **named = arena_array(c->a, args.n_named + 1, sizeof *named);
	if (!names || !named)
		return NULL;
	for (size_t i = 0; i < args.n_named; i++) {
		names[i] = args.names[i];
		named[i] = args.named[i];
	}
	names[args.n_named] = (text){.p = "caller", .n = 6, .trusted = true};
	named[args.n_named++] = caller;
	args.names = names;
	args.named = named;
	const value *v = ctx_call(c, callee, &args);
	text t;
	return v && ctx_str(c, v, &t) && ctx_emit(c, t) ? v : NULL;
}

/* ---- expressions ---- */

static const value *eval_list(jinja_ctx *c, const node *n)
{
	value *list = n->kind == N_TUPLE ? value_tuple(c->a) : value_list(c->a);
	for (const node *item = n->args; item && list; item = item->next)
		if (!value_push(c->a, list, eval(c, item)))
			return NULL;
	return list;
}

static const value *eval_dict(jinja_ctx *c, const node *n)
{
	value *dict = value_dict(c->a);
	for (const node *pair = n->args; pair && dict; pair = pair->next) {
		const value *k = eval(c, pair->a), *v = k ? eval(c, pair->b) : NULL;
		if (!v)
			return NULL;
		if (!value_hashable(k))
			return ctx_fail(c, "a %s cannot be a key", value_type_name(k));
		size_t i = 0;
		while (i < dict->t->n && !ctx_equal(c, dict->t->at[i].key, k))
			i++;
		if (c->status || !ctx_charge(c, i))
			return NULL;
		if (i < dict->t->n)
			dict->t->at[i].val = v;
		else if (!value_put(c->a, dict, k, v))
			return NULL;
	}
	return dict;
}

static const value *eval_comparison(jinja_ctx *c, const node *n)
{
	const value *left = eval(c, n->a);
	bool yes = true;
	for (const node *o = n->args; o && left && yes; o = o->next) {
		const value *right = eval(c, o->a);
		if (!right)
			return NULL;
		c->line = o->line;
		yes = ctx_compare(c, o->op, left, right);
		if (c->status)
			return NULL;
		left = right;
	}
	return left ? value_bool(yes) : NULL;
}

/* Filters and tests; a filter over a block's text has N_HOLE at its end, evaluated to `hole`. */
static const value *eval_builtin(jinja_ctx *c, const node *n)
{
	jinja_args args;
	const value *self = eval(c, n->a);
	if (!self || !eval_args(c, n->args, &args))
		return NULL;
	c->line = n->line;
	return builtin_call(c, n->builtin, self, &args);
}

static const value *eval_attribute(jinja_ctx *c, const node *n)
{
	const value *base = eval(c, n->a), *index = base && n->kind == N_ITEM ? eval(c, n->b) : NULL;
	if (!base || (n->kind == N_ITEM && !index))
		return NULL;
	c->line = n->line;
	if (base->kind == VALUE_UNDEFINED)
		return ctx_fail(c, "'%.*s' is undefined", (int)(n->a->name.n < 64 ? n->a->name.n : 64), n->a->name.p ? n->a->name.p : "");
	return n->kind == N_ITEM ? ctx_item(c, base, index) : ctx_attr(c, base, n->name);
}

static const value *eval_slice(jinja_ctx *c, const node *n)
{
	const value *base = eval(c, n->a), *part[3] = {0};
	const node *nodes[3] = {n->b, n->c, n->d};
	for (int i = 0; i < 3 && base; i++) {
		part[i] = nodes[i] ? eval(c, nodes[i]) : value_none();
		if (!part[i])
			return NULL;
	}
	c->line = n->line;
	return base ? ctx_slice(c, base, part[0], part[1], part[2]) : NULL;
}

static const value *eval_kind(jinja_ctx *c, const node *n)
{
	const value *a, *b;
	switch (n->kind) {
	case N_LITERAL:
		return n->literal;
	case N_NAME:
		return eval_name(c, n);
	case N_LIST:
	case N_TUPLE:
		return eval_list(c, n);
	case N_DICT:
		return eval_dict(c, n);
	case N_UNARY:
		a = eval(c, n->a);
		return a ? ctx_unary(c, n->op, a) : NULL;
	case N_BINARY:
		a = eval(c, n->a);
		b = a ? eval(c, n->b) : NULL;
		c->line = n->line;
		return b ? ctx_binary(c, n->op, a, b) : NULL;
	case N_AND:
		a = eval(c, n->a);
		return a && value_truth(a) ? eval(c, n->b) : a;
	case N_OR:
		a = eval(c, n->a);
		return a && !value_truth(a) ? eval(c, n->b) : a;
	case N_NOT:
		a = eval(c, n->a);
		return a ? value_bool(!value_truth(a)) : NULL;
	case N_COMPARE:
		return eval_comparison(c, n);
	case N_COND:
		a = eval(c, n->a);
		return !a ? NULL : value_truth(a) ? eval(c, n->b) : n->c ? eval(c, n->c) : value_undefined();
	case N_ATTR:
	case N_ITEM:
		return eval_attribute(c, n);
	case N_SLICE:
		return eval_slice(c, n);
	case N_CALL:
		return eval_call(c, n);
	case N_FILTER:
	case N_TEST:
		return eval_builtin(c, n);
	default:
		return ctx_fail(c, "not an expression");
	}
}

static const value *eval(jinja_ctx *c, const node *n)
{
	c->line = n->line;
	if (c->depth >= JINJA_MAX_EVAL_DEPTH)
		return ctx_fail(c, "nested more than %d deep", JINJA_MAX_EVAL_DEPTH);
	if (!ctx_charge(c, 1))
		return NULL;
	c->depth++;
	const value *v = eval_kind(c, n);
	c->depth--;
	return v;
}

/* ---- statements ---- */

/* The filters of a block around its text: the innermost applies to the hole. */
static const value *eval_over_hole(jinja_ctx *c, const node *n, const value *hole)
{
	jinja_args args;
	if (!n || n->kind == N_HOLE)
		return hole;
	const value *self = eval_over_hole(c, n->a, hole);
	return self && eval_args(c, n->args, &args) ? builtin_call(c, n->builtin, self, &args) : NULL;
}

/* Runs a body in a scope of its own, keeping its text. */
static const value *capture_scoped(jinja_ctx *c, const node *n)
{
	scope *outer = c->scope;
	const value *v = ctx_scope_push(c, outer) ? capture(c, n->b) : NULL;
	c->scope = outer;
	return v ? eval_over_hole(c, n->c, v) : NULL;
}

static const value *emit_value(jinja_ctx *c, const value *v)
{
	text t;
	return v && ctx_str(c, v, &t) && ctx_emit(c, t) ? v : NULL;
}

static const value *run_if(jinja_ctx *c, const node *n)
{
	for (;;) {
		const value *condition = eval(c, n->a);
		if (!condition)
			return NULL;
		if (value_truth(condition))
			return ctx_run(c, n->b);
		if (!n->c || n->c->kind != N_IF || n->c->next)
			return ctx_run(c, n->c);
		n = n->c;
	}
}

/* The items that pass the loop's own `if`, so that loop.length and loop.last know about it. */
static const value_table *loop_items(jinja_ctx *c, const node *n, const value *over)
{
	c->line = n->line;
	const value_table *all = over ? ctx_items(c, over) : NULL;
	if (!all || !n->args)
		return all;
	value *kept = value_list(c->a);
	scope *outer = c->scope;
	for (size_t i = 0; kept && i < all->n; i++) {
		const value *pass = ctx_scope_push(c, outer) && assign(c, n->a, all->at[i].val) ? eval(c, n->args) : NULL;
		if (!pass || (value_truth(pass) && !value_push(c->a, kept, all->at[i].val)))
			kept = NULL;
	}
	c->scope = outer;
	return kept ? kept->t : NULL;
}

/* *whole: some round ran to its end, without break or continue. */
static const value *run_loop(jinja_ctx *c, const node *n, const value_table *items, int depth, bool *whole)
{
	scope *outer = c->scope;
	const value *ok = value_none();
	jinja_loop *state = arena_alloc(c->a, sizeof *state);
	value *loop = arena_alloc(c->a, sizeof *loop);
	if (!state || !loop)
		return NULL;
	*state = (jinja_loop){.items = items, .depth = depth, .node = n, .scope = outer};
	loop->kind = VALUE_LOOP;
	loop->loop = state;
	for (size_t i = 0; ok && i < items->n && c->flow != FLOW_BREAK; i++) {
		state->i = i;
		bool ready = ctx_charge(c, 1) && ctx_scope_push(c, outer) && scope_set(c, NAME_LOOP, loop) &&
		             assign(c, n->a, items->at[i].val);
		ok = ready ? ctx_run(c, n->c) : NULL;
		*whole = *whole || c->flow == FLOW_ON;
		if (c->flow == FLOW_CONTINUE)
			c->flow = FLOW_ON;
	}
	c->flow = FLOW_ON;
	c->scope = outer;
	return ok;
}

static const value *run_for(jinja_ctx *c, const node *n, const value *over, int depth)
{
	const value_table *items = loop_items(c, n, over);
	if (!items)
		return NULL;
	bool whole = false;
	const value *ok = run_loop(c, n, items, depth, &whole);
	if (!ok || whole)
		return ok;
	scope *outer = c->scope;
	ok = ctx_scope_push(c, outer) ? ctx_run(c, n->d) : NULL; /* Jinja's else is for loops without a whole round */
	c->scope = outer;
	return ok;
}

/* loop(items) in a recursive loop: the text of that loop over other items. */
static const value *call_loop(jinja_ctx *c, const jinja_loop *l, const jinja_args *args)
{
	if (!l->node->op || args->n != 1 || args->n_named)
		return ctx_fail(c, l->node->op ? "loop() takes what to go through" : "the loop is not recursive");
	if (c->depth >= JINJA_MAX_EVAL_DEPTH)
		return ctx_fail(c, "calls nested more than %d deep", JINJA_MAX_EVAL_DEPTH);
	scope *scope_here = c->scope;
	text_builder b = ctx_builder(c), *outer = c->capture;
	c->capture = &b;
	c->scope = l->scope;
	c->depth++;
	const value *ok = run_for(c, l->node, args->at[0], l->depth + 1);
	c->depth--;
	c->scope = scope_here;
	c->capture = outer;
	return ok ? ctx_text(c, &b) : NULL;
}

/* The values see what is outside, not one another. */
static const value *run_with(jinja_ctx *c, const node *n)
{
	scope *outer = c->scope;
	const value *ok = value_none();
	size_t count = 0, i = 0;
	for (const node *set = n->args; set; set = set->next)
		count++;
	const value **values = arena_array(c->a, count, sizeof *values);
	for (const node *set = n->args; set && values; set = set->next)
		if (!(values[i++] = eval(c, set->b)))
			return NULL;
	if (!values || !ctx_scope_push(c, outer))
		return NULL;
	i = 0;
	for (const node *set = n->args; set && ok; set = set->next)
		ok = assign(c, set->a, values[i++]) ? ok : NULL;
	ok = ok ? ctx_run(c, n->b) : NULL;
	c->scope = outer;
	return ok;
}

static const value *run_statement(jinja_ctx *c, const node *n)
{
	const value *v;
	switch (n->kind) {
	case N_TEXT:
		return ctx_emit(c, n->literal->s) ? n->literal : NULL;
	case N_PRINT:
		return emit_value(c, eval(c, n->a));
	case N_IF:
		return run_if(c, n);
	case N_FOR:
		return run_for(c, n, eval(c, n->b), 0);
	case N_SET:
		v = eval(c, n->b);
		return v && assign(c, n->a, v) ? v : NULL;
	case N_SET_BLOCK:
		v = capture_scoped(c, n);
		return v && assign(c, n->a, v) ? v : NULL;
	case N_MACRO:
		v = ctx_callable(c, (jinja_callable){.macro = n, .scope = c->scope});
		return v && scope_set(c, n->id, v) ? v : NULL;
	case N_CALL_BLOCK:
		return run_call_block(c, n);
	case N_FILTER_BLOCK:
		return emit_value(c, capture_scoped(c, n));
	case N_WITH:
		return run_with(c, n);
	case N_BREAK:
		c->flow = FLOW_BREAK;
		return value_none();
	case N_CONTINUE:
		c->flow = FLOW_CONTINUE;
		return value_none();
	default:
		return ctx_fail(c, "not a statement");
	}
}

const value *ctx_run(jinja_ctx *c, const node *body)
{
	const value *ok = value_none();
	if (c->depth >= JINJA_MAX_EVAL_DEPTH)
		return ctx_fail(c, "nested more than %d deep", JINJA_MAX_EVAL_DEPTH);
	c->depth++;
	for (const node *n = body; n && ok && c->flow == FLOW_ON; n = n->next) {
		c->line = n->line;
		ok = ctx_charge(c, 1) ? run_statement(c, n) : NULL;
	}
	c->depth--;
	return ok;
}
