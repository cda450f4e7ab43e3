"""Tokens a second behind a long prompt with each type of stored K and V, beside llama.cpp with f16 and q8_0.

    build/peer/bin/python tests/bench/kv_types.py [--prompt 8000] [--output 64] [--rounds 3] [--threads N] [--only TYPE]...

A random llama in the shape of SmolLM2-135M, weights in Q8_0: at 8,000 tokens its K and V in f16 are more bytes than its weights. Taking
turns: each round runs every type, then llama.cpp (flash attention, which its q8_0 needs); ours through HTTP, timed from the first token to
the last. The floor is weights, K and V over the bandwidth that numpy reads memory with. Needs what tests/bench/peer installs.
"""
import argparse
import os
import random
import tempfile

import llama_cpp

import common
import peer
import random_models

TYPES = {"f32": 4, "f16": 2, "bf16": 2, "q8_0": 17 / 16, "fp8": 17 / 16}  # bytes of a channel


def ours(path, kind, args, seed):
    flags = ("--kv-cache-dtype", kind, "--kv-cache-memory", "1G", "--threads", str(args.threads), "--no-enable-prefix-caching")
    rng = random.Random(seed)
    with common.Server(path, *flags) as server:
        s = common.ask(server, "".join(rng.choices("abcdefghij 0123456789", k=args.prompt)), args.output, ignore_eos=True, logprobs=True)
    assert args.prompt <= s.prompt_tokens < args.prompt + 64 and len(s.times) == args.output, (s.prompt_tokens, len(s.times))
    return s.prompt_tokens / s.first_s, (args.output - 1) / (s.times[-1] - s.first_s)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--prompt", type=int, default=8000)
    p.add_argument("--output", type=int, default=64)
    p.add_argument("--only", action="append", default=[], choices=list(TYPES))
    args = p.parse_args()
    args.flash = True
    read = common.bandwidth(args.threads)
    print("%s; %d threads; memory read at %.1f GB/s; %d tokens behind prompts of %d; llama-cpp-python %s" % (
        common.machine(), args.threads, read / 1e9, args.output, args.prompt, llama_cpp.__version__), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path, got = os.path.join(folder, "model.gguf"), {}
        random_models.llama(path, kind="Q8_0", **peer.SMOL)
        weights, channels = peer.weight_bytes(path), 2 * peer.SMOL["layers"] * peer.SMOL["kv_heads"] * 64
        for i in range(args.rounds):
            for kind in TYPES:
                if not args.only or kind in args.only:
                    got.setdefault(kind, []).append(ours(path, kind, args, i))
            for kind, number in (("f16", 1), ("q8_0", 8)):
                if not args.only or kind in args.only:
                    other = peer.quietly(peer.LlamaCpp, path, args, 1, number)
                    got.setdefault("llama.cpp " + kind, []).append(other.text(1, args.prompt, args.output))
                    peer.quietly(other.close)
        print("%-16s %12s %12s %8s %8s" % ("medians of %d" % args.rounds, "prompt /s", "answer /s", "x f16", "floor"))
        for kind, pairs in got.items():
            ratio = common.median([b / f for (_, b), (_, f) in zip(pairs, got.get("f16", []))])
            floor = read / (weights + args.prompt * channels * TYPES[kind.split()[-1]])
            print("%-16s %12.1f %12.2f %8.2f %8.1f" % (kind, common.median([a for a, _ in pairs]), common.median([b for _, b in pairs]), ratio, floor))


if __name__ == "__main__":
    main()
