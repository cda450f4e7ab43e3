/* segments.h - an answer with stamps, cut into segments: runs of its tokens with a beginning and an end in time.
 *
 *   <0.00> Hello. <1.20> <1.20> How are you? <2.60> <2.60> And      two closed segments and the window's rest
 *
 * As OpenAI's transcribe.py cuts them. It drops the rest and reads on from the last stamp; here windows end at quiet places and
 * the next one is on its way already, so the rest is a segment that ends with the window. */
#ifndef SN_ENGINE_SEGMENTS_H
#define SN_ENGINE_SEGMENTS_H

#include <stdint.h>

typedef struct segment_span {
	uint32_t first, n_tokens; /* stamps included */
	double start, end;        /* seconds from the window's beginning */
} segment_span;

/* out: [n_tokens + 1]; returns how many. step: seconds from one stamp to the next; duration: of the window. Times lie in the window
 * and do not go back. first_stamp <= 0: the model knows none. */
uint32_t segments_cut(const int32_t *tokens, uint32_t n_tokens, int32_t first_stamp, double step, double duration, segment_span *out);

#endif
