/* media_url.h - a media part's URL to bytes: data:, and where the operator allows it file:, http: and https:.
 *
 * All three end in the same bytes, which go through core's one media gate: a type is what the bytes say, never what a
 * server or a file's name says. What is read and fetched is bounded per medium, per request and over all requests, and
 * all fetches of one request share one deadline.
 */
#ifndef API_MEDIA_URL_H
#define API_MEDIA_URL_H

#include "core.h"
#include "dataurl.h"

/* Where URLs may lead while the server runs. Any thread. */
typedef struct media_sources media_sources;

/* folder, domains: the options' values, or NULL. SN_ERR_INVALID: one of them is wrong, or lib/fetch.so is missing. */
int media_sources_open(media_sources **out, const char *folder, const char *domains, sn_error *err);
void media_sources_close(media_sources **s);

/* One request's reading. Zeroed but for sources, gone and ctx. */
typedef struct media_reader {
	media_sources *sources;  /* NULL: data: only */
	bool (*gone)(void *ctx); /* the client left: ends a fetch; may be NULL */
	void *ctx;
	size_t taken;            /* bytes read and fetched so far */
	uint64_t deadline_ms;    /* of all fetches, from the first one on; monotonic */
} media_reader;

typedef struct media_bytes {
	char mime[DATAURL_MAX_MIME]; /* what the client declared, "" if nothing */
	char *data;                  /* [size], malloc'ed */
	size_t size;
	media_sources *lender;       /* whose budget these bytes are counted in, or NULL */
} media_bytes;

/* url: [size], with a NUL behind it. On failure *out needs no release. */
int media_url_read(media_reader *r, media_bytes *out, const char *url, size_t size, size_t max_bytes, const char *param, sn_error *err);
/* base64 with the name of a format beside it ("wav", "mp3"), as OpenAI's input_audio has it: text: [size], kind: "audio". */
int media_base64_read(media_bytes *out, const char *kind, const char *format, const char *text, size_t size, size_t max_bytes, const char *param,
                      sn_error *err);
void media_bytes_fini(media_bytes *m);

#endif
