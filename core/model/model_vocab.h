/* model_vocab.h - the vocabulary of a model file: GGUF's keys, or tokenizer.json of a Hugging Face directory. */
#ifndef SN_MODEL_MODEL_VOCAB_H
#define SN_MODEL_MODEL_VOCAB_H

#include "formats/model_file.h"
#include "text/vocab.h"

/* n_rows: of the embedding, which the ids must not pass. tmp: for what is needed while opening. */
sn_status model_vocab_open(vocab **out, const model_file *f, uint32_t n_rows, arena *tmp, sn_error *err);

#endif
