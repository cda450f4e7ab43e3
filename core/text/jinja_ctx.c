#include "text/jinja_ctx.h"

#include "base/error.h"
#include "text/jinja.h"
#include "text/unicode.h"

const value *ctx_fail(jinja_ctx *c, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	if (c->status)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	c->why = arena_strndup(c->a, why, strlen(why));
	c->status = error_set(c->err, SN_ERR_INVALID, "chat template, line %d: %s", c->line, why);
	return NULL;
}

bool ctx_charge(jinja_ctx *c, size_t steps)
{
	c->steps = steps > JINJA_MAX_STEPS ? JINJA_MAX_STEPS + 1 : c->steps + steps;
	if (c->steps > JINJA_MAX_STEPS)
		ctx_fail(c, "more than %d steps", JINJA_MAX_STEPS);
	return !c->status;
}

/* ---- strings ---- */

static bool builder_reserve(text_builder *b, size_t n)
{
	if (b->failed || n > SIZE_MAX / 4)
		return !(b->failed = true);
	if (b->cap - b->n >= n)
		return true;
	size_t cap = b->cap ? b->cap : 32;
	while (cap - b->n < n)
		cap *= 2;
	char *p = arena_alloc(b->a, cap);
	uint8_t *marks = arena_alloc(b->a, cap);
	if (!p || !marks)
		return !(b->failed = true);
	if (b->n) {
		memcpy(p, b->p, b->n);
		memcpy(marks, b->marks, b->n);
	}
	b->p = p;
	b->marks = marks;
	b->cap = cap;
	return true;
}

void put_text(text_builder *b, text t)
{
	if (t.n == 0 || !builder_reserve(b, t.n))
		return;
	memcpy(b->p + b->n, t.p, t.n);
	if (t.marks)
		memcpy(b->marks + b->n, t.marks, t.n);
	else
		memset(b->marks + b->n, t.trusted, t.n);
	b->n += t.n;
}

void put_str(text_builder *b, str s, bool trusted)
{
	put_text(b, (text){.p = s.p, .n = s.n, .trusted = trusted});
}

text_builder ctx_builder(jinja_ctx *c)
{
	return (text_builder){.a = c->a};
}

const value *ctx_text(jinja_ctx *c, const text_builder *b)
{
	return b->failed || c->status ? NULL : value_text(c->a, (text){.p = b->n ? b->p : "", .marks = b->marks, .n = b->n, .trusted = true});
}

const value *ctx_text_like(jinja_ctx *c, const text_builder *b, text like)
{
	const value *v = ctx_text(c, b);
	text t = v ? v->s : (text){0};
	t.markup = true;
	return v && like.markup ? value_text(c->a, t) : v;
}

bool ctx_emit(jinja_ctx *c, text t)
{
	if (c->capture) {
		put_text(c->capture, t);
		return !c->capture->failed;
	}
	if (t.n > c->out_limit - c->out->bytes.n)
		return ctx_fail(c, "more than %zu bytes of output", JINJA_MAX_OUTPUT);
	for (size_t i = 0, end; i < t.n; i = end) {
		bool trusted = text_trusted(t, i);
		for (end = t.marks ? i + 1 : t.n; end < t.n && text_trusted(t, end) == trusted;)
			end++;
		if (!marked_append(c->out, t.p + i, end - i, trusted))
			return false;
	}
	return true;
}

/* ---- sequences ---- */

static const value *characters(jinja_ctx *c, text t)
{
	value *list = value_list(c->a);
	t.markup = false;
	for (size_t i = 0, len; list && i < t.n; i += len) {
		len = utf8_step(t.p + i, t.n - i);
		if (!value_push(c->a, list, value_text(c->a, text_slice(t, i, i + len))))
			return NULL;
	}
	return list;
}

static const value *keys(jinja_ctx *c, const value *dict)
{
	value *list = value_list(c->a);
	for (size_t i = 0; list && i < dict->t->n; i++)
		if (!value_push(c->a, list, dict->t->at[i].key))
			return NULL;
	return list;
}

const value *ctx_deferred(jinja_ctx *c)
{
	value *v = value_generator(c->a);
	if (c->status != SN_ERR_INVALID || c->steps > JINJA_MAX_STEPS || !v)
		return NULL;
	v->t->error = c->why;
	c->status = SN_OK;
	c->why = NULL;
	return v;
}

const value *generator_next(jinja_ctx *c, const value *v)
{
	value_table *t = v->t;
	if (t->error)
		ctx_fail(c, "%s", t->error);
	if (t->n == 0 || t->error)
		return NULL;
	t->n--;
	t->cap--;
	return t->at++->val;
}

static const value_table *take_all(jinja_ctx *c, value_table *t)
{
	value_table *all = arena_alloc(c->a, sizeof *all);
	if (all) {
		*all = *t;
		t->n = 0;
	}
	return all;
}

const value_table *ctx_items(jinja_ctx *c, const value *v)
{
	const value *list;
	switch (v->kind) {
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_RANGE:
	case VALUE_VIEW:
		return v->t;
	case VALUE_GENERATOR:
		if (!v->t->error)
			return take_all(c, v->t);
		ctx_fail(c, "%s", v->t->error);
		return NULL;
	case VALUE_UNDEFINED:
		list = value_list(c->a);
		break;
	case VALUE_DICT:
		list = keys(c, v);
		break;
	case VALUE_STRING:
		list = ctx_charge(c, v->s.n) ? characters(c, v->s) : NULL;
		break;
	default:
		list = ctx_fail(c, "'%s' is not iterable", value_type_name(v));
		break;
	}
	return list ? list->t : NULL;
}

const value *ctx_callable(jinja_ctx *c, jinja_callable callable)
{
	jinja_callable *copy = arena_alloc(c->a, sizeof *copy);
	value *v = arena_alloc(c->a, sizeof *v);
	if (!copy || !v)
		return NULL;
	*copy = callable;
	v->kind = VALUE_CALLABLE;
	v->fn = copy;
	return v;
}
