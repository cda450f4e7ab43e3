/* transcription_parse.h - the form of POST /v1/audio/transcriptions and /v1/audio/translations. */
#ifndef API_TRANSCRIPTION_PARSE_H
#define API_TRANSCRIPTION_PARSE_H

#include "form.h"
#include "transcript_format.h"

typedef struct transcription_body {
	form_file file;         /* in the body */
	const char *model, *language, *cache_salt; /* NULL: not given */
	const char *prompt;     /* [prompt_size]; NULL: none */
	size_t prompt_size;
	transcript_form form;
	float temperature;
	uint64_t seed;
	bool has_seed, stream, segments, words;
	json_t *root;           /* what the strings are borrowed from */
} transcription_body;

extern const field_table transcription_fields;

/* On failure everything is released already. The result borrows from data. */
int transcription_body_parse(transcription_body *b, const char *content_type, const char *data, size_t size, sn_error *err);
void transcription_body_fini(transcription_body *b);

#endif
