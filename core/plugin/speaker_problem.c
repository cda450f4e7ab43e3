/* speaker_problem.c - see speaker_problem.h. */
#include "plugin/speaker_problem.h"

#include <string.h>

enum { MAX_VOICES = 1024, MAX_SLOTS = 64, MAX_LANGUAGES = 1024, MAX_ENDS = 16, MAX_FRAMES = 1 << 20, MAX_RATE = 384000 };
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

static bool is_token(const char *s)
{
	return !s || is_text(s, 255);
}

static const char *pieces_problem(const sn_speak_piece *pieces, uint32_t n, const sn_speak_ask *ask)
{
	uint32_t n_texts = 0, n_instructions = 0, n_references = 0;
	for (uint32_t i = 0; i < n; i++) {
		const sn_speak_piece *p = &pieces[i];
		bool literal = p->what == SN_SPEAK_TRUSTED || p->what == SN_SPEAK_PLAIN;
		if (p->what < SN_SPEAK_TRUSTED || p->what > SN_SPEAK_REFERENCE || (literal && !p->text) || !is_token(p->with) ||
		    (p->most && p->what != SN_SPEAK_TEXT))
			return "a piece of its prompt";
		n_texts += p->what == SN_SPEAK_TEXT;
		n_instructions += p->what == SN_SPEAK_INSTRUCTIONS;
		n_references += p->what == SN_SPEAK_REFERENCE;
	}
	if (n_instructions != ask->has_instructions || n_references != ask->has_reference)
		return "its prompt has no place, or several, for what is asked for, or one for what is not";
	return n_texts == 1 ? NULL : "its prompt has no place, or several, for the text";
}

const char *prompt_problem(const sn_speak_prompt *p, const sn_speak_ask *ask)
{
	if (p->size < sizeof *p || !p->n_pieces || p->n_pieces > SN_SPEAK_MAX_PIECES)
		return "its prompt";
	const char *why = pieces_problem(p->pieces, p->n_pieces, ask);
	return why ? why : is_token(p->flow_end) && is_token(p->flow_rest) ? NULL : "its prompt's flow";
}

static const char *fixed_prompt_problem(const sn_speaker *a)
{
	if (!a->n_pieces || a->n_pieces > SN_SPEAK_MAX_PIECES || !a->prompt)
		return "its prompt";
	if (a->instructions || a->reference || a->n_languages)
		return "its prompt knows nothing of what it can be asked for";
	for (uint32_t i = 0; i < a->n_pieces; i++)
		if (a->prompt[i].most)
			return "its prompt's flow";
	return pieces_problem(a->prompt, a->n_pieces, &(sn_speak_ask){0});
}

static const char *codes_problem(const sn_speaker *a)
{
	if (!a->n_slots || a->n_slots > MAX_SLOTS || !a->slots || !a->n_end_tokens || a->n_end_tokens > MAX_ENDS || !a->end_tokens)
		return "its slots or end tokens";
	if (a->n_predicted > MAX_SLOTS - 1 || (a->n_predicted && (a->n_slots != 1 || !a->n_values)) || a->min_frames > a->max_frames)
		return "the codes of its frames, or how many frames there are at least";
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

static bool samples_well(float temperature, float top_p, uint32_t top_k)
{
	return in_range(temperature, 0, 2) && top_p > 0 && in_range(top_p, 0, 1) && top_k <= INT32_MAX;
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

const char *speaker_problem(const sn_speaker *a, bool composes)
{
	if (!a || a->size < sizeof *a)
		return SN_EXT_SPEAK " describes nothing";
	if (a->max_text < 16 || !a->max_frames || a->max_frames > MAX_FRAMES)
		return "the length of its utterances";
	if (!samples_well(a->temperature, a->top_p, a->top_k) || !(a->repetition_penalty > 0) || !in_range(a->repetition_penalty, 0, 10) ||
	    (a->n_predicted && !samples_well(a->predictor_temperature, a->predictor_top_p, a->predictor_top_k)))
		return "its sampling";
	const char *why = voices_problem(a);
	why = why || composes ? why : fixed_prompt_problem(a);
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
