"""Speak the example recordings of samples/sounds.

    python make_sounds.py ../sounds

All voices are held out: the model has never heard them.  espeak-ng does not repeat bit for bit, so the files are kept.
"""

import argparse
import json
import os
import wave

import numpy as np

import hear_tasks
import sounds

# file, voice, what is said, how it is spoilt (seed of sounds.spoil; None: clean), question, picture beside it
RECORDINGS = (
    ("command.wav", "en-us+miguel", "turn on the kitchen light", None, "Transcribe.", None),
    ("digits.wav", "en-gb-x-rp+adam", "four seven one nine", None, "Transcribe.", None),
    ("noisy.wav", "en+Andrea", "set the alarm for seven", 11, "Transcribe.", None),
    ("greeting.wav", "en-us+steph", "hello", None, "", None),
    ("about-picture.wav", "en+pedro", "what is in the picture", None, "", "shapes.png"),
)


def expected(text, picture, folder):
    """What the right answer is."""
    if picture is None:
        return hear_tasks.small_talk(text) or text
    with open(os.path.join(folder, "..", "pictures", "pictures.json"), encoding="utf-8") as f:
        return next(p["expected"] for p in json.load(f) if p["file"] == picture)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    folder = p.parse_args().folder
    os.makedirs(folder, exist_ok=True)
    speaker, index = sounds.Speaker(), []
    for name, voice, text, spoilt, question, picture in RECORDINGS:
        x = speaker.say(text, voice, rate=160, pitch=50, range=50)
        x = sounds.clean(x) if spoilt is None else sounds.spoil(x, np.random.default_rng(spoilt))
        with wave.open(os.path.join(folder, name), "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(sounds.RATE)
            f.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
        index.append({"file": name, "question": question, "picture": picture or "", "expected": expected(text, picture, folder)})
    with open(os.path.join(folder, "sounds.json"), "w", encoding="utf-8") as f:
        json.dump(index, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
