/* kit_load.c - keys and tensors of a model file, each one checked. */
#include <stdio.h>

#include "kit_load.h"

enum { NAME = 96 };

sn_rc kit_check_size(const kit_size *s, sn_fault *fault)
{
	if (*s->value < s->min || *s->value > s->max)
		return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be %u to %u", s->key, *s->value, s->min, s->max);
	return SN_RC_OK;
}

sn_rc kit_read_sizes(const sn_host_weights *weights, const sn_model *model, const kit_size *sizes, size_t n, sn_fault *fault)
{
	for (size_t i = 0; i < n; i++) {
		if (!weights->get_u32(model, sizes[i].key, sizes[i].value))
			return kit_fail(fault, SN_RC_INVALID, "%s is missing or not an integer", sizes[i].key);
		KIT_TRY(kit_check_size(&sizes[i], fault));
	}
	return SN_RC_OK;
}

sn_rc kit_read_eps(const sn_host_weights *weights, const sn_model *model, const char *key, float *eps, sn_fault *fault)
{
	if (!weights->get_f32(model, key, eps))
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a number", key);
	if (!(*eps > 0 && *eps < 1))
		return kit_fail(fault, SN_RC_INVALID, "%s = %g: must be above 0 and below 1", key, (double)*eps);
	return SN_RC_OK;
}

const sn_weight *kit_bind_linear(kit_binder *b, const char *name, bool bias, uint64_t n_out, uint64_t n_in)
{
	const sn_weight *l = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", name);
	snprintf(bias_name, sizeof bias_name, "%s.bias", name);
	if (b->rc == SN_RC_OK)
		b->rc = b->weights->linear(b->model, weight_name, bias ? bias_name : NULL, n_out, n_in, &l, b->fault);
	return l;
}

const sn_weight *kit_bind_conv1d(kit_binder *b, const char *name, uint64_t n_out, uint64_t n_in, uint64_t taps)
{
	const sn_weight *l = NULL;
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", name);
	snprintf(bias_name, sizeof bias_name, "%s.bias", name);
	if (b->rc == SN_RC_OK)
		b->rc = b->weights->conv1d(b->model, weight_name, bias_name, n_out, n_in, taps, &l, b->fault);
	return l;
}

sn_tensor kit_bind_tensor(kit_binder *b, const char *name, uint64_t rows, uint64_t n)
{
	sn_tensor t = {0};
	if (b->rc == SN_RC_OK)
		b->rc = b->weights->tensor(b->model, name, rows, n, &t, b->fault);
	return t;
}

kit_norm kit_bind_norm(kit_binder *b, const char *name, uint64_t n)
{
	char weight_name[NAME], bias_name[NAME];
	snprintf(weight_name, sizeof weight_name, "%s.weight", name);
	snprintf(bias_name, sizeof bias_name, "%s.bias", name);
	kit_norm norm = {.w = kit_bind_tensor(b, weight_name, 0, n)};
	norm.b = kit_bind_tensor(b, bias_name, 0, n);
	return norm;
}
