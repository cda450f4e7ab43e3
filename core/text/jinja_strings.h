/* jinja_strings.h - what string filters and string methods share. Every character of a result keeps the provenance of
 * the character that it came from. */
#ifndef SN_TEXT_JINJA_STRINGS_H
#define SN_TEXT_JINJA_STRINGS_H

#include "text/jinja_ctx.h"

typedef enum strip_side { STRIP_LEFT = 1, STRIP_RIGHT = 2, STRIP_BOTH = 3 } strip_side;

/* chars: a set of characters, or NULL for white space. */
text text_strip(text t, const text *chars, strip_side side);
const value *string_strip(jinja_ctx *c, text t, const value *chars, strip_side side);
const value *string_case(jinja_ctx *c, text t, unsigned to);  /* unicode_case */
const value *string_capitalize(jinja_ctx *c, text t);
const value *string_title(jinja_ctx *c, text t); /* Python's str.title() */
/* count < 0: all. */
const value *string_replace(jinja_ctx *c, text t, text old, text with, int64_t count);
const value *string_split(jinja_ctx *c, text t, const value *sep, int64_t max, bool from_right);
const value *string_splitlines(jinja_ctx *c, text t, bool keep_ends);
/* Plain text, also of escaped items. */
const value *string_join(jinja_ctx *c, text sep, const value_table *items);
/* Python's str.center(), ljust() and rjust(); fill: one character. */
const value *string_center(jinja_ctx *c, text t, int64_t width, text fill);
const value *string_pad(jinja_ctx *c, text t, int64_t left, int64_t right, text fill);
/* str.islower(), str.isupper(): some character has this case, none has another. */
const value *string_has_case(jinja_ctx *c, text t, bool lower);
void put_case(text_builder *b, text t, unsigned to);

#endif
