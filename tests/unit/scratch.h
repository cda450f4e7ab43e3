/* scratch.h - what tests of files share: bytes that grow, a folder that goes away again, and what a refusal must look like. */
#ifndef SN_TESTS_SCRATCH_H
#define SN_TESTS_SCRATCH_H

#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

typedef struct bytes { uint8_t *p; size_t n, cap; } bytes;

static inline void put(bytes *b, const void *p, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = (b->n + n) * 2 + 256;
		b->p = realloc(b->p, b->cap);
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void put32(bytes *b, uint32_t v) { put(b, &v, 4); }
static inline void put64(bytes *b, uint64_t v) { put(b, &v, 8); }

static inline void put_strn(bytes *b, const char *s, size_t n)
{
	put64(b, n);
	put(b, s, n);
}

static inline void put_str(bytes *b, const char *s) { put_strn(b, s, strlen(s)); }

/* ---- a folder; scratch_open and scratch_close are a group's set-up and tear-down ---- */

static char SCRATCH[] = "/tmp/sensorium-test.XXXXXX";

static inline int scratch_open(void **state)
{
	(void)state;
	return mkdtemp(SCRATCH) ? 0 : -1;
}

static inline int scratch_remove(const char *path, const struct stat *s, int flag, struct FTW *walk)
{
	(void)s, (void)flag, (void)walk;
	return remove(path);
}

static inline int scratch_close(void **state)
{
	(void)state;
	return nftw(SCRATCH, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a file in it. Two at a time. */
static inline const char *scratch_path(const char *name)
{
	static char paths[2][512];
	static int which;
	which = !which;
	snprintf(paths[which], sizeof paths[which], "%s/%s", SCRATCH, name);
	return paths[which];
}

static inline void scratch_write(const char *name, const void *p, size_t n)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

/* A refusal's text names the file, and shows no path and no pointer. */
static inline void check_text(const sn_error *err, const char *file)
{
	size_t n = strlen(file);
	if (strncmp(err->text, file, n) != 0 || err->text[n] != ':' || strchr(err->text, '/') || strstr(err->text, "0x") ||
	    strlen(err->text) < n + 8)
		fail_msg("not a clear refusal: %s", err->text);
}

#endif
