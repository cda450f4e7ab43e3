#include "media_url.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "fetch/fetch.h"
#include "media_file.h"
#include "module_load.h"

#define MAX_PER_REQUEST ((size_t)32 << 20) /* as much as a body may hold */
#define MAX_AT_ONCE ((size_t)512 << 20)    /* over all requests, as bodies */
#define FETCH_MS 10000                     /* all fetches of one request */

struct media_sources {
	media_folder folder;
	const fetch_table *table; /* NULL: nothing is fetched */
	fetcher *fetcher;
	atomic_size_t held;
};

static int load_fetch(const fetch_table **out, sn_error *err)
{
	void *entry;
	int rc = module_load(&entry, "fetch.so", FETCH_SYMBOL, "--allowed-media-domains", err);
	if (rc != SN_OK)
		return rc;
	*out = (*(fetch_table_fn **)&entry)();
	if ((*out)->size != sizeof(fetch_table))
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-media-domains: lib/fetch.so is of another version");
	return SN_OK;
}

int media_sources_open(media_sources **out, const char *folder, const char *domains, sn_error *err)
{
	media_sources *s = calloc(1, sizeof *s);
	int rc = s ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory");
	*out = NULL;
	if (!s)
		return rc;
	s->folder.fd = -1;
	if (folder)
		rc = media_folder_open(&s->folder, folder, err);
	if (rc == SN_OK && domains)
		rc = load_fetch(&s->table, err);
	if (rc == SN_OK && domains) {
		const fetch_config config = {.size = sizeof config, .domains = domains};
		fetch_rc opened = s->table->open(&s->fetcher, &config);
		if (opened != FETCH_OK)
			rc = fault_set(err, opened == FETCH_NOMEM ? SN_ERR_NOMEM : SN_ERR_INVALID, NULL,
			               "--allowed-media-domains: needs hosts or host:port, separated by commas, without scheme or path");
	}
	if (rc != SN_OK)
		media_sources_close(&s);
	*out = s;
	return rc;
}

void media_sources_close(media_sources **ps)
{
	media_sources *s = *ps;
	if (!s)
		return;
	if (s->fetcher)
		s->table->close(&s->fetcher);
	media_folder_close(&s->folder);
	free(s);
	*ps = NULL;
}

/* ---- budgets ---- */

static bool borrow(media_sources *s, size_t bytes)
{
	if (atomic_fetch_add(&s->held, bytes) <= MAX_AT_ONCE - bytes)
		return true;
	atomic_fetch_sub(&s->held, bytes);
	return false;
}

static void give_back(media_sources *s, size_t bytes) { atomic_fetch_sub(&s->held, bytes); }

static int too_much(const char *param, sn_error *err)
{
	return fault_set(err, SN_ERR_QUEUE_FULL, param, "too much media is being read at the moment; try again later");
}

/* What one more medium of this request may weigh. */
static size_t room_left(const media_reader *r, size_t max_bytes)
{
	size_t left = MAX_PER_REQUEST - r->taken;
	return left < max_bytes ? left : max_bytes;
}

static void keep(media_reader *r, media_bytes *out, char *data, size_t size)
{
	*out = (media_bytes){.data = data, .size = size, .lender = r->sources};
	r->taken += size;
}

/* ---- file: ---- */

static bool read_whole(int fd, char *data, size_t *size)
{
	size_t n = 0;
	while (n < *size) {
		ssize_t got = read(fd, data + n, *size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (got == 0)
			break; /* it has shrunk: the decoder judges what is there */
		n += (size_t)got;
	}
	*size = n;
	return true;
}

static int read_file(media_reader *r, media_bytes *out, const char *url, size_t max_bytes, const char *param, sn_error *err)
{
	media_sources *s = r->sources;
	size_t size, borrowed;
	int fd = media_file_open(&s->folder, url, room_left(r, max_bytes), &size, param, err);
	if (fd < 0)
		return err->status;
	borrowed = size;
	if (!borrow(s, borrowed)) {
		close(fd);
		return too_much(param, err);
	}
	char *data = malloc(size ? size : 1);
	bool whole = data && read_whole(fd, data, &size);
	close(fd);
	if (!whole) {
		bool no_memory = !data;
		free(data);
		give_back(s, borrowed);
		return no_memory ? fault_set(err, SN_ERR_NOMEM, param, "no memory for the media")
		                 : fault_set(err, SN_ERR_INVALID, param, "the file: URL does not name a file that may be read (--allowed-local-media-path)");
	}
	give_back(s, borrowed - size);
	keep(r, out, data, size);
	return SN_OK;
}

/* ---- http: and https: ---- */

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int fetch_failed(fetch_rc why, size_t room, const char *param, sn_error *err)
{
	static const struct {
		fetch_rc why;
		int status;
		const char *text;
	} rows[] = {
	    {FETCH_BAD_URL, SN_ERR_INVALID, "the media URL is malformed, or has a user name or password"},
	    {FETCH_NOT_LISTED, SN_ERR_INVALID, "the media URL's host and port are not among the allowed ones (--allowed-media-domains)"},
	    {FETCH_PRIVATE, SN_ERR_INVALID, "the media URL's host has no public address; a private one is allowed only by that address itself"},
	    {FETCH_REDIRECT, FAULT_MEDIA_REFUSED, "the media URL redirects; redirects are not followed"},
	    {FETCH_REFUSED, FAULT_MEDIA_REFUSED, "the media URL's host refused to send it"},
	    {FETCH_UNTRUSTED, FAULT_MEDIA_REFUSED, "no secure connection to the media URL's host could be verified"},
	    {FETCH_UNAVAILABLE, FAULT_MEDIA_UNAVAILABLE, "the media URL could not be fetched"},
	    {FETCH_TIMEOUT, FAULT_MEDIA_UNAVAILABLE, "the media URL was not fetched in time"},
	    {FETCH_STOPPED, FAULT_CLIENT_GONE, "the client is gone"},
	    {FETCH_NOMEM, SN_ERR_NOMEM, "no memory for the media"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].why == why)
			return fault_set(err, rows[i].status, param, "%s", rows[i].text);
	return fault_set(err, SN_ERR_TOO_LARGE, param, "the media is larger than %zu bytes", room);
}

static int fetch_url(media_reader *r, media_bytes *out, const char *url, size_t max_bytes, const char *param, sn_error *err)
{
	media_sources *s = r->sources;
	fetch_body body;
	size_t room = room_left(r, max_bytes);
	uint64_t now = now_ms();
	if (!r->deadline_ms)
		r->deadline_ms = now + FETCH_MS;
	if (now >= r->deadline_ms)
		return fetch_failed(FETCH_TIMEOUT, room, param, err);
	if (!borrow(s, room))
		return too_much(param, err);
	const fetch_order order = {.url = url, .max_bytes = room, .timeout_ms = (unsigned)(r->deadline_ms - now), .stop = r->gone, .ctx = r->ctx};
	fetch_rc rc = s->table->get(s->fetcher, &order, &body);
	if (rc != FETCH_OK) {
		give_back(s, room);
		return fetch_failed(rc, room, param, err);
	}
	give_back(s, room - body.size);
	keep(r, out, body.data, body.size);
	return SN_OK;
}

/* ---- what clients declare ---- */

int media_base64_read(media_bytes *out, const char *kind, const char *format, const char *text, size_t size, size_t max_bytes, const char *param,
                      sn_error *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t n = strlen(format);
	*out = (media_bytes){0};
	if (n < 1 || n > 16 || strspn(format, plain) != n)
		return fault_set(err, SN_ERR_INVALID, param, "the format must be the name of one, such as wav, mp3, m4a or webm");
	snprintf(out->mime, sizeof out->mime, "%s/%s", kind, format);
	return dataurl_base64(&out->data, &out->size, text, size, max_bytes, param, err);
}

/* ---- the one way in ---- */

static bool has_scheme(const char *url, const char *scheme) { return strncasecmp(url, scheme, strlen(scheme)) == 0; }

int media_url_read(media_reader *r, media_bytes *out, const char *url, size_t size, size_t max_bytes, const char *param, sn_error *err)
{
	bool web = has_scheme(url, "http:") || has_scheme(url, "https:");
	*out = (media_bytes){0};
	if (web || has_scheme(url, "file:")) {
		if (strlen(url) != size)
			return fault_set(err, SN_ERR_INVALID, param, "the media URL is malformed");
		if (web && (!r || !r->sources || !r->sources->fetcher))
			return fault_set(err, SN_ERR_UNSUPPORTED, param,
			                 "http and https URLs are not fetched (--allowed-media-domains allows it); send a data: URL");
		if (!web && (!r || !r->sources || r->sources->folder.fd < 0))
			return fault_set(err, SN_ERR_UNSUPPORTED, param,
			                 "file URLs are not read (--allowed-local-media-path allows it); send a data: URL");
		return web ? fetch_url(r, out, url, max_bytes, param, err) : read_file(r, out, url, max_bytes, param, err);
	}
	dataurl d;
	int rc = dataurl_decode(&d, url, size, max_bytes, param, err);
	if (rc != SN_OK)
		return rc;
	memcpy(out->mime, d.mime, sizeof out->mime);
	out->data = d.data;
	out->size = d.size;
	return SN_OK;
}

void media_bytes_fini(media_bytes *m)
{
	if (m->lender)
		give_back(m->lender, m->size);
	free(m->data);
	*m = (media_bytes){0};
}
