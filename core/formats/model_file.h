/* model_file.h - one table of named tensors and hyper-parameters, whatever container they came from.
 *
 * A GGUF file, or a Hugging Face directory (hf_dir.h) whose keys and names are translated to GGUF's: who reads a model
 * knows one language. Files are mapped read-only; tensors point into the maps, and so do a GGUF file's keys and strings.
 * Everything is checked when it is opened, so that readers may trust sizes and bounds (not meanings: those are checked by
 * who asks). A refusal names the file or the directory (its base name), the key or tensor, and the value. Replacing a file
 * by rename is safe while it is open; cutting a mapped file short is not (the process then ends by SIGBUS). Immutable
 * after open: any thread may read.
 */
#ifndef SN_FORMATS_MODEL_FILE_H
#define SN_FORMATS_MODEL_FILE_H

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"
#include "core.h"

/* Value types; the numbers are GGUF's. */
enum file_type {
	FILE_U8, FILE_I8, FILE_U16, FILE_I16, FILE_U32, FILE_I32, FILE_F32, FILE_BOOL, FILE_STRING, FILE_ARRAY,
	FILE_U64, FILE_I64, FILE_F64, FILE_TYPES
};

typedef struct file_key {
	str name;
	uint32_t type;      /* enum file_type */
	uint32_t elem_type; /* of arrays */
	uint64_t n;         /* elements of arrays, else 1 */
	const uint8_t *data; /* the value's bytes as stored; strings: length first */
} file_key;

typedef struct file_tensor {
	str name;
	uint32_t type;      /* storage type, GGUF's numbers or STORAGE_... */
	uint32_t n_dims;    /* 1..4 */
	uint64_t ne[4];     /* [0] is the fastest; unused ones are 1 */
	const uint8_t *data; /* aligned to the values' size */
	uint64_t bytes;
} file_tensor;

typedef struct model_file {
	arena *mem;
	const char *name; /* base name, for messages */
	const char *dir;  /* a Hugging Face directory's path: the tokenizer is read from there. NULL for other containers */
	uint32_t version; /* GGUF's */
	bool from_hf; /* a Hugging Face directory: names and keys are translated to GGUF's, weights are as they were trained
	               * (q and k not permuted for adjacent RoPE pairs, norms without the 1 that some families add) */
	const file_map *maps;
	size_t n_maps;
	size_t map_bytes; /* of all maps */
	file_key *keys;       /* sorted by name */
	size_t n_keys;
	file_tensor *tensors; /* sorted by name */
	size_t n_tensors;
} model_file;

/* Opens a GGUF file (v2 or v3) or a Hugging Face directory. */
sn_status model_file_open(model_file **out, const char *path, sn_error *err);
void model_file_close(model_file **f);

const file_key *file_key_find(const model_file *f, const char *name);
const file_tensor *file_tensor_find(const model_file *f, const char *name);

/* False, *out untouched, if the key is missing or holds another kind of value. Integers of any width where they fit. */
bool file_u32(const model_file *f, const char *key, uint32_t *out);
bool file_f32(const model_file *f, const char *key, float *out);
bool file_bool(const model_file *f, const char *key, bool *out);
bool file_str(const model_file *f, const char *key, str *out);
/* An array of strings, allocated in mem. */
sn_status file_strings(const model_file *f, const char *key, arena *mem, str **out, size_t *n, sn_error *err);
/* An array of 32-bit integers (any integer width that fits). */
sn_status file_i32s(const model_file *f, const char *key, arena *mem, int32_t **out, size_t *n, sn_error *err);
/* Element i of a numeric array. */
double file_number(const file_key *k, uint64_t i);

/* Of 8-bit floats that are scaled by blocks: their outputs and inputs. */
#define FILE_SCALE_ROWS "weight_scale.rows"
#define FILE_SCALE_COLS "weight_scale.cols"

/* Storage types by number. NULL if unknown or retired. GGUF's numbers are below STORAGE_OTHERS; above are types of other containers. */
enum { STORAGE_OTHERS = 256, STORAGE_F8_E4M3 = STORAGE_OTHERS };
typedef struct storage_type { const char *name; uint32_t block; uint32_t block_bytes; } storage_type;
const storage_type *storage_type_find(uint32_t type);

#endif
