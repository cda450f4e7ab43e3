/* arch.h - architectures as data: a row of switches for what a family does, and the hyper-parameters that a file gives.
 * One forward pass (forward.c) reads both. A family that differs only in these is one more row of arch.c's table. */
#ifndef SN_MODEL_ARCH_H
#define SN_MODEL_ARCH_H

#include "engine/pages.h"
#include "formats/model_file.h"
#include "model/ops.h"
#include "model/rope.h"

enum arch_bias {
	BIAS_NONE,
	BIAS_FREE, /* every matrix may have one */
	BIAS_QKV,  /* q, k and v have one */
	BIAS_NOT_K /* every matrix has one but k */
};

/* Which of a row's positions, in time, height and width, turn which frequency: */
enum arch_axes {
	AXES_ONE,        /* a row has one position */
	AXES_IN_TURN,    /* M-RoPE: so many frequencies for each axis, one axis after the other */
	AXES_INTERLEAVED /* as many, but t h w t h w ... as long as an axis has some left; what is left over is for time */
};
enum { AXES = 3 };

typedef struct arch {
	const char *name;       /* general.architecture */
	const char *models;     /* that are of it, for people */
	bool directories;       /* it comes as directories only: nobody writes GGUF files of it */
	enum ops_act act;       /* of the gate; of the feed-forward's middle where there is none */
	enum arch_bias bias;
	bool gguf_permuted;     /* RoPE turns pairs (i, i + n_rot/2); but GGUF files of this family have q and k permuted for (2i, 2i + 1) */
	bool rope_freqs;        /* the file may bring divisors of the frequencies */
	uint32_t plain_every;   /* each so-manyth layer does without RoPE, unless the file says which; 0: none does */
	bool qk_norm;           /* RMS norm of each head of q and k before RoPE */
	bool post_norms;        /* attention's and the feed-forward's outputs are normed before they are added */
	bool norm_offset;       /* norms multiply by 1 + w; in GGUF files the 1 is added already */
	bool layer_norm;        /* norms are layer norms with biases, not RMS norms */
	bool no_gate;           /* the feed-forward is down(act(up(x))) */
	bool experts;           /* a layer may have many feed-forwards, of which a row takes the likeliest */
	bool gate_up;           /* gate and up are one matrix, gate first, in up's name */
	bool learned_positions; /* added to token embeddings; there is no RoPE */
	bool cross;             /* encoder-decoder: behind its own rows each layer looks at a fixed number of rows of a medium */
	bool embed_scale;       /* token embeddings times sqrt(n_embd), rounded to the type they are stored in */
	bool speaks;            /* the vocabulary is [text | codes], the head knows the codes only; and a depth transformer says what follows a code in its frame */
	uint32_t window_pattern; /* of each so many layers the last sees all, the others a window; 0: all layers are alike */
	bool windows;            /* a file that says so gives layers a window, */
	bool windows_named;      /* and has to say which */
	enum arch_axes axes;
	float rope_base;         /* unless the file says otherwise */
	float window_rope_base;  /* of layers with a window, which know no position scaling; unless the file says otherwise. 0: as the others' */
	uint32_t wide_scale_layers; /* models of so many layers scale scores by the width per head instead of the head size; 0: none do */
} arch;

/* NULL if there is no such row. */
const arch *arch_find(str name);
/* The table's row i; NULL behind the last. */
const arch *arch_row(size_t i);

enum { MAX_LAYERS = 512, MAX_HEADS = 512, MAX_HEAD_DIM = 512, MAX_WIDTH = 65536, MAX_FFN = 262144, MAX_VOCAB = 1 << 20,
       MAX_CONTEXT = 1 << 20, MAX_EXPERTS = 1024 };

typedef struct hparams {
	const arch *arch;
	uint32_t n_layers, n_embd, n_ffn, n_head, n_kv_head, head_dim, n_rot;
	uint32_t n_vocab;   /* rows of the embedding */
	uint32_t n_logits, first_logit; /* rows of the head, and the token of its first one: all, from 0 on, but for a family that speaks */
	uint32_t n_context;
	uint32_t n_cross;   /* rows of the medium that each sequence begins with; 0: not an encoder-decoder. The others are counted from there */
	uint32_t n_experts, n_experts_used, n_expert_ffn; /* 0: there are none */
	bool experts_normed; /* the shares of those that are used add up to 1 */
	float norm_eps;
	rope_params rope, window_rope; /* of layers that see all, and of those with a window */
	uint8_t axis[MAX_HEAD_DIM / 2]; /* [n_rot / 2] whose position a frequency is multiplied by; all 0 where a row has one */
	bool rope_neox;              /* pairs (i, i + n_rot/2); else (2i, 2i + 1) */
	float attn_scale;            /* of q k^T */
	uint32_t window;             /* a row of a layer with a window sees so many keys, itself among them; 0: no layer has one */
	bool windowed[MAX_LAYERS], no_rope[MAX_LAYERS];
} hparams;

/* Reads and checks all of it. A refusal names file, key and value. */
sn_status hparams_read(hparams *h, const model_file *f, sn_error *err);
/* The KV groups, not planned yet: layers that see all, then those with a window, whichever there are; then, of an
 * encoder-decoder, what its layers see of the medium. */
void hparams_groups(const hparams *h, enum kv_type type, kv_layout *out);

#endif
