/* stats.h - counts of answers by route and status. The label set is fixed at build time: no client can grow it. */
#ifndef API_STATS_H
#define API_STATS_H

#include <stdatomic.h>
#include <stdio.h>

#define STATS_ROUTES 20
#define STATS_STATUSES 17

typedef struct stats {
	const char *_Atomic routes[STATS_ROUTES]; /* static strings, in order of first use */
	atomic_ullong counts[STATS_ROUTES][STATS_STATUSES];
} stats;

void stats_count(stats *s, const char *route, int http_status);
void stats_render(stats *s, FILE *to); /* Prometheus text */

#endif
