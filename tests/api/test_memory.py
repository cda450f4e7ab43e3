"""What the memory plan promises: refused before loading, with both figures, never killed for it (goal 36); and nothing that one client
sent, or that lay in memory, is ever in another's answer (goal 68)."""

import base64
import io
import json
import os
import re
import resource
import subprocess

import pytest
from PIL import Image

from harness import BIN, CHAT, COMPLETIONS, GOLDEN, JSON, MODEL, SANITIZED, Server, ask, run, sample_that_sees

MB = 1 << 20


def refusal(*flags, model=MODEL):
    code, _, log = run("serve", model, "--port", "0", *flags)
    lines = [line for line in log.splitlines() if " error " in line]
    assert len(lines) == 1, log
    return code, lines[0], log


PLAN = re.compile(r"(\d+) bytes are needed \(weights (\d+), tables (\d+), buffers of a step (\d+), plugins (\d+), KV pool (\d+)\), "
                  r"the memory limit is (\d+)")


def plan_of(line):
    """What is needed, its five parts, what there is."""
    return [int(n) for n in PLAN.search(line).groups()]


def test_36_more_than_the_limit_is_refused_with_both_figures(tmp_path):
    """Weights, buffers and pool each: what is needed and what there is, before anything is loaded."""
    model = sample_that_sees(tmp_path)
    code, line, _ = refusal("--memory-limit", "100M", "--kv-cache-memory", "100M", model=model)  # the pool's own tables do not fit any more
    pool, had = (int(n) for n in re.search(r"(\d+) bytes together, exceeds the memory limit of (\d+)", line).groups())
    assert code == 2 and str(100 * MB) in line and pool > had == 100 * MB
    limit, steps = 64 * MB, 0
    while (found := refusal("--memory-limit", str(limit), "--kv-cache-memory", "62M", model=model) if steps < 2 else None):
        code, line, log = found
        need, *parts, had = plan_of(line)
        buffers, pool = parts[2], parts[4]
        assert code == 3 and need == sum(parts) > had == limit and 62 * MB < pool < 64 * MB and min(parts) > 0
        assert "layers, context" not in log, "the model was loaded first"
        limit, steps = need, steps + 1  # first the model alone is too much, then with its tower
    # More rows in a step need larger buffers, and only those.
    code, line, _ = refusal("--memory-limit", "64M", "--kv-cache-memory", "62M", "--max-num-batched-tokens", "65536", model=model)
    assert code == 3 and int(re.search(r"buffers of a step (\d+)", line).group(1)) > 16 * buffers
    # With exactly what is needed it starts.
    with Server("--memory-limit", str(need), "--kv-cache-memory", "62M", model=model) as server:
        assert server.chat(ask())[0] == 200
    assert refusal("--memory-limit", str(need - 1), "--kv-cache-memory", "62M", model=model)[0] == 3


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps terabytes")
def test_36_huge_buffers_are_refused_before_they_are_there():
    """65536 rows in a step: more buffers than the address space holds. The plan refuses them, not a failed allocation."""
    done = subprocess.run([BIN, "run", MODEL, "--threads", "2", "--memory-limit", "300M", "--kv-cache-memory", "64M", "--max-num-batched-tokens", "65536",
                           "Hello"], capture_output=True, timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 * MB, 512 * MB)))
    need = re.search(rb"buffers of a step (\d+)", done.stderr)
    assert done.returncode == 3 and need and int(need.group(1)) > 512 * MB, done.stderr


def within(limit, *flags):
    """`run` in so many bytes of address space."""
    return subprocess.run([BIN, "run", MODEL, "--threads", "2", *flags, "--max-tokens", "4", "Hello"], capture_output=True, timeout=60,
                          env={**os.environ, "MALLOC_ARENA_MAX": "1"}, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))


def needed(*flags):
    """What the plan says of these flags, asked with ever larger limits: pool, model, tower."""
    limit = 1
    for _ in range(3):
        _, line, _ = refusal("--memory-limit", str(limit), *flags)
        limit = int(re.search(r"(\d+) bytes (together|are needed)", line).group(1))
    return limit


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps terabytes")
def test_36_what_the_plan_says_is_what_is_taken():
    """RLIMIT_AS: the least address space in which a small configuration answers, and what the plan says that another one needs more,
    suffice for that other one: nothing that grows with the pool or with a step is left out of the plan."""
    small = ("--kv-cache-memory", "16M", "--max-num-batched-tokens", "64")
    low, high = 16, 1024
    while high - low > 1:  # MiB
        mid = (low + high) // 2
        if within(mid * MB, *small).returncode:
            low = mid
        else:
            high = mid
    base = high * MB - needed(*small)
    for flags in (("--kv-cache-memory", "1536M", "--max-num-batched-tokens", "64"), ("--kv-cache-memory", "16M", "--max-num-batched-tokens", "8192"),
                  ("--kv-cache-memory", "600M", "--max-num-batched-tokens", "4096")):
        need = needed(*flags)
        done = within(base + need + 2 * MB, *flags)
        assert done.returncode == 0 and done.stdout, (flags, base, need, done.stderr)
        assert within(base + need - 16 * MB, *flags).returncode > 0  # no slack hides what is left out


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps terabytes")
def test_36_less_address_space_than_it_needs_is_a_refusal():
    """RLIMIT_AS from far too little to enough: a refusal in words or a server that answers; never a signal, never a hang."""
    seen = set()
    for limit in (96, 192, 320, 448, 576, 1536):
        done = subprocess.run([BIN, "run", MODEL, "--threads", "2", "--kv-cache-memory", "256M", "--max-tokens", "4", "Hello"], capture_output=True,
                              timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit * MB, limit * MB)))
        assert done.returncode >= 0, (limit, done.returncode, done.stderr)
        assert done.stdout if done.returncode == 0 else done.stderr, limit
        assert b"core dumped" not in done.stderr
        seen.add(done.returncode == 0)
    assert seen == {True, False}, "the limits do not span what it needs"


# ---- nobody's bytes ----------------------------------------------------------------------------------------------------

def picture(color, size=(32, 32)):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def mix():
    """Requests through every kind of buffer: text, logprobs, stream, pictures, errors, lists."""
    see = {**ask("What is it?", logprobs=True, top_logprobs=3), "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": picture("red")}}, {"type": "text", "text": "What is it?"}]}]}
    for body in (GOLDEN, {**GOLDEN, "logprobs": True, "top_logprobs": 5}, {**GOLDEN, "temperature": 0.9, "n": 3}, see,
                 {**GOLDEN, "stream": True}, {**see, "stream": True}, {**GOLDEN, "model": "x" * 300}, {**GOLDEN, "n": 1000},
                 {**see, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]}):
        yield "POST", CHAT, json.dumps(body).encode()
    yield "POST", CHAT, b"{"
    yield "POST", COMPLETIONS, json.dumps({"prompt": "Hello", "temperature": 0, "max_tokens": 8, "echo": True, "logprobs": 3}).encode()
    yield "POST", "/tokenize", json.dumps({"prompt": "Hello there"}).encode()
    yield "POST", "/detokenize", json.dumps({"tokens": [65, 66, 67]}).encode()
    for path in ("/v1/models", "/v1/plugins", "/openapi.json", "/v1/models/none", "/nowhere", "/livez", "/readyz"):
        yield "GET", path, None


def answers(server):
    out = []
    for method, path, data in mix():
        status, headers, body = server.request(method, path, data, JSON if data else {})
        if headers["content-type"].startswith("text/event-stream"):  # how tokens are bundled is a matter of time
            events = [json.loads(e[6:]) for e in body.split(b"\n\n") if e.startswith(b"data: {")]
            deltas = [(c["index"], c["delta"].get("content"), (c["logprobs"] or {}).get("content")) for e in events for c in e["choices"]]
            body = repr(["".join(t or "" for _, t, _ in deltas), [p for _, _, l in deltas for p in l or []], events[-1]["choices"]]).encode()
        body = re.sub(rb'"id":"(chatcmpl|cmpl)-[^"]*"|"created":\d+|"(calls|failures|media_bytes)":\d+', b"", body)
        out.append((method, path, status, {k: v for k, v in headers.items() if k not in ("date", "x-request-id")}, body))
    return out


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has its own malloc")
def test_68_no_answer_depends_on_what_lay_in_memory():
    """Fresh and freed memory filled with three different bytes by the C library: every answer stays the same, to the byte."""
    seen = []
    for fill in (0, 0x5A, 0xFF):
        with Server(env={"GLIBC_TUNABLES": "glibc.malloc.perturb=%d" % fill}) as server:
            answers(server)
            seen.append(answers(server))
            log = server.log().encode("utf-8", "surrogateescape")
        for text in [log] + [a[4] for a in seen[-1]]:
            assert bytes([0x5A] * 8) not in text and bytes([0xA5] * 8) not in text and bytes(4) not in text
    assert len(seen[0]) > 12 and any(a[2] == 200 for a in seen[0]) and any(a[2] == 400 for a in seen[0])
    for other in seen[1:]:
        for a, b in zip(seen[0], other):
            assert a == b


def test_68_an_earlier_client_s_words_are_in_nobody_s_answer():
    """A canary through prompts, fields, headers and refused bodies; then everything that the next client can ask for."""
    canary = "CANARY-68-" + "q" * 200
    with Server() as server:
        for body in (ask(canary), {**ask(canary), "n": 4}, {**ask(), "model": canary}, {**ask(), canary: 1}, {**ask(), "stop": [canary]}):
            server.chat(body)
            server.stream(body)
        server.chat(json.dumps(ask(canary))[:-3])
        server.request("GET", "/v1/models/" + canary, headers={"X-Request-Id": canary, "User-Agent": canary})
        s = server.connect()
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + canary.encode() * 4)
        s.close()
        server.wait_idle()
        texts = [json.dumps(a[3]).encode() + a[4] for a in answers(server)]
        texts += [server.get("/metrics")[2], server.log().encode("utf-8", "surrogateescape")]
        s = server.connect()  # fewer bytes than were announced, after the same buffers held the canary
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
        s.shutdown(1)
        texts.append(b"".join(iter(lambda: s.recv(65536), b"")))
        s.close()
        for text in texts:
            assert b"CANARY-68" not in text and b"qqqqqqqq" not in text
