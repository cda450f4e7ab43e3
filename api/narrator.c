#include "narrator.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"

struct narrator {
	sn_speech *speech;
	sn_writer *writer;
	uint32_t rate;
	bool spoke; /* there was sound */
	sn_speech_event told;
};

int narrator_model(const sn_model_info **out, const sn_engine *engine, const char *name, sn_error *err)
{
	const sn_model_info *models, *m = NULL;
	size_t n = sn_engine_models(engine, &models);
	for (size_t i = 0; i < n && !m; i++)
		if (name ? strcmp(models[i].name, name) == 0 : models[i].speaks)
			m = &models[i];
	if (name && !m)
		return fault_set(err, SN_ERR_NOT_FOUND, "model", "there is no such model here");
	if (!m || !m->speaks)
		return fault_set(err, SN_ERR_UNSUPPORTED, "model", "%s (see `speaks` in GET /v1/models)",
		                 name ? "the model does not speak" : "there is no model here that speaks");
	*out = m;
	return SN_OK;
}

int narrator_open(narrator **out, sn_engine *engine, const narrator_ask *ask, sn_error *err)
{
	const sn_model_info *m = NULL;
	const sn_voice_info *voices;
	int rc = narrator_model(&m, engine, ask->model, err);
	narrator *n = rc == SN_OK ? calloc(1, sizeof *n) : NULL;
	if (rc == SN_OK && !n)
		rc = fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the request");
	if (rc == SN_OK) {
		sn_engine_voices(engine, m->name, &voices, &n->rate);
		const sn_writer_config file = {.request_id = ask->request_id, .media_type = ask->format->media_type, .rate = n->rate,
		                               .tempo = ask->tempo, .whole = ask->whole};
		rc = sn_writer_open(engine, &file, &n->writer, err);
	}
	if (rc == SN_OK) {
		const sn_speech_ask words = {.request_id = ask->request_id, .model = m->name, .cache_key = ask->cache_key, .cache_salt = ask->cache_salt,
		                             .voice = ask->voice, .language = ask->language, .instructions = ask->instructions,
		                             .instructions_size = ask->instructions_size, .reference = ask->reference, .temperature = ask->temperature, .seed = ask->seed, .has_seed = ask->has_seed,
		                             .timeout_ms = ask->timeout_ms};
		rc = sn_speech_open(engine, &words, &n->speech, err);
	}
	if (rc != SN_OK)
		narrator_close(&n);
	*out = n;
	return rc;
}

uint32_t narrator_rate(const narrator *n)
{
	return n->rate;
}

int narrator_say(narrator *n, const char *text, size_t size, sn_error *err)
{
	return size ? (int)sn_speech_say(n->speech, text, size, err) : SN_OK;
}

void narrator_finish(narrator *n)
{
	sn_speech_finish(n->speech);
}

static narrator_kind tell(narrator_event *ev, narrator_kind kind, sn_status status, const uint8_t *bytes, size_t size)
{
	ev->kind = status == SN_OK ? kind : NARRATOR_ERROR;
	ev->bytes = (const char *)bytes;
	ev->size = size;
	return ev->kind;
}

narrator_kind narrator_next(narrator *n, int timeout_ms, narrator_event *ev)
{
	const uint8_t *bytes = NULL;
	size_t size = 0;
	sn_status st = SN_OK;
	ev->kind = NARRATOR_NONE;
	switch (sn_speech_next(n->speech, timeout_ms, &n->told)) {
	case SN_SPEECH_NONE:
		break;
	case SN_SPEECH_SOUND:
		n->spoke |= n->told.n_samples > 0;
		st = sn_writer_push(n->writer, n->told.pcm, n->told.n_samples, &bytes, &size, &ev->error);
		return tell(ev, size ? NARRATOR_BYTES : NARRATOR_NONE, st, bytes, size);
	case SN_SPEECH_DONE:
		ev->usage = n->told.usage;
		ev->seconds = n->spoke ? n->told.seconds : 0;
		if (n->spoke)
			st = sn_writer_finish(n->writer, &bytes, &size, &ev->error);
		return tell(ev, NARRATOR_DONE, st, bytes, size);
	case SN_SPEECH_ERROR:
		ev->error = n->told.error;
		return ev->kind = NARRATOR_ERROR;
	}
	return ev->kind;
}

void narrator_close(narrator **pn)
{
	narrator *n = *pn;
	if (!n)
		return;
	if (n->speech)
		sn_speech_close(&n->speech);
	if (n->writer)
		sn_writer_close(&n->writer);
	free(n);
	*pn = NULL;
}
