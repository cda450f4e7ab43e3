/* hf_codec.h - speech_tokenizer/ of Qwen3-TTS's directories: config.json and model.safetensors of the codec, whose decoder makes sound
 * of codes. Its tensors become a.gen.wav.*, as GGUF files have them: codebooks divided by their usage and those of a group stacked,
 * snakes' logarithms taken back. The encoder half is left in the file. What GGUF files do not tell are keys:
 *
 *   clip.gen.audio.wav.{sampling_rate, attention.{head_count, sliding_window, layer_norm_rms_epsilon}, rope.freq_base}
 */
#ifndef SN_FORMATS_HF_CODEC_H
#define SN_FORMATS_HF_CODEC_H

#include "formats/hf_config.h"
#include "formats/safetensors.h"

typedef struct hf_codec {
	const st_tensor *all; /* [n] sorted by name */
	size_t n;
	uint32_t n_layers, n_codes, n_ratios, n_blocks;
} hf_codec;

/* Maps the weights into f, adds f's keys; n 0: there is no such folder. Errors begin with the file's name. */
sn_status hf_codec_open(hf_codec *out, model_file *f, sn_error *err);
/* Fills f's tensors, which have room for all of them. */
sn_status hf_codec_place(const hf_codec *c, model_file *f, sn_error *err);

#endif
