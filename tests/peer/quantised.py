"""Quantised weights against llama.cpp and against exact arithmetic on the dequantised weights.

    python quantised.py [--skip-real]

Needs llama-cpp-python, numpy, gguf, jinja2, pillow. Checked:
  blocks   the committed blocks of tests/golden/quant through ggml's own C functions: what the unit test compares with
  mini     its miniatures, where every product has another type, in llama.cpp: how far 8-bit activations lead it astray
  real     a random model of Qwen2.5-0.5B's shape, quantised to Q4_K_M by llama.cpp: our greedy answers and log-probabilities
           against float32 arithmetic on the dequantised weights, beside llama.cpp's on the same tokens
"""
import argparse
import ctypes
import importlib.util
import os
import pathlib
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


def real(verdict, make):
    random_models = module(common.REPO / "tests" / "bench" / "random_models.py")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        random_models.q4_k_m(path, **random_models.QWEN_05B)
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
    if not args.skip_real:
        real(verdict, make)
    verdict.end()


if __name__ == "__main__":
    main()
