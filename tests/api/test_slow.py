"""Clients that are slow on purpose, twice as many as there are threads, hold nobody up (goal 4)."""

import json
import re
import selectors
import socket
import threading
import time

import pytest

from harness import CHAT, PATIENCE, Baseline, Server, ask, responses_in, status_of

THREADS = 64 + 1 + 1 + 16  # what cmd_serve.c makes of one sequence and one place in the queue
FLAGS = ("--max-num-seqs", "1", "--max-queued-requests", "1", "--header-timeout", "1", "--body-timeout", "1", "--write-timeout", "1",
         "--keep-alive-timeout", "1")
DEADLINE, SLACK, PROMPT = 1, 1.5, 0.2  # s; the last is what /livez may take

HEAD = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % CHAT.encode()
STREAM = json.dumps({**ask("Write a very long story."), "max_tokens": 1500, "n": 8, "ignore_eos": True, "stream": True, "logprobs": True,
                     "top_logprobs": 20}).encode()

SLOW = {  # what is sent at once, what is sent byte by byte
    "nothing at all": (b"", b""),
    "headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 1000),
    "a body": (HEAD + b"Content-Length: 1000\r\n\r\n", b" " * 1000),
    "a body of a route that counts no places": (b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
                                                b" " * 1000),
    "a chunked body": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n", b" " * 1000),
    "a body that nobody wants": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b" " * 1000),
    "a second request": (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 1000),
}


@pytest.fixture(scope="module")
def server():
    with Server(*FLAGS) as s:
        s.baseline = Baseline(s)
        assert s.threads() > THREADS, "THREADS is not what the program makes of the flags"
        yield s


@pytest.fixture(scope="module")
def calm():
    """Another server that nobody troubles: how long an answer takes on this machine, at this moment, at best."""
    with Server(*FLAGS) as s:
        yield s


class Heart(threading.Thread):
    """Asks /livez until it is stopped; the longest answer counts."""

    def __init__(self, server):
        super().__init__()
        self.server, self.stopped, self.took, self.statuses = server, threading.Event(), [], set()

    def run(self):
        while not self.stopped.wait(0.02):
            start = time.monotonic()
            try:
                self.statuses.add(self.server.request("GET", "/livez", timeout=10)[0])
            except OSError as e:
                self.statuses.add(str(e))
            self.took.append(time.monotonic() - start)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.stopped.set()
        self.join()


class Hearts:
    """One at the server under test, one at the calm one."""

    def __init__(self, server, calm):
        self.heart, self.control = Heart(server), Heart(calm)

    def __enter__(self):
        self.control.start()
        self.heart.start()
        return self

    def __exit__(self, *args):
        self.heart.__exit__()
        self.control.__exit__()

    def check(self):
        assert self.heart.statuses == {200} and self.control.statuses == {200}
        bound = PROMPT * PATIENCE + max(self.control.took)
        assert max(self.heart.took) < bound, (sorted(self.heart.took)[-5:], sorted(self.control.took)[-5:])


def drip(server, n, first, rest, seconds):
    """n sockets send first, then a byte of rest every quarter second, until the server ends them -> [(bytes, seconds)]."""
    socks, sel, ends = [], selectors.DefaultSelector(), {}
    answers = [b""] * n
    start = time.monotonic()
    for i in range(n):
        s = server.connect()
        s.sendall(first)
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ, i)
        socks.append(s)
    sent = 0
    while len(ends) < n and time.monotonic() - start < seconds:
        if rest and time.monotonic() - start > 0.25 * (sent + 1):
            for i, s in enumerate(socks):
                try:
                    if i not in ends:
                        s.send(rest[sent:sent + 1])
                except OSError:
                    pass  # its end is noticed below
            sent += 1
        for key, _ in sel.select(0.05):
            i = key.data
            try:
                piece = socks[i].recv(65536)
            except OSError:
                piece = b""
            answers[i] += piece
            if not piece:
                ends[i] = time.monotonic() - start
                sel.unregister(socks[i])
    for s in socks:
        s.close()
    sel.close()
    return [(answers[i], ends.get(i)) for i in range(n)]


@pytest.mark.parametrize("kind", SLOW)
def test_4_slow_senders_hold_nobody_up(server, calm, kind):
    first, rest = SLOW[kind]
    with Hearts(server, calm) as hearts:
        results = drip(server, 2 * THREADS, first, rest, 12)
    assert len(hearts.heart.took) > 10
    hearts.check()
    second = kind == "a second request"
    for raw, ended in results:
        assert ended is not None, "still open"
        assert ended < (DEADLINE + SLACK + (2 if second else 0)) * PATIENCE, ended
        assert responses_in(raw) <= 2 if second else responses_in(raw) <= 1, raw
        if raw and not second:
            assert status_of(raw) in ((404,) if "nobody" in kind else (408, 429)), raw
    server.baseline.check(server)


def test_4_readers_that_do_not_read_hold_nobody_up(server, calm):
    clients = []
    with Hearts(server, calm) as hearts:
        for _ in range(2 * THREADS):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", server.port))
            s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(STREAM) + STREAM)
            clients.append(s)
        # 15 MB a stream: more than the kernel takes, so that the server's own deadline for a write ends it.
        ended = re.compile(r"POST \S+ 499 \d{4,}\.\d ms \d+ bytes \(client gone\)")
        until = time.monotonic() + 30 * PATIENCE
        while not ended.search(server.log()):
            assert time.monotonic() < until, "the write deadline ends nobody"
            time.sleep(0.05)
    hearts.check()
    for s in clients:
        s.close()
    server.wait_idle(20 * PATIENCE)
    server.baseline.check(server)


def test_4_a_prompt_client_is_served_among_slow_ones(server):
    """Those that wait longest go first: whoever sends its request at once is never among them."""
    slow = []
    for _ in range(2 * THREADS):
        s = server.connect()
        s.sendall(b"GET /livez HTTP/1.1\r\n")
        slow.append(s)
    for _ in range(50):
        assert server.get("/v1/models")[0] == 200
    assert server.chat(ask())[0] == 200
    assert "more connections than threads" in server.wait_log("more connections than threads")
    for s in slow:
        s.close()
    server.baseline.check(server)
