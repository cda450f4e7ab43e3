#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/depth.h"
#include "model/model_vocab.h"

/* ---- weights ---- */

struct binder {
	model *m;
	ops *o;
	sn_error *err;
	bool *used; /* [n_tensors] of the file: it found its place */
};

static void mark_used(struct binder *b, const char *name)
{
	const file_tensor *t = file_tensor_find(b->m->file, name);
	if (t)
		b->used[t - b->m->file->tensors] = true;
}

enum has_bias { NO_BIAS, MAY_HAVE_BIAS, HAS_BIAS };

static sn_status bind(struct binder *b, weight *w, int layer_no, const char *part, size_t n_out, size_t n_in, enum has_bias with)
{
	char name[96], bias[96];
	int n = layer_no < 0 ? 0 : snprintf(name, sizeof name, "blk.%d.", layer_no);
	snprintf(name + n, sizeof name - (size_t)n, "%s.weight", part);
	snprintf(bias, sizeof bias, "%.*s%s.bias", n, name, part);
	bool has_bias = with == HAS_BIAS || (with == MAY_HAVE_BIAS && file_tensor_find(b->m->file, bias));
	sn_status st = weight_bind(w, b->m->file, b->m->mem, name, has_bias ? bias : NULL, n_out, n_in, b->err);
	if (!st)
		st = ops_reserve(b->o, w, b->err);
	mark_used(b, name);
	if (has_bias)
		mark_used(b, bias);
	if (!st && w->scale) {
		snprintf(bias, sizeof bias, "%.*s%s.scale", n, name, part);
		mark_used(b, bias);
	}
	return st;
}

static sn_status bind_vector(struct binder *b, const float **v, int layer_no, const char *part, const char *what, uint32_t n_values)
{
	char name[96];
	int n = layer_no < 0 ? 0 : snprintf(name, sizeof name, "blk.%d.", layer_no);
	snprintf(name + n, sizeof name - (size_t)n, "%s.%s", part, what);
	mark_used(b, name);
	return vector_bind(v, b->m->file, b->m->mem, name, n_values, b->err);
}

static sn_status bind_norm(struct binder *b, norm_weight *norm, int layer_no, const char *part, uint32_t n_values)
{
	const float **v = &norm->w;
	sn_status st = bind_vector(b, v, layer_no, part, "weight", n_values);
	if (!st && b->m->h.arch->layer_norm)
		st = bind_vector(b, &norm->b, layer_no, part, "bias", n_values);
	if (st || !b->m->h.arch->norm_offset || !b->m->file->from_hf)
		return st;
	float *shifted = arena_array(b->m->mem, n_values, sizeof *shifted);
	if (!shifted)
		return error_set(b->err, SN_ERR_NOMEM, "%s: tensor %s: no memory for it", b->m->file->name, part);
	for (uint32_t i = 0; i < n_values; i++)
		shifted[i] = 1 + (*v)[i];
	*v = shifted;
	return SN_OK;
}

struct biases { enum has_bias qv, k, any; };

static struct biases biases_of(const arch *a)
{
	switch (a->bias) {
	case BIAS_FREE: return (struct biases){MAY_HAVE_BIAS, MAY_HAVE_BIAS, MAY_HAVE_BIAS};
	case BIAS_QKV: return (struct biases){HAS_BIAS, HAS_BIAS, NO_BIAS};
	case BIAS_NOT_K: return (struct biases){HAS_BIAS, NO_BIAS, HAS_BIAS};
	default: return (struct biases){NO_BIAS, NO_BIAS, NO_BIAS};
	}
}

static sn_status bind_cross(struct binder *b, layer *l, int i)
{
	const hparams *h = &b->m->h;
	uint32_t e = h->n_embd, q = h->n_head * h->head_dim, kv = h->n_kv_head * h->head_dim;
	const struct biases has = biases_of(h->arch);
	cross_layer *c = arena_alloc(b->m->mem, sizeof *c);
	if (!c)
		return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for layer %d", b->m->file->name, i);
	sn_status st = bind_norm(b, &c->norm, i, "cross_attn_norm", e);
	if (!st)
		st = bind(b, &c->q, i, "cross_attn_q", q, e, has.qv);
	if (!st)
		st = bind(b, &c->k, i, "cross_attn_k", kv, e, has.k);
	if (!st)
		st = bind(b, &c->v, i, "cross_attn_v", kv, e, has.qv);
	if (!st)
		st = bind(b, &c->o, i, "cross_attn_output", e, q, has.any);
	l->cross = c;
	return st;
}

static sn_status bind_layer(struct binder *b, int i)
{
	const hparams *h = &b->m->h;
	layer *l = &b->m->layers[i];
	uint32_t e = h->n_embd, q = h->n_head * h->head_dim, kv = h->n_kv_head * h->head_dim;
	const struct biases has = biases_of(h->arch);
	const struct { norm_weight *v; const char *part; uint32_t n; bool wanted; } norms[] = {
	    {&l->attn_norm, "attn_norm", e, true},
	    {&l->ffn_norm, "ffn_norm", e, true},
	    {&l->q_norm, "attn_q_norm", h->head_dim, h->arch->qk_norm},
	    {&l->k_norm, "attn_k_norm", h->head_dim, h->arch->qk_norm},
	    {&l->attn_post_norm, "post_attention_norm", e, h->arch->post_norms},
	    {&l->ffn_post_norm, "post_ffw_norm", e, h->arch->post_norms},
	};
	const struct { weight *w; const char *part; size_t n_out, n_in; enum has_bias bias; bool wanted; } parts[] = {
	    {&l->q, "attn_q", q, e, has.qv, true},
	    {&l->k, "attn_k", kv, e, has.k, true},
	    {&l->v, "attn_v", kv, e, has.qv, true},
	    {&l->o, "attn_output", e, q, has.any, true},
	    {&l->gate, "ffn_gate", h->n_ffn, e, has.any, !h->arch->no_gate},
	    {&l->up, "ffn_up", h->n_ffn, e, has.any, true},
	    {&l->down, "ffn_down", e, h->n_ffn, has.any, true},
	};
	sn_status st = SN_OK;
	for (size_t p = 0; p < sizeof norms / sizeof *norms && !st; p++)
		if (norms[p].wanted)
			st = bind_norm(b, norms[p].v, i, norms[p].part, norms[p].n);
	for (size_t p = 0; p < sizeof parts / sizeof *parts && !st; p++)
		if (parts[p].wanted)
			st = bind(b, parts[p].w, i, parts[p].part, parts[p].n_out, parts[p].n_in, parts[p].bias);
	return st || !h->n_cross ? st : bind_cross(b, l, i);
}

static sn_status bind_rope(struct binder *b)
{
	model *m = b->m;
	const hparams *h = &m->h;
	uint32_t half = h->n_rot / 2;
	if (h->arch->learned_positions)
		return SN_OK;
	if (h->arch->rope_freqs && file_tensor_find(m->file, "rope_freqs.weight")) {
		mark_used(b, "rope_freqs.weight");
		sn_status st = vector_bind(&m->rope_factors, m->file, m->mem, "rope_freqs.weight", half, b->err);
		if (st)
			return st;
	}
	for (uint32_t g = 0; g < m->kv.n_groups; g++) {
		bool windowed = m->kv.groups[g].window != 0;
		float base = windowed ? h->window_rope_base : h->rope_base, scale = windowed ? 1 : h->rope_scale;
		m->inv_freq[g] = arena_array(m->mem, half, sizeof *m->inv_freq[g]);
		if (!m->inv_freq[g])
			return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for rope frequencies", m->file->name);
		for (uint32_t i = 0; i < half; i++) {
			float f = powf(base, -2.0f * (float)i / (float)h->n_rot) / scale;
			float divisor = m->rope_factors ? m->rope_factors[i] : 1;
			if (!(divisor > 0))
				return error_set(b->err, SN_ERR_INVALID, "%s: tensor rope_freqs.weight: value %u is %g", m->file->name, i, (double)divisor);
			m->inv_freq[g][i] = f / divisor;
		}
	}
	return SN_OK;
}

/* sqrt(n_embd) as a model of the embedding's type would hold it. */
static float embed_scale(const model *m, const ops *o)
{
	float scale = sqrtf((float)m->h.n_embd);
	uint16_t rounded;
	if (m->embed.type == KN_BF16) {
		o->k.store_bf16(&rounded, &scale, 1);
		o->k.load_bf16(&scale, &rounded, 1);
	} else if (m->embed.type == KN_F16) {
		o->k.store_f16(&rounded, &scale, 1);
		o->k.load_f16(&scale, &rounded, 1);
	}
	return m->h.arch->embed_scale ? scale : 1;
}

/* Of a media tower that lies in the model's own file: its plugin looks after it. */
static bool is_of_tower(str name)
{
	static const char *const prefixes[] = {"a.", "v.", "mm."};
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (name.n > strlen(prefixes[i]) && memcmp(name.p, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static sn_status refuse_unused(const struct binder *b)
{
	const model_file *f = b->m->file;
	for (size_t i = 0; i < f->n_tensors; i++)
		if (!b->used[i] && !is_of_tower(f->tensors[i].name))
			return error_set(b->err, SN_ERR_UNSUPPORTED, "%s: tensor %.*s has no place in architecture %s", f->name,
			                 (int)f->tensors[i].name.n, f->tensors[i].name.p, b->m->h.arch->name);
	return SN_OK;
}

/* A matrix's rows and columns; a refusal if it is none, or not there. */
static sn_status shape_of(const model *m, const char *name, uint64_t *rows, uint64_t *columns, sn_error *err)
{
	const file_tensor *t = file_tensor_find(m->file, name);
	if (!t || t->n_dims != 2 || t->ne[1] > MAX_VOCAB || t->ne[0] > MAX_WIDTH)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s is missing or not a matrix", m->file->name, name);
	*rows = t->ne[1];
	*columns = t->ne[0];
	return SN_OK;
}

/* Text and codes in two tables, of two widths. */
static sn_status bind_two_tables(struct binder *b, uint64_t n_text, uint64_t width)
{
	model *m = b->m;
	uint64_t n_codes, e = m->h.n_embd, ignored;
	sn_status st = shape_of(m, "codec_embd.weight", &n_codes, &ignored, b->err);
	if (!st && n_codes + n_text > MAX_VOCAB)
		st = error_set(b->err, SN_ERR_TOO_LARGE, "%s: tensor codec_embd.weight: more than %d tokens with those of text", m->file->name, MAX_VOCAB);
	if (!st)
		st = bind(b, &m->embed, -1, "token_embd", n_text, width, NO_BIAS);
	if (!st)
		st = bind(b, &m->codes, -1, "codec_embd", n_codes, e, NO_BIAS);
	if (!st)
		st = bind(b, &m->project[0], -1, "token_embd_fc1", width, width, HAS_BIAS);
	if (!st)
		st = bind(b, &m->project[1], -1, "token_embd_fc2", e, width, HAS_BIAS);
	m->h.n_vocab = (uint32_t)(n_text + n_codes);
	return st;
}

/* The embedding, and the head, which of a family that speaks is of the last tokens only. */
static sn_status bind_vocabulary(struct binder *b)
{
	model *m = b->m;
	uint64_t rows, width, n_logits, ignored;
	bool two = m->h.arch->speaks && file_tensor_find(m->file, "codec_embd.weight");
	sn_status st = shape_of(m, "token_embd.weight", &rows, &width, b->err);
	if (!st)
		st = two ? bind_two_tables(b, rows, width) : bind(b, &m->embed, -1, "token_embd", rows, m->h.n_embd, NO_BIAS);
	if (st)
		return st;
	if (!two)
		m->h.n_vocab = (uint32_t)rows;
	m->head = m->embed;
	m->h.n_logits = m->h.n_vocab;
	if (!file_tensor_find(m->file, "output.weight") && !m->h.arch->speaks)
		return SN_OK;
	n_logits = m->h.n_vocab;
	if (m->h.arch->speaks)
		st = shape_of(m, "output.weight", &n_logits, &ignored, b->err);
	if (!st && (two ? n_logits != m->codes.n_out : n_logits > m->h.n_vocab))
		st = error_set(b->err, SN_ERR_INVALID, "%s: tensor output.weight: %llu rows are not those of the codes", m->file->name,
		               (unsigned long long)n_logits);
	m->h.n_logits = (uint32_t)n_logits;
	m->h.first_logit = m->h.n_vocab - m->h.n_logits;
	return st ? st : bind(b, &m->head, -1, "output", n_logits, m->h.n_embd, NO_BIAS);
}

static sn_status bind_weights(model *m, ops *o, sn_error *err)
{
	struct binder b = {m, o, err, arena_array(m->mem, m->file->n_tensors, sizeof *b.used)};
	m->layers = arena_array(m->mem, m->h.n_layers, sizeof *m->layers);
	if (!m->layers || !b.used)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for %u layers", m->file->name, m->h.n_layers);
	sn_status st = bind_vocabulary(&b);
	if (!st)
		st = bind_norm(&b, &m->output_norm, -1, "output_norm", m->h.n_embd);
	m->embed_scale = embed_scale(m, o);
	if (!st && m->h.arch->learned_positions)
		st = bind(&b, &m->positions, -1, "position_embd", m->h.n_context, m->h.n_embd, NO_BIAS);
	if (!st)
		st = bind_rope(&b);
	uint32_t n_in_group[KV_MAX_GROUPS] = {0};
	for (uint32_t i = 0; i < m->h.n_layers && !st; i++) {
		m->layers[i].group = m->h.windowed[i] ? m->kv.n_groups - 1 - (m->h.n_cross != 0) : 0;
		m->layers[i].index = n_in_group[m->layers[i].group]++;
		st = bind_layer(&b, (int)i);
	}
	if (!st && m->h.arch->speaks && depth_is_in(m->file))
		st = model_add_depth(m, m->file, o, err);
	return st ? st : refuse_unused(&b);
}

sn_status model_add_depth(model *m, const model_file *f, ops *o, sn_error *err)
{
	depth *d;
	sn_status st = depth_bind(&d, f, m->mem, m->h.n_embd, o, err);
	m->depth = st ? NULL : d;
	return st;
}

void model_embedding(const model *m, const ops *o, uint32_t token, float *out)
{
	if (m->codes.data && token >= m->h.first_logit)
		weight_row(o, &m->codes, token - m->h.first_logit, out);
	else
		weight_row(o, &m->embed, token, out);
}

/* ---- text ---- */

static sn_status name_the_file(const model_file *f, sn_error *err, sn_status st)
{
	if (st && err) {
		char why[sizeof err->text];
		snprintf(why, sizeof why, "%s", err->text);
		snprintf(err->text, sizeof err->text, "%s: %.300s", f->name, why);
	}
	return st;
}

static sn_status open_chat(model *m, const char *template_source, sn_error *err)
{
	str source = str_of(template_source);
	if (!template_source && !file_str(m->file, "tokenizer.chat_template", &source))
		return SN_OK;
	return name_the_file(m->file, err, chat_template_open(&m->chat, source, err));
}

/* ---- life ---- */

static enum kv_type choose_kv_type(const model *m, sn_kv_dtype asked)
{
	bool exact = true;
	for (size_t i = 0; i < m->file->n_tensors; i++)
		exact &= m->file->tensors[i].type == KN_F32;
	return asked == SN_KV_F32 || (asked == SN_KV_AUTO && exact) ? KV_F32 : KV_F16;
}

sn_status model_open(model **out, const char *path, const char *template_source, sn_kv_dtype kv, ops *o, sn_error *err)
{
	arena *mem = arena_open(0), *tmp = arena_open(0);
	model *m = mem ? arena_alloc(mem, sizeof *m) : NULL;
	sn_status st = SN_OK;
	if (!m || !tmp) {
		arena_close(&mem);
		arena_close(&tmp);
		return error_set(err, SN_ERR_NOMEM, "no memory to open a model");
	}
	m->mem = mem;
	st = model_file_open(&m->file, path, err);
	if (!st)
		st = hparams_read(&m->h, m->file, err);
	if (!st)
		hparams_groups(&m->h, choose_kv_type(m, kv), &m->kv);
	if (!st)
		st = bind_weights(m, o, err);
	if (!st)
		st = model_vocab_open(&m->vocab, m->file, m->h.n_vocab, tmp, err);
	if (!st && vocab_size(m->vocab) <= m->h.first_logit)
		st = error_set(err, SN_ERR_INVALID, "%s: %zu tokens end before the head's first, which is token %u", m->file->name, vocab_size(m->vocab), m->h.first_logit);
	if (!st)
		st = open_chat(m, template_source, err);
	if (!st)
		st = name_the_file(m->file, err, kv_layout_plan(&m->kv, err));
	arena_close(&tmp);
	if (st) {
		model_close(&m);
		return st;
	}
	for (size_t i = 0; i < m->file->n_tensors; i++)
		m->weight_bytes += m->file->tensors[i].bytes;
	*out = m;
	return SN_OK;
}

void model_close(model **m)
{
	if (!*m)
		return;
	arena *mem = (*m)->mem;
	chat_template_close(&(*m)->chat);
	vocab_close(&(*m)->vocab);
	model_file_close(&(*m)->file);
	arena_close(&mem);
	*m = NULL;
}
