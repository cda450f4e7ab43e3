"""Random-weight GGUF files of any shape, so that a bench needs no download: a llama and an idefics3 tower.

Needs numpy and gguf. The vocabulary is that of samples/model, filled up with made-up words.
"""
import os

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, TokenType
from gguf.quants import quantize

from common import SAMPLE


class File:
    def __init__(self, path, arch, kind, seed):
        self.path, self.w, self.kind = path, GGUFWriter(path + ".tmp", arch), GGMLQuantizationType[kind]
        self.rng = np.random.default_rng(seed)

    def matrix(self, name, n_out, n_in, scale=1.0):
        a = self.rng.standard_normal((n_out, n_in), np.float32) * np.float32(scale * n_in ** -0.5)
        if self.kind == GGMLQuantizationType.F32:
            self.w.add_tensor(name, a)
        else:
            self.w.add_tensor(name, quantize(a, self.kind), raw_dtype=self.kind)

    def plain(self, name, *shape, value=0.0, spread=0.05):
        self.w.add_tensor(name, (value + spread * self.rng.standard_normal(shape, np.float32)).astype(np.float32))

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()
        os.replace(self.path + ".tmp", self.path)


def texts(field):
    return [bytes(field.parts[i]).decode() for i in field.data]


def put_vocabulary(w, n_vocab):
    given = GGUFReader(str(SAMPLE / "model.gguf")).fields
    key = "tokenizer.ggml."
    tokens = texts(given[key + "tokens"])
    types = [int(given[key + "token_type"].parts[i][0]) for i in given[key + "token_type"].data]
    tokens += ["w%d" % i for i in range(n_vocab - len(tokens))]
    w.add_vocab_size(n_vocab)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types(types + [TokenType.NORMAL] * (n_vocab - len(types)))
    w.add_token_merges(texts(given[key + "merges"]))
    for name in ("bos", "eos"):
        getattr(w, "add_%s_token_id" % name)(int(given[key + name + "_token_id"].parts[-1][0]))
    w.add_add_bos_token(False)
    w.add_chat_template(texts(given["tokenizer.chat_template"])[0])


def llama(path, *, hidden, layers, heads, kv_heads, ffn, vocab=272, positions=8192, theta=10000.0, eps=1e-5, kind="F32", seed=0, arch="llama"):
    f, dim = File(path, arch, kind, seed), hidden // heads
    w = f.w
    w.add_block_count(layers)
    w.add_context_length(positions)
    w.add_embedding_length(hidden)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_rope_dimension_count(dim)
    w.add_rope_freq_base(theta)
    w.add_layer_norm_rms_eps(eps)
    put_vocabulary(w, vocab)
    f.matrix("token_embd.weight", vocab, hidden, hidden ** 0.5 * 0.25)
    f.plain("output_norm.weight", hidden, value=1)
    for i in range(layers):
        b = "blk.%d." % i
        f.plain(b + "attn_norm.weight", hidden, value=1)
        f.plain(b + "ffn_norm.weight", hidden, value=1)
        f.matrix(b + "attn_q.weight", hidden, hidden)
        f.matrix(b + "attn_k.weight", kv_heads * dim, hidden)
        f.matrix(b + "attn_v.weight", kv_heads * dim, hidden)
        if arch == "qwen2":
            for part, n in (("q", hidden), ("k", kv_heads * dim), ("v", kv_heads * dim)):
                f.plain(b + "attn_%s.bias" % part, n)
        f.matrix(b + "attn_output.weight", hidden, hidden, 0.5)
        f.matrix(b + "ffn_gate.weight", ffn, hidden)
        f.matrix(b + "ffn_up.weight", ffn, hidden)
        f.matrix(b + "ffn_down.weight", hidden, ffn, 0.5)
    f.close()


# Qwen2.5-0.5B but for the weights and the words.
QWEN_05B = dict(hidden=896, layers=24, heads=14, kv_heads=2, ffn=4864, vocab=151936, theta=1000000.0, eps=1e-6, arch="qwen2")


def quantised(path, mix, **shape):
    """As llama(), quantised by llama.cpp to one of its mixes, as Q4_K_M. Needs llama-cpp-python."""
    import llama_cpp
    full = path + ".f16"
    llama(full, kind="F16", **shape)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + mix), len(os.sched_getaffinity(0))
    failed = llama_cpp.llama_model_quantize(full.encode(), path.encode(), params)
    os.remove(full)
    if failed:
        raise RuntimeError("llama_model_quantize: %d" % failed)


def tower(path, *, image, patch, hidden, layers, heads, ffn, scale, width, longest=None, kind="F32", seed=0):
    f, side = File(path, "clip", kind, seed), image // patch
    w = f.w
    w.add_clip_has_vision_encoder(True)
    w.add_clip_projector_type("idefics3")
    w.add_vision_projection_dim(width)
    w.add_vision_image_size(image)
    w.add_vision_preproc_image_size(longest or image)
    w.add_vision_patch_size(patch)
    w.add_vision_embedding_length(hidden)
    w.add_vision_feed_forward_length(ffn)
    w.add_vision_block_count(layers)
    w.add_vision_head_count(heads)
    w.add_vision_attention_layernorm_eps(1e-6)
    w.add_vision_image_mean([0.5] * 3)
    w.add_vision_image_std([0.5] * 3)
    w.add_vision_projector_scale_factor(scale)
    w.add_vision_use_gelu(True)
    f.plain("v.patch_embd.weight", hidden, 3, patch, patch)
    f.plain("v.patch_embd.bias", hidden)
    f.plain("v.position_embd.weight", side * side, hidden, spread=0.5)
    for i in range(layers):
        b = "v.blk.%d." % i
        for norm in ("ln1", "ln2"):
            f.plain(b + norm + ".weight", hidden, value=1)
            f.plain(b + norm + ".bias", hidden)
        for name, n_out, n_in, size in (("attn_q", hidden, hidden, 1), ("attn_k", hidden, hidden, 1), ("attn_v", hidden, hidden, 1),
                                        ("attn_out", hidden, hidden, 0.5), ("ffn_up", ffn, hidden, 1), ("ffn_down", hidden, ffn, 0.5)):
            f.matrix(b + name + ".weight", n_out, n_in, size)
            f.plain(b + name + ".bias", n_out)
    f.plain("v.post_ln.weight", hidden, value=1)
    f.plain("v.post_ln.bias", hidden)
    f.matrix("mm.model.fc.weight", width, hidden * scale * scale)
    f.close()
