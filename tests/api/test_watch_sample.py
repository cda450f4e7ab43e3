"""The sample watches: clips made here, with moving print and speech, are answered from their pictures, from their sound, and from both (the
clips that come with it: exactly). The print is in Pillow's own font, which training never had; the speech is its own speaker's."""

import array
import base64
import io
import json
import wave

import pytest
from PIL import Image, ImageDraw, ImageFont

from clips import clip
from harness import REPO

CLIPS = json.loads((REPO / "samples/clips/clips.json").read_text())
FPS, SIZE, RATE = 10, (256, 192), 16000

AT_END, AT_START, SAID = "What does it say at the end?", "What does it say at the start?", "What was said?"
BOTH = "What does it say at the end, and what was said?"

# print at the start, print at the end, seconds, ink, paper, what is said
STORIES = (
    ("OPEN", "SOLD", 3, "black", "white", "turn on the light"),
    ("stop", "go", 2, "white", "navy", "open the window"),
    ("$3.50", "$4.20", 3, "darkred", "ivory", "close the door"),
    ("10:15", "10:30", 4, "yellow", "black", "set the alarm for seven"),
    ("Monday", "Friday", 3, "darkgreen", "white", "it is monday"),
    ("rain", "SUN", 2, "white", "darkgreen", "start the engine"),
    ("42", "43", 4, "black", "orange", "turn off the radio"),
    ("left", "right", 5, "navy", "lightgray", "the lamp is red"),
    ("Coffee", "Tea", 3, "white", "maroon", "stop the music"),
    ("WAIT", "Walk", 2, "black", "khaki", "open the kitchen door"),
)


def frames(first, last, seconds, ink, paper):
    """The print goes down and to the right, then, as something else, back again."""
    font, out, n = ImageFont.load_default(44), [], seconds * FPS
    for k in range(n):
        image = Image.new("RGB", SIZE, paper)
        way = 1 - abs(2 * k / (n - 1) - 1)
        ImageDraw.Draw(image).text((100 + 48 * way, 50 + 80 * way), first if 2 * k < n else last, fill=ink, font=font, anchor="mm")
        out.append(image)
    return out


def part(data, mime="video/mp4", **how):
    return {"type": "video_url", "video_url": {"url": "data:%s;base64,%s" % (mime, base64.b64encode(data).decode()), **how}}


def ask(client, model, *content):
    content = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
    r = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], temperature=0, max_tokens=60)
    return r.choices[0].message.content


def spoken(client, text):
    """-> floats at RATE"""
    wav = client.audio.speech.create(model="sensorium-speaker", voice="reed", input=text, response_format="wav", extra_body={"temperature": 0}).content
    with wave.open(io.BytesIO(wav)) as f:
        assert (f.getframerate(), f.getnchannels(), f.getsampwidth()) == (RATE, 1, 2)
        return [v / 32768 for v in array.array("h", f.readframes(f.getnframes()))]


@pytest.fixture(scope="module")
def films(client):
    """Each story as a clip: sound for as long as there are pictures."""
    out = []
    for k, (first, last, seconds, ink, paper, text) in enumerate(STORIES):
        sound = spoken(client, text)[:seconds * RATE]
        out.append(clip(frames(first, last, seconds, ink, paper), FPS, ("mp4", "webm")[k % 2], sound + [0.0] * (seconds * RATE - len(sound))))
    return [part(data, "video/" + ("mp4", "webm")[k % 2]) for k, data in enumerate(out)]


def answers(client, model, films, question, right):
    """How many are right; the others are printed."""
    told = [ask(client, model, film, question) for film in films]
    wanted = [right(s) for s in STORIES]
    print(question, [(w, t) for w, t in zip(wanted, told) if w != t])
    return sum(w == t for w, t in zip(wanted, told))


# Least of ten. Where this was written it was 9, 10, 9 and 7; another encoder of clips shows other pictures.
@pytest.mark.parametrize("question, right, least", [
    (AT_END, lambda s: s[1], 8),
    (AT_START, lambda s: s[0], 8),
    (SAID, lambda s: s[5], 8),
    (BOTH, lambda s: s[1] + "; " + s[5], 6),
], ids=["the end", "the start", "the speech", "both"])
def test_what_is_shown_and_what_is_said(client, model, films, question, right, least):
    assert answers(client, model, films, question, right) >= least


@pytest.mark.parametrize("entry", CLIPS, ids=lambda c: "%s: %s" % (c["file"], c["question"]))
def test_the_clips_that_come_with_it(client, model, entry):
    data = (REPO / "samples/clips" / entry["file"]).read_bytes()
    assert ask(client, model, part(data, "video/" + entry["file"].rpartition(".")[2]), entry["question"]) == entry["expected"]


@pytest.mark.parametrize("question", [AT_END, AT_START])
def test_the_question_may_come_first(client, model, question):
    data = part((REPO / "samples/clips/sign.mp4").read_bytes())
    assert ask(client, model, question, data) == ask(client, model, data, question)


def test_the_end_is_the_end_of_what_is_watched(client, model):
    """The same file, cut by the request: what was the start is all there is."""
    data = (REPO / "samples/clips/sign.mp4").read_bytes()
    first, last = (next(c["expected"] for c in CLIPS if c["file"] == "sign.mp4" and c["question"].endswith(end)) for end in ("start?", "end?"))
    assert first != last
    assert ask(client, model, part(data, end=1.6), AT_END) == first and ask(client, model, part(data, start=2.4), AT_START) == last
