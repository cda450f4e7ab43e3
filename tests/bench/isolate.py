"""What --isolate-codecs costs: a picture, ten seconds of sound and of a clip through the media gate, in the server's process and in a helper,
taking turns in one run.

    python isolate.py [--build BUILD] [--rounds 100]

Needs Pillow and numpy. Files are made here: PNG of 1280 x 720, WAV of 48 kHz heard at 16 kHz, H.264 (or MPEG-4, where no encoder is) of 1280 x 720
and 25 frames a second, of which 20 frames are wanted at half the size, and all 250. Times by the clock are medians; processor time is the mean of
server and helper together. On a machine that is busy with other things the latter is the one to read. The start of a helper is not in
it: there are as many as decode at once, and one serves a thousand calls.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np
from PIL import Image

REPO = pathlib.Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 25, 10


def frame(i):
    """Something that moves over something that does not, with a little grain."""
    rng = np.random.default_rng(i)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) // 8 % 256], -1).astype(np.int16)
    at = 40 + i * 4
    picture[200:400, at:at + 200] = (250, 240, 20)
    return Image.fromarray((picture + rng.integers(-4, 5, picture.shape, np.int16)).clip(0, 255).astype(np.uint8))


def wav(path):
    samples = (np.sin(np.arange(48000 * SECONDS) / 20) * 9000).astype("<i2").tobytes()
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16) + b"data" +
                     struct.pack("<I", len(samples)) + samples)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", type=pathlib.Path, default=REPO / "build")
    p.add_argument("--rounds", type=int, default=100)
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as folder:
        picture, sound, raw, clip = (pathlib.Path(folder) / n for n in ("a.png", "a.wav", "frames", "a.mp4"))
        frame(0).save(picture)
        wav(sound)
        with open(raw, "wb") as f:
            for i in range(FPS * SECONDS):
                f.write(frame(i).tobytes())
        subprocess.run([a.build / "peer_clip", a.build / "plugins" / "video-codec.so", "write", raw, clip, "video/mp4", "%dx%d" % (WIDTH, HEIGHT), str(FPS)], check=True,
                       capture_output=True)
        raw.unlink()
        few = max(3, a.rounds // 10)
        print("| medium | file | here | in a helper | more | processor time here | with a helper |\n|---|---|---|---|---|---|---|")
        for name, file, kind, rounds, how in (("PNG 1280 x 720", picture, "image", a.rounds, 0), ("WAV, 10 s at 48 kHz, heard at 16 kHz", sound, "audio", a.rounds, 16000),
                                              ("H.264 1280 x 720, 10 s: 20 of 250 frames", clip, "video", few, 20), ("the same: all 250", clip, "video", few, 250)):
            got = json.loads(subprocess.run([a.build / "bench_isolate", file, kind, str(rounds), str(how)], check=True, capture_output=True).stdout)
            here, there, cpu, more = got["here_ms"], got["helper_ms"], got["here_cpu_ms"], got["helper_cpu_ms"]
            print("| %s | %d KB | %.2f ms | %.2f ms | x %.3f | %.2f ms | %.2f ms, x %.3f |" % (name, file.stat().st_size // 1000, here, there, there / here, cpu, more, more / cpu))


if __name__ == "__main__":
    main()
