/* rules.h - what may be said next by a model that writes recordings down, or that speaks: rules over tokens, as data. The sampler
 * asks for them after the token mask, with the logits: one of them weighs probabilities.
 *
 * Frames, of a model that speaks: the i-th token of the answer is a code of slot i mod n_slots, or, where a frame begins, an end.
 *
 * Stamps are tokens for times. They come in pairs around what is said, <0.00> text <1.20> <1.20> text <3.40>, never go back, and
 * the answer begins with one:
 *   - after a pair (or the opening stamp) comes text; after text and its stamp comes the next pair's first stamp, or the end;
 *   - no stamp is before the last one, nor the same, but for the second of a pair;
 *   - the first one is at most max_first;
 *   - if all stamps together are likelier than the best other token, it is a stamp.
 *
 * This is OpenAI's ApplyTimestampRules (whisper, decoding.py) and transformers' WhisperTimeStampLogitsProcessor, which agree token
 * for token. What they do not share is data here: the lists of transformers are its generation_config's, those of OpenAI are
 * made from the tokenizer, and OpenAI always bounds the first stamp (1 s), transformers where the configuration says so. */
#ifndef SN_ENGINE_RULES_H
#define SN_ENGINE_RULES_H

#include <stddef.h>
#include <stdint.h>

typedef struct token_range {
	int32_t first; /* token */
	uint32_t n;
} token_range;

typedef struct token_rules {
	const token_range *slots;      /* [n_slots] of a frame; none: no rules about frames, else no others than they and n_ends */
	const int32_t *ends;           /* [n_ends] ascending */
	uint32_t n_slots, n_ends;
	uint32_t min_frames;           /* no end before */
	const int32_t *only;           /* [n_only] ascending: nothing else may be said; none: no such rule */
	const int32_t *suppress;       /* [n_suppress] never */
	const int32_t *begin_suppress; /* [n_begin_suppress] not first */
	uint32_t n_only, n_suppress, n_begin_suppress;
	int32_t first_stamp; /* tokens from here on are stamps; 0: no rules about stamps */
	int32_t no_stamps;   /* under rules about stamps it is never said; -1: there is none */
	int32_t end;         /* tokens before it are text */
	uint32_t max_first;  /* stamps after first_stamp; UINT32_MAX: no such rule */
} token_rules;

/* Sets w[i] of tokens that must not come next to -infinity. w: [n] logits; said: [n_said] the answer so far. */
void rules_apply(const token_rules *r, float *w, uint32_t n, const int32_t *said, size_t n_said);
/* The same for rules about frames, which look at nothing but how much was said. w[i] is of token first + i. */
void rules_apply_frames(const token_rules *r, float *w, uint32_t n, int32_t first, uint32_t n_said);

#endif
