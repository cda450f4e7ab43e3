#include "http.h"

#include <civetweb.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "fault.h"
#include "framing.h"
#include "port.h"
#include "watch.h"

#define MAX_HEADER_BYTES "16384"
#define THREAD_STACK (1024 * 1024)
#define BODY_STEP (64 * 1024)
#define LINGER_BYTES (64u << 20) /* of a refused body, read so that the client sees the answer and not a reset */
#define LINGER_MS 2000
#define FREE_THREADS 16 /* for connections that come while others are shut down to make room */
#define KEPT_THREADS 32 /* of which no body is waited for, whatever its route: so that there are always threads for all else */
#define CROWD_LOG_MS 1000
#define CROWDED "too many connections at once; try again later"

struct http_server {
	struct mg_context *mg;
	http_config config;
	watch *watch;
	unsigned port;
	atomic_bool draining;
	atomic_size_t body_bytes;
	atomic_uint working; /* exchanges in their handlers */
	atomic_llong crowd_logged_ms;
};

struct http_exchange {
	http_server *server;
	struct mg_connection *conn;
	const struct mg_request_info *info; /* NULL if the request could not be read */
	watch_conn *watched;
	framing framing;
	char request_id[65];
	char extra[256]; /* response headers added by the handler */
	const char *route;
	struct timespec start;
	char *body;
	size_t body_size, body_cap;
	uint64_t sent;  /* bytes of the answer's body */
	int status;     /* HTTP; 0 until answered */
	bool body_read, keep_alive, chunked_out, broken;
	bool failed;    /* in mid-stream */
};

/* ---- looking at the request --------------------------------------------------------------------------------- */

const char *http_method(const http_exchange *x)
{
	return x->info->request_method;
}

const char *http_path(const http_exchange *x)
{
	return x->info->local_uri_raw;
}

const char *http_header(const http_exchange *x, const char *name)
{
	return x->info ? mg_get_header(x->conn, name) : NULL;
}

const char *http_request_id(const http_exchange *x)
{
	return x->request_id;
}

void http_set_route(http_exchange *x, const char *route)
{
	x->route = route;
}

/* The client's id if it is short and plain, so that it may go into headers and the log as it is; else ours. */
static void request_id_choose(http_exchange *x)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *given = http_header(x, "X-Request-Id");
	size_t n = given ? strlen(given) : 0;
	if (n && n < sizeof x->request_id && strspn(given, plain) == n) {
		memcpy(x->request_id, given, n + 1);
		return;
	}
	unsigned char raw[12];
	randombytes_buf(raw, sizeof raw);
	memcpy(x->request_id, "req-", 4);
	sodium_bin2hex(x->request_id + 4, sizeof x->request_id - 4, raw, sizeof raw);
}

/* ---- the body ------------------------------------------------------------------------------------------------ */

static int body_reserve(http_exchange *x, size_t want, sn_error *err)
{
	if (want <= x->body_cap)
		return SN_OK;
	size_t grown = x->body_cap ? x->body_cap * 2 : BODY_STEP;
	if (grown > x->server->config.max_body + 1)
		grown = x->server->config.max_body + 1;
	if (grown < want)
		grown = want;
	size_t more = grown - x->body_cap;
	if (atomic_fetch_add(&x->server->body_bytes, more) + more > x->server->config.max_bodies) {
		atomic_fetch_sub(&x->server->body_bytes, more);
		return fault_set(err, SN_ERR_QUEUE_FULL, NULL, "too many large requests at once; try again later");
	}
	char *data = realloc(x->body, grown);
	if (!data) {
		atomic_fetch_sub(&x->server->body_bytes, more);
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the body");
	}
	x->body = data;
	x->body_cap = grown;
	return SN_OK;
}

static int body_incomplete(http_exchange *x, sn_error *err)
{
	if (!watch_disarm(x->watched))
		return fault_set(err, FAULT_TIMEOUT, NULL, "the body did not arrive in time");
	if (watch_crowded_out(x->watched)) /* just before it began to work */
		return fault_set(err, SN_ERR_QUEUE_FULL, NULL, CROWDED);
	if (watch_peer_gone(x->watched))
		return fault_set(err, x->framing.chunked ? SN_ERR_INVALID : FAULT_CLIENT_GONE, NULL, "the body was cut off");
	if (x->framing.chunked)
		return fault_set(err, SN_ERR_INVALID, NULL, "the chunked body is malformed");
	return fault_set(err, FAULT_TIMEOUT, NULL, "the body did not arrive in time");
}

/* Memory follows the bytes that came, never the length that was announced. */
static int body_receive(http_exchange *x, sn_error *err)
{
	size_t max = x->server->config.max_body;
	for (;;) {
		uint64_t left = x->framing.chunked ? max + 1 - x->body_size : x->framing.length - x->body_size;
		if (left == 0)
			break;
		size_t want = left < BODY_STEP ? (size_t)left : BODY_STEP;
		int rc = body_reserve(x, x->body_size + want, err);
		if (rc != SN_OK)
			return rc;
		int n = mg_read(x->conn, x->body + x->body_size, want);
		if (n == 0 && x->framing.chunked)
			break;
		if (n <= 0)
			return body_incomplete(x, err);
		x->body_size += (size_t)n;
		if (x->body_size > max)
			return fault_set(err, SN_ERR_TOO_LARGE, NULL, "the body is larger than %zu bytes", max);
		if (x->framing.chunked && (size_t)n < want)
			break;
	}
	return SN_OK;
}

int http_read_body(http_exchange *x, const char **data, size_t *size, sn_error *err)
{
	const http_config *config = &x->server->config;
	if (x->framing.length > config->max_body)
		return fault_set(err, SN_ERR_TOO_LARGE, NULL, "the body is larger than %zu bytes", config->max_body);
	if (atomic_load(&x->server->working) > config->threads - KEPT_THREADS)
		return fault_set(err, SN_ERR_QUEUE_FULL, NULL, "too many requests at once; try again later");
	if (x->framing.expect_continue) {
		static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
		mg_write(x->conn, go, sizeof go - 1);
		x->framing.expect_continue = false;
	}
	watch_arm(x->watched, WATCH_READ, config->body_timeout_ms);
	int rc = body_receive(x, err);
	if (!watch_disarm(x->watched) && rc == SN_OK)
		rc = fault_set(err, FAULT_TIMEOUT, NULL, "the body did not arrive in time");
	if (rc != SN_OK)
		return rc;
	x->body_read = true;
	*data = x->body ? x->body : "";
	*size = x->body_size;
	return SN_OK;
}

void http_release_body(http_exchange *x)
{
	atomic_fetch_sub(&x->server->body_bytes, x->body_cap);
	free(x->body);
	x->body = NULL;
	x->body_cap = 0;
}

/* ---- the answer ---------------------------------------------------------------------------------------------- */

/* civetweb gives up on a stalled write after its header time-out; we go on until ours. */
static bool wire_write(http_exchange *x, const char *data, size_t size)
{
	if (x->broken)
		return false;
	watch_arm(x->watched, WATCH_BOTH, x->server->config.write_timeout_ms);
	for (size_t done = 0; done < size;) {
		int n = mg_write(x->conn, data + done, size - done);
		if (n > 0)
			done += (size_t)n;
		else if (!x->watched || watch_fired(x->watched) || watch_peer_gone(x->watched)) {
			x->broken = true;
			break;
		}
	}
	if (!watch_disarm(x->watched))
		x->broken = true;
	return !x->broken;
}

void http_add_header(http_exchange *x, const char *name, const char *value)
{
	size_t n = strlen(x->extra);
	int m = snprintf(x->extra + n, sizeof x->extra - n, "%s: %s\r\n", name, value);
	if (m < 0 || (size_t)m >= sizeof x->extra - n)
		x->extra[n] = 0;
}

/* A body that nobody read would be taken for the next request. */
static bool must_close(const http_exchange *x)
{
	bool unread = !x->body_read && (x->framing.length || x->framing.chunked);
	return unread || !x->framing.keep_alive || atomic_load(&x->server->draining) || watch_fired(x->watched) ||
	       watch_crowded_out(x->watched);
}

static const char *reason(int status)
{
	switch (status) { /* those that civetweb does not know, or words otherwise */
	case 431: return "Request Header Fields Too Large";
	case 413: return "Content Too Large";
	default: return mg_get_response_code_text(NULL, status);
	}
}

static void head_render(http_exchange *x, out_buf *o, int status, const char *type)
{
	x->status = status;
	x->keep_alive = !must_close(x);
	if (!x->keep_alive)
		mg_disable_connection_keep_alive(x->conn);
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	out_fmt(o, "HTTP/1.1 %d %s\r\nDate: %s\r\nx-request-id: %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
	           "X-Content-Type-Options: nosniff\r\nConnection: %s\r\n%s",
	        status, reason(status), date, x->request_id, type, x->keep_alive ? "keep-alive" : "close", x->extra);
}

void http_send(http_exchange *x, int status, const char *type, const char *body, size_t size)
{
	if (x->status)
		return;
	out_buf head = {0};
	head_render(x, &head, status, type);
	out_fmt(&head, "Content-Length: %zu\r\n\r\n", size);
	bool only_head = x->info && strcmp(x->info->request_method, "HEAD") == 0;
	if (!only_head && size < BODY_STEP) { /* one segment where it fits */
		out_bytes(&head, body, size);
		only_head = true;
		x->sent = size;
	}
	if (head.failed)
		x->broken = true;
	else if (wire_write(x, head.data, head.size) && !only_head && wire_write(x, body, size))
		x->sent = size;
	out_fini(&head);
}

void http_send_error(http_exchange *x, const sn_error *err)
{
	out_buf body = {0};
	unsigned retry = fault_retry_after(err->status);
	if ((int)err->status == FAULT_CLIENT_GONE) {
		http_abandon(x);
		return;
	}
	if (retry) {
		char text[32];
		snprintf(text, sizeof text, "%u", retry);
		http_add_header(x, "Retry-After", text);
		snprintf(text, sizeof text, "%u", retry * 1000);
		http_add_header(x, "retry-after-ms", text);
	}
	fault_render(&body, err);
	http_send(x, fault_http_status(err->status), "application/json", body.failed ? "" : body.data, body.failed ? 0 : body.size);
	out_fini(&body);
}

void http_send_out(http_exchange *x, const char *type, const out_buf *body)
{
	sn_error err;
	if (body->failed) {
		fault_set(&err, SN_ERR_NOMEM, NULL, "no memory for the answer");
		http_send_error(x, &err);
		return;
	}
	http_send(x, 200, type, body->size ? body->data : "", body->size);
}

bool http_stream_begin(http_exchange *x, const char *type)
{
	out_buf head = {0};
	x->chunked_out = strcmp(x->info->http_version, "1.1") == 0; /* 1.0: the end of the connection is the end */
	head_render(x, &head, 200, type);
	out_text(&head, x->chunked_out ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
	if (head.failed)
		x->broken = true;
	else
		wire_write(x, head.data, head.size);
	out_fini(&head);
	return !x->broken;
}

bool http_stream_write(http_exchange *x, const char *data, size_t size)
{
	if (!x->chunked_out) {
		x->sent += size;
		return wire_write(x, data, size);
	}
	if (size == 0) /* would end the stream */
		return !x->broken;
	out_buf chunk = {0};
	out_fmt(&chunk, "%zx\r\n", size);
	out_bytes(&chunk, data, size);
	out_text(&chunk, "\r\n");
	if (chunk.failed)
		x->broken = true;
	else if (wire_write(x, chunk.data, chunk.size))
		x->sent += size;
	out_fini(&chunk);
	return !x->broken;
}

void http_stream_end(http_exchange *x)
{
	if (x->chunked_out)
		wire_write(x, "0\r\n\r\n", 5);
}

void http_stream_failed(http_exchange *x, const sn_error *why)
{
	x->status = fault_http_status(why->status);
	x->failed = true;
	sn_log_write(x->server->config.log, SN_LOG_WARN, "http", x->request_id, "a stream failed: %s", why->text);
}

void http_stream_cut(http_exchange *x, const sn_error *why)
{
	http_stream_failed(x, why);
	x->keep_alive = x->chunked_out = false;
	mg_disable_connection_keep_alive(x->conn);
}

bool http_client_gone(const http_exchange *x)
{
	return x->broken || watch_peer_gone(x->watched);
}

void http_abandon(http_exchange *x)
{
	x->broken = true;
	x->status = fault_http_status(FAULT_CLIENT_GONE);
	mg_disable_connection_keep_alive(x->conn);
}

/* ---- one exchange -------------------------------------------------------------------------------------------- */

static void exchange_init(http_exchange *x, struct mg_connection *conn)
{
	*x = (http_exchange){.conn = conn, .server = mg_get_user_data(mg_get_context(conn)), .route = "-"};
	x->watched = mg_get_user_connection_data(conn);
	clock_gettime(CLOCK_MONOTONIC, &x->start);
}

/* Reads on for a moment: closing a socket with unread bytes resets it, and the client would lose the answer. */
static void linger(http_exchange *x)
{
	char sink[8192];
	bool unread = !x->body_read && (x->framing.length || x->framing.chunked);
	if (!unread || x->broken || watch_fired(x->watched) || x->framing.expect_continue)
		return;
	watch_wait(x->watched, LINGER_MS); /* it has its answer: its thread may go to another */
	for (size_t total = 0; total < LINGER_BYTES;) {
		int n = mg_read(x->conn, sink, sizeof sink);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	watch_disarm(x->watched);
}

static void exchange_fini(http_exchange *x)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	double ms = (double)(now.tv_sec - x->start.tv_sec) * 1e3 + (double)(now.tv_nsec - x->start.tv_nsec) / 1e6;
	const http_config *config = &x->server->config;
	sn_log_write(config->log, SN_LOG_INFO, "http", x->request_id, "%s %s %d %.1f ms %llu bytes%s",
	             x->info ? x->info->request_method : "-", x->route, x->status, ms, (unsigned long long)x->sent,
	             x->broken ? " (client gone)" : x->failed ? " (in mid-stream)" : "");
	if (config->finished)
		config->finished(config->ctx, x->route, x->status);
	linger(x);
	/* A next request: civetweb waits keep_alive_ms for its first byte, and that it comes in pieces is bounded here. */
	watch_wait(x->watched, config->keep_alive_ms + config->header_timeout_ms);
}

static int refuse_connection(http_exchange *x, const sn_error *err)
{
	x->framing.keep_alive = false;
	http_send_error(x, err);
	return x->status;
}

static int check_framing(http_exchange *x, sn_error *err)
{
	framing_header headers[MG_MAX_HEADERS];
	size_t n = (size_t)x->info->num_headers;
	if (n >= MG_MAX_HEADERS) /* civetweb drops the rest, and with it perhaps a length */
		return fault_set(err, FAULT_HEADERS, NULL, "more than %d header lines", MG_MAX_HEADERS - 1);
	for (size_t i = 0; i < n; i++)
		headers[i] = (framing_header){x->info->http_headers[i].name, x->info->http_headers[i].value};
	return framing_parse(&x->framing, x->info->http_version, headers, n, err);
}

static int on_request(struct mg_connection *conn)
{
	http_exchange x;
	sn_error err;
	exchange_init(&x, conn);
	x.info = mg_get_request_info(conn);
	watch_work(x.watched);
	request_id_choose(&x);
	if (check_framing(&x, &err) != SN_OK) {
		/* What follows is not a request of anybody's: nothing of it is read. */
		refuse_connection(&x, &err);
		x.framing = (framing){0};
	} else {
		atomic_fetch_add(&x.server->working, 1);
		x.server->config.handle(x.server->config.ctx, &x);
		atomic_fetch_sub(&x.server->working, 1);
		if (!x.status) {
			fault_set(&err, SN_ERR_INTERNAL, NULL, "the handler gave no answer");
			http_send_error(&x, &err);
		}
	}
	exchange_fini(&x);
	http_release_body(&x);
	if (!x.keep_alive || x.broken)
		mg_disable_connection_keep_alive(conn);
	return x.status;
}

/* civetweb says "malformed" for headers that it stopped waiting for as well. */
static unsigned header_patience_ms(const http_server *s)
{
	return s->config.keep_alive_ms < s->config.header_timeout_ms ? s->config.keep_alive_ms : s->config.header_timeout_ms;
}

/* A request that civetweb itself could not read. It closes the connection afterwards. */
static int on_unreadable(struct mg_connection *conn, int status, const char *text)
{
	http_exchange x;
	sn_error err;
	(void)text;
	exchange_init(&x, conn);
	request_id_choose(&x);
	if (watch_crowded_out(x.watched))
		fault_set(&err, SN_ERR_QUEUE_FULL, NULL, CROWDED);
	else if (watch_fired(x.watched) || watch_age_ms(x.watched) >= header_patience_ms(x.server))
		fault_set(&err, FAULT_TIMEOUT, NULL, "the request did not arrive in time");
	else if (status == 413 || status == 414)
		fault_set(&err, FAULT_HEADERS, NULL, "the request line and headers are larger than %s bytes", MAX_HEADER_BYTES);
	else if (status == 505)
		fault_set(&err, FAULT_HTTP_VERSION, NULL, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	else if (status >= 500)
		fault_set(&err, SN_ERR_INTERNAL, NULL, "the request could not be handled");
	else
		fault_set(&err, SN_ERR_INVALID, NULL, "this is not a well-formed HTTP request");
	refuse_connection(&x, &err);
	exchange_fini(&x);
	return 0;
}

/* For the watch. civetweb wrote the addresses before on_connection, leaves them until on_connection_close, and shows them from the
 * moment when it begins to wait for the request. */
static bool locate(const void *conn, watch_address *out)
{
	const struct mg_request_info *info = mg_get_request_info(conn);
	if (info)
		*out = (watch_address){info->remote_addr, info->remote_port, info->server_port};
	return info != NULL;
}

static void log_crowd(http_server *s)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	long long now = (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, last = atomic_load(&s->crowd_logged_ms);
	if (now - last >= CROWD_LOG_MS && atomic_compare_exchange_strong(&s->crowd_logged_ms, &last, now))
		sn_log_write(s->config.log, SN_LOG_WARN, "http", NULL, "more connections than threads: those that wait longest are closed");
}

static int on_connection(const struct mg_connection *conn, void **data)
{
	http_server *s = mg_get_user_data(mg_get_context(conn));
	bool crowded;
	*data = watch_add(s->watch, conn, s->config.header_timeout_ms, &crowded);
	if (crowded)
		log_crowd(s);
	return 0;
}

static void on_connection_close(const struct mg_connection *conn)
{
	watch_conn *c = mg_get_user_connection_data(conn);
	watch_remove(&c);
}

/* A handshake that fails is its client's affair. */
static int on_log(const struct mg_connection *conn, const char *message)
{
	http_server *s = mg_get_user_data(mg_get_context(conn));
	bool handshake = strncmp(message, "sslize", 6) == 0 || strncmp(message, "SSL syscall", 11) == 0;
	if (s)
		sn_log_write(s->config.log, handshake ? SN_LOG_INFO : SN_LOG_WARN, "http", NULL, "%s", message);
	return 1;
}

/* ---- TLS ----------------------------------------------------------------------------------------------------- */

static void *on_handshake(void *ctx, int fd)
{
	http_server *s = ctx;
	bool crowded;
	watch_conn *c = watch_add_fd(s->watch, fd, s->config.header_timeout_ms, &crowded);
	if (crowded)
		log_crowd(s);
	return c;
}

static void on_handshake_over(void *handshake)
{
	watch_conn *c = handshake;
	watch_remove(&c);
}

/* civetweb asks before it starts and when it has ended: the context is ours both times. */
static int on_tls_context(void **ctx, void *user)
{
	const http_server *s = user;
	*ctx = s->config.tls_table->context(s->config.tls);
	return 1;
}

static bool init_civetweb(http_server *s)
{
	unsigned features = s->config.tls ? MG_FEATURES_TLS : 0;
	if (s->config.tls)
		s->config.tls_table->watch(s->config.tls, &(tls_hooks){s, on_handshake, on_handshake_over});
	return mg_init_library(features) == features;
}

/* ---- the server ---------------------------------------------------------------------------------------------- */

static struct mg_context *start_civetweb(http_server *s)
{
	/* Without log_access and a file for it civetweb writes no access log; ours is in exchange_fini. */
	struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.http_error = on_unreadable,
		.init_connection = on_connection,
		.connection_close = on_connection_close,
		.log_message = on_log,
	};
	if (s->config.tls)
		callbacks.external_ssl_ctx = on_tls_context;
	bool is6 = strchr(s->config.address, ':') != NULL;
	char ports[96], threads[16], stall[16], keep[16];
	snprintf(ports, sizeof ports, is6 ? "[%s]:%u%s" : "%s:%u%s", s->config.address, s->config.port, s->config.tls ? "s" : "");
	snprintf(threads, sizeof threads, "%u", s->config.threads);
	snprintf(stall, sizeof stall, "%u", s->config.header_timeout_ms);
	snprintf(keep, sizeof keep, "%u", s->config.keep_alive_ms);
	const char *options[] = {
		"listening_ports", ports, "num_threads", threads, "connection_queue", "1024", "listen_backlog", "1024",
		"tcp_nodelay", "1", "enable_keep_alive", "yes", "keep_alive_timeout_ms", keep, "request_timeout_ms", stall,
		"max_request_size", MAX_HEADER_BYTES, "decode_url", "no", "enable_directory_listing", "no",
		"enable_auth_domain_check", "no", "allow_sendfile_call", "no", "access_control_allow_origin", "",
		"access_control_allow_methods", "", "access_control_allow_headers", "", NULL};

	/* civetweb's threads take the default stack, 8 MiB each; ours need little. */
	pthread_attr_t before, small;
	bool resized = pthread_getattr_default_np(&before) == 0 && pthread_attr_init(&small) == 0;
	if (resized) {
		pthread_attr_setstacksize(&small, THREAD_STACK);
		pthread_setattr_default_np(&small);
		pthread_attr_destroy(&small);
	}
	struct mg_context *mg = mg_start(&callbacks, s, options);
	if (resized) {
		pthread_setattr_default_np(&before);
		pthread_attr_destroy(&before);
	}
	return mg;
}

int http_open(http_server **out, const http_config *config, sn_error *err)
{
	int rc = port_probe(config->address, config->port, err);
	if (rc != SN_OK)
		return rc;
	http_server *s = calloc(1, sizeof *s);
	if (!s)
		return fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the HTTP server");
	s->config = *config;
	if (!watch_open(&s->watch, config->threads - FREE_THREADS, locate)) {
		rc = fault_set(err, SN_ERR_NOMEM, NULL, "no thread for the HTTP server");
		goto fail;
	}
	if (!init_civetweb(s)) {
		mg_exit_library();
		rc = fault_set(err, SN_ERR_IO, NULL, config->tls ? "the HTTP server's library has no TLS" : "the HTTP server did not start");
		goto fail;
	}
	s->mg = start_civetweb(s);
	struct mg_server_port port;
	if (!s->mg || mg_get_server_ports(s->mg, 1, &port) != 1) {
		rc = fault_set(err, SN_ERR_IO, NULL, "the HTTP server did not start");
		goto fail;
	}
	s->port = (unsigned)port.port;
	*out = s;
	return SN_OK;
fail:
	http_close(&s);
	return rc;
}

void http_close(http_server **ps)
{
	http_server *s = *ps;
	if (!s)
		return;
	if (s->watch)
		watch_stop_reading(s->watch);
	if (s->mg) {
		watch_stop_listening((int)s->port); /* else mg_stop waits for the next tick of its poll, 2 s */
		mg_stop(s->mg);
		mg_exit_library();
	}
	watch_close(&s->watch);
	free(s);
	*ps = NULL;
}

unsigned http_port(const http_server *s)
{
	return s->port;
}

void http_drain(http_server *s)
{
	atomic_store(&s->draining, true);
}
