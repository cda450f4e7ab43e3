/* alloc_shim.c - a preloaded allocator that fails when it is told to: the process under test maps the file that SN_ALLOC_FAULT
 * names, and the test writes there at which call from now on the next allocation fails.
 *
 *   control file: int64 left   calls until one fails; 0: none
 *                 int64 n_fail that many calls in a row fail from then on
 *                 int64 count  calls seen so far (written here)
 *                 int64 failed calls that were failed (written here)
 *
 * glibc's own functions do the work. Nothing here allocates. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

struct control {
	_Atomic int64_t left, n_fail, count, failed;
};

static struct control *_Atomic control;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("SN_ALLOC_FAULT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		control = p;
}

static int fails(void)
{
	struct control *c = control;
	if (!c)
		return 0;
	atomic_fetch_add(&c->count, 1);
	if (atomic_load(&c->left) <= 0)
		return 0;
	int64_t before = atomic_fetch_sub(&c->left, 1);
	if (before > 1)
		return 0;
	if (atomic_fetch_sub(&c->n_fail, 1) > 1)
		atomic_store(&c->left, 1); /* the next one too */
	atomic_fetch_add(&c->failed, 1);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}

void *memalign(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	void *p = fails() ? NULL : __libc_memalign(align, n);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}
