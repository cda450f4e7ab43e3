#!/usr/bin/env python3
"""Goldens of vocos. Needs numpy, torch and gguf.

  vocos.gguf                           a miniature of the sample's decoder, as samples/training/export_speech.py writes one, all F32
  vocos-FRAMES.codes, vocos-FRAMES.f32 codes (int32), and the sound that the decoder of samples/training/voice.py makes of them
"""
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "image"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "samples", "training"))
from common import weights  # noqa: E402

from export_speech import voice_tensors, write_voice  # noqa: E402
from voice import Voice, VoiceConfig  # noqa: E402

# As in tests/plugins/test_vocos.c. The magnitudes of some bins reach their limit.
CONFIG = VoiceConfig(codes=37, code_width=12, hidden=32, mlp=48, blocks=3, kernel=5, fft=48, hop=12, max_magnitude=2.0)
FRAMES = (1, 2, 9, 40)


def main():
    voice = Voice(CONFIG).eval()
    with torch.no_grad():
        for name, tensor in voice_tensors(voice.decoder, voice.codebook):
            bias, norm = name.endswith(".bias"), name.split(".")[-2].endswith("norm")
            values = weights(name, tensor.numel(), 0.25 if bias else 0.5, 1.0 if norm and not bias else 0.0)
            tensor.copy_(torch.from_numpy(values).view(tensor.shape))
    write_voice(voice, os.path.join(HERE, "vocos.gguf"), 0.5, exact=True)
    for n in FRAMES:
        codes = np.random.default_rng(n).integers(0, CONFIG.codes, n)
        sound = voice.decode(codes.tolist())
        assert sound.shape == (n * CONFIG.hop,) and np.abs(sound).max() > 0.05
        codes.astype("<i4").tofile(os.path.join(HERE, f"vocos-{n}.codes"))
        sound.astype("<f4").tofile(os.path.join(HERE, f"vocos-{n}.f32"))
        print(n, float(np.abs(sound).max()), float(np.sqrt((sound ** 2).mean())))


main()
