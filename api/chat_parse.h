/* chat_parse.h - the body of POST /v1/chat/completions -> sn_chat. */
#ifndef API_CHAT_PARSE_H
#define API_CHAT_PARSE_H

#include "chat_messages.h"
#include "generation.h"
#include "sound_format.h"
#include "tools.h"

/* chat_template_kwargs: variables for the chat template. */
typedef struct chat_vars {
	sn_chat_var list[SN_MAX_CHAT_VARS];
	size_t n;
} chat_vars;

typedef struct chat_body {
	sn_chat chat; /* borrows from the rest */
	generation generation;
	chat_messages messages;
	chat_vars vars;
	tools tools;
	const char *effort; /* reasoning_effort; NULL: not given */
	out_buf grammar;    /* of calls; filled by whoever knows the model */
	uint32_t max_tokens, max_completion_tokens; /* 0: not given */
	int32_t top_logprobs; /* -1: not given */
	bool logprobs, add_generation_prompt;
	bool speaks;                /* modalities has audio */
	const sound_format *format; /* of audio; NULL: audio was not given */
	const char *voice;          /* NULL: default */
	json_t *root;
} chat_body;

extern const field_table chat_fields; /* into a chat_body, beside generation_fields */

/* On failure everything is released already. */
int chat_body_parse(chat_body *b, const char *data, size_t size, const chat_limits *limits, sn_error *err);
void chat_body_fini(chat_body *b);
/* One value of chat_template_kwargs's type; schema: what it takes. */
int chat_vars_parse(chat_vars *out, const char *param, const json_t *v, sn_error *err);
#define CHAT_VARS_SCHEMA                                                                                                   \
	"{\"type\":\"object\",\"maxProperties\":" FIELD_STR(SN_MAX_CHAT_VARS) ",\"propertyNames\":{\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]{0,62}$\"}," \
	"\"additionalProperties\":{\"type\":[\"boolean\",\"number\",\"string\"]}}"

#endif
