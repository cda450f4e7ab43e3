/* fetch.c - one GET by libcurl, with everything switched off that could lead it elsewhere. See fetch.h. */
#include "fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "allow.h"

enum {
	CONNECT_MS = 3000,
	SLOW_BYTES = 256, SLOW_SECONDS = 4, /* less a second for so long is a dead line */
	MAX_HEADERS = 64 << 10, FIRST_ROOM = 64 << 10,
};

struct fetcher {
	allow_list allowed;
	struct curl_slist *hosts; /* tests */
};

/* One GET under way. */
typedef struct transfer {
	const fetch_order *order;
	const allow_entry *entry;
	CURL *curl;
	char *data;
	size_t size, room;
	size_t header_bytes;
	bool refused_address; /* one of the host's; another may have been dialled */
	fetch_rc why;         /* FETCH_OK until something of ours ended it */
} transfer;

/* The address that is about to be dialled: here, and not before, is it judged. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	transfer *t = ctx;
	if (purpose != CURLSOCKTYPE_IPCXN || a->socktype != SOCK_STREAM || !allow_address(t->entry, &a->addr)) {
		t->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_header(char *line, size_t one, size_t n, void *ctx)
{
	transfer *t = ctx;
	(void)line;
	(void)one;
	t->header_bytes += n;
	if (t->header_bytes <= MAX_HEADERS)
		return n;
	t->why = FETCH_TOO_LARGE;
	return 0;
}

static fetch_rc status_rc(long status)
{
	return status == 200 ? FETCH_OK : status >= 500 ? FETCH_UNAVAILABLE : status >= 300 && status < 400 ? FETCH_REDIRECT : FETCH_REFUSED;
}

static fetch_rc status_of(transfer *t)
{
	long status = 0;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	return status_rc(status);
}

static bool make_room(transfer *t, size_t n)
{
	size_t room = t->room ? t->room : FIRST_ROOM;
	while (room < t->size + n)
		room *= 2;
	if (room > t->order->max_bytes)
		room = t->order->max_bytes;
	if (room == t->room)
		return true;
	char *data = realloc(t->data, room ? room : 1);
	if (!data)
		return false;
	t->data = data;
	t->room = room;
	return true;
}

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
	transfer *t = ctx;
	(void)one;
	t->why = status_of(t); /* the body of an error is not read */
	if (t->why == FETCH_OK && n > t->order->max_bytes - t->size)
		t->why = FETCH_TOO_LARGE;
	if (t->why == FETCH_OK && !make_room(t, n))
		t->why = FETCH_NOMEM;
	if (t->why != FETCH_OK)
		return 0;
	memcpy(t->data + t->size, data, n);
	t->size += n;
	return n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	transfer *t = ctx;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	if (!t->order->stop || !t->order->stop(t->order->ctx))
		return 0;
	t->why = FETCH_STOPPED;
	return 1;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(curl, option, value) == CURLE_OK)

/* Every option is needed: one that this libcurl does not know ends the GET before it begins. */
static bool set_up(transfer *t, const fetcher *f, CURLU *url)
{
	CURL *curl = t->curl;
	bool ok = true;
	SET(CURLOPT_CURLU, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_MAXREDIRS, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_USERAGENT, "sensorium");
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is not waited for */
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)t->order->timeout_ms);
	SET(CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
	SET(CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->order->max_bytes);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, t);
	if (f->hosts)
		SET(CURLOPT_RESOLVE, f->hosts);
	return ok;
}

static fetch_rc outcome(transfer *t, CURLcode code)
{
	if (t->why != FETCH_OK)
		return t->why;
	switch (code) {
	case CURLE_OK:
		return status_of(t);
	case CURLE_COULDNT_CONNECT:
		return t->refused_address ? FETCH_PRIVATE : FETCH_UNAVAILABLE;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIMEOUT;
	case CURLE_FILESIZE_EXCEEDED:
		return status_of(t) == FETCH_OK ? FETCH_TOO_LARGE : status_of(t);
	case CURLE_OUT_OF_MEMORY:
		return FETCH_NOMEM;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return FETCH_UNTRUSTED;
	case CURLE_URL_MALFORMAT:
		return FETCH_BAD_URL;
	case CURLE_UNSUPPORTED_PROTOCOL: /* the answer is no HTTP/1 */
		return FETCH_REFUSED;
	default:
		return FETCH_UNAVAILABLE;
	}
}

static fetch_rc fetch_get(const fetcher *f, const fetch_order *order, fetch_body *out)
{
	transfer t = {.order = order};
	destination to;
	*out = (fetch_body){0};
	fetch_rc rc = allow_find(&to, &f->allowed, order->url);
	if (rc != FETCH_OK)
		return rc;
	t.entry = to.entry;
	t.curl = curl_easy_init();
	if (!t.curl)
		rc = FETCH_NOMEM;
	else if (!set_up(&t, f, to.url))
		rc = FETCH_UNAVAILABLE;
	else
		rc = outcome(&t, curl_easy_perform(t.curl));
	curl_easy_cleanup(t.curl);
	destination_close(&to);
	if (rc == FETCH_OK && !t.data && !(t.data = malloc(1)))
		rc = FETCH_NOMEM;
	if (rc == FETCH_OK)
		*out = (fetch_body){t.data, t.size};
	else
		free(t.data);
	return rc;
}

static void fetch_close(fetcher **pf)
{
	fetcher *f = *pf;
	if (!f)
		return;
	allow_close(&f->allowed);
	curl_slist_free_all(f->hosts);
	free(f);
	curl_global_cleanup();
	*pf = NULL;
}

static fetch_rc fetch_open(fetcher **out, const fetch_config *config)
{
	fetch_rc rc = FETCH_NOMEM;
	*out = NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return rc;
	fetcher *f = calloc(1, sizeof *f);
	if (!f) {
		curl_global_cleanup();
		return rc;
	}
	rc = allow_open(&f->allowed, config->domains);
	for (const char *const *h = config->hosts; rc == FETCH_OK && h && *h; h++) {
		struct curl_slist *longer = curl_slist_append(f->hosts, *h);
		if (longer)
			f->hosts = longer;
		else
			rc = FETCH_NOMEM;
	}
	if (rc == FETCH_OK)
		*out = f;
	else
		fetch_close(&f);
	return rc;
}

static const fetch_table TABLE = {sizeof TABLE, fetch_open, fetch_get, fetch_close};

const fetch_table *fetch_table_1(void) { return &TABLE; }
