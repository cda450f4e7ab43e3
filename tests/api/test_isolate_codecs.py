"""--isolate-codecs: media are decoded in processes of their own (goals 16, 17, 22 and 23 where a decoder is broken itself: tests/plugins/test_isolate.c)."""

import os
import pathlib
import time

import pytest

from harness import CHAT, Server, run
from test_towers import about, image

KEY = "a-key-for-tests"


def helpers(pid):
    """Children of the process that are codec helpers."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"codec-helper" in (p / "cmdline").read_bytes():
                found.append(int(p.name))
        except (OSError, IndexError):
            pass
    return found


def test_answers_are_the_same_and_no_process_is_left():
    said, children = [], []
    for flag in ("off", "on"):
        with Server("--isolate-codecs", flag) as s:
            children.append(helpers(s.pid))
            status, _, answer = s.chat(about(image(), max_tokens=8, seed=1))
            assert status == 200, answer
            said.append(answer["choices"])
            status, _, answer = s.chat(about({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="}}))
            assert status == 400, answer
            children.append(helpers(s.pid))
    assert said[0] == said[1]
    assert [len(c) for c in children] == [0, 0, 1, 1]
    assert not any(os.path.exists(f"/proc/{c}") for c in children[3])


@pytest.mark.parametrize("host, n", [("127.0.0.1", 0), ("0.0.0.0", 1)])
def test_it_is_on_by_itself_beyond_loopback(tmp_path, host, n):
    keys = tmp_path / "keys"
    keys.write_text(KEY + "\n")
    keys.chmod(0o600)
    with Server("--host", host, "--api-key-file", str(keys), key=KEY) as s:
        assert len(helpers(s.pid)) == n


def test_a_helper_that_is_killed_costs_nobody_but_its_request():
    with Server("--isolate-codecs", "on") as s:
        first = helpers(s.pid)
        os.kill(first[0], 9)
        time.sleep(0.1)
        status, _, answer = s.chat(about(image(), max_tokens=4, seed=1))
        assert status in (200, 400), answer
        status, _, answer = s.chat(about(image(), max_tokens=4, seed=1))
        assert status == 200, answer
        assert helpers(s.pid) != first


def test_other_words_are_refused():
    code, _, log = run("serve", "--isolate-codecs", "maybe")
    assert code == 2 and "--isolate-codecs" in log
