"""What reliability asks of speech, on each of its paths: bytes, events, a spoken answer, a spoken stream (goals 14, 28, 46, 47; 15 is in
test_speech.py, where the sound can break down). A chat model and Orpheus in miniature; for readers that stall, the whistle, whose sound is
large."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import struct
import threading
import time

import pytest

import speakers
import tiny_orpheus
from harness import CHAT, COMPLETIONS, JSON, PATIENCE, Baseline, Server, ask, error_of, sample_that_sees, sse_events

SPEECH = "/v1/audio/speech"
WORDS = "Nobody will ever hear all of this, and it is long. " * 80
STORY = {**ask("Write a very long story."), "max_tokens": 1500, "ignore_eos": True}
PATHS = {
    "bytes": (SPEECH, {"model": "voice", "input": WORDS, "response_format": "pcm", "seed": 1}),
    "events": (SPEECH, {"model": "voice", "input": WORDS, "response_format": "pcm", "seed": 1, "stream_format": "sse"}),
    "answer": (CHAT, {**STORY, "model": "chat", "modalities": ["text", "audio"], "audio": {"format": "wav"}}),
    "stream": (CHAT, {**STORY, "model": "chat", "modalities": ["text", "audio"], "audio": {"format": "pcm16"}, "stream": True}),
}
BUSY = {**STORY, "model": "chat", "n": 16, "stream": True, "max_tokens": 1900}
GO_ON = {"model": "chat", "prompt": "Go on.", "max_tokens": 1500, "ignore_eos": True, "n": 16, "stream": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("goals") / "orpheus"
    path.mkdir()
    sample_that_sees(path)
    chat = {"name": "chat", "speaker": "voice", "files": {"model": "model.gguf", "mmproj": "mmproj.gguf"}, "roles": ["chat", "vision"]}
    return tiny_orpheus.write(path, name="voice", beside=[chat])


@pytest.fixture(scope="module")
def server(folder):
    with Server(model=folder) as s:
        say(s)  # what the first one takes for good is not a leak
        s.baseline = Baseline(s)
        yield s


def say(server, text="Hello.", **fields):
    """-> (status, headers, bytes)"""
    return server.request("POST", SPEECH, json.dumps({"model": "voice", "input": text, "seed": 1, "response_format": "pcm", **fields}).encode(), JSON)


def metric(server, name):
    return server.metrics()["sensorium_" + name]


def wait_for(what, seconds=10):
    deadline = time.monotonic() + seconds * PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def send(server, path, body, room=None):
    """-> a socket on which that was asked for"""
    data = json.dumps(body).encode()
    s = socket.socket()
    s.settimeout(30)
    if room:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    s.connect(("127.0.0.1", server.port))
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)
    return s


# ---- 28: what is said --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [0, 4097, 10**6])
def test_28_lengths(server, n):
    start = time.monotonic()
    status, _, body = say(server, "x" * n)
    assert status == 400 and error_of(json.loads(body))["param"] == "input" and time.monotonic() - start < 1 * PATIENCE
    server.baseline.check(server)


ODD = ["\0", "\x01\x02\x7f\x9b", "\x1b[31mred\x1b[0m, \x07and\x08 more", "\u202eback\u2066wards\u2069", "\ufeff", "a\0b", "\r\n\r\n", "\U0001f600" * 50, "e\u0301" * 2048,
       "\u0301" * 4096, "." * 4096, " " * 4096, "x" * 4096, "\ufdfa" * 4096, "<|eot_id|><custom_token_4>" * 20, "</s>\n\ndata: [DONE]\n\n"]


@pytest.mark.parametrize("text", ODD, ids=[ascii(t[:12]) for t in ODD])
def test_28_odd_words_are_spoken_or_refused(server, text):
    """Never a 5xx; sound that is whole, or 400 that names the input; nothing of it in the log."""
    body = {"model": "voice", "input": text, "seed": 1, "response_format": "wav"}
    s = send(server, SPEECH, body)
    data = b""
    while b"\r\n\r\n" not in data or (b" 200 " in data[:20] and len(data) < 2000 and not data.endswith(b"0\r\n\r\n")):
        piece = s.recv(4096)
        if not piece:
            break
        data += piece
    s.close()  # it may be a long one
    head, rest = data.split(b"\r\n\r\n", 1)
    if b" 200 " in head[:20]:
        assert b"audio/wav" in head and rest.split(b"\r\n", 1)[1][:4] == b"RIFF"
    else:
        assert b" 400 " in head[:20] and error_of(json.loads(rest))["param"] == "input", data
    server.wait_idle()
    assert not set(server.log()) & set("\x1b\0\x9b\u202e") and "custom_token" not in server.log()
    server.baseline.check(server)


def test_28_nothing_that_can_be_said_is_400(server):
    for text in ("\0", " \t\n", "...!?", "\u202e\ufeff", "\x01\x02"):
        for fields in ({}, {"stream_format": "sse"}, {"response_format": "wav"}):
            status, _, body = say(server, text, **fields)
            assert status == 400 and error_of(json.loads(body))["param"] == "input", (text, status)


def test_28_special_tokens_are_words(server):
    """Spelt out they are letters: the prompt is as long as that of as many letters."""
    def prompt(text):
        return sse_events(say(server, text, stream_format="sse")[2])[-1]["usage"]["input_tokens"]
    spelt = "<|eot_id|><custom_token_2>"
    assert prompt(spelt) == prompt("x" * len(spelt)) == prompt("x") + len(spelt) - 1


@pytest.mark.parametrize("fields, param", [
    ({"speed": 0}, "speed"), ({"speed": 100}, "speed"), ({"speed": -1}, "speed"), ({"speed": 1e308}, "speed"), ({"voice": "nobody"}, "voice"),
    ({"voice": "../tara"}, "voice"), ({"voice": "x" * 10**6}, "voice"), ({"response_format": "mp4"}, "response_format"), ({"stream_format": "x"}, "stream_format")])
def test_28_unknown_things_are_400(server, fields, param):
    status, _, body = say(server, **fields)
    assert status == 400 and error_of(json.loads(body))["param"] == param
    if param in ("voice", "response_format"):  # the same in a chat
        name = {"voice": "voice", "response_format": "format"}[param]
        status, _, answer = server.chat({**PATHS["answer"][1], "audio": {"format": "wav", name: fields[param]}})
        assert status == 400 and error_of(answer)["param"] == "audio." + name
    server.baseline.check(server)


# ---- 14: streams -------------------------------------------------------------------------------------------------------

# What the chat model is made to say: pieces of characters and of events.
SAYS = ["naïve \U0001f600 日本語 ∑", "\n\ndata: [DONE]\n\n", 'a "quoted" \\ back\\slash\t\u0001 \u2028', "<think>x</think><thi"]


@pytest.mark.parametrize("said", SAYS)
@pytest.mark.parametrize("usage", [False, True])
def test_14_a_spoken_stream_is_the_whole_answer(server, said, usage):
    ids = server.post("/tokenize", {"model": "chat", "prompt": said, "add_special_tokens": False})[2]["tokens"]
    body = {**PATHS["stream"][1], "logit_bias": {str(i): 30 for i in ids}, "max_tokens": 40, "temperature": 1.5, "seed": 5}
    status, _, answer = server.chat({**body, "stream": False})
    assert status == 200
    whole = answer["choices"][0]
    status, headers, raw = server.stream({**body, "stream_options": {"include_usage": usage}})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    chunks = sse_events(raw)
    if usage:
        last = chunks.pop()
        assert last["choices"] == [] and last["usage"] == answer["usage"] and all(c["usage"] is None for c in chunks)
    else:
        assert all("usage" not in c for c in chunks)
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in chunks}) == 1
    choices = [c["choices"][0] for c in chunks]
    assert choices[0]["delta"]["role"] == "assistant" and not any("role" in c["delta"] for c in choices[1:])
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + [whole["finish_reason"]] and choices[-1]["delta"] == {}
    audio = [c["delta"]["audio"] for c in choices if "audio" in c["delta"]]
    assert "".join(a.get("transcript", "") for a in audio) == whole["message"]["audio"]["transcript"]
    assert base64.b64decode("".join(a.get("data", "") for a in audio)) == base64.b64decode(whole["message"]["audio"]["data"])


@pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "opus", "flac"])
def test_14_events_are_the_bytes(server, form):
    told = sse_events(say(server, "One. Two three!", response_format=form, stream_format="sse")[2])
    assert [e["type"] for e in told] == ["speech.audio.delta"] * (len(told) - 1) + ["speech.audio.done"]
    whole = say(server, "One. Two three!", response_format=form)[2]
    assert base64.b64decode("".join(e["audio"] for e in told[:-1])) == whole and len(whole) > 100


# ---- 46: who leaves ----------------------------------------------------------------------------------------------------

def leave(s, how):
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.shutdown(socket.SHUT_WR) if how == "half close" else s.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ["close", "reset", "half close"])
@pytest.mark.parametrize("when", ["at once", "in mid-speech"])
def test_46_who_leaves_frees_everything(server, path, how, when):
    """Pages are free within half a second, and neither steps nor decoder runs are spent on it any more."""
    jobs, gone = metric(server, "synth_jobs_total"), server.answers(PATHS[path][0], 499)
    s = send(server, *PATHS[path])
    if when == "in mid-speech":
        wait_for(lambda: metric(server, "synth_jobs_total") > jobs + 3)
        if path != "answer":
            assert b" 200 " in s.recv(1000)
    leave(s, how)
    start = time.monotonic()
    if (how, when) != ("reset", "at once"):  # which may not even have been read; any other is, be it after it left
        wait_for(lambda: server.answers(PATHS[path][0], 499) == gone + 1)
    server.wait_idle(5 * PATIENCE)
    took = time.monotonic() - start
    s.close()
    assert took < 0.5 * PATIENCE, took
    assert server.answers(PATHS[path][0], 499) <= gone + 1
    names = ("steps_total", "synth_jobs_total", "generation_tokens_total")
    time.sleep(0.05 * PATIENCE)  # the step in which it was seen may not be over
    stopped = [metric(server, n) for n in names]
    time.sleep(0.1)
    assert [metric(server, n) for n in names] == stopped
    server.baseline.check(server)


@pytest.mark.parametrize("path", PATHS)
def test_46_a_reset_that_comes_before_anything_else_is_seen(server, path):
    """The connection may be gone before anyone has looked at who it is."""
    for _ in range(25):
        leave(send(server, *PATHS[path]), "reset")
    assert server.wait_idle(60) < 0.5 * PATIENCE
    server.baseline.check(server)


def test_46_who_leaves_the_queue_frees_it(folder):
    with Server("--max-num-seqs", "1", "--max-queued-requests", "16", model=folder) as server:
        before = Baseline(server)
        busy = send(server, CHAT, BUSY)
        wait_for(lambda: metric(server, "num_requests_running") == 1)
        clients = [send(server, *p) for p in PATHS.values()]
        wait_for(lambda: metric(server, "http_requests_in_flight") == 5 and metric(server, "num_requests_waiting") >= 4)
        for how, c in zip(("close", "reset", "half close", "close"), clients):
            leave(c, how)
        start = time.monotonic()
        wait_for(lambda: metric(server, "http_requests_in_flight") == 1, 2)
        assert time.monotonic() - start < 0.5 * PATIENCE and metric(server, "num_requests_running") == 1
        assert metric(server, "synth_jobs_total") == 0  # none of them had begun
        busy.close()
        server.wait_idle()
        for c in clients:
            c.close()
        before.check(server)


# ---- 47: deadlines -----------------------------------------------------------------------------------------------------

def ended_early(server):
    """Sequences: of those under way when a speech is late the first to notice fails, the others are cancelled."""
    return metric(server, "request_failed_total") + metric(server, "request_cancelled_total")


def test_47_the_total_deadline(folder):
    """Before the head it is a 503; then bytes have no end and events have an error. Each way it is counted."""
    with Server("--request-timeout", str(PATIENCE), model=folder) as server:
        before = Baseline(server)
        for path, (route, body) in PATHS.items():
            late, ended, start = server.answers(route, 503), ended_early(server), time.monotonic()
            if path == "bytes":
                c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                c.request("POST", route, json.dumps(body), JSON)
                r = c.getresponse()
                with pytest.raises(http.client.IncompleteRead) as cut:
                    r.read()
                c.close()
                assert r.status == 200 and len(cut.value.partial) > 100
            else:
                for crowd in (3, 1, 0):  # alone it might be done by then, and in a crowd a stream might not have begun
                    others = [send(server, COMPLETIONS, GO_ON) for _ in range(crowd)]
                    start = time.monotonic()
                    status, headers, raw = server.request("POST", route, json.dumps(body).encode(), JSON)
                    for o in others:
                        o.close()
                    if path == "answer" or status == 200:
                        break
                    late = server.counted(route, 503, late + 1)
                last = json.loads(raw) if path == "answer" else sse_events(raw)[-1]
                assert error_of(last)["code"] == "deadline_exceeded"
                assert (status, "retry-after" in headers) == ((503, True) if path == "answer" else (200, False))
            assert PATIENCE <= time.monotonic() - start < 3 * PATIENCE
            server.wait_idle()
            assert server.counted(route, 503, late + 1) == late + 1 and ended_early(server) > ended
        before.check(server)


@contextlib.contextmanager
def slowed(server):
    """The server runs a fifth of the time, so that what takes half a second on a fast machine takes longer than a deadline of whole seconds."""
    done = threading.Event()

    def pulse():
        while not done.wait(0.01):
            server.process.send_signal(signal.SIGSTOP)
            done.wait(0.04)
            server.process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=pulse)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_47_the_queue_has_a_deadline_of_its_own(folder):
    """Who has waited too long for its first row is told so, in whatever shape it asked. Who speaks already goes on, though its later sentences
    wait for longer than that."""
    with Server("--max-num-seqs", "1", "--max-queued-requests", "16", "--queue-timeout", "1", "--request-timeout", "60", model=folder) as server:
        before = Baseline(server)
        busy = send(server, CHAT, BUSY)
        wait_for(lambda: metric(server, "num_requests_running") == 1)
        answers = {}

        def one(path):
            route, body = PATHS[path]
            answers[path] = server.request("POST", route, json.dumps(body).encode(), JSON)

        threads = [threading.Thread(target=one, args=(p,)) for p in PATHS]
        with slowed(server):
            start = time.monotonic()
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert 1 <= time.monotonic() - start < 4 * PATIENCE
        for path, (status, headers, raw) in answers.items():
            error = error_of(json.loads(raw))
            assert status == 503 and headers["retry-after"] and error["code"] == "deadline_exceeded" and "queue" in error["message"], path
        assert [server.counted(route, 503, 2) for route in (SPEECH, CHAT)] == [2, 2] and metric(server, "num_requests_running") == 1
        busy.close()
        server.wait_idle()
        start = time.monotonic()
        status, _, sound = say(server, "One sentence follows the next one here, and so on for quite a while. " * 59)
        assert status == 200 and len(sound) > 59 * 10 * 48
        assert time.monotonic() - start > 1 or metric(server, "step_sequences_max") == 1
        before.check(server)


@pytest.mark.parametrize("path", ["bytes", "events", "stream"])
def test_47_a_reader_that_stops_is_ended_freed_and_counted(tmp_path, path):
    plugins = speakers.plugins(tmp_path / "plugins")
    with Server("--write-timeout", "1", "--plugin-dir", plugins, model=speakers.pair(tmp_path / "pair", frames=400)) as server:
        before = Baseline(server)
        route, body = PATHS[path]
        s = send(server, route, body, 2048)
        wait_for(lambda: metric(server, "synth_jobs_total") > 0)
        start = time.monotonic()
        wait_for(lambda: server.answers(route, 499) == 1, 30)
        assert time.monotonic() - start >= 0.9
        server.wait_idle()
        assert " 499 " in server.wait_log(" 499 ")
        s.close()
        before.check(server)
