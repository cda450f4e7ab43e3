/* cmd_inspect.c - `sensorium inspect MODEL`: what a model's files hold, and the memory plan that `serve` would make of the same flags. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "out.h"

static const double MB = 1e6;

/* ---- for people ------------------------------------------------------------------------------------------------------ */

static void print_model(const sn_inspection *x)
{
	printf("model: %s, %u layers, width %u, feed-forward %u, %u heads (%u KV) of %u, context %u, %u tokens\n", x->architecture, x->n_layers,
	       x->n_embd, x->n_ffn, x->n_head, x->n_kv_head, x->head_dim, x->n_context, x->n_vocab);
	printf("rope: %s", x->rope);
	if (x->window)
		printf("; %u layers see %u rows, by rope %s", x->n_windowed, x->window, x->window_rope);
	if (x->n_experts)
		printf("; %u experts, %u used", x->n_experts, x->n_experts_used);
	if (x->n_cross)
		printf("; sequences begin with %u rows of a medium", x->n_cross);
	printf(x->embeds ? "\nembeddings: %s, and nothing else" : "\nembeddings: %s", x->pooling ? x->pooling : "none");
	printf("\ntools: %s", x->tools ? x->tools : "none");
	if (x->thinks)
		printf("\nthinking: %s", x->thinks);
	printf("\nmedia:");
	for (size_t i = 0; x->kinds[i]; i++)
		printf(" %s", x->kinds[i]);
	printf(x->kinds[0] ? "\n" : " none\n");
}

static void print_groups(const sn_inspection *x)
{
	for (size_t i = 0; i < x->n_groups; i++) {
		char sees[64] = "all rows";
		if (x->groups[i].limit)
			snprintf(sees, sizeof sees, "%u rows of a medium", x->groups[i].limit);
		else if (x->groups[i].window)
			snprintf(sees, sizeof sees, "%u rows", x->groups[i].window);
		printf("KV %s: group %zu, %u layers of %u heads of %u that see %s: ", x->kv_type, i, x->groups[i].n_layers, x->groups[i].n_kv_head,
		       x->groups[i].head_dim, sees);
		printf("blocks of %u tokens, %u layers a page, %u pages a block, %.1f %% of a page unused\n", x->groups[i].block_tokens,
		       x->groups[i].slab_layers, x->groups[i].n_slabs, x->groups[i].waste * 100);
	}
}

static void print_plan(const sn_inspection *x, const options *o)
{
	const sn_memory *m = &x->memory;
	print_groups(x);
	printf("memory: %.1f MB = weights %.1f (mapped) + tables %.1f + buffers of a step %.1f + plugins %.1f + KV pool %.1f\n", (double)m->sum / MB,
	       (double)m->weights / MB, (double)m->tables / MB, (double)m->buffers / MB, (double)m->plugins / MB, (double)m->pool / MB);
	printf("pool: %u pages of %zu KiB (%u a GiB), %.0f bytes a token; the longest sequence that fits: %u tokens\n", x->n_pages, x->page_bytes / 1024,
	       x->pages_per_gb, x->token_bytes, x->longest);
	if (o->memory_limit)
		printf("limit: %.1f MB; left for a pool: %.1f MB, a sequence of %u tokens\n", (double)o->memory_limit / MB, (double)x->left / MB,
		       x->longest_left);
	else if (x->total < SIZE_MAX && x->available < SIZE_MAX)
		printf("machine: %.1f MB, %.1f available; left for a pool: %.1f MB, a sequence of %u tokens\n", (double)x->total / MB,
		       (double)x->available / MB, (double)x->left / MB, x->longest_left);
	printf(x->fits ? "serve: fits\n" : "serve: refused: %s\n", x->misfit);
}

static void print_text(const sn_inspection *x, const options *o)
{
	printf("%s: %s, %zu keys, %zu tensors, %.1f MB\n", x->name, x->container, x->n_keys, x->n_tensors, (double)x->file_bytes / MB);
	if (o->tensors)
		sn_inspect_list(x, stdout);
	for (size_t i = 0; i < x->n_types; i++)
		printf("weights: %-6s %zu tensors, %zu bytes\n", x->types[i].name, x->types[i].n_tensors, x->types[i].bytes);
	printf("tokenizer: %s%s%s\n", x->tokenizer ? x->tokenizer : "none", x->pre_tokenizer ? ", " : "", x->pre_tokenizer ? x->pre_tokenizer : "");
	printf(x->template_bytes ? "chat template: %zu bytes\n" : "chat template: none\n", x->template_bytes);
	if (x->refusal) {
		printf("serve: refused: %s\n", x->refusal);
		return;
	}
	print_model(x);
	print_plan(x, o);
}

/* ---- for programs ---------------------------------------------------------------------------------------------------- */

static void number(out_buf *b, const char *name, uint64_t v)
{
	out_fmt(b, ",\"%s\":%" PRIu64, name, v);
}

static void text(out_buf *b, const char *name, const char *v)
{
	out_fmt(b, ",\"%s\":", name);
	out_json_or_null(b, v);
}

static void model_json(out_buf *b, const sn_inspection *x)
{
	text(b, "architecture", x->architecture);
	const struct { const char *name; uint64_t v; } numbers[] = {
		{"layers", x->n_layers}, {"width", x->n_embd}, {"feed_forward", x->n_ffn}, {"heads", x->n_head}, {"kv_heads", x->n_kv_head},
		{"head_size", x->head_dim}, {"context", x->n_context}, {"window", x->window}, {"windowed_layers", x->n_windowed}, {"experts", x->n_experts},
		{"experts_used", x->n_experts_used}, {"medium_rows", x->n_cross}, {"vocabulary", x->n_vocab},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		number(b, numbers[i].name, numbers[i].v);
	text(b, "rope", x->rope);
	text(b, "window_rope", x->window_rope);
	text(b, "pooling", x->pooling);
	text(b, "tools", x->tools);
	text(b, "thinking", x->thinks);
	out_fmt(b, ",\"embeds_only\":%s,\"media\":[", x->embeds ? "true" : "false");
	for (size_t i = 0; x->kinds[i]; i++) {
		out_text(b, i ? "," : "");
		out_json_text(b, x->kinds[i]);
	}
	out_text(b, "]");
}

static void plan_json(out_buf *b, const sn_inspection *x)
{
	const sn_memory *m = &x->memory;
	out_fmt(b, ",\"memory\":{\"weights\":%zu,\"tables\":%zu,\"buffers\":%zu,\"plugins\":%zu,\"pool\":%zu,\"sum\":%zu}", m->weights, m->tables,
	        m->buffers, m->plugins, m->pool, m->sum);
	text(b, "kv_type", x->kv_type);
	out_text(b, ",\"kv_groups\":[");
	for (size_t i = 0; i < x->n_groups; i++)
		out_fmt(b, "%s{\"layers\":%u,\"kv_heads\":%u,\"head_size\":%u,\"window\":%u,\"medium_rows\":%u,\"block_tokens\":%u,\"layers_a_page\":%u,"
		        "\"pages_a_block\":%u,\"unused\":%.6f}", i ? "," : "", x->groups[i].n_layers, x->groups[i].n_kv_head, x->groups[i].head_dim,
		        x->groups[i].window, x->groups[i].limit, x->groups[i].block_tokens, x->groups[i].slab_layers, x->groups[i].n_slabs, x->groups[i].waste);
	out_fmt(b, "],\"bytes_per_token\":%.1f", x->token_bytes);
	const struct { const char *name; uint64_t v; } numbers[] = {
		{"page_bytes", x->page_bytes}, {"pages", x->n_pages}, {"pages_per_gib", x->pages_per_gb}, {"longest_sequence", x->longest},
		{"least_sequence", x->least_rows}, {"least_pages", x->least_pages}, {"left_for_pool", x->left},
		{"longest_sequence_with_all_left", x->longest_left},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		number(b, numbers[i].name, numbers[i].v);
	if (x->total < SIZE_MAX)
		out_fmt(b, ",\"machine_memory\":%zu,\"machine_memory_available\":%zu", x->total, x->available);
	out_fmt(b, ",\"fits\":%s", x->fits ? "true" : "false");
}

static void inspection_json(out_buf *b, const sn_inspection *x)
{
	out_text(b, "{\"file\":");
	out_json_text(b, x->name);
	text(b, "container", x->container);
	number(b, "file_bytes", x->file_bytes);
	number(b, "keys", x->n_keys);
	number(b, "tensors", x->n_tensors);
	out_text(b, ",\"types\":{");
	for (size_t i = 0; i < x->n_types; i++)
		out_fmt(b, "%s\"%s\":{\"tensors\":%zu,\"bytes\":%zu}", i ? "," : "", x->types[i].name, x->types[i].n_tensors, x->types[i].bytes);
	out_text(b, "}");
	text(b, "tokenizer", x->tokenizer);
	text(b, "pre_tokenizer", x->pre_tokenizer);
	number(b, "chat_template_bytes", x->template_bytes);
	if (!x->refusal) {
		model_json(b, x);
		plan_json(b, x);
	}
	text(b, "refused", x->refusal ? x->refusal : x->misfit);
	out_text(b, "}");
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static int inspect(const options *o, const sn_engine_config *config, const model_file *f, out_buf *json, sn_log *log)
{
	const sn_model_config model = {.name = f->name, .path = f->path, .mmproj = (const char *const *)f->mmproj, .n_mmproj = f->n_mmproj,
	                               .pooling = f->pooling};
	sn_inspection *x;
	sn_error err;
	if (sn_inspect_open(&x, config, &model, &err) != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "inspect", NULL, "%s", err.text);
		return EXIT_MODEL;
	}
	if (o->json) {
		out_text(json, json->size ? ",\n" : "");
		inspection_json(json, x);
	} else {
		print_text(x, o);
	}
	sn_inspect_close(&x);
	return EXIT_FINE;
}

int cmd_inspect(const options *o, sn_log *log)
{
	sn_engine_config config;
	char plugins[4096];
	model_files files = {0};
	out_buf json = {0};
	int rc = engine_config_from(&config, plugins, sizeof plugins, o, false, log);
	if (rc == EXIT_FINE)
		rc = model_files_from(&files, o, log);
	config.log = NULL; /* what loading tells is not asked for */
	for (size_t i = 0; i < files.n && rc == EXIT_FINE; i++)
		rc = inspect(o, &config, &files.list[i], &json, log);
	if (rc == EXIT_FINE && json.failed)
		sn_log_write(log, SN_LOG_ERROR, "inspect", NULL, "no memory for the answer");
	else if (rc == EXIT_FINE && o->json)
		printf("[%.*s]\n", (int)json.size, json.data ? json.data : "");
	bool failed = json.failed || fflush(stdout) != 0;
	out_fini(&json);
	model_files_fini(&files);
	return rc == EXIT_FINE && failed ? EXIT_FAILED : rc;
}
