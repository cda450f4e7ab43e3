/* chat_messages.h - the `messages` of a chat -> sn_message[]: roles, texts, and media of any kind by their URLs. */
#ifndef API_CHAT_MESSAGES_H
#define API_CHAT_MESSAGES_H

#include "fields.h"
#include "media_url.h"
#include "options.h"
#include "values.h"

typedef struct chat_limits {
	const options *options; /* how many media of a kind */
	size_t media_bytes;     /* per medium */
	const sn_engine *engine; /* knows the kinds of files */
	media_reader *reader;   /* of URLs other than data:; NULL: there are none */
	bool text_only;         /* media are refused */
} chat_limits;

typedef struct chat_messages {
	sn_message *list; /* [n]; borrows from the JSON and from the rest */
	size_t n;
	sn_part *parts;   /* all messages' parts, in order */
	size_t n_parts;
	media_bytes *media;          /* [n_media] */
	char (*kinds)[SN_KIND_SIZE]; /* [n_media] */
	size_t n_media;
	values values;               /* calls and their arguments, */
	json_t *read;                /* a list of what those borrow from; NULL: nothing */
	const chat_limits *limits;
} chat_messages;

/* What it made is released by chat_messages_fini, also on failure. */
int chat_messages_parse(chat_messages *b, const json_t *v, sn_error *err);
void chat_messages_fini(chat_messages *b);
/* For its parts: refuses a field that is not null and not among these; a message's tool_calls; what a message of a tool says beside its content. */
int chat_check_keys(const json_t *object, const char *const *known, const char *param, sn_error *err);
int chat_calls_parse(chat_messages *b, sn_message *out, const json_t *v, size_t index, sn_error *err);
int chat_result_parse(const chat_messages *b, sn_message *out, const json_t *message, size_t index, sn_error *err);
extern const char chat_messages_schema[]; /* JSON Schema of what is parsed */

#endif
