#!/usr/bin/env python3
"""Goldens of vocos. Needs numpy and torch.

  vocos.gguf         a miniature of the sample's decoder: all tensors F32, functions of their names (tests/plugins/golden.c)
  sound-FRAMES.bin   what the decoder of samples/training/voice.py, in miniature, makes of wave-like codes: [FRAMES * hop] f32
"""
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "image"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "samples", "training"))
from common import mix32, weights  # noqa: E402

from export_speech import voice_tensors, write_voice  # noqa: E402
from voice import Voice, VoiceConfig  # noqa: E402

# As in tests/plugins/test_vocos.c and test_vocos_host.c. The magnitudes of some bins reach their limit.
CONFIG = VoiceConfig(codes=37, code_width=12, hidden=32, mlp=48, blocks=3, kernel=5, fft=48, hop=12, max_magnitude=2.0)
FRAMES = (1, 2, 9, 61)


def codes(n):
    return (mix32(np.arange(n, dtype=np.uint32) + np.uint32(n * 1000003)) % np.uint32(CONFIG.codes)).astype(np.int64)


def main():
    voice = Voice(CONFIG).eval()
    decoder, codebook = voice.decoder, voice.codebook
    with torch.no_grad():
        for name, tensor in voice_tensors(decoder, codebook):
            bias, norm = name.endswith(".bias"), name.split(".")[-2].endswith("norm")
            values = weights(name, tensor.numel(), 0.25 if bias else 0.5, 1.0 if norm and not bias else 0.0)
            tensor.copy_(torch.from_numpy(values).view(tensor.shape))
        write_voice(voice, os.path.join(HERE, "vocos.gguf"), 0.5, exact=True)
        for n in FRAMES:
            sound = decoder(codebook.vectors[torch.from_numpy(codes(n))[None]])[0].numpy()
            assert sound.shape == (n * CONFIG.hop,) and np.abs(sound).max() > 0.05
            sound.astype("<f4").tofile(os.path.join(HERE, f"sound-{n}.bin"))
            print(n, float(np.abs(sound).max()), float(np.sqrt((sound ** 2).mean())))


main()
