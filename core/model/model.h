/* model.h - a loaded model: hyper-parameters, weights bound to the mapped file, vocabulary, chat template, KV layout.
 * Immutable after model_open: any thread may read. */
#ifndef SN_MODEL_MODEL_H
#define SN_MODEL_MODEL_H

#include "engine/pages.h"
#include "model/arch.h"
#include "text/chat.h"
#include "text/vocab.h"

/*   x ── norm ── q,k,v ─[norm]─ rope ── attention over pages ── o ─[norm]─(+)── norm ── gate,up ── act(gate)*up ── down ─[norm]─(+)── x'
 *   [..]: in families that have it */
typedef struct layer {
	uint32_t group, index;             /* of its KV: layer `index` of the group */
	const float *attn_norm, *ffn_norm; /* [n_embd] */
	const float *q_norm, *k_norm;      /* [head_dim], or NULL */
	const float *attn_post_norm, *ffn_post_norm; /* [n_embd], or NULL */
	weight q, k, v, o;                 /* [n_head * head_dim, n_embd], ..., o: [n_embd, n_head * head_dim] */
	weight gate, up, down;
} layer;

typedef struct model {
	arena *mem;
	model_file *file;
	hparams h;
	weight embed;              /* [n_vocab, n_embd] */
	weight head;               /* [n_vocab, n_embd]; the embedding when tied */
	const float *output_norm;  /* [n_embd] */
	const float *rope_factors; /* [n_rot / 2] divisors of the frequencies, or NULL */
	float *inv_freq[KV_MAX_GROUPS]; /* [n_rot / 2] of each KV group */
	float embed_scale;         /* of token embeddings; rows of media come as they are to be */
	layer *layers;             /* [n_layers] */
	kv_layout kv;              /* one type in all groups */
	vocab *vocab;
	chat_template *chat;       /* NULL: the file has none */
	size_t weight_bytes;
} model;

/* template_source: replaces the file's chat template unless NULL. Tensors that the model does not use are refused. */
sn_status model_open(model **out, const char *path, const char *template_source, sn_kv_dtype kv, ops *o, sn_error *err);
void model_close(model **m);

#endif
