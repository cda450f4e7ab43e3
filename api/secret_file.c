#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"

static int read_file(char **out, size_t *out_size, const char *path, size_t max, bool secret, const char *flag, sn_error *err)
{
	struct stat st;
	char *text = NULL;
	size_t size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = SN_OK;
	*out = NULL;
	*out_size = 0;
	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = fault_set(err, SN_ERR_INVALID, NULL, "%s: cannot read the file: %s", flag, strerror(errno));
		goto done;
	}
	if (!S_ISREG(st.st_mode) || (secret && (st.st_mode & 077))) {
		rc = fault_set(err, SN_ERR_INVALID, NULL, secret ? "%s: must be a regular file that only its owner can read (chmod 600)"
		                                                 : "%s: must be a regular file", flag);
		goto done;
	}
	size = (size_t)st.st_size;
	if (size > max || !(text = malloc(size + 1))) {
		rc = fault_set(err, SN_ERR_INVALID, NULL, "%s: the file is too large", flag);
		goto done;
	}
	if (read(fd, text, size) != (ssize_t)size) {
		secret_file_free(&text, size);
		rc = fault_set(err, SN_ERR_INVALID, NULL, "%s: cannot read the file", flag);
		goto done;
	}
	text[size] = 0;
	*out = text;
	*out_size = size;
done:
	if (fd >= 0)
		close(fd);
	return rc;
}

int secret_file_read(char **text, size_t *size, const char *path, size_t max, const char *flag, sn_error *err)
{
	return read_file(text, size, path, max, true, flag, err);
}

int public_file_read(char **text, size_t *size, const char *path, size_t max, const char *flag, sn_error *err)
{
	return read_file(text, size, path, max, false, flag, err);
}

void secret_file_free(char **text, size_t size)
{
	if (*text)
		sodium_memzero(*text, size);
	free(*text);
	*text = NULL;
}
