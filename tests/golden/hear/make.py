#!/usr/bin/env python3
"""Goldens of hearing. Needs numpy, torch and transformers.

  logmel-SOUND.i16, logmel-SOUND-MELS.bin   samples, and WhisperFeatureExtractor's frames of them: [frames][mels] f32, the last 3 of silence
  logmel-end-128.bin                        the last 6 frames of the room's first 7990 samples, padded to whole hops
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sounds  # noqa: E402


def features(x, n_mels, **how):
    """[frames][mels]"""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=n_mels)(x, sampling_rate=sounds.RATE, return_tensors="np", **how)["input_features"][0].T


def save(name, values):
    np.ascontiguousarray(values).tofile(os.path.join(HERE, name))


def make_logmel():
    for name, samples in sounds.chain().items():
        save(f"logmel-{name}.i16", samples)
        x = samples.astype(np.float32) / np.float32(32768)
        for n_mels in (80, 128) if name in ("room", "quiet") else (128,):
            frames = features(x, n_mels)
            assert frames.shape == (3000, n_mels)
            t = -(-len(x) // 160) + 5
            assert np.ptp(frames[t - 3:]) == 0
            save(f"logmel-{name}-{n_mels}.bin", frames[:t].astype("<f4"))
    # A clip padded to whole hops only, which mirrors its own end; 7990 samples of it.
    x = np.fromfile(os.path.join(HERE, "logmel-room.i16"), "<i2")[:7990].astype(np.float32) / np.float32(32768)
    frames = features(x, 128, padding="longest", pad_to_multiple_of=160, truncation=False)
    assert frames.shape == (50, 128)
    save("logmel-end-128.bin", frames[-6:].astype("<f4"))


PARTS = {"logmel": make_logmel}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
