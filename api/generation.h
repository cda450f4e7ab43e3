/* generation.h - what chat and completions ask of the sampler and of the answer: one table of fields for both. */
#ifndef API_GENERATION_H
#define API_GENERATION_H

#include "fields.h"
#include "structured.h"

typedef struct generation {
	sn_sampling sampling; /* borrows from the body */
	sn_logit_bias *bias;
	structured form;      /* what the answer must be */
	const char *model, *cache_salt; /* NULL: not given */
	bool stream, include_usage, has_stream_options;
} generation;

extern const field_table generation_fields; /* into a generation */

void generation_init(generation *g);
void generation_fini(generation *g);
/* What fields mean together. */
int generation_check(generation *g, sn_error *err);

#endif
