/* hf_dir_kit.h - a Hugging Face directory in miniature, which tests write and spoil: two layers of width 8, two heads (one KV head) of 4,
 * 12 tokens. */
#ifndef SN_TESTS_HF_DIR_KIT_H
#define SN_TESTS_HF_DIR_KIT_H

#include "scratch.h"

#include "formats/model_file.h"

#define MINI "mini"

enum { WIDTH = 8, HEAD_DIM = 4, FFN = 16, LAYERS = 2, VOCAB = 12 };

typedef struct entry {
	char name[96];
	uint64_t shape[2];
	uint32_t rank;
	const char *dtype; /* NULL: as the others */
} entry;

typedef struct weights {
	entry e[128];
	size_t n;
	const char *dtype;
} weights;

static inline void add(weights *w, const char *name, uint64_t rows, uint64_t cols)
{
	entry *e = &w->e[w->n++];
	assert_true(w->n <= 128);
	snprintf(e->name, sizeof e->name, "%s", name);
	*e = (entry){.shape = {rows, cols}, .rank = cols ? 2 : 1};
	snprintf(e->name, sizeof e->name, "%s", name);
}

static inline void drop(weights *w, const char *name)
{
	size_t i = 0;
	while (i < w->n && strcmp(w->e[i].name, name) != 0)
		i++;
	assert_true(i < w->n);
	w->e[i] = w->e[--w->n];
}

enum { HEAD = 1, BIASES = 2, ALL_BIASES = 4, SANDWICH = 8, QK_NORMS = 16 };

static inline weights weights_of(unsigned has)
{
	weights w = {.dtype = "F32"};
	char name[96];
	add(&w, "model.embed_tokens.weight", VOCAB, WIDTH);
	add(&w, "model.norm.weight", WIDTH, 0);
	if (has & HEAD)
		add(&w, "lm_head.weight", VOCAB, WIDTH);
	static const struct { const char *name; uint64_t rows, cols; unsigned has; } parts[] = {
	    {"input_layernorm.weight", WIDTH, 0, 0},             {"post_attention_layernorm.weight", WIDTH, 0, 0},
	    {"self_attn.q_proj.weight", 2 * HEAD_DIM, WIDTH, 0}, {"self_attn.k_proj.weight", HEAD_DIM, WIDTH, 0},
	    {"self_attn.v_proj.weight", HEAD_DIM, WIDTH, 0},     {"self_attn.o_proj.weight", WIDTH, 2 * HEAD_DIM, 0},
	    {"mlp.gate_proj.weight", FFN, WIDTH, 0},             {"mlp.up_proj.weight", FFN, WIDTH, 0},
	    {"mlp.down_proj.weight", WIDTH, FFN, 0},             {"self_attn.q_proj.bias", 2 * HEAD_DIM, 0, BIASES},
	    {"self_attn.k_proj.bias", HEAD_DIM, 0, BIASES},      {"self_attn.v_proj.bias", HEAD_DIM, 0, BIASES},
	    {"self_attn.o_proj.bias", WIDTH, 0, ALL_BIASES},     {"mlp.gate_proj.bias", FFN, 0, ALL_BIASES},
	    {"mlp.up_proj.bias", FFN, 0, ALL_BIASES},            {"mlp.down_proj.bias", WIDTH, 0, ALL_BIASES},
	    {"self_attn.q_norm.weight", HEAD_DIM, 0, QK_NORMS},  {"self_attn.k_norm.weight", HEAD_DIM, 0, QK_NORMS},
	    {"pre_feedforward_layernorm.weight", WIDTH, 0, SANDWICH}, {"post_feedforward_layernorm.weight", WIDTH, 0, SANDWICH},
	};
	for (int i = 0; i < LAYERS; i++)
		for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
			if ((parts[p].has & has) != parts[p].has)
				continue;
			snprintf(name, sizeof name, "model.layers.%d.%s", i, parts[p].name);
			add(&w, name, parts[p].rows, parts[p].cols);
		}
	return w;
}

/* The first byte of a tensor's data says which it is. */
static inline uint8_t mark_of(const char *name)
{
	uint8_t h = 0;
	for (; *name; name++)
		h = (uint8_t)(h * 31 + (uint8_t)*name);
	return h;
}

/* Entries from..to as one safetensors file; lead: bytes before all others, which shift alignment. */
static inline bytes safetensors_of(const weights *w, size_t from, size_t to, size_t lead)
{
	bytes data = {0}, header = {0}, b = {0};
	char text[256];
	put(&header, "{", 1);
	if (lead) {
		put(&header, text, (size_t)snprintf(text, sizeof text, "\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"I8\",\"shape\":[%zu],"
		                                    "\"data_offsets\":[0,%zu]},", lead, lead));
		for (size_t i = 0; i < lead; i++)
			put(&data, "", 1);
	}
	for (size_t i = from; i < to; i++) {
		const entry *e = &w->e[i];
		const char *dtype = e->dtype ? e->dtype : w->dtype;
		size_t size = !strcmp(dtype, "F32") ? 4 : !strcmp(dtype, "F64") ? 8 : !strcmp(dtype, "F8_E4M3") ? 1 : 2;
		size_t begin = data.n, n = e->shape[0] * (e->rank == 2 ? e->shape[1] : 1) * size;
		for (size_t k = 0; k < n; k++)
			put(&data, &(uint8_t){k == 0 ? mark_of(e->name) : 0}, 1);
		char shape[64];
		snprintf(shape, sizeof shape, e->rank == 2 ? "%llu,%llu" : "%llu", (unsigned long long)e->shape[0], (unsigned long long)e->shape[1]);
		put(&header, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", i > from ? "," : "",
		                                    e->name, dtype, shape, begin, data.n));
	}
	put(&header, "}", 1);
	while (header.n % 8)
		put(&header, " ", 1);
	put64(&b, header.n);
	put(&b, header.p, header.n);
	put(&b, data.p, data.n);
	free(header.p);
	free(data.p);
	return b;
}

static inline void write_file(const char *name, const char *text)
{
	char inside[128];
	snprintf(inside, sizeof inside, MINI "/%s", name);
	scratch_write(inside, text, strlen(text));
}

static inline void write_bytes(const char *name, bytes b)
{
	char inside[128];
	snprintf(inside, sizeof inside, MINI "/%s", name);
	scratch_write(inside, b.p, b.n);
	free(b.p);
}

static inline void write_weights(const weights *w)
{
	write_bytes("model.safetensors", safetensors_of(w, 0, w->n, 0));
}

/* config.json: the sizes that all families share, and what else a test says. */
static inline void write_config(const char *architecture, const char *type, const char *rest)
{
	char text[4096];
	snprintf(text, sizeof text, "{\"architectures\":[\"%s\"],\"model_type\":\"%s\",\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":2,"
	         "\"num_key_value_heads\":1,\"intermediate_size\":%d,\"max_position_embeddings\":64,\"vocab_size\":%d,\"eos_token_id\":2%s%s}",
	         architecture, type, WIDTH, LAYERS, FFN, VOCAB, *rest ? "," : "", rest);
	write_file("config.json", text);
}

static inline void write_llama(const char *rest)
{
	write_config("LlamaForCausalLM", "llama", rest);
}

static inline void empty_directory(void)
{
	nftw(scratch_path(MINI), scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(scratch_path(MINI), 0700), 0);
}

/* A llama that opens. */
static inline void fresh_llama(const char *rest)
{
	empty_directory();
	weights w = weights_of(HEAD);
	write_weights(&w);
	write_llama(rest);
}

static inline model_file *opened(void)
{
	model_file *f = NULL;
	sn_error err = {0};
	if (model_file_open(&f, scratch_path(MINI), &err) != SN_OK)
		fail_msg("refused: %s", err.text);
	return f;
}

static inline void refused(const char *says)
{
	model_file *f = NULL;
	sn_error err = {0};
	sn_status st = model_file_open(&f, scratch_path(MINI), &err);
	if (st == SN_OK)
		fail_msg("accepted, but expected: %s", says);
	assert_null(f);
	assert_int_equal(st, err.status);
	check_text(&err, MINI);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static inline void has_u32(const model_file *f, const char *key, uint32_t want)
{
	uint32_t v = 0;
	if (!file_u32(f, key, &v) || v != want)
		fail_msg("%s: %u, expected %u", key, v, want);
}

static inline void has_f32(const model_file *f, const char *key, double want)
{
	float v = 0;
	if (!file_f32(f, key, &v) || v != (float)want)
		fail_msg("%s: %g, expected %g", key, (double)v, want);
}

static inline void has_tensor(const model_file *f, const char *name, const char *hf, uint64_t ne0, uint64_t ne1)
{
	const file_tensor *t = file_tensor_find(f, name);
	if (!t)
		fail_msg("%s is missing", name);
	if (t->ne[0] != ne0 || t->ne[1] != ne1 || t->ne[2] != 1 || t->ne[3] != 1 || t->data[0] != mark_of(hf) || t->bytes != ne0 * ne1 * 4)
		fail_msg("%s is not %s", name, hf);
	assert_int_equal((uintptr_t)t->data % 4, 0);
}

#endif
