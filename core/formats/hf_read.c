#include "formats/hf_read.h"

#include <string.h>

#include "base/error.h"

#define REFUSE(status, ...) error_set(err, (status), "config.json: " __VA_ARGS__)

sn_status hf_read_size(const json_t *json, const char *key, uint32_t max, uint32_t def, uint32_t *out, sn_error *err)
{
	const json_t *v = json_get(json, key);
	*out = def;
	if (!v)
		return def ? SN_OK : REFUSE(SN_ERR_INVALID, "%s is missing", key);
	if (json_is_number(v) && !(json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= max))
		return REFUSE(SN_ERR_INVALID, "%s: %.17g is not an integer from 1 to %u", key, json_number_value(v), max);
	if (!json_is_integer(v))
		return REFUSE(SN_ERR_INVALID, "%s is not an integer from 1 to %u", key, max);
	*out = (uint32_t)json_integer_value(v);
	return SN_OK;
}

sn_status hf_read_above_zero(const json_t *json, const char *key, double def, double *out, sn_error *err)
{
	const json_t *v = json_get(json, key);
	*out = v ? json_number_value(v) : def;
	if (!(*out > 0)) /* also: not a number */
		return REFUSE(SN_ERR_INVALID, "%s is not a number above 0", key);
	return SN_OK;
}

sn_status hf_read_bool(const json_t *json, const char *key, bool def, bool *out, sn_error *err)
{
	const json_t *v = json_get(json, key);
	if (v && !json_is_boolean(v))
		return REFUSE(SN_ERR_INVALID, "%s is neither true nor false", key);
	*out = v ? json_is_true(v) : def;
	return SN_OK;
}

sn_status hf_refuse_quantised(const json_t *json, sn_error *err)
{
	static const char *const keys[] = {"quantization_config", "compression_config"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *v = json_get(json, keys[i]);
		const char *method = json_get_string(v, "quant_method");
		if (v)
			return REFUSE(SN_ERR_UNSUPPORTED, "%s: quantised weights (%.32s) are not supported%s", keys[i], method ? method : "unnamed",
			              i == 0 && method && strcmp(method, "compressed-tensors") == 0 ? " in models that hear or speak" : "");
	}
	return SN_OK;
}

/* Absent, null, or with nothing in it. */
static bool is_nothing(const json_t *json, const char *key)
{
	const json_t *v = json_get(json, key);
	return !v || (json_is_object(v) && json_object_size(v) == 0) || json_is_false(v);
}

static bool is_word(const json_t *json, const char *key, const char *word)
{
	const char *s = json_get_string(json, key);
	return s && strcmp(s, word) == 0;
}

/* One group of layers: its weights are 8-bit floats, and nothing but one scale for each tensor or output is beside them. */
static sn_status check_group(const json_t *group, sn_error *err)
{
	static const char *const none[] = {"dynamic", "group_size", "block_structure", "actorder"};
	const json_t *w = json_get(group, "weights");
	int64_t bits = 0;
	if (!json_is_object(w) || !json_get_int(w, "num_bits", &bits) || bits != 8 || !is_word(w, "type", "float"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: weights that are not floats of 8 bits are not supported");
	if (!is_word(w, "strategy", "tensor") && !is_word(w, "strategy", "channel"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: weights.strategy: %.32s is not supported (tensor and channel are)",
		              json_get_string(w, "strategy") ? json_get_string(w, "strategy") : "none");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (!is_nothing(w, none[i]))
			return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: weights.%s is not supported", none[i]);
	if (!is_nothing(group, "output_activations"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: output_activations are not supported");
	if (json_get(group, "format") && !is_word(group, "format", "float-quantized"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: format of a group: only float-quantized is supported");
	return SN_OK;
}

sn_status hf_read_quantised(const json_t *json, bool *f8, sn_error *err)
{
	static const char *const none[] = {"kv_cache_scheme", "sparsity_config", "transform_config"};
	const json_t *q = json_get(json, "quantization_config"), *groups = json_get(q, "config_groups");
	const char *key;
	json_t *group;
	*f8 = is_word(q, "quant_method", "compressed-tensors");
	if (!*f8 || json_get(json, "compression_config"))
		return hf_refuse_quantised(json, err);
	if (!is_word(q, "format", "float-quantized"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: compressed-tensors' format %.32s is not supported (float-quantized is)",
		              json_get_string(q, "format") ? json_get_string(q, "format") : "unnamed");
	if (json_get(q, "quantization_status") && !is_word(q, "quantization_status", "compressed"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: quantization_status: only compressed is supported");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (!is_nothing(q, none[i]))
			return REFUSE(SN_ERR_UNSUPPORTED, "quantization_config: %s is not supported", none[i]);
	if (!json_is_object(groups) || json_object_size(groups) == 0)
		return REFUSE(SN_ERR_INVALID, "quantization_config: config_groups is missing or not an object");
	json_object_foreach((json_t *)groups, key, group) {
		sn_status st = check_group(group, err);
		if (st)
			return st;
	}
	return SN_OK;
}

sn_status hf_check_activation(const json_t *json, const char *key, const char *only, sn_error *err)
{
	const json_t *v = json_get(json, key);
	if (v && (!json_is_string(v) || strcmp(json_string_value(v), only) != 0))
		return REFUSE(SN_ERR_UNSUPPORTED, "%s: %.32s is not supported (%s is)", key, json_is_string(v) ? json_string_value(v) : "that", only);
	return SN_OK;
}
