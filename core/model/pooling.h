/* pooling.h - how the rows of a text become one vector, for models that embed.
 *
 *   rows of the last layer, normed as the head would have them ── the last one | the first one | their mean ── [length 1]
 *
 * A model whose file says how embeds, and is asked for nothing else: what it was trained for is not the next token. Any other decoder
 * can embed as well; then it is the last row, which has seen the whole text. Sums are of 64 bits and row by row in order, so that
 * neither chunks nor company change a byte.
 */
#ifndef SN_MODEL_POOLING_H
#define SN_MODEL_POOLING_H

#include "formats/model_file.h"

typedef enum pooling_kind { POOLING_LAST, POOLING_MEAN, POOLING_FIRST } pooling_kind;

typedef struct pooling {
	pooling_kind kind;
	bool declared; /* by the model's file: it has no head, and says nothing */
	bool chosen;   /* by it, or by the operator: this is a model that embeds */
	bool plain;    /* the vector is left as long as it is */
	int32_t *sizes; /* [n_sizes] that a vector may be cut to beside its own; none: any */
	size_t n_sizes;
} pooling;

/* arch: the model's name, before the keys. asked: instead of what the file says. Lists live in the file. */
sn_status pooling_read(pooling *out, const model_file *f, const char *arch, sn_pooling asked, sn_error *err);
/* Of a text of n rows: the first that counts, and one past the last. */
void pooling_rows(pooling_kind kind, uint32_t n, uint32_t *begin, uint32_t *end);
/* May a vector of n values be cut to so many? */
bool pooling_fits(const pooling *p, uint32_t n, uint32_t size);
/* The first `size` of the values, and their length made 1 unless the model leaves it. */
void pooling_finish(const pooling *p, float *v, size_t size);

#endif
