"""HTTPS (goal 69): the official SDK over a chain of a CA made here; old protocols, plain HTTP and slow handshakes; and every way in which
a certificate or its key can be wrong ends the start with the reason, before anything listens."""

import http.client
import json
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import openai
import pytest

from harness import CHAT, JSON, MODEL, PATIENCE, Baseline, Server, ask, run, sse_events

SLOW_FLAGS = ("--max-num-seqs", "1", "--max-queued-requests", "1", "--header-timeout", "2")
THREADS = 64 + 1 + 1 + 16  # as in test_slow.py


class Pki:
    """A root, one between, and what they sign, by the openssl program."""

    def __init__(self, folder):
        self.folder = folder
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem",
                     "-days", "2", "-subj", "/CN=test root", "-addext", "keyUsage=critical,keyCertSign")
        self.sign("between", "/CN=between", "root", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign")
        self.sign("leaf", "/CN=localhost", "between", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.write("chain.pem", self.read("leaf.pem") + self.read("between.pem"))

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, subject, by, extensions, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), dates=("-days", "2")):
        self.write(name + ".ext", extensions)
        self.openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", subject)
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key", "-CAcreateserial", "-out", name + ".pem",
                     "-extfile", name + ".ext", *dates)
        (self.folder / (name + ".key")).chmod(0o600)

    def read(self, name):
        return (self.folder / name).read_text()

    def write(self, name, text, mode=0o600):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(mode)

    def path(self, name):
        return str(self.folder / name)

    def context(self):
        """A client that trusts the root and nothing else."""
        return ssl.create_default_context(cafile=self.path("root.pem"))


class TlsServer(Server):
    """The harness's server, asked over TLS."""

    def __init__(self, pki, *flags):
        super().__init__("--ssl-certfile", pki.path("chain.pem"), "--ssl-keyfile", pki.path("leaf.key"), *flags)
        self.context = pki.context()

    def request(self, method, path, body=None, headers=None, timeout=30):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context)
        try:
            c.request(method, path, body, self.headers(headers))
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(pki):
    with TlsServer(pki, *SLOW_FLAGS) as s:
        s.baseline = Baseline(s)
        yield s


def test_69_the_sdk_chats_over_https(server, pki):
    assert "ready on https://127.0.0.1:%d" % server.port in server.log() and "http://" not in server.log()
    client = openai.OpenAI(base_url=f"https://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0,
                           http_client=openai.DefaultHttpxClient(verify=pki.context()))
    fields = dict(model=client.models.list().data[0].id, messages=[{"role": "user", "content": "Hello"}], temperature=0, max_tokens=12)
    whole = client.chat.completions.create(**fields)
    pieces = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**fields, stream=True) if c.choices]
    assert whole.choices[0].message.content == "".join(pieces) and len(pieces) > 1
    with pytest.raises(openai.APIConnectionError):  # one that does not know the root
        openai.OpenAI(base_url=f"https://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0).models.list()
    server.baseline.check(server)


def test_69_large_bodies_and_answers_pass(server):
    """Many TLS records each way: a body of megabytes is read to its end, and an answer is read slowly."""
    status, _, answer = server.request("POST", "/tokenize", json.dumps({"prompt": "a b " * 1_000_000}).encode(), JSON)
    assert status == 200 and json.loads(answer)["count"] >= 1_000_000 and len(answer) > 2_000_000
    body = json.dumps({**ask("Count."), "max_tokens": 200, "n": 8, "ignore_eos": True, "stream": True, "logprobs": True, "top_logprobs": 20}).encode()
    with server.context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1") as s:
        s.sendall(b"POST %s HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
        raw = b""
        while piece := s.recv(3000):
            raw += piece
    told = sum(len((c.get("logprobs") or {}).get("content") or []) for e in sse_events(raw[raw.index(b"\r\n\r\n") + 4:]) for c in e["choices"])
    assert told == 8 * 200, told  # in however many events
    server.baseline.check(server)


def handshake(server, version):
    """What a client that speaks one version only gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s, context.wrap_socket(s) as t:
        return t.version()


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
def test_69_only_tls_1_2_and_1_3_are_spoken(server):
    assert handshake(server, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(server, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError, match="(?i)alert protocol version"):  # said by the server, not by this client's own OpenSSL
            handshake(server, old)
    server.baseline.check(server)


def test_69_plain_http_is_told_so(server):
    for first in (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", b"POST %s HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" % CHAT.encode() + b"x" * 60000):
        raw = server.raw(first, timeout=5)
        assert raw.startswith(b"HTTP/1.1 400 ") and raw.endswith(b"This port speaks HTTPS, not plain HTTP.\r\n") and b"model" not in raw
    for noise in (b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"\xff" * 300, b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05hello"):
        assert b"HTTP" not in server.raw(noise, timeout=5, half_close=True)
    server.baseline.check(server)


def test_69_slow_handshakes_hold_nobody_up(server):
    """Twice as many connections as threads, silent or stopped in the middle of their first message: who comes is served, and each
    of them is closed at the deadline for headers."""
    start, slow = time.monotonic(), []
    for i in range(2 * THREADS):
        s = server.connect()
        if i % 2:
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        slow.append(s)
    took = []
    for _ in range(20):
        before = time.monotonic()
        assert server.get("/livez")[0] == 200
        took.append(time.monotonic() - before)
    assert max(took) < 1.0 * PATIENCE and time.monotonic() - start < 2 * PATIENCE
    for s in slow:
        s.settimeout(4 * PATIENCE)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        s.close()
    assert time.monotonic() - start < 4 * PATIENCE
    server.baseline.check(server)


def test_69_a_drain_lets_streams_finish(pki):
    with TlsServer(pki) as server:
        answer = []
        body = json.dumps({**ask("Count."), "max_tokens": 300, "ignore_eos": True, "stream": True}).encode()
        t = threading.Thread(target=lambda: answer.append(server.request("POST", CHAT, body, JSON)))
        t.start()
        while server.metrics()["sensorium_generation_tokens_total"] < 20:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        t.join()
        assert answer[0][0] == 200 and answer[0][2].endswith(b"data: [DONE]\n\n")
        assert server.process.wait(10) == 0


WRONG = {
    "a missing certificate": ("none.pem", "leaf.key", "--ssl-certfile: cannot read the file"),
    "a missing key": ("chain.pem", "none.key", "--ssl-keyfile: cannot read the file"),
    "a folder": (".", "leaf.key", "--ssl-certfile: must be a regular file"),
    "no PEM": ("leaf.ext", "leaf.key", "--ssl-certfile: holds no certificate"),
    "an empty file": ("empty", "leaf.key", "--ssl-certfile: holds no certificate"),
    "a cut certificate": ("cut.pem", "leaf.key", "--ssl-certfile: holds no certificate"),
    "a broken chain": ("broken.pem", "leaf.key", "what follows the certificate is not its chain"),
    "an expired certificate": ("expired.pem", "expired.key", "the certificate has expired"),
    "a weak key": ("weak.pem", "weak.key", "too weak"),
    "a key that is none": ("chain.pem", "leaf.pem", "--ssl-keyfile: holds no private key"),
    "another's key": ("chain.pem", "between.key", "the key is not the certificate's"),
    "another kind's key": ("chain.pem", "rsa.key", "the key is not the certificate's"),
    "a key with a password": ("chain.pem", "secret.key", "needs a password"),
    "a key that others can read": ("chain.pem", "open.key", "--ssl-keyfile: must be a regular file that only its owner can read (chmod 600)"),
    "no key": ("chain.pem", None, "go together"),
    "no certificate": (None, "leaf.key", "go together"),
}


@pytest.fixture(scope="module")
def wrong(pki):
    names = "subjectAltName=IP:127.0.0.1"
    pki.sign("weak", "/CN=weak", "root", names, key=("rsa:1024",))
    pki.sign("rsa", "/CN=rsa", "root", names, key=("rsa:2048",))
    pki.sign("expired", "/CN=old", "root", names, dates=("-days", "-1"))
    pki.openssl("ec", "-in", "leaf.key", "-aes128", "-passout", "pass:secret", "-out", "secret.key")
    pki.write("secret.key", pki.read("secret.key"))
    pki.write("leaf.pem", pki.read("leaf.pem"))
    pki.write("open.key", pki.read("leaf.key"), 0o640)
    pki.write("empty", "")
    pki.write("cut.pem", pki.read("leaf.pem")[:200])
    pki.write("broken.pem", pki.read("leaf.pem") + pki.read("between.pem")[:200])
    return pki


@pytest.mark.parametrize("what", WRONG)
def test_69_what_is_wrong_with_a_certificate_ends_the_start(wrong, what):
    certificate, key, words = WRONG[what]
    flags = (["--ssl-certfile", wrong.path(certificate)] if certificate else []) + (["--ssl-keyfile", wrong.path(key)] if key else [])
    code, _, err = run("serve", MODEL, "--port", "0", *flags)
    assert code == 2 and words in err, err
    assert len(err.strip().splitlines()) == 1 and "listening" not in err
    assert not re.search(r"BEGIN|secret", err)


def test_69_the_key_is_nowhere_to_be_read(server, pki):
    server.get("/livez")
    inside = "".join(pki.read("leaf.key").splitlines()[1:-1])[:40]
    assert inside not in server.log() and inside.encode() not in pathlib.Path("/proc/%d/cmdline" % server.pid).read_bytes()
