"""Fresh random-weight models of many shapes: our log-probabilities against transformers' (float32).

    python transformers_fresh.py [--only NAME]... [--seed N] [--keep DIR]

Needs torch, transformers, tokenizers, gguf, pillow (samples/training/requirements.txt). Each shape is written as GGUF
files, served with --kv-cache-dtype f32, and asked with text and generated pictures at temperature 0. transformers'
model and processor (Pillow backend) get the same conversation; then for the tokens that we sampled all our top 20
log-probabilities must be its own within 2e-3, each token must be its best one within that, and the number of prompt
tokens must be equal, which covers template, tokenizer, resizing and splitting of pictures.
"""
import argparse
import os
import tempfile

import common
import mini
from common import draw, encode, noise
from mini import Shape

TOLERANCE, STEPS = 2e-3, 24

LLAMA3_THETA = {"rope_type": "default", "rope_theta": 500000.0}
SHAPES = {
    "golden's own": Shape(),
    "untied, wide heads, split 4x4": Shape(
        hidden=128, layers=2, heads=4, kv_heads=1, head_dim=32, mlp=160, rope=LLAMA3_THETA, tied=False, eps=1e-6,
        image_size=64, longest=256, patch_size=8, scale_factor=4, v_hidden=48, v_heads=4, v_mlp=80),
    "scale 3, grid 9, split, colours": Shape(
        heads=3, kv_heads=3, hidden=96, head_dim=32, mlp=136, image_size=72, longest=288, patch_size=8, scale_factor=3, v_hidden=36,
        v_heads=3, v_mlp=52, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)),
    "heads wider than the model, pixels left over": Shape(
        hidden=80, heads=2, kv_heads=1, head_dim=64, mlp=100, image_size=92, longest=92, patch_size=14, scale_factor=3, v_hidden=72,
        v_heads=3, v_mlp=100),
    "grid 25 (rounded positions), biases, linear rope": Shape(
        heads=6, kv_heads=2, hidden=96, head_dim=16, rope={"rope_type": "linear", "rope_theta": 20000.0, "factor": 2.0}, bias=True,
        image_size=200, longest=600, patch_size=8, scale_factor=5, v_hidden=40, v_heads=5, v_mlp=64, v_eps=1e-5, std=(0.3, 0.4, 0.6)),
    "head dim 80, one row a picture": Shape(
        hidden=160, heads=2, kv_heads=2, head_dim=80, layers=2, image_size=32, longest=128, patch_size=8, scale_factor=4, v_hidden=24, v_heads=1),
    "SmolVLM-256M's proportions": Shape(
        hidden=576, layers=2, heads=9, kv_heads=3, head_dim=64, mlp=1536, rope={"rope_type": "default", "rope_theta": 100000.0},
        image_size=512, longest=1024, patch_size=16, scale_factor=4, v_hidden=768, v_layers=1, v_heads=12, v_mlp=3072, vocab=900),
    "BF16": Shape(heads=4, kv_heads=4, weights="BF16", image_size=48, longest=144, patch_size=8),
    "F16": Shape(heads=4, kv_heads=4, weights="F16", image_size=48, longest=144, patch_size=8),
}

LONG = "Describe this picture. They're 12345 apples,\n\n  naïve 漢字 don't 😀\tand\r\nso on... " * 30


def conversations():
    """[(what, messages)]"""
    wide, tall, small, photo = (encode(draw(3, (320, 140))), encode(noise(1, (150, 333))), encode(draw(2, (40, 31))),
                                encode(noise(2, (301, 227)), "JPEG"))
    thin = encode(noise(5, (400, 9)))
    return [
        ("text", [("user", ["What is it? It's 2026, naïve 漢字 😀 \n\n\n  end "])]),
        ("turns", [("system", ["Be brief."]), ("user", ["Hi"]), ("assistant", ["Hello, the 1st!"]), ("user", ["Read the image."])]),
        ("long text", [("user", [LONG])]),
        ("wide picture", [("user", [wide, "What is it?"])]),
        ("tall picture, text first", [("user", ["Look: ", tall, " and tell."])]),
        ("small picture", [("user", [small, "Read the image."])]),
        ("thin picture", [("user", [thin])]),
        ("JPEG", [("user", [photo, "Describe this picture."])]),
        ("three pictures in two turns", [("user", [wide, small, "Compare."]), ("assistant", [" Both."]), ("user", ["And", photo, "this one?"])]),
    ]


def one_shape(name, shape, folder, seed, verdict):
    model, processor, tokens = mini.make(shape, folder, seed)
    table, image = common.ids_of_bytes(tokens), tokens.index("<image>")
    with common.Server(*common.EXACT, model=folder) as server:
        for what, messages in conversations():
            inputs = common.reference_inputs(processor, messages)
            try:
                a = common.ask(server, table, messages, STEPS, logit_bias={str(image): -100})
            except RuntimeError as e:
                verdict(False, "%s: %s" % (name, what), str(e))
                continue
            n = inputs["input_ids"].shape[1]
            d = common.compare(a, common.forced(model, inputs, a.ids), TOLERANCE, image)
            good = n == a.prompt_tokens and d.greedy and d.worst <= TOLERANCE and (len(a.ids) == STEPS or a.finish == "stop")
            verdict(good, "%s: %s" % (name, what), "%d prompt tokens%s, %d sampled, worst %.1e, closest choice %.1e%s" % (
                n, "" if n == a.prompt_tokens else " but ours %d" % a.prompt_tokens, len(a.ids), d.worst, d.closest,
                "" if d.greedy else ", NOT its best tokens"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", action="append", help="part of a shape's name")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--keep", help="folder for the model files")
    args = p.parse_args()
    verdict = common.Verdict()
    with tempfile.TemporaryDirectory() as temporary:
        for i, (name, shape) in enumerate(SHAPES.items()):
            if args.only and not any(o in name for o in args.only):
                continue
            one_shape(name, shape, os.path.join(args.keep or temporary, str(i)), args.seed + i, verdict)
    verdict.end()


if __name__ == "__main__":
    main()
