"""Several models in one process: `model` selects, all of them over the same routes."""

import json
import pathlib
import shutil

import openai
import pytest

from harness import COMPLETIONS, GOLDEN, MODEL, Server, ask, error_of

NAMES = ["first", "second"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The sample twice, under two names; the second without its tower."""
    folder = tmp_path_factory.mktemp("models")
    files = json.loads((pathlib.Path(MODEL) / "models.json").read_text())["models"][0]["files"]
    for name in NAMES:
        shutil.copy(pathlib.Path(MODEL) / files["model"], folder / (name + ".gguf"))
    shutil.copy(pathlib.Path(MODEL) / files["mmproj"], folder / "tower.gguf")
    (folder / "models.json").write_text(json.dumps({"models": [
        {"name": "first", "files": {"model": "first.gguf", "mmproj": "tower.gguf"}, "roles": ["chat", "vision"]},
        {"name": "second", "files": {"model": "second.gguf"}, "roles": ["chat"]}]}))
    with Server(model=str(folder)) as s:
        yield s


def test_both_are_listed(two):
    data = json.loads(two.get("/v1/models")[2])["data"]
    assert [m["id"] for m in data] == NAMES
    assert [m["input_modalities"] for m in data] == [["text", "image"], ["text"]]
    for name in NAMES:
        assert json.loads(two.get("/v1/models/" + name)[2])["id"] == name


def test_the_name_selects(two):
    answers = [two.chat({**GOLDEN, "model": name})[2] for name in NAMES]
    assert [a["model"] for a in answers] == NAMES
    assert answers[0]["choices"] == answers[1]["choices"]
    assert two.chat(GOLDEN)[2]["model"] == "first"
    for name in NAMES:
        assert two.post(COMPLETIONS, {"model": name, "prompt": "Hello", "temperature": 0})[2]["model"] == name


def test_only_one_of_them_sees(two):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}}
    status = [two.chat({"model": name, "messages": [{"role": "user", "content": [image]}], "max_tokens": 4})[0] for name in NAMES]
    assert status == [200, 400]


@pytest.mark.parametrize("path,body", [("/v1/chat/completions", ask()), (COMPLETIONS, {"prompt": "x"}), ("/tokenize", {"prompt": "x"}),
                                       ("/detokenize", {"tokens": [65]})])
def test_an_unknown_name_is_404(two, path, body):
    for name in ("third", "First", "first "):
        status, _, answer = two.post(path, {**body, "model": name})
        assert status == 404 and error_of(answer)["code"] == "model_not_found" and error_of(answer)["param"] == "model"
    assert two.get("/v1/models/third")[0] == 404


def test_the_sdk_uses_both_at_once(two):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{two.port}/v1", api_key="none", max_retries=0)
    streams = [client.completions.create(model=name, prompt="Hello", temperature=0, max_tokens=12, stream=True) for name in NAMES]
    texts = ["".join(c.choices[0].text for c in s) for s in streams]
    assert texts[0] == texts[1] and texts[0]
