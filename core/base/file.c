#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

const char *file_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static sn_status open_regular(int *fd, size_t *size, const char *path, file_links links, sn_error *err)
{
	const char *name = file_base_name(path);
	struct stat s;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (links == FILE_LINKS_REFUSED ? O_NOFOLLOW : 0));
	if (*fd < 0 && errno == ELOOP)
		return error_set(err, SN_ERR_INVALID, "%s: a symlink; a model's files must lie in its folder", name);
	if (*fd < 0)
		return error_set(err, SN_ERR_NOT_FOUND, "%s: cannot be opened", name);
	if (fstat(*fd, &s) != 0 || !S_ISREG(s.st_mode)) {
		close(*fd);
		return error_set(err, SN_ERR_INVALID, "%s: not a regular file", name);
	}
	*size = (size_t)s.st_size;
	return SN_OK;
}

sn_status file_load(char **out, size_t *n, const char *path, size_t max_bytes, file_links links, sn_error *err)
{
	const char *name = file_base_name(path);
	char *bytes = NULL;
	size_t size, have = 0;
	int fd;
	sn_status st = open_regular(&fd, &size, path, links, err);
	*out = NULL;
	if (st)
		return st;
	if (size > max_bytes)
		st = error_set(err, SN_ERR_TOO_LARGE, "%s: larger than %zu bytes", name, max_bytes);
	else if (!(bytes = malloc(size + 1)))
		st = error_set(err, SN_ERR_NOMEM, "%s: no memory for its %zu bytes", name, size);
	while (!st && have < size) {
		ssize_t got = read(fd, bytes + have, size - have);
		if (got <= 0)
			st = error_set(err, SN_ERR_IO, "%s: cannot be read", name);
		else
			have += (size_t)got;
	}
	close(fd);
	if (st) {
		free(bytes);
		return st;
	}
	bytes[size] = 0;
	*out = bytes;
	*n = size;
	return SN_OK;
}

static void unmap(void *ctx)
{
	file_map *m = ctx;
	if (m->p)
		munmap((void *)m->p, m->n);
}

sn_status file_map_open(file_map *out, arena *mem, const char *path, file_links links, sn_error *err)
{
	const char *name = file_base_name(path);
	file_map *held = arena_alloc(mem, sizeof *held);
	if (!held || arena_defer(mem, unmap, held) != 0)
		return error_set(err, SN_ERR_NOMEM, "%s: no memory to map it", name);
	size_t size;
	int fd;
	sn_status st = open_regular(&fd, &size, path, links, err);
	if (st)
		return st;
	void *p = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	close(fd);
	if (size == 0)
		return error_set(err, SN_ERR_INVALID, "%s: an empty file", name);
	if (p == MAP_FAILED)
		return error_set(err, SN_ERR_NOMEM, "%s: cannot be mapped", name);
	*held = (file_map){p, size};
	*out = *held;
	return SN_OK;
}
