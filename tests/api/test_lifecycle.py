"""Starting, back-pressure, leaving clients, stopping (goals 46, 47, 48, 60, 61)."""

import json
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import BIN, CHAT, JSON, MODEL, PATIENCE, Baseline, Server, ask, error_of, read_all, run, sse_events

LONG = {**ask("Write a very long story."), "max_tokens": 1500, "ignore_eos": True}


def post(body):
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(data)) + data


def in_flight(server):
    return server.metrics()["sensorium_http_requests_in_flight"]


def wait_for(what, seconds=5):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- leaving ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "half close"])
def test_a_client_that_leaves_frees_its_pages(hostile, stream, how):
    s = hostile.connect()
    s.sendall(post({**LONG, "stream": stream}))
    wait_for(lambda: hostile.pages_in_use() > 0)
    if stream:
        s.recv(4096)
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.shutdown(socket.SHUT_WR) if how == "half close" else s.close()
    took = hostile.wait_idle(3)
    s.close()
    assert took < 1.0, took


def test_clients_that_leave_in_the_queue_free_it():
    with Server("--max-num-seqs", "1", "--max-queued-requests", "16") as server:
        before = Baseline(server)
        clients = [server.connect() for _ in range(8)]
        for c in clients:
            c.sendall(post({**LONG, "stream": True}))
        wait_for(lambda: in_flight(server) == 8)
        for c in clients:
            c.close()
        server.wait_idle(5)
        before.check(server)


# ---- deadlines -------------------------------------------------------------------------------------------------------

def test_a_request_ends_at_its_deadline():
    limit = PATIENCE  # a stream's first token comes before it
    with Server("--request-timeout", str(limit)) as server:
        before = Baseline(server)
        slow = {**LONG, "n": 16}  # more than any machine of today says in a second
        start = time.monotonic()
        status, headers, answer = server.chat(slow)
        assert status == 503 and limit <= time.monotonic() - start < 3 * limit
        assert error_of(answer)["code"] == "deadline_exceeded" and "retry-after" in headers
        good, late = server.answers(CHAT, 200), server.answers(CHAT, 503)
        status, _, raw = server.stream(slow)
        assert status == 200 and sse_events(raw)[-1]["error"]["code"] == "deadline_exceeded"
        assert "503" in server.wait_log("in mid-stream").split("in mid-stream")[0].rsplit("POST", 1)[1]
        assert (server.counted(CHAT, 503, late + 1), server.answers(CHAT, 200)) == (late + 1, good)
        before.check(server)


def test_a_client_that_does_not_read_holds_nobody_up():
    with Server("--write-timeout", "1", "--header-timeout", "1") as server:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        s.sendall(post({**LONG, "stream": True, "logprobs": True, "top_logprobs": 20}))
        wait_for(lambda: in_flight(server) > 0)
        assert server.get("/livez")[0] == 200
        s.close()
        server.wait_idle(5)


# ---- back-pressure -----------------------------------------------------------------------------------------------------

def test_a_burst_is_answered_200_or_429_and_adds_up():
    with Server("--max-num-seqs", "2", "--max-queued-requests", "4") as server:
        before = Baseline(server)
        results, lock = [], threading.Lock()

        def one():
            status, headers, raw = server.request("POST", CHAT, json.dumps({**ask(), "max_tokens": 30, "ignore_eos": True}), JSON, timeout=60)
            with lock:
                results.append((status, headers, raw))

        threads = [threading.Thread(target=one) for _ in range(60)]
        for t in threads:
            t.start()
        live = [server.get("/livez")[0] for _ in range(5)]
        for t in threads:
            t.join()
        assert live == [200] * 5 and len(results) == 60
        good = [r for r in results if r[0] == 200]
        refused = [r for r in results if r[0] == 429]
        assert len(good) + len(refused) == 60 and good
        for _, headers, raw in refused:
            assert headers["retry-after"] and headers["retry-after-ms"]
            error_of(json.loads(raw))
        for _, _, raw in good:
            assert json.loads(raw)["usage"]["completion_tokens"] == 30
        m = server.metrics()
        count = lambda s: m.get('sensorium_http_requests_total{route="%s",status="%d"}' % (CHAT, s), 0)
        assert count(429) == len(refused) and count(200) == len(good) + 2  # the baseline's two
        before.check(server)


# ---- stopping ------------------------------------------------------------------------------------------------------------

def start_streams(server, n, body):
    clients = [server.connect(30) for _ in range(n)]
    for c in clients:
        c.sendall(post({**body, "stream": True}))
    for c in clients:
        assert c.recv(1, socket.MSG_PEEK)
    return clients


def unchunk(raw):
    head, _, rest = raw.partition(b"\r\n\r\n")
    data = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            assert rest == b"\r\n"
            return data
        data, rest = data + rest[:n], rest[n + 2:]


def test_sigterm_lets_streams_finish():
    with Server("--shutdown-timeout", "20") as server:
        clients = start_streams(server, 8, {**LONG, "max_tokens": 40})
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in server.log())
        if server.process.poll() is None:
            try:
                assert server.get("/readyz")[0] == 503
                assert server.get("/livez")[0] == 200
                status, headers, answer = server.chat(ask())
                assert status == 503 and "retry-after" in headers
                error_of(answer)
            except OSError:
                assert server.process.wait(2) == 0  # everything had ended by then
        for c in clients:
            events = sse_events(unchunk(read_all(c, 30)))
            assert events[-1]["choices"][0]["finish_reason"] == "length"
            c.close()
        assert server.process.wait(5) == 0


def test_after_the_timeout_streams_end_with_an_error():
    for seconds in (0, 2):
        with Server("--shutdown-timeout", str(seconds)) as server:
            clients = start_streams(server, 4, LONG)
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            answers = [read_all(c, 10) for c in clients]
            assert server.process.wait(10) == 0
            assert time.monotonic() - start < seconds + 2
            for raw in answers:
                last = sse_events(unchunk(raw))[-1]
                assert "error" in last or last["choices"][0]["finish_reason"]


def test_a_second_sigterm_forces():
    with Server("--shutdown-timeout", "60") as server:
        clients = start_streams(server, 2, LONG)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in server.log())
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0 and time.monotonic() - start < 3
        for c in clients:
            c.close()


def test_idle_connections_do_not_hold_up_the_end():
    with Server("--keep-alive-timeout", "60") as server:
        c = server.connect()
        c.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.recv(4096)
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0 and time.monotonic() - start < 2
        c.close()


# ---- starting ------------------------------------------------------------------------------------------------------------

def reason(code, *args, **kw):
    got, _, err = run(*args, **kw)
    assert got == code, (got, err)
    reasons = [line for line in err.splitlines() if " error " in line]
    assert len(reasons) == 1 and err.strip().endswith(reasons[0]), err
    return reasons[0]


def test_a_bad_command_line_exits_2():
    assert "did you mean --max-num-seqs" in reason(2, "serve", MODEL, "--max-num-seq", "4")
    for flags in (["--port", "65536"], ["--port", "x"], ["--port", "-1"], ["--port"], ["--kv-cache-dtype", "q4"], ["--kv-cache-memory", "1Q"],
                  ["--memory-limit", "99999999999999999999"], ["--log-level", "loud"], ["--limit-mm-per-prompt", "image=65"],
                  ["--limit-mm-per-prompt", "video"], ["--threads", "1.5"], ["--no-enable-prefix-caching=1"], ["--zzz"], ["one", "two"]):
        reason(2, "serve", MODEL, *flags)
    assert run("dance")[0] == 2 and run()[0] == 2


def test_a_missing_or_bad_model_exits_3(tmp_path):
    reason(3, "serve", str(tmp_path / "nothing"))
    reason(3, "serve", str(tmp_path))
    (tmp_path / "x.bin").write_bytes(b"GGUF")
    reason(3, "serve", str(tmp_path / "x.bin"))
    (tmp_path / "bad.gguf").write_bytes(b"nonsense")
    code, _, err = run("serve", str(tmp_path / "bad.gguf"), "--port", "0")
    assert code == 3 and "refused" in err


@pytest.mark.parametrize("entry,word", [
    ({"name": "a", "files": {"model": "../m.gguf"}}, "leaves the folder"),
    ({"name": "a", "files": {"model": "sub/../../m.gguf"}}, "leaves the folder"),
    ({"name": "a", "files": {"model": "/etc/passwd"}}, "absolute"),
    ({"name": "a", "files": {"model": "m\0.gguf"}}, "file name"),
    ({"name": "a", "files": {"model": "link.gguf"}}, "symlink"),
    ({"name": "a", "files": {"model": "missing.gguf"}}, "files.model"),
    ({"name": "a", "files": {"model": ""}}, "empty"),
    ({"name": "a", "files": {"model": "m.gguf", "mmproj": "../x"}}, "files.mmproj"),
    ({"name": "a", "files": {"model": "m.gguf", "mmproj": 1}}, "files.mmproj"),
    ({"name": "../a", "files": {"model": "m.gguf"}}, "name"),
    ({"name": "", "files": {"model": "m.gguf"}}, "name"),
    ({"files": {"model": "m.gguf"}}, "name"),
    ({"name": "a"}, "files.model"),
    (None, "name"),
])
def test_models_json_is_checked(tmp_path, entry, word):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (folder / "m.gguf").write_bytes(b"GGUF")
    (folder / "link.gguf").symlink_to(tmp_path / "m.gguf")
    (folder / "models.json").write_text(json.dumps({"models": [entry]}))
    assert word in reason(3, "serve", str(folder))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"models":[]}', '{"models":{}}', '{"models":1,"models":2}', "[" * 100000,
                                  '{"models":[{"name":"a","files":{"model":"m.gguf"}},{"name":"a","files":{"model":"m.gguf"}}]}'])
def test_a_broken_models_json_exits_3(tmp_path, text):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "models.json").write_text(text)
    assert "models.json" in reason(3, "serve", str(tmp_path))


def test_a_port_in_use_exits_4():
    with Server() as server:
        assert "in use" in reason(4, "serve", MODEL, "--port", str(server.port))
        assert server.get("/livez")[0] == 200


def test_readiness_waits_for_the_model():
    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    process = subprocess.Popen([BIN, "serve", MODEL, "--port", str(number)], stderr=subprocess.DEVNULL)
    seen = []
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and 200 not in seen:
            try:
                with socket.create_connection(("127.0.0.1", number), 5) as s:
                    s.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    seen.append(int(read_all(s, 5)[9:12]))
            except OSError:
                time.sleep(0.002)
        assert seen[-1] == 200 and set(seen) <= {200, 503}
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_the_small_commands(tmp_path):
    assert run("version")[1].startswith("sensorium ")
    assert run("--help")[0] == 0 and "exit codes" in run("--help")[1]
    for command in ("serve", "run", "speak", "inspect", "plugins", "version"):
        code, text, _ = run(command, "--help")
        assert code == 0 and "usage: sensorium " + command in text
    assert "--max-num-seqs" in run("serve", "--help")[1]
    assert run("plugins")[0] == 0
    assert run("inspect", str(tmp_path / "none"))[0] == 3
    assert run("run")[0] == 2


def test_run_answers_once():
    code, text, err = run("run", MODEL, "--max-tokens", "8", "Hello", timeout=120)
    assert code == 0 and text.endswith("\n"), err
    assert run("run", MODEL, "--max-tokens", "8", "Hello", timeout=120)[1] == text
    code, _, err = run("run", MODEL, "--image", "/no/such.png", "x")
    assert code == 2 and "--image" in err
