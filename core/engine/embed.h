/* embed.h - a request whose rows become one vector. The engine thread adds rows to the sum as they are computed, whatever the chunks;
 * rows that are computed again after a preemption are in it already. What counts must be computed, not given: the prefix cache
 * has keys and values, not the rows of the last layer. */
#ifndef SN_ENGINE_EMBED_H
#define SN_ENGINE_EMBED_H

#include "engine/engine.h"

typedef struct pooled {
	uint32_t begin, end; /* rows that count, */
	uint32_t next;       /* of which those before it are in the sum */
	double *sum;         /* [n_embd] */
	float *vector;       /* [n_embd] the mean; for the consumer, behind the end */
} pooled;

typedef struct embed_ask {
	const char *request_id, *model, *cache_key, *cache_salt; /* as in sn_chat */
	const sn_embedding_input *input;
	bool add_special_tokens;
	uint32_t timeout_ms; /* total, from submit; 0: none */
} embed_ask;

/* A sequence of this one input, under the place of who asks. As sn_chat_submit; errors blame "input". [any] */
sn_status embed_submit(sn_engine *e, const embed_ask *ask, sn_request **out, sn_error *err);
sn_status prompt_of_embedding(sn_request *r, const embed_ask *ask, sn_error *err);
/* r's rows, of which there are n, are to be pooled as its model does it. Before its sequence is made. */
sn_status pooled_begin(sn_request *r, uint32_t n_rows, sn_error *err);
/* Leading rows that need not be computed, of n. */
uint32_t pooled_spare(const pooled *p);
/* Rows [at, end) of the sequence are about to be computed: those of them that count, and are not in the sum. False: none. */
bool pooled_take(pooled *p, uint32_t at, uint32_t end, uint32_t *first, uint32_t *n_rows);
/* All are computed. False: a value is not finite. */
bool pooled_finish(pooled *p, uint32_t n_embd);

#endif
