"""Keys: deny by default, compared safely, never on a command line; loopback by default (goals 64, 65, 69)."""

import http.client
import json
import pathlib
import re
import time

import pytest

from harness import CHAT, COMPLETIONS, JSON, MODEL, PATIENCE, REPO, TRANSCRIPTIONS, TRANSLATIONS, Server, ask, error_of, run

KEY = "sk-first-0123456789abcdef"
OTHER = "sk-second-fedcba9876543210"


@pytest.fixture(scope="module")
def keyfile(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("\n  %s  \n\n%s\n" % (KEY, OTHER))
    path.chmod(0o600)
    return str(path)


@pytest.fixture(scope="module")
def server(keyfile):
    with Server("--api-key", "@" + keyfile, key=KEY) as s:
        yield s


def routes():
    """The route table as the source has it: a new route that is not tested here fails below."""
    source = (REPO / "api" / "routes.c").read_text()
    return re.findall(r'\{"(\w+)", "(/[^"]*)", \w+, (true|false),', source)


def test_the_table_is_the_one_we_know():
    assert sorted((m, p, o) for m, p, o in routes()) == sorted([
        ("POST", CHAT, "false"), ("POST", COMPLETIONS, "false"), ("POST", TRANSCRIPTIONS, "false"), ("POST", TRANSLATIONS, "false"), ("POST", "/v1/audio/speech", "false"), ("GET", "/v1/audio/voices", "false"),
        ("POST", "/tokenize", "false"), ("POST", "/detokenize", "false"),
        ("GET", "/openapi.json", "false"), ("GET", "/v1/models", "false"), ("GET", "/v1/models/{id}", "false"), ("GET", "/v1/plugins", "false"),
        ("POST", "/v1/embeddings", "false"), ("POST", "/v1/plugins", "false"),
        ("GET", "/metrics", "false"), ("GET", "/livez", "true"), ("GET", "/readyz", "true")])


@pytest.mark.parametrize("method,path,is_open", routes())
def test_every_route_needs_the_key(server, method, path, is_open):
    path = path.replace("{id}", "x")
    data = json.dumps(ask()).encode() if method == "POST" else None
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"x-api-key": "wrong"}, {"Authorization": "Basic " + KEY},
                  {"Authorization": KEY}, {"Authorization": "Bearer"}):
        status, headers, body = server.request(method, path, data, {"Authorization": "Bearer ", **JSON, **wrong})
        if is_open == "true":
            assert status == 200
        else:
            assert status == 401 and headers["www-authenticate"] == "Bearer"
            assert error_of(json.loads(body))["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/", "//v1/models", "/V1/models", "/%2fv1/models", "/v1%2fmodels", "/v1/models/", "/v1/./models", "/livez/../v1/models",
                                  "/livez/", "/livezz", "/LIVEZ", "/readyz/x", "/metrics/", "/nowhere", "/v1/models?livez", "/livez%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS"])
def test_no_spelling_gets_past(server, path, method):
    status, _, _ = server.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert status in (400, 401)


def test_both_headers_and_both_keys_work(server):
    for key in (KEY, OTHER):
        assert server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})[0] == 200
        assert server.request("GET", "/v1/models", headers={"Authorization": "bearer " + key})[0] == 200
        h = http.client.HTTPConnection("127.0.0.1", server.port)
        h.request("GET", "/v1/models", headers={"X-API-Key": key})
        assert h.getresponse().status == 200
        h.close()


def test_near_misses_fail(server):
    near = [KEY[:n] for n in range(1, len(KEY))] + [KEY + "x", KEY + " x", " " + KEY + "x", KEY.upper(), KEY[1:], KEY + KEY,
                                                    KEY + "," + OTHER]
    for key in near:
        assert server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})[0] == 401, key


def test_the_key_is_nowhere_to_be_read(server):
    server.chat(ask())
    server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + KEY + "x"})
    cmdline = pathlib.Path("/proc/%d/cmdline" % server.pid).read_bytes()
    metrics = server.get("/metrics")[2]
    for key in (KEY, OTHER):
        assert key.encode() not in cmdline and key.encode() not in metrics and key not in server.log()


def test_a_key_from_the_environment():
    with Server(env={"SENSORIUM_API_KEY": KEY}, key=KEY) as s:
        assert s.get("/v1/models")[0] == 200
        assert s.request("GET", "/v1/models", headers={"Authorization": "Bearer x"})[0] == 401
    with Server("--api-key", "env:MY_KEY", env={"MY_KEY": OTHER}, key=OTHER) as s:
        assert s.get("/v1/models")[0] == 200


def refused(*args, env=None):
    code, _, err = run("serve", MODEL, "--port", "0", *args, env=env)
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1
    return err


def test_a_key_on_the_command_line_is_refused():
    err = refused("--api-key", KEY)
    assert "@FILE" in err and "env:NAME" in err and KEY not in err


def test_key_files_are_checked(tmp_path):
    path = tmp_path / "k"
    path.write_text(KEY)
    for mode in (0o644, 0o640, 0o604, 0o660):
        path.chmod(mode)
        assert "chmod 600" in refused("--api-key-file", str(path))
    path.chmod(0o600)
    for text in ("", "\n\n", "a b", "ké", "x" * 600):
        path.write_text(text)
        err = refused("--api-key-file", str(path))
        assert not text.strip() or text not in err
    refused("--api-key-file", str(tmp_path / "missing"))
    refused("--api-key-file", str(tmp_path))
    refused("--api-key", "env:NOT_SET_ANYWHERE")


def test_only_loopback_without_a_key():
    for host in ("0.0.0.0", "::"):
        assert "needs an API key" in refused("--host", host)
    refused("--host", "no.such.host.invalid")
    with Server() as s:
        table = pathlib.Path("/proc/%d/net/tcp" % s.pid).read_text()
        assert "0100007F:%04X" % s.port in table and "00000000:%04X" % s.port not in table
        assert "no API key" in s.log()


def test_cross_origin_requests_get_nothing(server):
    head = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        headers = server.request(method, "/v1/models", headers=head)[1]
        assert not [h for h in headers if h.startswith("access-control")]


def test_comparing_takes_the_same_time_for_every_prefix(server):
    """Coarse: catches a compare that hashes nothing and stops early only if it is gross. The code has no early exit."""
    def cost(key):
        best = 1.0
        for _ in range(30):
            start = time.perf_counter()
            server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})
            best = min(best, time.perf_counter() - start)
        return best
    a, b = cost("x" * len(KEY)), cost(KEY[:-1] + "x")
    assert abs(a - b) < 0.002 * PATIENCE
