"""Train the sample's speaker on a CPU: text -> codes of a voice.

    python train_speech.py --out talk --sayings sayings --codec codec/checkpoint.pt --minutes 120
    python train_speech.py --out talk --sayings sayings --codec codec/checkpoint.pt --minutes 120 --resume
    python train_speech.py --out talk --sayings sayings --codec ../model --start ../model --minutes 60     # from the shipped files

The codes of all clips are made first, and kept beside them (again when the codec is another one).  Losses:

  code     cross-entropy of the next code
  phoneme  which phoneme the next frame belongs to                           (auxiliary head)
  look     one attention head of two layers should look at the letter that is being said in the next frame

What is said when is known from espeak-ng (sayings.py): so letters and sounds find each other in minutes.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import speaking
import train
from export_speech import load_export, load_voice
from model import linear
from sayings import Sayings
from speaking import END, FIRST_CODE, PAD, prompt_ids, text_at
from voice import Voice

LOOKING_LAYERS = (2, 3)                 # head 0 of these looks at the letter that is being said
PHONEMES = 128                          # classes of the auxiliary head; 0: any other


def codes_of(folder, part, clips, samples_of, voice):
    """[(first, n)] of each clip in one long array of codes; made for clips that have none yet."""
    path = os.path.join(folder, part + ".codes")
    key = hashlib.sha256(voice.codebook.vectors.numpy().tobytes()).hexdigest()
    done = json.load(open(path + ".json")) if os.path.exists(path + ".json") else {}
    if done.get("codec") != key:
        done = {"codec": key, "frames": []}
        open(path, "wb").close()
    with open(path, "r+b") as f:
        f.truncate(2 * sum(done["frames"]))
        f.seek(0, 2)
        while len(done["frames"]) < len(clips):
            some = clips[len(done["frames"]):][:2000]
            for codes in voice.encode([samples_of(c) for c in some]):
                f.write(np.asarray(codes, "<u2").tobytes())
                done["frames"].append(len(codes))
            f.flush()
            with open(path + ".json.tmp", "w") as g:
                json.dump(done, g)
            os.replace(path + ".json.tmp", path + ".json")
            if part == "train" and len(done["frames"]) % 10000 == 0:
                print("%s codes of %d clips" % (time.strftime("%H:%M:%S"), len(done["frames"])), flush=True)
    ends = np.cumsum(done["frames"])
    return np.fromfile(path, "<u2"), [(int(e) - n, n) for e, n in zip(ends, done["frames"])]


class Part:
    """The clips of one part, as what the model reads and what it should say."""

    def __init__(self, folder, part, voice, phonemes, most=None):
        sayings = Sayings(folder, part)
        self.clips = sayings.clips[:most]
        self.codes, self.spans = codes_of(folder, part, self.clips, sayings.wave, voice)
        self.phonemes = phonemes
        self.hop = voice.c.hop

    def frames(self, i):
        first, n = self.spans[i]
        return self.codes[first:first + n].tolist()

    def said(self, i):
        """For each frame: the phoneme's class, and the character (in the text)."""
        clip, n = self.clips[i], self.spans[i][1]
        marks = clip.marks() or [(0, 0, "")]
        starts = np.array([m[0] for m in marks])
        at = np.searchsorted(starts, np.arange(n) * self.hop + self.hop // 2, "right") - 1
        at = np.maximum(at, 0)
        classes = np.array([self.phonemes.get(m[2], 0) for m in marks])
        return classes[at], np.array([m[1] for m in marks])[at]


def count_phonemes(folder):
    """Classes by frequency, from the first clips."""
    counts = {}
    for clip in Sayings(folder, "train").clips[:4000]:
        for _, _, phoneme in clip.marks():
            counts[phoneme] = counts.get(phoneme, 0) + 1
    return {p: k + 1 for k, p in enumerate(sorted(counts, key=lambda p: (-counts[p], p))[:PHONEMES - 1])}


class Trainer:
    def __init__(self, args):
        self.args = args
        self.rng = random.Random(args.seed)
        voice = load_voice(args.codec)
        loaded = torch.load(self.path()) if args.resume else {}
        phonemes = loaded.get("phonemes") or count_phonemes(args.sayings)
        self.phonemes = phonemes
        self.parts = {"held": Part(args.sayings, "held", voice.eval(), phonemes),
                      "train": Part(args.sayings, "train", voice, phonemes, args.clips)}
        self.lm = speaking.make_model()
        self.heads = nn.ModuleDict({"phoneme": linear(speaking.config().hidden, PHONEMES, True)})
        self.said, self.steps = 0, 0
        if args.start:
            load_export(args.start, self.lm, Voice())       # the heads are learnt again in a minute
        self.optimizer = train.Optimizer(self.lm, self.heads, 0, args.rate, args.adam_rate)
        if loaded:
            self.lm.load_state_dict(loaded["model"])
            self.heads.load_state_dict(loaded["heads"])
            self.optimizer.adam.load_state_dict(loaded["adam"])
            self.optimizer.momentum, self.said, self.steps = loaded["muon"], loaded["said"], loaded["steps"]
        self.queue, self.averages, self.stopped = [], {}, False

    def path(self):
        return os.path.join(self.args.out, "checkpoint.pt")

    def save(self):
        torch.save(dict(model=self.lm.state_dict(), heads=self.heads.state_dict(), adam=self.optimizer.adam.state_dict(),
                        muon=self.optimizer.momentum, said=self.said, steps=self.steps, phonemes=self.phonemes), self.path() + ".tmp")
        os.replace(self.path() + ".tmp", self.path())

    def pick(self, n):
        """Clips of similar lengths."""
        if not self.queue:
            part = self.parts["train"]
            pool = [self.rng.randrange(len(part.clips)) for _ in range(16 * n)]
            pool.sort(key=lambda i: part.spans[i][1])
            self.queue = [pool[k:k + n] for k in range(0, 16 * n, n)]
            self.rng.shuffle(self.queue)
        return self.queue.pop()

    def losses(self, part, which):
        rows, targets, sounds, letters = [], [], [], []
        for i in which:
            clip = part.clips[i]
            prompt = prompt_ids(clip.text, clip.voice)
            codes = [FIRST_CODE + c for c in part.frames(i)]
            phonemes, at = part.said(i)
            rows.append(prompt + codes)
            head = len(prompt) - 1
            targets.append([-1] * head + codes + [END])
            sounds.append([-1] * head + phonemes.tolist() + [-1])
            letters.append([-1] * head + (at + text_at(clip.voice)).tolist() + [-1])
        size = -(-max(map(len, rows)) // 8) * 8
        pad = lambda lists, value: torch.tensor([x + [value] * (size - len(x)) for x in lists])
        ids, targets, sounds, letters = pad(rows, PAD), pad(targets, -1), pad(sounds, -1), pad(letters, -1)
        # Which rows say something: from the last one of the prompt to the end.
        first = min(r.index(speaking.SPEECH) for r in rows)
        watch = torch.arange(first, size)[None].expand(len(rows), -1)
        states, seen = self.lm(self.lm.embed_tokens(ids), torch.arange(size)[None], watch=watch, watched_layers=LOOKING_LAYERS)
        scored = targets >= 0
        logits = self.lm.logits(states[scored])
        code = F.cross_entropy(logits, targets[scored])
        known = sounds >= 0
        named = self.heads["phoneme"](states[known]).float()
        phoneme = F.cross_entropy(named, sounds[known])
        # The letter, its neighbours counting too.
        there = letters[:, first:]
        looked = there >= 0
        near = there[looked][:, None] + torch.tensor([-1, 0, 1])
        look = sum(-s[:, :, 0][looked].gather(1, near).logsumexp(1).mean() for s in seen) / len(seen)
        figures = dict(code=code, phoneme=phoneme, look=look, code_right=(logits.argmax(-1) == targets[scored]).float().mean(),
                       phoneme_right=(named.argmax(-1) == sounds[known]).float().mean())
        return code + self.args.phoneme * phoneme + self.args.look * look, figures

    def step(self, factor):
        which = self.pick(self.args.batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss, figures = self.losses(self.parts["train"], which)
        loss.backward()
        self.optimizer.step(factor)
        self.steps += 1
        self.said += len(which)
        for k, v in figures.items():
            self.averages.setdefault(k, []).append(float(v.detach()))

    @torch.no_grad()
    def evaluate(self, n=240):
        out = {}
        for kind in ("declared", "words"):
            part, sums = self.parts["held"], {}
            chosen = [i for i, c in enumerate(part.clips) if c.kind == kind][:n]
            chosen.sort(key=lambda i: part.spans[i][1])
            for k in range(0, len(chosen), 40):
                with torch.autocast("cpu", torch.bfloat16):
                    _, figures = self.losses(part, chosen[k:k + 40])
                for name in ("code", "code_right", "phoneme_right"):
                    sums.setdefault(name, []).append(float(figures[name]))
            out[kind] = {name: round(float(np.mean(v)), 4) for name, v in sums.items()}
        line = json.dumps({"at": time.strftime("%H:%M:%S"), "steps": self.steps, "said": self.said, **out})
        print("held out " + line, flush=True)
        with open(os.path.join(self.args.out, "curve.jsonl"), "a") as f:
            f.write(line + "\n")

    def run(self):
        args = self.args
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        clock = time.process_time if args.cpu_time else time.time
        start = last_print = last_eval = last_save = clock()
        end, first, said = start + args.minutes * 60, self.steps, self.said
        while clock() < end and not self.stopped:
            done = (clock() - start) / (end - start)
            self.step(min(1, (self.steps - first + 1) / 50) * min(1, max(0.01, (1 - done) / args.decay)))
            now = clock()
            if self.steps % 50 == 0:
                averages = " ".join("%s %.3f" % (k, np.mean(v)) for k, v in self.averages.items())
                print("%s step %d said %d (%.0f/s) | %s" % (
                    time.strftime("%H:%M:%S"), self.steps, self.said, (self.said - said) / (now - last_print), averages), flush=True)
                last_print, said, self.averages = now, self.said, {}
            if now - last_save > args.save_every * 60:
                self.save()
                last_save = now
            if now - last_eval > args.eval_every * 60:
                self.evaluate()
                last_eval = clock()
        self.save()
        self.evaluate()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--sayings", required=True, help="folder of sayings.py")
    p.add_argument("--codec", required=True, help="checkpoint of train_codec.py, or a folder with the GGUF files")
    p.add_argument("--clips", type=int, help="use only so many")
    p.add_argument("--minutes", type=float, default=120)
    p.add_argument("--cpu-time", action="store_true", help="minutes of processor time, for a busy machine")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    p.add_argument("--start", help="folder with speaker.gguf and vocoder.gguf to start from")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--batch", type=int, default=40)
    p.add_argument("--rate", type=float, default=0.02, help="Muon")
    p.add_argument("--adam-rate", type=float, default=2e-3)
    p.add_argument("--phoneme", type=float, default=0.3, help="weight of the loss")
    p.add_argument("--look", type=float, default=0.3, help="weight of the loss")
    p.add_argument("--decay", type=float, default=0.4, help="last part with falling rates")
    p.add_argument("--save-every", type=float, default=2, help="minutes")
    p.add_argument("--eval-every", type=float, default=5, help="minutes")
    p.add_argument("--seed", type=int, default=int(time.time()))
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    Trainer(args).run()


if __name__ == "__main__":
    main()
