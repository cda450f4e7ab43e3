"""The log tells what happened, to whom, and never what was said (goals 66, 67)."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from harness import JSON, Server, ask

KEY = "sk-canary-5551212"
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info |warn |error) \S+ +\S.*$")


@pytest.fixture
def server():
    with Server(env={"SENSORIUM_API_KEY": KEY}, key=KEY) as s:
        yield s


def test_every_line_is_one_event(server):
    server.get("/v1/models")
    server.chat(ask())
    server.chat(b"{")
    for line in server.log().splitlines():
        assert LINE.match(line), line


def test_an_answer_has_one_line_with_its_id(server):
    headers = server.get("/v1/models")[1]
    lines = [x for x in server.wait_log(headers["x-request-id"]).splitlines() if headers["x-request-id"] in x]
    assert len(lines) == 1 and re.search(r"GET /v1/models 200 [\d.]+ ms \d+ bytes$", lines[0])
    server.get("/v1/models/some-name")
    assert "some-name" not in server.wait_log("/v1/models/{id}")


def picture():
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def look(server, request_id):
    body = ask("What is it?")
    body["messages"][0]["content"] = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture()}},
                                      {"type": "text", "text": "What is it?"}]
    return server.request("POST", "/v1/chat/completions", json.dumps(body), {**JSON, "X-Request-Id": request_id})


def test_one_id_selects_the_whole_way(server):
    assert look(server, "way-1")[0] == 200
    server.wait_log("POST /v1/chat/completions")
    topics = {line.split()[2] for line in server.log().splitlines() if " way-1 " in line}
    plugins = {p["id"]: p["kind"] for p in json.loads(server.get("/v1/plugins")[2])["data"]}
    assert {"http", "engine", "media"} | {p for p, kind in plugins.items() if kind == "image"} <= topics
    assert not topics & {p for p, kind in plugins.items() if kind != "image"}  # nobody else was asked


def test_a_picture_seen_before_is_not_encoded_again(server):
    def runs():
        return server.metrics()["sensorium_encoder_runs_total"]
    before = runs()
    for i in range(3):
        assert look(server, "again-%d" % i)[0] == 200
    assert runs() == before + 1


def test_nothing_that_was_said_is_written(server, tmp_path):
    words, media = "CANARY-PROMPT-9911", picture()
    body = ask(words, user=words, metadata={"x": words}, stop=[words])
    answers = [server.chat(body)[2], server.chat({**body, "temperature": words})[2], server.chat({**body, words.replace("-", "_"): 1})[2]]
    server.stream(body)
    image = ask()
    image["messages"] = [{"role": "user", "content": [{"type": "text", "text": words},
                                                      {"type": "image_url", "image_url": {"url": "data:image/png;base64," + media}}]}]
    server.chat(image)
    server.chat({**image, "model": words})
    server.chat({"messages": [{"role": words, "content": words}]})
    server.chat(json.dumps(body)[:-2].encode())
    server.request("GET", "/v1/models/" + words + "?" + words, headers={"X-Request-Id": words + " ", "User-Agent": words})
    server.request("GET", "/" + words, headers={"Authorization": "Bearer " + words})
    server.request(words.replace("-", ""), "/v1/models")
    said = [a["choices"][0]["message"]["content"] for a in answers if "choices" in a]
    metrics = server.get("/metrics")[2].decode()
    server.process.terminate()
    server.process.wait(10)
    log = server.log()
    for secret in [words, words.replace("-", ""), media, media[:40], KEY] + [s for s in said if len(s) > 8]:
        assert secret not in log and secret not in metrics
    for answer in answers[1:]:
        assert words not in json.dumps(answer)


INJECTIONS = ["a\r\n2026-01-01T00:00:00.000Z error forged forged line", "\x1b[31mred", "\x9b31m", "\xff\xfe", "%0d%0aforged", "a\x00b", "\u2028forged"]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_can_be_forged(text, style):
    with Server("--log-format", style) as s:
        raw = text.encode("utf-8", "surrogateescape")
        s.raw(b"GET /" + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=2)
        s.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: " + raw + b"\r\nUser-Agent: " + raw + b"\r\n\r\n", timeout=2)
        s.raw(raw + b" /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=2)
        for field in ("model", "user"):
            s.chat({**ask(), field: text})
        s.chat({"messages": [{"role": text, "content": text}]})
        log = s.log()
        assert not re.search(r"(?m)^.{0,40}forged", log)
        for line in log.splitlines():
            assert all(c == "\t" or ord(c) >= 0x20 for c in line) and "\x1b" not in line and "\x9b" not in line
            if style == "json":
                assert {"time", "level", "topic", "text"} <= set(json.loads(line))
            else:
                assert LINE.match(line), line


def test_methods_and_routes_make_no_new_labels(server):
    for i in range(50):
        server.request("GET", "/random/%d" % i)
        server.request("GET", "/v1/models/random-%d" % i)
        server.chat({**ask(), "model": "random-%d" % i})
    text = server.get("/metrics")[2].decode()
    assert "random" not in text
    assert len(set(re.findall(r'route="([^"]*)"', text))) <= 8
