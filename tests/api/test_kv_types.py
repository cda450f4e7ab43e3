"""Keys and values in fewer bits: the sample reads and hears the same words, and is understood, whatever they are stored in."""

import pytest
import test_sample as sample
from harness import REPO, Server
from openai import OpenAI
from test_round_trip import PHRASES, words


@pytest.mark.parametrize("kind", ["bf16", "q8_0", "fp8"])
def test_the_sample_sees_hears_and_speaks_the_same(kind):
    with Server("--kv-cache-dtype", kind) as server:
        client = OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
        model = client.models.list().data[0].id
        for picture in sample.PICTURES:
            data = (REPO / "samples/pictures" / picture["file"]).read_bytes()
            mime = "image/png" if picture["file"].endswith(".png") else "image/jpeg"
            assert sample.say(client, model, data, mime, picture["question"]) == picture["expected"]
        for entry in sample.WRITTEN_DOWN:
            said = sample.ask(client, model, sample.sound_part(sample.recording(entry)), {"type": "text", "text": entry["question"]})
            assert said == entry["expected"]
        right = 0
        for phrase in PHRASES[:10]:  # the speaker's own K and V are of the type too
            sound = client.audio.speech.create(model="sensorium-speaker", voice="reed", input=phrase, response_format="wav", extra_body={"temperature": 0})
            right += words(client.audio.transcriptions.create(model=model, file=("speech.wav", sound.content), temperature=0).text) == words(phrase)
        print(right, "of 10 understood")
        assert right >= 7  # test_round_trip.py asks for as many of f16
        assert f"KV {kind}: " in open(server.log_path).read()
