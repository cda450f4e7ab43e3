"""Text architectures, from a directory that transformers saved and from the GGUF file that llama.cpp's converter makes of it.

    python architectures.py [--only TEXT] [--llama-cpp DIR] [--peer] [--keep DIR] [--seed N]

Needs torch, transformers, tokenizers, gguf (samples/training/requirements.txt) and build/peer_logits (PEER_LOGITS names another).
--llama-cpp: a source tree of llama.cpp; its table of tokenizer hashes, which knows no synthetic vocabulary, is passed over.
--peer: llama.cpp itself (llama-cpp-python) computes what it can of the GGUF files, K and V in float32; how far its logits are from ours is told,
and has to be at most 1e-3 in the middle row. Rows stand as text does there. It is further off where its GELU is a table of 16-bit floats (Gemma)
and in models with three axes; a row whose experts change by that differs more.
For each row of CASES a fresh model with random weights: logits of a prompt of 200 rows and of 32 greedy steps in plain C, AVX2 and AVX-512.
Of each row max |a - b| must be at most 1e-4 of max |b|, b being transformers' (float32, eager), and the greedy ids equal. Then the same
bytes must come out when the prompt comes in chunks, and when rows of other sequences stand in each step beside it.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from transformers import (Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, MistralForCausalLM, Phi3Config,
                          Phi3ForCausalLM, Qwen2Config, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM, Qwen2VLConfig,
                          Qwen2VLForConditionalGeneration, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, Qwen3VLConfig,
                          Qwen3VLForConditionalGeneration, Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, SmolLM3Config, SmolLM3ForCausalLM)

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "golden" / "hf"))
import make as golden  # noqa: E402
sys.path.insert(0, str(REPO / "tests" / "golden" / "text"))
import families as texts  # noqa: E402

ROWS, STEPS, BOUND, MARGIN, PEER_BOUND = 200, 32, 1e-4, 1e-2, 1e-3
PIECES = {}  # SentencePiece models by what CASES calls them
DEFAULT = {"rope_type": "default", "rope_theta": 1e4}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1 + i / 8 for i in range(8)], "long_factor": [1 + i for i in range(8)]}
MOE = dict(num_experts=12, num_experts_per_tok=4, moe_intermediate_size=24, norm_topk_prob=True, head_dim=24, rope_parameters=DEFAULT)
M2 = {**DEFAULT, "rope_theta": 1e6, "mrope_section": [3, 4, 5]}
M3 = {**DEFAULT, "rope_theta": 5e6, "mrope_section": [5, 4, 3], "mrope_interleaved": True}
SLIDE = dict(use_sliding_window=True, sliding_window=37)
GEMMA = {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}, "sliding_attention": DEFAULT}
# name: (configuration, model, its own settings, what the converter is to say of the tokenizer or None: it cannot, longest sequence or 0)
CASES = {
    "llama2": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=DEFAULT, tie_word_embeddings=False), "spm", 0),
    "llama3": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=LLAMA3, head_dim=24), "smollm", 0),
    "llama-yarn": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=YARN), "smollm", 0),
    "llama-yarn-mscale": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters={**YARN, "mscale": 0.7, "mscale_all_dim": 1.2, "beta_fast": 24,
                                                                              "truncate": False}), None, 0),
    "llama-dynamic": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters={**DEFAULT, "rope_type": "dynamic", "factor": 4.0}), None, 0),
    "mistral-v0.1": (MistralConfig, MistralForCausalLM, dict(rope_parameters=DEFAULT, sliding_window=37), None, 0),
    "mistral-nemo": (MistralConfig, MistralForCausalLM, dict(rope_parameters=DEFAULT, head_dim=24, sliding_window=None), "smollm", 0),
    "mistral-small": (MistralConfig, MistralForCausalLM, dict(rope_parameters={**DEFAULT, "rope_theta": 1e8}, head_dim=12, sliding_window=None,
                                                              tie_word_embeddings=False), "tekken", 0),
    "smollm2": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=DEFAULT, tie_word_embeddings=True), "smollm", 0),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, dict(rope_parameters={**DEFAULT, "rope_theta": 5e6}, num_hidden_layers=5), "smollm", 0),
    "smollm3-layers": (SmolLM3Config, SmolLM3ForCausalLM, dict(rope_parameters={**DEFAULT, "rope_theta": 5e6}, no_rope_layers=[0, 1, 1, 0]), None, 0),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=DEFAULT), "qwen2", 0),
    "qwen2-yarn": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters={**YARN, "rope_theta": 1e6}), "qwen2", 0),
    "qwen2-window": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=DEFAULT, max_window_layers=2, **SLIDE), None, 0),
    "qwen2-types": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=DEFAULT, layer_types=["sliding_attention", "full_attention"] * 2, **SLIDE), None, 0),
    "qwen2vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration, dict(rope_parameters=M2, hidden_size=96), "qwen2", 0),
    "qwen2.5vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, dict(rope_parameters=M2, hidden_size=96, tie_word_embeddings=False), "qwen2", 0),
    "qwen2.5vl-yarn": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, dict(rope_parameters={**YARN, "mrope_section": [3, 4, 5]}, hidden_size=96),
                       "qwen2", 0),
    "qwen2.5vl-window": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, dict(rope_parameters=M2, hidden_size=96, max_window_layers=1, **SLIDE), None, 0),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(rope_parameters=DEFAULT, head_dim=24), "qwen2", 0),
    "qwen3-window": (Qwen3Config, Qwen3ForCausalLM, dict(rope_parameters=DEFAULT, head_dim=24, max_window_layers=3, **SLIDE), None, 0),
    "qwen3vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration, dict(rope_parameters=M3, head_dim=24), "qwen2", 0),
    "qwen3vlmoe": (Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, {**MOE, "rope_parameters": M3}, "qwen2", 0),
    "qwen3vlmoe-anew": (Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, {**MOE, "rope_parameters": M3}, None, 0),
    "qwen3moe-window": (Qwen3MoeConfig, Qwen3MoeForCausalLM, {**MOE, **SLIDE}, None, 0),
    "qwen3moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, MOE, "qwen2", 0),
    "qwen3moe-mixed": (Qwen3MoeConfig, Qwen3MoeForCausalLM, {**MOE, "norm_topk_prob": False, "decoder_sparse_step": 2, "mlp_only_layers": [3]}, None, 0),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, dict(head_dim=24, query_pre_attn_scalar=24, sliding_window=37, num_hidden_layers=7,
                                                         rope_parameters=GEMMA), "gemma", 0),
    "gemma3-1b": (Gemma3TextConfig, Gemma3ForCausalLM, dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=8, num_key_value_heads=1,
                                                            rope_parameters={**GEMMA, "full_attention": {**DEFAULT, "rope_theta": 1e6}}), "gemma", 0),
    "gemma3-4b": (Gemma3Config, Gemma3ForConditionalGeneration, dict(head_dim=24, query_pre_attn_scalar=24, sliding_window=37, num_hidden_layers=7,
                                                                     rope_parameters=GEMMA), "gemma", 0),
    "mistral-small-3.1": (Mistral3Config, Mistral3ForConditionalGeneration, dict(rope_parameters={**DEFAULT, "rope_theta": 1e9}, head_dim=24, sliding_window=None),
                          "smollm", 0),
    "phi3": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters=DEFAULT, sliding_window=None), "smollm", 0),
    "phi3-window": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters=DEFAULT, sliding_window=37), "smollm", 0),
    "phi3-long": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters=LONG, original_max_position_embeddings=64), "smollm", 0),
    "phi3-short": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters=LONG, original_max_position_embeddings=256), "smollm", 256),
    "phi4": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters={**DEFAULT, "rope_theta": 2.5e5}, sliding_window=None, num_key_value_heads=1), "smollm", 0),
    "phi4-mini": (Phi3Config, Phi3ForCausalLM, dict(rope_parameters={**LONG, "partial_rotary_factor": 0.75, "short_factor": [1.0] * 6,
                                                                     "long_factor": [1 + i / 2 for i in range(6)]}, original_max_position_embeddings=64,
                                                    tie_word_embeddings=True), "smollm", 0),
}

def build(case, n_vocab, seed):
    config_class, model_class, settings, _, _ = case
    torch.manual_seed(seed)
    given = dict(vocab_size=n_vocab, hidden_size=64, intermediate_size=80, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    settings = {**given, **settings}
    if golden.has_tower(model_class, settings):
        settings = golden.with_tower(model_class, settings)
    model = model_class._from_config(config_class(**settings), attn_implementation="eager", dtype=torch.float32).eval()
    gemma = config_class in (Gemma3TextConfig, Gemma3Config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name and not gemma else 0.0, 0.2)
            else:
                p.normal_(0, 0.25 if "embed" in name else 1.3 * p.shape[-1] ** -0.5)
    return model


def positions(rng):
    """[ROWS][3]: text, a picture, text, a clip whose steps in time are long, text"""
    out, at = [], 0

    def text(n):
        nonlocal at
        out.extend([(at + i,) * 3 for i in range(n)])
        at += n

    def grid(t, h, w, step):
        nonlocal at
        out.extend([(at + i * step, at + j, at + k) for i in range(t) for j in range(h) for k in range(w)])
        at = max(max(p) for p in out) + 1

    text(23)
    grid(1, int(rng.integers(4, 9)), 7, 1)
    text(11)
    grid(3, 4, int(rng.integers(2, 5)), 9)
    text(ROWS - len(out))
    return out


def logits_of(model, ids, where):
    more = {}
    if where:
        behind = max(max(p) for p in where) + 1
        all_of = where + [(behind + i,) * 3 for i in range(len(ids) - len(where))]
        more["position_ids"] = torch.tensor(all_of).T.unsqueeze(1)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False, **more).logits[0]


def greedy(model, ids, where=None):
    """-> logits of all rows, ids; None where rounding could change an id"""
    out = list(ids)
    for _ in range(STEPS):
        logits = logits_of(model, out, where)
        top = logits[-1].topk(2).values
        if float(top[0] - top[1]) < MARGIN:
            return None, None
        out.append(int(logits[-1].argmax()))
    return logits_of(model, out, where).numpy(), out[len(ids):]


def ask(path, ids, n_vocab, isa=0, chunk=ROWS, company=0, longest=0, where=None):
    program = os.environ.get("PEER_LOGITS", str(REPO / "build" / "peer_logits"))
    r = subprocess.run([program, path, str(isa), str(chunk), str(company), str(STEPS), str(longest)] + (["1"] if where else []),
                       input=np.array([len(ids)] + ids + [x for p in where or [] for x in p], "<u4").tobytes(), capture_output=True)
    if r.returncode:
        return r.stderr.decode().strip()
    n = (len(ids) + STEPS) * n_vocab
    return r.stdout, np.frombuffer(r.stdout, "<f4", n).reshape(-1, n_vocab), np.frombuffer(r.stdout, "<i4", STEPS, 4 * n).tolist()


def check(name, path, ids, want, said, longest, where):
    worst = 0
    for isa in (1, 2, 3):
        got = ask(path, ids, want.shape[1], isa, longest=longest, where=where)
        if isinstance(got, str):
            return "refused: " + got
        worst = max(worst, float((np.abs(got[1] - want).max(1) / np.abs(want).max(1)).max()))
        if not worst <= BOUND:
            return "logits differ by %.1e" % worst
        if got[2] != said:
            return "other greedy ids"
    for chunk, company in ((1, 0), (7, 0), (ROWS, 15), (64, 5)):
        if ask(path, ids, want.shape[1], 0, chunk, company, longest, where)[0] != got[0]:
            return "chunks of %d beside %d others: other bytes" % (chunk, company)
    return worst


def llama_cpp(path, ids, n_vocab, longest):
    """llama.cpp's logits against ours, rows as text."""
    import llama_cpp as lc
    if "phi3-window" in path:
        return "llama.cpp leaves Phi-3's window out"
    ours = ask(path, ids, n_vocab, longest=longest)
    if isinstance(ours, str):
        return "refused: " + ours
    llm = lc.Llama(path, n_ctx=longest or 512, n_batch=512, n_ubatch=512, logits_all=True, type_k=0, type_v=0, n_threads=1, n_threads_batch=1, verbose=False,
                   flash_attn=False, use_mmap=True)
    llm.eval(ids + ours[2])
    want = np.array(llm.scores[:len(ids) + STEPS])
    rows = np.abs(ours[1] - want).max(1) / np.abs(want).max(1)
    told = "llama.cpp %.1e in the middle, %.1e at worst" % (np.median(rows), rows.max())
    return told if np.median(rows) <= PEER_BOUND else "FAILED: " + told


def convert(tree, pre, folder):
    try:
        golden.convert(tree, pre, folder, folder + ".gguf", PIECES.get(pre))
        return folder + ".gguf"
    except RuntimeError as e:
        return str(e)


def tokenizer(kind):
    if kind in ("spm", "gemma"):
        pieces, PIECES[kind] = texts.train_pieces(1, 700, kind == "gemma")
        from transformers import PreTrainedTokenizerFast
        tok = texts.piece_tokenizer(pieces, kind == "gemma", "gemma" if kind == "gemma" else "legacy")
        names = ("<bos>", "<eos>") if kind == "gemma" else ("<s>", "</s>")
        return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token=names[0], eos_token=names[1], unk_token="<unk>")
    return golden.tokenizer({"qwen2": golden.qwen2, "tekken": golden.tekken}.get(kind, golden.smollm))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="")
    p.add_argument("--llama-cpp")
    p.add_argument("--peer", action="store_true")
    p.add_argument("--keep")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(1)
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for name, case in CASES.items():
            if args.only not in name:
                continue
            fast = tokenizer(case[3])
            want, seed = None, args.seed * 1000
            while want is None:
                seed += 1
                model = build(case, len(fast) + 4, seed)  # a class of tokenizer may add to it
                ids = np.random.default_rng(seed).integers(4, len(fast), ROWS).tolist()
                where = positions(np.random.default_rng(seed)) if golden.has_axes(case[2]) else None
                want, said = greedy(model, ids, where)
            folder = os.path.join(args.keep or tmp, name)
            shutil.rmtree(folder, ignore_errors=True)
            model.save_pretrained(folder)
            fast.save_pretrained(folder)
            if name == "qwen3vlmoe":
                golden.turn_experts(folder)
            paths = [(name, folder)]
            if args.llama_cpp and case[3]:
                paths.append((name + ".gguf", convert(args.llama_cpp, case[3], folder)))
            for what, path in paths:
                result = check(what, path, ids, want, said, case[4], where) if os.path.exists(path) else path
                bad += isinstance(result, str)
                told = result if isinstance(result, str) else "%.1e" % result
                if args.peer and path.endswith(".gguf") and os.path.exists(path):
                    told += "   " + llama_cpp(path, ids, want.shape[1], case[4])
                    bad += "FAILED" in told or "refused" in told
                print("%-24s %s" % (what, told), flush=True)
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
