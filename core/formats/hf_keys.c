#include "formats/hf_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

sn_status hf_keys_init(model_file *f, sn_error *err)
{
	f->keys = arena_array(f->mem, HF_MAX_KEYS, sizeof *f->keys);
	return f->keys ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for its keys");
}

/* A key of n values of `size` bytes each, to be filled. NULL: no memory. */
static uint8_t *add(model_file *f, const char *prefix, const char *name, uint32_t type, bool is_array, size_t n, size_t size, sn_error *err)
{
	char full[128];
	int len = snprintf(full, sizeof full, "%s%s%s", prefix ? prefix : "", prefix ? "." : "", name);
	uint8_t *data = arena_array(f->mem, n, size);
	char *copy = len > 0 && (size_t)len < sizeof full ? arena_strndup(f->mem, full, (size_t)len) : NULL;
	if (!data || !copy || f->n_keys == HF_MAX_KEYS) {
		error_set(err, SN_ERR_NOMEM, "no memory for key %s", name);
		return NULL;
	}
	f->keys[f->n_keys++] = (file_key){{copy, (size_t)len}, is_array ? FILE_ARRAY : type, type, is_array ? n : 1, data};
	return data;
}

sn_status hf_key_u32(model_file *f, const char *prefix, const char *name, uint32_t v, sn_error *err)
{
	uint8_t *p = add(f, prefix, name, FILE_U32, false, 1, sizeof v, err);
	if (p)
		memcpy(p, &v, sizeof v);
	return p ? SN_OK : SN_ERR_NOMEM;
}

sn_status hf_key_f32(model_file *f, const char *prefix, const char *name, double v, sn_error *err)
{
	float x = (float)v;
	uint8_t *p = add(f, prefix, name, FILE_F32, false, 1, sizeof x, err);
	if (p)
		memcpy(p, &x, sizeof x);
	return p ? SN_OK : SN_ERR_NOMEM;
}

sn_status hf_key_bool(model_file *f, const char *prefix, const char *name, bool v, sn_error *err)
{
	uint8_t *p = add(f, prefix, name, FILE_BOOL, false, 1, 1, err);
	if (p)
		*p = v;
	return p ? SN_OK : SN_ERR_NOMEM;
}

sn_status hf_key_str(model_file *f, const char *prefix, const char *name, str v, sn_error *err)
{
	uint64_t n = v.n;
	uint8_t *p = add(f, prefix, name, FILE_STRING, false, v.n + sizeof n, 1, err);
	if (!p)
		return SN_ERR_NOMEM;
	memcpy(p, &n, sizeof n);
	memcpy(p + sizeof n, v.p, v.n);
	return SN_OK;
}

sn_status hf_key_bools(model_file *f, const char *prefix, const char *name, const bool *v, size_t n, sn_error *err)
{
	uint8_t *p = add(f, prefix, name, FILE_BOOL, true, n, 1, err);
	for (size_t i = 0; i < n && p; i++)
		p[i] = v[i];
	return p ? SN_OK : SN_ERR_NOMEM;
}

sn_status hf_key_strs(model_file *f, const char *prefix, const char *name, const char *const *v, size_t n, sn_error *err)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += sizeof(uint64_t) + strlen(v[i]);
	uint8_t *p = add(f, prefix, name, FILE_STRING, true, bytes, 1, err);
	if (!p)
		return SN_ERR_NOMEM;
	f->keys[f->n_keys - 1].n = n;
	for (size_t i = 0; i < n; i++) {
		uint64_t len = strlen(v[i]);
		memcpy(p, &len, sizeof len);
		memcpy(p + sizeof len, v[i], len);
		p += sizeof len + len;
	}
	return SN_OK;
}

sn_status hf_key_i32s(model_file *f, const char *prefix, const char *name, const int32_t *v, size_t n, sn_error *err)
{
	uint8_t *p = add(f, prefix, name, FILE_I32, true, n, sizeof *v, err);
	if (p)
		memcpy(p, v, n * sizeof *v);
	return p ? SN_OK : SN_ERR_NOMEM;
}
