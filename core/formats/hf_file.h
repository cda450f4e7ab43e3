/* hf_file.h - a Hugging Face directory's files, read whole and kept as long as an arena lives. */
#ifndef SN_FORMATS_HF_FILE_H
#define SN_FORMATS_HF_FILE_H

#include "base/arena.h"
#include "base/json.h"
#include "core.h"

/* SN_ERR_NOT_FOUND: there is none. At most 256 MiB. */
sn_status hf_file_text(char **out, size_t *n, arena *mem, const char *dir, const char *name, sn_error *err);
sn_status hf_file_json(const json_t **out, arena *mem, const char *dir, const char *name, sn_error *err);

/* A name from a file in a message: short, on one line, whole characters. */
typedef struct hf_shown { char s[80]; } hf_shown;
hf_shown hf_show(const char *name);

#endif
