"""The sample model sees: what it says of the pictures that come with it, and of shapes drawn here."""

import base64
import io
import json

import pytest
from PIL import Image, ImageDraw

from harness import REPO

PICTURES = json.loads((REPO / "samples/pictures/pictures.json").read_text())


def say(client, model, data, mime, question):
    url = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    r = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], temperature=0, max_tokens=60)
    return r.choices[0].message.content


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p["file"])
def test_the_pictures_that_come_with_it(client, model, picture):
    data = (REPO / "samples/pictures" / picture["file"]).read_bytes()
    mime = "image/png" if picture["file"].endswith(".png") else "image/jpeg"
    assert say(client, model, data, mime, picture["question"]) == picture["expected"]


def drawn(shapes, size):
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for kind, colour, (x0, y0, x1, y1) in shapes:
        if kind == "circle":
            draw.ellipse((x0, y0, x1, y1), fill=colour)
        elif kind == "square":
            draw.rectangle((x0, y0, x1, y1), fill=colour)
        else:
            draw.polygon([((x0 + x1) // 2, y0), (x1, y1), (x0, y1)], fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("shapes, size, answer", [
    ([("circle", "blue", (60, 50, 160, 150))], (220, 220), "a blue circle"),
    ([("square", "red", (90, 90, 200, 200))], (300, 300), "a red square"),
    ([("triangle", "green", (20, 110, 110, 200)), ("circle", "red", (180, 110, 270, 200))], (300, 300),
     "a green triangle left of a red circle"),
    ([("square", "blue", (110, 20, 190, 100)), ("triangle", "red", (110, 180, 190, 260))], (300, 280),
     "a blue square above a red triangle"),
])
def test_shapes_drawn_here(client, model, shapes, size, answer):
    assert say(client, model, drawn(shapes, size), "image/png", "What is in the picture?") == answer
