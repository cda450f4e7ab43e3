"""What the benches share: a server whose start is timed, streamed answers with the time of each piece, medians."""
import base64
import http.client
import io
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

REPO = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SENSORIUM_BIN", REPO / "build" / "sensorium"))
SAMPLE = REPO / "samples" / "model"


class Server:
    """One `sensorium serve` on a free port; started_s is exec to the first 200 of /readyz."""

    def __init__(self, model, *flags):
        self.log = tempfile.NamedTemporaryFile(prefix="sensorium-bench-", suffix=".log")
        begin = time.monotonic()
        self.process = subprocess.Popen([str(BIN), "serve", str(model), "--port", "0", *flags], stderr=self.log, stdout=subprocess.DEVNULL)
        self.port, deadline = None, begin + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(rb"listening on http://\S*?:(\d+)", pathlib.Path(self.log.name).read_bytes()) if not self.port else None
            self.port = int(found.group(1)) if found else self.port
            if self.port and self.get("/readyz")[0] == 200:
                self.started_s = time.monotonic() - begin
                return
            time.sleep(0.001)
        self.close()
        raise RuntimeError("the server did not become ready:\n" + pathlib.Path(self.log.name).read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read().decode()
        except OSError:
            return 0, ""
        finally:
            c.close()

    def histogram(self, name):
        """{upper bound: count in that bucket}"""
        counts, before = {}, 0
        for bound, total in re.findall(r'^sensorium_%s_bucket\{le="([^"]+)"\} (\d+)$' % name, self.get("/metrics")[1], re.M):
            counts[bound], before = int(total) - before, int(total)
        return counts

    def peak_bytes(self):
        return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/%d/status" % self.process.pid).read_text()).group(1)) * 1024


@dataclass
class Stream:
    text: str
    times: list      # seconds after the request was sent, one for each piece of text
    begin: float     # time.monotonic() when it was sent
    whole_s: float
    prompt_tokens: int
    completion_tokens: int

    @property
    def first_s(self):
        return self.times[0] if self.times else self.whole_s

    @property
    def gaps_ms(self):
        return [(b - a) * 1e3 for a, b in zip(self.times, self.times[1:])]


def picture_part(png):
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png).decode()}}


def ask(server, content, max_tokens, stop=None, **fields):
    """Streamed, temperature 0. With logprobs=True every token is an event. stop: an event after which the client leaves."""
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": max_tokens, "stream": True,
            "stream_options": {"include_usage": True}, **fields}
    data = json.dumps(body).encode()
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    begin = time.monotonic()
    c.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
    r = c.getresponse()
    if r.status != 200:
        raise RuntimeError("%d %s" % (r.status, r.read()))
    lines = []
    for line in r:
        if line.startswith(b"data: {"):
            lines.append((time.monotonic() - begin, line))
        if stop and stop.is_set():
            break
    whole = time.monotonic() - begin
    c.close()
    text, times, usage = "", [], {}
    for at, line in lines:  # parsed afterwards, so that it costs no latency
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(str(event["error"]))
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            if choice["delta"].get("content") or choice.get("logprobs"):
                times.append(at)
                text += choice["delta"].get("content") or ""
    return Stream(text, times, begin, whole, usage.get("prompt_tokens", 0), usage.get("completion_tokens", len(times)))


def drawn(seed, size=(320, 240)):
    """A PNG with a word on it, different for every seed."""
    from PIL import Image, ImageDraw, ImageFont
    image = Image.new("RGB", size, (250, 250, 250))
    ImageDraw.Draw(image).text((size[0] * 0.1, size[1] * 0.4), "word %d" % seed, font=ImageFont.load_default(size[1] // 5), fill=(20, 20, 60))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def bandwidth(threads):
    """Bytes a second that all threads together read."""
    import numpy as np
    parts = [np.ones(48 << 20, np.float32) for _ in range(threads)]
    best = 0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begin = time.monotonic()
            list(pool.map(np.max, parts))
            best = max(best, sum(p.nbytes for p in parts) / (time.monotonic() - begin))
    return best


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def median(values):
    return statistics.median(values) if values else float("nan")


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return "%s, %d cores, load %.1f" % (cpu.group(1) if cpu else "?", len(os.sched_getaffinity(0)), os.getloadavg()[0])


if __name__ == "__main__":
    sys.exit("a module")
