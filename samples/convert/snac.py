#!/usr/bin/env python3
"""SNAC's decoder as GGUF, for the plugin snac (Orpheus' voice): plugins/snac/snac.h lists keys and tensors.

    snac.py DIRECTORY OUT.gguf [--voices NAME,NAME...]

DIRECTORY holds config.json and pytorch_model.bin (or model.safetensors) of snac_24khz. The pickle is read with weights_only, so that
nothing in it runs. Weight norm is folded; the encoder and the noise blocks' weights are left out. --voices: the names that the speaking
model knows, the default one first; without it, those of Orpheus' English model. Needs numpy, torch and gguf."""
import argparse
import json
import os

import numpy as np


def load(directory):
    """config, name -> f32 array"""
    with open(os.path.join(directory, "config.json")) as f:
        config = json.load(f)
    tensors = os.path.join(directory, "model.safetensors")
    if os.path.exists(tensors):
        from safetensors.numpy import load_file
        state = load_file(tensors)
    else:
        import torch
        state = torch.load(os.path.join(directory, "pytorch_model.bin"), map_location="cpu", weights_only=True)
        state = {k: v.float().numpy() for k, v in state.items()}
    return config, {k: np.asarray(v, np.float32) for k, v in state.items()}


def fold(state):
    """Weight norm: w = g v / |v|, the norm over all axes but the first; by torch's new names of g and v and by its old ones."""
    pairs = ((".parametrizations.weight.original0", ".parametrizations.weight.original1"), (".weight_g", ".weight_v"))
    out = {}
    for name, value in state.items():
        for g, v in pairs:
            if name.endswith(v):
                base = name[: -len(v)]
                if base + g not in state:
                    raise SystemExit(f"{name} has no {base + g}")
                norm = np.sqrt(np.sum(value.astype(np.float64) ** 2, axis=tuple(range(1, value.ndim)), keepdims=True))
                out[base + ".weight"] = (state[base + g] * value / norm).astype(np.float32)
                break
            if name.endswith(g):
                break
        else:
            out[name] = value
    return out


def tensors_of(config, state):
    """Our names -> arrays. state: folded."""
    out = {}

    def take(name):
        if name not in state:
            raise SystemExit(f"tensor {name} is missing")
        return state[name]

    def snake(name, ours):
        alpha = take(name + ".alpha").reshape(-1)
        out[ours + ".alpha"] = alpha
        out[ours + ".beta"] = 1 / (alpha + np.float32(1e-9))

    def depthwise(name, ours):  # [channels][1][taps] -> [taps][channels]
        out[ours + ".weight"] = take(name + ".weight")[:, 0].T
        out[ours + ".bias"] = take(name + ".bias")

    def pointwise(name, ours):
        out[ours + ".weight"] = take(name + ".weight")[:, :, 0]
        out[ours + ".bias"] = take(name + ".bias")

    for i in range(len(config["vq_strides"])):
        out[f"q.{i}.codebook.weight"] = take(f"quantizer.quantizers.{i}.codebook.weight")
        pointwise(f"quantizer.quantizers.{i}.out_proj", f"q.{i}.out_proj")
    depthwise("decoder.model.0", "in.dw")
    pointwise("decoder.model.1", "in.pw")
    first = 2  # unit after the transposed convolution: a noise block stands between, if there is one
    noise = bool(config.get("noise", True))
    for b in range(len(config["decoder_rates"])):
        block = f"decoder.model.{first + b}.block"
        snake(f"{block}.0", f"blk.{b}.up.snake")
        out[f"blk.{b}.up.weight"] = take(f"{block}.1.weight")
        out[f"blk.{b}.up.bias"] = take(f"{block}.1.bias")
        for r in range(3):
            unit, ours = f"{block}.{2 + noise + r}.block", f"blk.{b}.res.{r}"
            snake(f"{unit}.0", ours + ".snake1")
            depthwise(f"{unit}.1", ours + ".dw")
            snake(f"{unit}.2", ours + ".snake2")
            pointwise(f"{unit}.3", ours + ".pw")
    last = first + len(config["decoder_rates"])
    snake(f"decoder.model.{last}", "out.snake")
    out["out.weight"] = take(f"decoder.model.{last + 1}.weight")
    out["out.bias"] = take(f"decoder.model.{last + 1}.bias")
    return {k: np.ascontiguousarray(v, np.float32) for k, v in out.items()}


def write(path, config, state, voices=None):
    import gguf

    if config.get("attn_window_size"):
        raise SystemExit("this model has attention (32 and 44 kHz): only those without are supported")
    if not config.get("depthwise", True):
        raise SystemExit("this model's convolutions are not depthwise: only those that are are supported")
    latent = config.get("latent_dim") or config["encoder_dim"] * 2 ** len(config["encoder_rates"])
    writer = gguf.GGUFWriter(path, "snac")
    for key, value in (("sampling_rate", config["sampling_rate"]), ("latent_dim", latent), ("decoder_dim", config["decoder_dim"]),
                       ("codebook_size", config["codebook_size"]), ("codebook_dim", config["codebook_dim"])):
        writer.add_uint32("snac." + key, value)
    writer.add_array("snac.decoder_rates", list(config["decoder_rates"]))
    writer.add_array("snac.vq_strides", list(config["vq_strides"]))
    if voices:
        writer.add_array("snac.voices", voices)
    for name, value in tensors_of(config, state).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("out")
    parser.add_argument("--voices", type=lambda s: s.split(","))
    args = parser.parse_args()
    config, state = load(args.directory)
    write(args.out, config, fold(state), args.voices)


if __name__ == "__main__":
    main()
