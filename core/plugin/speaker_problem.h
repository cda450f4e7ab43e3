/* speaker_problem.h - are the descriptions that a speaker gives of itself (ext/speak.h, ext/synth.h) such that one can work by them? */
#ifndef SN_PLUGIN_SPEAKER_PROBLEM_H
#define SN_PLUGIN_SPEAKER_PROBLEM_H

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

/* What is not right, in a few words; NULL if nothing is. A description that is NULL is not right. */
const char *speaker_problem(const sn_speaker *about, const sn_ext_speak *ext);
/* n_codes: of a frame of the speaker that it belongs to, 0 if there is none. */
const char *synth_problem(const sn_synth_info *info, uint32_t n_codes);

#endif
