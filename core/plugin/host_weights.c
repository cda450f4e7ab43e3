/* sn.host.weights/1 over a mapped model file. */
#include <string.h>

#include "base/error.h"
#include "plugin/host.h"

static bool get_u32(const sn_model *m, const char *key, uint32_t *out)
{
	return file_u32(m->file, key, out);
}

static bool get_f32(const sn_model *m, const char *key, float *out)
{
	return file_f32(m->file, key, out);
}

static bool get_bool(const sn_model *m, const char *key, bool *out)
{
	return file_bool(m->file, key, out);
}

static const char *get_str(const sn_model *m, const char *key)
{
	str s;
	return file_str(m->file, key, &s) ? arena_strndup(m->mem, s.p, s.n) : NULL;
}

static uint32_t get_f32_array(const sn_model *m, const char *key, float *out, uint32_t cap)
{
	const file_key *k = file_key_find(m->file, key);
	if (!k || k->type != FILE_ARRAY || k->elem_type == FILE_STRING || k->n > UINT32_MAX)
		return 0;
	for (uint32_t i = 0; i < k->n && i < cap; i++)
		out[i] = (float)file_number(k, i);
	return (uint32_t)k->n;
}

static uint32_t get_i32_array(const sn_model *m, const char *key, int32_t *out, uint32_t cap)
{
	const file_key *k = file_key_find(m->file, key);
	if (!k || k->type != FILE_ARRAY || k->elem_type == FILE_STRING || k->elem_type == FILE_F32 || k->elem_type == FILE_F64 ||
	    k->elem_type == FILE_BOOL || k->n > UINT32_MAX)
		return 0;
	for (uint64_t i = 0; i < k->n; i++) {
		double v = file_number(k, i);
		if (v < INT32_MIN || v > INT32_MAX)
			return 0;
	}
	for (uint32_t i = 0; i < k->n && i < cap; i++)
		out[i] = (int32_t)file_number(k, i);
	return (uint32_t)k->n;
}

/* String i by walking over those before it: [length u64][bytes], as the container keeps them (checked when it was opened). */
static const char *get_str_at(const sn_model *m, const char *key, uint32_t i)
{
	const file_key *k = file_key_find(m->file, key);
	if (!k || k->type != FILE_ARRAY || k->elem_type != FILE_STRING || i >= k->n)
		return NULL;
	const uint8_t *p = k->data;
	uint64_t n;
	for (memcpy(&n, p, sizeof n); i > 0; i--, memcpy(&n, p, sizeof n))
		p += sizeof n + n;
	return arena_strndup(m->mem, (const char *)p + sizeof n, n);
}

static const char *token_at(const sn_model *m, const char *prefix, uint32_t i)
{
	size_t n = strlen(prefix), all = m->tokens ? vocab_size(m->tokens) : 0;
	for (size_t id = 0; id < all; id++) {
		str t = vocab_token(m->tokens, (int32_t)id);
		if (t.n >= n && memcmp(t.p, prefix, n) == 0 && i-- == 0)
			return arena_strndup(m->mem, t.p, t.n);
	}
	return NULL;
}

static sn_rc to_fault(sn_status st, const sn_error *err, sn_fault *fault)
{
	if (st == SN_OK)
		return SN_RC_OK;
	sn_rc rc = st == SN_ERR_NOMEM ? SN_RC_NOMEM : st == SN_ERR_UNSUPPORTED ? SN_RC_UNSUPPORTED : SN_RC_INVALID;
	const char *colon = strstr(err->text, ": "); /* the file's name is put back by whoever loads the plugin */
	return host_fault(fault, rc, st == SN_ERR_NOMEM ? SN_BLAME_RESOURCE : SN_BLAME_INPUT, "%s", colon ? colon + 2 : err->text);
}

/* While the engine runs its buffers are its thread's own. */
static sn_status reserve(const sn_model *m, const weight *w, sn_error *err)
{
	if (!m->late)
		return ops_reserve(m->o, w, err);
	struct sn_model *mutable = (struct sn_model *)(uintptr_t)m;
	size_t bytes = ops_scratch_bytes(w);
	mutable->late_scratch = bytes > m->late_scratch ? bytes : m->late_scratch;
	return SN_OK;
}

/* taps 0: a matrix. */
static sn_rc bind(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, uint64_t taps,
                  const sn_weight **out, sn_fault *fault)
{
	sn_error err = {0};
	struct sn_weight *w = arena_alloc(m->mem, sizeof *w);
	if (!w)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for tensor %s", name);
	sn_status st = taps ? conv1d_bind(&w->w, m->file, m->mem, name, bias, n_out, n_in, taps, &err)
	                    : weight_bind(&w->w, m->file, m->mem, name, bias, n_out, n_in, &err);
	if (!st)
		st = reserve(m, &w->w, &err);
	*out = w;
	return to_fault(st, &err, fault);
}

static sn_rc linear(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, const sn_weight **out,
                    sn_fault *fault)
{
	return bind(m, name, bias, n_out, n_in, 0, out, fault);
}

static sn_rc conv1d(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, uint64_t taps,
                    const sn_weight **out, sn_fault *fault)
{
	if (!taps)
		return host_fault(fault, SN_RC_INVALID, SN_BLAME_PLUGIN, "tensor %s: a convolution without taps", name);
	return bind(m, name, bias, n_out, n_in, taps, out, fault);
}

static uint32_t shape(const sn_model *m, const char *name, uint64_t out[4])
{
	const file_tensor *t = file_tensor_find(m->file, name);
	for (uint32_t d = 0; t && d < t->n_dims; d++)
		out[d] = t->ne[t->n_dims - 1 - d];
	return t ? t->n_dims : 0;
}

static sn_rc tensor(const sn_model *m, const char *name, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	sn_error err = {0};
	const float *v = NULL;
	uint64_t rows = n_rows ? n_rows : 1, total;
	if (__builtin_mul_overflow(rows, n, &total))
		return host_fault(fault, SN_RC_INVALID, SN_BLAME_INPUT, "tensor %s: its expected size overflows", name);
	sn_status st = vector_bind(&v, m->file, m->mem, name, total, &err);
	if (st)
		return to_fault(st, &err, fault);
	*out = (sn_tensor){.data = (void *)(uintptr_t)v, .type = SN_TYPE_F32, .n_dims = 2, .shape = {rows, n, 1, 1}, .stride = {n, 1, 1, 1}};
	return SN_RC_OK;
}

static sn_rc conv1d_depthwise(const sn_model *m, const char *name, uint64_t n, uint64_t taps, sn_tensor *out, sn_fault *fault)
{
	const file_tensor *t = file_tensor_find(m->file, name);
	sn_tensor stored;
	if (t && (t->n_dims > 3 || t->ne[0] != taps || t->ne[1] != 1 || t->ne[2] != n))
		return host_fault(fault, SN_RC_INVALID, SN_BLAME_INPUT, "tensor %s: not [%llu][1][%llu]", name, (unsigned long long)n, (unsigned long long)taps);
	sn_rc rc = tensor(m, name, n, taps, &stored, fault);
	float *v = rc == SN_RC_OK ? arena_array(m->mem, n * taps, sizeof *v) : NULL;
	if (rc != SN_RC_OK)
		return rc;
	if (!v)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for tensor %s", name);
	for (uint64_t c = 0; c < n; c++)
		for (uint64_t i = 0; i < taps; i++)
			v[i * n + c] = ((const float *)stored.data)[c * taps + i];
	*out = (sn_tensor){.data = v, .type = SN_TYPE_F32, .n_dims = 2, .shape = {taps, n, 1, 1}, .stride = {n, 1, 1, 1}};
	return SN_RC_OK;
}

static sn_rc values(const sn_model *m, const float *src, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	uint64_t rows = n_rows ? n_rows : 1, total;
	float *v = !n || __builtin_mul_overflow(rows, n, &total) ? NULL : arena_array(m->mem, total, sizeof *v);
	if (!v)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for a table");
	memcpy(v, src, total * sizeof *v);
	*out = (sn_tensor){.data = v, .type = SN_TYPE_F32, .n_dims = 2, .shape = {rows, n, 1, 1}, .stride = {n, 1, 1, 1}};
	return SN_RC_OK;
}

static sn_rc conv_transpose1d(const sn_model *m, const char *name, uint64_t n_in, uint64_t n_out, uint64_t taps, const sn_weight **out,
                              sn_fault *fault)
{
	sn_error err = {0};
	struct sn_weight *w = arena_alloc(m->mem, sizeof *w);
	if (!w)
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory for tensor %s", name);
	sn_status st = conv_transpose1d_bind(&w->w, m->file, m->mem, name, n_in, n_out, taps, &err);
	if (!st)
		st = reserve(m, &w->w, &err);
	*out = w;
	return to_fault(st, &err, fault);
}

const sn_host_weights host_weights = {
    .size = sizeof host_weights, .get_u32 = get_u32, .get_f32 = get_f32, .get_bool = get_bool, .get_str = get_str,
    .get_f32_array = get_f32_array, .linear = linear, .tensor = tensor, .get_i32_array = get_i32_array, .get_str_at = get_str_at,
    .conv1d = conv1d, .shape = shape, .values = values, .conv_transpose1d = conv_transpose1d, .conv1d_depthwise = conv1d_depthwise, .token_at = token_at,
};
