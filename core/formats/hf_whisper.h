/* hf_whisper.h - Whisper's directories: what config.json says of an encoder-decoder, and what generation_config.json and
 * tokenizer.json say about writing down speech. The keys that they become:
 *
 *   whisper.*       the decoder, as any text model's; whisper.encoder.context_length: rows that the encoder gives it
 *   clip.audio.*    the encoder, as GGUF files of such towers have it (clip.audio.projector_type "whisper": nothing follows it)
 *   whisper.languages             texts of the language tokens, in the order of their ids; absent: the model knows one
 *   whisper.no_speech_token       a text
 *   whisper.stamps                how many tokens for times there are, "<|0.00|>" the first one; absent: none
 *   whisper.max_initial_timestamp_index
 *   whisper.suppress_tokens, whisper.begin_suppress_tokens   ids never sampled, and never sampled first
 *   whisper.alignment_heads       layer, head, layer, head, ...: whose cross-attention follows what is said
 *   whisper.median_filter_width   over that attention
 */
#ifndef SN_FORMATS_HF_WHISPER_H
#define SN_FORMATS_HF_WHISPER_H

#include "base/json.h"
#include "formats/hf_config.h"

/* config.json's part. Errors begin with the file's name. */
sn_status hf_whisper_config(hf_config *out, model_file *f, const json_t *json, sn_error *err);
/* The other files' part, after it. */
sn_status hf_whisper_generation(model_file *f, sn_error *err);

#endif
