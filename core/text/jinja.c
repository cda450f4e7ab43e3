#include "text/jinja.h"

#include "text/jinja_ctx.h"
#include "text/jinja_parse.h"

struct jinja {
	arena *a; /* holds this too */
	const node *body;
};

sn_status jinja_open(jinja **out, str source, sn_error *err)
{
	*out = NULL;
	if (source.n > JINJA_MAX_SOURCE)
		return error_set(err, SN_ERR_TOO_LARGE, "chat template: more than %zu bytes", JINJA_MAX_SOURCE);
	arena *a = arena_open(0);
	jinja *t = a ? arena_alloc(a, sizeof *t) : NULL;
	if (!t) {
		arena_close(&a);
		return error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	}
	t->a = a;
	sn_status s = jinja_parse(a, source, &t->body, err);
	if (s)
		arena_close(&a);
	else
		*out = t;
	return s;
}

bool jinja_has_function(str name)
{
	return jinja_function_find(name) != NULL;
}

void jinja_close(jinja **t)
{
	if (!*t)
		return;
	arena *a = (*t)->a;
	arena_close(&a);
	*t = NULL;
}

sn_status jinja_render(const jinja *t, const value *globals, int64_t now, marked_text *out, sn_error *err)
{
	arena *a = arena_open(JINJA_MAX_MEMORY);
	if (!a)
		return error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	jinja_ctx c = {.a = a, .globals = globals, .now = now, .out = out, .err = err, .line = 1};
	c.out_limit = out->bytes.n + JINJA_MAX_OUTPUT;
	const value *ok = ctx_scope_push(&c, NULL) ? ctx_run(&c, t->body) : NULL;
	if (!ok && (arena_starved(a) || out->bytes.failed)) /* its own limit is far above ours */
		c.status = error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	else if (!ok)
		ctx_fail(&c, "needs too much memory or output");
	arena_close(&a);
	return c.status;
}
