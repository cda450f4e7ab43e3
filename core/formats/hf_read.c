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

sn_status hf_check_activation(const json_t *json, const char *key, const char *only, sn_error *err)
{
	const json_t *v = json_get(json, key);
	if (v && (!json_is_string(v) || strcmp(json_string_value(v), only) != 0))
		return REFUSE(SN_ERR_UNSUPPORTED, "%s: %.32s is not supported (%s is)", key, json_is_string(v) ? json_string_value(v) : "that", only);
	return SN_OK;
}
