/* hf_pieces.h - tokenizer.model, a SentencePiece model (protobuf), where a directory has it alone: Llama 2's, Mistral's first, Gemma's.
 *
 * Ids are sentencepiece's own, merged by score, with llama.cpp's rule of blanks where special tokens stand in the text: after each of them as
 * at its start. What tokenizer_config.json says of tokens (which are special, which begin and end a text) has the last word. Read are BPE
 * models whose text is not normalized; others are refused by what they have. */
#ifndef SN_FORMATS_HF_PIECES_H
#define SN_FORMATS_HF_PIECES_H

#include "base/arena.h"
#include "core.h"
#include "text/vocab.h"

/* SN_ERR_NOT_FOUND: there is none. As hf_tokenizer_read. */
sn_status hf_pieces_read(vocab_config *out, arena *mem, const char *dir, sn_error *err);

#endif
