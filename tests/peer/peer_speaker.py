"""The sample's speaker: what the server says beside what the training code says of the same files.

    python peer_speaker.py [FOLDER] [--texts N]         # default: samples/model

Needs torch, gguf, numpy, and a built server.  At temperature 0 both choose the same codes, so the sound has the same
number of samples and differs by no more than the 16 bits of a WAV file; a text where the two likeliest codes are nearly
equal somewhere may differ from there on, and is let through.
"""
import argparse
import io
import json
import random
import urllib.request
import wave

import numpy as np
import torch

from common import EXACT, SAMPLE, Server, Verdict  # first: it finds samples/training
import sayings
import speaking
from evaluate_speech import load

MODEL = "sensorium-speaker"


def asked(port, text, voice):
    body = json.dumps({"model": MODEL, "input": text, "voice": voice, "response_format": "wav"}).encode()
    request = urllib.request.Request("http://127.0.0.1:%d/v1/audio/speech" % port, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as r, wave.open(io.BytesIO(r.read())) as w:
        return np.frombuffer(w.readframes(1 << 30), "<i2").astype(np.float32) / 32768


def margin(lm, text, voice):
    """The least distance between the two likeliest codes on the way."""
    codes = speaking.speak(lm, [text], [voice])[0][0]
    prompt = speaking.prompt_ids(text, voice)
    ids = torch.tensor([prompt + [speaking.FIRST_CODE + c for c in codes]])
    with torch.no_grad():
        states, _ = lm(lm.embed_tokens(ids), torch.arange(ids.shape[1])[None])
        best = lm.logits(states[0, len(prompt) - 1:]).topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", nargs="?", default=str(SAMPLE))
    p.add_argument("--texts", type=int, default=20)
    args = p.parse_args()
    torch.set_num_threads(1)
    lm, voice = load(args.folder)
    rng, verdict = random.Random(9), Verdict()
    texts = [(sayings.held_out_text(rng, rng.choice(("declared", "words"))), rng.choice(list(sayings.VOICES))) for _ in range(args.texts)]
    with Server(*EXACT, model=args.folder) as server:
        for text, name in texts:
            codes, _ = speaking.speak(lm, [text], [name])
            want, got = voice.decode(codes[0]), asked(server.port, text, name)
            same = len(want) == len(got)
            off = float(np.abs(want.clip(-1, 1) - got).max()) if same else float("inf")
            close = margin(lm, text, name)
            verdict(off < 2e-4 or close < 1e-3, "%s: %s" % (name, text),
                    "%d codes, off by %.2g, least margin %.2g" % (len(codes[0]), off, close))
    verdict.end()


if __name__ == "__main__":
    main()
