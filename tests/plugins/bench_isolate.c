/* bench_isolate FILE KIND ROUNDS RATE|FRAMES: a file through the media gate here and in a helper, in turn: by the clock (medians) and of
 * processor time (means, of both processes), as one line of JSON. tests/bench/isolate.py makes the files. */
#include "isolate_case.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { MAX_ROUNDS = 1000, MAX_FRAMES = 1000 };

typedef struct wish {
	uint32_t n, frames[MAX_FRAMES];
} wish;

/* As a model wants them: evenly, of half the size. */
static sn_status choose(void *ctx, const sn_clip_info *info, sn_clip_wish *w, sn_error *err)
{
	wish *x = ctx;
	(void)err;
	for (uint32_t i = 0; i < x->n; i++)
		x->frames[i] = (uint32_t)((uint64_t)i * info->n_frames / x->n);
	w->n_frames = x->n;
	w->frames = x->frames;
	w->n_steps = 1;
	w->steps[0] = (sn_clip_step){.width = info->width / 2, .height = info->height / 2, .filter = SN_CLIP_BICUBIC};
	return SN_OK;
}

static sn_status once(gate *t, const char *kind, const uint8_t *bytes, size_t n, uint32_t how)
{
	sn_media m;
	sn_clip_info info;
	sn_error err = {0};
	wish w = {.n = how};
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = kind, .data = (const char *)bytes, .size = n};
	sn_status st = strcmp(kind, "video") == 0 ? media_gate_watch(&t->g, &part, choose, &w, "bench", &info, &m, &err)
	                                          : media_gate_decode(&t->g, &part, how, "bench", &m, &err);
	if (st)
		fprintf(stderr, "%s\n", err.text);
	else
		media_gate_release(&t->g, &m);
	return st;
}

static double cpu_ms(pid_t pid)
{
	clockid_t clock;
	struct timespec t = {0, 0};
	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static uint8_t bytes[64 << 20];
	static double ms[2][MAX_ROUNDS];
	int rounds = argc == 5 ? atoi(argv[3]) : 0, how = argc == 5 ? atoi(argv[4]) : 0;
	FILE *f = argc == 5 ? fopen(argv[1], "rb") : NULL;
	size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
	gate t[2];
	pid_t helper = 0;
	double cpu[2] = {0};
	if (!n || rounds < 1 || rounds > MAX_ROUNDS || how < 0 || how > (strcmp(argv[2], "video") == 0 ? MAX_FRAMES : 192000)) {
		fprintf(stderr, "usage: bench_isolate FILE KIND ROUNDS RATE|FRAMES\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		gate_open(&t[i], PLUGIN_DIR, i == 1, 120000);
	count_children(&helper);
	for (int k = -2; k < 2 * rounds; k++) { /* two to warm up */
		double begin = clock_ms(), used = cpu_ms(getpid()) + cpu_ms(helper);
		if (once(&t[k & 1], argv[2], bytes, n, (uint32_t)how))
			return 1;
		if (k < 0)
			continue;
		ms[k & 1][k / 2] = clock_ms() - begin;
		cpu[k & 1] += cpu_ms(getpid()) + cpu_ms(helper) - used;
	}
	for (int i = 1; i >= 0; i--) {
		qsort(ms[i], (size_t)rounds, sizeof ms[i][0], by_time);
		gate_close(&t[i]);
	}
	printf("{\"here_ms\": %.3f, \"helper_ms\": %.3f, \"here_cpu_ms\": %.3f, \"helper_cpu_ms\": %.3f}\n", ms[0][rounds / 2], ms[1][rounds / 2],
	       cpu[0] / rounds, cpu[1] / rounds);
	fclose(f);
	return 0;
}
