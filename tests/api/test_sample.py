"""The sample model sees and hears: what it says of the pictures and recordings that come with it, and of shapes drawn here."""

import array
import base64
import io
import json
import struct
import wave
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageDraw

import sounds
from harness import REPO

PICTURES = json.loads((REPO / "samples/pictures/pictures.json").read_text())
RECORDINGS = json.loads((REPO / "samples/sounds/sounds.json").read_text())
WRITTEN_DOWN = [r for r in RECORDINGS if r["question"]]


def picture_part(data, mime):
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{base64.b64encode(data).decode()}"}}


def sound_part(data):
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def ask(client, model, *content):
    r = client.chat.completions.create(model=model, messages=[{"role": "user", "content": list(content)}], temperature=0, max_tokens=60)
    return r.choices[0].message.content


def say(client, model, data, mime, question):
    return ask(client, model, picture_part(data, mime), {"type": "text", "text": question})


def recording(entry):
    return (REPO / "samples/sounds" / entry["file"]).read_bytes()


def samples_of(entry):
    with wave.open(io.BytesIO(recording(entry))) as f:
        return f.getframerate(), array.array("h", f.readframes(f.getnframes()))


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


@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda r: r["file"])
def test_the_recordings_that_come_with_it(client, model, entry):
    """Asked with words, or asked by the recording itself, which may be about a picture."""
    parts = [sound_part(recording(entry))]
    if entry["picture"]:
        parts.insert(0, picture_part((REPO / "samples/pictures" / entry["picture"]).read_bytes(), "image/png"))
    if entry["question"]:
        parts.append({"type": "text", "text": entry["question"]})
    assert ask(client, model, *parts) == entry["expected"]


@pytest.mark.parametrize("entry", WRITTEN_DOWN, ids=lambda r: r["file"])
def test_it_writes_them_down(client, model, entry):
    r = client.audio.transcriptions.create(model=model, file=(entry["file"], recording(entry)))
    assert r.text == entry["expected"]


@pytest.mark.parametrize("entry", WRITTEN_DOWN[:1], ids=lambda r: r["file"])
@pytest.mark.parametrize("change", ["48 kHz stereo float", "a pause before and behind"])
def test_the_words_do_not_depend_on_the_file(client, model, entry, change):
    rate, x = samples_of(entry)
    if change == "48 kHz stereo float":     # lines between the samples: images of it at most 8 kHz away, quiet ones
        up = [x[i // 3] + (x[min(i // 3 + 1, len(x) - 1)] - x[i // 3]) * (i % 3) / 3 for i in range(3 * len(x))]
        data = sounds.wav_of(b"".join(struct.pack("<ff", v / 32768, v / 32768) for v in up), tag=3, channels=2, rate=3 * rate, bits=32)
    else:
        quiet = array.array("h", [0] * (rate // 5))
        data = sounds.wav_of((quiet + x + quiet).tobytes(), rate=rate)
    r = client.audio.transcriptions.create(model=model, file=("changed.wav", data))
    assert r.text == entry["expected"]


def test_it_sees_and_hears_at_once(client, model):
    """Pictures, recordings and a streamed chat together, each answered as alone."""
    def look(p):
        data = (REPO / "samples/pictures" / p["file"]).read_bytes()
        return say(client, model, data, "image/png" if p["file"].endswith(".png") else "image/jpeg", p["question"])

    def listen(r):
        return client.audio.transcriptions.create(model=model, file=(r["file"], recording(r))).text

    def chat(_):
        stream = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say kettle"}], temperature=0, stream=True)
        return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)

    work = [(look, p, p["expected"]) for p in PICTURES] + [(listen, r, r["expected"]) for r in WRITTEN_DOWN] + [(chat, None, "kettle")] * 4
    with ThreadPoolExecutor(len(work)) as pool:
        answers = list(pool.map(lambda w: w[0](w[1]), work))
    assert answers == [expected for _, _, expected in work]
