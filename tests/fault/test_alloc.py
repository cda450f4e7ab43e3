"""Allocation torture (reliability check 55): the k-th allocation fails, for many k, while the program starts, answers, and stops.

Expected: a clean refusal of this one request, or of the start; never a crash, a hang, a leak of pages, or a wrong answer afterwards.
A run takes a seeded sample of all k; --all takes every one.
"""
import base64
import json
import mmap
import pathlib
import random
import struct
import subprocess

import pytest

import harness

PICTURE = base64.b64encode((harness.REPO / "samples/pictures/word.png").read_bytes()).decode()
BODIES = {
    "text": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 6},
    "logprobs": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 4, "logprobs": True, "top_logprobs": 3},
    "stream": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 4, "stream": True},
}
OTHERS = {
    "batch": (harness.COMPLETIONS, {"prompt": ["Hello", "What"], "n": 2, "temperature": 0, "max_tokens": 4, "echo": True}),
    "batch of ids": (harness.COMPLETIONS, {"prompt": [[72, 105], [72]], "temperature": 0, "max_tokens": 4, "logprobs": 2}),
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


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    faults = Faults(tmp_path_factory.mktemp("fault") / "faults", request.config.getoption("--shim"))
    with harness.Server(env=faults.environment()) as s:
        s.faults = faults
        yield s


def torture(server, body, every, few=25, path=harness.CHAT):
    """Fails the k-th allocation during one request, looks at the answer, then asks again without a fault."""
    method, ask = ("POST", json.dumps(body).encode()) if body is not None else ("GET", None)
    for _ in range(3):
        before = server.faults.count
        status, _, right = server.request(method, path, ask, harness.JSON)
        assert status == 200, right
        server.wait_idle()
    n = server.faults.count - before
    golden = server.golden()
    refused, wrong = 0, []
    for k in chosen(n, few, every):
        server.faults.arm(k)
        try:
            status, _, answer = server.request(method, path, ask, harness.JSON, timeout=20)
        except (ConnectionError, harness.http.client.HTTPException):
            status, answer = 0, b"" # the connection's own memory: civetweb closes it
        server.faults.disarm()
        assert server.process.poll() is None, "allocation %d of %d failed: the server ended\n%s" % (k, n, server.log()[-2000:])
        if status in (500, 503):
            harness.error_of(json.loads(answer))
            refused += 1
        elif status not in (0, 200) or (status == 200 and path not in (harness.CHAT, harness.COMPLETIONS) and answer != right):
            wrong.append("allocation %d of %d failed: %d %s" % (k, n, status, answer))
        server.wait_idle()
        assert server.golden() == golden, "after allocation %d of %d had failed" % (k, n)
    assert not wrong, "\n".join(wrong)
    return n, refused


@pytest.mark.parametrize("kind", BODIES)
def test_a_request_without_memory_is_refused_alone(server, every, kind):
    n, refused = torture(server, BODIES[kind], every)
    assert n > 20 and refused > 0, "nothing failed: is the shim loaded?"


@pytest.mark.parametrize("kind", OTHERS)
def test_other_routes_without_memory_refuse_alone(server, every, kind):
    path, body = OTHERS[kind]
    n, refused = torture(server, body, every, path=path)
    assert n > 5 and refused > 0, "nothing failed: is the shim loaded?"


def test_a_picture_without_memory_is_refused_alone(server, every):
    """Every picture is new to the media cache: one pixel differs, in a comment chunk of the PNG."""
    png = base64.b64decode(PICTURE)

    def body(i):
        text = b"n\0%d" % i
        chunk = struct.pack(">I", len(text)) + b"tEXt" + text
        chunk += struct.pack(">I", __import__("zlib").crc32(chunk[4:]))
        data = png[:33] + chunk + png[33:]
        return {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}},
            {"type": "text", "text": "Read the image."}]}], "temperature": 0, "max_tokens": 6}
    torture(server, body(1), every)


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
