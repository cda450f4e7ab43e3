/* chat.h - a conversation to prompt text, by the model's chat template. What clients wrote (contents) is untrusted
 * in the result, what the template wrote is trusted.
 *
 * Templates differ in what they can take: `content` as a string, as a list of parts, or both. chat_template_open finds
 * out by rendering small conversations; chat_render then wraps strings or joins text parts as needed. A medium shows up in
 * the prompt as the marker of the encoder that takes it: written by the template, where it knows that kind of part and
 * writes that marker, and else put in as trusted text in the part's place, so that a template need not know of media. */
#ifndef SN_TEXT_CHAT_H
#define SN_TEXT_CHAT_H

#include "core.h"
#include "text/marked.h"
#include "text/vocab.h"

typedef struct chat_template chat_template;

/* What models write before they think. */
#define CHAT_MARKS 2
extern const char *const chat_marks[CHAT_MARKS];

typedef struct chat_caps {
	bool strings; /* content may be a string */
	bool lists;   /* content may be a list of parts */
	bool system;  /* a system message appears in the prompt */
	const char *tools_variable; /* that tools go into; NULL: the template knows none */
	bool calls;             /* tool_calls of the assistant appear in the prompt, */
	bool many_calls;        /* also several in one message */
	bool results;           /* so do messages of tools */
	bool arguments_as_text; /* of calls: JSON in a string, else an object */
	bool null_content;      /* a message may have no content */
	bool short_ids;         /* of calls: nine letters and digits, others are refused */
	const char *thinks;     /* what the template writes before thinking; NULL: nothing that is known */
	bool thinking_switch, effort_switch; /* the variables enable_thinking, reasoning_effort */
} chat_caps;

/* Refuses what jinja_open refuses, and a template that renders no user message in any form. */
sn_status chat_template_open(chat_template **out, str source, sn_error *err);
/* Another template that is taken when there are tools, as some models publish one. */
sn_status chat_template_add_tools(chat_template *t, str source, sn_error *err);
void chat_template_close(chat_template **t);
chat_caps chat_template_caps(const chat_template *t); /* of the template without tools */
/* How the model writes calls; NULL: it takes no tools. */
const sn_tool_format *chat_template_tools(const chat_template *t);
bool chat_template_many_calls(const chat_template *t); /* in one answer */

/* What stands for a medium in the prompt, by the kind that its part names. Borrowed. */
typedef struct chat_marker {
	const char *kind_name; /* "image" */
	str marker;            /* "<image>" */
	bool in_template;      /* as chat_template_places says; else chat_render puts it in */
} chat_marker;

typedef struct chat_options {
	const chat_marker *markers; /* [n_markers], one for each kind that the model takes */
	size_t n_markers;
	const sn_chat_var *vars; /* [n_vars], at most SN_MAX_CHAT_VARS; borrowed, untrusted */
	size_t n_vars;
	const sn_value *tools; /* a LIST, or NULL */
	bool add_generation_prompt;
} chat_options;

/* Does the template itself write this marker, once, where a part of that kind stands? */
bool chat_template_places(const chat_template *t, const char *kind_name, str marker);

/* messages: roles system, user, assistant, tool, developer; parts as they came. Appends to out. Errors blame the
 * parameter "messages", or a variable's: "chat_template_kwargs". A system (or developer) message that the template would
 * drop is refused, so is a medium without a marker. [any thread] */
sn_status chat_render(const chat_template *t, const vocab *v, const sn_message *messages, size_t n, const chat_options *options,
                      marked_text *out, sn_error *err);

#endif
