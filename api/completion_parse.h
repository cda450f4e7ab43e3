/* completion_parse.h - the body of POST /v1/completions: one prompt or several, as text or as tokens. */
#ifndef API_COMPLETION_PARSE_H
#define API_COMPLETION_PARSE_H

#include "generation.h"

#define MAX_PROMPTS 64

typedef struct prompt {
	const char *text; /* [size]; NULL: ids are it */
	size_t size;
	int32_t *ids;     /* [n_ids] */
	size_t n_ids;
} prompt;

typedef struct completion_body {
	generation generation;
	prompt prompts[MAX_PROMPTS];
	size_t n_prompts;
	int32_t logprobs; /* -1: not asked for */
	uint32_t best_of; /* 0: not given */
	bool echo, add_special_tokens;
	json_t *root;
} completion_body;

extern const field_table completion_fields; /* into a completion_body, beside generation_fields */

/* On failure everything is released already. */
int completion_body_parse(completion_body *b, const char *data, size_t size, sn_error *err);
void completion_body_fini(completion_body *b);
/* A list of token ids, also for /detokenize. *out: [*n], malloc'd; not NULL on success. */
int token_ids_parse(const json_t *v, const char *param, int32_t **out, size_t *n, sn_error *err);
#define TOKEN_IDS_SCHEMA(more) "{\"type\":\"array\"," more "\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}}"

#endif
