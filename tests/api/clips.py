"""Clips for the tests, made by the plugin's own writer (the build's peer_clip asks it): moving pictures from Pillow's, sound from numbers."""

import pathlib
import struct
import subprocess
import tempfile

from harness import BIN

BUILD = pathlib.Path(BIN).resolve().parent


def clip(frames, fps=10.0, kind="mp4", sound=None, rate=16000):
    """frames: pictures of one size; sound: floats from time 0. -> the file"""
    width, height = frames[0].size
    with tempfile.TemporaryDirectory(prefix="sensorium-") as folder:
        raw, heard, out = (pathlib.Path(folder) / n for n in ("frames", "sound", "out"))
        raw.write_bytes(b"".join(f.convert("RGB").tobytes() for f in frames))
        if sound is not None:
            heard.write_bytes(struct.pack("<%df" % len(sound), *sound))
        subprocess.run([BUILD / "peer_clip", BUILD / "plugins" / "video-codec.so", "write", raw, out, "video/" + kind, "%dx%d" % (width, height), str(fps),
                        *([heard, str(rate)] if sound is not None else [])], check=True, capture_output=True)
        return out.read_bytes()
