#include "base/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines of a file, without a byte of memory: what cannot be had is not taken for what nobody tells. */
typedef struct lines {
	int fd;
	ssize_t at, n;
	char held[1024];
} lines;

static int next_byte(lines *l)
{
	if (l->at == l->n) {
		l->at = 0;
		l->n = l->fd < 0 ? 0 : read(l->fd, l->held, sizeof l->held);
		if (l->n <= 0) {
			l->n = 0;
			return -1;
		}
	}
	return (unsigned char)l->held[l->at++];
}

/* What does not fit is left out. False: that was all. */
static bool next_line(lines *l, char *line, size_t size)
{
	size_t n = 0;
	int c = next_byte(l);
	bool any = c >= 0;
	for (; c >= 0 && c != '\n'; c = next_byte(l))
		if (n + 1 < size)
			line[n++] = (char)c;
	line[n] = 0;
	return any;
}

static void open_lines(lines *l, const char *path)
{
	l->fd = open(path, O_RDONLY | O_CLOEXEC);
	l->at = l->n = 0;
}

static void close_lines(const lines *l)
{
	if (l->fd >= 0)
		close(l->fd);
}

/* The number behind `name` in a file of lines "name number"; name NULL: the file's first. SIZE_MAX: there is none ("max"). */
static size_t number_in(const char *path, const char *name)
{
	char line[256], *end;
	size_t found = SIZE_MAX, n = name ? strlen(name) : 0;
	lines f;
	open_lines(&f, path);
	while (found == SIZE_MAX && next_line(&f, line, sizeof line)) {
		if (n && (strncmp(line, name, n) != 0 || !strchr(" :\t", line[n])))
			continue;
		const char *at = line + n + strspn(line + n, " :\t");
		unsigned long long v = strtoull(at, &end, 10);
		if (end != at)
			found = v < SIZE_MAX ? (size_t)v : SIZE_MAX;
		if (!n)
			break;
	}
	close_lines(&f);
	return found;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

struct group_files { const char *mount, *limit, *used, *stat, *files; };

static const struct group_files version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "memory.stat", "inactive_file"};
static const struct group_files version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"};

/* One control group: its limit, and what is left under it. */
static void read_group(machine_memory *m, const char *folder, const struct group_files *g)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s", folder, g->limit);
	size_t limit = number_in(path, NULL);
	if (limit >= m->total) /* none, or version 1's word for none */
		return;
	snprintf(path, sizeof path, "%s/%s", folder, g->used);
	size_t used = number_in(path, NULL);
	snprintf(path, sizeof path, "%s/%s", folder, g->stat);
	size_t files = number_in(path, g->files);
	used = used == SIZE_MAX ? 0 : files == SIZE_MAX || files > used ? used : used - files;
	m->limit = min_size(m->limit, limit);
	m->available = min_size(m->available, used < limit ? limit - used : 0);
}

/* The process's group and all around it. Inside a container its path may not be there, but the mount's root is its own. */
static void read_groups(machine_memory *m, const char *root, char *group, const struct group_files *g)
{
	char folder[PATH_MAX];
	for (;;) {
		int n = snprintf(folder, sizeof folder, "%s%s%s", root, g->mount, strcmp(group, "/") == 0 ? "" : group);
		if (n > 0 && (size_t)n < sizeof folder)
			read_group(m, folder, g);
		char *slash = strrchr(group, '/');
		if (!slash || group[1] == 0)
			return;
		slash[slash == group] = 0;
	}
}

machine_memory machine_memory_read(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	machine_memory m = {.limit = SIZE_MAX};
	snprintf(path, sizeof path, "%s/proc/meminfo", root);
	size_t total = number_in(path, "MemTotal"), available = number_in(path, "MemAvailable");
	m.total = total > SIZE_MAX / 1024 ? SIZE_MAX : total * 1024;
	m.available = available > SIZE_MAX / 1024 ? SIZE_MAX : available * 1024;
	snprintf(path, sizeof path, "%s/proc/self/status", root);
	size_t own = number_in(path, "RssAnon");
	m.own = own > SIZE_MAX / 1024 ? 0 : own * 1024;
	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	lines f;
	open_lines(&f, path);
	while (next_line(&f, line, sizeof line)) { /* "0::/path", or "9:memory:/path" */
		char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
		if (!group || group[1] != '/')
			continue;
		*group++ = 0;
		if (strcmp(names + 1, "memory") == 0)
			read_groups(&m, root, group, &version_1);
		else if (names[1] == 0)
			read_groups(&m, root, group, &version_2);
	}
	close_lines(&f);
	m.total = min_size(m.total, m.limit);
	m.available = min_size(m.available, m.total);
	return m;
}
