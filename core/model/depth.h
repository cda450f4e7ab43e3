/* depth.h - a depth transformer, as models that speak have one beside them: from the hidden row that a frame's first code was sampled
 * from, it says the frame's other codes, one after another. Each is sampled with a head of its own, and its embedding, of a table of
 * its own, is the next row's input:
 *
 *   row     0: hidden    1: E(token)    2: E1(code 1)    ...    n: E(n-1)(code n-1)
 *   says                    code 1         code 2                  code n               hidden, E: [n_in] ── in ── [n_embd]
 *
 * A layer is norm ── q,k,v ── norm of heads ── rope ── attention ── o ──(+)── norm ── gate,up ── silu(gate)*up ── down ──(+).
 * Its rows have K and V of their own, f32, which live for one frame. All sequences that begin a frame in a step run together, and
 * what one of them says does not depend on the others.
 *
 * Names and keys are those of GGUF files of Qwen3-TTS ("a.gen.code.", "clip.gen.audio."); a file may have the tables of the codes
 * one by one ("a.gen.code.embd.0.weight") instead of stacked ("a.gen.code.embd.weight"). */
#ifndef SN_MODEL_DEPTH_H
#define SN_MODEL_DEPTH_H

#include "model/model.h"

enum { DEPTH_MAX_CODES = 63 };

typedef struct depth_layer {
	const float *attn_norm, *ffn_norm; /* [n_embd] */
	const float *q_norm, *k_norm;      /* [head_dim] */
	weight q, k, v, o, gate, up, down;
} depth_layer;

typedef struct depth {
	uint32_t n_codes;   /* that it says of a frame: at most DEPTH_MAX_CODES */
	uint32_t n_values;  /* of each */
	uint32_t n_in, n_embd, n_ffn, n_layers, n_head, n_kv_head, head_dim;
	float norm_eps;
	weight in;          /* [n_embd, n_in]; data NULL: they are one */
	weight *embed;      /* [n_codes] [n_values, n_in] */
	weight *heads;      /* [n_codes] [n_values, n_embd] */
	depth_layer *layers; /* [n_layers] */
	const float *output_norm;
	float *cos_sin;     /* [n_codes + 1][head_dim] */
} depth;

bool depth_is_in(const model_file *f);
/* n_in: the width of the model whose frames it completes. Lives in mem. */
sn_status depth_bind(depth **out, const model_file *f, arena *mem, uint32_t n_in, ops *o, sn_error *err);

/* A frame that was begun. */
typedef struct depth_frame {
	const float *hidden; /* [n_in] normed, as the head saw it */
	uint32_t token;      /* sampled from it */
	int32_t *codes;      /* [n_codes] to be said */
} depth_frame;

/* Which of these logits [n_values] is code i (0, 1, ...) of a frame: below n_values. */
typedef struct depth_pick {
	uint32_t (*pick)(void *ctx, uint32_t frame, uint32_t i, const float *logits);
	void *ctx;
} depth_pick;

/* Bytes of room for so many frames; SIZE_MAX: too many. */
size_t depth_bytes(const depth *d, uint32_t n_frames);
/* m has a depth. room: [depth_bytes], aligned to 64. Engine thread. */
void depth_run(const model *m, ops *o, void *room, const depth_frame *frames, uint32_t n_frames, depth_pick how);

#endif
