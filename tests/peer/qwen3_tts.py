#!/usr/bin/env python3
"""Qwen3-TTS, served, against its own package: what it says of each case, greedily, must be the package's sound.

    qwen3_tts.py BUILD MINIATURES [--gguf DIRECTORY]

MINIATURES is what qwen3_tts_mini.py wrote. DIRECTORY holds VARIANT.gguf and mmproj-VARIANT.gguf, llama.cpp's conversion of them
(convert_hf_to_gguf.py VARIANT and --mmproj VARIANT, --outtype f32; the miniature's tokenizer is qwen2's). Needs numpy, and for the
tokenizer's ids transformers.

Sound is equal where all 16 codes of all frames are: one that differs is heard. The bounds are those of 16-bit samples, and of the
half-precision convolutions that llama.cpp's files have. What is not comparable, and why:
  - the layouts that the package can do and does not by default (non_streaming_mode);
  - instructions of the small model, which the package drops and the server refuses;
  - dialects of voices, which GGUF files do not tell."""
import argparse
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np

VARIANTS = ("custom", "small", "base", "design")
TEXTS = ["", " ", "\n", "a\n\nb", "  two  blanks ", "It's 12:45, we'll see; they're 3,000!", "naïve Straße", "cafe\u0301", "漢字 你好，世界。", "русский текст", "こんにちは",
         "tab\tand\r\nreturn", "emoji 🙂🙃", "ＡＢＣ", "<tts_pad>", "<think>so</think>", "x" * 300, "\u00a0\u3000mixed blanks"]


def wave_file(samples):
    body = samples.astype("<f4").tobytes()
    return (b"RIFF" + struct.pack("<I", 50 + len(body)) + b"WAVEfmt " + struct.pack("<IHHIIHHH", 18, 3, 1, 24000, 96000, 4, 32, 0) + b"fact" +
            struct.pack("<II", 4, len(samples)) + b"data" + struct.pack("<I", len(body)) + body)


class Server:
    def __init__(self, build, model, *more):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = open(os.devnull, "w")
        self.process = subprocess.Popen([os.path.join(build, "sensorium"), "serve", "--model", "m=" + model, "--port", str(self.port), "--kv-cache-dtype", "f32",
                                         "--kv-cache-memory", "128M", "--plugin-dir", os.path.join(os.path.abspath(build), "plugins"), *more],
                                        stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(300):
            time.sleep(0.1)
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz").read()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
        self.close()
        raise SystemExit(f"{model} is not served")

    def post(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        return urllib.request.urlopen(request).read()

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def is_default(case, variant):
    return case.get("non_streaming_mode", variant != "base") == (variant != "base")


def body_of(case, data, i):
    body = {"model": "m", "input": case["text"], "response_format": "pcm", "temperature": 0, "language": case["language"]}
    if case.get("speaker"):
        body["voice"] = case["speaker"]
    if case.get("instruct"):
        body["instructions"] = case["instruct"]
    if f"{i}.recording" in data:
        body["ref_audio"] = {"data": base64.b64encode(wave_file(data[f"{i}.recording"])).decode(), "format": "wav"}
    return body


def speak(server, variant, data, bound, gguf):
    worst, n = 0.0, 0
    for i, case in enumerate(json.loads(str(data["cases"]))):
        dialect = case.get("speaker") in ("eric", "dylan") and case["language"].lower() in ("auto", "chinese")
        if not is_default(case, variant) or (gguf and dialect):
            continue
        try:
            pcm = np.frombuffer(server.post("/v1/audio/speech", body_of(case, data, i)), "<i2") / 32768
        except urllib.error.HTTPError as e:
            if variant == "small" and case.get("instruct") and e.code == 400:
                continue
            raise SystemExit(f"{variant} {i}: {e.code} {e.read()[:300]}")
        want = data[f"{i}.wave"]
        assert gguf or len(pcm) == len(want), f"{variant} {i}: {len(pcm) / 1920} frames, not {len(want) / 1920}"
        assert len(pcm) >= len(want), f"{variant} {i}: {len(pcm) / 1920} frames, not {len(want) / 1920}"
        error = np.abs(pcm[:len(want)] - want)
        assert error.max() <= bound, f"{variant} {i}: differs by {error.max():.2g} from frame {np.argmax(error > bound) / 1920:.2f} on"
        worst, n = max(worst, error.max()), n + 1
    print(f"{variant}{' of GGUF files' if gguf else ''}: {n} cases, worst error {worst:.2g}")


def tokenize(server, folder):
    try:
        from transformers import Qwen2Tokenizer
    except ImportError:
        return print("no transformers: ids are not compared")
    theirs = Qwen2Tokenizer.from_pretrained(folder)
    for text in TEXTS:
        ours = json.loads(server.post("/tokenize", {"model": "m", "prompt": text, "add_special_tokens": False}))["tokens"]
        want = theirs(text, add_special_tokens=False, split_special_tokens=False)["input_ids"] if text else []
        assert ours == want, (text, ours, want)
    print(f"ids of {len(TEXTS)} texts are equal")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("miniatures")
    parser.add_argument("--gguf")
    args = parser.parse_args()
    for variant in VARIANTS:
        folder = os.path.join(args.miniatures, variant)
        data = np.load(folder + ".npz")
        server = Server(args.build, folder)
        try:
            speak(server, variant, data, 2e-5, False)
            if variant == "custom":
                tokenize(server, folder)
        finally:
            server.close()
        if args.gguf and os.path.exists(os.path.join(args.gguf, variant + ".gguf")):
            server = Server(args.build, os.path.join(args.gguf, variant + ".gguf"), "--mmproj", os.path.join(args.gguf, f"mmproj-{variant}.gguf"))
            try:
                speak(server, variant, data, 1e-3, True)
            finally:
                server.close()


if __name__ == "__main__":
    sys.exit(main())
