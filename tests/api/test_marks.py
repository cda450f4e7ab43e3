"""Calls and thinking where their marks are tokens of their own, as real models have them: control tokens (Mistral, Llama 3) or added ones that
are text (Qwen, Hermes), in a GGUF file and in a directory of Hugging Face. The weights are random: what holds here is held by the masks."""

import json

import openai
import pytest

import tiny_llama
from harness import CHAT, JSON, Server, ask
from test_tools import HEAD, TEMPLATES, TOOLS, TURNS, check_call, history, post

CHATML, ENDS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"], ["<|im_end|>", "<|endoftext|>"]
MISTRAL = ["[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"]
QWEN = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
LLAMA_ENDS = ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]
LLAMA = ["<|im_start|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"]
V = {
    "mistral": tiny_llama.Vocabulary(CHATML + MISTRAL, [], ENDS),
    "v3": tiny_llama.Pieces(CHATML + MISTRAL, [], ENDS),
    "args": tiny_llama.Vocabulary(CHATML + MISTRAL + ["[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]"], [], ENDS),
    "llama3": tiny_llama.Vocabulary(LLAMA + LLAMA_ENDS, [], LLAMA_ENDS),
    "thinks": tiny_llama.Vocabulary(CHATML, QWEN, ENDS),
    "opens": tiny_llama.Vocabulary(CHATML, QWEN, ENDS),
    "hermes": tiny_llama.Vocabulary(CHATML + QWEN[:2], [], ENDS),  # the same format, its marks control
}
TEMPLATE = {name: TEMPLATES["mistral" if name == "v3" else name] for name in V}
TEMPLATE["v3"] = TEMPLATES["mistral"].replace("[TOOL_CALLS][", "[TOOL_CALLS] [")
TEMPLATE["llama3"] = TEMPLATES["llama3"].replace("<|im_end|>", "<|eot_id|>").replace("{% if m.tool_calls %}<|start_header_id|>{% endif %}", "").replace(TURNS, TURNS + "<|start_header_id|>")
TEMPLATE["args"] = TEMPLATES["args"].replace(HEAD + TURNS, HEAD + TURNS + "{% if m.reasoning_content %}[THINK]{{ m.reasoning_content }}[/THINK]{% endif %}")
BEGIN = {"mistral": "[TOOL_CALLS]", "v3": "[TOOL_CALLS]", "args": "[TOOL_CALLS]", "llama3": "<|python_tag|>", "thinks": "<tool_call>", "opens": "<tool_call>", "hermes": "<tool_call>"}
MARKS = ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|python_tag|>", *QWEN, "[THINK]", "[/THINK]"]
FORMS = ("gguf", "hf")
CALLERS = [f"{name}-{form}" for name in V if name not in ("opens", "v3") for form in FORMS] + ["v3-gguf"]


def of(model):
    name = model.split("-")[0]
    return name, V[name]


def bias(model, amount, *spellings):
    v = of(model)[1]
    return {str(v.tokens.index(s)): amount for s in spellings if s in v.tokens}


def said(choice):
    return [bytes(t["bytes"]) for t in choice["logprobs"]["content"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, flags = tmp_path_factory.mktemp("marks"), []
    for name, v in V.items():
        (folder / (name + ".jinja")).write_text(TEMPLATE[name])
        for form in FORMS[:1] if name == "v3" else FORMS:  # SentencePiece's is a matter of GGUF here
            path = (tiny_llama.write_gguf if form == "gguf" else tiny_llama.write_hf)(folder / f"{name}.{form}", v)
            flags += ["--model", f"{name}-{form}={path}", "--chat-template", f"{name}-{form}={folder / name}.jinja"]
    with Server(*flags, model=None) as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


def no_mark_in(text):
    return not any(m in (text or "") for m in MARKS)


def check_marks_are_tokens(model, choice, must=True):
    """All that are in the answer and that the vocabulary has."""
    name, v = of(model)
    entries = said(choice)
    own = [m.encode() for m in MARKS if m in v.tokens]
    rest = b"".join(b"\0" if e in own else e for e in entries)
    assert not [m for m in own if m in rest], entries
    if must and name != "llama3":
        assert BEGIN[name].encode() in entries


# ---- calls -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", CALLERS)
def test_a_forced_call_s_marks_are_tokens(server, model):
    for temperature in (0, 1, 2):
        for choice in ("required", {"type": "function", "function": {"name": "put"}}):
            for parallel in (False, True):
                status, answer = post(server, model, tools=TOOLS[:1], tool_choice=choice, temperature=temperature, seed=3, n=3, max_tokens=150, parallel_tool_calls=parallel,
                                      logprobs=True, chat_template_kwargs={"enable_thinking": False}, logit_bias=bias(model, -100, "[THINK]"))
                assert status == 200, answer
                for c in answer["choices"]:
                    calls = c["message"]["tool_calls"]
                    assert c["message"]["content"] is None and (c["finish_reason"] == "tool_calls" or parallel)
                    for call in calls if c["finish_reason"] == "tool_calls" else calls[:-1]:
                        check_call(call)
                    check_marks_are_tokens(model, c)


@pytest.mark.parametrize("model", CALLERS)
def test_who_opens_a_call_by_itself_makes_it_well_formed(server, model):
    name, _ = of(model)
    status, answer = post(server, model, tools=TOOLS, temperature=1, seed=4, n=4, max_tokens=200, parallel_tool_calls=False, logprobs=True,
                          logit_bias=bias(model, 100, BEGIN[name]), chat_template_kwargs={"enable_thinking": False})
    assert status == 200, answer
    for c in answer["choices"]:
        assert said(c)[0] == BEGIN[name].encode() and c["message"]["content"] is None and len(c["message"]["tool_calls"]) == 1
        if c["finish_reason"] == "tool_calls":
            check_call(c["message"]["tool_calls"][0])
    assert "tool_calls" in {c["finish_reason"] for c in answer["choices"]}


@pytest.mark.parametrize("model", CALLERS)
def test_no_mark_is_content(server, model):
    """However much the model likes them."""
    called, amount = 0, 8 if model.startswith("llama3") else 5
    for seed in range(3):
        _, answer = post(server, model, tools=TOOLS, temperature=1.5, seed=seed, n=6, max_tokens=60, logprobs=True, logit_bias=bias(model, amount, *MARKS))
        for c in answer["choices"]:
            m = c["message"]
            calls = m.get("tool_calls", [])
            called += len(calls)
            assert no_mark_in(m["content"]), c
            for call in calls if c["finish_reason"] == "tool_calls" else calls[:-1]:
                check_call(call)
                assert no_mark_in(call["function"]["arguments"])
    assert called


@pytest.mark.parametrize("model", CALLERS + ["opens-gguf", "opens-hf"])
def test_a_stream_s_deltas_are_the_whole_answer(server, client, model):
    seen = set()
    for seed, choice in ((1, "required"), (2, "auto")):
        fields = dict(tools=TOOLS, tool_choice=choice, temperature=1, seed=seed, n=3, max_tokens=80, logit_bias=bias(model, 4, *MARKS))
        _, answer = post(server, model, **fields)
        parts = [{"content": "", "reasoning_content": "", "calls": [], "finish": None} for _ in range(3)]
        for chunk in client.chat.completions.create(model=model, messages=ask("Hi")["messages"], stream=True, **fields):
            for c in chunk.choices:
                p = parts[c.index]
                p["content"] += c.delta.content or ""
                p["reasoning_content"] += getattr(c.delta, "reasoning_content", None) or ""
                for call in c.delta.tool_calls or []:
                    if call.index == len(p["calls"]):
                        p["calls"].append([call.function.name, ""])
                    p["calls"][call.index][1] += call.function.arguments
                p["finish"] = c.finish_reason or p["finish"]
        for p, c in zip(parts, answer["choices"]):
            m = c["message"]
            assert p["content"] == (m["content"] or "") and p["reasoning_content"] == m.get("reasoning_content", "") and p["finish"] == c["finish_reason"]
            assert p["calls"] == [[k["function"]["name"], k["function"]["arguments"]] for k in m.get("tool_calls", [])]
            seen.add(bool(p["calls"]))
    assert True in seen or model.startswith("opens")


@pytest.mark.parametrize("form", FORMS)
def test_llama_s_ends_end_a_call(server, form):
    model = "llama3-" + form
    for end in LLAMA_ENDS:
        others = [e for e in LLAMA_ENDS if e != end]
        status, answer = post(server, model, tools=TOOLS[:1], tool_choice="required", temperature=1, seed=1, n=2, max_tokens=200,
                              logit_bias={**bias(model, 100, end), **bias(model, -100, *others)})
        assert status == 200, answer
        for c in answer["choices"]:
            assert c["finish_reason"] == "tool_calls" and c["message"]["content"] is None and len(c["message"]["tool_calls"]) == 1
            check_call(c["message"]["tool_calls"][0])


# ---- prompts ---------------------------------------------------------------------------------------------------------------

def ids(server, model, **fields):
    status, tokens = post(server, model, "/tokenize", **fields)
    assert status == 200, tokens
    return tokens["tokens"]


@pytest.mark.parametrize("model", CALLERS)
def test_history_has_the_tokens(server, model):
    name, v = of(model)
    wanted = {"mistral": ["[TOOL_CALLS]"], "v3": ["[TOOL_CALLS]"], "args": ["[TOOL_CALLS]", "[ARGS]"], "llama3": [], "thinks": QWEN[:2], "hermes": QWEN[:2]}[name]
    tokens = ids(server, model, messages=history(x=1, kind="big"))
    for mark in wanted:
        assert tokens.count(v.id(mark)) == 1
    if name in ("args", "thinks"):
        begin, end = ("[THINK]", "[/THINK]") if name == "args" else QWEN[2:]
        tokens = ids(server, model, messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"}])
        assert tokens.count(v.id(begin)) == tokens.count(v.id(end)) == 1
    if name == "mistral":
        assert ids(server, model, messages=ask("Hi")["messages"], tools=TOOLS).count(v.id("[AVAILABLE_TOOLS]")) == 1


@pytest.mark.parametrize("model", CALLERS)
def test_no_word_of_a_client_is_a_mark(server, model):
    v = of(model)[1]
    for mark in v.control + v.added:
        def special(word):
            tools = [{"type": "function", "function": {"name": "put", "description": word, "parameters": {"type": "object", "properties": {word: {"type": "string", "title": word}}}}}]
            h = history(**{word: word})
            h[0]["content"] = h[1]["content"] = h[-1]["content"] = word
            return [i for i in ids(server, model, messages=h, tools=tools) if i >= v.n_plain]
        assert special(mark) == special("x" * len(mark))


# ---- thinking --------------------------------------------------------------------------------------------------------------

THINKERS = [("thinks-gguf", *QWEN[2:]), ("thinks-hf", *QWEN[2:]), ("args-gguf", "[THINK]", "[/THINK]"), ("args-hf", "[THINK]", "[/THINK]")]


@pytest.mark.parametrize("model,begin,end", THINKERS)
@pytest.mark.parametrize("amount", [100, -100])  # as tokens, byte by byte
def test_thinking_goes_to_reasoning_content(server, client, model, begin, end, amount):
    fields = dict(max_tokens=60, temperature=1, seed=1, logit_bias=bias(model, amount, begin, end))
    grammar = f'root ::= "{begin}\\nab <b>\\n{end}\\n\\nc d"'
    whole = post(server, model, grammar=grammar, logprobs=True, **fields)[1]["choices"][0]
    assert whole["message"]["content"] == "c d" and whole["message"]["reasoning_content"] == "ab <b>"
    assert [t in said(whole) for t in (begin.encode(), end.encode())] == [amount > 0] * 2
    chunks = [c.choices[0].delta for c in
              client.chat.completions.create(model=model, messages=ask("Hi")["messages"], stream=True, extra_body={"grammar": grammar}, **fields) if c.choices]
    assert "".join(c.content or "" for c in chunks) == "c d" and "".join(getattr(c, "reasoning_content", None) or "" for c in chunks) == "ab <b>"


@pytest.mark.parametrize("model,begin,end", THINKERS)
def test_who_thinks_as_tokens_calls_as_tokens(server, model, begin, end):
    for choice in ("required", "auto"):
        seen = set()
        _, answer = post(server, model, tools=TOOLS[:1], tool_choice=choice, temperature=1, seed=2, n=8, max_tokens=120, parallel_tool_calls=False, logprobs=True,
                         logit_bias={**bias(model, 40, begin), **bias(model, 12, end), **bias(model, 30, BEGIN[of(model)[0]])})
        for c in answer["choices"]:
            assert said(c)[0] == begin.encode() and no_mark_in(c["message"].get("reasoning_content")) and no_mark_in(c["message"]["content"])
            seen.add((c["finish_reason"], len(c["message"].get("tool_calls", []))))
            if c["finish_reason"] == "tool_calls":
                check_call(c["message"]["tool_calls"][0])
        assert ("tool_calls", 1) in seen, answer


@pytest.mark.parametrize("model,begin,end", THINKERS)
def test_no_mark_of_thinking_is_in_json(server, model, begin, end):
    schema = {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 2, "maxItems": 2}
    _, answer = post(server, model, temperature=1, seed=1, n=8, max_tokens=150, logit_bias=bias(model, 6, begin, end),
                     response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    stopped = [c["message"] for c in answer["choices"] if c["finish_reason"] == "stop"]  # the others think to the end of their tokens
    assert stopped and all(c["message"].get("reasoning_content") and not c["message"]["content"] for c in answer["choices"] if c["finish_reason"] != "stop")
    for m in stopped:
        assert len(json.loads(m["content"])) == 2 and begin not in m["content"] and end not in m["content"], m


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pieces", [["</think>"], ["</thi", "nk>"]], ids=["token", "bytes"])
def test_what_has_to_fit_begins_behind_thinking_that_the_prompt_opened(server, form, pieces):
    model = "opens-" + form
    liked = {**bias(model, 100, *pieces), **(bias(model, -100, "</think>") if len(pieces) > 1 else {})}
    _, answer = post(server, model, temperature=1, seed=1, n=4, max_tokens=100, grammar='root ::= "c d"', logprobs=True, logit_bias=liked)
    for c in answer["choices"]:
        assert c["message"]["content"] == "c d" and c["finish_reason"] == "stop", c
        assert (b"</think>" in said(c)) == (len(pieces) == 1)
    _, answer = post(server, model, temperature=1, seed=1, n=4, max_tokens=200, tools=TOOLS[:1], tool_choice="required", parallel_tool_calls=False, logprobs=True, logit_bias=liked)
    for c in answer["choices"]:
        assert c["finish_reason"] == "tool_calls" and not c["message"]["content"], c
        check_call(c["message"]["tool_calls"][0])
        check_marks_are_tokens(model, {"logprobs": {"content": [t for t in c["logprobs"]["content"] if t["bytes"] not in ([*b"</thi"], [*b"nk>"])]}})
