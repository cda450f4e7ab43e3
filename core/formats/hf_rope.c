#include "formats/hf_rope.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static sn_status above_zero(const json_t *v, const char *where, const char *name, double *out, sn_error *err)
{
	*out = json_number_value(v);
	if (!(*out > 0)) /* also: missing, not a number */
		return error_set(err, SN_ERR_INVALID, "config.json: %s%s is not a number above 0", where, name);
	return SN_OK;
}

static sn_status read_type(hf_rope *out, const json_t *object, const char *where, sn_error *err)
{
	static const char *const names[] = {[HF_ROPE_DEFAULT] = "default", [HF_ROPE_LINEAR] = "linear", [HF_ROPE_LLAMA3] = "llama3"};
	const json_t *v = json_get(object, "rope_type") ? json_get(object, "rope_type") : json_get(object, "type");
	const char *type = v ? json_string_value(v) : names[HF_ROPE_DEFAULT];
	for (int i = 0; type && i < 3; i++)
		if (strcmp(type, names[i]) == 0) {
			out->type = i;
			return SN_OK;
		}
	return error_set(err, SN_ERR_UNSUPPORTED, "config.json: %srope_type: %.32s is not supported (default, linear and llama3 are)", where,
	                 type ? type : "that");
}

/* One object of parameters, or none. where: "rope_scaling." or the like, for messages. */
static sn_status read_object(hf_rope *out, json_t *object, const char *where, double base, double n_original, sn_error *err)
{
	const char *key;
	json_t *v;
	const struct { const char *name; double *out; } members[] = {{"rope_theta", &out->base}, {"factor", &out->factor}, {"low_freq_factor", &out->low_freq},
	                                 {"high_freq_factor", &out->high_freq}, {"original_max_position_embeddings", &out->n_original}};
	*out = (hf_rope){.base = base, .n_original = n_original};
	sn_status st = read_type(out, object, where, err);
	size_t n = out->type == HF_ROPE_DEFAULT ? 1 : out->type == HF_ROPE_LINEAR ? 2 : 5;
	json_object_foreach(object, key, v) {
		size_t i = 0;
		if (st)
			return st;
		if (json_is_null(v) || strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0)
			continue;
		while (i < n && strcmp(key, members[i].name) != 0)
			i++;
		if (i < n)
			st = above_zero(v, where, key, members[i].out, err);
		else if (strcmp(key, "partial_rotary_factor") != 0 || json_number_value(v) != 1)
			st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: %s%.48s is not supported", where, key);
	}
	for (size_t i = 0; i < n && !st; i++)
		if (!(*members[i].out > 0))
			st = error_set(err, SN_ERR_INVALID, "config.json: %s%s is missing", where, members[i].name);
	if (!st && out->type == HF_ROPE_LLAMA3 && !(out->high_freq > out->low_freq))
		st = error_set(err, SN_ERR_INVALID, "config.json: %shigh_freq_factor is not above low_freq_factor", where);
	return st;
}

/* transformers 5 prefers the old name where both are given. */
static sn_status parameters_of(json_t **out, const char **where, const json_t *config, sn_error *err)
{
	const json_t *old = json_get(config, "rope_scaling"), *v = old ? old : json_get(config, "rope_parameters");
	const json_t *partial = json_get(config, "partial_rotary_factor");
	*where = old ? "rope_scaling." : "rope_parameters.";
	*out = (json_t *)v;
	if (v && !json_is_object(v))
		return error_set(err, SN_ERR_INVALID, "config.json: %.*s is not an object", (int)strlen(*where) - 1, *where);
	if (partial && json_number_value(partial) != 1)
		return error_set(err, SN_ERR_UNSUPPORTED, "config.json: partial_rotary_factor is not supported");
	return SN_OK;
}

static sn_status top_number(const json_t *config, const char *key, double def, double *out, sn_error *err)
{
	const json_t *v = json_get(config, key);
	*out = def;
	return v ? above_zero(v, "", key, out, err) : SN_OK;
}

sn_status hf_rope_read(hf_rope *out, const json_t *config, uint32_t n_context, sn_error *err)
{
	json_t *object;
	const char *where;
	double base = 0, n_original = 0;
	sn_status st = parameters_of(&object, &where, config, err);
	if (!st)
		st = top_number(config, "rope_theta", 10000, &base, err);
	if (!st)
		st = top_number(config, "original_max_position_embeddings", n_context, &n_original, err);
	if (!st)
		st = read_object(out, object, where, base, n_original, err);
	if (!st && json_get(config, "original_max_position_embeddings"))
		out->n_original = n_original; /* given outside, it has the last word */
	return st;
}

sn_status hf_rope_read_by_type(hf_rope *out, const json_t *config, sn_error *err)
{
	json_t *object, *v;
	const char *where, *key;
	double base = 0, window_base = 0;
	hf_rope window = {0};
	sn_status st = parameters_of(&object, &where, config, err);
	if (!st)
		st = top_number(config, "rope_theta", 1e6, &base, err);
	if (!st)
		st = top_number(config, "rope_local_base_freq", 1e4, &window_base, err);
	if (st)
		return st;
	if (json_get(config, "rope_scaling")) { /* transformers 4: of the layers that see all */
		st = read_object(out, object, where, base, 0, err);
		out->window_base = window_base;
	} else {
		json_object_foreach(object, key, v)
			if (strcmp(key, "full_attention") != 0 && strcmp(key, "sliding_attention") != 0)
				return error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_parameters.%.48s is not supported beside layer types", key);
		st = read_object(out, (json_t *)json_get(object, "full_attention"), "rope_parameters.full_attention.", base, 0, err);
		if (!st)
			st = read_object(&window, (json_t *)json_get(object, "sliding_attention"), "rope_parameters.sliding_attention.", window_base, 0, err);
		if (!st && window.type != HF_ROPE_DEFAULT)
			st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_parameters.sliding_attention.rope_type: only default is supported");
		out->window_base = window.base;
	}
	if (!st && out->type == HF_ROPE_LLAMA3)
		st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_type: llama3 is not supported beside layer types");
	return st;
}

void hf_rope_factors(float *out, uint32_t head_dim, const hf_rope *rope)
{
	for (uint32_t i = 0; i < head_dim / 2; i++) {
		double wavelength = 2 * M_PI * pow(rope->base, 2.0 * i / head_dim);
		double turns = rope->n_original / wavelength; /* that the original context makes */
		double s = (turns - rope->low_freq) / (rope->high_freq - rope->low_freq);
		if (turns < rope->low_freq)
			out[i] = (float)rope->factor;
		else if (turns > rope->high_freq)
			out[i] = 1;
		else
			out[i] = (float)(1 / ((1 - s) / rope->factor + s));
	}
}
