#!/usr/bin/env python3
"""Makes small clips and what transformers' SmolVLM2 processor, as it comes, makes of these files: python files.py

  vfr.mp4 vfr.webm      frames that are shown for unequal times
  turn90.mp4 ...        a display matrix
  odd.mp4               321 x 177
  bframes.mp4           H.264 with B-frames, a gradual beginning, edit list
  one.mp4               one frame
  files.txt  name longest side n_rows option_fps option_max  frames fps seconds width height  n indices_hash colours_hash bytes text_hash
             options of 0: the checkpoint's own. colours: u8 [n][side][side][3] before they are normalised. "numbers-N-FPS" is no file: a clip of N
             numbered frames, of which the reference was told alone

fps and seconds are hexadecimal floats. Clips are coded as RGB, which every version of a decoder makes the same of: there is nothing to convert. Needs
torch, torchvision, torchcodec, num2words and the ffmpeg program (with libx264rgb and libvpx-vp9).
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torchcodec
import transformers

from reference import HERE, Reference, text_of

sys.path.insert(0, os.path.join(HERE, "..", "image"))
from common import fnv64  # noqa: E402

LOSSLESS = "-c:v libx264rgb -qp 0 -preset veryslow -threads 1"
UNEVEN = "-vf settb=1/1000,setpts=125*N+20*mod(N*N\\,7)+2000*gt(N\\,20) -vsync passthrough -enc_time_base 1/1000"
CLIPS = {  # width, height, frames, rate, how
    "vfr.mp4": (64, 48, 40, 8, UNEVEN + " -video_track_timescale 1000 -bf 0 -g 12 " + LOSSLESS),
    "vfr.webm": (64, 48, 40, 8, UNEVEN + " -c:v libvpx-vp9 -lossless 1 -pix_fmt gbrp -g 12 -auto-alt-ref 0 -lag-in-frames 0"),
    "turn90.mp4": (64, 48, 12, 3, LOSSLESS),
    "odd.mp4": (321, 177, 5, 1.5, LOSSLESS),
    "bframes.mp4": (48, 64, 90, 29.97, "-c:v libx264rgb -crf 24 -preset medium -threads 1 -x264-params bframes=3:b-adapt=0:b-pyramid=normal:open-gop=1:keyint=30"),
    "one.mp4": (50, 34, 1, 25, LOSSLESS),
}
NUMBERS = [(10000, 30.0), (10000, 24000 / 1001), (300, 5.0)]
OPTIONS = [(64, 64, 4, 0, 0), (96, 64, 4, 2, 12), (64, 48, 1, 0.5, 0), (128, 96, 9, 30, 5)]


def frames(width, height, n):
    y, x = np.mgrid[0:height, 0:width]
    out = []
    for k in range(n):
        f = np.stack([x // 8 * 30 % 256, y // 6 * 40 % 256, (x // 16 + y // 16) * 20 % 256], -1).astype(np.uint8)
        at = (k * 5) % max(1, width - 12)
        f[height // 3:height // 3 + 10, at:at + 12] = [250, 20 + k * 2 % 200, 5]
        f[:6, :6] = [(k * 37) % 256, (k * 11) % 256, 255 - k % 256]
        out.append(f)
    return np.stack(out)


def make(name, width, height, n, rate, how):
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "%dx%d" % (width, height), "-r", str(rate), "-i", "-",
               *how.split(), "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", os.path.join(HERE, name)]
    subprocess.run(command, input=frames(width, height, n).tobytes(), check=True)


def turn(base, degrees):
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", os.path.join(HERE, base), "-c", "copy", "-metadata:s:v", "rotate=%d" % degrees,
                    "-fflags", "+bitexact", os.path.join(HERE, "turn%d.mp4" % degrees)], check=True)


def numbers(folder, n, rate):
    path = os.path.join(folder, "numbers.mp4")
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "color=gray:s=16x16:r=%s" % rate, "-frames:v", str(n), "-c:v", "libx264",
                    "-preset", "ultrafast", path], check=True)
    return path


def main():
    for name, (width, height, n, rate, how) in CLIPS.items():
        make(name, width, height, n, rate, how)
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "plain.mp4")
        os.replace(os.path.join(HERE, "turn90.mp4"), plain)
        for degrees in (90, 180, 270):
            turn(plain, degrees)
        jobs = [(name, os.path.join(HERE, name)) for name in ("vfr.mp4", "vfr.webm", "turn90.mp4", "turn180.mp4", "turn270.mp4", "odd.mp4",
                                                              "bframes.mp4", "one.mp4")]
        jobs += [("numbers-%d-%s" % (n, float(rate).hex()), (n, rate)) for n, rate in NUMBERS]
        with open(os.path.join(HERE, "files.txt"), "w") as out:
            out.write(f"# transformers {transformers.__version__}, torchcodec {torchcodec.__version__.split('+')[0]}: see files.py\n")
            for name, path in jobs:
                tell(out, name, path if isinstance(path, str) else numbers(folder, *path), isinstance(path, str))


def tell(out, name, path, file):
    assert not file or os.path.getsize(path) < 30000, name
    for longest, side, n_rows, fps, most in OPTIONS:
        r = Reference(longest, side, n_rows)
        meta, at, ids, pixels = r.ask(path, "", fps, most)
        text = text_of(ids)
        text = text[len("<|im_start|>User: "):-len("<end_of_utterance>\nAssistant:")]
        colours = fnv64(r.colours(pixels).tobytes()) if file else 0
        out.write("%s %d %d %d %s %d %d %s %s %d %d %d %016x %016x %d %016x\n" % (
            name, longest, side, n_rows, float(fps).hex(), most, meta.total_num_frames, float(meta.fps).hex(), float(meta.duration).hex(), meta.width,
            meta.height, len(at), fnv64(np.asarray(at, "<u4").tobytes()), colours, len(text), fnv64(text)))


if __name__ == "__main__":
    main()
