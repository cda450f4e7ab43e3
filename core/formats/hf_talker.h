/* hf_talker.h - Qwen3-TTS's directories: what config.json says of the talker, which is a Qwen3 language model over two vocabularies,
 * and of the code predictor beside it. The keys that they become:
 *
 *   qwen3tts.*          the talker, as any text model's; vocab_size counts text and codes
 *   qwen3tts.text_tokens   rows of the text's table; code c of the codec is token text_tokens + c
 *   qwen3tts.codec_tokens  what the codec's tokens are called, in order: "<|codec_17|>", or by their key in the configuration:
 *                          "<|codec_bos|>", "<|codec_language_english|>", "<|spk_vivian|>" (as llama.cpp's conversion calls them)
 *   clip.gen.audio.*    the code predictor, as GGUF files have it, and rope.freq_base
 */
#ifndef SN_FORMATS_HF_TALKER_H
#define SN_FORMATS_HF_TALKER_H

#include "base/json.h"
#include "formats/hf_config.h"

/* Errors begin with the file's name. */
sn_status hf_talker_config(hf_config *out, model_file *f, const json_t *json, sn_error *err);

#endif
