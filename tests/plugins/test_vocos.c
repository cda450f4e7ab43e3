/* test_vocos.c - promises of vocos: the training script's sound, whatever the chunks and whoever is in the job; the speaker's description;
 * bad files and bad jobs refused by name. */
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
#include "vocos.h"

/* As in tests/golden/vocos/make.py. */
enum { CODES = 37, CODE_WIDTH = 12, WIDTH = 32, FF = 48, BLOCKS = 3, KERNEL = 5, FFT = 48, HOP = 12, MAX_FRAMES = 61 };
static const uint32_t FRAMES[] = {1, 2, 9, 61};
enum { N_GOLDENS = sizeof FRAMES / sizeof *FRAMES, MAX_KEYS = 32 };

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

/* As in make.py: codes of a stream of n frames. */
static uint32_t mix32(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7FEB352Du;
	x ^= x >> 15;
	x *= 0x846CA68Bu;
	return x ^ x >> 16;
}

typedef struct voice_stream {
	int32_t codes[MAX_FRAMES];
	uint32_t n_frames, given; /* frames */
	void *memory;
	float pcm[MAX_FRAMES * HOP];
	uint32_t n_samples;
} voice_stream;

static void open_stream(const loaded *l, voice_stream *s, uint32_t n_frames)
{
	*s = (voice_stream){.n_frames = n_frames, .memory = calloc(1, l->synth->describe(l->instance)->stream_bytes)};
	for (uint32_t i = 0; i < n_frames; i++)
		s->codes[i] = (int32_t)(mix32(i + n_frames * 1000003u) % CODES);
}

/* The next `frames` of each stream in one job of slices of `units`. */
static void run_job(loaded *l, voice_stream *const *streams, uint32_t n, uint32_t frames, uint32_t units)
{
	const sn_synth_info *info = l->synth->describe(l->instance);
	sn_synth_chunk chunks[VOCOS_MAX_STREAMS];
	uint32_t n_units, done, total = 0;
	uint64_t state_bytes;
	size_t held = l->host.n_allocs;
	assert_int_equal(l->synth->plan(l->instance, n, frames, &n_units, &state_bytes, &l->fault), SN_RC_OK);
	void *state = aligned_alloc(64, (state_bytes + 63) / 64 * 64);
	memset(state, 0, state_bytes);
	sn_ops_ctx *ctx = fake_ops_open(state_bytes);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t capacity = (uint64_t)(frames + info->delay_frames) * info->frame_samples;
		chunks[i] = (sn_synth_chunk){.stream = streams[i]->memory, .codes = streams[i]->codes + streams[i]->given, .n_frames = frames,
		                             .first_frame = streams[i]->given, .last = streams[i]->given + frames == streams[i]->n_frames,
		                             .pcm = malloc(capacity * sizeof(float)), .capacity = capacity};
	}
	sn_rc rc = l->synth->begin(l->instance, NULL, state, ctx, chunks, n, &l->fault);
	while (rc == SN_RC_OK || rc == SN_RC_AGAIN) {
		rc = l->synth->step(l->instance, NULL, state, ctx, units, &done, &l->fault);
		assert_true(done <= units);
		total += done;
	}
	if (rc != SN_RC_END)
		fail_msg("a job ended with %d: %s", rc, l->fault.text);
	assert_int_equal(total, n_units);
	assert_int_equal(l->host.n_allocs, held); /* steps allocate nothing */
	l->synth->end(l->instance, state);
	for (uint32_t i = 0; i < n; i++) {
		voice_stream *s = streams[i];
		s->given += frames;
		memcpy(s->pcm + s->n_samples, chunks[i].pcm, chunks[i].n_samples * sizeof(float));
		s->n_samples += chunks[i].n_samples;
		if (chunks[i].last)
			assert_int_equal(s->n_samples, s->n_frames * HOP);
		else
			assert_true(s->n_samples + info->delay_frames * HOP >= s->given * HOP);
		free(chunks[i].pcm);
	}
	fake_ops_close(ctx);
	free(state);
}

/* A stream alone: its first chunk of `first` frames, the others of `each`. */
static void run_stream(loaded *l, voice_stream *s, uint32_t n_frames, uint32_t first, uint32_t each, uint32_t units)
{
	open_stream(l, s, n_frames);
	while (s->given < n_frames) {
		uint32_t n = s->given ? each : first, left = n_frames - s->given;
		run_job(l, &s, 1, n < left ? n : left, units);
	}
	free(s->memory);
}

static void makes_the_sound_that_training_heard(void **state)
{
	(void)state;
	loaded l;
	open_decoder(&l);
	for (int i = 0; i < N_GOLDENS; i++) {
		static voice_stream s;
		char name[64];
		size_t bytes;
		snprintf(name, sizeof name, "sound-%u.bin", FRAMES[i]);
		float *want = (float *)(void *)golden_file(name, &bytes), worst = 0;
		run_stream(&l, &s, FRAMES[i], FRAMES[i], 1, 100);
		assert_int_equal(bytes, s.n_samples * sizeof(float));
		for (uint32_t k = 0; k < s.n_samples; k++)
			worst = fmaxf(worst, fabsf(s.pcm[k] - want[k]));
		if (!(worst <= 1e-5f))
			fail_msg("%u frames: off by %g", FRAMES[i], (double)worst);
		free(want);
	}
	close_decoder(&l);
}

static void a_stream_in_chunks_is_the_whole_sample_for_sample(void **state)
{
	(void)state;
	static const uint32_t cuts[][3] = {{1, 1, 1}, {2, 3, 2}, {4, 16, 3}, {5, 7, 1}, {60, 1, 100}};
	static voice_stream whole, s;
	loaded l;
	open_decoder(&l);
	run_stream(&l, &whole, MAX_FRAMES, MAX_FRAMES, 1, 100);
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		run_stream(&l, &s, MAX_FRAMES, cuts[i][0], cuts[i][1], cuts[i][2]);
		assert_memory_equal(s.pcm, whole.pcm, sizeof whole.pcm);
	}
	close_decoder(&l);
}

/* Streams that begin, go on and end in one job, of different lengths. */
static void who_else_is_in_the_job_makes_no_difference(void **state)
{
	(void)state;
	enum { N = 5 };
	static const uint32_t lengths[N] = {8, 20, 61, 24, 44};
	static voice_stream alone[N], together[N];
	loaded l;
	open_decoder(&l);
	for (int i = 0; i < N; i++) {
		run_stream(&l, &alone[i], lengths[i], 4, 4, 100);
		open_stream(&l, &together[i], lengths[i]);
	}
	for (uint32_t round = 0; round < 20; round++) {
		voice_stream *now[N];
		uint32_t n = 0;
		for (uint32_t i = 0; i < N; i++)
			if (together[i].n_frames - together[i].given >= 4 && (round + i) % 3)
				now[n++] = &together[i];
		if (n)
			run_job(&l, now, n, 4, 2);
	}
	for (int i = 0; i < N; i++) {
		voice_stream *one = &together[i];
		while (one->given < one->n_frames)
			run_job(&l, &one, 1, one->n_frames - one->given < 4 ? one->n_frames - one->given : 4, 100);
		assert_memory_equal(one->pcm, alone[i].pcm, sizeof one->pcm);
		free(one->memory);
	}
	close_decoder(&l);
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
	    {"speak.max_frames", {.number = 15}, "speak.max_frames = 15"},
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

static void wrong_jobs_are_refused(void **state)
{
	(void)state;
	loaded l;
	uint32_t n_units;
	uint64_t bytes;
	int32_t codes[4] = {0, CODES - 1, 1, 2};
	float pcm[6 * HOP];
	open_decoder(&l);
	assert_int_equal(l.synth->plan(l.instance, 0, 4, &n_units, &bytes, &l.fault), SN_RC_TOO_LARGE);
	assert_int_equal(l.synth->plan(l.instance, VOCOS_MAX_STREAMS + 1, 4, &n_units, &bytes, &l.fault), SN_RC_TOO_LARGE);
	assert_int_equal(l.synth->plan(l.instance, 1, MAX_FRAMES + 1, &n_units, &bytes, &l.fault), SN_RC_TOO_LARGE);
	assert_int_equal(l.synth->plan(l.instance, 1, 4, &n_units, &bytes, &l.fault), SN_RC_OK);
	void *memory = calloc(1, l.synth->describe(l.instance)->stream_bytes), *state_memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	const sn_synth_chunk good = {.stream = memory, .codes = codes, .n_frames = 4, .pcm = pcm, .capacity = 6 * HOP};
	sn_synth_chunk wrong[5] = {good, good, good, good, good};
	int32_t high[4] = {0, 1, CODES, 2}, low[4] = {-1, 0, 0, 0};
	wrong[0].codes = high;
	wrong[1].codes = low;
	wrong[2].capacity = HOP;
	wrong[3].first_frame = MAX_FRAMES;
	wrong[4].stream = NULL;
	for (int i = 0; i < 6; i++) {
		sn_synth_chunk chunk = i < 5 ? wrong[i] : good;
		sn_ops_ctx *ctx = fake_ops_open(bytes);
		memset(state_memory, 0, bytes);
		assert_int_equal(l.synth->begin(l.instance, NULL, state_memory, ctx, &chunk, 1, &l.fault), i < 5 ? SN_RC_INTERNAL : SN_RC_OK);
		l.synth->end(l.instance, state_memory);
		fake_ops_close(ctx);
	}
	free(memory);
	free(state_memory);
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
	    cmocka_unit_test(makes_the_sound_that_training_heard),
	    cmocka_unit_test(a_stream_in_chunks_is_the_whole_sample_for_sample),
	    cmocka_unit_test(who_else_is_in_the_job_makes_no_difference),
	    cmocka_unit_test(tells_the_host_what_its_file_says),
	    cmocka_unit_test(wrong_files_are_refused_by_name),
	    cmocka_unit_test(missing_keys_and_tensors_are_named),
	    cmocka_unit_test(claims_its_own_files_only),
	    cmocka_unit_test(wrong_jobs_are_refused),
	    cmocka_unit_test(memory_that_is_refused_is_said_and_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
