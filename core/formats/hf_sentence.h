/* hf_sentence.h - what sentence-transformers writes beside a model that embeds texts: modules.json lists what the rows of a text go
 * through (the model, a Pooling, maybe a Normalize), the Pooling's folder has a config.json. The keys that it becomes, behind ARCH:
 *
 *   pooling_type      as in GGUF files: 1 mean, 2 first row, 3 last row. A file that has it is of a model that embeds, and is asked for nothing else
 *   pooling_plain     true: what was pooled is not brought to length 1
 *   pooling_sizes     lengths that its vectors may be cut to (config.json's matryoshka_dimensions); absent: any
 *
 * A class without a head (Qwen3Model, where Qwen3ForCausalLM has one) embeds too: the last row, unless modules.json says otherwise.
 */
#ifndef SN_FORMATS_HF_SENTENCE_H
#define SN_FORMATS_HF_SENTENCE_H

#include "formats/hf_config.h"

/* After hf_config_read. What is not computed is refused by name. */
sn_status hf_sentence_read(hf_config *config, model_file *f, sn_error *err);

#endif
