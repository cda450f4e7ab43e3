"""Plugins over HTTP: listing, adding while serving by an admin's key, and what a hanging one does (goal 41)."""

import base64
import json
import pathlib
import re
import shutil
import struct
import time

import pytest

from harness import BIN, JSON, PATIENCE, Baseline, Server, ask, error_of

BUILD = pathlib.Path(BIN).parent
ZOO = BUILD / "zoo"
MODEL_WIDTH = 256  # samples/model
ADMIN = "sk-admin-0123456789"
KEY = "sk-user-0123456789"

pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not beside this program")


def rows(first=0.5, n=2, text=b"rows: ."):
    values = [first] + [0.01 * (i % 5) for i in range(n * MODEL_WIDTH - 1)]
    data = b"SNROWS1\n" + struct.pack("<III", n, MODEL_WIDTH, len(text)) + text + struct.pack("<%df" % len(values), *values)
    url = "data:application/x-rows;base64," + base64.b64encode(data).decode()
    return {**ask(max_tokens=2), "messages": [{"role": "user", "content": [{"type": "rows_url", "rows_url": {"url": url}}, {"type": "text", "text": "?"}]}]}


@pytest.fixture
def folder(tmp_path):
    f = tmp_path / "plugins"
    f.mkdir(mode=0o755)
    for so in (BUILD / "plugins").glob("*.so"):
        shutil.copy(so, f)
    return f


@pytest.fixture
def admin_file(tmp_path):
    f = tmp_path / "admin"
    f.write_text(ADMIN + "\n")
    f.chmod(0o600)
    return f


def add(server, file, key=ADMIN, **more):
    head = {**JSON, **({"Authorization": "Bearer " + key} if key else {})}
    status, _, body = server.request("POST", "/v1/plugins", json.dumps({"file": file, **more}).encode(), head)
    return status, json.loads(body)


def listed(server):
    return {p["id"] or p["file"]: p for p in json.loads(server.get("/v1/plugins")[2])["data"]}


def test_nobody_may_add_without_an_admin_key(server):
    for key in (None, ADMIN, "none"):
        status, answer = add(server, "x.so", key)
        assert status == 403 and "--admin-api-key" in error_of(answer)["message"]


def test_a_plugin_is_added_while_serving(folder, admin_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SN_TEST_KEY", KEY)
    with Server("--plugin-dir", str(folder), "--admin-api-key", "@%s" % admin_file, "--api-key", "env:SN_TEST_KEY", key=KEY,
                env={"SN_TEST_KEY": KEY}) as server:
        baseline = Baseline(server)
        assert add(server, "zoo_good.so", KEY)[0] == 403  # a user's key is not enough
        assert add(server, "zoo_good.so", "wrong")[0] == 401
        assert server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + ADMIN})[0] == 200
        status, _, answer = server.chat(rows())
        assert status == 400 and "does not take rows" in error_of(answer)["message"]
        before = listed(server)
        modalities = json.loads(server.get("/v1/models")[2])["data"][0]["input_modalities"]

        refusals = {"zoo_good.so": "no such file", "../zoo_good.so": "plain name", "/etc/passwd": "plain name", "x": "plain name",
                    str(ZOO / "zoo_good.so"): "plain name", ".so": "plain name", "a" * 200 + ".so": "plain name"}
        for name, why in refusals.items():
            status, answer = add(server, name)
            assert status == 400 and why in error_of(answer)["message"] and error_of(answer)["param"] == "file", (name, answer)
        for bad in (b"", b"[]", b"{}", b'{"file":1}', b'{"file":null}', b'{"file":"x.so","more":1}', b'{"file":"x\\u0000.so"}'):
            status, _, body = server.request("POST", "/v1/plugins", bad, {**JSON, "Authorization": "Bearer " + ADMIN})
            assert status == 400, body
            error_of(json.loads(body))
        for name, why in {"zoo_stamp_major": "another major version", "zoo_no_entry": "does not export", "zoo_init_fails": "init fails"}.items():
            shutil.copy(ZOO / (name + ".so"), folder)
            status, answer = add(server, name + ".so")
            assert status == 400 and why in error_of(answer)["message"]
        shutil.copy(ZOO / "zoo_good.so", folder / "writable.so")
        (folder / "writable.so").chmod(0o666)
        assert "others may write it" in error_of(add(server, "writable.so")[1])["message"]
        assert listed(server) == before

        shutil.copy(ZOO / "zoo_good.so", folder)
        status, answer = add(server, "zoo_good.so")
        assert status == 200 and [p["id"] for p in answer["data"]] == ["rows-codec", "rows-encoder"], answer
        assert json.loads(server.get("/v1/models")[2])["data"][0]["input_modalities"] == modalities + ["rows"]
        status, _, first = server.chat(rows())
        assert status == 200, first
        status, answer = add(server, "zoo_good.so")
        assert status == 400 and "restart" in error_of(answer)["message"]
        shutil.copy(ZOO / "zoo_good.so", folder / "again.so")
        status, answer = add(server, "again.so")
        assert status == 400 and "restart" in error_of(answer)["message"]
        p = listed(server)["rows-encoder"]
        assert p["calls"] > 0 and p["failures"] == 0 and p["media_bytes"] > 0 and p["models"] == len(json.loads(server.get("/v1/models")[2])["data"]) and p["state"] == "ready"
        assert ADMIN not in server.log() and KEY not in server.log()
        baseline.check(server)


def test_an_admin_key_is_not_given_on_the_command_line():
    from harness import run
    code, _, log = run("serve", "--admin-api-key", ADMIN)
    assert code == 2 and "--admin-api-key" in log and ADMIN not in log


def test_39_a_library_path_does_not_choose_the_plugin(folder, tmp_path):
    evil = tmp_path / "evil"
    evil.mkdir()
    shutil.copy(ZOO / "zoo_stamp_major.so", evil / "image-codec.so")
    with Server("--plugin-dir", str(folder), env={"LD_LIBRARY_PATH": str(evil)}) as server:
        assert listed(server)["image-codec"]["state"] == "ready"
        assert str(evil) not in pathlib.Path("/proc/%d/maps" % server.pid).read_text()


def test_40_a_failing_plugin_is_listed_as_degraded_and_recovers(folder):
    shutil.copy(ZOO / "zoo_step_fails.so", folder)
    with Server("--plugin-dir", str(folder)) as server:
        baseline = Baseline(server)
        for _ in range(3):
            status, _, answer = server.chat(rows(666.0))
            assert status == 500 and error_of(answer)["code"] == "plugin_failed"
        assert listed(server)["rows-encoder"]["state"] == "degraded"
        baseline.check(server)
        assert server.chat(rows())[0] == 200
        assert listed(server)["rows-encoder"]["state"] == "ready"


def test_61_readiness_waits_for_a_slow_load(folder):
    """The port is open while the model loads: alive, not ready, and refusing in so many words; ready only after the first token."""
    shutil.copy(ZOO / "zoo_slow_load.so", folder)
    server = Server("--plugin-dir", str(folder))
    until = time.monotonic() + 30
    while not (found := re.search(r"listening on http://\S*:(\d+)", server.log())):
        assert time.monotonic() < until, server.log()
        time.sleep(0.01)
    server.port = int(found.group(1))
    ready, n = 503, 0
    while ready == 503:
        status, headers, _ = server.chat(ask())
        ready, _, answer = server.request("GET", "/readyz")
        assert server.request("GET", "/livez")[0] == 200
        if ready == 503:
            assert status == 503 and headers["retry-after"] and json.loads(answer)["status"] == "loading"
            n += 1
        time.sleep(0.02)
    assert ready == 200 and n > 10
    server.wait_log("ready on")
    with server:
        assert server.chat(ask())[0] == 200


def test_41_a_step_that_never_returns_ends_the_process(folder):
    """Readiness goes at once, liveness after ten times the limit, then the process ends with its own code: no silent hang."""
    shutil.copy(ZOO / "zoo_hangs.so", folder)
    limit = 0.3 * PATIENCE
    with Server("--plugin-dir", str(folder), "--step-timeout", str(limit)) as server:
        server.expect_exit = 5
        assert server.chat(rows())[0] == 200 and server.get("/readyz")[0] == 200
        s = server.connect(60)
        body = json.dumps(rows(666.0)).encode()
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        start, seen = time.monotonic(), {}
        while server.process.poll() is None and time.monotonic() - start < 60:
            for path in ("/readyz", "/livez"):
                try:
                    status = server.request("GET", path, timeout=2)[0]
                except OSError:
                    continue
                if status == 503:
                    seen.setdefault(path, time.monotonic() - start)
            time.sleep(0.02)
        s.close()
        assert server.process.returncode == 5
        assert seen["/readyz"] >= 0.5 * limit
        assert seen["/readyz"] < seen.get("/livez", 10 * limit + 60)
        assert "does not answer" in server.log()
