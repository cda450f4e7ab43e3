"""Sound in the chat of a model that hears, end to end: every way in, every format, what is counted, hostile recordings, and who leaves
(goals 6, 18, 22, 46). The ear's weights are random (towers.py), so nothing here is about the words."""

import json
import socket
import struct
import time

import pytest

import towers
from harness import CHAT, PATIENCE, REPO, TRANSCRIPTIONS, TRANSLATIONS, Baseline, Server, error_of, multipart, run, sse_events
from sounds import BOMBS, flac_silence, wav
from test_hearing_parts import audio_url, hear, input_audio
from test_towers import image


def corpus(name):
    """A recording of the fuzz target's; what its first byte says is for the target."""
    return (REPO / "tests" / "fuzz" / "corpus" / "audio" / name).read_bytes()[1:]


# input_audio's format: (the recording, its type)
FORMATS = {"wav": (corpus("pcm16.wav"), "audio/wav"), "mp3": (corpus("44100.mp3"), "audio/mpeg"), "flac": (corpus("16.flac"), "audio/flac")}
RUNS = "sensorium_encoder_runs_total"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return towers.sees_and_hears(tmp_path_factory.mktemp("hears"))


@pytest.fixture(scope="module")
def server(folder):
    with Server("--header-timeout", "2", "--body-timeout", "3", "--keep-alive-timeout", "1", model=folder) as s:
        s.baseline = Baseline(s)
        yield s


def heard(server, *parts, **fields):
    """-> (the answer's choices, prompt_tokens)"""
    status, _, answer = server.chat(hear(*parts, **{"seed": 7, **fields}))
    assert status == 200, answer
    return answer["choices"], answer["usage"]["prompt_tokens"]


# ---- ways and formats --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fmt", FORMATS)
def test_both_ways_hear_the_same(server, fmt):
    data, mime = FORMATS[fmt]
    before = server.metrics()
    one, other = heard(server, input_audio(data, fmt)), heard(server, audio_url(data, mime))
    after = server.metrics()
    assert one == other and heard(server, input_audio(data, fmt), audio_url(data, mime))[1] > one[1]
    assert after[RUNS] == before[RUNS] + 1


def test_a_sound_is_told_by_its_bytes(server):
    for part in (input_audio(FORMATS["flac"][0], "wav"), audio_url(FORMATS["flac"][0], "audio/wav"), input_audio(FORMATS["wav"][0], "flac")):
        status, _, answer = server.chat(hear(part))
        assert status == 415, answer
        error_of(answer)
    for format in ("", "exe", "WAVE", "x" * 100):
        status, _, answer = server.chat(hear(input_audio(wav(), format)))
        assert status in (400, 415) and error_of(answer)["param"].startswith("messages"), answer


def test_several_sounds_are_several(server):
    a, b = input_audio(wav(0.5)), audio_url(wav(1.0))
    one, two = heard(server, a)[1], heard(server, b)[1]
    more_a, more_b = heard(server, a, a)[1] - one, heard(server, b, b)[1] - two
    assert 0 < more_a < more_b and heard(server, a, b)[1] == one + more_b == two + more_a == heard(server, b, a)[1]
    assert heard(server, *[a] * 16)[1] == one + 15 * more_a
    status, _, answer = server.chat(hear(*[a] * 17))
    assert status == 400 and "of kind audio" in error_of(answer)["message"]


def test_a_long_sound_has_many_windows(server):
    """As many rows a second as a short one has."""
    text, short = heard(server)[1], heard(server, input_audio(wav(1.2)))[1]
    long = heard(server, input_audio(wav(12)))[1]
    assert abs((long - text) - 10 * (short - text)) <= 10


def test_a_sound_and_a_picture_go_together(server):
    before = server.metrics()[RUNS]
    sound = wav(0.7)
    first, again = heard(server, image(), input_audio(sound)), heard(server, image(), input_audio(sound))
    assert first == again and server.metrics()[RUNS] == before + 2
    assert heard(server, input_audio(sound), image())[1] - heard(server, input_audio(sound))[1] == heard(server, image(), image())[1] - heard(server, image())[1]
    status, _, raw = server.stream({**hear(image(), input_audio(sound), seed=7), "stream_options": {"include_usage": True}})
    events = sse_events(raw)
    assert status == 200 and events[-1]["usage"]["prompt_tokens"] == first[1]
    assert "".join(c["delta"].get("content") or "" for e in events for c in e["choices"]) == first[0][0]["message"]["content"]


def test_a_sound_heard_before_costs_no_run(server):
    sound = wav(0.9)
    before = server.metrics()
    first = heard(server, input_audio(sound))
    once = server.metrics()
    assert once[RUNS] == before[RUNS] + 1
    for part in (input_audio(sound), audio_url(sound)):
        assert heard(server, part) == first
        assert heard(server, part, part)[1] > first[1]
    assert server.metrics()[RUNS] == once[RUNS]


def test_what_is_heard_matters(server):
    """Another sound is another prompt: the probabilities say so."""
    sounds = [wav(0.5), wav(0.51), FORMATS["wav"][0], flac_silence(0.5)]
    said = [json.dumps(heard(server, input_audio(s, "flac" if s[:4] == b"fLaC" else "wav"), logprobs=True, top_logprobs=5)[0]) for s in sounds]
    assert len(set(said)) == len(sounds)


def test_a_program_run_hears_the_same(server, folder, tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(0.5))
    code, out, err = run("run", "--audio", str(tmp_path / "a.wav"), "--max-tokens", "4", "--temperature", "0", folder, "What is said?")
    assert code == 0, err
    assert out.rstrip("\n") == heard(server, input_audio(wav(0.5)))[0][0]["message"]["content"].rstrip("\n")


# ---- written down by a chat ----------------------------------------------------------------------------------------------------

PATHS = pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])


@PATHS
def test_a_chat_writes_it_down(server, path):
    form = {"file": wav(0.5), "model": towers.NAME, "seed": "7"}
    status, _, whole = server.form(form, path)
    assert status == 200 and whole["usage"]["type"] == "tokens" and whole["usage"]["input_tokens"] > 4
    assert whole["usage"]["total_tokens"] == whole["usage"]["input_tokens"] + whole["usage"]["output_tokens"]
    status, headers, text = server.form({**form, "response_format": "text"}, path)
    assert status == 200 and headers["content-type"].startswith("text/plain") and text.decode() == whole["text"] + "\n"
    head, body = multipart({**form, "stream": "true"})
    status, _, raw = server.request("POST", path, body, head)
    events = sse_events(raw)
    assert status == 200 and [e["type"] for e in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]
    assert "".join(e["delta"] for e in events[:-1]) == events[-1]["text"] == whole["text"] and events[-1]["usage"] == whole["usage"]
    assert server.form({k: form[k] for k in ("file", "seed")}, path)[2] == whole  # the first model that hears is the default


@PATHS
@pytest.mark.parametrize("form", ["srt", "vtt", "verbose_json"])
def test_a_chat_tells_no_times(server, path, form):
    status, _, answer = server.form({"file": wav(0.5), "model": towers.NAME, "response_format": form}, path)
    assert status == 400 and error_of(answer)["param"] == "response_format" and "json or text" in error_of(answer)["message"]


# ---- hostile sound (check 22), by a model that takes sound in its chat: all four ways ----------------------------------------

def ways(data, fmt):
    mime = {"mp3": "audio/mpeg"}.get(fmt, "audio/" + fmt)
    yield "input_audio", lambda s: s.chat(hear(input_audio(data, fmt)))
    yield "audio_url", lambda s: s.chat(hear(audio_url(data, mime)))
    yield "transcriptions", lambda s: s.form({"file": data}, TRANSCRIPTIONS)
    yield "translations", lambda s: s.form({"file": data}, TRANSLATIONS)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_cheap_in_a_chat(server, name):
    data, fmt, allowed = BOMBS[name]()
    for way, call in ways(data, fmt):
        before, start = server.memory_peak(), time.monotonic()
        status, _, answer = call(server)
        assert status in allowed, (way, answer)
        assert time.monotonic() - start < (5 if 200 in allowed else 2) * PATIENCE, way
        assert server.memory_peak() - before < (200 << 20) * PATIENCE, way
        if status >= 400:  # by what it is, not because the model would not hear
            assert "takes audio" not in error_of(answer)["message"], way
    server.baseline.check(server)


def test_a_recording_cut_anywhere_is_never_a_500_in_a_chat(server):
    for fmt, (whole, mime) in FORMATS.items():
        for percent in range(0, 100, 3):
            part = whole[:len(whole) * percent // 100]
            for way in (input_audio(part, fmt), audio_url(part, mime)):
                status, _, answer = server.chat(hear(way))
                assert status in (200, 400, 413, 415), (fmt, percent, answer)
    server.baseline.check(server)


# ---- who leaves (check 46) -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("when", ["hears", "speaks"])
def test_who_leaves_a_chat_frees_all_pages(server, stream, reset, when):
    """As soon as the request is there, and while its choices are made: far from their end, so that it is the leaving that ends them."""
    sound = flac_silence(30 + 2 * stream + 4 * reset + 8 * (when == "hears"))  # one of its own each time: in no cache
    body = json.dumps(hear(image(), input_audio(sound, "flac"), stream=stream, max_tokens=1500, ignore_eos=True, n=16)).encode()
    before = server.metrics()["sensorium_request_cancelled_total"]
    s = server.connect()
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        m = server.metrics()
        if m["sensorium_kv_pages_free"] < m["sensorium_kv_pages_total"] if when == "speaks" else m["sensorium_num_requests_waiting"] + m["sensorium_num_requests_running"] > 0:
            break
        time.sleep(0.002)
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    assert server.wait_idle() < 2 * PATIENCE
    assert server.metrics()["sensorium_request_cancelled_total"] == before + 1
    server.baseline.check(server)
