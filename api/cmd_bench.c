/* cmd_bench.c - `sensorium bench [MODEL]`: speed of a model on this machine, as a table or as JSON on stdout. */
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "commands.h"
#include "fault.h"
#include "out.h"

#define MAX_PICTURE_BYTES (32u << 20)
#define MAX_VALUES 16

typedef struct numbers {
	uint32_t v[MAX_VALUES];
	size_t n;
} numbers;

/* "1,4,16" */
static int numbers_parse(numbers *out, const char *option, const char *text, uint32_t max, sn_error *err)
{
	out->n = 0;
	for (const char *at = text; *at;) {
		char *end = NULL;
		errno = 0;
		unsigned long v = isdigit((unsigned char)*at) ? strtoul(at, &end, 10) : 0;
		if (!end || errno || v < 1 || v > max || (*end && (*end != ',' || !end[1])) || out->n == MAX_VALUES)
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: needs at most %d numbers from 1 to %u, such as 1,4,16", option, MAX_VALUES, max);
		out->v[out->n++] = (uint32_t)v;
		at = *end ? end + 1 : end;
	}
	return out->n ? SN_OK : fault_set(err, SN_ERR_INVALID, NULL, "%s: needs a number", option);
}

typedef struct report {
	bool json;
	out_buf out;
	size_t n; /* results so far */
} report;

static void report_begin(report *r, const sn_model_info *m, const options *o)
{
	if (r->json) {
		out_text(&r->out, "{\"version\":\"" SN_VERSION "\",\"model\":");
		out_json_text(&r->out, m->name);
		out_text(&r->out, ",\"architecture\":");
		out_json_text(&r->out, m->architecture);
		out_fmt(&r->out, ",\"threads\":%llu,\"rounds\":%llu,\"results\":[", (unsigned long long)o->threads, (unsigned long long)o->rounds);
	} else {
		printf("%s (%s), %llu threads, medians of %llu rounds\n", m->name, m->architecture, (unsigned long long)o->threads, (unsigned long long)o->rounds);
		printf("%8s %8s %8s %16s %20s\n", "batch", "prompt", "output", "prompt tokens/s", "generation tokens/s");
	}
}

static void report_text(report *r, const bench_text *t)
{
	if (r->json)
		out_fmt(&r->out, "%s{\"kind\":\"text\",\"batch\":%u,\"prompt\":%u,\"output\":%u,\"prompt_tokens_per_second\":%.6g,\"generation_tokens_per_second\":%.6g}",
		        r->n++ ? "," : "", t->batch, t->prompt, t->output, t->prompt_per_s, t->generation_per_s);
	else
		printf("%8u %8u %8u %16.1f %20.1f\n", t->batch, t->prompt, t->output, t->prompt_per_s, t->generation_per_s);
	fflush(stdout);
}

static void report_picture(report *r, const char *file, const bench_picture *p)
{
	const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	if (r->json) {
		out_fmt(&r->out, "%s{\"kind\":\"picture\",\"file\":", r->n++ ? "," : "");
		out_json_text(&r->out, name);
		out_fmt(&r->out, ",\"rows\":%u,\"encoder_ms\":%.6g,\"first_token_ms\":%.6g}", p->rows, p->encoder_ms, p->first_token_ms);
	} else {
		printf("%s: %u rows, encoder %.2f ms, first token after %.2f ms\n", name, p->rows, p->encoder_ms, p->first_token_ms);
	}
	fflush(stdout);
}

static void report_end(report *r)
{
	if (!r->json)
		return;
	out_text(&r->out, "]}\n");
	if (!r->out.failed)
		fwrite(r->out.data, 1, r->out.size, stdout);
	out_fini(&r->out);
}

static int measure(sn_engine *engine, const options *o, const numbers *batches, const numbers *prompts, sn_log *log)
{
	const sn_model_info *models;
	sn_error err;
	if (!sn_engine_models(engine, &models))
		return EXIT_MODEL;
	bench b = {.engine = engine, .model = &models[0], .drawn = 1, .rounds = (uint32_t)o->rounds};
	report r = {.json = o->json};
	sn_status st = SN_OK;
	report_begin(&r, b.model, o);
	for (size_t p = 0; p < prompts->n && !st; p++)
		for (size_t i = 0; i < batches->n && !st; i++) {
			bench_text t = {.batch = batches->v[i], .prompt = prompts->v[p], .output = (uint32_t)o->output_len};
			st = bench_text_run(&b, &t, &err);
			if (!st)
				report_text(&r, &t);
		}
	for (uint64_t i = 0; i < o->n_images && !st; i++) {
		size_t size = 0;
		bench_picture p = {0};
		char *data = file_read(o->images[i], MAX_PICTURE_BYTES, &size);
		st = data ? bench_picture_run(&b, data, size, &p, &err) : (sn_status)fault_set(&err, SN_ERR_IO, NULL, "--image: %s", strerror(errno));
		if (!st)
			report_picture(&r, o->images[i], &p);
		free(data);
	}
	report_end(&r);
	if (st)
		sn_log_write(log, SN_LOG_ERROR, "bench", NULL, "%s", err.text);
	return st ? EXIT_FAILED : EXIT_FINE;
}

int cmd_bench(const options *given, sn_log *log)
{
	options o = *given;
	cpu_set_t cores;
	model_files files;
	numbers batches, prompts;
	sn_engine *engine = NULL;
	sn_error err;
	if (numbers_parse(&batches, "--batch-sizes", o.batch_sizes, (uint32_t)o.max_num_seqs, &err) != SN_OK ||
	    numbers_parse(&prompts, "--prompt-lengths", o.prompt_lengths, 1u << 20, &err) != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err.text);
		return EXIT_USAGE;
	}
	o.no_prefix_caching = true;
	if (!o.threads && sched_getaffinity(0, sizeof cores, &cores) == 0)
		o.threads = (uint64_t)CPU_COUNT(&cores); /* the engine's own choice, so that the report can tell it */
	int rc = model_files_from(&files, &o, log);
	if (rc == EXIT_FINE)
		rc = engine_open_from(&engine, &o, false, log);
	if (rc == EXIT_FINE)
		rc = engine_load_from(engine, &files, &o, log);
	if (rc == EXIT_FINE)
		rc = measure(engine, &o, &batches, &prompts, log);
	if (engine)
		sn_engine_close(&engine);
	model_files_fini(&files);
	return rc;
}
