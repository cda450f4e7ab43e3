"""GGUF mmproj files of miniature ears, one of each family that whisper.so serves, with the standard library alone."""
import random
import struct

U32, F32, BOOL, STRING = 4, 6, 7, 8
MELS, EMBD, FF, LAYERS, HEADS, CONTEXT, WIDTH = 16, 32, 48, 2, 4, 60, 64  # a window of 1.2 s
STACK, HIDDEN = {"ultravox": 8, "voxtral": 4}, 44
FAMILIES = ("whisper", "ultravox", "voxtral", "qwen2a", "qwen2.5o")


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack({U32: "<I", F32: "<f", BOOL: "<?"}[kind], value))


def shapes(family, width):
    """name -> dimensions, the outermost first."""
    t = {"a.conv1d.1.weight": (EMBD, MELS, 3), "a.conv1d.1.bias": (EMBD, 1), "a.conv1d.2.weight": (EMBD, EMBD, 3), "a.conv1d.2.bias": (EMBD, 1),
         "a.position_embd.weight": (CONTEXT, EMBD), "a.post_ln.weight": (EMBD,), "a.post_ln.bias": (EMBD,)}
    for i in range(LAYERS):
        for part, n_out, n_in in (("attn_q", EMBD, EMBD), ("attn_k", EMBD, EMBD), ("attn_v", EMBD, EMBD), ("attn_out", EMBD, EMBD),
                                  ("ffn_up", FF, EMBD), ("ffn_down", EMBD, FF)):
            t[f"a.blk.{i}.{part}.weight"] = (n_out, n_in)
            if part != "attn_k":
                t[f"a.blk.{i}.{part}.bias"] = (n_out,)
        for part in ("ln1", "ln2"):
            t[f"a.blk.{i}.{part}.weight"] = t[f"a.blk.{i}.{part}.bias"] = (EMBD,)
    if family in STACK:
        half = HIDDEN // 2 if family == "ultravox" else HIDDEN
        t["mm.a.mlp.1.weight"], t["mm.a.mlp.2.weight"] = (HIDDEN, EMBD * STACK[family]), (width, half)
        if family == "ultravox":
            t["mm.a.norm_pre.weight"], t["mm.a.norm_mid.weight"] = (EMBD * STACK[family],), (half,)
    elif family != "whisper":
        t["mm.a.fc.weight"], t["mm.a.fc.bias"] = (width, EMBD), (width,)
    return t


def write(path, family, seed=1, width=WIDTH):
    """width: values in a row, as many as in the language model's embeddings."""
    rng = random.Random(seed)
    keys = [key("general.architecture", STRING, "clip"), key("clip.has_audio_encoder", BOOL, True), key("clip.audio.projector_type", STRING, family),
            key("clip.audio.attention.layer_norm_epsilon", F32, 1e-5), key("whisper.context_length", U32, 448)]
    numbers = {"num_mel_bins": MELS, "embedding_length": EMBD, "feed_forward_length": FF, "block_count": LAYERS, "attention.head_count": HEADS,
               "projection_dim": EMBD if family == "whisper" else width, "projector.stack_factor": STACK.get(family)}
    if family == "qwen2.5o":
        numbers["n_window"] = 10
    keys += [key("clip.audio." + k, U32, v) for k, v in numbers.items() if v]
    infos, data = b"", bytearray()
    tensors = shapes(family, width)
    for name, dims in tensors.items():
        count = 1
        for d in dims:
            count *= d
        half = "conv" in name and name.endswith("weight")  # as converters store them
        offset = 1.0 if "norm_" in name or ("ln" in name and name.endswith("weight")) else 0.0
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims[::-1]) + struct.pack("<IQ", half, len(data))
        data += struct.pack("<%d%s" % (count, "e" if half else "f"), *(rng.uniform(-0.25, 0.25) + offset for _ in range(count)))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path
