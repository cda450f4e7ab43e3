"""Draw the example pictures of samples/pictures.

    python make_pictures.py ../pictures

All words and fonts are held out: the model has never been trained on them.  The
files named rendered-* are drawn too, not photographed: a printed word seen at an
angle in uneven light, with noise and JPEG artefacts.
"""

import argparse
import io
import json
import math
import os
import random

import numpy as np
from PIL import Image, ImageDraw

import data


def font_file(family, style):
    """A held-out font file by parts of its name."""
    for path in data.fonts(True):
        name = os.path.basename(path).lower()
        if family in name and name.rsplit(".", 1)[0].endswith(style):
            return path
    raise SystemExit("font %s %s is not installed" % (family, style))


def plain(text, font, size, ink, paper, shape, place=(0.5, 0.5)):
    """One centred line of print."""
    w, h = shape
    image = Image.new("RGB", (w, h), paper)
    face = data.load_font(font, size)
    left, top, right, bottom = face.getbbox(text)
    x = int((w - (right - left)) * place[0]) - left
    y = int((h - (bottom - top)) * place[1]) - top
    ImageDraw.Draw(image).text((x, y), text, font=face, fill=ink)
    return image


def rendered(text, font, size, ink, sign, wall, shape, turn, skew, seed, quality):
    """A sign on a wall: turned, seen from the side, unevenly lit, noisy, JPEG."""
    w, h = shape
    rng = random.Random(seed)
    face = data.load_font(font, size)
    left, top, right, bottom = face.getbbox(text)
    tw, th = right - left, bottom - top
    x0, y0 = (w - tw) // 2, (h - th) // 2
    page = Image.new("RGB", (w, h), wall)
    pen = ImageDraw.Draw(page)
    pen.rectangle((x0 - 14, y0 - 14, x0 + tw + 14, y0 + th + 14), fill=sign)
    pen.text((x0 - left, y0 - top), text, font=face, fill=ink)
    corners = [(0, 0), (w, 0), (w, h), (0, h)]
    co, si = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    moved = []
    for (x, y), (dx, dy) in zip(corners, skew):
        u, v = x - w / 2, y - h / 2
        moved.append((w / 2 + u * co - v * si + dx * w, h / 2 + u * si + v * co + dy * h))
    back = data.homography(moved, corners)
    image = page.transform((w, h), Image.PERSPECTIVE, back, Image.BICUBIC, fillcolor=wall)
    light = np.asarray(data.cloud(rng, (w, h), 135, 255, 3), np.float32)[..., None] / 255
    noise = np.random.default_rng(seed).normal(0, 5, (h, w, 3))
    a = np.asarray(image, np.float32) * light + noise
    image = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def shapes(items, shape, paper):
    """items: (colour, kind, x, y, radius) in fractions of the picture."""
    w, h = shape
    big = Image.new("RGB", (w * 2, h * 2), paper)
    pen = ImageDraw.Draw(big)
    for colour, kind, x, y, r in items:
        x, y, r = 2 * x * w, 2 * y * h, 2 * r * min(w, h)
        if kind == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=data.COLOURS[colour])
        else:
            pen.polygon(data.shape_points(kind, x, y, r, 0), fill=data.COLOURS[colour])
    return big.resize((w, h), Image.BOX)


READ = "Read the image."
LOOK = "What is in the picture?"
# Common words of the held-out part of the dictionary.
WORDS = ("dragons", "lemon", "donut", "kingdom")


def pictures():
    """(file name, picture or JPEG bytes, question, expected answer)"""
    lato = font_file("lato", "-regular")
    lato_bold = font_file("lato", "-bold")
    noto_serif = font_file("notoserif", "-bold")
    hack = font_file("hack", "-regular")
    caladea = font_file("caladea", "-bold")
    cantarell = font_file("cantarell", "-bold")
    for word in WORDS:
        assert data.is_held_out(word), word
    word_1, word_2, word_3, word_4 = WORDS
    return [
        ("word.png", plain(word_1.upper(), lato_bold, 48, (20, 20, 20), (250, 250, 250), (256, 192)), READ, word_1.upper()),
        ("word-colour.png", plain(word_2, noto_serif, 56, (250, 240, 200), (30, 70, 120), (320, 240)), READ, word_2),
        ("price.png", plain("$12.50", lato, 60, (160, 20, 30), (255, 244, 214), (256, 256)), READ, "$12.50"),
        ("time.jpg", plain("14:05", hack, 64, (30, 220, 90), (16, 20, 18), (288, 216)), READ, "14:05"),
        ("rendered-sign.jpg", rendered(
            word_3.upper(), caladea, 62, (245, 245, 240), (150, 30, 34), (176, 168, 150), (384, 288), -4,
            ((0.03, 0.02), (-0.02, 0.05), (0.01, -0.04), (-0.01, 0.0)), 7, 72), READ, word_3.upper()),
        ("rendered-label.jpg", rendered(
            word_4.capitalize(), cantarell, 60, (25, 30, 60), (238, 232, 210), (96, 84, 70), (360, 300), 3,
            ((0.0, 0.03), (0.03, -0.02), (-0.03, 0.02), (0.02, -0.01)), 11, 60), READ, word_4.capitalize()),
        ("shape.png", shapes([("red", "circle", 0.5, 0.5, 0.28)], (256, 256), (240, 240, 240)), LOOK, "a red circle"),
        ("shapes.png", shapes([("red", "circle", 0.26, 0.5, 0.2), ("blue", "square", 0.74, 0.52, 0.2)],
                              (320, 240), (245, 245, 245)), LOOK, "a red circle left of a blue square"),
    ]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("out", help="folder for the pictures")
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    index = []
    for name, picture, question, expected in pictures():
        path = os.path.join(args.out, name)
        if isinstance(picture, bytes):
            with open(path, "wb") as f:
                f.write(picture)
        elif name.endswith(".jpg"):
            picture.save(path, quality=88)
        else:
            picture.save(path)
        index.append({"file": name, "question": question, "expected": expected})
    with open(os.path.join(args.out, "pictures.json"), "w") as f:
        json.dump(index, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
