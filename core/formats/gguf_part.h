/* gguf_part.h - one GGUF file by itself: a whole model, or a part of one. */
#ifndef SN_FORMATS_GGUF_PART_H
#define SN_FORMATS_GGUF_PART_H

#include "formats/model_file.h"

typedef struct gguf_part {
	const char *name; /* base name, in the path that was given */
	file_map map;
	uint32_t version;
	file_key *keys;       /* in the file's order */
	size_t n_keys;
	file_tensor *tensors; /* in the file's order */
	size_t n_tensors;
} gguf_part;

/* Maps the file until mem closes; keys and tensors point into the map. A refusal names the file. path stays the caller's and is kept. */
sn_status gguf_part_read(gguf_part *part, const char *path, file_links links, arena *mem, sn_error *err);

#endif
