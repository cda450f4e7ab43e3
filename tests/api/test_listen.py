"""Recordings written down, by OpenAI's own client and byte by byte: promises that hold whatever the words are, so that a miniature with random
weights can keep them (checks 13, 14, 22, 46). Its windows are short: a few seconds of sound are many of them."""

import json
import math
import re
import socket
import struct
import time

import openai
import pytest

import contract
from harness import PATIENCE, REPO, TRANSCRIPTIONS, TRANSLATIONS, Server, ask, error_of, multipart, sample_that_sees, sse_events
from sounds import BOMBS, wav
from test_hearing_parts import audio_url, hear, input_audio

EAR = REPO / "tests" / "golden" / "hear" / "whisper"
SECONDS = 65.3  # three windows
SOUND = wav(SECONDS)
BLANKS = " \t\r\n"  # random weights say control characters, too


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server("--model", "ear=%s" % EAR, "--model", "eye=%s" % sample_that_sees(tmp_path_factory.mktemp("eye")), model=None) as s:
        yield s
        s.wait_idle()


@pytest.fixture(scope="module")
def client(server):
    document = contract.load(server.port, server.headers())

    def judge(response):
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.read()
            contract.check(document, response.request.method, response.request.url.path, response.status_code, response.headers, response.content)

    http = openai.DefaultHttpxClient(event_hooks={"response": [judge]})
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0, http_client=http)


@pytest.fixture(scope="module", params=["transcriptions", "translations"])
def write_down(client, request):
    """create(**fields) of either route."""
    create = getattr(client.audio, request.param).create

    def call(**fields):
        # where an answer looks wrong, and these do, others are drawn: a seed repeats them
        extra = {"seed": 7, **{k: fields.pop(k) for k in ("stream", "timestamp_granularities") if k in fields and request.param == "translations"}}
        return create(**{"model": "ear", "file": ("a.wav", SOUND), **fields}, extra_body=extra)
    call.task = request.param
    return call


def test_it_is_listed_as_one_that_transcribes(server):
    models = {m["id"]: m for m in json.loads(server.get("/v1/models")[2])["data"]}
    assert models["ear"]["transcribes"] and models["ear"]["input_modalities"] == ["audio"] and not models["eye"]["transcribes"]


def seconds_of(stamp):
    h, m, s = stamp.replace(",", ".").split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def test_every_format_says_the_same(write_down):
    verbose = write_down(response_format="verbose_json")
    assert abs(verbose.duration - SECONDS) < 0.01 and verbose.language in ("english", "german", "chinese")
    assert verbose.model_extra["task"] == ("translate" if write_down.task == "translations" else "transcribe")
    if write_down.task == "translations":
        assert verbose.language == "english"
    assert verbose.text == "".join(s.text for s in verbose.segments).strip(BLANKS)
    assert [s.id for s in verbose.segments] == list(range(len(verbose.segments)))
    last = 0
    for s in verbose.segments:
        assert last <= s.start + 1e-6 and s.start <= s.end <= verbose.duration + 0.02 and 0 <= s.seek <= 100 * s.start + 1e-6 and s.tokens is not None
        assert 0 <= s.no_speech_prob <= 1 and s.avg_logprob <= 0 and s.compression_ratio > 0 and 0 <= s.temperature <= 1
        last = s.start
    srt, vtt = write_down(response_format="srt"), write_down(response_format="vtt")
    cues = re.findall(r"(\d+)\n(\d\d:\d\d:\d\d,\d\d\d) --> (\d\d:\d\d:\d\d,\d\d\d)\n(.*)\n\n", srt)
    assert [int(c[0]) for c in cues] == [s.id + 1 for s in verbose.segments] and "".join("%s\n%s --> %s\n%s\n\n" % c for c in cues) == srt
    for c, s in zip(cues, verbose.segments):
        assert abs(seconds_of(c[1]) - s.start) < 0.001 and abs(seconds_of(c[2]) - s.end) < 0.001
    assert vtt.startswith("WEBVTT\n\n") and len(re.findall(r"\d\d:\d\d:\d\d\.\d\d\d --> ", vtt)) == len(cues)
    assert write_down(response_format="verbose_json").model_dump() == verbose.model_dump()


def test_json_and_text_say_the_same(write_down):
    plain = write_down()
    assert plain.text == plain.text.strip(BLANKS) and plain.model_dump()["usage"] == {"type": "duration", "seconds": math.ceil(SECONDS)}
    assert write_down(response_format="text") == plain.text + "\n"
    assert write_down(response_format="json").text == plain.text


def test_the_pieces_are_the_whole(server, write_down):
    path = TRANSLATIONS if write_down.task == "translations" else TRANSCRIPTIONS
    head, body = multipart({"file": SOUND, "model": "ear", "stream": "true", "seed": 7})
    status, headers, raw = server.request("POST", path, body, head)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    events = sse_events(raw)
    assert [e["type"] for e in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]
    assert "".join(e["delta"] for e in events[:-1]) == events[-1]["text"] == write_down().text
    assert all(e["delta"] for e in events[:-1])
    usage = events[-1]["usage"]
    assert usage["type"] == "tokens" and usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] and usage["output_tokens"] > 0


def test_the_sdk_streams(client):
    events = list(client.audio.transcriptions.create(model="ear", file=("a.wav", SOUND), stream=True))
    assert type(events[-1]).__name__ == "TranscriptionTextDoneEvent" and "".join(e.delta for e in events[:-1]) == events[-1].text


def test_words_have_times(write_down):
    both = write_down(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    words = both.model_dump()["words"] if "words" in both.model_dump() else both.model_extra["words"]
    assert both.segments and words
    last = 0
    for w in words:
        assert w["word"] == w["word"].strip(BLANKS) and last <= w["start"] + 1e-6 <= w["end"] + 2e-6 and w["end"] <= both.duration + 0.02
        last = w["start"]
    assert re.sub(r"[ \t\r\n]", "", "".join(w["word"] for w in words)) == re.sub(r"[ \t\r\n]", "", both.text)
    only = write_down(response_format="verbose_json", timestamp_granularities=["word"])
    assert only.segments is None


def test_a_seed_repeats_what_is_drawn(server):
    ask_with = lambda seed: server.form({"file": SOUND, "model": "ear", "temperature": "1", "seed": seed})[2]["text"]
    texts = [ask_with(s) for s in (1, 1, 2, 3, 4)]
    assert texts[0] == texts[1] and len(set(texts)) > 1


def test_the_first_model_that_hears_is_the_default(server):
    assert server.form({"file": SOUND})[2] == server.form({"file": SOUND, "model": "ear"})[2]


@pytest.mark.parametrize("fields,status,param", [
    ({"model": "eye"}, 400, "model"), ({"model": "nose"}, 404, "model"), ({"model": "ear", "language": "xx"}, 400, "language"),
    ({"model": "ear", "file": b"hello"}, 415, "file"), ({"model": "ear", "file": b"\x89PNG\r\n\x1a\n" + bytes(64)}, 415, "file")])
def test_what_cannot_be_is_named(server, fields, status, param):
    for path in (TRANSCRIPTIONS, TRANSLATIONS):
        got, _, answer = server.form({"file": SOUND, **fields}, path)
        assert got == status and error_of(answer)["param"] == param, answer


def test_it_has_no_chat(server):
    status, _, answer = server.chat({**ask(), "model": "ear"})
    assert status == 400, answer
    error_of(answer)


# ---- hostile sound (check 22): the same on all paths -------------------------------------------------------------------------

def ways(data, fmt):
    mime = {"mp3": "audio/mpeg"}.get(fmt, "audio/" + fmt)
    yield "transcriptions", lambda s: s.form({"file": data, "model": "ear"}, TRANSCRIPTIONS)
    yield "translations", lambda s: s.form({"file": data, "model": "ear"}, TRANSLATIONS)
    yield "input_audio", lambda s: s.chat({**hear(input_audio(data, fmt)), "model": "ear"})
    yield "audio_url", lambda s: s.chat({**hear(audio_url(data, mime)), "model": "ear"})


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_cheap_on_every_path(server, name):
    data, fmt, allowed = BOMBS[name]()
    for way, call in ways(data, fmt):
        before, start = server.memory_peak(), time.monotonic()
        status, _, answer = call(server)
        assert status in (*allowed, 400), (way, answer)
        assert time.monotonic() - start < (5 if 200 in allowed else 2) * PATIENCE, way
        assert server.memory_peak() - before < (200 << 20) * PATIENCE, way
        if status >= 400:
            error_of(answer)
    server.wait_idle()


def test_a_recording_cut_anywhere_is_never_a_500(server):
    whole = wav(0.3)
    for percent in range(1, 100):
        status, _, answer = server.form({"file": whole[:len(whole) * percent // 100], "model": "ear"})
        assert status in (200, 400, 413, 415), (percent, answer)
    server.wait_idle()


# ---- who leaves (check 46) -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("reset", [True, False])
def test_who_leaves_frees_all_pages(server, stream, reset):
    head, body = multipart({"file": wav(60), "model": "ear", "stream": stream})
    s = server.connect()
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (TRANSCRIPTIONS.encode(), head["Content-Type"].encode(), len(body)) + body)
    deadline = time.monotonic() + 10
    while server.metrics()["sensorium_num_requests_running"] == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    assert server.wait_idle() < 2 * PATIENCE
