/* model.h - a loaded model: hyper-parameters, weights bound to the mapped file, vocabulary, chat template, KV layout.
 * Immutable after model_open: any thread may read. */
#ifndef SN_MODEL_MODEL_H
#define SN_MODEL_MODEL_H

#include "engine/pages.h"
#include "model/arch.h"
#include "text/chat.h"
#include "text/vocab.h"

/*   x ── norm ── q,k,v ── rope ── attention over pages ── o ─(+)── norm ── gate,up ── act(gate)*up ── down ─(+)── x' */
typedef struct layer {
	const float *attn_norm, *ffn_norm; /* [n_embd] */
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
	float *inv_freq;           /* [n_rot / 2] */
	layer *layers;             /* [n_layers] */
	kv_layout kv;              /* layer l is layer l of group 0 */
	vocab *vocab;
	chat_template *chat;       /* NULL: the file has none */
	size_t weight_bytes;
} model;

/* template_source: replaces the file's chat template unless NULL. Tensors that the model does not use are refused. */
sn_status model_open(model **out, const char *path, const char *template_source, sn_kv_dtype kv, ops *o, sn_error *err);
void model_close(model **m);

#endif
