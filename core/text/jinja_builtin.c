#include "text/jinja_builtin.h"

#include "text/jinja_ctx.h"

const builtin *builtin_find(const builtin *table, size_t n, str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(str_of(table[i].name), name))
			return &table[i];
	return NULL;
}

/* Puts the arguments in the order of the parameter list ("a! b c"). */
static bool bind_params(jinja_ctx *c, const builtin *fn, const jinja_args *args, const value *argv[JINJA_MAX_PARAMS])
{
	size_t i = 0, used = 0;
	for (const char *p = fn->params; *p; i++) {
		size_t n = strcspn(p, " ");
		bool required = p[n - 1] == '!';
		str name = {p, n - required};
		argv[i] = i < args->n ? args->at[i] : NULL;
		used += i < args->n;
		for (size_t k = 0; k < args->n_named; k++) {
			if (str_eq(text_str(args->names[k]), name) && !argv[i]) {
				argv[i] = args->named[k];
				used++;
			}
		}
		if (required && !argv[i])
			return ctx_fail(c, "'%s' needs an argument '%.*s'", fn->name, (int)name.n, name.p);
		p += n + (p[n] == ' ');
	}
	if (used != args->n + args->n_named)
		return ctx_fail(c, "'%s' does not take these arguments", fn->name);
	return true;
}

const value *builtin_call(jinja_ctx *c, const builtin *fn, const value *self, const jinja_args *args)
{
	const value *argv[JINJA_MAX_PARAMS] = {0};
	if (strcmp(fn->params, "*") && !bind_params(c, fn, args, argv))
		return NULL;
	return fn->fn(c, self, argv, args);
}
