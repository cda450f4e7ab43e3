"""Synthetic pictures for the sample model, and the questions about them.

Every picture the model ever sees is made here: printed words, numbers, prices and
times drawn with the fonts installed on this machine, and coloured shapes (what is said without a picture: talk.py).
No picture or text is downloaded.

A fixed 5 % of the dictionary (chosen by a hash of the word) and the font
families in HELD_OUT_FAMILIES are never used in training; evaluate.py uses only
those.
"""

import hashlib
import io
import math
import random
import subprocess
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SIDE = 192                 # what the model sees: SIDE x SIDE pixels
PATCH = 16                 # one vision patch
GROUP = 32                 # one row of the language model: 2 x 2 patches
GRID = SIDE // GROUP       # 6 x 6 groups
MAX_CHARS = 14             # longest printed text

# Printable ASCII without the space; class 0 of the auxiliary heads is "nothing".
CHARS = [chr(c) for c in range(33, 127)]
CHAR_CLASS = {c: i + 1 for i, c in enumerate(CHARS)}

DICTIONARY = "/usr/share/dict/american-english"
HELD_OUT_FAMILIES = {
    "Lato", "Caladea", "Cantarell", "Linux Libertine O", "Noto Serif", "Hack",
    "Nimbus Mono PS",
}
TRAINING_FAMILIES = {
    "Arimo", "C059", "Carlito", "Comfortaa", "Cousine", "DejaVu Sans",
    "DejaVu Sans Mono", "DejaVu Serif", "EB Garamond", "Fira Code", "FreeMono",
    "FreeSans", "FreeSerif", "Inconsolata", "Liberation Mono",
    "Liberation Sans", "Liberation Sans Narrow", "Liberation Serif",
    "Linux Biolinum O", "Nimbus Roman", "Nimbus Sans", "Nimbus Sans Narrow",
    "Noto Mono", "Noto Sans", "Noto Sans Mono", "Open Sans", "P052",
    "Quicksand", "Roboto", "Roboto Condensed", "Tinos", "URW Bookman",
    "URW Gothic", "Vollkorn",
}


# --------------------------------------------------------------------- words

def is_held_out(word):
    """5 % of all words, by hash, so that the split never depends on order."""
    return int(hashlib.md5(word.lower().encode()).hexdigest(), 16) % 20 == 0


@lru_cache(maxsize=None)
def words_by_length(held_out):
    """Dictionary words of 2 to 12 letters, as {length: [word, ...]}."""
    table = {}
    with open(DICTIONARY, encoding="utf-8") as f:
        for line in f:
            w = line.strip()
            if w.isascii() and w.isalpha() and w.islower() and 2 <= len(w) <= 12 \
                    and is_held_out(w) == held_out:
                table.setdefault(len(w), []).append(w)
    return table


@lru_cache(maxsize=None)
def fonts(held_out):
    """Font files of the training or of the held-out families."""
    listing = subprocess.run(["fc-list", ":", "file", "family"], check=True,
                             capture_output=True, text=True).stdout
    wanted = HELD_OUT_FAMILIES if held_out else TRAINING_FAMILIES
    files = []
    for line in sorted(listing.splitlines()):
        path, families = (part.strip() for part in line.split(":")[:2])
        if families.split(",")[0] in wanted and path.endswith((".ttf", ".otf")) \
                and "Hairline" not in path:
            files.append(path)
    if not files:
        raise SystemExit("no %s fonts found; see README.md for the packages"
                         % ("held-out" if held_out else "training"))
    return files


@lru_cache(maxsize=4000)
def load_font(path, size):
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


KINDS = ("word", "number", "price", "time")


def sample_text(rng, kind=None, held_out=False, longest=12):
    """One printed text and its kind.  `longest` is the curriculum's limit."""
    if kind is None:
        kind = rng.choices(("word", "number", "price", "time", "letters"),
                           (60, 10, 11, 7, 12))[0]
    if kind == "word":
        table = words_by_length(held_out)
        lengths = range(2, min(longest, 12) + 1)
        n = rng.choices(lengths, [(1, 3, 6, 8, 8, 8, 7, 6, 5, 3, 2)[k - 2]
                                  for k in lengths])[0]
        w = rng.choice(table[n])
        return rng.choice((w, w.upper(), w.capitalize())), kind
    if kind == "number":
        return str(rng.randrange(10 ** rng.randint(1, min(longest, 6)))), kind
    if kind == "price":
        amount = "%d.%02d" % (rng.randrange(10 ** rng.randint(1, 3)), rng.randrange(100))
        if rng.random() < 0.35:
            amount = amount[:-1] + rng.choice("059")
        return ("$" if rng.random() < 0.6 else "") + amount, kind
    if kind == "time":
        return rng.choice(("%d:%02d", "%02d:%02d")) % (rng.randrange(24), rng.randrange(60)), kind
    # Random strings: no dictionary can help, so the letters must be read.
    alphabet = rng.choice((
        "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "0123456789.,:-/%+$#", "abcdefghijklmnopqrstuvwxyz!?.,-'&"))
    n = rng.randint(1, min(longest, 9))
    return "".join(rng.choice(alphabet) for _ in range(n)), "letters"


# ------------------------------------------------------------------ pictures

def luminance(c):
    return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]


def random_colour(rng):
    return tuple(rng.randint(0, 255) for _ in range(3))


def contrasting_pair(rng, least=65):
    """Ink and paper whose brightness differs enough to be read."""
    x = rng.random()
    if x < 0.2:
        return (rng.randint(0, 40),) * 3, (rng.randint(215, 255),) * 3
    if x < 0.3:
        return (rng.randint(215, 255),) * 3, (rng.randint(0, 40),) * 3
    while True:
        ink, paper = random_colour(rng), random_colour(rng)
        if abs(luminance(ink) - luminance(paper)) > least:
            return ink, paper


@lru_cache(maxsize=None)
def noise_bank():
    """A few large noise pictures, mean 128; crops of them are added to pictures."""
    gen = np.random.default_rng(5)
    bank = []
    for sigma in (2, 4, 6, 8, 11, 14):
        grey = gen.normal(128, sigma, (480, 480, 1)).repeat(3, 2)
        colour = gen.normal(128, sigma, (480, 480, 3))
        for a in (grey, colour):
            bank.append(Image.fromarray(np.clip(a, 0, 255).astype(np.uint8)))
    return bank


def cloud(rng, size, low, high, cells):
    """A smooth random grey map: a coarse grid blown up."""
    grid = Image.new("L", (cells, cells))
    grid.putdata([rng.randint(low, high) for _ in range(cells * cells)])
    return grid.resize(size, Image.BICUBIC)


def homography(src, dst):
    """The 8 coefficients that take each point of src to the one of dst."""
    rows, rhs = [], []
    for (x, y), (u, v) in zip(src, dst):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        rhs += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(rhs, float))


def apply_homography(h, x, y):
    d = h[6] * x + h[7] * y + 1
    return (h[0] * x + h[1] * y + h[2]) / d, (h[3] * x + h[4] * y + h[5]) / d


def random_warp(rng, w, h, box, rotate, skew):
    """Corners of the page after a small rotation and a change of viewpoint.

    Returns (forward, backward) coefficients, or None when the text box would
    leave the picture.
    """
    corners = [(0, 0), (w, 0), (w, h), (0, h)]
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    co, si = math.cos(rotate), math.sin(rotate)
    moved = []
    for x, y in corners:
        u = cx + (x - cx) * co - (y - cy) * si + rng.uniform(-skew, skew) * w
        v = cy + (x - cx) * si + (y - cy) * co + rng.uniform(-skew, skew) * h
        moved.append((u, v))
    forward = homography(corners, moved)
    for x in (box[0], box[2]):
        for y in (box[1], box[3]):
            u, v = apply_homography(forward, x, y)
            if not (1 <= u <= w - 1 and 1 <= v <= h - 1):
                return None
    return forward, homography(moved, corners)


def draw_text(rng, text, font_path, effects=1.0, print_size=(20, 54), place=None):
    """Draw one line of text on a picture of 192 to 384 pixels a side, anywhere or at `place`: shares of the room to the left and above.

    With a place, an equal generator draws another text in the same style: frames of one clip.

    Returns the picture, the 6 x 6 map of where there is ink and, for each
    character, its centre as a fraction of the width and height.  `effects` in 0..1 scales how often the picture is
    spoilt: rotation, perspective, uneven light, noise, blur, JPEG.
    """
    if rng.random() < 0.35:
        w = h = rng.choice((192, 224, 256, 320, 384))
    else:
        w, h = rng.randint(192, 384), rng.randint(192, 384)
    chance = lambda p: rng.random() < p * effects

    # The print size is meant at the 192 pixel scale the model sees.
    low, high = print_size
    size = rng.triangular(low, high, low + 0.6 * (high - low)) * math.sqrt(w * h) / SIDE
    font = load_font(font_path, 40)
    per_px = max(font.getlength(text), 1) / 40
    size = max(10, int(min(size, 0.93 * w / per_px, 0.75 * h)))
    font = load_font(font_path, size)
    left, top, right, bottom = font.getbbox(text)
    tw, th = right - left, bottom - top
    if tw > 0.97 * w:
        size = max(8, int(size * 0.95 * w / tw))
        font = load_font(font_path, size)
        left, top, right, bottom = font.getbbox(text)
        tw, th = right - left, bottom - top
    x0 = rng.uniform(2, max(2.5, w - tw - 2))
    y0 = rng.uniform(2, max(2.5, h - th - 2))
    tilt = rng                 # how often it is asked depends on the text
    if place:
        x0, y0 = 2 + place[0] * max(0.5, w - tw - 4), 2 + place[1] * max(0.5, h - th - 4)
        tilt = random.Random(rng.random())
    mask = Image.new("L", (w, h), 0)
    ImageDraw.Draw(mask).text((int(x0) - left, int(y0) - top), text, font=font, fill=255)
    x0, y0 = int(x0), int(y0)
    box = (x0, y0, x0 + tw, y0 + th)
    centres = []
    for i in range(len(text)):
        a, b = font.getlength(text[:i]), font.getlength(text[:i + 1])
        centres.append((x0 - left + (a + b) / 2, y0 + th / 2))

    ink, paper = contrasting_pair(rng)
    board = None
    if chance(0.2):            # a sign: the paper is a rectangle on another colour
        pad = rng.randint(3, 18)
        board = Image.new("L", (w, h), 0)
        ImageDraw.Draw(board).rectangle(
            (box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), fill=255)

    if chance(0.6):
        rotate = math.radians(rng.uniform(-7, 7)) if rng.random() < 0.7 else 0.0
        skew = rng.uniform(0, 0.08) if rng.random() < 0.6 else 0.0
        for _ in range(3):
            warp = random_warp(tilt, w, h, box, rotate, skew)
            if warp:
                forward, backward = warp
                mask = mask.transform((w, h), Image.PERSPECTIVE, backward, Image.BILINEAR)
                if board:
                    board = board.transform((w, h), Image.PERSPECTIVE, backward, Image.BILINEAR)
                centres = [apply_homography(forward, x, y) for x, y in centres]
                break
            rotate, skew = rotate / 2, skew / 2

    image = Image.new("RGB", (w, h), paper)
    if board:
        image.paste(random_colour(rng), mask=ImageChops.invert(board))
    if chance(0.25):           # a faint texture of the paper
        other = tuple(min(255, max(0, c + rng.randint(-35, 35))) for c in paper)
        image.paste(other, mask=cloud(rng, (w, h), 0, 200, rng.choice((3, 6, 12, 24))))
    image.paste(ink, mask=mask)
    image = spoil(rng, image, effects, size * SIDE / max(w, h))
    ink_map = np.asarray(mask.resize((GRID, GRID), Image.BOX)).reshape(-1)
    return image, ink_map, [(x / w, y / h) for x, y in centres]


def spoil(rng, image, effects, size):
    """Uneven light, noise, blur and JPEG artefacts."""
    chance = lambda p: rng.random() < p * effects
    w, h = image.size
    if chance(0.35):
        light = cloud(rng, (w, h), rng.randint(110, 200), 255, rng.choice((2, 2, 3, 4)))
        image = ImageChops.multiply(image, Image.merge("RGB", (light,) * 3))
    if chance(0.18):
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, min(1.6, size / 20))))
    if chance(0.45):
        bank = rng.choice(noise_bank())
        x, y = rng.randrange(480 - w), rng.randrange(480 - h)
        image = ImageChops.add(image, bank.crop((x, y, x + w, y + h)), 1, -128)
    if chance(0.45):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(30, 95))
        image = Image.open(buffer).convert("RGB")
    return image


COLOURS = {
    "red": (214, 36, 36), "green": (36, 158, 58), "blue": (38, 74, 212),
    "yellow": (242, 216, 40), "orange": (244, 138, 24), "purple": (134, 48, 168),
    "black": (16, 16, 16), "white": (246, 246, 246),
}
COLOUR_NAMES = sorted(COLOURS)
SHAPES = ("circle", "square", "triangle", "star")


def shape_points(shape, cx, cy, r, turn):
    if shape == "square":
        radii, n, start = (r * 1.1,), 4, math.pi / 4
    elif shape == "triangle":
        radii, n, start = (r * 1.15,), 3, -math.pi / 2
    else:
        radii, n, start = (r * 1.15, r * 0.48), 10, -math.pi / 2
    return [(cx + radii[i % len(radii)] * math.cos(start + turn + 2 * math.pi * i / n),
             cy + radii[i % len(radii)] * math.sin(start + turn + 2 * math.pi * i / n))
            for i in range(n)]


def draw_shapes(rng, effects=1.0):
    """One or two coloured shapes.

    Returns the picture, the list of (colour, shape) with the left or upper one
    first, the relation ("left of", "above" or None), and a map of what lies at the
    middle of each patch: 0 nothing, or 1 + 32 item + 4 colour + shape.
    """
    count = 1 if rng.random() < 0.4 else 2
    w, h = rng.randint(192, 384), rng.randint(192, 384)
    if rng.random() < 0.35:
        h = w
    colours = rng.sample(COLOUR_NAMES, count)
    shapes = [rng.choice(SHAPES) for _ in range(count)]
    while True:
        paper = random_colour(rng) if rng.random() < 0.6 else (rng.randint(225, 255),) * 3
        if all(math.dist(paper, COLOURS[c]) > 110 for c in colours):
            break
    unit = min(w, h)
    relation = None
    if count == 1:
        r = rng.uniform(0.14, 0.36) * unit
        places = [(rng.uniform(r * 1.2, w - r * 1.2), rng.uniform(r * 1.2, h - r * 1.2), r)]
    else:
        relation = rng.choice(("left of", "above"))
        a, b = rng.uniform(0.11, 0.19) * unit, rng.uniform(0.11, 0.19) * unit
        along = (rng.uniform(0.22, 0.30), rng.uniform(0.70, 0.78))
        middle = rng.uniform(0.3, 0.7)
        across = [middle + rng.uniform(-0.08, 0.08) for _ in range(2)]
        if relation == "left of":
            places = [(along[0] * w, across[0] * h, a), (along[1] * w, across[1] * h, b)]
        else:
            places = [(across[0] * w, along[0] * h, a), (across[1] * w, along[1] * h, b)]
    big = Image.new("RGB", (w * 2, h * 2), paper)      # drawn twice as large: smooth edges
    pen = ImageDraw.Draw(big)
    labels = Image.new("L", big.size, 0)
    label_pen = ImageDraw.Draw(labels)
    for item, (colour, shape, (x, y, r)) in enumerate(zip(colours, shapes, places)):
        label = 1 + 32 * item + 4 * COLOUR_NAMES.index(colour) + SHAPES.index(shape)
        fill = tuple(min(255, max(0, c + rng.randint(-16, 16))) for c in COLOURS[colour])
        x, y, r = 2 * x, 2 * y, 2 * r
        if shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            label_pen.ellipse((x - r, y - r, x + r, y + r), fill=label)
        else:
            points = shape_points(shape, x, y, r, math.radians(rng.uniform(-9, 9)))
            pen.polygon(points, fill=fill)
            label_pen.polygon(points, fill=label)
    side = 2 * GRID
    paint = np.asarray(labels.resize((side, side), Image.NEAREST))
    paint = paint.reshape(GRID, 2, GRID, 2).transpose(0, 2, 1, 3).reshape(GRID * GRID, 4)
    image = big.resize((w, h), Image.BOX)
    # Dim light would change the colours, so the light stays fairly even here.
    return spoil(rng, image, effects * 0.6, 40), list(zip(colours, shapes)), relation, paint


def prepare(image, two_steps=False):
    """One square of the whole picture, Lanczos, whatever its shape.

    transformers' SmolVLM processor first scales the longer side to SIDE and only
    then makes the square; other runtimes do it in one step.  Training uses both.
    """
    if two_steps:
        w, h = image.size
        if w >= h:
            w, h = SIDE, int(SIDE / (w / h))
            h += h % 2
        else:
            w, h = int(SIDE * (w / h)), SIDE
            w += w % 2
        image = image.resize((w, h), Image.LANCZOS)
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.LANCZOS))


# ------------------------------------------------------- questions and answers

READ_QUESTIONS = ("Read the image.", "What does it say?", "What is written here?")


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def text_phrasing(rng):
    """A question about a printed text, and the frame of its answer."""
    x = rng.random()
    if x < 0.85:
        return READ_QUESTIONS[0], "%s"
    if x < 0.96:
        return rng.choice(READ_QUESTIONS[1:]), "%s"
    return "What is in the picture?", 'the text "%s"'


def describe(items, relation):
    said = [article("%s %s" % item) for item in items]
    return said[0] if len(said) == 1 else "%s %s %s" % (said[0], relation, said[1])


def shape_question(rng, items, relation):
    """Phrasings about shapes; each has one right answer."""
    x = rng.random()
    if x < 0.60:
        return rng.choice(("What is in the picture?", "What is in the picture?",
                           "Describe the picture.")), describe(items, relation)
    if x < 0.72:
        return "What shapes are there?", " and ".join(article(s) for _, s in items)
    if x < 0.84:
        return "What colours are there?", " and ".join(c for c, _ in items)
    if x < 0.92 and relation and items[0][1] != items[1][1]:
        back = {"left of": "right of", "above": "below"}[relation]
        (_, first), (_, second) = items
        if rng.random() < 0.5:
            return "Where is the %s?" % first, "%s the %s" % (relation, second)
        return "Where is the %s?" % second, "%s the %s" % (back, first)
    if x < 0.96:
        return "How many shapes are there?", ("one", "two")[len(items) - 1]
    return "Read the image.", "There is no text."


# ------------------------------------------------------------ training samples

class Sample:
    """One picture with what the losses need.

    pixels   uint8 [192, 192, 3]
    texts    the printed text ("" for shapes)
    cells    uint8 [36, 4, 8]: character class at 8 places (2 rows x 4 columns)
             of each 16 x 16 patch; patches are in 2 x 2 groups, row-major
    order    uint8 [36, 4, 8]: the index in the text of the character in each cell
    ink      uint8 [36]: how much ink each group holds
    paint    uint8 [36, 4]: what shape lies at each patch (see draw_shapes)
    rows     for each printed character the group (0..35) that holds its centre
    question, answer: for text the usual question and the plain text
    """
    __slots__ = ("pixels", "text", "cells", "order", "ink", "paint", "rows", "question", "answer", "kind")


def locate(text, centres):
    """Where each character lies: the patch maps and the group of each character."""
    cells = np.zeros((GRID * GRID, 4, 8), np.uint8)
    order = np.zeros((GRID * GRID, 4, 8), np.uint8)
    rows = []
    for i, (c, (fx, fy)) in enumerate(zip(text, centres)):
        x = min(SIDE - 1, max(0, int(fx * SIDE)))
        y = min(SIDE - 1, max(0, int(fy * SIDE)))
        group = (y // GROUP) * GRID + x // GROUP
        patch = (y % GROUP // PATCH) * 2 + x % GROUP // PATCH
        cell = (y % PATCH // 8) * 4 + x % PATCH // 4
        cells[group, patch, cell] = CHAR_CLASS[c]
        order[group, patch, cell] = i
        rows.append(group)
    return cells, order, rows


def make_text_sample(rng, held_out=False, kind=None, effects=1.0, longest=12,
                     print_size=(20, 54), two_steps=False):
    s = Sample()
    s.text, s.kind = sample_text(rng, kind, held_out, longest)
    image, s.ink, centres = draw_text(rng, s.text, rng.choice(fonts(held_out)), effects, print_size)
    s.pixels = prepare(image, two_steps)
    s.paint = np.zeros((GRID * GRID, 4), np.uint8)
    s.cells, s.order, s.rows = locate(s.text, centres)
    s.question, s.answer = READ_QUESTIONS[0], s.text
    return s


def make_shape_sample(rng, effects=1.0, describe_only=False, two_steps=False):
    s = Sample()
    image, items, relation, s.paint = draw_shapes(rng, effects)
    s.pixels = prepare(image, two_steps)
    s.text, s.kind, s.rows = "", "shapes", []
    s.ink = s.paint.max(1)
    s.cells = s.order = np.zeros((GRID * GRID, 4, 8), np.uint8)
    if describe_only:
        s.question, s.answer = "What is in the picture?", describe(items, relation)
    else:
        s.question, s.answer = shape_question(rng, items, relation)
    return s


if __name__ == "__main__":     # a contact sheet, to look at
    import sys
    import time
    rng = random.Random(1)
    print(len(fonts(False)), "training fonts,", len(fonts(True)), "held-out fonts,",
          sum(map(len, words_by_length(False).values())), "training words,",
          sum(map(len, words_by_length(True).values())), "held-out words")
    for _ in range(300):
        make_text_sample(rng)
    start = time.time()
    samples = [make_text_sample(rng) for _ in range(300)]
    print("%.1f ms per text picture" % ((time.time() - start) / 300 * 1e3))
    start = time.time()
    samples[48:48] = [make_shape_sample(rng) for _ in range(60)]
    print("%.1f ms per shape picture" % ((time.time() - start) / 60 * 1e3))
    sheet = Image.new("RGB", (10 * SIDE, 7 * SIDE))
    for i, s in enumerate(samples[:70]):
        sheet.paste(Image.fromarray(s.pixels), (i % 10 * SIDE, i // 10 * SIDE))
        print(s.question, "->", s.answer, end="; ")
    print()
    sheet.save(sys.argv[1] if len(sys.argv) > 1 else "contact-sheet.png")
