"""What is asked about a clip, and what the sample model answers; and the layout of its prompt.

A clip is one to eight frames, one a second, and perhaps a sound behind them.  Print in it stays, moves, changes, comes or goes.
"""

from dataclasses import dataclass, field

import data
import hear_tasks
from model import AUDIO, BOS, END, FAKE, GLOBAL, IMAGE, ROWS, encode

AT_END = ("What does it say at the end?", "What does the sign say at the end?", "What does the sign in the clip say at the end?",
          "What is written at the end?")
AT_START = ("What does it say at the start?", "What does the sign say at the start?", "What does the sign in the clip say at the start?",
            "What is written at the start?")
IN_IT = ("What does it say?", "What does the sign say?", "What is written here?")
SAID = hear_tasks.TRANSCRIBE + ("What was said?", "What was said in the clip?", "What is said?")
BOTH = ("What does it say at the end, and what was said?", "What does the sign say at the end, and what was said?")
NO_TEXT, NO_SOUND = "There is no text.", "I heard nothing."

NUMBERS = "zero one two three four five six seven eight".split()
MOST = 8                                            # frames, unless a request says otherwise
RATES = (5, 8, 10, 12, 15, 24, 25, 30)
LENGTHS = {1: 8, 2: 20, 3: 24, 4: 20, 5: 14, 6: 6, 7: 4, 8: 4}


# --------------------------------------------------------------------- layout

def sampled(seconds, rate, most=MOST, fps=1):
    """When the frames are that SmolVLM2's processors choose of a clip, in seconds."""
    count = max(1, round(seconds * rate))
    n, first, last = max(1, min(most, round(fps * seconds))), 0, count - 1
    if seconds - 2 > most * fps:                        # a second at both ends is left out
        first, last = int(rate), int(count - rate)
    chosen = [first + int((last - first) * k / max(1, n - 1)) for k in range(n)]
    return [f / rate for f in sorted(set(chosen))]


def clip_ids(times, seconds, sound=0, before=""):
    """The prompt up to the question, or with the question before it: an introduction, the frames, each with its time, and the rows of the sound."""
    ids = [BOS] + encode("User: " + before + "You are provided the following series of %s frames from a %d:%02d:%02d [H:MM:SS] video.\n" % (
        NUMBERS[len(times)], seconds // 3600, seconds // 60 % 60, seconds % 60))
    for t in times:
        ids += encode("\nFrame from %02d:%02d:" % (t // 60, t % 60)) + [FAKE, GLOBAL] + [IMAGE] * ROWS + [FAKE]
    return ids + encode("\n\n") + [AUDIO] * sound


def question_ids(question):
    return encode(question) + [END] + encode("\nAssistant:")


def clip_prompt(question, times, seconds, sound=0):
    return clip_ids(times, seconds, sound) + question_ids(question)


# ------------------------------------------------------------------ questions

@dataclass
class Ask:
    """A question and its answer; `looks` tells for some places of the answer where they are read or heard: (place, frames or None for the
    sound, place in the print or in what was said)."""
    question: str
    answer: str
    skill: str
    looks: list = field(default_factory=list)


def read_at(frames, which, question, skill):
    text = frames[which[0]].text
    return Ask(question, text or NO_TEXT, skill, [(k, which, k) for k in range(len(text))])


def heard(sound, question):
    if not sound or not sound.text:
        return Ask(question, NO_SOUND, "silence")
    return Ask(question, sound.text, "said", [(k, None, k) for k in range(len(sound.text))])


def both(frames, sound, question):
    a, b = read_at(frames, [len(frames) - 1], question, "both"), heard(sound, question)
    at = len(a.answer) + 2
    return Ask(question, a.answer + "; " + b.answer, "both", a.looks + [(at + k, where, j) for k, where, j in b.looks])


def in_it(frames, question):
    """What it says with no word about when: the last that is written, in whatever frame shows it."""
    last = next((f.text for f in reversed(frames) if f.text), "")
    which = []
    for k in reversed(range(len(frames))):              # as long as it stays
        if frames[k].text == last:
            which.append(k)
        elif frames[k].text:
            break
    return Ask(question, last or NO_TEXT, "in_it", [(k, which, k) for k in range(len(last))])


def questions(rng, frames, sound):
    """Some of the questions that have one right answer."""
    still = len({f.text for f in frames}) == 1
    out = [read_at(frames, [len(frames) - 1], rng.choice(AT_END[:1] + AT_END), "end")]
    if rng.random() < (0.4 if still else 0.8):
        out.append(read_at(frames, [0], rng.choice(AT_START[:1] + AT_START), "start"))
    if rng.random() < (0.7 if still else 0.3):
        out.append(in_it(frames, rng.choice(IN_IT)))
    if sound:
        out += [heard(sound, rng.choice(SAID)), both(frames, sound, rng.choice(BOTH))]
    elif rng.random() < 0.4:
        out.append(heard(None, rng.choice(SAID)))
    return out


# ---------------------------------------------------------------------- clips

@dataclass
class Clip:
    frames: list
    sound: object
    times: list
    seconds: float
    asks: list


class Source:
    """Clips put together from frames and sounds (watch_bank.py)."""

    def __init__(self):
        self.scenes, self.prints, self.shapes, self.sounds, self.quiet = {}, [], [], [], []

    def add(self, frames, sounds):
        for f in frames:
            if f.scene >= 0:
                self.scenes.setdefault(f.scene, {}).setdefault(f.turn, []).append(f)
            if f.text:
                self.prints.append(f)
            elif f.scene < 0:
                self.shapes.append(f)
        self.sounds += [s for s in sounds if s.text]
        self.quiet += [s for s in sounds if not s.text]
        self.keys = list(self.scenes)

    def run(self, rng, turn, n):
        """n frames of one text of a scene, which stands still or moves."""
        turn = sorted(turn, key=lambda f: f.step)
        if len(turn) == 1 or rng.random() < 0.4:
            return [rng.choice(turn)] * n
        turn = turn if rng.random() < 0.5 else turn[::-1]
        first = rng.randrange(len(turn)) if n < len(turn) else 0
        return [turn[min(first + k, len(turn) - 1)] for k in range(n)]

    def moving(self, rng, n):
        scene = self.scenes[rng.choice(self.keys)]
        turns = [t for t in scene if t >= 0]
        rng.shuffle(turns)
        runs = 1 if n == 1 or rng.random() < 0.35 else min(n, rng.choice((2, 2, 2, 3)))
        ends = sorted(rng.sample(range(1, n), runs - 1)) + [n]
        lengths = [b - a for a, b in zip([0] + ends, ends)]
        if runs > 1 and rng.random() < 0.35:                # cuts: each part is from somewhere else
            parts = [self.run(rng, rng.choice(self.of_print(rng)), k) for k in lengths]
        else:
            parts = [self.run(rng, scene[turns[i % len(turns)]], k) for i, k in enumerate(lengths)]
        if rng.random() < (0.2 if runs > 1 else 0.06):      # a part without print
            i = rng.choice((0, runs - 1))
            parts[i] = self.run(rng, scene[-1], lengths[i]) if -1 in scene else [rng.choice(self.shapes)] * lengths[i]
        return [f for part in parts for f in part]

    def of_print(self, rng):
        if rng.random() < 0.5:
            return [[rng.choice(self.prints)]]
        return [t for k, t in self.scenes[rng.choice(self.keys)].items() if k >= 0]

    def clip(self, rng, n=None):
        n = n or rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
        while True:
            seconds, rate, most, fps = max(0.3, n + rng.uniform(-0.5, 0.5)), rng.choice(RATES), MOST, 1
            if rng.random() < 0.2:                          # fewer than one a second, or more
                most, fps = n, rng.choice((1, 1, 2))
                seconds = n / fps * (rng.uniform(1, 1.5) if rng.random() < 0.5 else rng.uniform(1, 8))
            times = sampled(seconds, rate, most, fps)
            if len(times) == n:
                break
        frames = self.moving(rng, n)
        sound = None
        if rng.random() < 0.7:
            for _ in range(20):
                sound = rng.choice(self.quiet if self.quiet and rng.random() < 0.12 else self.sounds)
                if sound.seconds <= seconds:
                    break
            else:
                sound = None
        return Clip(frames, sound, times, seconds, questions(rng, frames, sound))
