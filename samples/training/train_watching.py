"""Teach the sample model to watch clips, on a CPU: the decoder alone, from towers that stand still.

    python watch_bank.py bank --model ../model --speech speech --minutes 20
    python watch_bank.py held-out --model ../model --speech speech --held-out
    python train_watching.py --out watch --start ../model --bank bank --held-out held-out --minutes 60

Several questions are asked about one clip at once: each sees the clip and itself, but not the others.  Pictures, sounds and talk go on beside the
clips, so that nothing is forgotten.  The losses are those of train_hearing.py: the cross-entropy of the answers, and the attention guide, which tells
in which row, of which frame or of the sound, the character that is due lies.
"""

import argparse
import glob
import json
import os
import random
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F

import data
import hear_tasks
import sounds
import train
import watch_bank
import watch_tasks
from export import load_auxiliary, load_export
from hearing import Hearing, HearingConfig, Speller
from model import AUDIO, END, FAKE, GLOBAL, IMAGE, ROWS, BOS, AuxiliaryHeads, SampleModel, encode
from watch_tasks import Ask

STACK = HearingConfig.stack


class Example:
    """A prompt up to its question, its frames and its sound, and what is asked (Ask)."""

    def __init__(self, prefix, frames, sound, asks):
        self.prefix, self.frames, self.sound, self.asks = prefix, frames, sound, asks


def of_clip(clip, before=None):
    """before: this one of its questions, asked before the clip."""
    sound = len(clip.sound.rows) if clip.sound else 0
    if before:
        ids = watch_tasks.clip_ids(clip.times, clip.seconds, sound, before.question)
        return Example(ids, clip.frames, clip.sound, [Ask("", before.answer, before.skill + "_before", before.looks)])
    return Example(watch_tasks.clip_ids(clip.times, clip.seconds, sound), clip.frames, clip.sound, clip.asks)


def of_parts(frame, sound, asks):
    """A picture, a sound or both, as model.prompt_ids lays them out."""
    ids = [BOS] + encode("User:")
    if frame:
        ids += [FAKE, GLOBAL] + [IMAGE] * ROWS + [FAKE]
    return Example(ids + ([AUDIO] * len(sound.rows) if sound else []), [frame] if frame else [], sound, asks)


# ---------------------------------------------------------------------- batch

class Batch:
    """Examples as tensors: prefixes (of frames with print only `kept` rows), then their questions and answers one behind the other."""

    def __init__(self, text, examples, kept=None, rng=None):
        laid = [self.lay(e, kept, rng) for e in examples]
        size = -(-max(len(l["ids"]) for l in laid) // 32) * 32
        fill = lambda name, value: torch.tensor([l[name] + [value] * (size - len(l[name])) for l in laid])
        ids, branch = fill("ids", END), fill("branch", -1)
        self.positions, self.targets = fill("positions", 0), fill("targets", -1)
        order = torch.arange(size)
        self.hidden = (order[:, None] < order) | ((branch[:, None, :] != 0) & (branch[:, None, :] != branch[:, :, None]))
        rows = [r for l in laid for r in l["rows"]]
        x = text.embed_tokens(ids)
        self.x = x.masked_scatter(((ids == IMAGE) | (ids == AUDIO))[..., None], torch.cat(rows).to(x.dtype)) if rows else x
        most = max(1, max(len(l["looks"]) for l in laid))
        self.watch = torch.zeros(len(laid), most, dtype=torch.long)
        self.wanted = torch.zeros(len(laid), most, size)
        for k, l in enumerate(laid):
            for j, (at, where) in enumerate(l["looks"]):
                self.watch[k, j] = at
                self.wanted[k, j, where] = 1
        self.spans = [(k, a, b, skill) for k, l in enumerate(laid) for a, b, skill in l["spans"]]

    def lay(self, e, kept, rng):
        ids, positions, rows, where = [], [], [], {}        # where: (frame, group) -> place in the sequence
        frame, group = -1, 0
        for at, token in enumerate(e.prefix):
            if token == GLOBAL:
                frame, group = frame + 1, 0
                shown = choose(e.frames[frame], kept, rng)
                rows.append(e.frames[frame].rows[shown])
                shown = set(shown)
            if token == IMAGE:
                group += 1
                if group - 1 not in shown:
                    continue
                where[frame, group - 1] = len(ids)
            if token == AUDIO and (None, 0) not in where:
                where[None, 0] = len(ids)
                rows.append(e.sound.rows)
            ids.append(token)
            positions.append(at)
        branch, targets, looks, spans = [0] * len(ids), [-1] * len(ids), [], []
        for b, ask in enumerate(e.asks, 1):
            said, answer = watch_tasks.question_ids(ask.question), encode(ask.answer) + [END]
            first = len(ids) + len(said) - 1                # whose state names the answer's first byte
            ids += said + answer[:-1]
            n = len(said) + len(answer) - 1
            positions += range(len(e.prefix), len(e.prefix) + n)
            branch += [b] * n
            targets += [-1] * (len(said) - 1) + answer
            spans.append((first, first + len(answer), ask.skill))
            for place, frames, source in ask.looks:
                if frames is None:
                    most = len(e.sound.rows) - 1
                    spots = {where[None, 0] + min(max(0, e.sound.heard[source] + near) // STACK, most) for near in (-2, 0, 2)}
                elif source >= 0:
                    spots = {where[f, int(e.frames[f].places[source])] for f in frames}
                else:                                       # all that shows a shape
                    spots = {where[f, g] for f in frames for g in painted(e.frames[f], -1 - source) if (f, g) in where}
                looks.append((first + place, sorted(spots)))
        return dict(ids=ids, positions=positions, branch=branch, targets=targets, looks=looks, spans=spans, rows=rows)

    def run(self, text):
        """(loss, guide loss, what was right for each (example, from, to, skill))"""
        states, seen = text(self.x, self.positions, watch=self.watch, watched_layers=train.GUIDED_LAYERS, hidden=self.hidden)
        scored = self.targets >= 0
        logits = text.logits(states[scored])
        loss = F.cross_entropy(logits, self.targets[scored])
        valid = self.wanted.sum(-1) > 0
        guide = sum(-(s[:, :, 0] + (self.wanted + 1e-9).log()).logsumexp(-1)[valid].mean() for s in seen) / len(seen) if valid.any() else 0
        hit = torch.ones_like(self.targets, dtype=torch.bool)
        hit[scored] = logits.argmax(-1) == self.targets[scored]
        right = {}
        for k, a, b, skill in self.spans:
            right.setdefault(skill, []).append(bool(hit[k, a:b].all()))
        return loss, guide, right


def choose(frame, kept, rng):
    """The rows of a frame that are shown: all, or those with most ink and some others."""
    if not kept:
        return list(range(ROWS))
    score = (frame.ink > 0) * 1000.0 + frame.ink + rng.random(ROWS) * 500
    for p in frame.places:
        score[p] += 5000
    return sorted(np.argsort(-score)[:kept].tolist())


def painted(frame, item):
    return np.nonzero(((frame.paint > 0) & ((frame.paint - 1) // 32 == item)).any(1))[0].tolist()


# ------------------------------------------------------- pictures and sounds

def about_print(rng, frame):
    question, form = data.text_phrasing(rng)
    answer = form % frame.text
    first = answer.index(frame.text)
    return Ask(question, answer, "read", [(first + k, [0], k) for k in range(len(frame.text))])


def about_shapes(frame):
    """With the guide of train.py: names of colours and kinds come from where that shape lies."""
    ask, after = Ask(frame.question, frame.answer, "shapes"), 0
    for item in range(2):
        label = frame.paint[(frame.paint > 0) & ((frame.paint - 1) // 32 == item)]
        if not len(label):
            break
        label = int(label[0] - 1) % 32
        for word in (data.COLOUR_NAMES[label // 4], data.SHAPES[label % 4]):
            at = ask.answer.find(word, after)
            if at >= 0:
                ask.looks += [(at + k, [0], -1 - item) for k in range(len(word))]
                after = at + len(word)
    return ask


class Watcher(train.Trainer):
    """train.py's talk, rates and files; everything else goes through Batch."""

    def __init__(self, args):
        self.args = args
        self.rng, self.np_rng = random.Random(args.seed), np.random.default_rng(args.seed)
        self.model, self.aux, self.speller = SampleModel(hearing=Hearing()), AuxiliaryHeads(), Speller()
        self.optimizer = train.Optimizer(self.model, torch.nn.ModuleList([self.aux, self.speller]), args.rate, 0, args.adam_rate)
        self.pictures, self.steps = 0, 0
        if not args.resume and os.path.isdir(args.start):
            load_export(args.start, self.model, self.aux)
            load_auxiliary(self.speller)
        else:
            self.restore(torch.load(self.path() if args.resume else args.start))
        for name, p in self.model.named_parameters():
            p.requires_grad_("text_model" in name)
        self.source, self.parts, self.averages, self.stopped = watch_tasks.Source(), set(), {}, False
        self.refresh()
        self.held_out = watch_tasks.Source()
        for path in sorted(glob.glob(os.path.join(args.held_out, "*.pt"))):
            self.held_out.add(*watch_bank.read(path))

    def restore(self, c):
        super().restore(c)
        self.speller.load_state_dict(c["speller"])

    def state(self):
        return dict(super().state(), speller=self.speller.state_dict())

    def refresh(self):
        for path in sorted(glob.glob(os.path.join(self.args.bank, "*.pt"))):
            if path not in self.parts:
                self.source.add(*watch_bank.read(path))
                self.parts.add(path)
        self.asked = {}
        for s in self.source.sounds:
            if s.kind == "picture":
                self.asked.setdefault(s.text, []).append(s)

    # what a step sees ---------------------------------------------------------
    def clips(self):
        n = self.rng.choices(list(watch_tasks.LENGTHS), list(watch_tasks.LENGTHS.values()))[0]
        kept = None if self.rng.random() < self.args.whole else train.KEPT_GROUPS
        size = 260 + n * (21 + (kept or ROWS))
        clips = [self.source.clip(self.rng, n) for _ in range(max(4, self.args.rows // size))]
        first = self.rng.random() < self.args.before
        return [of_clip(c, self.rng.choice(c.asks) if first else None) for c in clips], kept

    def pictures_of(self, n):
        out = []
        for k in range(n):
            frame = self.rng.choice(self.source.shapes if k % 3 == 0 else self.source.prints)
            out.append(of_parts(frame, None, [about_print(self.rng, frame) if frame.text else about_shapes(frame)]))
        return out, None if self.rng.random() < self.args.whole else train.KEPT_GROUPS

    def sounds_of(self, n):
        out = []
        for k in range(n):
            sound, frame = self.rng.choice(self.source.sounds), None
            task = hear_tasks.sample(self.rng, [sound])
            ask = Ask(task.question, task.answer, task.skill, [(place, None, source) for place, source in task.looks])
            if k % 7 == 0:                                  # beside a picture, which may be what is asked about
                frame = self.rng.choice(self.source.prints if self.rng.random() < 0.5 else self.source.shapes)
                about = about_print(self.rng, frame) if frame.text else about_shapes(frame)
                spoken, x = self.asked.get(sounds.plain(about.question)), self.rng.random()
                if x < 0.4 and spoken:
                    sound, ask = self.rng.choice(spoken), Ask("", about.answer, "spoken_question", about.looks)
                elif x < 0.7:
                    ask = Ask(about.question, about.answer, "typed_question", about.looks)
            e = of_parts(frame, sound, [ask])
            if task.sound_last and not frame and task.question:
                e = Example([BOS] + encode("User: " + ask.question) + [AUDIO] * len(sound.rows), [], sound, [Ask("", ask.answer, ask.skill, ask.looks)])
            out.append(e)
        return out, None

    def loss_of(self, name, examples, kept):
        loss, guide, right = Batch(self.model.model.text_model, examples, kept, self.np_rng).run(self.model.model.text_model)
        self.note(**{name: loss, name + "_guide": guide}, **{k: np.mean(v) for k, v in right.items()})
        return loss + self.args.guide * guide

    def step_loss(self):
        loss = self.loss_of("clip", *self.clips())
        turn = self.steps % self.args.turns
        if turn == 0:
            loss = loss + self.loss_of("picture", *self.pictures_of(self.args.pictures))
        if turn == self.args.turns - 1:
            loss = loss + self.loss_of("hear", *self.sounds_of(self.args.sounds)) + self.talk_loss(self.args.talk)
        return loss

    # the loop -------------------------------------------------------------------
    def run(self):
        args = self.args
        self.first_step = self.steps - (0 if args.start else 45)    # a resumed run is warm sooner
        start = last_print = last_save = last_look = last_eval = time.time()
        end = start + args.minutes * 60
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        self.evaluate()
        while time.time() < end and not self.stopped:
            done = (time.time() - start) / (end - start)
            with torch.autocast("cpu", torch.bfloat16):
                loss = self.step_loss()
            loss.backward()
            self.optimizer.step(self.learning_rate(done))
            self.steps += 1
            now = time.time()
            if self.steps % 25 == 0:
                means = " ".join("%s %.3f" % (k, np.mean(v)) for k, v in sorted(self.averages.items()))
                print("%s step %d (%.2f s) rate %.3f | %s" % (time.strftime("%H:%M:%S"), self.steps, (now - last_print) / 25, self.learning_rate(done), means),
                      flush=True)
                self.averages, last_print = {}, now
            if now - last_save > 180:
                self.save()
                last_save = now
            if now - last_look > 120:
                self.refresh()
                last_look = now
            if now - last_eval > args.eval_every * 60:
                self.evaluate()
                last_eval = time.time()
        self.save()
        self.evaluate()

    @torch.no_grad()
    def evaluate(self):
        """Shares of exact answers in held-out words, fonts and voices; what is right when told what came before it is so when it is not."""
        rng, right, text = random.Random(5), {}, self.model.model.text_model
        for n in (1, 2, 3, 4, 5, 8):
            for _ in range(2):
                clips = [self.held_out.clip(rng, n) for _ in range(10)]
                for examples in ([of_clip(c) for c in clips], [of_clip(c, rng.choice(c.asks)) for c in clips]):
                    for k, v in Batch(text, examples).run(text)[2].items():
                        right.setdefault(k.rpartition("_")[2], []).extend(v)
        line = json.dumps({"at": time.strftime("%H:%M:%S"), "steps": self.steps, **{k: round(float(np.mean(v)), 3) for k, v in sorted(right.items())}})
        print("held out " + line, flush=True)
        with open(os.path.join(self.args.out, "curve.jsonl"), "a") as f:
            f.write(line + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--out", required=True, help="folder for the checkpoint and the curve")
    p.add_argument("--start", help="the shipped model's folder, or a checkpoint of train_hearing.py")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    p.add_argument("--bank", required=True, help="folder of watch_bank.py; it may be growing")
    p.add_argument("--held-out", required=True, help="folder of watch_bank.py --held-out")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--rows", type=int, default=5600, help="tokens of clips in a step, about")
    p.add_argument("--turns", type=int, default=2, help="pictures, then sounds and talk, come in every n-th step")
    p.add_argument("--pictures", type=int, default=40, help="of a step that has them")
    p.add_argument("--sounds", type=int, default=40, help="of a step that has them")
    p.add_argument("--talk", type=int, default=48, help="of a step that has them")
    p.add_argument("--talk-weight", type=float, default=1.0)
    p.add_argument("--whole", type=float, default=0.25, help="share of batches that leave no row out")
    p.add_argument("--before", type=float, default=0.2, help="share of batches of clips that have one question, asked before the clip")
    p.add_argument("--guide", type=float, default=0.5, help="weight of the attention guide")
    p.add_argument("--rate", type=float, default=0.012, help="Muon rate of the decoder")
    p.add_argument("--adam-rate", type=float, default=1e-3)
    p.add_argument("--decay", type=float, default=0.75, help="last part with falling rates")
    p.add_argument("--eval-every", type=float, default=10, help="minutes")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=int(time.time()))
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    Watcher(args).run()


if __name__ == "__main__":
    main()
