/* hf_names.h - the tensors of a Hugging Face directory under GGUF's names. */
#ifndef SN_FORMATS_HF_NAMES_H
#define SN_FORMATS_HF_NAMES_H

#include "formats/hf_config.h"
#include "formats/safetensors.h"

/* Fills f's tensors from all [n], which are sorted by name. A tensor that the configuration asks for and that is not
 * there, or the other way round, is refused. more: how many others f is to have room for. */
sn_status hf_names_translate(model_file *f, const hf_config *config, const st_tensor *all, size_t n, size_t more, sn_error *err);
/* One more of them, under that name. */
sn_status hf_names_place(model_file *f, const st_tensor *tensor, const char *gguf, sn_error *err);

#endif
