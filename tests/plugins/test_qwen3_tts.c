/* test_qwen3_tts.c - the codec decoder and the speaker encoder of Qwen3-TTS against its own code, what its model is told, and files that
 * are not right. */
#include "synth_case.h"

#include <math.h>

#include "golden.h"

static const synth_case CODEC = {"qwen3-tts", 24, 4, 3, {1, 3, 30}};

/* ---- files with something changed ---- */

/* The miniature with these bytes instead of those, as many. */
static const char *changed(const void *from, const void *to, size_t n)
{
	char *file = NULL;
	size_t size;
	sn_error err;
	assert_int_equal(file_load(&file, &size, miniature(&CODEC), 1 << 20, FILE_LINKS_REFUSED, &err), SN_OK);
	char *at = memmem(file, size, from, n);
	assert_non_null(at);
	memcpy(at, to, n);
	scratch_write("changed.gguf", file, size);
	free(file);
	return scratch_path("changed.gguf");
}

static const char *renamed(const char *from, const char *to)
{
	return changed(from, to, strlen(from));
}

/* Another number, of 32 bits, behind a key and `between` bytes after it. */
static const char *renumbered(const char *key, size_t between, const void *value)
{
	char *file = NULL, from[128], to[128];
	size_t size, n = strlen(key);
	sn_error err;
	assert_int_equal(file_load(&file, &size, miniature(&CODEC), 1 << 20, FILE_LINKS_REFUSED, &err), SN_OK);
	const char *at = memmem(file, size, key, n);
	assert_non_null(at);
	memcpy(from, at, n + between + 4);
	memcpy(to, at, n + between);
	memcpy(to + n + between, value, 4);
	free(file);
	return changed(from, to, n + between + 4);
}

static void refused(const char *path, sn_rc rc, const char *name)
{
	served s;
	synth_fault.text[0] = 0;
	sn_rc got = serve(&s, &CODEC, path, 1, 0);
	if (got != rc || !strstr(synth_fault.text, name))
		fail_msg("%s: %d, \"%s\"", name, got, synth_fault.text);
	dismiss(&s);
}

static void wrong_files_are_refused_by_name(void **state)
{
	(void)state;
	static const char *const tensors[] = {"a.gen.wav.pre_conv.weight", "a.gen.wav.quant.rest.codebook.weight", "a.gen.wav.tfm.blk.1.ffn_up.weight",
	                                      "a.gen.wav.up.blk.1.dwconv.weight", "a.gen.wav.up.blk.0.gamma", "a.gen.wav.dac.blk.0.res.2.act2.alpha",
	                                      "a.gen.wav.dac.post_conv.bias", "a.conv_out.weight", "a.blk.2.se_conv1.weight", "a.blk.3.res2.1.bias", "mm.a.fc.weight"};
	for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
		char odd[64];
		size_t n = strlen(tensors[i]);
		memcpy(odd, tensors[i], n + 1);
		odd[n - 1] = 'X';
		refused(renamed(tensors[i], odd), SN_RC_INVALID, tensors[i]);
	}
	enum { SCALAR = 4, ARRAY = 16 }; /* what stands between a key and its number */
	const struct { const char *key; size_t between; uint32_t value; } numbers[] = {
	    {"wav.sampling_rate", SCALAR, 100}, {"wav.attention.head_count", SCALAR, 3}, {"wav.attention.head_count", SCALAR, 4}, {"wav.attention.sliding_window", SCALAR, 0},
	    {"wav.attention.sliding_window", SCALAR, 1 << 20}, {"wav.attention.layer_norm_rms_epsilon", SCALAR, 0}, {"wav.rope.freq_base", SCALAR, 0x7F800000},
	    {"audio.dilations", ARRAY, 65}, {"sampling.temperature", SCALAR, 0x40800000 /* 4 */}, {"sampling.max_new_tokens", SCALAR, 1}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		refused(renumbered(numbers[i].key, numbers[i].between, &numbers[i].value), SN_RC_INVALID, numbers[i].key);
	refused(renamed("vivian", "Vivian"), SN_RC_UNSUPPORTED, "qwen3tts.voices[0]");
	refused(renamed("latin", "lat n"), SN_RC_UNSUPPORTED, "qwen3tts.languages[2]");
}

/* ---- how it is asked to speak ---- */

static void what_it_is_asked_for_is_described(void **state)
{
	(void)state;
	served s;
	assert_int_equal(serve(&s, &CODEC, miniature(&CODEC), 1, 0), SN_RC_OK);
	const sn_speaker *a = s.speak->describe(s.instance);
	assert_true(a->n_voices == 2 && a->n_slots == 1 && a->n_predicted == 3 && a->n_values == 32 && a->slots[0].n == 32 && a->n_languages == 3);
	assert_string_equal(a->voices[0].name, "vivian");
	assert_string_equal(a->slots[0].first_token, "<|codec_0|>");
	assert_string_equal(a->languages[1].code, "zh");
	assert_string_equal(a->languages[2].code, "latin");
	assert_true(a->instructions && a->reference && a->min_frames == 2 && a->max_frames == 99 && a->top_k == 50);
	assert_true(fabsf(a->temperature - 0.7f) < 1e-6f && fabsf(a->predictor_temperature - 0.9f) < 1e-6f);
	dismiss(&s);
}

/* "text+with", pieces joined by blanks; in brackets what is not text. */
static void expect_prompt(const served *s, sn_speak_ask ask, const char *want)
{
	static const char *const whats[] = {NULL, NULL, NULL, "[voice]", "[text]", "[instructions]", "[recording]"};
	sn_speak_prompt p = {.size = sizeof p};
	char got[1024] = "";
	ask.size = sizeof ask;
	if (s->speak->compose(s->instance, &ask, &p, &synth_fault) != SN_RC_OK)
		fail_msg("%s", synth_fault.text);
	for (uint32_t i = 0, n = 0; i < p.n_pieces; i++) {
		const sn_speak_piece *k = &p.pieces[i];
		n += (uint32_t)snprintf(got + n, sizeof got - n, "%s%s%s%s%s", i ? " " : "", k->what <= SN_SPEAK_PLAIN ? k->text : whats[k->what], k->most ? "1" : "",
		                        k->with ? "+" : "", k->with ? k->with : "");
	}
	snprintf(got + strlen(got), sizeof got - strlen(got), " | %s %s", p.flow_end, p.flow_rest);
	assert_string_equal(got, want);
}

#define ROLE "<|im_start|>assistant\n "
#define THINK(language) "<tts_pad>+<|codec_think|> <tts_pad>+<|codec_think_bos|> <tts_pad>+<|codec_language_" language "|> <tts_pad>+<|codec_think_eos|> "
#define NO_THINK "<tts_pad>+<|codec_nothink|> <tts_pad>+<|codec_think_bos|> <tts_pad>+<|codec_think_eos|> "
#define WORDS "<tts_text_bos>+<|codec_pad|> [text]+<|codec_pad|> <tts_text_eod>+<|codec_pad|> <tts_pad>+<|codec_bos|> | <tts_pad> <tts_pad>"
#define BESIDE "<tts_text_bos>+<|codec_pad|> [text]1+<|codec_bos|> | <tts_text_eod> <tts_pad>"

static void its_prompts_have_two_lanes(void **state)
{
	(void)state;
	enum { VIVIAN, ERIC, ENGLISH = 1, CHINESE };
	served s;
	assert_int_equal(serve(&s, &CODEC, miniature(&CODEC), 1, 0), SN_RC_OK);
	expect_prompt(&s, (sn_speak_ask){.voice = VIVIAN}, ROLE NO_THINK "<tts_pad>+<|spk_vivian|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.voice = VIVIAN, .language = CHINESE}, ROLE THINK("chinese") "<tts_pad>+<|spk_vivian|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.voice = ERIC}, ROLE THINK("sichuan_dialect") "<tts_pad>+<|spk_eric|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.voice = ERIC, .language = CHINESE}, ROLE THINK("sichuan_dialect") "<tts_pad>+<|spk_eric|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.voice = ERIC, .language = ENGLISH}, ROLE THINK("english") "<tts_pad>+<|spk_eric|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.voice = VIVIAN, .has_instructions = 1}, "<|im_start|>user\n [instructions] <|im_end|>\n " ROLE NO_THINK
	              "<tts_pad>+<|spk_vivian|> " WORDS);
	expect_prompt(&s, (sn_speak_ask){.has_reference = 1}, ROLE NO_THINK "[recording]+<tts_pad> " WORDS);
	dismiss(&s);
	/* A file that does not tell its kind, but hears. */
	assert_int_equal(serve(&s, &CODEC, renamed("tts_model_type", "tts_model_typX"), 1, 0), SN_RC_OK);
	const sn_speak_ask wish = {.size = sizeof wish, .has_instructions = 1};
	sn_speak_prompt p = {.size = sizeof p};
	expect_prompt(&s, (sn_speak_ask){.has_reference = 1}, ROLE NO_THINK "[recording]+<tts_pad> " BESIDE);
	assert_int_equal(s.speak->describe(s.instance)->instructions, 0);
	assert_int_equal(s.speak->compose(s.instance, &wish, &p, &synth_fault), SN_RC_UNSUPPORTED);
	dismiss(&s);
}

/* ---- whom to speak like ---- */

typedef struct heard {
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	float samples[2 * 9001], row[20];
	sn_media media;
	sn_media_plan p;
} heard;

static void recording_of(heard *h, const served *s, uint32_t n)
{
	char name[48];
	size_t size;
	*h = (heard){.plan = s->d->extension(SN_EXT_PLAN), .encode = s->d->extension(SN_EXT_ENCODE)};
	snprintf(name, sizeof name, "qwen3-tts-hear-%u.i16", n);
	int16_t *sound = (int16_t *)(void *)golden_file(name, &size);
	assert_int_equal(size, 2 * n);
	for (uint32_t i = 0; i < n; i++)
		h->samples[i] = sound[i] / 32768.0f;
	free(sound);
	h->media = (sn_media){.size = sizeof h->media, .kind = SN_MEDIA_AUDIO, .rate = 24000, .n_samples = n, .samples = h->samples, .bytes = n * sizeof(float)};
	h->p = (sn_media_plan){.size = sizeof h->p};
}

/* In steps of at most `units`. */
static sn_rc hear(heard *h, const served *s, uint32_t units)
{
	sn_ops_ctx *ctx;
	sn_error err;
	uint32_t done, total = 0;
	assert_int_equal(h->plan->plan(s->instance, NULL, &h->media, &h->p, &synth_fault), SN_RC_OK);
	assert_true(h->p.n_rows == 1 && h->p.n_holes == 1 && h->p.text_size == 0 && h->plan->row_dim(s->instance) == 20);
	void *state = calloc(1, h->p.state_bytes);
	assert_int_equal(ops_ctx_open(&ctx, (ops *)(uintptr_t)&s->o, h->p.state_bytes, &err), SN_OK);
	sn_rc rc = h->encode->begin(s->instance, NULL, state, ctx, &h->media, &h->p, &synth_fault);
	while (rc == SN_RC_OK || rc == SN_RC_AGAIN) {
		rc = h->encode->step(s->instance, NULL, state, ctx, units, &done, h->row, &synth_fault);
		assert_true(done <= units);
		total += done;
	}
	assert_true(rc != SN_RC_END || total == h->p.n_units);
	h->encode->end(s->instance, state);
	ops_ctx_close(&ctx);
	free(state);
	return rc;
}

static const uint32_t RECORDINGS[] = {1280, 2000, 9001};

static void whom_to_speak_like_is_the_references_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof RECORDINGS / sizeof *RECORDINGS; i++) {
		served s;
		heard h;
		char name[48];
		float whole[20];
		assert_int_equal(serve(&s, &CODEC, miniature(&CODEC), 2, 0), SN_RC_OK);
		recording_of(&h, &s, RECORDINGS[i]);
		assert_int_equal(hear(&h, &s, UINT32_MAX), SN_RC_END);
		snprintf(name, sizeof name, "qwen3-tts-hear-%u.f32", RECORDINGS[i]);
		assert_true(golden_rows_error(name, h.row, 1, 20) <= 1e-4);
		memcpy(whole, h.row, sizeof whole);
		assert_int_equal(hear(&h, &s, 1), SN_RC_END);
		assert_memory_equal(whole, h.row, sizeof whole);
		dismiss(&s);
	}
}

static void recordings_that_say_too_little_are_refused(void **state)
{
	(void)state;
	served s;
	heard h;
	assert_int_equal(serve(&s, &CODEC, miniature(&CODEC), 1, 0), SN_RC_OK);
	recording_of(&h, &s, 1280);
	h.media.n_samples = 1279;
	assert_int_equal(h.plan->plan(s.instance, NULL, &h.media, &h.p, &synth_fault), SN_RC_INVALID);
	h.media.n_samples = 60 * 24000 + 1;
	assert_int_equal(h.plan->plan(s.instance, NULL, &h.media, &h.p, &synth_fault), SN_RC_TOO_LARGE);
	h.media = (sn_media){.size = sizeof h.media, .kind = SN_MEDIA_AUDIO, .rate = 16000, .n_samples = 9000};
	assert_int_equal(h.plan->plan(s.instance, NULL, &h.media, &h.p, &synth_fault), SN_RC_UNSUPPORTED);
	recording_of(&h, &s, 2000);
	h.samples[1999] = NAN;
	assert_int_equal(hear(&h, &s, 1), SN_RC_INVALID);
	dismiss(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(its_sound_is_the_references, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(chunks_and_units_change_no_sample, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(company_changes_no_sample, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test_prestate(jobs_that_cannot_be_are_refused, (void *)(uintptr_t)&CODEC),
	    cmocka_unit_test(wrong_files_are_refused_by_name),
	    cmocka_unit_test(what_it_is_asked_for_is_described),
	    cmocka_unit_test(its_prompts_have_two_lanes),
	    cmocka_unit_test(whom_to_speak_like_is_the_references_row),
	    cmocka_unit_test(recordings_that_say_too_little_are_refused),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
