/* rope.h - rotary embedding's kinds: what each makes of a base and its parameters, once, when a model is loaded.
 *
 * The frequencies are those of transformers' ROPE_INIT_FUNCTIONS. Every step is rounded to float as it is there, but for the powers,
 * which are rounded once here and lie within one unit of the last place there; so a frequency may differ in its last bits.
 *
 * Two kinds depend on how long a sequence is: dynamic, and longrope, which has divisors for short sequences and for long ones. Here
 * a frequency never changes under a sequence that has begun (its K is stored turned), and what a request gets does not depend on
 * what else is known of its future: the longest sequence that may be served decides, when the model is loaded. So
 *   dynamic   is served up to the model's own context, within which it changes nothing, and not beyond;
 *   longrope  takes the long divisors if contexts are longer than the original one, else (--max-model-len) the short ones. */
#ifndef SN_MODEL_ROPE_H
#define SN_MODEL_ROPE_H

#include <stdbool.h>
#include <stdint.h>

enum rope_kind { ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONGROPE, ROPE_KINDS };

typedef struct rope_params {
	enum rope_kind kind;
	float base;
	float factor;               /* all but default and longrope */
	float low_freq, high_freq;  /* llama3 */
	float n_original;           /* rows of the context before it was scaled: all but default and linear */
	float beta_fast, beta_slow; /* yarn */
	bool whole;                 /* yarn: the ramp begins and ends at whole frequencies */
	float attention;            /* cos and sin are multiplied by it */
	const float *divisors[2];   /* [n_rot / 2] each, or NULL: longrope's of short and of long sequences; of others, [0], those of the file */
} rope_params;

/* As files name it; NULL: no such kind. */
const char *rope_kind_name(enum rope_kind kind);
/* inv_freq [n_rot / 2]. n_max: rows of the longest sequence. */
void rope_frequencies(float *inv_freq, uint32_t n_rot, const rope_params *p, uint32_t n_max);

#endif
