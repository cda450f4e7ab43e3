#include "formats/hf_weights.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"

#define ONE_FILE "model.safetensors"
#define INDEX "model.safetensors.index.json"
enum { MAX_INDEX_BYTES = 64 << 20, MAX_SHARDS = 4096 };

struct shard {
	const char *name;
	st_tensor *tensors;
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const st_tensor *)a)->name.p, ((const st_tensor *)b)->name.p);
}

static sn_status open_shard(struct shard *s, file_map *map, const model_file *f, sn_error *err)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s", f->dir, s->name);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(err, SN_ERR_INVALID, "%s: its path is too long", s->name);
	sn_status st = file_map_open(map, f->mem, path, FILE_LINKS_REFUSED, err);
	return st ? st : safetensors_parse(&s->tensors, &s->n, map, s->name, f->mem, err);
}

/* A file of this directory and nothing else: printable, no folder before it, and not the index itself. */
static bool plain_file_name(const char *s, size_t n)
{
	static const char suffix[] = ".safetensors";
	const size_t k = sizeof suffix - 1;
	if (!s || n <= k || n > NAME_MAX || strcmp(s + n - k, suffix) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7F || s[i] == '/')
			return false;
	return true;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all shards, each once. Every one is plain. */
static sn_status list_shards(struct shard **out, size_t *n, const json_t *weight_map, arena *mem, sn_error *err)
{
	const char *tensor;
	json_t *file;
	size_t n_names = 0;
	const char **names = arena_array(mem, json_object_size(weight_map), sizeof *names);
	if (!names)
		return error_set(err, SN_ERR_NOMEM, INDEX ": no memory for its list");
	json_object_foreach((json_t *)weight_map, tensor, file) {
		const char *name = json_string_value(file);
		if (!plain_file_name(name, json_string_length(file)))
			return error_set(err, SN_ERR_INVALID, INDEX ": weight_map names a file that is not a plain NAME.safetensors");
		names[n_names++] = name;
	}
	qsort(names, n_names, sizeof *names, by_string);
	*n = 0;
	for (size_t i = 0; i < n_names; i++)
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			names[(*n)++] = names[i];
	if (*n == 0 || *n > MAX_SHARDS)
		return error_set(err, SN_ERR_INVALID, INDEX ": weight_map names %zu files, expected 1 to %d", *n, MAX_SHARDS);
	*out = arena_array(mem, *n, sizeof **out);
	if (!*out)
		return error_set(err, SN_ERR_NOMEM, INDEX ": no memory for its list");
	for (size_t i = 0; i < *n; i++) {
		(*out)[i].name = arena_strndup(mem, names[i], strlen(names[i]));
		if (!(*out)[i].name)
			return error_set(err, SN_ERR_NOMEM, INDEX ": no memory for its list");
	}
	return SN_OK;
}

/* Each tensor of the shard is one that the index expects there. */
static sn_status check_shard(const struct shard *s, const json_t *weight_map, sn_error *err)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *file = json_get_string(weight_map, s->tensors[i].name.p);
		if (!file)
			return error_set(err, SN_ERR_INVALID, "%s: tensor %s is not in " INDEX, s->name, s->tensors[i].name.p);
		if (strcmp(file, s->name) != 0)
			return error_set(err, SN_ERR_INVALID, "%s: tensor %s, which " INDEX " expects in %s", s->name, s->tensors[i].name.p, file);
	}
	return SN_OK;
}

/* And each that the index expects is there. */
static sn_status check_index(json_t *weight_map, const st_tensor *all, size_t n, sn_error *err)
{
	const char *name;
	size_t name_n;
	json_t *file;
	json_object_keylen_foreach(weight_map, name, name_n, file) {
		st_tensor key = {.name = {name, name_n}};
		const st_tensor *t = bsearch(&key, all, n, sizeof *all, by_name);
		if (!t || t->name.n != name_n)
			return error_set(err, SN_ERR_INVALID, "%s: a tensor is missing that " INDEX " expects there: %.*s", json_string_value(file),
			                 name_n > 80 ? 80 : (int)name_n, name);
	}
	return SN_OK;
}

static sn_status open_shards(model_file *f, json_t *weight_map, st_tensor **out, size_t *n, sn_error *err)
{
	struct shard *shards = NULL;
	size_t n_shards = 0, total = 0;
	sn_status st = list_shards(&shards, &n_shards, weight_map, f->mem, err);
	if (st)
		return st;
	file_map *maps = arena_array(f->mem, n_shards, sizeof *maps);
	if (!maps)
		return error_set(err, SN_ERR_NOMEM, INDEX ": no memory for its files");
	f->maps = maps;
	for (; f->n_maps < n_shards && !st; f->n_maps++) {
		struct shard *s = &shards[f->n_maps];
		st = open_shard(s, &maps[f->n_maps], f, err);
		if (!st)
			st = check_shard(s, weight_map, err);
		total += s->n;
	}
	if (st)
		return st;
	st_tensor *all = arena_array(f->mem, total, sizeof *all);
	if (!all)
		return error_set(err, SN_ERR_NOMEM, INDEX ": no memory for %zu tensors", total);
	*n = 0;
	for (size_t i = 0; i < n_shards; *n += shards[i++].n)
		memcpy(all + *n, shards[i].tensors, shards[i].n * sizeof *all);
	qsort(all, *n, sizeof *all, by_name);
	*out = all;
	return check_index(weight_map, all, *n, err);
}

static sn_status open_index(model_file *f, st_tensor **out, size_t *n, sn_error *err)
{
	char path[PATH_MAX];
	json_t *index, *weight_map;
	int len = snprintf(path, sizeof path, "%s/" INDEX, f->dir);
	if (len < 0 || (size_t)len >= sizeof path)
		return error_set(err, SN_ERR_INVALID, "the directory's path is too long");
	sn_status st = json_file_read(&index, path, MAX_INDEX_BYTES, err);
	if (st == SN_ERR_NOT_FOUND)
		return error_set(err, st, "neither " ONE_FILE " nor " INDEX " can be opened");
	if (st)
		return st;
	weight_map = json_object_get(index, "weight_map");
	if (!json_is_object(weight_map))
		st = error_set(err, SN_ERR_INVALID, INDEX ": weight_map is missing or not an object");
	else
		st = open_shards(f, weight_map, out, n, err);
	json_decref(index);
	return st;
}

sn_status hf_weights_open_more(model_file *f, const char *folder, st_tensor **out, size_t *n, sn_error *err)
{
	char name[NAME_MAX + 1];
	struct shard one = {.name = name};
	file_map *maps = arena_array(f->mem, f->n_maps + 1, sizeof *maps);
	if (!maps)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory to map it", folder);
	snprintf(name, sizeof name, "%s/" ONE_FILE, folder);
	memcpy(maps, f->maps, f->n_maps * sizeof *maps);
	sn_status st = open_shard(&one, &maps[f->n_maps], f, err);
	if (st)
		return st;
	f->maps = maps;
	f->map_bytes += maps[f->n_maps++].n;
	qsort(one.tensors, one.n, sizeof *one.tensors, by_name);
	*out = one.tensors;
	*n = one.n;
	return SN_OK;
}

sn_status hf_weights_open(model_file *f, st_tensor **out, size_t *n, sn_error *err)
{
	struct shard one = {.name = ONE_FILE};
	file_map *map = arena_alloc(f->mem, sizeof *map);
	if (!map)
		return error_set(err, SN_ERR_NOMEM, ONE_FILE ": no memory to map it");
	sn_status st = open_shard(&one, map, f, err);
	if (st == SN_ERR_NOT_FOUND) {
		st = open_index(f, out, n, err);
	} else if (!st) {
		f->maps = map;
		f->n_maps = 1;
		qsort(one.tensors, one.n, sizeof *one.tensors, by_name);
		*out = one.tensors;
		*n = one.n;
	}
	for (size_t i = 0; i < f->n_maps && !st; i++)
		f->map_bytes += f->maps[i].n;
	return st;
}
