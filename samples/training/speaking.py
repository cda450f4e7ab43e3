"""The sample's speaker: a language model whose answer to a text is the codes of somebody saying it.

    <|im_start|>reed: turn on the light<|speech|> code code code ... <|speech_end|>

It is the text model of model.py (Llama), deeper and with 1,024 more tokens, one for each code of voice.py.  Texts are bytes, lower case.
"""

import torch
import torch.nn.functional as F

from model import BYTES, Config, TextModel, encode
from voice import VoiceConfig

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|speech|>", "<|speech_end|>"]
BEGIN, SPEECH, END, PAD = BYTES + 1, BYTES + 3, BYTES + 4, BYTES + 2
RESERVED = 11                                   # the codes begin at 272
CODES = VoiceConfig.codes
FIRST_CODE = BYTES + len(SPECIAL) + RESERVED
MAX_FRAMES = 300                                # of an utterance: six seconds
CONTEXT = 512


def code_token(i):
    return "<|code_%d|>" % i


def reserved_token(i):
    return "<|reserved_%d|>" % i


def config():
    return Config(layers=6, positions=CONTEXT, vocab=FIRST_CODE + CODES)


def voice_prompt(voice):
    return voice + ": "


def prompt_ids(text, voice):
    return [BEGIN] + encode(voice_prompt(voice) + text) + [SPEECH]


def text_at(voice):
    return 1 + len(voice_prompt(voice))


def make_model():
    return TextModel(config())


@torch.no_grad()
def speak(lm, texts, voices, temperature=0.0, seed=0, batch=64):
    """Codes of each text, and whether it came to its end by itself: two lists."""
    generator = torch.Generator().manual_seed(seed)
    prompts = [prompt_ids(t, v) for t, v in zip(texts, voices)]
    codes, ended = [[] for _ in texts], [False] * len(texts)
    by_length = {}
    for i, p in enumerate(prompts):
        by_length.setdefault(len(p), []).append(i)
    for n, which in by_length.items():
        for k in range(0, len(which), batch):
            part = which[k:k + batch]
            caches = [{} for _ in lm.layers]
            h, _ = lm(lm.embed_tokens(torch.tensor([prompts[i] for i in part])), torch.arange(n)[None], caches)
            for step in range(MAX_FRAMES):
                logits = lm.logits(h[:, -1])
                logits[:, :FIRST_CODE] = logits[:, :FIRST_CODE].masked_fill(torch.arange(FIRST_CODE) != END, -1e9)
                if step == 0:
                    logits[:, END] = -1e9
                if temperature > 0:
                    token = torch.multinomial(F.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
                else:
                    token = logits.argmax(-1)
                for i, t in zip(part, token.tolist()):
                    ended[i] |= t == END
                    if not ended[i]:
                        codes[i].append(t - FIRST_CODE)
                if all(ended[i] for i in part):
                    break
                h, _ = lm(lm.embed_tokens(token[:, None]), torch.tensor([[n + step]]), caches)
    return codes, ended
