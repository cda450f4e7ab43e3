/* jinja_ctx.h - one rendering: its memory, limits, scopes and error; and what operators, filters, tests and methods
 * share. Functions that return a value return NULL on failure: either ctx_fail has told why, or memory is short
 * (the arena's limit); callers only pass the NULL on. */
#ifndef SN_TEXT_JINJA_CTX_H
#define SN_TEXT_JINJA_CTX_H

#include "base/arena.h"
#include "core.h"
#include "text/jinja_builtin.h"
#include "text/marked.h"

/* A string under construction, with its marks. Once failed it stays so. */
typedef struct text_builder {
	arena *a;
	char *p;
	uint8_t *marks;
	size_t n, cap;
	bool failed;
} text_builder;

void put_text(text_builder *b, text t);
void put_str(text_builder *b, str s, bool trusted);

typedef struct scope_var {
	int id;
	const value *v;
	struct scope_var *next;
} scope_var;

typedef struct scope {
	scope_var *vars;
	struct scope *parent;
} scope;

typedef struct jinja_loop {
	const value_table *items;
	size_t i;
	int depth;            /* of recursion, from 0 */
	const node *node;     /* N_FOR */
	scope *scope;         /* around the loop */
	const value *changed; /* what loop.changed() saw last, or NULL */
} jinja_loop;

typedef struct jinja_callable {
	const builtin *fn;   /* a function or method, or NULL */
	const value *self;   /* the method's object, a joiner's state */
	const node *macro;   /* N_MACRO or N_CALL_BLOCK */
	scope *scope;        /* where the macro was made */
} jinja_callable;

typedef enum jinja_flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } jinja_flow;

struct jinja_ctx {
	arena *a;
	const value *globals;
	int64_t now;
	marked_text *out;
	size_t out_limit;      /* bytes.n may not grow past it */
	text_builder *capture; /* where text goes instead of out, inside macros and block sets */
	scope *scope;
	size_t steps;
	int depth, line;
	jinja_flow flow;
	sn_status status;
	const char *why; /* the error without its line */
	sn_error *err;
};

/* ---- jinja_ctx.c ---- */
const value *ctx_fail(jinja_ctx *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Counts work; false once there was too much. */
bool ctx_charge(jinja_ctx *c, size_t steps);
text_builder ctx_builder(jinja_ctx *c);
const value *ctx_text(jinja_ctx *c, const text_builder *b);
/* The same, as Python's Markup if `like` is. */
const value *ctx_text_like(jinja_ctx *c, const text_builder *b, text like);
bool ctx_emit(jinja_ctx *c, text t);
/* What a for loop sees: a list's items, a dict's keys, a string's characters, nothing for undefined. A generator is used
 * up by it. */
const value_table *ctx_items(jinja_ctx *c, const value *v);
/* The next item of a generator, NULL at its end or on failure. */
const value *generator_next(jinja_ctx *c, const value *v);
/* A generator that fails when it is walked: as Python's are, errors in it come no sooner. Takes the failure from the
 * context; NULL where that is final (limits, memory). */
const value *ctx_deferred(jinja_ctx *c);
const value *ctx_callable(jinja_ctx *c, jinja_callable callable);

/* ---- jinja_ops.c ---- */
const value *ctx_binary(jinja_ctx *c, int op, const value *a, const value *b);
const value *ctx_unary(jinja_ctx *c, int op, const value *a);
bool ctx_equal(jinja_ctx *c, const value *a, const value *b);
/* <0, 0, >0; fails for what Python cannot order. */
int ctx_order(jinja_ctx *c, const value *a, const value *b);
/* op as in N_OPERAND. Look at c->status for failure. */
bool ctx_compare(jinja_ctx *c, int op, const value *a, const value *b);
const value *ctx_attr(jinja_ctx *c, const value *v, str name);
const value *ctx_item(jinja_ctx *c, const value *v, const value *index);
const value *ctx_slice(jinja_ctx *c, const value *v, const value *start, const value *stop, const value *step);
bool value_hashable(const value *v); /* can be a dict's key, or stand in a set */
const value *dict_find(jinja_ctx *c, const value *dict, const value *key);
bool number_of(const value *v, double *f);
bool integer_of(const value *v, int64_t *i); /* int or bool */

/* ---- jinja_repr.c ---- */
bool put_value(jinja_ctx *c, text_builder *b, const value *v); /* str(v) */
bool put_repr(jinja_ctx *c, text_builder *b, const value *v);  /* repr(v) */
typedef struct json_style {
	const text *indent; /* of one level; NULL: all on one line */
	bool sort_keys, ascii;
	text comma, colon;
} json_style;
bool put_json(jinja_ctx *c, text_builder *b, const value *v, const json_style *style);
/* str(v); false on failure. A string is itself, without a copy. */
bool ctx_str(jinja_ctx *c, const value *v, text *out);

/* ---- jinja_functions.c ---- */
const value *ctx_range(jinja_ctx *c, int64_t start, int64_t stop, int64_t step);

/* ---- jinja_format.c ---- */
const value *ctx_printf(jinja_ctx *c, text format, const value *arg);                   /* format % arg */
const value *ctx_format(jinja_ctx *c, text format, const jinja_args *args);             /* format.format(...) */

/* ---- jinja_eval.c ---- */
const value *ctx_call(jinja_ctx *c, const value *callee, const jinja_args *args);
bool ctx_scope_push(jinja_ctx *c, scope *parent);
const value *ctx_run(jinja_ctx *c, const node *body); /* any value, NULL on failure */

#endif
