"""A Llama in miniature with random weights and a made-up vocabulary, for the tests, with the standard library alone: bytes, a few pieces of
several, and special tokens, each control or not. As a GGUF file and as a directory of Hugging Face."""

import json
import random
import struct

from tiny_orpheus import ARRAY, BOOL, CONTROL, F32, NORMAL, STRING, U32, byte_alphabet, integers, key, strings, text

USER_DEFINED = 4
WIDTH, FF, LAYERS, HEADS, KV_HEADS, CONTEXT = 32, 48, 2, 4, 2, 2048
PIECES = ["</", "<tool", "tool_call>", "[TOOL", "{\"", "\":", "</thi", "nk>", "}}"]


class Vocabulary:
    """control, added: spellings. ends: those that end an answer, the first of them eos."""

    def __init__(self, control, added, ends):
        self.letters = byte_alphabet()
        plain = self.letters + [self.letters[255] * 2] + PIECES  # a table without a merge is refused; no UTF-8 has this one
        self.control, self.added = control, added
        self.tokens, self.n_plain = plain + control + added, len(plain)
        self.ends = [self.id(e) for e in ends]

    def keys(self):
        return [key("tokenizer.ggml.model", STRING, "gpt2"), key("tokenizer.ggml.pre", STRING, "llama-bpe"),
                strings("tokenizer.ggml.merges", [self.letters[255] + " " + self.letters[255]])]

    def id(self, spelling):
        return self.tokens.index(spelling, self.n_plain)

    def kinds(self):
        return [NORMAL] * self.n_plain + [CONTROL] * len(self.control) + [USER_DEFINED] * len(self.added)


class Pieces(Vocabulary):
    """SentencePiece's."""

    def __init__(self, control, added, ends):
        plain = ["<unk>"] + ["<0x%02X>" % b for b in range(256)] + ["\u2581"] + [chr(c) for c in range(33, 127)] + PIECES + ["\u2581[{\"", "\u2581{\"", "\u2581a"]
        self.control, self.added = control, added
        self.tokens, self.n_plain = plain + control + added, len(plain)
        self.ends = [self.id(e) for e in ends]

    def kinds(self):
        return [2] + [6] * 256 + [NORMAL] * (self.n_plain - 257) + [CONTROL] * len(self.control) + [USER_DEFINED] * len(self.added)

    def keys(self):
        n = len(self.tokens)
        scores = text("tokenizer.ggml.scores") + struct.pack("<IIQ", ARRAY, F32, n) + struct.pack("<%df" % n, *[0.0] * n)
        return [key("tokenizer.ggml.model", STRING, "llama"), scores, key("tokenizer.ggml.unknown_token_id", U32, 0)]


def shapes(rows):
    """(name in GGUF, in Hugging Face) -> dimensions, the outermost first"""
    kv = WIDTH // HEADS * KV_HEADS
    out = {("token_embd", "model.embed_tokens"): (rows, WIDTH), ("output_norm", "model.norm"): (WIDTH,)}
    for i in range(LAYERS):
        for gguf, hf, shape in (("attn_norm", "input_layernorm", (WIDTH,)), ("attn_q", "self_attn.q_proj", (WIDTH, WIDTH)), ("attn_k", "self_attn.k_proj", (kv, WIDTH)),
                                ("attn_v", "self_attn.v_proj", (kv, WIDTH)), ("attn_output", "self_attn.o_proj", (WIDTH, WIDTH)),
                                ("ffn_norm", "post_attention_layernorm", (WIDTH,)), ("ffn_gate", "mlp.gate_proj", (FF, WIDTH)), ("ffn_up", "mlp.up_proj", (FF, WIDTH)),
                                ("ffn_down", "mlp.down_proj", (WIDTH, FF))):
            out[f"blk.{i}.{gguf}", f"model.layers.{i}.{hf}"] = shape
    return out


def weights(rows, seed):
    rng = random.Random(seed)
    for (gguf, hf), shape in shapes(rows).items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        scale, centre = (0.2, 1.0) if "norm" in gguf else (0.3 if "embd" in gguf else 1.6 * shape[1] ** -0.5, 0.0)
        yield gguf + ".weight", hf + ".weight", shape, struct.pack("<%df" % count, *(centre + scale * rng.uniform(-1.7, 1.7) for _ in range(count)))


def write_gguf(path, v, seed=1):
    keys = [key("general.architecture", STRING, "llama")]
    keys += [key("llama." + k, U32, n) for k, n in {"block_count": LAYERS, "context_length": CONTEXT, "embedding_length": WIDTH, "feed_forward_length": FF,
                                                   "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "vocab_size": len(v.tokens),
                                                   "rope.dimension_count": WIDTH // HEADS}.items()]
    keys += [key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), strings("tokenizer.ggml.tokens", v.tokens), integers("tokenizer.ggml.token_type", v.kinds()),
             *v.keys(), key("tokenizer.ggml.eos_token_id", U32, v.ends[0]), key("tokenizer.ggml.add_bos_token", BOOL, False)]
    infos, data, n = b"", bytearray(), 0
    for name, _, shape, packed in weights(len(v.tokens), seed):
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *shape[::-1]) + struct.pack("<IQ", 0, len(data))
        data += packed
        n += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, n, len(keys)) + b"".join(keys) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def write_hf(folder, v, seed=1):
    folder.mkdir()
    header, data = {}, b""
    for _, name, shape, packed in weights(len(v.tokens), seed):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": FF, "num_hidden_layers": LAYERS,
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": WIDTH // HEADS, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "tie_word_embeddings": True, "vocab_size": len(v.tokens), "hidden_act": "silu", "eos_token_id": v.ends, "torch_dtype": "float32"}
    added = [{"id": v.id(t), "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": t in v.control}
             for t in v.control + v.added]
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "post_processor": None,
                 "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                           "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(v.tokens[:v.n_plain])},
                           "merges": [[v.letters[255], v.letters[255]]]}}
    for name, what in (("config.json", config), ("generation_config.json", {"eos_token_id": v.ends}), ("tokenizer.json", tokenizer),
                       ("tokenizer_config.json", {"eos_token": v.tokens[v.ends[0]], "tokenizer_class": "PreTrainedTokenizerFast"})):
        (folder / name).write_text(json.dumps(what))
    return folder
