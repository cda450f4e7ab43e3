/* embeddings_parse.h - the body of POST /v1/embeddings. */
#ifndef API_EMBEDDINGS_PARSE_H
#define API_EMBEDDINGS_PARSE_H

#include "fields.h"

typedef struct embeddings_body {
	const char *model, *cache_salt;
	sn_embedding_input *inputs; /* [n_inputs]; their strings lie in root, their ids are the body's */
	size_t n_inputs;
	uint32_t dimensions;        /* 0: not given */
	bool base64, add_special_tokens;
	json_t *root;
} embeddings_body;

extern const field_table embeddings_fields;

/* What was parsed is embeddings_body_fini's to release, also on failure. */
int embeddings_body_parse(embeddings_body *b, const char *data, size_t size, sn_error *err);
void embeddings_body_fini(embeddings_body *b);

#endif
