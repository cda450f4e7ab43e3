/* sn_inspect: what a model file holds, and what serving it would take. The plan is that of an engine into which the model was loaded as
 * serve loads it, with neither a pool nor buffers: whatever serve counts is counted here by the same code. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/machine.h"
#include "engine/engine.h"
#include "formats/hf_tokenizer.h"
#include "formats/model_file.h"
#include "model/arch.h"

struct inspection {
	sn_inspection told; /* first: it is what the caller has */
	sn_engine *engine;
	sn_log *log;        /* if the caller has none */
	model_file *file;
	arena *mem;
	sn_error refusal, misfit;
	char container[32];
};

_Static_assert(offsetof(struct inspection, told) == 0 && SN_INSPECT_GROUPS >= KV_MAX_GROUPS, "see inside()");

static struct inspection *inside(sn_inspection *x)
{
	return (struct inspection *)x;
}

/* ---- the file ---- */

/* *out stays NULL if there is no such key. */
static bool copy_text(struct inspection *x, const char *key, const char **out)
{
	str v;
	return !file_str(x->file, key, &v) || (*out = arena_strndup(x->mem, v.p, v.n));
}

static void count_types(sn_inspection *t, const model_file *f)
{
	for (size_t i = 0; i < f->n_tensors; i++) {
		const char *name = storage_type_find(f->tensors[i].type)->name;
		size_t k = 0;
		while (k < t->n_types && strcmp(t->types[k].name, name) != 0)
			k++;
		if (k == SN_INSPECT_TYPES)
			continue;
		if (k == t->n_types)
			t->types[t->n_types++].name = name;
		t->types[k].n_tensors++;
		t->types[k].bytes += f->tensors[i].bytes;
	}
}

static sn_status describe_file(struct inspection *x, sn_error *err)
{
	sn_inspection *t = &x->told;
	const model_file *f = x->file;
	str template;
	snprintf(x->container, sizeof x->container, f->from_hf ? "Hugging Face directory" : "GGUF v%u", f->version);
	t->name = f->name;
	t->container = x->container;
	t->file_bytes = f->map_bytes;
	t->n_keys = f->n_keys;
	t->n_tensors = f->n_tensors;
	count_types(t, f);
	t->tokenizer = f->from_hf ? hf_tokenizer_file(f->dir) : NULL;
	t->template_bytes = file_str(f, "tokenizer.chat_template", &template) ? template.n : 0;
	bool copied = (f->from_hf || copy_text(x, "tokenizer.ggml.model", &t->tokenizer)) && copy_text(x, "tokenizer.ggml.pre", &t->pre_tokenizer);
	return copied ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory to inspect a model");
}

/* ---- the model ---- */

/* Files call no scaling none. */
static const char *rope_name(enum rope_kind kind)
{
	return kind == ROPE_DEFAULT ? "default" : rope_kind_name(kind);
}

static void describe_model(sn_inspection *t, const served_model *s)
{
	static const char *const poolings[] = {[POOLING_LAST] = "last", [POOLING_MEAN] = "mean", [POOLING_FIRST] = "cls"};
	const hparams *h = &s->m->h;
	t->architecture = h->arch->name;
	t->rope = h->arch->learned_positions ? "learned positions" : rope_name(h->rope.kind);
	t->n_layers = h->n_layers;
	t->n_embd = h->n_embd;
	t->n_ffn = h->n_ffn;
	t->n_head = h->n_head;
	t->n_kv_head = h->n_kv_head;
	t->head_dim = h->head_dim;
	t->n_context = h->n_context;
	t->n_experts = h->n_experts;
	t->n_experts_used = h->n_experts_used;
	t->n_cross = h->n_cross;
	t->n_vocab = (uint32_t)vocab_size(s->m->vocab);
	for (uint32_t i = 0; i < h->n_layers; i++)
		t->n_windowed += h->windowed[i];
	t->window = t->n_windowed ? h->window : 0;
	t->window_rope = t->window ? rope_name(h->window_rope.kind) : NULL;
	t->pooling = h->n_cross || h->arch->speaks ? NULL : poolings[s->m->pooling.kind];
	t->embeds = s->m->pooling.declared;
	t->tools = s->m->chat && chat_template_tools(s->m->chat) ? chat_template_tools(s->m->chat)->name : NULL;
	t->thinks = s->m->chat ? chat_template_caps(s->m->chat).thinks : NULL;
}

static void describe_pages(sn_inspection *t, const sn_engine *e, const served_model *s)
{
	const kv_layout *kv = &s->m->kv;
	uint32_t max = s->m->h.n_context, n_cross = s->m->h.n_cross, cap = e->config.max_model_len;
	max = n_cross + (cap && cap < max ? cap : max);
	t->kv_type = kv_type_name(kv->groups[0].type);
	t->page_bytes = PAGE_BYTES;
	t->n_pages = memory_pages(e);
	t->pages_per_gb = (uint32_t)((1u << 30) / PAGE_BYTES);
	t->least_rows = memory_least_rows(e, s);
	t->least_pages = kv_layout_pages(kv, n_cross + t->least_rows);
	t->n_groups = kv->n_groups;
	for (uint32_t i = 0; i < kv->n_groups; i++) {
		const kv_group *g = &kv->groups[i];
		t->groups[i].n_layers = g->n_layers;
		t->groups[i].n_kv_head = g->n_kv_head;
		t->groups[i].head_dim = g->head_dim;
		t->groups[i].window = g->window;
		t->groups[i].limit = g->limit;
		t->groups[i].block_tokens = g->block_tokens;
		t->groups[i].slab_layers = g->slab_layers;
		t->groups[i].n_slabs = g->n_slabs;
		t->groups[i].waste = (double)g->waste;
		if (!g->window && !g->limit)
			t->token_bytes += (double)g->n_slabs * PAGE_BYTES / g->block_tokens;
	}
	uint32_t longest = kv_layout_rows(kv, t->n_pages, max);
	t->longest = longest > n_cross ? longest - n_cross : 0;
	/* A pool of all that is left: its tables grow with it. */
	size_t rest = t->memory.sum == SIZE_MAX ? SIZE_MAX : t->memory.sum - t->memory.pool, low = 0, high;
	size_t have = e->config.memory_limit ? e->config.memory_limit : t->available < SIZE_MAX ? t->available : 0;
	for (high = have > rest ? (have - rest) / PAGE_BYTES + 1 : 0; high > low + 1;) {
		size_t mid = low + (high - low) / 2;
		if (page_pool_bytes(mid * PAGE_BYTES) <= have - rest)
			low = mid;
		else
			high = mid;
	}
	t->left = low * PAGE_BYTES;
	longest = kv_layout_rows(kv, low < UINT32_MAX ? (uint32_t)low : UINT32_MAX, max);
	t->longest_left = longest > n_cross ? longest - n_cross : 0;
}

static sn_status describe_plan(struct inspection *x, const sn_engine_config *config, const sn_model_config *which, sn_error *err)
{
	sn_inspection *t = &x->told;
	sn_engine_config quiet = *config;
	const machine_memory machine = machine_memory_read("");
	t->total = machine.total;
	t->available = machine.available;
	quiet.log = config->log ? config->log : x->log;
	sn_status st = engine_open_plan(&x->engine, &quiet, err);
	if (st)
		return st;
	st = sn_engine_load(x->engine, which, &x->refusal);
	if (st == SN_ERR_NOMEM) /* that is no answer about the model */
		return error_set(err, st, "%s", x->refusal.text);
	if (st) {
		t->refusal = x->refusal.text;
		return SN_OK;
	}
	const served_model *s = &x->engine->models[0];
	for (size_t i = 0; i < SN_MAX_MODALITIES; i++)
		t->kinds[i] = x->engine->infos[0].modalities[i];
	t->memory = memory_count(x->engine, s, NULL);
	describe_model(t, s);
	describe_pages(t, x->engine, s);
	t->fits = memory_judge(x->engine, s, &x->misfit) == SN_OK;
	t->misfit = t->fits ? NULL : x->misfit.text;
	return SN_OK;
}

sn_status sn_inspect_open(sn_inspection **out, const sn_engine_config *config, const sn_model_config *which, sn_error *err)
{
	arena *mem = arena_open(0);
	struct inspection *x = mem ? arena_alloc(mem, sizeof *x) : NULL;
	*out = NULL;
	if (!x) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory to inspect a model");
	}
	x->mem = mem;
	sn_status st = config->log ? SN_OK : sn_log_open(&x->log, &(sn_log_config){.level = SN_LOG_WARN, .fd = 2}, err);
	if (!st)
		st = model_file_open(&x->file, which->path, err);
	*out = &x->told;
	if (!st)
		st = describe_file(x, err);
	if (!st)
		st = describe_plan(x, config, which, err);
	if (st)
		sn_inspect_close(out);
	return st;
}

void sn_inspect_close(sn_inspection **xp)
{
	struct inspection *x = *xp ? inside(*xp) : NULL;
	*xp = NULL;
	if (!x)
		return;
	arena *mem = x->mem;
	sn_engine_close(&x->engine);
	model_file_close(&x->file);
	sn_log_close(&x->log);
	arena_close(&mem);
}

/* ---- the list ---- */

static void print_value(const file_key *k, FILE *out)
{
	if (k->type == FILE_STRING) {
		uint64_t n;
		memcpy(&n, k->data, 8);
		fprintf(out, "\"");
		for (uint64_t i = 0; i < n && i < 60; i++)
			fputc(k->data[8 + i] >= 0x20 && k->data[8 + i] < 0x7F ? k->data[8 + i] : '.', out);
		fprintf(out, n > 60 ? "...\" (%" PRIu64 " bytes)" : "\"", n);
	} else if (k->type == FILE_BOOL) {
		fputs(k->data[0] ? "true" : "false", out);
	} else if (k->type == FILE_ARRAY) {
		fprintf(out, "[%" PRIu64 " values]", k->n);
	} else {
		fprintf(out, "%.9g", file_number(k, 0));
	}
}

void sn_inspect_list(const sn_inspection *t, FILE *out)
{
	const model_file *f = ((const struct inspection *)t)->file;
	for (size_t i = 0; i < f->n_keys; i++) {
		fprintf(out, "  %-48.*s ", (int)f->keys[i].name.n, f->keys[i].name.p);
		print_value(&f->keys[i], out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < f->n_tensors; i++) {
		const file_tensor *each = &f->tensors[i];
		fprintf(out, "  %-48.*s %-6s [", (int)each->name.n, each->name.p, storage_type_find(each->type)->name);
		for (uint32_t d = each->n_dims; d-- > 0;)
			fprintf(out, "%" PRIu64 "%s", each->ne[d], d ? ", " : "]\n");
	}
}
