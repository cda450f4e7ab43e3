/* cmd_serve.c - `sensorium serve`: bring everything up in order, wait for a signal, drain, take it down.
 *
 * The port opens before the model loads, so that /livez and /readyz answer from the start. Signals are blocked in all
 * threads and taken here, one at a time.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "api.h"
#include "commands.h"
#include "fault.h"
#include "pairing.h"
#include "routes.h"
#include "tls_files.h"

#define MAX_BODY (32u << 20)
#define MAX_BODIES ((size_t)512 << 20)
#define SPARE_THREADS 64  /* for health, lists and refusals while every other one works or waits */
#define SPARE_IN_FLIGHT 16 /* requests that the engine may refuse itself */
#define WATCH_TICK_MS 1000
#define DRAIN_TICK_MS 20
#define ABORT_MS 2000     /* for the last error events to reach their clients */

static int fail(sn_log *log, int code, const sn_error *err)
{
	sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err->text);
	return code;
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* The numeric address of --host. Away from loopback there must be a key. */
static int host_resolve(char *out, size_t cap, bool *loopback, const options *o, bool has_key, sn_error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	if (getaddrinfo(o->host, NULL, &hints, &found) != 0 || !found)
		return fault_set(err, SN_ERR_INVALID, NULL, "--host: no such address");
	int rc = SN_OK;
	*loopback = is_loopback(found->ai_addr);
	if (getnameinfo(found->ai_addr, found->ai_addrlen, out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) != 0)
		rc = fault_set(err, SN_ERR_INVALID, NULL, "--host: no such address");
	else if (!*loopback && !has_key)
		rc = fault_set(err, SN_ERR_INVALID, NULL,
		               "--host: an address other than loopback needs an API key (--api-key-file or SENSORIUM_API_KEY)");
	freeaddrinfo(found);
	return rc;
}

/* A decoder's bug must not end a server that strangers reach. */
static bool isolates(const options *o, bool loopback)
{
	return strcmp(o->isolate_codecs, "auto") == 0 ? !loopback : strcmp(o->isolate_codecs, "on") == 0;
}

static int listen_open(http_server **out, api *a, const char *address, const tls_files *cert, sn_error *err)
{
	const options *o = a->options;
	const http_config config = {
		.address = address,
		.port = (unsigned)o->port,
		.threads = a->max_in_flight + SPARE_THREADS,
		.header_timeout_ms = (unsigned)o->header_timeout_s * 1000,
		.body_timeout_ms = (unsigned)o->body_timeout_s * 1000,
		.write_timeout_ms = (unsigned)o->write_timeout_s * 1000,
		.keep_alive_ms = (unsigned)o->keep_alive_timeout_s * 1000,
		.max_body = MAX_BODY,
		.max_bodies = MAX_BODIES,
		.tls_table = cert->table,
		.tls = cert->tls,
		.log = a->log,
		.handle = routes_handle,
		.finished = routes_finished,
		.ctx = a,
	};
	return http_open(out, &config, err);
}

/* SIGTERM and SIGINT are waited for, by all threads that are made from here on as well; a client that left is an error of its write. */
static void take_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Waits up to ms for a signal; 0 if none came. */
static int wait_signal(const sigset_t *set, long ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	int s = sigtimedwait(set, NULL, &t);
	return s > 0 ? s : 0;
}

static bool engine_alive(const api *a)
{
	return sn_engine_health(a->engine).live;
}

/* Lets answers end for up to ms, or until a signal. */
static bool drained(api *a, const sigset_t *set, uint64_t ms)
{
	for (uint64_t waited = 0; atomic_load(&a->in_flight) && waited < ms; waited += DRAIN_TICK_MS)
		if (wait_signal(set, DRAIN_TICK_MS))
			break;
	return atomic_load(&a->in_flight) == 0;
}

static int serve_until_signal(api *a, http_server *http, const sigset_t *set)
{
	while (!wait_signal(set, WATCH_TICK_MS)) {
		if (!engine_alive(a)) {
			sn_log_write(a->log, SN_LOG_ERROR, "serve", NULL, "the engine does not answer any more");
			return EXIT_STUCK;
		}
	}
	atomic_store(&a->draining, true);
	http_drain(http);
	sn_engine_drain(a->engine);
	sn_log_write(a->log, SN_LOG_INFO, "serve", NULL, "draining: %u requests in flight, up to %llu s",
	             atomic_load(&a->in_flight), (unsigned long long)a->options->shutdown_timeout_s);
	if (!drained(a, set, a->options->shutdown_timeout_s * 1000)) {
		sn_log_write(a->log, SN_LOG_WARN, "serve", NULL, "ending %u requests with an error", atomic_load(&a->in_flight));
		sn_engine_abort_all(a->engine);
		drained(a, set, ABORT_MS);
	}
	return EXIT_FINE;
}

static int bring_up(api *a, http_server *http, const char *address)
{
	sn_error err;
	bool v6 = strchr(address, ':') != NULL;
	char url[96];
	snprintf(url, sizeof url, "%s://%s%s%s:%u", a->options->ssl_certfile ? "https" : "http", v6 ? "[" : "", address, v6 ? "]" : "",
	         http_port(http));
	sn_log_write(a->log, SN_LOG_INFO, "serve", NULL, "listening on %s, loading", url);
	int rc = engine_load_from(a->engine, &a->files, a->options, a->log);
	if (rc != EXIT_FINE)
		return rc;
	if (pairing_check(a, &err) != SN_OK)
		return fail(a->log, EXIT_USAGE, &err);
	atomic_store(&a->loaded, true);
	sn_log_write(a->log, SN_LOG_INFO, "serve", NULL, "ready on %s%s", url, auth_needed(a->auth) ? "" : ", no API key");
	return EXIT_FINE;
}

int cmd_serve(const options *o, sn_log *log)
{
	/* Not of this frame: threads that cannot be joined go on reading it while the process ends. */
	api *a = calloc(1, sizeof *a);
	if (!a) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "no memory to serve");
		return EXIT_FAILED;
	}
	a->options = o;
	a->log = log;
	a->max_in_flight = (unsigned)(o->max_num_seqs + o->max_queued_requests) + SPARE_IN_FLIGHT;
	http_server *http = NULL;
	tls_files cert = {0};
	char address[64];
	bool loopback = false;
	sn_error err;
	sigset_t signals;
	int rc, why;
	take_signals(&signals);
	if (auth_open(&a->auth, o, &err) != SN_OK || auth_open_admin(&a->admin, o, &err) != SN_OK ||
	    host_resolve(address, sizeof address, &loopback, o, auth_needed(a->auth), &err) != SN_OK || tls_files_open(&cert, o, &err) != SN_OK ||
	    media_sources_open(&a->media, o->allowed_local_media_path, o->allowed_media_domains, &err) != SN_OK) {
		rc = fail(log, EXIT_USAGE, &err);
		goto done;
	}
	if ((rc = model_files_from(&a->files, o, log)) != EXIT_FINE)
		goto done;
	if ((rc = engine_open_from(&a->engine, o, isolates(o, loopback), log)) != EXIT_FINE)
		goto done;
	if ((why = listen_open(&http, a, address, &cert, &err)) != SN_OK) {
		rc = fail(log, why == SN_ERR_QUEUE_FULL ? EXIT_PORT : EXIT_FAILED, &err);
		goto done;
	}
	if ((rc = bring_up(a, http, address)) == EXIT_FINE)
		rc = serve_until_signal(a, http, &signals);
	if (rc == EXIT_STUCK) /* handlers wait for an engine that will not answer: nothing can be joined */
		return rc;
done:
	http_close(&http);
	tls_files_close(&cert);
	if (a->engine)
		sn_engine_close(&a->engine);
	model_files_fini(&a->files);
	media_sources_close(&a->media);
	auth_close(&a->auth);
	auth_close(&a->admin);
	free(a);
	if (rc == EXIT_FINE)
		sn_log_write(log, SN_LOG_INFO, "serve", NULL, "stopped");
	return rc;
}
