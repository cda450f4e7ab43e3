/* sn_inspect: what a model file holds, for people. */
#include <inttypes.h>
#include <string.h>

#include "engine/pages.h"
#include "formats/model_file.h"
#include "model/arch.h"
#include "text/chat.h"

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

static void print_layout(const hparams *h, FILE *out)
{
	for (int f32 = 0; f32 < 2; f32++) {
		const char *type = f32 ? "f32" : "f16";
		sn_error err;
		kv_layout kv;
		hparams_groups(h, f32 ? KV_F32 : KV_F16, &kv);
		if (kv_layout_plan(&kv, &err) != SN_OK) {
			fprintf(out, "KV %s: %s\n", type, err.text);
			continue;
		}
		for (uint32_t i = 0; i < kv.n_groups; i++) {
			const kv_group *g = &kv.groups[i];
			fprintf(out, "KV %s: ", type);
			if (g->limit)
				fprintf(out, "group %u, %u layers that see %u rows of a medium: ", i, g->n_layers, g->limit);
			else if (kv.n_groups > 1 || g->window)
				fprintf(out, g->window ? "group %u, %u layers that see %u rows: " : "group %u, %u layers that see all rows: ", i, g->n_layers, g->window);
			fprintf(out, "blocks of %u tokens, %u layers a page, %u pages a block, %.1f %% of a page unused\n", g->block_tokens, g->slab_layers,
			        g->n_slabs, (double)g->waste * 100);
		}
	}
}

/* What the chat template takes; nothing where there is none. */
static void print_chat(const model_file *f, FILE *out)
{
	chat_template *t;
	str source;
	sn_error err;
	if (!file_str(f, "tokenizer.chat_template", &source))
		return;
	sn_status st = chat_template_open(&t, source, &err);
	if (!st && file_str(f, "tokenizer.chat_template.tool_use", &source))
		st = chat_template_add_tools(t, source, &err);
	if (st) {
		fprintf(out, "chat: %s\n", err.text);
		chat_template_close(&t);
		return;
	}
	const chat_caps k = chat_template_caps(t);
	const sn_tool_format *tools = chat_template_tools(t);
	fprintf(out, "chat: contents as %s, %s system messages, tools: %s%s", !k.lists ? "text" : k.strings ? "text or parts" : "parts", k.system ? "with" : "without",
	        tools ? tools->name : "none", tools ? chat_template_many_calls(t) ? ", several calls at once" : ", one call at once" : "");
	fprintf(out, "%s%s%s%s\n", k.thinks ? ", thinking: " : "", k.thinks ? k.thinks : "", k.thinking_switch ? ", enable_thinking" : "",
	        k.effort_switch ? ", reasoning_effort" : "");
	chat_template_close(&t);
}

sn_status sn_inspect(const char *path, FILE *out, sn_error *err)
{
	model_file *f;
	hparams h;
	sn_status st = model_file_open(&f, path, err);
	if (st)
		return st;
	fprintf(out, f->from_hf ? "%s: Hugging Face directory" : "%s: GGUF v%u", f->name, f->version);
	fprintf(out, ", %zu keys, %zu tensors, %.1f MB\n", f->n_keys, f->n_tensors, (double)f->map_bytes * 1e-6);
	for (size_t i = 0; i < f->n_keys; i++) {
		fprintf(out, "  %-48.*s ", (int)f->keys[i].name.n, f->keys[i].name.p);
		print_value(&f->keys[i], out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < f->n_tensors; i++) {
		const file_tensor *t = &f->tensors[i];
		fprintf(out, "  %-48.*s %-6s [", (int)t->name.n, t->name.p, storage_type_find(t->type)->name);
		for (uint32_t d = t->n_dims; d-- > 0;)
			fprintf(out, "%" PRIu64 "%s", t->ne[d], d ? ", " : "]\n");
	}
	if (hparams_read(&h, f, NULL) == SN_OK) {
		fprintf(out, "model: %s, %u layers, width %u, %u heads (%u KV) of %u, context %u\n", h.arch->name, h.n_layers, h.n_embd, h.n_head,
		        h.n_kv_head, h.head_dim, h.n_context);
		print_layout(&h, out);
	}
	print_chat(f, out);
	model_file_close(&f);
	return SN_OK;
}
