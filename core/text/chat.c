#include "text/chat.h"

#include <stdlib.h>

#include "base/error.h"
#include "text/chat_inside.h"

static const char *const roles[] = {"system", "user", "assistant", "tool", "developer"};

static sn_status open_one(chat_template **out, str source, bool needs_tools, sn_error *err)
{
	*out = NULL;
	chat_template *t = calloc(1, sizeof *t);
	if (!t)
		return error_set(err, SN_ERR_NOMEM, "chat template: out of memory");
	t->needs_tools = needs_tools;
	sn_status s = jinja_open(&t->t, source, err);
	if (!s)
		s = chat_probe(t, source, err);
	if (s)
		chat_template_close(&t);
	*out = t;
	return s;
}

sn_status chat_template_open(chat_template **out, str source, sn_error *err)
{
	return open_one(out, source, false, err);
}

sn_status chat_template_add_tools(chat_template *t, str source, sn_error *err)
{
	chat_template_close(&t->with_tools);
	return open_one(&t->with_tools, source, true, err);
}

void chat_template_close(chat_template **t)
{
	if (!*t)
		return;
	chat_template_close(&(*t)->with_tools);
	jinja_close(&(*t)->t);
	jinja_close(&(*t)->fold.tell);
	jinja_close(&(*t)->fold.call);
	jinja_close(&(*t)->fold.result);
	free(*t);
	*t = NULL;
}

bool chat_template_places(const chat_template *t, const char *kind_name, str marker)
{
	static const char words[] = "sn-probe-words";
	const sn_part parts[] = {{.kind = SN_PART_MEDIA, .kind_name = kind_name}, {.kind = SN_PART_TEXT, .data = words, .size = sizeof words - 1}};
	const sn_message user = {.role = "user", .parts = parts, .n_parts = 2};
	const chat_options options = {.add_generation_prompt = true};
	marked_text out;
	marked_init(&out, 0);
	bool ok = t->caps.lists && marker.n && !chat_render_with(t->t, (rendering){.caps = {.lists = true}, .options = &options}, &user, 1, &out, NULL);
	size_t at = ok ? marked_find(&out, 0, marker) : SIZE_MAX;
	ok = ok && at != SIZE_MAX && marked_find(&out, at + marker.n, marker) == SIZE_MAX && memmem(out.bytes.p, out.bytes.n, words, sizeof words - 1);
	marked_fini(&out);
	return ok;
}

chat_caps chat_template_caps(const chat_template *t)
{
	return t->caps;
}

const sn_tool_format *chat_template_tools(const chat_template *t)
{
	const chat_template *with = t->with_tools ? t->with_tools : t;
	return with->row ? &with->row->format : NULL;
}

bool chat_template_many_calls(const chat_template *t)
{
	return t->with_tools ? t->with_tools->caps.many_calls : t->caps.many_calls;
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

static bool has_marker(const chat_options *o, const char *kind_name)
{
	bool found = false;
	for (size_t i = 0; kind_name && i < o->n_markers; i++)
		found = found || !strcmp(o->markers[i].kind_name, kind_name);
	return found;
}

static sn_status check_message(const chat_template *t, const sn_message *m, size_t i, const chat_options *o, sn_error *err)
{
	if (!known_role(m->role))
		return error_param(err, SN_ERR_INVALID, "messages",
		                   "messages[%zu]: the role must be system, user, assistant, tool or developer", i);
	if (!t->caps.system && (!strcmp(m->role, "system") || !strcmp(m->role, "developer")))
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template has no system messages", i);
	if (m->n_calls && !t->caps.calls && !t->fold.call)
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template has no tool_calls", i);
	if (!strcmp(m->role, "tool") && !t->caps.results && !t->fold.result)
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model's chat template has no results of tools", i);
	for (size_t k = 0; k < m->n_parts; k++)
		if (m->parts[k].kind == SN_PART_MEDIA && !has_marker(o, m->parts[k].kind_name))
			return error_param(err, SN_ERR_UNSUPPORTED, "messages", "messages[%zu]: this model does not take %s input", i,
			                   m->parts[k].kind_name ? m->parts[k].kind_name : "such");
	return SN_OK;
}

sn_status chat_render(const chat_template *t, const vocab *v, const sn_message *messages, size_t n, const chat_options *options,
                      marked_text *out, sn_error *err)
{
	sn_error why = {0};
	if (options->tools && t->with_tools)
		t = t->with_tools;
	if (n == 0)
		return error_param(err, SN_ERR_INVALID, "messages", "messages: there must be at least one");
	sn_status s = check_vars(options, err);
	if (!s && options->tools && !t->row)
		return error_param(err, SN_ERR_UNSUPPORTED, "tools", t->caps.tools_variable ? "the way in which this model calls tools is not known here"
		                                                                            : "this model's chat template has no tools");
	for (size_t i = 0; i < n && !s; i++)
		s = check_message(t, &messages[i], i, options, err);
	if (s)
		return s;
	const rendering r = {.caps = t->caps, .fold = t->fold.tell || t->fold.call ? &t->fold : NULL, .v = v, .options = options};
	s = chat_render_with(t->t, r, messages, n, out, &why);
	return s ? error_param(err, s, "messages", "%s", why.text) : SN_OK;
}
