"""Random requests for JSON by schemas, some of a list and some made up on the spot, with `jsonschema` (PyPI) as the judge of the answers."""
import collections
import json
import random
import sys

import jsonschema

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




def made_up(rng, depth=0):
    """A random schema of supported keywords that some value fits."""
    kind = rng.choice(["integer", "number", "string", "boolean", "null", "enum", "const"] + ["object", "array", "anyOf", "tuple"] * (depth < 3))
    if kind == "integer":
        low = rng.randint(-2000, 2000)
        return {"type": "integer", **rng.choice([{}, {"minimum": low}, {"exclusiveMaximum": low}, {"minimum": low, "maximum": low + rng.randint(0, 3000)}])}
    if kind == "number":
        low = rng.randint(-50, 50)
        return {"type": "number", **rng.choice([{}, {"minimum": low}, {"maximum": low}, {"exclusiveMinimum": low, "exclusiveMaximum": low + rng.randint(1, 99)}])}
    if kind == "string":
        return {"type": "string", **rng.choice([{"maxLength": rng.randint(0, 12)}, {"minLength": 3, "maxLength": 9}, {"format": rng.choice(["date", "uuid", "ipv4", "time"])},
                                                {"pattern": rng.choice(["^[a-f]{2,6}$", "x.?y", "^(on|off)(-\\d+)?$", "[^a-z]{2}$", "^\\w+@\\w+\\.(org|net)$"])}])}
    if kind in ("boolean", "null"):
        return {"type": kind}
    values = ["a", "\u00e9\u4e2d", 'q"\\', 1, -7, 2.5, True, None, [1, "x"], {"k": []}]
    if kind == "enum":
        return {"enum": rng.sample(values, rng.randint(1, 5))}
    if kind == "const":
        return {"const": rng.choice(values)}
    if kind == "anyOf":
        return {"anyOf": [made_up(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
    if kind == "array":
        low = rng.randint(0, 2)
        return {"type": "array", "items": made_up(rng, depth + 1), "minItems": low, "maxItems": low + rng.randint(0, 3)}
    if kind == "tuple":
        return {"type": "array", "prefixItems": [made_up(rng, depth + 1) for _ in range(rng.randint(1, 3))], "items": rng.choice([False, {"type": "null"}]), "maxItems": 4}
    names = rng.sample(["a", "ab", "b", "\u00fc", "with space", 'q"', "n0"], rng.randint(1, 4))
    return {"type": "object", "properties": {k: made_up(rng, depth + 1) for k in names}, "required": rng.sample(names, rng.randint(0, len(names))),
            "additionalProperties": rng.choice([False, False, {"type": "boolean"}])}


def answers(server, body):
    """-> [(text, finish_reason)], None if the schema is refused"""
    status, _, answer = server.request("POST", harness.CHAT, json.dumps(body).encode(), harness.JSON, timeout=300)
    if status == 400 and b"schema" in (answer if isinstance(answer, bytes) else json.dumps(answer).encode()):
        return None
    if status != 200:
        sys.exit(f"{status}: {answer!r} for {body}")
    if not body["stream"]:
        answer = json.loads(answer) if isinstance(answer, (bytes, str)) else answer
        return [(c["message"]["content"], c["finish_reason"]) for c in answer["choices"]]
    text, finish = collections.defaultdict(str), {}
    for line in (answer.decode() if isinstance(answer, bytes) else answer).split("\n"):
        if line.startswith("data: {"):
            for c in json.loads(line[6:])["choices"]:
                text[c["index"]] += c["delta"].get("content") or ""
                finish[c["index"]] = c["finish_reason"] or finish.get(c["index"])
    return [(text[i], finish[i]) for i in sorted(finish)]


def judge(schema, text):
    """-> why it is not valid, or None"""
    try:
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError) as e:
        return str(e).split("\n")[0]


def run(server, n, seed, counts, tokens=(120, 360)):
    """n answers -> [what is wrong]"""
    rng, wrong = random.Random(seed), []
    while counts["answers"] < n:
        name = rng.choice(list(SCHEMAS) + ["made up"] * len(SCHEMAS))
        schema = SCHEMAS.get(name) or made_up(rng)
        body = {"messages": [{"role": "user", "content": "Give me " + name}], "temperature": rng.choice([0, 0.7, 1, 2]), "seed": rng.randrange(1 << 30),
                "max_tokens": tokens[0], "n": rng.choice([1, 1, 3]), "stream": rng.random() < 0.3,
                "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}}
        got = answers(server, body)
        if got is None:
            counts["refused"] += 1
            continue
        more = answers(server, {**body, "max_tokens": tokens[1]}) if any(f == "length" for _, f in got) else got
        for (text, finish), (longer, end) in zip(got, more):
            text = text.rstrip("\ufffd") if finish == "length" else text  # cut within a character
            counts["answers"] += 1
            counts["cut, and went on the same"] += finish == "length" and longer.startswith(text)
            counts["never ended"] += end == "length"
            why = "it went on otherwise" if not longer.startswith(text) else judge(schema, longer) if end == "stop" else None
            counts["valid"] += end == "stop" and why is None
            if why:
                wrong.append(f"{json.dumps(schema)}: {longer!r}: {why}")
    return wrong
