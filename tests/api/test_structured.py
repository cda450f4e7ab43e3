"""Answers that have to be JSON, or to fit a grammar: with the official SDK, streamed, in several choices, cut off; and what is refused."""

import collections
import json
import pathlib
import re
import typing

import pydantic
import pytest

import harness
import made_up_schemas
from harness import CHAT, COMPLETIONS, JSON, ask

POINT = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "kind": {"enum": ["big", "small"]}},
         "required": ["x", "kind"], "additionalProperties": False}


def schema(of, **fields):
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": of, **fields}}


def post(server, body, path=CHAT):
    status, _, answer = server.request("POST", path, json.dumps(body).encode(), JSON)
    return status, answer if isinstance(answer, dict) else json.loads(answer)


def texts(server, **fields):
    status, answer = post(server, ask(**{"max_tokens": 200, **fields}))
    assert status == 200, answer
    assert all(c["finish_reason"] == "stop" for c in answer["choices"]), answer
    return [c["message"]["content"] for c in answer["choices"]]


def is_point(text):
    point = json.loads(text)
    return list(point) == ["x", "kind"] and type(point["x"]) is int and 0 <= point["x"] <= 99 and point["kind"] in ("big", "small")


def test_a_schema_is_kept_at_every_temperature(server):
    for temperature in (0, 1, 2):
        for text in texts(server, response_format=schema(POINT, strict=True), temperature=temperature, seed=3, n=3):
            assert is_point(text)


def test_parse_of_the_sdk_gives_the_model_back(client, model):
    class Step(pydantic.BaseModel):
        name: typing.Literal["walk", "run"]
        seconds: int = pydantic.Field(ge=1, le=60)

    class Plan(pydantic.BaseModel):
        steps: list[Step] = pydantic.Field(min_length=1, max_length=2)
        note: typing.Optional[bool]

    done = client.chat.completions.parse(model=model, messages=[{"role": "user", "content": "A plan"}], response_format=Plan, max_tokens=200, temperature=1, seed=5)
    plan = done.choices[0].message.parsed
    assert isinstance(plan, Plan) and 1 <= len(plan.steps) <= 2


def test_same_seed_same_bytes_streamed_or_not(server):
    fields = dict(response_format=schema(POINT), temperature=1.5, seed=11)
    (whole,) = texts(server, **fields)
    assert texts(server, **fields) == [whole]
    status, _, answer = server.request("POST", CHAT, json.dumps(ask(max_tokens=200, stream=True, **fields)).encode(), JSON)
    lines = (answer.decode() if isinstance(answer, bytes) else answer).split("\n")
    events = [json.loads(x[6:]) for x in lines if x.startswith("data: {")]
    assert status == 200 and "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"]) == whole


def test_each_way_to_ask(server):
    assert all(re.fullmatch("(yes|no)!", t) for t in texts(server, grammar='root ::= ("yes" | "no") "!"'))
    assert all(t in ("one", "two") for t in texts(server, structured_outputs={"choice": ["one", "two"]}, n=2, temperature=2))
    assert is_point(texts(server, structured_outputs={"json": json.dumps(POINT)})[0])
    assert is_point(texts(server, guided_json=POINT)[0]) and is_point(texts(server, json_schema=POINT)[0])
    assert texts(server, guided_grammar='root ::= "a"{3}') == ["aaa"]
    assert texts(server, guided_choice=["\u00e9\"\\"]) == ["\u00e9\"\\"]
    status, answer = post(server, {"prompt": "Say", "max_tokens": 60, "grammar": 'root ::= "x" [0-9]{2}'}, COMPLETIONS)
    assert status == 200 and re.fullmatch("x[0-9]{2}", answer["choices"][0]["text"])


def test_json_object_is_an_object_or_was_cut(server):
    for seed in range(4):
        status, answer = post(server, ask(response_format={"type": "json_object"}, temperature=1, seed=seed, max_tokens=120))
        choice = answer["choices"][0]
        assert status == 200 and choice["message"]["content"].startswith("{")
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(choice["message"]["content"]), dict)


def test_the_length_limit_cuts_and_says_so(server):
    status, answer = post(server, ask(grammar='root ::= "a"{500}', max_tokens=3))
    assert status == 200 and answer["choices"][0]["finish_reason"] == "length"
    assert set(answer["choices"][0]["message"]["content"]) == {"a"}


def test_text_is_as_without(server):
    plain = post(server, ask(seed=1))[1]["choices"]
    assert post(server, ask(seed=1, response_format={"type": "text"}))[1]["choices"] == plain


def test_an_answer_that_has_to_fit_begins_behind_the_thinking(tmp_path):
    """The template opens it: until </think> anything goes, and there is no end before it. A prompt as it stands opens nothing."""
    template = tmp_path / "thinks.jinja"
    template.write_text("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n{{ '<think>\n' }}")
    with harness.Server("--chat-template", str(template), model=str(pathlib.Path(harness.MODEL) / "model.gguf")) as thinker:
        for temperature in (0, 2):
            status, answer = post(thinker, ask(max_tokens=24, temperature=temperature, seed=1, response_format=schema(POINT)))
            choice = answer["choices"][0]
            assert status == 200 and choice["finish_reason"] == "length" and not (choice["message"]["content"] or "").startswith("{")
        status, answer = post(thinker, {"prompt": "x<think>", "max_tokens": 80, "temperature": 0, "json_schema": POINT}, COMPLETIONS)
        assert status == 200 and is_point(answer["choices"][0]["text"])


@pytest.mark.parametrize("model", ["samples/model", "tests/golden/engine/model.gguf"])
def test_random_answers_are_valid_or_the_beginning_of_it(model):
    """A judge of another house looks at each; tests/peer/structured.py asks for a thousand."""
    counts = collections.Counter()
    with harness.Server("--max-num-seqs", "4", model=str(harness.REPO / model)) as server:
        assert made_up_schemas.run(server, 40, 8, counts) == []
    assert counts["valid"] >= 20, counts


REFUSED = [
    ({"response_format": {"type": "json_schema"}}, "json_schema"),
    ({"response_format": {"type": "hiccup"}}, "json_schema"),
    ({"response_format": {"type": "json_object", "x": 1}}, "unknown"),
    ({"response_format": schema({"not": {}})}, "not"),
    ({"response_format": schema({"type": "string", "pattern": "(?=a)"}, strict=True)}, "pattern"),
    ({"response_format": schema({"type": "object", "patternProperties": {}})}, "patternProperties"),
    ({"response_format": schema({"$ref": "#/$defs/none"})}, "$ref"),
    ({"response_format": schema({"type": "string", "maxLength": 1000000000})}, "maxLength"),
    ({"response_format": schema({"type": "hiccup"})}, "type"),
    ({"response_format": schema(123)}, "object"),
    ({"grammar": "root ::= root"}, "line 1"),
    ({"grammar": "root ::= foo**"}, "repetition"),
    ({"grammar": "root ::= " + "(" * 60000}, "deep"),
    ({"grammar": "x"}, "::="),
    ({"grammar": 'root ::= "a"', "guided_choice": ["b"]}, "both"),
    ({"grammar": 'root ::= "a"', "min_tokens": 2}, "min_tokens"),
    ({"grammar": 'root ::= "a"', "ignore_eos": True}, "ignore_eos"),
    ({"structured_outputs": {"regex": "a"}}, "regex"),
    ({"structured_outputs": {"structural_tag": "a"}}, "structural_tag"),
    ({"structured_outputs": {}}, "nothing"),
    ({"guided_regex": "a"}, "guided_regex"),
]


@pytest.mark.parametrize("fields,why", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_kept_is_refused_before_any_token(server, fields, why):
    status, answer = post(server, ask(**fields))
    assert status == 400 and why in answer["error"]["message"], answer
    assert answer["error"]["param"].split(".")[0] in fields
