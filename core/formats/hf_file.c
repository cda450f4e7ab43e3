#include "formats/hf_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define MAX_FILE_BYTES ((size_t)1 << 28)

static sn_status no_memory(const char *name, sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, "%s: no memory to read it", name);
}

static void release(void *json)
{
	json_decref(json);
}

static char *path_of(arena *mem, const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = arena_alloc(mem, n);
	if (path)
		snprintf(path, n, "%s/%s", dir, name);
	return path;
}

sn_status hf_file_text(char **out, size_t *n, arena *mem, const char *dir, const char *name, sn_error *err)
{
	const char *path = path_of(mem, dir, name);
	if (!path)
		return no_memory(name, err);
	sn_status st = file_load(out, n, path, MAX_FILE_BYTES, FILE_LINKS_REFUSED, err);
	if (!st && arena_defer(mem, free, *out)) {
		free(*out);
		return no_memory(name, err);
	}
	return st;
}

sn_status hf_file_json(const json_t **out, arena *mem, const char *dir, const char *name, sn_error *err)
{
	json_t *j;
	const char *path = path_of(mem, dir, name);
	if (!path)
		return no_memory(name, err);
	sn_status st = json_file_read(&j, path, MAX_FILE_BYTES, err);
	if (st)
		return st;
	if (arena_defer(mem, release, j)) {
		json_decref(j);
		return no_memory(name, err);
	}
	*out = j;
	return SN_OK;
}

hf_shown hf_show(const char *name)
{
	hf_shown out = {{0}};
	size_t n = strlen(name);
	if (n > 64)
		for (n = 64; n && ((unsigned char)name[n] & 0xC0) == 0x80; n--)
			;
	for (size_t i = 0; i < n; i++)
		out.s[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7F ? '?' : name[i];
	return out;
}
