/* voices.c - GET /v1/audio/voices: of every model that speaks, and what else each can be asked for; beside them, as vLLM-Omni has it, the
 * names alone of the first. */
#include "api.h"
#include "fault.h"

static void names_render(out_buf *o, const sn_voice_info *voices, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		out_text(o, i ? "," : "");
		out_json_text(o, voices[i].name);
	}
}

static void voice_render(out_buf *o, const sn_voice_info *v, const char *model, uint32_t rate)
{
	out_text(o, o->size ? ",{\"object\":\"voice\",\"name\":" : "{\"object\":\"voice\",\"name\":");
	out_json_text(o, v->name);
	out_text(o, ",\"language\":");
	out_json_or_null(o, v->language);
	out_text(o, ",\"model\":");
	out_json_text(o, model);
	out_fmt(o, ",\"sample_rate\":%u}", rate);
}

/* By the names of the request's fields. */
static void skills_render(out_buf *o, const sn_speech_skills *s, const char *model)
{
	out_text(o, o->size ? ",{\"model\":" : "{\"model\":");
	out_json_text(o, model);
	out_text(o, ",\"languages\":[");
	for (size_t i = 0; i < s->n_languages; i++) {
		out_text(o, i ? ",{\"name\":" : "{\"name\":");
		out_json_text(o, s->languages[i].name);
		out_text(o, ",\"code\":");
		out_json_text(o, s->languages[i].code);
		out_text(o, "}");
	}
	out_fmt(o, "],\"instructions\":%s,\"ref_audio\":%s}", s->instructions ? "true" : "false", s->reference ? "true" : "false");
}

void voices_endpoint(request *r)
{
	const sn_model_info *models;
	const sn_voice_info *voices = NULL;
	sn_error err;
	uint32_t rate;
	if (!atomic_load(&r->api->loaded)) {
		fault_set(&err, SN_ERR_DRAINING, NULL, "the model is still loading");
		http_send_error(r->x, &err);
		return;
	}
	out_buf data = {0}, names = {0}, skills = {0}, o = {0};
	for (size_t i = 0, n = sn_engine_models(r->api->engine, &models); i < n; i++) {
		size_t n_voices = models[i].speaks ? sn_engine_voices(r->api->engine, models[i].name, &voices, &rate) : 0;
		for (size_t k = 0; k < n_voices; k++)
			voice_render(&data, &voices[k], models[i].name, rate);
		if (!names.size)
			names_render(&names, voices, n_voices);
		sn_speech_skills s;
		if (n_voices && sn_engine_speech_skills(r->api->engine, models[i].name, &s))
			skills_render(&skills, &s, models[i].name);
	}
	out_text(&o, "{\"object\":\"list\",\"data\":[");
	out_bytes(&o, data.data, data.size);
	out_text(&o, "],\"voices\":[");
	out_bytes(&o, names.data, names.size);
	out_text(&o, "],\"models\":[");
	out_bytes(&o, skills.data, skills.size);
	out_text(&o, "]}");
	o.failed |= data.failed || names.failed || skills.failed;
	http_send_out(r->x, "application/json", &o);
	out_fini(&data);
	out_fini(&names);
	out_fini(&skills);
	out_fini(&o);
}
