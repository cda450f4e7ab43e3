#include "fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- a folder ---- */

enum { FOLDER_FILES = 4 };

static char folder[] = "/dev/shm/fuzz-XXXXXX";
static const char *folder_files[FOLDER_FILES];

static void folder_remove(void)
{
	for (size_t i = 0; i < FOLDER_FILES && folder_files[i]; i++)
		fuzz_folder_put(folder_files[i], NULL, 0);
	rmdir(folder);
}

const char *fuzz_folder(void)
{
	static bool is_made;
	if (!is_made && (!mkdtemp(folder) || atexit(folder_remove))) {
		perror("fuzz_folder");
		exit(1);
	}
	is_made = true;
	return folder;
}

void fuzz_folder_put(const char *name, const uint8_t *data, size_t size)
{
	char path[128];
	size_t i = 0;
	snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
	while (i < FOLDER_FILES && folder_files[i] && strcmp(folder_files[i], name))
		i++;
	FUZZ_PROMISE(i < FOLDER_FILES);
	folder_files[i] = name;
	unlink(path);
	FILE *f = data ? fopen(path, "wb") : NULL;
	if (data && (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f))) {
		perror("fuzz_folder_put");
		exit(1);
	}
}
