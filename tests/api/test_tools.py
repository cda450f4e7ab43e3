"""Calls of tools and thinking, with the official SDK and byte by byte: a model of random weights under the templates of every format. What it
says is chance, so whatever holds here is held by the masks."""

import json
import shutil
import struct
import typing

import jsonschema
import openai
import pydantic
import pytest

from harness import CHAT, JSON, REPO, Server, ask, run, sample_that_sees

MODEL = REPO / "tests" / "golden" / "engine" / "qwen2.gguf"  # a token for each byte

HEAD = "{% if tools %}{% for t in tools %}{{ t.function.name }} {% endfor %}{% endif %}"
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
END = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TEMPLATES = {
    "hermes": HEAD + TURNS + "{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
              "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}" + END,
    "llama3": HEAD + TURNS + "{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}{{ raise_exception('one call at once') }}{% endif %}"
              "{% set c = m.tool_calls[0].function %}{\"name\": \"{{ c.name }}\", \"parameters\": {{ c.arguments | tojson }}}{% endif %}"
              "{% if m.tool_calls %}<|start_header_id|>{% endif %}" + END,
    "mistral": "{% if tools %}[AVAILABLE_TOOLS]{{ tools[0].function.name }}[/AVAILABLE_TOOLS]{% endif %}" + TURNS +
               "{% if m.tool_calls %}[TOOL_CALLS][{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}"
               "{{ c.function | tojson }}, \"{{ c.id }}\"{% endfor %}]{% endif %}{% if m.tool_call_id %}#{{ m.tool_call_id }}{% endif %}" + END,
    "args": HEAD + TURNS + "{% for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}" + END,
    "gemma": "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns alternate') }}{% endif %}"
             "<start_of_turn>{{ m.role }}\n{{ m.content }}\n{% endfor %}<start_of_turn>model\n",
    "thinks": HEAD + TURNS + "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
              "{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}"
              + END + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}",
    "opens": HEAD + TURNS + "{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}"
             + END + "<think>\n",
    "plain": TURNS + END,
}
CALLERS = ["hermes", "llama3", "mistral", "args", "gemma", "thinks"]

POINT = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "kind": {"enum": ["big", "small"]}},
         "required": ["x", "kind"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "put", "description": "Put it", "parameters": POINT}}, {"type": "function", "function": {"name": "end"}}]
NAMED = {"type": "function", "function": {"name": "put"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, flags = tmp_path_factory.mktemp("templates"), []
    data, key = MODEL.read_bytes(), b"qwen2.context_length" + struct.pack("<I", 4)  # of 512 tokens, too few for Gemma's prompt
    assert data.count(key + struct.pack("<I", 512)) == 1
    longer = folder / "longer.gguf"
    longer.write_bytes(data.replace(key + struct.pack("<I", 512), key + struct.pack("<I", 2048)))
    for name, template in TEMPLATES.items():
        (folder / name).write_text(template)
        flags += ["--model", f"{name}={longer}", "--chat-template", f"{name}={folder / name}"]
    with Server(*flags, model=None) as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


def post(server, model, path=CHAT, **fields):
    body = {"model": model, **({"messages": ask("Hi")["messages"]} if "messages" not in fields else {}), **fields}
    status, _, answer = server.request("POST", path, json.dumps(body).encode(), JSON)
    return status, json.loads(answer)


def check_call(call):
    arguments = json.loads(call["function"]["arguments"])
    assert call["type"] == "function" and len(call["id"]) == 9 and call["id"].isalnum()
    assert call["function"]["name"] in ("put", "end")
    jsonschema.validate(arguments, POINT if call["function"]["name"] == "put" else {"type": "object"})


# ---- forced ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", CALLERS)
def test_a_forced_call_parses_and_fits_at_every_temperature(server, model):
    for temperature in (0, 1, 2):
        for choice in ("required", NAMED):
            status, answer = post(server, model, tools=TOOLS[:1], tool_choice=choice, temperature=temperature, seed=5, n=4, max_tokens=200,
                                  parallel_tool_calls=False, chat_template_kwargs={"enable_thinking": False})
            assert status == 200, answer
            for c in answer["choices"]:
                assert c["finish_reason"] == "tool_calls" and c["message"]["content"] is None and len(c["message"]["tool_calls"]) == 1
                check_call(c["message"]["tool_calls"][0])


def test_who_must_call_may_think_before(server):
    seen = set()
    for seed in range(6):
        _, answer = post(server, "thinks", tools=TOOLS[:1], tool_choice="required", temperature=1, seed=seed, n=8, max_tokens=100, parallel_tool_calls=False)
        for c in answer["choices"]:
            m = c["message"]
            seen.add((c["finish_reason"], bool(m.get("reasoning_content")), len(m.get("tool_calls", []))))
            assert not m["content"]
    assert ("tool_calls", False, 1) in seen and ("length", True, 0) in seen and not {s for s in seen if s[0] == "stop"}


def test_who_answers_by_a_schema_may_think_before(server):
    """A model that opens its thinking itself, as Qwen3: the schema is of what it says behind that."""
    asked = {"type": "json_schema", "json_schema": {"name": "point", "schema": POINT}}
    seen = set()
    for seed in range(6):
        for more in ({}, {"chat_template_kwargs": {"enable_thinking": False}}):
            _, answer = post(server, "thinks", response_format=asked, temperature=1, seed=seed, n=8, max_tokens=100, **more)
            for c in answer["choices"]:
                m = c["message"]
                if c["finish_reason"] == "stop":
                    jsonschema.validate(json.loads(m["content"]), POINT)
                seen.add((c["finish_reason"], bool(m.get("reasoning_content")), bool(m["content"]), bool(more)))
    assert ("stop", False, True, False) in seen and ("stop", False, True, True) in seen and ("length", True, False, False) in seen
    assert not {s for s in seen if s[1] and s[3]}


@pytest.mark.parametrize("model", ["hermes", "mistral", "args", "gemma"])
def test_several_calls_come_in_one_answer(server, model):
    seen = set()
    for seed in range(4):
        _, answer = post(server, model, tools=TOOLS[:1], tool_choice="required", temperature=1.5, seed=seed, n=8, max_tokens=150)
        for c in answer["choices"]:
            calls = c["message"]["tool_calls"]
            for call in calls if c["finish_reason"] == "tool_calls" else calls[:-1]:
                check_call(call)
            seen.add(len(calls))
            assert len({call["id"] for call in calls}) == len(calls)
    assert max(seen) > 1


def test_a_template_for_one_call_gets_one(server):
    _, answer = post(server, "llama3", tools=TOOLS, tool_choice="required", temperature=1, seed=1, n=8, max_tokens=200)
    assert all(len(c["message"]["tool_calls"]) == 1 for c in answer["choices"])


# ---- streams ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("model", CALLERS + ["opens"])
def test_a_stream_s_deltas_are_the_whole_answer(server, client, model, choice):
    for seed in range(3):
        fields = dict(tools=TOOLS, tool_choice=choice, temperature=1, seed=seed, n=2, max_tokens=90)
        _, answer = post(server, model, **fields)
        parts = [{"content": "", "reasoning_content": "", "calls": {}, "finish": None} for _ in range(2)]
        for chunk in client.chat.completions.create(model=model, messages=ask("Hi")["messages"], stream=True, **fields):
            for c in chunk.choices:
                p = parts[c.index]
                p["content"] += c.delta.content or ""
                p["reasoning_content"] += getattr(c.delta, "reasoning_content", None) or ""
                for call in c.delta.tool_calls or []:
                    if call.index not in p["calls"]:  # first who is called, then with what
                        assert call.id and call.type == "function" and call.function.name and call.index == len(p["calls"])
                        p["calls"][call.index] = [call.function.name, ""]
                    else:
                        assert call.id is None and call.function.name is None
                    p["calls"][call.index][1] += call.function.arguments
                p["finish"] = c.finish_reason or p["finish"]
        for p, c in zip(parts, answer["choices"]):
            m = c["message"]
            assert p["content"] == (m["content"] or "") and p["reasoning_content"] == m.get("reasoning_content", "") and p["finish"] == c["finish_reason"]
            assert list(p["calls"].values()) == [[k["function"]["name"], k["function"]["arguments"]] for k in m.get("tool_calls", [])]


# ---- the SDK's helpers -----------------------------------------------------------------------------------------------------

class Put(pydantic.BaseModel):
    """Put it there."""
    x: int = pydantic.Field(ge=0, le=99)
    kind: typing.Literal["big", "small"]


@pytest.mark.parametrize("model", ["hermes", "llama3", "args"])
def test_parse_gives_the_tool_s_model_back(client, model):
    done = client.chat.completions.parse(model=model, messages=ask("Hi")["messages"], tools=[openai.pydantic_function_tool(Put)], tool_choice="required",
                                         parallel_tool_calls=False, max_tokens=200, temperature=1, seed=2)
    calls = done.choices[0].message.tool_calls
    assert len(calls) == 1 and isinstance(calls[0].function.parsed_arguments, Put)


@pytest.mark.parametrize("model", ["hermes", "mistral"])
def test_the_stream_helper_gives_the_same(client, model):
    fields = dict(model=model, messages=ask("Hi")["messages"], tools=[openai.pydantic_function_tool(Put)], tool_choice=NAMED | {"function": {"name": "Put"}},
                  parallel_tool_calls=False, max_tokens=200, temperature=1, seed=4)
    with client.chat.completions.stream(**fields) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Put) and "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds
    whole = client.chat.completions.create(**{**fields, "tools": [openai.pydantic_function_tool(Put)]})
    assert whole.choices[0].message.tool_calls[0].function.arguments == call.function.arguments


def test_what_came_goes_back(server, client):
    """The assistant's message as the SDK has it, and the tool's result, in the next turn: the model's own format, in the prompt."""
    messages = ask("Hi")["messages"]
    first = client.chat.completions.create(model="hermes", messages=messages, tools=TOOLS, tool_choice=NAMED, parallel_tool_calls=False, max_tokens=200, seed=1)
    call = first.choices[0].message.tool_calls[0]
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "done"}]
    second = client.chat.completions.create(model="hermes", messages=messages, tools=TOOLS, max_tokens=4)
    assert second.choices[0].finish_reason in ("length", "stop", "tool_calls")
    history = [m if isinstance(m, dict) else m.model_dump(exclude_none=True) for m in messages]
    prompt = prompt_of(server, "hermes", messages=history, tools=TOOLS)
    assert prompt.endswith('<|im_start|>assistant\n<tool_call>\n{"name": "put", "arguments": %s}\n</tool_call><|im_end|>\n<|im_start|>tool\ndone<|im_end|>\n'
                           "<|im_start|>assistant\n" % json.dumps(json.loads(call.function.arguments)))


# ---- auto ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", CALLERS)
def test_left_to_itself_it_says_words_or_whole_calls(server, model):
    for seed in range(3):
        _, answer = post(server, model, tools=TOOLS, temperature=2, seed=seed, n=8, max_tokens=60)
        for c in answer["choices"]:
            for call in c["message"].get("tool_calls", [])[: None if c["finish_reason"] == "tool_calls" else -1]:
                check_call(call)


def test_an_answer_is_a_call_or_json_where_both_are_asked_for(server, client):
    class Answer(pydantic.BaseModel):
        yes: bool

    kinds = set()
    for model in ("hermes", "llama3"):
        for seed in range(6):
            done = client.chat.completions.parse(model=model, messages=ask("Hi")["messages"], tools=[openai.pydantic_function_tool(Put)], response_format=Answer,
                                                 parallel_tool_calls=False, max_tokens=200, temperature=1, seed=seed, n=4)
            for c in done.choices:
                calls = c.message.tool_calls
                assert isinstance(calls[0].function.parsed_arguments, Put) if calls else isinstance(c.message.parsed, Answer)
                kinds.add((model, bool(calls)))
    assert len(kinds) == 4
    _, answer = post(server, "args", tools=TOOLS, response_format={"type": "json_object"}, temperature=0, max_tokens=40)
    assert (answer["choices"][0]["message"]["content"] or "{").startswith("{")


def test_none_is_as_if_there_were_no_tools(server):
    _, told = post(server, "hermes", tools=TOOLS, tool_choice="none", temperature=0, max_tokens=20)
    _, plain = post(server, "hermes", temperature=0, max_tokens=20)
    assert told["choices"] == plain["choices"] and told["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]


def test_it_goes_with_stop_logprobs_and_several_choices(server):
    _, answer = post(server, "hermes", tools=TOOLS[:1], tool_choice="required", n=2, logprobs=True, top_logprobs=2, temperature=1, seed=9, max_tokens=200, parallel_tool_calls=False)
    for c in answer["choices"]:
        said = b"".join(bytes(t["bytes"]) for t in c["logprobs"]["content"])
        assert said.strip().startswith(b"<tool_call>") and c["message"]["tool_calls"][0]["function"]["arguments"].encode() in said
    _, cut = post(server, "hermes", tools=TOOLS[:1], tool_choice="required", stop='"kind', temperature=0, max_tokens=200)
    assert cut["choices"][0]["finish_reason"] == "stop" and "kind" not in cut["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]


def test_the_sample_calls_when_it_must(tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text(TEMPLATES["hermes"])
    with Server("--chat-template", str(template), model=sample_that_sees(tmp_path)) as s:
        status, answer = post(s, None, tools=TOOLS, tool_choice=NAMED, temperature=1, seed=1, max_tokens=100, parallel_tool_calls=False)
        assert status == 200
        check_call(answer["choices"][0]["message"]["tool_calls"][0])


# ---- prompts ---------------------------------------------------------------------------------------------------------------

def prompt_of(server, model, **fields):
    status, tokens = post(server, model, "/tokenize", **fields)
    assert status == 200, tokens
    return json.loads(server.request("POST", "/detokenize", json.dumps({"model": model, "tokens": tokens["tokens"]}).encode(), JSON)[2])["prompt"]


def history(**arguments):
    return [{"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call_0123456789", "type": "function", "function": {"name": "put", "arguments": json.dumps(arguments)}}]},
            {"role": "tool", "tool_call_id": "call_0123456789", "content": "ok"}]


def test_history_is_written_as_each_template_wants_it(server):
    h = history(x=1, kind="big")
    assert '"parameters": {"x": 1, "kind": "big"}}<|start_header_id|><|im_end|>' in prompt_of(server, "llama3", messages=h)
    assert '[TOOL_CALLS]put[ARGS]{"x": 1, "kind": "big"}' in prompt_of(server, "args", messages=h)
    mistral = prompt_of(server, "mistral", messages=h)  # ids that it refuses get names that it takes
    assert '"call00000"' in mistral and "#call00000" in mistral
    gemma = prompt_of(server, "gemma", messages=h + [{"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}], tools=TOOLS)
    assert gemma.startswith("<start_of_turn>user\nYou can call functions.") and '{"name": "end", "parameters"' in gemma
    assert '<start_of_turn>assistant\n{"name": "put", "parameters": {"x": 1, "kind": "big"}}\n<start_of_turn>user\n```tool_output\nok\n```\n' in gemma
    assert "<think>hm</think>" in prompt_of(server, "thinks", messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"}])


def test_no_word_of_a_client_becomes_a_special_token(server):
    for spelling in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        def ids(word):
            tools = [{"type": "function", "function": {"name": "put", "description": word, "parameters": {"type": "object", "properties": {word: {"type": "string", "title": word}}}}}]
            h = history(**{word: word})
            h[-1]["content"] = word
            h[1]["content"] = word
            return [post(server, m, "/tokenize", messages=h, tools=t)[1]["tokens"] for m, t in (("hermes", tools), ("gemma", tools), ("args", None))]
        for spelled, harmless in zip(ids(spelling), ids("x" * len(spelling))):
            assert len(spelled) == len(harmless)  # byte for byte: had it become a token, there would be fewer
            assert sum(a > 255 for a in spelled) == sum(a > 255 for a in harmless)


# ---- thinking --------------------------------------------------------------------------------------------------------------

def test_thinking_goes_to_reasoning_content(server, client):
    fields = dict(model="thinks", messages=ask("Hi")["messages"], max_tokens=60, extra_body={"grammar": 'root ::= "<think>\\nab <b>\\n</think>\\n\\nc d"'})
    whole = client.chat.completions.create(**fields).choices[0].message
    assert whole.content == "c d" and whole.reasoning_content == "ab <b>"
    chunks = [c.choices[0].delta for c in client.chat.completions.create(stream=True, **fields)]
    assert "".join(c.content or "" for c in chunks) == "c d" and "".join(getattr(c, "reasoning_content", None) or "" for c in chunks) == "ab <b>"
    plain = client.chat.completions.create(**{**fields, "model": "plain"}).choices[0].message
    assert plain.content == "<think>\nab <b>\n</think>\n\nc d"


def test_a_template_that_opens_the_thinking(server):
    _, answer = post(server, "opens", temperature=1, seed=1, max_tokens=30)
    assert answer["choices"][0]["message"]["content"] == "" and answer["choices"][0]["message"]["reasoning_content"]
    _, answer = post(server, "opens", temperature=1, seed=1, max_tokens=60, grammar='root ::= "\\n\\nc"', logit_bias={str(ord(c)): -100 for c in "abxyz"})
    m = answer["choices"][0]["message"]
    assert m["content"] in ("", "c") and (m["content"] == "c") == (answer["choices"][0]["finish_reason"] == "stop")


def test_thinking_can_be_switched(server):
    closed = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert prompt_of(server, "thinks", messages=ask("a")["messages"], chat_template_kwargs={"enable_thinking": False}).endswith(closed)
    fields = dict(messages=ask("a")["messages"], max_tokens=2)
    used = [post(server, "thinks", **fields, **more)[1]["usage"]["prompt_tokens"] for more in
            ({}, {"reasoning_effort": "high"}, {"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}})]
    assert used[0] == used[1] < used[2] == used[3]
    status, answer = post(server, "plain", **fields, reasoning_effort="none")
    assert status == 400 and answer["error"]["param"] == "reasoning_effort"


# ---- what is refused -------------------------------------------------------------------------------------------------------

F = {"type": "function", "function": {"name": "f"}}


def function(**fields):
    return {"type": "function", "function": {"name": "f", **fields}}


REFUSED = {
    "tools": [[F] * 129, "x"],
    "tools[0]": [[{"type": "web_search"}], [{"type": "custom", "custom": {"name": "f"}}], [{"function": {"name": "f"}}], [1], [{**F, "more": 1}]],
    "tools[1].function.name": [[F, F], [F, function(name="")], [F, function(name="a b")], [F, function(name="a" * 65)], [F, function(name="a\"")], [F, function(name=1)]],
    "tools[0].function": [[function(weird=1)]],
    "tools[0].function.description": [[function(description=1)]],
    "tools[0].function.parameters": [[function(parameters=[])], [function(parameters={"type": "string"})], [function(strict=True, parameters={"type": "object", "not": {}})],
                                     [function(strict=True, parameters={"type": "object", "properties": {"a": {"frobnicate": 1}}})]],
    "tools[0].function.strict": [[function(strict="yes")]],
}


@pytest.mark.parametrize("param,tools", [(p, t) for p, ts in REFUSED.items() for t in ts], ids=lambda x: str(x)[:40])
def test_tools_that_are_wrong_are_refused_by_name(server, param, tools):
    status, answer = post(server, "hermes", tools=tools, max_tokens=4)
    assert status == 400 and answer["error"]["param"] == param, answer


@pytest.mark.parametrize("param,fields", [
    ("tool_choice", {"tool_choice": "required"}), ("tool_choice", {"tools": [F], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
    ("tool_choice", {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}), ("tool_choice", {"tools": [F], "tool_choice": "f"}),
    ("parallel_tool_calls", {"parallel_tool_calls": 1}), ("grammar", {"tools": [F], "grammar": 'root ::= "a"'}),
    ("functions", {"functions": [{"name": "f"}]}), ("tools", {"tools": [F], "ignore_eos": True}),
])
def test_fields_that_do_not_fit_are_refused_by_name(server, param, fields):
    status, answer = post(server, "hermes", max_tokens=4, **fields)
    assert status == 400 and answer["error"]["param"] == param, answer


def test_a_model_without_tools_says_so(server):
    status, answer = post(server, "plain", tools=[F], max_tokens=4)
    assert status == 400 and answer["error"]["param"] == "tools" and "takes no tools" in answer["error"]["message"]
    assert post(server, "plain", tools=[F], tool_choice="none", max_tokens=4)[0] == 200
    status, answer = post(server, "plain", messages=history(x=1), max_tokens=4)
    assert status == 400 and answer["error"]["param"] == "messages", answer


def call(**fields):
    return [{"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}]}]


@pytest.mark.parametrize("param,messages", [
    ("messages[0].tool_calls", [{"role": "assistant", "content": None, "tool_calls": []}]), ("messages[0].tool_calls", [{"role": "assistant", "content": None, "tool_calls": call()[0]["tool_calls"] * 129}]),
    ("messages[0]", [{"role": "user", "content": "x", "tool_calls": call()[0]["tool_calls"]}]), ("messages[0].content", [{"role": "assistant", "content": None}]),
    ("messages[0].tool_calls[0]", call(type="custom")), ("messages[0].tool_calls[0].id", call(id="")), ("messages[0].tool_calls[0].id", call(id="x" * 257)),
    ("messages[0].tool_calls[0].function.name", call(function={"name": "a b", "arguments": "{}"})),
    ("messages[0].tool_calls[0].function.arguments", call(function={"name": "f", "arguments": "[]"})),
    ("messages[0].tool_calls[0].function.arguments", call(function={"name": "f", "arguments": "{"})),
    ("messages[0].tool_calls[0].function.arguments", call(function={"name": "f", "arguments": {}})),
    ("messages[0].tool_calls[0].function.arguments", call(function={"name": "f", "arguments": "{\"a\":" * 70 + "1" + "}" * 70})),
    ("messages[0].tool_call_id", [{"role": "tool", "content": "x"}]), ("messages[0].content", [{"role": "tool", "tool_call_id": "a"}]),
    ("messages[0].reasoning_content", [{"role": "assistant", "content": "x", "reasoning_content": 1}]),
], ids=lambda x: str(x)[:60])
def test_history_that_is_wrong_is_refused_by_its_place(server, param, messages):
    status, answer = post(server, "hermes", messages=messages, max_tokens=4)
    assert status == 400 and answer["error"]["param"] == param, answer


def test_inspect_tells_the_format(tmp_path):
    for template, tells in (("hermes", "\ntools: hermes\n"), ("args", "\ntools: mistral-args\n"), ("plain", "\ntools: none\n"), ("opens", "\nthinking: <think>\n")):
        folder = shutil.copytree(REPO / "tests" / "golden" / "hf" / "llama", tmp_path / template)
        (folder / "chat_template.jinja").write_text(TEMPLATES[template])
        code, text, _ = run("inspect", str(folder))
        assert code == 0 and tells in text, text
