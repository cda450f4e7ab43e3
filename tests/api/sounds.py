"""Recordings for the tests, made of nothing but Python: whole ones and hostile ones."""

import math
import random
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


def hiss(seconds, seed, rate=8000):
    """A WAV of noise, louder and softer by parts of a second, with pauses: made fast, and no two stretches are alike."""
    rng, pieces, left = random.Random(seed), [], int(seconds * rate)
    softer = [bytes(128 + (i - 128) * loud // 8 for i in range(256)) for loud in (0, 1, 2, 4, 8)]
    while left:
        n = min(left, rng.randrange(rate // 8, rate))
        pieces.append(rng.randbytes(n).translate(rng.choice(softer)))
        left -= n
    return riff(fmt_chunk(rate=rate, bits=8), data_chunk(b"".join(pieces)))


def wav_of(data, **fmt):
    return riff(fmt_chunk(**fmt), data_chunk(data))


def streaminfo(rate, channels, bits, samples):
    """A FLAC file's head that says so, and a little of nothing behind it."""
    word = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | samples
    return b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6) + struct.pack(">Q", word) + bytes(16) + bytes(4096)


def crc(data, bits, poly):
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ poly if value & top else value << 1) & (1 << bits) - 1
    return value


def flac_steps(samples, rate, block, value):
    """Frames of equal samples, frame i of value(i): a dozen bytes each."""
    head = b"fLaC\x80\0\0\x22" + struct.pack(">HH", block, block) + bytes(6) + struct.pack(">Q", rate << 44 | 15 << 36 | samples) + bytes(16)
    frames = []
    for i, at in enumerate(range(0, samples, block)):
        n = min(block, samples - at)
        number = chr(i).encode("utf-8", "surrogatepass")  # FLAC codes it so
        frame = b"\xff\xf8\x70\0" + number + struct.pack(">H", n - 1)
        frame += bytes([crc(frame, 8, 0x07)]) + struct.pack(">bh", 0, value(i))
        frames.append(frame + struct.pack(">H", crc(frame, 16, 0x8005)))
    return head + b"".join(frames)


def flac_silence(seconds, rate=16000):
    """A dozen bytes for four seconds."""
    return flac_steps(int(seconds * rate), rate, 65535, lambda i: 0)


def flac_rumble(seconds, seed, rate=8000):
    """Ten steps a second, now and then none: no two stretches are alike, and an hour is half a megabyte."""
    rng = random.Random(seed)
    return flac_steps(int(seconds * rate), rate, rate // 10, lambda i: rng.randrange(-9000, 9000) if i // 7 % 3 else 0)


NAN, INF = struct.pack("<f", math.nan), struct.pack("<f", math.inf)
REFUSED = (400, 413, 415)

# name: -> (bytes, format, statuses that are right)
BOMBS = {
    "FLAC 655350 Hz x 8, 2^36-1 samples": lambda: (streaminfo(655350, 8, 16, 2**36 - 1), "flac", REFUSED),
    "FLAC of 0 Hz": lambda: (streaminfo(0, 1, 16, 1000), "flac", REFUSED),
    "WAV of 1024 channels": lambda: (wav_of(bytes(1 << 20), channels=1024), "wav", REFUSED),
    "WAV of 65535 channels": lambda: (wav_of(bytes(1 << 20), channels=65535), "wav", REFUSED),
    "WAV of 0 channels": lambda: (wav_of(bytes(1000), channels=0), "wav", REFUSED),
    "WAV of 0 Hz": lambda: (wav_of(bytes(1000), rate=0), "wav", REFUSED),
    "WAV of 1 Hz": lambda: (wav_of(bytes(4 << 20), rate=1), "wav", REFUSED),
    "WAV of 2^32-1 Hz": lambda: (wav_of(bytes(1000), rate=2**32 - 1), "wav", REFUSED),
    "IMA ADPCM 50000 x 50000": lambda: (riff(fmt_chunk(0x11, 1, 16000, 4, 50000, struct.pack("<HH", 2, 50000)), b"fact" + struct.pack("<II", 4, 2**31), data_chunk(bytes(100_000))),
                                        "wav", REFUSED),
    "MS ADPCM": lambda: (riff(fmt_chunk(2, 1, 16000, 4, 256, struct.pack("<HHH", 32, 500, 7) + bytes(28)), data_chunk(bytes(10_000))), "wav", REFUSED),
    "data of 2^32-1 bytes": lambda: (riff(fmt_chunk(), data_chunk(tone(0.1), 2**32 - 1)), "wav", (200, *REFUSED)),
    "RIFF of 2^32-1 bytes": lambda: (riff(fmt_chunk(), data_chunk(tone(0.1)), size=2**32 - 1), "wav", (200, *REFUSED)),
    "no data": lambda: (riff(fmt_chunk()), "wav", REFUSED),
    "empty data": lambda: (wav_of(b""), "wav", (200, *REFUSED)),
    "NaN samples": lambda: (wav_of(NAN * 16000, tag=3, bits=32), "wav", (200, *REFUSED)),
    "infinite samples": lambda: (wav_of(INF * 16000, tag=3, bits=32), "wav", (200, *REFUSED)),
    "samples of 1e38": lambda: (wav_of(struct.pack("<f", 1e38) * 16000, tag=3, bits=32), "wav", (200, *REFUSED)),
    "an unknown coding": lambda: (wav_of(bytes(1000), tag=0x1234), "wav", REFUSED),
    "a WAV called mp3": lambda: (wav(0.1), "mp3", (200, *REFUSED)),
    "Ogg without a stream": lambda: (b"OggS" + bytes(1000), "ogg", REFUSED),
    "MP3 of nothing": lambda: (b"\xff\xfb\x90\x00" + bytes(5000), "mp3", (200, *REFUSED)),
    "a day of silence in 300 KB": lambda: (flac_silence(86400), "flac", REFUSED),
    "ID3 of 256 MiB": lambda: (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5000), "mp3", REFUSED),
}
