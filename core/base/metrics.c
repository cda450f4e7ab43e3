#include "base/metrics.h"

#include <string.h>

static const double bounds[METRIC_BUCKETS] = {.001, .0025, .005, .01, .02, .03, .05, .1, .2, .5, 1, 2.5, 5, 10, 30, 60}; /* s */

void metric_observe(metrics *m, enum histogram_id id, double ms)
{
	int b = 0;
	while (b < METRIC_BUCKETS && ms * 1e-3 > bounds[b])
		b++;
	atomic_fetch_add_explicit(&m->histogram[id].bucket[b], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->histogram[id].sum_us, (uint64_t)(ms * 1e3), memory_order_relaxed);
}

static void render_value(const metrics *m, FILE *out, enum metric_id id, const char *kind, const char *name, const char *label,
                         const char *help)
{
	if (*help)
		fprintf(out, "# HELP sensorium_%s %s\n# TYPE sensorium_%s %s\n", name, help, name, kind);
	fprintf(out, "sensorium_%s%s%s%s %llu\n", name, *label ? "{" : "", label, *label ? "}" : "",
	        (unsigned long long)metric_get(m, id));
}

static void render_seconds(const metrics *m, FILE *out, enum metric_id id, const char *name, const char *help)
{
	fprintf(out, "# HELP sensorium_%s %s\n# TYPE sensorium_%s counter\nsensorium_%s %.6f\n", name, help, name, name,
	        (double)metric_get(m, id) * 1e-6);
}

static void render_histogram(const metrics *m, FILE *out, enum histogram_id id, const char *name, const char *help)
{
	uint64_t total = 0;
	fprintf(out, "# HELP sensorium_%s %s\n# TYPE sensorium_%s histogram\n", name, help, name);
	for (int b = 0; b <= METRIC_BUCKETS; b++) {
		total += atomic_load_explicit(&m->histogram[id].bucket[b], memory_order_relaxed);
		if (b < METRIC_BUCKETS)
			fprintf(out, "sensorium_%s_bucket{le=\"%g\"} %llu\n", name, bounds[b], (unsigned long long)total);
		else
			fprintf(out, "sensorium_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)total);
	}
	fprintf(out, "sensorium_%s_sum %.6f\nsensorium_%s_count %llu\n", name,
	        (double)atomic_load_explicit(&m->histogram[id].sum_us, memory_order_relaxed) * 1e-6, name, (unsigned long long)total);
}

void metrics_render(const metrics *m, FILE *out)
{
#define X(id, kind, name, label, help) render_value(m, out, M_##id, #kind, name, label, help);
	METRIC_TABLE(X)
#undef X
#define X(id, name, help) render_seconds(m, out, S_##id, name, help);
	METRIC_SECONDS(X)
#undef X
#define X(id, name, help) render_histogram(m, out, H_##id, name, help);
	METRIC_HISTOGRAMS(X)
#undef X
}
