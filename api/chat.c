/* chat.c - POST /v1/chat/completions: body -> sn_chat_submit -> an answer (answer.h). */
#include <string.h>

#include "chat_parse.h"
#include "fault.h"
#include "forms.h"
#include "pairing.h"
#include "reasoning.h"
#include "tool_grammar.h"

#define MAX_MEDIA_BYTES (20u << 20)

static bool client_gone(void *x) { return http_client_gone(x); }

/* Who speaks the answer, which has to be known before anything is done. */
static int open_voice(answer *a, const chat_body *b, sn_error *err)
{
	const sn_model_info *speaker = pairing_speaker(a->r->api, a->model);
	if (!speaker)
		return fault_set(err, SN_ERR_UNSUPPORTED, "modalities", "the model does not speak, and no speaker is paired with it (see `output_modalities` in GET /v1/models)");
	const sn_sampling *s = &b->chat.sampling;
	const narrator_ask ask = {.request_id = b->chat.request_id, .cache_key = b->chat.cache_key, .cache_salt = b->chat.cache_salt, .model = speaker->name,
	                          .voice = b->voice, .format = b->format, .tempo = 1, .temperature = -1, .seed = s->seed, .has_seed = s->has_seed,
	                          .whole = !b->generation.stream, .timeout_ms = b->chat.timeout_ms};
	int rc = answer_voice_open(&a->voice, a->r->api->engine, &b->chat, &ask, err);
	if (rc != SN_OK && strcmp(err->param, "voice") == 0) /* as it is called here */
		snprintf(err->param, sizeof err->param, "audio.voice");
	return rc;
}

static bool has_var(const chat_body *b, const char *name)
{
	for (size_t i = 0; i < b->vars.n; i++)
		if (strcmp(b->vars.list[i].name, name) == 0)
			return true;
	return false;
}

/* reasoning_effort as the template's variables, save those that the client has set itself. */
static int set_effort(chat_body *b, const sn_chat_skills *skills, sn_error *err)
{
	const sn_chat_var vars[] = {{.name = "reasoning_effort", .kind = SN_VAR_STRING, .string = b->effort},
	                            {.name = "enable_thinking", .kind = SN_VAR_BOOL, .b = b->effort && strcmp(b->effort, "none") != 0}};
	const bool takes[] = {skills->effort_switch, skills->thinking_switch};
	if (!b->effort)
		return SN_OK;
	if (!takes[0] && !takes[1])
		return fault_set(err, SN_ERR_UNSUPPORTED, "reasoning_effort", "this model's chat template has no switch for its reasoning");
	for (size_t i = 0; i < 2; i++) {
		if (!takes[i] || has_var(b, vars[i].name))
			continue;
		if (b->vars.n == SN_MAX_CHAT_VARS)
			return fault_set(err, SN_ERR_INVALID, "chat_template_kwargs", "chat_template_kwargs leaves no room for reasoning_effort");
		b->vars.list[b->vars.n++] = vars[i];
	}
	b->chat.n_vars = b->vars.n;
	return SN_OK;
}

static void show_marks(sn_sampling *s, const sn_tool_format *f)
{
	for (size_t i = 0; f->marks[i] && s->n_shown < SN_MAX_SHOWN; i++)
		s->shown[s->n_shown++] = f->marks[i];
}

/* Did response_format make the grammar? */
static bool is_formatted(const chat_body *b)
{
	return b->generation.form.by && strncmp(b->generation.form.by, "response_format", 15) == 0;
}

/* The schema that response_format gives, NULL if it is not that which made the grammar. */
static const json_t *answer_schema(const chat_body *b, json_t **any)
{
	const json_t *format = json_object_get(b->root, "response_format");
	*any = NULL;
	if (!is_formatted(b))
		return NULL;
	const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
	return schema ? schema : (*any = json_pack("{s:s}", "type", "object"));
}

/* The grammar of calls or of an answer, and of what may stand before them. */
static int ask_for_shape(chat_body *b, const sn_chat_skills *skills, const reasoning *thinking, sn_error *err)
{
	sn_sampling *s = &b->chat.sampling;
	const bool may_think = skills->thinks && !thinking->inside && !thinking->closed, calls = tools_asked(&b->tools);
	tool_grammar_ask ask = {.format = skills->tools, .many = b->tools.many && skills->many_calls,
	                              .thinks = may_think ? reasoning_begin_mark(thinking) : NULL, .thought = may_think ? reasoning_end_mark(thinking) : NULL};
	json_t *any;
	ask.answer = answer_schema(b, &any);
	int rc = SN_OK;
	if (!calls && (!may_think || !ask.answer)) { /* the grammar stands as it is */
		json_decref(any);
		return rc;
	}
	if (calls && s->grammar && !ask.answer)
		rc = fault_set(err, SN_ERR_UNSUPPORTED, s->grammar_name, "%s together with tools is not supported: tool_choice none leaves them out", s->grammar_name);
	if (rc == SN_OK)
		rc = tool_grammar(calls ? &b->tools : NULL, &ask, &b->grammar, err);
	json_decref(any);
	if (rc != SN_OK)
		return rc;
	s->grammar = b->grammar.data;
	s->grammar_size = b->grammar.size;
	if (calls) {
		s->grammar_name = "tools";
		s->grammar_may_wait = b->tools.choice == TOOL_CHOICE_AUTO;
		show_marks(s, skills->tools);
		s->shown_strictly = true;
	}
	return SN_OK;
}

static int open_splits(answer *a, const chat_body *b, const sn_chat_skills *skills, const reasoning *thinking, sn_error *err)
{
	const bool calls = tools_asked(&b->tools);
	if (calls && !(a->tools = tools_names(&b->tools)))
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the answer");
	for (uint32_t i = 0; i < a->n && (calls || skills->thinks); i++)
		if (!(a->choices[i].split = chat_split_open(skills->thinks ? thinking : NULL, skills->tools, a->tools, !a->stream)))
			return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the answer");
	return SN_OK;
}

/* What the model can do beside saying words: thinking, and calling tools. */
static int use_skills(answer *a, chat_body *b, sn_error *err)
{
	sn_sampling *s = &b->chat.sampling;
	sn_chat_skills skills;
	reasoning thinking = {0};
	if (!sn_engine_chat_skills(a->r->api->engine, b->chat.model, &skills))
		return SN_OK; /* submitting tells why */
	int rc = set_effort(b, &skills, err);
	if (rc == SN_OK && tools_asked(&b->tools) && !skills.tools)
		rc = fault_set(err, SN_ERR_UNSUPPORTED, "tools", "this model takes no tools: its chat template has none, or calls in a way that is not known here");
	if (rc == SN_OK && skills.thinks) {
		thinking.pair = reasoning_pair(skills.thinks);
		rc = reasoning_begin(&thinking, a->r->api->engine, &b->chat, err);
		reasoning_show(s);
		s->shown_strictly = is_formatted(b); /* no mark is a part of a string of JSON; what a grammar of the client's means it says itself */
	}
	if (rc == SN_OK && (tools_asked(&b->tools) || s->grammar))
		rc = ask_for_shape(b, &skills, &thinking, err);
	if (rc == SN_OK && s->grammar && thinking.inside) { /* what has to fit begins behind the thinking */
		s->grammar_after = reasoning_end_mark(&thinking);
		s->grammar_after_size = strlen(s->grammar_after);
	}
	return rc == SN_OK && !b->speaks ? open_splits(a, b, &skills, &thinking, err) : rc;
}

static int submit(answer *a, sn_error *err)
{
	request *r = a->r;
	const char *data;
	size_t size;
	chat_body body;
	int rc = http_read_body(r->x, &data, &size, err);
	if (rc != SN_OK)
		return rc;
	media_reader reader = {.sources = r->api->media, .gone = client_gone, .ctx = r->x};
	const chat_limits limits = {.options = r->api->options, .media_bytes = MAX_MEDIA_BYTES, .engine = r->api->engine, .reader = &reader};
	rc = chat_body_parse(&body, data, size, &limits, err);
	http_release_body(r->x);
	if (rc != SN_OK)
		return rc;
	body.chat.request_id = http_request_id(r->x);
	body.chat.cache_key = *r->caller ? r->caller : NULL;
	body.chat.timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000);
	rc = answer_begin(a, &body.generation, 1, err);
	if (rc == SN_OK && body.speaks)
		rc = open_voice(a, &body, err);
	if (rc == SN_OK)
		rc = use_skills(a, &body, err);
	if (rc == SN_OK)
		rc = sn_chat_submit(r->api->engine, &body.chat, &a->requests[0], err);
	chat_body_fini(&body);
	return rc;
}

void chat_endpoint(request *r)
{
	answer_endpoint(r, &chat_form, submit);
}
