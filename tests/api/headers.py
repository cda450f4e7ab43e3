"""GGUF files that are nothing but a header: a llama of any size, whose weights are a hole in the file."""

import struct

F16, Q8_0 = 1, 8
BYTES = {F16: (1, 2), Q8_0: (32, 34)}  # values and bytes of a block


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def key(name, kind, value):
    """kind: 4 u32, 6 f32, 8 a string, or a list's ("list", kind)."""
    packed = {4: lambda v: struct.pack("<I", v), 5: lambda v: struct.pack("<i", v), 6: lambda v: struct.pack("<f", v), 8: text}
    if isinstance(kind, tuple):
        return text(name) + struct.pack("<IIQ", 9, kind[1], len(value)) + b"".join(packed[kind[1]](v) for v in value)
    return text(name) + struct.pack("<I", kind) + packed[kind](value)


def hollow(path, layers, width, ffn, heads, kv_heads, rows=32000, context=4096, type_=F16):
    """-> bytes of the weights"""
    kv = width // heads * kv_heads
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + ["\u2581", "a", "b"]
    keys = [key("general.architecture", 8, "llama"), key("llama.context_length", 4, context), key("llama.embedding_length", 4, width),
            key("llama.block_count", 4, layers), key("llama.feed_forward_length", 4, ffn), key("llama.attention.head_count", 4, heads),
            key("llama.attention.head_count_kv", 4, kv_heads), key("llama.attention.layer_norm_rms_epsilon", 6, 1e-5),
            key("tokenizer.ggml.model", 8, "llama"), key("tokenizer.ggml.tokens", ("list", 8), tokens),
            key("tokenizer.ggml.scores", ("list", 6), [0.0] * len(tokens)),
            key("tokenizer.ggml.token_type", ("list", 5), [2, 3, 3] + [6] * 256 + [1] * 3)]
    shapes = [("token_embd.weight", (width, rows)), ("output_norm.weight", (width,)), ("output.weight", (width, rows))]
    for i in range(layers):
        shapes += [("blk.%d.%s.weight" % (i, n), s) for n, s in (
            ("attn_norm", (width,)), ("attn_q", (width, width)), ("attn_k", (width, kv)), ("attn_v", (width, kv)), ("attn_output", (width, width)),
            ("ffn_norm", (width,)), ("ffn_gate", (width, ffn)), ("ffn_up", (width, ffn)), ("ffn_down", (ffn, width)))]
    infos, at, weights = [], 0, 0
    for name, shape in shapes:
        kind = 0 if len(shape) == 1 else type_
        values, size = BYTES.get(kind, (1, 4))
        n = size
        for d in shape:
            n *= d
        n //= values
        infos.append(text(name) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *shape) + struct.pack("<IQ", kind, at))
        weights += n
        at = (at + n + 31) // 32 * 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(keys)) + b"".join(keys) + b"".join(infos)
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + at)
    return weights
