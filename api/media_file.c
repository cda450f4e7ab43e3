#include "media_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"

/* O_NONBLOCK: a FIFO is opened, seen and closed without waiting for a writer. */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define RACES 16

int media_folder_open(media_folder *out, const char *path, sn_error *err)
{
	*out = (media_folder){.fd = -1};
	if (path[0] != '/')
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-local-media-path: needs an absolute path");
	out->given = strdup(path);
	out->canonical = realpath(path, NULL);
	if (!out->given || !out->canonical) {
		media_folder_close(out);
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-local-media-path: no such folder");
	}
	for (size_t n = strlen(out->given); n > 1 && out->given[n - 1] == '/'; n--)
		out->given[n - 1] = 0;
	if (strcmp(out->canonical, "/") == 0) {
		media_folder_close(out);
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-local-media-path: the whole file system is no media folder");
	}
	out->fd = open(out->canonical, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->fd < 0) {
		media_folder_close(out);
		return fault_set(err, SN_ERR_INVALID, NULL, "--allowed-local-media-path: not a folder that can be opened");
	}
	return SN_OK;
}

void media_folder_close(media_folder *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->given);
	free(f->canonical);
	*f = (media_folder){.fd = -1};
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding. False: a malformed escape, a NUL, a query or fragment, a segment `..`, or too long. */
static bool path_decode(char out[PATH_MAX], const char *in)
{
	size_t n = 0;
	for (; *in; in++) {
		int c = (unsigned char)*in;
		if (c == '?' || c == '#')
			return false;
		if (c == '%') {
			int high = hex(in[1]), low = high < 0 ? -1 : hex(in[2]);
			if (low < 0)
				return false;
			c = high << 4 | low;
			in += 2;
		}
		if (c == 0 || n + 1 >= PATH_MAX)
			return false;
		out[n++] = (char)c;
	}
	out[n] = 0;
	for (const char *at = out; (at = strstr(at, "..")); at++)
		if ((at == out || at[-1] == '/') && (at[2] == '/' || !at[2]))
			return false;
	return true;
}

/* What follows the folder in an absolute path; NULL if the path is not inside it. */
static const char *below(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	if (strncmp(path, folder, n) != 0 || path[n] != '/')
		return NULL;
	return path + n + strspn(path + n, "/");
}

/* Every component by itself, none of them a link. */
static int walk(int folder, const char *path)
{
	char name[NAME_MAX + 1];
	int at = dup(folder);
	while (at >= 0) {
		size_t n = strcspn(path, "/");
		const char *rest = path + n + strspn(path + n, "/");
		if (n == 0 || n > NAME_MAX || (n == 2 && memcmp(path, "..", 2) == 0)) {
			close(at);
			return -1;
		}
		memcpy(name, path, n);
		name[n] = 0;
		int next = openat(at, name, *rest || path[n] == '/' ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : OPEN_FLAGS | O_NOFOLLOW);
		close(at);
		if (!*rest)
			return next;
		at = next;
		path = rest;
	}
	return -1;
}

int media_folder_find(int folder, const char *path, bool careful_walk)
{
	struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	for (int i = 0; !careful_walk && i < RACES; i++) {
		long fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM) /* an old kernel, or a sandbox that does not know the call */
			break;
		if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return walk(folder, path);
}

int media_file_open(const media_folder *f, const char *url, size_t max_bytes, size_t *size, const char *param, sn_error *err)
{
	static const char local[] = "localhost";
	char path[PATH_MAX];
	struct stat st;
	const char *at = url + strlen("file:"), *rest = NULL;
	if (strncmp(at, "//", 2) == 0) {
		at += 2;
		if (strncasecmp(at, local, sizeof local - 1) == 0)
			at += sizeof local - 1;
	}
	if (at < url + strlen("file://") || *at != '/' || !path_decode(path, at)) {
		fault_set(err, SN_ERR_INVALID, param, "a file: URL is file:// and an absolute path, without host, query or ..");
		return -1;
	}
	rest = below(path, f->given);
	if (!rest)
		rest = below(path, f->canonical);
	int fd = rest && *rest ? media_folder_find(f->fd, rest, false) : -1;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		fault_set(err, SN_ERR_INVALID, param, "the file: URL does not name a file that may be read (--allowed-local-media-path)");
		return -1;
	}
	if ((uint64_t)st.st_size > max_bytes) {
		close(fd);
		fault_set(err, SN_ERR_TOO_LARGE, param, "the media is larger than %zu bytes", max_bytes);
		return -1;
	}
	*size = (size_t)st.st_size;
	return fd;
}
