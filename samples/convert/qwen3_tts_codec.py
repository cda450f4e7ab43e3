#!/usr/bin/env python3
"""The decoder of Qwen3-TTS' 12 Hz tokenizer as GGUF, for the plugin qwen3-tts: plugins/qwen3-tts/qwen3_tts.h lists the tensors.

    qwen3_tts_codec.py DIRECTORY OUT.gguf [--half]

DIRECTORY is the model's speech_tokenizer folder: config.json and model.safetensors. Codebooks are divided by their usage, exponentials of
the snakes' logarithms taken. --half: matrices and convolutions as F16, which halves the file. The encoder is left out. Needs numpy,
safetensors and gguf."""
import argparse
import json
import os

import numpy as np


def load(directory):
    from safetensors import safe_open
    with open(os.path.join(directory, "config.json")) as f:
        config = json.load(f)
    state = {}
    with safe_open(os.path.join(directory, "model.safetensors"), "pt") as f:
        for name in f.keys():
            if name.startswith("decoder."):
                state[name[len("decoder."):]] = f.get_tensor(name).float().numpy()
    return config, state


def tensors_of(config, state):
    """Our names -> arrays. config: the decoder's."""
    out = {}

    def take(name):
        if name not in state:
            raise SystemExit(f"tensor decoder.{name} is missing")
        return state[name]

    def both(name, ours, shape=lambda w: w):
        out[ours + ".weight"] = shape(take(name + ".weight"))
        out[ours + ".bias"] = take(name + ".bias")

    def snake(name, ours):
        out[ours + ".alpha"] = np.exp(take(name + ".alpha"))
        out[ours + ".beta"] = 1 / (np.exp(take(name + ".beta")) + np.float32(1e-9))

    def codebook(name, ours):
        out[ours + ".codebook.weight"] = take(name + ".embedding_sum") / np.maximum(take(name + ".cluster_usage"), np.float32(1e-5))[:, None]

    codebook("quantizer.rvq_first.vq.layers.0._codebook", "q.0")
    for i in range(1, config["num_quantizers"]):
        codebook(f"quantizer.rvq_rest.vq.layers.{i - 1}._codebook", f"q.{i}")
    for part in ("first", "rest"):
        out[f"q.{part}.weight"] = take(f"quantizer.rvq_{part}.output_proj.weight")[:, :, 0]
    both("pre_conv.conv", "pre")
    both("pre_transformer.input_proj", "tfm.in")
    both("pre_transformer.output_proj", "tfm.out")
    out["tfm.norm.weight"] = take("pre_transformer.norm.weight")
    for i in range(config["num_hidden_layers"]):
        layer, ours = f"pre_transformer.layers.{i}.", f"tfm.{i}."
        for theirs, name in (("input_layernorm", "norm1"), ("post_attention_layernorm", "norm2"), ("self_attn.q_proj", "q"), ("self_attn.k_proj", "k"),
                             ("self_attn.v_proj", "v"), ("self_attn.o_proj", "o"), ("mlp.gate_proj", "gate"), ("mlp.up_proj", "up"),
                             ("mlp.down_proj", "down")):
            out[ours + name + ".weight"] = take(layer + theirs + ".weight")
        out[ours + "scale1"] = take(layer + "self_attn_layer_scale.scale")
        out[ours + "scale2"] = take(layer + "mlp_layer_scale.scale")
    for i in range(len(config["upsampling_ratios"])):
        block, ours = f"upsample.{i}.", f"up.{i}"
        both(block + "0.conv", ours)
        both(block + "1.dwconv.conv", ours + ".dw", lambda w: w[:, 0].T)
        both(block + "1.norm", ours + ".norm")
        both(block + "1.pwconv1", ours + ".pw1")
        both(block + "1.pwconv2", ours + ".pw2")
        out[ours + ".gamma"] = take(block + "1.gamma")
    both("decoder.0.conv", "dec.in")
    n = len(config["upsample_rates"])
    for b in range(n):
        block, ours = f"decoder.{b + 1}.block.", f"dec.{b}."
        snake(block + "0", ours + "snake")
        both(block + "1.conv", ours + "up")
        for r in range(3):
            unit, mine = f"{block}{r + 2}.", f"{ours}res.{r}."
            snake(unit + "act1", mine + "snake1")
            both(unit + "conv1.conv", mine + "conv1")
            snake(unit + "act2", mine + "snake2")
            both(unit + "conv2.conv", mine + "conv2", lambda w: w[:, :, 0])
    snake(f"decoder.{n + 1}", "dec.out.snake")
    both(f"decoder.{n + 2}.conv", "dec.out")
    return {k: np.ascontiguousarray(v, np.float32) for k, v in out.items()}


def write(path, config, state, half=False):
    import gguf

    c = config["decoder_config"]
    if c.get("num_key_value_heads", c["num_attention_heads"]) != c["num_attention_heads"] or c.get("attention_bias") or c.get("hidden_act", "silu") != "silu":
        raise SystemExit("grouped keys, biases in attention and activations other than silu are not supported")
    writer = gguf.GGUFWriter(path, "qwen3-tts-codec")

    def put(key, value):
        writer.add_uint32("qwen3-tts-codec." + key, value)

    put("sampling_rate", config.get("output_sample_rate", 24000))
    for key, value in (("num_quantizers", "num_quantizers"), ("codebook_size", "codebook_size"), ("codebook_dim", "codebook_dim"),
                       ("latent_dim", "latent_dim"), ("embedding_length", "hidden_size"), ("feed_forward_length", "intermediate_size"),
                       ("attention.head_count", "num_attention_heads"), ("attention.sliding_window", "sliding_window"),
                       ("block_count", "num_hidden_layers"), ("decoder_dim", "decoder_dim")):
        put(key, c[value])
    put("attention.key_length", c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"])
    writer.add_float32("qwen3-tts-codec.attention.layer_norm_rms_epsilon", c["rms_norm_eps"])
    writer.add_float32("qwen3-tts-codec.rope.freq_base", c.get("rope_theta") or c["rope_parameters"]["rope_theta"])
    writer.add_array("qwen3-tts-codec.upsampling_ratios", list(c["upsampling_ratios"]))
    writer.add_array("qwen3-tts-codec.upsample_rates", list(c["upsample_rates"]))
    for name, value in tensors_of(c, state).items():
        large = half and value.ndim > 1 and "codebook" not in name and ".dw." not in name
        writer.add_tensor(name, value.astype(np.float16) if large else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("out")
    parser.add_argument("--half", action="store_true")
    args = parser.parse_args()
    write(args.out, *load(args.directory), half=args.half)


if __name__ == "__main__":
    main()
