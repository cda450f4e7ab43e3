/* jinja_builtin.h - what templates can call: filters, "is" tests, methods, functions. Each is a row of a table, found by
 * name when the template is parsed, so that an unknown name never gets as far as rendering.
 *
 * params lists the parameter names; "!" after one: required; "*" as the whole list: the function looks at `all` itself. */
#ifndef SN_TEXT_JINJA_BUILTIN_H
#define SN_TEXT_JINJA_BUILTIN_H

#include "text/jinja_ast.h"

#define JINJA_MAX_PARAMS 5

typedef struct jinja_ctx jinja_ctx;

typedef struct jinja_args {
	const value **at; /* [n] positional */
	size_t n;
	const text *names; /* [n_named]; with their marks, since **unpacking takes them from a dict */
	const value **named;
	size_t n_named;
} jinja_args;

/* argv[i]: the i-th parameter's value or NULL. NULL on failure (the context knows why, or memory is short). */
typedef const value *builtin_fn(jinja_ctx *c, const value *self, const value *const *argv, const jinja_args *all);

/* Head of such a function; few look at all four arguments. */
#define BUILTIN_ARGS                                                                                   \
	__attribute__((unused)) jinja_ctx *c, __attribute__((unused)) const value *self,               \
		__attribute__((unused)) const value *const *argv, __attribute__((unused)) const jinja_args *all
#define BUILTIN(name) static const value *name(BUILTIN_ARGS)

typedef struct builtin {
	const char *name;
	builtin_fn *fn;
	const char *params;
} builtin;

const builtin *jinja_filter_find(str name);
const builtin *jinja_list_filter_find(str name); /* for jinja_filter_find */
const builtin *jinja_test_find(str name);
const builtin *jinja_function_find(str name);
/* Some type has a method of this name. */
bool jinja_method_known(str name);
/* The method of this value's type, or NULL. */
const builtin *jinja_method_find(const value *self, str name);

/* Binds the arguments to the parameters and calls. */
const value *builtin_call(jinja_ctx *c, const builtin *fn, const value *self, const jinja_args *args);

/* For the tables above. */
const builtin *builtin_find(const builtin *table, size_t n, str name);
#define BUILTIN_FIND(table, name) builtin_find((table), sizeof(table) / sizeof *(table), (name))

#endif
