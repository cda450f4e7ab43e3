/* speaker_problem.c - see speaker_problem.h. */
#include "plugin/speaker_problem.h"

#include <string.h>

enum { MAX_VOICES = 1024, MAX_PIECES = 64, MAX_SLOTS = 64, MAX_LANGUAGES = 1024, MAX_ENDS = 16, MAX_FRAMES = 1 << 20, MAX_RATE = 384000 };
enum { MAX_STREAM_BYTES = 1 << 28, MAX_CHUNK_SAMPLES = 1 << 26 };

static bool is_text(const char *s, size_t max)
{
	return s && *s && strnlen(s, max + 1) <= max;
}

static bool is_voice_name(const char *s)
{
	return is_text(s, 63) && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(s);
}

static const char *voices_problem(const sn_speaker *a)
{
	if (!a->n_voices || a->n_voices > MAX_VOICES || !a->voices)
		return "its voices";
	for (uint32_t i = 0; i < a->n_voices; i++) {
		const sn_voice *v = &a->voices[i];
		if (!is_voice_name(v->name) || (strcmp(v->name, "default") == 0 && i) || !v->prompt || !v->language || strnlen(v->language, 36) > 35)
			return "a voice's name, prompt or language";
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(a->voices[k].name, v->name) == 0)
				return "two voices of one name";
	}
	return NULL;
}

static const char *prompt_problem(const sn_speaker *a)
{
	uint32_t n_texts = 0;
	if (!a->n_pieces || a->n_pieces > MAX_PIECES || !a->prompt)
		return "its prompt";
	for (uint32_t i = 0; i < a->n_pieces; i++) {
		const sn_speak_piece *p = &a->prompt[i];
		bool literal = p->what == SN_SPEAK_TRUSTED || p->what == SN_SPEAK_PLAIN;
		if (p->what < SN_SPEAK_TRUSTED || p->what > SN_SPEAK_TEXT || (literal && !p->text))
			return "a piece of its prompt";
		n_texts += p->what == SN_SPEAK_TEXT;
	}
	return n_texts == 1 ? NULL : "its prompt has no place, or several, for the text";
}

static const char *codes_problem(const sn_speaker *a)
{
	if (!a->n_slots || a->n_slots > MAX_SLOTS || !a->slots || !a->n_end_tokens || a->n_end_tokens > MAX_ENDS || !a->end_tokens)
		return "its slots or end tokens";
	for (uint32_t i = 0; i < a->n_slots; i++)
		if (!is_text(a->slots[i].first_token, 255) || !a->slots[i].n)
			return "a slot's codes";
	for (uint32_t i = 0; i < a->n_end_tokens; i++)
		if (!is_text(a->end_tokens[i], 255))
			return "an end token";
	return NULL;
}

static bool in_range(float v, float min, float max)
{
	return v >= min && v <= max; /* not a NaN */
}

static const char *languages_problem(const sn_speaker *a)
{
	if (a->n_languages > MAX_LANGUAGES || (a->n_languages && !a->languages))
		return "its languages";
	for (uint32_t i = 0; i < a->n_languages; i++)
		if (!is_text(a->languages[i].name, 63) || !is_text(a->languages[i].code, 35))
			return "a language's name or code";
	return NULL;
}

/* A prompt of its own, unless it composes one for each utterance. */
static bool composes(const sn_ext_speak *ext)
{
	return ext->size > SN_EXT_SPEAK_MIN_SIZE && ext->compose;
}

static const char *predictor_problem(const sn_speaker *a)
{
	if (!a->n_predicted)
		return NULL;
	if (a->n_slots != 1 || a->n_predicted >= MAX_SLOTS || a->predictor_top_k > INT32_MAX || !in_range(a->predictor_temperature, 0, 2) ||
	    !(a->predictor_top_p > 0) || !in_range(a->predictor_top_p, 0, 1))
		return "what its code predictor says";
	return NULL;
}

const char *speaker_problem(const sn_speaker *a, const sn_ext_speak *ext)
{
	if (!a || a->size < sizeof *a)
		return SN_EXT_SPEAK " describes nothing";
	if (a->max_text < 16 || !a->max_frames || a->max_frames > MAX_FRAMES)
		return "the length of its utterances";
	if (!in_range(a->temperature, 0, 2) || !(a->top_p > 0) || !in_range(a->top_p, 0, 1) || !(a->repetition_penalty > 0) ||
	    !in_range(a->repetition_penalty, 0, 10) || a->top_k > INT32_MAX)
		return "its sampling";
	const char *why = voices_problem(a);
	why = why || composes(ext) ? why : prompt_problem(a);
	why = why ? why : predictor_problem(a);
	why = why ? why : languages_problem(a);
	return why ? why : codes_problem(a);
}

const char *synth_problem(const sn_synth_info *i, uint32_t n_codes)
{
	if (!i || i->size < sizeof *i)
		return SN_EXT_SYNTH " describes nothing";
	if (!i->rate || i->rate > MAX_RATE || !i->frame_samples || !i->n_codes || i->n_codes > MAX_SLOTS || (n_codes && i->n_codes != n_codes))
		return "its rate, or the size of a frame";
	if (!i->first_frames || !i->chunk_frames || i->first_frames > i->max_frames || i->chunk_frames > i->max_frames || i->max_frames > MAX_FRAMES ||
	    i->delay_frames > MAX_FRAMES || (i->offline && i->first_frames != i->max_frames))
		return "the length of its chunks";
	uint32_t longest = i->first_frames > i->chunk_frames ? i->first_frames : i->chunk_frames;
	if (((uint64_t)longest + i->delay_frames) * i->frame_samples > MAX_CHUNK_SAMPLES)
		return "the samples of a chunk";
	if (!i->max_streams || i->stream_bytes > MAX_STREAM_BYTES)
		return "its streams";
	return NULL;
}
