"""The form of /v1/audio/transcriptions and /translations: what is wrong with it is refused by name before anything is decoded, by any
model (goals 1, 6, 7, 13, 29). What a model that hears answers is in test_listen.py. The one here does not hear, which is the last thing
that it is asked for: a form that gets that far is right."""

import json
import random
import re
import time

import pytest

import contract
from harness import JSON, PATIENCE, REPO, TRANSCRIPTIONS, TRANSLATIONS, Baseline, Server, error_of, multipart, responses_in, sample_that_sees, status_of
from sounds import wav

SOUND = wav(0.1)
PATHS = (TRANSCRIPTIONS, TRANSLATIONS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server("--header-timeout", "2", "--body-timeout", "3", "--keep-alive-timeout", "1", model=sample_that_sees(tmp_path_factory.mktemp("deaf"))) as s:
        s.baseline = Baseline(s)
        yield s


@pytest.fixture(scope="module")
def document(server):
    return json.loads(server.get("/openapi.json")[2])


def is_deaf(answer):
    """The refusal of a form that is right, by a model that can do nothing with it."""
    error = error_of(answer)
    return error["param"] == "model" and error["code"] == "unsupported" and "takes audio" in error["message"]


# ---- fields ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", PATHS)
def test_a_right_form_gets_as_far_as_the_model(hostile, path):
    for more in ([], [("model", json.loads(hostile.get("/v1/models")[2])["data"][0]["id"])], [("language", "en"), ("prompt", "Hällo"), ("temperature", "0.2")],
                 [("response_format", "verbose_json"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
                 [("stream", "true"), ("seed", "-9223372036854775808")], [("stream", "True"), ("response_format", "text")], [("chunking_strategy", "auto")],
                 [("language", ""), ("prompt", ""), ("temperature", ""), ("model", ""), ("stream", ""), ("response_format", "")]):  # "" is null
        status, _, answer = hostile.form([("file", SOUND), *more], path)
        assert status == 400 and is_deaf(answer), (more, answer)


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_model_is_404(server, path):
    for name in ("whisper-1", "x", "Sensorium-sample"):
        status, _, answer = server.form({"file": SOUND, "model": name}, path)
        assert status == 404 and error_of(answer)["param"] == "model" and error_of(answer)["code"] == "model_not_found"


def fields_of(document, path=TRANSCRIPTIONS):
    return document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]


def names():
    return re.findall(r'\{\.name = "([\w\[\]]+)"', (REPO / "api" / "transcription_parse.c").read_text())


def test_the_document_tells_the_form(document):
    for path in PATHS:
        schema = fields_of(document, path)
        assert sorted(schema["properties"]) == sorted(names()) and schema["required"] == ["file"] and schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description") or "enum" in field or field.get("type") == "null", name
            if "default" in field:
                contract.validator(document, field).validate(field["default"])
        assert "text/plain" in document["paths"][path]["post"]["responses"]["200"]["content"]
    # what OpenAI's client may send is known, done or not
    assert {"file", "model", "chunking_strategy", "include[]", "keywords[]", "known_speaker_names[]", "known_speaker_references[]", "language", "languages[]", "prompt",
            "response_format", "stream", "temperature", "timestamp_granularities[]"} <= set(names())


WORDS = ["x", "no such word", "true", "false", "yes", "null", "0", "1", "-1", "1.5", "2", "1e308", "-1e308", "5e-324", "1e999", "NaN", "Infinity", "0x1", " 1", "1 ", "+1",
         "01", ".5", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 400, "[]", "{}", "[1]", '{"type":"server_vad"}', '"auto"', "en", "EN", "english",
         "e\x00n", "x" * 100_000, "json", "JSON", "diarized_json", "word", "segment"]


def as_json(schema, text):
    """What a form's text says to a field of this schema: the reading that form.h describes, and nothing else."""
    kinds = {k for s in [schema, *schema.get("anyOf", [])] for k in ([s["type"]] if isinstance(s.get("type"), str) else s.get("type", []))}
    kinds |= {type(v).__name__ for s in [schema, *schema.get("anyOf", [])] for v in s.get("enum", [])}
    if "array" in kinds:
        return [text]
    if "boolean" in kinds and text in ("True", "False", "1", "0"):
        return text in ("True", "1")
    if kinds & {"number", "integer", "boolean", "int", "bool"}:
        try:
            value = json.loads(text, parse_constant=lambda c: text)
            if isinstance(value, (bool, int, float)) and abs(value) < 2**1000:
                return value
        except (ValueError, OverflowError):
            pass
    return text


@pytest.mark.parametrize("name", [n for n in names() if n != "file"])
def test_what_it_forbids_is_refused_by_name(server, document, name):
    schema = fields_of(document)["properties"][name]
    judge = contract.validator(document, schema)
    beside = [("response_format", "verbose_json")] if name.startswith("timestamp") else []
    refused = 0
    for text in WORDS:
        value = as_json(schema, text)
        status, _, answer = server.form([("file", SOUND), *beside, (name, text)])
        assert 400 <= status < 500, (text, answer)
        if not judge.is_valid(value) or (name == "seed" and not -2**63 <= value < 2**63):
            refused += 1
            assert (error_of(answer)["param"] or "").startswith(name), (text, answer)
        elif name not in ("model", "stream", "response_format", "language", "cache_salt"):
            assert is_deaf(answer), (text, answer)
    assert refused > 2 or name in ("model", "prompt", "cache_salt", "user")
    server.baseline.check(server)


def test_fields_that_are_not_told_are_refused(server):
    for name in ("temprature", "foo", "foo[]", "files", "file[]", "_charset_", "response_format[]"):
        status, _, answer = server.form([("file", SOUND), (name, "x")])
        assert status == 400 and error_of(answer)["param"] in (name, name.split("[")[0])


@pytest.mark.parametrize("fields,param", [
    ([], "file"), ([("model", "x")], "file"), ([("file", b"")], "file"),
    ([("file", SOUND), ("file", SOUND)], "file"), ([("file", SOUND), ("model", "a"), ("model", "a")], "model"),
    ([("file", SOUND), ("model", b"x")], "model"),
    ([("file", SOUND), ("chunking_strategy[type]", "server_vad")], "chunking_strategy"),
    ([("file", SOUND), ("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.5")], "chunking_strategy"),
    ([("file", SOUND), ("include[]", "logprobs")], "include[]"),
    ([("file", SOUND), ("timestamp_granularities[]", "word")], "timestamp_granularities[]"),
    ([("file", SOUND), ("timestamp_granularities[]", "word"), ("response_format", "srt")], "timestamp_granularities[]"),
    ([("file", SOUND), ("stream", "true"), ("response_format", "srt")], "stream"),
    ([("file", SOUND), ("stream", "true"), ("response_format", "verbose_json")], "stream"),
])
def test_what_does_not_go_together_is_named(server, fields, param):
    for path in PATHS:
        status, _, answer = server.form(fields, path)
        assert status == 400 and error_of(answer)["param"] == param, answer


def test_text_must_be_utf_8(server):
    head, body = multipart({"file": SOUND, "prompt": "@@"})
    for bad in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80"):
        status, _, answer = server.request("POST", TRANSCRIPTIONS, body.replace(b"@@", bad), head)
        assert status == 400 and error_of(json.loads(answer))["param"] == "prompt"


# ---- sizes -----------------------------------------------------------------------------------------------------------------

def test_a_file_above_the_cap_is_413(hostile):
    before = hostile.memory_peak()
    status, _, answer = hostile.form({"file": bytes(26 << 20)})
    assert status == 413 and error_of(answer)["param"] == "file"
    status, _, answer = hostile.form({"file": bytes(33 << 20)})
    assert status == 413
    assert hostile.memory_peak() - before < (80 << 20) * PATIENCE


def test_a_form_of_many_parts_is_refused_at_once(hostile):
    start = time.monotonic()
    status, _, answer = hostile.form([("timestamp_granularities[]", "word")] * 200_000)
    assert status == 400 and "parts" in error_of(answer)["message"]
    near = b"\r\n--b" * 1_000_000  # each one nearly a delimiter
    status, _, _ = hostile.request("POST", TRANSCRIPTIONS, b"--bb\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n" + near,
                                   {"Content-Type": "multipart/form-data; boundary=bb"})
    assert status == 400
    assert time.monotonic() - start < 5 * PATIENCE


# ---- the body itself (checks 1, 29) ------------------------------------------------------------------------------------------

def part(name="file", value=b"x", more=b""):
    return b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), more, value)


MALFORMED = {
    "empty": b"", "no delimiter": b"x" * 1000, "not ended": part(), "cut in a delimiter": part() + b"--", "cut in a header": b"--b\r\nContent-Dispo",
    "no header": b"--b\r\n\r\nx\r\n--b--", "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "two names": part(more=b'; name="y"') + b"--b--",
    "bare line feeds": part().replace(b"\r\n", b"\n") + b"--b--\n", "folded": b'--b\r\nContent-Disposition: form-data;\r\n name="file"\r\n\r\nx\r\n--b--',
    "base64": part(more=b"\r\nContent-Transfer-Encoding: base64") + b"--b--", "quoted-printable": part(more=b"\r\nContent-Transfer-Encoding: quoted-printable") + b"--b--",
    "nested": part(more=b"\r\nContent-Type: multipart/mixed; boundary=c", value=b"--c--") + b"--b--", "attachment": part().replace(b"form-data", b"attachment") + b"--b--",
    "large header": part(more=b"; x=" + b"y" * 10_000) + b"--b--", "many headers": part(more=b"\r\nX-Y: z" * 100) + b"--b--", "control": part(more=b"; x=\"\x01\"") + b"--b--",
    "a line like a delimiter": part(value=b"x\r\n--bc\r\ny") + b"--b--", "JSON": b'{"file":"x"}', "another boundary": part().replace(b"--b", b"--c") + b"--c--",
    "a request inside": b"POST /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_form_is_400(hostile, name):
    status, _, answer = hostile.request("POST", TRANSCRIPTIONS, MALFORMED[name], {"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 400, answer
    error_of(json.loads(answer))


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=b; boundary=c", "multipart/form-data; boundary=" + "b" * 71,
                                  'multipart/form-data; boundary="b', "multipart/form-data; boundary=b b"])
def test_a_boundary_that_is_none_is_400(hostile, kind):
    status, _, answer = hostile.request("POST", TRANSCRIPTIONS, part() + b"--b--", {"Content-Type": kind})
    assert status == 400 and "boundary" in error_of(json.loads(answer))["message"]


def test_a_form_cut_anywhere_is_400(hostile):
    head, body = multipart({"model": "", "file": SOUND, "language": "en"})
    for percent in range(0, 100):
        status, _, answer = hostile.request("POST", TRANSCRIPTIONS, body[:len(body) * percent // 100], head)
        assert status == 400 and not is_deaf(json.loads(answer)), percent


def test_a_damaged_form_is_never_a_500(hostile):
    rng = random.Random(29)
    head, body = multipart({"file": SOUND[:200], "language": "en", "timestamp_granularities[]": "word", "response_format": "verbose_json"})
    for _ in range(300):
        broken = bytearray(body)
        for _ in range(rng.randrange(1, 6)):
            broken[rng.randrange(len(broken))] = rng.choice(b'\r\n-";:= \x00\xff') if rng.random() < 0.7 else rng.randrange(256)
        status, _, answer = hostile.request("POST", TRANSCRIPTIONS, bytes(broken), head)
        assert status in (400, 404), answer


def test_what_follows_a_form_is_the_next_request(server):
    """An epilogue belongs to the body; what comes behind the body is a request of its own."""
    head, body = multipart({"file": SOUND})
    for epilogue in (b"", b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"):
        raw = server.raw(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (TRANSCRIPTIONS.encode(), head["Content-Type"].encode(), len(body + epilogue))
                         + body + epilogue + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status_of(raw) == 400 and responses_in(raw) == 2 and b'"live"' in raw and b'"data"' not in raw


def test_a_chunked_form_is_read(server):
    head, body = multipart({"file": SOUND})
    raw = server.raw(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" % (TRANSCRIPTIONS.encode(), head["Content-Type"].encode())
                     + b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 97]), body[i:i + 97]) for i in range(0, len(body), 97)) + b"0\r\n\r\n")
    assert status_of(raw) == 400 and b"takes audio" in raw


def test_json_is_no_form(server):
    status, _, answer = server.request("POST", TRANSCRIPTIONS, b"{}", JSON)
    assert status == 415 and error_of(json.loads(answer))["code"] == "unsupported_content_type"


def test_refusals_use_fixed_words(server):
    secret = "CANARY7731"
    for fields in ({"file": secret.encode(), "model": secret}, {"file": SOUND, "language": secret}, {"file": SOUND, "response_format": secret}, {"file": SOUND, "temperature": secret},
                   {"file": SOUND, "chunking_strategy": secret}):
        answer = server.form(fields)[2]
        assert secret not in json.dumps(answer)
