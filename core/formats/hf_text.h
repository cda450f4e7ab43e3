/* hf_text.h - what a Hugging Face directory says about text besides its tokenizer: the ids that end an answer, and the chat
 * template. */
#ifndef SN_FORMATS_HF_TEXT_H
#define SN_FORMATS_HF_TEXT_H

#include "formats/model_file.h"

/* Adds to f:
 *   tokenizer.ggml.eos_token_id    the first id of the list below
 *   tokenizer.ggml.eog_token_ids   i32 array: every id that ends an answer; generation_config.json's, else config.json's
 *   tokenizer.chat_template        chat_template.jinja, else chat_template.json, else tokenizer_config.json; of several
 *                                  templates the one named "default",
 *   tokenizer.chat_template.tool_use   and "tool_use"
 * each if the directory says so. */
sn_status hf_text_read(model_file *f, sn_error *err);

#endif
