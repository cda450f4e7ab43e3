#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_broken(const char *promise, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
	abort();
}

static int file = -1;

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static char path[64];
	fuzz_file_close();
	file = memfd_create("input", MFD_CLOEXEC);
	if (file < 0 || write(file, data, size) != (ssize_t)size) {
		perror("fuzz_file");
		exit(1);
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return path;
}

void fuzz_file_close(void)
{
	if (file >= 0)
		close(file);
	file = -1;
}
