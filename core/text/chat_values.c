/* chat_values.c - a conversation as a template's variables, in the form that the template takes. */
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "text/chat_inside.h"

/* ---- values of clients ---- */

static const value *value_of(arena *a, const sn_value *v)
{
	value *out;
	switch (v->kind) {
	case SN_VALUE_NULL:
		return value_none();
	case SN_VALUE_BOOL:
		return value_bool(v->b);
	case SN_VALUE_INT:
		return value_int(a, v->i);
	case SN_VALUE_REAL:
		return value_float(a, v->real);
	case SN_VALUE_STRING:
		return value_string(a, (str){v->string, v->n}, false);
	case SN_VALUE_LIST:
		out = value_list(a);
		for (size_t i = 0; i < v->n; i++)
			if (!value_push(a, out, value_of(a, &v->items[i])))
				return NULL;
		return out;
	case SN_VALUE_DICT:
		out = value_dict(a);
		for (size_t i = 0; i < v->n; i++)
			if (!value_put(a, out, value_of(a, &v->items[2 * i]), value_of(a, &v->items[2 * i + 1])))
				return NULL;
		return out;
	}
	return NULL;
}

static const value *var_value(arena *a, const sn_chat_var *var)
{
	bool whole = var->number == (double)(int64_t)var->number;
	if (var->kind == SN_VAR_BOOL)
		return value_bool(var->b);
	if (var->kind == SN_VAR_STRING)
		return value_string(a, str_of(var->string), false);
	return whole ? value_int(a, (int64_t)var->number) : value_float(a, var->number);
}

/* ---- texts and media ---- */

static const chat_marker *marker_of(const chat_options *o, const char *kind_name)
{
	for (size_t i = 0; kind_name && i < o->n_markers; i++)
		if (!strcmp(o->markers[i].kind_name, kind_name))
			return &o->markers[i];
	return NULL;
}

/* The marker that has to be put in for the part, as the template does not write it; empty for the others. */
static str marker_to_put(const rendering *r, const sn_part *part)
{
	const chat_marker *m = part->kind == SN_PART_MEDIA ? marker_of(r->options, part->kind_name) : NULL;
	return m && !m->in_template ? m->marker : (str){0};
}

static const value *text_part(const rendering *r, const value *words)
{
	value *v = value_dict(r->a);
	bool ok = value_set(r->a, v, "type", value_string(r->a, STR("text"), true)) && value_set(r->a, v, "text", words);
	return ok ? v : NULL;
}

static const value *part_value(const rendering *r, const sn_part *part)
{
	str marker = marker_to_put(r, part);
	if (part->kind == SN_PART_TEXT || marker.n)
		return text_part(r, marker.n ? value_string(r->a, marker, true) : value_string(r->a, (str){part->data, part->size}, false));
	value *v = value_dict(r->a);
	return value_set(r->a, v, "type", value_string(r->a, str_of(part->kind_name), true)) ? v : NULL;
}

static const value *parts_value(const rendering *r, const value *before, const sn_part *parts, size_t n)
{
	value *list = value_list(r->a);
	if (before && !value_push(r->a, list, text_part(r, before)))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!value_push(r->a, list, part_value(r, &parts[i])))
			return NULL;
	return list;
}

/* Strings one after another, each with its marks. */
static const value *string_join(const rendering *r, const value *const *at, size_t n)
{
	size_t total = 0, end = 0;
	for (size_t i = 0; i < n; i++) {
		if (!at[i])
			return NULL;
		total += at[i]->s.n;
	}
	char *p = arena_alloc(r->a, total + 1);
	uint8_t *marks = arena_alloc(r->a, total + 1); /* zeroed: nothing is trusted */
	if (!p || !marks)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const text *t = &at[i]->s;
		if (!t->n)
			continue;
		memcpy(p + end, t->p, t->n);
		if (t->marks)
			memcpy(marks + end, t->marks, t->n);
		else
			memset(marks + end, t->trusted, t->n);
		end += t->n;
	}
	return value_text(r->a, (text){.p = p, .marks = marks, .n = total});
}

/* All parts in one string: a line for each text, the markers of media right before the text that follows them. */
static const value *joined_value(const rendering *r, const value *before, const sn_part *parts, size_t n)
{
	const value **at = arena_array(r->a, 2 * n + 1, sizeof *at);
	size_t k = 0;
	if (!at)
		return NULL;
	if (before)
		at[k++] = before;
	for (size_t i = 0; i < n; i++) {
		bool is_text = parts[i].kind == SN_PART_TEXT;
		if (i && parts[i - 1].kind == SN_PART_TEXT)
			at[k++] = value_string(r->a, STR("\n"), false);
		at[k++] = value_string(r->a, is_text ? (str){parts[i].data, parts[i].size} : marker_to_put(r, &parts[i]), !is_text);
	}
	return string_join(r, at, k);
}

/* before: a string that comes first, or NULL. */
static const value *content_value(const rendering *r, const sn_message *m, const value *before)
{
	static const sn_part empty = {.kind = SN_PART_TEXT, .data = ""};
	const sn_part *parts = m->n_parts ? m->parts : &empty;
	size_t n = m->n_parts ? m->n_parts : before ? 0 : 1;
	bool as_string = r->caps.strings && (m->is_string || m->no_content || !r->caps.lists);
	if (m->no_content && !before && r->caps.null_content)
		return value_none();
	return as_string ? joined_value(r, before, parts, n) : parts_value(r, before, parts, n);
}

/* ---- tools ---- */

/* Some templates refuse ids that are not of nine letters and digits: others are named by their place. */
static const value *id_value(const rendering *r, const char *id, const sn_message *messages, size_t n)
{
	static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned number = 0;
	if (!r->caps.short_ids || (strlen(id) == 9 && strspn(id, plain) == 9))
		return value_string(r->a, str_of(id), false);
	for (size_t m = 0; m < n; m++)
		for (size_t c = 0; c < messages[m].n_calls; c++, number++)
			if (!strcmp(messages[m].calls[c].id, id))
				goto found;
found:;
	char *name = arena_alloc(r->a, 16);
	if (!name)
		return NULL;
	snprintf(name, 16, "call%05u", number % 100000);
	return value_string(r->a, str_of(name), true);
}

static const value *call_value(const rendering *r, const sn_tool_call *c, const sn_message *messages, size_t n)
{
	value *function = value_dict(r->a), *call = value_dict(r->a);
	const value *arguments = r->caps.arguments_as_text ? value_string(r->a, (str){c->text, c->size}, false) : value_of(r->a, &c->arguments);
	bool ok = value_set(r->a, function, "name", value_string(r->a, str_of(c->name), false)) && value_set(r->a, function, "arguments", arguments) &&
	          value_set(r->a, call, "id", id_value(r, c->id, messages, n)) &&
	          value_set(r->a, call, "type", value_string(r->a, STR("function"), true)) && value_set(r->a, call, "function", function);
	return ok ? call : NULL;
}

static bool set_calls(const rendering *r, value *m, const sn_message *all, size_t n, size_t i)
{
	value *calls = value_list(r->a);
	for (size_t c = 0; c < all[i].n_calls; c++)
		if (!value_push(r->a, calls, call_value(r, &all[i].calls[c], all, n)))
			return false;
	return value_set(r->a, m, "tool_calls", calls);
}

/* ---- tools in templates that know none: told in words ---- */

static const value *small_render(const rendering *r, const jinja *t, const value *globals)
{
	marked_text m;
	const value *out = NULL;
	marked_init(&m, 0);
	if (globals && !jinja_render(t, globals, 0, &m, NULL)) {
		char *p = arena_strndup(r->a, m.bytes.n ? m.bytes.p : "", m.bytes.n);
		uint8_t *marks = arena_alloc(r->a, m.bytes.n + 1);
		for (size_t i = 0; marks && i < m.n_trusted; i++)
			memset(marks + m.trusted[i].begin, 1, m.trusted[i].end - m.trusted[i].begin);
		out = p && marks ? value_text(r->a, (text){.p = p, .marks = marks, .n = m.bytes.n}) : NULL;
	}
	marked_fini(&m);
	return out;
}

static const value *told_tools(const rendering *r)
{
	value *g = value_dict(r->a);
	return value_set(r->a, g, "tools", value_of(r->a, r->options->tools)) ? small_render(r, r->fold->tell, g) : NULL;
}

/* What the assistant said, and its calls behind. */
static const value *told_calls(const rendering *r, const sn_message *m)
{
	const value **at = arena_array(r->a, 2 * m->n_calls + 1, sizeof *at);
	size_t k = 0;
	if (!at)
		return NULL;
	if (m->n_parts) {
		at[k++] = joined_value(r, NULL, m->parts, m->n_parts);
		if (at[0] && !at[0]->s.n)
			k = 0;
	}
	for (size_t i = 0; i < m->n_calls; i++) {
		value *g = value_dict(r->a);
		bool ok = value_set(r->a, g, "name", value_string(r->a, str_of(m->calls[i].name), false)) &&
		          value_set(r->a, g, "arguments", value_of(r->a, &m->calls[i].arguments));
		if (k)
			at[k++] = value_string(r->a, STR("\n"), true);
		at[k++] = ok ? small_render(r, r->fold->call, g) : NULL;
	}
	return string_join(r, at, k);
}

static const value *told_result(const rendering *r, const sn_message *m)
{
	value *g = value_dict(r->a);
	bool ok = value_set(r->a, g, "name", m->name ? value_string(r->a, str_of(m->name), false) : value_none()) &&
	          value_set(r->a, g, "content", joined_value(r, NULL, m->parts, m->n_parts));
	return ok ? small_render(r, r->fold->result, g) : NULL;
}

/* The results from messages[i] on, in one turn of the user. */
static const value *told_results(const rendering *r, const sn_message *messages, size_t n)
{
	const value **at = arena_array(r->a, 2 * n, sizeof *at);
	size_t k = 0;
	for (size_t i = 0; at && i < n; i++) {
		if (i)
			at[k++] = value_string(r->a, STR("\n"), true);
		at[k++] = told_result(r, &messages[i]);
	}
	return at ? string_join(r, at, k) : NULL;
}

/* ---- messages ---- */

static const value *as_content(const rendering *r, const value *string)
{
	return r->caps.strings ? string : string ? parts_value(r, string, NULL, 0) : NULL;
}

static bool push_message(const rendering *r, value *list, const char *role, const value *content, value **out)
{
	*out = value_dict(r->a);
	return value_set(r->a, *out, "role", value_string(r->a, str_of(role), false)) && value_set(r->a, *out, "content", content) &&
	       value_push(r->a, list, *out);
}

static size_t results_from(const sn_message *messages, size_t n, size_t i)
{
	size_t end = i;
	while (end < n && !strcmp(messages[end].role, "tool"))
		end++;
	return end - i;
}

/* What a message has beside role and content. */
static bool set_rest(const rendering *r, value *m, const sn_message *all, size_t n, size_t i, bool calls_are_told)
{
	const sn_message *from = &all[i];
	bool ok = !from->n_calls || calls_are_told || set_calls(r, m, all, n, i);
	if (ok && from->thinking)
		ok = value_set(r->a, m, "reasoning_content", value_string(r->a, (str){from->thinking, from->thinking_size}, false));
	if (ok && from->call_id)
		ok = value_set(r->a, m, "tool_call_id", id_value(r, from->call_id, all, n));
	if (ok && from->name)
		ok = value_set(r->a, m, "name", value_string(r->a, str_of(from->name), false));
	return ok;
}

static const value *messages_value(const rendering *r, const sn_message *messages, size_t n)
{
	static const chat_fold nothing = {.tell = NULL};
	const chat_fold *fold = r->fold ? r->fold : &nothing;
	const bool tells = r->options->tools && fold->tell;
	const value *told = tells ? told_tools(r) : NULL;
	value *list = value_list(r->a), *m;
	if (tells && !told)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const sn_message *from = &messages[i];
		size_t results = fold->result ? results_from(messages, n, i) : 0;
		bool calls = from->n_calls && fold->call, takes = told && !results && strcmp(from->role, "assistant") != 0;
		const value *content = results ? as_content(r, told_results(r, messages + i, results))
		                       : calls ? as_content(r, told_calls(r, from))
		                               : content_value(r, from, takes ? told : NULL);
		if (!push_message(r, list, results ? "user" : from->role, content, &m) || (!results && !set_rest(r, m, messages, n, i, calls)))
			return NULL;
		told = takes ? NULL : told;
		i += results ? results - 1 : 0;
	}
	return list;
}

/* ---- the whole ---- */

/* Where no vocabulary is known, as in a probe, they are empty, so that a template which joins one to a text renders. */
static bool set_token(const rendering *r, value *globals, const char *name, int32_t (*id_of)(const vocab *))
{
	int32_t id = r->v ? id_of(r->v) : -1;
	return (r->v && id < 0) || value_set(r->a, globals, name, value_string(r->a, r->v ? vocab_token(r->v, id) : (str){0}, true));
}

const value *chat_globals(const rendering *r, const sn_message *messages, size_t n)
{
	value *g = value_dict(r->a);
	const sn_value *tools = r->fold && r->fold->tell ? NULL : r->options->tools;
	bool ok = value_set(r->a, g, "messages", messages_value(r, messages, n)) &&
	          value_set(r->a, g, "add_generation_prompt", value_bool(r->options->add_generation_prompt)) &&
	          value_set(r->a, g, "tools", value_none()) && value_set(r->a, g, "documents", value_none());
	if (tools)
		ok = ok && value_set(r->a, g, r->caps.tools_variable ? r->caps.tools_variable : "tools", value_of(r->a, tools));
	ok = ok && set_token(r, g, "bos_token", vocab_bos) && set_token(r, g, "eos_token", vocab_eos) && set_token(r, g, "unk_token", vocab_unk);
	for (size_t i = 0; i < r->options->n_vars; i++)
		ok = ok && value_set(r->a, g, r->options->vars[i].name, var_value(r->a, &r->options->vars[i]));
	return ok ? g : NULL;
}

sn_status chat_render_with(const jinja *t, rendering r, const sn_message *messages, size_t n, marked_text *out, sn_error *err)
{
	r.a = arena_open(0);
	const value *globals = r.a ? chat_globals(&r, messages, n) : NULL;
	sn_status s = globals ? jinja_render(t, globals, (int64_t)time(NULL), out, err)
	                      : error_set(err, SN_ERR_NOMEM, "out of memory while rendering the chat template");
	arena_close(&r.a);
	return s;
}
