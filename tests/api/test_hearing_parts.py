"""Sound in a chat: input_audio and audio_url are two ways through the one gate (goals 6, 18, 19)."""

import base64
import json

import pytest

from harness import ask, error_of
from sounds import wav


def b64(data):
    return base64.b64encode(data).decode()


def input_audio(data, fmt="wav"):
    return {"type": "input_audio", "input_audio": {"data": b64(data), "format": fmt}}


def audio_url(data, mime="audio/wav"):
    return {"type": "audio_url", "audio_url": {"url": "data:%s;base64,%s" % (mime, b64(data))}}


def hear(*parts, role="user", **fields):
    return {**ask(**{"max_tokens": 4, **fields}), "messages": [{"role": role, "content": [*parts, {"type": "text", "text": "What is said?"}]}]}


@pytest.mark.parametrize("part", [input_audio(wav()), audio_url(wav()), audio_url(wav(), "audio/x-wav")], ids=["input_audio", "audio_url", "audio/x-wav"])
def test_a_model_that_does_not_hear_says_so(server, part):
    """The sample sees only: a 400 or 415, and not a word about what was sent."""
    if "audio" in json.loads(server.get("/v1/models")[2])["data"][0]["input_modalities"]:
        pytest.skip("this model hears")
    status, _, answer = server.chat(hear(part))
    assert status in (400, 415), answer
    assert "audio" in error_of(answer)["message"] or status == 415


def test_sound_belongs_to_the_user(server):
    for part in (input_audio(wav()), audio_url(wav())):
        for role in ("system", "assistant"):
            status, _, answer = server.chat(hear(part, role=role))
            assert status == 400 and "messages of the user" in error_of(answer)["message"]


def test_sounds_are_counted_by_kind(server):
    """input_audio and audio_url are of one kind, and share its limit."""
    status, _, answer = server.chat(hear(*[input_audio(wav()), audio_url(wav())] * 9))
    assert status == 400 and "of kind audio" in error_of(answer)["message"]


def test_a_recording_above_the_cap_is_413_undecoded(hostile):
    part = {"type": "input_audio", "input_audio": {"data": "!" * (28 << 20), "format": "wav"}}
    status, _, answer = hostile.chat(hear(part))
    assert status == 413 and error_of(answer)["param"] == "messages[0].content[0].input_audio"


def test_tokenize_takes_no_sound(server):
    body = {"messages": [{"role": "user", "content": [input_audio(wav())]}]}
    status, _, answer = server.post("/tokenize", body)
    assert status == 400 and error_of(answer)["param"].startswith("messages[0].content[0].input_audio")
