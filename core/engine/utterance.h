/* utterance.h - a request that speaks: its answer's tokens are codes, which a vocoder makes sound of, chunk by chunk, while more come.
 *
 *   tokens -- rules about frames --> codes [n_frames][n_codes] -- chunks, in jobs of synth.h --> sound -- bounded buffer --> its reader
 *
 * Which codes a chunk has is fixed by the vocoder's description: it is ready once it is known whether anything follows it. The sequence
 * ends (and its pages are free) with its last code, the request with its last sample. A sequence that is preempted keeps codes,
 * the vocoder's stream and sound: only its rows are computed again. A reader that is behind stalls the sequence. */
#ifndef SN_ENGINE_UTTERANCE_H
#define SN_ENGINE_UTTERANCE_H

#include "engine/engine.h"
#include "engine/listener.h"

typedef struct utterance {
	speaker *who;
	listener *to;
	uint32_t index;       /* in its speech */
	uint32_t max_frames;
	double t_words;       /* ms; its words were there */

	/* engine thread */
	int32_t *codes;       /* [max_frames][info->n_codes] of a frame first those that were sampled as tokens, then those that were predicted */
	uint32_t n_tokens;    /* sampled codes so far */
	uint32_t n_decoded;   /* frames that are sound */
	uint64_t n_samples;   /* made */
	bool begun;           /* a row of it was computed */
	bool said_all;        /* its last code is known */
	sn_finish finish;     /* then */
	bool over;            /* its request has ended, well or not */
	bool stalled;         /* until its reader has taken half of what there is room for */
	bool in_job;
	bool alone;           /* its vocoder run with others failed: it is tried by itself */
	void *stream, *saved; /* [info->stream_bytes] the vocoder's; as it was before the job: NULL until one needs it */
	sn_request *next;     /* in sn_engine.speaking */

	atomic_uint n_sampled; /* tokens, ends among them */

	/* what is added to row i of the answer: 1 + flow[i]; behind them flow_end once, then flow_rest: 1 + a token, or 0 */
	int32_t *flow;        /* [n_flow] */
	uint32_t n_flow, flow_end, flow_rest;

	/* under the request's lock */
	float *sound;         /* [capacity] ring */
	uint64_t capacity, n_written, n_read;
} utterance;

typedef struct utterance_ask {
	const char *request_id, *cache_key, *cache_salt; /* as in sn_chat */
	served_model *model;   /* speaks */
	uint32_t voice;        /* speaker_voice */
	uint32_t language;     /* speaker_language */
	const char *instructions; /* [instructions_size]; size 0: none */
	size_t instructions_size;
	const sn_media *reference; /* decoded, for model->speaker->reference; parked at the gate; NULL: none */
	const char *text;      /* [size] */
	size_t size;
	listener *to;
	uint32_t index;
	double t_words;
	float temperature;     /* below 0: the model's own */
	uint64_t seed;
	uint32_t max_frames;   /* at most so many; 0: the model's own bound alone */
	uint32_t timeout_ms;   /* total, from submit; 0: none */
	bool has_place;        /* under the place of who asks: taken however full the queue is */
} utterance_ask;

/* As window_submit; errors about the text blame "input". [any] */
sn_status utterance_submit(sn_engine *e, const utterance_ask *a, sn_request **out, sn_error *err);

typedef enum utterance_news { UTTERANCE_NOTHING, UTTERANCE_SOUND, UTTERANCE_ENDED, UTTERANCE_FAILED } utterance_news;

/* The consumer's: waits up to timeout_ms. SOUND: *n of at most max samples are in pcm. ENDED: nothing more comes; FAILED: err
 * is set. */
utterance_news utterance_next(sn_request *r, int timeout_ms, float *pcm, size_t max, size_t *n, sn_error *err);
/* After ENDED or FAILED. */
sn_usage utterance_usage(const sn_request *r);

/* ---- on the engine thread, but for the first two ---- */

sn_status prompt_of_utterance(sn_request *r, const utterance_ask *a, sn_error *err);
void utterance_close(utterance **u);
bool utterance_is_stalled(sn_request *r);
/* Frames of the chunk that may be decoded now; 0: none is ready, or its reader has no room for it. *last: the utterance ends with it. */
uint32_t utterance_ready(sn_request *r, bool *last);
/* Samples for the reader. */
void utterance_give(sn_request *r, const float *pcm, uint32_t n, double now);
/* Whole ones. */
static inline uint32_t utterance_frames(const utterance *u)
{
	return u->n_tokens / u->who->about->n_slots;
}
/* Where the code of the i-th token stands; its frame's predicted ones follow it. */
static inline int32_t *utterance_code(const utterance *u, uint32_t i)
{
	uint32_t n_slots = u->who->about->n_slots;
	return u->codes + (size_t)(i / n_slots) * u->who->info->n_codes + i % n_slots;
}
/* 1 + the token that is added to row i of the answer; 0: none is. */
static inline uint32_t utterance_flow(const utterance *u, uint32_t i)
{
	return i < u->n_flow ? (uint32_t)u->flow[i] + 1 : i == u->n_flow ? u->flow_end : u->flow_rest;
}

#endif
