/* chat_probe.c - what a template can take, found out by rendering small conversations. */
#include <string.h>

#include "base/error.h"
#include "text/chat_inside.h"

#define USER "sn-probe-user"
#define SYSTEM "sn-probe-system"
#define TOOL "sn_probe_known"
#define SECOND "sn_probe_second"
#define KEY "sn_probe_key"
#define VALUE "sn-probe-value"
#define RESULT "sn-probe-result"
#define LONG_ID "call_0123456789abcdefghij"
#define SHORT_ID "snprobe01"

#define TEXT_PART(s) {.kind = SN_PART_TEXT, .data = (s), .size = sizeof(s) - 1}
#define TEXT_VALUE(s) {.kind = SN_VALUE_STRING, .string = (s), .n = sizeof(s) - 1}
#define DICT_VALUE(array) {.kind = SN_VALUE_DICT, .items = (array), .n = sizeof(array) / sizeof *(array) / 2}

static const sn_value about_key[] = {TEXT_VALUE("type"), TEXT_VALUE("string"), TEXT_VALUE("description"), TEXT_VALUE("a key")};
static const sn_value properties[] = {TEXT_VALUE(KEY), DICT_VALUE(about_key)};
static const sn_value parameters[] = {TEXT_VALUE("type"), TEXT_VALUE("object"), TEXT_VALUE("properties"), DICT_VALUE(properties)};
static const sn_value function[] = {TEXT_VALUE("name"), TEXT_VALUE(TOOL), TEXT_VALUE("description"), TEXT_VALUE("a tool"),
                                    TEXT_VALUE("parameters"), DICT_VALUE(parameters)};
static const sn_value tool[] = {TEXT_VALUE("type"), TEXT_VALUE("function"), TEXT_VALUE("function"), DICT_VALUE(function)};
static const sn_value tool_list[] = {DICT_VALUE(tool)};
static const sn_value tools = {.kind = SN_VALUE_LIST, .items = tool_list, .n = 1};
static const sn_value arguments[] = {TEXT_VALUE(KEY), TEXT_VALUE(VALUE)};
static const char arguments_text[] = "{\"" KEY "\": \"" VALUE "\"}";
static const sn_part user_part = TEXT_PART(USER), system_part = TEXT_PART(SYSTEM), result_part = TEXT_PART(RESULT);

static bool has(const marked_text *m, const char *s)
{
	return m->bytes.n && memmem(m->bytes.p, m->bytes.n, s, strlen(s));
}

static bool render(chat_template *t, chat_caps form, const sn_value *with, const sn_message *messages, size_t n, marked_text *out, sn_error *err)
{
	const chat_options options = {.add_generation_prompt = true, .tools = with ? with : t->needs_tools ? &tools : NULL};
	sn_status st = chat_render_with(t->t, (rendering){.caps = form, .options = &options}, messages, n, out, err);
	t->starved = t->starved || st == SN_ERR_NOMEM;
	return !st;
}

/* ---- contents ---- */

/* Does `want` reach the prompt when contents are passed in this form? A template that knows only strings prints a
 * list as Python would, with the keys of its parts. */
static bool takes(chat_template *t, chat_caps form, bool with_system, const char *want, sn_error *err)
{
	const sn_message messages[] = {{.role = "system", .parts = &system_part, .n_parts = 1, .is_string = form.strings},
	                               {.role = "user", .parts = &user_part, .n_parts = 1, .is_string = form.strings}};
	marked_text out;
	marked_init(&out, 0);
	bool ok = render(t, form, NULL, messages + !with_system, with_system ? 2 : 1, &out, err) && has(&out, want) &&
	          !has(&out, "'type'") && !has(&out, "\"type\"");
	marked_fini(&out);
	return ok;
}

/* ---- tools ---- */

/* The variable that tools go into; what is written of them is appended to out. */
static const char *tools_variable(chat_template *t, marked_text *out)
{
	static const char *const names[] = {"tools", "xml_tools"};
	const sn_message user = {.role = "user", .parts = &user_part, .n_parts = 1, .is_string = t->caps.strings};
	chat_caps form = t->caps;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		form.tools_variable = names[i];
		if (render(t, form, &tools, &user, 1, out, NULL) && has(out, TOOL))
			return names[i];
		marked_fini(out);
		marked_init(out, 0);
	}
	return NULL;
}

/* A user's word, calls (one or two), and the first one's result. */
static bool converse(chat_template *t, chat_caps form, size_t n_calls, bool with_result, marked_text *out)
{
	const char *id = form.short_ids ? SHORT_ID : LONG_ID;
	const sn_tool_call calls[] = {
		{.id = id, .name = TOOL_PROBE, .arguments = DICT_VALUE(arguments), .text = arguments_text, .size = sizeof arguments_text - 1},
		{.id = form.short_ids ? "snprobe02" : LONG_ID "k", .name = SECOND, .arguments = DICT_VALUE(arguments), .text = arguments_text, .size = sizeof arguments_text - 1}};
	const sn_message messages[] = {{.role = "user", .parts = &user_part, .n_parts = 1, .is_string = form.strings},
	                               {.role = "assistant", .no_content = true, .calls = calls, .n_calls = n_calls},
	                               {.role = "tool", .parts = &result_part, .n_parts = 1, .is_string = form.strings, .call_id = id, .name = TOOL_PROBE}};
	return render(t, form, &tools, messages, with_result ? 3 : 2, out, NULL);
}

/* Arguments as JSON, not as Python prints them, nor as JSON in a string of JSON. */
static bool writes_calls(chat_template *t, chat_caps form, bool with_result, marked_text *out)
{
	size_t before = out->bytes.n;
	marked_text one;
	marked_init(&one, 0);
	bool ok = converse(t, form, 1, with_result, &one) && has(&one, TOOL_PROBE) && has(&one, KEY) && has(&one, VALUE) && !has(&one, "\\\"" KEY) &&
	          !has(&one, "'" KEY "'") && !has(&one, "None");
	if (ok && !marked_append(out, one.bytes.p, one.bytes.n, false))
		t->starved = true;
	ok = ok && out->bytes.n > before;
	marked_fini(&one);
	return ok;
}

static void probe_calls(chat_template *t, marked_text *out)
{
	for (unsigned k = 0; k < 16 && !t->caps.calls; k++) { /* some take a result only in other forms than they take a call */
		chat_caps form = t->caps;
		form.null_content = !(k & 1);
		form.arguments_as_text = k >> 1 & 1;
		form.short_ids = k >> 2 & 1;
		form.calls = true;
		if (writes_calls(t, form, k < 8, out))
			t->caps = form;
	}
	marked_text more;
	marked_init(&more, 0);
	t->caps.many_calls = t->caps.calls && converse(t, t->caps, 2, false, &more) && has(&more, SECOND);
	marked_fini(&more);
}

static void probe_results(chat_template *t)
{
	marked_text out;
	marked_init(&out, 0);
	t->caps.results = converse(t, t->caps, t->caps.calls ? 1 : 0, true, &out) && has(&out, RESULT);
	marked_fini(&out);
}

static sn_status open_fold(jinja **out, const char *source, bool wanted, sn_error *err)
{
	return wanted && source ? jinja_open(out, str_of(source), err) : SN_OK;
}

static sn_status probe_tools(chat_template *t, sn_error *err)
{
	const sn_message user = {.role = "user", .parts = &user_part, .n_parts = 1, .is_string = t->caps.strings};
	marked_text out;
	marked_init(&out, 0);
	t->caps.tools_variable = tools_variable(t, &out);
	if (t->caps.tools_variable)
		probe_calls(t, &out);
	else
		render(t, t->caps, NULL, &user, 1, &out, NULL);
	probe_results(t);
	t->row = tool_format_find((str){out.bytes.p, out.bytes.n});
	marked_fini(&out);
	if (t->row && !t->caps.tools_variable && !t->row->tell)
		t->row = NULL;
	if (!t->row)
		return SN_OK;
	bool told = !t->caps.tools_variable;
	sn_status s = open_fold(&t->fold.tell, t->row->tell, told, err);
	if (!s)
		s = open_fold(&t->fold.call, t->row->call, told || !t->caps.calls, err);
	if (!s)
		s = open_fold(&t->fold.result, t->row->result, told, err);
	t->caps.many_calls = t->caps.many_calls || (!t->caps.calls && t->fold.call);
	return s;
}

const char *const chat_marks[CHAT_MARKS] = {"<think>", "[THINK]"};

sn_status chat_probe(chat_template *t, str source, sn_error *err)
{
	const chat_caps strings = {.strings = true}, lists = {.lists = true};
	sn_error why = {0};
	t->caps.strings = takes(t, strings, false, USER, &why);
	t->caps.lists = takes(t, lists, false, USER, &why);
	if (!t->caps.strings && !t->caps.lists && !t->starved)
		return error_set(err, SN_ERR_INVALID, "chat template: it does not render a user's message%s%.300s", why.status ? ": " : "", why.text);
	t->caps.system = takes(t, t->caps.strings ? strings : lists, true, SYSTEM, NULL);
	for (size_t i = 0; i < CHAT_MARKS && !t->caps.thinks; i++)
		if (source.n && memmem(source.p, source.n, chat_marks[i], strlen(chat_marks[i])))
			t->caps.thinks = chat_marks[i];
	t->caps.thinking_switch = source.n && memmem(source.p, source.n, "enable_thinking", 15);
	t->caps.effort_switch = source.n && memmem(source.p, source.n, "reasoning_effort", 16);
	sn_status st = probe_tools(t, err);
	return t->starved ? error_set(err, SN_ERR_NOMEM, "chat template: out of memory") : st;
}
