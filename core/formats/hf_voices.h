/* hf_voices.h - Qwen3-TTS's directories: whose voices a talker has, what languages, how it is usually sampled, and the shape of what
 * hears whom it is to speak like. Keys:
 *
 *   qwen3tts.tts_model_type      "base", "custom_voice", "voice_design"        qwen3tts.tts_model_size, if told
 *   qwen3tts.voices              names, in the order of config.json; each has the token <|spk_NAME|>
 *   qwen3tts.voice_dialects      for each the dialect that it speaks as Chinese, "" if none
 *   qwen3tts.languages           without dialects; each, and each dialect, has the token <|codec_language_NAME|>
 *   qwen3tts.sampling.*          of generation_config.json, as far as told: temperature (0: greedy), top_k, top_p, repetition_penalty,
 *                                max_new_tokens, predictor_{temperature, top_k, top_p}
 *   clip.audio.{sampling_rate, dilations}   of the speaker encoder
 */
#ifndef SN_FORMATS_HF_VOICES_H
#define SN_FORMATS_HF_VOICES_H

#include "base/json.h"
#include "formats/hf_config.h"

/* Errors begin with the file's name. json: config.json. */
sn_status hf_voices_read(hf_config *out, model_file *f, const json_t *json, sn_error *err);

#endif
