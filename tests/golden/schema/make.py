#!/usr/bin/env python3
"""Makes cases.json: schemas of each keyword that is supported, and values with the word of `jsonschema` (PyPI) on each pair of them.

  make.py [--check]      --check: writes nothing, fails if cases.json would be another

Of each schema: values that its grammar has to offer, and values that fit it not; and of every value of all the others whether it is valid, so
that the grammar can be held to offer nothing else. After the manner of the JSON-Schema-Test-Suite, written anew."""
import json
import pathlib
import sys

import jsonschema

OUT = pathlib.Path(__file__).with_name("cases.json")
E = "\u00e9"
SMILE = "\U0001F600"
ALL = [None, True, False, 0, 1, -1, 1.5, "", "a", [], [1], {}, {"a": 1}]
TREE = {"$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
                           "required": ["v"], "additionalProperties": False}}, "$ref": "#/$defs/tree"}
LIST = {"properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["v", "next"], "type": "object"}
SHAPE = {"oneOf": [{"type": "object", "properties": {"kind": {"const": "circle"}, "r": {"type": "number", "exclusiveMinimum": 0}}, "required": ["kind", "r"]},
                   {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number", "exclusiveMinimum": 0}}, "required": ["kind", "side"]}]}

# keyword, schema, offered, refused
CASES = [
    ("boolean schemas", True, ALL, []),
    ("boolean schemas", {}, ALL, []),
    ("boolean schemas", {"properties": {"a": True, "b": False}}, [{}, {"a": 1}], [{"b": 1}, {"a": 1, "b": 2}]),
    ("boolean schemas", {"items": True}, [[], [1, "a"]], []),
    ("boolean schemas", {"items": False}, [[]], [[1]]),
    ("type", {"type": "integer"}, [0, 1, -1, 1234567890], [1.5, "1", None, True, [], {}]),
    ("type", {"type": "number"}, [0, -1, 1.5, -0.25, 1e20], ["1", None, False]),
    ("type", {"type": "string"}, ["", "a", E, SMILE, "\n\t\"\\/\b\f\r", "\u0001", "\u2028"], [1, None, ["a"]]),
    ("type", {"type": "boolean"}, [True, False], [0, 1, "true", None]),
    ("type", {"type": "null"}, [None], [0, False, "", {}]),
    ("type", {"type": "array"}, [[], [1, [2, {}]], [None]], [{}, "[]"]),
    ("type", {"type": "object"}, [{}, {"a": {"b": []}}, {"": ""}], [[], None]),
    ("type", {"type": ["integer", "string"]}, [1, "a"], [1.5, None, []]),
    ("type", {"type": ["null", "object", "array"]}, [None, {}, []], [1, "a", True]),
    ("type", {"type": ["number"]}, [1, 2.5], ["a"]),
    ("enum", {"enum": [1, 2, 3]}, [1, 3], [4, "1", None, 1.5]),
    ("enum", {"enum": ["a", "ab", "b", "a\"b\\", E]}, ["a", "ab", "b", "a\"b\\", E], ["", "abc", "e", "ba"]),
    ("enum", {"enum": [None, True, 0, "", [], {}]}, [None, True, 0, "", [], {}], [False, 1, [0], {"a": 0}]),
    ("enum", {"enum": [[1, 2], {"a": [None]}]}, [[1, 2], {"a": [None]}], [[2, 1], [1], {"a": []}, {}]),
    ("enum", {"enum": [False]}, [False], [0, None, []]),
    ("enum", {"enum": [0, 1.5, -3]}, [0, 1.5, -3], [False, 1, 3]),
    ("enum", {"enum": ["x", 7, None], "type": ["string", "null"]}, ["x", None], [7]),
    ("enum", {"properties": {"a": {"enum": ["on"]}, "b": {"enum": ["off"]}}, "required": ["b"], "type": "object"}, [{"a": "on", "b": "off"}, {"b": "off"}],
     [{}, {"a": "on"}, {"a": "off", "b": "off"}, {"b": "on"}]),
    ("const", {"const": 2}, [2], [5, "2", None]),
    ("const", {"const": {"a": 1, "b": [2]}}, [{"a": 1, "b": [2]}], [{"a": 1}, {"a": 1, "b": [3]}]),
    ("const", {"const": None}, [None], [0, ""]),
    ("const", {"const": ""}, [""], [" ", None]),
    ("const", {"const": True}, [True], [1, "true"]),
    ("const", {"const": "line\nbreak \u0000 " + SMILE}, ["line\nbreak \u0000 " + SMILE], ["line"]),
    ("properties", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}, [{}, {"a": 1}, {"b": ""}, {"a": 1, "b": "x"}],
     [{"a": "1"}, {"b": 1}, {"a": 1, "b": None}, []]),
    ("properties", {"properties": {"a": {"type": "integer"}}}, [{"a": 1}], [{"a": "x"}]),
    ("properties", {"type": "object", "properties": {"a b": {"type": "null"}, "q\"": {"type": "null"}, "\\": {"type": "null"}, E: {"type": "null"}}},
     [{"a b": None, "q\"": None, "\\": None, E: None}, {"\\": None}], [{"a b": 1}, {"q\"": 1}, {"\\": 0}, {E: ""}]),
    ("properties", {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}}},
     [{"a": {"b": True}}, {}], [{"a": {}}, {"a": {"b": 1}}]),
    ("required", {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["a", "c"]}, [{"a": 1, "c": 2}, {"a": 1, "b": 0, "c": None}],
     [{}, {"a": 1}, {"c": 1}, {"a": 1, "b": 2}]),
    ("required", {"type": "object", "required": ["x"]}, [{"x": 1}, {"x": [], "y": 2}], [{}, {"y": 1}]),
    ("required", {"type": "object", "properties": {"a": {}}, "required": []}, [{}, {"a": 1}], []),
    ("required", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "z"], "additionalProperties": {"type": "boolean"}},
     [{"a": 1, "z": True}], [{"a": 1}, {"z": True}, {"a": 1, "z": 2}]),
    ("additionalProperties", {"type": "object", "properties": {"a": {}}, "additionalProperties": False}, [{}, {"a": 1}], [{"b": 1}, {"a": 1, "b": 2}]),
    ("additionalProperties", {"type": "object", "additionalProperties": {"type": "boolean"}}, [{}, {"x": True, "y": False}], [{"x": 1}, {"x": True, "y": 0}]),
    ("additionalProperties", {"type": "object", "properties": {"ab": {"type": "integer"}, "abc": {"type": "null"}}, "additionalProperties": {"type": "string"}},
     [{"ab": 1, "abc": None, "a": "x"}, {"abcd": "y"}, {"": ""}, {"b": "z", "aa": ""}], [{"ab": "1"}, {"abc": "x"}, {"a": 1}, {"abcd": None}]),
    ("additionalProperties", {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True}, [{"a": 1, "b": "x"}, {"c": [1]}], [{"a": "x"}]),
    ("additionalProperties", {"additionalProperties": {"type": "array", "items": {"type": "integer"}}}, [{"k": [1, 2]}, {}], [{"k": ["x"]}, {"k": 1}]),
    ("items", {"type": "array", "items": {"type": "integer"}}, [[], [1], [1, -2, 3]], [["a"], [1, "a"], [1.5]]),
    ("items", {"items": {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}}, [[{"a": None}], []], [[{}], [{"a": 1}], [1]]),
    ("items", {"items": {"items": {"items": {"type": "boolean"}}, "type": "array"}, "type": "array"}, [[[[True], []], []]], [[[[1]]], [1]]),
    ("prefixItems", {"prefixItems": [{"type": "integer"}, {"type": "string"}]}, [[], [1], [1, "a"], [1, "a", None]], [["a"], [1, 2]]),
    ("prefixItems", {"type": "array", "prefixItems": [{"const": "x"}, {"type": "boolean"}], "items": False}, [["x", True], ["x"]], [["y"], ["x", True, 1], ["x", 1]]),
    ("prefixItems", {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}, "minItems": 2}, [[1, "a"], [1, "a", "b"]], [[1], [1, 2], ["a", "b"]]),
    ("minItems", {"type": "array", "minItems": 1}, [[1], [1, "a"]], [[]]),
    ("minItems", {"type": "array", "items": {"type": "integer"}, "minItems": 3}, [[1, 2, 3], [1, 2, 3, 4]], [[1, 2], []]),
    ("minItems", {"minItems": 1.0}, [[1]], [[]]),
    ("maxItems", {"type": "array", "maxItems": 2}, [[], [1], [1, 2]], [[1, 2, 3]]),
    ("maxItems", {"type": "array", "items": {"type": "boolean"}, "maxItems": 0}, [[]], [[True]]),
    ("maxItems", {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}, [[1, 2]], [[1], [1, 2, 3]]),
    ("uniqueItems", {"type": "array", "uniqueItems": False, "items": {"type": "integer"}}, [[1, 1]], [["a"]]),
    ("minLength", {"type": "string", "minLength": 2}, ["ab", "abc", E + E, SMILE + SMILE, "\n\\"], ["", "a", E, SMILE]),
    ("minLength", {"minLength": 1}, ["a"], [""]),
    ("maxLength", {"type": "string", "maxLength": 2}, ["", "a", "ab", SMILE + SMILE, "\"\\"], ["abc", SMILE * 3]),
    ("maxLength", {"type": "string", "maxLength": 0}, [""], ["a"]),
    ("maxLength", {"type": "string", "minLength": 3, "maxLength": 3}, ["abc", E * 3], ["ab", "abcd"]),
    ("pattern", {"type": "string", "pattern": "^a*$"}, ["", "aaa"], ["b", "aab"]),
    ("pattern", {"type": "string", "pattern": "a+"}, ["a", "xaay"], ["", "x"]),
    ("pattern", {"type": "string", "pattern": "^[A-Z]{2}-\\d{3}(\\.\\d)?$"}, ["AB-123", "ZZ-000.5"], ["AB-12", "ab-123", "AB-123.", "xAB-123"]),
    ("pattern", {"type": "string", "pattern": "^(red|green|blue)$"}, ["red", "blue"], ["reds", "", "yellow"]),
    ("pattern", {"type": "string", "pattern": "^\\w+\\s\\w+$"}, ["a b", "a_1\tb"], ["ab", "a-b c"]),
    ("pattern", {"type": "string", "pattern": "^[^\"\\\\]*$"}, ["", "a/b" + E], ["\"", "\\"]),
    ("pattern", {"type": "string", "pattern": "end$"}, ["end", "the end"], ["ending", ""]),
    ("format", {"type": "string", "format": "date"}, ["2024-02-28", "1999-12-31"], ["2024-13-01", "2024-02-30", "24-01-01", "x"]),
    ("format", {"type": "string", "format": "uuid"}, ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380", ""]),
    ("format", {"type": "string", "format": "ipv4"}, ["127.0.0.1", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    ("format", {"type": "string", "format": "ipv6"}, ["2001:db8:0:0:0:0:0:1"], ["12345::", "1:2"]),
    ("format", {"type": "string", "format": "email"}, ["joe@example.com"], ["joe", ""]),
    ("minimum", {"type": "integer", "minimum": 3}, [3, 4, 1000], [2, 0, -5]),
    ("minimum", {"type": "integer", "minimum": -12}, [-12, -1, 0, 7], [-13, -100]),
    ("minimum", {"type": "number", "minimum": 0}, [0, 0.5, 10.25], [-0.5, -1]),
    ("minimum", {"type": "integer", "minimum": 1.1}, [2, 3], [1, 0]),
    ("maximum", {"type": "integer", "maximum": 3}, [3, 0, -99], [4, 10]),
    ("maximum", {"type": "number", "maximum": -1}, [-1, -1.5, -20], [-0.5, 0, 3]),
    ("maximum", {"type": "integer", "minimum": 95, "maximum": 105}, [95, 99, 100, 105], [94, 106, 1000, 9]),
    ("exclusiveMinimum", {"type": "integer", "exclusiveMinimum": 3}, [4, 10], [3, 2]),
    ("exclusiveMinimum", {"type": "number", "exclusiveMinimum": 0}, [0.1, 1, 99.5], [0, -1]),
    ("exclusiveMaximum", {"type": "integer", "exclusiveMaximum": 3}, [2, -4], [3, 4]),
    ("exclusiveMaximum", {"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1}, [0, 0.5, -0.5], [1, -1, 1.5]),
    ("anyOf", {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]}, [1, "ab"], [1.5, "a", None]),
    ("anyOf", {"anyOf": [{"const": "a"}, {"const": "b"}, {"type": "null"}]}, ["a", "b", None], ["c", 0]),
    ("anyOf", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
     [{"a": 1}, {"b": 1}, {"a": 1, "b": 2}], [{}, {"a": "x"}]),
    ("anyOf", {"anyOf": [{"anyOf": [{"type": "null"}]}]}, [None], [1]),
    ("anyOf", {"properties": {"x": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "required": ["x"], "type": "object"}, [{"x": "a"}, {"x": None}], [{"x": 1}, {}]),
    ("oneOf", {"oneOf": [{"type": "integer"}, {"type": "string"}]}, [1, "a"], [1.5, None]),
    ("oneOf", {"oneOf": [{"const": 1}, {"const": 2}]}, [1, 2], [3]),
    ("oneOf", SHAPE, [{"kind": "circle", "r": 2.5}, {"kind": "square", "side": 3}], [{"kind": "circle"}, {"kind": "square", "r": 2}, {"kind": "oval", "r": 1}, {"kind": "circle", "r": 0}]),
    ("allOf", {"allOf": [{"type": "integer"}, {"minimum": 2}, {"maximum": 4}]}, [2, 4], [1, 5, "a"]),
    ("allOf", {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}], "type": "object"},
     [{"a": 1, "b": "x"}], [{"a": 1}, {"b": "x"}, {"a": "1", "b": "x"}]),
    ("allOf", {"type": "object", "properties": {"a": {"maximum": 9, "type": "integer"}}, "allOf": [{"properties": {"a": {"minimum": 3}}, "required": ["a"]}]}, [{"a": 3}, {"a": 9}], [{}, {"a": 2}, {"a": 10}]),
    ("allOf", {"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]}, [2, 3], [1, 4]),
    ("allOf", {"allOf": [{"type": ["string", "integer"]}, {"type": ["integer", "null"]}]}, [1], ["a", None]),
    ("$ref", {"$defs": {"a": {"type": "integer"}}, "$ref": "#/$defs/a"}, [1], ["a"]),
    ("$ref", {"properties": {"x": {"$ref": "#/$defs/a~1b~0c%25"}}, "$defs": {"a/b~c%": {"type": "null"}}, "type": "object", "required": ["x"]}, [{"x": None}], [{"x": 1}, {}]),
    ("$ref", {"definitions": {"p": {"type": "array", "items": {"$ref": "#/definitions/q"}}, "q": {"enum": [7]}}, "$ref": "#/definitions/p"}, [[], [7, 7]], [[1], 7]),
    ("$ref", {"properties": {"a": {"type": "boolean"}, "b": {"$ref": "#/properties/a"}}, "type": "object"}, [{"a": True, "b": False}], [{"b": 1}]),
    ("$ref", {"prefixItems": [{"type": "integer"}, {"$ref": "#/prefixItems/0"}], "items": False, "type": "array"}, [[1, 2]], [[1, "a"]]),
    ("$ref", TREE, [{"v": 1}, {"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3}]}], [{"kids": []}, {"v": 1, "kids": [1]}, {"v": 1, "kids": [{"kids": []}]}]),
    ("$ref", LIST, [{"v": 1, "next": None}, {"v": 1, "next": {"v": 2, "next": None}}], [{"v": 1}, {"v": 1, "next": {}}]),
    ("annotations", {"title": "t", "description": "d", "default": 3, "examples": ["x"], "$comment": "c", "deprecated": True, "readOnly": True, "$schema": "https://json-schema.org/draft/2020-12/schema",
                     "$id": "https://example.com/x", "type": "integer"}, [1, 3], ["x"]),
]


def text(v):
    return json.dumps(v, ensure_ascii=False, separators=(",", ":"))


def make():
    pool = list(dict.fromkeys(text(v) for _, _, offered, refused in CASES for v in (*offered, *refused)))
    cases = []
    for keyword, schema, offered, refused in CASES:
        judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        valid = [judge.is_valid(json.loads(t)) for t in pool]
        for v in offered:
            assert valid[pool.index(text(v))], (schema, v)
        for v in refused:
            assert not valid[pool.index(text(v))], (schema, v)
        cases.append({"keyword": keyword, "schema": schema, "offered": [pool.index(text(v)) for v in offered],
                      "valid": "".join("01"[x] for x in valid)})
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    return '{"values":[\n%s],\n"cases":[\n%s]}\n' % (",\n".join(json.dumps(t) for t in pool), lines)


if __name__ == "__main__":
    made = make()
    if "--check" in sys.argv[1:]:
        sys.exit(OUT.read_text() != made)
    OUT.write_text(made)
    print("%d schemas, %d values" % (len(CASES), len(json.loads(made)["values"])))
