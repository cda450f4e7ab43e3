/* speech_parse.h - the body of POST /v1/audio/speech. */
#ifndef API_SPEECH_PARSE_H
#define API_SPEECH_PARSE_H

#include "fields.h"
#include "sound_format.h"

/* A recording as it came: a URL, or base64 with the name of its format. */
typedef struct speech_reference {
	const char *url;   /* [size] NULL: it is base64, or there is none */
	const char *data;  /* [size] base64; NULL: it is a URL, or there is none */
	const char *format;
	size_t size;
} speech_reference;

typedef struct speech_body {
	const char *input;  /* [input_size], UTF-8 */
	size_t input_size;
	const char *model, *voice, *cache_salt; /* NULL: not given */
	const char *language; /* NULL: Auto, or not given */
	const char *instructions; /* [instructions_size], UTF-8; NULL: none */
	size_t instructions_size;
	speech_reference reference;
	const char *ref_text; /* NULL: not given */
	bool voice_only;      /* x_vector_only_mode */
	const char *task_type; /* NULL: not given */
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
