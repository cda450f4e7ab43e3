/* schema_inside.h - between schema.c and its parts. */
#ifndef API_SCHEMA_INSIDE_H
#define API_SCHEMA_INSIDE_H

#include "schema.h"

/* A literal of the grammar; bytes are UTF-8. */
void grammar_literal(out_buf *out, const char *bytes, size_t size);

/* What a number may be; both ends whole. */
typedef struct number_range {
	bool has_min, has_max, open_min, open_max;
	int64_t min, max;
} number_range;

#define NUMBER_RANGE_LIMIT 1000000000000000 /* 10^15 */

/* False: no such number. */
bool grammar_integers(out_buf *out, const number_range *r);
bool grammar_numbers(out_buf *out, const number_range *r);

/* A JSON string, without its quotes, in which the pattern is found. Otherwise why not, as fixed text. */
const char *grammar_pattern(out_buf *out, const char *pattern, size_t size);

#endif
