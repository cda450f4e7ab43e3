"""Speed of the same GGUF files here and in llama.cpp, on the same threads, taking turns in one run.

    python peer_speed.py [--rounds 3] [--threads N] [--only PART]... [--flash]

Needs llama-cpp-python, numpy, gguf, pillow. Measured: the sample model; a random llama in the shape of SmolLM2-135M in
F16, BF16 and Q8_0, and in that of Qwen2.5-0.5B in Q4_K_M; a random tower of 1,024 patches (768 wide, 3 layers, F16). We are asked through HTTP, so our figures
pay for HTTP and SSE; llama.cpp is called in C. K and V are f16 on both sides, prompts are never seen before. The floor
of a token is the bytes of the weights over the bandwidth that numpy reads memory with. No goal: a table.
"""
import argparse
import ctypes
import io
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import llama_cpp
import numpy as np
from gguf import GGUFReader
from llama_cpp import mtmd_cpp as mtmd
from PIL import Image

import common
import random_models
from common import SAMPLE, Server, ask, drawn, median, picture_part

PROMPT, GENERATED = 512, 64
SMOL = dict(hidden=576, layers=30, heads=9, kv_heads=3, ffn=1536, vocab=49152, theta=100000.0)
TOWER = dict(image=512, patch=16, hidden=768, layers=3, heads=12, ffn=3072, scale=4, width=64)


def bandwidth(threads):
    """Bytes a second that all threads together read."""
    parts = [np.ones(48 << 20, np.float32) for _ in range(threads)]
    best = 0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begin = time.monotonic()
            list(pool.map(np.max, parts))
            best = max(best, sum(p.nbytes for p in parts) / (time.monotonic() - begin))
    return best


def weight_bytes(path):
    tensors = {t.name: int(t.n_bytes) for t in GGUFReader(path).tensors}
    if "output.weight" in tensors:
        tensors.pop("token_embd.weight")  # one row of it
    return sum(tensors.values())


def unseen(n):
    return ("%d " % time.monotonic_ns())[::-1] + "the quick brown fox " * (n // 20)


class Ours:
    def __init__(self, folder, threads):
        self.server = Server(folder, "--threads", str(threads), "--no-enable-prefix-caching", "--kv-cache-dtype", "f16")
        ask(self.server, "warm up", 4)

    def text(self):
        a = ask(self.server, unseen(PROMPT), GENERATED, ignore_eos=True, logprobs=True)
        return a.prompt_tokens / a.first_s, (len(a.times) - 1) / (a.times[-1] - a.times[0])

    def picture(self, png):
        """Seconds that the picture adds to the first token."""
        with_it = ask(self.server, [picture_part(png), {"type": "text", "text": "x"}], 1).first_s
        return with_it - ask(self.server, "x" * 64, 1).first_s


class LlamaCpp:
    def __init__(self, path, threads, flash):
        self.threads = threads
        self.llm = llama_cpp.Llama(path, n_ctx=PROMPT + GENERATED + 128, n_batch=PROMPT + 64, n_ubatch=512, n_threads=threads,
                                   n_threads_batch=threads, flash_attn=flash, verbose=False)
        self.text(32, 4)

    def decode(self, ids):
        array = (llama_cpp.llama_token * len(ids))(*ids)
        assert llama_cpp.llama_decode(self.llm.ctx, llama_cpp.llama_batch_get_one(array, len(ids))) == 0
        return int(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.llm.ctx, -1), (self.llm.n_vocab(),)).argmax())

    def text(self, n_prompt=PROMPT, n=GENERATED):
        self.llm._ctx.kv_cache_clear()
        ids = self.llm.tokenize(("<|im_start|>User: " + unseen(n_prompt)).encode(), add_bos=False, special=True)
        begin = time.monotonic()
        token = self.decode(ids)
        first = time.monotonic()
        for _ in range(n):
            token = self.decode([token])
        return len(ids) / (first - begin), n / (time.monotonic() - first)

    def open_tower(self, path, flash):
        params = mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.warmup = False, self.threads, False
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.tower = mtmd.mtmd_init_from_file(path.encode(), self.llm.model, params)
        assert self.tower

    def picture(self, png):
        """Seconds for one image of the picture (it makes a tile beside the overview, which is not counted)."""
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
                return time.monotonic() - begin


def row(what, ours, theirs, unit, floor=None):
    a, b = median(ours), median(theirs)
    ratio = a / b if unit == "/s" else b / a
    print("%-34s %10.4g %10.4g %-3s  ours is %.2f times as fast%s" % (
        what, a, b, unit, ratio, "" if floor is None else "; floor %.4g /s, we reach %.0f %%" % (floor, 100 * a / floor)), flush=True)


def quietly(make, *args):
    """libmtmd logs to stderr whatever it is told."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        return make(*args)
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def text_speed(name, folder, args, read):
    path = os.path.join(folder, "model.gguf")
    ours, theirs = Ours(folder, args.threads), LlamaCpp(path, args.threads, args.flash)
    pairs = [(ours.text(), theirs.text()) for _ in range(args.rounds)]
    ours.server.close()
    row(name + ": prompt", [a[0] for a, _ in pairs], [b[0] for _, b in pairs], "/s")
    row(name + ": generation", [a[1] for a, _ in pairs], [b[1] for _, b in pairs], "/s", read / weight_bytes(path))


def picture_speed(folder, args):
    random_models.llama(os.path.join(folder, "model.gguf"), hidden=64, layers=3, heads=4, kv_heads=2, ffn=96)
    random_models.tower(os.path.join(folder, "mmproj.gguf"), kind="F16", **TOWER)
    ours, theirs = Ours(folder, args.threads), LlamaCpp(os.path.join(folder, "model.gguf"), args.threads, args.flash)
    quietly(theirs.open_tower, os.path.join(folder, "mmproj.gguf"), args.flash)
    pairs = []
    for i in range(args.rounds + 1):
        png = drawn(i, (512, 512))
        pairs.append((ours.picture(png), quietly(theirs.picture, png)))
    ours.server.close()
    row("tower F16, 1024 patches", [a for a, _ in pairs[1:]], [b for _, b in pairs[1:]], "s")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--only", action="append", default=[], choices=("sample", "F16", "BF16", "Q8_0", "Q4_K_M", "tower"))
    p.add_argument("--flash", action="store_true", help="llama.cpp with flash attention")
    args = p.parse_args()
    wanted = lambda part: not args.only or part in args.only  # noqa: E731
    read = bandwidth(args.threads)
    print("%s; %d threads; memory read at %.1f GB/s; llama-cpp-python %s%s" % (
        common.machine(), args.threads, read / 1e9, llama_cpp.__version__, ", flash attention" if args.flash else ""))
    print("%-34s %10s %10s" % ("median of %d" % args.rounds, "ours", "llama.cpp"))
    if wanted("sample"):
        text_speed("sample BF16", str(SAMPLE), args, read)
    for kind in ("F16", "BF16", "Q8_0"):
        if wanted(kind):
            with tempfile.TemporaryDirectory() as folder:
                random_models.llama(os.path.join(folder, "model.gguf"), kind=kind, **SMOL)
                text_speed("135M shape " + kind, folder, args, read)
    if wanted("Q4_K_M"):
        with tempfile.TemporaryDirectory() as folder:
            quietly(lambda: random_models.q4_k_m(os.path.join(folder, "model.gguf"), **random_models.QWEN_05B))
            text_speed("Qwen2.5-0.5B shape Q4_K_M", folder, args, read)
    if wanted("tower"):
        with tempfile.TemporaryDirectory() as folder:
            picture_speed(folder, args)


if __name__ == "__main__":
    main()
