/* tokenize.c - POST /tokenize: the ids of a text or of a conversation, as /v1/completions and /v1/chat/completions would have
 * them. POST /detokenize: ids to text. vLLM's shapes. */
#include "tokenize.h"

#include <stdlib.h>

#include "api.h"
#include "chat_parse.h"
#include "completion_parse.h"
#include "fault.h"
#include "json.h"

typedef struct tokenize_body {
	const char *model; /* NULL: the first */
	const char *text;  /* [size]; NULL: the messages are asked for */
	size_t size;
	chat_messages messages;
	chat_vars vars;
	tools tools;
	bool add_special_tokens, add_generation_prompt;
} tokenize_body;

typedef struct detokenize_body {
	const char *model;
	int32_t *ids; /* [n]; NULL: none were given */
	size_t n;
} detokenize_body;

static int parse_prompt(const field *f, void *into, const json_t *v, sn_error *err)
{
	tokenize_body *b = into;
	b->text = json_string_value(v);
	b->size = json_string_length(v);
	return b->text ? SN_OK : body_wants(err, f->name, "a string");
}

static int parse_messages(const field *f, void *into, const json_t *v, sn_error *err)
{
	(void)f;
	return chat_messages_parse(&((tokenize_body *)into)->messages, v, err);
}

static int parse_vars(const field *f, void *into, const json_t *v, sn_error *err)
{
	return chat_vars_parse(&((tokenize_body *)into)->vars, f->name, v, err);
}

static int parse_tools(const field *f, void *into, const json_t *v, sn_error *err)
{
	return tools_parse(&((tokenize_body *)into)->tools, f->name, v, err);
}

static int parse_tokens(const field *f, void *into, const json_t *v, sn_error *err)
{
	detokenize_body *b = into;
	return token_ids_parse(v, f->name, &b->ids, &b->n, err);
}

static const field in_fields[] = {
	{.name = "model", .kind = FIELD_NAME, .offset = offsetof(tokenize_body, model), .doc = "The first model if none is given."},
	{.name = "prompt", .kind = FIELD_CUSTOM, .parse = parse_prompt, .schema = "{\"type\":\"string\"}",
	 .doc = "A text, read as /v1/completions reads it: special tokens spelled out are those tokens. Either this or messages."},
	{.name = "messages", .kind = FIELD_CUSTOM, .parse = parse_messages, .schema = chat_messages_schema,
	 .doc = "A conversation, read as /v1/chat/completions reads it; text only. Either this or prompt."},
	{.name = "add_special_tokens", .kind = FIELD_BOOL, .offset = offsetof(tokenize_body, add_special_tokens), .standard = "true",
	 .doc = "prompt: the beginning-of-sequence token first, where the vocabulary says that it adds one. Without effect on messages."},
	{.name = "add_generation_prompt", .kind = FIELD_BOOL, .offset = offsetof(tokenize_body, add_generation_prompt), .standard = "true",
	 .doc = "messages: with the opening of the assistant's turn."},
	{.name = "chat_template_kwargs", .kind = FIELD_CUSTOM, .parse = parse_vars, .schema = CHAT_VARS_SCHEMA, .doc = "messages: as in /v1/chat/completions."},
	{.name = "return_token_strs", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "continue_final_message", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "tools", .kind = FIELD_CUSTOM, .parse = parse_tools, .schema = tools_schema, .standard = "[]", .doc = "messages: as in /v1/chat/completions."},
	{.name = "chat_template", .kind = FIELD_ONLY},
	{.name = "mm_processor_kwargs", .kind = FIELD_ONLY},
};

static const field out_fields[] = {
	{.name = "model", .kind = FIELD_NAME, .offset = offsetof(detokenize_body, model), .doc = "The first model if none is given."},
	{.name = "tokens", .kind = FIELD_CUSTOM, .required = true, .parse = parse_tokens, .schema = TOKEN_IDS_SCHEMA(""),
	 .doc = "Tokens of the vocabulary. Special ones are spelled out; bytes that are not UTF-8 become U+FFFD."},
};

const field_table tokenize_fields = FIELD_TABLE(in_fields), detokenize_fields = FIELD_TABLE(out_fields);

/* *root: the body's JSON, which into borrows from; NULL on failure of the parser. */
static int read_fields(request *r, const field_table *table, void *into, json_t **root, sn_error *err)
{
	const char *data;
	size_t size;
	*root = NULL;
	int rc = http_read_body(r->x, &data, &size, err);
	if (rc == SN_OK)
		rc = body_parse(root, data, size, err);
	if (rc == SN_OK)
		rc = fields_parse(*root, &table, &into, 1, err);
	if (rc == SN_OK && !atomic_load(&r->api->loaded))
		rc = fault_set(err, SN_ERR_DRAINING, NULL, "the model is still loading");
	return rc;
}

static void send_tokens(request *r, const sn_tokens *tokens)
{
	out_buf o = {0};
	out_fmt(&o, "{\"count\":%zu,\"max_model_len\":%u,\"tokens\":[", tokens->n, tokens->max_model_len);
	for (size_t i = 0; i < tokens->n; i++)
		out_fmt(&o, i ? ",%d" : "%d", tokens->ids[i]);
	out_text(&o, "],\"token_strs\":null}");
	http_send_out(r->x, "application/json", &o);
	out_fini(&o);
}

void tokenize_endpoint(request *r)
{
	const chat_limits limits = {.options = r->api->options, .engine = r->api->engine, .text_only = true};
	tokenize_body b = {.messages.limits = &limits, .add_special_tokens = true, .add_generation_prompt = true};
	tools_init(&b.tools);
	sn_tokens tokens = {0};
	json_t *root;
	sn_error err;
	int rc = read_fields(r, &tokenize_fields, &b, &root, &err);
	if (rc == SN_OK && !b.text == !b.messages.n)
		rc = fault_set(&err, SN_ERR_INVALID, b.text ? "messages" : "prompt", "there must be a prompt or messages, not both");
	if (rc == SN_OK && b.text && b.tools.n)
		rc = fault_set(&err, SN_ERR_INVALID, "tools", "tools belong to messages");
	if (rc == SN_OK) {
		const sn_tokenize_input in = {.model = b.model, .messages = b.messages.list, .n_messages = b.messages.n, .vars = b.vars.list, .n_vars = b.vars.n,
		                              .tools = b.tools.n ? &b.tools.shown : NULL, .no_generation_prompt = !b.add_generation_prompt, .text = b.text, .size = b.size,
		                              .add_special = b.add_special_tokens, .parse_special = true};
		rc = sn_tokenize(r->api->engine, &in, &tokens, &err);
	}
	if (rc == SN_OK)
		send_tokens(r, &tokens);
	else
		http_send_error(r->x, &err);
	free(tokens.ids);
	chat_messages_fini(&b.messages);
	tools_fini(&b.tools);
	json_decref(root);
}

void detokenize_endpoint(request *r)
{
	detokenize_body b = {0};
	char *text = NULL;
	size_t size = 0;
	json_t *root;
	sn_error err;
	int rc = read_fields(r, &detokenize_fields, &b, &root, &err);
	if (rc == SN_OK)
		rc = sn_detokenize(r->api->engine, b.model, b.ids, b.n, &text, &size, &err);
	if (rc == SN_OK) {
		out_buf o = {0};
		out_text(&o, "{\"prompt\":");
		out_json(&o, text, size);
		out_text(&o, "}");
		http_send_out(r->x, "application/json", &o);
		out_fini(&o);
	} else {
		http_send_error(r->x, &err);
	}
	free(text);
	free(b.ids);
	json_decref(root);
}
