/* speaker_problem.h - are the descriptions that a speaker gives of itself (ext/speak.h, ext/synth.h) such that one can work by them? */
#ifndef SN_PLUGIN_SPEAKER_PROBLEM_H
#define SN_PLUGIN_SPEAKER_PROBLEM_H

#include <stdbool.h>

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

/* What is not right, in a few words; NULL if nothing is. A description that is NULL is not right. composes: its prompts come from
 * sn_ext_speak.compose. */
const char *speaker_problem(const sn_speaker *about, bool composes);
/* n_codes: of a frame of the speaker that it belongs to (speaker_codes), 0 if there is none. */
const char *synth_problem(const sn_synth_info *info, uint32_t n_codes);
/* Of what compose made of that ask. */
const char *prompt_problem(const sn_speak_prompt *prompt, const sn_speak_ask *ask);

static inline uint32_t speaker_codes(const sn_speaker *about)
{
	return about->n_slots + about->n_predicted;
}

/* NULL: its prompts are the description's. */
typedef sn_rc sn_compose_fn(const void *instance, const sn_speak_ask *ask, sn_speak_prompt *out, sn_fault *fault);
static inline sn_compose_fn *speak_compose(const sn_ext_speak *speak)
{
	return speak->size > SN_EXT_SPEAK_MIN_SIZE ? speak->compose : NULL;
}

#endif
