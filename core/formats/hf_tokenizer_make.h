/* hf_tokenizer_make.h - vocab.json, merges.txt and tokenizer_config.json as the tokenizer.json that transformers makes of them, for
 * directories that are published without one. Which tokenizer they are for, its class says: Qwen2Tokenizer is known. */
#ifndef SN_FORMATS_HF_TOKENIZER_MAKE_H
#define SN_FORMATS_HF_TOKENIZER_MAKE_H

#include "base/json.h"

/* *out: a tree for json_decref. merges: [n] bytes of merges.txt. */
sn_status hf_tokenizer_make(json_t **out, const json_t *vocab, const char *merges, size_t n, const json_t *config, sn_error *err);

#endif
