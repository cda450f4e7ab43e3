/* The parts of a model that llama.cpp's gguf-split cut: each is a GGUF file of its own and says of itself which it is (split.no, from 0)
 * and of how many (split.count); the first has the model's keys, and split.tensors.count, how many tensors all have together. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_part.h"

enum { MAX_PARTS = 4096, SUFFIX = sizeof "-00001-of-00002.gguf" - 1 };

static bool part_u32(const gguf_part *p, str name, uint32_t *out)
{
	for (size_t i = 0; i < p->n_keys; i++) {
		const file_key *k = &p->keys[i];
		if (!str_eq(k->name, name) || k->type == FILE_ARRAY || k->type == FILE_STRING)
			continue;
		double v = file_number(k, 0);
		*out = v >= 0 && v <= UINT32_MAX ? (uint32_t)v : UINT32_MAX;
		return true;
	}
	return false;
}

/* What a part says of itself is what its place asks for. */
static sn_status check_place(const gguf_part *p, uint32_t place, uint32_t n, sn_error *err)
{
	uint32_t no = UINT32_MAX, count = 0;
	part_u32(p, STR("split.no"), &no);
	part_u32(p, STR("split.count"), &count);
	if (no != place || count != n)
		return error_set(err, SN_ERR_INVALID, "%s: it says that it is part %" PRIu32 " (from 0) of %" PRIu32 ", expected %" PRIu32 " of %" PRIu32, p->name, no, count,
		                 place, n);
	return SN_OK;
}

/* Of the first part's path, those of the others: [n], the first one's as it is. */
static sn_status name_parts(char ***out, const char *path, uint32_t n, arena *mem, sn_error *err)
{
	size_t size = strlen(path);
	char suffix[SUFFIX + 1], **paths = arena_array(mem, n, sizeof *paths);
	if (!paths)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for its parts", file_base_name(path));
	for (uint32_t i = 0; i < n; i++) {
		snprintf(suffix, sizeof suffix, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", (i + 1) % 100000, n % 100000);
		if (i == 0 && (size <= SUFFIX || strcmp(path + size - SUFFIX, suffix) != 0))
			return error_set(err, SN_ERR_INVALID, "%s: the first of %" PRIu32 " parts, expected to be called NAME%s", file_base_name(path), n, suffix);
		if (!(paths[i] = arena_strndup(mem, path, size)))
			return error_set(err, SN_ERR_NOMEM, "%s: no memory for its parts", file_base_name(path));
		memcpy(paths[i] + size - SUFFIX, suffix, SUFFIX);
	}
	*out = paths;
	return SN_OK;
}

static sn_status join(model_file *f, const gguf_part *parts, uint32_t n, sn_error *err)
{
	uint32_t expected = 0;
	size_t total = 0;
	file_map *maps = arena_array(f->mem, n, sizeof *maps);
	for (uint32_t i = 0; i < n; i++)
		total += parts[i].n_tensors;
	if (n > 1 && part_u32(parts, STR("split.tensors.count"), &expected) && expected != total)
		return error_set(err, SN_ERR_INVALID, "%s: key split.tensors.count: %" PRIu32 " tensors, but its parts have %zu", parts->name, expected, total);
	f->tensors = arena_array(f->mem, total, sizeof *f->tensors);
	if (!maps || !f->tensors)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory for %zu tensors", f->name, total);
	for (uint32_t i = 0; i < n; i++) {
		maps[i] = parts[i].map;
		f->map_bytes += parts[i].map.n;
		memcpy(f->tensors + f->n_tensors, parts[i].tensors, parts[i].n_tensors * sizeof *f->tensors);
		f->n_tensors += parts[i].n_tensors;
	}
	f->maps = maps;
	f->n_maps = n;
	f->version = parts->version;
	f->keys = parts->keys;
	f->n_keys = parts->n_keys;
	return SN_OK;
}

sn_status gguf_read(model_file *f, const char *path, sn_error *err)
{
	gguf_part first, *parts = &first;
	uint32_t n = 1;
	char **paths = NULL;
	sn_status st = gguf_part_read(&first, path, FILE_LINKS_FOLLOWED, f->mem, err);
	if (st)
		return st;
	if (!part_u32(&first, STR("split.count"), &n) || n <= 1)
		return join(f, &first, 1, err);
	if (n > MAX_PARTS)
		return error_set(err, SN_ERR_INVALID, "%s: key split.count: %" PRIu32 " parts, at most %d are read", first.name, n, MAX_PARTS);
	st = check_place(&first, 0, n, err);
	if (!st)
		st = name_parts(&paths, path, n, f->mem, err);
	if (!st && !(parts = arena_array(f->mem, n, sizeof *parts)))
		st = error_set(err, SN_ERR_NOMEM, "%s: no memory for its parts", first.name);
	for (uint32_t i = 1; i < n && !st; i++) {
		st = gguf_part_read(&parts[i], paths[i], FILE_LINKS_FOLLOWED, f->mem, err);
		if (!st)
			st = check_place(&parts[i], i, n, err);
	}
	if (st)
		return st;
	parts[0] = first;
	return join(f, parts, n, err);
}
