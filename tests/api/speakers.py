"""A model that speaks, for the tests: the sample's language model, and beside it a file that the plugin `whistle` makes sound of, a letter
being a whistle of 20 ms. It was never taught to speak, so what it says means nothing; how it is served is what any speaker gets."""

import json
import pathlib
import shutil
import struct
import sys

from harness import BIN, REPO, sample_files, sample_that_sees

sys.path.insert(0, str(REPO / "tests" / "plugins"))
from ears import STRING, U32, key  # noqa: E402

RATE, FRAME = 24000, 480
BUILD = pathlib.Path(BIN).parent


def plugins(folder):
    """The tree's plugins and the whistle in one folder. -> its path"""
    folder.mkdir()
    for so in [*(BUILD / "plugins").glob("*.so"), BUILD / "whistle" / "whistle.so"]:
        shutil.copy(so, folder)
    return str(folder)


def width():
    """Values in an embedding of the sample."""
    head, name = sample_files()[0].read_bytes()[:1 << 16], b".embedding_length" + struct.pack("<I", U32)
    return struct.unpack_from("<I", head, head.index(name) + len(name))[0]


def whistle(path, **numbers):
    if numbers.get("skills"):
        numbers["width"] = width()
    keys = [key("general.architecture", STRING, "whistle")] + [key("whistle." + k, U32, v) for k, v in numbers.items()]
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)
    path.write_bytes(head + bytes(-len(head) % 32))
    return path


def speaker(folder, name="voice", beside=(), **numbers):
    """A folder with models.json: the speaker, and `beside` it other entries. -> the folder's path"""
    folder.mkdir()
    sample_that_sees(folder)
    whistle(folder / "whistle.gguf", **numbers)
    entry = {"name": name, "files": {"model": "model.gguf", "mmproj": "whistle.gguf"}, "roles": ["speech"]}
    (folder / "models.json").write_text(json.dumps({"models": [*beside, entry]}))
    return str(folder)


def pair(folder, **numbers):
    """A chat model that is paired with the speaker in models.json, which comes second."""
    chat = {"name": "chat", "speaker": "voice", "files": {"model": "model.gguf", "mmproj": "mmproj.gguf"}, "roles": ["chat", "vision"]}
    return speaker(folder, beside=[chat], **numbers)
