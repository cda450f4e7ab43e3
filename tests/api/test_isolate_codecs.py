"""--isolate-codecs: media are decoded in processes of their own. A codec that its file took over (tests/plugins/zoo/wild.c) costs that request a
400 and nobody anything else (goals 16, 20 to 23; beneath HTTP: tests/plugins/test_isolate*.c)."""

import base64
import concurrent.futures
import os
import pathlib
import shutil
import signal
import time

import pytest

import towers
from clips import BUILD, clip
from containers import WHOLE, corpus
from harness import PATIENCE, Baseline, Server, ask, error_of, run
from test_clips import TONE, pictures, video_url, watch
from test_hearing_parts import audio_url, hear
from test_towers import about, image

KEY = "a-key-for-tests"
FAILED = "sensorium_codec_helpers_failed_total"
WILD = BUILD / "zoo" / "zoo_wild.so"


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


def kill(server):
    """All helpers that there are; when this returns they have closed all that they had open."""
    last = helpers(server.pid)
    for p in last:
        os.kill(p, signal.SIGKILL)
    assert all(gone(p) for p in last)


def gone(pid):
    """It may stay a zombie where nobody reaps orphans."""
    proc, deadline = pathlib.Path("/proc/%d" % pid), time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z" and len(list((proc / "task").iterdir())) == 1:
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("host, n", [("127.0.0.1", 0), ("0.0.0.0", 1)])
def test_it_is_on_by_itself_beyond_loopback(tmp_path, host, n):
    keys = tmp_path / "keys"
    keys.write_text(KEY + "\n")
    keys.chmod(0o600)
    with Server("--host", host, "--api-key-file", str(keys), key=KEY) as s:
        assert len(helpers(s.pid)) == n


def test_other_words_are_refused():
    code, _, log = run("serve", "--isolate-codecs", "maybe")
    assert code == 2 and "--isolate-codecs" in log


# ---- a model that sees, watches and hears, with a codec that does what its files say -------------------------------------------

@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return towers.sees_and_hears(tmp_path_factory.mktemp("hears"))


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    if not WILD.exists():
        pytest.skip("the zoo is not beside this program")
    folder = tmp_path_factory.mktemp("plugins") / "all"
    shutil.copytree(BUILD / "plugins", folder)
    shutil.copy(WILD, folder)
    folder.chmod(0o755)
    return str(folder)


def serve(model, plugins):
    with Server("--isolate-codecs", "on", "--plugin-dir", plugins, model=model) as s:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # two decode at once: two helpers, each a socket of the server's
            assert [s[0] for s in pool.map(s.chat, [wild("clip", "look sleep 500")] * 2)] == [200, 200]
        assert len(helpers(s.pid)) == 2
        s.baseline = Baseline(s)
        yield s
        last = helpers(s.pid)
    assert last and all(gone(p) for p in last)


@pytest.fixture(scope="module")
def isolated(model, plugins):
    yield from serve(model, plugins)


@pytest.fixture()
def mortal(model, plugins):
    """Of which many helpers may end: there is a limit on how many are started in a while."""
    yield from serve(model, plugins)


def wild(kind, deed):
    data = ("SNWILD1 %s\n" % deed).encode().ljust(128, b"\0")
    if kind == "picture":
        return about({"type": "image_url", "image_url": {"url": "data:image/x-wild;base64," + base64.b64encode(data).decode()}}, max_tokens=2)
    return watch(video_url(data, "video/x-wild")) if kind == "clip" else hear(audio_url(data, "audio/x-wild"))


MEDIA = {
    "a picture": lambda: about(image(), max_tokens=4, seed=1),
    "a clip with sound": lambda: watch(video_url(clip(pictures(5, 100), 5.0, sound=TONE)), seed=1, max_tokens=4),
    "an animated picture": lambda: watch(video_url(corpus("moving.gif"), "image/gif"), seed=1, max_tokens=4),
    "a film of another kind": lambda: watch(video_url(corpus("hevc.mkv"), "video/x-matroska"), seed=1, max_tokens=4),
    "a sound": lambda: hear(audio_url(WHOLE["m4a"][0], "audio/mp4"), seed=1),
    "a cut clip": lambda: watch(video_url(corpus("h264.mp4")[:3000], "video/mp4")),
    "a damaged sound": lambda: hear(audio_url(WHOLE["aac"][0][:500], "audio/aac")),
    "a cut picture": lambda: about({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="}}),
}


def answers(server):
    return {name: server.chat(body())[::2] for name, body in MEDIA.items()}


def test_answers_are_the_same(isolated, model, plugins):
    with Server("--isolate-codecs", "off", "--plugin-dir", plugins, model=model) as s:
        here = answers(s)
        assert helpers(s.pid) == []
    there = answers(isolated)
    for name in MEDIA:
        assert here[name][0] == there[name][0] == (200 if "a cut" not in name and "damaged" not in name else 400), (name, here[name], there[name])
        assert here[name][1].get("choices") == there[name][1].get("choices") and here[name][1].get("error") == there[name][1].get("error"), name
    assert isolated.metrics()[FAILED] == 0


@pytest.mark.parametrize("kind,deed", [("picture", "measure crash"), ("picture", "decode abort"), ("sound", "measure leave"), ("sound", "decode crash"), ("clip", "look crash"),
                                       ("clip", "read crash")])
def test_a_crash_costs_one_request(isolated, kind, deed):
    """Beside it and after it all others are answered as ever."""
    names = ["a picture", "a clip with sound", "a sound"]
    calm = {n: isolated.chat(MEDIA[n]())[2] for n in names}
    failed, refused = isolated.metrics()[FAILED], isolated.answers("/v1/chat/completions", 400)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        before = [pool.submit(isolated.chat, MEDIA[n]()) for n in names]
        bad = pool.submit(isolated.chat, wild(kind, deed))
        after = [pool.submit(isolated.chat, MEDIA[n]()) for n in names] + [pool.submit(isolated.chat, ask(seed=1))]
        status, _, answer = bad.result()
        for n, f in zip([*names, *names, None], before + after):
            got, _, said = f.result()
            assert got == 200 and (n is None or said["choices"] == calm[n]["choices"]), (n, said)
    assert status == 400 and error_of(answer) == {"message": "the decoder failed on this file", "type": "invalid_request_error", "param": "messages", "code": error_of(answer)["code"]}
    assert isolated.metrics()[FAILED] == failed + 1 and isolated.counted("/v1/chat/completions", 400, refused + 1) == refused + 1
    log = isolated.wait_log("wild")
    assert " wild " in log.replace("\t", " ") and "failed on a file" in log
    assert isolated.chat(wild(kind, "never"))[0] == 200
    isolated.baseline.check(isolated)
    deadline = time.monotonic() + 5 * PATIENCE
    while len(helpers(isolated.pid)) > 2 and time.monotonic() < deadline:
        time.sleep(0.01)  # one that was ended may not be gone yet
    assert 1 <= len(helpers(isolated.pid)) <= 2


def test_its_lines_join_the_log(isolated):
    """Under the request's own id, as all of that request's."""
    body = wild("clip", "look note-of-a-plugin")
    status, headers, _ = isolated.chat(body)
    assert status == 200
    line = next(x for x in isolated.wait_log("note-of-a-plugin").splitlines() if "note-of-a-plugin" in x)
    assert headers["x-request-id"] in line and "wild" in line


@pytest.mark.parametrize("kind,deed", [("clip", "read sleep 30000"), ("picture", "decode sleep 30000"), ("sound", "decode spin")])
def test_one_that_is_killed_at_work_costs_that_request(mortal, kind, deed):
    """As the system does that runs out of memory."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        kill(mortal)  # those at rest
        start = mortal.metrics()[FAILED]
        bad = pool.submit(mortal.chat, wild(kind, deed))
        at_work, deadline = [], time.monotonic() + 10 * PATIENCE
        while len(at_work) < 2 and time.monotonic() < deadline:  # one has the bad file
            assert mortal.chat({**MEDIA["a clip with sound"](), "cache_salt": str(time.monotonic())})[0] == 200  # by another one
            at_work = helpers(mortal.pid)
        kill(mortal)
        status, _, answer = bad.result()
    assert len(at_work) > 1 and status == 400 and "the decoder failed" in error_of(answer)["message"]
    assert mortal.chat({**MEDIA["a clip with sound"](), "cache_salt": "after"})[0] == 200 and mortal.metrics()[FAILED] >= start + 1
    mortal.baseline.check(mortal)


def test_one_that_is_killed_at_rest_costs_nothing(mortal):
    for name in ("a picture", "a clip with sound", "a sound"):
        kill(mortal)
        assert mortal.chat({**MEDIA[name](), "cache_salt": name})[0] == 200
    mortal.baseline.check(mortal)


@pytest.mark.parametrize("kind,deed", [("picture", "measure forge-shape"), ("clip", "read forge-junk"), ("clip", "look forge-clip"), ("sound", "decode forge-kind")])
def test_lies_harm_nobody(isolated, kind, deed):
    status, _, answer = isolated.chat(wild(kind, deed))
    assert status in (400, 500), answer
    assert isolated.chat(MEDIA["a picture"]())[0] == 200
    isolated.baseline.check(isolated)


# ---- the end -------------------------------------------------------------------------------------------------------------------

def test_a_server_ends_with_a_helper_at_work(model, plugins):
    with Server("--isolate-codecs", "on", "--plugin-dir", plugins, "--shutdown-timeout", "1", model=model) as s, concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(s.chat, wild("clip", "read sleep 60000")), pool.submit(s.chat, wild("sound", "decode spin"))]
        deadline = time.monotonic() + 10 * PATIENCE
        while len(helpers(s.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        last = helpers(s.pid)
        start = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        for w in waiting:
            status, _, answer = w.result()
            assert status == 503 and "shutting down" in error_of(answer)["message"], answer
        assert s.process.wait(10) == 0
        assert time.monotonic() - start < 4 * PATIENCE
    assert len(last) == 2 and all(gone(p) for p in last)


def test_a_server_that_is_killed_leaves_no_helper(model, plugins):
    s = Server("--isolate-codecs", "on", "--plugin-dir", plugins, model=model)
    s.__enter__()
    last = helpers(s.pid)
    s.kill()
    s.log_file.close()
    os.unlink(s.log_path)
    assert len(last) == 1 and all(gone(p) for p in last)
