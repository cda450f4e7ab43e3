/* reasoning.h - takes a model's thinking out of its answer, as the answer comes: what stands between <think> and </think>, or what
 * other models write for it. Pieces may end anywhere, also within a mark.
 */
#ifndef API_REASONING_H
#define API_REASONING_H

#include <stdbool.h>

#include "core.h"
#include "out.h"

#define REASONING_HELD 16 /* bytes that may be the beginning of a mark */

typedef struct reasoning {
	bool inside;
	bool closed;   /* the prompt has ended the thinking for the model */
	bool at_start; /* asked for: only what an answer begins with is thinking, and only once */
	bool ended;    /* thinking has, once */
	bool said;     /* something else than thinking and white space was */
	bool thought;  /* for chat_split.h: some of it was told */
	size_t pair;   /* whose end is waited for */
	out_buf *thoughts; /* what is thought is appended; NULL: dropped */
	char held[REASONING_HELD];
	size_t n_held;
} reasoning;

/* Does the text, the end of a prompt, open the thinking for the model? Sets *r if it opens or closes it. */
bool reasoning_is_open(const char *prompt, size_t size, reasoning *r);
/* The same, of the chat's template: what it writes before the answer is asked with one message of text. */
int reasoning_begin(reasoning *r, sn_engine *engine, const sn_chat *chat, sn_error *err);
/* The marks around thinking; inside: those of what ends it. */
const char *reasoning_begin_mark(const reasoning *r);
const char *reasoning_end_mark(const reasoning *r);
/* Those that begin so; the first if none do. */
size_t reasoning_pair(const char *begin);
/* Where they are tokens of their own, the answer shows them. */
void reasoning_show(sn_sampling *s);
/* Appends to out what is not thinking. */
void reasoning_feed(reasoning *r, out_buf *out, const char *text, size_t size);
/* The answer is over: what was held back was no mark. */
void reasoning_end(reasoning *r, out_buf *out);

#endif
