"""Make the example clips of samples/clips.

    python make_clips.py ../clips --build ../../build       # a build with tests has the tool that writes clips

The words, fonts and voices are held out.  What is said comes from samples/sounds.
"""

import argparse
import json
import os
import subprocess
import tempfile
import wave

import numpy as np
from PIL import Image, ImageDraw

import data
import sounds
import watch_tasks
from make_pictures import font_file

RATE = 10                                           # frames a second


def shown(text, font, size, ink, paper, shape, centre):
    """A frame: one line of print around a point."""
    image = Image.new("RGB", shape, paper)
    ImageDraw.Draw(image).text(centre, text, fill=ink, font=data.load_font(font, size), anchor="mm")
    return image


def sign(shape=(320, 240), seconds=4):
    """A shop's sign, which is turned round; it hangs in the wind."""
    out = []
    for k in range(seconds * RATE):
        word, ink, paper = ("ENTER", (20, 90, 40), (250, 250, 244)) if k < 18 else ("CLOSED", (170, 24, 28), (250, 250, 244))
        sway = 4 * np.sin(k / 3)
        out.append(shown(word, font_file("lato", "-bold"), 58, ink, paper, shape, (160 + sway, 116)))
    return out


def price(shape=(288, 216), seconds=3):
    """A price that goes from left to right and down."""
    n = seconds * RATE
    return [shown("$4.50", font_file("caladea", "-bold"), 54, (252, 244, 196), (28, 52, 104), shape, (84 + 120 * k / n, 60 + 90 * k / n)) for k in range(n)]


# file, frames, recording (and when it starts), questions with the right answers
CLIPS = (
    ("sign.mp4", sign, ("command.wav", 0.8), (
        (watch_tasks.AT_END[1], "CLOSED"),
        (watch_tasks.AT_START[1], "ENTER"),
        ("What was said?", "turn on the kitchen light"),
        (watch_tasks.BOTH[0], "CLOSED; turn on the kitchen light"))),
    ("price.webm", price, None, ((watch_tasks.IN_IT[0], "$4.50"), ("What was said?", watch_tasks.NO_SOUND))),
)


def recording(folder, name, start, seconds):
    with wave.open(os.path.join(folder, "..", "sounds", name)) as f:
        x = np.frombuffer(f.readframes(f.getnframes()), "<i2") / np.float32(32768)
    out = np.zeros(seconds * sounds.RATE, np.float32)
    first = int(start * sounds.RATE)
    out[first:first + len(x)] = x
    return out


def write(path, frames, sound, build):
    """By the project's own writer."""
    with tempfile.TemporaryDirectory() as scratch:
        raw, heard = os.path.join(scratch, "frames"), os.path.join(scratch, "sound")
        with open(raw, "wb") as f:
            f.write(b"".join(i.tobytes() for i in frames))
        more = []
        if sound is not None:
            sound.astype("<f4").tofile(heard)
            more = [heard, str(sounds.RATE)]
        subprocess.run([os.path.join(build, "peer_clip"), os.path.join(build, "plugins", "video-codec.so"), "write", raw, path,
                        "video/" + path.rpartition(".")[2], "%dx%d" % frames[0].size, str(RATE), *more], check=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--build", required=True, help="where the program and its tests were built")
    args = p.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    index = []
    for name, draw, said, asked in CLIPS:
        frames = draw()
        sound = recording(args.folder, *said, len(frames) // RATE) if said else None
        write(os.path.join(args.folder, name), frames, sound, os.path.abspath(args.build))
        index += [{"file": name, "question": question, "expected": expected} for question, expected in asked]
    with open(os.path.join(args.folder, "clips.json"), "w", encoding="utf-8") as f:
        json.dump(index, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
