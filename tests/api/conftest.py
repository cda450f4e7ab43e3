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
