#include "formats/hf_rope.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_keys.h"
#include "formats/hf_read.h"

static sn_status above_zero(const json_t *v, const char *where, const char *name, double *out, sn_error *err)
{
	*out = json_number_value(v);
	if (!(*out > 0)) /* also: missing, not a number */
		return error_set(err, SN_ERR_INVALID, "config.json: %s%s is not a number above 0", where, name);
	return SN_OK;
}

enum { PHI_ORIGINAL = 4096 };

static const char *const types[HF_ROPE_TYPES] = {
    [HF_ROPE_DEFAULT] = "default", [HF_ROPE_LINEAR] = "linear", [HF_ROPE_DYNAMIC] = "dynamic",
    [HF_ROPE_LLAMA3] = "llama3",   [HF_ROPE_YARN] = "yarn",     [HF_ROPE_LONGROPE] = "longrope",
};

static const hf_rope_class plain; /* of layers that differ */

static sn_status read_type(hf_rope *out, const json_t *object, const char *where, const hf_rope_class *how, sn_error *err)
{
	const json_t *v = json_get(object, "rope_type") ? json_get(object, "rope_type") : json_get(object, "type");
	const char *type = v ? json_string_value(v) : types[HF_ROPE_DEFAULT];
	if (how->sections[0] && type && strcmp(type, "mrope") == 0) /* of its first releases */
		type = types[HF_ROPE_DEFAULT];
	if (how->phi && type && (strcmp(type, "su") == 0 || strcmp(type, "yarn") == 0)) /* of its first releases */
		type = types[HF_ROPE_LONGROPE];
	for (int i = 0; type && i < HF_ROPE_TYPES; i++)
		if (strcmp(type, types[i]) == 0) {
			out->type = i;
			return SN_OK;
		}
	return error_set(err, SN_ERR_UNSUPPORTED, "config.json: %srope_type: %.32s is not supported (default, linear, dynamic, llama3, yarn and longrope are)",
	                 where, type ? type : "that");
}

static sn_status read_divisors(const json_t **out, const json_t *v, const char *where, const char *key, sn_error *err)
{
	size_t i;
	const json_t *number;
	if (!json_is_array(v) || !json_array_size(v))
		return error_set(err, SN_ERR_INVALID, "config.json: %s%s is not a list of numbers", where, key);
	json_array_foreach(v, i, number)
		if (!(json_number_value(number) > 0))
			return error_set(err, SN_ERR_INVALID, "config.json: %s%s: value %zu is not a number above 0", where, key, i);
	*out = v;
	return SN_OK;
}

/* Three numbers of frequencies. */
static sn_status read_sections(hf_rope *out, const json_t *v, const char *where, sn_error *err)
{
	size_t i;
	const json_t *number;
	bool ok = json_array_size(v) == 3;
	json_array_foreach(v, i, number) {
		ok = ok && json_is_integer(number) && json_integer_value(number) >= 0 && json_integer_value(number) <= HF_MAX_SIZE;
		out->sections[ok ? i : 0] = ok ? (int32_t)json_integer_value(number) : 0;
	}
	return ok ? SN_OK : error_set(err, SN_ERR_INVALID, "config.json: %smrope_section is not a list of three integers", where);
}

/* One object of parameters, or none. where: "rope_scaling." or the like, for messages. */
static sn_status read_object(hf_rope *out, json_t *object, const char *where, double base, double n_original, const hf_rope_class *how, sn_error *err)
{
	enum { ALL = (1 << HF_ROPE_TYPES) - 1, LINEAR = 1 << HF_ROPE_LINEAR, DYNAMIC = 1 << HF_ROPE_DYNAMIC, LLAMA3 = 1 << HF_ROPE_LLAMA3,
	       YARN = 1 << HF_ROPE_YARN, LONG = 1 << HF_ROPE_LONGROPE };
	const char *key;
	json_t *v;
	const struct { const char *name; double *out; unsigned may, must; } members[] = {
	    {"rope_theta", &out->base, ALL, ALL},
	    {"factor", &out->factor, LINEAR | DYNAMIC | LLAMA3 | YARN | LONG, LINEAR | DYNAMIC | LLAMA3 | YARN},
	    {"low_freq_factor", &out->low_freq, LLAMA3, LLAMA3},
	    {"high_freq_factor", &out->high_freq, LLAMA3, LLAMA3},
	    {"original_max_position_embeddings", &out->n_original, LLAMA3 | YARN | LONG, LLAMA3 | YARN | LONG},
	    {"beta_fast", &out->beta_fast, YARN, YARN},
	    {"beta_slow", &out->beta_slow, YARN, YARN},
	    {"mscale", &out->mscale, YARN, 0},
	    {"mscale_all_dim", &out->mscale_all, YARN, 0},
	    {"attention_factor", &out->attention, YARN | LONG, 0},
	    {"partial_rotary_factor", &out->partial, ALL, ALL},
	};
	const size_t n = sizeof members / sizeof *members;
	*out = (hf_rope){.base = base, .n_original = n_original, .beta_fast = 32, .beta_slow = 1, .whole = true, .partial = out->partial};
	memcpy(out->sections, how->sections, sizeof how->sections);
	sn_status st = read_type(out, object, where, how, err);
	unsigned of = 1u << out->type;
	json_object_foreach(object, key, v) {
		size_t i = 0;
		if (st)
			return st;
		if (json_is_null(v) || strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0)
			continue;
		while (i < n && (strcmp(key, members[i].name) != 0 || !(members[i].may & of)))
			i++;
		if (i < n)
			st = above_zero(v, where, key, members[i].out, err);
		else if (out->type == HF_ROPE_YARN && strcmp(key, "truncate") == 0 && json_is_boolean(v))
			out->whole = json_is_true(v);
		else if (out->type == HF_ROPE_LONGROPE && (strcmp(key, "short_factor") == 0 || strcmp(key, "long_factor") == 0))
			st = read_divisors(&out->divisors[*key == 'l'], v, where, key, err);
		else if (how->sections[0] && strcmp(key, "mrope_section") == 0)
			st = read_sections(out, v, where, err);
		else if (how->sections[0] && strcmp(key, "mrope_interleaved") == 0 && json_is_boolean(v) && json_is_true(v) == how->interleaved)
			continue;
		else if (how->phi && (strcmp(key, "short_factor") == 0 || strcmp(key, "long_factor") == 0) && !json_array_size(v))
			continue;
		else
			st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: %s%.48s is not supported", where, key);
	}
	for (size_t i = 0; i < n && !st; i++)
		if ((members[i].must & of) && !(*members[i].out > 0))
			st = error_set(err, SN_ERR_INVALID, "config.json: %s%s is missing", where, members[i].name);
	for (int i = 0; i < 2 && !st && out->type == HF_ROPE_LONGROPE; i++)
		if (!out->divisors[i])
			st = error_set(err, SN_ERR_INVALID, "config.json: %s%s is missing", where, i ? "long_factor" : "short_factor");
	if (!st && out->type == HF_ROPE_LLAMA3 && !(out->high_freq > out->low_freq))
		st = error_set(err, SN_ERR_INVALID, "config.json: %shigh_freq_factor is not above low_freq_factor", where);
	if (!st && out->partial != 1 && !how->phi)
		st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: %spartial_rotary_factor is not supported", where);
	return !st && out->partial > 1 ? error_set(err, SN_ERR_INVALID, "config.json: %spartial_rotary_factor is above 1", where) : st;
}

/* transformers 5 prefers the old name where both are given. */
static sn_status parameters_of(json_t **out, const char **where, const json_t *config, sn_error *err)
{
	const json_t *old = json_get(config, "rope_scaling"), *v = old ? old : json_get(config, "rope_parameters");
	*where = old ? "rope_scaling." : "rope_parameters.";
	*out = (json_t *)v;
	if (v && !json_is_object(v))
		return error_set(err, SN_ERR_INVALID, "config.json: %.*s is not an object", (int)strlen(*where) - 1, *where);
	return SN_OK;
}

static sn_status top_number(const json_t *config, const char *key, double def, double *out, sn_error *err)
{
	const json_t *v = json_get(config, key);
	*out = def;
	return v ? above_zero(v, "", key, out, err) : SN_OK;
}

sn_status hf_rope_read(hf_rope *out, const json_t *config, uint32_t n_context, const hf_rope_class *how, sn_error *err)
{
	json_t *object;
	const char *where;
	double n_original = 0, base;
	sn_status st = parameters_of(&object, &where, config, err);
	if (!st)
		st = top_number(config, "rope_theta", how->base, &base, err);
	if (!st)
		st = top_number(config, "partial_rotary_factor", 1, &out->partial, err);
	if (!st)
		st = top_number(config, "original_max_position_embeddings", how->phi ? PHI_ORIGINAL : n_context, &n_original, err);
	if (!st)
		st = read_object(out, object, where, base, n_original, how, err);
	if (!st && (how->phi || json_get(config, "original_max_position_embeddings")))
		out->n_original = n_original; /* given outside, it has the last word; Phi-3's class gives it where nobody does */
	return st;
}

sn_status hf_rope_read_by_type(hf_rope *out, const json_t *config, sn_error *err)
{
	json_t *object, *v;
	const char *where, *key;
	double base = 0, window_base = 0;
	hf_rope window = {.partial = 1};
	sn_status st = parameters_of(&object, &where, config, err);
	if (!st)
		st = top_number(config, "rope_theta", 1e6, &base, err);
	if (!st)
		st = top_number(config, "rope_local_base_freq", 1e4, &window_base, err);
	if (!st)
		st = top_number(config, "partial_rotary_factor", 1, &out->partial, err);
	if (st)
		return st;
	if (json_get(config, "rope_scaling")) { /* transformers 4: of the layers that see all */
		st = read_object(out, object, where, base, 0, &plain, err);
		out->window_base = window_base;
	} else {
		json_object_foreach(object, key, v)
			if (strcmp(key, "full_attention") != 0 && strcmp(key, "sliding_attention") != 0)
				return error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_parameters.%.48s is not supported beside layer types", key);
		st = read_object(out, (json_t *)json_get(object, "full_attention"), "rope_parameters.full_attention.", base, 0, &plain, err);
		if (!st)
			st = read_object(&window, (json_t *)json_get(object, "sliding_attention"), "rope_parameters.sliding_attention.", window_base, 0, &plain, err);
		if (!st && window.type != HF_ROPE_DEFAULT)
			st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_parameters.sliding_attention.rope_type: only default is supported");
		out->window_base = window.base;
	}
	if (!st && out->type != HF_ROPE_DEFAULT && out->type != HF_ROPE_LINEAR)
		st = error_set(err, SN_ERR_UNSUPPORTED, "config.json: rope_type: %s is not supported beside layer types", types[out->type]);
	return st;
}

static double attention_of(const hf_rope *rope, uint32_t n_context)
{
	double factor = rope->factor > 0 ? rope->factor : n_context / rope->n_original;
	if (rope->attention > 0)
		return rope->attention;
	if (rope->type == HF_ROPE_LONGROPE)
		return factor <= 1 ? 1 : sqrt(1 + log(factor) / log(rope->n_original));
	bool both = rope->mscale > 0 && rope->mscale_all > 0;
	double more = factor <= 1 ? 0 : 0.1 * log(factor);
	return both ? (more * rope->mscale + 1) / (more * rope->mscale_all + 1) : more + 1;
}

static sn_status write_divisors(const hf_rope *rope, model_file *f, uint32_t n_rot, hf_config *out, sn_error *err)
{
	static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"}, *const keys[] = {"short_factor", "long_factor"};
	for (int i = 0; i < 2; i++) {
		size_t n = json_array_size(rope->divisors[i]);
		float *v = arena_array(f->mem, n, sizeof *v);
		if (!v)
			return error_set(err, SN_ERR_NOMEM, "no memory for RoPE's frequencies");
		if (n != n_rot / 2)
			return error_set(err, SN_ERR_INVALID, "config.json: %s: %zu numbers, expected %u", keys[i], n, n_rot / 2);
		for (size_t k = 0; k < n; k++)
			v[k] = (float)json_number_value(json_array_get(rope->divisors[i], k));
		out->made[out->n_made].name = str_of(names[i]);
		out->made[out->n_made].v = v;
		out->made[out->n_made++].n = (uint32_t)n;
	}
	return SN_OK;
}

sn_status hf_rope_write(const hf_rope *rope, model_file *f, const char *arch, uint32_t n_context, uint32_t n_rot, hf_config *out, sn_error *err)
{
	enum { LLAMA3 = 1 << HF_ROPE_LLAMA3, YARN = 1 << HF_ROPE_YARN, LONG = 1 << HF_ROPE_LONGROPE };
	unsigned of = 1u << rope->type;
	const struct { const char *name; double v; unsigned types; } numbers[] = {
	    {"rope.scaling.factor", rope->factor, (unsigned)~LONG},
	    {"rope.scaling.low_freq_factor", rope->low_freq, LLAMA3},
	    {"rope.scaling.high_freq_factor", rope->high_freq, LLAMA3},
	    {"rope.scaling.yarn_beta_fast", rope->beta_fast, YARN},
	    {"rope.scaling.yarn_beta_slow", rope->beta_slow, YARN},
	    {"rope.scaling.yarn_attn_factor", attention_of(rope, n_context), YARN},
	    {"rope.scaling.attn_factor", attention_of(rope, n_context), LONG},
	};
	sn_status st = SN_OK;
	if (rope->sections[0] || rope->sections[1] || rope->sections[2])
		st = hf_key_i32s(f, arch, "rope.dimension_sections", rope->sections, 4, err);
	if (st || rope->type == HF_ROPE_DEFAULT)
		return st;
	st = hf_key_str(f, arch, "rope.scaling.type", str_of(types[rope->type]), err);
	if (!st && of & (LLAMA3 | YARN | LONG)) {
		if (rope->n_original != floor(rope->n_original) || rope->n_original > HF_MAX_SIZE)
			return error_set(err, SN_ERR_INVALID, "config.json: original_max_position_embeddings: %.17g is not an integer from 1 to %d", rope->n_original,
			                 HF_MAX_SIZE);
		st = hf_key_u32(f, arch, "rope.scaling.original_context_length", (uint32_t)rope->n_original, err);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !st; i++)
		if (numbers[i].types & of)
			st = hf_key_f32(f, arch, numbers[i].name, numbers[i].v, err);
	if (!st && rope->type == HF_ROPE_YARN)
		st = hf_key_bool(f, arch, "rope.scaling.yarn_truncate", rope->whole, err);
	return st || rope->type != HF_ROPE_LONGROPE ? st : write_divisors(rope, f, n_rot, out, err);
}
