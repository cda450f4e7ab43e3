/* embeddings.c - POST /v1/embeddings: texts -> vectors, in OpenAI's shape. */
#include "admission.h"
#include "embeddings_parse.h"
#include "fault.h"

#define POLL_MS 100 /* how late a disconnect may be seen */

static void values_render(out_buf *o, const sn_embedding_event *ev, bool base64)
{
	if (base64) { /* values are as the machine has them: little-endian */
		out_text(o, "\"");
		out_base64(o, (const char *)ev->values, ev->n_values * sizeof *ev->values);
		out_text(o, "\"");
		return;
	}
	out_text(o, "[");
	for (size_t i = 0; i < ev->n_values; i++)
		out_fmt(o, i ? ",%.9g" : "%.9g", (double)ev->values[i]);
	out_text(o, "]");
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(float) == 4, "values_render sends floats as they are");

/* All vectors, in the order of their inputs. NONE: the client is gone. */
static sn_embedding_kind gather(request *r, sn_embedding *e, bool base64, out_buf *o, sn_embedding_event *ev)
{
	while (!http_client_gone(r->x)) {
		sn_embedding_kind kind = sn_embedding_next(e, POLL_MS, ev);
		if (kind == SN_EMBEDDING_DONE || kind == SN_EMBEDDING_ERROR)
			return kind;
		if (kind == SN_EMBEDDING_NONE)
			continue;
		out_fmt(o, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", ev->index ? "," : "", ev->index);
		values_render(o, ev, base64);
		out_text(o, "}");
	}
	return SN_EMBEDDING_NONE;
}

static const char *served_name(const api *a, const char *asked)
{
	const sn_model_info *models;
	return asked || !sn_engine_models(a->engine, &models) ? asked : models[0].name;
}

static void answer(request *r, sn_embedding *e, const embeddings_body *b)
{
	out_buf o = {0};
	sn_embedding_event ev;
	out_text(&o, "{\"object\":\"list\",\"data\":[");
	sn_embedding_kind kind = gather(r, e, b->base64, &o, &ev);
	if (kind == SN_EMBEDDING_NONE) {
		http_abandon(r->x);
	} else if (kind == SN_EMBEDDING_ERROR) {
		http_send_error(r->x, &ev.error);
	} else {
		unsigned long long n = ev.prompt_tokens;
		out_text(&o, "],\"model\":");
		out_json_text(&o, served_name(r->api, b->model));
		out_fmt(&o, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", n, n);
		http_send_out(r->x, "application/json", &o);
	}
	out_fini(&o);
}

void embeddings_endpoint(request *r)
{
	embeddings_body b = {0};
	sn_embedding *e = NULL;
	const char *data;
	size_t size;
	sn_error err;
	int rc = admission_enter(r->api, &err);
	if (rc == SN_OK)
		rc = http_read_body(r->x, &data, &size, &err);
	if (rc == SN_OK)
		rc = embeddings_body_parse(&b, data, size, &err);
	http_release_body(r->x);
	if (rc == SN_OK) {
		const sn_embedding_ask ask = {.request_id = http_request_id(r->x), .model = b.model, .cache_key = *r->caller ? r->caller : NULL,
		                              .cache_salt = b.cache_salt, .inputs = b.inputs, .n_inputs = b.n_inputs,
		                              .add_special_tokens = b.add_special_tokens, .dimensions = b.dimensions,
		                              .timeout_ms = (uint32_t)(r->api->options->request_timeout_s * 1000)};
		rc = sn_embedding_open(r->api->engine, &ask, &e, &err);
	}
	if (rc == SN_OK)
		answer(r, e, &b);
	else
		http_send_error(r->x, &err);
	sn_embedding_close(&e);
	embeddings_body_fini(&b);
	admission_leave(r->api);
}
