/* http.h - one request and its one answer. http.c is the only file that sees civetweb, and uses it as a connection
 * layer: no document root, no handlers but ours, framing checked again (framing.h), total deadlines (watch.h).
 *
 *   handle(ctx, x):  look at http_method/path/header -> http_read_body -> http_send
 *                                                   or -> http_stream_begin, http_stream_write..., http_stream_end
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include "core.h"
#include "out.h"
#include "tls/tls.h"

typedef struct http_server http_server;
typedef struct http_exchange http_exchange;

typedef struct http_config {
	const char *address;  /* numeric */
	unsigned port;        /* 0: any */
	unsigned threads;     /* connections at once, more than 32; when they run short, those that wait for a request are closed */
	unsigned header_timeout_ms, body_timeout_ms, write_timeout_ms, keep_alive_ms;
	size_t max_body;      /* bytes of one body */
	size_t max_bodies;    /* bytes of all bodies in memory at once */
	const tls_table *tls_table; /* NULL: plain HTTP */
	tls *tls;             /* outlives the server */
	sn_log *log;
	void (*handle)(void *ctx, http_exchange *x); /* called on a connection's thread; must answer */
	void (*finished)(void *ctx, const char *route, int http_status); /* once per answer, after the log line; may be NULL */
	void *ctx;
} http_config;

/* SN_ERR_INVALID: the address; SN_ERR_QUEUE_FULL: the port is taken; else SN_ERR_IO. */
int http_open(http_server **out, const http_config *config, sn_error *err);
void http_close(http_server **server); /* ends every connection */
unsigned http_port(const http_server *server);
/* From now on connections are closed after the answer. */
void http_drain(http_server *server);

const char *http_method(const http_exchange *x);
const char *http_path(const http_exchange *x); /* as sent, neither decoded nor normalised, without the query */
const char *http_header(const http_exchange *x, const char *name);
const char *http_request_id(const http_exchange *x);
/* The label of the log line and the metrics; static text. */
void http_set_route(http_exchange *x, const char *route);

/* Reads the whole body. It stays valid, and counted against max_bodies, until it is released or the handler returns. */
int http_read_body(http_exchange *x, const char **data, size_t *size, sn_error *err);
void http_release_body(http_exchange *x);

/* One more response header, for the next http_send or http_stream_begin; values are ours, never the client's. */
void http_add_header(http_exchange *x, const char *name, const char *value);
void http_send(http_exchange *x, int http_status, const char *type, const char *body, size_t size);
void http_send_out(http_exchange *x, const char *type, const out_buf *body); /* 200, or 503 if memory ran out */
void http_send_error(http_exchange *x, const sn_error *err);

/* A 200 answer of unknown length. write returns false when the client is gone. */
bool http_stream_begin(http_exchange *x, const char *type);
bool http_stream_write(http_exchange *x, const char *data, size_t size);
void http_stream_end(http_exchange *x);
/* It failed although its head said 200: the log line and the counters have the status that it would have been. */
void http_stream_failed(http_exchange *x, const sn_error *why);
/* The stream cannot be told to its end, so it failed: the connection is closed without one, and the client sees that something lacks. */
void http_stream_cut(http_exchange *x, const sn_error *why);

bool http_client_gone(const http_exchange *x);
/* Counts an exchange that ends without an answer because nobody is there. */
void http_abandon(http_exchange *x);

#endif
