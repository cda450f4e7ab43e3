/* chat_parse.h - the body of POST /v1/chat/completions -> sn_chat.
 *
 * Every field is in one of the tables of chat_parse.c: parsed, accepted because it cannot change the answer, or refused
 * by name. A field that is in none is refused too: nothing that a client asks for is dropped in silence.
 */
#ifndef API_CHAT_PARSE_H
#define API_CHAT_PARSE_H

#include <jansson.h>

#include "core.h"
#include "media_url.h"
#include "options.h"

typedef struct chat_limits {
	const options *options; /* how many media of a kind */
	size_t media_bytes;     /* per medium */
	const sn_engine *engine; /* knows the kinds of files */
	media_reader *reader;   /* of URLs other than data:; NULL: there are none */
} chat_limits;

typedef struct chat_body {
	sn_chat chat;         /* borrows from the rest */
	bool stream, include_usage;
	json_t *root;
	sn_message *messages; /* [chat.n_messages] */
	sn_part *parts;       /* all messages' parts, in order */
	size_t n_parts;
	sn_logit_bias *bias;
	media_bytes *media;   /* [n_media] */
	char (*kinds)[SN_KIND_SIZE]; /* [n_media] */
	size_t n_media;
	const chat_limits *limits;
} chat_body;

/* On failure everything is released already. */
int chat_body_parse(chat_body *b, const char *data, size_t size, const chat_limits *limits, sn_error *err);
void chat_body_fini(chat_body *b);
/* Fills messages, parts and media (chat_messages.c). What it made is released by chat_body_fini, also on failure. */
int chat_messages_parse(chat_body *b, const json_t *v, sn_error *err);

#endif
