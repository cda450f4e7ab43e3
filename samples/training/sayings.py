"""What the sample's speaker learns to say, and its teacher saying it.

    python sayings.py sayings --clips 90000      # make clips, or more of them, in the folder `sayings`
    python sayings.py --phrases 40               # sentences for a round trip: round_trip.txt

espeak-ng speaks each text in the two voices of VOICES, always at the same speed and pitch; the clips are kept as those of sounds.py are,
in the parts

  train     training texts
  held      texts that training never has: declared sentences (sounds.DECLARED) held out by hash, and words of the held-out
            5 % of the dictionary, alone or beside a common word

Texts are lower case, with digits and punctuation as a client would write them.  Beside each clip stands when which phoneme begins and
which character of the text it belongs to: "first sample/character/phoneme".  train_speech.py's guides are made of that.  Whatever is held out
here is held out in sounds.py too, so neither the speaker nor the listener of the sample has ever met it.
"""

import argparse
import os
import random
import time

import numpy as np

import data
import sounds
import talk

VOICES = {"reed": "en-us", "bell": "en-us+f2"}      # as clients select them: as espeak-ng calls them
SHARE_OF_FIRST = 0.65
RATE_OF_SPEECH, PITCH, RANGE = 165, 50, 50
LONGEST_TEXT = 64                                   # characters
LONGEST = 5.5                                       # seconds
PAUSE = {".": 0.2, "?": 0.2, "!": 0.2, ",": 0.1}    # seconds of silence at the end of an utterance that ends like this
BREATH = 0.06                                       # and of any other

# How often each kind is practised.
KINDS = {"phrase": 42, "numeral": 7, "reply": 7, "spelt": 2, "words": 16, "word": 26}
PARTICLES = ("i'm it's don't can't you're we're that's isn't what's let's i'll didn't doesn't won't there's he's she's they're "
             "a an the and of to in on is it i you he she we they was were not no with for at by from this that").split()
PLACES = ("left of", "right of", "above", "below")


def shape(rng):
    return "a %s %s" % (rng.choice(data.COLOUR_NAMES), rng.choice(data.SHAPES))


def any_word(rng):
    """A word of training: common, small, or from the dictionary."""
    x = rng.random()
    if x < 0.4:
        return rng.choice(sounds.common_words(False))
    return rng.choice(PARTICLES) if x < 0.55 else sounds.dictionary_word(rng, False)


def numeral(rng):
    n = lambda top: rng.randrange(rng.choice((10, 100, top)))
    return rng.choice((
        lambda: str(n(1000)), lambda: str(n(10000)), lambda: "%d:%02d" % (rng.randrange(24), rng.randrange(60)),
        lambda: "$%d.%02d" % (n(100), rng.randrange(100)), lambda: "%d.%02d" % (n(100), rng.randrange(100)),
        lambda: "%d %s %s" % (n(100), rng.choice(("and", "plus", "minus", "times", "or")), n(100)),
        lambda: "%s %d" % (any_word(rng), n(100)), lambda: "%d %s" % (n(100), any_word(rng))))()


def reply(rng):
    """What the sample's chat model answers, sentence by sentence as it is spoken."""
    x = rng.random()
    if x < 0.35:
        answers = [a for _, a in talk.SMALL_TALK] + [talk.UNKNOWN]
        return rng.choice([s for a in answers for s in a.lower().replace("! ", "!|").replace(". ", ".|").split("|")])
    if x < 0.55:
        return shape(rng) if rng.random() < 0.3 else "%s %s %s" % (shape(rng), rng.choice(PLACES), shape(rng))
    if x < 0.65:
        return "%s the %s" % (rng.choice(PLACES), rng.choice(data.SHAPES))
    if x < 0.75:
        a, b = rng.choice(((data.COLOUR_NAMES, "%s and %s"), (data.SHAPES, "a %s and a %s")))
        return b % (rng.choice(a), rng.choice(a))
    if x < 0.9:
        return "i heard: " + (any_word(rng) if rng.random() < 0.4 else sounds.sample_phrase(rng)[0])
    return 'the text "%s"' % any_word(rng)


def sample_text(rng):
    """(text, kind) of a training text."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    if kind == "phrase":
        text = sounds.sample_phrase(rng)[0]
    elif kind == "numeral":
        text = numeral(rng)
    elif kind == "reply":
        return reply(rng), kind
    elif kind == "spelt":
        text = "-".join(any_word(rng).replace("'", "")[:9])
    elif kind == "words":
        words = [any_word(rng) for _ in range(rng.randint(2, 7))]
        if len(words) > 3 and rng.random() < 0.3:
            words[len(words) // 2 - 1] += ","
        text = " ".join(words)
    else:
        text = sounds.dictionary_word(rng, False) if rng.random() < 0.85 else any_word(rng)
    return text + rng.choice(("", "", "", ".", ".", "?", "!", ",")), kind


def held_out_text(rng, kind):
    """declared: a sentence of the declared vocabulary; words: with a held-out word."""
    if kind == "words":
        words = [sounds.pick_held_out(rng)] + [rng.choice(sounds.common_words(False))] * (rng.random() < 0.5)
        rng.shuffle(words)
        return " ".join(words)
    while True:
        text = sounds.sample_phrase(rng, rng.choices(sounds.DECLARED, [sounds.KINDS[k] for k in sounds.DECLARED])[0])[0]
        if sounds.is_held_out_text(text):
            return text


def marks(events, text, cut):
    """[(first sample of the clip, character, phoneme)] of espeak-ng's events; a word's phonemes are spread over its letters."""
    words = []                                      # [place, letters, [(sample, phoneme)]]
    for kind, sample, place, length, name in events:
        if kind == sounds.Event.WORD and length > 0:
            words.append([place, length, []])
        elif kind == sounds.Event.PHONEME and words and name:
            words[-1][2].append((max(0, sample * sounds.RATE // sounds.ESPEAK_RATE - cut), name))
    out = []
    for place, length, phonemes in words:
        spoken = sum(not p.startswith("_") for _, p in phonemes)
        for i, (sample, phoneme) in enumerate(phonemes):
            at = place + (length if phoneme.startswith("_") else i * length // max(1, spoken))
            out.append((sample, min(at, len(text) - 1), phoneme))
    return out


def say(teacher, text, voice):
    """(samples, marks) of a text by the teacher, with the silence after it."""
    x = teacher.say(text, VOICES[voice], rate=RATE_OF_SPEECH, pitch=PITCH, range=RANGE)
    if len(x) < 0.08 * sounds.RATE:
        return None, None
    pause = PAUSE.get(text[-1], BREATH)
    return np.concatenate([x, np.zeros(int(pause * sounds.RATE), np.float32)]), marks(teacher.events, text, teacher.cut)


def make(folder, part, most):
    rng = random.Random("%s %d" % (part, time.time_ns()))
    teacher = sounds.Speaker()
    os.makedirs(folder, exist_ok=True)
    made = len(Sayings(folder, part).clips) if os.path.exists(os.path.join(folder, part + ".tsv")) else 0
    with open(os.path.join(folder, part + ".i16"), "ab") as samples, \
            open(os.path.join(folder, part + ".tsv"), "a", encoding="utf-8") as index:
        while made < most:
            if part == "held":
                kind = rng.choice(("declared", "words"))
                text = held_out_text(rng, kind)
            else:
                text, kind = sample_text(rng)
            if len(text) > LONGEST_TEXT or not text.isascii() or part == "train" and sounds.is_held_out_text(sounds.plain(text)):
                continue
            voice = "reed" if rng.random() < SHARE_OF_FIRST else "bell"
            x, when = say(teacher, text, voice)
            if x is None or len(x) > LONGEST * sounds.RATE:
                continue
            start = samples.tell() // 2
            samples.write((x * 32767).astype("<i2").tobytes())
            samples.flush()
            index.write("%d\t%d\t%s\t%s\t%s\t%s\n" % (start, len(x), kind, voice, text, " ".join("%d/%d/%s" % m for m in when)))
            made += 1
            if made % 1000 == 0:
                index.flush()
                print("%s %s: %d clips, %.2f h" % (time.strftime("%H:%M:%S"), part, made, (start + len(x)) / sounds.RATE / 3600), flush=True)


# ------------------------------------------------------------------- the clips

class Saying:
    __slots__ = ("start", "length", "kind", "voice", "text", "when")

    def __init__(self, line):
        start, length, self.kind, self.voice, self.text, self.when = line.split("\t")
        self.start, self.length = int(start), int(length)

    def marks(self):
        return [(int(s), int(at), phoneme) for s, at, phoneme in (m.split("/", 2) for m in self.when.split())]


class Sayings:
    """The clips of one part.  The files may still be growing."""

    def __init__(self, folder, part):
        with open(os.path.join(folder, part + ".tsv"), encoding="utf-8") as f:
            lines = f.read().split("\n")[:-1]       # what follows the last line break is still being written
        path = os.path.join(folder, part + ".i16")
        self.samples = np.memmap(path, "<i2", "r") if os.path.getsize(path) else np.zeros(0, "<i2")
        self.clips = [c for c in map(Saying, lines) if c.start + c.length <= len(self.samples)]

    def wave(self, clip):
        return self.samples[clip.start:clip.start + clip.length].astype(np.float32) / 32768


def held_out_phrases(n, seed=40):
    """n different declared sentences that neither the speaker nor the listener was trained with: round_trip.txt has 40 of them."""
    rng, texts = random.Random(seed), []
    while len(texts) < n:
        text = held_out_text(rng, "declared")
        if text not in texts:
            texts.append(text)
    return texts


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--phrases", type=int, help="only print so many held-out phrases")
    p.add_argument("--clips", type=int, default=90000, help="of the training part")
    p.add_argument("--held-out", type=int, default=1000, help="of the held-out part")
    args = p.parse_args()
    if args.phrases:
        print("\n".join(held_out_phrases(args.phrases)))
        return
    if not args.folder:
        p.error("which folder?")
    make(args.folder, "held", args.held_out)
    make(args.folder, "train", args.clips)


if __name__ == "__main__":
    main()
