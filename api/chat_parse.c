#include "chat_parse.h"

#include <string.h>

#include "fault.h"
#include "json.h"
#include "speech_parse.h"

#define MAX_VAR_NAME 63

static int parse_messages(const field *f, void *into, const json_t *v, sn_error *err)
{
	(void)f;
	return chat_messages_parse(&((chat_body *)into)->messages, v, err);
}

/* Names go into the template as variables, so they look like variables; the engine refuses those that it has already. */
static bool name_is_plain(const char *name)
{
	static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t n = strlen(name);
	return n > 0 && n <= MAX_VAR_NAME && strspn(name, plain) == n && strchr("0123456789", name[0]) == NULL;
}

int chat_vars_parse(chat_vars *out, const char *param, const json_t *v, sn_error *err)
{
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, param, "an object");
	if (json_object_size(v) > SN_MAX_CHAT_VARS)
		return fault_set(err, SN_ERR_INVALID, param, "%s has more than %d variables", param, SN_MAX_CHAT_VARS);
	json_object_foreach((json_t *)v, key, value) {
		sn_chat_var *var = &out->list[out->n++];
		*var = (sn_chat_var){.name = key};
		if (!name_is_plain(key))
			return fault_set(err, SN_ERR_INVALID, param, "%s has a name that is not a variable's: letters, digits and _", param);
		if (json_is_boolean(value)) {
			var->b = json_is_true(value);
		} else if (json_is_number(value)) {
			var->kind = SN_VAR_NUMBER;
			var->number = json_number_value(value);
		} else if (body_plain_string(value)) {
			var->kind = SN_VAR_STRING;
			var->string = json_string_value(value);
		} else {
			return fault_set(err, SN_ERR_UNSUPPORTED, param, "%s takes true, false, numbers and strings without NUL, nothing nested", param);
		}
	}
	return SN_OK;
}

static int parse_vars(const field *f, void *into, const json_t *v, sn_error *err)
{
	return chat_vars_parse(&((chat_body *)into)->vars, f->name, v, err);
}

static int parse_tools(const field *f, void *into, const json_t *v, sn_error *err)
{
	return tools_parse(&((chat_body *)into)->tools, f->name, v, err);
}

static int parse_tool_choice(const field *f, void *into, const json_t *v, sn_error *err)
{
	return tools_parse_choice(&((chat_body *)into)->tools, f->name, v, err);
}

static int parse_effort(const field *f, void *into, const json_t *v, sn_error *err)
{
	static const char *const known[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
	const char *s = body_plain_string(v);
	for (size_t i = 0; s && i < sizeof known / sizeof *known; i++)
		if (strcmp(s, known[i]) == 0)
			((chat_body *)into)->effort = known[i];
	return ((chat_body *)into)->effort ? SN_OK : body_wants(err, f->name, "none, minimal, low, medium, high or xhigh");
}

/* Text is always answered, be it as the transcript: ["audio"] asks for nothing else than ["text", "audio"]. */
static int parse_modalities(const field *f, void *into, const json_t *v, sn_error *err)
{
	bool seen[2] = {false, false};
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *s = body_plain_string(json_array_get(v, i));
		bool audio = s && strcmp(s, "audio") == 0;
		if ((!audio && (!s || strcmp(s, "text") != 0)) || seen[audio])
			return body_wants(err, f->name, "made of text and audio");
		seen[audio] = true;
	}
	((chat_body *)into)->speaks = seen[1];
	return seen[0] || seen[1] ? SN_OK : body_wants(err, f->name, "a list made of text and audio");
}

static int parse_audio(const field *f, void *into, const json_t *v, sn_error *err)
{
	chat_body *b = into;
	const char *key;
	json_t *value;
	int rc = SN_OK;
	if (!json_is_object(v))
		return body_wants(err, f->name, "an object with format and voice");
	json_object_foreach((json_t *)v, key, value) {
		if (strcmp(key, "voice") == 0)
			rc = json_is_null(value) ? SN_OK : voice_parse(&b->voice, "audio.voice", value, err);
		else if (strcmp(key, "format") == 0)
			rc = sound_format_parse(&b->format, "audio.format", body_plain_string(value), "pcm16", err);
		else
			rc = fault_set(err, SN_ERR_INVALID, f->name, "audio has an unknown field");
		if (rc != SN_OK)
			return rc;
	}
	return b->format ? SN_OK : fault_set(err, SN_ERR_INVALID, "audio.format", "audio needs a format: mp3, opus, flac, wav or pcm16");
}

#define AT(member) offsetof(chat_body, member)

static const field fields[] = {
	{.name = "messages", .kind = FIELD_CUSTOM, .required = true, .late = true, .parse = parse_messages, .schema = chat_messages_schema,
	 .doc = "The conversation. URLs in it are read only if the rest of the body is right."},
	{.name = "max_tokens", .kind = FIELD_UINT, .offset = AT(max_tokens), .min = 1, .max = UINT32_MAX,
	 .doc = "Of each choice. Without it the rest of the context or of the page pool, whichever is smaller."},
	{.name = "max_completion_tokens", .kind = FIELD_UINT, .offset = AT(max_completion_tokens), .min = 1, .max = UINT32_MAX,
	 .doc = "Newer name of max_tokens; both may come only if they agree."},
	{.name = "logprobs", .kind = FIELD_BOOL, .offset = AT(logprobs), .standard = "false", .doc = "The log probability of each token."},
	{.name = "top_logprobs", .kind = FIELD_INT, .offset = AT(top_logprobs), .max = SN_MAX_TOP_LOGPROBS,
	 .doc = "Only with logprobs: this many likeliest tokens at each place."},
	{.name = "add_generation_prompt", .kind = FIELD_BOOL, .offset = AT(add_generation_prompt), .standard = "true",
	 .doc = "End the prompt with the opening of the assistant's turn."},
	{.name = "chat_template_kwargs", .kind = FIELD_CUSTOM, .parse = parse_vars, .schema = CHAT_VARS_SCHEMA,
	 .doc = "Variables for the chat template, such as enable_thinking. Names that the template has already are refused."},
	{.name = "modalities", .kind = FIELD_CUSTOM, .parse = parse_modalities, .standard = "[\"text\"]",
	 .schema = "{\"type\":\"array\",\"minItems\":1,\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"enum\":[\"text\",\"audio\"]}}",
	 .doc = "With audio the answer is spoken, by the model or by the speaker that it is paired with; its text is the transcript."},
	{.name = "audio", .kind = FIELD_CUSTOM, .parse = parse_audio,
	 .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"format\"],\"properties\":{"
	           "\"format\":{\"type\":\"string\",\"enum\":[\"mp3\",\"opus\",\"flac\",\"wav\",\"pcm16\"]},\"voice\":{\"type\":[\"string\",\"null\"]}}}",
	 .doc = "With audio in modalities: the format (with stream only pcm16), and one of the voices that GET /v1/audio/voices lists."},
	/* OpenAI's fields about the account, not about the answer */
	{.name = "safety_identifier", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "prompt_cache_key", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "prompt_cache_retention", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "service_tier", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "store", .kind = FIELD_BOOL, .offset = FIELD_NOWHERE, .doc = "Without effect: nothing is stored."},
	{.name = "tools", .kind = FIELD_CUSTOM, .parse = parse_tools, .schema = tools_schema, .standard = "[]",
	 .doc = "Functions that the model may call, if its chat template takes tools. What it calls it with is a JSON object; where a call is asked for "
	        "(tool_choice), or the tool is strict, one that its parameters, a JSON Schema, take, and a schema that cannot be kept is refused."},
	{.name = "tool_choice", .kind = FIELD_CUSTOM, .parse = parse_tool_choice, .schema = tools_choice_schema,
	 .doc = "auto, where there are tools: the model calls some, or answers. none: it is not told of them. required: it calls at least one; a function: that one."},
	{.name = "parallel_tool_calls", .kind = FIELD_BOOL, .offset = AT(tools.many), .standard = "true", .doc = "false: at most one call in an answer."},
	{.name = "reasoning_effort", .kind = FIELD_CUSTOM, .parse = parse_effort,
	 .schema = "{\"type\":\"string\",\"enum\":[\"none\",\"minimal\",\"low\",\"medium\",\"high\",\"xhigh\"]}",
	 .doc = "For chat templates that have it, as the variable reasoning_effort; where one has enable_thinking, none is false and all else true. Else refused."},
	{.name = "metadata", .kind = FIELD_TEXT_MAP, .doc = "Without effect."},
	/* not done here, said by name */
	{.name = "functions", .kind = FIELD_ONLY, .schema = "[]"},
	{.name = "function_call", .kind = FIELD_ONLY, .schema = "\"none\""},
	{.name = "echo", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "add_special_tokens", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "continue_final_message", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "documents", .kind = FIELD_ONLY, .schema = "[]"},
	{.name = "chat_template", .kind = FIELD_ONLY},
	{.name = "mm_processor_kwargs", .kind = FIELD_ONLY},
	{.name = "prediction", .kind = FIELD_ONLY},
	{.name = "verbosity", .kind = FIELD_ONLY},
	{.name = "web_search_options", .kind = FIELD_ONLY},
};

const field_table chat_fields = FIELD_TABLE(fields);

static int check_audio(const chat_body *b, sn_error *err)
{
	if (!b->speaks && b->format)
		return fault_set(err, SN_ERR_INVALID, "audio", "audio needs modalities with audio");
	if (!b->speaks)
		return SN_OK;
	if (!b->format)
		return fault_set(err, SN_ERR_INVALID, "audio", "modalities with audio needs audio, an object with format and voice");
	if (b->generation.stream && b->format != sound_format_find("pcm"))
		return fault_set(err, SN_ERR_UNSUPPORTED, "audio.format", "audio.format must be pcm16 with stream");
	if (b->generation.sampling.n > 1)
		return fault_set(err, SN_ERR_UNSUPPORTED, "n", "n is 1 with audio in modalities");
	return SN_OK;
}

static int check_together(chat_body *b, sn_error *err)
{
	if (b->top_logprobs >= 0 && !b->logprobs)
		return fault_set(err, SN_ERR_INVALID, "top_logprobs", "top_logprobs needs logprobs to be true");
	if (b->max_tokens && b->max_completion_tokens && b->max_tokens != b->max_completion_tokens)
		return fault_set(err, SN_ERR_INVALID, "max_tokens", "max_tokens and max_completion_tokens differ");
	sn_sampling *s = &b->generation.sampling;
	s->max_tokens = b->max_tokens ? b->max_tokens : b->max_completion_tokens;
	s->logprobs = b->logprobs;
	s->top_logprobs = b->top_logprobs > 0 ? (uint32_t)b->top_logprobs : 0;
	int rc = check_audio(b, err);
	if (rc == SN_OK)
		rc = tools_check(&b->tools, err);
	if (rc == SN_OK && b->speaks && tools_asked(&b->tools))
		rc = fault_set(err, SN_ERR_UNSUPPORTED, "tools", "tools together with audio in modalities are not supported");
	return rc == SN_OK ? generation_check(&b->generation, err) : rc;
}

int chat_body_parse(chat_body *b, const char *data, size_t size, const chat_limits *limits, sn_error *err)
{
	const field_table *const tables[] = {&generation_fields, &chat_fields};
	void *const into[] = {&b->generation, b};
	*b = (chat_body){.messages.limits = limits, .top_logprobs = -1, .add_generation_prompt = true};
	generation_init(&b->generation);
	tools_init(&b->tools);
	int rc = body_parse(&b->root, data, size, err);
	if (rc == SN_OK)
		rc = fields_parse(b->root, tables, into, 2, err);
	if (rc == SN_OK)
		rc = check_together(b, err);
	if (rc != SN_OK) {
		chat_body_fini(b);
		return rc;
	}
	b->chat = (sn_chat){.model = b->generation.model, .cache_salt = b->generation.cache_salt, .messages = b->messages.list,
	                    .n_messages = b->messages.n, .tools = tools_asked(&b->tools) ? &b->tools.shown : NULL, .vars = b->vars.list, .n_vars = b->vars.n,
	                    .no_generation_prompt = !b->add_generation_prompt, .sampling = b->generation.sampling};
	return SN_OK;
}

void chat_body_fini(chat_body *b)
{
	chat_messages_fini(&b->messages);
	generation_fini(&b->generation);
	tools_fini(&b->tools);
	out_fini(&b->grammar);
	json_decref(b->root);
	*b = (chat_body){0};
}
