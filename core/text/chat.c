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

/* What a conversation is rendered with. */
typedef struct rendering {
	arena *a;
	chat_caps caps; /* the form in which contents are passed */
	const vocab *v; /* may be NULL */
	const chat_options *options;
} rendering;

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

static const value *part_value(const rendering *r, const sn_part *part)
{
	value *v = value_dict(r->a);
	str marker = marker_to_put(r, part);
	bool is_text = part->kind == SN_PART_TEXT || marker.n;
	const char *kind = is_text ? "text" : part->kind_name ? part->kind_name : "";
	bool ok = value_set(r->a, v, "type", value_string(r->a, str_of(kind), true));
	if (is_text)
		ok = ok && value_set(r->a, v, "text",
		                     marker.n ? value_string(r->a, marker, true) : value_string(r->a, (str){part->data, part->size}, false));
	return ok ? v : NULL;
}

static const value *parts_value(const rendering *r, const sn_part *parts, size_t n)
{
	value *list = value_list(r->a);
	for (size_t i = 0; i < n; i++)
		if (!value_push(r->a, list, part_value(r, &parts[i])))
			return NULL;
	return list;
}

/* All parts in one string: a line for each text, the markers of media right before the text that follows them. */
static const value *joined_value(const rendering *r, const sn_part *parts, size_t n)
{
	size_t total = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		total += (parts[i].kind == SN_PART_TEXT ? parts[i].size : marker_to_put(r, &parts[i]).n) + 1;
	char *p = arena_alloc(r->a, total + 1);
	uint8_t *marks = arena_alloc(r->a, total + 1); /* zeroed: nothing is trusted but the markers */
	if (!p || !marks)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool is_text = parts[i].kind == SN_PART_TEXT;
		str s = is_text ? (str){parts[i].data, parts[i].size} : marker_to_put(r, &parts[i]);
		if (i && parts[i - 1].kind == SN_PART_TEXT)
			p[at++] = '\n';
		if (s.n) {
			memcpy(p + at, s.p, s.n);
			memset(marks + at, !is_text, s.n);
		}
		at += s.n;
	}
	return value_text(r->a, (text){.p = p, .marks = marks, .n = at});
}

static const value *content_value(const rendering *r, const sn_message *m)
{
	static const sn_part empty = {.kind = SN_PART_TEXT, .data = ""};
	const sn_part *parts = m->n_parts ? m->parts : &empty;
	size_t n = m->n_parts ? m->n_parts : 1;
	bool as_string = r->caps.strings && (m->is_string || !r->caps.lists);
	return as_string ? joined_value(r, parts, n) : parts_value(r, parts, n);
}

static const value *messages_value(const rendering *r, const sn_message *messages, size_t n)
{
	value *list = value_list(r->a);
	for (size_t i = 0; i < n; i++) {
		value *m = value_dict(r->a);
		bool ok = value_set(r->a, m, "role", value_string(r->a, str_of(messages[i].role), false)) &&
		          value_set(r->a, m, "content", content_value(r, &messages[i])) && value_push(r->a, list, m);
		if (!ok)
			return NULL;
	}
	return list;
}

/* Where no vocabulary is known, as in a probe, they are empty, so that a template which joins one to a text renders. */
static bool set_token(const rendering *r, value *globals, const char *name, int32_t (*id_of)(const vocab *))
{
	int32_t id = r->v ? id_of(r->v) : -1;
	return (r->v && id < 0) || value_set(r->a, globals, name, value_string(r->a, r->v ? vocab_token(r->v, id) : (str){0}, true));
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

static const value *globals_value(const rendering *r, const sn_message *messages, size_t n)
{
	value *g = value_dict(r->a);
	bool ok = value_set(r->a, g, "messages", messages_value(r, messages, n)) &&
	          value_set(r->a, g, "add_generation_prompt", value_bool(r->options->add_generation_prompt)) &&
	          value_set(r->a, g, "tools", value_none()) && value_set(r->a, g, "documents", value_none());
	ok = ok && set_token(r, g, "bos_token", vocab_bos) && set_token(r, g, "eos_token", vocab_eos) && set_token(r, g, "unk_token", vocab_unk);
	for (size_t i = 0; i < r->options->n_vars; i++)
		ok = ok && value_set(r->a, g, r->options->vars[i].name, var_value(r->a, &r->options->vars[i]));
	return ok ? g : NULL;
}

static sn_status render(const jinja *t, rendering r, const sn_message *messages, size_t n, marked_text *out, sn_error *err)
{
	r.a = arena_open(0);
	const value *globals = r.a ? globals_value(&r, messages, n) : NULL;
	sn_status s = globals ? jinja_render(t, globals, (int64_t)time(NULL), out, err)
	                      : error_set(err, SN_ERR_NOMEM, "out of memory while rendering the chat template");
	arena_close(&r.a);
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
	const chat_options options = {.add_generation_prompt = true};
	marked_text out;
	marked_init(&out, 0);
	bool ok = !render(t, (rendering){.caps = form, .options = &options}, messages + !with_system, with_system ? 2 : 1, &out, err) && has(&out, want) &&
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
	const sn_part parts[] = {{.kind = SN_PART_MEDIA, .kind_name = kind_name}, {.kind = SN_PART_TEXT, .data = PROBE_USER, .size = sizeof PROBE_USER - 1}};
	const sn_message user = {"user", parts, 2, false};
	const chat_options options = {.add_generation_prompt = true};
	marked_text out;
	marked_init(&out, 0);
	bool ok = t->caps.lists && marker.n && !render(t->t, (rendering){.caps = {.lists = true}, .options = &options}, &user, 1, &out, NULL);
	size_t at = ok ? marked_find(&out, 0, marker) : SIZE_MAX;
	ok = ok && at != SIZE_MAX && marked_find(&out, at + marker.n, marker) == SIZE_MAX && has(&out, STR(PROBE_USER));
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

static sn_status check_vars(const chat_options *o, sn_error *err)
{
	static const char *const reserved[] = {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "unk_token",
	                                       "pad_token"};
	if (o->n_vars > SN_MAX_CHAT_VARS)
		return error_param(err, SN_ERR_INVALID, "chat_template_kwargs", "chat_template_kwargs has more than %d variables", SN_MAX_CHAT_VARS);
	for (size_t i = 0; i < o->n_vars; i++) {
		const char *name = o->vars[i].name;
		bool bad = jinja_has_function(str_of(name));
		for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++)
			bad = bad || !strcmp(name, reserved[k]);
		if (bad)
			return error_param(err, SN_ERR_INVALID, "chat_template_kwargs", "chat_template_kwargs: '%.64s' is a reserved name", name);
		if (o->vars[i].kind == SN_VAR_NUMBER && !(o->vars[i].number >= -9e15 && o->vars[i].number <= 9e15))
			return error_param(err, SN_ERR_INVALID, "chat_template_kwargs", "chat_template_kwargs: '%.64s' is too large", name);
	}
	return SN_OK;
}

static sn_status check_message(const chat_template *t, const sn_message *m, size_t i, const chat_options *o, sn_error *err)
{
	if (!known_role(m->role))
		return error_param(err, SN_ERR_INVALID, "messages",
		                   "messages[%zu]: the role must be system, user, assistant, tool or developer", i);
	if (!t->caps.system && (!strcmp(m->role, "system") || !strcmp(m->role, "developer")))
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template has no system messages", i);
	for (size_t k = 0; k < m->n_parts; k++)
		if (m->parts[k].kind == SN_PART_MEDIA && !marker_of(o, m->parts[k].kind_name))
			return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model does not take %s input", i,
			                   m->parts[k].kind_name ? m->parts[k].kind_name : "such");
	return SN_OK;
}

sn_status chat_render(const chat_template *t, const vocab *v, const sn_message *messages, size_t n, const chat_options *options,
                      marked_text *out, sn_error *err)
{
	sn_error why = {0};
	if (n == 0)
		return error_param(err, SN_ERR_INVALID, "messages", "messages: there must be at least one");
	sn_status s = check_vars(options, err);
	for (size_t i = 0; i < n && !s; i++)
		s = check_message(t, &messages[i], i, options, err);
	if (s)
		return s;
	s = render(t->t, (rendering){.caps = t->caps, .v = v, .options = options}, messages, n, out, &why);
	return s ? error_param(err, s, "messages", "%s", why.text) : SN_OK;
}
