"""The real server on a free loopback port, a raw-socket client, and the checks that follow every negative case.

SENSORIUM_BIN and SENSORIUM_MODEL choose the program and the model; the defaults are the build tree and the sample model.
"""

import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import contract

REPO = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("SENSORIUM_BIN", str(REPO / "build" / "sensorium"))
MODEL = os.environ.get("SENSORIUM_MODEL", str(REPO / "samples" / "model"))
SANITIZED = os.path.exists(BIN) and any(x in pathlib.Path(BIN).read_bytes() for x in (b"__asan_init", b"__tsan_init"))
PATIENCE = 5 if SANITIZED else 1  # limits on time and memory are about the plain build
START_SECONDS = float(os.environ.get("SENSORIUM_START_SECONDS", "60"))

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
JSON = {"Content-Type": "application/json"}
GOLDEN = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "seed": 7, "max_tokens": 12}


def ask(text="Hello", **fields):
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 8, **fields}


def multipart(fields, boundary=b"------------------------0123456789abcdef"):
    """-> (headers, body). Fields: (name, value), a value that is bytes goes as a file; a mapping will do."""
    parts = []
    for name, value in fields.items() if isinstance(fields, dict) else fields:
        file = isinstance(value, bytes)
        head = b'Content-Disposition: form-data; name="%s"' % name.encode() + (b'; filename="a.wav"\r\nContent-Type: audio/wav' if file else b"")
        parts.append(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, value if file else str(value).encode()))
    return {"Content-Type": "multipart/form-data; boundary=" + boundary.decode()}, b"".join(parts) + b"--%s--\r\n" % boundary


def sample_files():
    """Paths of the sample's language model and of its tower for pictures, the first one that it lists."""
    files = json.loads((pathlib.Path(MODEL) / "models.json").read_text())["models"][0]["files"]
    towers = files["mmproj"] if isinstance(files["mmproj"], list) else [files["mmproj"]]
    return pathlib.Path(MODEL) / files["model"], pathlib.Path(MODEL) / towers[0]


def sample_that_sees(folder):
    """The sample without its other senses, as a folder of two files. -> its path"""
    for file, name in zip(sample_files(), ("model.gguf", "mmproj.gguf")):
        shutil.copy(file, pathlib.Path(folder) / name)
    return str(folder)


class Server:
    """One `sensorium serve`. Use as a context manager; it is drained and must exit 0."""

    def __init__(self, *flags, env=None, model=MODEL, key=None):
        self.key = key
        self.log_path = tempfile.NamedTemporaryFile(prefix="sensorium-", suffix=".log", delete=False).name
        environment = {k: v for k, v in os.environ.items() if k != "SENSORIUM_API_KEY"}
        environment.update(env or {})
        self.log_file = open(self.log_path, "wb")
        self.process = subprocess.Popen([BIN, "serve", *([model] if model else []), "--port", "0", *flags], stderr=self.log_file,
                                        stdout=subprocess.DEVNULL, env=environment)
        self.port = None
        self.expect_exit = 0

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"ready on https?://\S*:(\d+)", self.log())
            if found:
                self.port = int(found.group(1))
                return self
            time.sleep(0.02)
        self.kill()
        raise AssertionError("the server did not become ready:\n" + self.log())

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server did not stop:\n" + self.log())
        self.log_file.close()
        log = self.log()
        os.unlink(self.log_path)
        if kind is None:
            assert self.process.returncode == self.expect_exit, log
        assert "Sanitizer" not in log and "runtime error" not in log, log

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="surrogateescape")

    def wait_log(self, word, seconds=5):
        """The log once it holds the word: a line is written after its answer."""
        deadline = time.monotonic() + seconds
        while word not in self.log():
            assert time.monotonic() < deadline, word
            time.sleep(0.01)
        return self.log()

    @property
    def pid(self):
        return self.process.pid

    def headers(self, extra=None):
        head = dict(extra or {})
        if self.key:
            head.setdefault("Authorization", "Bearer " + self.key)
        return head

    def request(self, method, path, body=None, headers=None, timeout=30):
        """-> (status, headers, bytes) over a connection of its own. The OpenAPI document judges the answer."""
        document = contract.load(self.port, self.headers())
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body, self.headers(headers))
            r = c.getresponse()
            answer = r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()
        if document:
            contract.check(document, method, path, *answer)
        return answer

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body, **kw):
        """-> (status, headers, the answer's JSON)"""
        status, headers, answer = self.request("POST", path, json.dumps(body).encode(), JSON, **kw)
        return status, headers, json.loads(answer)

    def chat(self, body, **kw):
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        if isinstance(data, str):
            data = data.encode()
        status, headers, answer = self.request("POST", CHAT, data, JSON, **kw)
        return status, headers, json.loads(answer)

    def form(self, fields, path=TRANSCRIPTIONS, **kw):
        """-> (status, headers, the answer: its JSON, or its bytes if it is none)"""
        head, body = multipart(fields)
        status, headers, answer = self.request("POST", path, body, head, **kw)
        return status, headers, json.loads(answer) if headers["content-type"] == "application/json" else answer

    def stream(self, body, path=CHAT):
        """-> (status, headers, raw bytes of the event stream)."""
        return self.request("POST", path, json.dumps({**body, "stream": True}).encode(), JSON)

    def connect(self, timeout=10):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, data, timeout=10, half_close=False):
        """Sends bytes, returns everything until the server closes or is silent."""
        with self.connect(timeout) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return read_all(s, timeout)

    def metrics(self):
        text = self.get("/metrics")[2].decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line and not line.startswith("#")}

    def answers(self, route, status):
        """How many the counters have."""
        return self.metrics().get('sensorium_http_requests_total{route="%s",status="%d"}' % (route, status), 0)

    def counted(self, route, status, n):
        """How many the counters have once that is n, or after a while: an answer is counted just after it went out."""
        deadline = time.monotonic() + 2 * PATIENCE
        while self.answers(route, status) != n and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.answers(route, status)

    def media_types(self):
        return {t for p in json.loads(self.get("/v1/plugins")[2])["data"] for t in p["media_types"].split()}

    def pages_in_use(self):
        m = self.metrics()
        return m["sensorium_kv_pages_total"] - m["sensorium_kv_pages_free"]

    def wait_idle(self, seconds=5):
        """Until no request is running; returns how long that took."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            m = self.metrics()
            if m["sensorium_http_requests_in_flight"] == 0 and m["sensorium_kv_pages_free"] == m["sensorium_kv_pages_total"]:
                return time.monotonic() - start
            time.sleep(0.02)
        raise AssertionError("pages or requests are still held: %r" % self.metrics())

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def memory_peak(self):
        status = pathlib.Path("/proc/%d/status" % self.pid).read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024

    def cpu_seconds(self):
        """That all its threads have worked: what a busy machine does not lengthen."""
        fields = pathlib.Path("/proc/%d/stat" % self.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def golden(self):
        status, _, answer = self.chat(GOLDEN)
        assert status == 200, answer
        return answer["choices"][0], {k: answer["usage"][k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")}


class Baseline:
    """What must be as before after anything a client does."""

    def __init__(self, server):
        self.golden = server.golden()
        server.golden()
        server.wait_idle()
        self.pid, self.fds, self.threads = server.pid, server.fds(), server.threads()

    def check(self, server):
        assert server.process.poll() is None, "the server ended:\n" + server.log()
        assert server.pid == self.pid
        assert server.get("/livez")[0] == 200
        assert server.golden() == self.golden
        server.wait_idle()
        deadline = time.monotonic() + 5
        while server.fds() > self.fds and time.monotonic() < deadline:
            time.sleep(0.05)  # sockets that the server is about to close
        assert server.fds() <= self.fds
        assert server.threads() <= self.threads


def read_all(s, timeout=10):
    data = b""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ready, _, _ = select.select([s], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            break
        try:
            piece = s.recv(65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    return data


def run(*args, env=None, timeout=30):
    """Runs a command that is expected to end by itself -> (exit code, stdout, stderr)."""
    environment = {k: v for k, v in os.environ.items() if k != "SENSORIUM_API_KEY"}
    environment.update(env or {})
    done = subprocess.run([BIN, *args], capture_output=True, timeout=timeout, env=environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def error_of(answer):
    """Checks OpenAI's error shape, returns the object inside."""
    error = answer["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and error["message"]
    assert isinstance(error["type"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    return error


def responses_in(raw):
    return len(re.findall(rb"HTTP/1\.[01] \d\d\d ", raw))


def status_of(raw):
    found = re.match(rb"HTTP/1\.1 (\d\d\d) ", raw)
    return int(found.group(1)) if found else None


def sse_events(raw):
    """Strict, byte for byte: every event is one `data: ` line and an empty line; the last one is [DONE]."""
    assert raw.endswith(b"\n\n")
    events = raw[:-2].split(b"\n\n")
    for e in events:
        assert e.startswith(b"data: ") and b"\n" not in e and b"\r" not in e, e
    assert events[-1] == b"data: [DONE]" and b"data: [DONE]" not in events[:-1]
    return [json.loads(e[6:].decode("utf-8", "strict")) for e in events[:-1]]
