"""Pictures and weights that Python and C make alike, so that goldens hold results only (see tests/plugins/golden.c)."""
import numpy as np


def mix32(x):
    """A 32-bit integer hash, on arrays of u32."""
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def fnv64(data):
    """FNV-1a, 64 bits, over 8-byte little-endian words (zero-padded): fast enough for megabytes in Python."""
    raw = bytes(data)
    raw += b"\0" * (-len(raw) % 8)
    h = 0xCBF29CE484222325
    for word in np.frombuffer(raw, "<u8").tolist():
        h = ((h ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def picture(w, h, seed):
    """u8 [h, w, 3]: a gradient with noise and some hard edges."""
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    noise = mix32((y * w + x) * 3 + c + seed * 1000003) >> np.uint32(24)
    ramp = (x * 255 // w + y * 255 // h * (c + 1)) % 256
    edge = np.where(((x * 8 // w) + (y * 8 // h)) % 3 == 0, 255, 0)
    return ((ramp * 2 + edge + noise) // 4).astype(np.uint8)


def weights(name, count, scale, offset=0.0):
    """f32 [count] in offset +- scale / 2, a function of name and index."""
    seed = 0x811C9DC5
    for b in name.encode():
        seed = ((seed ^ b) * 0x01000193) & 0xFFFFFFFF
    i = np.arange(count, dtype=np.uint32)
    unit = (mix32(np.uint32(seed) + i * np.uint32(0x9E3779B1)) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return (unit - np.float32(0.5)) * np.float32(scale) + np.float32(offset)
