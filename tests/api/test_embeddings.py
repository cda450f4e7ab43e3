"""POST /v1/embeddings: by OpenAI's client and byte by byte; vectors against transformers' (tests/golden/embed), the same bytes in every company."""

import base64
import concurrent.futures
import json
import math
import struct
import time

import openai
import pytest

from harness import CHAT, COMPLETIONS, JSON, REPO, Server, ask, error_of, run

GOLDEN = REPO / "tests" / "golden" / "embed"
EMBEDDINGS = "/v1/embeddings"
TEXTS = ["Hello", "The quick brown fox", "Hello", "a " * 300]
BOUND = 1e-5  # of a vector of length 1, with keys and values in f32


@pytest.fixture(scope="module")
def last():
    with Server("--kv-cache-dtype", "f32", model=str(GOLDEN / "last")) as s:  # of BF16 weights it would be f16
        yield s


@pytest.fixture(scope="module")
def mean():
    with Server("--max-num-batched-tokens", "64", model=str(GOLDEN / "mean")) as s:  # longer texts come in chunks
        yield s


def golden(name):
    return json.loads((GOLDEN / (name + ".json")).read_text())


def embed(server, texts, **fields):
    status, _, answer = server.post(EMBEDDINGS, {"input": texts, "encoding_format": "base64", **fields})
    assert status == 200, answer
    assert [d["index"] for d in answer["data"]] == list(range(len(answer["data"])))
    return [base64.b64decode(d["embedding"]) for d in answer["data"]]


def refuse(server, status, **fields):
    got, _, answer = server.post(EMBEDDINGS, fields)
    assert got == status, answer
    return error_of(answer)


def floats(raw):
    return struct.unpack("<%df" % (len(raw) // 4), raw)


def length(v):
    return math.sqrt(sum(x * x for x in v))


def worst(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) / length(b)


# ---- the SDK ---------------------------------------------------------------------------------------------------------

def test_the_sdk_embeds_in_both_formats(client, model):
    r = client.embeddings.create(model=model, input=TEXTS, user="someone")  # the SDK asks for base64
    as_floats = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    assert r.object == "list" and r.model == model and [d.index for d in r.data] == [0, 1, 2, 3] and {d.object for d in r.data} == {"embedding"}
    assert r.usage.prompt_tokens == r.usage.total_tokens == as_floats.usage.prompt_tokens > 300
    for a, b in zip(r.data, as_floats.data, strict=True):
        assert [struct.pack("<f", x) for x in a.embedding] == [struct.pack("<f", x) for x in b.embedding]
        assert abs(length(a.embedding) - 1) < 1e-6
    assert r.data[0].embedding == r.data[2].embedding != r.data[1].embedding


def test_tokens_are_their_text(server, client, model):
    ids = [server.post("/tokenize", {"prompt": t})[2]["tokens"] for t in TEXTS]
    assert embed(server, ids) == embed(server, TEXTS)
    assert embed(server, ids[1]) == embed(server, TEXTS[1]) == embed(server, [TEXTS[1]])


# ---- exactness -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["last", "mean"])
def test_vectors_are_those_of_transformers(name, request):
    server, want = request.getfixturevalue(name), golden(name)
    status, _, answer = server.post(EMBEDDINGS, {"input": [g["text"] for g in want]})
    assert status == 200, answer
    assert answer["usage"]["prompt_tokens"] == sum(len(g["ids"]) for g in want)
    for g, d in zip(want, answer["data"], strict=True):
        assert server.post("/tokenize", {"prompt": g["text"]})[2]["tokens"] == g["ids"]
        assert worst(d["embedding"], g["vector"]) <= BOUND
    ids = embed(server, [g["ids"] for g in want])
    assert ids == embed(server, [g["text"] for g in want])


def test_halved_keys_and_values_cost_little():
    with Server(model=str(GOLDEN / "last")) as s:
        for g in golden("last"):
            assert worst(floats(embed(s, g["text"])[0]), g["vector"]) <= 1e-3


def test_a_gguf_file_that_names_its_pooling():
    with Server(model=str(GOLDEN / "last.gguf")) as s:
        for g in golden("last"):
            if "\u6f22" not in g["text"]:  # NFC and splitting are tokenizer.json's
                assert worst(floats(embed(s, g["text"])[0]), g["vector"]) <= BOUND


def test_pooling_is_the_operators_to_choose(last):
    want = golden("mean")
    with Server("--pooling", "last", model=str(GOLDEN / "mean")) as s, Server("--pooling", "mean", model=str(GOLDEN / "last")) as m:
        assert worst(floats(embed(s, want[0]["text"])[0]), want[0]["vector"]) > 0.01
        assert embed(m, "Hello") != embed(last, "Hello")
        one = embed(m, "a")  # its rows: a and the end
        assert abs(length(floats(one[0])) - 1) < 1e-6
    with Server("--pooling", "cls", model=str(GOLDEN / "mean")) as s:
        assert embed(s, "Hello") == embed(s, "Something else")  # its first row is always <s>
    assert run("serve", str(GOLDEN / "mean"), "--pooling", "sum")[0] == 3


# ---- the same bytes --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["last", "mean"])
def test_the_same_bytes_in_every_company(name, request):
    server, texts = request.getfixturevalue(name), [g["text"] for g in golden(name)] + ["circles " * k for k in range(1, 40, 3)]
    alone = [embed(server, t)[0] for t in texts]
    assert embed(server, texts) == alone
    assert embed(server, texts[::-1]) == alone[::-1]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert [x[0] for x in pool.map(lambda t: embed(server, t), texts)] == alone
    folder = str(GOLDEN / name)
    for flags in (["--no-enable-prefix-caching"], ["--max-num-batched-tokens", "16", "--max-num-seqs", "4"], ["--threads", "1"]):
        with Server(*flags, "--kv-cache-dtype", "f32", model=folder) as other:
            assert embed(other, texts) == alone, flags


def test_the_same_bytes_where_pages_are_short():
    """Whose turn it is not waits for pages (that preemptions change nothing is test_engine_embed.c's)."""
    texts = ["circles " * 28 + str(k) for k in range(24)]
    with Server("--kv-cache-memory", "512K", "--max-num-batched-tokens", "32", "--max-num-seqs", "16", model=str(GOLDEN / "mean")) as small:
        alone = [embed(small, t)[0] for t in texts]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda _: embed(small, texts), range(3))) == [alone] * 3
        small.wait_idle()


# ---- dimensions ------------------------------------------------------------------------------------------------------

def test_dimensions_cut_and_are_of_length_1_again(last, mean):
    whole, cut = floats(embed(last, "Hello")[0]), floats(embed(last, "Hello", dimensions=5)[0])
    assert len(cut) == 5 and worst(cut, [x / length(whole[:5]) for x in whole[:5]]) < 1e-6
    assert embed(last, "Hello", dimensions=16) == embed(last, "Hello")
    assert floats(embed(mean, "Hello", dimensions=8)[0]) == floats(embed(mean, "Hello")[0])[:8]  # which the model leaves as they are


def test_dimensions_that_make_no_sense_are_refused(server, last, mean):
    error = refuse(last, 400, input="Hello", dimensions=17)
    assert error["param"] == "dimensions" and "17" in error["message"] and "16" in error["message"]
    assert refuse(last, 400, input="Hello", dimensions=0)["param"] == "dimensions"
    assert refuse(mean, 400, input="Hello", dimensions=5)["param"] == "dimensions"  # not one of matryoshka_dimensions
    size = len(floats(embed(server, "Hello")[0]))
    assert refuse(server, 400, input="Hello", dimensions=size - 1)["param"] == "dimensions"
    assert len(floats(embed(server, "Hello", dimensions=size)[0])) == size


# ---- limits ----------------------------------------------------------------------------------------------------------

def test_what_is_longer_than_the_context_is_refused_with_both_numbers(last):
    assert len(embed(last, [[5] * 256])) == 1  # as long as the context
    error = refuse(last, 400, input=["Hello", "circles " * 400])
    assert error["code"] == "context_length_exceeded" and error["param"] == "input" and "input 1" in error["message"] and "256" in error["message"]
    error = refuse(last, 400, input=[5] * 257)
    assert "257" in error["message"] and "256" in error["message"] and error["code"] == "context_length_exceeded"
    last.wait_idle()


@pytest.mark.parametrize("fields, param", [
    ({}, "input"), ({"input": []}, "input"), ({"input": ""}, "input"), ({"input": ["a", ""]}, "input"), ({"input": [[]]}, "input"),
    ({"input": 7}, "input"), ({"input": ["a", 7]}, "input"), ({"input": [7, "a"]}, "input"), ({"input": [-1]}, "input"), ({"input": [1.5]}, "input"),
    ({"input": [1 << 30]}, "input"), ({"input": ["a"] * 2049}, "input"), ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ({"input": "a", "dimensions": -1}, "dimensions"), ({"input": "a", "dimensions": "8"}, "dimensions"), ({"input": "a", "model": "nobody"}, "model"),
    ({"input": "a", "stream": True}, "stream"), ({"input": {"text": "a"}}, "input"),
])
def test_bad_bodies(last, fields, param):
    status, _, answer = last.post(EMBEDDINGS, fields)
    assert status == (404 if param == "model" else 400), answer
    assert error_of(answer)["param"] == param


def test_2048_inputs(last):
    assert len(embed(last, ["a"] * 2048)) == 2048
    last.wait_idle()


# ---- other models, other routes ---------------------------------------------------------------------------------------

def test_a_model_that_embeds_does_nothing_else(last):
    for path, body in ((CHAT, ask()), (COMPLETIONS, {"prompt": "a"})):
        status, _, answer = last.post(path, body)
        assert status == 400 and "embeds" in error_of(answer)["message"] and error_of(answer)["param"] == "model"


def test_a_model_that_writes_down_recordings_does_not_embed():
    with Server(model=str(REPO / "tests" / "golden" / "hf" / "whisper")) as s:
        error = refuse(s, 400, input="Hello")
        assert "embeddings" in error["message"] and error["param"] == "model"


def test_the_list_of_models_tells(last, mean, server):
    for s, gives in ((last, ["embedding"]), (mean, ["embedding"]), (server, ["text"])):
        assert json.loads(s.get("/v1/models")[2])["data"][0]["output_modalities"][:1] == gives


def test_keys_are_asked_for(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("secret-of-someone-long-enough\n")
    keys.chmod(0o600)
    with Server("--api-key-file", str(keys), model=str(GOLDEN / "last"), key="secret-of-someone-long-enough") as s:
        assert s.request("POST", EMBEDDINGS, b'{"input":"a"}', {**JSON, "Authorization": "Bearer no"})[0] == 401
        embed(s, "a")


def test_counters(last):
    last.wait_idle()
    before = last.metrics()
    n = len(golden("last")[0]["ids"])
    embed(last, [golden("last")[0]["text"]] * 3)
    last.wait_idle()
    after = last.metrics()
    assert after["sensorium_prompt_tokens_total"] - before["sensorium_prompt_tokens_total"] == 3 * n
    assert after["sensorium_generation_tokens_total"] == before["sensorium_generation_tokens_total"]


def test_a_client_that_leaves_and_a_deadline_free_everything(server):
    body = json.dumps({"input": ["word " * 900] * 500}).encode()
    with server.connect() as c:
        c.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (EMBEDDINGS.encode(), len(body)) + body)
        time.sleep(0.5)
    server.wait_idle(10)
    with Server("--request-timeout", "1", model=str(GOLDEN / "mean")) as s:
        status, _, answer = s.post(EMBEDDINGS, {"input": [[5] * 90] * 2048})
        assert status in (200, 503), answer
        s.wait_idle()


def test_chats_are_answered_beside_a_thousand_inputs(server):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        many = pool.submit(embed, server, ["word " * 60 + str(k) for k in range(200)])
        assert server.chat(ask())[0] == 200
        assert len(many.result()) == 200


def test_openai_errors(client, model):
    with pytest.raises(openai.BadRequestError) as e:
        client.embeddings.create(model=model, input="")
    assert e.value.param == "input"
