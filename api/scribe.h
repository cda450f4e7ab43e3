/* scribe.h - a recording becomes text, by whichever of the two ways its model has: one that was made for it (sn_transcript), or a
 * chat in which a model that hears is asked to write down what it hears, without its thinking (reasoning.h).
 *
 *   scribe_open -> scribe_next... until DONE or ERROR -> scribe_close
 */
#ifndef API_SCRIBE_H
#define API_SCRIBE_H

#include "api.h"
#include "transcription_parse.h"

typedef struct scribe scribe;

typedef enum scribe_kind { SCRIBE_NONE, SCRIBE_TEXT, SCRIBE_DONE, SCRIBE_ERROR } scribe_kind;

typedef struct scribe_event {
	scribe_kind kind;
	const char *text;          /* TEXT, and the rest at DONE: [size], may be empty; all of them together begin and end without a blank */
	size_t size;
	const sn_segment *segment; /* TEXT: what it came from; NULL: the model tells no times */
	const char *language;      /* DONE: the code; "" if the model knows one language only, or does not tell */
	double duration;           /* DONE: seconds; below 0: the model does not tell */
	sn_usage usage;            /* DONE */
	sn_error error;
} scribe_event;

/* Borrows from b until return only. */
int scribe_open(scribe **out, request *r, const transcription_body *b, bool translate, sn_error *err);
/* Waits up to timeout_ms; what it points at is valid until the next call. */
scribe_kind scribe_next(scribe *s, int timeout_ms, scribe_event *ev);
void scribe_close(scribe **s);

#endif
