"""Allocation torture (reliability check 55): the k-th allocation fails, for many k, while the program starts, answers, and stops.

Expected: a clean refusal of this one request, or of the start; never a crash, a hang, a leak of pages, or a wrong answer afterwards.
A run takes a seeded sample of all k; --all takes every one.
"""
import base64
import functools
import io
import json
import math
import mmap
import pathlib
import random
import re
import struct
import subprocess

import pytest
from PIL import Image

import harness
import sounds
import towers
from clips import clip

BODIES = {
    "text": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 6},
    "logprobs": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 4, "logprobs": True, "top_logprobs": 3},
    "stream": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 4, "stream": True},
}
OTHERS = {
    "batch": (harness.COMPLETIONS, {"prompt": ["Hello", "What"], "n": 2, "temperature": 0, "max_tokens": 4, "echo": True}),
    "batch of ids": (harness.COMPLETIONS, {"prompt": [[72, 105], [72]], "temperature": 0, "max_tokens": 4, "logprobs": 2}),
    "embeddings": ("/v1/embeddings", {"input": ["Hello", "What", "Who"], "encoding_format": "base64", "cache_salt": "a"}),
    "embeddings of ids": ("/v1/embeddings", {"input": [[72, 105], [72]]}),
    "tokenize": ("/tokenize", {"messages": [{"role": "user", "content": "Hello"}], "chat_template_kwargs": {"a": "b"}}),
    "detokenize": ("/detokenize", {"tokens": [72, 105]}),
    "document": ("/openapi.json", None),
}


class Faults:
    """The shim's control file."""

    def __init__(self, path, shim):
        self.path, self.shim = path, shim
        pathlib.Path(path).write_bytes(bytes(32))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 32)

    def environment(self):
        return {"LD_PRELOAD": self.shim, "SN_ALLOC_FAULT": str(self.path)}

    def arm(self, k, times=1):
        self.map[0:16] = struct.pack("<qq", 0, 0)
        self.map[24:32] = struct.pack("<q", 0)
        self.map[8:16] = struct.pack("<q", times)
        self.map[0:8] = struct.pack("<q", k)

    def disarm(self):
        self.map[0:8] = struct.pack("<q", 0)

    @property
    def count(self):
        return struct.unpack("<q", self.map[16:24])[0]

    @property
    def failed(self):
        return struct.unpack("<q", self.map[24:32])[0]


@pytest.fixture()
def faults(tmp_path, shim):
    return Faults(tmp_path / "faults", shim)


def chosen(n, few, every):
    return range(1, n + 1) if every or n <= few else sorted(random.Random(55).sample(range(1, n + 1), few))


def test_a_start_without_memory_ends_cleanly(faults, every):
    """`run` is the whole life in one process: options, log, model, plugins, engine, answer, end."""
    command = ("run", harness.MODEL, "Hello")
    code, right, text = harness.run(*command, env=faults.environment())
    assert code == 0, text
    n = faults.count
    for k in chosen(n, 50, every):
        faults.arm(k)
        try:
            code, out, err = harness.run(*command, env=faults.environment(), timeout=20)
        except subprocess.TimeoutExpired:
            pytest.fail("allocation %d of %d failed: it hangs" % (k, n))
        assert code >= 0, "allocation %d of %d failed: signal %d\n%s" % (k, n, -code, err)
        assert out == right if code == 0 else err.strip(), "allocation %d of %d failed: code %d\n%s%s" % (k, n, code, out, err)


def serve(tmp_path_factory, request, *flags, **more):
    faults = Faults(tmp_path_factory.mktemp("fault") / "faults", request.config.getoption("--shim"))
    s = harness.Server(*flags, env=faults.environment(), **more)
    s.faults = faults
    return s


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    with serve(tmp_path_factory, request) as s:
        yield s


@pytest.fixture(scope="module")
def apart(tmp_path_factory, request):
    """The one that sees and hears, with decoders in processes of their own: where FFmpeg's get no memory they may end theirs."""
    with serve(tmp_path_factory, request, "--isolate-codecs", "on", model=towers.sees_and_hears(tmp_path_factory.mktemp("both"))) as s:
        yield s


@pytest.fixture(scope="module")
def ears(tmp_path_factory, request):
    """The sample, a miniature that writes recordings down, and the sample with an ear of random weights."""
    models = {"eye": harness.MODEL, "ear": harness.REPO / "tests/golden/hear/whisper", "both": towers.sees_and_hears(tmp_path_factory.mktemp("both"))}
    with serve(tmp_path_factory, request, *[x for pair in models.items() for x in ("--model", "%s=%s" % pair)], model=None) as s:
        yield s


def words(answer):
    """An answer without what is another one each time; what the pieces of a stream say, however many there are."""
    answer = re.sub(rb'"(id|created|cached_tokens)":("[^"]*"|\d+),?', b"", answer)
    if not answer.startswith(b"data: "):
        return answer
    said = re.compile(rb'"(content|delta|text)":"((?:[^"\\]|\\.)*)"')
    return said.sub(b"", answer).count(b"data: [DONE]"), b"".join(text for _, text in said.findall(answer))


def torture(server, ask, every, few=25):
    """Fails the k-th allocation during one request, looks at the answer, then asks again without a fault. ask(k): method, path, body,
    headers of the k-th; what it brings may be new each time."""
    for i in range(3):
        before = server.faults.count
        status, _, right = server.request(*ask(-i))
        assert status == 200, right
        server.wait_idle()
    n = server.faults.count - before
    golden = server.golden()
    refused, wrong = 0, []
    for k in chosen(n, few, every):
        server.faults.arm(k)
        try:
            status, _, answer = server.request(*ask(k), timeout=20)
        except (ConnectionError, harness.http.client.HTTPException):
            status, answer = 0, b"" # the connection's own memory: civetweb closes it
        server.faults.disarm()
        assert server.process.poll() is None, "allocation %d of %d failed: the server ended\n%s" % (k, n, server.log()[-2000:])
        if status in (500, 503):
            harness.error_of(json.loads(answer))
            refused += 1
        elif status == 200 and b'{"error":' not in answer:
            again = server.request(*ask(k))[2]
            if words(again) != words(answer):
                wrong.append("allocation %d of %d failed: %s\nand then: %s" % (k, n, answer, again))
        elif status not in (0, 200):
            wrong.append("allocation %d of %d failed: %d %s" % (k, n, status, answer))
        server.wait_idle()
        assert server.golden() == golden, "after allocation %d of %d had failed" % (k, n)
    assert not wrong, "\n".join(wrong)
    print("%d allocations" % n)
    return n, refused


def always(path, body):
    """The same each time; no body: a GET."""
    call = ("POST", path, json.dumps(body).encode(), harness.JSON) if body is not None else ("GET", path)
    return lambda k: call


@pytest.mark.parametrize("kind", BODIES)
def test_a_request_without_memory_is_refused_alone(server, every, kind):
    n, refused = torture(server, always(harness.CHAT, BODIES[kind]), every)
    assert n > 20 and refused > 0, "nothing failed: is the shim loaded?"


@pytest.mark.parametrize("kind", OTHERS)
def test_other_routes_without_memory_refuse_alone(server, every, kind):
    n, refused = torture(server, always(*OTHERS[kind]), every)
    assert n > 5 and refused > 0, "nothing failed: is the shim loaded?"


def test_a_picture_without_memory_is_refused_alone(server, every):
    """Every picture is new to the media cache: one pixel is."""
    whole = Image.open(harness.REPO / "samples/pictures/word.png").convert("RGB")

    def ask(k):
        whole.putpixel((0, 0), (k & 255, k >> 8 & 255, k >> 16 & 255))
        file = io.BytesIO()
        whole.save(file, "PNG", compress_level=1)
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        return always(harness.CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}},
                                                                               {"type": "text", "text": "Read the image."}]}],
                                     "temperature": 0, "max_tokens": 6})(k)
    n, refused = torture(server, ask, every)
    assert n > 20 and refused > 0


def sound(k):
    """No two alike."""
    return sounds.wav_of(struct.pack("<i", k) + sounds.tone(0.4))


FORMS = {
    "json": {},
    "times": {"response_format": "verbose_json", "timestamp_granularities[]": "word", "temperature": 1},
    "stream": {"stream": "true", "language": "de", "prompt": "Before it."},
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_recording_without_memory_is_refused_alone(ears, every, kind):
    def ask(k):
        headers, body = harness.multipart({"model": "ear", "file": sound(k), "seed": 7, **FORMS[kind]})
        return "POST", harness.TRANSCRIPTIONS, body, headers
    n, refused = torture(ears, ask, every)
    assert n > 50 and refused > 0


def test_a_chat_that_writes_down_without_memory_is_refused_alone(ears, every):
    def ask(k):
        headers, body = harness.multipart({"model": "both", "file": sound(k), "seed": 7})
        return "POST", harness.TRANSLATIONS, body, headers
    n, refused = torture(ears, ask, every)
    assert n > 50 and refused > 0


def test_a_sound_in_a_chat_without_memory_is_refused_alone(ears, every):
    def ask(k):
        part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(sound(k)).decode(), "format": "wav"}}
        return always(harness.CHAT, {"model": "both", "messages": [{"role": "user", "content": [part, {"type": "text", "text": "What is said?"}]}],
                                     "temperature": 0, "max_tokens": 6})(k)
    n, refused = torture(ears, ask, every)
    assert n > 50 and refused > 0


def test_a_clip_without_memory_is_refused_alone(apart, every):
    """Its frames and its sound, of which no two are alike either. Not FFmpeg's own memory: it has that in another process."""
    @functools.lru_cache
    def film(k):
        frames = [Image.new("RGB", (48, 32), (40 * i, k & 255, k >> 8 & 255)) for i in range(3)]
        return "data:video/mp4;base64," + base64.b64encode(clip(frames, fps=1, sound=[math.sin(i / 5) * 0.3 for i in range(8000)])).decode()

    def ask(k):
        parts = [{"type": "video_url", "video_url": {"url": film(k)}}, {"type": "text", "text": "What is seen?"}]
        return always(harness.CHAT, {"messages": [{"role": "user", "content": parts}], "temperature": 0, "max_tokens": 6})(k)
    n, refused = torture(apart, ask, every)
    assert n > 50 and refused > 0


def test_no_memory_for_a_while_is_survived(server):
    """Everything fails for a thousand allocations on end; afterwards all is as before."""
    golden = server.golden()
    server.faults.arm(5, times=1000)
    for _ in range(20):
        try:
            status, _, _ = server.request("POST", harness.CHAT, json.dumps(BODIES["text"]).encode(), harness.JSON, timeout=20)
            assert status in (200, 500, 503)
        except (OSError, harness.http.client.HTTPException):
            pass
    server.faults.disarm()
    assert server.process.poll() is None, server.log()[-2000:]
    server.wait_idle()
    assert server.golden() == golden
