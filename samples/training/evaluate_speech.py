"""How well the speaker is understood: held-out texts are spoken, and an independent listener says what it heard.

    python evaluate_speech.py ../model                                     # the exported files, heard by the sample's ears
    python evaluate_speech.py talk/checkpoint.pt --codec codec/checkpoint.pt --ears ears/checkpoint.pt

Texts: sentences of the declared vocabulary that were held out (sounds.DECLARED), and held-out words, alone or beside a common one.  Neither
the speaker nor the listener was trained with any of them.  The same texts are also heard as the teacher says them, and as the codec
repeats the teacher: what is lost there is not the speaker's fault.

  wer, exact   of what the listener writes down
  among        how often, of all the texts of the set, it finds the one that was said likeliest (listeners with a speller: --ears)
"""

import argparse
import json
import os
import random
import wave

import numpy as np
import torch
import torch.nn.functional as F

import hear_tasks
import sayings
import sounds
import speaking
from evaluate import error_rates, sound_rows
from export_speech import load_export, load_voice
from hearing import LETTER, Hearing, Speller, log_mel
from model import prompt_ids
from voice import Voice


class Spelling:
    """The ears alone: a checkpoint of train_hearing.py --stage tower."""

    def __init__(self, path):
        c = torch.load(path)
        self.hearing, self.speller = Hearing().eval(), Speller().eval()
        self.hearing.load_state_dict(c["hearing"])
        self.speller.load_state_dict(c["speller"])

    def transcribe(self, waves):
        return self.speller.spell(self.hearing, waves)

    @torch.no_grad()
    def choose(self, waves, texts):
        """For each wave the text that it would most likely be heard in."""
        targets = torch.tensor([LETTER[c] for t in texts for c in t])
        lengths = torch.tensor([len(t) for t in texts])
        out = []
        for w in waves:
            features, frames = self.hearing.audio_tower(*log_mel([w]))
            scores = self.speller(features)[0][:, None].expand(-1, len(texts), -1)
            loss = F.ctc_loss(scores, targets, frames.expand(len(texts)), lengths, reduction="none")
            out.append(texts[int(loss.masked_fill(~torch.isfinite(loss) | (loss <= 0), 1e9).argmin())])
        return out


class Sample:
    """The sample's chat model, asked to transcribe."""
    choose = None

    def __init__(self, folder):
        from evaluate import load
        self.model = load(folder)
        if self.model.hearing is None:
            raise SystemExit("the model in %s does not hear; give --ears" % folder)

    def transcribe(self, waves, batch=16):
        out = []
        for k in range(0, len(waves), batch):
            part = waves[k:k + batch]
            prompts = [prompt_ids(hear_tasks.TRANSCRIBE[0], False, sound=sound_rows(self.model, w)) for w in part]
            out += self.model.answer(prompts, waves=part)
        return out


def load(path, codec=None):
    """(language model, voice) of the exported files in a folder, or of checkpoints."""
    lm, voice = speaking.make_model(), Voice()
    if os.path.isdir(path):
        load_export(path, lm, voice)
    else:
        lm.load_state_dict(torch.load(path)["model"])
    if codec:                                           # with its encoder
        voice = load_voice(codec)
    return lm.eval(), voice.eval()


def judge(listener, waves, texts):
    waves = [sounds.clean(w) for w in waves]
    figures = error_rates(listener.transcribe(waves), texts)
    if listener.choose:
        figures["among"] = round(sum(a == b for a, b in zip(listener.choose(waves, texts), texts)) / len(texts), 4)
    return figures


def write_wave(path, x):
    with wave.open(path, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(sounds.RATE)
        f.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("speaker", help="folder with the GGUF files, or a checkpoint of train_speech.py")
    p.add_argument("--codec", help="checkpoint of train_codec.py, or the folder: to hear the codec alone, too")
    p.add_argument("--ears", help="checkpoint of train_hearing.py --stage tower; else the sample's own model listens")
    p.add_argument("--model", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"),
                   help="folder of the listening sample")
    p.add_argument("--texts", type=int, default=200, help="of each set")
    p.add_argument("--temperature", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=2026)
    p.add_argument("--waves", help="folder for some of what was said")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    lm, voice = load(args.speaker, args.codec)
    listener = Spelling(args.ears) if args.ears else Sample(args.model)
    teacher, rng, figures = sounds.Speaker(), random.Random(args.seed), {}
    for kind in ("declared", "words"):
        texts = set()
        while len(texts) < args.texts:
            texts.add(sayings.held_out_text(rng, kind))
        texts = sorted(texts)
        for name in sayings.VOICES:
            codes, ended = speaking.speak(lm, texts, [name] * len(texts), args.temperature, args.seed)
            said = [voice.decode(c) for c in codes]
            heard = {"speaker": judge(listener, said, texts)}
            heard["speaker"]["ended"] = round(sum(ended) / len(ended), 4)
            originals = [sayings.say(teacher, t, name)[0] for t in texts]
            heard["teacher"] = judge(listener, originals, texts)
            if args.codec:
                heard["codec"] = judge(listener, [voice.decode(c) for c in voice.encode(originals)], texts)
            figures["%s, %s" % (kind, name)] = heard
            print(json.dumps({"%s, %s" % (kind, name): heard}), flush=True)
            if args.waves:
                os.makedirs(args.waves, exist_ok=True)
                for t, x in list(zip(texts, said))[:5]:
                    write_wave(os.path.join(args.waves, "%s-%s.wav" % (name, t.replace(" ", "-"))), x)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
