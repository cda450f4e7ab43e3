/* test_speaker.c - what a vocoder says of itself and of the language model beside it is checked before anything speaks. */
#include "speech_kit.h"

#include <sys/stat.h>

static void refuse_description(const char *what)
{
	sn_engine *e = open_empty((sn_engine_config){.threads = 1});
	add_fake_plugin(e);
	char path[4096], file[4096];
	snprintf(path, sizeof path, "%s/model.gguf", GOLDEN_DIR);
	snprintf(file, sizeof file, "%s/mmproj.gguf", GOLDEN_DIR);
	const sn_model_config m = {.name = "speaks", .path = path, .mmproj = (const char *[]){file}, .n_mmproj = 1};
	sn_error err = {0};
	sn_status st = sn_engine_load(e, &m, &err);
	if (st != SN_ERR_INVALID || !strstr(err.text, what) || strncmp(err.text, "mmproj.gguf: ", 13) != 0)
		fail_msg("%d: %s (%s)", st, err.text, what);
	sn_engine_close(&e);
	describe_again();
}

static sn_ext_speak part_speak;
static sn_ext_synth part_synth;

static const void *only_speak(const char *id)
{
	return strcmp(id, SN_EXT_SPEAK) == 0 ? &part_speak : NULL;
}

static const void *both(const char *id)
{
	return strcmp(id, SN_EXT_SYNTH) == 0 ? (const void *)&part_synth : only_speak(id);
}

static void a_plugin_has_both_sides_of_a_speaker_whole(void **state)
{
	(void)state;
	sn_plugin d = SPEAK_DESC;
	assert_null(plugin_descriptor_problem(&d));
	part_speak = SPEAK;
	part_synth = SYNTH;
	d.extension = only_speak;
	assert_string_equal(plugin_descriptor_problem(&d), SN_EXT_SPEAK " comes with " SN_EXT_SYNTH);
	d.extension = both;
	assert_null(plugin_descriptor_problem(&d));
	part_synth.step = NULL;
	assert_string_equal(plugin_descriptor_problem(&d), "its " SN_EXT_SYNTH " lacks required members");
	part_synth = SYNTH;
	part_speak.describe = NULL;
	assert_string_equal(plugin_descriptor_problem(&d), "its " SN_EXT_SPEAK " lacks required members");
	part_speak = SPEAK;
	d.probe = NULL;
	assert_string_equal(plugin_descriptor_problem(&d), "a speaker needs a probe");
}

static void a_description_that_does_not_fit_is_refused_by_name(void **state)
{
	(void)state;
	sn_speak_slot slots[N_SLOTS];
	sn_voice voices[2];
	sn_speak_piece prompt[5];
#define WRONG(change, what) \
	do { \
		memcpy(slots, SLOTS, sizeof slots); \
		memcpy(voices, VOICES, sizeof voices); \
		memcpy(prompt, PROMPT, sizeof prompt); \
		ABOUT.slots = slots; \
		ABOUT.voices = voices; \
		ABOUT.prompt = prompt; \
		change; \
		refuse_description(what); \
	} while (0)
	static const char *const no_end[] = {"<nonsense>"}, *const code_end[] = {"c"};
	WRONG(slots[1].first_token = "<custom_token_1>", "lacks the token \"<custom_token_1>\"");
	WRONG(slots[2].first_token = "ab", "lacks the token \"ab\"");
	WRONG(slots[2].n = 100000, "no room for 100000 codes");
	WRONG(slots[2].n = 0, "a slot's codes");
	WRONG(ABOUT.end_tokens = no_end, "lacks the token \"<nonsense>\"");
	WRONG(ABOUT.end_tokens = code_end, "is a code as well");
	WRONG(ABOUT.n_end_tokens = 0, "its slots or end tokens");
	WRONG(ABOUT.n_slots = 2, "the size of a frame");
	WRONG(ABOUT.max_text = 3, "the length of its utterances");
	WRONG(ABOUT.max_frames = 0, "the length of its utterances");
	WRONG(ABOUT.temperature = NAN, "its sampling");
	WRONG(ABOUT.top_p = 0, "its sampling");
	WRONG(ABOUT.n_voices = 0, "its voices");
	WRONG(voices[1].name = "ann", "two voices of one name");
	WRONG(voices[1].name = "Bo", "a voice's name");
	WRONG(voices[1].name = "default", "a voice's name");
	WRONG(prompt[3].what = SN_SPEAK_VOICE, "no place, or several, for the text");
	WRONG(prompt[0].text = NULL, "a piece of its prompt");
	WRONG(prompt[0].what = 9, "a piece of its prompt");
	WRONG(INFO.rate = 0, "its rate");
	WRONG(INFO.n_codes = 4, "the size of a frame");
	WRONG(INFO.first_frames = 0, "the length of its chunks");
	WRONG(INFO.chunk_frames = 2000, "the length of its chunks");
	WRONG(INFO.offline = 1, "the length of its chunks");
	WRONG(INFO.max_streams = 0, "its streams");
	WRONG(INFO.stream_bytes = 1ull << 40, "its streams");
	WRONG(INFO.size = 8, "describes nothing");
	WRONG(ABOUT.size = 8, "describes nothing");
#undef WRONG
}

static void a_model_has_one_speaker_and_its_memory_counts(void **state)
{
	(void)state;
	sn_engine *e = open_empty((sn_engine_config){.threads = 1});
	add_fake_plugin(e);
	char path[4096], file[4096];
	snprintf(path, sizeof path, "%s/model.gguf", GOLDEN_DIR);
	snprintf(file, sizeof file, "%s/mmproj.gguf", GOLDEN_DIR);
	const sn_model_config two = {.name = "speaks", .path = path, .mmproj = (const char *[]){file, file}, .n_mmproj = 2};
	sn_error err = {0};
	assert_int_equal(sn_engine_load(e, &two, &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "a second speaker"));
	assert_int_equal(e->plugins->plugins[plugin_count(e->plugins) - 1]->n_serving, 0);
	sn_engine_close(&e);
	size_t need[2];
	for (int with = 0; with < 2; with++) {
		e = open_empty((sn_engine_config){.threads = 1, .memory_limit = page_pool_bytes(64u << 20)});
		add_fake_plugin(e);
		sn_model_config m = {.name = "speaks", .path = path, .mmproj = (const char *[]){file}, .n_mmproj = (size_t)with};
		assert_int_equal(sn_engine_load(e, &m, &err), SN_ERR_NOMEM);
		need[with] = strtoull(strstr(err.text, ": ") + 2, NULL, 10);
		sn_engine_close(&e);
		if (!with)
			continue;
		e = open_empty((sn_engine_config){.threads = 1, .memory_limit = need[0] + 4096}); /* the language model alone would fit */
		add_fake_plugin(e);
		assert_int_equal(sn_engine_load(e, &m, &err), SN_ERR_NOMEM);
		need[1] = strtoull(strstr(err.text, ": ") + 2, NULL, 10);
		sn_engine_close(&e);
		struct stat st;
		assert_int_equal(stat(file, &st), 0);
		assert_true(need[1] - need[0] >= (size_t)st.st_size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plugin_has_both_sides_of_a_speaker_whole),
	    cmocka_unit_test(a_description_that_does_not_fit_is_refused_by_name),
	    cmocka_unit_test(a_model_has_one_speaker_and_its_memory_counts),
	};
	return speech_run(tests);
}
