/* test_hf_dir_refused.c - what the reader of Hugging Face directories refuses by name: what is not computed, sizes that lie, broken JSON,
 * tensors that are not the configuration's. */
#include "hf_dir_kit.h"

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
	    {"\"partial_rotary_factor\":0.5", "partial_rotary_factor is not supported"},
	    {"\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":0.25}", "rope_parameters.partial_rotary_factor is not supported"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\"}", "rope_scaling.factor is missing"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"truncate\":1}", "rope_scaling.truncate is not supported"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"extrapolation_factor\":0.5}", "extrapolation_factor is not supported"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":9.5}", "9.5 is not an integer"},
	    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"beta_fast\":0}", "beta_fast is not a number above 0"},
	    {"\"rope_scaling\":{\"type\":\"dynamic\"}", "rope_scaling.factor is missing"},
	    {"\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0,\"beta_fast\":32}", "rope_scaling.beta_fast is not supported"},
	    {"\"rope_scaling\":{\"type\":\"su\",\"factor\":4.0}", "rope_scaling.rope_type: su is not supported"},
	    {"\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,1]}", "rope_scaling.rope_type: mrope"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\"}", "rope_parameters.short_factor is missing"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1]}", "rope_parameters.long_factor is missing"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1,0]}", "long_factor: value 1 is not a number above 0"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1,1,1]}", "long_factor: 3 numbers, expected 2"},
	    {"\"rope_parameters\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":7}", "long_factor is not a list of numbers"},
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
	    {"Gemma3nForConditionalGeneration", "gemma3", "", "architectures: Gemma3nForConditionalGeneration is not supported"},
	    {"LlamaForCausalLM", "qwen2", "", "model_type: qwen2 does not go with LlamaForCausalLM"},
	    {"MistralForCausalLM", "mistral", "\"sliding_window\":0", "sliding_window: 0 is not an integer"},
	    {"SmolLM3ForCausalLM", "smollm3", "\"use_sliding_window\":true", "use_sliding_window is not supported"},
	    {"SmolLM3ForCausalLM", "smollm3", "\"no_rope_layers\":[1]", "no_rope_layers is not a list of 2 numbers"},
	    {"SmolLM3ForCausalLM", "smollm3", "\"no_rope_layers\":[1,\"x\"]", "no_rope_layers: number 1 is none"},
	    {"SmolLM3ForCausalLM", "smollm3", "\"no_rope_layer_interval\":0", "no_rope_layer_interval: 0 is not"},
	    {"Phi3ForCausalLM", "phi3", "\"partial_rotary_factor\":1.5", "partial_rotary_factor is above 1"},
	    {"Phi3ForCausalLM", "phi3", "\"partial_rotary_factor\":0.3", "partial_rotary_factor: 1 of a head's 4 channels"},
	    {"Phi3ForCausalLM", "phi3", "\"sliding_window\":-1", "sliding_window: -1 is not an integer"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"use_sliding_window\":1", "use_sliding_window is neither true nor false"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"num_experts\":4,\"num_experts_per_tok\":5", "num_experts_per_tok: 5 is not an integer from 1 to 4"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"num_experts\":0", "num_experts: 0 is not"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"mlp_only_layers\":3", "mlp_only_layers is not a list"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"mlp_only_layers\":[\"0\"]", "mlp_only_layers: value 0 is not a layer"},
	    {"Qwen3MoeForCausalLM", "qwen3_moe", "\"num_experts\":4,\"num_experts_per_tok\":2,\"norm_topk_prob\":1", "norm_topk_prob is neither true nor false"},
	    {"Qwen2ForCausalLM", "qwen2", "\"use_sliding_window\":1", "use_sliding_window is neither true nor false"},
	    {"Qwen2ForCausalLM", "qwen2", "\"use_sliding_window\":true,\"max_window_layers\":-1", "max_window_layers is not an integer from 0 on"},
	    {"Qwen2ForCausalLM", "qwen2", "\"layer_types\":[\"sliding_attention\",\"full_attention\"]", "use_sliding_window is off, but layers slide"},
	    {"Qwen2ForCausalLM", "qwen2", "\"use_sliding_window\":true,\"layer_types\":[\"full_attention\"]", "layer_types is not a list of 2 names"},
	    {"Qwen2ForCausalLM", "qwen2", "\"use_sliding_window\":true,\"sliding_window\":0", "sliding_window: 0 is not an integer"},
	    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "\"text_config\":{\"model_type\":\"qwen2\"}", "text_config is not a qwen2_vl_text"},
	    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,1]}", "mrope_section is not a list of three"},
	    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,-1,2]}", "mrope_section is not a list of three"},
	    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,1,1],\"mrope_interleaved\":true}",
	     "mrope_interleaved is not supported"},
	    {"Qwen3ForCausalLM", "qwen3", "\"rope_scaling\":{\"rope_type\":\"default\",\"mrope_section\":[1,1,1]}", "rope_scaling.mrope_section is not supported"},
	    {"Qwen3ForCausalLM", "qwen3", "\"use_sliding_window\":1", "use_sliding_window is neither true nor false"},
	    {"Qwen3ForCausalLM", "qwen3", "\"attention_bias\":true", "attention_bias is not supported"},
	    {"Gemma3ForCausalLM", "gemma3_text", "\"partial_rotary_factor\":0.5", "partial_rotary_factor is not supported"},
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
	write_config("MistralForCausalLM", "mistral", "\"sliding_window\":32");
	f = opened();
	model_file_close(&f);
	write_config("MistralForCausalLM", "mistral", ""); /* the class's 4096 is more than the context */
	f = opened();
	model_file_close(&f);
}

#define F8(format, bits, strategy, more) \
	"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"" format "\",\"config_groups\":{\"group_0\":{\"weights\":{" \
	"\"num_bits\":" bits ",\"type\":\"float\",\"strategy\":\"" strategy "\"" more "}}}}"

/* Of compressed-tensors' many ways one is read. */
static void eight_bit_floats_need_their_scales(void **state)
{
	(void)state;
	static const struct { const char *rest, *says; } cases[] = {
	    {F8("pack-quantized", "8", "channel", ""), "compressed-tensors' format pack-quantized is not supported (float-quantized is)"},
	    {F8("float-quantized", "4", "channel", ""), "weights that are not floats of 8 bits"},
	    {F8("float-quantized", "8", "block", ""), "block_structure: expected outputs and inputs"},
	    {F8("float-quantized", "8", "block", ",\"block_structure\":[128]"), "block_structure: expected outputs and inputs"},
	    {F8("float-quantized", "8", "block", ",\"block_structure\":[128,0]"), "block_structure: expected outputs and inputs"},
	    {F8("float-quantized", "8", "block", ",\"block_structure\":\"128x128x128\""), "block_structure: expected outputs and inputs"},
	    {F8("float-quantized", "8", "channel", ",\"block_structure\":[128,128]"), "weights.block_structure without the strategy block"},
	    {F8("float-quantized", "8", "group", ",\"group_size\":128"), "weights.strategy: group"},
	    {F8("float-quantized", "8", "channel", ",\"group_size\":128"), "weights.group_size is not supported"},
	    {F8("float-quantized", "8", "channel", ",\"dynamic\":true"), "weights.dynamic is not supported"},
	    {F8("float-quantized", "8", "channel", "},\"output_activations\":{\"num_bits\":8"), "output_activations are not supported"},
	    {F8("float-quantized", "8", "channel", "}}},\"kv_cache_scheme\":{\"num_bits\":8},\"x\":{\"x\":{\"x\":{"), "kv_cache_scheme is not supported"},
	    {F8("float-quantized", "8", "channel", "}}},\"sparsity_config\":{\"format\":\"dense\"},\"x\":{\"x\":{\"x\":{"), "sparsity_config is not supported"},
	    {F8("float-quantized", "8", "channel", "}}},\"quantization_status\":\"frozen\",\"x\":{\"x\":{\"x\":{"), "quantization_status: only compressed"},
	    {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}", "config_groups is missing"},
	    {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\"}", "format unnamed is not supported"},
	    {"\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e5m2\"}", "fmt: only e4m3 is supported"},
	    {"\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[128,1048577]}", "weight_block_size: expected outputs and inputs"},
	    {"\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4}", "quantised weights (awq) are not supported"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh_llama(cases[i].rest);
		refused(cases[i].says);
	}
	write_config("WhisperForConditionalGeneration", "whisper", F8("float-quantized", "8", "channel", ""));
	refused("quantization_config: quantised weights (compressed-tensors) are not supported in models that hear or speak");
	write_config("Qwen3TTSForConditionalGeneration", "qwen3_tts", "\"talker_config\":{}," F8("float-quantized", "8", "channel", ""));
	refused("quantization_config: quantised weights (compressed-tensors) are not supported in models that hear or speak");
	static const char name[] = "model.layers.0.self_attn.q_proj.weight";
	static const char config[] = F8("float-quantized", "8", "channel", "");
	weights w = weights_of(HEAD);
	fresh_llama("");
	for (size_t i = 0; i < w.n; i++)
		if (!strcmp(w.e[i].name, name))
			w.e[i].dtype = "F8_E4M3";
	write_weights(&w);
	refused("tensor model.layers.0.self_attn.q_proj.weight: dtype F8_E4M3 is not supported");
	write_llama(config);
	refused("tensor model.layers.0.self_attn.q_proj.weight_scale is missing");
	add(&w, "model.layers.0.self_attn.q_proj.weight_scale", 2 * HEAD_DIM, 1);
	add(&w, "model.layers.0.self_attn.q_proj.input_scale", 1, 0);
	write_weights(&w);
	model_file *f = opened();
	assert_int_equal(file_tensor_find(f, "blk.0.attn_q.weight")->type, STORAGE_F8_E4M3);
	has_tensor(f, "blk.0.attn_q.scale", "model.layers.0.self_attn.q_proj.weight_scale", 1, 2 * HEAD_DIM);
	model_file_close(&f);
	add(&w, "model.layers.0.self_attn.k_proj.input_scale", 1, 0); /* of a weight that has no scale */
	write_weights(&w);
	refused("tensor model.layers.0.self_attn.k_proj.input_scale has no place");
	w.n--;
	w.e[0].dtype = "F8_E4M3";
	write_weights(&w);
	refused("tensor model.embed_tokens.weight: dtype F8_E4M3 is not supported");
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

#define MODULE(kind, path) "{\"type\":\"sentence_transformers.models." kind "\",\"path\":\"" path "\"}"
#define THREE "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE("Normalize", "2_Normalize") "]"
#define LAST "{\"pooling_mode_lasttoken\":true}"

/* What a directory of sentence-transformers does with a text's rows is computed, or refused. */
static void embedding_models_say_how(void **state)
{
	(void)state;
	static const struct { const char *modules, *pooling, *config, *says; uint32_t type; bool plain; } cases[] = {
	    {THREE, LAST, "", NULL, 3, false},
	    {"[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "]", "{\"pooling_mode\":\"mean\"}", "", NULL, 1, true},
	    {THREE, "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", "", NULL, 2, false},
	    {THREE, "{\"pooling_mode_max_tokens\":true}", "", "max is not supported", 0, false},
	    {THREE, "{\"pooling_mode_weightedmean_tokens\":true}", "", "weightedmean is not supported", 0, false},
	    {THREE, "{\"pooling_mode_cls_token\":true,\"pooling_mode_lasttoken\":true}", "", "cls with lasttoken is not supported", 0, false},
	    {THREE, "{\"pooling_mode\":\"nothing\"}", "", "no pooling that is known", 0, false},
	    {THREE, "{\"pooling_mode_lasttoken\":true,\"include_prompt\":false}", "", "include_prompt false is not supported", 0, false},
	    {THREE, LAST, "\"matryoshka_dimensions\":[]", "matryoshka_dimensions is not a list of 1 to 64", 0, false},
	    {THREE, LAST, "\"matryoshka_dimensions\":[4,\"8\"]", "matryoshka_dimensions: number 1 is none", 0, false},
	    {"[" MODULE("Transformer", "") "]", LAST, "", "1 modules are not supported", 0, false},
	    {"[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE("Dense", "2_Dense") "]", LAST, "", "Dense as module 2 is not supported", 0, false},
	    {"[" MODULE("Transformer", "") "," MODULE("Pooling", "..") "]", LAST, "", "path is not a folder of this directory", 0, false},
	    {"{}", LAST, "", "0 modules are not supported", 0, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh_llama(cases[i].config);
		assert_int_equal(mkdir(scratch_path(MINI "/1_Pooling"), 0700), 0);
		write_file("modules.json", cases[i].modules);
		write_file("1_Pooling/config.json", cases[i].pooling);
		if (cases[i].says) {
			refused(cases[i].says);
			continue;
		}
		model_file *f = opened();
		uint32_t type = 0;
		bool plain = !cases[i].plain;
		assert_true(file_u32(f, "llama.pooling_type", &type) && type == cases[i].type);
		assert_true(file_bool(f, "llama.pooling_plain", &plain) && plain == cases[i].plain);
		model_file_close(&f);
	}
	fresh_llama("");
	write_file("modules.json", THREE);
	refused("config.json");
	assert_int_equal(mkdir(scratch_path(MINI "/1_Pooling"), 0700), 0);
	write_file("1_Pooling/config.json", LAST);
	write_file("config_sentence_transformers.json", "{\"default_prompt_name\":\"query\"}");
	refused("default_prompt_name is not supported");
}

/* A class without a head needs none, nor the prefix of those that have one; a class with a head misses it. */
static void only_models_that_embed_do_without_a_head(void **state)
{
	(void)state;
	weights w = weights_of(0);
	fresh_llama("");
	write_weights(&w);
	refused("tensor lm_head.weight is missing");
	write_config("LlamaModel", "llama", "");
	model_file *f = opened();
	assert_null(file_tensor_find(f, "output.weight"));
	model_file_close(&f);
	for (size_t i = 0; i < w.n; i++)
		memmove(w.e[i].name, w.e[i].name + strlen("model."), strlen(w.e[i].name) - strlen("model.") + 1);
	write_weights(&w);
	f = opened();
	assert_non_null(file_tensor_find(f, "blk.1.ffn_down.weight"));
	model_file_close(&f);
	write_llama("");
	refused("tensor model.embed_tokens.weight is missing");
	write_config("LlamaModels", "llama", "");
	refused("architectures: LlamaModels is not supported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_computed_is_refused_by_name),
	    cmocka_unit_test(eight_bit_floats_need_their_scales),
	    cmocka_unit_test(sizes_that_lie_are_refused),
	    cmocka_unit_test(broken_json_is_refused),
	    cmocka_unit_test(tensors_must_be_the_configurations),
	    cmocka_unit_test(embedding_models_say_how),
	    cmocka_unit_test(only_models_that_embed_do_without_a_head),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
