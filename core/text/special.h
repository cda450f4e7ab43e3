/* special.h - the tokens that are cut out of text by their spelling before the rest is tokenized: leftmost-longest, as
 * Hugging Face's added tokens. Some need trust: they are found only where all of their spelling comes from a trusted
 * author. The others (user-defined ones, which a model's author declared to be text) are found everywhere. */
#ifndef SN_TEXT_SPECIAL_H
#define SN_TEXT_SPECIAL_H

#include "base/str.h"
#include "text/marked.h"

#include <stdint.h>

typedef struct special {
	str spelling; /* not empty */
	int32_t id;
	bool needs_trust;
	bool rstrip; /* the white space behind it is part of it */
} special;

typedef struct special_set {
	special *at; /* [n] sorted by spelling, then id */
	size_t n;
	bool starts[256]; /* some spelling starts with this byte */
} special_set;

/* Takes over a malloc'd array; the spellings stay the caller's. */
void special_set_init(special_set *s, special *at, size_t n);
void special_set_fini(special_set *s);
/* The token with this spelling, the lowest id of equal ones; NULL if there is none. */
const special *special_find(const special_set *s, str spelling);

/* A walk along one text. */
typedef struct special_walk {
	const special_set *set;
	str text;
	const marked_range *trusted; /* [n_trusted] */
	size_t n_trusted, at;
} special_walk;

/* The next token at or after w->at: *begin is where it starts, w->at is set past it. NULL: there are no more. */
const special *special_next(special_walk *w, size_t *begin);

#endif
