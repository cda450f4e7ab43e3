#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fault.h"

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof *v, by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* splitmix64 */
static uint64_t draw(bench *b)
{
	uint64_t z = b->drawn += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

/* Until its end. One after the other is enough: the rings of the others hold what they say meanwhile, up to a point, and
 * a full one stalls its sequence; so each gets a short look in turn. */
static sn_status wait_all(sn_request **r, uint32_t n, sn_error *err)
{
	uint32_t left = n;
	while (left)
		for (uint32_t i = 0; i < n; i++) {
			sn_event ev;
			if (!r[i])
				continue;
			sn_event_kind kind = sn_request_next(r[i], 20, &ev);
			if (kind == SN_EVENT_ERROR) {
				if (err)
					*err = ev.error;
				return ev.error.status;
			}
			if (kind == SN_EVENT_DONE) {
				sn_request_close(&r[i]);
				left--;
			}
		}
	return SN_OK;
}

/* Seconds for a batch of prompts, `output` tokens each. */
static sn_status one_run(bench *b, const bench_text *t, uint32_t output, const int32_t *ids, double *seconds, sn_error *err)
{
	sn_request **r = calloc(t->batch, sizeof *r);
	sn_completion c = {.request_id = "bench", .n_ids = t->prompt};
	sn_status st = r ? SN_OK : (sn_status)fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the requests");
	sn_sampling_init(&c.sampling);
	c.sampling.temperature = 0;
	c.sampling.ignore_eos = true;
	c.sampling.max_tokens = output;
	double begin = now_s();
	for (uint32_t i = 0; i < t->batch && !st; i++) {
		c.ids = ids + (size_t)i * t->prompt;
		st = sn_completion_submit(b->engine, &c, &r[i], err);
	}
	if (!st)
		st = wait_all(r, t->batch, err);
	*seconds = now_s() - begin;
	for (uint32_t i = 0; r && i < t->batch; i++)
		if (r[i])
			sn_request_close(&r[i]);
	free(r);
	return st;
}

sn_status bench_text_run(bench *b, bench_text *t, sn_error *err)
{
	double prompt[BENCH_MAX_ROUNDS], generation[BENCH_MAX_ROUNDS], first, whole;
	size_t n = (size_t)t->batch * t->prompt;
	int32_t *ids = malloc(n * sizeof *ids);
	sn_status st = ids ? SN_OK : (sn_status)fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the prompts");
	for (uint32_t round = 0; round < b->rounds && !st; round++) {
		for (size_t i = 0; i < n; i++)
			ids[i] = (int32_t)(draw(b) % b->model->n_vocab);
		st = one_run(b, t, 1, ids, &first, err);
		if (!st)
			st = one_run(b, t, 1 + t->output, ids, &whole, err);
		if (st)
			break;
		prompt[round] = (double)n / first;
		/* On a machine whose speed changes in between the longer run may even be the shorter one. */
		generation[round] = whole > first ? (double)t->batch * t->output / (whole - first) : 0;
	}
	if (!st) {
		t->prompt_per_s = median(prompt, b->rounds);
		t->generation_per_s = median(generation, b->rounds);
	}
	free(ids);
	return st;
}

/* ---- pictures ---- */

/* A sum that the engine publishes, e.g. the seconds of encoder slices. */
static double metric(const sn_engine *engine, const char *name)
{
	char *text = NULL;
	size_t size;
	double value = 0;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return 0;
	sn_engine_metrics(engine, f);
	fclose(f);
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
			value = strtod(line + strlen(name), NULL);
	free(text);
	return value;
}

/* The salt makes it new to the cache. */
static sn_status show(bench *b, const char *data, size_t size, const char *salt, double *seconds, uint32_t *rows, sn_error *err)
{
	const char *kind = sn_engine_kind_of(b->engine, data, size, NULL);
	if (!kind)
		return fault_set(err, SN_ERR_MEDIA_TYPE, NULL, "no codec knows what this file is");
	const sn_part parts[] = {{.kind = SN_PART_MEDIA, .kind_name = kind, .data = data, .size = size}, {.kind = SN_PART_TEXT, .data = "Describe it.", .size = 12}};
	const sn_message message = {.role = "user", .parts = parts, .n_parts = 2};
	sn_chat chat = {.request_id = "bench", .messages = &message, .n_messages = 1, .cache_salt = salt};
	sn_request *r = NULL;
	sn_event ev = {0};
	sn_sampling_init(&chat.sampling);
	chat.sampling.temperature = 0;
	chat.sampling.max_tokens = 1;
	double begin = now_s();
	sn_status st = sn_chat_submit(b->engine, &chat, &r, err);
	while (!st && ev.kind != SN_EVENT_DONE && ev.kind != SN_EVENT_ERROR)
		sn_request_next(r, 1000, &ev);
	*seconds = now_s() - begin;
	if (!st && ev.kind == SN_EVENT_ERROR) {
		st = ev.error.status;
		if (err)
			*err = ev.error;
	}
	if (!st)
		*rows = ev.usage.media_rows;
	if (r)
		sn_request_close(&r);
	return st;
}

sn_status bench_picture_run(bench *b, const char *data, size_t size, bench_picture *p, sn_error *err)
{
	static const char sum[] = "sensorium_job_slice_seconds_sum";
	double encoder[BENCH_MAX_ROUNDS], first[BENCH_MAX_ROUNDS], seconds = 0;
	sn_status st = SN_OK;
	for (uint32_t round = 0; round < b->rounds && !st; round++) {
		char salt[32];
		snprintf(salt, sizeof salt, "bench-%llu", (unsigned long long)draw(b));
		double before = metric(b->engine, sum);
		st = show(b, data, size, salt, &seconds, &p->rows, err);
		encoder[round] = (metric(b->engine, sum) - before) * 1e3;
		first[round] = seconds * 1e3;
	}
	if (!st) {
		p->encoder_ms = median(encoder, b->rounds);
		p->first_token_ms = median(first, b->rounds);
	}
	return st;
}
