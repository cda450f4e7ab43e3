#include "stats.h"

#include <string.h>

/* The last one stands for every status that is not listed. */
static const int statuses[STATS_STATUSES] = {200, 400, 401, 404, 405, 408, 413, 415, 417, 429, 431, 499, 500, 503, 505, 422, 0};

void stats_count(stats *s, const char *route, int http_status)
{
	size_t i = 0, j = 0;
	for (; i < STATS_ROUTES - 1; i++) {
		const char *seen = NULL;
		if (atomic_compare_exchange_strong(&s->routes[i], &seen, route) || strcmp(seen, route) == 0)
			break;
	}
	while (statuses[j] && statuses[j] != http_status)
		j++;
	atomic_fetch_add(&s->counts[i][j], 1);
}

void stats_render(stats *s, FILE *to)
{
	fputs("# HELP sensorium_http_requests_total Answers by route and HTTP status.\n"
	      "# TYPE sensorium_http_requests_total counter\n", to);
	for (size_t i = 0; i < STATS_ROUTES; i++) {
		const char *route = atomic_load(&s->routes[i]);
		for (size_t j = 0; route && j < STATS_STATUSES; j++) {
			unsigned long long n = atomic_load(&s->counts[i][j]);
			if (n && statuses[j])
				fprintf(to, "sensorium_http_requests_total{route=\"%s\",status=\"%d\"} %llu\n", route, statuses[j], n);
			else if (n)
				fprintf(to, "sensorium_http_requests_total{route=\"%s\",status=\"other\"} %llu\n", route, n);
		}
	}
}
