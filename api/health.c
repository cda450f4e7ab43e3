/* health.c - /livez: the process and its engine thread still move. /readyz: send work here. /metrics.
 * None of them waits for the queue. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "fault.h"

static void answer(request *r, bool good, const char *word)
{
	char body[64];
	int n = snprintf(body, sizeof body, "{\"status\":\"%s\"}", word);
	if (!good)
		http_add_header(r->x, "Retry-After", "1");
	http_send(r->x, good ? 200 : 503, "application/json", body, (size_t)n);
}

void livez_endpoint(request *r)
{
	/* While a model loads there is no engine thread yet, and that is fine. */
	bool live = !atomic_load(&r->api->loaded) || sn_engine_health(r->api->engine).live;
	answer(r, live, live ? "live" : "stuck");
}

void readyz_endpoint(request *r)
{
	if (atomic_load(&r->api->draining))
		answer(r, false, "draining");
	else if (!atomic_load(&r->api->loaded))
		answer(r, false, "loading");
	else if (!sn_engine_health(r->api->engine).ready)
		answer(r, false, "not ready");
	else
		answer(r, true, "ready");
}

void metrics_endpoint(request *r)
{
	char *text = NULL;
	size_t size = 0;
	sn_error err;
	FILE *to = open_memstream(&text, &size);
	if (!to) {
		fault_set(&err, SN_ERR_NOMEM, NULL, "no memory for the answer");
		http_send_error(r->x, &err);
		return;
	}
	stats_render(&r->api->stats, to);
	fprintf(to, "# HELP sensorium_http_requests_in_flight Chat and completion requests being answered.\n"
	            "# TYPE sensorium_http_requests_in_flight gauge\nsensorium_http_requests_in_flight %u\n",
	        atomic_load(&r->api->in_flight));
	sn_status rc = atomic_load(&r->api->loaded) ? sn_engine_metrics(r->api->engine, to) : SN_OK;
	if (fclose(to) != 0)
		rc = SN_ERR_NOMEM;
	if (rc == SN_OK) {
		http_send(r->x, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
	} else {
		fault_set(&err, rc, NULL, "the metrics could not be written");
		http_send_error(r->x, &err);
	}
	free(text);
}
