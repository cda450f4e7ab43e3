"""What clients share and what they do not: time, the queue, cached prefixes and media (goals 45, 47, 48, 52, 53)."""

import base64
import io
import json
import socket
import threading
import time

import pytest
from PIL import Image

from harness import CHAT, JSON, PATIENCE, SANITIZED, Baseline, Server, ask, error_of

KEYS = ("sk-one-0123456789abcdef", "sk-two-0123456789abcdef")
LONG = {**ask("Write a very long story."), "max_tokens": 1500, "ignore_eos": True}


class Parallel:
    """Calls in threads of their own, started at once; -> their results in order."""

    def __init__(self, calls):
        self.results = [None] * len(calls)
        self.threads = [threading.Thread(target=self.one, args=(i, c)) for i, c in enumerate(calls)]
        for t in self.threads:
            t.start()

    def one(self, i, call):
        self.results[i] = call()

    def join(self):
        for t in self.threads:
            t.join()
        return self.results


@pytest.fixture(scope="module")
def two_keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("\n".join(KEYS))
    path.chmod(0o600)
    with Server("--api-key-file", str(path), key=KEYS[0]) as s:
        yield s


def as_key(server, key, body):
    status, _, raw = server.request("POST", CHAT, json.dumps(body).encode(), {**JSON, "Authorization": "Bearer " + key})
    answer = json.loads(raw)
    assert status == 200, answer
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


# ---- time --------------------------------------------------------------------------------------------------------------

def first_token(server, body):
    """Seconds until the first event with text, and the whole answer's raw bytes."""
    start, data = time.monotonic(), json.dumps({**body, "stream": True}).encode()
    with server.connect(120) as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                  % (CHAT.encode(), len(data)) + data)
        raw, first = b"", None
        while piece := s.recv(65536):
            raw += piece
            if first is None and b'"delta":{"content":' in raw:
                first = time.monotonic() - start
    return first, raw


def test_52_short_requests_are_served_beside_a_long_prompt():
    """A smoke test of what test_schedule_keys.c proves on a virtual clock; its bound is wide because the machine is shared."""
    with Server("--max-num-batched-tokens", "128", "--no-enable-prefix-caching") as server:
        limit = json.loads(server.get("/v1/models")[2])["data"][0]["max_model_len"]
        words = min(4096, limit - 64)
        long = {**ask("a " * (words // 2)), "max_tokens": 4}
        assert server.chat(long)[0] == 200
        start = time.monotonic()
        server.chat(long)
        alone = time.monotonic() - start
        short = lambda: first_token(server, ask("Hi"))
        baseline = max(r[0] for r in Parallel([short] * 20).join())
        beside = Parallel([lambda: first_token(server, long)])
        time.sleep(alone / 10)
        waits = [r[0] for r in Parallel([short] * 20).join()]
        ended, raw = beside.join()[0]
        assert ended and raw.rstrip().endswith(b"0") and b"[DONE]" in raw
        chunk = server.metrics()["sensorium_step_seconds_sum"] / server.metrics()["sensorium_step_seconds_count"]
        assert max(waits) <= baseline + 2 * chunk + 1.0 * PATIENCE, (baseline, chunk, waits)


def test_52_a_key_with_one_request_is_served_beside_one_with_many(two_keys):
    """That the scheduler is told whose a request is: of twenty long prompts of one key most are still waited for when another key's
    only one, sent last, is answered. The bound itself is test_schedule_keys.c's."""
    limit = json.loads(two_keys.get("/v1/models")[2])["data"][0]["max_model_len"]
    ended, sent = [], lambda key, i: (as_key(two_keys, key, {**ask("%d " % i * (limit // 8)), "max_tokens": 2, "cache_salt": str(i)}), ended.append(i))
    many = Parallel([lambda i=i: sent(KEYS[0], i) for i in range(20)])
    deadline = time.monotonic() + 10
    while two_keys.metrics()["sensorium_num_requests_running"] + two_keys.metrics()["sensorium_num_requests_waiting"] < 10 and not ended:
        assert time.monotonic() < deadline
    sent(KEYS[1], 99)
    before = list(ended)
    many.join()
    assert len(before) < 12, before


# ---- the queue ---------------------------------------------------------------------------------------------------------

def test_47_who_waits_too_long_in_the_queue_is_told_so():
    with Server("--max-num-seqs", "1", "--max-queued-requests", "8", "--request-timeout", "1") as server:
        before = Baseline(server)
        failed = server.metrics()["sensorium_request_failed_total"]
        start = time.monotonic()
        results = Parallel([lambda: server.chat({**LONG, "n": 4})] * 6).join()
        assert time.monotonic() - start < 4 * PATIENCE
        late = [(status, headers, answer) for status, headers, answer in results if status != 200]
        assert len(late) >= 5
        for status, headers, answer in late:
            assert status == 503 and error_of(answer)["code"] == "deadline_exceeded" and headers["retry-after"]
        server.wait_idle()
        assert server.metrics()["sensorium_request_failed_total"] - failed == len(late)
        before.check(server)


def send_stream(server, body, room=None):
    """A socket on which a stream is asked for and nothing is read; room: bytes that the kernel may take for it."""
    data = json.dumps({**body, "stream": True}).encode()
    s = socket.socket()
    if room:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    s.connect(("127.0.0.1", server.port))
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(data)) + data)
    return s


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_47_the_queue_has_a_deadline_of_its_own():
    """Who waits for longer than --queue-timeout is told so at once; who runs is not touched by it."""
    with Server("--max-num-seqs", "1", "--max-queued-requests", "8", "--queue-timeout", "1", "--request-timeout", "60") as server:
        before = Baseline(server)
        metric = lambda name: server.metrics()["sensorium_" + name]
        failed = metric("request_failed_total")
        stream, pieces = send_stream(server, {**LONG, "n": 16}), []
        reader = Parallel([lambda: [pieces.append(p) for p in iter(lambda: stream.recv(65536), b"")]])
        wait_until(lambda: metric("num_requests_running") == 1)
        start = time.monotonic()
        late = Parallel([lambda: server.chat(ask())] * 3 + [lambda: server.stream(ask())]).join()
        assert 1 <= time.monotonic() - start < 3 * PATIENCE
        for status, headers, answer in late[:3]:
            assert status == 503 and headers["retry-after"] and "queue" in error_of(answer)["message"]
            assert error_of(answer)["code"] == "deadline_exceeded"
        assert late[3][0] == 503 or b"deadline_exceeded" in late[3][2]
        assert metric("request_failed_total") - failed == 4 and metric("num_requests_running") == 1
        said = metric("generation_tokens_total")
        wait_until(lambda: metric("generation_tokens_total") > said + 50)  # it goes on
        stream.shutdown(socket.SHUT_RDWR)
        reader.join()
        assert b"deadline" not in b"".join(pieces)
        server.wait_idle()
        before.check(server)


def test_47_a_reader_that_stops_is_ended_freed_and_counted():
    with Server("--write-timeout", "1", "--request-timeout", "60") as server:
        before = Baseline(server)
        cancelled = server.metrics()["sensorium_request_cancelled_total"]
        start = time.monotonic()
        s = send_stream(server, {**LONG, "n": 16, "logprobs": True, "top_logprobs": 20}, 2048)
        wait_until(lambda: server.pages_in_use() > 0)
        wait_until(lambda: server.metrics()["sensorium_request_cancelled_total"] == cancelled + 1)
        assert time.monotonic() - start >= 1
        server.wait_idle()
        assert " 499 " in server.wait_log(" 499 ")
        s.close()
        before.check(server)


def test_48_a_burst_costs_no_memory():
    """Ten times what fits, three times over: the first burst may grow the heap, the next ones do not."""
    with Server("--max-num-seqs", "2", "--max-queued-requests", "4") as server:
        before = Baseline(server)
        body = json.dumps({**ask("x" * 50_000), "max_tokens": 2}).encode()  # too long for the context: read, parsed and refused
        quick = json.dumps({**ask(), "max_tokens": 20, "ignore_eos": True}).encode()
        peaks, total = [], 0
        for _ in range(4):
            calls = [lambda b=b: server.request("POST", CHAT, b, JSON, timeout=60)[0] for b in (body, quick) * 30]
            statuses = Parallel(calls).join()
            total += len(statuses)
            assert set(statuses) <= {200, 400, 429} and 200 in statuses
            server.wait_idle()
            peaks.append(server.memory_peak())
        if not SANITIZED:  # there freed memory stays in quarantine, and shadows grow
            assert peaks[-1] - peaks[1] < 8 << 20, peaks
        m = server.metrics()
        assert m["sensorium_num_requests_waiting"] == 0
        counted = sum(v for k, v in m.items() if k.startswith('sensorium_http_requests_total{route="%s"' % CHAT))
        assert counted == total + 2  # the baseline's
        before.check(server)


# ---- the context -------------------------------------------------------------------------------------------------------

def test_45_what_cannot_ever_fit_is_refused_at_once_and_costs_nobody():
    """Longer than the context, and longer than the whole pool, while another request runs."""
    with Server("--kv-cache-memory", "4M") as server:
        before = Baseline(server)
        limit = json.loads(server.get("/v1/models")[2])["data"][0]["max_model_len"]
        other = Parallel([lambda: server.chat({**ask("Count."), "max_tokens": 60, "ignore_eos": True, "seed": 5})])
        for body in ({**ask("word " * limit * 2)}, {**ask(), "max_tokens": limit + 1}):
            start = time.monotonic()
            status, _, answer = server.chat(body)
            assert status == 400 and error_of(answer)["code"] == "context_length_exceeded"
            assert time.monotonic() - start < 1.0 * PATIENCE
        status, _, during = other.join()[0]
        assert status == 200
        again = server.chat({**ask("Count."), "max_tokens": 60, "ignore_eos": True, "seed": 5})[2]
        assert again["choices"] == during["choices"]
        before.check(server)


# ---- caches ------------------------------------------------------------------------------------------------------------

def test_53_a_prefix_is_found_by_its_own_key_alone(two_keys):
    """Paired: the same request, twice by each key. Who warmed it finds it; the other finds nothing before it came itself."""
    body = ask("A prefix of some length, " * 20)
    assert as_key(two_keys, KEYS[0], body) == 0
    warm = as_key(two_keys, KEYS[0], body)
    assert warm > 50
    assert as_key(two_keys, KEYS[1], body) == 0
    assert as_key(two_keys, KEYS[1], body) == warm


def look(data, size):
    file = io.BytesIO()
    Image.frombytes("RGB", size, data).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {**ask(), "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]}]}


def test_53_the_same_bytes_in_another_shape_are_another_picture(two_keys):
    """30 x 15 and 15 x 30 of the same 1,350 bytes; and by another key, the same picture again."""
    data = bytes((7 * i) % 256 for i in range(30 * 15 * 3))
    runs = lambda: two_keys.metrics()["sensorium_encoder_runs_total"]
    start, seen = runs(), []
    for key, size in ((0, (30, 15)), (0, (15, 30)), (0, (30, 15)), (1, (30, 15)), (1, (30, 15))):
        as_key(two_keys, KEYS[key], look(data, size))
        seen.append(runs() - start)
    assert seen == [1, 2, 2, 3, 3]
