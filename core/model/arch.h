/* arch.h - architectures as data: a row of switches for what a family does, and the hyper-parameters that a file gives.
 * One forward pass (forward.c) reads both. A family that differs only in these is one more row of arch.c's table. */
#ifndef SN_MODEL_ARCH_H
#define SN_MODEL_ARCH_H

#include "formats/model_file.h"
#include "model/ops.h"

typedef struct arch {
	const char *name;     /* general.architecture */
	bool rope_neox;       /* pairs (i, i + n_rot/2); else (2i, 2i + 1), as llama files are permuted for */
	enum ops_act act;     /* of the gate */
	bool may_have_bias;   /* q, k, v, o carry biases if the file has them */
} arch;

/* NULL if there is no such row. */
const arch *arch_find(str name);

enum { MAX_LAYERS = 512, MAX_HEADS = 512, MAX_HEAD_DIM = 512, MAX_WIDTH = 65536, MAX_FFN = 262144, MAX_VOCAB = 1 << 20,
       MAX_CONTEXT = 1 << 20 };

typedef struct hparams {
	const arch *arch;
	uint32_t n_layers, n_embd, n_ffn, n_head, n_kv_head, head_dim, n_rot;
	uint32_t n_vocab;   /* rows of the embedding */
	uint32_t n_context;
	float rms_eps, rope_base, rope_scale; /* rope_scale: positions are divided by it (linear scaling) */
} hparams;

/* Reads and checks all of it. A refusal names file, key and value. */
sn_status hparams_read(hparams *h, const model_file *f, sn_error *err);

#endif
