#include "framing.h"

#include <string.h>
#include <strings.h>

#include "fault.h"

#define TRANSFER_ENCODING "Transfer-Encoding"
#define CONTENT_LENGTH "Content-Length"

static size_t trimmed_size(const char *value)
{
	size_t n = strlen(value);
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	return n;
}

/* Digits only: no sign, no base prefix, no list, and it must fit 63 bits. */
static bool length_parse(const char *value, uint64_t *out)
{
	size_t n = trimmed_size(value);
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		unsigned digit = (unsigned)(value[i] - '0');
		if (v > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return n > 0;
}

static bool list_has(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; *p;) {
		p += strspn(p, ", \t");
		size_t m = strcspn(p, ", \t");
		if (m == n && strncasecmp(p, word, n) == 0)
			return true;
		p += m;
	}
	return false;
}

/* civetweb cuts a name at the blanks before its colon and leaves NULs where they were. */
static bool blank_before_colon(const framing_header *h)
{
	const char *after = h->name + strlen(h->name) + 1;
	return h->value > after && *after == 0;
}

/* civetweb stops at a line that it cannot read as a header, and drops the rest. The last header's value must be
 * followed by the empty line (its own line end was overwritten with one or two NULs). */
static bool headers_cut_short(const framing_header *last)
{
	const char *p = last->value + strlen(last->value) + 1;
	if (*p == 0)
		p++;
	return *p != '\r' && *p != '\n';
}

int framing_parse(framing *out, const char *version, const framing_header *headers, size_t n, sn_error *err)
{
	size_t lengths = 0, codings = 0, hosts = 0;
	bool http11 = strcmp(version, "1.1") == 0;
	*out = (framing){.keep_alive = http11};
	if (n && headers_cut_short(&headers[n - 1]))
		return fault_set(err, SN_ERR_INVALID, NULL, "a header line is malformed");
	for (size_t i = 0; i < n; i++) {
		const framing_header *h = &headers[i];
		if (blank_before_colon(h))
			return fault_set(err, SN_ERR_INVALID, NULL, "a header name is followed by a blank");
		if (strcasecmp(h->name, CONTENT_LENGTH) == 0) {
			lengths++;
			if (!length_parse(h->value, &out->length))
				return fault_set(err, SN_ERR_INVALID, NULL, "Content-Length is not a plain number");
		} else if (strcasecmp(h->name, TRANSFER_ENCODING) == 0) {
			codings++;
			if (trimmed_size(h->value) != 7 || strncasecmp(h->value, "chunked", 7) != 0)
				return fault_set(err, SN_ERR_INVALID, NULL, "the only Transfer-Encoding understood is chunked");
			out->chunked = true;
		} else if (strcasecmp(h->name, "Host") == 0) {
			hosts++;
		} else if (strcasecmp(h->name, "Connection") == 0) {
			out->keep_alive = http11 && list_has(h->value, "keep-alive");
		} else if (strcasecmp(h->name, "Expect") == 0) {
			if (strcasecmp(h->value, "100-continue") != 0)
				return fault_set(err, FAULT_EXPECTATION, NULL, "the only expectation understood is 100-continue");
			out->expect_continue = http11;
		}
	}
	if (lengths + codings > 1)
		return fault_set(err, SN_ERR_INVALID, NULL, "the length of the body is given more than once");
	if (codings && !http11)
		return fault_set(err, SN_ERR_INVALID, NULL, "Transfer-Encoding needs HTTP/1.1");
	if (hosts > 1 || (http11 && hosts == 0))
		return fault_set(err, SN_ERR_INVALID, NULL, "exactly one Host header is needed");
	return SN_OK;
}
