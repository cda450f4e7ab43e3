#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct v4_block {
	uint8_t net[4];
	unsigned bits;
} v4_block;

static const v4_block V4_SPECIAL[] = {
    {{0, 0, 0, 0}, 8},       /* this network; 0.0.0.0 is this host */
    {{10, 0, 0, 0}, 8},      /* private */
    {{100, 64, 0, 0}, 10},   /* shared by carriers */
    {{127, 0, 0, 0}, 8},     /* loopback */
    {{169, 254, 0, 0}, 16},  /* link-local; clouds' metadata */
    {{172, 16, 0, 0}, 12},   /* private */
    {{192, 0, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2, 0}, 24},    /* documentation */
    {{192, 88, 99, 0}, 24},  /* 6to4 relays */
    {{192, 168, 0, 0}, 16},  /* private */
    {{198, 18, 0, 0}, 15},   /* benchmarks */
    {{198, 51, 100, 0}, 24}, /* documentation */
    {{203, 0, 113, 0}, 24},  /* documentation */
    {{224, 0, 0, 0}, 4},     /* multicast */
    {{240, 0, 0, 0}, 4},     /* reserved; broadcast */
};

typedef struct v6_block {
	uint8_t net[4]; /* the first bytes */
	unsigned bits;  /* at most 32 */
} v6_block;

/* Within 2000::/3, the only part that is global unicast. */
static const v6_block V6_SPECIAL[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* protocol assignments; Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02, 0x00, 0x00}, 16}, /* 6to4 */
    {{0x3f, 0xff, 0x00, 0x00}, 20}, /* documentation */
};

static bool within(const uint8_t *address, const uint8_t net[4], unsigned bits)
{
	uint32_t a, n, mask = htonl(~0u << (32 - bits));
	memcpy(&a, address, 4);
	memcpy(&n, net, 4);
	return (a & mask) == n;
}

bool address_is_public(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		const uint8_t *p = (const uint8_t *)&((const struct sockaddr_in *)a)->sin_addr;
		for (size_t i = 0; i < sizeof V4_SPECIAL / sizeof *V4_SPECIAL; i++)
			if (within(p, V4_SPECIAL[i].net, V4_SPECIAL[i].bits))
				return false;
		return true;
	}
	if (a->sa_family != AF_INET6)
		return false;
	const uint8_t *p = ((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr;
	if (p[0] >> 5 != 1)
		return false;
	for (size_t i = 0; i < sizeof V6_SPECIAL / sizeof *V6_SPECIAL; i++)
		if (within(p, V6_SPECIAL[i].net, V6_SPECIAL[i].bits))
			return false;
	return true;
}
