/* transcript.h - the inside of an sn_transcript: a recording's consumer, and what its parts share.
 *
 *   transcript.c        its life: submit, next, close
 *   transcript_run.c    attempts at windows as requests of the engine: what recording.h's runner is
 *   transcript_text.c   a window's answer as segments with texts and words
 *
 * All of it runs on the consumer's threads, one at a time. A transcript has one place in the queue from before its recording is
 * decoded until it ends; the first of its windows on their way runs under that place, the others have their own. */
#ifndef SN_ENGINE_TRANSCRIPT_H
#define SN_ENGINE_TRANSCRIPT_H

#include "engine/engine.h"
#include "engine/recording.h"
#include "engine/segments.h"
#include "engine/words.h"

struct sn_transcript {
	sn_engine *engine;
	served_model *model;
	const transcriber *how;
	arena *mem;
	char id[72];
	char *cache_key, *cache_salt; /* or NULL */
	sn_media media;        /* parked at the gate; samples NULL: not decoded */
	recording rec;
	bool begun;            /* rec is open */
	bool has_place;
	bool translate, stamps, words;
	int32_t *previous;     /* [n_previous] the client's words */
	size_t n_previous;
	uint32_t language;     /* index; n_languages: not known, or the model knows one */
	uint64_t seed;
	double t_submit, t_deadline; /* ms; deadline 0: none */
	token_rules rules, language_rules;
	struct { uint32_t window; bool known; uint8_t hash[32]; } hashes[MAX_FLIGHT]; /* of windows on their way: attempts are many */
	sn_usage usage;
	uint32_t n_attempts;
	bool over;             /* DONE or ERROR was told */

	/* the window that is being handed out */
	window *open;          /* NULL: none */
	arena *page;           /* what its segments point to */
	sn_segment *segments;  /* [n_segments] */
	uint32_t n_segments, n_told;
	uint32_t next_id;
	double last_end, last_word_end; /* seconds */
};

/* transcript_run.c */
window_runner transcript_runner(sn_transcript *t);

/* transcript_text.c */
/* Makes t->segments of a window's answer. */
sn_status transcript_write(sn_transcript *t, const window *w, sn_error *err);
/* Appends what the tokens read like: text only, no stamps and no other special tokens. False without memory. */
bool transcript_decode(const sn_transcript *t, const int32_t *tokens, uint32_t n, buf *out);

#endif
