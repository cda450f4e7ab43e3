"""The sample's ears (mmproj-audio.gguf of an export) beside transformers and llama.cpp.

    python peer_hearing.py [FOLDER]         # default: samples/model

Needs torch, transformers, gguf, llama-cpp-python (with libmtmd). Checked, on chirps in noise:
  front end   samples/training/hearing.py's spectrogram against transformers' WhisperFeatureExtractor
  tower       its rows against transformers' WhisperEncoder, read from the GGUF file by name, and Ultravox's projector written out
  llama.cpp   loads the file beside model.gguf, as one that hears. Its rows are not compared: it always encodes 30 seconds, for which
              the libmtmd of llama-cpp-python 0.3.36 expects 1500 / 8 rounded down, makes one row more, and aborts.
"""
import argparse
import os

import llama_cpp
import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader
from gguf.quants import dequantize
from llama_cpp import mtmd_cpp as mtmd
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

import common
from common import Verdict
from evaluate import load
from hearing import log_mel
from peer_llama_cpp import load as load_llama, open_tower, worst_of

RATE = 16000


def chirps(seconds, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    x = sum(np.sin(2 * np.pi * (f + rng.uniform(-50, 300) * t) * t) * np.exp(-((t - c * seconds) / 0.2) ** 2)
            for f, c in zip(rng.uniform(100, 3000, 12), rng.uniform(0, 1, 12)))
    return (0.2 * x + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def tensors_of(path):
    return {t.name: torch.from_numpy(np.array(dequantize(t.data, t.tensor_type), np.float32).reshape([int(n) for n in t.shape[::-1]]))
            for t in GGUFReader(path).tensors}


def whisper(tensors, frames):
    """transformers' encoder for sounds of so many frames (an even number)."""
    layers = 1 + max(int(n.split(".")[2]) for n in tensors if n.startswith("a.blk."))
    d, mels = tensors["a.conv1d.1.weight"].shape[:2]
    config = WhisperConfig(num_mel_bins=mels, d_model=d, encoder_layers=layers, encoder_attention_heads=d // 64,
                           encoder_ffn_dim=len(tensors["a.blk.0.ffn_up.bias"]), max_source_positions=frames // 2, attn_implementation="eager")
    names = {"conv1": "a.conv1d.1", "conv2": "a.conv1d.2", "layer_norm": "a.post_ln"}
    for n in range(layers):
        for ours, theirs in (("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
                             ("self_attn.out_proj", "attn_out"), ("self_attn_layer_norm", "ln1"), ("final_layer_norm", "ln2"),
                             ("fc1", "ffn_up"), ("fc2", "ffn_down")):
            names["layers.%d.%s" % (n, ours)] = "a.blk.%d.%s" % (n, theirs)
    state = {a + "." + w: tensors[b + "." + w] for a, b in names.items() for w in ("weight", "bias") if b + "." + w in tensors}
    state.update({"conv%d.bias" % k: state["conv%d.bias" % k][:, 0] for k in (1, 2)})
    state["embed_positions.weight"] = tensors["a.position_embd.weight"][:frames // 2]
    model = WhisperEncoder(config).eval()
    model.load_state_dict(state)
    return model


def rms(x, weight):
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * weight


def projected(tensors, x, stack=8):
    x = F.pad(x, (0, 0, 0, -x.shape[0] % stack)).reshape(-1, stack * x.shape[1])
    x = rms(x, tensors["mm.a.norm_pre.weight"]) @ tensors["mm.a.mlp.1.weight"].T
    half = x.shape[1] // 2
    return rms(x[:, :half] * F.silu(x[:, half:]), tensors["mm.a.norm_mid.weight"]) @ tensors["mm.a.mlp.2.weight"].T


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", nargs="?", default=str(common.SAMPLE))
    args = p.parse_args()
    path = os.path.join(args.folder, "mmproj-audio.gguf")
    torch.set_num_threads(1)
    verdict = Verdict()
    model, tensors = load(args.folder), tensors_of(path)
    extractor = WhisperFeatureExtractor(feature_size=model.hearing.c.mels)
    waves = [chirps(s, k) for k, s in enumerate((0.32, 0.5003, 1.0, 1.7777, 3.33, 12.0))]
    waves = [w[:len(w) - len(w) // 160 % 2 * 160] for w in waves]       # an even number of frames, for transformers
    together = model.hearing.hear(waves)
    for wave, rows in zip(waves, together):
        mel, frames = log_mel([wave])
        want = extractor(wave, sampling_rate=RATE, padding="longest", return_tensors="pt").input_features
        worst = float((mel - want).abs().max())
        verdict(mel.shape == want.shape and worst <= 1e-5, "front end: %.2f s" % (len(wave) / RATE), "max |a-b| = %.1e" % worst)
        with torch.no_grad():
            want = projected(tensors, whisper(tensors, mel.shape[2])(mel).last_hidden_state[0]).numpy()
        worst = worst_of(rows.numpy(), want)
        verdict(rows.shape == want.shape and worst <= 1e-4, "tower: %.2f s, %d rows, in a batch" % (len(wave) / RATE, len(rows)),
                "max |a-b| = %.1e max |b|" % worst)
    llm = load_llama(os.path.join(args.folder, "model.gguf"))
    tower = open_tower(llm, path)
    verdict(bool(tower) and mtmd.mtmd_support_audio(tower), "llama.cpp: loads it beside model.gguf")
    verdict.end()


if __name__ == "__main__":
    main()
