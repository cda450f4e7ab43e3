/* narrator.h - words become the bytes of a sound file, as they come: sn_speech into sn_writer.
 *
 *   narrator_open -> narrator_say..., narrator_finish -> narrator_next... until DONE or ERROR -> narrator_close
 *
 * Words may still be said while narrator_next is called, by the same thread.
 */
#ifndef API_NARRATOR_H
#define API_NARRATOR_H

#include "core.h"
#include "sound_format.h"

typedef struct narrator narrator;

typedef struct narrator_ask {
	const char *request_id, *cache_key, *cache_salt; /* as in sn_chat */
	const char *model;   /* NULL: the first that speaks */
	const char *voice;   /* NULL: default */
	const char *language, *instructions; /* as in sn_speech_ask */
	size_t instructions_size;
	const sn_part *reference;
	const sound_format *format;
	float tempo;         /* 0.25..4 */
	float temperature;   /* below 0: the model's own */
	uint64_t seed;
	bool has_seed;
	bool whole;          /* no bytes before the end, for a header that tells the length */
	uint32_t timeout_ms; /* total; 0: none */
} narrator_ask;

typedef enum narrator_kind { NARRATOR_NONE, NARRATOR_BYTES, NARRATOR_DONE, NARRATOR_ERROR } narrator_kind;

typedef struct narrator_event {
	narrator_kind kind;
	const char *bytes; /* BYTES, and the rest at DONE: [size]; valid until the next call */
	size_t size;
	sn_usage usage;    /* DONE */
	double seconds;    /* DONE: of sound before the tempo; 0: there was none, and the file has no bytes */
	sn_error error;
} narrator_event;

/* Who is meant by `name` (NULL: the first who can). SN_ERR_NOT_FOUND, or SN_ERR_UNSUPPORTED: it does not speak. */
int narrator_model(const sn_model_info **out, const sn_engine *engine, const char *name, sn_error *err);
/* Borrows from ask until return only. */
int narrator_open(narrator **out, sn_engine *engine, const narrator_ask *ask, sn_error *err);
uint32_t narrator_rate(const narrator *n); /* Hz */
/* UTF-8 in any pieces. */
int narrator_say(narrator *n, const char *text, size_t size, sn_error *err);
void narrator_finish(narrator *n);
/* Waits up to timeout_ms; NONE also where sound came of which no byte is ready. */
narrator_kind narrator_next(narrator *n, int timeout_ms, narrator_event *ev);
void narrator_close(narrator **n);

#endif
