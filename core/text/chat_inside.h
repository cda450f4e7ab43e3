/* chat_inside.h - between chat.c, chat_values.c (what a template is given) and chat_probe.c (what it can take). */
#ifndef SN_TEXT_CHAT_INSIDE_H
#define SN_TEXT_CHAT_INSIDE_H

#include "grammar/tool_format.h"
#include "text/chat.h"
#include "text/jinja.h"
#include "text/value.h"

/* Of a row whose template knows no tools: the row's own texts, opened. NULL: the template does it. */
typedef struct chat_fold { jinja *tell, *call, *result; } chat_fold;

struct chat_template {
	jinja *t;
	chat_caps caps;
	const tool_row *row; /* NULL: no tools */
	chat_fold fold;
	bool needs_tools;           /* rendered with tools only */
	bool starved;               /* probed without memory: what was found means nothing */
	chat_template *with_tools;  /* takes this one's place then; NULL: none */
};

/* What a conversation is rendered with. */
typedef struct rendering {
	arena *a;
	chat_caps caps;        /* the form in which things are passed */
	const chat_fold *fold; /* NULL: the template knows tools and calls, or there are none */
	const vocab *v;        /* may be NULL */
	const chat_options *options;
} rendering;

/* The variables of the template; NULL: memory, or something is nested too deep. */
const value *chat_globals(const rendering *r, const sn_message *messages, size_t n);
sn_status chat_render_with(const jinja *t, rendering r, const sn_message *messages, size_t n, marked_text *out, sn_error *err);

/* Sets caps, row and fold of a template that parses; SN_ERR_INVALID: it renders no message in any form. */
sn_status chat_probe(chat_template *t, str source, sn_error *err);

#endif
