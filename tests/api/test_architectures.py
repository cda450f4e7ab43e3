"""Every text architecture once over HTTP, from both containers and out of one page pool: the miniatures of tests/golden/hf, whose prompt's ids and
greedy answer are transformers'. Their chat template is their own."""

import struct

import pytest
from openai import BadRequestError, OpenAI

from harness import REPO, Server

GOLDEN = REPO / "tests" / "golden" / "hf"
PROMPT = "Zeichne 12 Kreise, na\u00efve \u6f22\u5b57 \U0001F600 don't!"
# Rows of the last ones stand apart on three axes in the golden; text alone does not.
NAMES = ["llama", "mistral", "mistral-window", "smollm3", "phi3", "qwen2", "qwen2-window", "qwen3", "qwen3moe", "gemma3-6"]
AXES = ["qwen2vl", "qwen2.5vl", "qwen3vl", "qwen3vlmoe"]
MODELS = {name + end: GOLDEN / (name + end) for name in NAMES + AXES for end in ("", ".gguf") if (GOLDEN / (name + end)).exists()}


def numbers(name, what):
    data = (GOLDEN / ("%s.%s" % (name.removesuffix(".gguf"), what))).read_bytes()
    return list(struct.unpack("<%di" % (len(data) // 4), data))


class Both:
    """A server of the directories and one of the files: each serves at most 16 models."""

    def __init__(self, servers):
        self.servers = servers
        self.clients = [OpenAI(base_url="http://127.0.0.1:%d/v1" % s.port, api_key="none", max_retries=0) for s in servers]

    def of(self, name):
        return self.servers[name.endswith(".gguf")]

    def client(self, name):
        return self.clients[name.endswith(".gguf")]


@pytest.fixture(scope="module")
def server():
    def flags(gguf):
        return [x for name, path in MODELS.items() if name.endswith(".gguf") == gguf for x in ("--model", "%s=%s" % (name, path))]
    with Server(*flags(False), "--kv-cache-dtype", "f32", model=None) as a, Server(*flags(True), "--kv-cache-dtype", "f32", model=None) as b:
        yield Both([a, b])


def ask(server, name, **fields):
    return server.client(name).chat.completions.create(model=name, messages=[{"role": "user", "content": PROMPT}], temperature=0, max_tokens=16, **fields)


def test_all_are_there(server):
    assert {m.id for c in server.clients for m in c.models.list().data} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_transformers_says(server, name):
    """To the token, streamed or not, and the prompt is as long as its template makes it."""
    whole = ask(server, name, logprobs=True)
    said = "".join(c.choices[0].delta.content or "" for c in ask(server, name, stream=True) if c.choices)
    assert said == whole.choices[0].message.content and whole.usage.completion_tokens == 16
    assert whole.usage.prompt_tokens == len(numbers(name, "ids"))
    if name.removesuffix(".gguf") not in AXES:
        status, _, answer = server.of(name).post("/detokenize", {"model": name, "tokens": numbers(name, "greedy")})
        assert status == 200 and said == answer["prompt"]


@pytest.mark.parametrize("name", [n for n in AXES if n in MODELS])
def test_a_text_model_beside_an_unread_tower_takes_text(server, name):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with pytest.raises(BadRequestError, match="does not take image input"):
        server.client(name).chat.completions.create(model=name, messages=[{"role": "user", "content": [picture]}], max_tokens=1)


def test_containers_agree(server):
    """The same numbers, whatever holds them."""
    both = [n for n in MODELS if n + ".gguf" in MODELS]
    assert len(both) >= 10
    for name in both:
        a, b = (ask(server, n, logprobs=True, top_logprobs=5).choices[0].logprobs.content for n in (name, name + ".gguf"))
        assert [t.token for t in a] == [t.token for t in b], name
        assert all(abs(x.logprob - y.logprob) < 1e-3 for x, y in zip(a, b)), name
