/* test_hf_speech.c - what directories of models that speak have beside their talker: the codec's folder, whose tensors are folded as GGUF
 * files have them, and a tokenizer in three files. */
#include "talker_kit.h"

#include "formats/hf_tokenizer.h"
#include "formats/model_file.h"

/* ---- the codec's folder ---- */

typedef struct written {
	const char *name;
	uint32_t rank, shape[3];
} written;

#define BOOK(group) {"decoder.quantizer." group ".vq.layers.0._codebook.embedding_sum", 2, {3, 2}}, {"decoder.quantizer." group ".vq.layers.0._codebook.cluster_usage", 1, {3}}, \
                    {"decoder.quantizer." group ".output_proj.weight", 3, {4, 2, 1}}, {"decoder.quantizer." group ".input_proj.weight", 3, {2, 4, 1}}
#define BOTH(name) {name ".weight", 2, {2, 2}}, {name ".bias", 1, {2}}
#define SNAKE(name) {name ".alpha", 1, {2}}, {name ".beta", 1, {2}}
#define UNIT(name) SNAKE(name ".act1"), BOTH(name ".conv1.conv"), SNAKE(name ".act2"), BOTH(name ".conv2.conv")
#define LAYER "decoder.pre_transformer.layers.0."

static const written CODEC[] = {
    BOOK("rvq_first"), BOOK("rvq_rest"), BOTH("decoder.pre_conv.conv"), BOTH("decoder.pre_transformer.input_proj"), BOTH("decoder.pre_transformer.output_proj"),
    {"decoder.pre_transformer.norm.weight", 1, {2}}, {LAYER "input_layernorm.weight", 1, {2}}, {LAYER "self_attn.q_proj.weight", 2, {2, 2}},
    {LAYER "self_attn.k_proj.weight", 2, {2, 2}}, {LAYER "self_attn.v_proj.weight", 2, {2, 2}}, {LAYER "self_attn.o_proj.weight", 2, {2, 2}},
    {LAYER "self_attn_layer_scale.scale", 1, {2}}, {LAYER "post_attention_layernorm.weight", 1, {2}}, {LAYER "mlp.gate_proj.weight", 2, {2, 2}},
    {LAYER "mlp.up_proj.weight", 2, {2, 2}}, {LAYER "mlp.down_proj.weight", 2, {2, 2}}, {LAYER "mlp_layer_scale.scale", 1, {2}}, BOTH("decoder.upsample.0.0.conv"),
    {"decoder.upsample.0.1.dwconv.conv.weight", 3, {2, 1, 7}}, {"decoder.upsample.0.1.dwconv.conv.bias", 1, {2}}, BOTH("decoder.upsample.0.1.norm"),
    BOTH("decoder.upsample.0.1.pwconv1"), BOTH("decoder.upsample.0.1.pwconv2"), {"decoder.upsample.0.1.gamma", 1, {2}}, BOTH("decoder.decoder.0.conv"),
    SNAKE("decoder.decoder.1.block.0"), BOTH("decoder.decoder.1.block.1.conv"), UNIT("decoder.decoder.1.block.2"), UNIT("decoder.decoder.1.block.3"),
    UNIT("decoder.decoder.1.block.4"), SNAKE("decoder.decoder.2"), BOTH("decoder.decoder.3.conv"), {"encoder.whatever", 1, {2}}};
enum { N_TENSORS = sizeof CODEC / sizeof *CODEC };

/* Value i of each tensor is i / 4, and of the first usage 0: as in a codebook whose first code was never the closest. */
static float value_of(const written *w, uint32_t i)
{
	bool unused = strstr(w->name, "rvq_first") && strstr(w->name, "cluster_usage") && i == 0;
	return unused ? 0 : (float)(i + 1) / 4;
}

static void write_codec(const char *without, const char *dtype)
{
	bytes header = {0}, data = {0}, all = {0};
	char text[512];
	put(&header, "{", 1);
	for (size_t i = 0; i < N_TENSORS; i++) {
		const written *w = &CODEC[i];
		size_t begin = data.n, n = 1;
		char shape[64] = "";
		if (without && strcmp(w->name, without) == 0)
			continue;
		for (uint32_t d = 0; d < w->rank; d++) {
			n *= w->shape[d];
			snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%u", d ? "," : "", w->shape[d]);
		}
		for (uint32_t k = 0; k < n; k++) {
			float v = value_of(w, k);
			if (strcmp(dtype, "BF16") == 0)
				put(&data, (const uint8_t *)&v + 2, 2);
			else if (strcmp(dtype, "F16") == 0)
				put(&data, &(uint16_t){0x3C00}, 2);
			else
				put(&data, &v, 4);
		}
		put(&header, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", header.n > 1 ? "," : "", w->name,
		                                    dtype, shape, begin, data.n));
	}
	put(&header, "}", 1);
	while (header.n % 8)
		put(&header, " ", 1);
	put64(&all, header.n);
	put(&all, header.p, header.n);
	put(&all, data.p, data.n);
	mkdir(scratch_path("talker/speech_tokenizer"), 0700);
	scratch_write("talker/speech_tokenizer/model.safetensors", all.p, all.n);
	free(header.p);
	free(data.p);
	free(all.p);
}

static void write_codec_config(const char *type, const char *members)
{
	char text[512];
	snprintf(text, sizeof text, "{\"model_type\":\"%s\",\"output_sample_rate\":24000,\"decoder_config\":{\"num_hidden_layers\":1,\"num_quantizers\":2,\"sliding_window\":9,"
	         "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"upsampling_ratios\":[2],\"upsample_rates\":[3]%s}}", type, members);
	write_text("speech_tokenizer/config.json", text);
}

static void write_all(void)
{
	make_tensors();
	write_talker();
	free_tensors();
	write_codec(NULL, "F32");
	write_codec_config("qwen3_tts_tokenizer_12hz", "");
}

static void tensors_are_folded_as_gguf_files_have_them(void **state)
{
	(void)state;
	static const char *const dtypes[] = {"F32", "BF16"}; /* these values are the same in both */
	write_all();
	for (int t = 0; t < 2; t++) {
		model_file *f;
		sn_error err;
		uint32_t window = 0;
		write_codec(NULL, dtypes[t]);
		if (model_file_open(&f, scratch_path("talker"), &err) != SN_OK)
			fail_msg("%s", err.text);
		const file_tensor *book = file_tensor_find(f, "a.gen.wav.quant.first.codebook.weight"), *rest = file_tensor_find(f, "a.gen.wav.quant.rest.codebook.weight");
		const file_tensor *alpha = file_tensor_find(f, "a.gen.wav.dac.blk.0.res.2.act1.alpha"), *beta = file_tensor_find(f, "a.gen.wav.dac.post_snake.beta");
		assert_true(book && rest && alpha && beta && book->type == 0 && book->ne[0] == 2 && book->ne[1] == 3);
		for (uint32_t i = 0; i < 6; i++) {
			float usage = i / 2 ? (float)(i / 2 + 1) / 4 : 1e-5f, sum = (float)(i + 1) / 4;
			assert_true(((const float *)(const void *)book->data)[i] == sum / usage);
			assert_true(((const float *)(const void *)rest->data)[i] == sum / ((float)(i / 2 + 1) / 4));
		}
		for (uint32_t i = 0; i < 2; i++) {
			float e = expf((float)(i + 1) / 4);
			assert_true(fabsf(((const float *)(const void *)alpha->data)[i] - e) < 1e-6f);
			assert_true(fabsf(((const float *)(const void *)beta->data)[i] - 1 / e) < 1e-6f);
		}
		assert_non_null(file_tensor_find(f, "a.gen.wav.up.blk.0.gamma"));
		assert_non_null(file_tensor_find(f, "a.gen.wav.tfm.blk.0.ls2.weight"));
		assert_null(file_tensor_find(f, "encoder.whatever"));
		assert_true(file_u32(f, "clip.gen.audio.wav.attention.sliding_window", &window) && window == 9);
		model_file_close(&f);
	}
}

static void opening_is_refused(sn_status want, const char *what)
{
	model_file *f;
	sn_error err;
	sn_status st = model_file_open(&f, scratch_path("talker"), &err);
	if (st != want || !strstr(err.text, what))
		fail_msg("%s: %d, \"%s\"", what, st, st ? err.text : "");
}

static void folders_that_are_not_right_are_refused_by_name(void **state)
{
	(void)state;
	write_all();
	for (size_t i = 0; i < N_TENSORS; i++) {
		if (strstr(CODEC[i].name, "input_proj.weight") == CODEC[i].name + strlen(CODEC[i].name) - 17 && strstr(CODEC[i].name, "quantizer"))
			continue; /* nobody reads it */
		if (strcmp(CODEC[i].name, "encoder.whatever") == 0)
			continue;
		write_codec(CODEC[i].name, "F32");
		opening_is_refused(SN_ERR_INVALID, CODEC[i].name);
	}
	write_codec(NULL, "F16");
	opening_is_refused(SN_ERR_UNSUPPORTED, "dtype F16");
	write_codec(NULL, "F32");
	static const struct { const char *type, *members; sn_status st; const char *what; } cases[] = {
	    {"qwen3_tts_tokenizer_25hz", "", SN_ERR_UNSUPPORTED, "qwen3_tts_tokenizer_25hz"},
	    {"qwen3_tts_tokenizer_12hz", ",\"attention_bias\":true", SN_ERR_UNSUPPORTED, "attention_bias"},
	    {"qwen3_tts_tokenizer_12hz", ",\"hidden_act\":\"gelu\"", SN_ERR_UNSUPPORTED, "hidden_act"},
	    {"qwen3_tts_tokenizer_12hz", ",\"rms_norm_eps\":0", SN_ERR_INVALID, "rms_norm_eps"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_codec_config(cases[i].type, cases[i].members);
		opening_is_refused(cases[i].st, cases[i].what);
	}
}

/* ---- a tokenizer in three files ---- */

static const char VOCAB[] = "{\"a\":0,\"b\":1,\"c\":2,\"\xC4\xA0\":3,\"ab\":4,\"\xC4\xA0" "ab\":5,\"abc\":6,\"1\":7}";
static const char MERGES[] = "#version: 0.2\r\na b\r\n\n \xC4\xA0 ab \nab c";
static const char TOKENS[] = "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"add_bos_token\":false,\"eos_token\":\"<end>\",\"added_tokens_decoder\":{"
                             "\"8\":{\"content\":\"<end>\",\"special\":true,\"normalized\":false},\"9\":{\"content\":\"<so>\",\"special\":false,\"normalized\":false}}}";

static sn_status read_three(const char *vocab_text, const char *merges, const char *tokens, arena *mem, vocab_config *c, sn_error *err)
{
	const struct { const char *name, *text; } files[] = {{"three/vocab.json", vocab_text}, {"three/merges.txt", merges}, {"three/tokenizer_config.json", tokens}};
	mkdir(scratch_path("three"), 0700);
	for (int i = 0; i < 3; i++)
		scratch_write(files[i].name, files[i].text, strlen(files[i].text));
	return hf_tokenizer_read(c, mem, scratch_path("three"), err);
}

static void three_files_are_one_tokenizer(void **state)
{
	(void)state;
	vocab_config c;
	sn_error err;
	arena *mem = arena_open(0);
	if (read_three(VOCAB, MERGES, TOKENS, mem, &c, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_true(c.n_tokens == 10 && c.n_merges == 3 && c.nfc && c.eos == 8 && !c.add_bos);
	assert_string_equal(c.pre, "qwen2");
	assert_true(c.types[8] == TOKEN_CONTROL && c.types[9] == TOKEN_USER_DEFINED && str_eq(c.tokens[9], STR("<so>")));
	assert_true(c.merge_ids[0].left == 0 && c.merge_ids[0].right == 1 && c.merge_ids[0].joined == 4 && c.merge_ids[1].joined == 5 && c.merge_ids[2].joined == 6);
	arena_close(&mem);
}

static void what_three_files_cannot_be_is_refused_by_name(void **state)
{
	(void)state;
	const struct { const char *vocab_text, *merges, *tokens; sn_status st; const char *what; } cases[] = {
	    {VOCAB, MERGES, "{\"tokenizer_class\":\"GPT2Tokenizer\"}", SN_ERR_UNSUPPORTED, "tokenizer_class GPT2Tokenizer"},
	    {VOCAB, MERGES, "{\"tokenizer_class\":\"Qwen2Tokenizer\"}", SN_ERR_UNSUPPORTED, "added_tokens_decoder"},
	    {VOCAB, MERGES, "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"added_tokens_decoder\":{\"x\":{\"content\":\"<end>\"}}}", SN_ERR_INVALID, "added_tokens_decoder"},
	    {VOCAB, "a b\n\xFF\xFE c", TOKENS, SN_ERR_INVALID, "line 2 is not UTF-8"},
	    {VOCAB, "a b\na z", TOKENS, SN_ERR_INVALID, "merge 1 names a token"},
	    {VOCAB, "a b c", TOKENS, SN_ERR_INVALID, "merge 0 is not a pair"},
	    {"{\"a\":0,\"b\":2}", "", TOKENS, SN_ERR_INVALID, "ids"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		vocab_config c;
		sn_error err = {0};
		arena *mem = arena_open(0);
		sn_status st = read_three(cases[i].vocab_text, cases[i].merges, cases[i].tokens, mem, &c, &err);
		if (st != cases[i].st || !strstr(err.text, cases[i].what))
			fail_msg("%zu: %d, \"%s\"", i, st, err.text);
		arena_close(&mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tensors_are_folded_as_gguf_files_have_them),
	    cmocka_unit_test(folders_that_are_not_right_are_refused_by_name),
	    cmocka_unit_test(three_files_are_one_tokenizer),
	    cmocka_unit_test(what_three_files_cannot_be_is_refused_by_name),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
