"""Whatever a model's folder says, nothing outside it is opened (goal 35): the kernel tells of every open of what lies outside, by any
path and any system call, through inotify, which needs no privileges."""

import ctypes
import json
import os
import shutil
import struct

import pytest

from harness import MODEL, REPO, run

GOLDEN = REPO / "tests" / "golden" / "hf" / "llama-4"
INDEX = "model.safetensors.index.json"
IN_ACCESS, IN_OPEN = 0x1, 0x20


class Canary:
    """Of every file in a folder: has anybody opened or read it?"""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0
        self.names = {}
        for path in (folder, *sorted(folder.rglob("*"))):
            watch = self.libc.inotify_add_watch(self.fd, os.fsencode(path), IN_ACCESS | IN_OPEN)
            assert watch >= 0, path
            self.names[watch] = path.name

    def seen(self):
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return set()
        found, at = set(), 0
        while at < len(data):
            watch, _, _, size = struct.unpack_from("iIII", data, at)
            found.add(self.names[watch])
            at += 16 + size
        return found

    def close(self):
        os.close(self.fd)


@pytest.fixture
def place(tmp_path):
    """tmp/model: a Hugging Face directory in two shards; tmp/outside: all that it could want to lead to, each a good file."""
    model, outside = tmp_path / "model", tmp_path / "outside"
    shutil.copytree(GOLDEN, model)
    shutil.copytree(GOLDEN, outside)
    (outside / "chat_template.jinja").write_text("{{ messages }}")
    for name in ("model.gguf", "mmproj.gguf"):
        shutil.copy(os.path.join(MODEL, name), outside)
    canary = Canary(outside)
    yield model, outside, canary
    canary.close()


def load(model):
    return run("run", str(model), "--max-tokens", "1", "Hello")


def shard_of(model):
    return sorted(p.name for p in model.glob("model-*.safetensors"))[1]


def name_in_index(model, name):
    index, old = json.loads((model / INDEX).read_text()), shard_of(model)
    index["weight_map"] = {k: name if v == old else v for k, v in index["weight_map"].items()}
    (model / INDEX).write_text(json.dumps(index))
    (model / old).unlink()


def test_35_the_canary_sings(place):
    """What these tests rely on: a good folder loads and touches nothing; an open through a link is seen."""
    model, outside, canary = place
    code, _, err = load(model)
    assert code == 0, err
    assert canary.seen() == set()
    link = model / "link.json"
    link.symlink_to(outside / "config.json")
    link.read_bytes()
    assert "config.json" in canary.seen()
    os.stat(outside / "config.json")
    assert canary.seen() == set()


SHARDS = {
    "missing": lambda m, o, s: "model-00009-of-00002.safetensors",
    "parent": lambda m, o, s: "../outside/" + s,
    "absolute": lambda m, o, s: str(o / s),
    "through the parent": lambda m, o, s: "../model/../outside/" + s,
    "a folder's": lambda m, o, s: "sub/" + s,
    "a NUL": lambda m, o, s: "../outside/" + s + "\0.safetensors",
    "the index itself": lambda m, o, s: INDEX,
    "a link": lambda m, o, s: "link.safetensors",
    "a link to a link": lambda m, o, s: "link2.safetensors",
}


@pytest.mark.parametrize("what", SHARDS)
def test_35_no_shard_leads_outside(place, what):
    model, outside, canary = place
    shard = shard_of(model)
    (model / "sub").symlink_to(outside)
    (model / "link.safetensors").symlink_to(outside / shard)
    (model / "link2.safetensors").symlink_to("link.safetensors")
    name_in_index(model, SHARDS[what](model, outside, shard))
    code, _, err = load(model)
    assert code == 3 and err.strip(), err
    assert canary.seen() == set()


@pytest.mark.parametrize("name", ["config.json", INDEX, "shard", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
                                  "chat_template.jinja"])
def test_35_no_file_of_a_directory_is_a_link(place, name):
    model, outside, canary = place
    name = shard_of(model) if name == "shard" else name
    if not (outside / name).exists():
        pytest.skip("the golden has no " + name)
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(outside / name)
    code, _, err = load(model)
    assert code == 3 and "symlink" in err, err
    assert canary.seen() == set()


FILES = {
    "parent": lambda o: "../outside/%s",
    "absolute": lambda o: str(o) + "/%s",
    "a folder's": lambda o: "sub/%s",
    "a NUL": lambda o: "../outside/%s\0",
    "a link": lambda o: "link-%s",
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("key", ["model", "mmproj"])
def test_35_models_json_leads_nowhere_else(place, what, key):
    model, outside, canary = place
    name = key + ".gguf"
    shutil.rmtree(model)
    model.mkdir()
    shutil.copy(os.path.join(MODEL, "model.gguf"), model)
    (model / "sub").symlink_to(outside)
    (model / ("link-" + name)).symlink_to(outside / name)
    files = {"model": "model.gguf", key: FILES[what](outside) % name}
    (model / "models.json").write_text(json.dumps({"models": [{"name": "m", "files": files}]}))
    code, _, err = load(model)
    assert code == 3 and err.strip(), err
    assert canary.seen() == set()


@pytest.mark.parametrize("name", ["model.gguf", "mmproj.gguf", "models.json"])
def test_35_a_folder_of_gguf_files_has_no_links(place, name):
    model, outside, canary = place
    shutil.rmtree(model)
    model.mkdir()
    if name != "model.gguf":
        shutil.copy(os.path.join(MODEL, "model.gguf"), model)
    (model / name).symlink_to(outside / ("config.json" if name == "models.json" else name))
    code, _, err = load(model)
    assert code == 3 and err.strip(), err
    assert canary.seen() == set()
