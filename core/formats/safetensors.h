/* safetensors.h - the header of a safetensors file: u64 length, JSON, then the tensors' bytes.
 *
 * Every tensor must follow the one before without a gap, and the last must end the file: so none can lie outside, overlap
 * another, or hide bytes. A tensor of no values has no bytes and stands between two others. Any dtype of the format is
 * accepted; which ones can be computed with is the caller's matter. Scalars have rank 0.
 * Format: the safetensors project's README; limits as its reference reader has them (header of at most 100 MB).
 */
#ifndef SN_FORMATS_SAFETENSORS_H
#define SN_FORMATS_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"

enum { ST_MAX_RANK = 8, ST_MAX_NAME = 255 };

typedef struct st_dtype {
	const char *name;
	uint32_t bits;  /* of one value */
	int storage;    /* GGUF's number of the same type, -1: it has none */
} st_dtype;

typedef struct st_tensor {
	str name;              /* printable ASCII, at most ST_MAX_NAME bytes, NUL-terminated */
	const st_dtype *dtype;
	uint32_t rank;
	uint64_t shape[ST_MAX_RANK]; /* the last is the fastest */
	const uint8_t *data;   /* in the map, at any alignment */
	uint64_t bytes;
} st_tensor;

/* Checks the header of a whole mapped file; *out [*n] in the order of the data, allocated in mem. name: for messages. */
sn_status safetensors_parse(st_tensor **out, size_t *n, const file_map *map, const char *name, arena *mem, sn_error *err);

#endif
