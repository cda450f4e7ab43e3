/* hf_weights.h - the tensors of a Hugging Face directory, from one safetensors file or from the parts that an index names. */
#ifndef SN_FORMATS_HF_WEIGHTS_H
#define SN_FORMATS_HF_WEIGHTS_H

#include "formats/model_file.h"
#include "formats/safetensors.h"

/* Maps the files into f and gives all tensors, sorted by name, no name twice. */
sn_status hf_weights_open(model_file *f, st_tensor **out, size_t *n, sn_error *err);

/* One more file, model.safetensors of a folder in the directory: its tensors alone, sorted by name. */
sn_status hf_weights_open_more(model_file *f, const char *folder, st_tensor **out, size_t *n, sn_error *err);

#endif
