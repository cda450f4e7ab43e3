/* sound_format.h - the formats in which sound is answered: OpenAI's names, the media types that writers know them by, file suffixes. */
#ifndef API_SOUND_FORMAT_H
#define API_SOUND_FORMAT_H

#include "core.h"

typedef struct sound_format {
	const char *name;       /* of response_format */
	const char *media_type; /* as in sn_writer_config */
	const char *suffixes;   /* of files, with blanks between */
} sound_format;

const sound_format *sound_format_find(const char *name); /* NULL: there is no such format */
/* By the suffix of a file's name; NULL: it has none, or none of these. */
const sound_format *sound_format_of_file(const char *path);
/* The answer's Content-Type. */
void sound_format_content_type(const sound_format *f, uint32_t rate, char out[64]);
/* For fields: `param` must be one of the formats. pcm: how pcm is called there. */
int sound_format_parse(const sound_format **out, const char *param, const char *name, const char *pcm, sn_error *err);

#endif
