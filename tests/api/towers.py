"""A model that sees and hears, for the tests: the sample, and beside its tower for pictures one for sound whose weights are random. It
has heard nothing ever, so what it says of a sound means nothing; how it is served is what any model with two towers gets."""

import json
import sys

from harness import REPO, sample_that_sees

sys.path.insert(0, str(REPO / "tests" / "plugins"))
import ears  # noqa: E402

NAME = "hears"
WIDTH = 256  # of the sample's embeddings


def ear(path, width=WIDTH):
    return ears.write(path, "ultravox", width=width)


def sample(folder, listed=None):
    """The sample's files and the ear in a folder; listed: `mmproj` of its models.json, else the folder has none. -> the folder's path"""
    sample_that_sees(folder)
    ear(folder / "mmproj-ear.gguf")
    if listed is not None:
        entry = {"name": NAME, "files": {"model": "model.gguf", "mmproj": listed}, "roles": ["chat", "vision"]}
        (folder / "models.json").write_text(json.dumps({"models": [entry]}))
    return str(folder)


def sees_and_hears(folder):
    return sample(folder, ["mmproj.gguf", "mmproj-ear.gguf"])
