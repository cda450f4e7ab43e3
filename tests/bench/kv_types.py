"""Tokens a second behind a long prompt with each type of stored K and V, beside llama.cpp with f16 and q8_0.

    build/peer/bin/python tests/bench/kv_types.py [--prompt 8000] [--output 48] [--rounds 3] [--threads N] [--only TYPE]...

A random llama in the shape of SmolLM2-135M, weights in Q8_0: at 8,000 tokens its K and V in f16 are more bytes than its weights. Taking
turns: each round runs every type, then llama.cpp (flash attention, which its q8_0 needs). The floor is weights, K and V over the bandwidth
that numpy reads memory with; bytes of K and V are what the engine's own layout says (sensorium inspect). Needs what tests/bench/peer installs.
"""
import argparse
import os
import re
import subprocess
import tempfile

import llama_cpp

import common
import peer
import random_models

TYPES = ("f32", "f16", "bf16", "q8_0", "fp8")


def token_bytes(path):
    said = subprocess.run([str(common.BIN), "inspect", path], capture_output=True, check=True).stdout.decode()
    return {kind: int(n) for kind, n in re.findall(r"^KV (\w+): (\d+) bytes a token", said, re.M)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--prompt", type=int, default=8000)
    p.add_argument("--output", type=int, default=48)
    p.add_argument("--only", action="append", default=[], choices=TYPES)
    args = p.parse_args()
    args.flash = True
    read = common.bandwidth(args.threads)
    print("%s; %d threads; memory read at %.1f GB/s; %d tokens behind prompts of %d; llama-cpp-python %s" % (
        common.machine(), args.threads, read / 1e9, args.output, args.prompt, llama_cpp.__version__))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        random_models.llama(path, kind="Q8_0", **peer.SMOL)
        stored, weights, got = token_bytes(path), peer.weight_bytes(path), {}
        for _ in range(args.rounds):
            for kind in args.only or TYPES:
                r, = peer.ours(path, args, "--batch-sizes", "1", "--prompt-lengths", str(args.prompt), "--output-len", str(args.output), kv=kind)
                got.setdefault(kind, []).append((r["prompt_tokens_per_second"], r["generation_tokens_per_second"]))
            for kind, number in (("f16", 1), ("q8_0", 8)):
                if args.only and kind not in args.only:
                    continue
                other = peer.quietly(peer.LlamaCpp, path, args, 1, number)
                got.setdefault("llama.cpp " + kind, []).append(other.text(1, args.prompt, args.output))
                peer.quietly(other.close)
        print("%-16s %12s %12s %8s %8s" % ("medians of %d" % args.rounds, "prompt /s", "answer /s", "x f16", "floor"))
        for kind, pairs in got.items():
            ratio = common.median([b / f for (_, b), (_, f) in zip(pairs, got["f16"]) if b and f]) if "f16" in got else float("nan")
            floor = read / (weights + (args.prompt + args.output / 2) * stored[kind.split()[-1]])
            print("%-16s %12.1f %12.2f %8.2f %8.1f" % (kind, common.median([a for a, _ in pairs]), common.median([b for _, b in pairs]), ratio, floor))


if __name__ == "__main__":
    main()
