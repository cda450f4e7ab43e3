"""What schemas and grammars may cost those beside them: memory has an end, and other people's tokens come as before (check 9)."""
import http.client
import itertools
import json
import pathlib
import re
import threading
import time

import pytest

import harness
from harness import CHAT, JSON, ask

# Two ways through each letter, again and again: it begins, and cannot be followed for long.
AMBIGUOUS = 'root ::= s "!"\ns ::= "a" s "b" | "a" s "c" | "a" s s | "a"'


def new_schema(i):
    """Of no two requests the same, with counts that cost most."""
    fields = {f"p{i}_{k}": {"type": "string", "maxLength": 20 + k} for k in range(8)}
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": fields, "required": [f"p{i}_0"]}}}


@pytest.fixture(scope="module")
def server():
    with harness.Server("--max-num-seqs", "8") as s:
        gaps(s)  # warm
        yield s


def gaps(server, stop=None):
    """Milliseconds between the pieces of a neighbour's stream, until it ends."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = ask(stream=True, max_tokens=400, ignore_eos=True, temperature=0)
    c.request("POST", CHAT, json.dumps(body).encode(), server.headers(JSON))
    times = [time.perf_counter() for line in c.getresponse() if line.startswith(b"data: {")]
    c.close()
    return sorted((b - a) * 1e3 for a, b in itertools.pairwise(times[2:]))


def resident(server):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{server.process.pid}/status").read_text()).group(1)) / 1024


def beside(server, n_threads, work):
    """Neighbours' gaps while work(i) goes on; [what work gave back]"""
    stop, numbers, done, found = threading.Event(), itertools.count(), [], []

    def loop():
        while not stop.is_set():
            done.append(work(next(numbers)))
    threads = [threading.Thread(target=loop) for _ in range(n_threads)]
    for t in threads:
        t.start()
    while len(found) < 3:
        found.append(gaps(server))
    stop.set()
    for t in threads:
        t.join()
    return sorted(itertools.chain(*found)), done


def status(server, **fields):
    return server.chat(ask(**fields), timeout=120)[0]


def at(sorted_gaps, part):
    return sorted_gaps[int(len(sorted_gaps) * part)]


def test_9_a_neighbour_does_not_notice(server):
    """Beside requests of the same length, one like the others, one with a schema that is new each time, one with a grammar that cannot be
    followed: nine of ten pieces come as fast, and none waits for a mask."""
    plain, _ = beside(server, 1, lambda i: status(server, max_tokens=40, temperature=1, seed=i))
    for work in (lambda i: status(server, max_tokens=40, temperature=1, seed=i, response_format=new_schema(i)),
                 lambda i: status(server, max_tokens=40, temperature=1, seed=i, grammar=AMBIGUOUS + " #%d" % i)):
        found, done = beside(server, 1, work)
        assert done and set(done) <= {200, 400}, done
        assert at(found, 0.9) < 3 * at(plain, 0.9) + 5 * harness.PATIENCE, (at(plain, 0.9), at(found, 0.9))


def test_9_thousands_of_schemas_leave_nothing_behind(server):
    """Each new; what is kept of them has an end."""
    numbers = itertools.count(100000)
    for _ in range(100):
        status(server, max_tokens=1, response_format=new_schema(next(numbers)))
    before = resident(server)
    found, done = beside(server, 4, lambda i: [status(server, max_tokens=1, response_format=new_schema(next(numbers))) for _ in range(100)])
    assert len(done) >= 4 and all(s == 200 for some in done for s in some)
    assert resident(server) - before < 32 or harness.SANITIZED
    server.wait_idle()


def test_9_what_cannot_be_followed_fails_alone(server):
    """It begins; where it becomes too ambiguous its own request ends with an error, and the next one is served."""
    bias = {str(t): 100 for t in server.post("/tokenize", {"prompt": "a", "add_special_tokens": False})[2]["tokens"]}
    answer = server.request("POST", CHAT, json.dumps(ask(grammar=AMBIGUOUS, max_tokens=200, logit_bias=bias, temperature=0)).encode(), JSON, timeout=120)
    assert answer[0] in (200, 400, 500)
    if answer[0] != 200:
        assert "ambiguous" in json.loads(answer[2])["error"]["message"]
    assert status(server, max_tokens=3) == 200
    server.wait_idle()
