"""Several models in one process: `model` selects, all of them over the same routes."""

import json
import pathlib
import shutil

import openai
import pytest

from harness import COMPLETIONS, GOLDEN, Server, ask, error_of, run, sample_files, sample_that_sees

NAMES = ["first", "second"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The sample twice, under two names; the second without its tower."""
    folder = tmp_path_factory.mktemp("models")
    text, tower = sample_files()
    for name in NAMES:
        shutil.copy(text, folder / (name + ".gguf"))
    shutil.copy(tower, folder / "tower.gguf")
    (folder / "models.json").write_text(json.dumps({"models": [
        {"name": "first", "files": {"model": "first.gguf", "mmproj": "tower.gguf"}, "roles": ["chat", "vision"]},
        {"name": "second", "files": {"model": "second.gguf"}, "roles": ["chat"]}]}))
    with Server(model=str(folder)) as s:
        yield s


def test_both_are_listed(two):
    data = json.loads(two.get("/v1/models")[2])["data"]
    assert [m["id"] for m in data] == NAMES
    assert [m["input_modalities"] for m in data] == [["text", "image", "video"], ["text"]]
    assert [m["transcribes"] for m in data] == [False, False]
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
    streams = [client.completions.create(model=name, prompt="<|im_start|>User: Hello<end_of_utterance>\nAssistant:", temperature=0, max_tokens=12, stream=True) for name in NAMES]
    texts = ["".join(c.choices[0].text for c in s) for s in streams]
    assert texts[0] == texts[1] and texts[0]


# ---- --model NAME=PATH ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The sample's files as they might lie about: a model, its tower, a folder with both."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "pair").mkdir()
    for place in (folder, folder / "pair"):
        sample_that_sees(place)
    (folder / "listed").mkdir()
    sample_that_sees(folder / "listed")
    (folder / "listed" / "models.json").write_text(json.dumps({"models": [{"name": "x", "files": {"model": "model.gguf", "mmproj": "mmproj.gguf"}, "roles": ["chat"]}]}))
    (folder / "shout.jinja").write_text("{% for m in messages %}{{ m.content }}!{% endfor %}")
    return folder


def names(server):
    return [(m["id"], "image" in m["input_modalities"]) for m in json.loads(server.get("/v1/models")[2])["data"]]


def prompt_of(server, model):
    ids = server.post("/tokenize", {"model": model, "messages": [{"role": "user", "content": "Hi"}]})[2]["tokens"]
    return server.post("/detokenize", {"model": model, "tokens": ids})[2]["prompt"]


def test_models_are_given_one_by_one(files):
    """A file, a file with its tower, a folder, and the list of a folder that holds one; one pool, `model` selects, the first is the default."""
    flags = ["--model", "plain=%s" % (files / "model.gguf"), "--model=sees=%s" % (files / "model.gguf"), "--mmproj", "sees=%s" % (files / "mmproj.gguf"),
             "--model", "folder=%s" % (files / "pair"), "--model", "listed=%s" % (files / "listed"), "--chat-template", "plain=%s" % (files / "shout.jinja")]
    with Server(*flags, model=None) as server:
        assert names(server) == [("plain", False), ("sees", True), ("folder", True), ("listed", True)]
        answers = [server.chat({**GOLDEN, "model": name})[2] for name in ("sees", "folder", "listed")]
        assert [a["model"] for a in answers] == ["sees", "folder", "listed"]
        assert answers[0]["choices"] == answers[1]["choices"] == answers[2]["choices"]
        assert server.chat(GOLDEN)[2]["model"] == "plain"
        assert prompt_of(server, "plain").endswith("Hi!") and not prompt_of(server, "sees").endswith("Hi!")
        for unknown in ("model", "pair", "Plain", "sensorium-sample"):
            assert server.chat({**GOLDEN, "model": unknown})[0] == 404
        server.wait_idle()


def test_models_beside_the_positional_one(files):
    """MODEL is the default; what names nobody belongs to it."""
    with Server("--model", "second=%s" % (files / "pair"), "--mmproj", str(files / "mmproj.gguf"), "--chat-template", str(files / "shout.jinja"),
                model=str(files / "model.gguf")) as server:
        assert names(server) == [("model", True), ("second", True)]
        assert server.chat(GOLDEN)[2]["model"] == "model"
        assert prompt_of(server, "model").endswith("Hi!") and not prompt_of(server, "second").endswith("Hi!")


def test_a_plain_tower_belongs_to_the_only_model(files):
    with Server("--model", "one=%s" % (files / "model.gguf"), "--mmproj", str(files / "mmproj.gguf"), model=None) as server:
        assert names(server) == [("one", True)]


@pytest.mark.parametrize("code,word,flags", [
    (2, "NAME=PATH", ["--model", "{0}/model.gguf"]),
    (2, "NAME=PATH", ["--model", "={0}/model.gguf"]),
    (2, "NAME=PATH", ["--model", "a="]),
    (2, "NAME=PATH", ["--model", "a b={0}/model.gguf"]),
    (2, "NAME=PATH", ["--model", "a/b={0}/model.gguf"]),
    (2, "NAME=PATH", ["--model", "x" * 129 + "={0}/model.gguf"]),
    (2, "called a", ["--model", "a={0}/model.gguf", "--model", "a={0}/pair"]),
    (2, "more than 16", ["--model", "a={0}/model.gguf"] * 17),
    (3, "called pair", ["{0}/pair", "--model", "pair={0}/model.gguf"]),
    (3, "No such file", ["--model", "a={0}/nothing"]),
    (3, "neither a folder nor a .gguf", ["--model", "a={0}/shout.jinja"]),
    (3, "several models", ["--model", "a={0}/model.gguf", "--model", "b={0}/model.gguf", "--mmproj", "{0}/mmproj.gguf"]),
    (3, "several models", ["--model", "a={0}/model.gguf", "--model", "b={0}/model.gguf", "--mmproj", "c={0}/mmproj.gguf"]),
    (3, "a second tower for image", ["--model", "a={0}/model.gguf", "--mmproj", "a={0}/mmproj.gguf", "--mmproj", "{0}/mmproj.gguf"]),
    (3, "not with a folder", ["--model", "a={0}/pair", "--mmproj", "a={0}/mmproj.gguf"]),
    (3, "--mmproj", ["--model", "a={0}/model.gguf", "--mmproj", "a={0}/none.gguf"]),
    (3, "several models", ["--model", "a={0}/model.gguf", "--model", "b={0}/model.gguf", "--chat-template", "{0}/shout.jinja"]),
    (3, "two for the model b", ["--model", "b={0}/model.gguf", "--chat-template", "b={0}/shout.jinja", "--chat-template", "b={0}/shout.jinja"]),
    (2, "--chat-template", ["--model", "b={0}/model.gguf", "--chat-template", "b={0}/none.jinja"]),
    (3, "--served-model-name", ["{0}/pair", "--model", "b={0}/model.gguf", "--served-model-name", "x"]),
])
def test_what_is_ambiguous_or_wrong_is_refused(files, code, word, flags):
    got, _, text = run("serve", "--port", "0", *[f.replace("{0}", str(files)) for f in flags])
    assert got == code and word in text, text


def test_the_others_of_a_folder_of_several_keep_their_names(tmp_path, files):
    shutil.copy(files / "model.gguf", tmp_path / "m.gguf")
    (tmp_path / "models.json").write_text(json.dumps({"models": [{"name": n, "files": {"model": "m.gguf"}} for n in ("a", "b")]}))
    with Server("--model", "c=%s" % tmp_path, model=None) as server:
        assert [name for name, _ in names(server)] == ["c", "b"]
    got, _, text = run("serve", "--port", "0", "--model", "c=%s" % tmp_path, "--model", "d=%s" % tmp_path)
    assert got == 3 and "two models are called b" in text
