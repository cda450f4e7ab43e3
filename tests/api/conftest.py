import openai
import pytest

import contract
from harness import Baseline, Server


@pytest.fixture(scope="module")
def server():
    with Server("--header-timeout", "2", "--body-timeout", "3", "--keep-alive-timeout", "1") as s:
        s.baseline = Baseline(s)
        yield s


@pytest.fixture
def hostile(server):
    """The server, for a test that misbehaves: afterwards everything must be as before."""
    yield server
    server.baseline.check(server)


@pytest.fixture(scope="module")
def client(server):
    """The official SDK, unmodified; the OpenAPI document judges what it gets."""
    document = contract.load(server.port, server.headers())

    def judge(response):
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.read()
            contract.check(document, response.request.method, response.request.url.path, response.status_code, response.headers, response.content)

    http = openai.DefaultHttpxClient(event_hooks={"response": [judge]})
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0, http_client=http)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id
