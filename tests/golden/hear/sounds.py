"""Sounds for goldens: synthetic speech through a microphone-like chain (stored as 16-bit samples), and waves that Python and C
make alike by integer arithmetic (tests/plugins/sounds.c)."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "image"))
from common import mix32, weights  # noqa: E402,F401

RATE = 16000


def wave(n, seed):
    """f32 [n]: three triangle waves that come and go, and noise; whole 1/32768ths, the same in C."""
    i = np.arange(n, dtype=np.int64)
    total = np.zeros(n, np.int64)
    for k, (period, swing) in enumerate(((73, 2900), (29, 5100), (11, 7700))):
        phase = (i * (period + 2 * seed % 5)) % 4096
        triangle = np.abs(phase - 2048) - 1024
        loud = np.abs((i + seed * 977 * (k + 1)) % (2 * swing) - swing)
        total += triangle * loud // swing * (6 - 2 * k)
    total += (mix32((i + seed * 1000003).astype(np.uint32)) >> np.uint32(22)).astype(np.int64) - 512
    return (total.astype(np.float32) / np.float32(32768)).astype(np.float32)


def resonate(x, hz, width):
    """A two-pole formant."""
    r = np.exp(-np.pi * width / RATE)
    a, b = 2 * r * np.cos(2 * np.pi * hz / RATE), -r * r
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = x[i] + a * (y[i - 1] if i else 0) + b * (y[i - 2] if i > 1 else 0)
    return y


def speech(seconds, seed):
    """Vowels of falling pitch with a hiss between them."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    out, at = np.zeros(n), 0
    while at < n:
        length = min(int(rng.uniform(0.08, 0.18) * RATE), n - at)
        if rng.random() < 0.3:
            part = np.diff(rng.standard_normal(length + 1)) * 0.1
        else:
            pitch = np.linspace(rng.uniform(100, 220), rng.uniform(80, 160), length)
            pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
            part = pulses
            for hz, width in zip(((700, 1200, 2600), (300, 2300, 3000), (400, 800, 2400))[rng.integers(3)], (80, 110, 160)):
                part = resonate(part, hz, width)
            part = part / max(np.abs(part).max(), 1e-9) * 0.5
        out[at:at + length] = part * np.hanning(length + 2)[1:-1] ** 0.3
        at += length
    return out


def room(x, rng):
    tail = rng.standard_normal(2400) * np.exp(-np.arange(2400) / 500.0) * 0.15
    tail[0] = 1
    return np.convolve(x, tail)[:len(x)]


def narrow(x):
    """As an 8 kHz line leaves it: nothing above 3.4 kHz, nothing below 300 Hz."""
    spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / RATE)
    spectrum[(hz > 3400) | (hz < 300)] = 0
    return np.fft.irfft(spectrum, len(x))


def chain(seconds=0.5):
    """name -> int16 samples."""
    rng = np.random.default_rng(4)
    x = speech(seconds, 1)
    wet = room(x, rng)
    other = np.roll(room(speech(seconds, 2), rng), 37)
    sounds = {
        "clean": x,
        "room": wet,
        "noise": wet + rng.standard_normal(len(x)) * 0.05,
        "clipped": np.clip(wet * 6, -0.9, 0.9),
        "narrow": np.round(narrow(wet) * 127) / 127,
        "stereo": (wet + 0.3 * other) / 2 + (0.4 * wet + other) / 2 + 0.02 * np.sin(np.arange(len(x)) * 2 * np.pi * 50 / RATE),
        "quiet": wet * 0.003,
    }
    return {k: np.clip(np.round(v * 32767), -32768, 32767).astype("<i2") for k, v in sounds.items()}
