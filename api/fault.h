/* fault.h - every way a request can fail, as one table: HTTP status, OpenAI's type and code.
 *
 * Texts are fixed wording of ours: never a byte of the client's, a pointer or a path of the server.
 */
#ifndef API_FAULT_H
#define API_FAULT_H

#include "core.h"
#include "out.h"

/* Failures that HTTP knows and core does not. They share sn_error.status's field, above core's own values. */
enum fault {
	FAULT_UNAUTHORIZED = 1000, /* 401 */
	FAULT_FORBIDDEN,           /* 403 */
	FAULT_NO_ROUTE,            /* 404 */
	FAULT_METHOD,              /* 405 */
	FAULT_TIMEOUT,             /* 408: the client was too slow */
	FAULT_CONTENT_TYPE,        /* 415 */
	FAULT_EXPECTATION,         /* 417 */
	FAULT_HEADERS,             /* 431 */
	FAULT_HTTP_VERSION,        /* 505 */
	FAULT_MEDIA_REFUSED,       /* 422: a media URL was fetched and leads to nothing usable */
	FAULT_MEDIA_UNAVAILABLE,   /* 503: a media URL could not be fetched, but may be later */
	FAULT_CLIENT_GONE          /* 499: nobody to answer, counted only */
};

/* Fills err and returns status, so that callers can write: return fault_set(...). err may be NULL. */
int fault_set(sn_error *err, int status, const char *param, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

int fault_http_status(int status);
/* Seconds a client should wait before it tries again, 0 if trying again is no use. */
unsigned fault_retry_after(int status);
/* The ways there are, i = 0..; false behind the last. code may be NULL. */
bool fault_at(size_t i, int *http, const char **type, const char **code);
/* OpenAI's error object: {"error":{"message","type","param","code"}} */
void fault_render(out_buf *o, const sn_error *err);

#endif
