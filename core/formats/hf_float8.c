#include "formats/hf_float8.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"

#define REFUSE(status, ...) error_set(err, status, "config.json: quantization_config: " __VA_ARGS__)

enum { MAX_BLOCK = 1 << 20 };

/* Outputs and inputs that have one scale; 0: no blocks. */
struct block { uint32_t rows, cols; };

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

/* Two numbers, as [128, 128] or "128x128". */
static sn_status read_block(struct block *out, const json_t *json, const char *key, sn_error *err)
{
	const json_t *v = json_get(json, key);
	json_int_t rows = json_integer_value(json_array_get(v, 0)), cols = json_integer_value(json_array_get(v, 1));
	long long a, b;
	int end = 0;
	if (json_is_string(v) && sscanf(json_string_value(v), "%7lldx%7lld%n", &a, &b, &end) == 2 && (size_t)end == json_string_length(v))
		rows = a, cols = b;
	else if (json_array_size(v) != 2)
		rows = 0;
	if (rows < 1 || cols < 1 || rows > MAX_BLOCK || cols > MAX_BLOCK)
		return REFUSE(SN_ERR_INVALID, "%s: expected outputs and inputs, each from 1 to %d", key, MAX_BLOCK);
	if (out->rows && (out->rows != rows || out->cols != cols))
		return REFUSE(SN_ERR_UNSUPPORTED, "%s: groups of different blocks are not supported", key);
	*out = (struct block){(uint32_t)rows, (uint32_t)cols};
	return SN_OK;
}

/* One group of layers: its weights are 8-bit floats, and nothing but their scales is beside them. */
static sn_status check_group(struct block *block, const json_t *group, sn_error *err)
{
	static const char *const none[] = {"dynamic", "group_size", "actorder"};
	const json_t *w = json_get(group, "weights");
	int64_t bits = 0;
	if (!json_is_object(w) || !json_get_int(w, "num_bits", &bits) || bits != 8 || !is_word(w, "type", "float"))
		return REFUSE(SN_ERR_UNSUPPORTED, "weights that are not floats of 8 bits are not supported");
	bool blocks = is_word(w, "strategy", "block");
	if (!is_word(w, "strategy", "tensor") && !is_word(w, "strategy", "channel") && !blocks)
		return REFUSE(SN_ERR_UNSUPPORTED, "weights.strategy: %.32s is not supported (tensor, channel and block are)",
		              json_get_string(w, "strategy") ? json_get_string(w, "strategy") : "none");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (!is_nothing(w, none[i]))
			return REFUSE(SN_ERR_UNSUPPORTED, "weights.%s is not supported", none[i]);
	if (!blocks && !is_nothing(w, "block_structure"))
		return REFUSE(SN_ERR_UNSUPPORTED, "weights.block_structure without the strategy block is not supported");
	if (!is_nothing(group, "output_activations"))
		return REFUSE(SN_ERR_UNSUPPORTED, "output_activations are not supported");
	if (json_get(group, "format") && !is_word(group, "format", "float-quantized"))
		return REFUSE(SN_ERR_UNSUPPORTED, "format of a group: only float-quantized is supported");
	return blocks ? read_block(block, w, "block_structure", err) : SN_OK;
}

static sn_status read_compressed_tensors(struct block *block, const json_t *q, sn_error *err)
{
	static const char *const none[] = {"kv_cache_scheme", "sparsity_config", "transform_config"};
	const json_t *groups = json_get(q, "config_groups");
	const char *key;
	json_t *group;
	if (!is_word(q, "format", "float-quantized"))
		return REFUSE(SN_ERR_UNSUPPORTED, "compressed-tensors' format %.32s is not supported (float-quantized is)",
		              json_get_string(q, "format") ? json_get_string(q, "format") : "unnamed");
	if (json_get(q, "quantization_status") && !is_word(q, "quantization_status", "compressed"))
		return REFUSE(SN_ERR_UNSUPPORTED, "quantization_status: only compressed is supported");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (!is_nothing(q, none[i]))
			return REFUSE(SN_ERR_UNSUPPORTED, "%s is not supported", none[i]);
	if (!json_is_object(groups) || json_object_size(groups) == 0)
		return REFUSE(SN_ERR_INVALID, "config_groups is missing or not an object");
	json_object_foreach((json_t *)groups, key, group) {
		sn_status st = check_group(block, group, err);
		if (st)
			return st;
	}
	return SN_OK;
}

static sn_status read_fp8(struct block *block, const json_t *q, sn_error *err)
{
	if (json_get(q, "fmt") && !is_word(q, "fmt", "e4m3"))
		return REFUSE(SN_ERR_UNSUPPORTED, "fmt: only e4m3 is supported");
	return is_nothing(q, "weight_block_size") ? SN_OK : read_block(block, q, "weight_block_size", err);
}

sn_status hf_float8_read(bool *f8, model_file *f, const json_t *config, sn_error *err)
{
	const json_t *q = json_get(config, "quantization_config");
	const bool compressed = is_word(q, "quant_method", "compressed-tensors"), fp8 = is_word(q, "quant_method", "fp8");
	struct block block = {0};
	*f8 = false;
	if ((!compressed && !fp8) || json_get(config, "compression_config"))
		return hf_refuse_quantised(config, err);
	*f8 = true;
	sn_status st = compressed ? read_compressed_tensors(&block, q, err) : read_fp8(&block, q, err);
	if (!st && block.rows)
		st = hf_key_u32(f, NULL, FILE_SCALE_ROWS, block.rows, err);
	if (!st && block.rows)
		st = hf_key_u32(f, NULL, FILE_SCALE_COLS, block.cols, err);
	return st;
}
