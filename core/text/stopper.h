/* stopper.h - stop strings on a stream: text goes in by pieces, comes out up to the first stop string. Text that may
 * still turn out to be the start of one is held back. The result does not depend on how the text was cut: all that
 * is emitted, in all, is the text before the earliest start of any stop string, else the whole text. */
#ifndef SN_TEXT_STOPPER_H
#define SN_TEXT_STOPPER_H

#include "base/buf.h"
#include "core.h"
#include "base/str.h"

typedef struct stopper {
	str stop[SN_MAX_STOP];
	size_t index[SN_MAX_STOP]; /* where each stands in the caller's list */
	size_t n;
	buf held;
	bool hit; /* a stop string was met: nothing more comes out */
	size_t which; /* hit: its index in the caller's list, the lowest of those that fit there */
} stopper;

/* Borrows the strings. Empty ones are ignored; at most SN_MAX_STOP. */
void stopper_init(stopper *s, const char *const *stop, const size_t *size, size_t n);
void stopper_fini(stopper *s);
/* Appends to out what is now certain; look at s->hit afterwards. False when memory is short or out has failed. */
bool stopper_push(stopper *s, const char *p, size_t n, buf *out);
/* The text is over: what was held goes out, unless s->hit. */
bool stopper_flush(stopper *s, buf *out);

#endif
