/* address.h - which addresses are public: global unicast by IANA's registries of special-purpose addresses. */
#ifndef API_FETCH_ADDRESS_H
#define API_FETCH_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* False for loopback, private, link-local, shared (CGNAT), multicast, documentation and reserved addresses, for IPv6 forms that
 * carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo), and for every family but IPv4 and IPv6. */
bool address_is_public(const struct sockaddr *a);

#endif
