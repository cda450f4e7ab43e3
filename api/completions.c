/* completions.c - POST /v1/completions: each prompt is a request of the engine; the answer (answer.h) is one. */
#include <stdlib.h>

#include "completion_parse.h"
#include "fault.h"
#include "forms.h"

static int echo_prompt(answer *a, size_t i, const prompt *p, const char *model, sn_error *err)
{
	char *text = NULL;
	size_t size;
	if (p->text) {
		out_bytes(&a->echo[i], p->text, p->size);
	} else {
		int rc = sn_detokenize(a->r->api->engine, model, p->ids, p->n_ids, &text, &size, err);
		if (rc != SN_OK) {
			snprintf(err->param, sizeof err->param, "%s", rc == SN_ERR_INVALID ? "prompt" : err->param);
			return rc;
		}
		out_bytes(&a->echo[i], text, size);
		free(text);
	}
	return a->echo[i].failed ? fault_set(err, SN_ERR_NOMEM, "prompt", "no memory for the prompt") : SN_OK;
}

static int submit_all(answer *a, const completion_body *b, sn_error *err)
{
	const api *server = a->r->api;
	sn_completion c = {.request_id = http_request_id(a->r->x), .model = b->generation.model,
	                   .cache_key = *a->r->caller ? a->r->caller : NULL, .cache_salt = b->generation.cache_salt,
	                   .add_special_tokens = b->add_special_tokens, .sampling = b->generation.sampling,
	                   .timeout_ms = (uint32_t)(server->options->request_timeout_s * 1000)};
	for (size_t i = 0; i < b->n_prompts; i++) {
		const prompt *p = &b->prompts[i];
		int rc = b->echo ? echo_prompt(a, i, p, b->generation.model, err) : SN_OK;
		c.text = p->text;
		c.size = p->size;
		c.ids = p->ids;
		c.n_ids = p->n_ids;
		if (rc == SN_OK)
			rc = sn_completion_submit(server->engine, &c, &a->requests[i], err);
		if (rc != SN_OK)
			return rc;
	}
	return SN_OK;
}

static int submit(answer *a, sn_error *err)
{
	const char *data;
	size_t size;
	completion_body body;
	int rc = http_read_body(a->r->x, &data, &size, err);
	if (rc != SN_OK)
		return rc;
	rc = completion_body_parse(&body, data, size, err);
	http_release_body(a->r->x);
	if (rc != SN_OK)
		return rc;
	rc = answer_begin(a, &body.generation, body.n_prompts, err);
	if (rc == SN_OK)
		rc = submit_all(a, &body, err);
	completion_body_fini(&body);
	return rc;
}

void completions_endpoint(request *r)
{
	answer_endpoint(r, &completion_form, submit);
}
