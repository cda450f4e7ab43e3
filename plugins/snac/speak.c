/* speak.c - "sn.speak/1": how Orpheus is asked to speak, and what its tokens mean. */
#include <stdio.h>
#include <string.h>

#include "snac.h"

/* Names as in a sibling model: 3 start of human, 4 end of human, 5 start of AI, 1 start of speech, 2 end of speech. */
static const sn_speak_piece PROMPT[] = {
    {.what = SN_SPEAK_TRUSTED, .text = "<custom_token_3>"},
    {.what = SN_SPEAK_VOICE},
    {.what = SN_SPEAK_PLAIN, .text = ": "},
    {.what = SN_SPEAK_TEXT},
    {.what = SN_SPEAK_TRUSTED, .text = "<|eot_id|><custom_token_4><custom_token_5><custom_token_1>"},
};
static const char *const END_TOKENS[] = {"<custom_token_2>"};
static const char *const VOICES[] = {"tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe"};
enum { FIRST_TOKEN = 10, N_VOICES = sizeof VOICES / sizeof *VOICES };

/* The model was trained on sentences: 1,200 tokens, 14 s, are its reference's limit; a slow voice gets some more. */
enum { MAX_TEXT = 200 };

static void describe_frames(snac *s)
{
	const snac_config *c = &s->config;
	for (uint32_t i = 0; i < c->n_codes; i++) {
		snprintf(s->first_tokens[i], sizeof s->first_tokens[i], "<custom_token_%u>", FIRST_TOKEN + i * c->codebook_size);
		s->slots[i] = (sn_speak_slot){.first_token = s->first_tokens[i], .n = c->codebook_size};
	}
	s->speaker.n_slots = c->n_codes;
}

static void name_english_voices(snac *s)
{
	for (uint32_t i = 0; i < N_VOICES; i++)
		s->voices[i] = (sn_voice){.name = VOICES[i], .prompt = VOICES[i], .language = "en"};
	s->speaker.n_voices = N_VOICES;
}

void snac_speaker_init(snac *s)
{
	s->speaker = (sn_speaker){
	    .size = sizeof s->speaker, .voices = s->voices, .prompt = PROMPT, .slots = s->slots, .end_tokens = END_TOKENS,
	    .n_pieces = sizeof PROMPT / sizeof *PROMPT, .n_end_tokens = 1, .bos = 1, .max_text = MAX_TEXT, .max_frames = SNAC_MAX_FRAMES,
	    .temperature = 0.6f, .top_p = 0.8f, .repetition_penalty = 1.3f};
	name_english_voices(s);
	describe_frames(s);
	s->info = (sn_synth_info){.size = sizeof s->info, .rate = s->config.rate, .n_codes = s->config.n_codes,
	                          .frame_samples = s->config.frame_samples, .first_frames = SNAC_CHUNK_FRAMES,
	                          .chunk_frames = SNAC_CHUNK_FRAMES, .max_frames = SNAC_MAX_FRAMES, .max_streams = SNAC_MAX_STREAMS,
	                          .stream_bytes = sizeof(float)};
}

static bool is_voice(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

/* Models of other languages have voices of their own. */
sn_rc snac_read_speaker(snac *s, const sn_model *model, sn_fault *fault)
{
	static const char KEY[] = "snac.voices";
	uint32_t n = 0;
	for (const char *name; (name = s->host.weights->get_str_at(model, KEY, n)); n++) {
		if (n == SNAC_MAX_VOICES)
			return kit_fail(fault, SN_RC_UNSUPPORTED, "%s has more than %d names", KEY, SNAC_MAX_VOICES);
		if (!is_voice(name))
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] is not made of 1 to 63 of a-z, 0-9, - and _", KEY, n);
		s->voices[n] = (sn_voice){.name = name, .prompt = name, .language = ""};
	}
	s->speaker.n_voices = n;
	if (n == 0)
		name_english_voices(s);
	describe_frames(s);
	return SN_RC_OK;
}

static const sn_speaker *describe(const void *instance)
{
	const snac *s = instance;
	return &s->speaker;
}

const sn_ext_speak snac_speak_ext = {.size = sizeof snac_speak_ext, .describe = describe};
