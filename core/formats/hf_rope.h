/* hf_rope.h - rotary embedding as config.json tells it: transformers 4 has rope_theta and rope_scaling, transformers 5 has
 * rope_parameters, which hold rope_theta too and, where layers differ, one object per layer type. */
#ifndef SN_FORMATS_HF_ROPE_H
#define SN_FORMATS_HF_ROPE_H

#include "base/json.h"
#include "formats/hf_config.h"

typedef struct hf_rope {
	enum { HF_ROPE_DEFAULT, HF_ROPE_LINEAR, HF_ROPE_DYNAMIC, HF_ROPE_LLAMA3, HF_ROPE_YARN, HF_ROPE_LONGROPE, HF_ROPE_TYPES } type;
	double base;
	double factor;
	double low_freq, high_freq;             /* llama3 */
	double n_original;
	double beta_fast, beta_slow, mscale, mscale_all; /* yarn */
	double attention;                       /* cos and sin are multiplied by it; 0: not given */
	bool whole;                             /* yarn: truncate */
	double partial;                         /* the share of a head that is turned */
	const json_t *divisors[2];              /* longrope: short_factor and long_factor, of the configuration's */
	double window_base;                     /* of layers with a window */
	int32_t sections[4];                    /* frequencies for each axis of a row's positions; all 0: it has one axis */
} hf_rope;

/* What classes of transformers read differently. */
typedef struct hf_rope_class {
	bool phi;            /* a part of a head may be turned, and longrope has older names too; the others turn all of it */
	double base;         /* unless the configuration says otherwise */
	int32_t sections[3]; /* of M-RoPE, the same; all 0: it knows none */
	bool interleaved;    /* M-RoPE's axes take turns */
} hf_rope_class;

/* One for all layers. n_context: max_position_embeddings. */
sn_status hf_rope_read(hf_rope *out, const json_t *config, uint32_t n_context, const hf_rope_class *how, sn_error *err);
/* One for layers that see all and one, without scaling, for layers with a window. */
sn_status hf_rope_read_by_type(hf_rope *out, const json_t *config, sn_error *err);

/* As GGUF's keys, beside the base, and a few of our own where GGUF bakes numbers into tensors. n_rot: channels that are turned. */
sn_status hf_rope_write(const hf_rope *rope, model_file *f, const char *arch, uint32_t n_context, uint32_t n_rot, hf_config *out, sn_error *err);

#endif
