"""A model may have several media towers, one a kind: by the list in models.json, by the names in a folder, or by --mmproj, repeated."""

import base64
import json
import re
import shutil

import pytest

import towers
from harness import REPO, Server, ask, run
from sounds import wav
from test_hearing_parts import audio_url, input_audio

PICTURE = (REPO / "samples" / "pictures" / "word.png").read_bytes()


def image(data=PICTURE):
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}


def about(*parts, text="Read the image.", **fields):
    return {**ask(**fields), "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The files as they might lie about."""
    folder = tmp_path_factory.mktemp("towers")
    towers.sample(folder)
    towers.ear(folder / "narrow.gguf", 64)
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with Server(model=towers.sees_and_hears(tmp_path_factory.mktemp("both"))) as s:
        yield s
        s.wait_idle()


def modalities(server):
    return [m["input_modalities"] for m in json.loads(server.get("/v1/models")[2])["data"]]


def prompt_tokens(server, *parts):
    status, _, answer = server.chat(about(*parts))
    assert status == 200, answer
    return answer["usage"]["prompt_tokens"]


def test_both_are_listed(both):
    assert modalities(both) == [["text", "image", "video", "audio"]]


def test_one_message_has_media_of_both_kinds(both):
    """And the rows of each are counted, whatever their order. What one more costs is compared: the template may write text around the first."""
    before = both.metrics()["sensorium_encoder_runs_total"]
    sound, longer = input_audio(wav(0.5)), input_audio(wav(1.0))
    first_picture, first_sound = prompt_tokens(both, image()), prompt_tokens(both, sound)
    more_picture, more_sound = prompt_tokens(both, image(), image()) - first_picture, prompt_tokens(both, sound, sound) - first_sound
    assert more_picture >= 36 and more_sound == 4  # 36 rows a picture; 25 positions of half a second, eight to a row
    assert prompt_tokens(both, image(), sound) == first_picture + more_sound
    assert prompt_tokens(both, audio_url(wav(0.5)), image()) == first_sound + more_picture
    assert prompt_tokens(both, image(), longer) == first_picture + more_sound + 3  # 50 positions: seven rows
    assert both.metrics()["sensorium_encoder_runs_total"] == before + 3


def test_a_second_tower_changes_no_answer_about_pictures(both, server):
    for parts, text in (([image()], "Read the image."), ([image(), image()], "Read the image."), ([], "Hello")):
        body = about(*parts, text=text, max_tokens=16, logprobs=True, top_logprobs=3)
        (a, _, alone), (b, _, beside) = server.chat(body), both.chat(body)
        assert a == b == 200 and alone["choices"] == beside["choices"] and alone["usage"] == beside["usage"]
    assert both.chat(about(image(), max_tokens=16))[2]["choices"][0]["message"]["content"] == "DRAGONS"


def test_a_folder_s_towers_are_all_taken(place, tmp_path):
    for name in ("model.gguf", "mmproj.gguf", "mmproj-ear.gguf"):
        shutil.copy(place / name, tmp_path)
    with Server(model=str(tmp_path)) as s:
        assert sorted(modalities(s)[0]) == ["audio", "image", "text", "video"]
        assert s.chat(about(image(), input_audio(wav())))[0] == 200


def test_towers_are_given_one_by_one(place):
    model, eye, ear = (str(place / n) for n in ("model.gguf", "mmproj.gguf", "mmproj-ear.gguf"))
    with Server("--mmproj", eye, "--model", "b=" + model, "--mmproj", "b=" + ear, "--model", "c=" + model, "--mmproj=c=" + ear, "--mmproj", "c=" + eye, "--mmproj", ear,
                model=model) as s:
        assert modalities(s) == [["text", "image", "video", "audio"], ["text", "audio"], ["text", "audio", "image", "video"]]


@pytest.mark.parametrize("listed", ["mmproj.gguf", ["mmproj.gguf"], []])
def test_a_list_may_be_of_any_length(tmp_path, listed):
    with Server(model=towers.sample(tmp_path, listed)) as s:
        assert modalities(s) == [["text", "image", "video"] if listed else ["text"]]


@pytest.mark.parametrize("listed,word", [
    (["mmproj.gguf", "mmproj-ear.gguf", "mmproj.gguf"], "second tower for image"), (["mmproj-ear.gguf", "mmproj-ear.gguf"], "second tower for audio"),
    (["mmproj.gguf", 1], "files.mmproj"), ([["mmproj.gguf"]], "files.mmproj"), ([None], "files.mmproj"), ([""], "files.mmproj"), (["mmproj.gguf", "../x"], "leaves the folder"),
    (["/etc/passwd"], "absolute"), ({"a": "mmproj.gguf"}, "files.mmproj"), (["mmproj.gguf"] * 9, "more than 8 towers"), (["mmproj.gguf", "none.gguf"], "files.mmproj"),
    (["mmproj.gguf", "model.gguf"], "no plugin serves this file"),
])
def test_a_list_that_is_wrong_is_refused(tmp_path, listed, word):
    code, _, err = run("serve", "--port", "0", towers.sample(tmp_path, listed))
    assert code == 3 and word in err, err


@pytest.mark.parametrize("names,word", [(["mmproj.gguf"] * 2, "mmproj.gguf: a second tower for image; the model has mmproj.gguf"),
                                        (["mmproj-ear.gguf", "mmproj.gguf", "mmproj-ear.gguf"], "second tower for audio"),
                                        (["mmproj.gguf", "narrow.gguf"], "64 values"), (["mmproj.gguf"] * 9, "more than 8 towers")])
def test_two_towers_of_one_kind_are_refused(place, names, word):
    code, _, err = run("serve", "--port", "0", str(place / "model.gguf"), *[x for n in names for x in ("--mmproj", str(place / n))])
    assert code == 3 and word in err, err


def test_two_of_one_kind_in_a_folder_are_refused(place, tmp_path):
    for name in ("model.gguf", "mmproj.gguf"):
        shutil.copy(place / name, tmp_path)
    shutil.copy(place / "mmproj.gguf", tmp_path / "mmproj-2.gguf")
    code, _, err = run("serve", "--port", "0", str(tmp_path))
    assert code == 3 and "a second tower for image" in err, err


def test_the_memory_of_every_tower_is_counted(place):
    """The plan with ever larger limits: the pool, the model, with its first tower, with its second; then it answers."""
    towers_of = [place / "mmproj.gguf", place / "mmproj-ear.gguf"]
    limit, needed = 1, []
    while True:
        code, _, err = run("run", "--memory-limit", str(limit), "--kv-cache-memory", "16M", *[x for t in towers_of for x in ("--mmproj", str(t))], "--max-tokens", "1",
                           str(place / "model.gguf"), "Hello")
        if code == 0:
            break
        limit = int(re.search(r"(\d+) bytes (together|are needed)", err).group(1))
        needed.append(limit)
    assert len(needed) == 4 and needed == sorted(needed)
    for tower, before, after in zip(towers_of, needed[1:], needed[2:]):
        assert after - before >= tower.stat().st_size
