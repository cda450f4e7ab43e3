"""Recordings for the tests, made of nothing but Python: whole ones and hostile ones."""

import math
import struct


def fmt_chunk(tag=1, channels=1, rate=16000, bits=16, align=None, more=b""):
    align = channels * bits // 8 if align is None else align
    return b"fmt " + struct.pack("<IHHIIHH", 16 + len(more), tag, channels, rate & 0xFFFFFFFF, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits) + more


def riff(*chunks, size=None):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def data_chunk(data, size=None):
    return b"data" + struct.pack("<I", len(data) if size is None else size) + data


def tone(seconds=0.5, rate=16000, hertz=440.0, channels=1):
    samples = (int(8000 * math.sin(2 * math.pi * hertz * i / rate)) for i in range(int(seconds * rate)))
    return b"".join(struct.pack("<h", s) * channels for s in samples)


def wav(seconds=0.5, rate=16000, channels=1):
    return riff(fmt_chunk(channels=channels, rate=rate), data_chunk(tone(seconds, rate, channels=channels)))
