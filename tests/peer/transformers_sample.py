"""The sample model in transformers (float32) and in our server: the same greedy answers.

    python transformers_sample.py [--pictures 20]

Needs torch, transformers, gguf, pillow (samples/training/requirements.txt). The folder for transformers is made from
samples/model by samples/training/export.py; its processor is the Pillow-backed one. The server runs with
--kv-cache-dtype f32. Pictures are drawn words and shapes and plain noise, 192 to 384 pixels a side, PNG and JPEG.
Compared: tokens of prompt and answer, text, and our top 20 log-probabilities at each step.
"""
import argparse
import tempfile

import torch
from transformers import AutoTokenizer, Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil, Idefics3Processor

import common
import export
import model as m
from common import draw, encode, noise

TOLERANCE, MOST = 5e-3, 48
TEXTS = ["Hello", "What can you do?", "What is 3 + 4?", "Repeat: copper river", "Who are you?", "Spell: naïve 漢字 😀", ""]
SIZES = [(320, 240), (240, 320), (192, 192), (384, 192), (256, 384), (200, 333), (384, 288), (193, 385)]
ASKED = ["Read the image.", "What is in the picture?", "What does it say?", "How many shapes are there?"]


def load(folder):
    state = export.read_export(str(common.SAMPLE), m.Config())
    export.write_hf(state, m.Config(), folder)
    model = Idefics3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    processor = Idefics3Processor(Idefics3ImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder),
                                  image_seq_len=m.ROWS, chat_template=export.CHAT_TEMPLATE)
    return model, processor


def conversations(n_pictures):
    for text in TEXTS:
        yield "text %r" % text, [("user", [text])]
    yield "three turns", [("user", ["Hello"]), ("assistant", [" Hello!"]), ("user", ["What can you do?"])]
    for i in range(n_pictures):
        size, kind = SIZES[i % len(SIZES)], "JPEG" if i % 3 == 1 else "PNG"
        image = noise(i, size) if i % 7 == 6 else draw(i, size)
        asked = ASKED[i % len(ASKED)]
        yield "%s %dx%d %r" % (kind, *size, asked), [("user", [encode(image, kind), asked])]
    two = [encode(draw(100 + i, (256, 256))) for i in range(2)]
    yield "a picture in each of two turns", [("user", [two[0], ASKED[0]]), ("assistant", [" MAPLE"]), ("user", [two[1], ASKED[1]])]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--pictures", type=int, default=20)
    args = p.parse_args()
    verdict, table = common.Verdict(), common.token_table(common.SAMPLE / "model.gguf")
    worst = 0
    with tempfile.TemporaryDirectory() as folder, common.Server(*common.EXACT) as server:
        model, processor = load(folder)
        for what, messages in conversations(args.pictures):
            inputs = common.reference_inputs(processor, messages)
            n = inputs["input_ids"].shape[1]
            with torch.no_grad():
                theirs = model.generate(**inputs, do_sample=False, max_new_tokens=MOST)[0, n:].tolist()
            ended = theirs[-1] == m.END
            theirs = theirs[:-1] if ended else theirs
            a = common.ask(server, table, messages, MOST)
            ours = a.ids[:-1] if a.ids and a.ids[-1] == m.END else a.ids
            d = common.compare(a, common.forced(model, inputs, a.ids), TOLERANCE)
            worst = max(worst, d.worst)
            good = ours == theirs and a.prompt_tokens == n and (a.finish == "stop") == ended and d.worst <= TOLERANCE
            verdict(good, what, "%d + %d tokens, worst %.1e, closest choice %.1e, %r%s" % (
                n, len(ours), d.worst, d.closest, a.text, "" if ours == theirs else " but theirs %r" % m.decode(theirs)))
    print("largest difference of a log-probability: %.2e" % worst)
    verdict.end()


if __name__ == "__main__":
    main()
