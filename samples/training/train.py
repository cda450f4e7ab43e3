"""Train the sample model on a CPU.

    python train.py --out run --minutes 120                      # from nothing
    python train.py --out run --minutes 60 --resume              # go on with a run
    python train.py --out run --start ../model --minutes 60      # go on from the shipped model

One process draws pictures into a ring in shared memory, another trains.  Most steps look only at the part of the
picture that holds print ("groups"), every few steps at whole pictures.

Losses:
  answer  cross-entropy of the answer's bytes
  cells   the character at each place of each patch   (auxiliary head)
  order   which character of the text that is        (auxiliary head)
  paint   colour and kind of the shape at each patch (auxiliary head)
  slots   character i of the text, from all rows      (auxiliary head)
  guide   one attention head of two decoder layers should look, when character i is
          due, at the row that holds it
"""

import argparse
import json
import multiprocessing as mp
import os
import random
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F

import data
import talk
from export import load_export
from evaluate import evaluate
from model import (CLASSES, END, IMAGE, ROWS, AuxiliaryHeads, SampleModel, encode, prompt_ids)

GUIDED_LAYERS = (2, 3)               # head 0 of these looks at what is copied
TALK_LAYERS = (1,) + GUIDED_LAYERS   # and the heads of the first at the digits of a sum
KEPT_GROUPS = 12
QUESTION_AT = 1 + len("User: ")          # where the question starts in a prompt without picture
TEXT_LIMIT, QA_LIMIT = data.MAX_CHARS + 2, 96


# ------------------------------------------------------------- drawing process

class Ring:
    """Samples in shared memory, the newest overwriting the oldest."""

    FIELDS = (("pixels", (data.SIDE, data.SIDE, 3)), ("cells", (ROWS, 4, 8)), ("order", (ROWS, 4, 8)),
              ("ink", (ROWS,)), ("paint", (ROWS, 4)),
              ("text", (TEXT_LIMIT,)), ("rows", (TEXT_LIMIT,)),
              ("question", (QA_LIMIT,)), ("answer", (QA_LIMIT,)))

    def __init__(self, size):
        self.size = size
        for name, shape in self.FIELDS:
            raw = mp.RawArray("B", size * int(np.prod(shape)))
            setattr(self, name, np.frombuffer(raw, np.uint8).reshape(size, *shape))
        self.drawn = mp.RawValue("l", 0)

    def put(self, s):
        i = self.drawn.value % self.size
        self.pixels[i], self.cells[i], self.ink[i] = s.pixels, s.cells, s.ink
        self.order[i], self.paint[i] = s.order, s.paint
        self.rows[i, :len(s.rows)] = s.rows
        for name in ("text", "question", "answer"):
            b = getattr(s, name).encode()
            row = getattr(self, name)[i]
            row[:] = 0
            row[:len(b)] = list(b)
        self.drawn.value += 1

    def pick(self, rng, n):
        newest = self.drawn.value
        oldest = max(0, newest - self.size + 8)
        return [rng.randrange(oldest, newest) % self.size for _ in range(n)]

    def string(self, name, i):
        return bytes(getattr(self, name)[i]).rstrip(b"\0").decode()


def draw_forever(texts, shapes, wanted, limits, seed):
    """Keep both rings fresh, at the pace at which pictures are used."""
    rng = random.Random(seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    while os.getppid() == parent:
        busy = False
        if texts.drawn.value < wanted[0]:
            texts.put(data.make_text_sample(rng, longest=int(limits[0]), effects=limits[1],
                                            print_size=(limits[2], limits[3]),
                                            two_steps=rng.random() < 0.3))
            busy = True
        if shapes.drawn.value < wanted[1]:
            shapes.put(data.make_shape_sample(rng, effects=limits[1],
                                              two_steps=rng.random() < 0.3))
            busy = True
        if not busy:
            time.sleep(0.02)


# ------------------------------------------------------------------- optimizer

def orthogonalise(g):
    """Newton-Schulz iteration of Muon: the nearest (scaled) orthogonal matrix."""
    x = g.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    wide = x.shape[-2] > x.shape[-1]
    if wide:
        x = x.transpose(-1, -2)
    for _ in range(5):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.transpose(-1, -2) if wide else x).float()


class Optimizer:
    """Muon for the matrices inside the layers, AdamW for everything else."""

    def __init__(self, model, aux, muon_text, muon_vision, adam):
        groups, rest = {}, []
        for name, p in model.named_parameters():
            if p.ndim == 2 and "embed" not in name:
                # Matrices of one part see the same steps, so that all of a group have a gradient or none has.
                part = "hearing" if name.startswith("hearing.") else "text_model" not in name
                groups.setdefault((tuple(p.shape), part), []).append(p)
            else:
                rest.append(p)
        self.rates = {True: muon_vision, False: muon_text, "hearing": muon_vision}
        self.groups = groups
        self.momentum = {k: torch.zeros(len(v), *k[0]) for k, v in groups.items()}
        self.adam_rate = adam
        self.adam = torch.optim.AdamW(
            [dict(params=[p for p in rest if p.ndim > 1] + list(aux.parameters()), weight_decay=0.01),
             dict(params=[p for p in rest if p.ndim == 1], weight_decay=0.0)],
            lr=adam, betas=(0.9, 0.97), eps=1e-9, foreach=True)

    @torch.no_grad()
    def step(self, factor):
        rest = [p for g in self.adam.param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_([p for p in rest if p.grad is not None], 1.0)
        for g in self.adam.param_groups:
            g["lr"] = self.adam_rate * factor
        self.adam.step()
        for key, params in self.groups.items():
            if params[0].grad is None:
                continue
            (rows, cols), part = key
            grad = torch.stack([p.grad for p in params])
            momentum = self.momentum[key].lerp_(grad, 0.05)
            update = orthogonalise(grad.lerp(momentum, 0.95))
            rate = self.rates[part] * factor
            for p, u in zip(params, update):
                p.mul_(1 - rate * 0.01).add_(u, alpha=-rate * max(1, rows / cols) ** 0.5)
        for p in rest + [p for ps in self.groups.values() for p in ps]:
            p.grad = None


# -------------------------------------------------------------------- batches

def pad_batch(prompts, answers, length=None):
    """Prompt + answer + end, padded; targets are -1 where there is no loss."""
    ids, targets = [], []
    for p, a in zip(prompts, answers):
        a = encode(a) + [END]
        ids.append(p + a[:-1])
        targets.append([-1] * (len(p) - 1) + a)
    n = max(map(len, ids))
    n = length if length and n <= length else -(-n // 8) * 8
    return (torch.tensor([x + [END] * (n - len(x)) for x in ids]),
            torch.tensor([x + [-1] * (n - len(x)) for x in targets]))


def choose_groups(ink, rng):
    """The KEPT_GROUPS groups with most ink, filled up with random ones, in order."""
    score = (ink > 0) * 1000.0 + ink + rng.random(ink.shape) * 500
    kept = np.argsort(-score, 1)[:, :KEPT_GROUPS]
    return torch.from_numpy(np.sort(kept, 1))


class Trainer:
    def __init__(self, args):
        self.args = args
        self.rng, self.np_rng = random.Random(args.seed), np.random.default_rng(args.seed)
        self.model, self.aux = self.make_model()
        self.pictures, self.steps = 0, 0
        self.begin()
        self.optimizer = Optimizer(self.model, self.heads(), args.rate, args.vision_rate, args.adam_rate)
        if args.resume:
            self.restore(torch.load(self.path()))
        text, vision = self.model.model.text_model, self.model.model.vision_model
        self.text_model = torch.compile(text, dynamic=False) if args.compile else text
        self.vision_model = torch.compile(vision, dynamic=False) if args.compile else vision
        self.texts, self.shapes = Ring(6000), Ring(1500)
        self.wanted = mp.RawArray("d", [1500, 300])
        self.limits = mp.RawArray("d", [12, 1.0, 20, 54])
        self.set_curriculum()
        self.drawer = mp.Process(target=draw_forever, daemon=True, args=(
            self.texts, self.shapes, self.wanted, self.limits, time.time_ns()))
        self.drawer.start()
        self.averages = {}
        self.stopped = False           # SIGTERM: save and end

    # What a trainer of more than reading (train_hearing.py) does differently.
    def make_model(self):
        return SampleModel(), AuxiliaryHeads()

    def heads(self):
        return self.aux

    def begin(self):
        if self.args.start:
            load_export(self.args.start, self.model, self.aux)

    def more_loss(self):
        return 0

    def figures(self, n):
        return evaluate(self.model, n, seed=77)

    def set_curriculum(self):
        """Short, plain and large print first; the whole world after `ramp` pictures."""
        done = min(1.0, self.pictures / self.args.ramp) if self.args.ramp else 1.0
        self.limits[0] = 4 + 8 * done
        self.limits[1] = 0.3 + 0.7 * done
        self.limits[2] = 28 - 8 * done
        self.limits[3] = 54

    def note(self, **values):
        for k, v in values.items():
            self.averages.setdefault(k, []).append(float(torch.as_tensor(v).detach()))

    # one forward pass over pictures of one ring (or of both) ------------------
    def picture_loss(self, ring, n, whole):
        which = ring.pick(self.rng, n)
        pixels = torch.from_numpy(ring.pixels[which])
        cells = torch.from_numpy(ring.cells[which].astype(np.int64))
        groups = None if whole else choose_groups(ring.ink[which], self.np_rng)
        texts = [ring.string("text", i) for i in which]
        usual = False
        if ring is self.texts:           # one phrasing per batch: little padding
            question, frame = data.text_phrasing(self.rng)
            usual = question == data.READ_QUESTIONS[0]
            questions, answers = [question] * n, [frame % t for t in texts]
        else:
            questions = [ring.string("question", i) for i in which]
            answers = [ring.string("answer", i) for i in which]
        b = torch.arange(n)[:, None]

        # Only the most frequent shapes of tensors are worth compiling for.
        often = ring is self.texts and not whole
        look = self.vision_model if often else self.model.model.vision_model
        features = look(pixels, groups)
        rows = self.model.model.connector(features)
        order = torch.from_numpy(ring.order[which].astype(np.int64))
        if groups is not None:
            cells, order = cells[b, groups], order[b, groups]
        loss = 0
        if ring is self.texts:
            logits = self.aux.read_cells(features)
            labels = cells.flatten(1, 2)
            ce = F.cross_entropy(logits.view(-1, CLASSES), labels.reshape(-1), reduction="none")
            inked = (labels > 0).view(-1).float()
            letters = (ce * inked).sum() / inked.sum()
            empty = (ce * (1 - inked)).sum() / (1 - inked).sum()
            loss = loss + self.args.cells * (letters + empty)
            right = (logits.argmax(-1).view(-1) == labels.reshape(-1)).float()
            self.note(cells=letters, cell_right=(right * inked).sum() / inked.sum())
            index = self.aux.read_order(features)[labels > 0]
            wanted = order.flatten(1, 2)[labels > 0]
            order_loss = F.cross_entropy(index, wanted)
            loss = loss + self.args.order * order_loss
            self.note(order=order_loss, order_right=(index.argmax(-1) == wanted).float().mean())
            slots = self.aux.read_slots(rows)
            wanted = torch.zeros(n, data.MAX_CHARS, dtype=torch.long)
            weight = torch.full((n, data.MAX_CHARS), 0.1)
            for k, t in enumerate(texts):
                wanted[k, :len(t)] = torch.tensor([data.CHAR_CLASS[c] for c in t])
                weight[k, :len(t) + 1] = 1
            ce = F.cross_entropy(slots.view(-1, CLASSES), wanted.view(-1), reduction="none").view(n, -1)
            slot_loss = (ce * weight).sum() / weight.sum()
            loss = loss + self.args.slots * slot_loss
            hit = ((slots.argmax(-1) == wanted) & (wanted > 0)).float().sum() / (wanted > 0).sum()
            self.note(slots=slot_loss, slot_right=hit)
        else:
            paint = torch.from_numpy(ring.paint[which].astype(np.int64))
            paint = (paint if groups is None else paint[b, groups]).flatten(1, 2)
            inside = paint > 0
            wanted = (inside * ((paint - 1) % 32 // 4 + 1), inside * ((paint - 1) % 4 + 1))
            for name, logits, w in zip(("colour", "kind"), self.aux.read_paint(features), wanted):
                ce = F.cross_entropy(logits.transpose(1, 2), w, reduction="none")
                loss = loss + self.args.paint * (ce[inside].mean() + ce[~inside].mean())
                self.note(**{name + "_right": (logits.argmax(-1) == w)[inside].float().mean()})
        if self.args.stage == "tower":
            return loss

        # The decoder: the full layout, with the columns of unseen groups left out.
        prompts = [prompt_ids(q, True) for q in questions]
        at = prompts[0].index(IMAGE)
        ids, targets = pad_batch(prompts, answers, len(prompts[0]) + 12 if usual else None)
        positions = torch.arange(ids.shape[1])[None].expand(n, -1)
        embedded = self.model.model.text_model.embed_tokens(ids)
        if groups is not None:
            keep = torch.cat([torch.arange(at)[None].expand(n, -1), at + groups,
                              torch.arange(at + ROWS, ids.shape[1])[None].expand(n, -1)], 1)
            positions, targets = positions.gather(1, keep), targets.gather(1, keep)
            head, tail = embedded[:, :at], embedded[:, at + ROWS:]
            shift = ROWS - KEPT_GROUPS
        else:
            head, tail, shift = embedded[:, :at], embedded[:, at + ROWS:], 0
        x = torch.cat([head, rows, tail], 1)

        # Where each watched character of the answer should look: a set of rows.
        looks = [self.look_at(ring, i, t, a) for i, t, a in zip(which, texts, answers)]
        most = data.MAX_CHARS if usual else max(map(len, looks))
        guided = self.args.guide > 0 and most > 0
        watch = None
        if guided:
            watch = torch.zeros(n, most, dtype=torch.long)
            target = torch.zeros(n, most, ROWS)
            for k, look in enumerate(looks):
                for j, (place, where) in enumerate(look):
                    watch[k, j] = len(prompts[k]) - 1 - shift + place
                    target[k, j, where] = 1
            if groups is not None:
                target = target.gather(2, groups[:, None].expand(-1, most, -1))
        text_model = self.text_model if usual and often else self.model.model.text_model
        states, seen = text_model(x, positions, watch=watch,
                                       watched_layers=GUIDED_LAYERS if guided else ())
        scored = targets >= 0
        logits = self.model.model.text_model.logits(states[scored])
        answer_loss = F.cross_entropy(logits, targets[scored])
        loss = loss + answer_loss
        name = "read" if ring is self.texts else "shape"
        if whole:
            name += "_whole"
        self.note(**{name: answer_loss,
                     name + "_right": (logits.argmax(-1) == targets[scored]).float().mean()})
        if guided:
            valid = target.sum(-1) > 0
            miss = sum(-(s[..., 0, at:at + target.shape[2]] + (target + 1e-9).log()).logsumexp(-1)
                       for s in seen) / len(seen)
            guide_loss = miss[valid].mean()
            loss = loss + self.args.guide * guide_loss
            self.note(**{"guide" if ring is self.texts else "shape_guide": guide_loss})
        return loss

    def look_at(self, ring, i, text, answer):
        """(place in the answer, rows that show it) for one picture of a ring."""
        if ring is self.texts:
            first = answer.index(text)
            return [(first + k, ring.rows[i, k]) for k in range(len(text))]
        looks, after = [], 0
        for item in range(2):
            here = (ring.paint[i] > 0) & ((ring.paint[i] - 1) // 32 == item)
            if not here.any():
                break
            label = int(ring.paint[i][here][0] - 1) % 32
            for word in (data.COLOUR_NAMES[label // 4], data.SHAPES[label % 4]):
                at = answer.find(word, after)
                if at >= 0:
                    looks += [(at + k, here.any(1).nonzero()[0]) for k in range(len(word))]
                    after = at + len(word)
        return looks

    def talk_loss(self, n):
        """Text-only exchanges; the guide shows which characters of the question an answer repeats."""
        prompts, exchanges, ears = [], [], self.model.hearing is not None
        longer = self.rng.random() < 0.15       # with a system message, an earlier turn
        for _ in range(n):
            e = talk.exchange(self.rng, ears=ears)
            system = self.rng.choice(talk.SYSTEM_PROMPTS) if longer and self.rng.random() < 0.5 else None
            before = talk.exchange(self.rng, ears=ears) if longer and self.rng.random() < 0.5 else None
            prompts.append(prompt_ids(e.question, False, system, [(before.question, before.answer)] if before else ()))
            exchanges.append(e)
        ids, targets = pad_batch(prompts, [e.answer for e in exchanges])
        most = max(len(e.answer) + 1 for e in exchanges)
        watch = torch.zeros(n, most, dtype=torch.long)
        where = torch.full((n, len(TALK_LAYERS), most, self.model.c.heads), -1)
        for k, (p, e) in enumerate(zip(prompts, exchanges)):
            first = len(p) - len(prompt_ids(e.question, False)) + QUESTION_AT
            watch[k, :len(e.answer) + 1] = torch.arange(len(p) - 1, len(p) + len(e.answer))
            for place, source in e.looks:
                where[k, 1:, place, 0] = first + source
            for head, source in enumerate(e.digits):
                where[k, 0, :len(e.answer) + 1, head] = first + source
        text = self.model.model.text_model
        states, seen = text(text.embed_tokens(ids), torch.arange(ids.shape[1])[None], watch=watch, watched_layers=TALK_LAYERS)
        scored = targets >= 0
        logits = text.logits(states[scored])
        loss = F.cross_entropy(logits, targets[scored])
        guide = 0
        for layer, s in enumerate(seen):
            target = where[:, layer]
            if (target >= 0).any():
                guide = guide - s.gather(3, target.clamp(min=0)[..., None])[..., 0][target >= 0].mean() / len(seen)
        hit = torch.ones_like(targets, dtype=torch.bool)
        hit[scored] = logits.argmax(-1) == targets[scored]
        self.note(talk=loss, talk_guide=guide, talk_right=hit.all(1).float().mean())
        for skill in talk.SKILLS:
            of = [k for k, e in enumerate(exchanges) if e.skill == skill]
            if of:
                self.note(**{skill: hit[of].all(1).float().mean()})
        return self.args.talk_weight * (loss + self.args.guide * guide)

    # ---------------------------------------------------------------- the loop
    def learning_rate(self, done):
        warm = min(1.0, (self.steps - self.first_step + 1) / 60)
        decay = self.args.decay
        return warm * (1.0 if done < 1 - decay else max(0.02, (1 - done) / decay))

    def run(self):
        args = self.args
        self.first_step = self.steps
        while self.texts.drawn.value < 1000 or self.shapes.drawn.value < 200:
            time.sleep(0.2)
        start = last_print = last_save = last_eval = time.time()
        printed_pictures = self.pictures
        end = start + args.minutes * 60
        drawn = [self.texts.drawn.value, self.shapes.drawn.value]
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        while time.time() < end and not self.stopped:
            done = (time.time() - start) / (end - start)
            whole = self.steps // args.pictures_every % args.whole_every == 0 or done > 1 - args.whole_last
            with torch.autocast("cpu", torch.bfloat16):
                n, loss = 0, 0
                if self.steps % args.pictures_every:
                    pass
                elif whole:
                    n = args.batch // 2
                    loss = self.picture_loss(self.texts, n // 2, True)
                    loss = loss + self.picture_loss(self.shapes, n // 2 + 8, True)
                elif self.steps // args.pictures_every % 4 == 2 and args.stage != "tower":
                    n = args.batch // 2
                    loss = self.picture_loss(self.shapes, n, False)
                else:
                    n = args.batch
                    loss = self.picture_loss(self.texts, n, False)
                if args.stage != "tower" and self.steps % args.talk_every == 0:
                    loss = loss + self.talk_loss(args.talk)
                loss = loss + self.more_loss()
            loss.backward()
            self.optimizer.step(self.learning_rate(done))
            self.steps += 1
            self.pictures += n
            drawn[0] += 0.8 * n / args.reuse
            drawn[1] += 0.25 * n / args.reuse
            self.wanted[0], self.wanted[1] = drawn
            self.set_curriculum()
            now = time.time()
            if self.steps % 50 == 0:
                means = " ".join("%s %.3f" % (k, np.mean(v)) for k, v in sorted(self.averages.items()))
                self.averages = {}
                print("%s step %d pictures %d (%.0f/s, drawn %d) longest %d rate %.3f | %s" % (
                    time.strftime("%H:%M:%S"), self.steps, self.pictures,
                    (self.pictures - printed_pictures) / (now - last_print), self.texts.drawn.value,
                    self.limits[0], self.learning_rate(done), means), flush=True)
                last_print, printed_pictures = now, self.pictures
            if now - last_save > args.save_every * 60:
                self.save()
                last_save = now
            if now - last_eval > args.eval_every * 60 and args.stage != "tower":
                self.evaluate(args.eval_pictures)
                last_eval = time.time()
        self.save()
        if args.stage != "tower" and not self.stopped:
            self.evaluate(2 * args.eval_pictures)
        self.drawer.terminate()

    def evaluate(self, n):
        figures = self.figures(n)
        line = json.dumps({"at": time.strftime("%H:%M:%S"), "steps": self.steps,
                           "pictures": self.pictures, **figures})
        print("held out " + line, flush=True)
        with open(os.path.join(self.args.out, "curve.jsonl"), "a") as f:
            f.write(line + "\n")

    def path(self):
        return os.path.join(self.args.out, "checkpoint.pt")

    def state(self):
        return dict(model=self.model.state_dict(), aux=self.aux.state_dict(), adam=self.optimizer.adam.state_dict(),
                    muon=self.optimizer.momentum, steps=self.steps, pictures=self.pictures)

    def save(self):
        torch.save(self.state(), self.path() + ".tmp")
        os.replace(self.path() + ".tmp", self.path())

    def restore(self, c):
        self.model.load_state_dict(c["model"])
        self.aux.load_state_dict(c["aux"], strict=False)
        try:
            self.optimizer.adam.load_state_dict(c["adam"])
            self.optimizer.momentum = c["muon"]
        except (KeyError, ValueError):
            print("no fitting optimizer state: it starts anew")
        self.steps, self.pictures = c["steps"], c["pictures"]


def arguments(text, stages=("all", "tower")):
    p = argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--out", required=True, help="folder for the checkpoint and the curve")
    p.add_argument("--minutes", type=float, default=120)
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    p.add_argument("--start", help="folder with model.gguf and mmproj.gguf to start from")
    p.add_argument("--stage", choices=stages, default=stages[0],
                   help="tower: only the tower, by its auxiliary losses")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--compile", action="store_true", help="torch.compile: about a fifth quicker")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--pictures-every", type=int, default=1, help="every n-th step sees pictures")
    p.add_argument("--talk", type=int, default=24, help="text-only exchanges of a step that has them")
    p.add_argument("--talk-every", type=int, default=5, help="every n-th step has them")
    p.add_argument("--talk-weight", type=float, default=0.5)
    p.add_argument("--reuse", type=float, default=1.3, help="how often a picture is used")
    p.add_argument("--ramp", type=float, default=60000, help="pictures until the full difficulty")
    p.add_argument("--whole-every", type=int, default=12, help="every n-th step sees whole pictures")
    p.add_argument("--whole-last", type=float, default=0.08, help="last part with whole pictures only")
    p.add_argument("--rate", type=float, default=0.02, help="Muon rate of the decoder")
    p.add_argument("--vision-rate", type=float, default=0.01, help="Muon rate of tower and projector")
    p.add_argument("--adam-rate", type=float, default=1e-3)
    p.add_argument("--decay", type=float, default=0.35, help="last part with falling rates")
    p.add_argument("--cells", type=float, default=0.5, help="weight of the patch map loss")
    p.add_argument("--order", type=float, default=0.5, help="weight of the order loss")
    p.add_argument("--paint", type=float, default=0.5, help="weight of the shape map loss")
    p.add_argument("--slots", type=float, default=0.1, help="weight of the parallel reader loss")
    p.add_argument("--guide", type=float, default=0.3, help="weight of the attention guide")
    p.add_argument("--eval-every", type=float, default=10, help="minutes")
    p.add_argument("--eval-pictures", type=int, default=40, help="per kind")
    p.add_argument("--save-every", type=float, default=2, help="minutes")
    p.add_argument("--seed", type=int, default=int(time.time()))
    return p


def main():
    args = arguments(__doc__).parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    Trainer(args).run()


if __name__ == "__main__":
    main()
