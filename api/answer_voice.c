#include "answer_voice.h"

#include <sodium.h>
#include <string.h>

#include "fault.h"

int answer_voice_open(answer_voice *v, sn_engine *engine, const sn_chat *chat, const narrator_ask *ask, sn_error *err)
{
	static const char prefix[] = "audio_";
	unsigned char raw[12];
	*v = (answer_voice){.narrator = NULL};
	randombytes_buf(raw, sizeof raw);
	memcpy(v->id, prefix, sizeof prefix);
	sodium_bin2hex(v->id + sizeof prefix - 1, sizeof v->id - sizeof prefix + 1, raw, sizeof raw);
	int rc = reasoning_begin(&v->thinking, engine, chat, err);
	return rc == SN_OK ? narrator_open(&v->narrator, engine, ask, err) : rc;
}

int answer_voice_hear(answer_voice *v, const char *text, size_t size, bool end, sn_error *err)
{
	v->words.size = 0;
	reasoning_feed(&v->thinking, &v->words, text, size);
	if (end)
		reasoning_end(&v->thinking, &v->words);
	if (v->words.failed)
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the answer");
	int rc = narrator_say(v->narrator, v->words.data, v->words.size, err);
	if (rc == SN_OK && end)
		narrator_finish(v->narrator);
	return rc;
}

narrator_kind answer_voice_next(answer_voice *v, int timeout_ms, sn_error *err)
{
	narrator_event ev;
	narrator_kind kind = v->over ? NARRATOR_NONE : narrator_next(v->narrator, timeout_ms, &ev);
	if (kind == NARRATOR_ERROR)
		*err = ev.error;
	if (kind != NARRATOR_BYTES && kind != NARRATOR_DONE)
		return kind;
	out_bytes(&v->sound, ev.bytes, ev.size);
	if (v->sound.failed) {
		fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the answer");
		return NARRATOR_ERROR;
	}
	if (kind == NARRATOR_DONE) {
		v->over = true;
		v->usage = ev.usage;
	}
	return kind;
}

void answer_voice_fini(answer_voice *v)
{
	narrator_close(&v->narrator);
	out_fini(&v->words);
	out_fini(&v->sound);
}
