#include "formats/hf_text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/hf_keys.h"

enum { MAX_CONFIG_BYTES = 1 << 20, MAX_TOKENIZER_CONFIG_BYTES = 32 << 20, MAX_TEMPLATE_BYTES = 1 << 20, MAX_ENDS = 64 };

static sn_status path_of(char *out, size_t cap, const model_file *f, const char *file, sn_error *err)
{
	int n = snprintf(out, cap, "%s/%s", f->dir, file);
	return n > 0 && (size_t)n < cap ? SN_OK : error_set(err, SN_ERR_INVALID, "%s: its path is too long", file);
}

/* NULL in *out if there is no such file. */
static sn_status read_optional(json_t **out, const model_file *f, const char *file, size_t max_bytes, sn_error *err)
{
	char path[PATH_MAX];
	sn_error why;
	*out = NULL;
	sn_status st = path_of(path, sizeof path, f, file, err);
	if (!st)
		st = json_file_read(out, path, max_bytes, &why);
	if (st == SN_ERR_NOT_FOUND)
		return SN_OK;
	if (!st && !json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return error_set(err, SN_ERR_INVALID, "%s: not a JSON object", file);
	}
	return st ? error_set(err, st, "%s", why.text) : SN_OK;
}

/* ---- ends ---- */

static sn_status read_ends(int32_t *ids, size_t *n, const json_t *v, const char *file, sn_error *err)
{
	*n = json_is_array(v) ? json_array_size(v) : 1;
	if (*n == 0 || *n > MAX_ENDS)
		return error_set(err, SN_ERR_INVALID, "%s: eos_token_id: %zu ids, expected 1 to %d", file, *n, MAX_ENDS);
	for (size_t i = 0; i < *n; i++) {
		const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
			return error_set(err, SN_ERR_INVALID, "%s: eos_token_id is not made of token ids", file);
		ids[i] = (int32_t)json_integer_value(id);
	}
	return SN_OK;
}

static sn_status add_ends(model_file *f, sn_error *err)
{
	static const char *const files[] = {"generation_config.json", "config.json"};
	int32_t ids[MAX_ENDS];
	size_t n = 0;
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof files / sizeof *files && !n && !st; i++) {
		json_t *json;
		st = read_optional(&json, f, files[i], MAX_CONFIG_BYTES, err);
		const json_t *v = json_get(json, "eos_token_id");
		if (!st && v)
			st = read_ends(ids, &n, v, files[i], err);
		json_decref(json);
	}
	if (st || !n)
		return st;
	st = hf_key_u32(f, "tokenizer.ggml", "eos_token_id", (uint32_t)ids[0], err);
	return st ? st : hf_key_i32s(f, "tokenizer.ggml", "eog_token_ids", ids, n, err);
}

/* ---- the chat template ---- */

static sn_status add_template(model_file *f, const char *file, const char *key, const char *source, size_t n, sn_error *err)
{
	if (n > MAX_TEMPLATE_BYTES)
		return error_set(err, SN_ERR_TOO_LARGE, "%s: the chat template is larger than %d bytes", file, MAX_TEMPLATE_BYTES);
	return hf_key_str(f, "tokenizer", key, (str){source, n}, err);
}

/* A string, or a list of named ones. */
static sn_status add_from_json(model_file *f, const char *file, const json_t *v, sn_error *err)
{
	size_t i;
	const json_t *entry, *chosen = json_is_string(v) ? v : NULL, *with_tools = NULL;
	json_array_foreach(v, i, entry) {
		const char *name = json_get_string(entry, "name");
		if (name && strcmp(name, "default") == 0)
			chosen = json_object_get(entry, "template");
		else if (name && strcmp(name, "tool_use") == 0)
			with_tools = json_object_get(entry, "template");
	}
	if (!json_is_string(chosen))
		return error_set(err, SN_ERR_INVALID, "%s: chat_template is neither a string nor a list with one named default", file);
	sn_status st = add_template(f, file, "chat_template", json_string_value(chosen), json_string_length(chosen), err);
	if (!st && json_is_string(with_tools))
		st = add_template(f, file, "chat_template.tool_use", json_string_value(with_tools), json_string_length(with_tools), err);
	return st;
}

static sn_status add_chat_template(model_file *f, sn_error *err)
{
	static const char jinja[] = "chat_template.jinja";
	static const struct { const char *name; size_t max; } files[] = {{"chat_template.json", MAX_CONFIG_BYTES * 2},
	                                                                 {"tokenizer_config.json", MAX_TOKENIZER_CONFIG_BYTES}};
	char path[PATH_MAX], *source;
	size_t n;
	sn_error why;
	sn_status st = path_of(path, sizeof path, f, jinja, err);
	if (st)
		return st;
	st = file_load(&source, &n, path, MAX_TEMPLATE_BYTES, FILE_LINKS_REFUSED, &why);
	if (!st) {
		st = add_template(f, jinja, "chat_template", source, n, err);
		free(source);
		return st;
	}
	if (st != SN_ERR_NOT_FOUND)
		return error_set(err, st, "%s", why.text);
	st = SN_OK;
	for (size_t i = 0; i < sizeof files / sizeof *files && !st; i++) {
		json_t *json;
		st = read_optional(&json, f, files[i].name, files[i].max, err);
		const json_t *v = json_get(json, "chat_template");
		bool found = !st && v;
		if (found)
			st = add_from_json(f, files[i].name, v, err);
		json_decref(json);
		if (found)
			break;
	}
	return st;
}

sn_status hf_text_read(model_file *f, sn_error *err)
{
	sn_status st = add_ends(f, err);
	return st ? st : add_chat_template(f, err);
}
