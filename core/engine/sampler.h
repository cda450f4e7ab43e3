/* sampler.h - from a row of logits to a token. Pure: the same logits, parameters, history and indices give the same token.
 *
 * Order: penalties, logit_bias, end and stop tokens forbidden (min_tokens), token masks, rules, temperature, min_p, top_k, top_p,
 * draw.
 * Ties go to the lowest id. Random numbers are counter-based (Philox 4x32-10): f(seed, choice, output index), no state. */
#ifndef SN_ENGINE_SAMPLER_H
#define SN_ENGINE_SAMPLER_H

#include "engine/pages.h"
#include "engine/rules.h"
#include "text/vocab.h"

typedef struct token_logprob {
	int32_t token;
	float logprob;
} token_logprob;

/* Scratch for vocabularies up to n_vocab tokens. */
typedef struct sampler {
	uint32_t n_vocab;
	token_logprob *heap; /* [n_vocab] */
	uint32_t *mask;      /* [(n_vocab + 31) / 32] */
	float *work;         /* [n_vocab] */
} sampler;

typedef struct sample {
	int32_t token;
	float logprob;                             /* under the model's own distribution, before any parameter; with rules: of what
	                                            * they left, before the temperature */
	token_logprob top[SN_MAX_TOP_LOGPROBS];
	uint32_t n_top;
} sample;

sn_status sampler_reserve(sampler *s, uint32_t n_vocab, sn_error *err);
size_t sampler_bytes(const sampler *s, uint32_t n_vocab); /* that it holds once it is made large enough */
void sampler_fini(sampler *s);

/* False if a logit is not finite. logits: [n_logits] of the tokens from `first` on, left as they are; tokens beyond the vocabulary (padding rows of the
 * embedding) are never chosen. rows: the sequence so far, n_prompt of them the prompt. rules: NULL, or what
 * the answer is under. allowed: NULL, or a bit for each token that may come. A token mask, and rules about anything but frames, go with first 0. */
bool sampler_run(sampler *s, const sn_sampling *p, const token_rules *rules, const uint32_t *allowed, uint64_t seed, uint32_t choice, const vocab *v,
                 const float *logits, uint32_t n_logits, int32_t first, const seq_row *rows, uint32_t n_rows, uint32_t n_prompt, sample *out);

/* The probability of a token in a row of logits, as they are; 0 for a token that has none. */
float sampler_probability(const float *logits, uint32_t n_logits, int32_t token);

/* One of n logits, by temperature (0: the best), then top_k (0: all), then top_p. u: uniform in [0, 1). -1: a logit is not finite. */
int32_t sampler_choose(sampler *s, const float *logits, uint32_t n, float temperature, uint32_t top_k, float top_p, double u);

/* Uniform in [0, 1). */
double sampler_uniform(uint64_t seed, uint32_t choice, uint32_t index, uint32_t draw);

#endif
