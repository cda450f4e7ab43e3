#include "formats/hf_sentence.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/hf_keys.h"

enum { MAX_BYTES = 1 << 20, MAX_MODULES = 8, MEAN = 1, FIRST = 2, LAST = 3 };

/* As sentence-transformers calls them, in its older files and in its newer ones; type 0: not computed. */
static const struct { const char *flag, *mode; uint32_t type; } modes[] = {
	{"pooling_mode_cls_token", "cls", FIRST},
	{"pooling_mode_mean_tokens", "mean", MEAN},
	{"pooling_mode_lasttoken", "lasttoken", LAST},
	{"pooling_mode_max_tokens", "max", 0},
	{"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", 0},
	{"pooling_mode_weightedmean_tokens", "weightedmean", 0},
};

static sn_status read_file(json_t **out, const model_file *f, const char *file, sn_error *err)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s", f->dir, file);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(err, SN_ERR_INVALID, "%s: its path is too long", file);
	return json_file_read(out, path, MAX_BYTES, err);
}

/* "sentence_transformers.models.Pooling" -> "Pooling" */
static const char *kind_of(const json_t *module)
{
	const char *type = json_get_string(module, "type"), *dot = type ? strrchr(type, '.') : NULL;
	return dot ? dot + 1 : type;
}

/* One folder below the directory. */
static bool is_plain(const char *folder)
{
	return folder && *folder && *folder != '.' && strlen(folder) < 64 && !strchr(folder, '/');
}

static sn_status pick_mode(uint32_t *type, const json_t *json, sn_error *err)
{
	const char *mode = json_get_string(json, "pooling_mode"), *found = NULL;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		if (mode ? strcmp(mode, modes[i].mode) != 0 : !json_get_bool(json, modes[i].flag, false))
			continue;
		if (found || !modes[i].type)
			return error_set(err, SN_ERR_UNSUPPORTED, "the Pooling's config.json: %s%s%s is not supported (one of cls, mean and lasttoken is)",
			                 found ? found : "", found ? " with " : "", modes[i].mode);
		found = modes[i].mode;
		*type = modes[i].type;
	}
	return found ? SN_OK : error_set(err, SN_ERR_UNSUPPORTED, "the Pooling's config.json: no pooling that is known (cls, mean and lasttoken are)");
}

static sn_status read_pooling(uint32_t *type, const model_file *f, const json_t *module, sn_error *err)
{
	char file[128];
	json_t *json;
	const char *folder = json_get_string(module, "path");
	if (!is_plain(folder))
		return error_set(err, SN_ERR_INVALID, "modules.json: the Pooling's path is not a folder of this directory");
	snprintf(file, sizeof file, "%s/config.json", folder);
	sn_status st = read_file(&json, f, file, err);
	if (st)
		return st;
	st = pick_mode(type, json, err);
	if (!st && !json_get_bool(json, "include_prompt", true))
		st = error_set(err, SN_ERR_UNSUPPORTED, "the Pooling's config.json: include_prompt false is not supported");
	json_decref(json);
	return st;
}

/* The model, the Pooling, and at most a Normalize, in this order. */
static sn_status read_modules(uint32_t *type, bool *normalised, const model_file *f, const json_t *list, sn_error *err)
{
	static const char *const order[] = {"Transformer", "Pooling", "Normalize"};
	size_t i, n = json_array_size(list);
	const json_t *module;
	if (n < 2 || n > MAX_MODULES)
		return error_set(err, SN_ERR_UNSUPPORTED, "modules.json: %zu modules are not supported (Transformer, Pooling and Normalize are)", n);
	json_array_foreach(list, i, module) {
		const char *kind = kind_of(module);
		if (i >= sizeof order / sizeof *order || !kind || strcmp(kind, order[i]) != 0)
			return error_set(err, SN_ERR_UNSUPPORTED, "modules.json: %.64s as module %zu is not supported (Transformer, Pooling and Normalize are, in this order)",
			                 kind ? kind : "no type", i);
	}
	*normalised = n == 3;
	return read_pooling(type, f, json_array_get(list, 1), err);
}

/* A prompt that is put before every text, unless who asks says otherwise. */
static sn_status check_prompts(const model_file *f, sn_error *err)
{
	json_t *json;
	sn_status st = read_file(&json, f, "config_sentence_transformers.json", err);
	if (st)
		return st == SN_ERR_NOT_FOUND ? SN_OK : st;
	const json_t *name = json_get(json, "default_prompt_name");
	if (name)
		st = error_set(err, SN_ERR_UNSUPPORTED, "config_sentence_transformers.json: default_prompt_name is not supported (put the prompt into the texts)");
	json_decref(json);
	return st;
}

static sn_status read_sizes(const hf_config *config, model_file *f, sn_error *err)
{
	enum { MAX_SIZES = 64 };
	int32_t sizes[MAX_SIZES];
	size_t i;
	json_t *json;
	const json_t *v;
	sn_status st = read_file(&json, f, "config.json", err);
	if (st)
		return st;
	const json_t *list = json_get(json, "matryoshka_dimensions");
	if (list && (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > MAX_SIZES))
		st = error_set(err, SN_ERR_INVALID, "config.json: matryoshka_dimensions is not a list of 1 to %d numbers", MAX_SIZES);
	json_array_foreach(list, i, v) {
		if (st)
			break;
		if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > INT32_MAX)
			st = error_set(err, SN_ERR_INVALID, "config.json: matryoshka_dimensions: number %zu is none", i);
		else
			sizes[i] = (int32_t)json_integer_value(v);
	}
	if (!st && list)
		st = hf_key_i32s(f, config->name, "pooling_sizes", sizes, json_array_size(list), err);
	json_decref(json);
	return st;
}

sn_status hf_sentence_read(hf_config *config, model_file *f, sn_error *err)
{
	json_t *list;
	uint32_t type = LAST;
	bool normalised = true;
	sn_status st = read_file(&list, f, "modules.json", err);
	if (st && st != SN_ERR_NOT_FOUND)
		return st;
	if (st && !(config->has & HF_HEADLESS))
		return SN_OK;
	if (!st) {
		st = read_modules(&type, &normalised, f, list, err);
		json_decref(list);
		if (!st)
			st = check_prompts(f, err);
	} else {
		st = SN_OK;
	}
	if (!st && config->has & (HF_ENCDEC | HF_TALKER))
		st = error_set(err, SN_ERR_UNSUPPORTED, "modules.json: %s does not embed texts", config->architecture);
	config->has |= HF_EMBEDS;
	if (!st)
		st = hf_key_u32(f, config->name, "pooling_type", type, err);
	if (!st)
		st = hf_key_bool(f, config->name, "pooling_plain", !normalised, err);
	return st ? st : read_sizes(config, f, err);
}
