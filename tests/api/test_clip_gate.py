"""Clips that mean harm, by every way in, with --isolate-codecs and without (goals 16 to 21): nobody reads the file or calls the port that they
name, none costs more memory or time than is stated here, and each is refused in fixed words or read as what it is."""

import base64
import ctypes
import json
import os
import pathlib
import re
import select
import socket
import time

import pytest

import towers
from clip_bombs import ALL, BOMBS, escapes
from harness import PATIENCE, Baseline, Server, ask, error_of
from test_isolate_codecs import helpers
from test_media_gate import LEAKS

MEMORY = 32 << 20
OPENED = 0x20  # IN_OPEN
WORDS = re.compile(LEAKS.pattern + "|libav|ffmpeg|Invalid data|error -?\\d", re.I)  # of libraries


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return towers.sees_and_hears(tmp_path_factory.mktemp("hears"))


@pytest.fixture(scope="module", params=["on", "off"])
def server(request, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("allowed")
    with Server("--isolate-codecs", request.param, "--allowed-local-media-path", str(folder), model=model) as s:
        s.folder = folder
        s.baseline = Baseline(s)
        yield s


def say(part):
    return {**ask(max_tokens=1), "messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]}


def ways(server, data, mime):
    """(what it is called, the request): as a clip and as a picture, in the request and beside it, and as a file of any kind."""
    url = "data:%s;base64,%s" % (mime, base64.b64encode(data).decode())
    (server.folder / "a").write_bytes(data)
    local = "file://%s" % (server.folder / "a")
    yield "video_url", say({"type": "video_url", "video_url": {"url": url}})
    yield "video_url of a file", say({"type": "video_url", "video_url": {"url": local, "max_frames": 2}})
    yield "image_url", say({"type": "image_url", "image_url": {"url": url}})
    yield "image_url of a file", say({"type": "image_url", "image_url": {"url": local}})
    yield "file", say({"type": "file", "file": {"file_data": url, "filename": "a"}})


def held(server):
    """Of the server and its helpers, at most so far, in bytes."""
    return sum(int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/%d/status" % p).read_text()).group(1)) << 10 for p in [server.pid, *helpers(server.pid)])


class Canary:
    """A file and a port that nobody may touch; whoever opens the file is noticed."""

    def __init__(self, folder):
        self.file = folder / "canary.mov"
        self.file.write_bytes(ALL["video/quicktime"])
        libc = ctypes.CDLL(None, use_errno=True)
        self.watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.watch >= 0 and libc.inotify_add_watch(self.watch, str(self.file).encode(), OPENED) >= 0
        self.port = socket.create_server(("127.0.0.1", 0))
        self.there = "http://127.0.0.1:%d/" % self.port.getsockname()[1]

    def touched(self):
        return bool(select.select([self.watch, self.port], [], [], 0)[0])

    def close(self):
        os.close(self.watch)
        self.port.close()


@pytest.fixture(params=["open", "connect"])
def sensitive(request, tmp_path):
    canary = Canary(tmp_path)
    yield canary, request.param
    canary.close()


def test_the_canary_sings(sensitive):
    canary, how = sensitive
    assert not canary.touched()
    canary.file.read_bytes() if how == "open" else socket.create_connection(canary.port.getsockname()).close()
    assert canary.touched()


def test_20_no_other_file_and_no_host_is_reached(server, tmp_path):
    canary, n_read = Canary(tmp_path), 0
    words = (str(canary.file), canary.file.name, canary.there, "127.0.0.1")
    for name, data, mime, allowed in escapes(str(canary.file), canary.there):
        chosen = list(ways(server, data, mime))
        if "behind the first bytes" in name:  # six containers' worth of the same texts: one way each, in turn
            chosen = [chosen[len(name) % 2]]
        for way, body in chosen:
            status, _, answer = server.chat(body)
            right = allowed if way.startswith("video") else (200, 400, 413, 415)
            assert status in right, (name, way, answer)
            if status != 200:
                said = json.dumps(error_of(answer))
                assert not any(w in said for w in words) and not re.search(WORDS, said), (name, way, said)
            n_read += status == 200
    assert n_read > 50  # the lies stand in files that are read
    assert not canary.touched()
    canary.close()
    server.baseline.check(server)


@pytest.mark.parametrize("name", BOMBS)
def test_21_a_bomb_is_cheap_on_every_path(server, name):
    data, mime, allowed = BOMBS[name]()
    for way, body in ways(server, data, mime) if len(data) < 4 << 20 else [next(ways(server, data, mime))]:
        before, start, used = held(server), time.monotonic(), server.cpu_seconds()
        status, _, answer = server.chat(body)
        assert status in (allowed if way.startswith("video") else (200, 400, 413, 415)), (way, answer)
        assert server.cpu_seconds() - used < 2 * PATIENCE and time.monotonic() - start < 10 * PATIENCE, way
        assert held(server) - before < (MEMORY + 8 * len(data)) * PATIENCE, way  # the body, its JSON, the file, and a helper's view of it
        if status != 200:
            assert not re.search(WORDS, json.dumps(error_of(answer))), answer
    server.baseline.check(server)


@pytest.mark.parametrize("mime", ALL)
def test_17_cut_anywhere_it_is_never_a_500(server, mime):
    data = ALL[mime]
    for percent in range(0, 100, 6):
        body = say({"type": "video_url", "video_url": {"url": "data:%s;base64,%s" % (mime, base64.b64encode(data[:len(data) * percent // 100]).decode())}})
        status, _, answer = server.chat(body)
        assert status in (400, 413, 415) or status == 200 and mime == "video/mp2t", (percent, answer)
    server.baseline.check(server)


@pytest.mark.parametrize("mime", ALL)
def test_18_a_wrong_type_is_415(server, mime):
    same = {mime} if not mime.startswith("video/q") and mime != "video/mp4" else {"video/quicktime", "video/mp4"}
    for other in [*ALL, "video/jpeg", "application/vnd.apple.mpegurl", "audio/wav", "text/plain"]:
        if other not in same:
            status, _, answer = server.chat(next(ways(server, ALL[mime], other))[1])
            assert status == 415 and error_of(answer)["param"] in ("messages", "messages[0].content[0].video_url"), (other, answer)
    server.baseline.check(server)


def test_21_ten_thousand_pictures_are_no_clip(server):
    """As one server takes them: pictures with commas between, under the name of a clip."""
    many = ",".join([base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(60)).decode()] * 10000)
    status, _, answer = server.chat(say({"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + many}}))
    assert status in (400, 413, 415), answer
    server.baseline.check(server)
