"""Teach the sample model to hear, on a CPU.

    python sounds.py speech --minutes 60                                            # the clips
    python train_hearing.py --out ears --speech speech --stage tower --minutes 60   # the audio tower alone
    python train_hearing.py --out ears --speech speech --stage tower --minutes 60 --resume
    python train_hearing.py --out both --speech speech --tower ears/checkpoint.pt --text run/checkpoint.pt --minutes 60
    python train_hearing.py --out both --speech speech --minutes 60 --resume

Stage `tower`: Whisper's encoder in miniature spells what it hears, letter by letter (CTC).
Stage `joint`: the rows of the tower go to the text model, which transcribes and answers; pictures and talk go on as
in train.py, so that nothing is forgotten.  Losses beside those of train.py:

  hear     cross-entropy of the answer's bytes
  spell    CTC of the tower                                                        (auxiliary head)
  ear      one attention head of two decoder layers should look, when character i is due, at the row in which
           the likeliest CTC path hears it
"""

import argparse
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
from evaluate import evaluate, evaluate_hearing, evaluate_spelling
from export import load_auxiliary
from hearing import Hearing, Speller, align, log_mel
from model import AUDIO, FAKE, GLOBAL, IMAGE, SampleModel, AuxiliaryHeads, prompt_ids


# --------------------------------------------------------------------- batches

class Clips:
    """Batches of training sound, spoilt, of similar lengths; the folder may still be growing."""

    def __init__(self, folder, seed):
        self.speech = sounds.Speech(folder, "train")
        self.rng, self.np_rng = random.Random(seed), np.random.default_rng(seed)
        self.queue, self.refreshed = [], time.time()

    def batch(self, n, joined):
        """n utterances: lists of one clip, or (a share of `joined`) of two to five that are said one after the other."""
        if not self.queue:
            if time.time() - self.refreshed > 300:
                self.speech.refresh()
                self.refreshed = time.time()
            pool = [[self.rng.choice(self.speech.clips) for _ in range(self.rng.choice((2, 2, 3, 4, 5)) if self.rng.random() < joined else 1)]
                    for _ in range(8 * n)]
            pool.sort(key=lambda u: sum(c.length for c in u))
            self.queue = [pool[k:k + n] for k in range(0, 8 * n, n)]
            self.rng.shuffle(self.queue)
        return self.queue.pop()

    def sound(self, utterance, effects=1.0):
        """(wave, text); the clips of an utterance share their loudness and room, as if one had said them."""
        pieces = []
        for clip in utterance:
            pieces += [self.speech.wave(clip), np.zeros(self.rng.randint(1000, 6000), np.float32)]
        return sounds.spoil(np.concatenate(pieces[:-1]), self.np_rng, effects), " ".join(c.text for c in utterance)

    def mask(self, mel, frames):
        """SpecAugment: hide a few stretches of time and a few bands.

        The batch is filled up to one of a few lengths: for every new shape of a product, torch keeps buffers.
        """
        mel = F.pad(mel, (0, -mel.shape[2] % (32 if mel.shape[2] <= 256 else 128)))
        for i, n in enumerate(frames.tolist()):
            for _ in range(self.rng.choice((0, 1, 2))):
                a = self.rng.randrange(n)
                mel[i, :, a:min(n, a + self.rng.randint(2, 10))] = 0
            for _ in range(self.rng.choice((0, 1, 2))):
                a = self.rng.randrange(mel.shape[1] - 4)
                mel[i, a:a + self.rng.randint(2, 10), :n] = 0
        return mel


def first_position(rng, mel):
    """Sounds are short: starting them anywhere in the 30 seconds half of the time teaches all positions."""
    return 0 if rng.random() < 0.5 else rng.randrange(1500 - (mel.shape[-1] + 1) // 2)


# ----------------------------------------------------------------- stage tower

class TowerTrainer:
    def __init__(self, args):
        self.args = args
        self.rng = random.Random(args.seed)
        self.hearing, self.speller = Hearing(), Speller()
        self.steps, self.clips = 0, 0
        self.optimizer = train.Optimizer(self.hearing.audio_tower, self.speller, 0, args.tower_rate, args.adam_rate)
        if args.resume or args.tower:
            self.load(self.path() if args.resume else args.tower)
        self.source = Clips(args.speech, args.seed)
        self.stopped = False

    def path(self):
        return os.path.join(self.args.out, "checkpoint.pt")

    def load(self, path):
        c = torch.load(path)
        self.hearing.load_state_dict(c["hearing"])
        self.speller.load_state_dict(c["speller"])
        self.steps, self.clips = c["steps"], c["clips"]
        if "adam" in c:
            self.optimizer.adam.load_state_dict(c["adam"])
            self.optimizer.momentum = c["muon"]

    def save(self):
        torch.save(dict(hearing=self.hearing.state_dict(), speller=self.speller.state_dict(), steps=self.steps, clips=self.clips,
                        adam=self.optimizer.adam.state_dict(), muon=self.optimizer.momentum), self.path() + ".tmp")
        os.replace(self.path() + ".tmp", self.path())

    def step(self, factor):
        waves, texts = zip(*(self.source.sound(u, self.args.effects) for u in self.source.batch(self.args.batch, self.args.joined)))
        mel, frames = log_mel(waves)
        mel = self.source.mask(mel, frames)
        with torch.autocast("cpu", torch.bfloat16):
            features, lengths = self.hearing.audio_tower(mel, frames, first_position(self.rng, mel))
            loss = self.speller.loss(self.speller(features), lengths, texts)
        loss.backward()
        self.optimizer.step(factor)
        self.steps += 1
        self.clips += len(waves)
        return float(loss.detach())

    def run(self):
        args = self.args
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        start = last_print = last_save = time.time()
        last_eval, first, printed, losses = start, self.steps, self.clips, []
        end = start + args.minutes * 60
        while time.time() < end and not self.stopped:
            done = (time.time() - start) / (end - start)
            rate = min(1, (self.steps - first + 1) / 60) * min(1, max(0.02, (1 - done) / args.decay))
            losses.append(self.step(rate))
            now = time.time()
            if self.steps % 50 == 0:
                print("%s step %d clips %d (%.0f/s of %d) rate %.3f | spell %.3f" % (
                    time.strftime("%H:%M:%S"), self.steps, self.clips, (self.clips - printed) / (now - last_print),
                    len(self.source.speech.clips), rate, np.mean(losses)), flush=True)
                last_print, printed, losses = now, self.clips, []
            if now - last_save > args.save_every * 60:
                self.save()
                last_save = now
            if now - last_eval > args.eval_every * 60:
                self.evaluate(args.eval_clips)
                last_eval = time.time()
        self.save()
        if not self.stopped:
            self.evaluate(2 * args.eval_clips)

    def evaluate(self, n):
        record(self.args.out, steps=self.steps, clips=self.clips, **evaluate_spelling(self.hearing, self.speller, self.args.speech, n))


def record(folder, **figures):
    line = json.dumps({"at": time.strftime("%H:%M:%S"), **figures})
    print("held out " + line, flush=True)
    with open(os.path.join(folder, "curve.jsonl"), "a") as f:
        f.write(line + "\n")


# ----------------------------------------------------------------- stage joint

class JointTrainer(train.Trainer):
    """train.py's trainer, whose model also has ears."""

    def __init__(self, args):
        super().__init__(args)
        self.optimizer.rates["hearing"] = args.tower_rate

    def make_model(self):
        self.speller = Speller()
        self.source = Clips(self.args.speech, self.args.seed)
        return SampleModel(hearing=Hearing()), AuxiliaryHeads()

    def heads(self):
        return torch.nn.ModuleList([self.aux, self.speller])

    def begin(self):
        """The shipped model, or the reading model of one run and the tower of another."""
        super().begin()
        if self.args.start:
            load_auxiliary(self.speller)
        if self.args.text:
            text = torch.load(self.args.text)
            missing, unexpected = self.model.load_state_dict(text["model"], strict=False)
            if unexpected or any(not k.startswith("hearing.") for k in missing):
                raise SystemExit("%s is not a checkpoint of train.py" % self.args.text)
            self.aux.load_state_dict(text["aux"])
            self.pictures = text["pictures"]
        if self.args.tower:
            tower = torch.load(self.args.tower)
            self.model.hearing.load_state_dict(tower["hearing"])
            self.speller.load_state_dict(tower["speller"])

    def run(self):
        if self.args.freeze_sight:
            for p in [*self.model.model.vision_model.parameters(), *self.model.model.connector.parameters()]:
                p.requires_grad_(False)
        super().run()

    def state(self):
        return dict(super().state(), speller=self.speller.state_dict())

    def restore(self, c):
        super().restore(c)
        self.speller.load_state_dict(c["speller"])

    def more_loss(self):
        if self.steps % self.args.hear_every:
            return 0
        hearing, text = self.model.hearing, self.model.model.text_model
        utterances = self.source.batch(self.args.hear, self.args.joined)
        tasks = [hear_tasks.sample(self.rng, u) for u in utterances]
        rings = [self.add_picture(task, u) if k < self.args.hear_pictures else None
                 for k, (task, u) in enumerate(zip(tasks, utterances))]
        waves, texts = zip(*(self.source.sound(u, self.args.effects) for u in utterances))
        mel, frames = log_mel(waves)
        mel = self.source.mask(mel, frames)
        with torch.set_grad_enabled(not self.args.freeze_tower):
            features, lengths = hearing.audio_tower(mel, frames, first_position(self.rng, mel))
            log_probs = self.speller(features)
            spell = self.speller.loss(log_probs, lengths, texts)
        rows, counts = hearing.multi_modal_projector(features, lengths)
        prompts = [prompt_ids(t.question, ring is not None, sound=n, sound_last=t.sound_last)
                   for t, ring, n in zip(tasks, rings, counts.tolist())]
        ids, targets = train.pad_batch(prompts, [t.answer for t in tasks])
        x = text.embed_tokens(ids)
        x = x.masked_scatter((ids == AUDIO)[..., None], rows[torch.arange(rows.shape[1]) < counts[:, None]].to(x.dtype))
        if any(rings):
            pixels = torch.from_numpy(np.stack([r[0].pixels[r[1]] for r in rings if r]))
            x = x.masked_scatter((ids == IMAGE)[..., None], self.model.look(pixels)[1].flatten(0, 1).to(x.dtype))

        # Which rows the characters of a transcript are heard in; the neighbour too where it is close.
        heard = align(log_probs.detach(), lengths, texts)
        most = max(1, max(len(t.looks) for t in tasks))
        watch = torch.zeros(len(tasks), most, dtype=torch.long)
        wanted = torch.zeros(len(tasks), most, ids.shape[1])
        stack = hearing.c.stack
        for k, (task, prompt) in enumerate(zip(tasks, prompts)):
            at = prompt.index(AUDIO)
            for j, (place, source) in enumerate(task.looks):
                watch[k, j] = len(prompt) - 1 + place
                for near in (-2, 0, 2):
                    row = min(max(0, heard[k][source] + near) // stack, int(counts[k]) - 1)
                    wanted[k, j, at + row] = 1
        states, seen = text(x, torch.arange(ids.shape[1])[None], watch=watch, watched_layers=train.GUIDED_LAYERS)
        scored = targets >= 0
        logits = text.logits(states[scored])
        loss = F.cross_entropy(logits, targets[scored])
        valid = wanted.sum(-1) > 0
        guide = sum(-(s[:, :, 0] + (wanted + 1e-9).log()).logsumexp(-1)[valid].mean() for s in seen) / len(seen) if valid.any() else 0
        hit = torch.ones_like(targets, dtype=torch.bool)
        hit[scored] = logits.argmax(-1) == targets[scored]
        self.note(hear=loss, spell=spell, ear=guide, hear_right=hit[scored].float().mean())
        for name in {t.skill for t in tasks}:
            self.note(**{name: hit[[k for k, t in enumerate(tasks) if t.skill == name]].all(1).float().mean()})
        return self.args.hear_weight * (loss + self.args.spell * spell + self.args.ear * guide)

    def add_picture(self, task, utterance):
        """Make it a message with a picture beside the sound; the question, typed or spoken, is about one of the two."""
        ring = self.texts if self.rng.random() < 0.5 else self.shapes
        i = ring.pick(self.rng, 1)[0]
        question, answer = ring.string("question", i), ring.string("answer", i)
        if ring is self.texts:
            question, frame = data.text_phrasing(self.rng)
            answer = frame % ring.string("text", i)
        spoken = self.source.speech.by_text.get(sounds.plain(question))
        x = self.rng.random()
        if x < 0.4 and spoken:
            utterance[:] = [self.rng.choice(spoken)]
            task.become("", answer, "spoken_question")
        elif x < 0.7:
            task.become(question, answer, "typed_question")
        return ring, i

    def figures(self, n):
        model = self.model.eval()
        out = {**evaluate(model, n, seed=77), **evaluate_hearing(model, self.args.speech, 2 * n)}
        model.train()
        return out


def main():
    p = train.arguments(__doc__, ("joint", "tower"))
    p.set_defaults(pictures_every=2, talk_every=3, ramp=0, tower_rate=0.01)
    p.add_argument("--speech", required=True, help="folder of sounds.py")
    p.add_argument("--tower", help="checkpoint whose tower to start from")
    p.add_argument("--text", help="checkpoint of train.py to start from")
    p.add_argument("--tower-rate", type=float, help="Muon rate of the ears")
    p.add_argument("--freeze-tower", action="store_true", help="stage joint: the decoder and its projector learn from a tower that stands still")
    p.add_argument("--freeze-sight", action="store_true", help="stage joint: the tower for pictures and its projector stand still")
    p.add_argument("--joined", type=float, default=0.12, help="share of utterances of several clips")
    p.add_argument("--effects", type=float, default=1.0, help="how often sound is spoilt, as a share of the usual")
    p.add_argument("--hear", type=int, default=64, help="utterances of a step that has them")
    p.add_argument("--hear-every", type=int, default=1, help="every n-th step has them")
    p.add_argument("--hear-pictures", type=int, default=6, help="so many of them beside a picture")
    p.add_argument("--hear-weight", type=float, default=1.0)
    p.add_argument("--spell", type=float, default=0.3, help="weight of the CTC loss, stage joint")
    p.add_argument("--ear", type=float, default=0.3, help="weight of the attention guide to rows of sound")
    p.add_argument("--eval-clips", type=int, default=100, help="per part, stage tower")
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    (TowerTrainer if args.stage == "tower" else JointTrainer)(args).run()


if __name__ == "__main__":
    main()
