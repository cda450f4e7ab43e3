/* detok.h - tokens back to text, one at a time: appends whole UTF-8 characters only and keeps the tail of an
 * unfinished one (at most 3 bytes) for the next token. What is not UTF-8 becomes U+FFFD, one per maximal subpart
 * (Unicode 3.9, table 3-8), as Python's bytes.decode("utf-8", "replace") does, so that the stream's concatenation
 * equals decoding everything at once. Control tokens render as nothing and do not break a character in two. Where the
 * vocabulary puts a blank before text, one at the very start is dropped.
 *
 * Hugging Face's byte fallback replaces each byte of a whole run of byte tokens if any of it is not UTF-8: a stream that
 * does not wait for the end of the run cannot, and for valid text it makes no difference. */
#ifndef SN_TEXT_DETOK_H
#define SN_TEXT_DETOK_H

#include "base/buf.h"
#include "text/vocab.h"

typedef struct detok {
	const vocab *v;
	unsigned char tail[4];
	size_t n_tail;
	const int32_t *shown; /* [n_shown] control tokens that are text all the same; borrowed */
	size_t n_shown;
	bool drop_blank; /* nothing has been pushed yet, and a blank would be dropped */
} detok;

void detok_init(detok *d, const vocab *v); /* borrows v; nothing to free */
/* False only if out has failed. */
bool detok_push(detok *d, int32_t id, buf *out);
/* At the end: an unfinished tail becomes one U+FFFD. */
bool detok_flush(detok *d, buf *out);

#endif
