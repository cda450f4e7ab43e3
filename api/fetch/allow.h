/* allow.h - the operator's list of hosts, and where a URL leads: both read by libcurl's URL parser. */
#ifndef API_FETCH_ALLOW_H
#define API_FETCH_ALLOW_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "fetch.h"

enum { ALLOW_MAX_HOST = 256 };

typedef struct allow_entry {
	char host[ALLOW_MAX_HOST]; /* lower case, as the parser spells it: addresses in their one form */
	unsigned port;             /* 0: 80 and 443 */
	bool is_address;
	struct sockaddr_storage address; /* is_address: family and address */
} allow_entry;

typedef struct allow_list {
	allow_entry *entries;
	size_t n;
} allow_list;

/* Where a URL leads. */
typedef struct destination {
	CURLU *url;               /* what is dialled */
	const allow_entry *entry; /* by which it is allowed */
} destination;

fetch_rc allow_open(allow_list *out, const char *domains);
void allow_close(allow_list *list);
fetch_rc allow_find(destination *out, const allow_list *list, const char *url);
void destination_close(destination *d);
/* May this address be dialled for it? */
bool allow_address(const allow_entry *entry, const struct sockaddr *a);

#endif
