/* multipart.h - multipart/form-data (RFC 7578, RFC 2046) over a body that is in memory already: pure, bounded, linear in its size.
 *
 * Nothing is decoded: a part's bytes are where they stand in the body, names are plain ASCII, file names are looked past (what a file
 * is, its bytes tell). What two readers could take for different things is refused: a line that only begins like a delimiter, a
 * folded header, a bare line feed, a field twice. Preamble and epilogue are skipped, as the RFC has it.
 */
#ifndef API_MULTIPART_H
#define API_MULTIPART_H

#include "core.h"

#define MULTIPART_MAX_PARTS 32
#define MULTIPART_NAME_SIZE 64    /* with its NUL */
#define MULTIPART_MAX_HEADERS 16  /* of a part */
#define MULTIPART_MAX_HEADER_BYTES 4096

typedef struct multipart_part {
	char name[MULTIPART_NAME_SIZE]; /* letters, digits and _ - . [ ]; only one that ends in [] may come again */
	bool has_filename;
	const char *data; /* [size], in the body */
	size_t size;
} multipart_part;

typedef struct multipart {
	multipart_part parts[MULTIPART_MAX_PARTS]; /* in the body's order */
	size_t n;
} multipart;

/* Is that the media type, whatever follows it? content_type may be NULL. */
bool multipart_is_form(const char *content_type);
/* content_type: the request's header. out borrows from body. */
int multipart_parse(multipart *out, const char *content_type, const char *body, size_t size, sn_error *err);

#endif
