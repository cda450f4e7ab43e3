/* recording.h - the order of work on a recording: it is cut into windows, a few of which are on their way at once, each as one attempt
 * after another:
 *
 *   language   of the first window, if it is not known: the others wait for it
 *   text       greedy, then hotter while the answer looks wrong: it repeats itself, or the model did not believe it
 *   words      the accepted answer once more, for the times of its words, if they are asked for
 *
 * Windows are handed out in order. Knows no engine: cutting, and starting and asking an attempt, is its runner's, so that the order
 * is tested without one. Not thread-safe: a recording's consumer drives it. */
#ifndef SN_ENGINE_RECORDING_H
#define SN_ENGINE_RECORDING_H

#include "core.h"

enum { MAX_FLIGHT = 4, ATTEMPTS = 6 }; /* windows on their way; temperatures 0, 0.2, .. 1 */

enum attempt_kind { ATTEMPT_LANGUAGE, ATTEMPT_TEXT, ATTEMPT_WORDS };

typedef struct window_answer {
	int32_t *tokens;    /* [n_tokens] without the end token; malloc'd */
	uint32_t n_tokens;
	uint32_t *begins;   /* WORDS: [text tokens + 1] the media row at which each begins, and the text's end; malloc'd */
	float avg_logprob, compression_ratio, no_speech_prob;
} window_answer;

typedef struct window {
	uint32_t index;
	uint64_t first, end; /* samples */
	enum attempt_kind kind;
	uint32_t attempt;    /* of its text */
	float temperature;
	enum { WINDOW_WAITS, WINDOW_RUNS, WINDOW_READY } state;
	void *run;           /* the runner's, while it runs */
	window_answer answer;
	bool silent;         /* nothing is said in it: answer does not count */
} window;

enum run_state { RUN_GOES_ON, RUN_ENDED, RUN_FAILED };

typedef struct window_runner {
	void *ctx;
	/* The end of the window that begins at sample first: above it, and no more than there are. */
	sn_status (*cut)(void *ctx, uint64_t first, uint64_t *end, sn_error *err);
	/* alone: none of the recording's windows is on its way. SN_ERR_QUEUE_FULL: not now; never when alone. */
	sn_status (*start)(void *ctx, const window *w, bool alone, void **run, sn_error *err);
	/* Waits up to wait_ms. ENDED: answer is filled. ENDED and FAILED: the run is gone. */
	enum run_state (*ask)(void *ctx, const window *w, void **run, int wait_ms, window_answer *answer, sn_error *err);
	void (*stop)(void *ctx, void **run);
	/* A language was detected: tokens[0] of the answer. */
	void (*tell_language)(void *ctx, int32_t token);
} window_runner;

typedef struct recording {
	window_runner runner;
	uint64_t n_samples, at;  /* at: where the next window begins */
	uint32_t n_begun, n_taken;
	uint32_t max_flight;
	float temperature;       /* above 0: one attempt at it */
	bool knows_language, wants_words;
	window flight[MAX_FLIGHT]; /* window i at i % MAX_FLIGHT, for n_taken <= i < n_begun */
} recording;

/* Starts the first window. */
sn_status recording_open(recording *rec, const window_runner *runner, uint64_t n_samples, float temperature, bool knows_language, bool wants_words,
                       uint32_t max_flight, sn_error *err);
/* The next window in order if it is ready within wait_ms, else *ready is NULL. After an error only close is legal. */
sn_status recording_next(recording *rec, int wait_ms, window **ready, sn_error *err);
/* The window that next gave is done with. */
void recording_take(recording *rec);
bool recording_done(const recording *rec); /* all were taken */
void recording_close(recording *rec);      /* stops what runs */

#endif
