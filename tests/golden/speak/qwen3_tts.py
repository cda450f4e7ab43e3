#!/usr/bin/env python3
"""Goldens of Qwen3-TTS' codec decoder and speaker encoder, by its own code. Needs what tests/peer/qwen3_tts_mini.py needs, and gguf:

    qwen3_tts.py DIRECTORY     # that holds the folder qwen_tts: of QwenLM/Qwen3-TTS or of the package

  qwen3-tts.gguf             a miniature with random weights, under the names that llama.cpp's conversion gives
  qwen3-tts-FRAMES.codes     i32 [frames][4]
  qwen3-tts-FRAMES.f32       its sound
  qwen3-tts-hear-N.i16       a recording of N samples at 24 kHz
  qwen3-tts-hear-N.f32       the row that says whom to speak like"""
import importlib.util
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = dict(codebook_size=32, codebook_dim=12, hidden_size=20, latent_dim=16, max_position_embeddings=8000, rope_theta=100.0, num_attention_heads=2,
              num_key_value_heads=2, head_dim=10, sliding_window=7, intermediate_size=28, rms_norm_eps=1e-5, num_hidden_layers=2, num_quantizers=4,
              upsample_rates=(3, 2), upsampling_ratios=(2, 2), decoder_dim=24)
EAR = dict(enc_dim=20, enc_channels=[8, 8, 8, 8, 24], enc_res2net_scale=4, enc_se_channels=3, enc_attention_channels=5)
LENGTHS = (1, 3, 30)
RECORDINGS = (1280, 2000, 9001)


def peer():
    spec = importlib.util.spec_from_file_location("qwen3_tts_mini", os.path.join(HERE, "..", "..", "peer", "qwen3_tts_mini.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def randomise(model):
    """Values at which each part matters: by default scales and gamma would hide what they scale."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("alpha", "beta")):
                p.uniform_(-0.7, 0.7)
            elif name.endswith(("scale", "gamma")):
                p.uniform_(0.4, 1.2)
            elif name.endswith("cluster_usage"):
                p.uniform_(0.0, 3.0)
                p[0] = 0
            elif name.endswith("embedding_sum"):
                p.normal_(0, 1)
                p[0] = p[0] * 1e-5
            elif "norm" in name:
                p.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                p.uniform_(-0.2, 0.2)
            else:
                p.normal_(0, 1.2 / np.sqrt(p[0].numel()))
    return model.float().eval()


def codec_tensors(state):
    """As llama.cpp's conversion has them: codebooks divided, snakes' logarithms taken back."""
    out = {}

    def both(theirs, ours):
        for end in (".weight", ".bias"):
            out[ours + end] = state[theirs + end]

    def snake(theirs, ours):
        out[ours + ".alpha"] = np.exp(state[theirs + ".alpha"])
        out[ours + ".beta"] = 1 / (np.exp(state[theirs + ".beta"]) + np.float32(1e-9))

    def book(i, group):
        name = f"quantizer.{group}.vq.layers.{i}._codebook."
        return state[name + "embedding_sum"] / np.maximum(state[name + "cluster_usage"], np.float32(1e-5))[:, None]

    out["quant.first.codebook.weight"] = book(0, "rvq_first")
    out["quant.rest.codebook.weight"] = np.stack([book(i, "rvq_rest") for i in range(CONFIG["num_quantizers"] - 1)])
    for part in ("first", "rest"):
        out[f"quant.{part}.out_proj.weight"] = state[f"quantizer.rvq_{part}.output_proj.weight"][:, :, 0]
    both("pre_conv.conv", "pre_conv")
    both("pre_transformer.input_proj", "tfm.in_proj")
    both("pre_transformer.output_proj", "tfm.out_proj")
    out["tfm.output_norm.weight"] = state["pre_transformer.norm.weight"]
    for i in range(CONFIG["num_hidden_layers"]):
        for theirs, ours in (("input_layernorm.weight", "ln1"), ("post_attention_layernorm.weight", "ln2"), ("self_attn.q_proj.weight", "attn_q"),
                             ("self_attn.k_proj.weight", "attn_k"), ("self_attn.v_proj.weight", "attn_v"), ("self_attn.o_proj.weight", "attn_out"),
                             ("mlp.gate_proj.weight", "ffn_gate"), ("mlp.up_proj.weight", "ffn_up"), ("mlp.down_proj.weight", "ffn_down"),
                             ("self_attn_layer_scale.scale", "ls1"), ("mlp_layer_scale.scale", "ls2")):
            out[f"tfm.blk.{i}.{ours}.weight"] = state[f"pre_transformer.layers.{i}.{theirs}"]
    for i in range(len(CONFIG["upsampling_ratios"])):
        for theirs, ours in (("0.conv", "conv"), ("1.dwconv.conv", "dwconv"), ("1.norm", "norm"), ("1.pwconv1", "pw1"), ("1.pwconv2", "pw2")):
            both(f"upsample.{i}.{theirs}", f"up.blk.{i}.{ours}")
        out[f"up.blk.{i}.gamma"] = state[f"upsample.{i}.1.gamma"]
    both("decoder.0.conv", "dac.entry")
    n = len(CONFIG["upsample_rates"])
    for b in range(n):
        snake(f"decoder.{b + 1}.block.0", f"dac.blk.{b}.snake")
        both(f"decoder.{b + 1}.block.1.conv", f"dac.blk.{b}.conv")
        for r in range(3):
            for k in (1, 2):
                snake(f"decoder.{b + 1}.block.{r + 2}.act{k}", f"dac.blk.{b}.res.{r}.act{k}")
                both(f"decoder.{b + 1}.block.{r + 2}.conv{k}.conv", f"dac.blk.{b}.res.{r}.conv{k}")
    snake(f"decoder.{n + 1}", "dac.post_snake")
    both(f"decoder.{n + 2}.conv", "dac.post_conv")
    return {"a.gen.wav." + k: v for k, v in out.items()}


def ear_tensors(state):
    names = {"blocks.0.conv": "a.conv1d.0", "mfa.conv": "a.conv_out", "asp.conv": "a.asp_attn", "asp.tdnn.conv": "a.asp_tdnn", "fc": "mm.a.fc"}
    for b in (1, 2, 3):
        for theirs, ours in (("tdnn1.conv", "conv_pw1"), ("tdnn2.conv", "conv_pw2"), ("se_block.conv1", "se_conv1"), ("se_block.conv2", "se_conv2")):
            names[f"blocks.{b}.{theirs}"] = f"a.blk.{b}.{ours}"
        for i in range(EAR["enc_res2net_scale"] - 1):
            names[f"blocks.{b}.res2net_block.blocks.{i}.conv"] = f"a.blk.{b}.res2.{i}"
    return {names[k.rsplit(".", 1)[0]] + "." + k.rsplit(".", 1)[1]: v for k, v in state.items()}


def write(path, tensors):
    import gguf
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_string("clip.gen.audio.projector_type", "qwen3tts_gen")
    writer.add_uint32("clip.gen.audio.wav.sampling_rate", 24000)
    writer.add_uint32("clip.gen.audio.wav.attention.head_count", CONFIG["num_attention_heads"])
    writer.add_uint32("clip.gen.audio.wav.attention.sliding_window", CONFIG["sliding_window"])
    writer.add_float32("clip.gen.audio.wav.attention.layer_norm_rms_epsilon", CONFIG["rms_norm_eps"])
    writer.add_float32("clip.gen.audio.wav.rope.freq_base", CONFIG["rope_theta"])
    writer.add_array("clip.audio.dilations", [2, 3, 4])
    writer.add_string("qwen3tts.tts_model_type", "custom_voice")
    writer.add_array("qwen3tts.voices", ["vivian", "eric"])
    writer.add_array("qwen3tts.voice_dialects", ["", "sichuan_dialect"])
    writer.add_array("qwen3tts.languages", ["english", "chinese", "latin"])
    writer.add_float32("qwen3tts.sampling.temperature", 0.7)
    writer.add_uint32("qwen3tts.sampling.max_new_tokens", 100)
    for name, value in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(value, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def numbers(module):
    return {k: v.numpy() for k, v in module.state_dict().items()}


def main():
    torch.set_num_threads(1)
    mini = peer()
    mini.package(os.path.abspath(sys.argv[1]))
    v2 = sys.modules["qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2"]
    tts = sys.modules["qwen_tts.core.models.modeling_qwen3_tts"]
    config = v2.Qwen3TTSTokenizerV2DecoderConfig(**CONFIG)
    config._attn_implementation = "eager"
    decoder = randomise(v2.Qwen3TTSTokenizerV2Decoder(config))
    with torch.no_grad():
        decoder.decoder[-1].conv.weight.mul_(0.0015)  # the clamp would hide errors
    ear = randomise(tts.Qwen3TTSSpeakerEncoder(tts.Qwen3TTSSpeakerEncoderConfig(**EAR)))
    write(os.path.join(HERE, "qwen3-tts.gguf"), {**codec_tensors(numbers(decoder)), **ear_tensors(numbers(ear))})
    rng = np.random.default_rng(11)
    for n in LENGTHS:
        codes = rng.integers(0, CONFIG["codebook_size"], (n, CONFIG["num_quantizers"])).astype("<i4")
        with torch.inference_mode():
            wave = decoder(torch.from_numpy(codes.T[None].astype(np.int64)))[0, 0].numpy()
        print(f"{n} frames: {len(wave)} samples, rms {np.sqrt(np.mean(wave ** 2)):.3f}, largest {np.abs(wave).max():.3f}")
        codes.tofile(os.path.join(HERE, f"qwen3-tts-{n}.codes"))
        wave.astype("<f4").tofile(os.path.join(HERE, f"qwen3-tts-{n}.f32"))
    for n in RECORDINGS:
        sound = (mini.recording(n / 24000)[:n] * 32768).clip(-32768, 32767).astype("<i2")
        with torch.inference_mode():
            mels = tts.mel_spectrogram(torch.from_numpy(sound.astype(np.float32) / 32768)[None], n_fft=1024, num_mels=128, sampling_rate=24000, hop_size=256,
                                       win_size=1024, fmin=0, fmax=12000).transpose(1, 2)
            row = ear(mels)[0].numpy()
        print(f"{n} samples: {mels.shape[1]} frames, row {row[:4]}")
        sound.tofile(os.path.join(HERE, f"qwen3-tts-hear-{n}.i16"))
        row.astype("<f4").tofile(os.path.join(HERE, f"qwen3-tts-hear-{n}.f32"))


if __name__ == "__main__":
    main()
