#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/model_file.h"

enum {
	MIN_HEADER = 8, /* "{}", padded as writers do */
	MAX_HEADER = 100000000,
	MAX_VALUES = 1 << 20 /* JSON values: what bounds the memory of a hostile header; some 100,000 tensors fit */
};

static const st_dtype dtypes[] = {
    {"F32", 32, 0},      {"F16", 16, 1},      {"BF16", 16, 30},    {"F64", 64, 28},    {"I64", 64, 27},
    {"I32", 32, 26},     {"I16", 16, 25},     {"I8", 8, 24},       {"U64", 64, -1},    {"U32", 32, -1},
    {"U16", 16, -1},     {"U8", 8, -1},       {"BOOL", 8, -1},     {"F8_E4M3", 8, STORAGE_F8_E4M3}, {"F8_E5M2", 8, -1},
    {"F8_E8M0", 8, -1},  {"F8_E4M3FNUZ", 8, -1}, {"F8_E5M2FNUZ", 8, -1}, {"F6_E2M3", 6, -1}, {"F6_E3M2", 6, -1},
    {"F4", 4, -1},       {"C64", 64, -1},
};

struct header {
	const char *file;
	const char *about; /* the tensor at hand */
	const uint8_t *data, *end; /* what offsets count from, and where the file ends */
	sn_error *err;
};

#define REFUSE(h, fmt, ...) error_set((h)->err, SN_ERR_INVALID, "%s: tensor %s: " fmt, (h)->file, (h)->about, __VA_ARGS__)

static bool plain_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7F) /* signed or not: bytes above 0x7E fall out */
			return false;
	return n > 0 && n <= ST_MAX_NAME;
}

static sn_status read_dtype(const struct header *h, const json_t *entry, st_tensor *t)
{
	const json_t *v = json_object_get(entry, "dtype");
	const char *s = json_string_value(v);
	if (!s)
		return REFUSE(h, "%s", "dtype is missing or not a string");
	for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
		if (str_eq((str){s, json_string_length(v)}, str_of(dtypes[i].name)))
			t->dtype = &dtypes[i];
	if (!t->dtype)
		return REFUSE(h, "%s", "its dtype is not one of the format's");
	return SN_OK;
}

/* *bytes: what shape and dtype together say. */
static sn_status read_shape(const struct header *h, const json_t *entry, st_tensor *t, uint64_t *bytes)
{
	const json_t *shape = json_object_get(entry, "shape");
	uint64_t n = 1;
	if (!json_is_array(shape))
		return REFUSE(h, "%s", "shape is missing or not a list");
	if (json_array_size(shape) > ST_MAX_RANK)
		return REFUSE(h, "%zu dimensions, expected at most %d", json_array_size(shape), ST_MAX_RANK);
	t->rank = (uint32_t)json_array_size(shape);
	bool empty = false;
	for (uint32_t d = 0; d < t->rank; d++) {
		const json_t *v = json_array_get(shape, d);
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return REFUSE(h, "dimension %u is not an integer from 0", d);
		t->shape[d] = (uint64_t)json_integer_value(v);
		empty |= t->shape[d] == 0;
	}
	for (uint32_t d = 0; d < t->rank && !empty; d++) /* a 0 must not excuse the product of the others from fitting */
		if (__builtin_mul_overflow(n, t->shape[d], &n))
			return REFUSE(h, "dimension %u is %" PRIu64 ": too many values", d, t->shape[d]);
	for (uint32_t d = 0; d < t->rank && empty; d++)
		if (t->shape[d] > UINT32_MAX)
			return REFUSE(h, "dimension %u is %" PRIu64 " beside a dimension of 0", d, t->shape[d]);
	if (empty)
		n = 0;
	if (__builtin_mul_overflow(n, (uint64_t)t->dtype->bits, bytes))
		return REFUSE(h, "%" PRIu64 " values are too many", n);
	if (*bytes % 8)
		return REFUSE(h, "%" PRIu64 " values of %u bits are not whole bytes", n, t->dtype->bits);
	*bytes /= 8;
	return SN_OK;
}

static sn_status read_offsets(const struct header *h, const json_t *entry, st_tensor *t)
{
	const json_t *pair = json_object_get(entry, "data_offsets");
	const json_t *b = json_array_get(pair, 0), *e = json_array_get(pair, 1);
	if (json_array_size(pair) != 2 || !json_is_integer(b) || !json_is_integer(e) || json_integer_value(b) < 0 ||
	    json_integer_value(e) < 0)
		return REFUSE(h, "%s", "data_offsets is not a pair of integers from 0");
	uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(e);
	if (begin > end || end > (uint64_t)(h->end - h->data))
		return REFUSE(h, "bytes %" PRIu64 " to %" PRIu64 " lie outside the file", begin, end);
	t->data = h->data + begin;
	t->bytes = end - begin;
	return SN_OK;
}

static sn_status read_tensor(struct header *h, const char *name, size_t n, const json_t *entry, st_tensor *t, arena *mem)
{
	uint64_t bytes = 0;
	if (!plain_name(name, n))
		return error_set(h->err, SN_ERR_INVALID, "%s: a tensor has no usable name", h->file);
	t->name = (str){arena_strndup(mem, name, n), n};
	if (!t->name.p)
		return error_set(h->err, SN_ERR_NOMEM, "%s: no memory for its tensors' names", h->file);
	h->about = t->name.p;
	if (json_object_size(entry) != 3)
		return REFUSE(h, "%s", "not described by dtype, shape and data_offsets alone");
	sn_status st = read_dtype(h, entry, t);
	if (!st)
		st = read_shape(h, entry, t, &bytes);
	if (!st)
		st = read_offsets(h, entry, t);
	if (!st && bytes != t->bytes)
		st = REFUSE(h, "its shape needs %" PRIu64 " bytes, but it has %" PRIu64, bytes, t->bytes);
	return st;
}

static sn_status check_metadata(const struct header *h, json_t *metadata)
{
	const char *key;
	json_t *v;
	bool plain = json_is_object(metadata);
	json_object_foreach(metadata, key, v)
		plain &= json_is_string(v);
	return plain ? SN_OK : error_set(h->err, SN_ERR_INVALID, "%s: __metadata__ is not a map of strings", h->file);
}

static int by_place(const void *a, const void *b)
{
	const st_tensor *x = a, *y = b;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* what is empty stands before what begins there */
}

/* One after another, from the header to the end of the file. */
static sn_status check_places(struct header *h, const st_tensor *t, size_t n)
{
	const uint8_t *at = h->data;
	for (size_t i = 0; i < n; i++) {
		h->about = t[i].name.p;
		if (t[i].data != at)
			return REFUSE(h, "it begins at byte %zu of the data, but the one before it ends at %zu", (size_t)(t[i].data - h->data),
			              (size_t)(at - h->data));
		at += t[i].bytes;
	}
	if (at != h->end)
		return error_set(h->err, SN_ERR_INVALID, "%s: the last %zu bytes belong to no tensor", h->file, (size_t)(h->end - at));
	return SN_OK;
}

static sn_status read_entries(struct header *h, json_t *root, st_tensor **out, size_t *n, arena *mem)
{
	const char *key;
	size_t key_n;
	json_t *entry;
	st_tensor *t = arena_array(mem, json_object_size(root), sizeof *t);
	if (!t)
		return error_set(h->err, SN_ERR_NOMEM, "%s: no memory for its tensors", h->file);
	*n = 0;
	json_object_keylen_foreach(root, key, key_n, entry) {
		bool metadata = str_eq((str){key, key_n}, STR("__metadata__"));
		sn_status st = metadata ? check_metadata(h, entry) : read_tensor(h, key, key_n, entry, &t[*n], mem);
		if (st)
			return st;
		*n += !metadata;
	}
	qsort(t, *n, sizeof *t, by_place);
	*out = t;
	return check_places(h, t, *n);
}

sn_status safetensors_parse(st_tensor **out, size_t *n, const file_map *map, const char *name, arena *mem, sn_error *err)
{
	uint64_t header;
	json_t *root;
	if (map->n < 8)
		return error_set(err, SN_ERR_INVALID, "%s: not a safetensors file: %zu bytes", name, map->n);
	memcpy(&header, map->p, 8);
	if (header < MIN_HEADER || header > MAX_HEADER || header > map->n - 8)
		return error_set(err, SN_ERR_INVALID, "%s: not a safetensors file: a header of %" PRIu64 " bytes in a file of %zu", name, header,
		                 map->n);
	if (map->p[8] != '{')
		return error_set(err, SN_ERR_INVALID, "%s: not a safetensors file: its header does not begin with {", name);
	sn_status st = json_parse(&root, (const char *)map->p + 8, (size_t)header, MAX_VALUES, name, err);
	if (st)
		return st;
	struct header h = {name, "", map->p + 8 + header, map->p + map->n, err};
	st = read_entries(&h, root, out, n, mem);
	json_decref(root);
	return st;
}
