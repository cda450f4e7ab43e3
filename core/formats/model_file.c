#include "formats/model_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/hf_dir.h"

/* ---- open ---- */

_Static_assert(offsetof(file_key, name) == 0 && offsetof(file_tensor, name) == 0, "by_name() sorts both");

static int by_name(const void *a, const void *b)
{
	const str *x = a, *y = b;
	int d = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
	return d ? d : (x->n > y->n) - (x->n < y->n);
}

/* Both tables in the order that the finders need. */
static sn_status sort_tables(model_file *f, sn_error *err)
{
	qsort(f->keys, f->n_keys, sizeof *f->keys, by_name);
	for (size_t i = 1; i < f->n_keys; i++)
		if (str_eq(f->keys[i - 1].name, f->keys[i].name))
			return error_set(err, SN_ERR_INVALID, "%s: key %.*s stands twice", f->name, (int)f->keys[i].name.n, f->keys[i].name.p);
	qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_name);
	for (size_t i = 1; i < f->n_tensors; i++)
		if (str_eq(f->tensors[i - 1].name, f->tensors[i].name))
			return error_set(err, SN_ERR_INVALID, "%s: tensor %.*s stands twice", f->name, (int)f->tensors[i].name.n,
			                 f->tensors[i].name.p);
	return SN_OK;
}

/* The last component, without the slashes that may follow it. */
static str base_name(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t i = n;
	while (i > 0 && path[i - 1] != '/')
		i--;
	return (str){path + i, n - i};
}

sn_status model_file_open(model_file **out, const char *path, sn_error *err)
{
	arena *mem = arena_open(0);
	model_file *f = mem ? arena_alloc(mem, sizeof *f) : NULL;
	str name = base_name(path);
	struct stat s;
	if (f) {
		f->mem = mem;
		f->name = arena_strndup(mem, name.p, name.n);
	}
	if (!f || !f->name) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory to open a model file");
	}
	bool is_dir = stat(path, &s) == 0 && S_ISDIR(s.st_mode);
	sn_status st = is_dir ? hf_dir_read(f, path, err) : gguf_read(f, path, err);
	if (!st)
		st = sort_tables(f, err);
	if (st) {
		arena_close(&mem);
		return st;
	}
	*out = f;
	return SN_OK;
}

void model_file_close(model_file **f)
{
	if (*f) {
		arena *mem = (*f)->mem; /* f itself lives in it */
		arena_close(&mem);
	}
	*f = NULL;
}

sn_status model_file_differs(const char *tensor, sn_error *err)
{
	return error_set(err, SN_ERR_INVALID, "tensor %s differs from the embedding, but tie_word_embeddings says they are one", tensor);
}

sn_status model_file_check(const model_file *f, sn_error *err)
{
	sn_error why;
	if (f->twin.bytes == 0 || memcmp(f->twin.a, f->twin.b, f->twin.bytes) == 0)
		return SN_OK;
	return error_set(err, model_file_differs(f->twin.name, &why), "%.64s: %.300s", f->name, why.text);
}

/* ---- find ---- */

static int compare(str a, const char *b, size_t bn)
{
	int d = memcmp(a.p, b, a.n < bn ? a.n : bn);
	return d ? d : (a.n > bn) - (a.n < bn);
}

const file_key *file_key_find(const model_file *f, const char *name)
{
	size_t lo = 0, hi = f->n_keys, n = strlen(name);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = compare(f->keys[mid].name, name, n);
		if (d == 0)
			return &f->keys[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const file_tensor *file_tensor_find(const model_file *f, const char *name)
{
	size_t lo = 0, hi = f->n_tensors, n = strlen(name);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = compare(f->tensors[mid].name, name, n);
		if (d == 0)
			return &f->tensors[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* One stored value as an integer; false for other types and for u64 above INT64_MAX. */
static bool integer_at(const file_key *k, uint64_t i, int64_t *out)
{
	const uint8_t *p = k->data;
	switch (k->elem_type) {
	case FILE_U8: *out = p[i]; return true;
	case FILE_I8: *out = (int8_t)p[i]; return true;
	case FILE_U16: { uint16_t v; memcpy(&v, p + 2 * i, 2); *out = v; return true; }
	case FILE_I16: { int16_t v; memcpy(&v, p + 2 * i, 2); *out = v; return true; }
	case FILE_U32: { uint32_t v; memcpy(&v, p + 4 * i, 4); *out = v; return true; }
	case FILE_I32: { int32_t v; memcpy(&v, p + 4 * i, 4); *out = v; return true; }
	case FILE_U64: { uint64_t v; memcpy(&v, p + 8 * i, 8); *out = (int64_t)v; return v <= INT64_MAX; }
	case FILE_I64: { int64_t v; memcpy(&v, p + 8 * i, 8); *out = v; return true; }
	default: return false;
	}
}

double file_number(const file_key *k, uint64_t i)
{
	int64_t v;
	if (integer_at(k, i, &v))
		return (double)v;
	if (k->elem_type == FILE_U64) { uint64_t u; memcpy(&u, k->data + 8 * i, 8); return (double)u; }
	if (k->elem_type == FILE_F32) { float x; memcpy(&x, k->data + 4 * i, 4); return (double)x; }
	if (k->elem_type == FILE_F64) { double x; memcpy(&x, k->data + 8 * i, 8); return x; }
	return 0;
}

bool file_u32(const model_file *f, const char *key, uint32_t *out)
{
	const file_key *k = file_key_find(f, key);
	int64_t v;
	if (!k || k->type == FILE_ARRAY || !integer_at(k, 0, &v) || v < 0 || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool file_f32(const model_file *f, const char *key, float *out)
{
	const file_key *k = file_key_find(f, key);
	if (!k || (k->type != FILE_F32 && k->type != FILE_F64))
		return false;
	*out = (float)file_number(k, 0);
	return true;
}

bool file_bool(const model_file *f, const char *key, bool *out)
{
	const file_key *k = file_key_find(f, key);
	if (!k || k->type != FILE_BOOL)
		return false;
	*out = k->data[0] != 0;
	return true;
}

static str string_at(const uint8_t *p)
{
	uint64_t n;
	memcpy(&n, p, 8);
	return (str){(const char *)p + 8, (size_t)n};
}

bool file_str(const model_file *f, const char *key, str *out)
{
	const file_key *k = file_key_find(f, key);
	if (!k || k->type != FILE_STRING)
		return false;
	*out = string_at(k->data);
	return true;
}

sn_status file_strings(const model_file *f, const char *key, arena *mem, str **out, size_t *n, sn_error *err)
{
	const file_key *k = file_key_find(f, key);
	if (!k || k->type != FILE_ARRAY || k->elem_type != FILE_STRING)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: expected an array of strings", f->name, key);
	str *a = arena_array(mem, (size_t)k->n, sizeof *a);
	if (!a)
		return error_set(err, SN_ERR_NOMEM, "%s: key %s: no memory for its strings", f->name, key);
	const uint8_t *p = k->data;
	for (uint64_t i = 0; i < k->n; i++) {
		a[i] = string_at(p);
		p += 8 + a[i].n;
	}
	*out = a;
	*n = (size_t)k->n;
	return SN_OK;
}

sn_status file_i32s(const model_file *f, const char *key, arena *mem, int32_t **out, size_t *n, sn_error *err)
{
	const file_key *k = file_key_find(f, key);
	if (!k || k->type != FILE_ARRAY)
		return error_set(err, SN_ERR_INVALID, "%s: key %s: expected an array of integers", f->name, key);
	int32_t *a = arena_array(mem, (size_t)k->n, sizeof *a);
	if (!a)
		return error_set(err, SN_ERR_NOMEM, "%s: key %s: no memory for its values", f->name, key);
	for (uint64_t i = 0; i < k->n; i++) {
		int64_t v;
		if (!integer_at(k, i, &v) || v < INT32_MIN || v > INT32_MAX)
			return error_set(err, SN_ERR_INVALID, "%s: key %s: value %llu is not a 32-bit integer", f->name, key,
			                 (unsigned long long)i);
		a[i] = (int32_t)v;
	}
	*out = a;
	*n = (size_t)k->n;
	return SN_OK;
}
