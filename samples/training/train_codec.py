"""Train the codec of the sample's speaker on a CPU: what voice.py draws.

    python train_codec.py --out codec --sayings sayings --minutes 20             # clips of sayings.py
    python train_codec.py --out codec --sayings sayings --minutes 20 --resume

Losses: spectra (two of four resolutions a step), log-mels, and the distance of the encoder from the code vectors that
it is given.  No adversary.  The first steps go without codes, so that vectors begin where the encoder is.
"""

import argparse
import json
import os
import random
import signal
import time

import numpy as np
import torch
from torch import nn

import train
from sayings import Sayings
from voice import OTHERS, Voice, perplexity, spectral_losses


class Trainer:
    def __init__(self, args):
        self.args = args
        self.rng = random.Random(args.seed)
        self.voice = Voice()
        self.steps, self.seconds = 0, 0.0
        self.optimizer = train.Optimizer(self.voice, nn.Module(), 0, args.rate, args.adam_rate)
        self.parts = {part: Sayings(args.sayings, part) for part in ("train", "held")}
        if args.resume:
            c = torch.load(self.path())
            self.voice.load_state_dict(c["voice"])
            self.optimizer.adam.load_state_dict(c["adam"])
            self.optimizer.momentum, self.steps, self.seconds = c["muon"], c["steps"], c["seconds"]
        self.stopped = False

    def path(self):
        return os.path.join(self.args.out, "checkpoint.pt")

    def save(self):
        torch.save(dict(voice=self.voice.state_dict(), adam=self.optimizer.adam.state_dict(), muon=self.optimizer.momentum,
                        steps=self.steps, seconds=self.seconds), self.path() + ".tmp")
        os.replace(self.path() + ".tmp", self.path())

    def crops(self, part, rng, n):
        """[n, samples]: pieces of clips; short ones end in silence."""
        size = self.args.frames * self.voice.c.hop
        x = np.zeros((n, size), np.float32)
        for row in x:
            wave = self.parts[part].wave(rng.choice(self.parts[part].clips))
            # The beginning, where streams begin, in every fourth.
            at = rng.randint(0, max(0, len(wave) - size)) if rng.random() < 0.75 else 0
            wave = wave[at:at + size]
            row[:len(wave)] = wave
        return torch.from_numpy(x)

    def step(self, factor):
        x = self.crops("train", self.rng, self.args.batch)
        with torch.autocast("cpu", torch.bfloat16):
            y, away = self.voice(x, self.steps >= self.args.warm_up)
        spectral, mel = spectral_losses(y, x, self.voice.c, [self.rng.choice(OTHERS)])
        (spectral + 2 * mel + 0.25 * away).backward()
        self.optimizer.step(factor)
        self.steps += 1
        self.seconds += x.numel() / 16000
        return [float(v.detach()) for v in (spectral, mel, away)]

    @torch.no_grad()
    def evaluate(self, n=64):
        voice = self.voice.eval()
        x = self.crops("held", random.Random(7), n)
        codes = voice.codebook.nearest(voice.encoder(x))
        y, whole = voice(x)[0], voice(x, False)[0]
        voice.train()
        spectral, mel = spectral_losses(y, x, voice.c)
        figures = dict(at=time.strftime("%H:%M:%S"), steps=self.steps, hours=round(self.seconds / 3600, 2),
                       mel=round(float(mel), 4), spectral=round(float(spectral), 4),
                       mel_without_codes=round(float(spectral_losses(whole, x, voice.c, [])[1]), 4),
                       codes=len(codes.unique()), perplexity=round(perplexity(codes)))
        print("held out " + json.dumps(figures), flush=True)
        with open(os.path.join(self.args.out, "curve.jsonl"), "a") as f:
            f.write(json.dumps(figures) + "\n")

    def run(self):
        args = self.args
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        clock = time.process_time if args.cpu_time else time.time
        start = last_eval = last_save = clock()
        end, first, losses = start + args.minutes * 60, self.steps, []
        while clock() < end and not self.stopped:
            done = (clock() - start) / (end - start)
            losses.append(self.step(min(1, (self.steps - first + 1) / 50) * min(1, max(0.01, (1 - done) / args.decay))))
            if self.steps % 20 == 0:
                print("%s step %d %.0fs | spectral %.3f mel %.3f away %.4f" % (
                    time.strftime("%H:%M:%S"), self.steps, clock() - start, *np.mean(losses, 0)), flush=True)
                losses = []
            if clock() - last_save > 60:
                self.save()
                last_save = clock()
            if clock() - last_eval > args.eval_every * 60:
                self.evaluate()
                last_eval = clock()
        self.save()
        self.evaluate()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--sayings", required=True, help="folder of sayings.py")
    p.add_argument("--minutes", type=float, default=20)
    p.add_argument("--cpu-time", action="store_true", help="minutes of processor time, for a busy machine")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--frames", type=int, default=64, help="of a crop: 20 ms each")
    p.add_argument("--warm-up", type=int, default=80, help="steps without codes")
    p.add_argument("--rate", type=float, default=0.015, help="Muon")
    p.add_argument("--adam-rate", type=float, default=1.5e-3)
    p.add_argument("--decay", type=float, default=0.35, help="last part with falling rates")
    p.add_argument("--eval-every", type=float, default=2, help="minutes")
    p.add_argument("--seed", type=int, default=int(time.time()))
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    Trainer(args).run()


if __name__ == "__main__":
    main()
