#!/usr/bin/env python3
"""A random-weight Whisper of 30 s windows, and what transformers makes of one window with it.

  transcript.py OUT       writes OUT/whisper/ (a Hugging Face directory) and OUT/transcript.bin (little-endian 32-bit words)

The sound is what sound() computes; tests make the same. transcript.bin: token of the language that transformers detects; then
twice, under the rules about stamps and without stamps: the answer's length, its tokens (generate()'s, greedy), average
log-probability (with the end's), probability of silence (floats); then the words of the first answer as OpenAI's timing.py times
them: how many, and of each its text, start and end x 100. The seed is the first with which every choice is clear, so that rounding
cannot change one. Needs torch, transformers and openai-whisper, which the test does not."""
import os
import struct
import sys
import types

import numpy as np
import torch
from transformers import WhisperFeatureExtractor
from transformers.generation.logits_process import (SuppressTokensAtBeginLogitsProcessor, SuppressTokensLogitsProcessor,
                                                    WhisperTimeStampLogitsProcessor)
from transformers.modeling_outputs import BaseModelOutput

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "hf"))
import make_whisper  # noqa: E402
import timing as times  # noqa: E402

from whisper.tokenizer import Tokenizer  # noqa: E402

RATE, SECONDS, MARGIN = 16000, 30, 2e-3
SHAPE = dict(d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=2, decoder_attention_heads=2,
             decoder_ffn_dim=32, max_source_positions=1500, max_target_positions=96, num_mel_bins=80)


def sound(n):
    """Noise and triangles, louder and softer by quarters of a second: whole numbers, so that everyone computes the same."""
    i = np.arange(n, dtype=np.int64)
    noise, state = np.empty(n, np.int64), 1
    for k in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise[k] = (state >> 16 & 0xFFF) - 2048
    block = i // 4000
    return noise * (block * 7 % 11) // 16 + ((i * (40 + block * 13 % 97) & 1023) - 512) * (block % 5)


def processors(g, begin, stamps):
    out = [SuppressTokensAtBeginLogitsProcessor(g.begin_suppress_tokens, begin_index=begin), SuppressTokensLogitsProcessor(g.suppress_tokens)]
    return out + ([WhisperTimeStampLogitsProcessor(g, begin_index=begin)] if stamps else [])


def answer(model, g, rows, prompt, stamps):
    """Greedy, by hand: tokens, average log-probability, and by how much the closest choice was clear."""
    ids, said, total, margin = list(prompt), [], 0.0, 1e9
    first = None
    while len(said) < model.config.max_target_positions // 2:
        with torch.no_grad():
            logits = model(encoder_outputs=rows, decoder_input_ids=torch.tensor([ids])).logits[0]
        first = logits if first is None else first
        scores = logits[-1:].clone()
        for p in processors(g, len(prompt), stamps):
            scores = p(torch.tensor([ids]), scores)
        if stamps:  # is the stamps' sum clearly above or below the best text?
            at = g.no_timestamps_token_id + 1
            plain = logits[-1:].clone()
            for p in processors(g, len(prompt), True):
                if isinstance(p, WhisperTimeStampLogitsProcessor):
                    p._detect_timestamp_from_logprob = False
                plain = p(torch.tensor([ids]), plain)
            gap = float(plain[0, at:].logsumexp(-1) - plain[0, :at].max())
            margin = min(margin, abs(gap)) if np.isfinite(gap) else margin
        top = scores[0].topk(2).values
        margin = min(margin, float(top[0] - top[1]))
        token = int(scores[0].argmax())
        total += float(scores[0].double().log_softmax(-1)[token])
        if token == g.eos_token_id:
            break
        said.append(token)
        ids.append(token)
    no_speech = float(first[prompt.index(g.decoder_start_token_id)].softmax(-1)[g.no_timestamps_token_id - 1])
    return said, total / (len(said) + 1), no_speech, margin


def generated(model, g, features, stamps):
    out = model.generate(features, generation_config=g, return_timestamps=stamps, language="de", task="transcribe", num_beams=1, do_sample=False,
                         max_new_tokens=model.config.max_target_positions // 2, force_unique_generate_call=True)
    ids = [int(t) for t in out[0]]
    start = [g.decoder_start_token_id, g.lang_to_id["<|de|>"], g.task_to_id["transcribe"]] + ([] if stamps else [g.no_timestamps_token_id])
    if ids[:len(start)] == start:
        ids = ids[len(start):]
    while ids and ids[-1] == g.eos_token_id:
        ids.pop()
    return ids


class Words(types.SimpleNamespace):
    split_tokens_on_unicode = Tokenizer.split_tokens_on_unicode
    split_tokens_on_spaces = Tokenizer.split_tokens_on_spaces
    split_to_word_tokens = Tokenizer.split_to_word_tokens


def words_of(model, g, fast, rows, said):
    """As find_alignment and add_word_timestamps, with transformers' weights; one segment, from the window's beginning to its end."""
    start = [g.decoder_start_token_id, g.lang_to_id["<|de|>"], g.task_to_id["transcribe"]]
    text = [t for t in said if t < g.eos_token_id]
    with torch.no_grad():
        out = model(encoder_outputs=rows, decoder_input_ids=torch.tensor([start + [g.no_timestamps_token_id] + text + [g.eos_token_id]]),
                    output_attentions=True)
    weights = torch.stack([out.cross_attentions[layer][0, head] for layer, head in g.alignment_heads])
    begins = times.reference_begins(weights, len(start), weights.shape[1] - 1)
    tokenizer = Words(language="de", eot=g.eos_token_id, decode_with_timestamps=lambda ids: fast.decode(ids, decode_with_timestamps=False))
    segments = make_segments(g, said)
    times.timing.find_alignment = lambda *a, **k: times.alignment_of(tokenizer, text, begins, g.eos_token_id)
    times.timing.add_word_timestamps(segments=segments, model=None, tokenizer=tokenizer, mel=None, num_frames=0, last_speech_timestamp=0.0)
    return [w for s in segments for w in s["words"]]


def make_segments(g, said):
    """Closed pairs, and the rest up to the window's end."""
    at, step = g.no_timestamps_token_id + 1, 0.02
    cuts = [i for i in range(1, len(said)) if said[i] >= at and said[i - 1] >= at]
    spans = list(zip([0] + cuts, cuts + [len(said)]))
    segments = []
    for a, b in spans:
        s = said[a:b]
        last = s[-1] >= at and len(s) > 1
        segments.append(dict(seek=0, tokens=s, start=(s[0] - at) * step, end=(s[-1] - at) * step if last else float(SECONDS)))
    if len(segments[-1]["tokens"]) == 1:
        segments.pop()
    return segments


def main(out):
    torch.set_num_threads(1)
    make_whisper.STAMPS, make_whisper.HERE = 1501, out
    fast = make_whisper.tokenizer(make_whisper.LANGUAGES)
    features = WhisperFeatureExtractor(feature_size=80)(sound(RATE * SECONDS).astype(np.float32) / 32768, sampling_rate=RATE, return_tensors="pt")
    at = fast.convert_tokens_to_ids
    for seed in range(1000):
        scale = (0.7, 0.8, 0.9, 1.0)[seed % 4]
        model = make_whisper.build(SHAPE, fast, "float32", seed)
        first = at("<|0.00|>")
        with torch.no_grad():
            table = model.model.decoder.embed_tokens.weight
            table *= 3
            table[first:] *= scale  # such that now a stamp is likelier, now text
            table[at("<|endoftext|>")] *= 0.7
            rows = model.model.encoder(features.input_features)
            rows = BaseModelOutput(last_hidden_state=rows.last_hidden_state)
        g = make_whisper.GenerationConfig(**make_whisper.generation(model, fast, make_whisper.LANGUAGES))
        start = [g.decoder_start_token_id, g.lang_to_id["<|de|>"], g.task_to_id["transcribe"]]
        a = answer(model, g, rows, start, True)
        stamps = [t >= first for t in a[0]]
        pairs = sum(x and y for x, y in zip(stamps, stamps[1:]))
        n_text = len(stamps) - sum(stamps)
        print("seed %d: %d tokens, %d pairs, margin %.4f" % (seed, len(a[0]), pairs, a[3]))
        if a[3] < MARGIN or pairs < 3 or n_text < 12 or a[2] > 0.4:
            continue
        b = answer(model, g, rows, start + [g.no_timestamps_token_id], False)
        if b[3] < MARGIN or len(b[0]) < 8 or b[2] > 0.4:
            continue
        break
    with torch.no_grad():
        language = int(model.detect_language(features.input_features, generation_config=g))
    assert generated(model, g, features.input_features, True) == a[0]
    assert generated(model, g, features.input_features, False) == b[0]
    words = words_of(model, g, fast, rows, a[0])
    make_whisper.save("whisper", model, fast, make_whisper.LANGUAGES)
    blob = struct.pack("<i", language)
    for said, logprob, no_speech, _ in (a, b):
        blob += struct.pack(f"<{len(said) + 1}i2f", len(said), *said, logprob, no_speech)
    blob += struct.pack("<i", len(words))
    for w in words:
        blob += times.text(w["word"]) + struct.pack("<2i", round(w["start"] * 100), round(w["end"] * 100))
    with open(os.path.join(out, "transcript.bin"), "wb") as f:
        f.write(blob)
    print("language %d, avg %.3f, no speech %.4f, %d words: %s" % (language, a[1], a[2], len(words), words[:6]))


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
