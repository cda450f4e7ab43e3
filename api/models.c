/* models.c - GET /v1/models and /v1/models/{id} */
#include <string.h>

#include "api.h"
#include "fault.h"
#include "pairing.h"

static void model_render(out_buf *o, const api *a, const sn_model_info *m)
{
	out_text(o, "{\"id\":");
	out_json_text(o, m->name);
	out_fmt(o, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"sensorium\",\"max_model_len\":%u,\"architecture\":",
	        (long long)m->created, m->max_model_len);
	out_json_text(o, m->architecture);
	/* One that transcribes has no chat: text is not what it takes. */
	out_text(o, m->transcribes ? ",\"input_modalities\":[" : ",\"input_modalities\":[\"text\"");
	for (size_t i = 0; i < sizeof m->modalities / sizeof *m->modalities && m->modalities[i]; i++) {
		out_text(o, i || !m->transcribes ? "," : "");
		out_json_text(o, m->modalities[i]);
	}
	const char *gives = m->embeds_only ? "\"embedding\"" : m->speaks ? "\"audio\"" : m->transcribes || !pairing_speaker(a, m->name) ? "\"text\"" : "\"text\",\"audio\"";
	out_fmt(o, "],\"output_modalities\":[%s],\"transcribes\":%s,\"speaks\":%s}", gives, m->transcribes ? "true" : "false",
	        m->speaks ? "true" : "false");
}

static bool refuse_while_loading(request *r)
{
	sn_error err;
	if (atomic_load(&r->api->loaded))
		return false;
	fault_set(&err, SN_ERR_DRAINING, NULL, "the model is still loading");
	http_send_error(r->x, &err);
	return true;
}

void models_list_endpoint(request *r)
{
	if (refuse_while_loading(r))
		return;
	const sn_model_info *models;
	size_t n = sn_engine_models(r->api->engine, &models);
	out_buf o = {0};
	out_text(&o, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n; i++) {
		out_text(&o, i ? "," : "");
		model_render(&o, r->api, &models[i]);
	}
	out_text(&o, "]}");
	http_send_out(r->x, "application/json", &o);
	out_fini(&o);
}

void models_get_endpoint(request *r)
{
	if (refuse_while_loading(r))
		return;
	const sn_model_info *models;
	size_t n = sn_engine_models(r->api->engine, &models), i = 0;
	while (i < n && strcmp(models[i].name, r->tail) != 0)
		i++;
	if (i == n) {
		sn_error err;
		fault_set(&err, SN_ERR_NOT_FOUND, "model", "there is no such model here");
		http_send_error(r->x, &err);
		return;
	}
	out_buf o = {0};
	model_render(&o, r->api, &models[i]);
	http_send_out(r->x, "application/json", &o);
	out_fini(&o);
}
