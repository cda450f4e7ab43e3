/* test_hf_dir.c - promises of the reader of Hugging Face directories: configurations of transformers 4 and 5 become the
 * same keys, tensors come under GGUF's names from one file or from many, what is not computed is refused by name, and
 * nothing outside the directory is opened. With an argument, so many flipped bits instead of the usual few thousand. */
#include "scratch.h"

#include <math.h>

#include "formats/model_file.h"

#define MINI "mini"

static long n_flips = 1500;

/* ---- a directory in miniature: two layers of width 8, two heads (one KV head) of 4, 12 tokens ---- */

enum { WIDTH = 8, HEAD_DIM = 4, FFN = 16, LAYERS = 2, VOCAB = 12 };

typedef struct entry {
	char name[96];
	uint64_t shape[2];
	uint32_t rank;
} entry;

typedef struct weights {
	entry e[128];
	size_t n;
	const char *dtype;
} weights;

static void add(weights *w, const char *name, uint64_t rows, uint64_t cols)
{
	entry *e = &w->e[w->n++];
	assert_true(w->n <= 128);
	snprintf(e->name, sizeof e->name, "%s", name);
	*e = (entry){.shape = {rows, cols}, .rank = cols ? 2 : 1};
	snprintf(e->name, sizeof e->name, "%s", name);
}

static void drop(weights *w, const char *name)
{
	size_t i = 0;
	while (i < w->n && strcmp(w->e[i].name, name) != 0)
		i++;
	assert_true(i < w->n);
	w->e[i] = w->e[--w->n];
}

enum { HEAD = 1, BIASES = 2, ALL_BIASES = 4, SANDWICH = 8, QK_NORMS = 16 };

static weights weights_of(unsigned has)
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
static uint8_t mark_of(const char *name)
{
	uint8_t h = 0;
	for (; *name; name++)
		h = (uint8_t)(h * 31 + (uint8_t)*name);
	return h;
}

/* Entries from..to as one safetensors file; lead: bytes before all others, which shift alignment. */
static bytes safetensors_of(const weights *w, size_t from, size_t to, size_t lead)
{
	bytes data = {0}, header = {0}, b = {0};
	char text[256];
	size_t size = !strcmp(w->dtype, "F32") ? 4 : !strcmp(w->dtype, "F64") ? 8 : !strcmp(w->dtype, "F8_E4M3") ? 1 : 2;
	put(&header, "{", 1);
	if (lead) {
		put(&header, text, (size_t)snprintf(text, sizeof text, "\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"I8\",\"shape\":[%zu],"
		                                    "\"data_offsets\":[0,%zu]},", lead, lead));
		for (size_t i = 0; i < lead; i++)
			put(&data, "", 1);
	}
	for (size_t i = from; i < to; i++) {
		const entry *e = &w->e[i];
		size_t begin = data.n, n = e->shape[0] * (e->rank == 2 ? e->shape[1] : 1) * size;
		for (size_t k = 0; k < n; k++)
			put(&data, &(uint8_t){k == 0 ? mark_of(e->name) : 0}, 1);
		char shape[64];
		snprintf(shape, sizeof shape, e->rank == 2 ? "%llu,%llu" : "%llu", (unsigned long long)e->shape[0], (unsigned long long)e->shape[1]);
		put(&header, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", i > from ? "," : "",
		                                    e->name, w->dtype, shape, begin, data.n));
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

static void write_file(const char *name, const char *text)
{
	char inside[128];
	snprintf(inside, sizeof inside, MINI "/%s", name);
	scratch_write(inside, text, strlen(text));
}

static void write_bytes(const char *name, bytes b)
{
	char inside[128];
	snprintf(inside, sizeof inside, MINI "/%s", name);
	scratch_write(inside, b.p, b.n);
	free(b.p);
}

static void write_weights(const weights *w)
{
	write_bytes("model.safetensors", safetensors_of(w, 0, w->n, 0));
}

/* config.json: the sizes that all families share, and what else a test says. */
static void write_config(const char *architecture, const char *type, const char *rest)
{
	char text[4096];
	snprintf(text, sizeof text, "{\"architectures\":[\"%s\"],\"model_type\":\"%s\",\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":2,"
	         "\"num_key_value_heads\":1,\"intermediate_size\":%d,\"max_position_embeddings\":64,\"vocab_size\":%d,\"eos_token_id\":2%s%s}",
	         architecture, type, WIDTH, LAYERS, FFN, VOCAB, *rest ? "," : "", rest);
	write_file("config.json", text);
}

static void write_llama(const char *rest)
{
	write_config("LlamaForCausalLM", "llama", rest);
}

static void empty_directory(void)
{
	nftw(scratch_path(MINI), scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(scratch_path(MINI), 0700), 0);
}

/* A llama that opens. */
static void fresh_llama(const char *rest)
{
	empty_directory();
	weights w = weights_of(HEAD);
	write_weights(&w);
	write_llama(rest);
}

static model_file *opened(void)
{
	model_file *f = NULL;
	sn_error err = {0};
	if (model_file_open(&f, scratch_path(MINI), &err) != SN_OK)
		fail_msg("refused: %s", err.text);
	return f;
}

static void refused(const char *says)
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

static void has_u32(const model_file *f, const char *key, uint32_t want)
{
	uint32_t v = 0;
	if (!file_u32(f, key, &v) || v != want)
		fail_msg("%s: %u, expected %u", key, v, want);
}

static void has_f32(const model_file *f, const char *key, double want)
{
	float v = 0;
	if (!file_f32(f, key, &v) || v != (float)want)
		fail_msg("%s: %g, expected %g", key, (double)v, want);
}

static void has_tensor(const model_file *f, const char *name, const char *hf, uint64_t ne0, uint64_t ne1)
{
	const file_tensor *t = file_tensor_find(f, name);
	if (!t)
		fail_msg("%s is missing", name);
	if (t->ne[0] != ne0 || t->ne[1] != ne1 || t->ne[2] != 1 || t->ne[3] != 1 || t->data[0] != mark_of(hf) || t->bytes != ne0 * ne1 * 4)
		fail_msg("%s is not %s", name, hf);
	assert_int_equal((uintptr_t)t->data % 4, 0);
}

/* ---- what is read ---- */

static void a_llama_comes_under_ggufs_names(void **state)
{
	(void)state;
	fresh_llama("\"rms_norm_eps\":1e-5,\"rope_theta\":50000.0,\"torch_dtype\":\"float32\",\"use_cache\":true,\"pretraining_tp\":1,\"head_dim\":4");
	model_file *f = opened();
	str s;
	assert_true(f->from_hf);
	assert_string_equal(f->name, MINI);
	assert_string_equal(f->dir, scratch_path(MINI));
	assert_true(file_str(f, "general.architecture", &s) && str_eq(s, STR("llama")));
	has_u32(f, "llama.block_count", LAYERS);
	has_u32(f, "llama.embedding_length", WIDTH);
	has_u32(f, "llama.feed_forward_length", FFN);
	has_u32(f, "llama.attention.head_count", 2);
	has_u32(f, "llama.attention.head_count_kv", 1);
	has_u32(f, "llama.attention.key_length", HEAD_DIM);
	has_u32(f, "llama.attention.value_length", HEAD_DIM);
	has_u32(f, "llama.rope.dimension_count", HEAD_DIM);
	has_u32(f, "llama.context_length", 64);
	has_u32(f, "llama.vocab_size", VOCAB);
	has_f32(f, "llama.attention.layer_norm_rms_epsilon", 1e-5);
	has_f32(f, "llama.rope.freq_base", 50000);
	assert_int_equal(f->n_tensors, 3 + 9 * LAYERS);
	has_tensor(f, "token_embd.weight", "model.embed_tokens.weight", WIDTH, VOCAB);
	has_tensor(f, "output.weight", "lm_head.weight", WIDTH, VOCAB);
	has_tensor(f, "output_norm.weight", "model.norm.weight", WIDTH, 1);
	has_tensor(f, "blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", WIDTH, 1);
	has_tensor(f, "blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight", WIDTH, 1);
	has_tensor(f, "blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight", WIDTH, 2 * HEAD_DIM);
	has_tensor(f, "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", WIDTH, HEAD_DIM);
	has_tensor(f, "blk.1.attn_v.weight", "model.layers.1.self_attn.v_proj.weight", WIDTH, HEAD_DIM);
	has_tensor(f, "blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight", 2 * HEAD_DIM, WIDTH);
	has_tensor(f, "blk.0.ffn_gate.weight", "model.layers.0.mlp.gate_proj.weight", WIDTH, FFN);
	has_tensor(f, "blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight", WIDTH, FFN);
	has_tensor(f, "blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight", FFN, WIDTH);
	model_file_close(&f);
	assert_null(f);
}

static void biases_and_norms_go_with_their_family(void **state)
{
	(void)state;
	empty_directory();
	weights w = weights_of(BIASES);
	write_weights(&w);
	write_config("Qwen2ForCausalLM", "qwen2", "\"tie_word_embeddings\":true,\"use_sliding_window\":false,\"sliding_window\":32,\"max_window_layers\":1");
	model_file *f = opened();
	assert_int_equal(f->n_tensors, 2 + 12 * LAYERS);
	has_u32(f, "qwen2.block_count", LAYERS);
	has_f32(f, "qwen2.attention.layer_norm_rms_epsilon", 1e-6);
	has_f32(f, "qwen2.rope.freq_base", 10000);
	has_tensor(f, "blk.1.attn_k.bias", "model.layers.1.self_attn.k_proj.bias", HEAD_DIM, 1);
	assert_null(file_key_find(f, "qwen2.attention.sliding_window"));
	model_file_close(&f);

	w = weights_of(HEAD | BIASES | ALL_BIASES);
	write_weights(&w);
	write_llama("\"attention_bias\":true,\"mlp_bias\":true");
	f = opened();
	assert_int_equal(f->n_tensors, 3 + 16 * LAYERS);
	has_tensor(f, "blk.0.attn_output.bias", "model.layers.0.self_attn.o_proj.bias", WIDTH, 1);
	has_tensor(f, "blk.0.ffn_down.bias", "model.layers.0.mlp.down_proj.bias", WIDTH, 1);
	model_file_close(&f);
	write_llama("");
	refused("has no place in this LlamaForCausalLM");

	w = weights_of(SANDWICH | QK_NORMS);
	write_weights(&w);
	write_config("Gemma3ForCausalLM", "gemma3_text", "\"head_dim\":4,\"sliding_window\":16,\"query_pre_attn_scalar\":64");
	f = opened();
	assert_int_equal(f->n_tensors, 2 + 13 * LAYERS);
	has_tensor(f, "blk.0.post_attention_norm.weight", "model.layers.0.post_attention_layernorm.weight", WIDTH, 1);
	has_tensor(f, "blk.0.ffn_norm.weight", "model.layers.0.pre_feedforward_layernorm.weight", WIDTH, 1);
	has_tensor(f, "blk.0.post_ffw_norm.weight", "model.layers.0.post_feedforward_layernorm.weight", WIDTH, 1);
	has_tensor(f, "blk.1.attn_q_norm.weight", "model.layers.1.self_attn.q_norm.weight", HEAD_DIM, 1);
	has_f32(f, "gemma3.attention.scale", 0.125);
	has_u32(f, "gemma3.attention.sliding_window", 16);
	model_file_close(&f);
}

static void a_tied_head_is_one_tensor(void **state)
{
	(void)state;
	fresh_llama("\"tie_word_embeddings\":false");
	model_file *f = opened();
	assert_non_null(file_tensor_find(f, "output.weight"));
	model_file_close(&f);
	write_llama("\"tie_word_embeddings\":true"); /* the head is there, and another matrix */
	refused("lm_head.weight differs from the embedding");
	weights w = weights_of(0);
	write_weights(&w);
	f = opened();
	assert_null(file_tensor_find(f, "output.weight"));
	model_file_close(&f);
	write_llama("");
	refused("tensor lm_head.weight is missing");
	write_llama("\"tie_word_embeddings\":1");
	refused("tie_word_embeddings is neither true nor false");

	bytes same = {0}; /* the head stored a second time: the marks of these two names are made equal */
	w = weights_of(HEAD);
	same = safetensors_of(&w, 0, w.n, 0);
	uint64_t header;
	memcpy(&header, same.p, 8);
	same.p[8 + header + (VOCAB * WIDTH + WIDTH) * 4] = mark_of("model.embed_tokens.weight");
	write_bytes("model.safetensors", same);
	write_llama("\"tie_word_embeddings\":true");
	f = opened();
	assert_null(file_tensor_find(f, "output.weight"));
	model_file_close(&f);
}

/* ---- RoPE and windows, as transformers 4 and 5 write them ---- */

static void both_layouts_of_rope_are_one(void **state)
{
	(void)state;
	static const struct { const char *rest; double base, factor; } cases[] = {
	    {"", 10000, 0},
	    {"\"rope_theta\":5e5,\"rope_scaling\":null", 5e5, 0},
	    {"\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}", 5e5, 0},
	    {"\"rope_parameters\":{\"rope_theta\":5e5}", 5e5, 0},
	    {"\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}", 5e5, 4},
	    {"\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0}", 5e5, 4},
	    {"\"rope_parameters\":{\"rope_type\":\"linear\",\"rope_theta\":5e5,\"factor\":4.0,\"partial_rotary_factor\":1.0}", 5e5, 4},
	    {"\"rope_theta\":20000,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"rope_parameters\":{\"rope_theta\":5}", 20000, 2},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh_llama(cases[i].rest);
		model_file *f = opened();
		str type;
		has_f32(f, "llama.rope.freq_base", cases[i].base);
		assert_int_equal(file_str(f, "llama.rope.scaling.type", &type), cases[i].factor != 0);
		if (cases[i].factor != 0)
			has_f32(f, "llama.rope.scaling.factor", cases[i].factor);
		model_file_close(&f);
	}
}

static void llama3_scaling_becomes_divisors(void **state)
{
	(void)state;
	static const char *const layouts[] = {
	    "\"rope_theta\":10000,\"head_dim\":16,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
	    "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}",
	    "\"head_dim\":16,\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":10000,\"factor\":8.0,\"low_freq_factor\":1.0,"
	    "\"high_freq_factor\":4.0}", /* the original context is max_position_embeddings then */
	    "\"head_dim\":16,\"original_max_position_embeddings\":64,\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":10000,"
	    "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}",
	};
	for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
		fresh_llama(layouts[l]);
		model_file *f = opened();
		const file_tensor *t = file_tensor_find(f, "rope_freqs.weight");
		assert_true(t && t->type == 0 && t->ne[0] == 8 && t->bytes == 32);
		for (int i = 0; i < 8; i++) {
			double inv = pow(10000, -i / 8.0), wave = 2 * M_PI / inv, want = inv;
			if (wave > 64 / 1.0)
				want = inv / 8;
			else if (wave >= 64 / 4.0) {
				double s = (64 / wave - 1) / 3;
				want = (1 - s) * inv / 8 + s * inv;
			}
			float divisor;
			memcpy(&divisor, t->data + 4 * i, 4);
			assert_true(fabs(inv / (double)divisor / want - 1) < 1e-6);
		}
		model_file_close(&f);
	}
}

static void windows_come_from_either_layout(void **state)
{
	(void)state;
	static const struct { const char *rest; double base, window_base; bool windowed[LAYERS]; } cases[] = {
	    {"\"sliding_window_pattern\":2,\"rope_theta\":5e5,\"rope_local_base_freq\":2e4", 5e5, 2e4, {true, false}},
	    {"\"_sliding_window_pattern\":2", 1e6, 1e4, {true, false}},
	    {"", 1e6, 1e4, {true, true}}, /* the class's pattern of 6 */
	    {"\"layer_types\":[\"full_attention\",\"sliding_attention\"],\"sliding_window_pattern\":2", 1e6, 1e4, {false, true}},
	    {"\"layer_types\":[\"full_attention\",\"sliding_attention\"],\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,"
	     "\"rope_theta\":3e5},\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":3e4}}", 3e5, 3e4, {false, true}},
	    {"\"rope_theta\":3e5,\"rope_local_base_freq\":3e4,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}", 3e5, 3e4, {true, true}},
	};
	empty_directory();
	weights w = weights_of(SANDWICH | QK_NORMS);
	write_weights(&w);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rest[1024];
		snprintf(rest, sizeof rest, "\"head_dim\":4,\"sliding_window\":16%s%s", *cases[i].rest ? "," : "", cases[i].rest);
		write_config("Gemma3ForCausalLM", "gemma3_text", rest);
		model_file *f = opened();
		has_f32(f, "gemma3.rope.freq_base", cases[i].base);
		has_f32(f, "gemma3.rope.freq_base_swa", cases[i].window_base);
		has_u32(f, "gemma3.attention.sliding_window", 16);
		has_f32(f, "gemma3.attention.scale", 1 / 16.0);
		const file_key *k = file_key_find(f, "gemma3.attention.sliding_window_pattern");
		assert_true(k && k->type == FILE_ARRAY && k->elem_type == FILE_BOOL && k->n == LAYERS);
		assert_memory_equal(k->data, cases[i].windowed, LAYERS);
		if (strstr(rest, "linear"))
			has_f32(f, "gemma3.rope.scaling.factor", 8);
		model_file_close(&f);
	}
}

/* ---- what is refused ---- */

static void what_is_not_computed_is_refused_by_name(void **state)
{
	(void)state;
	static const struct { const char *rest, *says; } cases[] = {
	    {"\"hidden_act\":\"gelu\"", "config.json: hidden_act: gelu is not supported (silu is)"},
	    {"\"hidden_act\":5", "hidden_act"},
	    {"\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4}", "quantization_config: quantised weights (awq) are not supported"},
	    {"\"quantization_config\":{}", "quantization_config"},
	    {"\"compression_config\":{\"quant_method\":\"compressed-tensors\"}", "compression_config"},
	    {"\"is_causal\":false", "is_causal"},
	    {"\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "layer_types: sliding_attention is not supported"},
	    {"\"layer_types\":[\"full_attention\"]", "layer_types is not a list of 2 names"},
	    {"\"layer_types\":\"full_attention\"", "layer_types is not a list"},
	    {"\"layer_types\":[\"full_attention\",7]", "layer_types"},
	    {"\"partial_rotary_factor\":0.5", "partial_rotary_factor"},
	    {"\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":0.25}", "rope_parameters.partial_rotary_factor is not supported"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0}", "rope_scaling.rope_type: yarn is not supported"},
	    {"\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}", "rope_scaling.rope_type: dynamic"},
	    {"\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,1]}", "rope_scaling.rope_type: mrope"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\"}", "rope_parameters.rope_type: longrope"},
	    {"\"rope_parameters\":{\"rope_type\":7}", "rope_parameters.rope_type"},
	    {"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}", "rope_parameters.full_attention is not supported"},
	    {"\"rope_parameters\":{\"rope_type\":\"default\",\"attention_factor\":2}", "rope_parameters.attention_factor is not supported"},
	    {"\"rope_parameters\":[1]", "rope_parameters is not an object"},
	    {"\"rope_scaling\":\"linear\"", "rope_scaling is not an object"},
	    {"\"rope_scaling\":{\"type\":\"linear\"}", "rope_scaling.factor is missing"},
	    {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}", "rope_scaling.factor is not a number above 0"},
	    {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"4\"}", "rope_scaling.factor is not a number above 0"},
	    {"\"rope_theta\":-1", "rope_theta is not a number above 0"},
	    {"\"rope_theta\":\"10000\"", "rope_theta is not a number above 0"},
	    {"\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1}", "rope_parameters.high_freq_factor is missing"},
	    {"\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}", "high_freq_factor is not above"},
	    {"\"attention_bias\":\"yes\"", "attention_bias is neither true nor false"},
	    {"\"head_dim\":0", "head_dim: 0 is not an integer from 1"},
	    {"\"rms_norm_eps\":0", "rms_norm_eps is not a number above 0"},
	    {"\"rms_norm_eps\":\"1e-5\"", "rms_norm_eps is not a number above 0"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh_llama(cases[i].rest);
		refused(cases[i].says);
	}
	static const struct { const char *architecture, *type, *rest, *says; } families[] = {
	    {"LlamaForSequenceClassification", "llama", "", "architectures: LlamaForSequenceClassification is not supported"},
	    {"SmolVLMForConditionalGeneration", "smolvlm", "", "architectures: SmolVLMForConditionalGeneration is not supported"},
	    {"Gemma3ForConditionalGeneration", "gemma3", "", "architectures: Gemma3ForConditionalGeneration is not supported"},
	    {"LlamaForCausalLM", "qwen2", "", "model_type: qwen2 does not go with LlamaForCausalLM"},
	    {"MistralForCausalLM", "mistral", "\"sliding_window\":32", "sliding_window: 32 below max_position_embeddings 64"},
	    {"Qwen2ForCausalLM", "qwen2", "\"use_sliding_window\":true", "use_sliding_window is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"attention_bias\":true", "attention_bias is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"use_bidirectional_attention\":true", "use_bidirectional_attention is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"attn_logit_softcapping\":50.0", "attn_logit_softcapping is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"final_logit_softcapping\":30.0", "final_logit_softcapping is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"hidden_activation\":\"gelu\"", "hidden_activation: gelu is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"sliding_window\":null", "sliding_window is null, but layers slide"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"sliding_window_pattern\":0", "sliding_window_pattern: 0 is not"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"query_pre_attn_scalar\":0", "query_pre_attn_scalar"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"rope_parameters\":{\"rope_type\":\"default\"}", "rope_parameters.rope_type is not supported beside layer types"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"linear\",\"factor\":2}}",
	     "rope_parameters.sliding_attention.rope_type: only default"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":1,"
	     "\"high_freq_factor\":4,\"original_max_position_embeddings\":9}}", "llama3 is not supported beside layer types"},
	};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		write_config(families[i].architecture, families[i].type, families[i].rest);
		refused(families[i].says);
	}
	write_config("MistralForCausalLM", "mistral", "\"sliding_window\":null");
	model_file *f = opened();
	model_file_close(&f);
	write_config("MistralForCausalLM", "mistral", ""); /* the class's 4096 is more than the context */
	f = opened();
	model_file_close(&f);
}

static void sizes_that_lie_are_refused(void **state)
{
	(void)state;
	static const char *const keys[] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
	                                   "max_position_embeddings", "vocab_size"};
	static const struct { const char *value, *says; } bad[] = {
	    {"0", ": 0 is not an integer from 1"}, {"-1", ": -1 is not an integer"}, {"2.5", ": 2.5 is not an integer"}, {"2.0", ": 2 is not an integer"},
	    {"4294967296", ": 4294967296 is not an integer"}, {"9223372036854775807", ": 9.2233720368547758e+18 is not an integer"}, {"1e300", ": 1.0000000000000001e+300 is not"},
	    {"\"2\"", " is not an integer"}, {"[2]", " is not an integer"}, {"true", " is not an integer"}, {"{}", " is not an integer"}};
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
			char text[1024] = "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"", says[96];
			for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
				snprintf(text + strlen(text), sizeof text - strlen(text), ",\"%s\":%s", keys[i], i == k ? bad[b].value : "8");
			strcat(text, "}");
			fresh_llama("");
			write_file("config.json", text);
			snprintf(says, sizeof says, "config.json: %s%s", keys[k], bad[b].says);
			refused(says);
		}
	write_file("config.json", "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"}");
	refused("config.json: hidden_size is missing");
	write_llama("\"hidden_size\":9"); /* twice */
	refused("config.json: the JSON has the same key twice");
	fresh_llama("\"head_dim\":65536");
	model_file *f = opened(); /* what tensors say is the model's matter, and it names both */
	model_file_close(&f);
}

static void broken_json_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "{", "[]", "null", "7", "\"config\"", "{}", "{\"architectures\":[]}", "{\"architectures\":\"LlamaForCausalLM\"}",
	                                    "{\"architectures\":[\"LlamaForCausalLM\",\"Qwen2ForCausalLM\"]}", "{\"architectures\":[7]}",
	                                    "{\"architectures\":[\"Llama\\u0000ForCausalLM\"]}", "{\"architectures\":[\"LlamaForCausalLM\"]}",
	                                    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":3}", "{\"a\":\"\xFF\"}", "{\"a\":NaN}", "{} x"};
	fresh_llama("");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_file("config.json", texts[i]);
		refused("config.json: ");
	}
	bytes deep = {0}, large = {0};
	for (int i = 0; i < 100000; i++)
		put(&deep, "[", 1);
	write_bytes("config.json", deep);
	refused("config.json: the JSON is nested deeper");
	for (int i = 0; i <= 1 << 20; i++)
		put(&large, " ", 1);
	write_bytes("config.json", large);
	refused("config.json: larger than 1048576 bytes");

	static const struct { const char *file, *text, *says; } others[] = {
	    {"generation_config.json", "{\"eos_token_id\":", "generation_config.json: not valid JSON"},
	    {"generation_config.json", "[]", "generation_config.json: not a JSON object"},
	    {"generation_config.json", "{\"eos_token_id\":-1}", "generation_config.json: eos_token_id"},
	    {"generation_config.json", "{\"eos_token_id\":\"2\"}", "generation_config.json: eos_token_id"},
	    {"generation_config.json", "{\"eos_token_id\":[]}", "generation_config.json: eos_token_id: 0 ids"},
	    {"generation_config.json", "{\"eos_token_id\":[1,2.5]}", "generation_config.json: eos_token_id"},
	    {"generation_config.json", "{\"eos_token_id\":4294967298}", "generation_config.json: eos_token_id"},
	    {"chat_template.json", "{\"chat_template\":7}", "chat_template.json: chat_template"},
	    {"chat_template.json", "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"x\"}]}", "chat_template.json: chat_template"},
	    {"tokenizer_config.json", "{\"chat_template\":[{\"name\":\"default\"}]}", "tokenizer_config.json: chat_template"},
	    {"tokenizer_config.json", "{\"chat_template\":\"", "tokenizer_config.json: not valid JSON"},
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		fresh_llama("");
		write_file(others[i].file, others[i].text);
		refused(others[i].says);
	}
}

static void tensors_must_be_the_configurations(void **state)
{
	(void)state;
	weights whole = weights_of(HEAD);
	fresh_llama("");
	for (size_t i = 0; i < whole.n; i++) {
		char says[128];
		weights w = whole;
		drop(&w, whole.e[i].name);
		write_weights(&w);
		snprintf(says, sizeof says, "tensor %s is missing", whole.e[i].name);
		refused(says);
	}
	static const char *const extra[] = {"model.layers.2.input_layernorm.weight", "model.layers.00.input_layernorm.weight", "mystery", "model.layers.0.self_attn.q_norm.weight",
	                                    "model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_proj.weight_scale", "model.vision_tower.x",
	                                    "blk.0.attn_q.weight", "model.layers.0.self_attn.rotary_emb.inv_freq2"};
	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
		char says[128];
		weights w = whole;
		add(&w, extra[i], WIDTH, 0);
		write_weights(&w);
		snprintf(says, sizeof says, "tensor %s has no place", extra[i]);
		refused(says);
	}
	static const char *const dtypes[] = {"F64", "I16", "U16", "F8_E4M3"};
	for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
		char says[128];
		weights w = whole;
		w.dtype = dtypes[i];
		write_weights(&w);
		snprintf(says, sizeof says, "tensor model.embed_tokens.weight: dtype %s is not supported (F32, F16 and BF16 are)", dtypes[i]);
		refused(says);
	}
	weights w = whole;
	w.e[0].shape[0] = VOCAB + 1;
	write_weights(&w);
	refused("model.embed_tokens.weight: 13 rows, but vocab_size is 12");
	w = whole;
	w.e[1].shape[0] = 0;
	write_weights(&w);
	refused("tensor model.norm.weight: 1 dimensions and 0 bytes");
}

static void data_without_alignment_is_copied(void **state)
{
	(void)state;
	weights w = weights_of(HEAD);
	fresh_llama("");
	for (size_t lead = 1; lead <= 4; lead++) {
		write_bytes("model.safetensors", safetensors_of(&w, 0, w.n, lead));
		model_file *f = opened();
		has_tensor(f, "blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj.weight", WIDTH, FFN);
		const file_tensor *t = file_tensor_find(f, "token_embd.weight");
		bool in_map = t->data >= f->maps->p && t->data < f->maps->p + f->maps->n;
		assert_int_equal(in_map, lead == 4);
		model_file_close(&f);
	}
}

/* ---- shards ---- */

/* Three files, and the index that names them. */
static void write_shards(const weights *w, const char *second_file)
{
	bytes index = {0};
	char text[512];
	size_t cut[4] = {0, 3, w->n / 2, w->n};
	unlink(scratch_path(MINI "/model.safetensors"));
	put(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{", 43);
	for (int s = 0; s < 3; s++) {
		snprintf(text, sizeof text, "model-%05d-of-00003.safetensors", s + 1);
		write_bytes(text, safetensors_of(w, cut[s], cut[s + 1], 0));
		for (size_t i = cut[s]; i < cut[s + 1]; i++)
			put(&index, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":\"%s\"", i ? "," : "", w->e[i].name,
			                                   s == 1 && second_file ? second_file : s == 0 ? "model-00001-of-00003.safetensors"
			                                   : s == 1 ? "model-00002-of-00003.safetensors" : "model-00003-of-00003.safetensors"));
	}
	put(&index, "}}", 2);
	write_bytes("model.safetensors.index.json", index);
}

static void many_files_are_one_table(void **state)
{
	(void)state;
	weights w = weights_of(HEAD);
	fresh_llama("");
	write_shards(&w, NULL);
	model_file *f = opened();
	assert_int_equal(f->n_maps, 3);
	assert_int_equal(f->n_tensors, w.n);
	has_tensor(f, "token_embd.weight", "model.embed_tokens.weight", WIDTH, VOCAB);
	has_tensor(f, "blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", FFN, WIDTH);
	assert_int_equal(f->map_bytes, f->maps[0].n + f->maps[1].n + f->maps[2].n);
	model_file_close(&f);
}

static void shard_names_never_leave_the_directory(void **state)
{
	(void)state;
	weights w = weights_of(HEAD);
	scratch_write("outside.safetensors", "x", 1);
	static const char *const names[] = {"../outside.safetensors", "/etc/passwd", "/tmp/outside.safetensors", "sub/x.safetensors", "./model-00002-of-00003.safetensors",
	                                    "..", ".", "", "a\\u0000.safetensors", "model-00002-of-00003.safetensors\\u0000", "a\\n.safetensors",
	                                    "model.safetensors.index.json", "config.json", ".safetensors", "a b.safetensors", "\\u00e9.safetensors"};
	fresh_llama("");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		write_shards(&w, names[i]);
		refused(strstr(names[i], "u0000") ? "model.safetensors.index.json: " : "weight_map names a file that is not a plain");
	}
	char large[400];
	memset(large, 'n', sizeof large);
	strcpy(large + 300, ".safetensors");
	write_shards(&w, large);
	refused("weight_map names a file that is not a plain");
}

static void symlinks_are_refused_wherever_they_lead(void **state)
{
	(void)state;
	static const char *const files[] = {"config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json", "generation_config.json",
	                                    "chat_template.jinja", "chat_template.json", "tokenizer_config.json"};
	weights w = weights_of(HEAD);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[600], says[96];
		fresh_llama("");
		write_shards(&w, NULL);
		snprintf(path, sizeof path, "%s/" MINI "/%s", SCRATCH, files[i]);
		if (i < 3)
			rename(path, scratch_path("real"));
		else
			scratch_write("real", "{}", 2);
		assert_int_equal(symlink(scratch_path("real"), path), 0);
		snprintf(says, sizeof says, "%s: a symlink", files[i]);
		refused(says);
	}
	fresh_llama(""); /* the directory itself may be one: the user named it */
	assert_int_equal(symlink(scratch_path(MINI), scratch_path("link")), 0);
	model_file *f = NULL;
	assert_int_equal(model_file_open(&f, scratch_path("link"), NULL), SN_OK);
	model_file_close(&f);
	assert_int_equal(model_file_open(&f, scratch_path(MINI "//"), NULL), SN_OK);
	assert_string_equal(f->name, MINI);
	model_file_close(&f);
}

static void indexes_that_lie_are_refused(void **state)
{
	(void)state;
	weights w = weights_of(HEAD), other;
	fresh_llama("");
	write_shards(&w, "model-00009-of-00003.safetensors");
	refused("model-00009-of-00003.safetensors: cannot be opened");
	write_shards(&w, "model-00001-of-00003.safetensors"); /* the second shard's tensors are expected in the first */
	refused("a tensor is missing that model.safetensors.index.json expects there");
	write_shards(&w, NULL);
	other = w; /* a shard that holds a tensor which nobody expects, and one which another shard should hold */
	add(&other, "mystery", WIDTH, 0);
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&other, w.n / 2, other.n, 0));
	refused("model-00003-of-00003.safetensors: tensor mystery is not in model.safetensors.index.json");
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&w, 0, 3, 0));
	refused("which model.safetensors.index.json expects in model-00001-of-00003.safetensors");
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&w, w.n / 2, w.n - 1, 0));
	refused("model-00003-of-00003.safetensors: a tensor is missing");

	static const struct { const char *text, *says; } texts[] = {
	    {"", "index.json: not valid JSON"}, {"{", "index.json: not valid JSON"}, {"[]", "weight_map is missing"}, {"{}", "weight_map is missing"},
	    {"{\"weight_map\":[]}", "weight_map is missing"}, {"{\"weight_map\":null}", "weight_map is missing"},
	    {"{\"weight_map\":{}}", "weight_map names 0 files"}, {"{\"weight_map\":{\"a\":7}}", "not a plain"}, {"{\"weight_map\":{\"a\":null}}", "not a plain"},
	    {"{\"weight_map\":{\"a\":[\"model-00001-of-00003.safetensors\"]}}", "not a plain"},
	    {"{\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\",\"a\":\"model-00002-of-00003.safetensors\"}}", "the same key twice"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_file("model.safetensors.index.json", texts[i].text);
		refused(texts[i].says);
	}
	unlink(scratch_path(MINI "/model.safetensors.index.json"));
	refused("neither model.safetensors nor model.safetensors.index.json can be opened");
	assert_int_equal(mkfifo(scratch_path(MINI "/model.safetensors"), 0600), 0);
	refused("model.safetensors: not a regular file");
	bytes many = {0};
	char text[64];
	put(&many, "{\"weight_map\":{", 15);
	for (int i = 0; i < 5000; i++)
		put(&many, text, (size_t)snprintf(text, sizeof text, "%s\"t%d\":\"%d.safetensors\"", i ? "," : "", i, i));
	put(&many, "}}", 2);
	unlink(scratch_path(MINI "/model.safetensors"));
	write_bytes("model.safetensors.index.json", many);
	refused("weight_map names 5000 files");
}

/* ---- text ---- */

static void ends_and_templates_have_an_order(void **state)
{
	(void)state;
	int32_t *ids;
	size_t n;
	str s;
	fresh_llama("");
	model_file *f = opened();
	has_u32(f, "tokenizer.ggml.eos_token_id", 2);
	assert_false(file_str(f, "tokenizer.chat_template", &s));
	model_file_close(&f);

	write_file("generation_config.json", "{\"eos_token_id\":[7,9],\"bos_token_id\":1,\"do_sample\":true}");
	write_file("tokenizer_config.json", "{\"chat_template\":\"from tokenizer_config\"}");
	f = opened();
	has_u32(f, "tokenizer.ggml.eos_token_id", 7);
	assert_int_equal(file_i32s(f, "tokenizer.ggml.eog_token_ids", f->mem, &ids, &n, NULL), SN_OK);
	assert_true(n == 2 && ids[0] == 7 && ids[1] == 9);
	assert_true(file_str(f, "tokenizer.chat_template", &s) && str_eq(s, STR("from tokenizer_config")));
	model_file_close(&f);

	write_file("generation_config.json", "{\"eos_token_id\":null}");
	write_file("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"no\"},{\"name\":\"default\",\"template\":\"the default\"}]}");
	f = opened();
	has_u32(f, "tokenizer.ggml.eos_token_id", 2);
	assert_true(file_str(f, "tokenizer.chat_template", &s) && str_eq(s, STR("the default")));
	model_file_close(&f);

	write_file("chat_template.json", "{\"chat_template\":\"from chat_template.json\\n\"}");
	f = opened();
	assert_true(file_str(f, "tokenizer.chat_template", &s) && str_eq(s, STR("from chat_template.json\n")));
	model_file_close(&f);
	write_file("chat_template.jinja", "{{ 'from jinja' }}\n");
	f = opened();
	assert_true(file_str(f, "tokenizer.chat_template", &s) && str_eq(s, STR("{{ 'from jinja' }}\n")));
	model_file_close(&f);
	bytes large = {0};
	for (int i = 0; i <= 1 << 20; i++)
		put(&large, "x", 1);
	write_bytes("chat_template.jinja", large);
	refused("chat_template.jinja: larger than");
}

/* transformers writes 10^30, as a float's integer, for "no limit". */
static void integers_of_any_length_are_numbers(void **state)
{
	(void)state;
	static const struct { const char *theta; double want; } cases[] = {
	    {"9223372036854775807", 9223372036854775807.0}, {"9223372036854775808", 9223372036854775808.0}, {"18446744073709551616", 1.8446744073709e19},
	    {"1000000000000000019884624838656", 1e30}, {"100000000000000000000.0", 1e20}, {"1e20", 1e20}, {"100000000000000000000e-5", 1e15}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rest[128];
		float v;
		snprintf(rest, sizeof rest, "\"rope_theta\":%s,\"x\":\"\\\"99999999999999999999999\",\"y\":[-99999999999999999999999,0]", cases[i].theta);
		fresh_llama(rest);
		write_file("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656,\"chat_template\":\"10000000000000000000000\"}");
		model_file *f = opened();
		str s;
		assert_true(file_f32(f, "llama.rope.freq_base", &v) && fabs(v / cases[i].want - 1) < 1e-6);
		assert_true(file_str(f, "tokenizer.chat_template", &s) && str_eq(s, STR("10000000000000000000000")));
		model_file_close(&f);
	}
	static const char *const broken[] = {"00000000000000000000001", "+99999999999999999999", "1.99999999999999999999.", "99999999999999999999a", "1e99999"};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		char rest[128];
		snprintf(rest, sizeof rest, "\"rope_theta\":%s", broken[i]);
		fresh_llama(rest);
		refused("config.json: not valid JSON");
	}
}

/* ---- cut and flipped ---- */

static bytes file_bytes(const char *name)
{
	char inside[128];
	bytes b = {0};
	snprintf(inside, sizeof inside, MINI "/%s", name);
	int fd = open(scratch_path(inside), O_RDONLY);
	assert_true(fd >= 0);
	uint8_t part[4096];
	for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
		put(&b, part, (size_t)n);
	close(fd);
	return b;
}

static const char *const whole_files[] = {"config.json", "model.safetensors.index.json", "generation_config.json", "model-00002-of-00003.safetensors"};

static void fresh_shards(void)
{
	weights w = weights_of(HEAD);
	fresh_llama("\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":1e4,\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0}");
	write_shards(&w, NULL);
	write_file("generation_config.json", "{\"eos_token_id\":[2,3]}");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	fresh_shards();
	for (size_t i = 0; i < 4; i++) {
		bytes b = file_bytes(whole_files[i]);
		for (size_t n = 0; n < b.n; n += i == 3 && n > 8 ? 97 : 1) {
			bytes cut = {malloc(n + 1), n, n};
			memcpy(cut.p, b.p, n);
			write_bytes(whole_files[i], cut);
			refused("");
		}
		write_bytes(whole_files[i], b);
		model_file *f = opened();
		model_file_close(&f);
	}
}

static void flipped_bits_are_refused_or_harmless(void **state)
{
	(void)state;
	rng r = {35};
	long n_refused = 0;
	fresh_shards();
	for (size_t i = 0; i < 4; i++) {
		bytes b = file_bytes(whole_files[i]);
		char inside[128];
		snprintf(inside, sizeof inside, MINI "/%s", whole_files[i]);
		int fd = open(scratch_path(inside), O_WRONLY);
		for (long k = 0; k < n_flips; k++) {
			uint32_t at = rng_below(&r, (uint32_t)b.n);
			uint8_t flipped = b.p[at] ^ (uint8_t)(1u << rng_below(&r, 8)), sum = 0;
			assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
			model_file *f = NULL;
			sn_error err = {0};
			if (model_file_open(&f, scratch_path(MINI), &err) == SN_OK) {
				for (size_t t = 0; t < f->n_tensors; t++)
					for (uint64_t d = 0; d < f->tensors[t].bytes; d++)
						sum += f->tensors[t].data[d];
				model_file_close(&f);
			} else {
				n_refused++;
				if (strncmp(err.text, MINI ": ", 6) != 0 || strlen(err.text) < 12)
					fail_msg("not a clear refusal: %s", err.text);
			}
			(void)sum;
			assert_int_equal(pwrite(fd, b.p + at, 1, at), 1);
		}
		close(fd);
		free(b.p);
	}
	assert_in_range(n_refused, n_flips, 4 * n_flips - 1);
}

int main(int argc, char **argv)
{
	n_flips = argc > 1 ? atol(argv[1]) : n_flips;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_llama_comes_under_ggufs_names),
	    cmocka_unit_test(biases_and_norms_go_with_their_family),
	    cmocka_unit_test(a_tied_head_is_one_tensor),
	    cmocka_unit_test(both_layouts_of_rope_are_one),
	    cmocka_unit_test(llama3_scaling_becomes_divisors),
	    cmocka_unit_test(windows_come_from_either_layout),
	    cmocka_unit_test(what_is_not_computed_is_refused_by_name),
	    cmocka_unit_test(sizes_that_lie_are_refused),
	    cmocka_unit_test(broken_json_is_refused),
	    cmocka_unit_test(tensors_must_be_the_configurations),
	    cmocka_unit_test(data_without_alignment_is_copied),
	    cmocka_unit_test(many_files_are_one_table),
	    cmocka_unit_test(shard_names_never_leave_the_directory),
	    cmocka_unit_test(symlinks_are_refused_wherever_they_lead),
	    cmocka_unit_test(indexes_that_lie_are_refused),
	    cmocka_unit_test(ends_and_templates_have_an_order),
	    cmocka_unit_test(integers_of_any_length_are_numbers),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(flipped_bits_are_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
