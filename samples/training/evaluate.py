"""Held-out figures: words and fonts that training never uses.

    python evaluate.py ../model                 # the exported GGUF files
    python evaluate.py run/checkpoint.pt        # a training checkpoint
"""

import argparse
import json
import os
import random

import numpy as np
import torch

import data
import talk
from model import SampleModel, prompt_ids


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def answer_samples(model, samples, batch=32):
    out = []
    for i in range(0, len(samples), batch):
        part = samples[i:i + batch]
        pixels = torch.from_numpy(np.stack([s.pixels for s in part]))
        out += model.answer([prompt_ids(s.question, True) for s in part], pixels, longest=48)
    return out


def evaluate(model, n, seed=77, show=0):
    """Character error rate and exact answers per kind, n pictures of each kind."""
    rng = random.Random(seed)
    figures, errors, chars = {}, 0, 0
    for kind in data.KINDS:
        samples = [data.make_text_sample(rng, held_out=True, kind=kind)
                   for _ in range(n)]
        answers = answer_samples(model, samples)
        e = sum(edit_distance(a, s.answer) for a, s in zip(answers, samples))
        c = sum(len(s.answer) for s in samples)
        errors, chars = errors + e, chars + c
        figures[kind] = {"cer": round(e / c, 4), "exact": round(
            sum(a == s.answer for a, s in zip(answers, samples)) / n, 4)}
        if show:
            print(kind, [(s.answer, a) for a, s in zip(answers, samples)][:show])
    figures["all_text_cer"] = round(errors / chars, 4)
    plain = [data.make_text_sample(rng, held_out=True, kind="word", effects=0.0) for _ in range(n)]
    answers = answer_samples(model, plain)
    figures["word_plain"] = {
        "cer": round(sum(edit_distance(a, s.answer) for a, s in zip(answers, plain))
                     / sum(len(s.answer) for s in plain), 4),
        "exact": round(sum(a == s.answer for a, s in zip(answers, plain)) / n, 4)}
    shapes = [data.make_shape_sample(rng, describe_only=True) for _ in range(n)]
    answers = answer_samples(model, shapes)
    figures["shapes_described"] = round(sum(a == s.answer for a, s in zip(answers, shapes)) / n, 4)
    if show:
        print("shapes", [(s.answer, a) for a, s in zip(answers, shapes)][:show])
    shapes = [data.make_shape_sample(rng) for _ in range(n)]
    answers = answer_samples(model, shapes)
    figures["shape_questions"] = round(sum(a == s.answer for a, s in zip(answers, shapes)) / n, 4)
    for skill in talk.SKILLS:
        exchanges = [talk.exchange(rng, held_out=True, skill=skill) for _ in range(n)]
        answers = model.answer([prompt_ids(e.question, False) for e in exchanges])
        figures[skill] = round(sum(a == e.answer for a, e in zip(answers, exchanges)) / n, 4)
        if show:
            print(skill, [(e.question, e.answer, a) for a, e in zip(answers, exchanges) if a != e.answer][:show])
    return figures


def load(path):
    model = SampleModel()
    if os.path.isdir(path):
        from export import load_export
        load_export(path, model)
    else:
        model.load_state_dict(torch.load(path)["model"])
    return model.eval()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("model", help="folder with the GGUF files, or a checkpoint")
    p.add_argument("--pictures", type=int, default=200, help="per kind")
    p.add_argument("--seed", type=int, default=2026)
    p.add_argument("--show", type=int, default=0, help="print so many answers of each kind")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    print(json.dumps(evaluate(load(args.model), args.pictures, args.seed, args.show), indent=1))


if __name__ == "__main__":
    main()
