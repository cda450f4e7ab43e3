#include "allow.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

enum { MAX_ENTRIES = 1024 };

/* One part of a parsed URL; NULL if it has none. */
static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;
	return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* A name in ASCII (an internationalised one in its xn-- form), or an address: lower case. */
static bool host_copy(char out[ALLOW_MAX_HOST], const char *host)
{
	size_t n = strlen(host);
	bool v6 = host[0] == '[';
	if (n == 0 || n >= ALLOW_MAX_HOST)
		return false;
	for (size_t i = 0; i <= n; i++) {
		char c = host[i];
		out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		bool plain = (out[i] >= 'a' && out[i] <= 'z') || (c >= '0' && c <= '9') || c == '.';
		if (i < n && !plain && !(v6 ? c == '[' || c == ']' || c == ':' : c == '-' || c == '_'))
			return false;
	}
	return true;
}

static bool parse_address(struct sockaddr_storage *out, const char *host)
{
	char inner[INET6_ADDRSTRLEN];
	size_t n = strlen(host);
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		out->ss_family = AF_INET;
		return true;
	}
	if (n < 4 || host[0] != '[' || host[n - 1] != ']' || n - 2 >= sizeof inner)
		return false;
	snprintf(inner, sizeof inner, "%.*s", (int)(n - 2), host + 1);
	if (inet_pton(AF_INET6, inner, &v6->sin6_addr) != 1)
		return false;
	out->ss_family = AF_INET6;
	return true;
}

/* Only printable ASCII, no backslash, and no @ in the authority: what parsers have been seen to disagree about. */
static bool is_plain(const char *url)
{
	const char *authority = strstr(url, "//"), *at;
	for (const char *c = url; *c; c++)
		if (*c <= 0x20 || *c >= 0x7F || *c == '\\')
			return false;
	if (!authority)
		return false;
	authority += 2;
	at = strchr(authority, '@');
	return !at || (size_t)(at - authority) >= strcspn(authority, "/?#");
}

/* Host and port of a URL. port: the scheme's if the URL names none. */
static fetch_rc parse_url(CURLU **out, const char *text, char host[ALLOW_MAX_HOST], unsigned *port)
{
	CURLU *url = curl_url();
	char *scheme = NULL, *name = NULL, *number = NULL, *zone = NULL;
	fetch_rc rc = FETCH_BAD_URL;
	*out = NULL;
	if (!url)
		return FETCH_NOMEM;
	if (!is_plain(text) || curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK)
		goto fail;
	scheme = part_of(url, CURLUPART_SCHEME, 0);
	name = part_of(url, CURLUPART_HOST, 0);
	number = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	zone = part_of(url, CURLUPART_ZONEID, 0);
	if (!scheme || !name || !number || zone || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) || !host_copy(host, name))
		goto fail;
	*port = (unsigned)strtoul(number, NULL, 10);
	*out = url;
	rc = FETCH_OK;
fail:
	curl_free(scheme);
	curl_free(name);
	curl_free(number);
	curl_free(zone);
	if (rc != FETCH_OK)
		curl_url_cleanup(url);
	return rc;
}

/* "host" or "host:port". */
static fetch_rc parse_entry(allow_entry *out, const char *text, size_t n)
{
	char url[ALLOW_MAX_HOST + 32];
	CURLU *parsed;
	unsigned port;
	int length = snprintf(url, sizeof url, "http://%.*s/", (int)(n < sizeof url ? n : sizeof url), text);
	if (n == 0 || length < 0 || (size_t)length >= sizeof url || memchr(text, '/', n) || memchr(text, '?', n) || memchr(text, '#', n))
		return FETCH_BAD_URL;
	fetch_rc rc = parse_url(&parsed, url, out->host, &port);
	if (rc != FETCH_OK)
		return rc;
	char *explicit = part_of(parsed, CURLUPART_PORT, 0);
	out->port = explicit ? port : 0;
	out->is_address = parse_address(&out->address, out->host);
	curl_free(explicit);
	curl_url_cleanup(parsed);
	return explicit && port == 0 ? FETCH_BAD_URL : FETCH_OK;
}

fetch_rc allow_open(allow_list *out, const char *domains)
{
	size_t most = 1;
	*out = (allow_list){0};
	for (const char *c = domains; *c; c++)
		most += *c == ',';
	if (most > MAX_ENTRIES)
		return FETCH_BAD_URL;
	out->entries = calloc(most, sizeof *out->entries);
	if (!out->entries)
		return FETCH_NOMEM;
	fetch_rc rc = FETCH_OK;
	for (const char *at = domains; rc == FETCH_OK; at++) {
		size_t n = strcspn(at, ",");
		rc = parse_entry(&out->entries[out->n++], at, n);
		at += n;
		if (!*at)
			break;
	}
	if (rc != FETCH_OK)
		allow_close(out);
	return rc;
}

void allow_close(allow_list *list)
{
	free(list->entries);
	*list = (allow_list){0};
}

fetch_rc allow_find(destination *out, const allow_list *list, const char *url)
{
	char host[ALLOW_MAX_HOST];
	unsigned port;
	*out = (destination){0};
	fetch_rc rc = parse_url(&out->url, url, host, &port);
	for (size_t i = 0; rc == FETCH_OK && i < list->n; i++) {
		const allow_entry *e = &list->entries[i];
		if (strcmp(e->host, host) == 0 && (e->port ? e->port == port : port == 80 || port == 443)) {
			out->entry = e;
			return FETCH_OK;
		}
	}
	destination_close(out);
	return rc == FETCH_OK ? FETCH_NOT_LISTED : rc;
}

void destination_close(destination *d)
{
	curl_url_cleanup(d->url);
	d->url = NULL;
}

bool allow_address(const allow_entry *entry, const struct sockaddr *a)
{
	if (!entry->is_address)
		return address_is_public(a);
	if (entry->address.ss_family != a->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)&entry->address)->sin_addr, &((const struct sockaddr_in *)a)->sin_addr, 4) == 0;
	return memcmp(&((const struct sockaddr_in6 *)&entry->address)->sin6_addr, &((const struct sockaddr_in6 *)a)->sin6_addr, 16) == 0;
}
