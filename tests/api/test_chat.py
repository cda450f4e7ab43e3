"""OpenAI's shapes, seen by its own client and byte by byte (goals 13, 14, 15)."""

import base64
import io
import json
import math

import openai
import pytest
from PIL import Image

from harness import CHAT, COMPLETIONS, JSON, TRANSCRIPTIONS, TRANSLATIONS, ask, error_of, sse_events


def picture(color="red", size=(64, 64), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind)
    return "data:image/%s;base64,%s" % (kind.lower(), base64.b64encode(file.getvalue()).decode())


def see(url, text="What is this?", **fields):
    return {**ask(**fields), "messages": [{"role": "user", "content": [{"type": "text", "text": text},
                                                                      {"type": "image_url", "image_url": {"url": url}}]}]}


# ---- whole answers ---------------------------------------------------------------------------------------------------

def test_the_answer_has_openai_s_fields(server, model):
    status, headers, a = server.chat(ask(model=model))
    assert status == 200 and headers["content-type"] == "application/json" and headers["x-request-id"]
    assert set(a) == {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert a["id"].startswith("chatcmpl-") and a["object"] == "chat.completion" and a["model"] == model
    (choice,) = a["choices"]
    assert choice["index"] == 0 and choice["message"]["role"] == "assistant" and isinstance(choice["message"]["content"], str)
    assert choice["finish_reason"] in ("stop", "length") and choice["logprobs"] is None
    u = a["usage"]
    assert u["total_tokens"] == u["prompt_tokens"] + u["completion_tokens"] and u["prompt_tokens"] > 0
    assert 0 <= u["prompt_tokens_details"]["cached_tokens"] <= u["prompt_tokens"]


def test_the_sdk_chats(client, model):
    r = client.chat.completions.create(model=model, messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
                                       max_completion_tokens=6, temperature=0, seed=1)
    assert isinstance(r.choices[0].message.content, str) and r.usage.completion_tokens <= 6 and r._request_id


def test_a_conversation_goes_on(client, model):
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    for _ in range(2):
        r = client.chat.completions.create(model=model, messages=messages, max_tokens=6, temperature=0)
        messages += [r.choices[0].message.model_dump(), {"role": "user", "content": [{"type": "text", "text": "And then?"}]}]


def test_max_tokens_ends_with_length(server):
    status, _, a = server.chat(ask(max_tokens=2, ignore_eos=True))
    assert status == 200 and a["choices"][0]["finish_reason"] == "length" and a["usage"]["completion_tokens"] == 2


def test_logprobs(client, model):
    r = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0,
                                       logprobs=True, top_logprobs=3)
    content = r.choices[0].logprobs.content
    assert len(content) > 0
    for t in content:
        assert t.logprob <= 0 and len(t.top_logprobs) == 3 and math.isfinite(t.logprob)
        assert all(0 <= b <= 255 for b in t.bytes)
        assert [x.logprob for x in t.top_logprobs] == sorted((x.logprob for x in t.top_logprobs), reverse=True)
    text = b"".join(bytes(t.bytes) for t in content).decode(errors="replace")
    assert text.startswith(r.choices[0].message.content)


def test_models(client, model):
    m = client.models.retrieve(model)
    assert m.id == model and m.object == "model" and m.owned_by and m.created > 0
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")
    with pytest.raises(openai.NotFoundError) as e:
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "x"}])
    assert e.value.body["code"] == "model_not_found"


# ---- several choices ---------------------------------------------------------------------------------------------------

SURPRISE = dict(temperature=2, seed=11, max_tokens=24, extra_body={"ignore_eos": True})


def choices_of(client, model, n, **fields):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Spell it"}], n=n, **SURPRISE, **fields)


def test_the_sdk_gets_n_choices(client, model):
    one, three = choices_of(client, model, 1), choices_of(client, model, 3)
    assert [c.index for c in three.choices] == [0, 1, 2]
    assert all(c.message.role == "assistant" and c.finish_reason == "length" for c in three.choices)
    assert three.choices[0].message.content == one.choices[0].message.content
    assert len({c.message.content for c in three.choices}) > 1
    assert three.usage.prompt_tokens == one.usage.prompt_tokens and three.usage.completion_tokens == 3 * 24


@pytest.mark.parametrize("logprobs", [False, True])
def test_streamed_choices_are_the_whole_ones(client, model, logprobs):
    fields = {"logprobs": True, "top_logprobs": 2} if logprobs else {}
    whole = choices_of(client, model, 3, **fields)
    text, tokens, reasons, roles, usage = {}, {}, {}, [], []
    with choices_of(client, model, 3, stream=True, stream_options={"include_usage": True}, **fields) as stream:
        for chunk in stream:
            usage += [chunk.usage] if chunk.usage else []
            assert len(chunk.choices) == (0 if chunk.usage else 1)
            for c in chunk.choices:
                assert c.index not in reasons  # nothing comes after a choice's end
                roles += [c.index] if c.delta.role else []
                text[c.index] = text.get(c.index, "") + (c.delta.content or "")
                tokens.setdefault(c.index, []).extend(c.logprobs.content if c.logprobs else [])
                if c.finish_reason:
                    reasons[c.index] = c.finish_reason
    assert roles == [0, 1, 2] and len(usage) == 1 and usage[0].completion_tokens == whole.usage.completion_tokens
    for c in whole.choices:
        assert text[c.index] == c.message.content and reasons[c.index] == c.finish_reason
        assert tokens[c.index] == (c.logprobs.content if logprobs else [])


def test_a_stop_string_ends_one_choice(client, model):
    whole = choices_of(client, model, 3).choices
    stop = next((c.message.content[i:i + k] for k in range(1, 6) for c in whole[:1] for i in range(2, len(c.message.content) - k)
                 if not any(c.message.content[i:i + k] in o.message.content for o in whole[1:])), None)
    if stop is None:
        pytest.skip("the choices say the same")
    stopped = choices_of(client, model, 3, stop=[stop]).choices
    assert stopped[0].message.content == whole[0].message.content.split(stop)[0] and stopped[0].finish_reason == "stop"
    assert [c.message.content for c in stopped[1:]] == [c.message.content for c in whole[1:]]


def test_n_has_a_limit(server, model):
    status, _, a = server.chat(ask(n=16))
    assert status == 200 and len(a["choices"]) == 16
    for n in (0, 17, 10_000):
        status, _, a = server.chat(ask(n=n))
        assert status == 400 and error_of(a)["param"] == "n"


# ---- streams -----------------------------------------------------------------------------------------------------------

def collect(server, body):
    status, headers, raw = server.stream(body)
    assert status == 200, raw
    assert headers["content-type"].startswith("text/event-stream") and headers["x-request-id"]
    return sse_events(raw)


def test_a_stream_follows_the_rules(server):
    chunks = collect(server, ask())
    first, last = chunks[0], chunks[-1]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(c["object"] == "chat.completion.chunk" for c in chunks)
    assert len({(c["id"], c["created"], c["model"]) for c in chunks}) == 1
    reasons = [c["choices"][0]["finish_reason"] for c in chunks]
    assert reasons[-1] in ("stop", "length") and set(reasons[:-1]) == {None}
    assert last["choices"][0]["delta"] == {}
    assert all("usage" not in c for c in chunks)


def test_usage_comes_once_if_asked_for(server):
    chunks = collect(server, ask(stream_options={"include_usage": True}))
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0
    assert all(c["usage"] is None for c in chunks[:-1])
    whole = server.chat(ask())[2]["usage"]
    assert {k: chunks[-1]["usage"][k] for k in ("prompt_tokens", "completion_tokens")} == \
           {k: whole[k] for k in ("prompt_tokens", "completion_tokens")}


TEXTS = ["Hello", "naïve \U0001f600 日本語 ∑", "say\n\ndata: [DONE]\n\nto me", 'a "quoted" \\ back\\slash\t\u0001', "line\r\nline\u2028line"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("logprobs", [False, True])
def test_the_pieces_are_the_whole(server, text, logprobs):
    body = ask(text, max_tokens=40, seed=5, temperature=1, **({"logprobs": True, "top_logprobs": 2} if logprobs else {}))
    whole = server.chat(body)[2]["choices"][0]
    chunks = [c["choices"][0] for c in collect(server, body)]
    assert "".join(c["delta"].get("content", "") for c in chunks) == whole["message"]["content"]
    assert chunks[-1]["finish_reason"] == whole["finish_reason"]
    if logprobs:
        assert sum(((c["logprobs"] or {}).get("content", []) for c in chunks), []) == whole["logprobs"]["content"]


def test_the_sdk_streams(client, model):
    with client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], stream=True, max_tokens=6,
                                        stream_options={"include_usage": True}) as s:
        chunks = list(s)
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].usage.total_tokens > 0


def test_a_stop_string_is_not_in_the_answer(server):
    text = server.chat(ask(max_tokens=12))[2]["choices"][0]["message"]["content"]
    if len(text) < 4:
        pytest.skip("the model says too little")
    stop = text[2:4]
    a = server.chat(ask(max_tokens=12, stop=[stop]))[2]["choices"][0]
    assert stop not in a["message"]["content"] or a["message"]["content"] == text  # a scripted model knows no stop strings


def test_http_1_0_gets_an_unchunked_stream(server):
    data = json.dumps({**ask(), "stream": True}).encode()
    raw = server.raw(b"POST %s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(data)) + data)
    head, _, events = raw.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head and sse_events(events)


# ---- pictures ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_sdk_sends_a_picture(server, client, model, kind):
    if "image/" + kind.lower() not in server.media_types():
        pytest.skip("this build has no codec for it")
    r = client.chat.completions.create(model=model, max_tokens=6, temperature=0, messages=see(picture(kind=kind))["messages"])
    assert isinstance(r.choices[0].message.content, str)


def test_a_picture_costs_prompt_tokens(server):
    words = server.chat(ask("What is this?"))[2]["usage"]["prompt_tokens"]
    status, _, a = server.chat(see(picture()))
    assert status == 200 and a["usage"]["prompt_tokens"] >= words


def test_the_short_form_and_detail_are_accepted(server):
    for image in (picture(), {"url": picture(), "detail": "high"}, {"url": picture(), "detail": "auto"}):
        body = ask()
        body["messages"] = [{"role": "user", "content": [{"type": "image_url", "image_url": image}, {"type": "text", "text": "?"}]}]
        assert server.chat(body)[0] == 200


# ---- errors ------------------------------------------------------------------------------------------------------------

FORMS = (TRANSCRIPTIONS, TRANSLATIONS)
ROUTES = {CHAT: "POST", COMPLETIONS: "POST", TRANSCRIPTIONS: "POST", TRANSLATIONS: "POST", "/tokenize": "POST", "/detokenize": "POST", "/openapi.json": "GET", "/v1/models": "GET", "/v1/models/x": "GET",
          "/v1/plugins": "GET POST", "/metrics": "GET", "/livez": "GET", "/readyz": "GET"}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_wrong_method_is_405_with_allow(server, path, method):
    status, headers, body = server.request(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None, JSON)
    assert headers["x-request-id"]
    if method in ROUTES[path].split() or (method == "HEAD" and "GET" in ROUTES[path]):
        assert status != 405
        assert method != "HEAD" or body == b""
    else:
        assert status == 405 and set(ROUTES[path].split()) <= set(headers["allow"].split(", "))
        error_of(json.loads(body)) if method != "HEAD" else None


def test_an_unknown_method_is_refused(server):
    for method in ("TRACE", "BREW", "get"):
        status, headers, body = server.request(method, "/livez")
        assert status in (400, 405) and headers["x-request-id"]
        error_of(json.loads(body))


def test_an_unknown_route_is_404(server):
    for path in ("/", "/v1", "/v1/", "/v1/chat", "/v1/tokenize", "/v1/rerank", "/health", "/docs", "/v1/models/"):
        status, headers, body = server.get(path)
        assert status == 404 and headers["content-type"] == "application/json"
        error_of(json.loads(body))


def test_a_query_does_not_hide_a_route(server):
    assert server.get("/v1/models?limit=1")[0] == 200


KINDS = (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=b", "multipart/form-datax; boundary=b",
         "multipart/mixed; boundary=b", "application/json", "application/jsonx", "")


def is_taken(path, kind):
    return bool(kind) and kind.split(";")[0] == ("multipart/form-data" if path in FORMS else "application/json")


@pytest.mark.parametrize("path,kind", [(p, k) for p, methods in ROUTES.items() if "POST" in methods for k in KINDS if not is_taken(p, k)])
def test_other_content_types_are_415(server, path, kind):
    status, _, body = server.request("POST", path, json.dumps(ask()).encode(), {"Content-Type": kind} if kind is not None else {})
    assert status == 415
    error_of(json.loads(body))


def test_json_with_a_charset_is_fine(server):
    status, _, _ = server.request("POST", CHAT, json.dumps(ask()).encode(), {"Content-Type": "application/json; charset=utf-8"})
    assert status == 200


def test_a_request_id_is_kept_if_it_is_plain(server):
    for given, kept in (("abc-1.2_Z", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("é", False), ("", False)):
        headers = server.request("GET", "/livez", headers={"X-Request-Id": given.encode("latin-1")})[1]
        assert (headers["x-request-id"] == given) == kept and len(headers["x-request-id"]) <= 64


def test_context_length_is_a_400(client, model, server):
    limit = json.loads(server.get("/v1/models")[2])["data"][0]["max_model_len"]
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * limit * 2}])
    assert e.value.body["code"] == "context_length_exceeded"


def test_keep_alive_is_kept(server):
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(3):
        c.request("POST", CHAT, json.dumps(ask()), JSON)
        sock = c.sock
        assert c.getresponse().read() and c.sock is sock
    c.close()
