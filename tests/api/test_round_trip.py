"""What the sample says, the sample hears (goal 38): 40 sentences that neither its speaker nor its ears were trained with go through the SDK as
text, come back as sound, and are written down again. The two share no training text either: each held these out by itself
(samples/training/round_trip.txt, made by sayings.py)."""

import re

import pytest
from openai import OpenAI

from harness import MODEL, REPO, Server

PHRASES = (REPO / "samples" / "training" / "round_trip.txt").read_text().splitlines()
LEAST = 30


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.fixture(scope="module")
def client():
    with Server() as s:
        yield OpenAI(base_url="http://127.0.0.1:%d/v1" % s.port, api_key="none", max_retries=0, timeout=60)


@pytest.mark.parametrize("voice", ("reed", "bell"))
def test_38_the_sample_understands_itself(client, voice):
    assert len(set(PHRASES)) == 40
    wrong = []
    for phrase in PHRASES:
        sound = client.audio.speech.create(model="sensorium-speaker", voice=voice, input=phrase, response_format="wav", extra_body={"temperature": 0})
        heard = client.audio.transcriptions.create(model="sensorium-sample", file=("speech.wav", sound.content), temperature=0)
        if words(heard.text) != words(phrase):
            wrong.append((phrase, heard.text))
    print(len(wrong), "of", len(PHRASES), "wrong:", wrong)
    assert len(wrong) <= len(PHRASES) - LEAST, wrong
