/* test_hf_dir.c - promises of the reader of Hugging Face directories: configurations of transformers 4 and 5 become the
 * same keys, and tensors come under GGUF's names. */
#include "hf_dir_kit.h"

#include <math.h>

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
	sn_error err;
	f = opened();
	assert_int_equal(model_file_check(f, &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "lm_head.weight differs from the embedding"));
	check_text(&err, MINI);
	model_file_close(&f);
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
	assert_true(f->twin.bytes > 0);
	assert_int_equal(model_file_check(f, &err), SN_OK);
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

static void llama3_scaling_is_read_from_either_layout(void **state)
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
		str type;
		assert_true(file_str(f, "llama.rope.scaling.type", &type) && str_eq(type, STR("llama3")));
		has_f32(f, "llama.rope.scaling.factor", 8);
		has_f32(f, "llama.rope.scaling.low_freq_factor", 1);
		has_f32(f, "llama.rope.scaling.high_freq_factor", 4);
		has_u32(f, "llama.rope.scaling.original_context_length", 64);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_llama_comes_under_ggufs_names),
	    cmocka_unit_test(biases_and_norms_go_with_their_family),
	    cmocka_unit_test(a_tied_head_is_one_tensor),
	    cmocka_unit_test(both_layouts_of_rope_are_one),
	    cmocka_unit_test(llama3_scaling_is_read_from_either_layout),
	    cmocka_unit_test(windows_come_from_either_layout),
	    cmocka_unit_test(data_without_alignment_is_copied),
	    cmocka_unit_test(ends_and_templates_have_an_order),
	    cmocka_unit_test(integers_of_any_length_are_numbers),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
