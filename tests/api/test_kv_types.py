"""Keys and values in fewer bits: the sample reads the same words, and hears them, whatever they are stored in."""

import pytest
import test_sample as sample
from harness import REPO, Server
from openai import OpenAI


@pytest.mark.parametrize("kind", ["bf16", "q8_0", "fp8"])
def test_the_sample_sees_and_hears_the_same(kind):
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
        assert f"KV {kind}: " in open(server.log_path).read()
