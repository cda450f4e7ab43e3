/* answer_voice.h - the sound of an answer: its only choice is spoken while it is written, without its thinking. */
#ifndef API_ANSWER_VOICE_H
#define API_ANSWER_VOICE_H

#include "narrator.h"
#include "out.h"
#include "reasoning.h"

typedef struct answer_voice {
	narrator *narrator; /* NULL: the answer is not spoken */
	reasoning thinking;
	char id[32];        /* "audio_..." */
	out_buf words;      /* that the last piece of text came to; without thinking */
	out_buf sound;      /* bytes that have not been sent */
	bool over;          /* all of it is in sound */
	sn_usage usage;     /* once it is over */
} answer_voice;

/* chat: what is answered. */
int answer_voice_open(answer_voice *v, sn_engine *engine, const sn_chat *chat, const narrator_ask *ask, sn_error *err);
/* More of the answer's text; end: and no more. Its words are in v->words, and will be spoken. */
int answer_voice_hear(answer_voice *v, const char *text, size_t size, bool end, sn_error *err);
/* Waits up to timeout_ms: BYTES and DONE: v->sound has grown, NONE: nothing yet. */
narrator_kind answer_voice_next(answer_voice *v, int timeout_ms, sn_error *err);
void answer_voice_fini(answer_voice *v);

#endif
