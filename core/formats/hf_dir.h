/* hf_dir.h - a Hugging Face directory as a model file, as transformers 4 and 5 write them.
 *
 *   config.json                          hf_config.c   hyper-parameters -> GGUF's keys; what changes the numbers and is not
 *                                                      computed is refused by name, never passed over
 *   model.safetensors, or                hf_weights.c  one table of tensors from one file or from many; nothing outside the
 *   model.safetensors.index.json + parts               directory is opened
 *                                        hf_names.c    their names -> GGUF's; every tensor has its place, every place a tensor
 *   modules.json, 1_Pooling/config.json  hf_sentence.c of a model that embeds texts: how
 *   generation_config.json,              hf_text.c     ids that end an answer, the chat template
 *   chat_template.jinja, ...
 *   the last two, for a model that       hf_whisper.c  which tokens say what
 *   writes down recordings
 *   tokenizer.json                       whoever opens the vocabulary reads it from model_file.dir
 *
 * Weights are as they were trained: see model_file.from_hf.
 */
#ifndef SN_FORMATS_HF_DIR_H
#define SN_FORMATS_HF_DIR_H

#include "formats/model_file.h"

/* Fills f's keys and tensors. f->mem and f->name are set. Errors begin with f->name. */
sn_status hf_dir_read(model_file *f, const char *dir, sn_error *err);

#endif
