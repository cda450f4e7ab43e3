/* test_qwen3_tts.c - the codec decoder of Qwen3-TTS against its own code, and files that are not right. */
#include "synth_case.h"

static const synth_case CODEC = {"qwen3-tts", 24, 4, 3, {1, 3, 30}};

/* A file of keys alone: what is wrong with them is said before any tensor is asked for. */
static const char *keys_alone(const char *odd, uint32_t value)
{
	static const struct { const char *key; uint32_t value; } numbers[] = {
	    {"sampling_rate", 24000}, {"num_quantizers", 4}, {"codebook_size", 32}, {"codebook_dim", 12}, {"latent_dim", 16}, {"embedding_length", 20},
	    {"feed_forward_length", 28}, {"attention.head_count", 2}, {"attention.key_length", 10}, {"attention.sliding_window", 7}, {"block_count", 2},
	    {"decoder_dim", 24}};
	char key[96];
	gguf g = gguf_new();
	key_str(&g, "general.architecture", "qwen3-tts-codec");
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		snprintf(key, sizeof key, "qwen3-tts-codec.%s", numbers[i].key);
		if (strcmp(odd, numbers[i].key) != 0 || value)
			key_u32(&g, key, strcmp(odd, numbers[i].key) == 0 ? value : numbers[i].value);
	}
	if (strcmp(odd, "rope.freq_base") != 0 || value)
		key_f32(&g, "qwen3-tts-codec.rope.freq_base", 100);
	key_f32(&g, "qwen3-tts-codec.attention.layer_norm_rms_epsilon", strcmp(odd, "attention.layer_norm_rms_epsilon") == 0 ? -1.0f : 1e-5f);
	key_array(&g, "qwen3-tts-codec.upsampling_ratios", FILE_U32, 2);
	put(&g.keys, ((uint32_t[]){strcmp(odd, "upsampling_ratios[0]") == 0 ? value : 2, 2}), 8);
	key_array(&g, "qwen3-tts-codec.upsample_rates", FILE_U32, 2);
	put(&g.keys, ((uint32_t[]){3, strcmp(odd, "upsample_rates[1]") == 0 ? value : 2}), 8);
	bytes f = gguf_bytes(&g);
	scratch_write("keys.gguf", f.p, f.n);
	free(f.p);
	return scratch_path("keys.gguf");
}

static void wrong_files_are_refused_by_name(void **state)
{
	(void)state;
	const struct { const char *name; uint32_t value; } cases[] = {
	    {"sampling_rate", 0}, {"num_quantizers", 1}, {"num_quantizers", 33}, {"codebook_size", 1u << 31}, {"codebook_dim", 13}, {"latent_dim", 0},
	    {"embedding_length", 100000}, {"feed_forward_length", 0}, {"attention.head_count", 0}, {"attention.key_length", 11},
	    {"attention.sliding_window", 1u << 20}, {"block_count", 33}, {"decoder_dim", 26}, {"rope.freq_base", 0},
	    {"attention.layer_norm_rms_epsilon", 1}, {"upsampling_ratios[0]", 0}, {"upsample_rates[1]", 17}, {"tensor q.0.codebook.weight", 1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		served s;
		synth_fault.text[0] = 0;
		sn_rc rc = serve(&s, &CODEC, keys_alone(cases[i].name, cases[i].value), 1, 0);
		if (rc != SN_RC_INVALID || !strstr(synth_fault.text, cases[i].name))
			fail_msg("%s = %u: %d, \"%s\"", cases[i].name, cases[i].value, rc, synth_fault.text);
		dismiss(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(its_sound_is_the_references, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(chunks_and_units_change_no_sample, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(company_changes_no_sample, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(jobs_that_cannot_be_are_refused, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test(wrong_files_are_refused_by_name),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
