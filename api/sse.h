/* sse.h - server-sent events: `data: <one line of JSON>` and an empty line; the last one is [DONE]. */
#ifndef API_SSE_H
#define API_SSE_H

#include "http.h"

bool sse_begin(http_exchange *x);
/* json holds no line break: out_json escapes them. */
bool sse_event(http_exchange *x, const out_buf *json);
void sse_done(http_exchange *x);
/* The stream's end where it failed: an event that says why, then [DONE]; it counts as failed. False: the client is gone. */
bool sse_fail(http_exchange *x, const sn_error *why);

#endif
