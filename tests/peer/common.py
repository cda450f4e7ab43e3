"""What the peers share: the running server, its answers as token ids and log-probabilities, pictures, a verdict.

SENSORIUM_BIN names the program (default build/sensorium), as in tests/api.
"""
import base64
import io
import pathlib
import random
import sys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tests" / "api"), str(REPO / "samples" / "training")]
from harness import Server  # noqa: E402,F401  (for the peers)

SAMPLE = REPO / "samples" / "model"
GOLDEN = REPO / "tests" / "golden" / "engine"
EXACT = ("--kv-cache-dtype", "f32")


class Verdict:
    """One line a check; the exit status at the end."""

    def __init__(self):
        self.failed = 0

    def __call__(self, good, what, detail=""):
        self.failed += not good
        print("%-6s %s%s" % ("ok" if good else "FAILED", what, "  (%s)" % detail if detail else ""), flush=True)
        return good

    def end(self):
        print("%d failed" % self.failed if self.failed else "all equal")
        sys.exit(self.failed > 0)


# ---- the server's answers ----

@dataclass
class Answer:
    text: str
    ids: list            # sampled token ids, the end token left out
    logprobs: list       # of these ids
    top: list            # [{id: logprob}] for each
    prompt_tokens: int
    finish: str


def token_table(path):
    """{bytes: id} of a GGUF file's byte-level vocabulary."""
    from gguf import GGUFReader
    field = GGUFReader(str(path)).fields["tokenizer.ggml.tokens"]
    return ids_of_bytes([bytes(field.parts[i]).decode() for i in field.data])


def ids_of_bytes(tokens):
    import export
    byte_of = {c: b for b, c in enumerate(export.byte_alphabet())}
    table = {}
    for i, token in enumerate(tokens):
        raw = bytes(byte_of[c] for c in token) if all(c in byte_of for c in token) else token.encode()
        table.setdefault(raw, i)
    return table


def picture_part(data):
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "webp" if data[8:12] == b"WEBP" else "gif" if data[:3] == b"GIF" else "png"
    return {"type": "image_url", "image_url": {"url": "data:image/%s;base64,%s" % (kind, base64.b64encode(data).decode())}}


def wire(messages):
    """[(role, [str | picture bytes])] -> the API's messages."""
    return [{"role": role, "content": [picture_part(p) if isinstance(p, bytes) else {"type": "text", "text": p} for p in parts]}
            for role, parts in messages]


def ask(server, table, messages, max_tokens, **fields):
    return ask_wired(server, table, wire(messages), max_tokens, **fields)


def ask_wired(server, table, messages, max_tokens, **fields):
    status, _, a = server.chat({"messages": messages, "temperature": 0, "max_tokens": max_tokens, "logprobs": True,
                                "top_logprobs": 20, **fields}, timeout=600)
    if status != 200:
        raise RuntimeError("%d %s" % (status, a))
    choice = a["choices"][0]
    steps = choice["logprobs"]["content"]
    return Answer(choice["message"]["content"], [table[bytes(s["bytes"])] for s in steps], [s["logprob"] for s in steps],
                  [{table[bytes(t["bytes"])]: t["logprob"] for t in s["top_logprobs"]} for s in steps],
                  a["usage"]["prompt_tokens"], choice["finish_reason"])


# ---- pictures ----

WORDS = "RIVER stone 4711 Copper MAPLE 12:45 $3.99 yellow North QUARTZ violin 88% Harbor".split()
INKS = [(15, 15, 20), (180, 20, 30), (20, 60, 160), (0, 110, 60), (245, 245, 235), (90, 40, 130)]
PAPERS = [(250, 250, 250), (255, 244, 210), (210, 230, 245), (240, 240, 240), (40, 44, 60), (220, 245, 220)]


def font(size):
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            pass
    return ImageFont.load_default(size)


def draw(seed, size):
    """A word or some shapes, always the same for a seed."""
    rng, (w, h) = random.Random(seed), size
    i = rng.randrange(len(INKS))
    image = Image.new("RGB", size, PAPERS[i])
    pen = ImageDraw.Draw(image)
    if seed % 2 == 0:
        pen.text((w * 0.08, h * 0.35), rng.choice(WORDS), font=font(max(8, int(min(w / 5, h / 2.5)))), fill=INKS[i])
        return image
    for _ in range(rng.randint(1, 3)):
        x, y, r = rng.uniform(0.2, 0.7) * w, rng.uniform(0.2, 0.7) * h, rng.uniform(0.1, 0.25) * min(w, h)
        box, ink = (x - r, y - r, x + r, y + r), rng.choice(INKS)
        rng.choice((pen.ellipse, pen.rectangle))(box, fill=ink)
    return image


def noise(seed, size):
    """Every pixel matters: waves, edges and grain."""
    rng, (w, h) = np.random.default_rng(seed), size
    y, x = np.mgrid[0:h, 0:w]
    waves = np.stack([np.sin(x / rng.uniform(2, 30) + y / rng.uniform(2, 30) + c) for c in range(3)], -1) * 90 + 128
    return Image.fromarray(np.clip(waves + rng.normal(0, 20, (h, w, 3)) + ((x // 13 + y // 7) % 2)[..., None] * 40, 0, 255).astype(np.uint8))


def encode(image, kind="PNG"):
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 85} if kind == "JPEG" else {}))
    return out.getvalue()


# ---- transformers' side ----

def reference_inputs(processor, messages):
    """The same conversation through transformers' processor: what its model takes."""
    pictures = [Image.open(io.BytesIO(p)).convert("RGB") for _, parts in messages for p in parts if isinstance(p, bytes)]
    chat = [{"role": r, "content": [{"type": "image"} if isinstance(p, bytes) else {"type": "text", "text": p} for p in parts]}
            for r, parts in messages]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    return processor(text=[text], images=[pictures] if pictures else None, return_tensors="pt", add_special_tokens=False)


def forced(model, inputs, ids):
    """Log-probabilities [len(ids)][vocabulary] of the reference for the tokens that we sampled."""
    import torch
    n = inputs["input_ids"].shape[1]
    given = dict(inputs)
    given["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids], dtype=torch.long)], 1)
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    with torch.no_grad():
        logits = model(**given).logits[0, n - 1:n - 1 + len(ids)]
    return logits.double().log_softmax(-1).numpy()


@dataclass
class Difference:
    worst: float = 0       # of any log-probability among our top 20
    greedy: bool = True    # each of our ids is the reference's best, up to the tolerance
    closest: float = 1e9   # smallest margin between the reference's two best


def compare(answer, reference, tolerance, banned=None):
    """banned: a token that was not allowed to be sampled."""
    d = Difference()
    for i, at in enumerate(reference[:len(answer.ids)]):
        d.worst = max([d.worst] + [abs(at[t] - lp) for t, lp in answer.top[i].items()])
        if banned is not None:
            at[banned] = -np.inf
        best = np.sort(at)[-2:]
        d.closest = min(d.closest, best[1] - best[0])
        d.greedy &= bool(at[answer.ids[i]] >= best[1] - tolerance)
    return d
