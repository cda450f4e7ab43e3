/* bench.h - what `sensorium bench` measures, through core.h like any other user of the engine.
 *
 *   prompt       B prompts of L tokens each, one token asked of each: B * L / seconds until the last one has it
 *   generation   the same and N tokens more: B * N / the seconds that this takes longer
 *   picture      the encoder's own time, and submit to the first token, for a picture that no cache knows
 *
 * Tokens are drawn at random, so that no prompt was seen before; the prefix cache is off. Figures are medians of rounds.
 */
#ifndef API_BENCH_H
#define API_BENCH_H

#include "core.h"

#define BENCH_MAX_ROUNDS 99

typedef struct bench {
	sn_engine *engine;
	const sn_model_info *model;
	uint64_t drawn;     /* state of the token generator */
	uint32_t rounds;
} bench;

typedef struct bench_text {
	uint32_t batch, prompt, output;      /* sequences, tokens of each prompt, tokens of each answer */
	double prompt_per_s, generation_per_s; /* tokens a second, all sequences together */
} bench_text;

typedef struct bench_picture {
	double encoder_ms, first_token_ms;
	uint32_t rows;
} bench_picture;

sn_status bench_text_run(bench *b, bench_text *t, sn_error *err);
/* data: a picture file's bytes. */
sn_status bench_picture_run(bench *b, const char *data, size_t size, bench_picture *p, sn_error *err);

#endif
