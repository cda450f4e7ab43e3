/* chat.c - POST /v1/chat/completions: body -> sn_chat_submit -> an answer (answer.h). */
#include <string.h>

#include "chat_parse.h"
#include "fault.h"
#include "forms.h"
#include "pairing.h"
#include "reasoning.h"

#define MAX_MEDIA_BYTES (20u << 20)

static bool client_gone(void *x) { return http_client_gone(x); }

/* Who speaks the answer, which has to be known before anything is done. */
static int open_voice(answer *a, const chat_body *b, sn_error *err)
{
	const sn_model_info *speaker = pairing_speaker(a->r->api, a->model);
	if (!speaker)
		return fault_set(err, SN_ERR_UNSUPPORTED, "modalities", "the model does not speak, and no speaker is paired with it (see `output_modalities` in GET /v1/models)");
	const sn_sampling *s = &b->chat.sampling;
	const narrator_ask ask = {.request_id = b->chat.request_id, .cache_key = b->chat.cache_key, .cache_salt = b->chat.cache_salt, .model = speaker->name,
	                          .voice = b->voice, .format = b->format, .tempo = 1, .temperature = -1, .seed = s->seed, .has_seed = s->has_seed,
	                          .whole = !b->generation.stream, .timeout_ms = b->chat.timeout_ms};
	int rc = answer_voice_open(&a->voice, a->r->api->engine, &b->chat, &ask, err);
	if (rc != SN_OK && strcmp(err->param, "voice") == 0) /* as it is called here */
		snprintf(err->param, sizeof err->param, "audio.voice");
	return rc;
}

/* Where the template opens the model's thinking, the answer that has to fit begins behind it. */
static int let_think(answer *a, chat_body *b, sn_error *err)
{
	reasoning thinking = {0};
	if (!b->chat.sampling.grammar)
		return SN_OK;
	int rc = reasoning_begin(&thinking, a->r->api->engine, &b->chat, err);
	if (rc == SN_OK && thinking.inside) {
		b->chat.sampling.grammar_after = reasoning_end_mark(&thinking);
		b->chat.sampling.grammar_after_size = strlen(b->chat.sampling.grammar_after);
	}
	return rc;
}

static int submit(answer *a, sn_error *err)
{
	request *r = a->r;
	const char *data;
	size_t size;
	chat_body body;
	int rc = http_read_body(r->x, &data, &size, err);
	if (rc != SN_OK)
		return rc;
	media_reader reader = {.sources = r->api->media, .gone = client_gone, .ctx = r->x};
	const chat_limits limits = {.options = r->api->options, .media_bytes = MAX_MEDIA_BYTES, .engine = r->api->engine, .reader = &reader};
	rc = chat_body_parse(&body, data, size, &limits, err);
	http_release_body(r->x);
	if (rc != SN_OK)
		return rc;
	body.chat.request_id = http_request_id(r->x);
	body.chat.cache_key = *r->caller ? r->caller : NULL;
	body.chat.timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000);
	rc = answer_begin(a, &body.generation, 1, err);
	if (rc == SN_OK && body.speaks)
		rc = open_voice(a, &body, err);
	if (rc == SN_OK)
		rc = let_think(a, &body, err);
	if (rc == SN_OK)
		rc = sn_chat_submit(r->api->engine, &body.chat, &a->requests[0], err);
	chat_body_fini(&body);
	return rc;
}

void chat_endpoint(request *r)
{
	answer_endpoint(r, &chat_form, submit);
}
