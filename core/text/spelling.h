/* spelling.h - spelling -> id, while a vocabulary is opened and for taking whole pieces. Of equal spellings the lowest id
 * counts. */
#ifndef SN_TEXT_SPELLING_H
#define SN_TEXT_SPELLING_H

#include "base/str.h"

#include <stdint.h>

typedef struct spelling_index {
	const str *tokens; /* borrowed */
	int32_t *slot;     /* [mask + 1] id or -1 */
	size_t mask;
} spelling_index;

/* Of the n tokens, those with include[i]; NULL: all. False when memory is short. */
bool spelling_index_init(spelling_index *x, const str *tokens, size_t n, const bool *include);
void spelling_index_fini(spelling_index *x);
/* -1: there is none. */
int32_t spelling_find(const spelling_index *x, str s);

#endif
