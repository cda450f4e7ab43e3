/* structured.h - fields that say what an answer must be, made into core's grammar: OpenAI's response_format, vLLM's
 * structured_outputs and guided_*, llama.cpp's grammar and json_schema. One of them in a request. */
#ifndef API_STRUCTURED_H
#define API_STRUCTURED_H

#include "fields.h"
#include "out.h"

typedef struct structured {
	out_buf grammar;
	const char *by; /* the field that asked; NULL: none did */
} structured;

/* Parsers of fields.h whose `into` is a structured. */
int structured_response_format(structured *s, const json_t *v, sn_error *err);
int structured_outputs(structured *s, const json_t *v, sn_error *err);
int structured_grammar(structured *s, const char *by, const json_t *v, sn_error *err);
int structured_schema(structured *s, const char *by, const json_t *v, sn_error *err);
int structured_regex(structured *s, const char *by, const json_t *v, sn_error *err);
int structured_choice(structured *s, const char *by, const json_t *v, sn_error *err);
void structured_fini(structured *s);

#endif
