"""POST /v1/completions in OpenAI's shape: by its own client, and byte by byte (checks 7, 13, 14, 15)."""

import json
import math

import openai
import pytest

from harness import CHAT, COMPLETIONS, JSON, ask, error_of, sse_events

HELLO = "<|im_start|>User: Hello<end_of_utterance>\nAssistant:"  # as the template has it: the sample has nothing to say behind bare words
WORDS = dict(prompt=HELLO, temperature=0, max_tokens=8)
SURPRISE = dict(temperature=1.5, seed=11, max_tokens=24, extra_body={"ignore_eos": True})


def complete(server, **fields):
    status, _, answer = server.post(COMPLETIONS, {**WORDS, **fields})
    assert status == 200, answer
    return answer


def refuse(server, **fields):
    status, _, answer = server.post(COMPLETIONS, {**WORDS, **fields})
    assert status == 400, answer
    return error_of(answer)


# ---- the SDK ---------------------------------------------------------------------------------------------------------

def test_the_sdk_completes(client, model):
    r = client.completions.create(model=model, **WORDS)
    assert r.object == "text_completion" and r.id.startswith("cmpl-") and r.model == model and r._request_id
    (c,) = r.choices
    assert c.index == 0 and isinstance(c.text, str) and c.finish_reason in ("stop", "length") and c.logprobs is None
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens and r.usage.completion_tokens <= 8


def test_max_tokens_is_16_if_not_given(client, model):
    assert client.completions.create(model=model, prompt="Hello", extra_body={"ignore_eos": True}).usage.completion_tokens == 16


def test_the_forms_of_a_prompt_say_the_same(server, client, model):
    ids = server.post("/tokenize", {"prompt": HELLO})[2]["tokens"]
    texts = [client.completions.create(model=model, **{**WORDS, "prompt": p}).choices[0].text for p in (HELLO, [HELLO], ids, [ids])]
    assert len(set(texts)) == 1 and texts[0]


def test_a_batch_is_numbered_through(client, model):
    prompts = ["Hello", "What", "Read the"]
    one = [[c.text for c in client.completions.create(model=model, prompt=p, n=2, **SURPRISE).choices] for p in prompts]
    r = client.completions.create(model=model, prompt=prompts, n=2, **SURPRISE)
    assert [c.index for c in r.choices] == list(range(6))
    assert [c.text for c in r.choices] == sum(one, [])
    assert r.usage.completion_tokens == 6 * 24


def test_a_batch_of_64(server):
    answer = complete(server, prompt=["Hello"] * 64, max_tokens=2)
    assert [c["index"] for c in answer["choices"]] == list(range(64)) and len({c["text"] for c in answer["choices"]}) == 1


@pytest.mark.parametrize("logprobs", [None, 0, 2, 20])
def test_the_sdk_streams(client, model, logprobs):
    fields = dict(model=model, prompt=["Hello", "naïve \U0001f600"], n=2, logprobs=logprobs, **SURPRISE)
    whole = client.completions.create(**fields)
    text, reasons, usage, lists = {}, {}, [], {}
    with client.completions.create(stream=True, stream_options={"include_usage": True}, **fields) as stream:
        for chunk in stream:
            usage += [chunk.usage] if chunk.usage else []
            for c in chunk.choices:
                assert c.index not in reasons  # nothing comes after a choice's end
                text[c.index] = text.get(c.index, "") + c.text
                for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset") if c.logprobs else ():
                    lists.setdefault((c.index, name), []).extend(getattr(c.logprobs, name))
                if c.finish_reason:
                    reasons[c.index] = c.finish_reason
    assert len(usage) == 1 and usage[0].completion_tokens == whole.usage.completion_tokens
    for c in whole.choices:
        assert text[c.index] == c.text and reasons[c.index] == c.finish_reason
        if logprobs is not None:
            assert all(lists[c.index, name] == getattr(c.logprobs, name) for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"))


@pytest.mark.parametrize("k", [0, 1, 5, 20])
def test_logprobs_have_the_old_shape(client, model, k):
    c = client.completions.create(model=model, logprobs=k, **WORDS).choices[0]
    lp = c.logprobs
    assert len(lp.tokens) == len(lp.token_logprobs) == len(lp.top_logprobs) == len(lp.text_offset) > 0
    for token, logprob, top in zip(lp.tokens, lp.token_logprobs, lp.top_logprobs):
        assert logprob <= 0 and math.isfinite(logprob) and top[token] == logprob
        assert max(1, k) <= len(top) + 1 and len(top) <= k + 1
    if not any(t.startswith("bytes:") for t in lp.tokens):
        assert "".join(lp.tokens) == c.text
        assert all(c.text[o:o + len(t)] == t for o, t in zip(lp.text_offset, lp.tokens))


def test_parts_of_characters_are_told_by_their_bytes(server):
    """A model of bytes is made to say parts of characters."""
    ids = server.post("/tokenize", {"prompt": "é", "add_special_tokens": False})[2]["tokens"]
    if len(ids) != 2:
        pytest.skip("the model does not speak in bytes")
    c = complete(server, logit_bias={str(ids[0]): 100}, max_tokens=4, logprobs=1, ignore_eos=True)["choices"][0]
    assert c["logprobs"]["tokens"] == ["bytes:\\xc3"] * 4 and c["text"] == "\ufffd" * 4


@pytest.mark.parametrize("stream", [False, True])
def test_echo_begins_with_the_prompt(server, client, model, stream):
    ids = server.post("/tokenize", {"prompt": "naïve"})[2]["tokens"]
    plain = [c["text"] for c in complete(server, prompt=["naïve", "Hello"], n=2)["choices"]]
    for prompts in (["naïve", "Hello"], [ids, server.post("/tokenize", {"prompt": "Hello"})[2]["tokens"]]):
        body = {**WORDS, "prompt": prompts, "n": 2, "echo": True}
        if stream:
            texts = {}
            for e in sse_events(server.stream(body, COMPLETIONS)[2]):
                for c in e["choices"]:
                    texts[c["index"]] = texts.get(c["index"], "") + c["text"]
            texts = [texts[i] for i in range(4)]
        else:
            texts = [c["text"] for c in complete(server, **body)["choices"]]
        assert texts == [p + t for p, t in zip(["naïve", "naïve", "Hello", "Hello"], plain)]


def test_stop(client, model):
    whole = client.completions.create(model=model, prompt=HELLO, **SURPRISE).choices[0].text
    stop = whole[3:5]
    c = client.completions.create(model=model, prompt=HELLO, stop=stop, **SURPRISE).choices[0]
    assert c.text == whole.split(stop)[0] and c.finish_reason == "stop"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_stop_token_ids_end_a_choice(server, path):
    body = {**(ask() if path == CHAT else WORDS), "temperature": 1.5, "seed": 3, "ignore_eos": True, "max_tokens": 16}
    read = (lambda a: a["choices"][0]["message"]["content"]) if path == CHAT else (lambda a: a["choices"][0]["text"])
    whole = read(server.post(path, body)[2])
    ids = [server.post("/tokenize", {"prompt": c, "add_special_tokens": False})[2]["tokens"] for c in whole]
    at = next(i for i, one in enumerate(ids) if len(one) == 1 and i > 0)
    answer = server.post(path, {**body, "stop_token_ids": ids[at]})[2]
    assert answer["choices"][0]["finish_reason"] == "stop" and read(answer) == whole[:ids.index(ids[at])]
    answer = server.post(path, {**body, "stop_token_ids": ids[at], "min_tokens": 16})[2]
    assert answer["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_salt_parts_the_cache(server, path):
    long = "All work and no play. " * 40
    def cached(**fields):
        body = {**(ask(long) if path == CHAT else {**WORDS, "prompt": long}), "max_tokens": 1, **fields}
        return server.post(path, body)[2]["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached(cache_salt=path + "a") == 0 and cached(cache_salt=path + "a") > 0
    assert cached(cache_salt=path + "b") == 0
    assert cached() == 0 and cached() > 0


# ---- what is refused ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("prompt", [1, True, {}, [], [[]], [[], [65]], [""] * 65, [["x"]], [65, "x"], ["x", 65], ["x", [65]], [[65], "x"], [None], [-1],
                                    [2**31], [2**31 - 1], [1.5], [[1.5]], [[65]] * 65, [[[65]]], "", [""]], ids=lambda p: json.dumps(p)[:24])
def test_a_prompt_that_is_none(hostile, prompt):
    assert refuse(hostile, prompt=prompt)["param"] == "prompt"


def test_a_missing_prompt(server):
    for body in ({}, {"prompt": None}):
        status, _, answer = server.post(COMPLETIONS, body)
        assert status == 400 and error_of(answer)["param"] == "prompt"


def test_what_asks_for_nothing_is_accepted_the_rest_refused_by_name(server):
    complete(server, suffix="", best_of=2, n=2, use_beam_search=False, skip_special_tokens=True, include_stop_str_in_output=False,
             prompt_logprobs=None, truncate_prompt_tokens=None, user="me", response_format={"type": "text"}, echo=False, logprobs=None)
    for name, value in {"suffix": "x", "best_of": 3, "use_beam_search": True, "skip_special_tokens": False, "include_stop_str_in_output": True,
                        "prompt_logprobs": 1, "truncate_prompt_tokens": 5, "messages": [], "top_logprobs": 1, "guided_regex": "(", "logprobs": 21,
                        "max_tokens": 0, "max_completion_tokens": 4}.items():
        assert refuse(server, **{name: value})["param"] == name
    assert refuse(server, echo=True, logprobs=1)["param"] == "logprobs"
    assert refuse(server, stream_options={"include_usage": True})["param"] == "stream_options"
    assert refuse(server, min_tokens=9)["param"] == "min_tokens"


def test_one_bad_prompt_refuses_the_batch(hostile):
    limit = json.loads(hostile.get("/v1/models")[2])["data"][0]["max_model_len"]
    for bad in ("", "x" * (4 * limit * 8)):
        assert refuse(hostile, prompt=["Hello"] * 5 + [bad] + ["Hello"])["param"] == "prompt"


def test_errors_of_the_sdk(client, model):
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="no-such-model", prompt="x")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=model, prompt="x", n=17)


def test_a_client_that_leaves_a_batch(hostile):
    """The sequences of all its prompts end, and their pages are free."""
    body = json.dumps({**WORDS, "prompt": ["Hello"] * 8, "n": 2, "max_tokens": 1500, "ignore_eos": True, "stream": True}).encode()
    with hostile.connect() as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (COMPLETIONS.encode(), len(body)) + body)
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert hostile.wait_idle() < 3


# ---- fields together ---------------------------------------------------------------------------------------------------

PAIRS = {"stream": True, "logprobs": 20, "ignore_eos": True, "min_tokens": 3, "presence_penalty": 2, "frequency_penalty": -2, "repetition_penalty": 10,
         "temperature": 2, "top_k": 1, "top_p": 0.001, "min_p": 1, "stop": ["e"], "seed": 3, "logit_bias": {"5": -100}, "n": 16, "echo": True,
         "stop_token_ids": [65], "prompt": [[65], [66, 67]], "add_special_tokens": False, "cache_salt": "s", "max_tokens": 3}


@pytest.mark.parametrize("a", PAIRS)
def test_every_pair_of_fields_is_answered(hostile, a):
    for b in PAIRS:
        status, _, answer = hostile.request("POST", COMPLETIONS, json.dumps({**WORDS, a: PAIRS[a], b: PAIRS[b]}), JSON)
        assert status == (400 if {a, b} == {"echo", "logprobs"} else 200), (b, answer)


# ---- streams -----------------------------------------------------------------------------------------------------------

def nasty(server):
    """Bodies whose answers are hard to frame: parts of characters, line ends, what looks like the end of a stream."""
    def ids(text):
        return server.post("/tokenize", {"prompt": text, "add_special_tokens": False})[2]["tokens"]
    bytes_of = ids("é") + ids("\U0001f600")[:1]
    return {
        "words": {},
        "bytes": {"logit_bias": {str(i): 12 for i in set(bytes_of)}},
        "line ends": {"logit_bias": {str(i): 100 for i in ids("\n")[:1]}},
        "carriage returns": {"logit_bias": {str(i): 9 for i in ids("\r")[:1] + ids("\n")[:1]}},
    }


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["words", "bytes", "line ends", "carriage returns"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_each_choice_ends_once_and_its_pieces_are_the_whole(server, path, kind, n):
    body = {**(ask() if path == CHAT else {**WORDS, "prompt": "say \n\ndata: [DONE]\n\n", "echo": True}), "temperature": 1.5, "seed": 5, "max_tokens": 40,
            "n": n, **nasty(server)[kind]}
    whole = server.post(path, body)[2]["choices"]
    status, headers, raw = server.stream(body, path)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    text, reasons = [""] * n, {}
    for event in sse_events(raw):
        (c,) = event["choices"]
        assert c["index"] not in reasons
        text[c["index"]] += (c["delta"].get("content", "") if path == CHAT else c["text"])
        if c["finish_reason"]:
            reasons[c["index"]] = c["finish_reason"]
    assert reasons == {i: c["finish_reason"] for i, c in enumerate(whole)}
    assert text == [c["message"]["content"] if path == CHAT else c["text"] for c in whole]
    if path == COMPLETIONS:
        assert all(t.startswith("say \n\ndata: [DONE]\n\n") for t in text)


def test_some_of_it_is_split(server):
    """The cases above are no good if no character was ever cut."""
    body = {**WORDS, "temperature": 1.5, "seed": 5, "max_tokens": 200, "logprobs": 0, **nasty(server)["bytes"]}
    tokens = complete(server, **body)["choices"][0]["logprobs"]["tokens"]
    text = complete(server, **body)["choices"][0]["text"]
    if not any(t.startswith("bytes:") for t in tokens):
        pytest.skip("the model's tokens are whole characters")
    assert "é" in text or "\ufffd" in text
