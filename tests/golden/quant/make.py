"""Quantised weights as ggml defines them: what tests/unit/test_quant.c compares with.

    python make.py        # needs numpy, gguf

Writes, with raw little-endian arrays:
  TYPE.blocks, TYPE.f32  random blocks of a type (some scales subnormal, infinite or NaN) and what gguf.quants.dequantize,
                         which ggml's own functions are tested against, makes of them
  mini.gguf              a llama of two layers, every product with another type; random codes, scales to match
  more.gguf              another, with the types that came later
  mmproj.gguf            tests/golden/engine's tower, its products and its position table quantised
  mini.ids, mini.logits, more.logits  i32 prompt; f64 arithmetic on the dequantised weights as f32 [n, vocab]
"""
import os
import sys
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "bench"))
import random_models  # noqa: E402

TYPES = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
MORE_TYPES = [T.IQ4_NL, T.IQ4_XS, T.Q3_K, T.Q2_K, T.MXFP4, T.TQ2_0, T.TQ1_0]
# Where the halves that scale a block lie, and for weights of unit size what they should be: d, and m over d.
SCALES = {T.Q4_0: ([0], 0.22, 0), T.Q4_1: ([0, 2], 0.22, -7.5), T.Q5_0: ([0], 0.11, 0), T.Q5_1: ([0, 2], 0.11, -15.5), T.Q8_0: ([0], 0.0135, 0),
          T.Q4_K: ([0, 2], 0.006, 7.5), T.Q5_K: ([0, 2], 0.003, 15.5), T.Q6_K: ([208], 0.00075, 0),
          T.IQ4_NL: ([0], 0.0145, 0), T.IQ4_XS: ([0], 0.00078, 0), T.Q3_K: ([108], 0.022, 0), T.Q2_K: ([80, 82], 0.079, 1.5),
          T.MXFP4: ([], 0.21, 0), T.TQ2_0: ([64], 1.0, 0), T.TQ1_0: ([52], 1.2, 0)}


@dataclass
class Shape:
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 1
    ffn: int = 256
    vocab: int = 272
    layers: int = 2
    eps: float = 1e-5
    theta: float = 10000.0
    neox: bool = False         # rope pairs i with i + head_dim / 2
    bias: bool = False         # on q, k and v

    @property
    def head_dim(self):
        return self.hidden // self.heads


def blocks(rng, kind, n_rows, n_in, size):
    block, n_bytes = GGML_QUANT_SIZES[kind]
    out = rng.integers(0, 256, (n_rows, n_in // block, n_bytes), np.uint8)
    at, d, ratio = SCALES[kind]
    if kind == T.MXFP4:  # a power of two, half of which scales codes
        out[..., 0] = 128 + np.round(np.log2(d * size)) + rng.integers(-1, 2, out.shape[:2])
        return out.reshape(n_rows, -1)
    scale = (d * size * rng.uniform(0.7, 1.3, out.shape[:2])).astype(np.float16)
    out[..., at[0]:at[0] + 2] = scale[..., None].view(np.uint8)
    if len(at) > 1:
        out[..., at[1]:at[1] + 2] = (scale.astype(np.float32) * ratio).astype(np.float16)[..., None].view(np.uint8)
    return out.reshape(n_rows, -1)


def odd_blocks(rng, kind):
    """Ordinary ones, and every kind of half (of MXFP4 each exponent) as a scale."""
    block, n_bytes = GGML_QUANT_SIZES[kind]
    b = blocks(rng, kind, 256 if kind == T.MXFP4 else 24, block, 1.0)
    if kind == T.MXFP4:
        b[:, 0] = np.arange(256)
        return b
    odd = [0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00]
    for i, half in enumerate(odd):
        for j, at in enumerate(SCALES[kind][0]):
            b[i, at:at + 2] = np.array([odd[(i + j) % len(odd)]], "<u2").view(np.uint8)
    return b


class Weights:
    def __init__(self, path, seed):
        self.rng, self.w, self.f = np.random.default_rng(seed), GGUFWriter(path + ".tmp", "llama"), {}

    def matrix(self, name, kind, n_out, n_in, size=1.0):
        raw = blocks(self.rng, kind, n_out, n_in, size * n_in ** -0.5)
        self.w.add_tensor(name, raw, raw_dtype=kind)
        self.f[name] = dequantize(raw, kind).astype(np.float64)

    def norm(self, name):
        v = (1 + 0.2 * self.rng.standard_normal(Shape.hidden)).astype(np.float32)
        self.w.add_tensor(name, v)
        self.f[name] = v.astype(np.float64)


def make_mini(path, seed, types, embedding, output):
    m, c = Weights(path, seed), Shape()
    w = m.w
    w.add_block_count(c.layers)
    w.add_context_length(512)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(c.theta)
    w.add_layer_norm_rms_eps(c.eps)
    random_models.put_vocabulary(w, c.vocab)
    m.matrix("token_embd.weight", embedding, c.vocab, c.hidden, c.hidden ** 0.5 * 0.25)
    m.norm("output_norm.weight")
    m.matrix("output.weight", output, c.vocab, c.hidden)
    parts = [("attn_q", c.heads * c.head_dim, c.hidden), ("attn_k", c.kv_heads * c.head_dim, c.hidden), ("attn_v", c.kv_heads * c.head_dim, c.hidden),
             ("attn_output", c.hidden, c.heads * c.head_dim), ("ffn_gate", c.ffn, c.hidden), ("ffn_up", c.ffn, c.hidden), ("ffn_down", c.hidden, c.ffn)]
    for layer in range(c.layers):
        b = "blk.%d." % layer
        m.norm(b + "attn_norm.weight")
        m.norm(b + "ffn_norm.weight")
        for i, (name, n_out, n_in) in enumerate(parts):
            m.matrix(b + name + ".weight", types[(i + 3 * layer) % len(types)], n_out, n_in)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(path + ".tmp", path)
    return m.f


def make_tower(path):
    given = GGUFReader(os.path.join(HERE, "..", "engine", "mmproj.gguf"))
    w = GGUFWriter(path + ".tmp", "clip")
    for name, f in given.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            w.add_key_value(name, f.contents(), f.types[0], f.types[-1] if f.types[0] == GGUFValueType.ARRAY else None)
    kinds = {"position_embd": T.Q8_0, "attn_q": T.Q5_1, "attn_k": T.Q5_0, "attn_v": T.Q5_1, "attn_out": T.Q8_0, "ffn_up": T.Q5_0, "fc": T.Q8_0}
    for t in given.tensors:
        a = np.array(t.data, np.float32).reshape(tuple(int(n) for n in t.shape[::-1]))
        kind = kinds.get(t.name.split(".")[-2]) if t.name.endswith(".weight") else None
        if kind is None:
            w.add_tensor(t.name, a)
        else:
            w.add_tensor(t.name, quantize(a, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(path + ".tmp", path)


def norm(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def rope(x, c):
    """[n, heads, dim]"""
    n, dim = len(x), x.shape[-1]
    a = np.arange(n)[:, None, None] * c.theta ** (-np.arange(0, dim, 2) / dim)
    first, second = (slice(0, dim // 2), slice(dim // 2, dim)) if c.neox else (slice(0, dim, 2), slice(1, dim, 2))
    out = np.empty_like(x)
    out[..., first] = x[..., first] * np.cos(a) - x[..., second] * np.sin(a)
    out[..., second] = x[..., first] * np.sin(a) + x[..., second] * np.cos(a)
    return out


def logits(get, c, ids):
    """get(tensor's name) -> array"""
    x, n, group = get("token_embd.weight")[ids], len(ids), c.heads // c.kv_heads
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for layer in range(c.layers):
        g = lambda name: get("blk.%d.%s.weight" % (layer, name))  # noqa: E731
        h = norm(x, g("attn_norm"), c.eps)
        q, k, v = (h @ g("attn_" + p).T + (get("blk.%d.attn_%s.bias" % (layer, p)) if c.bias else 0) for p in "qkv")
        q = rope(q.reshape(n, c.heads, -1), c)
        k = rope(k.reshape(n, c.kv_heads, -1), c).repeat(group, 1)
        v = v.reshape(n, c.kv_heads, -1).repeat(group, 1)
        s = np.einsum("ihd,jhd->hij", q, k) * c.head_dim ** -0.5 + mask
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + np.einsum("hij,jhd->ihd", p, v).reshape(n, -1) @ g("attn_output").T
        h = norm(x, g("ffn_norm"), c.eps)
        gate = h @ g("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ g("ffn_up").T)) @ g("ffn_down").T
    return norm(x, get("output_norm.weight"), c.eps) @ get("output.weight").T


def main():
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        for kind in TYPES + MORE_TYPES:
            b = odd_blocks(rng, kind)
            b.tofile(os.path.join(HERE, kind.name.lower() + ".blocks"))
            dequantize(b, kind).astype("<f4").tofile(os.path.join(HERE, kind.name.lower() + ".f32"))
    make_tower(os.path.join(HERE, "mmproj.gguf"))
    ids = np.array([1 + (7 * i * i + 3 * i) % 250 for i in range(40)], "<i4")
    ids.tofile(os.path.join(HERE, "mini.ids"))
    for name, *how in [("mini", 2, TYPES, T.Q6_K, T.Q5_K), ("more", 3, MORE_TYPES, T.Q3_K, T.IQ4_XS)]:
        f = make_mini(os.path.join(HERE, name + ".gguf"), *how)
        logits(f.__getitem__, Shape(), ids).astype("<f4").tofile(os.path.join(HERE, name + ".logits"))


if __name__ == "__main__":
    main()
