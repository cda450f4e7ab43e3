#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/model_vocab.h"

/* ---- weights ---- */

struct binder {
	model *m;
	ops *o;
	sn_error *err;
	size_t n_bound; /* tensors of the file that found their place */
};

static sn_status bind(struct binder *b, weight *w, int layer_no, const char *part, size_t n_out, size_t n_in, bool may_have_bias)
{
	char name[96], bias[96];
	int n = layer_no < 0 ? 0 : snprintf(name, sizeof name, "blk.%d.", layer_no);
	snprintf(name + n, sizeof name - (size_t)n, "%s.weight", part);
	snprintf(bias, sizeof bias, "%.*s%s.bias", n, name, part);
	bool has_bias = may_have_bias && file_tensor_find(b->m->file, bias);
	sn_status st = weight_bind(w, b->m->file, b->m->mem, name, has_bias ? bias : NULL, n_out, n_in, b->err);
	if (!st && w->type == KN_Q8_0)
		st = ops_reserve(b->o, n_in, b->err);
	b->n_bound += 1 + has_bias;
	return st;
}

static sn_status bind_norm(struct binder *b, const float **v, int layer_no, const char *part)
{
	char name[96];
	int n = layer_no < 0 ? 0 : snprintf(name, sizeof name, "blk.%d.", layer_no);
	snprintf(name + n, sizeof name - (size_t)n, "%s.weight", part);
	b->n_bound++;
	return vector_bind(v, b->m->file, b->m->mem, name, b->m->h.n_embd, b->err);
}

static sn_status bind_layer(struct binder *b, int i)
{
	const hparams *h = &b->m->h;
	layer *l = &b->m->layers[i];
	size_t q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_kv_head * h->head_dim, e = h->n_embd;
	bool bias = h->arch->may_have_bias;
	const struct { weight *w; const char *part; size_t n_out, n_in; bool bias; } parts[] = {
	    {&l->q, "attn_q", q, e, bias},         {&l->k, "attn_k", kv, e, bias},       {&l->v, "attn_v", kv, e, bias},
	    {&l->o, "attn_output", e, q, bias},    {&l->gate, "ffn_gate", h->n_ffn, e, bias}, {&l->up, "ffn_up", h->n_ffn, e, bias},
	    {&l->down, "ffn_down", e, h->n_ffn, bias},
	};
	sn_status st = bind_norm(b, &l->attn_norm, i, "attn_norm");
	if (!st)
		st = bind_norm(b, &l->ffn_norm, i, "ffn_norm");
	for (size_t p = 0; p < sizeof parts / sizeof *parts && !st; p++)
		st = bind(b, parts[p].w, i, parts[p].part, parts[p].n_out, parts[p].n_in, parts[p].bias);
	return st;
}

static sn_status bind_rope(struct binder *b)
{
	model *m = b->m;
	uint32_t half = m->h.n_rot / 2;
	m->inv_freq = arena_array(m->mem, half, sizeof *m->inv_freq);
	if (!m->inv_freq)
		return error_set(b->err, SN_ERR_NOMEM, "%s: no memory for rope frequencies", m->file->name);
	if (file_tensor_find(m->file, "rope_freqs.weight")) {
		sn_status st = vector_bind(&m->rope_factors, m->file, m->mem, "rope_freqs.weight", half, b->err);
		if (st)
			return st;
		b->n_bound++;
	}
	for (uint32_t i = 0; i < half; i++) {
		float f = powf(m->h.rope_base, -2.0f * (float)i / (float)m->h.n_rot) / m->h.rope_scale;
		float divisor = m->rope_factors ? m->rope_factors[i] : 1;
		if (!(divisor > 0))
			return error_set(b->err, SN_ERR_INVALID, "%s: tensor rope_freqs.weight: value %u is %g", m->file->name, i, (double)divisor);
		m->inv_freq[i] = f / divisor;
	}
	return SN_OK;
}

static sn_status refuse_unused(const struct binder *b)
{
	const model_file *f = b->m->file;
	if (b->n_bound == f->n_tensors)
		return SN_OK;
	static const char *const top[] = {"token_embd.weight", "output.weight", "output_norm.weight", "rope_freqs.weight"};
	static const char *const parts[] = {"attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
	                                    "ffn_down"};
	for (size_t i = 0; i < f->n_tensors; i++) {
		str name = f->tensors[i].name;
		bool known = false;
		for (size_t t = 0; t < sizeof top / sizeof *top; t++)
			known |= str_eq(name, str_of(top[t]));
		char tensor[256];
		unsigned no;
		int at = 0;
		snprintf(tensor, sizeof tensor, "%.*s", (int)name.n, name.p);
		if (sscanf(tensor, "blk.%u.%n", &no, &at) == 1 && at && no < b->m->h.n_layers)
			for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
				size_t n = strlen(parts[p]);
				known |= strncmp(tensor + at, parts[p], n) == 0 && (!strcmp(tensor + at + n, ".weight") || !strcmp(tensor + at + n, ".bias"));
			}
		if (!known)
			return error_set(b->err, SN_ERR_UNSUPPORTED, "%s: tensor %.*s has no place in architecture %s", f->name, (int)name.n, name.p,
			                 b->m->h.arch->name);
	}
	return error_set(b->err, SN_ERR_INVALID, "%s: %zu tensors, expected %zu", f->name, f->n_tensors, b->n_bound);
}

static sn_status bind_weights(model *m, ops *o, sn_error *err)
{
	struct binder b = {m, o, err, 0};
	const file_tensor *t = file_tensor_find(m->file, "token_embd.weight");
	uint64_t rows = t ? t->ne[1] : 0;
	if (!t || t->n_dims != 2 || rows > MAX_VOCAB)
		return error_set(err, SN_ERR_INVALID, "%s: tensor token_embd.weight is missing or not a matrix", m->file->name);
	m->h.n_vocab = (uint32_t)rows;
	sn_status st = bind(&b, &m->embed, -1, "token_embd", rows, m->h.n_embd, false);
	if (!st)
		st = bind_norm(&b, &m->output_norm, -1, "output_norm");
	m->head = m->embed;
	if (!st && file_tensor_find(m->file, "output.weight"))
		st = bind(&b, &m->head, -1, "output", rows, m->h.n_embd, false);
	if (!st)
		st = bind_rope(&b);
	m->layers = arena_array(m->mem, m->h.n_layers, sizeof *m->layers);
	if (!st && !m->layers)
		st = error_set(err, SN_ERR_NOMEM, "%s: no memory for %u layers", m->file->name, m->h.n_layers);
	for (uint32_t i = 0; i < m->h.n_layers && !st; i++)
		st = bind_layer(&b, (int)i);
	return st ? st : refuse_unused(&b);
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
		st = bind_weights(m, o, err);
	if (!st)
		st = model_vocab_open(&m->vocab, m->file, m->h.n_vocab, tmp, err);
	if (!st)
		st = open_chat(m, template_source, err);
	if (!st) {
		m->kv = (kv_layout){.n_groups = 1, .groups = {{.n_layers = m->h.n_layers, .n_kv_head = m->h.n_kv_head,
		                                               .head_dim = m->h.head_dim, .type = choose_kv_type(m, kv)}}};
		st = name_the_file(m->file, err, kv_layout_plan(&m->kv, err));
	}
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
