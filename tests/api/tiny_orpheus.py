"""Orpheus in miniature, for the tests, with the standard library alone: a Llama with random weights whose vocabulary is bytes and Orpheus'
custom tokens, beside the SNAC decoder of tests/golden/speak. A frame is 24 samples, so that seconds of speech are many steps and little
sound."""

import json
import random
import shutil
import struct
import sys

from harness import REPO

sys.path.insert(0, str(REPO / "tests" / "plugins"))
from ears import F32, STRING, U32, key, text  # noqa: E402

RATE, FRAME, SLOTS, CODES = 24000, 24, 7, 64
VOICES = ["tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe"]
WIDTH, FF, LAYERS, HEADS, KV_HEADS, CONTEXT = 32, 48, 2, 4, 2, 1024
END_SCALE = 0.5
BOOL, ARRAY, I32, NORMAL, CONTROL = 7, 9, 5, 1, 3


def strings(name, values):
    return text(name) + struct.pack("<IIQ", ARRAY, STRING, len(values)) + b"".join(text(v) for v in values)


def integers(name, values):
    return text(name) + struct.pack("<IIQ", ARRAY, I32, len(values)) + struct.pack("<%di" % len(values), *values)


def byte_alphabet():
    """GPT-2's: a letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b if b in plain else next(rest)) for b in range(256)]


def language_model(path, seed=4):
    special = ["<|begin_of_text|>", "<|eot_id|>", *("<custom_token_%d>" % i for i in range(10 + SLOTS * CODES))]
    letters = byte_alphabet()
    letters.append(letters[255] * 2)  # a table without a merge is refused; no UTF-8 has this one
    tokens, kinds = letters + special, [NORMAL] * len(letters) + [CONTROL] * len(special)
    keys = [key("general.architecture", STRING, "llama")]
    keys += [key("llama." + k, U32, v) for k, v in {"block_count": LAYERS, "context_length": CONTEXT, "embedding_length": WIDTH, "feed_forward_length": FF,
                                                   "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "vocab_size": len(tokens),
                                                   "rope.dimension_count": WIDTH // HEADS}.items()]
    keys += [key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), key("tokenizer.ggml.model", STRING, "gpt2"), key("tokenizer.ggml.pre", STRING, "llama-bpe"),
             strings("tokenizer.ggml.tokens", tokens), integers("tokenizer.ggml.token_type", kinds), strings("tokenizer.ggml.merges", [letters[255] + " " + letters[255]]),
             key("tokenizer.ggml.bos_token_id", U32, len(letters)), key("tokenizer.ggml.eos_token_id", U32, len(letters) + 1), key("tokenizer.ggml.add_bos_token", BOOL, True)]
    shapes = {"token_embd.weight": (len(tokens), WIDTH), "output_norm.weight": (WIDTH,)}
    kv = WIDTH // HEADS * KV_HEADS
    for i in range(LAYERS):
        for part, shape in {"attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH),
                            "ffn_norm": (WIDTH,), "ffn_gate": (FF, WIDTH), "ffn_up": (FF, WIDTH), "ffn_down": (WIDTH, FF)}.items():
            shapes[f"blk.{i}.{part}.weight"] = shape
    rng, infos, data = random.Random(seed), b"", bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        scale, centre = (0.2, 1.0) if "norm" in name else (0.4 if "embd" in name else 1.6 * shape[1] ** -0.5, 0.0)
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *shape[::-1]) + struct.pack("<IQ", 0, len(data))
        values = [centre + scale * rng.uniform(-1.7, 1.7) for _ in range(count)]
        if "embd" in name:  # what ends an utterance is less likely than a code
            end = WIDTH * tokens.index("<custom_token_2>")
            values[end:end + WIDTH] = [END_SCALE * v for v in values[end:end + WIDTH]]
        data += struct.pack("<%df" % count, *values)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def write(folder, name="orpheus", beside=()):
    """A folder with models.json; `beside` it other entries. -> its path"""
    folder.mkdir(exist_ok=True)
    language_model(folder / "lm.gguf")
    shutil.copy(REPO / "tests" / "golden" / "speak" / "snac.gguf", folder / "snac.gguf")
    entry = {"name": name, "files": {"model": "lm.gguf", "mmproj": "snac.gguf"}, "roles": ["speech"]}
    (folder / "models.json").write_text(json.dumps({"models": [*beside, entry]}))
    return str(folder)
