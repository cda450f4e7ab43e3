/* hf_rope.h - rotary embedding as config.json tells it: transformers 4 has rope_theta and rope_scaling, transformers 5 has
 * rope_parameters, which hold rope_theta too and, where layers differ, one object per layer type. */
#ifndef SN_FORMATS_HF_ROPE_H
#define SN_FORMATS_HF_ROPE_H

#include "base/json.h"
#include "core.h"

typedef struct hf_rope {
	enum { HF_ROPE_DEFAULT, HF_ROPE_LINEAR, HF_ROPE_LLAMA3 } type;
	double base;
	double factor;                          /* linear, llama3 */
	double low_freq, high_freq, n_original; /* llama3 */
	double window_base;                     /* of layers with a window */
} hf_rope;

/* One for all layers. n_context: max_position_embeddings. */
sn_status hf_rope_read(hf_rope *out, const json_t *config, uint32_t n_context, sn_error *err);
/* One for layers that see all and one, without scaling, for layers with a window. */
sn_status hf_rope_read_by_type(hf_rope *out, const json_t *config, sn_error *err);

/* llama3: what each of head_dim / 2 frequencies is divided by. */
void hf_rope_factors(float *out, uint32_t head_dim, const hf_rope *rope);

#endif
