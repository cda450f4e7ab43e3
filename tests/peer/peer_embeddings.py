"""Embeddings against sentence-transformers, transformers and llama.cpp, of fresh random models.

    python peer_embeddings.py [--models N] [--seed N] [--no-llama-cpp]

Needs torch, transformers, sentence-transformers, llama-cpp-python. Keys and values are in f32 everywhere.
  directories   Llama, Mistral, Qwen2, Qwen3 and Gemma 3 of random shapes, as sentence-transformers keeps them (last, mean or cls; with and
                without Normalize; tensors with and without "model.", with and without a head), of texts of up to 900 tokens, in one request and cut
                into chunks: every vector within 1e-5 of its length of what SentenceTransformer.encode gives, which itself is transformers' own
                last layer pooled by hand
  file          tests/golden/embed/last.gguf, whose pooling_type llama.cpp reads: the same bound
"""
import argparse
import base64
import importlib.util
import os
import random
import struct
import sys
import tempfile

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, Gemma3TextModel, LlamaConfig, LlamaForCausalLM, LlamaModel, MistralConfig, MistralForCausalLM,
                          MistralModel, Qwen2Config, Qwen2ForCausalLM, Qwen2Model, Qwen3Config, Qwen3ForCausalLM, Qwen3Model)

import common

spec = importlib.util.spec_from_file_location("make_embed", common.REPO / "tests" / "golden" / "embed" / "make.py")
embed = importlib.util.module_from_spec(spec)
spec.loader.exec_module(embed)
hf = embed.hf
BOUND = 1e-5
ROPE = {"rope_type": "default", "rope_theta": 1e5}
FAMILIES = {"llama": (LlamaConfig, LlamaModel, LlamaForCausalLM), "mistral": (MistralConfig, MistralModel, MistralForCausalLM),
            "qwen2": (Qwen2Config, Qwen2Model, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3Model, Qwen3ForCausalLM),
            "gemma3": (Gemma3TextConfig, Gemma3TextModel, Gemma3ForCausalLM)}
WORDS = "circles Zeichne here they're 12 system: user: don't see you 3 \u6f22\u5b57 \U0001F600 na\u00efve Kreise, are \n".split(" ")


def texts(rng):
    return [" ".join(rng.choice(WORDS) for _ in range(n)) for n in (1, 2, 5, 9, 30, 80, 200)] + ["circles", "circles"]


def random_model(rng, family, folder):
    """-> (mode, normalised)"""
    config, base, whole = FAMILIES[family]
    heads = rng.choice([2, 4, 6])
    settings = dict(num_attention_heads=heads, num_key_value_heads=rng.choice([1, 2]), head_dim=rng.choice([8, 16, 32]), num_hidden_layers=rng.randint(1, 4),
                    hidden_size=heads * rng.choice([8, 16, 24]), intermediate_size=8 * rng.randint(4, 20), max_position_embeddings=2048,
                    rope_parameters=embed.hf.TWO_ROPES if family == "gemma3" else ROPE)
    if family == "qwen2":
        del settings["head_dim"]
        settings["hidden_size"] = heads * 16
    if family == "mistral":
        settings["sliding_window"] = rng.choice([None, 50])
    if family == "gemma3":
        settings.update(layer_types=["sliding_attention" if i % 2 else "full_attention" for i in range(settings["num_hidden_layers"])], sliding_window=40,
                        hidden_size=heads * 16, query_pre_attn_scalar=settings["head_dim"])
    mode, normalise = rng.choice(["lasttoken", "mean_tokens", "cls_token"]), rng.random() < 0.5
    headless = rng.random() < 0.5
    settings["tie_word_embeddings"] = rng.random() < 0.5
    fast = hf.tokenizer(hf.sentencepiece if family == "gemma3" else hf.qwen2)
    embed.template(fast.backend_tokenizer, rng.choice([None, "<s>"]), "<|end|>" if mode == "lasttoken" else rng.choice([None, "</s>"]))
    model = hf.build(config, base if headless else whole, settings, len(fast), rng.choice(["float32", "bfloat16"]), rng.randint(0, 1 << 30))
    hf.save(family, model, fast, "float32", None, False, folder)
    embed.modules(folder, mode, normalise)
    return mode, normalise, "headless" if headless else "whole", fast, model


def by_hand(model, fast, text, mode, normalise):
    ids = torch.tensor([fast(text)["input_ids"]])
    with torch.no_grad():
        rows = getattr(model, "model", model)(input_ids=ids).last_hidden_state[0]
    v = {"lasttoken": rows[-1], "mean_tokens": rows.mean(0), "cls_token": rows[0]}[mode]
    return (torch.nn.functional.normalize(v, dim=0) if normalise else v).numpy(), ids.numel()


def ask(server, inputs, **fields):
    status, _, answer = server.post("/v1/embeddings", {"input": inputs, "encoding_format": "base64", **fields})
    if status != 200:
        raise RuntimeError(answer)
    return [np.frombuffer(base64.b64decode(d["embedding"]), "<f4") for d in answer["data"]], answer["usage"]["prompt_tokens"]


def worst(got, want):
    return max(float(np.abs(a - b).max() / np.linalg.norm(b)) for a, b in zip(got, want, strict=True))


def directories(verdict, args):
    rng = random.Random(args.seed)
    for k in range(args.models):
        family = list(FAMILIES)[k % len(FAMILIES)]
        with tempfile.TemporaryDirectory() as tmp:
            folder = os.path.join(tmp, family)
            mode, normalise, kind, fast, model = random_model(rng, family, folder)
            asked = texts(rng)
            peer = SentenceTransformer(folder, device="cpu", model_kwargs={"torch_dtype": "float32", "attn_implementation": "eager"})
            peer.tokenizer.pad_token = "<unk>"  # asked for, of one text at a time not used
            theirs = [peer.encode(t, convert_to_numpy=True, show_progress_bar=False) for t in asked]
            hand = [by_hand(model, fast, t, mode, normalise) for t in asked]
            with common.Server(*common.EXACT, model=folder) as one, common.Server(*common.EXACT, "--max-num-batched-tokens", "40", "--max-num-seqs", "8", model=folder) as cut:
                ours, n = ask(one, asked)
                again, _ = ask(cut, asked)
            d, h = worst(ours, theirs), worst(ours, [v for v, _ in hand])
            same = all(a.tobytes() == b.tobytes() for a, b in zip(ours, again, strict=True))
            verdict(d <= BOUND and h <= BOUND and same and n == sum(m for _, m in hand),
                    "%s %d %s %s%s" % (family, k, kind, mode, ", length 1" if normalise else ""), "%.1e of sentence-transformers', %.1e by hand" % (d, h))


def file(verdict):
    import llama_cpp
    path = str(common.REPO / "tests" / "golden" / "embed" / "last.gguf")
    llm = llama_cpp.Llama(path, embedding=True, n_ctx=256, n_batch=256, n_ubatch=256, n_threads=1, type_k=0, type_v=0, flash_attn=False, verbose=False)
    asked = ["Zeichne 12 Kreise, don't!", "a", "circles " * 20, "they're 3 circles\n"]
    with common.Server(model=path) as server:
        for t in asked:
            ours, n = ask(server, t)
            ids = llm.tokenize(t.encode(), add_bos=True, special=True)
            theirs = np.array(llm.embed(t, normalize=True), "f4")
            d = worst(ours, [theirs])
            verdict(d <= BOUND and n == len(ids), "llama.cpp: %r" % t[:20], "%.1e, %d tokens" % (d, n))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--models", type=int, default=15)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--no-llama-cpp", action="store_true")
    args = p.parse_args()
    verdict = common.Verdict()
    directories(verdict, args)
    if not args.no_llama_cpp:
        file(verdict)
    verdict.end()


if __name__ == "__main__":
    main()
