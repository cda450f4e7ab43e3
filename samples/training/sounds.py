"""Synthetic English speech for the sample model, and what it says.

    python sounds.py speech --minutes 60         # make clips, or more of them, in the folder `speech`

espeak-ng speaks; every clip is one phrase in one of its accents and voices, at a random speed and pitch, as 16 kHz mono.  It does
not repeat bit for bit, so the clips are kept: PART.i16 holds the samples, PART.tsv says for each clip where they
start, how many, the kind of phrase, the voice and the text.  Parts:

  train     training voices, training phrases
  known     held-out voices, declared phrases (see DECLARED): nearly all of them occur in training too
  unseen    held-out voices, phrases that training never has: with a word of the held-out 5 % of the dictionary, or
            with a text whose hash is held out

Voices are held out by name, words and texts by hash (data.is_held_out).  What spoils a clip (noise, room, telephone band) is added
when it is used, so that no two views of it are alike.
"""

import argparse
import ctypes
import os
import random
import time
from functools import lru_cache

import numpy as np

import data
import talk

RATE = 16000
ESPEAK_RATE = 22050
LONGEST = 5.0                       # seconds of a clip; longer ones are thrown away
PARTS = ("train", "known", "unseen")

ACCENTS = ("en-us", "en-us", "en-us", "en", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc", "en-029")
VOICES = ("", "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex", "Alicia", "Andy", "Annie",
          "AnxiousAndy", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen",
          "Storm", "Tweaky", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "croak", "david", "ed", "edward",
          "edward2", "grandma", "grandpa", "gustave", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3",
          "linda", "marcelo", "max", "michel", "norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "victor")
HELD_OUT_VOICES = ("Andrea", "Denis", "adam", "klatt4", "miguel", "pedro", "shelby", "steph", "travis", "zac")


# -------------------------------------------------------------------- phrases

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen").split()
TENS = "x x twenty thirty forty fifty sixty seventy eighty ninety".split()
COMMANDS = ("yes no stop go up down left right on off open close start pause play next back louder quieter please help cancel repeat again "
            "wait listen read speak look").split()
THINGS = "light door window lamp fan heater radio music screen camera kettle oven gate alarm clock engine".split()
ROOMS = "kitchen bedroom garage office garden hall bathroom".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow".split()
COLOURS = data.COLOUR_NAMES
SUMS = {"plus": ("what is %s plus %s", "%s plus %s", "add %s and %s"), "minus": ("what is %s minus %s", "%s minus %s"),
        "times": ("what is %s times %s", "%s times %s")}
PICTURE_QUESTIONS = data.READ_QUESTIONS + ("What is in the picture?", "Describe the picture.", "What shapes are there?",
                                           "What colours are there?", "How many shapes are there?")

# How often each kind is spoken, and whether it belongs to the phrases that the model card declares.
KINDS = {"number": 12, "digits": 10, "command": 16, "sum": 12, "picture": 4, "talk": 5, "thing": 6, "say": 5, "words": 20, "word": 10}
DECLARED = ("number", "digits", "command", "sum", "picture", "talk", "thing")


def plain(text):
    """How a text is transcribed: lower case, letters and single spaces."""
    return " ".join("".join(c if c.isalpha() else " " for c in text.lower()).split())


def number(n):
    """0 to 999 in words."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (" " + ONES[n % 10] if n % 10 else "")
    return ONES[n // 100] + " hundred" + (" " + number(n % 100) if n % 100 else "")


@lru_cache(maxsize=None)
def common_words(held_out):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "common_words.txt")
    with open(path, encoding="utf-8") as f:
        return sorted(w for w in f.read().split() if data.is_held_out(w) == held_out)


def dictionary_word(rng, held_out):
    table = data.words_by_length(held_out)
    return rng.choice(table[rng.choice([n for n in range(3, 12) if table.get(n)])])


def sample_phrase(rng, kind=None):
    """(text, kind) of a phrase without held-out words."""
    kind = kind or rng.choices(list(KINDS), list(KINDS.values()))[0]
    pick = rng.choice
    if kind == "number":
        return number(rng.randrange(pick((20, 100, 100, 1000)))), kind
    if kind == "digits":
        return " ".join(pick(ONES[:10]) for _ in range(rng.randint(1, 6))), kind
    if kind == "command":
        return pick((pick(COMMANDS), "turn on the %s" % pick(THINGS), "turn off the %s" % pick(THINGS),
                     "turn %s the %s %s" % (pick(("on", "off")), pick(ROOMS), pick(THINGS)),
                     "%s the %s" % (pick(("open", "close", "start", "stop")), pick(THINGS)),
                     "set the %s to %s" % (pick(THINGS), pick((pick(COLOURS), number(rng.randrange(100))))),
                     "%s the %s" % (pick(("open", "close")), pick(ROOMS) + " " + pick(("door", "window"))),
                     "set the alarm for %s" % number(rng.randint(1, 12)), "call me %s" % pick(DAYS))), kind
    if kind == "sum":
        how = pick(list(SUMS))
        top = pick((10, 10, 99)) if how != "times" else 10
        a, b = rng.randint(0, top), rng.randint(0, top)
        if how == "minus":
            a, b = max(a, b), min(a, b)
        return pick(SUMS[how]) % (number(a), number(b)), kind
    if kind == "picture":
        return plain(pick(PICTURE_QUESTIONS)), kind
    if kind == "talk":
        return plain(pick([q for questions, _ in talk.SMALL_TALK[:-1] for q in questions])), kind
    if kind == "thing":
        return pick(("the %s is %s" % (pick(THINGS), pick(COLOURS)), "the %s is %s" % (pick(THINGS), pick(("on", "off", "open"))),
                     "my %s is %s" % (pick(THINGS), pick(COLOURS)), "a %s %s" % (pick(COLOURS), pick(data.SHAPES)),
                     "it is %s" % pick(DAYS), "the %s is in the %s" % (pick(THINGS), pick(ROOMS)))), kind
    if kind == "say":
        return "say " + (pick(common_words(False)) if rng.random() < 0.7 else dictionary_word(rng, False)), kind
    if kind == "words":
        return " ".join(pick(common_words(False)) for _ in range(rng.randint(2, 4))), kind
    return pick(common_words(False)) if rng.random() < 0.5 else dictionary_word(rng, False), "word"


def unseen_phrase(rng):
    """A phrase that training never has."""
    x = rng.random()
    if x < 0.25:
        return pick_held_out(rng), "word"
    if x < 0.5:
        words = [rng.choice(common_words(False)), pick_held_out(rng)]
        rng.shuffle(words)
        return " ".join(words), "words"
    while True:
        text, kind = sample_phrase(rng, rng.choice(("words", "words", "sum", "digits", "command")))
        if is_held_out_text(text):
            return text, kind


def pick_held_out(rng):
    while True:
        word = rng.choice(common_words(True)) if rng.random() < 0.6 else dictionary_word(rng, True)
        if word not in template_words():
            return word


@lru_cache(maxsize=None)
def template_words():
    """The templates use a word whatever its hash, so these can not be held out."""
    rng = random.Random(0)
    return {w for kind in DECLARED for _ in range(3000) for w in sample_phrase(rng, kind)[0].split()}


def is_held_out_text(text):
    """5 % of the longer texts; short ones are too few to spare."""
    return len(text.split()) >= 3 and data.is_held_out(text)


# --------------------------------------------------------------------- speech

class Event(ctypes.Structure):
    """espeak_EVENT"""
    WORD, PHONEME = 1, 7
    _fields_ = [("type", ctypes.c_int), ("message", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
                ("milliseconds", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("name", ctypes.c_char * 8)]


class Speaker:
    """libespeak-ng, asked for samples."""

    SYNCHRONOUS, UTF8, PHONEME_EVENTS = 2, 1, 1
    PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}

    def __init__(self):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        if self.library.espeak_Initialize(self.SYNCHRONOUS, 0, None, self.PHONEME_EVENTS) != ESPEAK_RATE:
            raise SystemExit("espeak-ng does not speak at %d Hz" % ESPEAK_RATE)
        path = ctypes.c_char_p()
        self.library.espeak_Info.restype = ctypes.c_char_p
        self.library.espeak_Info(ctypes.byref(path))
        self.variants = set(os.listdir(os.path.join(path.value.decode(), "voices", "!v")))
        self.pieces, self.events, self.voice = [], [], None
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
        self.callback = callback(self.take)             # kept: espeak-ng only has its address
        self.library.espeak_SetSynthCallback(self.callback)

    def take(self, samples, n, events):
        if samples and n > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (n,)).copy())
        i = 0
        while events[i].type:                           # words, phonemes: (type, first sample, place in the text, letters, phoneme)
            e = events[i]
            self.events.append((e.type, e.sample, e.text_position - 1, e.length, e.name.decode("utf-8", "replace")))
            i += 1
        return 0

    def say(self, text, voice, **parameters):
        """16 kHz float samples, without the silence around them, at 0.7 of full scale."""
        if voice != self.voice:
            # An accent with a variant that it does not know, espeak-ng speaks without a word of complaint in the plain accent.
            variant = voice.partition("+")[2]
            if self.library.espeak_SetVoiceByName(voice.encode()) != 0 or variant and variant not in self.variants:
                raise SystemExit("espeak-ng has no voice " + voice)
            self.voice = voice
        for name, value in parameters.items():
            self.library.espeak_SetParameter(self.PARAMETERS[name], value, 0)
        self.pieces, self.events = [], []
        b = text.encode()
        self.library.espeak_Synth(b, len(b) + 1, 0, 1, 0, self.UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.pieces:
            return np.zeros(0, np.float32)
        x = resample(np.concatenate(self.pieces).astype(np.float32), ESPEAK_RATE, RATE)
        peak = np.abs(x).max()
        loud = np.nonzero(np.abs(x) > 0.01 * peak)[0]
        if peak == 0 or not len(loud):
            return np.zeros(0, np.float32)
        self.cut = max(0, loud[0] - 160)
        return x[self.cut:loud[-1] + 320] * (0.7 / peak)


def resample(x, a, b):
    """Band-limited, through the FFT."""
    step = a // np.gcd(a, b)
    x = np.pad(x, (0, -len(x) % step))                  # a whole number of output samples
    n = len(x) * b // a
    spectrum = np.fft.rfft(x)[:n // 2 + 1]
    return (np.fft.irfft(np.pad(spectrum, (0, n // 2 + 1 - len(spectrum))), n) * (n / len(x))).astype(np.float32)


def random_voice(rng, held_out):
    voice = rng.choice(HELD_OUT_VOICES if held_out else VOICES)
    return rng.choice(ACCENTS) + ("+" + voice if voice else "")


def make(folder, part, seconds, most):
    """Add clips to a part until the time or the number is reached."""
    rng = random.Random("%s %d" % (part, time.time_ns()))
    speaker = Speaker()
    os.makedirs(folder, exist_ok=True)
    end = time.time() + seconds
    made = len(Speech(folder, part).clips) if os.path.exists(os.path.join(folder, part + ".tsv")) else 0
    with open(os.path.join(folder, part + ".i16"), "ab") as samples, \
            open(os.path.join(folder, part + ".tsv"), "a", encoding="utf-8") as index:
        while made < most and time.time() < end:
            text, kind = unseen_phrase(rng) if part == "unseen" else sample_phrase(rng, rng.choices(
                DECLARED, [KINDS[k] for k in DECLARED])[0] if part == "known" else None)
            if part == "train" and is_held_out_text(text):
                continue
            voice = random_voice(rng, part != "train")
            spoken = text + rng.choice(("", "", ".", "?", "!"))     # the tune of the sentence
            x = speaker.say(spoken, voice, rate=rng.randint(110, 240), pitch=rng.randint(15, 85), range=rng.randint(20, 80))
            if not 0.1 * RATE <= len(x) <= LONGEST * RATE:
                continue
            start = samples.tell() // 2
            samples.write((x * 32767).astype("<i2").tobytes())
            samples.flush()
            index.write("%d\t%d\t%s\t%s\t%s\n" % (start, len(x), kind, voice, text))
            made += 1
            if made % 1000 == 0:
                index.flush()
                print("%s %s: %d clips, %.2f h" % (time.strftime("%H:%M:%S"), part, made, (start + len(x)) / RATE / 3600), flush=True)


# ------------------------------------------------------------------- the clips

class Clip:
    __slots__ = ("start", "length", "kind", "voice", "text")

    def __init__(self, line):
        start, length, self.kind, self.voice, self.text = line.rstrip("\n").split("\t")
        self.start, self.length = int(start), int(length)


class Speech:
    """The clips of one part.  The files may still be growing: refresh() takes in what has come."""

    def __init__(self, folder, part):
        self.paths = [os.path.join(folder, part + end) for end in (".i16", ".tsv")]
        self.refresh()

    def refresh(self):
        with open(self.paths[1], encoding="utf-8") as f:
            lines = f.read().split("\n")[:-1]           # what follows the last line break is still being written
        self.samples = np.memmap(self.paths[0], "<i2", "r") if os.path.getsize(self.paths[0]) else np.zeros(0, "<i2")
        self.clips = [c for c in map(Clip, lines) if c.start + c.length <= len(self.samples)]
        self.by_text = {}
        for c in self.clips:
            if c.kind in ("picture", "talk"):
                self.by_text.setdefault(c.text, []).append(c)

    def wave(self, clip):
        return self.samples[clip.start:clip.start + clip.length].astype(np.float32) / 32768


# ----------------------------------------------------------------- spoilt sound

def shaped(x, gain):
    """Filter: gain(f) over frequencies in Hz."""
    n = len(x)
    size = 1 << (n - 1).bit_length()
    f = np.fft.rfftfreq(size, 1 / RATE).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(x, size) * gain(f), size)[:n].astype(np.float32)


def in_room(x, rng):
    """A random room: the direct sound and an exponentially fading tail."""
    fade = rng.uniform(0.03, 0.3)                       # seconds to fall by 60 dB
    n = int(fade * RATE)
    tail = rng.standard_normal(n).astype(np.float32) * np.exp(-6.9 / n * np.arange(n, dtype=np.float32))
    tail *= rng.uniform(0.1, 0.7) / np.sqrt((tail * tail).sum())
    tail[0] = 1
    size = 1 << (len(x) + n - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[:len(x)].astype(np.float32)


def noise(n, rng):
    """White, pink or brown noise of unit power."""
    x = rng.standard_normal(n).astype(np.float32)
    slope = rng.choice((0.0, 0.5, 1.0))
    if slope:
        x = shaped(x, lambda f: np.maximum(f, 50) ** -slope)
    return x / np.sqrt((x * x).mean() + 1e-12)


def spoil(x, rng, effects=1.0):
    """Speed, silence around, room, band, gain, noise, clipping: x as a poor microphone hears it."""
    chance = lambda p: rng.random() < p * effects
    if chance(0.4):                                     # a little faster and higher, or slower and lower
        n = int(len(x) / rng.uniform(0.9, 1.12))
        x = np.interp(np.linspace(0, len(x) - 1, n), np.arange(len(x)), x).astype(np.float32)
    x = np.concatenate([np.zeros(rng.integers(0, 4800), np.float32), x, np.zeros(rng.integers(0, 4800), np.float32)])
    if chance(0.3):
        x = in_room(x, rng)
    if chance(0.2):                                     # a telephone, or a dull or a thin loudspeaker
        low, high = rng.uniform(20, 350), rng.uniform(3200, 7500)
        x = shaped(x, lambda f: 1 / (1 + (low / np.maximum(f, 1)) ** 4) / (1 + (f / high) ** 8))
    if chance(0.3):
        tilt = rng.uniform(-0.5, 0.5)
        x = shaped(x, lambda f: (np.maximum(f, 50) / 1000) ** tilt)
    power = np.sqrt((x * x).mean() + 1e-9)
    x = x + noise(len(x), rng) * power * 10 ** (-(rng.uniform(3, 40) if chance(0.7) else 60) / 20)
    x = x * rng.uniform(0.05, 1.4)
    return np.clip(x, -1, 1)


def clean(x):
    """x with a tenth of a second of quiet on both sides."""
    quiet = np.random.default_rng(len(x)).standard_normal(len(x) + 2 * RATE // 10).astype(np.float32) * 1e-4
    quiet[RATE // 10:RATE // 10 + len(x)] += x
    return quiet


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--minutes", type=float, default=60, help="for the training part")
    p.add_argument("--clips", type=int, default=100000, help="of the training part, at most")
    p.add_argument("--held-out", type=int, default=1000, help="clips of each held-out part")
    args = p.parse_args()
    for part in ("known", "unseen"):
        make(args.folder, part, 3600, args.held_out)
    make(args.folder, "train", args.minutes * 60, args.clips)


if __name__ == "__main__":
    main()
