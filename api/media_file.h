/* media_file.h - file: URLs, inside one folder that the operator named (--allowed-local-media-path).
 *
 * The kernel keeps the walk inside the folder (openat2, RESOLVE_BENEATH): `..`, absolute links and links that lead out do not
 * resolve; links within the folder do. Where there is no openat2 the walk refuses every link. Only regular files are read,
 * and whatever is not one, not there or not allowed is refused in the same words: no client learns what exists.
 */
#ifndef API_MEDIA_FILE_H
#define API_MEDIA_FILE_H

#include "core.h"

typedef struct media_folder {
	int fd;          /* the folder; -1: none */
	char *given;     /* absolute, as the operator wrote it; a URL's path begins with it, */
	char *canonical; /* or with what it resolves to */
} media_folder;

int media_folder_open(media_folder *out, const char *path, sn_error *err);
void media_folder_close(media_folder *f);

/* The file's descriptor and size; -1 with err filled. url: NUL-terminated, begins with "file:". */
int media_file_open(const media_folder *f, const char *url, size_t max_bytes, size_t *size, const char *param, sn_error *err);
/* Opens path, relative, beneath the folder; -1 if it does not lead to something inside. careful_walk: without openat2. */
int media_folder_find(int folder, const char *path, bool careful_walk);

#endif
