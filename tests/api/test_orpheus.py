"""A language model that says codes and a real decoder, in miniature (tiny_orpheus.py): sound is the same bytes however it is taken, beside
whomever it is made; who leaves in mid-speech leaves nothing behind. That the codes and the sound are right is shown against transformers
and SNAC's own package by tests/peer/orpheus.py."""

import base64
import concurrent.futures
import http.client
import json
import socket
import struct
import time

import pytest

import tiny_orpheus
from harness import JSON, PATIENCE, Server, run, sse_events

SPEECH = "/v1/audio/speech"
TEXT = "One sentence is here. Here is another one, longer than the first! And an end?"
LONG = "Nobody will ever hear all of this, and it is long. " * 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_orpheus.write(tmp_path_factory.mktemp("orpheus"))


@pytest.fixture(scope="module")
def server(folder):
    with Server(model=folder) as s:
        yield s


def say(server, text=TEXT, form="pcm", **fields):
    body = {"model": "orpheus", "input": text, "seed": 5, "response_format": form, **fields}
    status, _, sound = server.request("POST", SPEECH, json.dumps(body).encode(), JSON, timeout=60 * PATIENCE)
    assert status == 200, sound
    return sound


@pytest.fixture(scope="module")
def pcm(server):
    return say(server)


def test_it_speaks(server, pcm):
    """Whole frames, as many as were sampled, and not silence."""
    told = sse_events(say(server, stream_format="sse"))
    frames = len(pcm) // 2 // tiny_orpheus.FRAME
    assert len(pcm) == 2 * tiny_orpheus.FRAME * frames and frames > 10
    assert 0 <= told[-1]["usage"]["output_tokens"] - tiny_orpheus.SLOTS * frames <= 3  # each utterance may have its end
    samples = struct.unpack("<%dh" % (len(pcm) // 2), pcm)
    assert max(samples) > 1000 and len(set(samples)) > 100
    assert [v["name"] for v in json.loads(server.get("/v1/audio/voices")[2])["data"]] == ["default", *tiny_orpheus.VOICES]


def test_a_stream_is_the_whole(server, folder, pcm, tmp_path):
    """Bytes, events, WAV, a reader that takes its time, and the file that is written when all of it is there."""
    assert b"".join(base64.b64decode(e["audio"]) for e in sse_events(say(server, stream_format="sse"))[:-1]) == pcm
    assert say(server, form="wav")[44:] == pcm
    out = tmp_path / "out.wav"
    code, _, err = run("speak", folder, TEXT, "--seed", "5", "-o", str(out), timeout=60 * PATIENCE)
    assert code == 0 and out.read_bytes()[44:] == pcm, err
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    c.request("POST", SPEECH, json.dumps({"input": TEXT, "seed": 5, "response_format": "pcm"}), JSON)
    r, got = c.getresponse(), b""
    while piece := r.read(4001):
        got += piece
        time.sleep(0.01)
    c.close()
    assert got == pcm


def test_each_voice_is_its_own(server, pcm):
    sounds = {v: say(server, voice=v) for v in tiny_orpheus.VOICES}
    assert sounds["tara"] == pcm and len(set(sounds.values())) == len(sounds)


def test_seeds(server, pcm):
    assert all(say(server) == pcm for _ in range(3))
    assert say(server, seed=6) != pcm
    cold = say(server, temperature=0)
    assert cold == say(server, temperature=0, seed=6) and cold != pcm


def test_company_changes_no_byte(server):
    """Eight at once, of different voices, seeds and formats: each as alone; eight sequences in a step, and decoders that share their runs."""
    asked = [dict(text="%d of them. And one more sentence." % i, voice=v, seed=i, form=("pcm", "wav")[i % 2]) for i, v in enumerate(tiny_orpheus.VOICES)]
    alone = [say(server, **a) for a in asked]
    one_by_one = server.metrics()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda a: say(server, **a), asked))
    assert together == alone
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # and where the end is not the same for all
        assert list(pool.map(lambda a: say(server, **a), asked[::-1])) == alone[::-1]
    server.wait_idle()
    m = server.metrics()
    assert m["sensorium_step_sequences_max"] >= 8
    assert m["sensorium_synth_streams_max"] >= 2
    steps = (m["sensorium_steps_total"] - one_by_one["sensorium_steps_total"]) / 2
    tokens = (m["sensorium_generation_tokens_total"] - one_by_one["sensorium_generation_tokens_total"]) / 2
    assert tokens / steps > 3, (tokens, steps)  # a step serves several


def leave(server, after, reset=False):
    """Asks for a long speech, and leaves when so many bytes of sound have come."""
    s = server.connect(60)
    body = json.dumps({"input": LONG, "response_format": "pcm", "seed": 1}).encode()
    s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (SPEECH.encode(), len(body), body))
    got = 0
    while got < after:
        got += len(s.recv(4096))
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


@pytest.mark.parametrize("after", [0, 1, 5000])
@pytest.mark.parametrize("reset", [False, True])
def test_46_who_leaves_frees_everything(server, pcm, after, reset):
    """Before the first sound and in the midst of it: pages are free, and neither steps nor decoder runs are spent on it any more."""
    server.wait_idle()
    before = server.metrics()
    leave(server, after, reset)
    assert server.wait_idle(5 * PATIENCE) < 0.5 * PATIENCE
    time.sleep(0.05 * PATIENCE)  # the step in which it was seen may not be over
    stopped = server.metrics()
    time.sleep(0.1)
    still = server.metrics()
    for name in ("steps_total", "synth_jobs_total", "generation_tokens_total"):
        assert still["sensorium_" + name] == stopped["sensorium_" + name], name
    # Not nearly all of it was said: the whole is 80 utterances of up to 140 frames.
    assert stopped["sensorium_generation_tokens_total"] - before["sensorium_generation_tokens_total"] < 10000 * PATIENCE
    assert say(server) == pcm
