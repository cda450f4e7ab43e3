/* gguf.h - the GGUF container: one file holds keys and tensors, or several do, NAME-00001-of-00003.gguf and so on. */
#ifndef SN_FORMATS_GGUF_H
#define SN_FORMATS_GGUF_H

#include "formats/model_file.h"

/* Maps the file, and the other parts beside it if it says that there are some, and fills f's keys and tensors. The first part is the one
 * to name: its keys are the model's. f->mem and f->name are set. */
sn_status gguf_read(model_file *f, const char *path, sn_error *err);

#endif
