/* test_vocos_file.c - what vocos tells the host of its file, and files that it refuses by name (its sound: test_vocos.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"
#include "golden.h"

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

enum { CODES = 37, CODE_WIDTH = 12, WIDTH = 32, FF = 48, BLOCKS = 3, KERNEL = 5, FFT = 48, HOP = 12, MAX_FRAMES = 61 };
enum { MAX_KEYS = 32 };

static const char *const VOICES[] = {"reed", "bell-2", "x_3"}, *const PROMPTS[] = {"reed: ", "", "x: "}, *const LANGUAGES[] = {"en-US", "", "de"};
static const char *const KINDS[] = {"trusted", "voice", "text", "plain", "trusted"}, *const TEXTS[] = {"<|a|>", "", "", ".", "<|b|>"};
static const char *const END_TOKENS[] = {"<|end|>", "<|eos|>"};

/* A plugin with a model loaded. */
typedef struct loaded {
	fake_host host;
	fake_key keys[MAX_KEYS];
	sn_model model;
	const sn_plugin *plugin;
	const sn_ext_speak *speak;
	const sn_ext_synth *synth;
	void *instance;
	sn_fault fault;
	sn_rc rc; /* of load */
} loaded;

static void make_keys(loaded *l)
{
	const fake_key all[] = {
	    {.name = "general.architecture", .type = FAKE_STR, .text = "vocos"},
	    {.name = "vocos.sample_rate", .number = 16000},
	    {.name = "vocos.vocab_size", .number = CODES},
	    {.name = "vocos.features_length", .number = CODE_WIDTH},
	    {.name = "vocos.embedding_length", .number = WIDTH},
	    {.name = "vocos.feed_forward_length", .number = FF},
	    {.name = "vocos.block_count", .number = BLOCKS},
	    {.name = "vocos.kernel_length", .number = KERNEL},
	    {.name = "vocos.fft_length", .number = FFT},
	    {.name = "vocos.hop_length", .number = HOP},
	    {.name = "vocos.causal", .type = FAKE_BOOL, .number = 1},
	    {.name = "vocos.layer_norm_epsilon", .type = FAKE_F32, .number = 1e-6},
	    {.name = "vocos.max_magnitude", .type = FAKE_F32, .number = 2},
	    {.name = "speak.voices", .type = FAKE_STRS, .strings = VOICES, .n = 3},
	    {.name = "speak.voice_prompts", .type = FAKE_STRS, .strings = PROMPTS, .n = 3},
	    {.name = "speak.languages", .type = FAKE_STRS, .strings = LANGUAGES, .n = 3},
	    {.name = "speak.prompt_kinds", .type = FAKE_STRS, .strings = KINDS, .n = 5},
	    {.name = "speak.prompt_texts", .type = FAKE_STRS, .strings = TEXTS, .n = 5},
	    {.name = "speak.first_code", .type = FAKE_STR, .text = "<|code_0|>"},
	    {.name = "speak.end_tokens", .type = FAKE_STRS, .strings = END_TOKENS, .n = 2},
	    {.name = "speak.bos", .type = FAKE_BOOL, .number = 0},
	    {.name = "speak.lower_case", .type = FAKE_BOOL, .number = 1},
	    {.name = "speak.max_text", .number = 64},
	    {.name = "speak.max_frames", .number = MAX_FRAMES},
	    {.name = "speak.top_k", .number = 5},
	    {.name = "speak.temperature", .type = FAKE_F32, .number = 0.5},
	    {.name = "speak.top_p", .type = FAKE_F32, .number = 0.875},
	    {.name = "speak.repetition_penalty", .type = FAKE_F32, .number = 1},
	};
	memcpy(l->keys, all, sizeof all);
	l->model = (sn_model){.keys = l->keys, .n_keys = sizeof all / sizeof *all, .missing = l->model.missing};
	fake_host_init(&l->host);
}

static fake_key *key(loaded *l, const char *name)
{
	for (size_t i = 0; i < l->model.n_keys; i++)
		if (strcmp(l->keys[i].name, name) == 0)
			return &l->keys[i];
	fail_msg("no key %s", name);
	return NULL;
}

static void open_keys(loaded *l)
{
	l->plugin = fake_load_plugin("vocos.so")->plugins[0];
	l->speak = l->plugin->extension(SN_EXT_SPEAK);
	l->synth = l->plugin->extension(SN_EXT_SYNTH);
	l->instance = aligned_alloc(64, (l->plugin->instance_size + 63) / 64 * 64);
	memset(l->instance, 0, l->plugin->instance_size);
	l->fault = (sn_fault){.size = sizeof l->fault};
	assert_int_equal(l->plugin->init(l->instance, &l->host.host, &l->fault), SN_RC_OK);
	l->rc = l->plugin->load(l->instance, &l->model, &l->fault);
}

static void open_decoder(loaded *l)
{
	memset(l, 0, sizeof *l);
	make_keys(l);
	open_keys(l);
	if (l->rc != SN_RC_OK)
		fail_msg("load: %s", l->fault.text);
}

static void close_decoder(loaded *l)
{
	l->plugin->fini(l->instance);
	free(l->instance);
	assert_int_equal(l->host.held, 0);
	fake_host_fini(&l->host);
}

static void tells_the_host_what_its_file_says(void **state)
{
	(void)state;
	loaded l;
	open_decoder(&l);
	const sn_speaker *s = l.speak->describe(l.instance);
	assert_int_equal(s->n_voices, 3);
	assert_string_equal(s->voices[1].name, "bell-2");
	assert_string_equal(s->voices[2].prompt, "x: ");
	assert_string_equal(s->voices[0].language, "en-US");
	assert_int_equal(s->n_pieces, 5);
	static const uint32_t kinds[] = {SN_SPEAK_TRUSTED, SN_SPEAK_VOICE, SN_SPEAK_TEXT, SN_SPEAK_PLAIN, SN_SPEAK_TRUSTED};
	for (int i = 0; i < 5; i++) {
		assert_int_equal(s->prompt[i].what, kinds[i]);
		assert_true((s->prompt[i].text != NULL) == (TEXTS[i][0] != 0));
	}
	assert_string_equal(s->prompt[4].text, "<|b|>");
	assert_int_equal(s->n_slots, 1);
	assert_string_equal(s->slots[0].first_token, "<|code_0|>");
	assert_int_equal(s->slots[0].n, CODES);
	assert_int_equal(s->n_end_tokens, 2);
	assert_string_equal(s->end_tokens[1], "<|eos|>");
	assert_true(s->bos == 0 && s->lower_case == 1 && s->max_text == 64 && s->max_frames == MAX_FRAMES && s->top_k == 5);
	assert_true(s->temperature == 0.5f && s->top_p == 0.875f && s->repetition_penalty == 1);
	const sn_synth_info *i = l.synth->describe(l.instance);
	assert_true(i->rate == 16000 && i->n_codes == 1 && i->frame_samples == HOP && i->max_frames == MAX_FRAMES && !i->offline);
	assert_int_equal(i->delay_frames, 2); /* (48 - 12) / 2 samples */
	close_decoder(&l);
}

/* What is wrong, and what the fault must say. */
static void wrong_files_are_refused_by_name(void **state)
{
	(void)state;
	static const char *const bad_name[] = {"reed", "Bell", "x"}, *const twice[] = {"reed", "x", "reed"};
	static const char *const late[] = {"reed", "default", "x"}, *const wordy[] = {"", "a-language-tag-that-goes-on-and-on-and-on", ""}, *const no_text[] = {"trusted", "voice"};
	static const char *const odd_kind[] = {"trusted", "prompt", "text", "plain", "trusted"}, *const empty[] = {""};
	static const struct {
		const char *key;
		fake_key to;
		const char *says;
	} cases[] = {
	    {"general.architecture", {.type = FAKE_STR, .text = "snac"}, "general.architecture"},
	    {"vocos.sample_rate", {.number = 100}, "vocos.sample_rate = 100"},
	    {"vocos.vocab_size", {.number = 0}, "vocos.vocab_size = 0"},
	    {"vocos.features_length", {.type = FAKE_STR, .text = "12"}, "vocos.features_length is missing"},
	    {"vocos.embedding_length", {.number = 1e6}, "vocos.embedding_length = 1000000"},
	    {"vocos.block_count", {.number = 65}, "vocos.block_count = 65"},
	    {"vocos.kernel_length", {.number = 1}, "vocos.kernel_length = 1"},
	    {"vocos.fft_length", {.number = 50}, "vocos.fft_length = 50"},
	    {"vocos.hop_length", {.number = 48}, "vocos.fft_length = 48"},
	    {"vocos.causal", {.type = FAKE_BOOL, .number = 0}, "vocos.causal = false"},
	    {"vocos.causal", {.number = 1}, "vocos.causal is missing"},
	    {"vocos.layer_norm_epsilon", {.type = FAKE_F32, .number = 0}, "vocos.layer_norm_epsilon = 0"},
	    {"vocos.max_magnitude", {.type = FAKE_F32, .number = NAN}, "vocos.max_magnitude = nan"},
	    {"speak.voices", {.type = FAKE_STRS, .strings = bad_name, .n = 3}, "speak.voices[1]"},
	    {"speak.voices", {.type = FAKE_STRS, .strings = twice, .n = 3}, "speak.voices[2]"},
	    {"speak.voices", {.type = FAKE_STRS, .strings = late, .n = 3}, "speak.voices[1]"},
	    {"speak.languages", {.type = FAKE_STRS, .strings = wordy, .n = 3}, "speak.languages[1]"},
	    {"speak.voices", {.type = FAKE_STRS, .strings = VOICES, .n = 2}, "speak.voice_prompts"},
	    {"speak.voice_prompts", {.type = FAKE_STRS, .strings = PROMPTS, .n = 2}, "speak.voice_prompts"},
	    {"speak.languages", {.type = FAKE_STR, .text = "en"}, "speak.languages"},
	    {"speak.prompt_kinds", {.type = FAKE_STRS, .strings = no_text, .n = 2}, "speak.prompt_texts"},
	    {"speak.prompt_kinds", {.type = FAKE_STRS, .strings = odd_kind, .n = 5}, "speak.prompt_kinds[1]"},
	    {"speak.prompt_texts", {.type = FAKE_STRS, .strings = KINDS, .n = 5}, "speak.prompt_texts[1]"},
	    {"speak.first_code", {.type = FAKE_STR, .text = ""}, "speak.first_code"},
	    {"speak.end_tokens", {.type = FAKE_STRS, .strings = empty, .n = 1}, "speak.end_tokens[0]"},
	    {"speak.end_tokens", {.type = FAKE_STRS, .strings = END_TOKENS, .n = 0}, "speak.end_tokens is missing"},
	    {"speak.bos", {.number = 1}, "speak.bos is missing"},
	    {"speak.max_text", {.number = 15}, "speak.max_text = 15"},
	    {"speak.max_frames", {.number = 7}, "speak.max_frames = 7"},
	    {"speak.temperature", {.type = FAKE_F32, .number = -1}, "speak.temperature = -1"},
	    {"speak.top_p", {.type = FAKE_F32, .number = 1.5}, "speak.top_p = 1.5"},
	    {"speak.repetition_penalty", {.type = FAKE_F32, .number = 0}, "speak.repetition_penalty = 0"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		loaded l = {0};
		make_keys(&l);
		fake_key *k = key(&l, cases[i].key);
		const char *name = k->name;
		*k = cases[i].to;
		k->name = name;
		open_keys(&l);
		assert_true(l.rc == SN_RC_INVALID || l.rc == SN_RC_UNSUPPORTED);
		if (!strstr(l.fault.text, cases[i].says))
			fail_msg("\"%s\" does not say %s", l.fault.text, cases[i].says);
		close_decoder(&l);
	}
}

static void missing_keys_and_tensors_are_named(void **state)
{
	(void)state;
	static const char *const tensors[] = {"token_embd.weight", "conv1d.weight", "token_embd_norm.bias", "convnext.2.dw.weight",
	                                      "convnext.0.pw1.weight", "convnext.1.gamma.weight", "output_norm.weight", "output.weight"};
	loaded l = {0};
	make_keys(&l);
	size_t n = l.model.n_keys;
	fake_host_fini(&l.host);
	for (size_t i = 1; i < n; i++) {
		l = (loaded){0};
		make_keys(&l);
		const char *name = l.keys[i].name;
		l.keys[i].name = "-";
		open_keys(&l);
		assert_int_equal(l.rc, SN_RC_INVALID);
		if (!strstr(l.fault.text, name))
			fail_msg("\"%s\" does not name %s", l.fault.text, name);
		close_decoder(&l);
	}
	for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
		l = (loaded){.model.missing = tensors[i]};
		make_keys(&l);
		open_keys(&l);
		assert_int_equal(l.rc, SN_RC_INVALID);
		assert_non_null(strstr(l.fault.text, tensors[i]));
		close_decoder(&l);
	}
}

static void claims_its_own_files_only(void **state)
{
	(void)state;
	loaded l;
	open_decoder(&l);
	assert_int_equal(l.plugin->probe(&l.host.host, &l.model), 100);
	key(&l, "general.architecture")->text = "clip";
	assert_int_equal(l.plugin->probe(&l.host.host, &l.model), 0);
	key(&l, "general.architecture")->name = "-";
	assert_int_equal(l.plugin->probe(&l.host.host, &l.model), 0);
	close_decoder(&l);
}

static void memory_that_is_refused_is_said_and_given_back(void **state)
{
	(void)state;
	for (size_t i = 1; i <= 3; i++) {
		loaded l = {0};
		make_keys(&l);
		l.host.fail_alloc = i;
		open_keys(&l);
		assert_int_equal(l.rc, SN_RC_NOMEM);
		assert_int_equal(l.fault.blame, SN_BLAME_RESOURCE);
		close_decoder(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_the_host_what_its_file_says),
	    cmocka_unit_test(wrong_files_are_refused_by_name),
	    cmocka_unit_test(missing_keys_and_tensors_are_named),
	    cmocka_unit_test(claims_its_own_files_only),
	    cmocka_unit_test(memory_that_is_refused_is_said_and_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
