/* hf_tokenizer.h - tokenizer.json and tokenizer_config.json of a Hugging Face directory. Where the first is not there: tekken.json
 * (hf_tekken.h), tokenizer.model (hf_pieces.h), or vocab.json and merges.txt (hf_tokenizer_make.h), whichever is.
 *
 * Read: BPE models, byte-level (gpt-2, smollm, llama3, qwen2, tekken, gpt-4o pre-tokenizers; NFC) or on U+2581 text (Llama 2, Gemma; byte
 * fallback). Recognised shapes give the ids that Hugging Face tokenizers gives; any other component, regular expression
 * or added-token flag is refused by its name. Truncation and padding settings are not read, and clean-up of blanks in
 * decoded text (clean_up_tokenization_spaces) is never done. */
#ifndef SN_FORMATS_HF_TOKENIZER_H
#define SN_FORMATS_HF_TOKENIZER_H

#include "base/arena.h"
#include "core.h"
#include "text/vocab.h"

/* out points into mem and into what mem releases when it is closed. Sets all but eot and eog. */
sn_status hf_tokenizer_read(vocab_config *out, arena *mem, const char *dir, sn_error *err);
/* The file of dir that it begins with; NULL: none of them is there. A string of the program. */
const char *hf_tokenizer_file(const char *dir);

#endif
