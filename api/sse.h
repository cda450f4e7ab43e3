/* sse.h - server-sent events: `data: <one line of JSON>` and an empty line; the last one is [DONE]. */
#ifndef API_SSE_H
#define API_SSE_H

#include "http.h"

bool sse_begin(http_exchange *x);
/* json holds no line break: out_json escapes them. */
bool sse_event(http_exchange *x, const out_buf *json);
void sse_done(http_exchange *x);

#endif
