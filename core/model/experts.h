/* experts.h - a feed-forward of many, of which each row takes a few: forward.c's.
 *
 *   h ── router ── softmax ── the k likeliest ─┬─ rows of expert 0 ── gate,up ── act(gate)*up ── down ─┐
 *                                              ├─ rows of expert 1 ── ...                              ├─ sum over a row's k, by rank
 *                                              └─ ...                                                  ┘
 * What a row becomes does not depend on its company: products are the same for any number of rows, ties go to the lowest
 * expert, and a row's sum runs in the order of its own choices. */
#ifndef SN_MODEL_EXPERTS_H
#define SN_MODEL_EXPERTS_H

#include "model/forward.h"

/* One of a row's choices. */
struct expert_choice {
	float share;
	uint32_t expert, slot; /* its row among all experts' rows */
};

/* fb->h = the feed-forward of fb->h, n rows. */
void experts_run(const model *m, ops *o, forward_buffers *fb, const expert_layer *w, size_t n);

#endif
