/* model.h - a loaded model: hyper-parameters, weights bound to the mapped file, vocabulary, chat template, KV layout.
 * Immutable after model_open: any thread may read. */
#ifndef SN_MODEL_MODEL_H
#define SN_MODEL_MODEL_H

#include "engine/pages.h"
#include "model/arch.h"
#include "model/pooling.h"
#include "text/chat.h"
#include "text/vocab.h"

/* A norm of its family's kind. */
typedef struct norm_weight {
	const float *w, *b; /* w NULL: there is none; b NULL: RMS norm */
} norm_weight;

/* What a decoder layer has to look at a medium with. */
typedef struct cross_layer {
	norm_weight norm;
	weight q, k, v, o;
} cross_layer;

/* Many feed-forwards; see experts.h. */
typedef struct expert_layer {
	weight router;             /* [n_experts, n_embd] */
	weight *gate, *up, *down;  /* [n_experts] */
} expert_layer;

/*   x ── norm ── q,k,v ─[norm]─ rope ── attention over pages ── o ─[norm]─(+)── norm ── gate,up ── act(gate)*up ── down ─[norm]─(+)── x'
 *   [..]: in families that have it. An encoder-decoder's layer has between its two halves
 *   x ── norm ── q ── attention over the medium's k,v ── o ──(+)── x'        where k,v are the medium's rows times the layer's k and v */
typedef struct layer {
	uint32_t group, index;             /* of its KV: layer `index` of the group */
	norm_weight attn_norm, ffn_norm;   /* [n_embd] */
	norm_weight q_norm, k_norm;        /* [head_dim], or none */
	norm_weight attn_post_norm, ffn_post_norm; /* [n_embd], or none */
	weight q, k, v, o;                 /* [n_head * head_dim, n_embd], ..., o: [n_embd, n_head * head_dim] */
	weight gate, up, down;             /* no gate: its data is NULL */
	const expert_layer *experts;       /* NULL: gate, up and down are all there is */
	const cross_layer *cross;          /* NULL: not an encoder-decoder's */
} layer;

typedef struct model {
	arena *mem;
	model_file *file;
	hparams h;
	weight embed;              /* [n_vocab, n_embd]; where codes have a table of their own the text's alone: [first_logit, any width] */
	weight codes;              /* [n_logits, n_embd] embeddings of tokens from first_logit on, or data NULL: they are in embed */
	weight project[2];         /* embed's rows -> act -> n_embd; data NULL: they are so wide already */
	weight head;               /* [n_logits, n_embd]; the embedding when tied; data NULL, and n_logits 0: a model that embeds has none */
	pooling pooling;
	const struct depth *depth; /* of a family that speaks: see depth.h; NULL: none, or none yet */
	weight positions;          /* [n_context, n_embd] learned, or data NULL */
	norm_weight output_norm;   /* [n_embd] */
	rope_params rope[KV_MAX_GROUPS]; /* of each KV group, */
	float *inv_freq[KV_MAX_GROUPS];  /* [n_rot / 2] and its frequencies */
	float embed_scale;         /* of token embeddings; rows of media come as they are to be */
	layer *layers;             /* [n_layers] */
	kv_layout kv;              /* one type in all groups */
	vocab *vocab;
	chat_template *chat;       /* NULL: the file has none */
	size_t weight_bytes;
} model;

/* The KV group that holds the medium; UINT32_MAX: there is none. */
static inline uint32_t model_cross_group(const model *m)
{
	return m->h.n_cross ? m->kv.n_groups - 1 : UINT32_MAX;
}

/* template_source: replaces the file's chat template unless NULL. Tensors that neither the model nor a tower in its file
 * ("a.", "v.", "mm.") uses are refused. */
sn_status model_open(model **out, const char *path, const char *template_source, sn_kv_dtype kv, ops *o, sn_error *err);
/* The same of a file that is open already, which the model takes over, also on failure. */
sn_status model_open_file(model **out, model_file *f, const char *template_source, sn_kv_dtype kv, sn_pooling asked, ops *o, sn_error *err);
void model_close(model **m);
/* No sequence will be longer than n_max rows: longrope's frequencies are chosen by that. Before anyone else sees the model. */
void model_limit(model *m, uint32_t n_max);

/* The depth transformer of a model that came without one, from the file beside it. Before anyone else sees the model. */
sn_status model_add_depth(model *m, const model_file *f, ops *o, sn_error *err);
/* The embedding of a token as it is stored, and not projected. */
void model_embedding(const model *m, const ops *o, uint32_t token, float *out);
/* Its row of project[] is to be computed. */
static inline bool model_projects(const model *m, uint32_t token)
{
	return m->project[0].data && token < m->h.first_logit;
}

#endif
