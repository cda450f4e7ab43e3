import openai
import pytest

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
    """The official SDK, unmodified."""
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id
