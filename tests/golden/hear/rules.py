#!/usr/bin/env python3
"""Goldens of the rules about stamps: transformers' logits processors on random logits and histories, legal and not.

  rules.py OUT        writes OUT/rules.bin (little-endian int32)

One case: n_vocab, end, no_stamps, first_stamp, max_first (-1: none), n_said, said..., n_suppress, suppress..., n_begin,
begin..., logits x 8 (n_vocab of them), then the answer: kept (n_vocab flags), best token (-1: none left), its log-probability
x 2^20. Needs torch and transformers, which the test does not."""
import os
import struct
import sys
from types import SimpleNamespace

import numpy as np
import torch
from transformers.generation.logits_process import (SuppressTokensAtBeginLogitsProcessor, SuppressTokensLogitsProcessor,
                                                    WhisperTimeStampLogitsProcessor)

N_CASES, PROMPT = 400, 3


def processors(c):
    config = SimpleNamespace(no_timestamps_token_id=c.no_stamps, eos_token_id=c.end, bos_token_id=c.end)
    if c.max_first >= 0:
        config.max_initial_timestamp_index = c.max_first
    return [SuppressTokensAtBeginLogitsProcessor(c.begin, begin_index=PROMPT), SuppressTokensLogitsProcessor(c.suppress),
            WhisperTimeStampLogitsProcessor(config, begin_index=PROMPT)]


def run(c, said, logits):
    ids = torch.tensor([[0] * PROMPT + said])
    scores = torch.tensor(logits, dtype=torch.float32)[None]
    for p in processors(c):
        scores = p(ids, scores)
    return scores[0]


def make(rng):
    n_text, n_special, n_stamps = int(rng.integers(5, 24)), int(rng.integers(2, 6)), int(rng.integers(4, 28))
    c = SimpleNamespace(end=n_text, no_stamps=n_text + n_special - 1, first_stamp=n_text + n_special, n_vocab=n_text + n_special + n_stamps)
    c.max_first = int(rng.integers(0, n_stamps + 3)) if rng.random() < 0.7 else -1
    c.suppress = sorted(set(int(t) for t in rng.integers(0, c.first_stamp, rng.integers(0, 5))) - {c.end})
    c.begin = sorted({int(rng.integers(0, n_text)), c.end})
    c.logits = lambda: np.round(rng.normal(0, 2, c.n_vocab) * 8 + (rng.normal(0, 10) * (np.arange(c.n_vocab) >= c.first_stamp))).clip(-800, 800)
    return c


def history(rng, c):
    if rng.random() < 0.25:  # whatever: the rules must not mind
        return [int(t) for t in rng.integers(0, c.n_vocab, rng.integers(0, 12))]
    said = []
    for _ in range(int(rng.integers(0, 14))):
        scores = run(c, said, c.logits() / 8)
        if torch.isinf(scores).all():
            break
        token = int(torch.multinomial(torch.softmax(scores, -1), 1))
        if token == c.end:
            break
        said.append(token)
    return said


def main(out):
    rng = np.random.default_rng(4)
    torch.manual_seed(4)
    blob = []
    for _ in range(N_CASES):
        c = make(rng)
        said, logits = history(rng, c), c.logits()
        scores = run(c, said, logits / 8)
        kept = ~torch.isinf(scores)
        best = int(scores.argmax()) if kept.any() else -1
        logprob = float(torch.log_softmax(scores.double(), -1)[best]) if best >= 0 else 0
        blob += [c.n_vocab, c.end, c.no_stamps, c.first_stamp, c.max_first, len(said), *said, len(c.suppress), *c.suppress, len(c.begin), *c.begin,
                 *(int(x) for x in logits), *(int(k) for k in kept), best, round(logprob * 2**20)]
    with open(os.path.join(out, "rules.bin"), "wb") as f:
        f.write(struct.pack(f"<{len(blob)}i", *blob))


if __name__ == "__main__":
    main(sys.argv[1])
