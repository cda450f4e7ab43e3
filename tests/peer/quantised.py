"""Quantised weights against llama.cpp and against exact arithmetic on the dequantised weights.

    python quantised.py [--skip-real]

Needs llama-cpp-python, numpy, gguf, jinja2, pillow. Checked:
  blocks   the committed blocks of tests/golden/quant through ggml's own C functions: what the unit test compares with
  mini     its miniatures, where every product has another type, in llama.cpp: how far 8-bit activations lead it astray
  mixes    a random llama, quantised by llama.cpp to each of its mixes: our logits against float32 arithmetic on the dequantised
           weights (which type may stand where is llama.cpp's choice), beside llama.cpp's; mixes of types that are not read are refused by name
  real     a random model of Qwen2.5-0.5B's shape, quantised to Q4_K_M by llama.cpp: our greedy answers and log-probabilities
           against float32 arithmetic on the dequantised weights, beside llama.cpp's on the same tokens
"""
import argparse
import ctypes
import importlib.util
import os
import pathlib
import subprocess
import tempfile
from collections import Counter

import jinja2
import llama_cpp
import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

import common
import export
from peer_llama_cpp import load, log_softmax, logits_of

GOLDEN = common.REPO / "tests" / "golden" / "quant"
STEPS = 24
LIMIT = 0.2  # of a log-probability among our top 20, in standard deviations of the logits; measured 0.15, llama.cpp the same


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem + "_of_" + path.parent.name, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def blocks(verdict, make):
    base = ctypes.CDLL(str(next((pathlib.Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so"))))
    for kind in make.TYPES + make.MORE_TYPES:
        name = kind.name.lower()
        raw, want = np.fromfile(GOLDEN / (name + ".blocks"), np.uint8), np.fromfile(GOLDEN / (name + ".f32"), "<u4")
        got = np.zeros(len(want), np.float32)
        fn = getattr(base, "dequantize_row_" + kind.name.lower().replace("_k", "_K"))
        fn(raw.ctypes.data_as(ctypes.c_void_p), got.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(want)))
        differ = (got.view("<u4") != want) & ~(np.isnan(got) & np.isnan(want.view("<f4")))
        verdict(not differ.any(), "blocks: %s" % kind.name, "%d values" % len(want))


def mini(verdict):
    ids = np.fromfile(GOLDEN / "mini.ids", "<i4").tolist()
    for name in ("mini", "more"):
        want = np.fromfile(GOLDEN / (name + ".logits"), "<f4").reshape(len(ids), -1)
        got = logits_of(load(GOLDEN / (name + ".gguf"), 256), ids)
        size = np.sqrt((want.astype(np.float64) ** 2).mean())
        error, worst = np.sqrt(((got - want) ** 2).mean()) / size, np.abs(got - want).max() / size
        verdict(error < 0.05, name + ": llama.cpp against exact arithmetic", "error %.4f, worst %.4f of the logits' size" % (error, worst))


class Dequantised:
    """Tensors of a file as f32, one at a time; the embedding is kept."""

    def __init__(self, path):
        self.tensors = {t.name: t for t in GGUFReader(str(path)).tensors}
        self.kept = {}

    def __call__(self, name):
        if name == "output.weight" and name not in self.tensors:
            name = "token_embd.weight"
        if name not in self.kept:
            t = self.tensors[name]
            a = dequantize(t.data, t.tensor_type).astype(np.float32).reshape(tuple(int(n) for n in t.shape[::-1]))
            if name != "token_embd.weight":
                return a
            self.kept[name] = a
        return self.kept[name]


MIXES = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M", "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "IQ4_NL",
         "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4_MOE")  # the last one is Q8_0 where there are no experts
REFUSED = ("IQ3_M", "IQ3_S")  # IQ1, IQ2 and the smaller IQ3 ask for a matrix of importance


def program(path, ids, n_vocab):
    """Our logits, K and V in f32."""
    r = subprocess.run([os.environ.get("PEER_LOGITS", str(common.REPO / "build" / "peer_logits")), path, "0", str(len(ids)), "0", "0", "0"],
                       input=np.array([len(ids)] + list(ids), "<u4").tobytes(), capture_output=True)
    return r.stderr.decode().strip() if r.returncode else np.frombuffer(r.stdout, "<f4").reshape(-1, n_vocab)


def mixes(verdict, make):
    random_models = module(common.REPO / "tests" / "bench" / "random_models.py")
    shape = dict(hidden=512, layers=3, heads=8, kv_heads=4, ffn=1024, vocab=512)
    ids = np.random.default_rng(3).integers(4, 272, 200).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        for mix in MIXES + REFUSED:
            random_models.quantised(path, mix, **shape)
            weights = Dequantised(path)
            kinds = sorted({t.tensor_type.name for t in weights.tensors.values()} - {"F32"})
            ours = program(path, ids, shape["vocab"])
            if mix in REFUSED:
                verdict(isinstance(ours, str) and "is not supported" in ours and any(k in ours for k in kinds), "mixes: " + mix, str(ours)[:120])
                continue
            if isinstance(ours, str):
                verdict(False, "mixes: " + mix, ours)
                continue
            want = make.logits(weights, make.Shape(**shape), np.array(ids))
            theirs = logits_of(load(path, 512), ids)
            error, their_error = (float(np.sqrt(((got - want) ** 2).mean() / (want ** 2).mean())) for got in (ours, theirs))
            verdict(error <= 1.1 * their_error, "mixes: " + mix, "error %.4f of the logits' size, llama.cpp's %.4f; %s" % (error, their_error, " ".join(kinds)))


def real(verdict, make):
    random_models = module(common.REPO / "tests" / "bench" / "random_models.py")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        random_models.quantised(path, "Q4_K_M", **random_models.QWEN_05B)
        shape = {k: v for k, v in random_models.QWEN_05B.items() if k != "arch"}
        weights, c = Dequantised(path), make.Shape(neox=True, bias=True, **shape)
        print("       %.0f MB; %s" % (os.path.getsize(path) / 1e6, dict(Counter(t.tensor_type.name for t in weights.tensors.values()))))
        table, llm = common.token_table(path), load(path, 512)
        template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(export.CHAT_TEMPLATE)
        with common.Server(*common.EXACT, model=folder) as server:
            for text in ("Hello", "Spell: na\u00efve \u6f22\u5b57 12345. " * 2):
                messages = [("user", [text])]
                chat = [{"role": "user", "content": [{"type": "text", "text": text}]}]
                ids = llm.tokenize(template.render(messages=chat, add_generation_prompt=True).encode(), add_bos=False, special=True)
                a = common.ask(server, table, messages, STEPS, ignore_eos=True)
                all_ids = ids + a.ids
                want = log_softmax(make.logits(weights, c, np.array(all_ids))[len(ids) - 1:-1])
                theirs = log_softmax(logits_of(llm, all_ids)[len(ids) - 1:-1])
                spread = float(want.std())
                d = common.compare(a, want.copy(), LIMIT * spread)
                top = max(abs(float(theirs[s][t]) - float(want[s][t])) for s in range(len(a.ids)) for t in a.top[s])
                same = sum(int(w.argmax()) == i for w, i in zip(want, a.ids))
                verdict(len(a.ids) == STEPS and a.prompt_tokens == len(ids) and d.worst <= min(LIMIT * spread, 1.5 * top) and d.greedy, "real: %r" % text[:20],
                        "%d + %d tokens, worst %.3f of the spread (llama.cpp's %.3f), same best token %d of %d"
                        % (len(ids), len(a.ids), d.worst / spread, top / spread, same, STEPS))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--skip-real", action="store_true", help="without the model of real shape (a GB of disk, minutes)")
    args = p.parse_args()
    verdict, make = common.Verdict(), module(GOLDEN / "make.py")
    print("llama-cpp-python %s" % llama_cpp.__version__)
    blocks(verdict, make)
    mini(verdict)
    mixes(verdict, make)
    if not args.skip_real:
        real(verdict, make)
    verdict.end()


if __name__ == "__main__":
    main()
