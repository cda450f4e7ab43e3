"""Fresh random models of random shapes, text families beside llama: our log-probabilities against transformers' (float32).

    python transformers_families.py [--shapes N] [--seed N] [--family qwen2|gemma3] [--keep DIR]

Needs torch, transformers, gguf, jinja2 (samples/training/requirements.txt). Each shape is written as a GGUF file, served with
--kv-cache-dtype f32 and a step budget that cuts prompts into chunks, and asked at temperature 0. For the tokens that we sampled
all our top 20 log-probabilities must be transformers' own within 2e-3, each token its best within that, and the number of
prompt tokens equal. Prompts are longer than the windows, which fall out of many blocks; each is asked twice, so that the second
answer begins with a prefix from the cache.
"""
import argparse
import os
import random
import re
import sys
import tempfile

import jinja2

import common
from transformers_fresh import STEPS, TOLERANCE, conversations

sys.path.insert(0, str(common.GOLDEN))
import families  # noqa: E402
from families import Shape, export, m  # noqa: E402


def random_shape(rng, family):
    heads = rng.choice([1, 2, 3, 4, 6, 8])
    kv_heads = rng.choice([n for n in range(1, heads + 1) if heads % n == 0])
    head_dim = rng.choice([8, 16, 32, 64])
    shape = Shape(family, heads=heads, kv_heads=kv_heads, head_dim=head_dim, mlp=8 * rng.randint(4, 30), positions=8192,
                  theta=rng.choice([1e4, 5e5, 1e6]), eps=rng.choice([1e-5, 1e-6]), layers=rng.randint(1, 4),
                  weights=rng.choice(["F32", "F32", "BF16", "F16"]))
    shape.hidden = heads * head_dim
    if family == "qwen2":
        shape.tied = rng.random() < 0.5
        return shape
    shape.hidden = heads * rng.choice([8, 16, 24, 32])
    shape.layers = rng.randint(1, 9)
    shape.pattern = rng.choice([6, 6, 2, 3, 1])
    shape.window = rng.choice([2, 16, 33, 100, 512])
    shape.factor = rng.choice([1.0, 2.0, 8.0])
    shape.local_theta = rng.choice([1e4, 2e4])
    shape.scalar = rng.choice([0, 24])
    return shape


def prompt_ids(messages):
    text = jinja2.Template(export.CHAT_TEMPLATE).render(add_generation_prompt=True, messages=[
        {"role": role, "content": [{"type": "text", "text": p} for p in parts]} for role, parts in messages])
    ids = []
    for piece in re.split("(%s)" % "|".join(map(re.escape, m.SPECIAL)), text):
        ids += [m.TOKEN[piece]] if piece in m.TOKEN else list(piece.encode())
    return ids


class Reference:
    """A model that takes ids, as common.forced calls it."""

    def __init__(self, model, shape):
        self.model, self.shape = model, shape

    def __call__(self, input_ids, **_):
        logits = families.run(self.model, self.shape, input_ids[0].tolist())
        return type("Out", (), {"logits": logits[None]})


def one_shape(shape, folder, seed, verdict):
    import torch
    os.makedirs(folder, exist_ok=True)
    model = families.build(shape, seed)
    path = os.path.join(folder, "model.gguf")
    families.write(model, shape, path)
    table = common.ids_of_bytes(export.TOKENS)
    with common.Server(*common.EXACT, "--max-num-batched-tokens", "200", model=path) as server:
        for what, messages in conversations():
            if any(isinstance(p, bytes) for _, parts in messages for p in parts):
                continue
            ids = prompt_ids(messages)
            inputs = {"input_ids": torch.tensor([ids])}
            bias = {str(i): -100 for i in m.TOKEN.values()}
            first = common.ask(server, table, messages, STEPS, logit_bias=bias)
            again = common.ask(server, table, messages, STEPS, logit_bias=bias)
            d = common.compare(first, common.forced(Reference(model, shape), inputs, first.ids), TOLERANCE, list(m.TOKEN.values()))
            same = again.ids == first.ids and again.logprobs == first.logprobs
            good = len(ids) == first.prompt_tokens and d.greedy and d.worst <= TOLERANCE and same and len(first.ids) == STEPS
            verdict(good, "%s: %s" % (shape.family, what), "%d prompt tokens%s, worst %.1e, closest choice %.1e%s%s" % (
                len(ids), "" if len(ids) == first.prompt_tokens else " but ours %d" % first.prompt_tokens, d.worst, d.closest,
                "" if d.greedy else ", NOT its best tokens", "" if same else ", ANOTHER answer the second time"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--shapes", type=int, default=8, help="of each family")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--family", choices=("qwen2", "gemma3"))
    p.add_argument("--keep", help="folder for the model files")
    args = p.parse_args()
    verdict = common.Verdict()
    with tempfile.TemporaryDirectory() as temporary:
        for family in [args.family] if args.family else ["qwen2", "gemma3"]:
            for i in range(args.shapes):
                shape = random_shape(random.Random("%s %d" % (family, args.seed + i)), family)
                print(shape, flush=True)
                one_shape(shape, os.path.join(args.keep or temporary, "%s-%d" % (family, i)), args.seed + i, verdict)
    verdict.end()


if __name__ == "__main__":
    main()
