/* tool_grammar.h - answers that may, or must, call tools, as a grammar: what is let through is content and calls that parse, with
 * arguments that the tool's schema takes.
 *
 *   must:  thinking? calls
 *   none:  thinking? answer            where there are no tools
 *   may:   thinking? words calls?      words: without the text that opens calls, nor, without thinking, beginning as it does
 *          thinking? (calls | words)   where nothing opens them: words do not begin as a call of a tool does
 *          thinking? (calls | answer)  where the answer has to be JSON
 *
 * A schema that the grammar cannot keep is refused where a call is asked for or the tool is strict; else its arguments are any object. */
#ifndef API_TOOL_GRAMMAR_H
#define API_TOOL_GRAMMAR_H

#include "out.h"
#include "tools.h"

typedef struct tool_grammar_ask {
	const sn_tool_format *format;
	bool many;                /* calls in one answer */
	const char *thinks, *thought; /* marks around what may be thought first; NULL: nothing is */
	const json_t *answer;         /* the schema of an answer that calls nothing; NULL: it is words */
} tool_grammar_ask;

/* Appends the grammar, of an answer alone if t is NULL. What is refused is named in err. */
int tool_grammar(const tools *t, const tool_grammar_ask *ask, out_buf *out, sn_error *err);

#endif
