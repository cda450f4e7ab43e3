/* speech_parse.h - the body of POST /v1/audio/speech. */
#ifndef API_SPEECH_PARSE_H
#define API_SPEECH_PARSE_H

#include "fields.h"
#include "sound_format.h"

typedef struct speech_body {
	const char *input;  /* [input_size], UTF-8 */
	size_t input_size;
	const char *model, *voice, *cache_salt; /* NULL: not given */
	const sound_format *format;
	float speed, temperature; /* temperature below 0: not given */
	uint64_t seed;
	bool has_seed;
	bool events;        /* stream_format sse */
	json_t *root;       /* what the strings are borrowed from */
} speech_body;

extern const field_table speech_fields;

/* On failure everything is released already. */
int speech_body_parse(speech_body *b, const char *data, size_t size, sn_error *err);
void speech_body_fini(speech_body *b);
/* A voice's name, for a field of that meaning. */
int voice_parse(const char **out, const char *param, const json_t *v, sn_error *err);

#endif
