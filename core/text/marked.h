/* marked.h - text that remembers who wrote it: bytes plus the ranges that came from a trusted author (the chat
 * template or the host). Everything outside those ranges came from a client. Special tokens and media markers are
 * recognised only inside trusted ranges, so nothing that a client types can be mistaken for one. */
#ifndef SN_TEXT_MARKED_H
#define SN_TEXT_MARKED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

typedef struct marked_range {
	size_t begin, end; /* bytes, begin < end */
} marked_range;

typedef struct marked_text {
	buf bytes;             /* UTF-8 when its sources were */
	marked_range *trusted; /* [n_trusted], ascending, never touching one another */
	size_t n_trusted, cap_trusted;
} marked_text;

/* limit: bytes of text, 0: none. */
void marked_init(marked_text *m, size_t limit);
void marked_fini(marked_text *m);
/* False (and bytes.failed set) over the limit or out of memory; the text is then as before. */
bool marked_append(marked_text *m, const char *p, size_t n, bool trusted);
/* Does [begin, end) lie inside one trusted range? An empty range does not. */
bool marked_is_trusted(const marked_text *m, size_t begin, size_t end);
/* First occurrence of marker at or after `from` that lies wholly inside a trusted range; SIZE_MAX if there is none. */
size_t marked_find(const marked_text *m, size_t from, str marker);

#endif
