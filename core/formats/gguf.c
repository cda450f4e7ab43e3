/* One GGUF file, v2 or v3, little-endian. Layout: magic, version, tensor count, key count; keys; tensor
 * descriptions; padding; data. Every length is compared with the bytes that are left before it is used. */
#include "formats/gguf_part.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MAX_NAME 65535 /* bytes of a key; tensor names are held to MAX_TENSOR_NAME */
#define MAX_TENSOR_NAME 255
#define DEFAULT_ALIGNMENT 32

static const uint8_t value_bytes[FILE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct cursor {
	const uint8_t *p, *end;
	gguf_part *part;
	arena *mem;
	sn_error *err;
};

static size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

#define REFUSE(c, ...) error_set((c)->err, SN_ERR_INVALID, __VA_ARGS__)

static sn_status cut_short(struct cursor *c, const char *what)
{
	return REFUSE(c, "%s: the file ends inside %s", c->part->name, what);
}

static bool take(struct cursor *c, void *out, size_t n)
{
	if (left(c) < n)
		return false;
	memcpy(out, c->p, n);
	c->p += n;
	return true;
}

static bool take_string(struct cursor *c, str *out)
{
	uint64_t n;
	if (!take(c, &n, sizeof n) || n > left(c))
		return false;
	*out = (str){(const char *)c->p, (size_t)n};
	c->p += n;
	return true;
}

/* Names go into messages and are looked up as C strings: printable, no NUL. */
static bool printable(str s, size_t max)
{
	if (s.n == 0 || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
			return false;
	return true;
}

static sn_status take_value(struct cursor *c, uint32_t type, uint64_t n, str key)
{
	if (type == FILE_STRING) {
		for (uint64_t i = 0; i < n; i++) {
			str s;
			if (!take_string(c, &s))
				return REFUSE(c, "%s: key %.*s: a string is longer than the file", c->part->name, (int)key.n, key.p);
		}
		return SN_OK;
	}
	size_t size = value_bytes[type];
	if (n > left(c) / size)
		return REFUSE(c, "%s: key %.*s: %" PRIu64 " values of %zu bytes are more than the file holds", c->part->name, (int)key.n,
		              key.p, n, size);
	if (type == FILE_BOOL)
		for (uint64_t i = 0; i < n; i++)
			if (c->p[i] > 1)
				return REFUSE(c, "%s: key %.*s: %u is not a bool", c->part->name, (int)key.n, key.p, c->p[i]);
	c->p += n * size;
	return SN_OK;
}

static sn_status take_key(struct cursor *c, file_key *k)
{
	if (!take_string(c, &k->name) || !printable(k->name, MAX_NAME))
		return REFUSE(c, "%s: key %zu has no usable name", c->part->name, c->part->n_keys);
	int w = k->name.n > 80 ? 80 : (int)k->name.n;
	if (!take(c, &k->type, 4))
		return cut_short(c, "a key");
	k->elem_type = k->type;
	k->n = 1;
	if (k->type == FILE_ARRAY) {
		if (!take(c, &k->elem_type, 4) || !take(c, &k->n, 8))
			return cut_short(c, "an array");
		if (k->elem_type == FILE_ARRAY)
			return REFUSE(c, "%s: key %.*s: arrays of arrays are not supported", c->part->name, w, k->name.p);
		if (k->elem_type == FILE_STRING && k->n > left(c) / 8)
			return REFUSE(c, "%s: key %.*s: %" PRIu64 " strings are more than the file holds", c->part->name, w, k->name.p, k->n);
	}
	if (k->elem_type >= FILE_TYPES)
		return REFUSE(c, "%s: key %.*s: unknown value type %" PRId32, c->part->name, w, k->name.p, (int32_t)k->elem_type);
	k->data = c->p;
	return take_value(c, k->elem_type, k->n, (str){k->name.p, (size_t)w});
}

static sn_status take_tensor(struct cursor *c, file_tensor *t, uint64_t *offset)
{
	const char *file = c->part->name;
	if (!take_string(c, &t->name) || !printable(t->name, MAX_TENSOR_NAME))
		return REFUSE(c, "%s: tensor %zu has no usable name", file, c->part->n_tensors);
	int w = (int)t->name.n;
	if (!take(c, &t->n_dims, 4))
		return cut_short(c, "a tensor's description");
	if (t->n_dims < 1 || t->n_dims > 4)
		return REFUSE(c, "%s: tensor %.*s: %u dimensions, expected 1 to 4", file, w, t->name.p, t->n_dims);
	uint64_t n = 1;
	for (uint32_t d = 0; d < 4; d++) {
		t->ne[d] = 1;
		if (d < t->n_dims && !take(c, &t->ne[d], 8))
			return cut_short(c, "a tensor's description");
		if (t->ne[d] == 0 || t->ne[d] > INT64_MAX || __builtin_mul_overflow(n, t->ne[d], &n) || n > INT64_MAX)
			return REFUSE(c, "%s: tensor %.*s: dimension %u is %" PRId64, file, w, t->name.p, d, (int64_t)t->ne[d]);
	}
	if (!take(c, &t->type, 4) || !take(c, offset, 8))
		return cut_short(c, "a tensor's description");
	const storage_type *s = storage_type_find(t->type);
	if (!s || t->type >= STORAGE_OTHERS)
		return REFUSE(c, "%s: tensor %.*s: unknown storage type %" PRId32, file, w, t->name.p, (int32_t)t->type);
	if (t->ne[0] % s->block != 0)
		return REFUSE(c, "%s: tensor %.*s: rows of %" PRIu64 " values are not whole %s blocks of %u", file, w, t->name.p, t->ne[0],
		              s->name, s->block);
	if (__builtin_mul_overflow(n / s->block, (uint64_t)s->block_bytes, &t->bytes))
		return REFUSE(c, "%s: tensor %.*s: %" PRIu64 " values are too many", file, w, t->name.p, n);
	return SN_OK;
}

static sn_status take_keys(struct cursor *c, uint64_t n)
{
	gguf_part *f = c->part;
	if (n > left(c) / 13) /* the smallest key: length, one byte, type */
		return REFUSE(c, "%s: %" PRIu64 " keys are more than the file holds", f->name, n);
	f->keys = arena_array(c->mem, (size_t)n, sizeof *f->keys);
	if (!f->keys)
		return error_set(c->err, SN_ERR_NOMEM, "%s: no memory for %" PRIu64 " keys", f->name, n);
	for (; f->n_keys < n; f->n_keys++) {
		sn_status st = take_key(c, &f->keys[f->n_keys]);
		if (st)
			return st;
	}
	return SN_OK;
}

static sn_status alignment_of(struct cursor *c, uint64_t *alignment)
{
	const file_key *k = c->part->keys, *end = k + c->part->n_keys; /* not sorted yet */
	*alignment = DEFAULT_ALIGNMENT;
	while (k < end && !str_eq(k->name, STR("general.alignment")))
		k++;
	if (k == end)
		return SN_OK;
	uint32_t v = 0;
	if (k->type != FILE_U32)
		return REFUSE(c, "%s: key general.alignment has type %u, expected u32", c->part->name, k->type);
	memcpy(&v, k->data, 4);
	if (v < 8 || (v & (v - 1)) || v > 1u << 20)
		return REFUSE(c, "%s: key general.alignment: %u is not a power of two from 8 to 1048576", c->part->name, v);
	*alignment = v;
	return SN_OK;
}

/* Tensors follow each other in the data section, each padded to the alignment, as every writer lays them out: so none
 * can overlap another or lie outside the file. */
static sn_status take_tensors(struct cursor *c, uint64_t n)
{
	gguf_part *f = c->part;
	if (n > left(c) / 33)
		return REFUSE(c, "%s: %" PRIu64 " tensors are more than the file holds", f->name, n);
	f->tensors = arena_array(c->mem, (size_t)n, sizeof *f->tensors);
	uint64_t *offset = arena_array(c->mem, (size_t)n, sizeof *offset);
	if (!f->tensors || !offset)
		return error_set(c->err, SN_ERR_NOMEM, "%s: no memory for %" PRIu64 " tensors", f->name, n);
	for (; f->n_tensors < n; f->n_tensors++) {
		sn_status st = take_tensor(c, &f->tensors[f->n_tensors], &offset[f->n_tensors]);
		if (st)
			return st;
	}
	uint64_t alignment;
	sn_status st = alignment_of(c, &alignment);
	if (st)
		return st;
	const file_map *map = &f->map;
	size_t used = (size_t)(c->p - map->p), start = (used + alignment - 1) / alignment * alignment;
	uint64_t room = start <= map->n ? map->n - start : 0, expected = 0;
	for (size_t i = 0; i < n; i++) {
		file_tensor *t = &f->tensors[i];
		int w = (int)t->name.n;
		if (offset[i] != expected)
			return REFUSE(c, "%s: tensor %.*s: offset %" PRIu64 ", expected %" PRIu64, f->name, w, t->name.p, offset[i], expected);
		if (t->bytes > room || expected > room - t->bytes)
			return REFUSE(c, "%s: tensor %.*s: %" PRIu64 " bytes at offset %" PRIu64 " lie outside the file", f->name, w, t->name.p,
			              t->bytes, offset[i]);
		t->data = map->p + start + expected;
		expected = (expected + t->bytes + alignment - 1) / alignment * alignment;
	}
	return SN_OK;
}

sn_status gguf_part_read(gguf_part *part, const char *path, file_links links, arena *mem, sn_error *err)
{
	*part = (gguf_part){.name = file_base_name(path)};
	sn_status st = file_map_open(&part->map, mem, path, links, err);
	if (st)
		return st;
	struct cursor c = {part->map.p, part->map.p + part->map.n, part, mem, err};
	char magic[4];
	uint64_t n_tensors, n_keys;
	bool has_magic = take(&c, magic, 4);
	if (has_magic && (memcmp(magic, "lmgg", 4) == 0 || memcmp(magic, "ggml", 4) == 0))
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: a ggml .bin file, as whisper.cpp has them, is not supported: use the model's Hugging Face "
		                 "directory", part->name);
	if (!has_magic || memcmp(magic, "GGUF", 4) != 0)
		return REFUSE(&c, "%s: not a GGUF file", part->name);
	if (!take(&c, &part->version, 4))
		return cut_short(&c, "its header");
	if (part->version == 0x02000000 || part->version == 0x03000000)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: a big-endian GGUF file", part->name);
	if (part->version < 2 || part->version > 3)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: GGUF version %u, expected 2 or 3", part->name, part->version);
	if (!take(&c, &n_tensors, 8) || !take(&c, &n_keys, 8))
		return cut_short(&c, "its header");
	st = take_keys(&c, n_keys);
	return st ? st : take_tensors(&c, n_tensors);
}
