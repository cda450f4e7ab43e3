"""Audio chat models whole: sound to the server, answer beside transformers' own, with fresh random weights and fresh sounds.

    python hearing_models.py --llama-cpp DIR [--only TEXT] [--ask TEXT] [--seed N] [--shapes N] [--keep DIR] [--mtmd]

DIR is a source tree of llama.cpp: its convert_hf_to_gguf.py writes model.gguf and mmproj.gguf of each miniature (hearing_families.py
says what it can not). Needs torch, transformers, tokenizers, safetensors, gguf (samples/training/requirements.txt), mistral-common with
soundfile and soxr for Voxtral's processor; --mtmd needs llama-cpp-python.

A sound goes to /v1/chat/completions as input_audio (WAV, 16 bits, 16 kHz), answers are 24 tokens at temperature 0. The prompt must have as
many tokens as the reference's processor makes of the same message. The reference is then run on the processor's own features and exactly
the tokens that we sampled: each must be its best, and all our top 20 log-probabilities its own, within BOUND. Weights, K and V are
float32 on both sides; what is left is the order of sums, and the log-mel, which agrees to 2.3e-5. That a wrong sound would show is part
of the check: with a twentieth of it turned around, the reference's own log-probabilities must move by ten times the bound.

BOUND is 3e-4. Most of what was measured is 3e-6 to 1e-5; the worst is 6.3e-5, of an Ultravox of which a short sound moves everything.

Where the server does other than the references' processors by intent, the reference is given what the server hears: Qwen2-Audio's
processor cuts a clip off after 30 s, here the pieces are heard one after the other; Qwen2-Audio's and Qwen2.5-Omni's make no row of less
than three frames, here such a sound ends in silence; Ultravox's pads the sounds of a request to the longest, here each is its own.
--mtmd asks llama.cpp for a second opinion (hearing_mtmd.py).
"""
import argparse
import base64
import os
import random
import subprocess
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers

import common
import harness
from common import Verdict
from hearing_families import FAMILIES, RATE, convert, dims, files, wav

BOUND, STEPS = 3e-4, 24
SECONDS = (0.3, 7.0, 29.985, 30.0, 31.0, 75.0)


def sound(seconds, rng):
    """Chirps that come and go over a noise floor, and a pause; whole 1/32768ths."""
    t = np.arange(round(seconds * RATE)) / RATE
    x = np.zeros(len(t))
    for _ in range(4 + int(2 * seconds)):
        at, wide, low, slope = rng.uniform(0, seconds), rng.uniform(0.03, 0.4), rng.uniform(90, 3500), rng.uniform(-400, 600)
        x += rng.uniform(0.02, 0.2) * np.sin(2 * np.pi * (low + slope * (t - at)) * (t - at)) * np.exp(-((t - at) / wide) ** 2)
    x += 10 ** rng.uniform(-4, -2) * rng.standard_normal(len(t))
    quiet = int(rng.uniform(0, 0.7) * len(t))
    x[quiet:quiet + len(t) // 5] *= 1e-3
    return (np.round(np.clip(x, -0.95, 0.95) * 32768) / 32768).astype(np.float32)


def changed(x):
    """The same sound with a twentieth in its middle, half a second or more (all of a short one), turned around and made louder."""
    n = max(RATE // 4, len(x) // 40)
    y, middle = x.copy(), slice(max(0, len(x) // 2 - n), len(x) // 2 + n)
    y[middle] = np.clip(3 * x[middle][::-1] + 0.01, -0.95, 0.95)
    return (np.round(y * 32768) / 32768).astype(np.float32)


def questions(rng):
    """name: parts of one user message"""
    asked = {"%g s" % s: [sound(s, rng), "What is it?"] for s in SECONDS}
    asked["an odd length"] = ["It's the 1st:", sound(rng.uniform(0.5, 12), rng)]
    asked["two sounds"] = [sound(3.21, rng), sound(1.5, rng), "Which is louder?"]
    asked["two sounds between texts"] = ["First this:", sound(2.345, rng), "then that:", sound(33.3, rng), "describe it."]
    asked["less than a frame"] = [sound(0.004, rng), "What?"]
    return asked


def part(p):
    if isinstance(p, str):
        return {"type": "text", "text": p}
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav(p)).decode(), "format": "wav"}}


def ask(server, table, parts, banned):
    return common.ask_wired(server, table, [{"role": "user", "content": [part(p) for p in parts]}], STEPS,
                            logit_bias={str(i): -100 for i in banned})


def check(server, table, family, parts, what, verdict):
    a = ask(server, table, parts, family.banned)
    inputs = family.inputs(parts)
    reference = family.forced(inputs, a.ids)
    other = family.forced(family.inputs([p if isinstance(p, str) else changed(p) for p in parts]), a.ids)
    d = common.compare(a, reference.copy(), BOUND, family.banned)
    moved = float(np.sort(abs(reference - other), axis=1)[:, -20:].max())
    n = inputs["input_ids"].shape[1]
    good = a.prompt_tokens == n and len(a.ids) == STEPS and d.greedy and d.worst <= BOUND and moved >= 10 * BOUND
    verdict(good, what, "%d prompt tokens%s; %d steps, worst %.1e%s; another sound moves it by %.1e" % (
        n, "" if a.prompt_tokens == n else ", OURS %d" % a.prompt_tokens, len(a.ids), d.worst, "" if d.greedy else ", NOT its best", moved))
    return a, reference


def one_shape(name, seed, folder, args, verdict):
    d = dims(seed)
    family = FAMILIES[name](folder, d, seed % 2 ** 32)
    model, mmproj = files(family, args.llama_cpp)
    print("       %s: %s" % (name, d), flush=True)
    table = common.token_table(model)
    flags = ["--mmproj", mmproj, "--chat-template", family.template] if family.template else ["--mmproj", mmproj]
    answers = {}
    with common.Server(*common.EXACT, *flags, model=model) as server:
        for what, parts in questions(np.random.default_rng(seed)).items():
            if args.ask not in what:
                continue
            try:
                answers[what] = parts, *check(server, table, family, parts, "%s, %s" % (name, what), verdict)
            except Exception as e:  # the others still run
                verdict(False, "%s, %s" % (name, what), "%s: %s" % (type(e).__name__, str(e)[-600:]))
    if family.template:
        with common.Server(*common.EXACT, "--mmproj", mmproj, model=model) as server:
            a = ask(server, table, ["Hello", sound(2, np.random.default_rng(seed))], family.banned)
            verdict(a.prompt_tokens > 375 + 5, "%s, the converter's own template, which knows no sound, takes one" % name,
                    "%d prompt tokens" % a.prompt_tokens)
    if args.mtmd:
        import hearing_mtmd
        hearing_mtmd.compare(name, family, model, mmproj, answers, verdict)


def refused(args, verdict):
    """Whole files as the converter writes them, of which a part is not served yet: that part is named."""
    with tempfile.TemporaryDirectory() as folder:
        for name, source, pre, words in (("voxtral", "text", "tekken", "pre-tokenizer 'tekken' is not supported"),
                                         ("qwen2.5-omni", "tower", "qwen2", "qwen2vl is not supported")):
            if args.only not in name:
                continue
            os.makedirs(os.path.join(folder, name))
            family = FAMILIES[name](os.path.join(folder, name), dims(1), 1)
            path = convert(args.llama_cpp, pre, getattr(family, source), os.path.join(folder, name + ".gguf"))
            r = subprocess.run([harness.BIN, "serve", path, "--port", "0"], capture_output=True, text=True, timeout=60)
            verdict(r.returncode > 0 and words in r.stderr, "%s, the converter's own text model is refused" % name,
                    r.stderr.strip().splitlines()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--llama-cpp", required=True, help="source tree of llama.cpp")
    p.add_argument("--only", default="", help="families whose names hold this")
    p.add_argument("--ask", default="", help="questions whose names hold this")
    p.add_argument("--seed", type=int, help="of weights, shapes and sounds [another one each time]")
    p.add_argument("--shapes", type=int, default=2, help="of each family [2]")
    p.add_argument("--keep", help="folder for the files")
    p.add_argument("--mtmd", action="store_true", help="a second opinion: llama.cpp")
    args = p.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10 ** 6)
    print("seed %d" % seed, flush=True)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(2)
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as temporary:
        for name in FAMILIES:
            for i in range(args.shapes if args.only in name else 0):
                folder = os.path.join(args.keep or temporary, "%s-%d" % (name, i))
                os.makedirs(folder)
                one_shape(name, 100 * seed + i, folder, args, verdict)
    if not args.ask:
        refused(args, verdict)
    verdict.end()


if __name__ == "__main__":
    main()
