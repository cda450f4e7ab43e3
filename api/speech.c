/* speech.c - POST /v1/audio/speech: body -> narrator -> bytes as they are made, or events with them in base64. */
#include "admission.h"
#include "fault.h"
#include "media_url.h"
#include "narrator.h"
#include "speech_parse.h"
#include "sse.h"

#define MAX_MEDIA_BYTES (20u << 20)
#define POLL_MS 100 /* how late a disconnect may be seen */

/* The next event that says something; NONE: the client is gone. */
static narrator_kind next_event(request *r, narrator *n, narrator_event *ev)
{
	while (!http_client_gone(r->x))
		if (narrator_next(n, POLL_MS, ev) != NARRATOR_NONE)
			return http_client_gone(r->x) ? NARRATOR_NONE : ev->kind;
	return NARRATOR_NONE;
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

static bool send_bytes(request *r, narrator *n, const speech_body *b, narrator_event *ev)
{
	char type[64];
	sound_format_content_type(b->format, narrator_rate(n), type);
	http_add_header(r->x, "X-Accel-Buffering", "no"); /* a proxy must not hold sound back */
	bool here = http_stream_begin(r->x, type);
	for (narrator_kind kind = ev->kind; here; kind = next_event(r, n, ev)) {
		if (kind == NARRATOR_NONE)
			return false;
		if (kind == NARRATOR_ERROR) {
			http_stream_cut(r->x, &ev->error);
			return true;
		}
		here = http_stream_write(r->x, ev->bytes, ev->size);
		if (kind == NARRATOR_DONE)
			break;
	}
	if (here)
		http_stream_end(r->x);
	return here;
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

static bool send_delta(request *r, const char *bytes, size_t size)
{
	out_buf o = {0};
	out_text(&o, "{\"type\":\"speech.audio.delta\",\"audio\":\"");
	out_base64(&o, bytes, size);
	out_text(&o, "\"}");
	bool here = sse_event(r->x, &o);
	out_fini(&o);
	return here;
}

static bool send_last(request *r, const narrator_event *ev)
{
	out_buf o = {0};
	if (ev->kind == NARRATOR_ERROR)
		return sse_fail(r->x, &ev->error);
	out_fmt(&o, "{\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u,\"total_tokens\":%llu}}",
	        ev->usage.prompt_tokens, ev->usage.completion_tokens, (unsigned long long)ev->usage.prompt_tokens + ev->usage.completion_tokens);
	bool here = sse_event(r->x, &o);
	out_fini(&o);
	if (here)
		sse_done(r->x);
	return here;
}

/* Deltas hold whole groups of three bytes but for the last, so that their base64 can also be joined before it is decoded. */
static bool send_events(request *r, narrator *n, narrator_event *ev)
{
	out_buf held = {0};
	bool here = sse_begin(r->x);
	while (here && ev->kind != NARRATOR_ERROR) {
		out_bytes(&held, ev->bytes, ev->size);
		size_t take = ev->kind == NARRATOR_DONE ? held.size : held.size / 3 * 3;
		here = !held.failed && (take == 0 || send_delta(r, held.data, take));
		out_drop(&held, take);
		if (ev->kind == NARRATOR_DONE)
			break;
		if (here)
			here = next_event(r, n, ev) != NARRATOR_NONE;
	}
	here = here && send_last(r, ev);
	out_fini(&held);
	return here;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* The headers wait for the first bytes, so that what fails before them is an HTTP status. */
static void send_sound(request *r, narrator *n, const speech_body *b)
{
	narrator_event ev = {.kind = NARRATOR_NONE};
	narrator_kind kind = next_event(r, n, &ev);
	if (kind == NARRATOR_DONE && ev.seconds == 0) {
		fault_set(&ev.error, SN_ERR_INVALID, "input", "nothing in the input can be spoken");
		kind = NARRATOR_ERROR;
	}
	if (kind == NARRATOR_ERROR)
		http_send_error(r->x, &ev.error);
	else if (kind == NARRATOR_NONE || !(b->events ? send_events(r, n, &ev) : send_bytes(r, n, b, &ev)))
		http_abandon(r->x);
}

static bool client_gone(void *x) { return http_client_gone(x); }

/* For a model that could not use it nothing is fetched. */
static int read_reference(media_bytes *out, request *r, const speech_body *b, sn_error *err)
{
	static const char param[] = "ref_audio";
	const speech_reference *ref = &b->reference;
	const sn_model_info *m;
	sn_speech_skills skills;
	int rc = narrator_model(&m, r->api->engine, b->model, err);
	if (rc != SN_OK)
		return rc;
	if (!sn_engine_speech_skills(r->api->engine, m->name, &skills) || !skills.reference)
		return fault_set(err, SN_ERR_UNSUPPORTED, param, "model %s does not speak in the voice of a recording", m->name);
	media_reader reader = {.sources = r->api->media, .gone = client_gone, .ctx = r->x};
	return ref->url ? media_url_read(&reader, out, ref->url, ref->size, MAX_MEDIA_BYTES, param, err)
	                : media_base64_read(out, "audio", ref->format, ref->data, ref->size, MAX_MEDIA_BYTES, param, err);
}

static int begin(narrator **n, request *r, speech_body *b, sn_error *err)
{
	const char *data;
	size_t size;
	media_bytes media = {.data = NULL};
	int rc = http_read_body(r->x, &data, &size, err);
	if (rc == SN_OK)
		rc = speech_body_parse(b, data, size, err);
	http_release_body(r->x);
	bool like = b->reference.url || b->reference.data;
	if (rc == SN_OK && like)
		rc = read_reference(&media, r, b, err);
	const sn_part recording = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = media.data, .size = media.size, .mime = media.mime[0] ? media.mime : NULL};
	const narrator_ask ask = {.request_id = http_request_id(r->x), .cache_key = *r->caller ? r->caller : NULL, .cache_salt = b->cache_salt,
	                          .model = b->model, .voice = b->voice, .language = b->language, .instructions = b->instructions,
	                          .instructions_size = b->instructions_size, .reference = like ? &recording : NULL, .format = b->format,
	                          .tempo = b->speed, .temperature = b->temperature, .seed = b->seed, .has_seed = b->has_seed,
	                          .timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000)};
	if (rc == SN_OK)
		rc = narrator_open(n, r->api->engine, &ask, err);
	media_bytes_fini(&media);
	if (rc == SN_OK)
		rc = narrator_say(*n, b->input, b->input_size, err);
	if (rc == SN_OK)
		narrator_finish(*n);
	return rc;
}

void speech_endpoint(request *r)
{
	speech_body b = {.root = NULL};
	narrator *n = NULL;
	sn_error err;
	int rc = admission_enter(r->api, &err);
	if (rc == SN_OK)
		rc = begin(&n, r, &b, &err);
	if (rc != SN_OK)
		http_send_error(r->x, &err);
	else
		send_sound(r, n, &b);
	narrator_close(&n);
	speech_body_fini(&b);
	admission_leave(r->api);
}
