/* dataurl.h - data: URLs (RFC 2397) with base64, strictly (RFC 4648: padded, no blanks, no stray bits). */
#ifndef API_DATAURL_H
#define API_DATAURL_H

#include "core.h"

#define DATAURL_MAX_MIME 64

typedef struct dataurl {
	char mime[DATAURL_MAX_MIME]; /* lower case, "" if the URL names none */
	char *data;                  /* [size], malloc'ed */
	size_t size;
} dataurl;

/* Over max_bytes is SN_ERR_TOO_LARGE, known from the length, before any byte is decoded. */
int dataurl_decode(dataurl *out, const char *url, size_t size, size_t max_bytes, const char *param, sn_error *err);
/* Its data alone: *data: [*size], malloc'ed. */
int dataurl_base64(char **data, size_t *size, const char *text, size_t text_size, size_t max_bytes, const char *param, sn_error *err);
void dataurl_fini(dataurl *d);

#endif
