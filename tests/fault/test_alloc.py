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
import shutil
import struct
import subprocess

import pytest
from PIL import Image

import harness
import made_models
import sounds
import test_tools
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


GOLDEN = harness.REPO / "tests/golden"


def with_template(folder, name):
    """A directory whose template calls tools: its format is found by trying."""
    shutil.copytree(GOLDEN / "hf/mistral", folder)
    (folder / "chat_template.jinja").write_text(test_tools.TEMPLATES[name])
    return str(folder)


STARTS = {
    "sample": lambda folder: ("run", harness.MODEL, "Hello"),
    "tekken": lambda folder: ("run", made_models.with_rows(GOLDEN / "hf/mistral", folder / "m", 704, GOLDEN / "text/hf/tekken-alone/tekken.json"),
                              "Hello", "--kv-cache-dtype", "bf16"),
    "pieces": lambda folder: ("run", made_models.with_rows(GOLDEN / "hf/llama", folder / "m", 900, *(GOLDEN / "text/hf/llama2-pieces").glob("tokenizer*")),
                              "Hello", "--kv-cache-dtype", "q8_0"),
    "parts": lambda folder: ("run", made_models.in_parts(GOLDEN / "engine/qwen2.gguf", folder), "Hello"),
    "fp8": lambda folder: ("run", str(GOLDEN / "hf/qwen3-fp8"), "Hello", "--kv-cache-dtype", "fp8"),
    "4 bits": lambda folder: ("run", str(GOLDEN / "hf/llama-4"), "Hello"),
    "inspect": lambda folder: ("inspect", harness.MODEL, "--json"),
    "inspect fp8": lambda folder: ("inspect", str(GOLDEN / "hf/llama-f8")),
    "inspect tools": lambda folder: ("inspect", with_template(folder / "m", "thinks"), "--json"),
    "inspect parts": lambda folder: ("inspect", made_models.in_parts(GOLDEN / "engine/qwen2.gguf", folder), "--json", "--kv-cache-dtype", "fp8"),
}


def alike(text):
    """What `inspect` says of this machine is another thing each time."""
    return re.sub(r'(left_for_pool":|_available":|left for a pool: )[\d.]+|[\d.]+(?= available)', r"\1", text)


@pytest.mark.parametrize("kind", STARTS)
def test_a_start_without_memory_ends_cleanly(faults, every, tmp_path, kind):
    """`run` is the whole life in one process: options, log, model, plugins, engine, answer, end; `inspect` all but the engine."""
    command = STARTS[kind](tmp_path)
    code, right, text = harness.run(*command, env=faults.environment())
    assert code == 0, text
    n = faults.count
    for k in chosen(n, 50 if kind == "sample" else 20, every):
        faults.arm(k)
        try:
            code, out, err = harness.run(*command, env=faults.environment(), timeout=20)
        except subprocess.TimeoutExpired:
            pytest.fail("allocation %d of %d failed: it hangs" % (k, n))
        assert code >= 0, "allocation %d of %d failed: signal %d\n%s" % (k, n, -code, err)
        told = bool(err.strip())
        if command[0] == "inspect" and code == 0 and alike(out) != alike(right): # a plugin that is not there, a tower without memory: it says so
            assert told or 'refused: ' in out or '"refused":"' in out, "allocation %d of %d failed: %s" % (k, n, out)
            continue
        assert alike(out) == alike(right) if code == 0 else told, "allocation %d of %d failed: code %d\n%s%s" % (k, n, code, out, err)


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
    said = re.compile(rb'"(content|delta|text|reasoning_content|name|arguments|finish_reason)":"((?:[^"\\]|\\.)*)"')
    return said.sub(b"", answer).count(b"data: [DONE]"), b"".join(text for _, text in said.findall(answer))


def torture(server, ask, every, few=25, healthy=harness.Server.golden):
    """Fails the k-th allocation during one request, looks at the answer, then asks again without a fault. ask(k): method, path, body,
    headers of the k-th; what it brings may be new each time."""
    for i in range(3):
        before = server.faults.count
        status, _, right = server.request(*ask(-i))
        assert status == 200, right
        server.wait_idle()
    n = server.faults.count - before
    golden = healthy(server)
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
        assert healthy(server) == golden, "after allocation %d of %d had failed" % (k, n)
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


def point(k):
    """A schema that no other k has: what was compiled for another is of no use to it."""
    return {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 100000 + abs(k)}, "kind": {"enum": ["big", "small"]},
                                             "parts": {"$ref": "#/$defs/parts"}},
            "required": ["x", "kind"], "additionalProperties": False,
            "$defs": {"parts": {"type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^[a-f]{2}$"}}}}


def format_of(k):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": point(k)}}, "max_tokens": 60}


SHAPES = {
    "schema": format_of,
    "schema in a stream": lambda k: {**format_of(k), "stream": True},
    "schemas together": lambda k: {**format_of(k), "n": 3, "temperature": 1, "seed": 3, "logprobs": True, "top_logprobs": 2},
    "regex": lambda k: {"guided_regex": "[a-z]{3}(%06d|é.?)+x" % abs(k), "temperature": 1, "seed": 3, "max_tokens": 20},
    "grammar": lambda k: {"grammar": 'root ::= "(" root ")" root | "x%06d" | [^a]{2,9}' % abs(k), "temperature": 1, "seed": 3, "max_tokens": 20},
    "choice": lambda k: {"structured_outputs": {"choice": ["one %06d" % abs(k), "two", "\u00e9"]}, "max_tokens": 20},
}


@pytest.mark.parametrize("kind", SHAPES)
def test_an_answer_with_a_shape_without_memory_is_refused_alone(server, every, kind):
    """Its grammar is compiled anew each time."""
    n, refused = torture(server, lambda k: always(harness.CHAT, {**harness.ask(temperature=0), **SHAPES[kind](k)})(k), every, few=12)
    assert n > 50 and refused > 0


@pytest.fixture(scope="module")
def callers(tmp_path_factory, request):
    """A model of random weights under the templates of tool calls; the sample first."""
    folder, flags = tmp_path_factory.mktemp("templates"), ["--model", "sample=" + harness.MODEL]
    for name in ("hermes", "args", "thinks"):
        (folder / name).write_text(test_tools.TEMPLATES[name])
        flags += ["--model", "%s=%s" % (name, test_tools.MODEL), "--chat-template", "%s=%s" % (name, folder / name)]
    with serve(tmp_path_factory, request, *flags, model=None) as s:
        yield s


def tools_of(k):
    return [{"type": "function", "function": {"name": "put", "description": "Put it", "parameters": point(k)}}, {"type": "function", "function": {"name": "end"}}]


CALLED = [{"role": "user", "content": "Hi"},
          {"role": "assistant", "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {"name": "put", "arguments": "{\"x\": [1, {\"y\": null}]}"}}]},
          {"role": "tool", "tool_call_id": "abcdefghi", "content": [{"type": "text", "text": "done"}]}]
CALLS = {
    "forced": {"model": "hermes", "tool_choice": "required"},
    "in a stream": {"model": "args", "tool_choice": "required", "stream": True},
    "named": {"model": "hermes", "tool_choice": {"type": "function", "function": {"name": "put"}}, "n": 2},
    "on its own after others": {"model": "thinks", "messages": CALLED, "tool_choice": "auto"},
    "after thoughts in a stream": {"model": "thinks", "messages": CALLED, "stream": True},
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_of_a_tool_without_memory_is_refused_alone(callers, every, kind):
    def ask(k):
        return always(harness.CHAT, {"messages": CALLED[:1], "temperature": 1, "seed": 5, "max_tokens": 80, "tools": tools_of(k), **CALLS[kind]})(k)
    n, refused = torture(callers, ask, every, few=12)
    assert n > 50 and refused > 0


def test_a_prompt_with_tools_counted_without_memory_is_refused_alone(callers, every):
    n, refused = torture(callers, lambda k: always("/tokenize", {"model": "hermes", "messages": CALLED, "tools": tools_of(k)})(k), every, few=12)
    assert n > 20 and refused > 0


@pytest.mark.parametrize("model", ["last", "mean"])
def test_an_embedding_model_without_memory_refuses_alone(tmp_path_factory, request, every, model):
    """One that reads in one direction, and one in both; they do nothing else."""
    def healthy(s):
        status, _, answer = s.post("/v1/embeddings", {"input": "Hello"})
        assert status == 200, answer
        return answer["data"]
    body = {"input": ["Hello", "What " * 40, [72, 105]][:2], "dimensions": 4}
    with serve(tmp_path_factory, request, "--max-num-batched-tokens", "64", model=str(GOLDEN / "embed" / model)) as s:
        n, refused = torture(s, always("/v1/embeddings", body), every, few=12, healthy=healthy)
    assert n > 5 and refused > 0


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
