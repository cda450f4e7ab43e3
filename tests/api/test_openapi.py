"""The OpenAPI document: valid, of the same routes and fields as the server, and true: what it forbids is refused by name, what it
allows at the ends is taken (checks 5, 6, 7, 13). What answers look like is checked with every answer of every test (contract.py)."""

import json
import math
import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import contract
from harness import CHAT, COMPLETIONS, JSON, Baseline, Server, ask, error_of
from test_auth import routes

KEY = "sk-admin-0123456789abcdef"
SPEECH = "/v1/audio/speech"  # nobody speaks on this server: what a body lacks is told before that
BODIES = {
    CHAT: ask(),
    COMPLETIONS: {"prompt": "Hello", "temperature": 0, "max_tokens": 8},
    SPEECH: {"input": "Hello"},
    "/tokenize": {"prompt": "Hello"},
    "/detokenize": {"tokens": [65]},
    "/v1/plugins": {},
}
# Fields that say something only beside another.
BESIDE = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}, "best_of": {"n": 16}, "n": {}}


@pytest.fixture(scope="module")
def server():
    with Server("--admin-api-key", "env:ADMIN", "--api-key", "env:ADMIN", env={"ADMIN": KEY}, key=KEY) as s:
        s.baseline = Baseline(s)
        yield s


@pytest.fixture(scope="module")
def document(server):
    status, headers, body = server.get("/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    return json.loads(body)


def fields_of(document, path):
    return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]


def test_it_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")


def test_it_needs_the_key_like_any_route(server):
    assert server.request("GET", "/openapi.json", headers={"Authorization": "Bearer x"})[0] == 401


def test_its_routes_are_the_server_s(document):
    assert sorted((m.upper(), p) for p, item in document["paths"].items() for m in item) == sorted((m, p) for m, p, _ in routes())
    for method, path, is_open in routes():
        operation = document["paths"][path][method.lower()]
        assert (operation.get("security") == []) == (is_open == "true") and ("401" in operation["responses"]) == (is_open == "false")
        assert ("requestBody" in operation) == (method == "POST")


def test_every_field_is_told(document):
    for path in BODIES:
        for name, field in fields_of(document, path).items():
            assert field.get("description") or "enum" in field or field.get("type") == "null", (path, name)
            if "default" in field:
                contract.validator(document, field).validate(field["default"])


def test_examples_of_the_tests_are_allowed(document):
    for path, body in BODIES.items():
        if body:
            contract.validator(document, document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]).validate(body)


# ---- what it forbids is refused -----------------------------------------------------------------------------------------

def walk(schema):
    yield schema
    for inner in schema.get("anyOf", []):
        yield from walk(inner)


def candidates(schema):
    """Values of every type, none, empty, out of range by one, huge, unknown words."""
    yield from [None, True, False, 0, 1, -1, 1.5, "", "x", "no such word", "x\x00", [], {}, [1], ["x"], [""], [None], [[]], [{}], [True], {"x": 1}, {"1": "x"},
                {"1": 1e3}, {"type": "x"}, {"": None}, 2**31, -2**31 - 1, 2**32, 2**63 - 1, -2**63, 1e308, -1e308, 5e-324, "x" * 100_000, [0] * 5_000,
                ["x"] * 5_000, {str(i): 1 for i in range(5_000)}]
    for s in walk(schema):
        for name, step in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0)):
            if name in s and abs(s[name]) < 2**62:
                yield s[name] + step
                if "number" in s.get("type", []):
                    yield math.nextafter(s[name], s[name] + (step or -1))
        if "maxItems" in s:
            yield ["a"] * (s["maxItems"] + 1)
            yield [1] * (s["maxItems"] + 1)
        if "maxProperties" in s:
            yield {str(i): 1 for i in range(s["maxProperties"] + 1)}
        if "maxLength" in s:
            yield "a" * (s["maxLength"] + 1)


def ends(schema):
    for s in walk(schema):
        for name in ("minimum", "maximum"):
            if name in s:
                yield s[name]
        if "exclusiveMinimum" in s:
            yield s["exclusiveMinimum"] + 1e-6
        for v in s.get("enum", []):
            yield v


def all_fields():
    """The names as the source has them, so that they can be test ids; the document must agree."""
    from harness import REPO
    tables = {name: re.findall(r'\{\.name = "(\w+)"', text) for name in ("generation", "chat_parse", "completion_parse", "speech_parse", "plugins")
              for text in [(REPO / "api" / (name + ".c")).read_text()]}
    text = (REPO / "api" / "tokenize.c").read_text()
    first, second = text.split("out_fields[]")
    return {CHAT: tables["generation"] + tables["chat_parse"], COMPLETIONS: tables["generation"] + tables["completion_parse"],
            SPEECH: tables["speech_parse"],
            "/tokenize": re.findall(r'\{\.name = "(\w+)"', first), "/detokenize": re.findall(r'\{\.name = "(\w+)"', second),
            "/v1/plugins": tables["plugins"]}


FIELDS = [(p, f) for p, names in all_fields().items() for f in names]


def test_its_fields_are_the_server_s(document):
    for path, names in all_fields().items():
        assert sorted(fields_of(document, path)) == sorted(names)


@pytest.mark.parametrize("path,name", FIELDS)
def test_what_it_forbids_is_refused_by_name(server, document, path, name):
    schema = fields_of(document, path)[name]
    judge = contract.validator(document, schema)
    refused = 0
    for value in candidates(schema):
        data = json.dumps({**BODIES[path], **BESIDE.get(name, {}), name: value}).encode()
        status, _, answer = server.request("POST", path, data, JSON)
        assert status < 500, (value, answer)
        if not judge.is_valid(value):
            refused += 1
            assert 400 <= status < 500, (value, answer[:300])
            assert (error_of(json.loads(answer))["param"] or "").startswith(name), (value, answer)
    assert refused > 10
    server.baseline.check(server)


@pytest.mark.parametrize("path,name", [(p, f) for p, f in FIELDS if p not in ("/v1/plugins", SPEECH)])
def test_what_it_allows_at_the_ends_is_taken(server, document, path, name):
    schema = fields_of(document, path)[name]
    values = list(ends(schema)) + ([None] if contract.validator(document, schema).is_valid(None) and name not in BODIES[path] else [])
    for value in values:
        body = {**BODIES[path], **BESIDE.get(name, {}), name: value}
        if name in ("max_tokens", "max_completion_tokens"):
            body = {**{k: v for k, v in body.items() if k != "max_tokens"}, name: value}
        if name == "best_of" and value:
            body["n"] = value
        status, _, answer = server.request("POST", path, json.dumps(body).encode(), JSON)
        if name == "reasoning_effort" and value or value == "required":  # of templates that have it: the sample's has neither switch nor tools
            assert status == 400 and error_of(json.loads(answer))["param"] == name, (value, answer)
            continue
        assert status == 200, (value, answer)


# ---- the table says it all ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", BODIES)
def test_a_field_that_it_does_not_tell_is_refused(server, path):
    for name in ("temprature", "guided_grammer", "x"):
        status, _, answer = server.post(path, {**BODIES[path], name: None})
        assert status == 400 and error_of(answer)["param"] == name


def test_the_judge_judges(document):
    """contract.py would see an answer that is not as told."""
    head = {"content-type": "application/json", "x-request-id": "x"}
    contract.check(document, "GET", "/livez", 200, head, b'{"status":"live"}')
    for status, body in ((200, b'{"status":"dead"}'), (200, b'{"status":"live","more":1}'), (418, b'{"status":"live"}'), (400, b'{"status":"live"}')):
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            contract.check(document, "GET", "/livez", status, head, body)
