"""Pictures from files and hosts that the operator allows: nothing else is read or dialled, and whatever comes is bounded (goals 23-27)."""

import base64
import gzip
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from harness import BIN, PATIENCE, Baseline, Server, ask, error_of, run
from test_media_gate import BOMBS, LEAKS, NOT_PICTURES, data_url, encode, look

GOOD = encode(size=(24, 16))
ENDLESS = 24 << 20  # more than a picture may weigh


class Web(http.server.BaseHTTPRequestHandler):
    """What is behind a URL, by its path. hits: what was asked for."""

    protocol_version = "HTTP/1.1"
    hits, sent, files = [], 0, {}

    def do_GET(self):
        Web.hits.append((self.path, dict(self.headers)))
        try:
            name = self.path.lstrip("/").split("?")[0]
            getattr(self, name.replace("-", "_"), self.file)()
        except OSError:
            pass  # the other side has had enough
        finally:
            self.close_connection = True

    def answer(self, status=200, body=b"", length=None, **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        if length is not False:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def file(self):
        data, mime = Web.files.get(self.path, (None, None))
        self.answer(200, data, Content_Type=mime) if data is not None else self.answer(404, b"no such thing CANARY")

    def unknown_type(self):
        self.answer(200, GOOD, Content_Type="text/html")

    def no_length(self):
        self.answer(200, GOOD, length=False)

    def chunked(self):
        self.answer(200, length=False, Transfer_Encoding="chunked")
        for at in range(0, len(GOOD), 50):
            piece = GOOD[at:at + 50]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def endless(self):
        self.answer(200, length=False)
        Web.sent = 0
        while Web.sent < 20 * ENDLESS:
            Web.sent += self.wfile.write(b"\x89PNG" * 16384)

    def endless_error(self):
        self.answer(404, length=False)
        Web.sent = 0
        while Web.sent < 20 * ENDLESS:
            Web.sent += self.wfile.write(b"x" * 65536)

    def endless_headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for i in range(1_000_000):
            self.wfile.write(b"X-%d: y\r\n" % i)

    def endless_100(self):
        for _ in range(1_000_000):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def slow(self):
        self.answer(200, length=1000)
        for _ in range(30):
            self.wfile.write(b"x")
            time.sleep(1)

    def steady_but_late(self):
        self.answer(200, length=1_000_000)
        for _ in range(60):
            self.wfile.write(b"x" * 400)
            time.sleep(0.5)

    def silent(self):
        time.sleep(30)

    def says_more(self):
        self.answer(200, GOOD, length=len(GOOD) + 1000)

    def says_less(self):
        self.answer(200, GOOD, length=len(GOOD) - 20)

    def says_huge(self):
        self.answer(200, GOOD, length=2**62)

    def gzip_bomb(self):
        self.answer(200, gzip.compress(b"\0" * 100_000_000), Content_Encoding="gzip")

    def gzip_picture(self):
        self.answer(200, gzip.compress(GOOD), Content_Encoding="gzip", Content_Type="image/png")

    def loop(self):
        self.answer(302, Location="/loop")

    def to_canary(self):
        self.answer(307, Location="http://127.0.0.1:%d/hit" % CANARY[0])

    def refresh(self):
        self.answer(200, GOOD, Refresh="0; url=http://127.0.0.1:%d/hit" % CANARY[0])

    def cookie(self):
        self.answer(200, GOOD, Set_Cookie="a=b; Path=/")

    def status_500(self):
        self.answer(500, b"broken CANARY")

    def status_204(self):
        self.answer(204)

    def status_403(self):
        self.answer(403)

    def empty(self):
        self.answer(200)

    def nonsense(self):
        self.wfile.write(b"\0\0\0 this is no HTTP\r\n\r\n")

    def hang_up(self):
        self.close_connection = True

    def log_message(self, *args):
        pass


CANARY = [0, 0]  # port, hits


def listen(handler):
    class Listener(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args):
            pass
    server = Listener(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Canary(http.server.BaseHTTPRequestHandler):
    def handle(self):
        CANARY[1] += 1

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def web():
    canary, server = listen(Canary), listen(Web)
    CANARY[0] = canary.server_address[1]
    yield "http://127.0.0.1:%d" % server.server_address[1]
    server.shutdown()
    canary.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tree = tmp_path_factory.mktemp("media")
    for name in ("tm", "tmp", "out"):
        (tree / name).mkdir()
    (tree / "tm" / "good.png").write_bytes(GOOD)
    (tree / "tm" / "a b.png").write_bytes(GOOD)
    (tree / "tm" / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(21 << 20))
    (tree / "tm" / "empty.png").write_bytes(b"")
    for name in ("tmp", "out"):
        (tree / name / "secret.png").write_bytes(GOOD)
    os.symlink("../out/secret.png", tree / "tm" / "link.png")
    os.symlink("/proc/self/environ", tree / "tm" / "environ")
    os.mkfifo(tree / "tm" / "fifo")
    return tree


@pytest.fixture(scope="module")
def server(web, folder):
    """Fetching and reading are on. Proxies of the environment lead to the canary: they must not be used."""
    proxy = "http://127.0.0.1:%d" % CANARY[0]
    proxies = {k: proxy for k in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    local = web.removeprefix("http://")
    domains = "%s,localhost:%s,Pictures.Example,refused.invalid" % (local, local.rsplit(":", 1)[1])
    with Server("--allowed-media-domains", domains, "--allowed-local-media-path", str(folder / "tm"), env=proxies) as s:
        s.baseline = Baseline(s)
        yield s


@pytest.fixture(autouse=True)
def canary_stays_silent(web):
    yield
    assert CANARY[1] == 0


def fails(server, url, *statuses, within=2.0):
    start = time.monotonic()
    status, headers, answer = server.chat(look(url))
    assert status in statuses, answer
    assert time.monotonic() - start < within * PATIENCE
    error = error_of(answer)
    assert not LEAKS.search(json.dumps(answer)) and "127.0.0.1" not in json.dumps(answer), answer
    assert error["param"] in ("messages[0].content[0].image_url", "messages")
    assert ("retry-after" in headers) == (status in (429, 503))
    return error


# ---- it works ----------------------------------------------------------------------------------------------------------

def test_the_three_ways_lead_to_the_same_answer(hostile, web, folder):
    Web.files["/good.png"] = GOOD, "image/png"
    answers = []
    for url in (data_url(GOOD), web + "/good.png", "file://%s/tm/good.png" % folder, "FILE://localhost%s/tm/a%%20b.png" % folder,
                web + "/no-length", web + "/chunked"):
        status, _, answer = hostile.chat(look(url))
        assert status == 200, answer
        answers.append((answer["choices"][0]["message"], answer["usage"]["prompt_tokens"]))
    assert all(a == answers[0] for a in answers)


def test_a_fetch_carries_nothing_of_ours(hostile, web):
    for _ in range(2):
        assert hostile.chat(look(web + "/cookie"))[0] == 200
    headers = {k.lower(): v for k, v in Web.hits[-1][1].items()}
    assert set(headers) == {"host", "user-agent", "accept"}
    assert headers["user-agent"] == "sensorium"


def test_the_type_is_what_the_bytes_say(hostile, web):
    assert hostile.chat(look(web + "/unknown-type"))[0] == 200
    Web.files["/liar"] = b"<html>", "image/png"
    assert hostile.chat(look(web + "/liar"))[0] == 415


# ---- one gate: every way x every bomb says the same (goal 23) -------------------------------------------------------------

@pytest.mark.parametrize("name", list(BOMBS) + list(NOT_PICTURES))
def test_every_way_leads_through_the_one_gate(hostile, web, folder, name):
    data = BOMBS[name][0] if name in BOMBS else NOT_PICTURES[name]
    (folder / "tm" / "bomb").write_bytes(data)
    Web.files["/bomb"] = data, "image/png"
    before = hostile.metrics()
    peak = hostile.memory_peak()
    results = []
    for url in ("data:;base64," + base64.b64encode(data).decode(), "file://%s/tm/bomb" % folder, web + "/bomb"):
        status, _, answer = hostile.chat(look(url))
        results.append((status, answer["error"] if status != 200 else answer["choices"][0]["message"]))
    assert results[0] == results[1] == results[2]
    assert hostile.memory_peak() - peak < ((32 << 20) + 4 * len(data)) * PATIENCE
    after = hostile.metrics()
    counted = sum(after[k] - before[k] for k in ("sensorium_media_decodes_total", "sensorium_media_refused_total"))
    assert counted >= 3 or results[0][0] == 200


def test_links_in_text_are_not_fetched_when_fetching_is_on(hostile, web):
    before = len(Web.hits)
    assert hostile.chat(ask("![x](%s/good.png) <img src='%s/good.png'>" % (web, web)))[0] == 200
    assert len(Web.hits) == before


# ---- where it does not go (goal 24) --------------------------------------------------------------------------------------

ELSEWHERE = ["http://127.0.0.1:%d/", "https://127.0.0.1:%d/", "http://[::1]:%d/", "http://0.0.0.0:%d/", "http://[::ffff:127.0.0.1]:%d/",
             "http://2130706433:%d/", "http://0x7f000001:%d/", "http://017700000001:%d/", "http://127.1:%d/", "http://127.0.0.1.:%d/",
             "http://localhost:%d/", "http://pictures.example@127.0.0.1:%d/", "http://127.0.0.1:%d\\@pictures.example/",
             "http://127.0.0.1:%d#@pictures.example/", "http://evil.pictures.example:%d/", "http://pictures.example:%d/",
             "http://pictures.example.:%d/", "http://169.254.169.254/latest/meta-data/%d", "http://10.0.0.1:%d/", "http://100.64.0.1:%d/",
             "http://192.168.0.1:%d/", "http://[fd00::1]:%d/", "http://u:p@pictures.example/%d", "http:///%d", "http://%d", "https:%d",
             "http://pictures.example:70000/%d", "http://pictures.example\t/%d", "http://pictures\u3002example/%d"]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_host_that_is_not_listed_is_not_reached(hostile, url):
    fails(hostile, url % CANARY[0], 400)


def test_a_listed_name_with_a_private_address_is_not_dialled(hostile, web):
    before = len(Web.hits)
    error = fails(hostile, web.replace("127.0.0.1", "localhost") + "/good.png", 400)
    assert "no public address" in error["message"] and len(Web.hits) == before


@pytest.mark.parametrize("path", ["/to-canary", "/loop"])
def test_a_redirect_is_refused_by_name(hostile, web, path):
    before = len(Web.hits)
    assert "redirect" in fails(hostile, web + path, 422)["message"]
    assert len(Web.hits) == before + 1


def test_a_refresh_header_is_not_followed(hostile, web):
    assert hostile.chat(look(web + "/refresh"))[0] == 200


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://127.0.0.1/x", "unix:///run/x", "//127.0.0.1/x"])
def test_other_schemes_are_refused(hostile, url):
    fails(hostile, url, 400)


def test_a_name_without_address_can_be_tried_again(hostile):
    fails(hostile, "http://refused.invalid/x.png", 503, within=11)


# ---- how much and how long (goal 25) --------------------------------------------------------------------------------------

def test_an_endless_body_stops_at_the_cap(hostile, web):
    peak = hostile.memory_peak()
    assert fails(hostile, web + "/endless", 413, within=5)["code"] == "too_large"
    assert Web.sent < 2 * ENDLESS
    assert hostile.memory_peak() - peak < (64 << 20) * PATIENCE
    fails(hostile, web + "/endless-error", 422)
    assert Web.sent < ENDLESS // 2


@pytest.mark.parametrize("path, status", [("/endless-headers", 413), ("/endless-100", 413), ("/says-huge", 413)])
def test_endless_headers_and_lengths_are_refused(hostile, web, path, status):
    fails(hostile, web + path, status)


def test_slow_hosts_run_into_the_deadline(hostile, web):
    """At once, so that it takes no longer than the slowest: a dead line is dropped early, a dripping one at ten seconds."""
    took = {}

    def one(path):
        start = time.monotonic()
        status, headers, _ = hostile.chat(look(web + path))
        took[path] = status, time.monotonic() - start, "retry-after" in headers
    threads = [threading.Thread(target=one, args=(p,)) for p in ("/slow", "/silent", "/steady-but-late")]
    for t in threads:
        t.start()
    time.sleep(1)
    start = time.monotonic()
    assert hostile.get("/livez")[0] == 200 and time.monotonic() - start < 0.2 * PATIENCE
    for t in threads:
        t.join()
    assert all(status == 503 and again and seconds < 11 * PATIENCE for status, seconds, again in took.values()), took
    assert took["/slow"][1] < 8 * PATIENCE


@pytest.mark.parametrize("path, status", [("/nothing-here", 422), ("/status-403", 422), ("/status-204", 422), ("/status-500", 503),
                                          ("/says-more", 503), ("/nonsense", 422), ("/hang-up", 503), ("/empty", 415), ("/gzip-picture", 415)])
def test_broken_answers_are_refused(hostile, web, path, status):
    fails(hostile, web + path, status)


def test_a_length_that_says_less_is_believed_and_the_picture_is_cut(hostile, web):
    fails(hostile, web + "/says-less", 400)


def test_a_compressed_bomb_is_not_inflated(hostile, web):
    peak = hostile.memory_peak()
    fails(hostile, web + "/gzip-bomb", 415)
    assert hostile.memory_peak() - peak < (8 << 20) * PATIENCE


def test_a_closed_port_and_a_plain_port_asked_for_tls(hostile, web):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))  # nobody listens
    with Server("--allowed-media-domains", "127.0.0.1:%d" % s.getsockname()[1]) as other:
        fails(other, "http://127.0.0.1:%d/" % s.getsockname()[1], 503)
    s.close()
    fails(hostile, web.replace("http:", "https:") + "/good.png", 422)


def test_a_client_that_leaves_ends_its_fetch(hostile, web):
    hits = len(Web.hits)
    body = json.dumps(look(web + "/steady-but-late")).encode()
    with hostile.connect() as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        while len(Web.hits) == hits:
            time.sleep(0.02)
    start = time.monotonic()
    while hostile.metrics()["sensorium_http_requests_in_flight"] > 0:
        assert time.monotonic() - start < 2 * PATIENCE
        time.sleep(0.05)


def test_one_request_has_one_deadline_and_one_budget(hostile, web, folder):
    part = {"type": "image_url", "image_url": {"url": "file://%s/tm/heavy" % folder}}
    (folder / "tm" / "heavy").write_bytes(GOOD + bytes(10 << 20))
    status, _, answer = hostile.chat({"messages": [{"role": "user", "content": [part] * 4}], "max_tokens": 1})
    assert status == 413 and error_of(answer)["param"] == "messages[0].content[3].image_url"
    part = {"type": "image_url", "image_url": {"url": web + "/slow"}}
    start = time.monotonic()
    assert hostile.chat({"messages": [{"role": "user", "content": [part] * 8}]})[0] == 503
    assert time.monotonic() - start < 11 * PATIENCE


# ---- files (goal 26) -------------------------------------------------------------------------------------------------------

FILES = ["file://{0}/tm/../out/secret.png", "file://{0}/tm/%2e%2e/out/secret.png", "file://{0}/tm/link.png", "file://{0}/tmp/secret.png",
         "file://{0}/out/secret.png", "file://{0}/tm/fifo", "file://{0}/tm/environ", "file://{0}/tm", "file://{0}/tm/", "file://{0}/tm/none.png",
         "file:///etc/passwd", "file:///dev/zero", "file:///proc/self/environ", "file://evil.example{0}/tm/good.png", "file:{0}/tm/good.png",
         "file://{0}/tm/good.png%00", "file://{0}/tm/good.png?x", "file://{0}/tm/good.png\0"]


@pytest.mark.parametrize("url", FILES)
def test_a_file_outside_or_odd_is_refused(hostile, folder, url):
    fails(hostile, url.format(folder), 400)


def test_files_are_bounded_and_read_as_they_are(hostile, folder):
    assert fails(hostile, "file://%s/tm/big.png" % folder, 413)["code"] == "too_large"
    fails(hostile, "file://%s/tm/empty.png" % folder, 415)


# ---- the operator --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags", [("--allowed-media-domains", "http://a.example"), ("--allowed-media-domains", "a.example,"),
                                   ("--allowed-media-domains", "*"), ("--allowed-media-domains", ""), ("--allowed-local-media-path", "/"),
                                   ("--allowed-local-media-path", "relative"), ("--allowed-local-media-path", "/nonesuch")])
def test_a_wrong_option_is_refused_at_start(flags):
    code, _, err = run("serve", "--port", "0", *flags)
    assert code == 2 and flags[0] in err


def test_a_missing_client_is_refused_at_start_by_name(tmp_path):
    """A program without lib/fetch.so beside it serves, unless it is asked to fetch."""
    here = tmp_path / "bin"
    here.mkdir()
    shutil.copy2(BIN, here / "sensorium")
    done = subprocess.run([here / "sensorium", "serve", "--port", "0", "--allowed-media-domains", "a.example"], capture_output=True,
                                        timeout=30)
    assert done.returncode == 2 and b"lib/fetch.so is missing" in done.stderr


def test_the_client_exports_one_symbol():
    so = os.path.join(os.path.dirname(BIN), "lib", "fetch.so")
    names = subprocess.run(["nm", "-D", "--defined-only", so], capture_output=True, text=True, check=True).stdout.split()
    assert names[2::3] == ["fetch_table_1"]


def test_the_client_is_loaded_only_when_asked_for(server, web):
    def maps(s):
        return open("/proc/%d/maps" % s.pid).read()
    assert re.search(r"/fetch\.so", maps(server)) and "libcurl" in maps(server)
    with Server() as plain:
        assert "fetch.so" not in maps(plain) and "libcurl" not in maps(plain)


def test_logs_hold_no_url(server, web):
    log = server.log()
    assert web not in log and "good.png" not in log and "secret" not in log
