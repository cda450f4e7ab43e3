/* out.h - a growing byte buffer and the one place where JSON strings are written.
 *
 * Writers never check: a failed allocation sets `failed` once, later writes do nothing, and the sender looks at the end.
 */
#ifndef API_OUT_H
#define API_OUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct out_buf {
	char *data; /* [size], not NUL-terminated */
	size_t size, cap;
	bool failed;
} out_buf;

void out_fini(out_buf *o);
void out_bytes(out_buf *o, const char *data, size_t size);
void out_drop(out_buf *o, size_t size); /* the first `size` bytes */
void out_text(out_buf *o, const char *text);
void out_fmt(out_buf *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A quoted JSON string. Bytes that are not UTF-8 become U+FFFD, so that what we send is always valid. */
void out_json(out_buf *o, const char *data, size_t size);
void out_json_text(out_buf *o, const char *text);
/* Base64 without quotes. */
void out_base64(out_buf *o, const char *data, size_t size);
/* A quoted JSON string, or null for "" and NULL. */
void out_json_or_null(out_buf *o, const char *text);

#endif
