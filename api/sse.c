#include "sse.h"

#include "fault.h"

bool sse_begin(http_exchange *x)
{
	http_add_header(x, "X-Accel-Buffering", "no"); /* a proxy must not hold tokens back */
	return http_stream_begin(x, "text/event-stream; charset=utf-8");
}

bool sse_event(http_exchange *x, const out_buf *json)
{
	out_buf o = {0};
	out_text(&o, "data: ");
	out_bytes(&o, json->data, json->size);
	out_text(&o, "\n\n");
	bool ok = !json->failed && !o.failed && http_stream_write(x, o.data, o.size);
	out_fini(&o);
	return ok;
}

void sse_done(http_exchange *x)
{
	static const char done[] = "data: [DONE]\n\n";
	http_stream_write(x, done, sizeof done - 1);
	http_stream_end(x);
}

bool sse_fail(http_exchange *x, const sn_error *why)
{
	out_buf o = {0};
	fault_render(&o, why);
	bool here = sse_event(x, &o);
	out_fini(&o);
	if (!here)
		return false;
	sse_done(x);
	http_stream_failed(x, why);
	return true;
}
