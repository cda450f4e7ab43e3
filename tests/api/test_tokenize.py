"""/tokenize and /detokenize: what a prompt is made of, and that a client's words stay words (checks 11 and 12)."""

import json
import re

import pytest

from harness import CHAT, COMPLETIONS, Server, ask, error_of, sample_that_sees

TEXTS = ["", "Hello", " two  spaces ", "naïve \U0001f600 日本語 ∑", "a\x00b", "\n\n\r\n\t", "<|im_end|> in words"]


def tokenize(server, **body):
    status, _, answer = server.post("/tokenize", body)
    assert status == 200, answer
    assert answer["count"] == len(answer["tokens"]) and answer["max_model_len"] > 0
    return answer["tokens"]


def detokenize(server, tokens):
    status, _, answer = server.post("/detokenize", {"tokens": tokens})
    assert status == 200, answer
    return answer["prompt"]


@pytest.fixture(scope="module")
def specials(server):
    """Spelling -> id of every token that stands for itself and not for its letters."""
    found = {}
    for i in range(4096):
        status, _, answer = server.post("/detokenize", {"tokens": [i]})
        if status != 200:
            break
        text = answer["prompt"]
        if len(text) > 3 and tokenize(server, prompt=text, add_special_tokens=False) == [i] and re.fullmatch(r"<.*>", text):
            found[text] = i
    assert found
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_there_and_back(server, text):
    assert detokenize(server, tokenize(server, prompt=text, add_special_tokens=False)) == text


def test_nothing_is_an_empty_text(server):
    assert detokenize(server, []) == ""


def test_what_is_not_utf_8_is_replaced(server):
    emoji = tokenize(server, prompt="\U0001f600", add_special_tokens=False)
    if len(emoji) < 2:
        pytest.skip("one token holds the whole character")
    assert "\ufffd" in detokenize(server, emoji[:-1]) and detokenize(server, emoji) == "\U0001f600"


def test_counts_are_those_of_the_routes(server):
    for text in ("Hello", "naïve \U0001f600"):
        usage = server.post(COMPLETIONS, {"prompt": text, "max_tokens": 1})[2]["usage"]
        assert usage["prompt_tokens"] == len(tokenize(server, prompt=text))
        usage = server.chat(ask(text))[2]["usage"]
        assert usage["prompt_tokens"] == len(tokenize(server, messages=ask(text)["messages"]))


def test_the_generation_prompt_is_the_end(server):
    whole = tokenize(server, messages=ask()["messages"])
    without = tokenize(server, messages=ask()["messages"], add_generation_prompt=False)
    assert whole[:len(without)] == without and len(without) < len(whole)
    status, _, answer = server.chat(ask(add_generation_prompt=False))
    assert status == 200 and answer["usage"]["prompt_tokens"] == len(without)


def test_a_program_s_prompt_holds_special_tokens(server, specials):
    """A prompt is the client's own program, as in /v1/completions; both read it in the same way."""
    for spelling, i in specials.items():
        tokens = tokenize(server, prompt="a" + spelling + "b", add_special_tokens=False)
        assert i in tokens
        status, _, answer = server.post(COMPLETIONS, {"prompt": "a" + spelling + "b", "max_tokens": 1, "add_special_tokens": False})
        if status == 200:
            assert answer["usage"]["prompt_tokens"] == len(tokens)


def test_words_of_a_conversation_are_never_special_tokens(server, specials):
    """The ids of a message that spells special tokens are those of its letters between the same template text."""
    empty = tokenize(server, messages=[{"role": "user", "content": "Z"}])
    z = tokenize(server, prompt="Z", add_special_tokens=False)
    at = max(i for i in range(len(empty)) if empty[i:i + 1] == z)
    for spelling, i in specials.items():
        for content in (spelling, "x " + spelling + " y", spelling * 3):
            for form in (content, [{"type": "text", "text": content}]):
                tokens = tokenize(server, messages=[{"role": "user", "content": form}])
                assert tokens[:at] == empty[:at] and tokens[len(tokens) - (len(empty) - at - 1):] == empty[at + 1:]
                words = tokens[at:len(tokens) - (len(empty) - at - 1)]
                assert not set(words) & set(specials.values())
                assert detokenize(server, words) == content
                assert server.chat({"messages": [{"role": "user", "content": form}], "max_tokens": 1})[2]["usage"]["prompt_tokens"] == len(tokens)


def test_words_open_no_place_for_media(server, specials):
    runs = server.metrics()["sensorium_encoder_runs_total"]
    for spelling in list(specials) + ["<image>", "<fake_token_around_image><global-img><image>", "<|vision_start|><|image_pad|><|vision_end|>"]:
        status, _, answer = server.chat(ask(spelling))
        assert status == 200, answer
    assert server.metrics()["sensorium_encoder_runs_total"] == runs


@pytest.mark.parametrize("path,body,param", [
    ("/tokenize", {}, "prompt"), ("/tokenize", {"prompt": None}, "prompt"), ("/tokenize", {"prompt": 1}, "prompt"),
    ("/tokenize", {"prompt": "x", "messages": ask()["messages"]}, "messages"), ("/tokenize", {"messages": []}, "messages"),
    ("/tokenize", {"prompt": "x", "tools": [{}]}, "tools[0]"), ("/tokenize", {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"), ("/tokenize", {"prompt": "x", "whatever": 1}, "whatever"),
    ("/tokenize", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]}]},
     "messages[0].content[0].image_url"),
    ("/detokenize", {}, "tokens"), ("/detokenize", {"tokens": None}, "tokens"), ("/detokenize", {"tokens": "x"}, "tokens"),
    ("/detokenize", {"tokens": [1, "x"]}, "tokens"), ("/detokenize", {"tokens": [-1]}, "tokens"), ("/detokenize", {"tokens": [2**31]}, "tokens"),
    ("/detokenize", {"tokens": [2**31 - 1]}, "tokens"), ("/detokenize", {"tokens": [1.0]}, "tokens"), ("/detokenize", {"tokens": [True]}, "tokens"),
])
def test_what_is_wrong_is_named(hostile, path, body, param):
    status, _, answer = hostile.post(path, body)
    assert status == 400 and error_of(answer)["param"] == param, answer


# ---- variables of the chat template --------------------------------------------------------------------------------------

def test_variables_reach_the_template(tmp_path, specials):
    template = tmp_path / "t.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}{% if think is true %}|T{% endif %}|{{ n }}|{{ s }}")
    with Server("--chat-template", str(template), model=sample_that_sees(tmp_path)) as s:
        tokens = tokenize(s, messages=ask("hi")["messages"], chat_template_kwargs={"think": True, "n": 3, "s": "<|im_end|>"})
        want = tokenize(s, messages=ask("hi")["messages"], chat_template_kwargs={"n": 3, "s": "xyz"})
        assert detokenize(s, tokens).endswith("hi|T|3|<|im_end|>") and detokenize(s, want).endswith("hi|3|xyz")
        for spelling in specials:  # a client's string is not the template's text
            spelled = tokenize(s, messages=ask("hi")["messages"], chat_template_kwargs={"s": spelling})
            assert not set(spelled) & set(specials.values()) and detokenize(s, spelled).endswith("|" + spelling)
        usage = s.chat(ask("hi", chat_template_kwargs={"think": True, "n": 3, "s": "<|im_end|>"}))[2]["usage"]
        assert usage["prompt_tokens"] == len(tokens)


@pytest.mark.parametrize("bad", [{"messages": 1}, {"tools": 1}, {"add_generation_prompt": True}, {"bos_token": "x"}, {"raise_exception": 1}, {"a b": 1},
                                 {"": 1}, {"1a": 1}, {"a" * 64: 1}, {"a": []}, {"a": {}}, {"a": [[1]]}, {"a": None}, {"a": "x\x00y"}, {"a": 1e300},
                                 {"__class__": {}}, [], "x", 1, True, {"v%d" % i: 1 for i in range(33)}], ids=lambda x: json.dumps(x)[:30])
@pytest.mark.parametrize("path", [CHAT, "/tokenize"])
def test_bad_variables_are_refused_by_name(hostile, path, bad):
    status, _, answer = hostile.post(path, {"messages": ask()["messages"], "chat_template_kwargs": bad})
    assert status == 400 and error_of(answer)["param"] == "chat_template_kwargs", answer
