#!/usr/bin/env python3
"""Goldens of word times: OpenAI's timing.py and tokenizer.py on random attention weights, tokens and alignments.

  timing.py OUT       writes OUT/align.bin and OUT/words.bin (little-endian 32-bit words)

align.bin, one case: heads, tokens, rows, kept rows, first, end, weights (floats), begins of tokens first..end-1.
words.bin: the vocabulary (texts in GPT-2's byte alphabet), then cases: language, where the last word ended, where the window
begins (both x 100), segments (text tokens, start, end x 100), the row at which each token begins and the end; the answer: each
segment's start and end (x 10^6) and its words (text, start, end x 10^6).
Needs torch, transformers and openai-whisper, which the test does not."""
import os
import struct
import sys
from types import SimpleNamespace

import numpy as np
import torch
from transformers.models.whisper import generation_whisper as hf
from whisper import timing
from whisper.tokenizer import Tokenizer


# ---- alignment

def reference_begins(weights, first, end):
    """What find_alignment does between the weights and jump_times; transformers' filter and path must agree."""
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    weights = (weights - mean) / std
    filtered = timing.median_filter(weights, 7)
    assert torch.equal(filtered[None], hf._median_filter(weights[None], 7))
    matrix = filtered.mean(axis=0)[first:end]
    text, time = timing.dtw(-matrix)
    theirs = hf._dynamic_time_warping(-matrix.double().numpy())
    assert np.array_equal(text, theirs[0]) and np.array_equal(time, theirs[1])
    jumps = np.pad(np.diff(text), (1, 0), constant_values=1).astype(bool)
    return time[jumps]


def align(rng, out):
    blob = b""
    for case in range(14):
        heads, tokens, rows = int(rng.integers(1, 4)), int(rng.integers(3, 14)), int(rng.integers(8, 48))
        kept = rows if case % 3 == 0 else int(rng.integers(2 if case % 5 == 4 else 5, rows + 1))
        first, end = int(rng.integers(0, 2)), tokens - 1
        logits = rng.normal(0, 1.5, (heads, tokens, rows))
        for t in range(tokens):  # a diagonal that is worth following
            logits[:, t, :] -= ((np.arange(rows) - t * kept / tokens) / 5) ** 2 * rng.random()
        full = torch.softmax(torch.tensor(logits, dtype=torch.float32), -1)
        cropped = torch.softmax(torch.tensor(logits[..., :kept], dtype=torch.float32), -1)
        begins = reference_begins(cropped, first, end)
        blob += struct.pack("<6i", heads, tokens, rows, kept, first, end) + full.numpy().astype("<f4").tobytes()
        blob += struct.pack(f"<{len(begins)}i", *begins)
    with open(os.path.join(out, "align.bin"), "wb") as f:
        f.write(blob)


# ---- words

PIECES = [" the", " cat", "s", "at", " a", " \"", "\"", "'", "'s", " '", ",", ".", "...", "?", "!", " (", ")", "(", "-", " -", " “", "”", "，", "。",
          "？", " ¿", "¿", " don", "'t", " ", "  ", " A.", "é", " né", "語", "今日", "は", " $", "100", "、", ":", "[", "]", " {", "}", "word", " Word"]
BROKEN = ["語".encode()[:1], "語".encode()[1:], "語".encode()[:2], "語".encode()[2:], "é".encode()[:1], "é".encode()[1:], "😀".encode()[:2],
          "😀".encode()[2:], b"\xff", " “".encode()[:2], " “".encode()[2:]]
VOCAB = [p.encode() for p in PIECES] + BROKEN
EOT = len(VOCAB)


class Words(SimpleNamespace):
    eot = EOT
    split_tokens_on_unicode = Tokenizer.split_tokens_on_unicode
    split_tokens_on_spaces = Tokenizer.split_tokens_on_spaces
    split_to_word_tokens = Tokenizer.split_to_word_tokens

    def decode_with_timestamps(self, tokens):
        return b"".join(VOCAB[t] if t < EOT else b"<|endoftext|>" for t in tokens).decode("utf-8", "replace")


def draw_tokens(rng, n):
    tokens = []
    while len(tokens) < n:
        if rng.random() < 0.12:  # whole characters in two tokens
            pair = int(rng.choice([0, 2, 4, 6, 9])) + len(PIECES)
            tokens += [pair, pair + 1]
        elif rng.random() < 0.03:
            tokens.append(int(rng.integers(len(PIECES), len(VOCAB))))
        else:
            tokens.append(int(rng.integers(0, len(PIECES))))
    return tokens


def alignment_of(tokenizer, tokens, begins, end=EOT):
    """find_alignment's end, with these begins."""
    words, word_tokens = tokenizer.split_to_word_tokens(tokens + [end])
    if len(word_tokens) <= 1:
        return []
    bounds = np.pad(np.cumsum([len(t) for t in word_tokens[:-1]]), (1, 0))
    times = begins / 50
    return [timing.WordTiming(w, list(t), float(s), float(e), 1.0)
            for w, t, s, e in zip(words, word_tokens, times[bounds[:-1]], times[bounds[1:]])]


def byte_alphabet():
    """GPT-2's: printable bytes stand for themselves, the others for 256, 257, ..."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b if b in plain else 256 + others.index(b)) for b in range(256)}


def text(s):
    raw = s.encode() if isinstance(s, str) else s
    return struct.pack("<i", len(raw)) + raw + b"\0" * (-len(raw) % 4)


def micro(x):
    return struct.pack("<i", round(x * 1e6))


def words(rng, out):
    alphabet = byte_alphabet()
    blob = struct.pack("<i", len(VOCAB)) + b"".join(text("".join(alphabet[b] for b in raw)) for raw in VOCAB)
    for case in range(120):
        language = ["en", "ja", "de", "zh"][case % 4]
        tokenizer = Words(language=language)
        seek, last = int(rng.integers(0, 6000)), float(rng.integers(0, 60)) / 10
        lengths = [int(n) for n in rng.integers(0 if case % 7 == 0 else 1, 14, rng.integers(1, 5))]
        tokens = [draw_tokens(rng, n) if n else [] for n in lengths]
        total = sum(len(t) for t in tokens)
        steps = rng.integers(0, 30, total) * (rng.random(total) < 0.85) + rng.integers(0, 200, total) * (rng.random(total) < 0.06)
        begins = np.cumsum(np.concatenate([rng.integers(0, 40, 1), steps]))
        bounds = np.cumsum([0] + [len(t) for t in tokens])
        segments, at = [], seek / 100
        for i, t in enumerate(tokens):
            start = seek / 100 + begins[bounds[i]] / 50 + rng.integers(-60, 60) / 50 * (rng.random() < 0.5)
            end = seek / 100 + begins[bounds[i + 1]] / 50 + rng.integers(-60, 60) / 50 * (rng.random() < 0.5)
            start = round(max(at, start), 2)
            at = end = round(max(start, end), 2)
            segments.append(dict(seek=seek, start=start, end=end, tokens=list(t)))
        blob += text(language) + struct.pack("<3i", round(last * 100), seek, len(segments))
        for s in segments:
            blob += struct.pack("<3i", len(s["tokens"]), round(s["start"] * 100), round(s["end"] * 100))
        flat = [t for s in tokens for t in s]
        blob += struct.pack(f"<{2 * total + 1}i", *flat, *(int(b) for b in begins))
        timing.find_alignment = lambda *a, **k: alignment_of(tokenizer, flat, begins)
        timing.add_word_timestamps(segments=segments, model=None, tokenizer=tokenizer, mel=None, num_frames=0, last_speech_timestamp=last)
        for s in segments:
            blob += micro(s["start"]) + micro(s["end"]) + struct.pack("<i", len(s["words"]))
            for w in s["words"]:
                blob += text(w["word"]) + micro(w["start"]) + micro(w["end"])
    with open(os.path.join(out, "words.bin"), "wb") as f:
        f.write(blob)


if __name__ == "__main__":
    align(np.random.default_rng(5), sys.argv[1])
    words(np.random.default_rng(6), sys.argv[1])
