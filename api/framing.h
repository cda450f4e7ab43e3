/* framing.h - where a request's body ends, decided strictly.
 *
 * civetweb is lenient (both lengths at once, duplicates, signs, headers after a folded line are dropped). Two readers
 * that disagree about the end of a body let one client speak as another, so anything unclear is refused and the
 * connection closed. A pure function of the header list.
 */
#ifndef API_FRAMING_H
#define API_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"

typedef struct framing_header { const char *name, *value; } framing_header;

typedef struct framing {
	bool chunked;
	uint64_t length;        /* bytes of the body; 0 if chunked */
	bool expect_continue;
	bool keep_alive;        /* the client's wish */
} framing;

int framing_parse(framing *out, const char *version, const framing_header *headers, size_t n, sn_error *err);

#endif
