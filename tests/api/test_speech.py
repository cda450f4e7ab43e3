"""Words become sound: /v1/audio/speech by the SDK and by hand, voices, spoken answers of a chat, and `sensorium speak`."""

import base64
import http.client
import json
import struct
import time

import openai
import pytest

import speakers
from sounds import data_chunk, flac_silence, flac_steps, fmt_chunk, riff, tone
from harness import CHAT, JSON, PATIENCE, Server, error_of, run, sample_that_sees, sse_events
from test_towers import PICTURE

SPEECH, VOICES = "/v1/audio/speech", "/v1/audio/voices"
TEXT = "One. Two three. A longer sentence comes behind it, and then it ends."
WAV = "data:audio/wav;base64," + base64.b64encode(b"RIFF").decode()
TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm;rate=24000;channels=1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """-> folder of plugins, folder for models"""
    folder = tmp_path_factory.mktemp("speech")
    return speakers.plugins(folder / "plugins"), folder


@pytest.fixture(scope="module")
def server(home):
    plugins, folder = home
    with Server("--plugin-dir", plugins, model=speakers.pair(folder / "pair")) as s:
        yield s


@pytest.fixture(scope="module")
def sdk(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def sdk_of():
    return lambda s: openai.OpenAI(base_url=f"http://127.0.0.1:{s.port}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def skilled(home):
    """One that can be told a language, follows instructions and has a recording to speak like."""
    plugins, folder = home
    with Server("--plugin-dir", plugins, model=speakers.speaker(folder / "skilled", skills=1)) as s:
        yield s


def say(server, text=TEXT, **fields):
    """-> (status, headers, bytes)"""
    return server.request("POST", SPEECH, json.dumps({"model": "voice", "input": text, "seed": 5, **fields}).encode(), JSON)


def refused(server, **fields):
    status, _, body = say(server, **fields)
    return status, error_of(json.loads(body))


def events(data):
    lines = [line[6:] for line in data.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.fixture(scope="module")
def pcm(server):
    status, _, body = say(server, response_format="pcm")
    assert status == 200 and len(body) % (2 * speakers.FRAME) == 0 and len(body) > 20 * speakers.FRAME
    return body


# ---- /v1/audio/speech ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", TYPES)
def test_every_format(server, pcm, form):
    status, headers, body = say(server, response_format=form)
    assert status == 200 and headers["content-type"] == TYPES[form]
    assert headers["transfer-encoding"] == "chunked" and "content-length" not in headers and headers["x-accel-buffering"] == "no"
    if form == "pcm":
        assert body == pcm
    if form == "wav":  # the length is not known when the header is sent
        assert body[:4] + body[8:16] == b"RIFFWAVEfmt " and body[4:8] == body[40:44] == b"\xff" * 4
        assert struct.unpack("<HHIIHH", body[20:36]) == (1, 1, speakers.RATE, 2 * speakers.RATE, 2, 16)
        assert body[44:] == pcm
    if form == "flac":
        assert body[:4] == b"fLaC" and len(body) < len(pcm)
    if form == "opus":
        assert body[:4] == b"OggS" and b"OpusHead" in body[:64]
    if form == "mp3":
        assert body[0] == 0xFF and b"LAME" in body[:64]
    if form in ("opus", "mp3"):
        assert len(pcm) / 40 < len(body) < len(pcm) / 3


def test_mp3_is_what_comes_if_nothing_is_said(server):
    status, headers, body = say(server)
    assert status == 200 and headers["content-type"] == "audio/mpeg"
    assert body == say(server, response_format="mp3")[2]


def test_the_sdk(sdk, pcm):
    answer = sdk.audio.speech.create(model="voice", voice="default", input=TEXT, response_format="pcm", extra_body={"seed": 5})
    assert answer.content == pcm
    with sdk.audio.speech.with_streaming_response.create(model="voice", voice="high", input=TEXT, response_format="pcm",
                                                         extra_body={"seed": 5}) as stream:
        assert b"".join(stream.iter_bytes(1000)) == pcm


def test_seeds_and_voices(server, pcm):
    assert say(server, response_format="pcm")[2] == pcm
    assert say(server, response_format="pcm", voice="high")[2] == pcm
    assert say(server, response_format="pcm", seed=6)[2] != pcm
    assert say(server, response_format="pcm", voice="low")[2] != pcm
    cold = say(server, response_format="pcm", temperature=0)[2]
    assert cold == say(server, response_format="pcm", temperature=0, seed=6)[2]


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 4])
def test_speed(server, pcm, speed):
    body = say(server, response_format="pcm", speed=speed)[2]
    assert abs(len(body) * speed / len(pcm) - 1) < 0.1


def test_bytes_come_as_they_are_made(server):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    start = time.monotonic()
    c.request("POST", SPEECH, json.dumps({"model": "voice", "input": "Many words are said here, again and again. " * 30, "response_format": "pcm"}), JSON)
    r = c.getresponse()
    assert r.status == 200
    first = len(r.read1(1 << 16))
    heard = time.monotonic() - start
    rest = len(r.read())
    whole = time.monotonic() - start
    c.close()
    assert 0 < first < rest and heard < whole / 2
    assert first + rest > 5 * speakers.RATE * 2


def test_events(server, pcm):
    status, headers, body = say(server, response_format="pcm", stream_format="sse")
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    told = events(body)
    assert [e["type"] for e in told] == ["speech.audio.delta"] * (len(told) - 1) + ["speech.audio.done"] and len(told) > 3
    assert b"".join(base64.b64decode(e["audio"]) for e in told[:-1]) == pcm
    assert base64.b64decode("".join(e["audio"] for e in told[:-1])) == pcm
    usage = told[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] > 10 and usage["output_tokens"] >= len(pcm) / 2 / speakers.FRAME
    told = events(say(server, stream_format="sse")[2])
    assert base64.b64decode("".join(e["audio"] for e in told[:-1])) == say(server)[2]


@pytest.mark.parametrize("fields, param", [
    ({"text": ""}, "input"), ({"text": None}, "input"), ({"text": 7}, "input"), ({"text": "x" * 4097}, "input"), ({"text": "ä" * 4097}, "input"),
    ({"response_format": "aac"}, "response_format"), ({"response_format": "ogg"}, "response_format"), ({"response_format": 1}, "response_format"),
    ({"voice": {"id": "voice_1"}}, "voice"), ({"voice": "alloy"}, "voice"), ({"voice": ""}, "voice"), ({"voice": 3}, "voice"),
    ({"speed": 0.24}, "speed"), ({"speed": 4.01}, "speed"), ({"speed": "1"}, "speed"), ({"instructions": "Cheerfully."}, "instructions"),
    ({"stream_format": "ws"}, "stream_format"), ({"language": "English"}, "language"), ({"temperature": 2.1}, "temperature"),
    ({"seed": 1.5}, "seed"), ({"ref_audio": "x"}, "ref_audio"), ({"stream": True}, "stream"), ({"nonsense": 1}, "nonsense"),
    ({"model": "chat"}, "model"), ({"instructions": 1}, "instructions"), ({"instructions": "ß" * 4097}, "instructions"), ({"language": ""}, "language"),
    ({"language": 1}, "language"), ({"ref_audio": ""}, "ref_audio"), ({"ref_audio": WAV}, "ref_audio"), ({"ref_audio": {"data": "AAAA"}}, "ref_audio"),
    ({"ref_audio": {"data": "AAAA", "format": "wav", "x": 1}}, "ref_audio"), ({"ref_audio": {"data": "AAAA", "format": "wav"}}, "ref_audio"),
    ({"ref_text": "Hello."}, "ref_text"), ({"x_vector_only_mode": True}, "x_vector_only_mode"), ({"x_vector_only_mode": 1}, "x_vector_only_mode"),
    ({"ref_audio": WAV, "ref_text": "Hello."}, "ref_text"), ({"ref_audio": WAV, "ref_text": "Hello.", "x_vector_only_mode": False}, "ref_text"),
    ({"ref_audio": WAV, "ref_text": 1}, "ref_text"), ({"task_type": "Base"}, "task_type"), ({"task_type": "VoiceDesign"}, "task_type"),
    ({"task_type": "x"}, "task_type"), ({"ref_audio": WAV, "task_type": "CustomVoice"}, "task_type"),
    ({"task_type": "VoiceDesign", "instructions": ""}, "task_type"), ({"task_type": "VoiceDesign", "instructions": "Old.", "voice": "low"}, "task_type"),
    ({"task_type": "VoiceDesign", "instructions": "Old.", "ref_audio": WAV}, "task_type"), ({"task_type": "VoiceDesign", "instructions": "Old."}, "instructions"),
])
def test_what_is_wrong_is_refused_by_name(server, fields, param):
    status, error = refused(server, **fields)
    assert (status, error["param"]) == (400, param), error


def test_what_asks_for_nothing_is_taken(server, pcm):
    """Defaults of clients that always send them; OpenAI's instructions and vLLM-Omni's fields."""
    assert say(server, response_format="pcm", instructions="", language="Auto", x_vector_only_mode=False, task_type="CustomVoice", ref_text="",
               ref_audio=None, voice="default")[2] == pcm


def test_what_a_model_cannot_do_is_refused_before_it_is_read(server):
    """A file and a host that nobody may reach are not what is told: the model's part comes first."""
    for ref in (WAV, "http://127.0.0.1:9/x.wav", "file:///etc/passwd", {"data": "!", "format": "wav"}):
        status, error = refused(server, ref_audio=ref)
        assert (status, error["code"], error["param"]) == (400, "unsupported", "ref_audio") and "voice does not speak in the voice of a recording" in error["message"]
    status, error = refused(server, language="english")
    assert error["code"] == "unsupported" and "cannot be told a language" in error["message"]
    status, error = refused(server, instructions="Cheerfully.")
    assert error["code"] == "unsupported" and "does not follow instructions" in error["message"]


def test_input_is_counted_in_characters(server):
    status, error = refused(server, text="ß" * 4097)
    assert status == 400 and "4096" in error["message"]
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    c.request("POST", SPEECH, json.dumps({"model": "voice", "input": "ß" * 4096}), JSON)
    assert c.getresponse().status == 200
    c.close()  # it would be a long one
    server.wait_idle()


def test_a_model_that_cannot_speak(server, home, tmp_path):
    status, error = refused(server, model="chat")
    assert status == 400 and error["code"] == "unsupported" and "does not speak" in error["message"]
    status, error = refused(server, model="nobody")
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    with Server("--plugin-dir", home[0], model=sample_that_sees(tmp_path)) as mute:
        status, error = refused(mute, model=None)
        assert status == 400 and "no model here that speaks" in error["message"]
        assert json.loads(mute.get(VOICES)[2]) == {"object": "list", "data": [], "voices": [], "models": []}
        status, _, answer = mute.chat(spoken())
        assert status == 400 and error_of(answer)["param"] == "modalities" and "speak" in error_of(answer)["message"]


def test_nobody_listens(server):
    """A closed socket frees the pages, whatever is still to be said."""
    s = server.connect()
    body = json.dumps({"model": "voice", "input": "Nobody will ever hear this, and it is long. " * 90, "response_format": "pcm"}).encode()
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (SPEECH.encode(), len(body)) + body)
    assert b"200 OK" in s.recv(1000)
    s.close()
    assert server.wait_idle() < 2 * PATIENCE


def test_who_reads_late_loses_nothing(server, pcm):
    s = server.connect()
    body = json.dumps({"model": "voice", "input": TEXT, "seed": 5, "response_format": "pcm"}).encode()
    s.sendall(b"POST %s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (SPEECH.encode(), len(body)) + body)
    time.sleep(1)
    data = b""
    while piece := s.recv(1 << 16):
        data += piece
    s.close()
    assert data.split(b"\r\n\r\n", 1)[1] == pcm


def assert_failed(server, route, n):
    """So many answers of this route were counted as failed once the server is at rest, none as good ones."""
    server.wait_idle()
    assert server.counted(route, 500, n) == n and server.answers(route, 200) == 0


def test_sound_that_cannot_begin(home):
    """Before the first byte it is an HTTP error, in whatever shape it was asked for."""
    plugins, folder = home
    with Server("--plugin-dir", plugins, model=speakers.pair(folder / "breaks-at-once", fails_at=0)) as s:
        for n in (1, 2):  # and it is not the last answer
            for fields in ({}, {"response_format": "pcm"}, {"stream_format": "sse"}):
                status, error = refused(s, **fields)
                assert status == 500 and error["type"] == "server_error" and "whistle" in error["message"]
            assert_failed(s, SPEECH, 3 * n)
            status, _, answer = s.chat(spoken())
            assert status == 500 and error_of(answer)["type"] == "server_error"
            assert_failed(s, CHAT, n)
        assert s.chat(spoken(modalities=["text"], audio=None))[0] == 200


def test_15_sound_that_breaks_down_in_mid_stream(home):
    """Bytes have no end; events end in one that tells the error, and [DONE]. Log and counters say that it failed, and it is not the last answer."""
    plugins, folder = home
    with Server("--plugin-dir", plugins, model=speakers.pair(folder / "breaks", fails_at=3)) as s:
        for n in (1, 2):
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
            c.request("POST", SPEECH, json.dumps({"model": "voice", "input": TEXT, "temperature": 0, "response_format": "pcm"}), JSON)
            r = c.getresponse()
            assert r.status == 200
            with pytest.raises(http.client.IncompleteRead) as cut:
                r.read()
            assert len(cut.value.partial) > 0
            c.close()
            assert_failed(s, SPEECH, 2 * n - 1)
            told = events(say(s, temperature=0, stream_format="sse", response_format="pcm")[2])
            assert error_of(told[-1])["type"] == "server_error" and told[0]["type"] == "speech.audio.delta"
            assert all(e["type"] == "speech.audio.delta" for e in told[:-1])
            assert_failed(s, SPEECH, 2 * n)
            status, headers, raw = s.stream(spoken(audio={"format": "pcm16"}))  # read to its end, so its chunks have one
            told = sse_events(raw)
            assert status == 200 and error_of(told[-1])["type"] == "server_error" and all("choices" in e for e in told[:-1])
            assert any(e["choices"][0]["delta"].get("audio", {}).get("data") for e in told[:-1])
            assert not any(e["choices"][0]["finish_reason"] for e in told[:-1])
            assert_failed(s, CHAT, 2 * n - 1)
            status, _, answer = s.chat(spoken())
            assert status == 500 and error_of(answer)["type"] == "server_error"
            assert_failed(s, CHAT, 2 * n)
        lines = [line for line in s.log().splitlines() if "in mid-stream" in line]
        assert len(lines) == 6 and all(" 500 " in line and "POST /v1/" in line for line in lines)


# ---- what there is -----------------------------------------------------------------------------------------------------


def test_voices_and_models(server, sdk):
    listed = json.loads(server.get(VOICES)[2])
    assert listed["voices"] == ["default", "high", "low"]
    assert listed["models"] == [{"model": "voice", "languages": [], "instructions": False, "ref_audio": False}]
    assert [(v["name"], v["language"], v["model"], v["sample_rate"]) for v in listed["data"]] == [
        ("default", "en", "voice", 24000), ("high", "en", "voice", 24000), ("low", None, "voice", 24000)]
    models = {m.id: m for m in sdk.models.list().data}
    assert (models["voice"].speaks, models["voice"].output_modalities) == (True, ["audio"])
    assert (models["chat"].speaks, models["chat"].output_modalities) == (False, ["text", "audio"])


def test_skills_are_told(skilled):
    listed = json.loads(skilled.get(VOICES)[2])
    assert listed["models"] == [{"model": "voice", "languages": [{"name": "english", "code": "en"}, {"name": "german", "code": "de-DE"}],
                                 "instructions": True, "ref_audio": True}]


def test_a_language_that_it_does_not_speak(skilled):
    for name in ("klingon", "english ", "e"):
        status, error = refused(skilled, language=name)
        assert (status, error["code"], error["param"]) == (400, None, "language"), error


def told(server, **fields):
    """-> (sound, tokens of the prompt), of one utterance at temperature 0"""
    status, _, raw = say(server, "Hello there", temperature=0, response_format="pcm", stream_format="sse", **fields)
    assert status == 200, raw
    all_of_it = sse_events(raw)
    return base64.b64decode("".join(e["audio"] for e in all_of_it[:-1])), all_of_it[-1]["usage"]["input_tokens"]


def test_a_language_arrives(skilled):
    """By name and by code, in any case; Auto is none."""
    plain, english, german = told(skilled), told(skilled, language="english"), told(skilled, language="german")
    assert told(skilled, language="Auto") == told(skilled, language="AUTO") == plain
    assert told(skilled, language="English") == told(skilled, language="en") == told(skilled, language="EN") == english
    assert told(skilled, language="de-DE") == told(skilled, language="de-de") == german
    assert english[1] > plain[1] and len({plain[0], english[0], german[0]}) == 3


def test_instructions_arrive(skilled):
    plain, slow = told(skilled), told(skilled, instructions="Slowly, please.")
    assert told(skilled, instructions="") == plain
    assert told(skilled, instructions="Slowly, please.") == slow and slow[1] > plain[1] + 4
    assert told(skilled, instructions="Slowly, please.", task_type="VoiceDesign") == slow
    assert told(skilled, instructions="Slowly, please.", task_type="VoiceDesign", voice="default") == slow
    assert told(skilled, instructions="Quickly, please")[0] not in (plain[0], slow[0])
    both = told(skilled, instructions="Slowly, please.", language="en")
    assert both[1] > slow[1] and both[0] != slow[0]
    # special tokens in them are words
    assert told(skilled, instructions="<|im_end|>")[1] > plain[1] + 6


def data_url(sound):
    return "data:audio/wav;base64," + base64.b64encode(sound).decode()


LOW, HIGH = (riff(fmt_chunk(), data_chunk(tone(0.4, hertz=h))) for h in (150.0, 900.0))


def test_a_recording_arrives(skilled, sdk_of):
    """As a URL and as an object like input_audio; another recording, another voice; with words and with a language."""
    plain, low, high = told(skilled), told(skilled, ref_audio=data_url(LOW)), told(skilled, ref_audio=data_url(HIGH))
    assert len({plain[0], low[0], high[0]}) == 3
    as_object = {"data": base64.b64encode(LOW).decode(), "format": "wav"}
    for same in ({"ref_audio": as_object}, {"x_vector_only_mode": True}, {"x_vector_only_mode": False}, {"ref_text": "Words.", "x_vector_only_mode": True},
                 {"task_type": "Base"}, {"voice": "default"}, {"voice": None}):
        assert told(skilled, **{"ref_audio": data_url(LOW), **same}) == low
    with_language = told(skilled, ref_audio=data_url(LOW), language="en", instructions="Slowly.")
    assert with_language[1] > low[1] and with_language[0] != low[0]
    flac = flac_steps(6400, 16000, 160, lambda i: 5000 if i % 2 else -5000)
    assert told(skilled, ref_audio="data:audio/flac;base64," + base64.b64encode(flac).decode())[0] not in (plain[0], low[0])
    answer = sdk_of(skilled).audio.speech.create(model="voice", voice="default", input="Hello there", response_format="pcm",
                                                 extra_body={"temperature": 0, "ref_audio": data_url(LOW)})
    assert answer.content == low[0]


def test_a_recording_is_for_all_of_a_speech(skilled):
    """Each of its utterances has it, and it is encoded once."""
    once = skilled.metrics()["sensorium_encoder_runs_total"]
    sound = riff(fmt_chunk(), data_chunk(tone(0.7, hertz=333.0)))
    asked = dict(temperature=0, response_format="pcm", ref_audio=data_url(sound))
    both = say(skilled, "One sentence. And one more.", **asked)[2]
    assert both == say(skilled, "One sentence.", **asked)[2] + say(skilled, "And one more.", **asked)[2]
    assert both != say(skilled, "One sentence. And one more.", temperature=0, response_format="pcm")[2]
    assert skilled.metrics()["sensorium_encoder_runs_total"] == once + 1


@pytest.mark.parametrize("fields, status, param", [
    ({"ref_audio": data_url(LOW), "voice": "low"}, 400, "voice"),
    ({"ref_audio": data_url(LOW), "language": "german"}, 400, None),
    ({"ref_audio": data_url(riff(fmt_chunk(), data_chunk(tone(0.05))))}, 400, "ref_audio"),
    ({"ref_audio": data_url(b"RIFF")}, (400, 415), "ref_audio"), ({"ref_audio": data_url(b"hello")}, 415, "ref_audio"),
    ({"ref_audio": "data:image/png;base64," + base64.b64encode(LOW).decode()}, (400, 415), "ref_audio"),
    ({"ref_audio": data_url(PICTURE)}, (400, 415), "ref_audio"), ({"ref_audio": "data:audio/wav;base64,!"}, 400, "ref_audio"),
    ({"ref_audio": "/etc/passwd"}, 400, "ref_audio"), ({"ref_audio": "http://127.0.0.1:9/x.wav"}, 400, "ref_audio"),
    ({"ref_audio": "file:///etc/passwd"}, 400, "ref_audio"), ({"ref_audio": {"data": base64.b64encode(LOW).decode(), "format": "mp3"}}, (400, 415), "ref_audio"),
    ({"ref_audio": {"data": base64.b64encode(LOW).decode(), "format": "../x"}}, 400, "ref_audio"),
    ({"ref_audio": data_url(LOW), "ref_text": "Hello."}, 400, "ref_text"),
])
def test_recordings_that_are_refused(skilled, fields, status, param):
    got, error = refused(skilled, **fields)
    assert got in (status if isinstance(status, tuple) else (status,)) and error["param"] == param, (got, error)


def test_22_a_bomb_to_speak_like_is_cheap(skilled):
    """The gate is the one of all media: hours of silence in a few bytes are refused by their header."""
    before = skilled.memory_peak()
    for bomb in (flac_silence(6 * 3600), riff(fmt_chunk(channels=1024), data_chunk(bytes(4096))), riff(fmt_chunk(), data_chunk(b"", size=2**31))):
        status, error = refused(skilled, ref_audio="data:;base64," + base64.b64encode(bomb).decode())
        assert status in (400, 413, 415) and error["param"] == "ref_audio", (status, error)
    assert skilled.memory_peak() - before < 64 << 20


def test_a_recording_by_its_url(home, tmp_path):
    """Where files may be read, by the rules of all media."""
    plugins, folder = home
    (tmp_path / "low.wav").write_bytes(LOW)
    with Server("--plugin-dir", plugins, "--allowed-local-media-path", str(tmp_path), model=speakers.speaker(folder / "files", skills=1)) as s:
        assert told(s, ref_audio=f"file://{tmp_path}/low.wav") == told(s, ref_audio=data_url(LOW))
        for bad in (f"file://{tmp_path}/../x", "file:///etc/passwd", f"file://{tmp_path}/none.wav"):
            status, error = refused(s, ref_audio=bad)
            assert (status, error["param"]) == (400, "ref_audio") and str(tmp_path) not in error["message"]


# ---- spoken answers ----------------------------------------------------------------------------------------------------


def spoken(**fields):
    return {"model": None, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "seed": 7, "max_tokens": 24,
            "modalities": ["text", "audio"], "audio": {"voice": "default", "format": "wav"}, **fields}


@pytest.fixture(scope="module")
def plain(server):
    status, _, answer = server.chat(spoken(modalities=["text"], audio=None))
    assert status == 200
    return answer


def test_a_spoken_answer(server, sdk, plain):
    kw = {k: v for k, v in spoken().items() if k != "model"}
    answer = sdk.chat.completions.create(model="chat", **kw)
    message = answer.choices[0].message
    assert message.content is None and message.audio.id.startswith("audio_") and message.audio.expires_at == answer.created
    assert message.audio.transcript == plain["choices"][0]["message"]["content"]
    assert answer.choices[0].finish_reason == plain["choices"][0]["finish_reason"]
    wav = base64.b64decode(message.audio.data)
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8 and struct.unpack("<I", wav[40:44])[0] == len(wav) - 44 > 0
    details = answer.usage.completion_tokens_details
    assert details.text_tokens == plain["usage"]["completion_tokens"] and details.audio_tokens >= (len(wav) - 44) / 2 / speakers.FRAME
    assert answer.usage.completion_tokens == details.text_tokens + details.audio_tokens
    assert server.chat(spoken(modalities=["audio"]))[2]["choices"][0]["message"]["audio"]["data"] == message.audio.data


@pytest.mark.parametrize("form, magic", [("mp3", b"\xff"), ("flac", b"fLaC"), ("opus", b"OggS"), ("pcm16", b"")])
def test_formats_of_spoken_answers(server, form, magic):
    status, _, answer = server.chat(spoken(audio={"format": form}))
    assert status == 200
    assert base64.b64decode(answer["choices"][0]["message"]["audio"]["data"]).startswith(magic)


def test_a_spoken_stream(server, sdk, plain):
    whole = server.chat(spoken(audio={"voice": "high", "format": "pcm16"}))[2]["choices"][0]["message"]["audio"]
    kw = {k: v for k, v in spoken(audio={"voice": "high", "format": "pcm16"}).items() if k != "model"}
    chunks = list(sdk.chat.completions.create(model="chat", stream=True, stream_options={"include_usage": True}, **kw))
    usage = chunks.pop().usage
    deltas = [c.choices[0].delta for c in chunks]
    assert all(not d.content for d in deltas) and deltas[0].role == "assistant"
    audio = [d.audio for d in deltas if d.audio]
    assert len({a.id for a in audio if a.id}) == 1
    assert "".join(a.transcript or "" for a in audio) == plain["choices"][0]["message"]["content"]
    data = [a.data for a in audio if a.data]
    assert len(data) > 1 and base64.b64decode("".join(data)) == base64.b64decode(whole["data"])
    assert all(len(base64.b64decode(d)) % 2 == 0 for d in data)
    assert audio[-1].expires_at and not (audio[-1].data or audio[-1].transcript or audio[-1].id)
    assert [c.choices[0].finish_reason for c in chunks][-1] == plain["choices"][0]["finish_reason"]
    assert all(c.choices[0].finish_reason is None for c in chunks[:-1])
    assert usage.completion_tokens_details.text_tokens == plain["usage"]["completion_tokens"]
    body = server.stream(spoken(audio={"format": "pcm16"}))[2]  # the document judges it
    assert b"expires_at" in body


@pytest.mark.parametrize("fields, param", [
    ({"audio": None}, "audio"), ({"modalities": ["text"]}, "audio"), ({"modalities": None}, "audio"), ({"modalities": []}, "modalities"),
    ({"modalities": ["audio", "audio"]}, "modalities"), ({"modalities": ["image"]}, "modalities"), ({"modalities": "audio"}, "modalities"),
    ({"audio": {"voice": "high"}}, "audio.format"), ({"audio": {"format": "aac"}}, "audio.format"), ({"audio": {"format": "pcm"}}, "audio.format"),
    ({"audio": {"format": "wav", "rate": 1}}, "audio"), ({"audio": {"format": "wav", "language": "english"}}, "audio"), ({"audio": {"format": "wav", "voice": {"id": "x"}}}, "audio.voice"), ({"audio": 1}, "audio"),
    ({"audio": {"format": "wav", "voice": "alloy"}}, "audio.voice"), ({"n": 2}, "n"), ({"stream": True}, "audio.format"),
])
def test_refusals_of_spoken_answers(server, fields, param):
    status, _, answer = server.chat(spoken(**fields))
    assert (status, error_of(answer)["param"]) == (400, param), answer


def test_thinking_is_not_spoken(home):
    """The template opens the thinking, and nothing ends it: there is nothing to be said."""
    plugins, folder = home
    template = folder / "thinks.jinja"
    template.write_text("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n<think>\n")
    with Server("--plugin-dir", plugins, "--chat-template", f"chat={template}", model=speakers.pair(folder / "thinks")) as s:
        status, _, answer = s.chat(spoken(modalities=["text"], audio=None, min_tokens=8))
        assert status == 200 and answer["choices"][0]["message"]["reasoning_content"] and answer["choices"][0]["message"]["content"] == ""
        status, _, answer = s.chat(spoken(min_tokens=8))
        assert status == 200, answer
        message = answer["choices"][0]["message"]
        assert (message["audio"]["transcript"], message["audio"]["data"]) == ("", "")
        body = s.stream(spoken(audio={"format": "pcm16"}, min_tokens=8))[2]
        assert b'"data"' not in body and b"expires_at" in body


def test_who_speaks_is_named(home):
    plugins, folder = home
    voice = speakers.speaker(folder / "named")
    with Server("--plugin-dir", plugins, "--model", f"voice={voice}", "--speaker", "voice") as s:
        assert json.loads(s.get("/v1/models")[2])["data"][0]["output_modalities"] == ["text", "audio"]
        status, _, answer = s.chat(spoken())
        assert status == 200 and answer["choices"][0]["message"]["audio"]["data"]
    (folder / "mute").mkdir()
    mute = sample_that_sees(folder / "mute")
    for name, why in (("nobody", "no model called nobody"), ("voice", "does not speak")):
        code, _, err = run("serve", mute, "--model", f"voice={mute}", "--speaker", name, "--plugin-dir", plugins, "--port", "0")
        assert code == 2 and "--speaker" in err and why in err, err
    code, _, err = run("serve", speakers.speaker(folder / "self", beside=[
        {"name": "x", "speaker": 1, "files": {"model": "model.gguf"}}]), "--plugin-dir", plugins, "--port", "0")
    assert code == 3 and "speaker" in err


# ---- sensorium speak ---------------------------------------------------------------------------------------------------


def test_speak(home, tmp_path):
    plugins, folder = home
    voice = speakers.speaker(folder / "speak")
    out = tmp_path / "out.wav"
    speak = ("speak", TEXT, "--plugin-dir", plugins, "--seed", "5")
    code, _, err = run(*speak, "--model", voice, "-o", str(out))
    assert code == 0, err
    wav = out.read_bytes()
    assert struct.unpack("<I", wav[40:44])[0] == len(wav) - 44 > 0
    out.unlink()
    # a language model and its vocoder by themselves
    code, _, err = run(*speak, "--model", voice + "/model.gguf", "--model-vocoder", voice + "/whistle.gguf", "-o", str(out))
    assert code == 0 and out.read_bytes() == wav, err
    for suffix, magic in (("flac", b"fLaC"), ("opus", b"OggS"), ("ogg", b"OggS"), ("mp3", b"\xff"), ("PCM", wav[44:48])):
        file = tmp_path / ("out." + suffix)
        assert run(*speak, "--model", voice, "-o", str(file))[0] == 0 and file.read_bytes().startswith(magic)
    fast = tmp_path / "fast.wav"
    assert run(*speak, "--model", voice, "-o", str(fast), "--speed", "2", "--voice", "high")[0] == 0
    assert abs(len(fast.read_bytes()) * 2 / len(wav) - 1) < 0.1
    speak_like = tmp_path / "like.wav"
    speak_like.write_bytes(LOW)
    skilled = speakers.speaker(folder / "speak-skilled", skills=1)
    said = set()
    for wish in ((), ("--language", "German"), ("--instructions", "Slowly."), ("--reference", str(speak_like))):
        code, _, err = run("speak", "Hello there", "--plugin-dir", plugins, "--temperature", "0", "--model", skilled, "-o", str(tmp_path / "wish.pcm"), *wish)
        assert code == 0, err
        said.add((tmp_path / "wish.pcm").read_bytes())
    assert len(said) == 4
    wishes = ("-o", str(tmp_path / "x.wav"))
    for bad, code, why in (((*wishes, "--language", "english"), 1, "cannot be told a language"), ((*wishes, "--instructions", "Fast."), 1, "does not follow"),
                           ((*wishes, "--reference", str(out)), 1, "voice of a recording"), ((*wishes, "--reference", "no such file"), 2, "--reference")):
        done = run(*speak, "--model", voice, *bad)
        assert done[0] == code and why in done[2], done
    for bad, code in ((("-o", str(tmp_path / "x.aac")), 2), ((), 2), (("-o", str(tmp_path / "x")), 2), (("-o", str(tmp_path / "x.wav"), "--voice", "alloy"), 1),
                      (("-o", str(tmp_path / "no" / "x.wav")), 1), (("-o", str(tmp_path / "x.wav"), "--speed", "9"), 2)):
        assert run(*speak, "--model", voice, *bad)[0] == code, bad
    code, _, err = run(*speak, "--model", sample_that_sees(tmp_path), "-o", str(out))
    assert code == 1 and "speaks" in err


def test_a_folder_of_several_under_another_name(home, tmp_path):
    """Its first model is called so, also where the others mean it."""
    folder = speakers.pair(tmp_path / "several")
    with Server("--plugin-dir", home[0], "--model", "all=" + folder, model=None) as server:
        assert [m["id"] for m in json.loads(server.get("/v1/models")[2])["data"]] == ["all", "voice"]
        status, _, answer = server.chat(spoken(model="all"))
        assert status == 200 and answer["choices"][0]["message"]["audio"]["data"]
