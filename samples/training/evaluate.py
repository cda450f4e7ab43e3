"""Held-out figures: words, fonts and voices that training never uses.

    python evaluate.py ../model                              # the exported GGUF files
    python evaluate.py run/checkpoint.pt                     # a training checkpoint
    python evaluate.py both/checkpoint.pt --speech speech    # and what it hears (clips of sounds.py), and what it sees and hears in clips
"""

import argparse
import json
import os
import random

import numpy as np
import torch

import data
import hear_tasks
import sounds
import talk
import watch_bank
import watch_tasks
from hearing import Hearing
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
        exchanges = [talk.exchange(rng, held_out=True, skill=skill, ears=model.hearing is not None) for _ in range(n)]
        answers = model.answer([prompt_ids(e.question, False) for e in exchanges])
        figures[skill] = round(sum(a == e.answer for a, e in zip(answers, exchanges)) / n, 4)
        if show:
            print(skill, [(e.question, e.answer, a) for a, e in zip(answers, exchanges) if a != e.answer][:show])
    return figures


# -------------------------------------------------------------------- hearing

def error_rates(heard, texts):
    """Share of wrong words (and letters): edits over the length of what was said."""
    words = [(h.split(), t.split()) for h, t in zip(heard, texts)]
    return {"wer": round(sum(edit_distance(h, t) for h, t in words) / sum(len(t) for _, t in words), 4),
            "cer": round(sum(edit_distance(h, t) for h, t in zip(heard, texts)) / sum(map(len, texts)), 4),
            "exact": round(sum(h == t for h, t in zip(heard, texts)) / len(texts), 4)}


def held_out_sounds(folder, part, n, spoilt):
    """The first n clips of a held-out part: (clips, waves), clean or spoilt in a repeatable way."""
    speech = sounds.Speech(folder, part)
    clips = speech.clips[:n]
    rng = np.random.default_rng(7)
    return clips, [sounds.spoil(speech.wave(c), rng) if spoilt else sounds.clean(speech.wave(c)) for c in clips]


def over_parts(folder, n, transcribe, show=0):
    """Error rates of a transcriber in new voices: declared phrases, clean and spoilt, and phrases that training never had."""
    figures = {}
    for name, part, spoilt in (("known", "known", False), ("known_spoilt", "known", True), ("unseen", "unseen", False)):
        clips, waves = held_out_sounds(folder, part, n, spoilt)
        heard = transcribe(waves)
        figures[name] = error_rates(heard, [c.text for c in clips])
        if show:
            print(name, [(c.text, h) for c, h in zip(clips, heard) if h != c.text][:show])
    return figures


def evaluate_spelling(hearing, speller, folder, n):
    """The audio tower alone, by its training-only head."""
    return over_parts(folder, n, lambda waves: speller.spell(hearing, waves))


def sound_rows(model, wave):
    return -(-((len(wave) // 160 + 1) // 2) // model.hearing.c.stack)


def picture_for(rng, spoken):
    """A new picture about which this can be asked, with the right answer."""
    if spoken in map(sounds.plain, data.READ_QUESTIONS):
        return data.make_text_sample(rng, held_out=True)
    while True:
        s = data.make_shape_sample(rng)
        if sounds.plain(s.question) == spoken:
            return s


def evaluate_hearing(model, folder, n, seed=77, show=0):
    """Transcripts, and answers to what is asked about a sound or in it."""
    def ask(waves, questions):
        return model.answer([prompt_ids(q, False, sound=sound_rows(model, w)) for q, w in zip(questions, waves)], waves=waves)

    figures = over_parts(folder, n, lambda waves: ask(waves, [hear_tasks.TRANSCRIBE[0]] * len(waves)), show)
    rng = random.Random(seed)
    clips, waves = held_out_sounds(folder, "known", n, False)
    for skill in ("upper", "count", "answer"):
        tasks = [hear_tasks.sample(rng, [c], skill) for c in clips]
        answers = ask(waves, [t.question for t in tasks])
        figures["heard_" + skill] = round(sum(a == t.answer for a, t in zip(answers, tasks)) / n, 4)
        if skill == "answer":
            sums = [a == t.answer for a, t, c in zip(answers, tasks, clips) if c.kind == "sum"]
            figures["heard_sum"] = round(sum(sums) / max(1, len(sums)), 4)
        if show:
            print(skill, [(c.text, t.answer, a) for c, t, a in zip(clips, tasks, answers) if a != t.answer][:show])
    asked = [(c, w) for c, w in zip(*held_out_sounds(folder, "known", 100000, False)) if c.kind == "picture"][:n]
    samples = [picture_for(rng, c.text) for c, _ in asked]
    answers = model.answer([prompt_ids("", True, sound=sound_rows(model, w)) for _, w in asked], torch.from_numpy(np.stack([s.pixels for s in samples])),
                           [w for _, w in asked])
    figures["picture_asked_aloud"] = round(sum(a == s.answer for a, s in zip(answers, samples)) / len(asked), 4)
    return figures


# ------------------------------------------------------------------- watching

def alone(model, frames, sounds, batch=40):
    """How well each frame and each sound is read and heard by itself: what can be hoped for in a clip."""
    read, said = [], []
    for k in range(0, len(frames), batch):
        part = frames[k:k + batch]
        answers = model.answer([prompt_ids("Read the image.", True)] * len(part), media=[f.rows for f in part])
        read += [a == f.text for a, f in zip(answers, part)]
    for k in range(0, len(sounds), batch):
        part = sounds[k:k + batch]
        answers = model.answer([prompt_ids(hear_tasks.TRANSCRIBE[0], False, sound=len(s.rows)) for s in part], media=[s.rows for s in part])
        said += [a == s.text for a, s in zip(answers, part)]
    return {"frame_alone": round(float(np.mean(read)), 4), "sound_alone": round(float(np.mean(said)), 4)}


def evaluate_watching(model, folder, n, seed=77, show=0):
    """Exact answers about clips whose words, fonts and voices are held out; n clips of each length."""
    rng, np_rng = random.Random(seed), np.random.default_rng(seed)
    speech = sounds.Speech(folder, "known")
    frames = watch_bank.draw(rng, n, n // 2, n, True)
    heard = watch_bank.speak(rng, np_rng, rng.sample(speech.clips, min(2 * n, len(speech.clips))), speech, n // 5)
    watch_bank.look(model, frames)
    watch_bank.listen(model, None, heard)
    source, right = watch_tasks.Source(), {}
    source.add(frames, heard)
    for length in watch_tasks.LENGTHS:
        clips = [source.clip(rng, length) for _ in range(n)]
        asked = [(c, a) for c in clips for a in c.asks]
        prompts = [watch_tasks.clip_prompt(a.question, c.times, c.seconds, len(c.sound.rows) if c.sound else 0) for c, a in asked]
        answers = model.answer(prompts, media=[torch.cat([f.rows for f in c.frames] + ([c.sound.rows] if c.sound else [])) for c, _ in asked])
        for (c, a), answer in zip(asked, answers):
            for name in (a.skill, "%d_frames" % length):
                right.setdefault(name, []).append(answer == a.answer)
        if show:
            print(length, [(a.question, a.answer, b) for (_, a), b in zip(asked, answers) if a.answer != b][:show])
    figures = {"clip_" + k: round(float(np.mean(v)), 4) for k, v in sorted(right.items())}
    return {**alone(model, [f for f in frames if f.text], [s for s in heard if s.text]), **figures}


def load(path):
    if os.path.isdir(path):
        from export import load_export
        model = SampleModel(hearing=Hearing() if os.path.exists(os.path.join(path, "mmproj-audio.gguf")) else None)
        load_export(path, model)
    else:
        state = torch.load(path)["model"]
        model = SampleModel(hearing=Hearing() if any(k.startswith("hearing.") for k in state) else None)
        model.load_state_dict(state)
    return model.eval()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("model", help="folder with the GGUF files, or a checkpoint")
    p.add_argument("--pictures", type=int, default=200, help="per kind")
    p.add_argument("--speech", help="folder of sounds.py: also what it hears")
    p.add_argument("--clips", type=int, default=1000, help="per part")
    p.add_argument("--seed", type=int, default=2026)
    p.add_argument("--show", type=int, default=0, help="print so many answers of each kind")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--watch", type=int, default=60, help="clips of moving pictures, per number of frames")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args.model)
    figures = evaluate(model, args.pictures, args.seed, args.show) if args.pictures else {}
    if args.speech:
        if args.clips:
            figures.update(evaluate_hearing(model, args.speech, args.clips, args.seed, args.show))
        if args.watch:
            figures.update(evaluate_watching(model, args.speech, args.watch, args.seed, args.show))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
