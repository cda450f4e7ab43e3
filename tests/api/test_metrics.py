"""The metrics say what clients saw, and no client can make them grow (goal 62)."""

import base64
import json
import random
import re

from harness import CHAT, SANITIZED, Baseline, Server, ask
from test_memory import picture

KEY = "sk-metrics-0123456789"


def series(text):
    """Names with their labels, without values."""
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if line and not line.startswith("#")}


def test_62_counters_are_what_clients_counted():
    with Server("--max-num-seqs", "4", "--max-queued-requests", "8") as server:
        Baseline(server)
        before, rand = server.metrics(), random.Random(62)
        seen = dict(statuses={}, prompt=0, generated=0, stop=0, length=0, pictures=0)

        def count(route, status):
            seen["statuses"][route, status] = seen["statuses"].get((route, status), 0) + 1

        for i in range(60):
            kind = rand.choice(["whole", "whole", "stream", "bad", "missing", "picture", "list"])
            if kind == "bad":
                count(CHAT, server.chat({**ask(), "temperature": "hot"})[0])
            elif kind == "missing":
                count("other", server.get("/nowhere/%d" % i)[0])
            elif kind == "list":
                count("/v1/models", server.get("/v1/models")[0])
            else:
                body = ask("Say %d" % i, max_tokens=rand.randint(1, 12))
                if kind == "picture":
                    body["messages"][0]["content"] = [{"type": "image_url", "image_url": {"url": picture((i, 2 * i, 255 - i))}},
                                                      {"type": "text", "text": "What is it?"}]
                    seen["pictures"] += 1
                if kind == "stream":
                    body["stream_options"] = {"include_usage": True}
                    status, _, raw = server.stream(body)
                    events = [json.loads(e[6:]) for e in raw.split(b"\n\n") if e.startswith(b"data: {")]
                    usage, finish = events[-1]["usage"], [c["finish_reason"] for e in events for c in e["choices"] if c["finish_reason"]]
                else:
                    status, _, answer = server.chat(body)
                    usage, finish = answer["usage"], [c["finish_reason"] for c in answer["choices"]]
                assert status == 200
                count(CHAT, status)
                seen["prompt"] += usage["prompt_tokens"]
                seen["generated"] += usage["completion_tokens"]
                seen[finish[0]] += 1
        server.wait_idle()
        after = server.metrics()

        def grown(name):
            return after.get(name, 0) - before.get(name, 0)

        for (route, status), n in seen["statuses"].items():
            assert grown('sensorium_http_requests_total{route="%s",status="%d"}' % (route, status)) == n, (route, status)
        good = seen["stop"] + seen["length"]
        assert good > 10 and seen["pictures"] > 1 and len(seen["statuses"]) == 4
        assert grown("sensorium_prompt_tokens_total") == seen["prompt"]
        assert 0 <= grown("sensorium_generation_tokens_total") - seen["generated"] <= seen["stop"]  # an end token is sampled, not said
        assert grown('sensorium_request_success_total{finished_reason="stop"}') == seen["stop"]
        assert grown('sensorium_request_success_total{finished_reason="length"}') == seen["length"]
        assert grown("sensorium_time_to_first_token_seconds_count") == good
        assert grown("sensorium_e2e_request_latency_seconds_count") == good
        assert grown("sensorium_encoder_runs_total") == grown("sensorium_media_decodes_total") == seen["pictures"]
        for name in ("sensorium_request_cancelled_total", "sensorium_request_failed_total", "sensorium_request_rejected_total"):
            assert grown(name) == 0
        assert after["sensorium_kv_pages_free"] == after["sensorium_kv_pages_total"]
        assert after["sensorium_num_requests_running"] == after["sensorium_num_requests_waiting"] == 0


def test_62_a_histogram_adds_up():
    with Server() as server:
        for i in range(3):
            server.chat(ask("Count %d" % i))
        server.wait_idle()
        text = server.get("/metrics")[2].decode()
        for name in set(re.findall(r"(sensorium_\w+)_bucket", text)):
            counts = [float(n) for n in re.findall(name + r'_bucket\{le="[^"]*"\} (\S+)', text)]
            total = float(re.search(name + r"_count (\S+)", text).group(1))
            assert counts == sorted(counts) and counts[-1] == total, name


def test_62_labels_do_not_grow_with_what_clients_send():
    """1,000 random models, keys, paths, ids and methods: the set of series stays what the first few made it."""
    rand = random.Random(62)
    word = lambda: base64.b32encode(rand.randbytes(10)).decode()
    with Server(env={"SENSORIUM_API_KEY": KEY}, key=KEY) as server:
        def one():
            w = word()
            server.chat({**ask(), "model": w, "user": w})
            server.request("GET", "/v1/models/" + w)
            server.request("GET", "/%s/%s?%s" % (w, w, w), headers={"X-Request-Id": w})
            server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + w})
            server.request(w[:8], "/v1/models")
            return w
        for _ in range(400):  # until every thread that serves has its stack and heap
            one()
        server.chat(ask())
        first = series(server.get("/metrics")[2].decode())
        first |= series(server.get("/metrics")[2].decode())
        size, words = server.memory_peak(), [one() for _ in range(1000)]
        text = server.get("/metrics")[2].decode()
        assert series(text) == first
        assert not any(w in text for w in words)
        assert len(text) < 64 << 10
        if not SANITIZED:  # there freed memory stays in quarantine
            assert server.memory_peak() - size < 2 << 20
