/* file.h - how model files are opened: regular files only, read whole or mapped read-only. A FIFO or a device is refused
 * without waiting for it. Errors name the file's last path component, never its folder. */
#ifndef SN_BASE_FILE_H
#define SN_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "core.h"

/* The last component of a path. */
const char *file_base_name(const char *path);

/* Whether the last component may be a symlink. What the user named himself may; a file that a model's folder holds may
 * not: it could lead out of the folder. */
typedef enum file_links { FILE_LINKS_REFUSED, FILE_LINKS_FOLLOWED } file_links;

/* The whole file in *out (free() it), NUL-terminated; *n without the NUL. SN_ERR_NOT_FOUND if it is not there,
 * SN_ERR_TOO_LARGE above max_bytes. */
sn_status file_load(char **out, size_t *n, const char *path, size_t max_bytes, file_links links, sn_error *err);

typedef struct file_map {
	const uint8_t *p;
	size_t n;
} file_map;

/* Mapped until mem closes. An empty file is refused. */
sn_status file_map_open(file_map *out, arena *mem, const char *path, file_links links, sn_error *err);

#endif
