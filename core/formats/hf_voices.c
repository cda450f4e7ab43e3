#include "formats/hf_voices.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"

#define CONFIG "config.json"
#define GENERATION "generation_config.json"
#define ARCH "qwen3tts"

enum { MAX_NAMES = 1024, MAX_CONFIG_BYTES = 1 << 20, MAX_BLOCKS = 16, MAX_SCALE = 64 };

/* ---- names ---- */

static sn_status read_dialect(const json_t *talker, const char *voice, const char **out, sn_error *err)
{
	const json_t *v = json_object_get(json_get(talker, "spk_is_dialect"), voice), *languages = json_get(talker, "codec_language_id");
	*out = "";
	if (json_is_false(v))
		return SN_OK;
	if (!json_is_string(v) || !json_object_get(languages, json_string_value(v)))
		return error_set(err, SN_ERR_INVALID, CONFIG ": spk_is_dialect: %.48s has neither false nor a name of codec_language_id", voice);
	*out = json_string_value(v);
	return SN_OK;
}

static sn_status add_voices(model_file *f, const json_t *talker, sn_error *err)
{
	const json_t *voices = json_get(talker, "spk_id");
	const char *name, **names, **dialects;
	json_t *id;
	size_t n = 0, all = json_object_size(voices);
	sn_status st = SN_OK;
	if (all > MAX_NAMES)
		return error_set(err, SN_ERR_TOO_LARGE, CONFIG ": spk_id: more than %d voices", MAX_NAMES);
	if (all == 0)
		return SN_OK;
	names = arena_array(f->mem, all, sizeof *names);
	dialects = arena_array(f->mem, all, sizeof *dialects);
	if (!names || !dialects)
		return error_set(err, SN_ERR_NOMEM, CONFIG ": no memory for its voices");
	json_object_foreach((json_t *)(uintptr_t)voices, name, id) {
		names[n] = name;
		if (!st)
			st = read_dialect(talker, name, &dialects[n++], err);
	}
	if (!st)
		st = hf_key_strs(f, ARCH, "voices", names, n, err);
	return st ? st : hf_key_strs(f, ARCH, "voice_dialects", dialects, n, err);
}

static sn_status add_languages(model_file *f, const json_t *talker, sn_error *err)
{
	const json_t *languages = json_get(talker, "codec_language_id");
	const char *name, **names;
	json_t *id;
	size_t n = 0, all = json_object_size(languages);
	if (all > MAX_NAMES)
		return error_set(err, SN_ERR_TOO_LARGE, CONFIG ": codec_language_id: more than %d languages", MAX_NAMES);
	names = all ? arena_array(f->mem, all, sizeof *names) : NULL;
	if (all && !names)
		return error_set(err, SN_ERR_NOMEM, CONFIG ": no memory for its languages");
	json_object_foreach((json_t *)(uintptr_t)languages, name, id)
		if (!strstr(name, "dialect"))
			names[n++] = name;
	return n ? hf_key_strs(f, ARCH, "languages", names, n, err) : SN_OK;
}

/* ---- sampling ---- */

static sn_status add_number(model_file *f, const json_t *json, const char *key, const char *name, sn_error *err)
{
	double v = 0;
	if (!json_get(json, key))
		return SN_OK;
	if (!json_get_number(json, key, &v) || !(v >= 0 && v <= 1e6))
		return error_set(err, SN_ERR_INVALID, GENERATION ": %s is not a number from 0 on", key);
	return hf_key_f32(f, ARCH ".sampling", name, v, err);
}

static sn_status add_count(model_file *f, const json_t *json, const char *key, const char *name, sn_error *err)
{
	int64_t v = 0;
	if (!json_get(json, key))
		return SN_OK;
	if (!json_get_int(json, key, &v) || v < 0 || v > INT32_MAX)
		return error_set(err, SN_ERR_INVALID, GENERATION ": %s is not a number of tokens", key);
	return hf_key_u32(f, ARCH ".sampling", name, (uint32_t)v, err);
}

static sn_status add_sampling(model_file *f, const json_t *json, sn_error *err)
{
	static const struct { const char *key, *name; bool whole; } keys[] = {
	    {"top_k", "top_k", true}, {"top_p", "top_p", false}, {"repetition_penalty", "repetition_penalty", false}, {"max_new_tokens", "max_new_tokens", true},
	    {"subtalker_top_k", "predictor_top_k", true}, {"subtalker_top_p", "predictor_top_p", false}};
	static const struct { const char *key, *name, *does; } heats[] = {
	    {"temperature", "temperature", "do_sample"}, {"subtalker_temperature", "predictor_temperature", "subtalker_dosample"}};
	sn_status st = SN_OK;
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !st; i++)
		st = keys[i].whole ? add_count(f, json, keys[i].key, keys[i].name, err) : add_number(f, json, keys[i].key, keys[i].name, err);
	for (size_t i = 0; i < sizeof heats / sizeof *heats && !st; i++)
		st = json_get_bool(json, heats[i].does, true) ? add_number(f, json, heats[i].key, heats[i].name, err)
		                                              : hf_key_f32(f, ARCH ".sampling", heats[i].name, 0, err);
	return st;
}

static sn_status read_sampling(model_file *f, sn_error *err)
{
	char path[PATH_MAX];
	json_t *json;
	sn_error why;
	int n = snprintf(path, sizeof path, "%s/" GENERATION, f->dir);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(err, SN_ERR_INVALID, "the directory's path is too long");
	sn_status st = json_file_read(&json, path, MAX_CONFIG_BYTES, &why);
	if (st == SN_ERR_NOT_FOUND)
		return SN_OK;
	if (st)
		return error_set(err, st, "%s", why.text);
	st = add_sampling(f, json, err);
	json_decref(json);
	return st;
}

/* ---- what hears whom to speak like ---- */

/* The first of the list is the stem's, the last one what joins the blocks: both look at one row, or at none beside it. */
static sn_status add_speaker_encoder(hf_config *out, model_file *f, const json_t *json, sn_error *err)
{
	static const int64_t defaults[] = {1, 2, 3, 4, 1};
	const json_t *list = json_get(json, "enc_dilations");
	size_t n = list ? json_array_size(list) : 5;
	int32_t dilations[MAX_BLOCKS];
	uint32_t rate, bins;
	sn_status st = hf_read_size(json, "sample_rate", HF_MAX_SIZE, 24000, &rate, err);
	if (!st)
		st = hf_read_size(json, "mel_dim", HF_MAX_SIZE, 128, &bins, err);
	if (!st)
		st = hf_read_size(json, "enc_res2net_scale", MAX_SCALE, 8, &out->speaker_scale, err);
	if (st)
		return st;
	if (rate != 24000 || bins != 128)
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": speaker_encoder_config: sample_rate %u and mel_dim %u are not supported (24000 and 128 are)", rate, bins);
	if (n < 3 || n > MAX_BLOCKS + 2 || out->speaker_scale < 2)
		return error_set(err, SN_ERR_INVALID, CONFIG ": speaker_encoder_config: enc_dilations of %zu blocks, or in %u parts", n, out->speaker_scale);
	for (size_t i = 0; i < n; i++) {
		int64_t v = list ? json_integer_value(json_array_get(list, i)) : defaults[i];
		bool inner = i > 0 && i < n - 1;
		if (v < 1 || v > 64 || (!inner && v != 1))
			return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": enc_dilations: %lld is not supported in that place", (long long)v);
		if (inner)
			dilations[i - 1] = (int32_t)v;
	}
	out->n_speaker_blocks = (uint32_t)n - 2;
	st = hf_key_i32s(f, "clip.audio", "dilations", dilations, n - 2, err);
	return st ? st : hf_key_u32(f, "clip.audio", "sampling_rate", rate, err);
}

sn_status hf_voices_read(hf_config *out, model_file *f, const json_t *json, sn_error *err)
{
	const char *type = json_get_string(json, "tts_model_type"), *size = json_get_string(json, "tts_model_size");
	const json_t *talker = json_get(json, "talker_config");
	if (!type || (strcmp(type, "base") != 0 && strcmp(type, "custom_voice") != 0 && strcmp(type, "voice_design") != 0))
		return error_set(err, SN_ERR_UNSUPPORTED, CONFIG ": tts_model_type: %.48s is not supported (base, custom_voice and voice_design are)", type ? type : "none");
	sn_status st = hf_key_str(f, ARCH, "tts_model_type", str_of(type), err);
	if (!st && size)
		st = hf_key_str(f, ARCH, "tts_model_size", str_of(size), err);
	if (!st)
		st = add_voices(f, talker, err);
	if (!st)
		st = add_languages(f, talker, err);
	if (!st)
		st = read_sampling(f, err);
	return st || strcmp(type, "base") != 0 ? st : add_speaker_encoder(out, f, json_get(json, "speaker_encoder_config"), err);
}
