/* chat_split.h - what a chat model says, parted as it comes: thinking, content, calls of tools. */
#ifndef API_CHAT_SPLIT_H
#define API_CHAT_SPLIT_H

#include "reasoning.h"
#include "tool_stream.h"

typedef struct chat_split {
	bool thinks, calls; /* there may be thinking, calls */
	reasoning reasoning;
	tool_stream stream;
	out_buf raw, raw_thoughts, lead, tail; /* of one feed; blanks that may be nothing: before content, behind thoughts */
	bool begun;                            /* content was said */
	/* What there is to be told; whoever tells it empties them. Calls are stream.calls. */
	out_buf content, thoughts;
} chat_split;

/* thinking: as the prompt leaves it; NULL: the model does not think. format, known: NULL, or borrowed. */
chat_split *chat_split_open(const reasoning *thinking, const sn_tool_format *format, const tools *known, bool gather);
void chat_split_close(chat_split **s);
void chat_split_feed(chat_split *s, const char *text, size_t size);
void chat_split_end(chat_split *s);
bool chat_split_has(const chat_split *s); /* something to tell */
bool chat_split_called(const chat_split *s);
bool chat_split_failed(const chat_split *s);

#endif
