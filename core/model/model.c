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
	if (!st && w->scales.v) {
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

static weight rows_of(const weight *w, size_t first, size_t n)
{
	weight part = *w;
	part.data = (const uint8_t *)w->data + first * w->stride;
	part.bias = w->bias ? w->bias + first : NULL;
	part.scales.first += first;
	part.n_out = n;
	return part;
}

static bool has_part(const struct binder *b, int i, const char *part)
{
	char name[96];
	snprintf(name, sizeof name, "blk.%d.%s.weight", i, part);
	return file_tensor_find(b->m->file, name) != NULL;
}

/* One matrix of the feed-forwards: all in one tensor, or each in one of its own. */
static sn_status bind_expert(struct binder *b, weight *w, int layer_no, const char *part, uint32_t e, size_t n_out, size_t n_in)
{
	char all[96], one[96];
	const model *m = b->m;
	snprintf(all, sizeof all, "blk.%d.%s_exps.weight", layer_no, part);
	snprintf(one, sizeof one, "blk.%d.%s.%u.weight", layer_no, part, e);
	bool together = file_tensor_find(m->file, all);
	sn_status st = together ? weight_bind_page(w, m->file, all, e, m->h.n_experts, n_out, n_in, b->err)
	                        : weight_bind(w, m->file, m->mem, one, NULL, n_out, n_in, b->err);
	mark_used(b, together ? all : one);
	snprintf(all, sizeof all, "blk.%d.%s.%u.scale", layer_no, part, e);
	if (!st && w->scales.v)
		mark_used(b, all);
	return st ? st : ops_reserve(b->o, w, b->err);
}

static sn_status bind_experts(struct binder *b, layer *l, int i)
{
	const hparams *h = &b->m->h;
	size_t e = h->n_embd, f = h->n_expert_ffn;
	bool fused = has_part(b, i, "ffn_gate_up_exps");
	expert_layer *x = arena_alloc(b->m->mem, sizeof *x);
	weight *all = arena_array(b->m->mem, (size_t)h->n_experts * 3, sizeof *all);
	if (!x || !all)
		return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for layer %d", b->m->file->name, i);
	x->gate = all;
	x->up = all + h->n_experts;
	x->down = all + 2 * (size_t)h->n_experts;
	sn_status st = bind(b, &x->router, i, "ffn_gate_inp", h->n_experts, e, NO_BIAS);
	for (uint32_t k = 0; k < h->n_experts && !st; k++) {
		weight both;
		if (fused)
			st = bind_expert(b, &both, i, "ffn_gate_up", k, 2 * f, e);
		else
			st = bind_expert(b, &x->gate[k], i, "ffn_gate", k, f, e);
		if (!st && fused) {
			x->gate[k] = rows_of(&both, 0, f);
			x->up[k] = rows_of(&both, f, f);
		} else if (!st) {
			st = bind_expert(b, &x->up[k], i, "ffn_up", k, f, e);
		}
		if (!st)
			st = bind_expert(b, &x->down[k], i, "ffn_down", k, e, f);
	}
	l->experts = x;
	return st;
}

/* q, k and v, or gate and up, may lie in one matrix. */
static sn_status bind_fused(struct binder *b, layer *l, int i, bool qkv, bool gate_up)
{
	const hparams *h = &b->m->h;
	size_t q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim, f = h->n_ffn;
	weight all;
	sn_status st = qkv ? bind(b, &all, i, "attn_qkv", q + 2 * kv, h->n_embd, biases_of(h->arch).qv) : SN_OK;
	if (!st && qkv) {
		l->q = rows_of(&all, 0, q);
		l->k = rows_of(&all, q, kv);
		l->v = rows_of(&all, q + kv, kv);
	}
	if (st || !gate_up)
		return st;
	st = bind(b, &all, i, "ffn_up", 2 * f, h->n_embd, biases_of(h->arch).any);
	if (st)
		return st;
	l->gate = rows_of(&all, 0, f);
	l->up = rows_of(&all, f, f);
	return SN_OK;
}

static sn_status bind_layer(struct binder *b, int i)
{
	const hparams *h = &b->m->h;
	layer *l = &b->m->layers[i];
	uint32_t e = h->n_embd, q = h->n_head * h->head_dim, kv = h->n_kv_head * h->head_dim;
	const struct biases has = biases_of(h->arch);
	bool qkv = has_part(b, i, "attn_qkv"), sparse = h->n_experts && has_part(b, i, "ffn_gate_inp"), gate_up = h->arch->gate_up && !sparse;
	const struct { norm_weight *v; const char *part; uint32_t n; bool wanted; } norms[] = {
	    {&l->attn_norm, "attn_norm", e, true},
	    {&l->ffn_norm, "ffn_norm", e, true},
	    {&l->q_norm, "attn_q_norm", h->head_dim, h->arch->qk_norm},
	    {&l->k_norm, "attn_k_norm", h->head_dim, h->arch->qk_norm},
	    {&l->attn_post_norm, "post_attention_norm", e, h->arch->post_norms},
	    {&l->ffn_post_norm, "post_ffw_norm", e, h->arch->post_norms},
	};
	const struct { weight *w; const char *part; size_t n_out, n_in; enum has_bias bias; bool wanted; } parts[] = {
	    {&l->q, "attn_q", q, e, has.qv, !qkv},
	    {&l->k, "attn_k", kv, e, has.k, !qkv},
	    {&l->v, "attn_v", kv, e, has.qv, !qkv},
	    {&l->o, "attn_output", e, q, has.any, true},
	    {&l->gate, "ffn_gate", h->n_ffn, e, has.any, !h->arch->no_gate && !gate_up && !sparse},
	    {&l->up, "ffn_up", h->n_ffn, e, has.any, !gate_up && !sparse},
	    {&l->down, "ffn_down", e, h->n_ffn, has.any, !sparse},
	};
	sn_status st = SN_OK;
	for (size_t p = 0; p < sizeof norms / sizeof *norms && !st; p++)
		if (norms[p].wanted)
			st = bind_norm(b, norms[p].v, i, norms[p].part, norms[p].n);
	for (size_t p = 0; p < sizeof parts / sizeof *parts && !st; p++)
		if (parts[p].wanted)
			st = bind(b, parts[p].w, i, parts[p].part, parts[p].n_out, parts[p].n_in, parts[p].bias);
	if (!st)
		st = bind_fused(b, l, i, qkv, gate_up);
	if (!st && sparse)
		st = bind_experts(b, l, i);
	return st || !h->n_cross ? st : bind_cross(b, l, i);
}

static sn_status bind_divisors(struct binder *b, const float **out, const char *name)
{
	const hparams *h = &b->m->h;
	sn_status st = vector_bind(out, b->m->file, b->m->mem, name, h->n_rot / 2, b->err);
	mark_used(b, name);
	for (uint32_t i = 0; i < h->n_rot / 2 && !st; i++)
		if (!((*out)[i] > 0))
			return error_set(b->err, SN_ERR_INVALID, "%s: tensor %s: value %u is %g", b->m->file->name, name, i, (double)(*out)[i]);
	return st;
}

static sn_status bind_rope(struct binder *b)
{
	model *m = b->m;
	const hparams *h = &m->h;
	const float *divisors[2] = {NULL, NULL};
	sn_status st = SN_OK;
	if (h->arch->learned_positions)
		return SN_OK;
	if (h->rope.kind == ROPE_LONGROPE)
		st = bind_divisors(b, &divisors[0], "rope_factors_short.weight");
	if (!st && h->rope.kind == ROPE_LONGROPE)
		st = bind_divisors(b, &divisors[1], "rope_factors_long.weight");
	if (h->arch->rope_freqs && file_tensor_find(m->file, "rope_freqs.weight"))
		st = bind_divisors(b, &divisors[0], "rope_freqs.weight");
	for (uint32_t g = 0; g < m->kv.n_groups && !st; g++) {
		m->rope[g] = m->kv.groups[g].window ? h->window_rope : h->rope;
		memcpy(m->rope[g].divisors, divisors, sizeof divisors);
		m->inv_freq[g] = arena_array(m->mem, h->n_rot / 2, sizeof *m->inv_freq[g]);
		if (!m->inv_freq[g])
			return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for rope frequencies", m->file->name);
	}
	if (!st)
		model_limit(m, h->n_context);
	return st;
}

void model_limit(model *m, uint32_t n_max)
{
	for (uint32_t g = 0; g < m->kv.n_groups && !m->h.arch->learned_positions; g++)
		rope_frequencies(m->inv_freq[g], m->h.n_rot, &m->rope[g], n_max);
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
	if (m->pooling.declared) { /* nobody asks what its head would say */
		m->h.n_logits = 0;
		mark_used(b, "output.weight");
		return SN_OK;
	}
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
	sn_status st = chat_template_open(&m->chat, source, err);
	if (!st && !template_source && file_str(m->file, "tokenizer.chat_template.tool_use", &source))
		st = chat_template_add_tools(m->chat, source, err);
	return name_the_file(m->file, err, st);
}

/* ---- life ---- */

static enum kv_type choose_kv_type(const model *m, sn_kv_dtype asked)
{
	bool exact = true;
	for (size_t i = 0; i < m->file->n_tensors; i++)
		exact &= m->file->tensors[i].type == KN_F32;
	switch (asked) {
	case SN_KV_F16: return KV_F16;
	case SN_KV_F32: return KV_F32;
	case SN_KV_BF16: return KV_BF16;
	case SN_KV_Q8_0: return KV_Q8_0;
	case SN_KV_FP8: return KV_FP8;
	case SN_KV_AUTO: break;
	}
	return exact ? KV_F32 : KV_F16;
}

sn_status model_open(model **out, const char *path, const char *template_source, sn_kv_dtype kv, ops *o, sn_error *err)
{
	model_file *f;
	sn_status st = model_file_open(&f, path, err);
	return st ? st : model_open_file(out, f, template_source, kv, SN_POOLING_AUTO, o, err);
}

sn_status model_open_file(model **out, model_file *f, const char *template_source, sn_kv_dtype kv, sn_pooling asked, ops *o, sn_error *err)
{
	arena *mem = arena_open(0), *tmp = arena_open(0);
	model *m = mem ? arena_alloc(mem, sizeof *m) : NULL;
	sn_status st = SN_OK;
	if (!m || !tmp) {
		arena_close(&mem);
		arena_close(&tmp);
		model_file_close(&f);
		return error_set(err, SN_ERR_NOMEM, "no memory to open a model");
	}
	m->mem = mem;
	m->file = f;
	st = hparams_read(&m->h, f, err);
	if (!st)
		st = pooling_read(&m->pooling, f, m->h.arch->name, asked, err);
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
