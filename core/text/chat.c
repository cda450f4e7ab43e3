#include "text/chat.h"

#include "text/jinja.h"

#include <stdlib.h>
#include <time.h>

#include "base/error.h"

struct chat_template {
	jinja *t;
	chat_caps caps;
};

static const char *const roles[] = {"system", "user", "assistant", "tool", "developer"};

/* ---- values ---- */

typedef struct markers {
	const chat_marker *list;
	size_t n;
} markers;

static const value *part_value(arena *a, const markers *foreign, const sn_part *part)
{
	value *v = value_dict(a);
	bool is_text = part->kind == SN_PART_TEXT;
	for (size_t i = 0; !is_text && part->kind_name && i < foreign->n; i++)
		if (strcmp(foreign->list[i].kind_name, part->kind_name) == 0)
			return value_set(a, v, "type", value_string(a, STR("text"), true)) &&
			               value_set(a, v, "text", value_string(a, foreign->list[i].marker, true)) ? v : NULL;
	const char *kind = is_text ? "text" : part->kind_name ? part->kind_name : "";
	bool ok = value_set(a, v, "type", value_string(a, str_of(kind), true));
	if (is_text)
		ok = ok && value_set(a, v, "text", value_string(a, (str){part->data, part->size}, false));
	return ok ? v : NULL;
}

static const value *parts_value(arena *a, const markers *foreign, const sn_part *parts, size_t n)
{
	value *list = value_list(a);
	for (size_t i = 0; i < n; i++)
		if (!value_push(a, list, part_value(a, foreign, &parts[i])))
			return NULL;
	return list;
}

/* All text parts in one string, a line each. */
static const value *joined_value(arena *a, const sn_part *parts, size_t n)
{
	size_t total = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		total += parts[i].size + 1;
	char *p = arena_alloc(a, total + 1);
	if (!p)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (i)
			p[at++] = '\n';
		if (parts[i].size)
			memcpy(p + at, parts[i].data, parts[i].size);
		at += parts[i].size;
	}
	return value_string(a, (str){p, at}, false);
}

static const value *content_value(arena *a, chat_caps caps, const markers *foreign, const sn_message *m)
{
	static const sn_part empty = {.kind = SN_PART_TEXT, .data = ""};
	const sn_part *parts = m->n_parts ? m->parts : &empty;
	size_t n = m->n_parts ? m->n_parts : 1;
	bool as_string = caps.strings && (m->is_string || !caps.lists);
	return as_string ? joined_value(a, parts, n) : parts_value(a, foreign, parts, n);
}

static const value *messages_value(arena *a, chat_caps caps, const markers *foreign, const sn_message *messages, size_t n)
{
	value *list = value_list(a);
	for (size_t i = 0; i < n; i++) {
		value *m = value_dict(a);
		bool ok = value_set(a, m, "role", value_string(a, str_of(messages[i].role), false)) &&
		          value_set(a, m, "content", content_value(a, caps, foreign, &messages[i])) && value_push(a, list, m);
		if (!ok)
			return NULL;
	}
	return list;
}

static bool set_token(arena *a, value *globals, const char *name, const vocab *v, int32_t id)
{
	return id < 0 || value_set(a, globals, name, value_string(a, vocab_token(v, id), true));
}

static const value *globals_value(arena *a, chat_caps caps, const markers *foreign, const vocab *v, const sn_message *messages, size_t n,
                                  bool add_generation_prompt)
{
	value *g = value_dict(a);
	bool ok = value_set(a, g, "messages", messages_value(a, caps, foreign, messages, n)) &&
	          value_set(a, g, "add_generation_prompt", value_bool(add_generation_prompt)) &&
	          value_set(a, g, "tools", value_none()) && value_set(a, g, "documents", value_none());
	if (v)
		ok = ok && set_token(a, g, "bos_token", v, vocab_bos(v)) && set_token(a, g, "eos_token", v, vocab_eos(v)) &&
		     set_token(a, g, "unk_token", v, vocab_unk(v));
	return ok ? g : NULL;
}

/* caps here: the form in which contents are passed. */
static sn_status render(const jinja *t, chat_caps caps, const markers *foreign, const vocab *v, const sn_message *messages, size_t n,
                        bool add_generation_prompt, marked_text *out, sn_error *err)
{
	arena *a = arena_open(0);
	const value *globals = a ? globals_value(a, caps, foreign, v, messages, n, add_generation_prompt) : NULL;
	sn_status s = globals ? jinja_render(t, globals, (int64_t)time(NULL), out, err)
	                      : error_set(err, SN_ERR_NOMEM, "out of memory while rendering the chat template");
	arena_close(&a);
	return s;
}

/* ---- probing ---- */

#define PROBE_USER "sn-probe-user"
#define PROBE_SYSTEM "sn-probe-system"

static bool has(const marked_text *m, str s)
{
	return m->bytes.n && memmem(m->bytes.p, m->bytes.n, s.p, s.n);
}

/* Does `want` reach the prompt when contents are passed in this form? A template that knows only strings prints a
 * list as Python would, with the keys of its parts. */
static bool probe(const jinja *t, chat_caps form, bool with_system, str want, sn_error *err)
{
	const sn_part user = {.kind = SN_PART_TEXT, .data = PROBE_USER, .size = sizeof PROBE_USER - 1};
	const sn_part system = {.kind = SN_PART_TEXT, .data = PROBE_SYSTEM, .size = sizeof PROBE_SYSTEM - 1};
	const sn_message messages[] = {{"system", &system, 1, form.strings}, {"user", &user, 1, form.strings}};
	marked_text out;
	marked_init(&out, 0);
	bool ok = !render(t, form, &(markers){0}, NULL, messages + !with_system, with_system ? 2 : 1, true, &out, err) && has(&out, want) &&
	          !has(&out, STR("'type'")) && !has(&out, STR("\"type\""));
	marked_fini(&out);
	return ok;
}

sn_status chat_template_open(chat_template **out, str source, sn_error *err)
{
	const chat_caps strings = {.strings = true}, lists = {.lists = true};
	sn_error why = {0};
	*out = NULL;
	chat_template *t = calloc(1, sizeof *t);
	if (!t)
		return error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	sn_status s = jinja_open(&t->t, source, err);
	if (s) {
		free(t);
		return s;
	}
	t->caps.strings = probe(t->t, strings, false, STR(PROBE_USER), &why);
	t->caps.lists = probe(t->t, lists, false, STR(PROBE_USER), &why);
	if (!t->caps.strings && !t->caps.lists) {
		s = error_set(err, SN_ERR_INVALID, "chat template: it does not render a user's message%s%.300s",
		              why.status ? ": " : "", why.text);
		chat_template_close(&t);
		return s;
	}
	t->caps.system = probe(t->t, t->caps.strings ? strings : lists, true, STR(PROBE_SYSTEM), NULL);
	*out = t;
	return SN_OK;
}

void chat_template_close(chat_template **t)
{
	if (!*t)
		return;
	jinja_close(&(*t)->t);
	free(*t);
	*t = NULL;
}

bool chat_template_places(const chat_template *t, const char *kind_name, str marker)
{
	const chat_caps lists = {.lists = true};
	const sn_part parts[] = {{.kind = SN_PART_MEDIA, .kind_name = kind_name}, {.kind = SN_PART_TEXT, .data = PROBE_USER, .size = sizeof PROBE_USER - 1}};
	const sn_message message = {"user", parts, 2, false};
	marked_text out;
	marked_init(&out, 0);
	bool ok = t->caps.lists && !render(t->t, lists, &(markers){0}, NULL, &message, 1, true, &out, NULL) && marked_find(&out, 0, marker) != SIZE_MAX;
	marked_fini(&out);
	return ok;
}

chat_caps chat_template_caps(const chat_template *t)
{
	return t->caps;
}

/* ---- conversations ---- */

static bool known_role(const char *role)
{
	for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
		if (!strcmp(role, roles[i]))
			return true;
	return false;
}

static sn_status check_message(const chat_template *t, const sn_message *m, size_t i, sn_error *err)
{
	if (!known_role(m->role))
		return error_param(err, SN_ERR_INVALID, "messages",
		                   "messages[%zu]: the role must be system, user, assistant, tool or developer", i);
	if (!t->caps.system && (!strcmp(m->role, "system") || !strcmp(m->role, "developer")))
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template has no system messages", i);
	for (size_t k = 0; !t->caps.lists && k < m->n_parts; k++)
		if (m->parts[k].kind != SN_PART_TEXT)
			return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template takes text only", i);
	return SN_OK;
}

sn_status chat_render(const chat_template *t, const vocab *v, const sn_message *messages, size_t n,
                      bool add_generation_prompt, marked_text *out, sn_error *err)
{
	return chat_render_foreign(t, v, messages, n, NULL, 0, add_generation_prompt, out, err);
}

sn_status chat_render_foreign(const chat_template *t, const vocab *v, const sn_message *messages, size_t n, const chat_marker *foreign,
                              size_t n_foreign, bool add_generation_prompt, marked_text *out, sn_error *err)
{
	sn_error why = {0};
	if (n == 0)
		return error_param(err, SN_ERR_INVALID, "messages", "messages: there must be at least one");
	for (size_t i = 0; i < n; i++) {
		sn_status s = check_message(t, &messages[i], i, err);
		if (s)
			return s;
	}
	sn_status s = render(t->t, t->caps, &(markers){foreign, n_foreign}, v, messages, n, add_generation_prompt, out, &why);
	return s ? error_param(err, s, "messages", "%s", why.text) : SN_OK;
}
