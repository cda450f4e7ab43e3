/* chat.h - a conversation to prompt text, by the model's chat template. What clients wrote (contents) is untrusted
 * in the result, what the template wrote is trusted.
 *
 * Templates differ in what they can take: `content` as a string, as a list of parts, or both. chat_template_open finds
 * out by rendering small conversations; chat_render then wraps strings or joins text parts as needed. */
#ifndef SN_TEXT_CHAT_H
#define SN_TEXT_CHAT_H

#include "core.h"
#include "text/marked.h"
#include "text/vocab.h"

typedef struct chat_template chat_template;

typedef struct chat_caps {
	bool strings; /* content may be a string */
	bool lists;   /* content may be a list of parts */
	bool system;  /* a system message appears in the prompt */
} chat_caps;

/* Refuses what jinja_open refuses, and a template that renders no user message in any form. */
sn_status chat_template_open(chat_template **out, str source, sn_error *err);
void chat_template_close(chat_template **t);
chat_caps chat_template_caps(const chat_template *t);

/* A kind of media that the template does not know, and the text that stands for it: passed as a trusted text part. */
typedef struct chat_marker {
	const char *kind_name;
	str marker;
} chat_marker;

/* Does the template write this marker where a part of that kind stands? */
bool chat_template_places(const chat_template *t, const char *kind_name, str marker);

/* messages: roles system, user, assistant, tool, developer; parts as they came. Appends to out. Errors blame the
 * parameter "messages". A system (or developer) message that the template would drop is refused. [any thread] */
sn_status chat_render(const chat_template *t, const vocab *v, const sn_message *messages, size_t n,
                      bool add_generation_prompt, marked_text *out, sn_error *err);
/* The same, with parts of foreign kinds replaced by their markers. */
sn_status chat_render_foreign(const chat_template *t, const vocab *v, const sn_message *messages, size_t n, const chat_marker *foreign,
                              size_t n_foreign, bool add_generation_prompt, marked_text *out, sn_error *err);

#endif
