"""Speed of the same GGUF files here (`sensorium bench`) and in llama.cpp, on the same threads, taking turns in one run.

    tests/bench/peer [--rounds 3] [--threads N] [--only PART]... [--batch-sizes 1,4,16] [--prompt 512] [--output 64] [--flash] [--json FILE]

Measured: the sample model; a random llama in the shape of SmolLM2-135M in F16, BF16 and Q8_0; one in that of Qwen2.5-0.5B in
Q4_K_M; a random tower of 1,024 patches (768 wide, 3 layers, F16). Both sides are asked in C, without HTTP. K and V are f16 on both
sides, every prompt is new. Each round runs both, ours first in the odd ones; figures are medians, the ratio is the median of the
rounds' ratios. The floor of a generated token is the bytes of the weights over the bandwidth that numpy reads memory with.
"""
import argparse
import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
import time

import llama_cpp
import numpy as np
from gguf import GGUFReader
from llama_cpp import mtmd_cpp as mtmd
from PIL import Image

import common
import random_models
from common import BIN, SAMPLE, drawn, median

SMOL = dict(hidden=576, layers=30, heads=9, kv_heads=3, ffn=1536, vocab=49152, theta=100000.0)
TOWER = dict(image=512, patch=16, hidden=768, layers=3, heads=12, ffn=3072, scale=4, width=64)
PARTS = ("sample", "F16", "BF16", "Q8_0", "Q4_K_M", "tower")


def weight_bytes(path):
    tensors = {t.name: int(t.n_bytes) for t in GGUFReader(path).tensors}
    if "output.weight" in tensors:
        tensors.pop("token_embd.weight")  # one row of it
    return sum(tensors.values())


def ours(model, args, *flags, kv="f16"):
    done = subprocess.run([str(BIN), "bench", str(model), "--json", "--rounds", "1", "--threads", str(args.threads), "--log-level", "error",
                           "--kv-cache-dtype", kv, "--kv-cache-memory", "2G", *flags], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return json.loads(done.stdout)["results"]


class LlamaCpp:
    """The C API: one context, the batch's sequences side by side."""

    def __init__(self, path, args, most, kv=None):
        """kv: a ggml type of K and V beside its own choice, f16; needs --flash"""
        self.args = args
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, path
        c = llama_cpp.llama_context_default_params()
        c.n_ctx = most * (args.prompt + args.output + 2) + 256
        c.n_batch = c.n_ubatch = 512
        c.n_seq_max = most
        c.n_threads = c.n_threads_batch = args.threads
        c.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if args.flash else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        c.kv_unified = True
        if kv is not None:
            c.type_k = c.type_v = kv
        self.ctx = llama_cpp.llama_init_from_model(self.model, c)
        assert self.ctx
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)
        self.rng = np.random.default_rng(1)
        self.text(1, 32, 4)

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.ctx)
        llama_cpp.llama_model_free(self.model)

    def decode(self, rows):
        """rows: (token, position, sequence, wants logits), at most 512."""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, pos, seq, out) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, pos, 1, out
            b.seq_id[i][0] = seq
        assert llama_cpp.llama_decode(self.ctx, b) == 0
        return [int(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.ctx, i), (self.n_vocab,)).argmax())
                for i, row in enumerate(rows) if row[3]]

    def text(self, n_batch, n_prompt, n_output):
        """Tokens a second: of all prompts, of all answers."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.ctx), True)
        ids = self.rng.integers(0, self.n_vocab, (n_batch, n_prompt)).tolist()
        rows = [(ids[s][p], p, s, p == n_prompt - 1) for s in range(n_batch) for p in range(n_prompt)]
        begin = time.monotonic()
        last = []
        for i in range(0, len(rows), 512):
            last += self.decode(rows[i:i + 512])
        first = time.monotonic()
        for step in range(n_output):
            last = self.decode([(t, n_prompt + step, s, True) for s, t in enumerate(last)])
        return n_batch * n_prompt / (first - begin), n_batch * n_output / (time.monotonic() - first)

    def open_tower(self, path):
        params = mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.warmup = False, self.args.threads, False
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if self.args.flash else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.tower = mtmd.mtmd_init_from_file(str(path).encode(), self.model, params)
        assert self.tower

    def picture(self, png):
        """Milliseconds for one image of the picture (it makes a tile beside the overview, which is not counted)."""
        image = Image.open(io.BytesIO(png)).convert("RGB")
        pixels = np.ascontiguousarray(np.asarray(image))
        bitmap = mtmd.mtmd_bitmap_init(*image.size, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        chunks, text, raw = mtmd.mtmd_input_chunks_init(), mtmd.mtmd_input_text(), mtmd.mtmd_default_marker()
        text.text, text.text_len, text.add_special, text.parse_special = raw, len(raw), False, True
        assert mtmd.mtmd_tokenize(self.tower, chunks, ctypes.byref(text), (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap), 1) == 0
        for i in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, i)
            if mtmd.mtmd_input_chunk_get_type(chunk) != 0:
                begin = time.monotonic()
                assert mtmd.mtmd_encode_chunk(self.tower, chunk) == 0
                return (time.monotonic() - begin) * 1e3
        raise RuntimeError("no picture in the prompt")


def quietly(make, *args):
    """libllama and libmtmd log to stderr whatever they are told."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        return make(*args)
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


class Report:
    def __init__(self):
        self.rows = []

    def add(self, what, unit, pairs, floor=None):
        """pairs: (ours, theirs) of each round; unit "/s": more is better, "ms": less is."""
        a, b = median([x for x, _ in pairs]), median([y for _, y in pairs])
        ratio = median([x / y if unit == "/s" else y / x for x, y in pairs if x and y])
        self.rows.append({"what": what, "unit": unit, "ours": a, "llama.cpp": b, "ratio": ratio, "floor": floor})
        print("%-44s %10.4g %10.4g %-3s %6.2f%s" % (
            what, a, b, unit, ratio, "" if floor is None else "   floor %.4g /s, we reach %.0f %%" % (floor, 100 * a / floor)), flush=True)


def take_turns(rounds, one, other):
    """Pairs of results, the order changing from round to round."""
    pairs = []
    for i in range(rounds):
        if i % 2 == 0:
            a = one()
            pairs.append((a, other()))
        else:
            b = other()
            pairs.append((one(), b))
    return pairs


def text_speed(report, name, folder, args, read):
    path = os.path.join(folder, "model.gguf")
    floor = read / weight_bytes(path)
    peer = quietly(LlamaCpp, path, args, max(args.batches))
    for batch in args.batches:
        def mine(batch=batch):
            r, = ours(path, args, "--batch-sizes", str(batch), "--prompt-lengths", str(args.prompt), "--output-len", str(args.output))
            return r["prompt_tokens_per_second"], r["generation_tokens_per_second"]
        pairs = take_turns(args.rounds, mine, lambda batch=batch: peer.text(batch, args.prompt, args.output))
        report.add("%s: prompt, batch %d" % (name, batch), "/s", [(a[0], b[0]) for a, b in pairs])
        report.add("%s: generation, batch %d" % (name, batch), "/s", [(a[1], b[1]) for a, b in pairs], floor if batch == 1 else None)
    quietly(peer.close)


def picture_speed(report, folder, args):
    model, tower, picture = (os.path.join(folder, n) for n in ("model.gguf", "mmproj.gguf", "picture.png"))
    random_models.llama(model, hidden=64, layers=3, heads=4, kv_heads=2, ffn=96)
    random_models.tower(tower, kind="F16", **TOWER)
    png = drawn(1, (512, 512))
    with open(picture, "wb") as f:
        f.write(png)
    peer = quietly(LlamaCpp, model, args, 1)
    quietly(peer.open_tower, tower)

    def mine():
        return [r for r in ours(folder, args, "--batch-sizes", "1", "--prompt-lengths", "1", "--output-len", "1", "--image", picture)
                if r["kind"] == "picture"][0]["encoder_ms"]
    quietly(peer.picture, png)
    report.add("tower F16, 1,024 patches", "ms", take_turns(args.rounds, mine, lambda: quietly(peer.picture, png)))
    quietly(peer.close)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--only", action="append", default=[], choices=PARTS)
    p.add_argument("--batch-sizes", default="1,4,16")
    p.add_argument("--prompt", type=int, default=512, help="tokens of each prompt")
    p.add_argument("--output", type=int, default=64, help="tokens of each answer")
    p.add_argument("--flash", action="store_true", help="llama.cpp with flash attention")
    p.add_argument("--json", help="where the figures go as well")
    args = p.parse_args()
    args.batches = [int(n) for n in args.batch_sizes.split(",")]
    wanted = lambda part: not args.only or part in args.only  # noqa: E731
    read, report = common.bandwidth(args.threads), Report()
    print("%s; %d threads; memory read at %.1f GB/s; llama-cpp-python %s%s; prompts of %d tokens, answers of %d" % (
        common.machine(), args.threads, read / 1e9, llama_cpp.__version__, ", flash attention" if args.flash else "", args.prompt, args.output))
    print("%-44s %10s %10s     %6s" % ("medians of %d rounds" % args.rounds, "ours", "llama.cpp", "ratio"))
    if wanted("sample"):
        text_speed(report, "sample BF16", str(SAMPLE), args, read)
    for kind, shape in (("F16", SMOL), ("BF16", SMOL), ("Q8_0", SMOL), ("Q4_K_M", random_models.QWEN_05B)):
        if wanted(kind):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "model.gguf")
                if kind == "Q4_K_M":
                    quietly(lambda: random_models.quantised(path, "Q4_K_M", **shape))
                else:
                    random_models.llama(path, kind=kind, **shape)
                text_speed(report, "%s shape %s" % ("0.5B" if shape is random_models.QWEN_05B else "135M", kind), folder, args, read)
    if wanted("tower"):
        with tempfile.TemporaryDirectory() as folder:
            picture_speed(report, folder, args)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": common.machine(), "threads": args.threads, "bytes_per_second": read, "results": report.rows}, f, indent=1)


if __name__ == "__main__":
    main()
