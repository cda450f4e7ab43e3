/* speak.c - "sn.speak/1": whose voices there are, and how the model is asked to speak with them. qwen3_tts.h draws the prompts. */
#include <stdio.h>
#include <string.h>

#include "qwen3_tts.h"

#define KEY(name) "qwen3tts." name

enum { MAX_TEXT = 400, MAX_FRAMES = 2047, MIN_FRAMES = 2 };

static const char *const END_TOKENS[] = {"<|codec_eos_token|>"};

/* What clients may call them, too. */
static const sn_speak_language PUBLISHED[] = {{"chinese", "zh"},  {"english", "en"}, {"german", "de"},   {"italian", "it"},
                                              {"portuguese", "pt"}, {"spanish", "es"}, {"japanese", "ja"}, {"korean", "ko"},
                                              {"french", "fr"},   {"russian", "ru"}};

/* ---- what there is ---- */

static void add_language(tts_manners *m, const char *name)
{
	uint32_t i = m->about.n_languages++;
	snprintf(m->language_names[i], sizeof m->language_names[i], "%s", name);
	m->languages[i] = (sn_speak_language){m->language_names[i], m->language_names[i]};
	for (size_t k = 0; k < sizeof PUBLISHED / sizeof *PUBLISHED; k++)
		if (strcmp(PUBLISHED[k].name, name) == 0)
			m->languages[i].code = PUBLISHED[k].code;
	snprintf(m->language_tokens[i], sizeof m->language_tokens[i], "<|codec_language_%s|>", name);
	if (strcmp(name, "chinese") == 0)
		m->chinese = i + 1;
}

void tts_init_manners(tts *s)
{
	tts_manners *m = &s->manners;
	*m = (tts_manners){.voices = {{"default", "", ""}}, .slot = {.first_token = "<|codec_0|>", .n = 1}};
	m->about = (sn_speaker){.size = sizeof m->about, .n_voices = 1, .voices = m->voices, .slots = &m->slot, .end_tokens = END_TOKENS, .n_slots = 1,
	                        .n_end_tokens = 1, .max_text = MAX_TEXT, .max_frames = MAX_FRAMES, .temperature = 0.9f, .top_p = 1, .repetition_penalty = 1.05f,
	                        .top_k = 50, .n_predicted = s->info.n_codes - 1, .min_frames = MIN_FRAMES, .languages = m->languages, .predictor_temperature = 0.9f,
	                        .predictor_top_p = 1, .predictor_top_k = 50, .n_values = 1};
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n < TTS_NAME && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

/* Names as a directory tells them, in its order; or as the vocabulary does, in tokens like <|spk_NAME|>. The instance's. */
static const char *name_at(const tts *s, const sn_model *model, bool told, const char *key, const char *prefix, uint32_t i, char out[TTS_NAME])
{
	const char *name = told ? s->host.weights->get_str_at(model, key, i) : s->host.weights->token_at(model, prefix, i);
	size_t before = told || !name ? 0 : strlen(prefix), n = name ? strlen(name) - before : 0;
	if (!name)
		return NULL;
	n -= !told && n > 2 ? 2 : 0; /* |> */
	snprintf(out, TTS_NAME, "%.*s", n < TTS_NAME ? (int)n : 0, name + before);
	return out;
}

static sn_rc read_voices(tts *s, const sn_model *model, bool told, sn_fault *fault)
{
	tts_manners *m = &s->manners;
	char name[TTS_NAME];
	uint32_t n = 0;
	for (const char *dialect; name_at(s, model, told, KEY("voices"), "<|spk_", n, name); n++) {
		if (n == TTS_MAX_VOICES)
			return kit_fail(fault, SN_RC_UNSUPPORTED, "%s has more than %d names", KEY("voices"), TTS_MAX_VOICES);
		if (!is_name(name))
			return kit_fail(fault, SN_RC_UNSUPPORTED, "%s[%u] is not made of 1 to %d of a-z, 0-9, - and _", KEY("voices"), n, TTS_NAME - 1);
		dialect = s->host.weights->get_str_at(model, KEY("voice_dialects"), n);
		if (dialect && *dialect && !is_name(dialect))
			return kit_fail(fault, SN_RC_UNSUPPORTED, "%s[%u] is not made of 1 to %d of a-z, 0-9, - and _", KEY("voice_dialects"), n, TTS_NAME - 1);
		memcpy(m->voice_names[n], name, sizeof name);
		m->voices[n] = (sn_voice){m->voice_names[n], "", ""};
		snprintf(m->voice_tokens[n], sizeof m->voice_tokens[n], "<|spk_%s|>", name);
		if (dialect && *dialect)
			snprintf(m->dialect_tokens[n], sizeof m->dialect_tokens[n], "<|codec_language_%s|>", dialect);
	}
	m->about.n_voices = n ? n : 1;
	return SN_RC_OK;
}

/* A dialect is a language's token, but nothing to ask for: voices have it. */
static sn_rc read_languages(tts *s, const sn_model *model, bool told, sn_fault *fault)
{
	tts_manners *m = &s->manners;
	char name[TTS_NAME];
	for (uint32_t n = 0; name_at(s, model, told, KEY("languages"), "<|codec_language_", n, name); n++) {
		if (strstr(name, "dialect"))
			continue;
		if (m->about.n_languages == TTS_MAX_LANGUAGES || !is_name(name))
			return kit_fail(fault, SN_RC_UNSUPPORTED, "%s[%u] is one too many, or not made of a-z, 0-9, - and _", KEY("languages"), n);
		add_language(m, name);
	}
	return SN_RC_OK;
}

static sn_rc read_sampling(tts *s, const sn_model *model, sn_fault *fault)
{
	const sn_host_weights *w = s->host.weights;
	sn_speaker *a = &s->manners.about;
	const struct { const char *key; float *value, max; } numbers[] = {{KEY("sampling.temperature"), &a->temperature, 2}, {KEY("sampling.top_p"), &a->top_p, 1},
	    {KEY("sampling.repetition_penalty"), &a->repetition_penalty, 10}, {KEY("sampling.predictor_temperature"), &a->predictor_temperature, 2},
	    {KEY("sampling.predictor_top_p"), &a->predictor_top_p, 1}};
	uint32_t most = MAX_FRAMES + 1;
	const kit_size counts[] = {{KEY("sampling.top_k"), &a->top_k, 0, INT32_MAX}, {KEY("sampling.predictor_top_k"), &a->predictor_top_k, 0, INT32_MAX},
	                           {KEY("sampling.max_new_tokens"), &most, 2, TTS_MAX_FRAMES + 1}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		w->get_f32(model, numbers[i].key, numbers[i].value);
		bool may_be_0 = numbers[i].value == &a->temperature || numbers[i].value == &a->predictor_temperature;
		if (!(*numbers[i].value >= 0 && *numbers[i].value <= numbers[i].max) || (*numbers[i].value == 0 && !may_be_0))
			return kit_fail(fault, SN_RC_INVALID, "%s = %g: must be up to %g", numbers[i].key, (double)*numbers[i].value, (double)numbers[i].max);
	}
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		w->get_u32(model, counts[i].key, counts[i].value);
		KIT_TRY(kit_check_size(&counts[i], fault));
	}
	a->max_frames = most - 1; /* the reference leaves out the frame of the last code that it samples */
	return SN_RC_OK;
}

/* What a directory calls its kind; a GGUF file does not, and is known by what it has. The small model of given voices was not taught to
 * follow instructions (the reference drops them): of the published ones it is the one whose predictor is as wide as the talker. */
static void tell_kind(tts *s, const sn_model *model, const char *type)
{
	tts_manners *m = &s->manners;
	const char *size = s->host.weights->get_str(model, KEY("tts_model_size"));
	uint64_t unused[4];
	bool hears = s->ear.n_blocks > 0, voices = *m->voice_tokens[0];
	bool small = type ? size && strcmp(size, "0b6") == 0 : !s->host.weights->shape(model, "a.gen.code.proj_in.weight", unused);
	m->about.reference = hears;
	m->beside = type ? strcmp(type, "base") == 0 : hears && !voices;
	m->about.instructions = !m->beside && !(small && (type ? strcmp(type, "custom_voice") == 0 : voices));
}

sn_rc tts_read_manners(tts *s, const sn_model *model, sn_fault *fault)
{
	tts_manners *m = &s->manners;
	const char *type = s->host.weights->get_str(model, KEY("tts_model_type"));
	tts_init_manners(s);
	m->about.n_predicted = s->config.n_codes - 1;
	m->about.n_values = m->slot.n = s->config.codebook_size;
	KIT_TRY(read_voices(s, model, type != NULL, fault));
	KIT_TRY(read_languages(s, model, type != NULL, fault));
	tell_kind(s, model, type);
	return read_sampling(s, model, fault);
}

/* ---- a prompt ---- */

static void put(sn_speak_prompt *p, uint32_t what, uint32_t most, const char *text, const char *with)
{
	p->pieces[p->n_pieces++] = (sn_speak_piece){.what = what, .most = most, .text = text, .with = with};
}

static void put_token(sn_speak_prompt *p, const char *text, const char *with)
{
	put(p, SN_SPEAK_TRUSTED, 0, text, with);
}

static const char *language_of(const tts_manners *m, const sn_speak_ask *ask)
{
	const char *dialect = ask->has_reference ? "" : m->dialect_tokens[ask->voice];
	if (*dialect && (ask->language == 0 || ask->language == m->chinese))
		return dialect;
	return ask->language ? m->language_tokens[ask->language - 1] : NULL;
}

static void put_prefix(const tts_manners *m, const sn_speak_ask *ask, sn_speak_prompt *p)
{
	const char *language = language_of(m, ask);
	put_token(p, "<tts_pad>", language ? "<|codec_think|>" : "<|codec_nothink|>");
	put_token(p, "<tts_pad>", "<|codec_think_bos|>");
	if (language)
		put_token(p, "<tts_pad>", language);
	put_token(p, "<tts_pad>", "<|codec_think_eos|>");
	if (ask->has_reference)
		put(p, SN_SPEAK_REFERENCE, 0, NULL, "<tts_pad>");
	else if (*m->voice_tokens[ask->voice])
		put_token(p, "<tts_pad>", m->voice_tokens[ask->voice]);
	put_token(p, "<tts_text_bos>", "<|codec_pad|>");
}

static sn_rc compose(const void *instance, const sn_speak_ask *ask, sn_speak_prompt *p, sn_fault *fault)
{
	const tts_manners *m = &((const tts *)instance)->manners;
	p->n_pieces = 0;
	p->flow_end = p->flow_rest = "<tts_pad>";
	if (ask->voice >= m->about.n_voices || ask->language > m->about.n_languages)
		return kit_fail(fault, SN_RC_INTERNAL, "there is no such voice or language");
	if (ask->has_instructions && !m->about.instructions)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "the model follows no instructions");
	if (ask->has_reference && !m->about.reference)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "the model does not speak in the voice of a recording");
	if (ask->has_instructions) {
		put_token(p, "<|im_start|>user\n", NULL);
		put(p, SN_SPEAK_INSTRUCTIONS, 0, NULL, NULL);
		put_token(p, "<|im_end|>\n", NULL);
	}
	put_token(p, "<|im_start|>assistant\n", NULL);
	put_prefix(m, ask, p);
	if (m->beside) {
		put(p, SN_SPEAK_TEXT, 1, NULL, "<|codec_bos|>");
		p->flow_end = "<tts_text_eod>";
		return SN_RC_OK;
	}
	put(p, SN_SPEAK_TEXT, 0, NULL, "<|codec_pad|>");
	put_token(p, "<tts_text_eod>", "<|codec_pad|>");
	put_token(p, "<tts_pad>", "<|codec_bos|>");
	return SN_RC_OK;
}

static const sn_speaker *describe(const void *instance)
{
	return &((const tts *)instance)->manners.about;
}

const sn_ext_speak tts_speak_ext = {.size = sizeof tts_speak_ext, .describe = describe, .compose = compose};
