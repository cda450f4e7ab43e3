/* chat_render.h - events of a chat -> OpenAI's JSON, whole (chat.completion) or in pieces (chat.completion.chunk). */
#ifndef API_CHAT_RENDER_H
#define API_CHAT_RENDER_H

#include "core.h"
#include "out.h"

typedef struct chat_render {
	char id[40];            /* chatcmpl-... */
	int64_t created;
	const char *model;      /* as served */
	bool logprobs;          /* asked for */
	bool usage_in_stream;   /* stream_options.include_usage: every chunk has the field */
} chat_render;

/* One choice, gathered from its events. */
typedef struct chat_choice {
	out_buf text, logprobs; /* logprobs: the inside of logprobs.content */
	sn_finish finish;
} chat_choice;

void chat_render_init(chat_render *r, const char *model);

/* Appends one object per token, with commas: the inside of logprobs.content. */
void chat_render_logprobs(out_buf *o, const sn_token_logprob *tokens, size_t n, bool first);
void chat_render_whole(out_buf *o, const chat_render *r, const chat_choice *choices, uint32_t n, const sn_usage *usage);

/* One chunk each; role: a choice's first one, finish: its last, for its CHOICE_DONE. */
void chat_render_role(out_buf *o, const chat_render *r, uint32_t choice);
void chat_render_text(out_buf *o, const chat_render *r, const sn_event *ev);
void chat_render_finish(out_buf *o, const chat_render *r, const sn_event *ev);
void chat_render_usage(out_buf *o, const chat_render *r, const sn_usage *usage);

#endif
