/* tool_stream.h - calls of tools in what a model says, as it says it: text -> content, and calls.
 *
 * A call is told once its name, one of the tools', and the beginning of its arguments have been read; until then its text is held, and
 * turns out as content if it is none. Its arguments go on as they come, to the end of their object. All else is content, but for
 * white space beside calls. What comes out, in all, does not depend on how the text was cut. */
#ifndef API_TOOL_STREAM_H
#define API_TOOL_STREAM_H

#include "out.h"
#include "tools.h"

#define TOOL_ID_SIZE 10 /* nine letters and digits, which all chat templates take back, and a NUL */

typedef enum tool_place {
	TOOL_IN_CONTENT,   /* held: white space, and what may begin a call */
	TOOL_IN_ARGUMENTS,
	TOOL_AT_CLOSE,     /* held: the beginning of what closes the call */
	TOOL_BEHIND        /* held: what may begin the next one, or end them all */
} tool_place;

typedef struct tool_stream {
	const sn_tool_format *format;
	const tools *tools;
	bool gather;       /* calls are told whole, as an answer in one piece has them; else in deltas */
	tool_place place;
	bool said;         /* content that is no white space has come */
	out_buf held;
	unsigned depth;    /* of the arguments */
	bool in_string, escaped;
	uint32_t n_calls;
	bool whole;        /* the last one's arguments are complete */
	bool fresh;        /* its name is not told yet */
	char id[TOOL_ID_SIZE];
	const tool *tool;
	out_buf arguments; /* of it, not told yet */
	/* What is told: */
	out_buf content;
	out_buf calls;     /* JSON, the inside of a list */
} tool_stream;

/* Borrows both. */
void tool_stream_init(tool_stream *s, const sn_tool_format *format, const tools *known, bool gather);
void tool_stream_fini(tool_stream *s);
/* Appends to content and calls, which the caller empties. text: whole characters of UTF-8. */
void tool_stream_feed(tool_stream *s, const char *text, size_t size);
void tool_stream_end(tool_stream *s);
/* Does the answer end with a complete call? */
bool tool_stream_called(const tool_stream *s);
bool tool_stream_failed(const tool_stream *s); /* memory was short */

#endif
