/* fetch.h - the seam between the server and the one piece that opens connections to others: build/lib/fetch.so.
 *
 * libcurl and what it needs stay out of the program. The shared object is loaded only when the operator allows hosts
 * (--allowed-media-domains), and its one exported symbol is fetch_table_1().
 *
 *   open(domains)         the list of hosts, parsed by the same parser as the URLs
 *   get(order) -> body    one GET: http or https, no redirect, no proxy, no cookie, no credentials, no decompression
 *   close
 *
 * Who may be reached is decided twice: the URL's host and port must be on the list, and the address that is about to be
 * dialled, whatever a resolver said, must be public. A private address is dialled only if the list and the URL name that
 * very address. One URL parser reads, compares and dials: there is no second opinion about what a URL means.
 *
 * This header is all that the two sides share; neither includes anything else of the other.
 */
#ifndef API_FETCH_H
#define API_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_SYMBOL "fetch_table_1"

typedef struct fetcher fetcher;

typedef enum fetch_rc {
	FETCH_OK,
	FETCH_BAD_URL,     /* malformed, not http(s), or with a user name */
	FETCH_NOT_LISTED,  /* host or port is not on the list */
	FETCH_PRIVATE,     /* the host's address is not public */
	FETCH_TOO_LARGE,   /* over max_bytes, or endless headers */
	FETCH_REDIRECT,    /* 3xx */
	FETCH_REFUSED,     /* the other side answered, and not with 200, or not in HTTP */
	FETCH_UNTRUSTED,   /* no TLS connection that could be verified */
	FETCH_UNAVAILABLE, /* no address, no connection, a broken answer, or 5xx: may work later */
	FETCH_TIMEOUT,
	FETCH_STOPPED,     /* stop() said so */
	FETCH_NOMEM
} fetch_rc;

typedef struct fetch_config {
	uint32_t size;            /* sizeof(fetch_config) */
	const char *domains;      /* "a.example,b.example:8080,192.0.2.1:80": a host (ports 80 and 443), or a host with its port */
	const char *const *hosts; /* tests: "NAME:PORT:ADDRESS" in place of a resolver's answers, NULL-terminated; else NULL */
} fetch_config;

typedef struct fetch_order {
	const char *url;   /* NUL-terminated */
	size_t max_bytes;  /* of the body, counted while it comes */
	unsigned timeout_ms; /* total */
	bool (*stop)(void *ctx); /* asked about once a second and whenever something arrives; NULL: never */
	void *ctx;
} fetch_order;

typedef struct fetch_body {
	char *data;  /* [size], malloc'ed; the caller's on FETCH_OK, else NULL */
	size_t size;
} fetch_body;

typedef struct fetch_table {
	uint32_t size; /* sizeof(fetch_table) */
	fetch_rc (*open)(fetcher **out, const fetch_config *config); /* FETCH_BAD_URL: the list is wrong. One thread */
	fetch_rc (*get)(const fetcher *f, const fetch_order *order, fetch_body *out); /* any thread */
	void (*close)(fetcher **f);
} fetch_table;

typedef const fetch_table *fetch_table_fn(void);
__attribute__((visibility("default"))) const fetch_table *fetch_table_1(void);

#endif
