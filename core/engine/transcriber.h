/* transcriber.h - what an encoder says of a model that was made to write recordings down (sn.transcribe/1), checked, and with
 * its texts as tokens of the model's vocabulary. */
#ifndef SN_ENGINE_TRANSCRIBER_H
#define SN_ENGINE_TRANSCRIBER_H

#include "engine/rules.h"
#include "model/model.h"
#include "plugin/host.h"

typedef struct transcriber {
	const sn_transcriber *about;
	const sn_ext_transcribe *ext;
	encoder *enc;
	/* Tokens; -1: the model has none. */
	int32_t previous, opening, transcribe, translate, no_stamps, first_stamp, no_speech;
	int32_t end;          /* text is what lies before it */
	int32_t *languages;   /* [about->n_languages] in about's order */
	int32_t *any_language; /* the same, ascending */
} transcriber;

/* *out is NULL if enc describes none: its model is asked in chats. Refuses a description that does not fit the model. */
sn_status transcriber_open(transcriber **out, encoder *enc, const model *m, sn_error *err);
void transcriber_close(transcriber **t);

/* What an answer is under. */
token_rules transcriber_rules(const transcriber *t, bool stamps);
token_rules transcriber_language_rules(const transcriber *t);
/* Index of the language with this code, or of this token; n_languages: there is none. */
uint32_t transcriber_language(const transcriber *t, const char *code);
uint32_t transcriber_language_of(const transcriber *t, int32_t token);

#endif
