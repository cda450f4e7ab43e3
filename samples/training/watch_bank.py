"""What the standing towers make of frames and sounds, kept in a folder: pictures of print and shapes, scenes and speech.

    python watch_bank.py bank --model ../model --speech speech --minutes 20        # adds files to the folder
    python watch_bank.py held-out --model ../model --speech speech --held-out      # one file: words, fonts and voices never trained

Training to watch (train_watching.py) leaves the towers as they are, so that each frame and each sound goes through them once.  A scene is
one sign: the same fonts, colours and light, with some texts at some places, and sometimes without a text.
"""

import argparse
import os
import random
import time

import numpy as np
import torch

import data
import sounds
from hearing import Speller, align, log_mel

SECONDS = 8                                         # the longest sound of a clip


class Frame:
    """A picture as the decoder sees it: rows [36, 256], and where each character of its print lies."""
    __slots__ = ("rows", "text", "places", "ink", "paint", "question", "answer", "scene", "turn", "step", "pixels")


class Sound:
    """rows [N, 256] of `seconds` of sound, its text and kind, and the tower's frame in which each character is heard."""
    __slots__ = ("rows", "text", "kind", "heard", "seconds", "wave")


def frame_of(sample, scene=-1, turn=0, step=0):
    f = Frame()
    f.pixels, f.text, f.places, f.ink, f.paint = sample.pixels, sample.text, sample.rows, sample.ink, sample.paint
    f.question, f.answer, f.scene, f.turn, f.step = sample.question, sample.answer, scene, turn, step
    return f


def scene(rng, number, held_out=False, effects=1.0, steps=3):
    """Frames of one sign: two or three texts (`turn`), each at some places along a line (`step`), and perhaps none (turn -1)."""
    font, seed = rng.choice(data.fonts(held_out)), rng.random()
    out = []
    for turn in range(rng.choice((2, 2, 3))):
        s = data.Sample()
        s.text, s.kind = data.sample_text(rng, rng.choice(data.KINDS) if held_out else None, held_out)
        s.question, s.answer = data.READ_QUESTIONS[0], s.text
        s.paint = np.zeros((data.GRID ** 2, 4), np.uint8)
        a, b = [(rng.random(), rng.random()) for _ in range(2)]
        for step in range(steps):
            t = step / max(1, steps - 1)
            place = tuple(p + (q - p) * t for p, q in zip(a, b))
            image, s.ink, centres = data.draw_text(random.Random(seed), s.text, font, effects, place=place)
            s.pixels = data.prepare(image, True)
            s.cells, s.order, s.rows = data.locate(s.text, centres)
            out.append(frame_of(s, number, turn, step))
    if rng.random() < 0.3:
        image, s.ink, _ = data.draw_text(random.Random(seed), " ", font, effects, place=(0.5, 0.5))
        s.pixels, s.rows, s.text, s.answer = data.prepare(image, True), [], "", "There is no text."
        out.append(frame_of(s, number, -1))
    return out


def wave_of(rng, np_rng, speech, clip, effects):
    """A spoken clip as the sound track of a moving picture: some of the time nobody speaks."""
    x = speech.wave(clip)
    room = SECONDS * sounds.RATE - int(len(x) / 0.9) - 9600
    before = rng.randint(0, min(room, 2 * sounds.RATE)) if rng.random() < 0.4 else 0
    behind = rng.randint(0, room - before) if rng.random() < 0.5 else 0
    return sounds.spoil(np.concatenate([np.zeros(before, np.float32), x, np.zeros(behind, np.float32)]), np_rng, effects)


def draw(rng, plain, shapes, scenes, held_out):
    frames = [frame_of(data.make_text_sample(rng, held_out, rng.choice(data.KINDS) if held_out else None, two_steps=rng.random() < 0.5))
              for _ in range(plain)]
    frames += [frame_of(data.make_shape_sample(rng, two_steps=rng.random() < 0.5)) for _ in range(shapes)]
    for _ in range(scenes):
        frames += scene(rng, rng.getrandbits(60), held_out, effects=rng.choice((0.3, 1.0)))
    return frames


def alone(rng, np_rng, speech):
    """Speech by itself, as train_hearing.py has it: some utterances are of several clips."""
    s, clips = Sound(), rng.sample(speech.clips, rng.choice((2, 2, 3, 4)) if rng.random() < 0.12 else 1)
    pieces = [x for c in clips for x in (speech.wave(c), np.zeros(rng.randint(1000, 6000), np.float32))][:-1]
    s.text, s.kind = " ".join(c.text for c in clips), clips[0].kind if len(clips) == 1 else "words"
    s.wave = sounds.spoil(np.concatenate(pieces), np_rng, 0.7)
    return s


def quiet(rng, np_rng):
    """A sound in which nobody speaks."""
    s, n = Sound(), int(rng.uniform(0.5, SECONDS) * sounds.RATE)
    s.text, s.kind, s.wave = "", "quiet", np.zeros(n, np.float32)
    if rng.random() < 0.6:
        s.wave = np.clip(sounds.noise(n, np_rng) * 10 ** rng.uniform(-4, -1), -1, 1).astype(np.float32)
    return s


def speak(rng, np_rng, clips, speech, silent):
    """Those clips, and so many sounds without speech."""
    heard = [quiet(rng, np_rng) for _ in range(silent)]
    for clip in clips:
        s = Sound()
        s.text, s.kind, s.wave = clip.text, clip.kind, wave_of(rng, np_rng, speech, clip, rng.choice((0.4, 1.0)))
        heard.append(s)
    return heard


@torch.no_grad()
def look(model, frames, batch=32):
    for k in range(0, len(frames), batch):
        part = frames[k:k + batch]
        for f, rows in zip(part, model.look(torch.from_numpy(np.stack([f.pixels for f in part])))[1]):
            f.rows, f.pixels = rows.clone(), None


@torch.no_grad()
def listen(model, speller, heard, batch=32):
    """Without a speller nothing is known of where the characters are heard."""
    heard.sort(key=lambda s: len(s.wave))
    for k in range(0, len(heard), batch):
        part = heard[k:k + batch]
        features, lengths = model.hearing.audio_tower(*log_mel([s.wave for s in part]))
        rows, counts = model.hearing.multi_modal_projector(features, lengths)
        places = [None] * len(part)
        if speller:                                     # something is aligned with quiet ones too, and not used
            places = align(speller(features), lengths, [s.text or "a" for s in part])
        for s, r, n, where in zip(part, rows, counts, places):
            s.rows, s.heard, s.seconds, s.wave = r[:n].clone(), where, len(s.wave) / sounds.RATE, None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--model", required=True, help="the shipped model's folder, or a checkpoint of train_hearing.py")
    p.add_argument("--speech", required=True, help="folder of sounds.py")
    p.add_argument("--minutes", type=float, default=20)
    p.add_argument("--plain", type=int, default=260, help="pictures of print in a part of the bank")
    p.add_argument("--shapes", type=int, default=100)
    p.add_argument("--scenes", type=int, default=90)
    p.add_argument("--sounds", type=int, default=600, help="sounds of clips with speech in them")
    p.add_argument("--quiet", type=int, default=60, help="sounds in which nobody speaks")
    p.add_argument("--alone", type=int, default=300, help="sounds that are speech throughout")
    p.add_argument("--held-out", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.folder, exist_ok=True)
    from evaluate import load                           # which measures with what is here
    from export import load_auxiliary
    model, speller = load(args.model), Speller()
    if os.path.isdir(args.model):
        load_auxiliary(speller)
    else:
        speller.load_state_dict(torch.load(args.model)["speller"])
    speech = sounds.Speech(args.speech, "known" if args.held_out else "train")
    end = time.time() + 60 * args.minutes
    while True:
        start = time.time()
        rng, np_rng = [make(77 if args.held_out else time.time_ns()) for make in (random.Random, np.random.default_rng)]
        frames = draw(rng, args.plain, args.shapes, args.scenes, args.held_out)
        heard = speak(rng, np_rng, rng.sample(speech.clips, args.sounds), speech, args.quiet)
        heard += [alone(rng, np_rng, speech) for _ in range(args.alone)]
        with torch.autocast("cpu", torch.bfloat16):
            look(model, frames)
            listen(model, speller, heard)
        for item in frames + heard:
            item.rows = item.rows.bfloat16()
        path = os.path.join(args.folder, "%d.pt" % time.time_ns())
        fields = lambda items, kind: [{k: getattr(i, k) for k in kind.__slots__ if k not in ("pixels", "wave")} for i in items]
        torch.save(dict(frames=fields(frames, Frame), sounds=fields(heard, Sound)), path + ".tmp")
        os.replace(path + ".tmp", path)
        print("%s %s: %d frames, %d sounds in %.0f s" % (time.strftime("%H:%M:%S"), path, len(frames), len(heard), time.time() - start), flush=True)
        if args.held_out or time.time() > end:
            break


def read(path):
    """(frames, sounds) of one file of a bank."""
    stored, out = torch.load(path, weights_only=False), []
    for name, kind in (("frames", Frame), ("sounds", Sound)):
        items = []
        for values in stored[name]:
            item = kind()
            for k, v in values.items():
                setattr(item, k, v)
            items.append(item)
        out.append(items)
    return out


if __name__ == "__main__":
    main()
