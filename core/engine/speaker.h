/* speaker.h - what a vocoder says of the language model that it stands beside (sn.speak/1), with its texts as tokens of that
 * model's vocabulary: which codes may come when, what ends an utterance, what its prompt is. */
#ifndef SN_ENGINE_SPEAKER_H
#define SN_ENGINE_SPEAKER_H

#include "engine/rules.h"
#include "model/model.h"
#include "plugin/host.h"

typedef struct speaker {
	vocoder *voc;               /* not owned */
	const sn_speaker *about;
	const sn_synth_info *info;
	token_range *slots;         /* [about->n_slots] */
	int32_t *ends;              /* [about->n_end_tokens] ascending */
	sn_voice_info *voices;      /* [n_voices] "default" first, then the vocoder's own */
	uint32_t n_voices;
	sn_speech_language *languages; /* [about->n_languages] */
	token_rules rules;          /* that its answers are under */
	uint32_t head_first, head_n; /* rows of the model's head that they can be sampled from */
	encoder *reference;         /* makes rows of recordings to speak like; NULL: there is none. Not owned */
	uint32_t max_text;          /* bytes of an utterance */
	struct synth_job *job;      /* that is running or being gathered; engine thread */
	double unit_ms;             /* measured; engine thread */
} speaker;

/* Refuses a description that does not fit the model. */
sn_status speaker_open(speaker **out, vocoder *voc, const model *m, sn_error *err);
void speaker_close(speaker **s);

/* The vocoder's index of the voice with this name; NULL or "default" is the first one. UINT32_MAX: there is none. */
uint32_t speaker_voice(const speaker *s, const char *name);

/* 1 + the vocoder's index of the language with this name or code, in any case; 0 for NULL. UINT32_MAX: there is none. */
uint32_t speaker_language(const speaker *s, const char *name);

/* What is to be said before the words, checked. Refusals are the plugin's, in its words. [any] */
sn_status speaker_compose(const speaker *s, const sn_speak_ask *ask, sn_speak_prompt *out, sn_error *err);
/* A token by its spelling: a special one, or a text that is one; -1: there is none. [any] */
int32_t speaker_token(const vocab *v, const char *text);

/* The code that token t is as the i-th of an utterance; -1: it ends the utterance. One of both, by the rules. */
int32_t speaker_code(const speaker *s, uint32_t i, int32_t t);

#endif
