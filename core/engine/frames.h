/* frames.h - frames that were begun in a step, by models with a depth transformer: their first code was sampled, the others are said
 * in one run for all sequences. Random numbers are the sampler's, the draws after the token's own: code i of a frame is draw 1 + i of
 * the token's index. Engine thread. */
#ifndef SN_ENGINE_FRAMES_H
#define SN_ENGINE_FRAMES_H

#include "engine/engine.h"
#include "model/depth.h"

typedef struct frames {
	uint32_t n;
	uint32_t *seqs;    /* [n] index in active[] */
	sample *samples;   /* [n] of the token */
	depth_frame *said; /* [n] */
	bool *failed;      /* [n] the logits of a code were not finite */
	uint32_t max;      /* in a step */
	void *room;        /* [room_bytes] */
	size_t room_bytes;
} frames;

/* For max frames in a step. NULL: no memory. */
frames *frames_open(uint32_t max);
void frames_close(frames **f);
size_t frames_bytes(uint32_t max);
/* Room for m's frames as well; and how many bytes of room there are then. */
sn_status frames_reserve(frames *f, const model *m, sn_error *err);
size_t frames_room(const frames *f, const model *m);

/* The most logits that a token or a code of m is sampled from. */
static inline uint32_t frames_choices(const model *m)
{
	return m->depth && m->depth->n_values > m->h.n_logits ? m->depth->n_values : m->h.n_logits;
}

void frames_clear(frames *f);
/* This sequence's token begins a frame. hidden: the row that it was sampled from. */
void frames_add(frames *f, sn_engine *e, uint32_t at_active, const sample *t, const float *hidden);
/* Says them all, into their utterances. */
void frames_say(frames *f, sn_engine *e, const model *m);
/* What tells the frame of token i of the answer from others; see seq_row.frame. */
uint64_t frame_key(const sn_engine *e, const struct utterance *u, uint32_t i);

#endif
