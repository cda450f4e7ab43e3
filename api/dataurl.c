#include "dataurl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fault.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* n is a multiple of 4. Returns false on a byte outside the alphabet, padding in the wrong place, or stray bits. */
static bool base64_decode(char *out, const char *in, size_t n, size_t pad)
{
	for (size_t i = 0; i < n; i += 4) {
		size_t skip = i + 4 == n ? pad : 0;
		int a = digit(in[i]), b = digit(in[i + 1]);
		int c = skip == 2 ? 0 : digit(in[i + 2]), d = skip ? 0 : digit(in[i + 3]);
		if ((a | b | c | d) < 0 || (skip == 2 && (b & 15)) || (skip == 1 && (c & 3)))
			return false;
		unsigned v = (unsigned)a << 18 | (unsigned)b << 12 | (unsigned)c << 6 | (unsigned)d;
		*out++ = (char)(v >> 16);
		if (skip < 2)
			*out++ = (char)(v >> 8);
		if (skip < 1)
			*out++ = (char)v;
	}
	return true;
}

/* type "/" subtype, both of them token characters. */
static bool mime_copy(char *out, const char *in, size_t n)
{
	size_t slashes = 0;
	if (n >= DATAURL_MAX_MIME)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = in[i];
		bool upper = c >= 'A' && c <= 'Z';
		bool plain = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("+-._", c));
		if (c == '/' && i > 0 && i + 1 < n)
			slashes++;
		else if (!plain)
			return false;
		out[i] = upper ? (char)(c - 'A' + 'a') : c;
	}
	out[n] = 0;
	return n == 0 || slashes == 1;
}

int dataurl_base64(char **data, size_t *size, const char *text, size_t text_size, size_t max_bytes, const char *param, sn_error *err)
{
	if (text_size == 0)
		return fault_set(err, SN_ERR_INVALID, param, "the base64 data is empty");
	if (text_size % 4 != 0)
		return fault_set(err, SN_ERR_INVALID, param, "the base64 data must be padded with = to a multiple of 4 characters");
	size_t pad = (text[text_size - 1] == '=') + (text[text_size - 1] == '=' && text[text_size - 2] == '=');
	size_t bytes = text_size / 4 * 3 - pad;
	if (bytes > max_bytes)
		return fault_set(err, SN_ERR_TOO_LARGE, param, "the media is larger than %zu bytes", max_bytes);
	if (!(*data = malloc(bytes)))
		return fault_set(err, SN_ERR_NOMEM, param, "no memory for the media");
	*size = bytes;
	if (base64_decode(*data, text, text_size, pad))
		return SN_OK;
	free(*data);
	*data = NULL;
	return fault_set(err, SN_ERR_INVALID, param, "the base64 data is malformed");
}

int dataurl_decode(dataurl *out, const char *url, size_t size, size_t max_bytes, const char *param, sn_error *err)
{
	static const char marker[] = ";base64";
	const size_t scheme = 5, m = sizeof marker - 1;
	*out = (dataurl){0};
	if (size < scheme || strncasecmp(url, "data:", scheme) != 0)
		return fault_set(err, SN_ERR_INVALID, param, "not a data: URL");
	/* The header is short; a comma further away is not one. */
	size_t look = size - scheme < 256 ? size - scheme : 256;
	const char *head = url + scheme, *comma = memchr(head, ',', look);
	if (!comma)
		return fault_set(err, SN_ERR_INVALID, param, "the data: URL has no comma after its media type");
	size_t n = (size_t)(comma - head);
	if (n < m || strncasecmp(comma - m, marker, m) != 0)
		return fault_set(err, SN_ERR_INVALID, param, "the data: URL must end its media type in ;base64");
	n -= m;
	const char *param_start = memchr(head, ';', n);
	if (!mime_copy(out->mime, head, param_start ? (size_t)(param_start - head) : n))
		return fault_set(err, SN_ERR_INVALID, param, "the media type of the data: URL is malformed");
	if (param_start)
		return fault_set(err, SN_ERR_INVALID, param, "parameters of a data: URL's media type are not supported");

	const char *text = comma + 1;
	return dataurl_base64(&out->data, &out->size, text, size - (size_t)(text - url), max_bytes, param, err);
}

void dataurl_fini(dataurl *d)
{
	free(d->data);
	d->data = NULL;
}
