"""What each type of stored K and V costs: the KL divergence of the next token's distribution, our engine against itself.

    python kv_types.py [--only TEXT] [--pictures 12]

Needs torch, transformers, tokenizers, gguf, pillow (samples/training/requirements.txt) and build/peer_logits (PEER_LOGITS names another).
Models: architectures of architectures.py with random weights and heads of 64 channels; Qwen2 also with four channels of K that a bias
makes 30 times as large as the others, as trained ones have them; the sample, over texts that it never saw, drawn pictures, and its own answers.
f16 is compared with f32, the others with f16, over all rows of all prompts. Two numbers of f32 arithmetic in another order differ as
little as "f32 again" says, which takes the prompt in chunks of 7 in plain C. The bounds of tests/unit/test_kv_types.c come from here.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

import architectures as a
import common

TYPES = {"f16": 1, "f32": 2, "bf16": 3, "q8_0": 4, "fp8": 5}  # sn_kv_dtype
SHAPE = dict(hidden_size=256, intermediate_size=512, num_attention_heads=4, num_key_value_heads=2, head_dim=64)
MODELS = ["llama3", "qwen2", "qwen2, large K", "qwen3", "qwen3moe", "gemma3", "phi3", "mistral-v0.1"]
ROWS, PROMPTS, LARGE = 300, 3, 30.0
PROSE = ["README.md", "samples/model/README.md", "LICENSE"]  # the sample knows no prose: what it makes of it is far from certain
N_PROSE = len(PROSE)


def log_probabilities(path, ids, rows, kv, isa=0, chunk=512):
    program = os.environ.get("PEER_LOGITS", str(a.REPO / "build" / "peer_logits"))
    given = np.array([len(ids)] + ids, "<i4").tobytes() + (b"" if rows is None else rows.astype("<f4").tobytes())
    r = subprocess.run([program, path, str(isa), str(chunk), "0", "0", "0", "0", str(kv)], input=given, capture_output=True)
    if r.returncode:
        sys.exit(r.stderr.decode())
    x = np.frombuffer(r.stdout, "<f4").reshape(len(ids), -1).astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def compare(name, path, prompts):
    """prompts: ids (-1: a row of media), the rows or None"""
    got = {t: [log_probabilities(path, ids, rows, kv) for ids, rows in prompts] for t, kv in TYPES.items()}
    got["f32 again"] = [log_probabilities(path, ids, rows, TYPES["f32"], 1, 7) for ids, rows in prompts]
    for what, to in (("f32 again", "f32"), ("f16", "f32"), ("bf16", "f16"), ("q8_0", "f16"), ("fp8", "f16")):
        p, q = np.concatenate(got[to]), np.concatenate(got[what])
        kl = (np.exp(p) * (p - q)).sum(-1)
        print("%-20s %-10s %8.1e %8.1e %8.1e %9.2f %%" % (name, what, kl.mean(), np.quantile(kl, 0.99), kl.max(), 100 * (p.argmax(-1) == q.argmax(-1)).mean()),
              flush=True)


def miniature(name, folder):
    case, _, large = name.partition(", ")
    config, model_class, settings, _, _ = a.CASES[case]
    settings = {**settings, **SHAPE, **({"query_pre_attn_scalar": 64} if case == "gemma3" else {})}
    fast = a.golden.tokenizer(a.golden.qwen2 if a.CASES[case][3] == "qwen2" else a.golden.smollm)
    model = a.build((config, model_class, settings, None, 0), len(fast) + 4, 1)
    with torch.no_grad():
        if case == "gemma3":  # else a row's logits are hundreds apart, and nothing tells
            model.model.norm.weight.fill_(-0.8)
        if large:
            for layer in model.model.layers:
                layer.self_attn.k_proj.bias[[31, 63, 95, 127]] = torch.tensor([LARGE, -0.7 * LARGE, 0.5 * LARGE, 0.8 * LARGE])
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return [(np.random.default_rng(s).integers(4, len(fast), ROWS).tolist(), None) for s in range(PROMPTS)]


def sample(n_pictures, folder):
    import model as m
    import transformers_sample as t
    model, processor = t.load(folder)
    prose = [("prose", [("user", [(a.REPO / name).read_text()[:1200]])]) for name in PROSE]
    for what, messages in prose + list(t.conversations(n_pictures)):
        if any(not part for _, parts in messages for part in parts):
            continue
        inputs = common.reference_inputs(processor, messages)
        with torch.no_grad():
            ids = model.generate(**inputs, do_sample=False, max_new_tokens=t.MOST)[0].tolist()
            rows = None
            if "pixel_values" in inputs:
                rows = model.get_image_features(inputs["pixel_values"], inputs.get("pixel_attention_mask"))
                rows = getattr(rows, "pooler_output", rows)
                rows = torch.cat([r.reshape(-1, model.config.text_config.hidden_size) for r in rows]).numpy()
        ids = [-1 if i == m.IMAGE else i for i in ids]
        assert ids.count(-1) == (0 if rows is None else len(rows)), what
        yield ids, rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", default="")
    p.add_argument("--pictures", type=int, default=12)
    args = p.parse_args()
    torch.set_num_threads(1)
    print("%-20s %-10s %8s %8s %8s %11s" % ("model", "K and V", "mean", "99 %", "most", "same top 1"))
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            if args.only in name:
                compare(name, folder, miniature(name, folder))
    if args.only in "sample":
        with tempfile.TemporaryDirectory() as folder:
            prompts = list(sample(args.pictures, folder))
            compare("sample, talk", str(common.SAMPLE / "model.gguf"), prompts[N_PROSE:])
            compare("sample, prose", str(common.SAMPLE / "model.gguf"), prompts[:N_PROSE])


if __name__ == "__main__":
    main()
