#!/usr/bin/env python3
"""Structured output against `jsonschema` (PyPI) as the judge: answers to random requests, every whole one valid.

  structured.py [--rounds N] MODEL...      MODEL: a folder or GGUF file; one with random weights shows most

Each round asks for one of the schemas below with temperatures up to 2, streaming or not, one choice or three. An answer with finish_reason
stop has to be JSON that the judge takes; one with length has to be the beginning of such, which cannot be judged and is counted."""
import argparse
import collections
import json
import pathlib
import random
import sys
import time

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import harness

POINT = {"type": "object", "properties": {"x": {"type": "integer", "minimum": -10, "maximum": 10}, "y": {"type": "number", "minimum": 0, "maximum": 1}},
         "required": ["x", "y"], "additionalProperties": False}
SCHEMAS = {
    "point": POINT,
    "points": {"type": "array", "items": POINT, "minItems": 1, "maxItems": 3},
    "enum": {"enum": ["red", "green", 3, None, {"a": [1.5, "\u00e9\"\\\n"]}]},
    "optional": {"type": "object", "properties": {k: {"type": ["string", "null"], "maxLength": 5} for k in "abcdef"}, "required": ["c", "e"]},
    "string": {"type": "string", "minLength": 1, "maxLength": 12},
    "pattern": {"type": "string", "pattern": "^[A-Z][a-z]{1,5}(-[^a-y\\s]){0,3}$"},
    "search": {"type": "object", "properties": {"s": {"type": "string", "pattern": "^a+|b$|^c{2}"}}, "required": ["s"]},
    "any": {"type": "object", "properties": {"v": True}, "required": ["v"], "additionalProperties": {"type": "boolean"}},
    "map": {"type": "object", "additionalProperties": {"type": "integer", "exclusiveMinimum": 0}},
    "tuple": {"type": "array", "prefixItems": [{"const": "t"}, {"type": "boolean"}], "items": {"type": "null"}, "minItems": 1, "maxItems": 4},
    "union": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, POINT]},
    "tagged": {"oneOf": [{"type": "object", "properties": {"t": {"const": t}, "v": {"type": k}}, "required": ["t", "v"]}
                         for t, k in (("i", "integer"), ("b", "boolean"), ("n", "null"))]},
    "list": {"$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer", "minimum": 0, "maximum": 9}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
                                "required": ["v", "next"], "additionalProperties": False}}, "$ref": "#/$defs/node"},
    "all": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 5}, "b": {"type": "boolean"}}, "required": ["b"]}]},
    **{f: {"type": "string", "format": f} for f in ("date", "time", "date-time", "uuid", "ipv4", "ipv6", "email", "hostname", "duration")},
}
JUDGES = {k: jsonschema.Draft202012Validator(s, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER) for k, s in SCHEMAS.items()}


def answers(server, body):
    """-> [(text, finish_reason)]"""
    if not body.get("stream"):
        status, _, answer = server.request("POST", harness.CHAT, json.dumps(body).encode(), harness.JSON, timeout=120)
        if status != 200:
            sys.exit(f"{status}: {answer!r} for {body}")
        answer = json.loads(answer) if isinstance(answer, (bytes, str)) else answer
        return [(c["message"]["content"], c["finish_reason"]) for c in answer["choices"]]
    status, _, answer = server.request("POST", harness.CHAT, json.dumps(body).encode(), harness.JSON, timeout=120)
    text, finish = collections.defaultdict(str), {}
    for line in (answer.decode() if isinstance(answer, bytes) else answer).split("\n"):
        if line.startswith("data: {"):
            for c in json.loads(line[6:])["choices"]:
                text[c["index"]] += c["delta"].get("content") or ""
                finish[c["index"]] = c["finish_reason"] or finish.get(c["index"])
    return [(text[i], finish[i]) for i in sorted(finish)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=500)
    p.add_argument("models", nargs="+")
    a = p.parse_args()
    bad = 0
    for model in a.models:
        rng, ends, by = random.Random(3), collections.Counter(), collections.Counter()
        began = time.time()
        with harness.Server("--max-num-seqs", "4", model=model) as server:
            for _ in range(a.rounds):
                name = rng.choice(list(SCHEMAS))
                body = {"messages": [{"role": "user", "content": "Give me " + name}], "temperature": rng.choice([0, 0.7, 1, 2]), "seed": rng.randrange(1 << 30),
                        "max_tokens": 300, "n": rng.choice([1, 1, 3]), "stream": rng.random() < 0.3,
                        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS[name], "strict": True}}}
                for text, finish in answers(server, body):
                    ends[finish] += 1
                    if finish != "stop":
                        continue
                    by[name] += 1
                    try:
                        JUDGES[name].validate(json.loads(text))
                    except (ValueError, jsonschema.ValidationError) as e:
                        bad += 1
                        print(f"{model}: {name}: {text!r}: {e}")
        print(f"{model}: {dict(ends)} in {time.time() - began:.0f} s; judged: {dict(sorted(by.items()))}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
