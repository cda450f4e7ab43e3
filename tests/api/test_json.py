"""Whatever is in the body, the answer is an error object and the server lives (goals 5, 6, 7)."""

import json

import pytest

from harness import CHAT, COMPLETIONS, JSON, ask, error_of


def with_field(text):
    return ('{"messages":[{"role":"user","content":"Hello"}],"max_tokens":4,%s}' % text).encode()


BROKEN = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "number": b"1",
    "string": b'"x"',
    "list": b"[]",
    "empty object": b"{}",
    "half": b'{"messages":[{"role":"user","content":"Hel',
    "tail": json.dumps(ask()).encode() + b"{}",
    "trailing comma": with_field('"seed":1,'),
    "comment": with_field('"seed":1 /* x */'),
    "single quotes": b"{'messages':[]}",
    "NaN": with_field('"temperature":NaN'),
    "Infinity": with_field('"temperature":Infinity'),
    "-Infinity": with_field('"temperature":-Infinity'),
    "1e999": with_field('"temperature":1e999'),
    "huge integer": with_field('"seed":' + "9" * 400),
    "leading zero": with_field('"seed":01'),
    "hexadecimal": with_field('"seed":0x1'),
    "lone high surrogate": with_field('"user":"\\ud800"'),
    "lone low surrogate": with_field('"user":"\\udc00"'),
    "swapped surrogates": with_field('"user":"\\udc00\\ud800"'),
    "bad escape": with_field('"user":"\\x41"'),
    "raw control": with_field('"user":"a\nb"'),
    "invalid UTF-8": with_field('"user":"@"').replace(b"@", b"\xff\xfe"),
    "overlong UTF-8": with_field('"user":"@"').replace(b"@", b"\xc0\xaf"),
    "UTF-8 surrogate": with_field('"user":"@"').replace(b"@", b"\xed\xa0\x80"),
    "above U+10FFFF": with_field('"user":"@"').replace(b"@", b"\xf4\x90\x80\x80"),
    "NUL byte": with_field('"user":"@"').replace(b"@", b"\x00"),
    "UTF-16": json.dumps(ask()).encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + json.dumps(ask()).encode(),
    "NUL in key": with_field('"us\\u0000er":"x"'),
    "NUL in model": with_field('"model":"a\\u0000b"'),
    "duplicate key": with_field('"seed":1,"seed":2'),
    "duplicate messages": with_field('"messages":[]'),
    "duplicate key inside": with_field('"metadata":{"a":"b","a":"c"}'),
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, "/tokenize", "/detokenize"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_is_400(hostile, path, name):
    status, _, answer = hostile.request("POST", path, BROKEN[name], JSON)
    assert status == 400, answer
    error_of(json.loads(answer))


@pytest.mark.parametrize("depth", [62, 63, 65, 3_000, 100_000, 4_000_000])
@pytest.mark.parametrize("field", ["metadata", "stop", "unknown_field", "tools"])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting_is_400(hostile, depth, field, brackets):
    inner = "[" * depth + "]" * depth if brackets == "[]" else '{"a":' * depth + "1" + "}" * depth
    status, _, answer = hostile.chat(with_field('"%s":%s' % (field, inner)))
    assert status == 400
    error = error_of(answer)
    assert ("deeper" in error["message"]) == (depth > 63)


def test_unclosed_nesting_is_400(hostile):
    for text in (b"[" * 1_000_000, b'{"a":' * 500_000, b'"' + b"\\" * 999_999, b"]" * 100_000):
        assert hostile.chat(text)[0] == 400


def test_text_may_hold_any_character(server):
    for text in ("\x00", "a\x00b", "\x1b[31m", "\u2028", "\U0001f600", "<|im_end|>", "{{ 7 * 7 }}"):
        status, _, answer = server.chat(ask(text))
        assert status == 200, answer


# ---- each field, each wrong type ----------------------------------------------------------------------------------

NUMBERS = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"]
INTEGERS = ["top_k", "seed", "max_tokens", "max_completion_tokens", "min_tokens", "top_logprobs", "n"]
BOOLEANS = ["stream", "logprobs", "ignore_eos", "store", "parallel_tool_calls"]
STRINGS = ["model", "user", "service_tier", "safety_identifier", "prompt_cache_key"]
OBJECTS = ["stream_options", "logit_bias", "metadata"]
WRONG = {
    **{f: ["x", [], {}, True] for f in NUMBERS},
    **{f: ["x", [], {}, True, 1.5, "1"] for f in INTEGERS},
    **{f: ["x", [], {}, 1, "true"] for f in BOOLEANS},
    **{f: [1, [], {}, True] for f in STRINGS},
    **{f: [1, [], "x", True] for f in OBJECTS},
    "messages": [1, "x", {}, True, [], None, [1], [[]], [None]],
    "stop": [1, {}, True, [1], [""], "", [None], "x" * 257, ["a"] * 5],
    "response_format": [1, "x", [], {"type": 1}, {"type": "json"}, {"type": "json_schema", "json_schema": {}}],
    "modalities": [1, "text", {}, [], ["image"], ["text", "text"]],
    "tools": [1, {}, "x", [{}]],
    "tool_choice": [1, "any", "required", {}, {"type": "function"}, {"type": "allowed_tools"}],
    "functions": [[{}], 1],
    "function_call": ["auto", {}],
    "audio": [{}, 1], "prediction": [{}, 1], "reasoning_effort": ["low", 1], "web_search_options": [{}],
}
CASES = [(f, v) for f, values in WRONG.items() for v in values]


@pytest.mark.parametrize("field,value", CASES, ids=lambda x: json.dumps(x)[:30] if not isinstance(x, str) else x[:30])
def test_a_wrong_type_is_400_and_names_the_field(server, field, value):
    body = ask(**({"logprobs": True} if field == "top_logprobs" else {"stream": True} if field == "stream_options" else {}))
    body[field] = value
    status, _, answer = server.chat(body)
    assert status == 400, answer
    assert error_of(answer)["param"].startswith(field), answer


PARTS = {
    "messages[0]": [{"role": "user", "content": "x", "tool_calls": []}, {"role": "user", "content": "x", "weird": 1}],
    "messages[0].role": [{"content": "x"}, {"role": None, "content": "x"}, {"role": "ipython", "content": "x"}, {"role": "", "content": "x"},
                         {"role": "user\x00", "content": "x"}],
    "messages[0].content": [{"role": "user"}, {"role": "user", "content": None}, {"role": "user", "content": 1},
                            {"role": "user", "content": []}, {"role": "user", "content": {}}],
    "messages[0].content[0]": [{"role": "user", "content": [1]}, {"role": "user", "content": [None]}],
    "messages[0].content[0].type": [{"role": "user", "content": [{}]}, {"role": "user", "content": [{"type": "_url"}]},
                                    {"role": "user", "content": [{"type": "input_sound", "input_sound": {}}]}],
    "messages[0].content[0].text": [{"role": "user", "content": [{"type": "text"}]}, {"role": "user", "content": [{"type": "text", "text": 1}]}],
    "messages[0].content[0].video_url": [{"role": "user", "content": [{"type": "video_url"}]}],
    "messages[0].content[0].file": [{"role": "user", "content": [{"type": "file"}]}, {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},
                                    {"role": "user", "content": [{"type": "file", "file": {"file_data": 1}}]}],
    "messages[0].content[0].input_audio": [{"role": "user", "content": [{"type": "input_audio", **({"input_audio": v} if v is not None else {})}]} for v in (
        None, 1, "x", [], {}, {"data": "AAAA"}, {"format": "wav"}, {"data": 1, "format": "wav"}, {"data": "AAAA", "format": 1}, {"data": "AAAA", "format": ""},
        {"data": "AAAA", "format": "WAV"}, {"data": "AAAA", "format": "wav\x00"}, {"data": "AAAA", "format": "audio/wav"}, {"data": "AAAA", "format": "x" * 17},
        {"data": "", "format": "wav"}, {"data": "AAA", "format": "wav"}, {"data": "A A=", "format": "wav"}, {"data": "AA=A", "format": "wav"},
        {"data": "AB==", "format": "wav"}, {"data": "-_-_", "format": "wav"}, {"data": "data:audio/wav;base64,AAAA", "format": "wav"},
        {"data": "AAAA", "format": "wav", "detail": "low"}, {"data": "AAAA", "format": "wav", "url": "x"})],
    "messages[0].content[0].audio_url": [{"role": "user", "content": [{"type": "audio_url", "audio_url": v}]} for v in (
        1, {}, {"url": 1}, {"url": "x", "format": "wav"}, "data:audio/wav;base64,A", "http://127.0.0.1/x.wav", "file:///etc/passwd")],
    "messages[0].content[0].image_url": [{"role": "user", "content": [{"type": "image_url"}]},
                                         {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
                                         {"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]},
                                         {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "y"}}]}],
}


@pytest.mark.parametrize("param,message", [(p, m) for p, ms in PARTS.items() for m in ms], ids=lambda x: str(x)[:40])
def test_a_wrong_message_is_400_and_names_the_place(server, param, message):
    status, _, answer = server.chat({"messages": [message]})
    assert status == 400, answer
    assert error_of(answer)["param"] == param


def test_an_unknown_field_is_400_by_name(server):
    for name in ("best_of", "guided_json", "temprature"):
        status, _, answer = server.chat(ask(**{name: 1}))
        assert status == 400 and error_of(answer)["param"] == name
    status, _, answer = server.chat(ask(**{"<script>\n": 1}))
    assert status == 400 and error_of(answer)["param"] is None
    assert "script" not in answer["error"]["message"]


def test_null_asks_for_the_default(server):
    fields = NUMBERS + INTEGERS + BOOLEANS + STRINGS + OBJECTS + ["stop", "tools", "tool_choice", "response_format", "modalities", "audio"]
    status, _, answer = server.chat({"messages": ask()["messages"], **{f: None for f in fields if f != "max_tokens"}, "max_tokens": 4})
    assert status == 200, answer


def test_fields_that_change_nothing_are_accepted(server):
    status, _, answer = server.chat(ask(user="me", store=False, metadata={"a": "b"}, service_tier="auto", n=1, tools=[], tool_choice="none",
                                        response_format={"type": "text"}, modalities=["text"], parallel_tool_calls=True,
                                        safety_identifier="x", prompt_cache_key="y", logit_bias={}))
    assert status == 200, answer


# ---- numbers at their ends -----------------------------------------------------------------------------------------

RANGES = {
    "temperature": (0, 2), "top_p": (None, 1), "min_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
    "repetition_penalty": (None, 10), "top_k": (-1, 2**31 - 1), "max_tokens": (1, None), "min_tokens": (0, None),
}
EXTREMES = [-1, 0, 1, 2, -(2**31), 2**31 - 1, 2**31, 2**32 - 1, 2**32, -(2**63), 2**63 - 1, 1e308, -1e308, 5e-324, 1e-60, 2.0000001]


@pytest.mark.parametrize("field", RANGES)
@pytest.mark.parametrize("value", EXTREMES)
def test_extremes_are_taken_or_refused_never_500(hostile, field, value):
    low, high = RANGES[field]
    status, _, answer = hostile.chat({**ask(), field: value})
    assert status in (200, 400), answer
    if (low is not None and value < low) or (high is not None and value > high):
        assert status == 400 and error_of(answer)["param"] == field


def test_seed_takes_every_64_bit_integer(server):
    for seed in (0, 1, -1, 2**63 - 1, -(2**63)):
        assert server.chat(ask(seed=seed))[0] == 200


def test_bias_is_checked(server):
    good = [{"0": 100}, {"7": -100.0}, {"1": 0.5}]
    bad = [{"-1": 1}, {"x": 1}, {"": 1}, {"99999999999": 1}, {"2147483648": 1}, {"1": 101}, {"1": "x"}, {"1": None}, {"1 ": 1}, {"+1": 1}]
    for b in good:
        assert server.chat(ask(logit_bias=b))[0] == 200, b
    for b in bad:
        status, _, answer = server.chat(ask(logit_bias=b))
        assert status == 400 and error_of(answer)["param"] == "logit_bias", b


def test_fields_must_agree(server):
    for body, param in ((ask(top_logprobs=2), "top_logprobs"), (ask(stream_options={"include_usage": True}), "stream_options"),
                        (ask(max_completion_tokens=9), "max_tokens"), (ask(min_tokens=9), "min_tokens")):
        status, _, answer = server.chat(body)
        assert status == 400 and error_of(answer)["param"] == param
    assert server.chat(ask(max_completion_tokens=8))[0] == 200


PAIRS = {"stream": True, "logprobs": True, "ignore_eos": True, "min_tokens": 3, "presence_penalty": 2, "frequency_penalty": -2,
         "repetition_penalty": 10, "temperature": 2, "top_k": 1, "top_p": 0.001, "min_p": 1, "stop": ["e"], "seed": 3, "logit_bias": {"5": -100}}


@pytest.mark.parametrize("a", PAIRS)
def test_every_pair_of_fields_is_answered(hostile, a):
    for b in PAIRS:
        status, _, answer = hostile.request("POST", CHAT, json.dumps(ask(**{a: PAIRS[a], b: PAIRS[b]})), JSON)
        assert status == 200, (b, answer)
