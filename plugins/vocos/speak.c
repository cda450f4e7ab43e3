/* speak.c - "sn.speak/1": what the language model beside the decoder is told, from the file's keys:
 *
 *   speak.voices, speak.voice_prompts, speak.languages   strings, as many of each; the first voice is the default one
 *   speak.prompt_kinds                                   "trusted" | "plain" | "voice" | "text", the pieces in order
 *   speak.prompt_texts                                   as many; empty for "voice" and "text"
 *   speak.first_code                                     the token of code 0
 *   speak.end_tokens                                     strings
 *   speak.max_text, speak.max_frames, speak.top_k        integers
 *   speak.bos, speak.lower_case                          truth values
 *   speak.temperature, speak.top_p, speak.repetition_penalty
 */
#include <string.h>

#include "vocos.h"

enum { MAX_VOICES = 64, MAX_PIECES = 16, MAX_END_TOKENS = 8, MAX_NAME = 63, MAX_LANGUAGE = 35, MIN_TEXT = 16 };

typedef struct tables {
	sn_voice voices[MAX_VOICES];
	sn_speak_piece pieces[MAX_PIECES];
	sn_speak_slot slot;
	const char *end_tokens[MAX_END_TOKENS];
} tables;

static const char VOICES[] = "speak.voices", VOICE_PROMPTS[] = "speak.voice_prompts", LANGUAGES[] = "speak.languages",
                  KINDS[] = "speak.prompt_kinds", TEXTS[] = "speak.prompt_texts", FIRST_CODE[] = "speak.first_code",
                  END_TOKENS[] = "speak.end_tokens";

/* How many strings a key has: 1 to max. */
static sn_rc count(const vocos *v, const sn_model *model, const char *key, uint32_t max, uint32_t *n, sn_fault *fault)
{
	for (*n = 0; *n <= max && v->host.weights->get_str_at(model, key, *n); ++*n)
		;
	if (*n < 1 || *n > max)
		return kit_fail(fault, SN_RC_INVALID, *n ? "%s: must be at most %u strings" : "%s is missing or not an array of 1 to %u strings", key,
		                  max);
	return SN_RC_OK;
}

static sn_rc same_count(const vocos *v, const sn_model *model, const char *key, const char *as, uint32_t n, sn_fault *fault)
{
	if (!v->host.weights->get_str_at(model, key, n - 1) || v->host.weights->get_str_at(model, key, n))
		return kit_fail(fault, SN_RC_INVALID, "%s: must be %u strings, as %s is", key, n, as);
	return SN_RC_OK;
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= MAX_NAME && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static sn_rc read_voices(vocos *v, const sn_model *model, tables *t, sn_fault *fault)
{
	uint32_t n;
	sn_rc rc = count(v, model, VOICES, MAX_VOICES, &n, fault);
	if (rc == SN_RC_OK)
		rc = same_count(v, model, VOICE_PROMPTS, VOICES, n, fault);
	if (rc == SN_RC_OK)
		rc = same_count(v, model, LANGUAGES, VOICES, n, fault);
	for (uint32_t i = 0; i < n && rc == SN_RC_OK; i++) {
		sn_voice *voice = &t->voices[i];
		*voice = (sn_voice){.name = v->host.weights->get_str_at(model, VOICES, i), .prompt = v->host.weights->get_str_at(model, VOICE_PROMPTS, i),
		                    .language = v->host.weights->get_str_at(model, LANGUAGES, i)};
		if (!is_name(voice->name))
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: must be 1 to %d of a-z, 0-9, _ and -", VOICES, i, MAX_NAME);
		if (i && strcmp(voice->name, "default") == 0)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: only the first one is called default", VOICES, i);
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(voice->name, t->voices[j].name) == 0)
				return kit_fail(fault, SN_RC_INVALID, "%s[%u]: is there already", VOICES, i);
		if (strlen(voice->language) > MAX_LANGUAGE)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: must be at most %d bytes", LANGUAGES, i, MAX_LANGUAGE);
	}
	v->speaker.voices = t->voices;
	v->speaker.n_voices = n;
	return rc;
}

static uint32_t piece_kind(const char *name)
{
	static const char *const names[] = {[SN_SPEAK_TRUSTED] = "trusted", [SN_SPEAK_PLAIN] = "plain", [SN_SPEAK_VOICE] = "voice",
	                                    [SN_SPEAK_TEXT] = "text"};
	for (uint32_t i = SN_SPEAK_TRUSTED; i <= SN_SPEAK_TEXT; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return 0;
}

static sn_rc read_prompt(vocos *v, const sn_model *model, tables *t, sn_fault *fault)
{
	uint32_t n, texts = 0;
	sn_rc rc = count(v, model, KINDS, MAX_PIECES, &n, fault);
	if (rc == SN_RC_OK)
		rc = same_count(v, model, TEXTS, KINDS, n, fault);
	for (uint32_t i = 0; i < n && rc == SN_RC_OK; i++) {
		const char *text = v->host.weights->get_str_at(model, TEXTS, i);
		uint32_t what = piece_kind(v->host.weights->get_str_at(model, KINDS, i));
		bool has_text = what == SN_SPEAK_TRUSTED || what == SN_SPEAK_PLAIN;
		if (!what)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: must be trusted, plain, voice or text", KINDS, i);
		if (has_text != (text[0] != 0))
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: must be %s", TEXTS, i, has_text ? "a text" : "empty");
		t->pieces[i] = (sn_speak_piece){.what = what, .text = has_text ? text : NULL};
		texts += what == SN_SPEAK_TEXT;
	}
	if (rc == SN_RC_OK && texts != 1)
		return kit_fail(fault, SN_RC_INVALID, "%s: must have one piece that is text", KINDS);
	v->speaker.prompt = t->pieces;
	v->speaker.n_pieces = n;
	return rc;
}

static sn_rc read_tokens(vocos *v, const sn_model *model, tables *t, sn_fault *fault)
{
	uint32_t n;
	t->slot = (sn_speak_slot){.first_token = v->host.weights->get_str(model, FIRST_CODE), .n = v->config.codes};
	if (!t->slot.first_token || !t->slot.first_token[0])
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a string", FIRST_CODE);
	v->speaker.slots = &t->slot;
	v->speaker.n_slots = 1;
	sn_rc rc = count(v, model, END_TOKENS, MAX_END_TOKENS, &n, fault);
	for (uint32_t i = 0; i < n && rc == SN_RC_OK; i++) {
		t->end_tokens[i] = v->host.weights->get_str_at(model, END_TOKENS, i);
		if (!t->end_tokens[i][0])
			return kit_fail(fault, SN_RC_INVALID, "%s[%u]: must be a token", END_TOKENS, i);
	}
	v->speaker.end_tokens = t->end_tokens;
	v->speaker.n_end_tokens = n;
	return rc;
}

static sn_rc read_truth(const vocos *v, const sn_model *model, const char *key, uint32_t *out, sn_fault *fault)
{
	bool truth;
	if (!v->host.weights->get_bool(model, key, &truth))
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a truth value", key);
	*out = truth;
	return SN_RC_OK;
}

static sn_rc read_limits(vocos *v, const sn_model *model, sn_fault *fault)
{
	const sn_host_weights *w = v->host.weights;
	sn_speaker *s = &v->speaker;
	sn_rc rc = vocos_read_size(w, model, "speak.max_text", MIN_TEXT, 65536, &s->max_text, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_size(w, model, "speak.max_frames", VOCOS_CHUNK_FRAMES, 1u << 20, &s->max_frames, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_size(w, model, "speak.top_k", 0, 1u << 20, &s->top_k, fault);
	if (rc == SN_RC_OK)
		rc = read_truth(v, model, "speak.bos", &s->bos, fault);
	if (rc == SN_RC_OK)
		rc = read_truth(v, model, "speak.lower_case", &s->lower_case, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_number(w, model, "speak.temperature", 0, true, 2, &s->temperature, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_number(w, model, "speak.top_p", 0, false, 1, &s->top_p, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_number(w, model, "speak.repetition_penalty", 0, false, 10, &s->repetition_penalty, fault);
	return rc;
}

sn_rc vocos_read_speaker(vocos *v, const sn_model *model, sn_fault *fault)
{
	v->speaker = (sn_speaker){.size = sizeof v->speaker};
	tables *t = v->tables = kit_alloc(&v->host, sizeof *t);
	if (!t)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the speaker's tables");
	sn_rc rc = read_voices(v, model, t, fault);
	if (rc == SN_RC_OK)
		rc = read_prompt(v, model, t, fault);
	if (rc == SN_RC_OK)
		rc = read_tokens(v, model, t, fault);
	if (rc == SN_RC_OK)
		rc = read_limits(v, model, fault);
	return rc;
}

static const sn_speaker *describe(const void *instance)
{
	return &((const vocos *)instance)->speaker;
}

const sn_ext_speak vocos_speak_ext = {.size = sizeof vocos_speak_ext, .describe = describe};
