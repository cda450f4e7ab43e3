/* gguf.h - the GGUF container: one file holds keys and tensors. */
#ifndef SN_FORMATS_GGUF_H
#define SN_FORMATS_GGUF_H

#include "formats/model_file.h"

/* Maps the file and fills f's keys and tensors, in the file's order. f->mem and f->name are set. */
sn_status gguf_read(model_file *f, const char *path, sn_error *err);

#endif
