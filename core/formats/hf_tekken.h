/* hf_tekken.h - tekken.json, Mistral's own form of its byte-level vocabularies: tokens as bytes in the order of their ranks, behind a fixed
 * number of special ones. It has no list of merges: a pair merges if what it makes is a token, the lowest rank first, which is said here as
 * transformers' conversion says it, by every way to make each token of two others. Ids equal mistral-common's. */
#ifndef SN_FORMATS_HF_TEKKEN_H
#define SN_FORMATS_HF_TEKKEN_H

#include "base/arena.h"
#include "core.h"
#include "text/vocab.h"

/* SN_ERR_NOT_FOUND: there is none. As hf_tokenizer_read. */
sn_status hf_tekken_read(vocab_config *out, arena *mem, const char *dir, sn_error *err);

#endif
