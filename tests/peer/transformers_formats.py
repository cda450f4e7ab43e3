"""Pictures of every format and mode through the sample model: our greedy answers against transformers' on Pillow's pixels.

    python transformers_formats.py

Needs torch, transformers, gguf, pillow (samples/training/requirements.txt). What a file means is said here: upright by its EXIF
orientation, on white where it is transparent, 16 bits cut to 8, the first frame of an animation; Pillow then gives the pixels and
transformers_sample.py's processor the rest. Prompt tokens and greedy ids must be equal, log-probabilities within 5e-3.
"""
import io
import tempfile

import numpy as np
import torch
from PIL import Image, ImageOps

import common
import model as m
from transformers_sample import ASKED, MOST, TOLERANCE, load


def file_of(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pictures():
    """(what, bytes)"""
    rgb = common.draw(2, (300, 220))
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 300).astype(np.uint8), (220, 1))))
    keyed = rgb.quantize(16)
    for mode in ("1", "L", "P", "RGB"):
        yield "PNG " + mode, file_of(rgb.convert(mode), "PNG")
    yield "PNG RGBA", file_of(alpha, "PNG")
    yield "PNG LA", file_of(alpha.convert("LA"), "PNG")
    yield "PNG P with a transparent colour", file_of(keyed, "PNG", transparency=0)
    yield "PNG 2 bits", file_of(rgb.quantize(4), "PNG", bits=2)
    yield "PNG 16 bits", file_of(Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257), "PNG")
    for q in (30, 75, 95):
        for s in (0, 1, 2):
            yield "JPEG quality %d, subsampling %d" % (q, s), file_of(rgb, "JPEG", quality=q, subsampling=s)
    yield "JPEG grey", file_of(rgb.convert("L"), "JPEG")
    yield "JPEG progressive", file_of(rgb, "JPEG", progressive=True, quality=85)
    yield "JPEG CMYK", file_of(rgb.convert("CMYK"), "JPEG", quality=95)
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x112] = turn
        yield "JPEG EXIF orientation %d" % turn, file_of(rgb, "JPEG", exif=exif, quality=90)
    yield "WebP lossless", file_of(rgb, "WEBP", lossless=True)
    yield "WebP lossy", file_of(rgb, "WEBP", quality=80)
    yield "WebP alpha", file_of(alpha, "WEBP", lossless=True)
    yield "GIF", file_of(rgb, "GIF")
    yield "GIF animated", file_of(rgb, "GIF", save_all=True, append_images=[common.draw(i, (300, 220)) for i in (4, 6)], duration=90)
    for size in ((1, 1), (2, 3), (16, 16), (1, 400), (700, 9), (2600, 1900), (5000, 120)):
        yield "PNG %dx%d" % size, file_of(common.draw(8, size) if min(size) > 30 else common.noise(3, size), "PNG")


def meaning(data):
    """What the processor gets: a PNG of RGB pixels."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return file_of(image.convert("RGB"), "PNG")


def main():
    verdict, table = common.Verdict(), common.token_table(common.SAMPLE / "model.gguf")
    with tempfile.TemporaryDirectory() as folder, common.Server(*common.EXACT) as server:
        model, processor = load(folder)
        for i, (what, data) in enumerate(pictures()):
            asked = ASKED[i % len(ASKED)]
            inputs = common.reference_inputs(processor, [("user", [meaning(data), asked])])
            n = inputs["input_ids"].shape[1]
            with torch.no_grad():
                theirs = model.generate(**inputs, do_sample=False, max_new_tokens=MOST)[0, n:].tolist()
            theirs = theirs[:-1] if theirs[-1] == m.END else theirs
            try:
                a = common.ask(server, table, [("user", [data, asked])], MOST)
            except RuntimeError as e:
                verdict(False, what, str(e))
                continue
            ours = a.ids[:-1] if a.ids and a.ids[-1] == m.END else a.ids
            d = common.compare(a, common.forced(model, inputs, a.ids), TOLERANCE)
            verdict(ours == theirs and a.prompt_tokens == n and d.worst <= TOLERANCE, what, "%d + %d tokens, worst %.1e, %r%s" % (
                n, len(ours), d.worst, a.text, "" if ours == theirs else " but theirs %r" % m.decode(theirs)))
    verdict.end()


if __name__ == "__main__":
    main()
